"""Bodies of DebMonitor's API: the values that they tell of, or all their faults at once."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Required

import msgspec
from msgspec import Struct
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from imagecatalog.catalog.debmonitor import full_name
from imagecatalog.domain.debmonitor import (
    WHOLE,
    ImageUpdate,
    InstalledPackage,
    UpgradablePackage,
)
from imagecatalog.domain.receipts import ImageError
from imagecatalog.errors import BadName, InvalidBody
from imagecatalog.versions import deb
from imagecatalog.web.http import pointer

PACKAGES_LIMIT = 20_000
"""Of each list of packages."""
IMAGES_LIMIT = 50_000
CONTAINERS_LIMIT = 500_000
"""Of one cluster."""
FAULTS_SHOWN = 100
_NAME_LIMIT = 1024
_NAMESPACE_LIMIT = 255
_PLAIN_VERSION = re.compile(r"(?:[0-9]{1,9}:)?[A-Za-z0-9.+~]+(?:-[A-Za-z0-9.+~]+)*")
_UNKEPT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""In names: what no name has, and some databases do not keep."""

Fault = tuple[str, str]

_Word = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]


class InstalledBody(TypedDict, total=False):
    """A package that is installed: `libssl3`, or `libssl3:i386` of a foreign architecture."""

    name: Required[_Word]
    version: Required[_Word]
    source: Required[_Word]


class UninstalledBody(TypedDict, total=False):
    """A package that was removed."""

    name: Required[_Word]


class UpgradableBody(TypedDict, total=False):
    """A package that apt would upgrade."""

    name: Required[_Word]
    version_from: Required[_Word]
    version_to: Required[_Word]
    source: Required[_Word]


class ImageUpdateBody(TypedDict, total=False):
    """What `debmonitor-client` sends of an image; other keys are passed over."""

    api_version: Literal["v1"]
    image_name: Required[Annotated[str, Field(max_length=_NAME_LIMIT)]]
    os: Required[
        Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9.-]{0,30}( [A-Za-z0-9._-]{1,30})?$")]
    ]
    update_type: Required[Literal["full", "upgradable", "dpkg_hook"]]
    installed: Annotated[list[InstalledBody], Field(max_length=PACKAGES_LIMIT)]
    uninstalled: Annotated[list[UninstalledBody], Field(max_length=PACKAGES_LIMIT)]
    upgradable: Annotated[list[UpgradableBody], Field(max_length=PACKAGES_LIMIT)]


class ClusterUpdateBody(TypedDict, total=False):
    """How many containers of each image run in each namespace of a cluster."""

    cluster: Required[Annotated[str, Field(min_length=1, max_length=255)]]
    images: dict[str, dict[str, int]]


class ClusterUpdate(Struct, frozen=True):
    """What is told of a cluster."""

    cluster: str
    images: dict[str, dict[str, int]]
    errors: list[ImageError]


_IMAGE: TypeAdapter[ImageUpdateBody] = TypeAdapter(ImageUpdateBody)
_CLUSTER: TypeAdapter[ClusterUpdateBody] = TypeAdapter(ClusterUpdateBody)
_PLAIN = {
    "missing": "is required",
    "string_pattern_mismatch": "is empty, too long, or not of visible ASCII characters alone",
}


def read_image_update(body: bytes, name: str) -> ImageUpdate:
    """The message of a client for the image of the address; raises InvalidBody with all faults."""
    faults: list[Fault] = []
    try:
        told: Any = _IMAGE.validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        faults = [_explain(one["type"], one["loc"], one["msg"]) for one in found]
        told = _decode(body)
    faults += _find_faults(told, name)
    _refuse(faults)
    return ImageUpdate(
        image=full_name(name),
        os=told["os"],
        update_type=told["update_type"],
        installed=tuple(
            InstalledPackage(one["name"], one["version"], one["source"])
            for one in told.get("installed", ())
        ),
        uninstalled=tuple(one["name"] for one in told.get("uninstalled", ())),
        upgradable=tuple(
            UpgradablePackage(one["name"], one["version_from"], one["version_to"], one["source"])
            for one in told.get("upgradable", ())
        ),
    )


def _refuse(faults: list[Fault]) -> None:
    if faults:
        shown = faults[:FAULTS_SHOWN]
        raise InvalidBody(shown, more=len(faults) - len(shown))


