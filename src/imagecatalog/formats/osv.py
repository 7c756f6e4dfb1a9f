"""Records of the OSV schema (1.x): what each says of packages that are known here.

One record is one part of a feed. A record that cannot be read spoils no other. What each field is
taken to mean is told in docs/reference/feeds.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO

import msgspec
from msgspec import Struct

from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange, FeedPart, FixStatus
from imagecatalog.domain.scopes import (
    LANGUAGES,
    canonical_name,
    find_stream,
    is_modular,
    scope_of_ecosystem,
    type_of,
)
from imagecatalog.errors import BadDocument, BadName, TooManyEntries, clean_text
from imagecatalog.formats.feed_faults import Faults
from imagecatalog.formats.osv_ratings import Severity, rate, word_of
from imagecatalog.formats.zip_members import read_zip
from imagecatalog.versions import key
from imagecatalog.versions.ranges import Interval, parse_events, parse_versions, unite

TEXT_LIMIT = 1000
"""Characters of a description; what is longer is cut."""
RECORD_LIMIT = 16 << 20
"""Bytes of a record."""
RANGES_LIMIT = 20_000
"""Ranges that one record has after all of them were joined."""
NAMES_LIMIT = 10_000
"""Other names of one record."""
_NAME_BYTES = 400
_MEANING = b"osv 1\0"
"""Goes into every digest: records are read anew once they are taken to mean something else."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,254}")
_ID_SEEN = re.compile(rb'"id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9.+:~_-]{0,254})"')
_NOTICE = re.compile(
    r"(?:DSA|DLA|DTSA|USN|LSN|AL[SBE]A|RH[SBE]A|R[LX][SBE]A|EL[SBE]A|MGASA|OESA|PHSA|SUSE-[A-Z]{2}"
    r"|openSUSE-[A-Z]{2}|ALAS[0-9A-Z]*)-.*"
)
"""Names of notices of distributions, which bundle faults and are none themselves."""
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_YEARS = range(1980, 2101)


class _Package(Struct):
    ecosystem: str = ""
    name: str = ""


class _Range(Struct):
    type: str = ""
    events: list[dict[str, str]] | None = None


class _Affected(Struct):
    package: _Package | None = None
    ranges: list[_Range] | None = None
    versions: list[str] | None = None
    severity: list[Severity] | None = None
    ecosystem_specific: object = None
    database_specific: object = None


class _Record(Struct):
    id: str
    modified: str | None = None
    published: str | None = None
    withdrawn: str | None = None
    aliases: list[str] | None = None
    upstream: list[str] | None = None
    related: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[Severity] | None = None
    affected: list[_Affected] | None = None
    database_specific: object = None


class _Head(Struct):
    id: str


_decode = msgspec.json.Decoder(_Record).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Record(Struct, frozen=True):
    """The bytes of a record as they were found; ``problem`` is why there are none."""

    name: str
    """Its file's, without the ending; may be empty."""
    body: bytes
    problem: str | None = None


def list_zipped(stream: BinaryIO, where: str) -> Iterator[Record]:
    """The records in a zip archive; files with another ending are left out.

    Raises what ``read_zip`` raises for the whole.
    """
    for member in read_zip(stream, where, limit=RECORD_LIMIT):
        stem, dot, ending = member.name.replace("\\", "/").rpartition("/")[2].rpartition(".")
        if dot and ending.lower() == "json":
            yield Record(stem, member.body, member.problem)


def list_lines(stream: BinaryIO) -> Iterator[Record]:
    """The records of a file that has one a line; empty lines are left out."""
    while line := stream.readline(RECORD_LIMIT + 1):
        problem = None
        if len(line) > RECORD_LIMIT:
            problem = f"it is larger than {RECORD_LIMIT} bytes"
            while (rest := stream.readline(RECORD_LIMIT)) and not rest.endswith(b"\n"):
                pass
        if line.strip():
            yield Record(guess_id(line), line.strip() if problem is None else b"", problem)


def read_osv(
    records: Iterable[Record], faults: Faults, ecosystem: str | None = None
) -> Iterator[FeedPart]:
    """A part for each record, in their order; of several with one id the first counts.

    ``ecosystem`` is the only one whose packages are wanted, as ``PyPI`` or ``Debian``; None: all.
    Parts that have not changed have nothing in them. Never raises for what a record says: it is
    among the ``faults``, and what it said before stands.
    """
    seen: set[str] = set()
    salt = _MEANING + (ecosystem or "").encode()
    for record in records:
        name = record.name
        try:
            if record.problem is not None:
                raise BadName(record.problem)
            name = _read_id(record)
            if name in seen:
                raise BadName("it is there twice")
            seen.add(name)
            digest = hashlib.sha256(salt + record.body).digest()
            if unchanged := faults.unchanged(name, digest):
                yield unchanged
                continue
            yield faults.take(_read_record(record.body, digest, ecosystem))
        except (*_BROKEN, BadName, BadDocument) as error:
            yield from faults.fail(
                name, error.message if isinstance(error, (BadName, BadDocument)) else str(error)
            )


