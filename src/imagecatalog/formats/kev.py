"""CISA's catalog of known exploited vulnerabilities, as CISA publishes it and as mirrors rewrite it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct, field

from imagecatalog.domain.exploits import Exploit, Exploits
from imagecatalog.errors import BadDocument, BadName, Truncated, clean_text
from imagecatalog.formats.feed_faults import Faults

SIZE_LIMIT = 64 << 20
"""Bytes of the file; it has about two million."""
TEXT_LIMIT = 1000
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_YEARS = range(1980, 2101)


class _Entry(Struct):
    cve: str = field(default="", name="cveID")
    id: str = ""
    title: str = field(default="", name="vulnerabilityName")
    added: str = field(default="", name="dateAdded")
    due: str | None = field(default=None, name="dueDate")
    campaigns: str | None = field(default=None, name="knownRansomwareCampaignUse")
    ransomware: bool | None = None


class _File(Struct):
    vulnerabilities: list[msgspec.Raw]
    version: str = field(default="", name="catalogVersion")
    count: int | None = None


_decode = msgspec.json.Decoder(_File).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


def parse_kev(body: bytes, where: str, faults: Faults) -> Exploits:
    """All entries, by their names; a broken one is among the ``faults``.

    Of several entries of one fault the first counts. Raises BadDocument for what is no such catalog,
    and Truncated for one with fewer entries than it says.
    """
    try:
        file = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadDocument(where, f"it is no catalog of exploited faults: {error}") from error
    if file.count is not None and file.count > len(file.vulnerabilities):
        raise Truncated(
            where, f"it has {len(file.vulnerabilities):,} entries and says {file.count:,}"
        )
    entries: dict[str, Exploit] = {}
    for raw in file.vulnerabilities:
        name = ""
        try:
            said = _decode_entry(raw)
            name = said.cve or said.id
            entries.setdefault(name, _read(said, name))
            faults.good()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadName) as error:
            faults.note(name, str(error))
    return Exploits(
        version=clean_text(file.version)[:80],
        entries=tuple(entries[name] for name in sorted(entries)),
    )


def _read(said: _Entry, name: str) -> Exploit:
    if not _CVE.fullmatch(name):
        raise BadName(f"{name[:40]!r} is no name of a CVE")
    return Exploit(
        name=name,
        added=_day(said.added),
        due=_day(said.due) if said.due else None,
        ransomware=said.ransomware or said.campaigns == "Known",
        description=clean_text(said.title)[:TEXT_LIMIT].strip() or None,
    )


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise BadName(f"{text[:40]!r} is no date") from error
    if day.year not in _YEARS:
        raise BadName(f"{text[:40]!r} is a date that cannot be true")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
