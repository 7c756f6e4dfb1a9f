"""A registry over HTTP (OCI distribution specification 1.1): its names, manifests and blobs.

What is listed is what the registry's catalog says, or the repositories of the configuration where
that is closed. Every manifest and blob is checked against its digest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from fnmatch import fnmatchcase
from itertools import chain
from typing import BinaryIO
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from msgspec import Struct

from imagecatalog.config import RegistrySetting
from imagecatalog.domain.images import Descriptor, RawManifest
from imagecatalog.domain.refs import DEFAULT_REGISTRY, Digest, Reference
from imagecatalog.errors import (
    AccessDenied,
    BadName,
    ConfigError,
    Missing,
    SourceUnavailable,
    TooManyEntries,
)
from imagecatalog.formats.oci import (
    MANIFEST_LIMIT,
    MANIFEST_TYPES,
    SCHEMA1_TYPES,
    ManifestSchema1,
    decode_json,
)
from imagecatalog.sources.authorization import Authorization, login_hint
from imagecatalog.sources.bodies import open_chunks, read_chunks, verify_bytes, verify_chunks
from imagecatalog.sources.credentials import Credential, find_credential
from imagecatalog.sources.http import BODY_LIMIT, Answer, Download, Http
from imagecatalog.sources.referrers import Referrers

PAGE = 1000
PAGES_LIMIT = 10_000
NAMES_LIMIT = 1_000_000
"""Repositories of a registry, or tags of a repository."""
RESUMES = 8
"""How often a blob that breaks off is taken up again."""

_log = logging.getLogger(__name__)
_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_CATALOG_SCOPE = "registry:catalog:*"
_UNAUTHORIZED = 401
_CLOSED = frozenset({_UNAUTHORIZED, 403, 404, 405})
_HUB_HOSTS = frozenset({DEFAULT_REGISTRY, "index.docker.io", "registry-1.docker.io"})
_HUB_API = "registry-1.docker.io"
_GLOB = re.compile(r"[*?\[]")
_LINK = re.compile(r'<([^<>]*)>\s*;[^<>,]*\brel="?next"?')


class _Catalog(Struct):
    repositories: list[str] | None = None


class _Tags(Struct):
    tags: list[str] | None = None


class Registry:
    """One registry, or what of it lies below the path of ``setting.url``; an ``ImageSource``.

    Thread-safe. Raises ``ConfigError`` for a setting that cannot be used.
    """

    def __init__(
        self,
        setting: RegistrySetting,
        *,
        http: Http | None = None,
        find: Callable[[str, RegistrySetting], Credential | None] = find_credential,
    ) -> None:
        url = urlsplit(setting.url)
        if url.scheme not in {"http", "https"} or not url.netloc or "@" in url.netloc:
            raise ConfigError(
                f"{setting.url!r} is not the address of a registry",
                hint="Write it as https://registry.example.org",
            )
        host = url.netloc.lower()
        self._name = DEFAULT_REGISTRY if host in _HUB_HOSTS else host
        self._base = f"{url.scheme}://{_HUB_API if host in _HUB_HOSTS else host}"
        self._setting = setting
        self._prefix = url.path.strip("/")
        self._patterns = setting.repositories
        self._exclude = _compile(setting)
        self._http = http or Http(ca=setting.ca)
        self._authorization = Authorization(
            self._http, self._name, lambda: find(self._name, setting), secure=url.scheme == "https"
        )
        self._referrers = Referrers(self._pages)

    @property
    def name(self) -> str:
        """The registry's host, and its port if one is written."""
        return self._name

    def repositories(self) -> Iterator[str]:
        """Each repository that the setting wants, once; the catalog is asked only if it must be.

        A glob matches the path without the registry, ``*`` also across slashes. Where the catalog is
        closed, repositories written out are yielded all the same; ``AccessDenied`` comes after them
        if there are globs too, or at once if there is nothing else.
        """
        written = [p.strip("/") for p in self._patterns if not _GLOB.search(p)]
        globs = [p for p in self._patterns if _GLOB.search(p)] if self._patterns else ["*"]
        seen: set[str] = set()
        for path in chain(written, self._catalog(globs) if globs else ()):
            if path in seen or not self._is_below_prefix(path):
                continue
            seen.add(path)
            if name := self._whole_name(path):
                yield name

    def covers(self, repository: str) -> bool:
        """Whether the setting wants a repository, listed or not; by its whole name."""
        host, _, path = repository.partition("/")
        return host == self._name and self._setting.covers(path)

    def excludes(self, tag: str) -> bool:
        """Whether ``exclude_tags`` of the setting finds something in a tag."""
        return any(pattern.search(tag) for pattern in self._exclude)

    def tags(self, repository: str) -> Iterator[str]:
        """Each tag once, without those that ``exclude_tags`` of the setting finds something in."""
        path = self._path(repository)
        seen: set[str] = set()
        for answer in self._pages(f"/v2/{path}/tags/list", _pull(path)):
            page = decode_json(answer.body, _Tags, f"tags of {repository}", limit=BODY_LIMIT)
            for tag in page.tags or ():
                if tag in seen or self.excludes(tag):
                    continue
                seen.add(tag)
                if len(seen) > NAMES_LIMIT:
                    raise TooManyEntries(repository, f"more than {NAMES_LIMIT} tags")
                if self._whole_name(f"{path}:{tag}"):
                    yield tag

    def resolve(self, repository: str, tag: str) -> Descriptor:
        """What the tag points to now: by HEAD, or by GET where that names no digest."""
        path = self._path(repository)
        address = f"/v2/{path}/manifests/{quote(tag)}"
        answer = self._ask("HEAD", address, _pull(path), allow=(405,))
        digest = _stated_digest(answer.headers)
        length = answer.headers.get("Content-Length", "")
        if answer.status == 200 and digest is not None:
            size = int(length) if length.isdecimal() and len(length) < 12 else -1
            return Descriptor(_media_type(answer.headers), digest, size)
        answer = self._ask("GET", address, _pull(path), max_bytes=MANIFEST_LIMIT)
        digest = _stated_digest(answer.headers) or Digest.of(answer.body)
        return Descriptor(_media_type(answer.headers), digest, len(answer.body))

    def manifest(self, repository: str, digest: Digest) -> RawManifest:
        """The manifest's bytes, checked; ``ManifestSchema1`` for one of Docker's schema 1."""
        path = self._path(repository)
        answer = self._ask(
            "GET", f"/v2/{path}/manifests/{digest}", _pull(path), max_bytes=MANIFEST_LIMIT
        )
        where = f"manifest {repository}@{digest}"
        media_type = _media_type(answer.headers)
        if media_type in SCHEMA1_TYPES:
            # Its digest is not that of the bytes sent, but of what its signatures sign.
            raise ManifestSchema1(where)
        verify_bytes(answer.body, digest, where)
        return RawManifest(digest, media_type, answer.body)

    def exists(self, repository: str, digest: Digest) -> bool:
        """Whether the repository still has the manifest; only a plain 404 means that it has not."""
        path = self._path(repository)
        try:
            self._ask("HEAD", f"/v2/{path}/manifests/{digest}", _pull(path))
        except Missing:
            return False
        return True

    def share_blobs(self, repository: str, digest: Digest) -> tuple[str, dict[str, str]]:
        """The address that blobs lie below, and the headers that open it, for another to read them.

        The manifest is asked for, so that one that is gone raises ``Missing``; where a token is
        wanted, it is a fresh one.
        """
        path = self._path(repository)
        address, scope = f"/v2/{path}/manifests/{digest}", _pull(path)
        answer = self._http.head(self._base + address, _ACCEPT, allow=(401,))
        if answer.status == 401:
            self._authorization.renew(answer.headers, scope)
            self._ask("HEAD", address, scope)
        return f"{self._base}/v2/{path}/blobs/", self._authorization.headers(scope)

    @contextmanager
    def blob(self, repository: str, blob: Descriptor) -> Iterator[BinaryIO]:
        """The blob's bytes; a connection that breaks is taken up again where it broke."""
        where = f"blob {repository}@{blob.digest}"
        with (
            closing(self._blob_chunks(repository, blob)) as chunks,
            closing(verify_chunks(chunks, blob, where)) as verified,
            open_chunks(verified) as stream,
        ):
            yield stream

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """What says that it speaks of a manifest; nothing if the registry keeps no such lists."""
        path = self._path(repository)
        where = f"referrers of {repository}@{digest}"
        return self._referrers.find(f"/v2/{path}/referrers/{digest}", _pull(path), where)

    def close(self) -> None:
        """Give back all connections."""
        self._http.close()

    def _blob_chunks(self, repository: str, blob: Descriptor) -> Generator[bytes, None, None]:
        path = self._path(repository)
        address = f"/v2/{path}/blobs/{blob.digest}"
        received = 0
        for trial in range(RESUMES + 1):
            is_open = False
            try:
                with self._stream(address, _pull(path), received) as download:
                    is_open = True
                    skip = 0 if download.status == 206 else received
                    for chunk in read_chunks(download.body):
                        fresh = chunk[skip:]
                        skip = max(0, skip - len(chunk))
                        received += len(fresh)
                        yield fresh
            except (AccessDenied, Missing):
                raise
            except SourceUnavailable:
                if trial == RESUMES or not is_open:  # asking was tried again below
                    raise
            else:
                if received >= blob.size:
                    return

    def _catalog(self, globs: Collection[str]) -> Iterator[str]:
        found = 0
        for answer in self._pages("/v2/_catalog", _CATALOG_SCOPE, allow=_CLOSED):
            if answer.status in _CLOSED:
                raise self._closed(answer.status)
            page = decode_json(answer.body, _Catalog, f"catalog of {self._name}", limit=BODY_LIMIT)
            for path in page.repositories or ():
                found += 1
                if found > NAMES_LIMIT:
                    raise TooManyEntries(self._name, f"more than {NAMES_LIMIT} repositories")
                if any(fnmatchcase(path, glob) for glob in globs):
                    yield path

    def _closed(self, status: int) -> AccessDenied:
        hints = [
            "Name them as `repositories` in its [[registry]].",
            login_hint(self._name),
        ]
        reason = "does not list its repositories"
        if status == _UNAUTHORIZED:
            reason = f"{reason}: it wants other credentials"
            hints.reverse()
        return AccessDenied(f"{self._name} {reason} ({status})", hint=" Or: ".join(hints))

    def _pages(self, path: str, scope: str, *, allow: Collection[int] = ()) -> Iterator[Answer]:
        """Yield every page of a list; raise ``SourceUnavailable`` if they never end."""
        address: str | None = f"{path}?n={PAGE}"
        seen: set[str] = set()
        while address is not None:
            if address in seen or len(seen) == PAGES_LIMIT:
                raise SourceUnavailable(f"{self._name} pages {path} without end")
            seen.add(address)
            answer = self._ask("GET", address, scope, allow=(400, *allow))
            if answer.status == 400:
                # Some registries refuse a page size above their own; they have a default.
                answer = self._ask("GET", address.partition("?")[0], scope, allow=allow)
            yield answer
            address = self._next_address(address, answer)

    def _next_address(self, address: str, answer: Answer) -> str | None:
        """Return the path and query of the next page: wherever the link leads, the host stays."""
        link = _LINK.search(answer.headers.get("Link", ""))
        if link is None:
            return None
        here, there = urlsplit(self._base), urlsplit(urljoin(self._base + address, str(link[1])))
        if there.hostname != here.hostname:
            raise SourceUnavailable(f"{self._name} continues its list on another host")
        return urlunsplit(("", "", there.path, there.query, ""))

    def _ask(
        self,
        method: str,
        address: str,
        scope: str,
        *,
        max_bytes: int = BODY_LIMIT,
        allow: Collection[int] = (),
    ) -> Answer:
        url, allowed = self._base + address, (401, *allow)
        for trial in (1, 2):
            headers = _ACCEPT | self._authorization.headers(scope)
            if method == "HEAD":
                answer = self._http.head(url, headers, allow=allowed)
            else:
                answer = self._http.get(url, headers, max_bytes, allow=allowed)
            if answer.status != 401:
                return answer
            if trial == 2 or not self._authorization.renew(answer.headers, scope):
                if 401 in allow:
                    return answer
                break
        raise self._refused(address)

    @contextmanager
    def _stream(self, address: str, scope: str, start: int) -> Iterator[Download]:
        span = {"Range": f"bytes={start}-"} if start else {}
        for trial in (1, 2):
            with ExitStack() as stack:
                headers = span | self._authorization.headers(scope)
                download = stack.enter_context(
                    self._http.stream(self._base + address, headers, allow=(401,))
                )
                if download.status != 401:
                    yield download
                    return
            if trial == 2 or not self._authorization.renew(download.headers, scope):
                break
        raise self._refused(address)

    def _refused(self, address: str) -> AccessDenied:
        return AccessDenied(
            f"{self._name} wants (other) credentials for {address.partition('?')[0]}",
            hint=login_hint(self._name),
        )

    def _path(self, repository: str) -> str:
        name, _, path = repository.partition("/")
        if name != self._name:
            raise BadName(f"{repository!r} is not in registry {self._name}")
        return path

    def _is_below_prefix(self, path: str) -> bool:
        return not self._prefix or path == self._prefix or path.startswith(f"{self._prefix}/")

    def _whole_name(self, path: str) -> str | None:
        """Return the name with the registry before it; None, and a warning, if it is no name."""
        try:
            return Reference.parse(f"{self._name}/{path}").name
        except BadName as error:
            _log.warning("%s lists an unusable name: %s", self._name, error)
            return None


def _pull(path: str) -> str:
    return f"repository:{path}:pull"


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _stated_digest(headers: Mapping[str, str]) -> Digest | None:
    try:
        return Digest.parse(headers.get("Docker-Content-Digest", ""))
    except BadName:
        return None


def _compile(setting: RegistrySetting) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(pattern) for pattern in setting.exclude_tags)
    except re.error as error:
        raise ConfigError(
            f"registry {setting.url}: exclude_tags holds {error.pattern!r}, which is no regular"
            f" expression: {error}"
        ) from error