def _read_id(record: Record) -> str:
    if len(record.body) > RECORD_LIMIT:
        raise BadName(f"it is larger than {RECORD_LIMIT} bytes")
    name = _decode_head(record.body).id
    if not _ID.fullmatch(name):
        raise BadName(f"{name[:80]!r} is no name of an advisory")
    return name


def guess_id(body: bytes) -> str:
    """What is most likely the id of a record that cannot be read; or empty."""
    found = _ID_SEEN.search(body, 0, 1 << 16)
    return found[1].decode() if found else ""


def _read_record(body: bytes, digest: bytes, ecosystem: str | None) -> FeedPart:
    record = _decode(body)
    told = _gather(record.affected or (), ecosystem, record.summary or "")
    withdrawn = bool(record.withdrawn)
    affected = [] if withdrawn else [one for said in told for one in said.judge(record.id)]
    if sum(len(one.ranges) for one in affected) > RANGES_LIMIT:
        raise TooManyEntries(record.id, f"it has more than {RANGES_LIMIT} ranges of versions")
    advisory = _withdrawn(record) if withdrawn else _advisory(record)
    return FeedPart(name=record.id, digest=digest, advisories=(advisory,), affected=tuple(affected))


def _advisory(record: _Record) -> Advisory:
    aliases, covers = _other_names(record)
    return Advisory(
        name=record.id,
        description=_describe(record),
        published=_moment(record.published),
        modified=_moment(record.modified),
        aliases=aliases,
        covers=covers,
        ratings=rate(
            record.id,
            [
                *(record.severity or ()),
                *(s for a in record.affected or () for s in a.severity or ()),
            ],
            [record.database_specific, *_specifics(record)],
            record.summary,
        ),
    )


def _withdrawn(record: _Record) -> Advisory:
    day = _moment(record.withdrawn)
    when = f" on {day:%Y-%m-%d}" if day else ""
    said = _describe(record)
    return Advisory(
        name=record.id,
        description=f"Withdrawn{when}." + (f" {said}"[: TEXT_LIMIT - 30] if said else ""),
        published=_moment(record.published),
        modified=_moment(record.modified),
    )


def _describe(record: _Record) -> str | None:
    text = record.summary or (record.details or "").partition("\n\n")[0]
    return clean_text(text)[:TEXT_LIMIT].strip() or None


def _specifics(record: _Record) -> Iterator[object]:
    for one in record.affected or ():
        yield one.ecosystem_specific
        yield one.database_specific


