"""A body to the build that it tells of, or to all its faults at once.

Faults between two keys are looked for in broken bodies too, so that nobody mends one to meet the next.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from pydantic import ValidationError

from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadName, InvalidBody
from imagecatalog.formats.purl import normalise_pypi
from imagecatalog.versions import deb
from imagecatalog.web.api.bodies import (
    BUILD,
    MOMENT,
    PACKAGES,
    PACKAGES_LIMIT,
    SHAPES,
    BuildBody,
    DistroBody,
    PackageBody,
    ParentBody,
)
from imagecatalog.web.api.known import KnownPackages
from imagecatalog.web.http import pointer

FAULTS_SHOWN = 100

Fault: TypeAlias = tuple[str, str]
"""JSON pointer (RFC 6901) and sentence."""

_PLAIN_VERSIONS = re.compile(r"(?:(?:[0-9]{1,9}:)?[A-Za-z0-9.+~]+(?:-[A-Za-z0-9.+~]+)*\n)*")
"""Of Debian, a line each; others may be valid too."""
_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_build(body: bytes) -> Build:
    """The build that a body tells of; raises ``InvalidBody`` with all its faults."""
    return read_known(body) or _read_whole(body)


def read_known(body: bytes) -> Build | None:
    """The same, faster; None where a whole reading must tell whether anything is wrong."""
    split = _KNOWN.split(body, PACKAGES_LIMIT)
    if split is None:
        return None
    rest, packages = split
    told, faults = _validate(rest)
    if faults or any(_find_contradictions(told, are_sound=True)):
        return None
    return _as_build(told, packages)


def _read_whole(body: bytes) -> Build:
    told, faults = _validate(body)
    packages = None if faults else _as_packages(told.get("packages"))
    faults += _find_contradictions(told, are_sound=packages is not None and _are_sound(packages))
    if faults:
        shown = faults[:FAULTS_SHOWN]
        raise InvalidBody(shown, more=len(faults) - len(shown))
    return _as_build(told, packages)


def _judge_list(body: bytes) -> tuple[Package, ...] | None:
    """The packages of a list; None if anything is wrong with it."""
    try:
        told = PACKAGES.validate_json(body)
    except ValidationError:
        return None
    packages = _as_packages(told)
    assert packages is not None
    return packages if _are_sound(packages) or not any(_judge_packages(_items(told))) else None


_KNOWN = KnownPackages(_judge_list)


def _validate(body: bytes, *, is_mended: bool = False) -> tuple[Any, list[Fault]]:
    """What is told, as far as it can be read, and the faults of its keys."""
    # A NUL in JSON is always written so. PostgreSQL keeps none.
    is_odd = b"\\u0000" in body and not is_mended
    faults = list(_find_odd_texts(_decode(body))) if is_odd else []
    try:
        return BUILD.validate_json(body), faults
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    told = _decode(body)
    if found[0]["type"] == "json_invalid":
        if told is not None and not is_mended:
            # Python's reader takes halves of surrogates, so that their places can be told.
            odd = list(_find_odd_texts(told))
            mended = json.dumps(told, ensure_ascii=False).encode(errors="replace")
            told, faults = _validate(mended, is_mended=True)
            return told, odd + faults
        told = None
    return told, faults + [_explain(fault["type"], fault["loc"], fault["msg"]) for fault in found]


def _decode(body: bytes) -> Any:
    """The JSON, also with halves of surrogates in its texts; None for what is none."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def _find_odd_texts(told: Any) -> Iterator[Fault]:
    """Where texts are that no database keeps."""
    left: list[tuple[tuple[str | int, ...], Any]] = [((), told)]
    while left:
        path, value = left.pop()
        texts = [(path, value)] if isinstance(value, str) else []
        if isinstance(value, dict):
            left += [((*path, key), item) for key, item in reversed(value.items())]
            texts = [((*path, key), key) for key in value]
        elif isinstance(value, list):
            left += [((*path, at), item) for at, item in reversed([*enumerate(value)])]
        for where, text in texts:
            if "\0" in text:
                yield pointer(where), "holds a NUL, which no text may"
            if not text.isascii() and _SURROGATE.search(text):
                yield pointer(where), "holds half of a surrogate pair, which is no character"


def _explain(kind: str, path: tuple[str | int, ...], said: str) -> Fault:
    if kind == "extra_forbidden":
        known = SHAPES[tuple(part for part in path[:-1] if isinstance(part, str))].__annotations__
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        said = "there is no such key; " + (
            f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        )
    if kind == "missing":
        said = "is required"
    if kind == "string_pattern_mismatch":
        said = "is empty, too long, or not of visible ASCII characters alone"
        if path[-1] == "type":
            said = "is no type of package: write it as deb, apk, rpm, pypi, npm, golang …"
    return pointer(path), said.removeprefix("Value error, ")


def _find_contradictions(told: Any, *, are_sound: bool) -> Iterator[Fault]:
    """Faults between keys, of valid bodies as of broken ones, and of packages that are not sound."""
    if not isinstance(told, Mapping):
        return
    yield from _judge_name(told, (), "give image, with its tag, or digest")
    started, finished = _moment(told.get("started")), _moment(told.get("finished"))
    if started and finished and finished < started:
        yield "/finished", "is before started"
    own = _names(told)[1]
    for at, parent in _items(told.get("parents")):
        yield from _judge_name(parent, ("parents", at), "a parent has image or digest")
        if own and _names(parent)[1] == own:
            yield pointer(("parents", at)), "an image is not its own parent"
    if not are_sound:
        yield from _judge_packages(_items(told.get("packages")))