def _explain(kind: str, path: tuple[str | int, ...], said: str) -> Fault:
    if kind == "json_invalid":
        return "", f"is not JSON: {said.removeprefix('Invalid JSON: ')}"
    if kind == "string_pattern_mismatch" and path == ("os",):
        return "/os", "is no name of a release: write it as Debian 12"
    return pointer(path), _PLAIN.get(kind, said)


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _find_faults(told: Any, name: str) -> list[Fault]:
    """Faults that no shape tells, of valid bodies as of broken ones."""
    if not isinstance(told, dict):
        return []
    faults: list[Fault] = []
    image = told.get("image_name")
    if isinstance(image, str):
        if image != name:
            faults.append(("/image_name", "is not the image that the address names"))
        try:
            full_name(image)
        except BadName as problem:
            faults.append(("/image_name", problem.message))
    if told.get("update_type") == WHOLE and "installed" not in told:
        faults.append(("/installed", f"is required where update_type is {WHOLE}"))
    for key, versions in (
        ("installed", ("version",)),
        ("upgradable", ("version_from", "version_to")),
    ):
        listed = told.get(key)
        for at, one in enumerate(listed[:PACKAGES_LIMIT] if isinstance(listed, list) else ()):
            faults += [
                (f"/{key}/{at}/{field}", "is not a Debian version")
                for field in versions
                if isinstance(one, dict) and not _is_version(one.get(field))
            ]
    return faults


def _is_version(value: object) -> bool:
    """Also what is no text, of which the shape tells."""
    if not isinstance(value, str) or _PLAIN_VERSION.fullmatch(value):
        return True
    try:
        deb.key(value)
    except BadName:
        return False
    return True


def read_cluster_update(body: bytes) -> ClusterUpdate:
    """What is told of a cluster; one bad image spoils no other. Raises InvalidBody."""
    told = _decode(body)
    if not isinstance(told, dict):
        raise InvalidBody([("", "is not a JSON object")])
    cluster, images = told.get("cluster"), told.get("images", {})
    faults: list[Fault] = []
    if not isinstance(cluster, str) or not _is_name(cluster, 255):
        faults.append(("/cluster", "is required, and is the name of a cluster"))
    if not isinstance(images, dict):
        faults.append(("/images", "is not an object of images and their namespaces"))
    elif len(images) > IMAGES_LIMIT:
        faults.append(("/images", f"has more than the {IMAGES_LIMIT} images that are read here"))
    _refuse(faults)
    update = ClusterUpdate(str(cluster), {}, [])
    for image, namespaces in images.items():
        _read_image(update, image, namespaces)
    total = sum(sum(counts.values()) for counts in update.images.values())
    if total > CONTAINERS_LIMIT:
        said = f"has {total} containers, more than the {CONTAINERS_LIMIT} that are read here"
        raise InvalidBody([("/images", said)])
    return update


def _read_image(update: ClusterUpdate, image: str, namespaces: Any) -> None:
    if not _is_name(image, _NAME_LIMIT):
        _note(update, image, "", "is no name of an image")
        return
    if not isinstance(namespaces, dict):
        _note(update, image, "", "is not an object of namespaces and numbers of containers")
        return
    # Known also where no namespace of it is understood.
    counts = update.images.setdefault(image, {})
    for namespace, told in namespaces.items():
        count = _read_count(told)
        if not _is_name(namespace, _NAMESPACE_LIMIT):
            _note(update, image, namespace, "is no name of a namespace")
        elif count is None:
            _note(update, image, namespace, "is not a number of containers")
        else:
            counts[namespace] = count


def _read_count(told: Any) -> int | None:
    """A number, also one that is written as a text, as DebMonitor takes it."""
    if isinstance(told, str) and told.isascii() and told.isdecimal():
        told = int(told[:20])
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None


def _note(update: ClusterUpdate, image: str, namespace: str, error: str) -> None:
    path = ("images", image, namespace) if namespace else ("images", image)
    update.errors.append(
        ImageError(
            image=image[:_NAME_LIMIT],
            cluster=update.cluster,
            namespace=namespace[:_NAMESPACE_LIMIT],
            error=error,
            pointer=pointer(path)[: 2 * _NAME_LIMIT],
        )
    )


def _is_name(text: str, limit: int) -> bool:
    return 0 < len(text) <= limit and not _UNKEPT.search(text)


def describe_debmonitor() -> dict[str, Any]:
    """OpenAPI component schemas of these bodies, by name."""
    schemas: dict[str, Any] = {}
    for name, adapter in (("ImageUpdateBody", _IMAGE), ("ClusterUpdateBody", _CLUSTER)):
        schema = adapter.json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[name] = schema
    return schemas
