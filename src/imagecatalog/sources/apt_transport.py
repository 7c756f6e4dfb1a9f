"""The files of an archive, wherever the configuration says that it lies: over HTTP or on a disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from imagecatalog.errors import BadDocument, Missing, SourceUnavailable, TooLarge
from imagecatalog.sources.http import Http

_LOCAL = ("file:", "copy:")


class Validators(Struct, frozen=True):
    """What tells that a file is still the one that was read."""

    etag: str | None = None
    last_modified: str | None = None
    stamp: str | None = None
    """Size and time of change of a file on disk."""


class Got(Struct, frozen=True):
    """A whole file."""

    body: bytes
    validators: Validators


def map_uri(uri: str, mirrors: Mapping[str, str], *, local: bool = False) -> str:
    """Where to fetch what an image calls ``uri``: the longest prefix in ``mirrors`` is replaced.

    An image's own ``file:`` or ``copy:`` path means its disk, not ours, so it must be mapped unless
    ``local`` says that the configuration itself names it. Raises SourceUnavailable if it is not.
    """
    whole = _folder(uri)
    prefixes = [prefix for prefix in mirrors if whole.startswith(_folder(prefix))]
    if prefixes:
        longest = max(prefixes, key=lambda prefix: len(_folder(prefix)))
        return mirrors[longest].rstrip("/") + "/" + whole[len(_folder(longest)) :]
    if uri.startswith(_LOCAL) and not local:
        raise SourceUnavailable(
            f"{uri} lies inside of the image's machine", hint="Map it under [apt.mirrors]."
        )
    return uri


def _folder(uri: str) -> str:
    """The address of a folder; ``file:/srv`` and ``file:///srv`` give the same."""
    if not uri.startswith(_LOCAL):
        return uri.rstrip("/") + "/"
    scheme, _, path = uri.partition(":")
    return f"{scheme}:///{path.strip('/')}/".replace(":////", ":///")


def join_uri(base: str, path: str) -> str:
    """The address of a path, as a Release file or a source names it, below ``base``.

    Raises BadDocument for a path that leads out of it.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in path:
        raise BadDocument(base, f"{path[:80]!r} leads out of the archive")
    if not base.startswith(_LOCAL):
        parts = [quote(part, safe="~+:@!$&'()*,;=") for part in parts]
    return "/".join((base.rstrip("/"), *parts))


def get(address: str, http: Http, max_bytes: int, previous: Validators | None = None) -> Got | None:
    """The file, or None if it is still the one that ``previous`` tells of.

    Raises SourceUnavailable, Missing where there is none, TooLarge beyond ``max_bytes``.
    """
    known = previous or Validators()
    if not address.startswith(_LOCAL):
        headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
        answer = http.get(address, {k: v for k, v in headers.items() if v}, max_bytes)
        if answer.status == 304:
            return None
        fresh = Validators(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        return Got(answer.body, fresh)
    with _open_file(address) as (file, stamp):
        if known.stamp == stamp:
            return None
        try:
            body = file.read(max_bytes + 1)
        except OSError as error:
            raise SourceUnavailable(f"{address} cannot be read: {error}") from error
    if len(body) > max_bytes:
        raise TooLarge(address, f"more than {max_bytes} bytes")
    return Got(body, Validators(stamp=stamp))


@contextmanager
def open_stream(address: str, http: Http) -> Iterator[BinaryIO]:
    """The file's bytes as a stream; raises SourceUnavailable, Missing where there is none."""
    if address.startswith(_LOCAL):
        with _open_file(address) as (file, _):
            yield file
    else:
        with http.stream(address) as download:
            yield download.body


@contextmanager
def open_changed(
    address: str, http: Http, previous: Validators | None = None
) -> Iterator[tuple[BinaryIO | None, Validators]]:
    """The same, and what tells it from a later one; no stream where it is still the previous one."""
    known = previous or Validators()
    if address.startswith(_LOCAL):
        with _open_file(address) as (file, stamp):
            yield None if known.stamp == stamp else file, Validators(stamp=stamp)
        return
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    asked = {name: value for name, value in headers.items() if value}
    with http.stream(address, asked, allow=(304,) if asked else ()) as download:
        if download.status == 304:
            yield None, known
            return
        fresh = Validators(download.headers.get("ETag"), download.headers.get("Last-Modified"))
        yield download.body, fresh


@contextmanager
def _open_file(address: str) -> Iterator[tuple[BinaryIO, str]]:
    split = urlsplit(address)
    path = Path(unquote(split.path) if split.path.startswith("/") else "/" + split.path)
    try:
        if not path.is_file():
            raise Missing(f"{path} is not there, or is no file")
        file = path.open("rb")
    except OSError as error:
        raise SourceUnavailable(f"{path} cannot be read: {error.strerror or error}") from error
    with file:
        stat = path.stat()
        yield file, f"{stat.st_size}:{stat.st_mtime_ns}"