def _other_names(record: _Record) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the same fault, and the faults that the record bundles."""
    aliases, upstream, related = (
        [one for one in dict.fromkeys(names or ()) if _ID.fullmatch(one) and one != record.id]
        for names in (record.aliases, record.upstream, record.related)
    )
    if max(len(aliases), len(upstream), len(related)) > NAMES_LIMIT:
        raise TooManyEntries(record.id, f"it has more than {NAMES_LIMIT} other names")
    if _NOTICE.fullmatch(record.id):
        named = [one for one in (*aliases, *related) if _CVE.fullmatch(one)]
        return (), tuple(dict.fromkeys([*upstream, *named]))
    faults = [one for one in upstream if _CVE.fullmatch(one)]
    same = [one for one in faults if record.id.endswith(f"-{one}")] or faults
    if len(same) == 1:
        return tuple(dict.fromkeys([*aliases, *same])), ()
    return tuple(aliases), tuple(same)


def _moment(text: str | None) -> datetime | None:
    """A time of RFC 3339; None for one that cannot be true."""
    try:
        at = datetime.fromisoformat(text or "")
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at.year in _YEARS else None


class _Told:
    """All that a record says of one package."""

    def __init__(self, scope: str, name: str) -> None:
        self.scope, self.name = scope, name
        self._kind = type_of(scope)
        self._spans: list[Interval] = []
        self._points: list[Interval] = []
        self._fixes: dict[bytes, str] = {}
        self._problems: list[str] = []
        self._vague: str | None = None
        self._urgency: str | None = None

    @property
    def has_fix(self) -> bool:
        return bool(self._fixes)

    def add(self, said: _Affected) -> None:
        """Take one of the record's entries of this package."""
        spans, problems = len(self._spans), len(self._problems)
        for one in said.ranges or ():
            if one.type != "GIT":
                self._add_range(one.events or [])
        # Of a distribution the list only counts out what the range says, at great length.
        if said.versions and (self._kind in LANGUAGES or len(self._spans) == spans):
            self._points += parse_versions(self._kind, map(clean_text, said.versions))
            del self._problems[problems:]
        elif len(self._spans) == spans and len(self._problems) == problems:
            self._vague = self._vague or "no-versions"
            if any(one.type == "GIT" for one in said.ranges or ()):
                self._vague = "commits-only"
        self._urgency = self._urgency or word_of(said.ecosystem_specific, said.database_specific)

    def _add_range(self, events: list[dict[str, str]]) -> None:
        try:
            spans = parse_events(self._kind, events)
            ends = [event["fixed"] for event in events if "fixed" in event]
            fixes = {key(self._kind, text): clean_text(text) for text in reversed(ends)}
        except BadName:
            self._problems.append("invalid-version")
            return
        self._spans += spans
        self._fixes |= fixes

    def judge(self, advisory: str) -> Iterator[Affected]:
        """What it comes to: where a fix ends it, where none is named, where nobody can tell."""
        ranges = [
            AffectedRange(
                one.low,
                one.high,
                one.high_inclusive,
                None if one.high is None or one.high_inclusive else self._fixes.get(one.high),
            )
            for one in unite([*self._spans, *self._points])
        ]
        fixed = tuple(one for one in ranges if one.fixed is not None)
        opened = tuple(one for one in ranges if one.fixed is None)
        if fixed:
            yield self._affected(advisory, "fixed", fixed, None)
        if opened:
            ended = all(one.high is not None for one in opened)
            reason = "end-of-life" if self._urgency == "end-of-life" else None
            yield self._affected(
                advisory, "open", opened, reason or ("fix-not-named" if ended else None)
            )
        if self._problems:
            yield self._affected(advisory, "undetermined", (), self._problems[0])
        elif self._vague and not ranges:
            yield self._affected(advisory, "undetermined", (), self._vague)

    def _affected(
        self,
        advisory: str,
        status: FixStatus,
        ranges: tuple[AffectedRange, ...],
        reason: str | None,
    ) -> Affected:
        return Affected(
            advisory=advisory,
            scope=self.scope,
            name=self.name,
            status=status,
            ranges=ranges,
            urgency=self._urgency,
            reason=reason,
        )


def _gather(entries: Iterable[_Affected], ecosystem: str | None, title: str = "") -> list[_Told]:
    """What is said of each package of a scope that is known, by the order in which it is said."""
    plain: dict[tuple[str, str], _Told] = {}
    paid: dict[tuple[str, str], _Told] = {}
    for said in entries:
        where = said.package.ecosystem if said.package else ""
        if said.package is None or (ecosystem and where.partition(":")[0] != ecosystem):
            continue
        place = _place(where, said.package.name)
        if place is not None and (stream := _stream_of(said, title)):
            place = (place[0], f"{stream}/{place[1]}")
        if place is not None:
            among = paid if where.startswith("Ubuntu:Pro") else plain
            among.setdefault(place, _Told(*place)).add(said)
    return list(_prefer(plain, paid).values())


def _prefer(
    plain: Mapping[tuple[str, str], _Told], paid: Mapping[tuple[str, str], _Told]
) -> dict[tuple[str, str], _Told]:
    """Of Ubuntu Pro, whose fixes are the higher ones, what the plain release has no fix for."""
    more = {
        place: one for place, one in paid.items() if not (place in plain and plain[place].has_fix)
    }
    return {**plain, **more}


def _stream_of(said: _Affected, title: str) -> str | None:
    """The stream of the module that fixes are of: they say nothing of other streams."""
    fixes = (event.get("fixed") for one in said.ranges or () for event in one.events or ())
    return find_stream(title) if any(fix and is_modular(fix) for fix in fixes) else None


@lru_cache(maxsize=4096)
def _place(ecosystem: str, name: str) -> tuple[str, str] | None:
    """Scope and canonical name; None where no package that is known here is meant."""
    scope = scope_of_ecosystem(ecosystem)
    known = canonical_name(type_of(scope), clean_text(name)) if scope else ""
    return (scope, known) if known and len(known.encode()) <= _NAME_BYTES else None
