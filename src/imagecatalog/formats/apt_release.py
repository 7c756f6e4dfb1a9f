"""The Release file of an archive (Debian repository format), signature already taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

from imagecatalog.domain.apt import ReleaseFacts
from imagecatalog.errors import BadDocument, TooLarge, TooManyEntries
from imagecatalog.formats.apt_stanzas import Stanza, read_stanzas

MAX_SIZE = 16 * 1024 * 1024
"""Bytes; Debian's largest is 1 MiB."""
MAX_FILES = 200_000

_YES = frozenset({"yes", "true", "1", "on"})
_HASHES = {"sha256": 64, "sha512": 128}
"""Fields that list files with hashes still strong, the preferred first, and their hex digits."""
_HEX = re.compile(r"[0-9a-fA-F]+")


class IndexFile(Struct, frozen=True):
    """A file that the Release file vouches for."""

    algorithm: str
    """``sha256`` or ``sha512``."""
    hexdigest: str
    """In lower case."""
    size: int
    """Bytes."""


class Release(Struct, frozen=True, kw_only=True):
    """What a Release file says; times in UTC."""

    facts: ReleaseFacts
    date: datetime | None = None
    valid_until: datetime | None = None
    acquire_by_hash: bool = False
    architectures: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    no_support_for_all: bool = False
    """Packages of architecture ``all`` are in every other index, though they have one too."""
    files: Mapping[str, IndexFile] = {}
    """The Packages files in all their forms, by path below the Release file."""


def parse_release(text: bytes, where: str) -> Release:
    """The Release file of these bytes; ``where`` names them in errors.

    Raises BadDocument for what is no Release file, TooLarge and TooManyEntries beyond the bounds.
    """
    if len(text) > MAX_SIZE:
        raise TooLarge(where, f"a Release file of more than {MAX_SIZE} bytes")
    # No database takes a zero.
    decoded = text.decode("utf-8", "replace").replace("\0", "\ufffd")
    stanza = next(read_stanzas(decoded.lstrip()), None)
    if stanza is None or not {"suite", "codename", "date", *_HASHES} & stanza.fields.keys():
        raise BadDocument(where, "this is not a Release file")
    fields = stanza.fields
    return Release(
        facts=ReleaseFacts(
            origin=fields.get("origin", ""),
            label=fields.get("label", ""),
            suite=fields.get("suite", ""),
            codename=fields.get("codename", ""),
            version=fields.get("version", ""),
            not_automatic=_is_yes(fields, "notautomatic"),
            but_automatic_upgrades=_is_yes(fields, "butautomaticupgrades"),
        ),
        date=_time(fields, "date", where),
        valid_until=_time(fields, "valid-until", where),
        acquire_by_hash=_is_yes(fields, "acquire-by-hash"),
        architectures=tuple(fields.get("architectures", "").split()),
        components=tuple(fields.get("components", "").split()),
        no_support_for_all="Packages" in fields.get("no-support-for-architecture-all", "").split(),
        files=dict(_files(fields, where)),
    )


def _is_yes(fields: Stanza, name: str) -> bool:
    return fields.get(name, "").lower() in _YES


def _time(fields: Stanza, name: str, where: str) -> datetime | None:
    if name not in fields:
        return None
    try:
        time = parsedate_to_datetime(fields[name])
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadDocument(where, f"{name}: {fields[name][:60]!r} is no time") from error


def _files(fields: Stanza, where: str) -> Iterator[tuple[str, IndexFile]]:
    """The Packages files, under the best of the hashes that the Release file has."""
    algorithm = next((name for name in _HASHES if name in fields), None)
    lines = fields[algorithm].split("\n") if algorithm else []
    if len(lines) > MAX_FILES:
        raise TooManyEntries(where, f"a Release file of more than {MAX_FILES} files")
    for line in lines:
        if "Packages" not in line:
            continue
        words = line.split()
        assert algorithm is not None
        if (
            len(words) != 3
            or len(words[0]) != _HASHES[algorithm]
            or not _HEX.fullmatch(words[0])
            or not (words[1].isascii() and words[1].isdigit() and len(words[1]) < 16)
        ):
            raise BadDocument(where, f"{line[:160]!r} is no hash, size and name of a file")
        yield words[2].removeprefix("./"), IndexFile(algorithm, words[0].lower(), int(words[1]))
