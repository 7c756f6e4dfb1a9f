"""What DebMonitor's clients told of images, by name; and what a DebMonitor was told by us."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, select, tuple_, update

from imagecatalog.domain.debmonitor import ToldPackages
from imagecatalog.store.dialect import batches, insert_returning, upsert
from imagecatalog.store.schema import debmonitor_push, debmonitor_report, package_version

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ToldPackages)
_PAIRS = 400
"""Names and versions asked for in one statement."""


class Report(Struct, frozen=True, kw_only=True):
    """What was told of one name; its fields are the columns."""

    name: str
    manifest_id: int | None
    os: str
    told_by: str
    received: datetime
    digest: bytes
    updates: int
    body: bytes
    id: int = 0

    def packages(self) -> ToldPackages:
        """The lists."""
        return _DECODER.decode(zlib.decompress(self.body))


class KnownPackage(Struct, frozen=True):
    """What the catalog knows of a name and a version of Debian."""

    arch: str
    source: str
    source_version: str


_COLUMNS = [debmonitor_report.c[name] for name in Report.__struct_fields__]


def pack(told: ToldPackages) -> bytes:
    """The lists as they are kept."""
    return zlib.compress(_ENCODER.encode(told), 6)


def find_report(c: Connection, name: str) -> Report | None:
    """What was told of a name; nobody else changes it until the transaction ends."""
    query = select(*_COLUMNS).where(debmonitor_report.c.name == name).with_for_update()
    row = c.execute(query).one_or_none()
    return None if row is None else Report(**row._mapping)  # noqa: SLF001


def put_report(c: Connection, report: Report) -> bool:
    """Write what is told of a name now; False: another process wrote the first report of it."""
    values = {name: getattr(report, name) for name in Report.__struct_fields__ if name != "id"}
    if report.id:
        c.execute(
            update(debmonitor_report).where(debmonitor_report.c.id == report.id).values(values)
        )
        return True
    return bool(insert_returning(c, debmonitor_report, [values], debmonitor_report.c.id))


def touch_report(c: Connection, number: int, *, told_by: str, received: datetime) -> None:
    """Note that the very same was told again."""
    c.execute(
        update(debmonitor_report)
        .where(debmonitor_report.c.id == number)
        .values(told_by=told_by, received=received)
    )


def list_reports(c: Connection, manifests: Collection[int]) -> dict[int, Report]:
    """What was told last of each of these images."""
    found: dict[int, Report] = {}
    for batch in batches(set(manifests)):
        query = (
            select(*_COLUMNS)
            .where(debmonitor_report.c.manifest_id.in_(batch))
            .order_by(debmonitor_report.c.received, debmonitor_report.c.id)
        )
        for row in c.execute(query):
            found[row.manifest_id] = Report(**row._mapping)  # noqa: SLF001
    return found


def list_named(c: Connection, names: Collection[str]) -> dict[str, Report]:
    """What was told of these names."""
    found: dict[str, Report] = {}
    for batch in batches(set(names)):
        for row in c.execute(select(*_COLUMNS).where(debmonitor_report.c.name.in_(batch))):
            found[row.name] = Report(**row._mapping)  # noqa: SLF001
    return found


def list_numbered(c: Connection, numbers: Collection[int]) -> dict[int, Report]:
    """Reports by their own numbers."""
    found: dict[int, Report] = {}
    for batch in batches(set(numbers)):
        for row in c.execute(select(*_COLUMNS).where(debmonitor_report.c.id.in_(batch))):
            found[row.id] = Report(**row._mapping)  # noqa: SLF001
    return found


def list_waiting(c: Connection, repository: str) -> list[Report]:
    """What was told of names of a repository that no sync had met by then, by name."""
    query = (
        select(*_COLUMNS)
        .where(
            debmonitor_report.c.name > f"{repository}:",
            debmonitor_report.c.name < f"{repository};",  # the character after the colon
            debmonitor_report.c.manifest_id.is_(None),
        )
        .order_by(debmonitor_report.c.name)
    )
    return [Report(**row._mapping) for row in c.execute(query)]  # noqa: SLF001


def settle(c: Connection, number: int, manifest_id: int) -> None:
    """Note which image a name meant."""
    c.execute(
        update(debmonitor_report)
        .where(debmonitor_report.c.id == number)
        .values(manifest_id=manifest_id)
    )


def find_known_packages(
    c: Connection, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[KnownPackage]]:
    """What is known of these packages of Debian, by name and version: read of some image, or told."""
    found: dict[tuple[str, str], list[KnownPackage]] = {}
    columns = (package_version.c.name, package_version.c.version)
    query = select(
        *columns, package_version.c.arch, package_version.c.source, package_version.c.source_version
    ).where(
        tuple_(*columns).in_(bindparam("pairs", expanding=True)), package_version.c.type == "deb"
    )
    for batch in batches(sorted(set(wanted)), _PAIRS):
        for name, version, *rest in c.execute(query, {"pairs": batch}):
            found.setdefault((name, version), []).append(KnownPackage(*rest))
    return found


class Pushed(Struct, frozen=True):
    """What a DebMonitor was told last of one name."""

    digest: bytes
    pushed: datetime


def list_pushed(c: Connection, server: str, kind: str) -> dict[str, Pushed]:
    """What this DebMonitor was told of images or of clusters, by name."""
    query = select(debmonitor_push.c.name, debmonitor_push.c.digest, debmonitor_push.c.pushed)
    rows = c.execute(
        query.where(debmonitor_push.c.server == server, debmonitor_push.c.kind == kind)
    )
    return {name: Pushed(bytes(digest), pushed) for name, digest, pushed in rows}


def note_pushed(
    c: Connection, server: str, kind: str, told: Iterable[tuple[str, bytes]], *, now: datetime
) -> None:
    """Remember what was told (name, digest)."""
    rows = [
        {"server": server, "kind": kind, "name": name, "digest": digest, "pushed": now}
        for name, digest in sorted(told)
    ]
    for batch in batches(rows):
        upsert(c, debmonitor_push, batch)


def forget_pushed(c: Connection, server: str, kind: str, names: Collection[str]) -> None:
    """Forget that these were told, for the other side has them no more."""
    for batch in batches(sorted(names)):
        c.execute(
            debmonitor_push.delete().where(
                debmonitor_push.c.server == server,
                debmonitor_push.c.kind == kind,
                debmonitor_push.c.name.in_(batch),
            )
        )
