"""Feeds of advisories that are files: where they lie, and their bytes if they changed.

Addresses are ``https:``, ``http:`` or ``file:``; one that ends in a slash is a folder laid out as the
public site is. A file that comes over a network is on this machine's disk before it is read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Literal
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from imagecatalog.domain.scopes import ECOSYSTEMS, ecosystem_of
from imagecatalog.errors import ConfigError, Missing, SourceUnavailable, TooLarge, TooManyEntries
from imagecatalog.sources.apt_transport import Validators, open_changed
from imagecatalog.sources.http import Http

OSV = "https://osv-vulnerabilities.storage.googleapis.com/"
SECDB = "https://secdb.alpinelinux.org/"
KEV = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
EPSS = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"

SIZE_LIMIT = 1 << 30
"""Bytes of one file."""
FILES_LIMIT = 1_000_000
"""Records in a folder."""
_CHUNK = 1 << 20
_DEPTH = 6
"""Folders within each other that records are looked for in."""

_KNOWN = frozenset(ECOSYSTEMS.values())

Kind = Literal["zip", "lines", "record", "folder", "secdb"]


class FeedFile(Struct, frozen=True):
    """One file of a feed, or a folder of records; ``name`` tells it from the feed's others."""

    name: str
    address: str
    kind: Kind
    ecosystem: str | None = None
    """The only one whose packages count; None: all."""


def list_osv(
    setting: str | bool | None, scopes: Collection[str], without: Collection[str] = ()
) -> tuple[FeedFile, ...]:
    """The files that a setting of ``osv`` names.

    Of a site, a mirror too: one for each ecosystem of these scopes but those ``without``. Of a folder
    on disk: all
    that are there, as the site has them (``PyPI/all.zip``) or as ``PyPI.zip``, files of a record a
    line, and single records. Else the one file. Raises ConfigError, Missing, SourceUnavailable.
    """
    if not isinstance(setting, str):
        return _list_site(OSV, scopes, without)
    if not setting.endswith("/"):
        return (_file_of(setting),)
    if setting.startswith("file:"):
        return _list_folder(_path_of(setting))
    return _list_site(setting, scopes, without)


def list_secdb(setting: str | bool | None, scopes: Collection[str]) -> tuple[FeedFile, ...]:
    """The files that a setting of ``alpine-secdb`` names, of the releases among these scopes.

    Of a site or folder two for each release, else the one file that is named.
    """
    base = setting if isinstance(setting, str) else SECDB
    if not base.endswith("/"):
        return (FeedFile("", base, "secdb"),)
    releases = sorted(name.partition("/")[2] for name in scopes if name.startswith("alpine/"))
    return tuple(
        FeedFile(f"{folder}/{repository}", f"{base}{folder}/{repository}.json", "secdb")
        for folder in (one if one == "edge" else f"v{one}" for one in releases)
        for repository in ("main", "community")
    )


@contextmanager
def open_feed(
    address: str, http: Http, previous: Validators | None = None, *, limit: int = SIZE_LIMIT
) -> Iterator[tuple[BinaryIO | None, Validators]]:
    """The whole file on a disk of ours, so that no transaction waits for a network.

    None where it is still the previous one. Raises SourceUnavailable, Missing, and TooLarge.
    """
    with open_changed(address, http, previous) as (stream, validators):
        if stream is None:
            yield None, validators
        elif address.startswith("file:"):
            if os.fstat(stream.fileno()).st_size > limit:
                raise TooLarge(address, f"more than {limit} bytes")
            yield stream, validators
        else:
            with TemporaryFile() as kept:
                _copy(stream, kept, address, limit)
                yield kept, validators


def _copy(stream: BinaryIO, kept: BinaryIO, address: str, limit: int) -> None:
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise TooLarge(address, f"more than {limit} bytes")
        kept.write(chunk)
    kept.seek(0)


def list_records(address: str) -> tuple[tuple[Path, ...], Validators]:
    """The records in a folder and those below, by path, and what tells whether any changed."""
    folder = _path_of(address)
    paths: list[Path] = []
    stamp = hashlib.sha256()
    for path in _walk(folder, ".json"):
        stat = path.stat()
        stamp.update(f"{path}\0{stat.st_size}:{stat.st_mtime_ns}\n".encode(errors="replace"))
        paths.append(path)
    return tuple(paths), Validators(stamp=stamp.hexdigest())


def _walk(folder: Path, *endings: str) -> Iterator[Path]:
    """The files with these endings, in the order of their paths."""
    count = 0
    for top, folders, names in os.walk(folder):
        if len(Path(top).relative_to(folder).parts) >= _DEPTH:
            folders.clear()
        folders.sort()
        for name in sorted(names):
            if name.endswith(endings) and (path := Path(top, name)).is_file():
                count += 1
                if count > FILES_LIMIT:
                    raise TooManyEntries(str(folder), f"more than {FILES_LIMIT} files")
                yield path


def _list_site(
    base: str, scopes: Collection[str], without: Collection[str]
) -> tuple[FeedFile, ...]:
    wanted = {name for scope in scopes if (name := ecosystem_of(scope))}
    return tuple(
        FeedFile(name, f"{base}{quote(name)}/all.zip", "zip", name)
        for name in sorted(wanted.difference(without))
    )


def _list_folder(folder: Path) -> tuple[FeedFile, ...]:
    try:
        if not folder.is_dir():
            raise Missing(f"{folder} is not there, or is no folder")
        files = {one.name: one for one in map(_file_of, _uris(folder))}
        if next(_walk(folder, ".json"), None):
            files["records"] = FeedFile("records", folder.as_uri() + "/", "folder")
    except OSError as error:
        raise SourceUnavailable(f"{folder} cannot be read: {error.strerror or error}") from error
    if not files:
        raise Missing(f"{folder} holds no zip archive and no record", hint="*.zip, *.jsonl, *.json")
    return tuple(files[name] for name in sorted(files))


def _uris(folder: Path) -> Iterator[str]:
    for path in _walk(folder, ".zip", ".jsonl"):
        yield path.as_uri()


def _file_of(address: str) -> FeedFile:
    """One file by its address: ``…/PyPI/all.zip`` and ``…/PyPI.zip`` are both ``PyPI``."""
    path = unquote(urlsplit(address).path)
    name, _, ending = path.rpartition("/")[2].rpartition(".")
    kinds: dict[str, Kind] = {"zip": "zip", "jsonl": "lines", "json": "record"}
    if ending not in kinds or not name:
        raise ConfigError(
            f"{address} is no file of OSV",
            hint="its name ends in .zip, .jsonl or .json; that of a folder in a slash",
        )
    if name == "all" and (parent := path.split("/")[-2]):
        name = parent
    return FeedFile(name, address, kinds[ending], name if name in _KNOWN else None)


def _path_of(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
