"""Whom a build is told to: a server, or a database at hand, each with the same judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec

from imagecatalog.catalog.configured import configured_setups
from imagecatalog.catalog.registration import keep_build, keep_sbom
from imagecatalog.cli.options import Invocation
from imagecatalog.cli.server import Server
from imagecatalog.config import Settings
from imagecatalog.domain.lineage import RegisteredName
from imagecatalog.domain.receipts import BuildReceipt, SbomReceipt
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import SourceUnavailable, UsageError
from imagecatalog.formats.sbom import parse_sbom
from imagecatalog.store.builds import list_registered
from imagecatalog.store.engine import Catalog
from imagecatalog.store.page import Page
from imagecatalog.store.shelf import Shelf

T = TypeVar("T")
_PAGE = 1000
_ALL = 1_000_000


class Registrar(Protocol):
    """Takes in builds and SBOMs as JSON; raises ``InvalidBody`` with all faults of one."""

    def register(self, body: bytes) -> BuildReceipt:
        """Keep a build."""

    def upload(self, body: bytes, digest: str, image: str | None) -> SbomReceipt:
        """Keep a document of an image's packages."""

    def registered(self, repository: str) -> Mapping[str, Digest]:
        """What each tag of a repository means by the last build that was registered with it."""


@contextmanager
def find_registrar(invocation: Invocation) -> Iterator[Registrar]:
    """The server of ``--server``, else the database."""
    address = invocation.flags.get("server")
    if not address:
        with invocation.catalog() as (settings, catalog):
            yield _Here(settings, catalog)
        return
    if invocation.flags.get("database"):
        raise UsageError("--server and --database exclude each other")
    with Server.connect(address, writes=True) as server:
        yield _There(server)


class _There:
    def __init__(self, server: Server) -> None:
        self._server = server

    def register(self, body: bytes) -> BuildReceipt:
        return self._send("/api/v1/builds", body, {}, BuildReceipt)

    def upload(self, body: bytes, digest: str, image: str | None) -> SbomReceipt:
        return self._send(f"/api/v1/sboms/{digest}", body, {"image": image}, SbomReceipt)

    def registered(self, repository: str) -> Mapping[str, Digest]:
        found: dict[str, Digest] = {}
        after: str | None = None
        while True:
            query = {"repository": repository, "limit": str(_PAGE), "after": after}
            answer = self._server.get("/api/v1/builds", query)
            page = self._read(answer.body, Page[RegisteredName])
            found |= _by_tag(page.items)
            if page.next is None or page.next == after:
                return found
            after = page.next

    def _send(self, path: str, body: bytes, query: dict[str, str | None], kind: type[T]) -> T:
        answer = self._server.post(path, body, query)
        return self._read(answer.body, kind)

    def _read(self, body: bytes, kind: type[T]) -> T:
        try:
            told: T = msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise SourceUnavailable(
                f"{self._server.name} answered what is no receipt",
                hint="is that the address of an imagecatalog server?",
            ) from None
        return told


def _by_tag(items: Iterable[RegisteredName]) -> dict[str, Digest]:
    """The digest of each tag, of several the one that was told last."""
    return {
        item.image.rpartition(":")[2]: Digest.parse(item.digest)
        for item in items
        if item.digest is not None
    }


class _Here:
    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._catalog = catalog
        self._shelf = Shelf()
        self._configured = configured_setups(settings)

    def register(self, body: bytes) -> BuildReceipt:
        from imagecatalog.web.api.builds import read_build

        return self._keep(keep_build, read_build(body), told_by=None)

    def upload(self, body: bytes, digest: str, image: str | None) -> SbomReceipt:  # noqa: ARG002
        subject = Digest.parse(digest)
        inventory = parse_sbom(body, "--sbom")
        return self._keep(keep_sbom, subject, inventory, told_by="uploaded")

    def registered(self, repository: str) -> Mapping[str, Digest]:
        with self._catalog.read() as c:
            return _by_tag(list_registered(c, repository, limit=_ALL).items)

    def _keep(self, keep: Callable[..., T], *told: object, told_by: str | None) -> T:
        try:
            with self._catalog.write() as c:
                return keep(
                    c,
                    self._shelf,
                    *told,
                    told_by=told_by,
                    configured=self._configured,
                    now=datetime.now(UTC),
                )
        except BaseException:
            self._shelf.forget()
            raise
