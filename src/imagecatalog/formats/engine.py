"""What the engines of Docker and Podman tell of containers and images (Docker Engine API).

Only what the catalog records is decoded. Labels are free text: they are made such that any database
keeps them, and never a reason to pass a container over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import msgspec
from msgspec import Struct

from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadName, clean_text

_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_HEX = re.compile(r"[0-9a-f]{64}")
_WORD_LIMIT = 250
_IMAGE_LIMIT = 1200
"""Bytes of a name: with what the runtime reports it must fit into an index."""
_DIGESTS_LIMIT = 1000
_ENDED = frozenset({"created", "configured", "initialized", "exited", "stopped", "dead"})
_COMPOSE = ("com.docker.compose.project", "com.docker.compose.service")
_SWARM = ("com.docker.stack.namespace", "com.docker.swarm.service.name")
_UNIT = "PODMAN_SYSTEMD_UNIT"


class Version(NamedTuple):
    """A version of the API."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """``1.41``; None for what is none."""
        found = _VERSION.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class _Component(Struct, rename="pascal"):
    name: str = ""


class EngineVersion(Struct, rename="pascal"):
    """Which engine, and what it speaks."""

    api_version: str = ""
    min_version: str = msgspec.field(default="", name="MinAPIVersion")
    components: list[_Component] | None = None


class _Descriptor(Struct):
    digest: str = ""


class EngineContainer(Struct, rename="pascal"):
    """A container of the list."""

    id: str
    names: list[str] | None = None
    image: str = ""
    image_id: str = msgspec.field(default="", name="ImageID")
    image_manifest: _Descriptor | None = msgspec.field(default=None, name="ImageManifestDescriptor")
    labels: dict[str, str] | None = None
    state: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it runs, or is about to again."""
        return self.state not in _ENDED


class EngineImage(Struct, rename="pascal"):
    """An image, as far as it is known by what digests it was pulled."""

    repo_digests: list[str] | None = None


class _Config(Struct, rename="pascal"):
    image: str = ""


class Inspected(Struct, rename="pascal"):
    """One container, as far as it is known by what name it was started."""

    config: _Config = msgspec.field(default_factory=_Config)


def read_container(
    told: EngineContainer, image: str, known: EngineImage, team_keys: Sequence[str]
) -> RunningContainer:
    """The container as the catalog has it; ``image`` is the name that it was started with."""
    labels = told.labels or {}
    # Names with a further slash are of links to it.
    names = sorted(told.names or (), key=lambda name: (name.count("/"), name))
    name = _word(names[0].strip("/") if names else "") or _word(told.id[:12]) or "unnamed"
    namespace, workload, container = _place(labels, name)
    is_restarting = told.state == "restarting"
    return RunningContainer(
        namespace=namespace,
        workload=workload,
        pod_name=name,
        container=container,
        kind="container",
        image=clean_text(image).encode()[:_IMAGE_LIMIT].decode(errors="ignore"),
        image_id=_identify(told, image, known.repo_digests or ()),
        team=next((_word(labels[key]) for key in team_keys if labels.get(key)), ""),
        state="waiting" if is_restarting else "running",
        reason=told.state if is_restarting or told.state == "paused" else "",
    )


def _place(labels: Mapping[str, str], name: str) -> tuple[str, str, str]:
    """Namespace, workload and container."""
    project, service = (_word(labels.get(key, "")) for key in _COMPOSE)
    if project and service:
        return project, f"Compose/{_word(f'{project}-{service}')}", service
    stack, service = (_word(labels.get(key, "")) for key in _SWARM)
    if service:
        return stack or "default", f"Service/{service}", service
    unit = _word(labels.get(_UNIT, ""))
    return "default", f"Unit/{unit}" if unit else f"Container/{name}", name


def _word(text: str) -> str:
    return clean_text(text).strip()[:_WORD_LIMIT]


def _identify(told: EngineContainer, image: str, digests: Sequence[str]) -> str:
    """``name@digest`` of the manifest or index, else the digest by which the engine knows the image.

    A digest in the image's own repository counts first. What an engine calls ``localhost/…`` it made
    itself: no registry has that manifest, while the configuration may have been pushed since.
    """
    own = _repository(image)
    if told.image_manifest is not None and _is_digest(told.image_manifest.digest):
        digest = told.image_manifest.digest
        return f"{own}@{digest}" if own else digest
    found = []
    for text in digests[:_DIGESTS_LIMIT]:
        name, _, digest = text.partition("@")
        repository = _repository(name)
        if repository and _is_digest(digest) and not name.startswith("localhost/"):
            found.append((repository != own, f"{repository}@{digest}"))
    if found:
        return min(found)[1]
    number = f"sha256:{told.image_id}" if _HEX.fullmatch(told.image_id) else told.image_id
    return number if _is_digest(number) else ""


def _repository(name: str) -> str | None:
    try:
        return Reference.parse(name).name
    except BadName:
        return None


def _is_digest(text: str) -> bool:
    try:
        Digest.parse(text)
    except BadName:
        return False
    return True