def _judge_name(
    told: Mapping[str, Any], path: tuple[str | int, ...], wanted: str
) -> Iterator[Fault]:
    if told.get("image") is None and told.get("digest") is None:
        yield pointer(path), wanted
        return
    image, digest = _names(told)
    if image and image.digest and digest and image.digest != digest:
        yield pointer((*path, "digest")), "is not the digest that stands in image"
    if image and not image.tag and not digest:
        yield (
            pointer((*path, "image")),
            "names neither tag nor digest; add :latest if that is what is meant",
        )


def _are_sound(packages: Sequence[Package]) -> bool:
    """Whether there is nothing to tell of them; faster than to look for it."""
    debian = [one for one in packages if one.type == "deb"]
    return (
        len({(one.name, one.arch) for one in debian}) == len(debian) == len(packages)
        and "" not in {one.arch for one in debian}
        and _PLAIN_VERSIONS.fullmatch("".join([f"{one.version}\n" for one in debian])) is not None
    )


def _judge_packages(packages: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[Fault]:
    seen: dict[tuple[Any, ...], int] = {}
    for at, package in packages:
        kind, version, arch = (
            package.get("type", "deb"),
            package.get("version"),
            package.get("arch"),
        )
        identity: tuple[Any, ...] = (kind, package.get("name"), arch)
        if kind == "deb":
            if arch is None:
                yield f"/packages/{at}", "a package of type deb has arch"
            if isinstance(version, str) and not _is_debian_version(version):
                yield f"/packages/{at}/version", "is not a Debian version"
        else:
            # Other ecosystems keep several versions of a package side by side.
            identity = (*identity, version)
        if not all(isinstance(part, str) for part in identity):
            continue
        first = seen.setdefault(identity, at)
        if first != at:
            yield f"/packages/{at}", f"is the package of /packages/{first} again"


def _is_debian_version(version: str) -> bool:
    try:
        deb.key(version)
    except BadName:
        return False
    return True


def _items(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for at, item in enumerate(value[:PACKAGES_LIMIT] if isinstance(value, list) else ()):
        if isinstance(item, Mapping):
            yield at, item


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return MOMENT.validate_python(value)
    except ValidationError:
        return None


def _names(told: Mapping[str, Any]) -> tuple[Reference | None, Digest | None]:
    """The name and the digest, which may stand within the name; None where they are not valid."""
    name, written = told.get("image"), told.get("digest")
    return _parse_names(
        name if isinstance(name, str) else None, written if isinstance(written, str) else None
    )


# Of a body and its parents they are looked at again and again.
@lru_cache(maxsize=256)
def _parse_names(name: str | None, written: str | None) -> tuple[Reference | None, Digest | None]:
    image = digest = None
    with suppress(BadName):
        image = None if name is None else Reference.parse(name)
        digest = None if image is None else image.digest
    with suppress(BadName):
        digest = digest if written is None else Digest.parse(written)
    return image, digest


def _as_build(told: BuildBody, packages: tuple[Package, ...] | None) -> Build:
    builder, source = told.get("builder"), told.get("source") or {}
    image, digest = _split_name(told)
    parents = [_as_parent(parent) for parent in told.get("parents") or ()]
    return Build(
        image=image,
        digest=digest,
        platform=told.get("platform"),
        builder=builder and builder["name"],
        builder_version=builder and builder.get("version"),
        started=told.get("started"),
        finished=told.get("finished"),
        source_repository=source.get("repository"),
        source_revision=source.get("revision"),
        source_path=source.get("path"),
        link=told.get("link"),
        reason=told.get("reason"),
        parents=tuple(dict.fromkeys(parents)),
        distro=_as_distro(told.get("distro")),
        packages=packages,
        labels=told.get("labels") or {},
    )


def _as_parent(told: ParentBody) -> Parent:
    image, digest = _split_name(told)
    return Parent(image=image, digest=digest, role=told.get("role", "base"))


def _split_name(told: BuildBody | ParentBody) -> tuple[str | None, Digest | None]:
    image, digest = _names(told)
    return None if image is None else str(msgspec.structs.replace(image, digest=None)), digest


def _as_distro(told: DistroBody | None) -> Distro | None:
    if told is None:
        return None
    return Distro(
        told["id"].lower(), told.get("version_id"), told.get("codename"), told.get("pretty")
    )


def _as_packages(told: Sequence[PackageBody] | None) -> tuple[Package, ...] | None:
    if told is None:
        return None
    return tuple(
        [
            Package(
                one.get("type", "deb"),
                name := _name(one),
                one["version"],
                one.get("arch") or "",
                one.get("source") or name,
                one.get("source_version") or _source_version(one),
            )
            for one in told
        ]
    )


def _name(told: PackageBody) -> str:
    return normalise_pypi(told["name"]) if told.get("type") == "pypi" else told["name"]


def _source_version(told: PackageBody) -> str:
    """The binary's own version, without what marks that Debian built the same source again."""
    version = told["version"]
    is_debian = told.get("type", "deb") == "deb"
    return _BINARY_REBUILD.sub("", version) if is_debian and "+b" in version else version
