"""What runs on a host of Docker or Podman: its engine's API, asked for the containers that run.

Docker Engine API, of the highest version that both sides speak: ``/containers/json``, for each image
``/images/{id}/json``, and for a container of which the list has lost the image's name
``/containers/{id}/json``. Nothing else is asked, and nothing is changed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from imagecatalog.config import HostSetting
from imagecatalog.domain.sightings import Sighting
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    Missing,
    SourceUnavailable,
    TooDeep,
    TooManyEntries,
)
from imagecatalog.formats.engine import (
    EngineContainer,
    EngineImage,
    EngineVersion,
    Inspected,
    Version,
    read_container,
)
from imagecatalog.sources.http import Http, Patience
from imagecatalog.sources.kube import ClusterScan

NEWEST = Version(1, 48)
OLDEST = Version(1, 24)
"""Versions of the API that are spoken here."""
MOST_CONTAINERS = 20_000
_LIST_LIMIT = 64 << 20
_ITEM_LIMIT = 4 << 20
"""Bytes of answers."""
_PATIENCE = Patience(read=60, attempts=3, longest_wait=10)
_SECURE_PORT = 2376
_GUIDE = "docs/howto/docker-hosts.md tells where engines have their sockets"
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")

T = TypeVar("T")


def scan_host(
    host: HostSetting, *, team_keys: Sequence[str] = (), patience: Patience = _PATIENCE
) -> ClusterScan:
    """Every container that runs; the first of ``team_keys`` among its labels names its team.

    Raises ``SourceUnavailable`` or ``BadDocument`` where the list is not whole.
    """
    with _Engine.open(host, patience) as engine:
        images: dict[str, EngineImage] = {}
        found = []
        for container in engine.list_containers():
            # Podman calls what it has not pushed yet by a digest that no registry will know.
            if engine.kind == "docker" and container.image_id not in images:
                images[container.image_id] = engine.find_image(container.image_id)
            name = container.image
            if _ID.fullmatch(name):
                name = engine.find_image_name(container.id) or name
            image = images.get(container.image_id, EngineImage())
            found.append(read_container(container, name, image, team_keys))
        return ClusterScan(Sighting(found), kind=engine.kind)


class _Engine:
    """The API of one host; ``open`` one."""

    def __init__(self, host: HostSetting, http: Http, base: str) -> None:
        self._host = host
        self._where = f"host {host.name}"
        self._http = http
        self._base = base
        self._path = ""
        self.kind: Literal["docker", "podman"] = "docker"

    @classmethod
    @contextmanager
    def open(cls, host: HostSetting, patience: Patience) -> Iterator[_Engine]:
        """An engine that answered, and with which a version of the API was agreed upon."""
        path = None
        if host.socket.startswith("unix://"):
            path, base = host.socket.removeprefix("unix://"), "http://localhost"
            _try_socket(host.name, path)
        else:
            url = urlsplit(host.socket)
            is_secured = host.ca or host.certificate or url.port == _SECURE_PORT
            plain = "https" if is_secured and url.scheme == "tcp" else "http"
            base = f"{plain if url.scheme == 'tcp' else url.scheme}://{url.netloc}"
        http = Http(
            ca=host.ca,
            certificate=(host.certificate, host.key) if host.certificate else None,
            patience=patience,
            redirects=0,
            socket=path,
        )
        try:
            engine = cls(host, http, base)
            engine._agree()
            yield engine
        finally:
            http.close()

    def list_containers(self) -> list[EngineContainer]:
        """Those that run, each once."""
        found = self._get("/containers/json", list[EngineContainer], _LIST_LIMIT)
        if len(found) > MOST_CONTAINERS:
            raise TooManyEntries(self._where, f"more than {MOST_CONTAINERS} containers run there")
        return list({one.id: one for one in found if one.is_running}.values())

    def find_image(self, number: str) -> EngineImage:
        """By what digests an image was pulled; of one that was removed since nothing is known."""
        if not _ID.fullmatch(number):
            return EngineImage()
        try:
            return self._get(f"/images/{number}/json", EngineImage, _ITEM_LIMIT)
        except Missing:
            return EngineImage()

    def find_image_name(self, number: str) -> str:
        """By which name a container was started; empty where it is gone."""
        if not _ID.fullmatch(number):
            return ""
        try:
            return self._get(f"/containers/{number}/json", Inspected, _ITEM_LIMIT).config.image
        except Missing:
            return ""

    def _agree(self) -> None:
        told = self._get("/version", EngineVersion, _ITEM_LIMIT)
        newest, least = Version.parse(told.api_version), Version.parse(told.min_version)
        if newest is None:
            raise BadDocument(self._where, "tells no version of its API", hint=_GUIDE)
        if newest < OLDEST:
            raise SourceUnavailable(
                f"{self._where} speaks an older API ({newest}) than is spoken here",
                hint=f"a newer engine is needed: one that speaks {OLDEST}",
            )
        chosen = max(min(newest, NEWEST), least or OLDEST)
        self._path = f"/v{chosen}"
        if any("podman" in component.name.lower() for component in told.components or ()):
            self.kind = "podman"

    def _get(self, path: str, kind: type[T], limit: int) -> T:
        try:
            answer = self._http.get(self._base + self._path + path, max_bytes=limit)
        except SourceUnavailable as error:
            said = error.message.replace(self._base, self._host.socket)
            hint = error.hint
            if isinstance(error, AccessDenied):
                hint = f"whoever guards the socket must let through GET {path}"
            raise type(error)(f"{self._where}: {said}", hint=hint) from error
        try:
            return _READERS[kind].decode(answer.body)  # type: ignore[no-any-return]
        except RecursionError:
            raise TooDeep(self._where, f"its answer to {path} is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise BadDocument(
                self._where, f"its answer to {path} cannot be read: {problem}", hint=_GUIDE
            ) from None


_SHAPES: Collection[object] = (EngineVersion, list[EngineContainer], EngineImage, Inspected)
_READERS = {kind: msgspec.json.Decoder(kind) for kind in _SHAPES}


def _try_socket(name: str, path: str) -> None:
    """Raise what a person can mend, in words, before anything is asked."""
    try:
        with socket.socket(socket.AF_UNIX) as tried:
            tried.settimeout(10)
            tried.connect(path)
    except PermissionError:
        raise AccessDenied(
            f"host {name}: {path} may not be opened by this user",
            hint="let it read and write that socket: Docker's is of the group docker (which rules"
            " the host), or run the agent as who owns it",
        ) from None
    except FileNotFoundError:
        raise SourceUnavailable(
            f"host {name}: there is no socket {path}",
            hint="is the engine started? For Podman: systemctl enable --now podman.socket",
        ) from None
    except ConnectionRefusedError:
        raise SourceUnavailable(
            f"host {name}: nobody listens on {path}", hint="start the engine behind it"
        ) from None
    except OSError as problem:
        raise SourceUnavailable(
            f"host {name}: {path} cannot be opened: {problem.strerror or problem}", hint=_GUIDE
        ) from None
