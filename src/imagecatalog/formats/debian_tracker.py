"""Debian's security tracker: its JSON by source package, and its lists of DSA and DLA.

What the fields mean is told in the tracker's own documentation ("Summary of tracker syntax"): a
``fixed_version`` of 0 is not affected at all, ``open`` is affected without a fix in the archive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import BinaryIO

import msgspec
from msgspec import Struct

from imagecatalog.domain.advisories import (
    Advisory,
    Affected,
    AffectedRange,
    FeedPart,
    FixStatus,
)
from imagecatalog.errors import BadDocument, BadName, TooLarge, TooManyEntries, clean_text
from imagecatalog.formats.json_members import read_members
from imagecatalog.versions import deb

TEXT_LIMIT = 1000
"""Characters of a description; what is longer is cut."""
ISSUES_LIMIT = 100_000
"""Of one source package."""
LINE_LIMIT = 1 << 20
RECORDS_LIMIT = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,254}")


class _Release(Struct):
    status: str
    fixed_version: str | None = None
    urgency: str | None = None
    nodsa: str | None = None
    nodsa_reason: str | None = None
    next_point_update: bool | None = None


class _Issue(Struct):
    releases: dict[str, _Release] = {}
    description: str | None = None
    advisories: list[str] = []


class _Outline(Struct):
    releases: dict[str, msgspec.Raw] = {}


_decode_issues = msgspec.json.Decoder(dict[str, _Issue]).decode
_decode_outline = msgspec.json.Decoder(dict[str, _Outline]).decode


def read_tracker(
    stream: BinaryIO, where: str, known: Mapping[str, bytes] = MappingProxyType({})
) -> Iterator[FeedPart]:
    """A part for each source package of ``data/json``, in the file's order, one at a time in memory.

    ``known`` are the digests of parts as they were last applied: of one that has its digest still
    only the scopes are told. Raises ``BadDocument`` and its limits: a feed that is not understood is refused as a whole.
    """
    for source, body in read_members(stream, where):
        at = f"{where}: {source[:80]}"
        digest = hashlib.sha256(body).digest()
        try:
            if known.get(source) == digest:
                yield _unchanged(source, digest, _decode_outline(body))
                continue
            issues = _decode_issues(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadDocument(at, f"it is not what the tracker writes: {error}") from error
        if len(issues) > ISSUES_LIMIT:
            raise TooManyEntries(at, f"{len(issues)} issues are more than {ISSUES_LIMIT}")
        for name in (source, *issues):
            _check_name(name, at)
        yield FeedPart(
            name=source,
            digest=digest,
            advisories=tuple(
                Advisory(name=name, description=_cut(issue.description))
                for name, issue in issues.items()
            ),
            affected=tuple(
                _affected(name, source, release, said, at)
                for name, issue in issues.items()
                for release, said in issue.releases.items()
            ),
        )


def _unchanged(source: str, digest: bytes, issues: Mapping[str, _Outline]) -> FeedPart:
    releases = {release for issue in issues.values() for release in issue.releases}
    return FeedPart(
        name=source,
        digest=digest,
        advisories=(),
        affected=(),
        scopes=frozenset(map(_scope_of, releases)),
    )


def _scope_of(release: str) -> str:
    return f"debian/{release}"


def _affected(name: str, source: str, release: str, said: _Release, at: str) -> Affected:
    _check_name(release, at)
    statuses: dict[str, FixStatus] = {
        "resolved": "not-affected" if said.fixed_version == "0" else "fixed",
        "open": "open",
        "undetermined": "undetermined",
    }
    if said.status not in statuses:
        raise BadDocument(at, f"{name} has a status that is not known: {said.status[:40]!r}")
    status = statuses[said.status]
    if status == "fixed" and not said.fixed_version:
        raise BadDocument(at, f"{name} is resolved in {release}, in no version")
    return _tell(
        name,
        release,
        source,
        status,
        fixed=said.fixed_version,
        urgency=said.urgency,
        reason=_reason(said),
    )


def _reason(said: _Release) -> str | None:
    """Why an open one has no fix: what the tracker says of the future before what it says of now."""
    if said.urgency == "end-of-life":
        return "end-of-life"
    if said.next_point_update:
        return "point-release"
    return said.nodsa_reason or ("no-dsa" if said.nodsa is not None else None)


def _tell(
    advisory: str,
    release: str,
    source: str,
    status: FixStatus,
    *,
    fixed: str | None,
    urgency: str | None = None,
    reason: str | None = None,
) -> Affected:
    """What is said of a source package in a release; of a fix in what is no version: undetermined."""
    ranges: tuple[AffectedRange, ...] = ()
    if status == "fixed" and fixed is not None:
        try:
            ranges = (AffectedRange(None, deb.key(fixed), fixed=fixed),)
        except BadName:
            status, reason = "undetermined", "invalid-range"
    return Affected(
        advisory=advisory,
        scope=_scope_of(release),
        name=source,
        status=status,
        ranges=ranges,
        urgency=_cut(urgency),
        reason=_cut(reason) if status in {"open", "undetermined"} else None,
    )


_HEADER = re.compile(r"\[(\d{1,2} [A-Z][a-z]{2} \d{4})\] (D[SLT]S?A-[0-9]+(?:-[0-9]+)?) (.*)")
_MEMBERS = re.compile(r"\s+\{([^{}]*)\}\s*")
_FIX = re.compile(r"\s+\[([a-z0-9-]+)\] - (\S+) (<([a-z-]+)>|[^\s<(]+)(?: .*)?")


def read_advisories(stream: BinaryIO, where: str) -> Iterator[FeedPart]:
    """A part for each record of a DSA or DLA list, in the file's order (newest first).

    A line that is none of the grammar's is left out, as a note; raises ``BadDocument`` where no
    record begins, and the limits.
    """
    record: list[str] = []
    count = 0
    for line in _lines(stream, where):
        if line[:1].isspace():
            if not record and line.strip():
                raise BadDocument(where, "it does not begin with a record")
            record.append(line)
            continue
        if record:
            count += 1
            yield _advisory(record, where)
        record = [line] if line else []
        if count > RECORDS_LIMIT:
            raise TooManyEntries(where, f"more than {RECORDS_LIMIT} records")
    if record:
        yield _advisory(record, where)


def _lines(stream: BinaryIO, where: str) -> Iterator[str]:
    while line := stream.readline(LINE_LIMIT + 1):
        if len(line) > LINE_LIMIT:
            raise TooLarge(where, f"one of its lines is longer than {LINE_LIMIT} bytes")
        yield line.decode(errors="replace").rstrip("\r\n")


def _advisory(record: list[str], where: str) -> FeedPart:
    header = _HEADER.fullmatch(record[0])
    if header is None:
        raise BadDocument(where, f"{record[0][:60]!r} begins no record of a DSA or DLA list")
    date, name, text = header.groups()
    covers: list[str] = []
    affected: dict[tuple[str, str], Affected] = {}
    for line in record[1:]:
        if members := _MEMBERS.fullmatch(line):
            covers += [one for one in members[1].split() if _NAME.fullmatch(one)]
        elif fix := _FIX.fullmatch(line):
            release, source, version, kind = fix.groups()
            source = source[:255]
            status = _STATUSES.get(kind, "open") if kind else "fixed"
            reason = kind if kind in _REASONS else None
            affected[release, source] = _tell(
                name, release, source, status, fixed=version, reason=reason
            )
    published = _parse_date(date, f"{where}: {name}")
    advisory = Advisory(
        name=name, description=_cut(text), published=published, covers=tuple(dict.fromkeys(covers))
    )
    digest = hashlib.sha256("\n".join(record).encode()).digest()
    return FeedPart(
        name=name, digest=digest, advisories=(advisory,), affected=tuple(affected.values())
    )


_REASONS = frozenset({"end-of-life", "ignored", "no-dsa", "postponed"})
_STATUSES: dict[str | None, FixStatus] = {
    "not-affected": "not-affected",
    "undetermined": "undetermined",
}


def _parse_date(text: str, where: str) -> datetime:
    try:
        return datetime.strptime(text, "%d %b %Y").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadDocument(where, f"{text!r} is no date") from error


def _check_name(text: str, where: str) -> None:
    if not _NAME.fullmatch(text):
        raise BadDocument(where, f"{text[:80]!r} is no name of a package, issue or release")


def _cut(text: str | None) -> str | None:
    return None if text is None else clean_text(text)[:TEXT_LIMIT]
