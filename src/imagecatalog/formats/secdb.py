"""Alpine's security database: which version of a package has the fix of which fault.

A file is one repository of one release. It lists what was fixed and nothing else: of what it does
not name nobody has said anything. The version ``0`` is a package that never had the fault.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange, FeedPart
from imagecatalog.domain.scopes import scope_of_ecosystem
from imagecatalog.errors import BadDocument, BadName, clean_text
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.versions import key

SIZE_LIMIT = 64 << 20
"""Bytes of a file; the largest has about one million."""
_NAME_BYTES = 400
_MEANING = b"secdb 1\0"
"""Goes into every digest: packages are read anew once they are taken to mean something else."""

_ID = re.compile(r"[A-Za-z][A-Za-z0-9]*[-_][A-Za-z0-9][A-Za-z0-9.:_-]{0,200}")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_MISSPELT = re.compile(r"\bCVE[ _](?=[0-9]{4}-)")
_GHSA = re.compile(r"GHSA(?:-[23456789cfghjmpqrvwx]{4}){3}", re.IGNORECASE)


class _Package(Struct):
    name: str
    secfixes: dict[str, list[str] | str | None] | list[object] | None = None


class _Item(Struct):
    pkg: _Package


class _File(Struct):
    distroversion: str
    reponame: str
    packages: list[msgspec.Raw] | str | None


_decode = msgspec.json.Decoder(_File).decode
_decode_item = msgspec.json.Decoder(_Item).decode


class SecurityDatabase(Struct, frozen=True):
    """One file, its packages not read yet."""

    release: str
    """As ``v3.18``."""
    repository: str
    """``main`` or ``community``."""
    scope: str
    packages: tuple[bytes, ...]


def open_secdb(body: bytes, where: str) -> SecurityDatabase:
    """What a file is about; raises BadDocument for what is no security database of Alpine."""
    try:
        file = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadDocument(where, f"it is no security database of Alpine: {error}") from error
    release = (
        file.distroversion if file.distroversion == "edge" else f"v{file.distroversion.lstrip('v')}"
    )
    scope = scope_of_ecosystem(f"Alpine:{release}")
    # A repository in which nothing was ever fixed has an empty text there.
    packages = tuple(map(bytes, file.packages or ())) if not isinstance(file.packages, str) else ()
    if not scope or not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", file.reponame):
        raise BadDocument(where, "it names no release and repository of Alpine")
    return SecurityDatabase(release, file.reponame, scope, packages)


def read_secdb(database: SecurityDatabase, faults: Faults) -> Iterator[FeedPart]:
    """A part for each package, in the file's order; of several of one name the first counts.

    Never raises for what a package says: it is among the ``faults``, and what it said before stands.
    """
    seen: set[str] = set()
    for body in database.packages:
        digest = hashlib.sha256(_MEANING + database.scope.encode() + body).digest()
        name = ""
        try:
            package = _decode_item(body).pkg
            name = clean_text(package.name)
            if not name or len(name.encode()) > _NAME_BYTES:
                raise BadName("it has no usable name")
            if name in seen:
                raise BadName("it is there twice")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadName) as error:
            yield from faults.fail(name, str(error))
            continue
        seen.add(name)
        part = faults.unchanged(name, digest)
        yield part or faults.take(_read_package(package, name, digest, database.scope))


def _read_package(package: _Package, name: str, digest: bytes, scope: str) -> FeedPart:
    fixes: dict[str, set[str]] = {}
    aliases: dict[str, set[str]] = {}
    covers: dict[str, set[str]] = {}
    listed = package.secfixes if isinstance(package.secfixes, dict) else {}
    for version, texts in listed.items():
        for text in [texts] if isinstance(texts, str) else texts or ():
            words = _MISSPELT.sub("CVE-", clean_text(text)).split()
            names = [one for one in words if _ID.fullmatch(one)]
            _note_kin(names, aliases, covers)
            for one in names:
                fixes.setdefault(one, set()).add(version)
    return FeedPart(
        name=name,
        digest=digest,
        advisories=tuple(
            Advisory(
                name=one,
                aliases=tuple(sorted(aliases.get(one, ()))),
                covers=tuple(sorted(covers.get(one, ()))),
            )
            for one in sorted(fixes)
        ),
        affected=tuple(
            _affected(one, scope, name, versions) for one, versions in sorted(fixes.items())
        ),
    )


def _note_kin(names: list[str], aliases: dict[str, set[str]], covers: dict[str, set[str]]) -> None:
    """Ids in one text: GitHub's is the CVE's other name, others (XSA-…) are notices about it."""
    cves = [one for one in names if _CVE.fullmatch(one)]
    for one in names:
        if one in cves or not cves:
            continue
        if _GHSA.fullmatch(one) and len(cves) == 1:
            aliases.setdefault(one, set()).add(cves[0])
        elif not _GHSA.fullmatch(one):
            covers.setdefault(one, set()).update(cves)


def _affected(advisory: str, scope: str, name: str, versions: set[str]) -> Affected:
    """A fault fixed in several versions was fixed in the last: the first fixes were not whole."""
    real = versions - {"0"}
    if not real:
        return Affected(advisory=advisory, scope=scope, name=name, status="not-affected")
    try:
        high, fixed = max((key("apk", one), one) for one in real)
    except BadName:
        return Affected(
            advisory=advisory,
            scope=scope,
            name=name,
            status="undetermined",
            reason="invalid-version",
        )
    ranges = (AffectedRange(None, high, fixed=fixed),)
    return Affected(advisory=advisory, scope=scope, name=name, status="fixed", ranges=ranges)
