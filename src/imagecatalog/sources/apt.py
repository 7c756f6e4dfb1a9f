"""apt archives as a feed: the Release file of a source, verified, and the indices it vouches for.

What apt does with a source (apt-secure(8), Debian repository format), in the same order: InRelease
or Release with Release.gpg, its signature, its dates, then for each component and architecture
the Packages file, best compressed form first, by hash where the archive offers that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import BinaryIO, cast

import msgspec
from msgspec import Struct

from imagecatalog.domain.apt import AptSource, Keyring, ReleaseFacts
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadDocument, DigestMismatch, Missing, SourceUnavailable, TooLarge
from imagecatalog.formats.apt_index import SUFFIXES, open_index, parse_packages
from imagecatalog.formats.apt_release import MAX_SIZE, IndexFile, Release, parse_release
from imagecatalog.sources.apt_transport import Validators, get, join_uri, map_uri, open_stream
from imagecatalog.sources.http import Http
from imagecatalog.sources.openpgp import strip_signature, verify_clear_signed, verify_detached

MAX_INDEX = 512 * 1024**2
"""Bytes of a Packages file as downloaded."""


class ReleaseState(Struct, frozen=True, kw_only=True):
    """What to give back at the next fetch, so that an unchanged archive costs one request."""

    etag: str | None = None
    last_modified: str | None = None
    stamp: str | None = None
    inrelease_sha256: str
    asked: str
    """What was asked for; another question is not answered by ``Unchanged``."""
    valid_until: datetime | None = None


class IndexRef(Struct, frozen=True):
    """A Packages file; equal fingerprints mean equal packages."""

    component: str
    """Empty in an archive without components."""
    architecture: str
    fingerprint: str
    """``sha256:…`` or ``sha512:…``, of the uncompressed form where the Release file lists it."""


class Lack(Struct, frozen=True):
    """An index that is asked for and not there; ``why`` is None where apt takes it as empty."""

    component: str
    architecture: str
    why: str | None


class FetchedRelease(Struct, frozen=True, kw_only=True):
    """A Release file that was read and may be trusted; times in UTC."""

    facts: ReleaseFacts
    state: ReleaseState
    indices: tuple[IndexRef, ...]
    lacks: tuple[Lack, ...] = ()
    """What the source asks for and the archive does not have."""
    date: datetime | None = None
    valid_until: datetime | None = None
    base: str
    """Address below which the files lie."""
    files: Mapping[str, IndexFile] = {}
    by_hash: bool = False

    @property
    def problems(self) -> tuple[str, ...]:
        """The sentences of what is lacking, each once."""
        return tuple(dict.fromkeys(lack.why for lack in self.lacks if lack.why))


class Unchanged(Struct, frozen=True):
    """The archive is as it was; ``state`` takes the place of the previous one."""

    state: ReleaseState


class _Found(Struct, frozen=True):
    """The Release file's bytes as signed, and what identifies it."""

    text: bytes
    sha256: str
    validators: Validators


def fetch_release(
    source: AptSource,
    *,
    architectures: Sequence[str],
    keyrings: Sequence[Keyring],
    mirrors: Mapping[str, str],
    http: Http,
    previous: ReleaseState | None,
    now: datetime,
    configured: Sequence[Keyring] = (),
    local: bool = False,
) -> FetchedRelease | Unchanged:
    """The Release file of a source and the indices to read, or that nothing changed.

    ``architectures`` are the set-up's, the native one first; ``configured`` are keyrings trusted
    whatever signed-by says; ``local`` allows a ``file:`` source that no mirror maps. Raises
    SourceUnavailable, SignatureInvalid, and BadDocument for what is malformed or out of date.
    """
    resolved = source.resolve(architectures)
    base = _base(resolved, mirrors, local=local)
    asked = _fingerprint_of((resolved, base, tuple(keyrings), tuple(configured)))
    if previous and previous.asked != asked:
        previous = None
    try:
        found = _fetch_signed(resolved, base, http, previous, (tuple(keyrings), tuple(configured)))
    except Missing:
        if not source.trusted:
            raise
        return _fetch_bare(resolved, base, http, previous, asked)
    if isinstance(found, Unchanged):
        _check_date(found.state.valid_until, resolved, base, now)
        return found
    release = parse_release(found.text, base)
    _check_date(release.valid_until, resolved, base, now)
    refs, lacks = _select(resolved, release, base)
    return FetchedRelease(
        facts=release.facts,
        state=_state(found.sha256, found.validators, asked, release.valid_until),
        indices=refs,
        lacks=lacks,
        date=release.date,
        valid_until=release.valid_until,
        base=base,
        files=release.files,
        by_hash=release.acquire_by_hash,
    )


