"""What ``docker buildx build --metadata-file`` writes, also for ``bake``: the builds that were made."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Build
from imagecatalog.domain.refs import Platform, Reference
from imagecatalog.errors import BadDocument, BadName, TooManyEntries
from imagecatalog.formats.inventory import ABSENT, check_size, decode, read, read_digest
from imagecatalog.formats.slsa import read_slsa02, read_slsa1

TARGETS_LIMIT = 1_000
_PROVENANCE = "buildx.build.provenance"
_HINT = "Write it with docker buildx build --push --metadata-file FILE."


class _Target(Struct):
    digest: str | None = field(name="containerimage.digest", default=None)
    names: str | None = field(name="image.name", default=None)


class _Predicate(Struct):
    definition: Raw = field(name="buildDefinition", default=ABSENT)


_PARTS = msgspec.json.Decoder(dict[str, Raw])
_TARGET = msgspec.json.Decoder(_Target)
_PREDICATE = msgspec.json.Decoder(_Predicate)


def parse_metadata(body: bytes, where: str) -> tuple[Build, ...]:
    """The builds of a metadata file: one a target, or one a platform where each has provenance.

    Their ``digest`` is the one that was pushed, of an index if there are several platforms. Raises
    ``BadDocument`` where it names nothing that was built, and its limits.
    """
    check_size(body, where)
    parts = decode(body, _PARTS, where)
    if len(parts) > TARGETS_LIMIT:
        raise TooManyEntries(where, f"{len(parts)} keys are more than {TARGETS_LIMIT}")
    builds = _read_target(body, parts, where)
    if not builds:
        targets = [(name, read(raw, _PARTS), raw) for name, raw in parts.items()]
        builds = [
            build
            for name, inner, raw in targets
            if inner and not name.startswith("buildx.")
            for build in _read_target(bytes(raw), inner, f"{where}: {name[:80]}")
        ]
    if not builds:
        raise BadDocument(where, "it names no image that was built", hint=_HINT)
    return tuple(builds)


def _read_target(body: bytes, parts: dict[str, Raw], where: str) -> list[Build]:
    """The builds of one target; none where the part is no target that left an image."""
    told = decode(body, _TARGET, where)
    digest, image = read_digest(told.digest), _choose_name(told.names or "")
    if digest is None and image is None:
        return []
    if len(parts) > TARGETS_LIMIT:
        raise TooManyEntries(where, f"{len(parts)} keys are more than {TARGETS_LIMIT}")
    provenances = [
        _read_provenance(raw, _read_platform(name), where)
        for name, raw in parts.items()
        if name == _PROVENANCE or name.startswith(f"{_PROVENANCE}/")
    ]
    return [
        msgspec.structs.replace(build, digest=digest, image=image)
        for build in provenances or [Build(builder="buildkit")]
    ]


def _read_provenance(raw: Raw, platform: str | None, where: str) -> Build:
    predicate = read(raw, _PREDICATE)
    reader = read_slsa1 if predicate and predicate.definition else read_slsa02
    return msgspec.structs.replace(reader(raw, where), platform=platform)


def _read_platform(key: str) -> str | None:
    text = key.removeprefix(_PROVENANCE).removeprefix("/")
    try:
        return str(Platform.parse(text)) if text else None
    except BadName:
        return None


def _choose_name(names: str) -> str | None:
    """The first name that says more than ``latest``, else the first."""
    found = []
    for name in names.split(",")[:TARGETS_LIMIT]:
        try:
            reference = Reference.parse(name.strip())
        except BadName:
            continue
        found.append(f"{reference.name}:{reference.tag or 'latest'}")
    said = (name for name in found if not name.endswith(":latest"))
    return next(said, found[0] if found else None)