def read_index(index: IndexRef, release: FetchedRelease, *, http: Http) -> Iterator[Package]:
    """Each package of an index, in its order.

    Only when the last was given is it known that all were the archive's: DigestMismatch is raised
    at the end, so what is made of them must be possible to take back. Raises SourceUnavailable and
    BadDocument too.
    """
    path = _packages_path(index.component, index.architecture)
    empty = release.files.get(path)
    if empty and empty.size == 0:
        return
    name, expected = _best_form(path, release)
    if expected.size > MAX_INDEX:
        raise TooLarge(join_uri(release.base, name), f"more than {MAX_INDEX} bytes")
    with _open_form(name, expected, release, http) as stream:
        verified = _Verified(stream, expected, join_uri(release.base, name))
        opened = open_index(cast("BinaryIO", verified), name)
        yield from parse_packages(opened, verified.where)
        verified.check()


def _base(source: AptSource, mirrors: Mapping[str, str], *, local: bool) -> str:
    flat = source.suite.endswith("/")
    path = source.suite if flat else f"dists/{source.suite}"
    return join_uri(map_uri(source.uri, mirrors, local=local), path)


def _fingerprint_of(value: object) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(value)).hexdigest()


def _state(
    sha256: str, validators: Validators, asked: str, valid_until: datetime | None
) -> ReleaseState:
    return ReleaseState(
        etag=validators.etag,
        last_modified=validators.last_modified,
        stamp=validators.stamp,
        inrelease_sha256=sha256,
        asked=asked,
        valid_until=valid_until,
    )


def _fetch_signed(
    source: AptSource,
    base: str,
    http: Http,
    previous: ReleaseState | None,
    keyrings: tuple[tuple[Keyring, ...], tuple[Keyring, ...]],
) -> _Found | Unchanged:
    """InRelease, or where there is none Release and Release.gpg; verified unless trusted."""
    known = None
    if previous:
        known = Validators(previous.etag, previous.last_modified, previous.stamp)
    address = join_uri(base, "InRelease")
    signature: bytes | None = None
    try:
        got = get(address, http, MAX_SIZE, known)
    except Missing:
        address = join_uri(base, "Release")
        got = get(address, http, MAX_SIZE, known)
        if got and not source.trusted:
            signature = _get_signature(address, http)
    if got is None:
        assert previous is not None
        return Unchanged(previous)
    sha256 = hashlib.sha256(got.body + (signature or b"")).hexdigest()
    if previous and sha256 == previous.inrelease_sha256:
        return Unchanged(_state(sha256, got.validators, previous.asked, previous.valid_until))
    text = _verify(source, got.body, signature, keyrings, address)
    return _Found(text, sha256, got.validators)


def _get_signature(address: str, http: Http) -> bytes:
    try:
        got = get(address + ".gpg", http, MAX_SIZE)
    except Missing as error:
        raise BadDocument(address, "there is no signature of it") from error
    assert got is not None
    return got.body


def _verify(
    source: AptSource,
    body: bytes,
    signature: bytes | None,
    keyrings: tuple[tuple[Keyring, ...], tuple[Keyring, ...]],
    where: str,
) -> bytes:
    if source.trusted:
        return strip_signature(body, where)
    rings, signers = _accepted(source, *keyrings)
    if signature is None:
        return verify_clear_signed(body, rings, signers=signers, where=where)
    verify_detached(body, signature, rings, signers=signers, where=where)
    return body


def _accepted(
    source: AptSource, keyrings: Sequence[Keyring], configured: Sequence[Keyring]
) -> tuple[tuple[Keyring, ...], tuple[str, ...]]:
    """The keyrings that may vouch for a source, and the fingerprints it insists on.

    A keyring that signed-by names but that was not found (a link, a package removed) is made up
    for by those that were: they too are the image's own.
    """
    inline = tuple(
        Keyring("signed-by", key.encode()) for key in source.signed_by if key.startswith("-----")
    )
    if inline:
        return (*inline, *configured), ()
    paths = {name.lstrip("/") for name in source.signed_by if name.startswith("/")}
    named = tuple(ring for ring in keyrings if ring.path.lstrip("/") in paths)
    signers = tuple(name for name in source.signed_by if not name.startswith("/"))
    return (*(named or keyrings), *configured), signers


def _check_date(until: datetime | None, source: AptSource, base: str, now: datetime) -> None:
    if source.check_valid_until and until is not None and now > until:
        raise BadDocument(
            base,
            f"its Release file is valid only until {until:%Y-%m-%d %H:%M} UTC",
            hint="The mirror is stale; if that is meant, set check-valid-until=no in the source.",
        )


def _packages_path(component: str, architecture: str) -> str:
    return f"{component}/binary-{architecture}/Packages" if component else "Packages"


def _select(
    source: AptSource, release: Release, base: str
) -> tuple[tuple[IndexRef, ...], tuple[Lack, ...]]:
    """The indices that apt would read, and those that the archive lacks."""
    refs: list[IndexRef] = []
    lacks: list[Lack] = []
    wanted = source.architectures or ()
    if source.suite.endswith("/"):
        pairs = [("", "")]
    else:
        pairs = [(component, arch) for component in source.components for arch in wanted]
        if _serves_all(release) and "all" not in (*wanted, *source.removed):
            pairs += [(component, "all") for component in source.components]
    for component, architecture in pairs:
        path = _packages_path(component, architecture)
        listed = next((n for n in ("", *SUFFIXES) if path + n in release.files), None)
        if listed is not None:
            file = release.files[path + listed]
            refs.append(IndexRef(component, architecture, f"{file.algorithm}:{file.hexdigest}"))
        else:
            why = _lack(release, component, architecture)
            lacks.append(Lack(component, architecture, f"{base}: {why}" if why else None))
    return tuple(refs), tuple(lacks)


def _serves_all(release: Release) -> bool:
    offered = not release.architectures or "all" in release.architectures
    return offered and not release.no_support_for_all


def _lack(release: Release, component: str, architecture: str) -> str | None:
    """Why an index is not listed; None where apt too takes it as an empty one."""
    names = {name for full in release.components for name in (full, full.rpartition("/")[2])}
    if names and component not in names:
        return f"the archive has no component {component}"
    if release.architectures and architecture not in release.architectures:
        return f"the archive has no architecture {architecture}"
    if not release.files:
        return "its Release file lists no Packages file with a hash that is still strong"
    if component and (release.architectures or architecture == "all"):
        return None
    return f"the archive does not list {_packages_path(component, architecture)}"


def _best_form(path: str, release: FetchedRelease) -> tuple[str, IndexFile]:
    for suffix in SUFFIXES:
        if path + suffix in release.files:
            return path + suffix, release.files[path + suffix]
    raise BadDocument(release.base, f"it does not list {path} in a form that we read")


@contextmanager
def _open_form(
    name: str, expected: IndexFile, release: FetchedRelease, http: Http
) -> Iterator[BinaryIO]:
    """The file by its hash where the archive offers that, else by its name."""
    folder = name.rpartition("/")[0]
    by_hash = f"{folder}/by-hash/{expected.algorithm.upper()}/{expected.hexdigest}"
    with ExitStack() as stack:
        address = join_uri(release.base, by_hash if release.by_hash else name)
        try:
            stream = stack.enter_context(open_stream(address, http))
        except Missing:
            if not release.by_hash:
                raise
            stream = stack.enter_context(open_stream(join_uri(release.base, name), http))
        yield stream


class _Verified:
    """A stream that counts and hashes what is read of it."""

    def __init__(self, stream: BinaryIO, expected: IndexFile, where: str) -> None:
        self._stream = stream
        self._expected = expected
        self._hash = hashlib.new(expected.algorithm)
        self._size = 0
        self.where = where

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; raises DigestMismatch beyond the size that it should have."""
        try:
            data = self._stream.read(size)
        except OSError as error:
            raise SourceUnavailable(f"{self.where} cannot be read: {error}") from error
        self._hash.update(data)
        self._size += len(data)
        if self._size > self._expected.size:
            raise DigestMismatch(self.where, f"it is longer than {self._expected.size} bytes")
        return data

    def check(self) -> None:
        """Read what is left; raises DigestMismatch unless all of it is as it should be."""
        while self.read(1024 * 1024):
            pass
        if self._size != self._expected.size or self._hash.hexdigest() != self._expected.hexdigest:
            raise DigestMismatch(
                self.where,
                "its bytes are not those that the Release file names",
                hint="The mirror is being updated, or is incomplete: try again later, or another.",
            )


def _fetch_bare(
    source: AptSource, base: str, http: Http, previous: ReleaseState | None, asked: str
) -> FetchedRelease | Unchanged:
    """An archive without any Release file, which ``[trusted=yes]`` alone allows.

    Its indices are read once to know their hashes, and a second time by ``read_index``.
    """
    if source.suite.endswith("/"):
        pairs = [("", "")]
    else:
        architectures = source.architectures or ()
        pairs = [(part, name) for part in source.components for name in architectures]
    refs: list[IndexRef] = []
    files: dict[str, IndexFile] = {}
    lacks: list[Lack] = []
    for component, architecture in pairs:
        path = _packages_path(component, architecture)
        found = _probe(path, base, http)
        if found is None:
            why = f"{base}: there is neither a Release file nor {path}"
            lacks.append(Lack(component, architecture, why))
            continue
        files[found[0]] = found[1]
        refs.append(IndexRef(component, architecture, f"sha256:{found[1].hexdigest}"))
    if not refs:
        raise Missing(f"{base} has neither a Release file nor any Packages file")
    sha256 = _fingerprint_of(sorted(files.items()))
    state = ReleaseState(inrelease_sha256=sha256, asked=asked)
    if previous and previous.inrelease_sha256 == sha256:
        return Unchanged(state)
    return FetchedRelease(
        facts=ReleaseFacts(),
        state=state,
        indices=tuple(refs),
        lacks=tuple(lacks),
        base=base,
        files=files,
    )


def _probe(path: str, base: str, http: Http) -> tuple[str, IndexFile] | None:
    for suffix in SUFFIXES:
        address = join_uri(base, path + suffix)
        try:
            with open_stream(address, http) as stream:
                digest, size = hashlib.sha256(), 0
                while data := stream.read(1024 * 1024):
                    digest.update(data)
                    size += len(data)
                    if size > MAX_INDEX:
                        raise TooLarge(address, f"more than {MAX_INDEX} bytes")
        except Missing:
            continue
        return path + suffix, IndexFile("sha256", digest.hexdigest(), size)
    return None
