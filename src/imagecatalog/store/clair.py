"""What Clair was handed and what it says: packages and statements once, however many images share them.

Of an image stand its packages; what Clair holds against a package version counts for every image
that holds it, as the newest report has it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Table, delete, or_, select, update

from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.packages import Unknown
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.second_opinions import ForeignReport, FoundPackage, Statement
from imagecatalog.store.dialect import (
    batches,
    insert_new,
    insert_pairs,
    insert_returning,
    lock_table,
    upsert,
)
from imagecatalog.store.images import IMAGE
from imagecatalog.store.schema import (
    clair_claim,
    clair_found,
    clair_image,
    clair_package,
    clair_server,
    clair_statement,
    layer,
    manifest,
    repository_manifest,
    run,
    run_image,
)

S = TypeVar("S", FoundPackage, Statement)
_PACK = msgspec.msgpack.Encoder()
_NAMES = msgspec.json.Decoder(tuple[str, ...])
_WRITE = msgspec.json.Encoder()


class ServerRow(Struct, frozen=True):
    """A Clair as it last answered."""

    id: int
    url: str
    index_state: str | None
    updates: str | None
    updated: datetime | None
    checked: datetime | None
    problem: Unknown | None


class HeldImage(Struct, frozen=True):
    """An image as a Clair has it."""

    number: int
    digest: Digest
    index_state: str | None
    """None: it is not indexed."""
    updates: str | None
    """What its report rests on; None: it is to be read anew."""
    reported: datetime | None
    unread: int
    wanted: datetime
    tried: datetime | None
    problem: Unknown | None


class ClaimRow(Struct, frozen=True):
    """A fault that Clair holds against a package of an image, and the layer that brought it."""

    package: FoundPackage
    statement: Statement
    layer: Digest | None


def put_server(c: Connection, url: str) -> ServerRow:
    """The Clair at this address; what another one was handed and said is forgotten."""
    others = list(c.scalars(select(clair_server.c.id).where(clair_server.c.url != url)))
    if others:
        forget(c, c.scalars(select(clair_image.c.manifest_id)).all())
        c.execute(delete(clair_server).where(clair_server.c.id.in_(others)))
    insert_new(c, clair_server, [{"url": url}])
    found = get_server(c)
    assert found is not None
    return found


def get_server(c: Connection) -> ServerRow | None:
    """The Clair that was last asked; None where none ever was."""
    row = c.execute(select(clair_server)).first()
    if row is None:
        return None
    return ServerRow(
        row.id, row.url, row.index_state, row.updates, row.updated, row.checked, _problem(row)
    )


def forget_server(c: Connection) -> None:
    """Have it as if no Clair had ever been asked."""
    if get_server(c) is not None:
        forget(c, c.scalars(select(clair_image.c.manifest_id)).all())
        c.execute(delete(clair_server))


def note_answer(
    c: Connection,
    server: int,
    *,
    index_state: str,
    updates: str | None,
    updated: datetime | None,
    problem: Unknown | None,
    now: datetime,
) -> None:
    """Keep how a Clair is; a ``problem`` where it answers and yet can judge nothing."""
    values = {
        "index_state": index_state,
        "updates": updates,
        "updated": updated,
        "checked": now,
    }
    _update(c, clair_server, clair_server.c.id == server, values | _unknown(problem))


def note_silence(c: Connection, server: int, problem: Unknown) -> None:
    """Keep why a Clair cannot be asked; what it said before stays, as of then."""
    _update(c, clair_server, clair_server.c.id == server, _unknown(problem))


def list_wanted(c: Connection, *, everything: bool) -> dict[int, Digest]:
    """The images that run now, or also all those that some repository has, by number."""
    alive = (
        select(run_image.c.manifest_id)
        .join(run, run.c.run_image_id == run_image.c.id)
        .where(run.c.until.is_(None), run_image.c.manifest_id.is_not(None))
    )
    there = select(repository_manifest.c.manifest_id).where(repository_manifest.c.gone_at.is_(None))
    chosen: ColumnElement[bool] = manifest.c.id.in_(alive)
    if everything:
        chosen = or_(chosen, manifest.c.id.in_(there))
    query = select(manifest.c.id, manifest.c.digest).where(manifest.c.kind == IMAGE, chosen)
    return dict(c.execute(query.order_by(manifest.c.id)).all())


def list_gone(c: Connection, numbers: Collection[int]) -> set[int]:
    """Those of the images that no repository has any more."""
    kept: set[int] = set()
    for batch in batches(sorted(numbers)):
        query = select(repository_manifest.c.manifest_id).where(
            repository_manifest.c.manifest_id.in_(batch), repository_manifest.c.gone_at.is_(None)
        )
        kept.update(c.scalars(query))
    return set(numbers) - kept


def note_wanted(c: Connection, server: int, numbers: Iterable[int], *, now: datetime) -> None:
    """Keep that these images are wanted at the Clair; new ones are to be indexed."""
    rows = [
        {"manifest_id": number, "server_id": server, "unread": 0, "wanted": now}
        for number in sorted(numbers)
    ]
    upsert(c, clair_image, rows, keep=("server_id", "unread"))


def list_held(c: Connection, numbers: Collection[int] | None = None) -> list[HeldImage]:
    """Every image that a Clair was handed or is to be, or those of these, by number."""
    query = (
        select(clair_image, manifest.c.digest)
        .join(manifest, manifest.c.id == clair_image.c.manifest_id)
        .order_by(clair_image.c.manifest_id)
    )
    if numbers is None:
        return [_held(row) for row in c.execute(query)]
    found = []
    for batch in batches(sorted(numbers)):
        rows = c.execute(query.where(clair_image.c.manifest_id.in_(batch)))
        found += [_held(row) for row in rows]
    return found


def take(c: Connection, number: int, *, since: datetime, now: datetime) -> bool:
    """Have an image for this job alone; False where another has it since later than ``since``."""
    free = or_(clair_image.c.taken.is_(None), clair_image.c.taken < since)
    statement = update(clair_image).where(clair_image.c.manifest_id == number, free)
    return bool(c.execute(statement.values(taken=now)).rowcount)


def save_index(
    c: Connection, number: int, report: ForeignReport, *, state: str, now: datetime
) -> None:
    """Keep what Clair finds in an image; its report on faults is to be read anew."""
    _put_found(c, number, report.found)
    values = {"index_state": state, "indexed": now, "updates": None, "unread": report.unread}
    _settle(c, number, values | {"taken": None, "tried": None} | _unknown(None))


def save_report(
    c: Connection, number: int, report: ForeignReport, *, updates: str, now: datetime
) -> None:
    """Keep what Clair holds against an image's packages; what it no longer does is taken back."""
    packages = _put_found(c, number, report.found)
    every = {one for held in report.claims.values() for one in held}
    statements = _put(c, clair_statement, every)
    claims = {
        (packages[package], statements[one])
        for package, held in report.claims.items()
        for one in held
    }
    known: set[tuple[int, int]] = set()
    for batch in batches(sorted(packages.values())):
        query = select(clair_claim.c.package_id, clair_claim.c.statement_id)
        rows = c.execute(query.where(clair_claim.c.package_id.in_(batch)))
        known.update((package, one) for package, one in rows)
    gone: dict[int, list[int]] = defaultdict(list)
    for package, one in known - claims:
        gone[package].append(one)
    for package, some in sorted(gone.items()):
        for batch in batches(sorted(some)):
            c.execute(
                delete(clair_claim).where(
                    clair_claim.c.package_id == package, clair_claim.c.statement_id.in_(batch)
                )
            )
    insert_pairs(c, clair_claim, sorted(claims - known))
    values = {"updates": updates, "reported": now, "unread": report.unread}
    _settle(c, number, values | {"taken": None, "tried": None} | _unknown(None))


def note_failure(
    c: Connection, number: int, problem: Unknown, *, now: datetime, lost: bool = False
) -> None:
    """Keep why Clair says nothing of an image; ``lost``: it is no longer indexed there."""
    values = {"tried": now, "taken": None} | _unknown(problem)
    _settle(c, number, values | ({"index_state": None} if lost else {}))


def release(c: Connection, numbers: Collection[int]) -> None:
    """Leave images to the next job as they are."""
    for batch in batches(sorted(numbers)):
        _update(c, clair_image, clair_image.c.manifest_id.in_(batch), {"taken": None})


def note_news(c: Connection, digests: Iterable[Digest]) -> list[int]:
    """Have the reports of these images read anew; those of them that Clair was handed."""
    found: list[int] = []
    for batch in batches(sorted(set(digests))):
        query = (
            select(clair_image.c.manifest_id)
            .join(manifest, manifest.c.id == clair_image.c.manifest_id)
            .where(manifest.c.digest.in_(batch))
        )
        found += c.scalars(query)
    for some in batches(sorted(found)):
        _update(c, clair_image, clair_image.c.manifest_id.in_(some), {"updates": None})
    return found


def forget(c: Connection, numbers: Iterable[int]) -> None:
    """Drop what Clair said of these images, and what it then says of none."""
    for batch in batches(sorted(numbers)):
        c.execute(delete(clair_found).where(clair_found.c.manifest_id.in_(batch)))
        c.execute(delete(clair_image).where(clair_image.c.manifest_id.in_(batch)))
    sweep(c)


def sweep(c: Connection) -> None:
    """Drop packages that no image holds, and statements that are of no package."""
    lock_table(c, clair_package)
    lock_table(c, clair_statement)
    lone = select(clair_package.c.id).where(
        ~select(clair_found.c.package_id)
        .where(clair_found.c.package_id == clair_package.c.id)
        .exists()
    )
    c.execute(delete(clair_claim).where(clair_claim.c.package_id.in_(lone)))
    c.execute(delete(clair_package).where(clair_package.c.id.in_(lone)))
    idle = select(clair_statement.c.id).where(
        ~select(clair_claim.c.statement_id)
        .where(clair_claim.c.statement_id == clair_statement.c.id)
        .exists()
    )
    c.execute(delete(clair_statement).where(clair_statement.c.id.in_(idle)))


def list_found(c: Connection, number: int) -> dict[FoundPackage, Digest | None]:
    """The packages that Clair finds in an image, each with its layer, by name."""
    query = (
        select(clair_package, layer.c.digest.label("layer"))
        .join(clair_found, clair_found.c.package_id == clair_package.c.id)
        .outerjoin(layer, layer.c.id == clair_found.c.layer_id)
        .where(clair_found.c.manifest_id == number)
        .order_by(clair_package.c.name, clair_package.c.id)
    )
    return {_package(row): row.layer for row in c.execute(query)}


def list_claims(c: Connection, number: int) -> list[ClaimRow]:
    """What Clair holds against the packages of an image, by package and name."""
    query = (
        select(
            clair_package,
            layer.c.digest.label("layer"),
            clair_statement.c.id.label("statement"),
            clair_statement.c.updater,
            clair_statement.c.name.label("fault"),
            clair_statement.c.names,
            clair_statement.c.package,
            clair_statement.c.severity,
            clair_statement.c.urgency,
            clair_statement.c.fixed,
        )
        .join(clair_found, clair_found.c.package_id == clair_package.c.id)
        .join(clair_claim, clair_claim.c.package_id == clair_package.c.id)
        .join(clair_statement, clair_statement.c.id == clair_claim.c.statement_id)
        .outerjoin(layer, layer.c.id == clair_found.c.layer_id)
        .where(clair_found.c.manifest_id == number)
        .order_by(clair_package.c.name, clair_statement.c.name, clair_package.c.id)
    )
    packages: dict[int, FoundPackage] = {}
    statements: dict[int, Statement] = {}
    claims = []
    for row in c.execute(query):
        if row.id not in packages:
            packages[row.id] = _package(row)
        if row.statement not in statements:
            statements[row.statement] = _statement(row)
        claims.append(ClaimRow(packages[row.id], statements[row.statement], row.layer))
    return claims


def _put_found(
    c: Connection, number: int, found: Mapping[FoundPackage, Digest | None]
) -> dict[FoundPackage, int]:
    """The numbers of the packages, which are the image's from now on, and no others."""
    packages = _put(c, clair_package, found)
    digests = {digest for digest in found.values() if digest is not None}
    layers: dict[Digest, int] = {}
    for batch in batches(sorted(digests)):
        query = select(layer.c.digest, layer.c.id).where(layer.c.digest.in_(batch))
        layers.update((digest, one) for digest, one in c.execute(query))
    c.execute(delete(clair_found).where(clair_found.c.manifest_id == number))
    rows = [
        {
            "manifest_id": number,
            "package_id": packages[package],
            "layer_id": None if digest is None else layers.get(digest),
        }
        for package, digest in found.items()
    ]
    insert_new(c, clair_found, sorted(rows, key=lambda row: row["package_id"] or 0))
    return packages


def _put(c: Connection, table: Table, values: Iterable[S]) -> dict[S, int]:
    """The number of each, written where it is new; in one order for all who write."""
    lock_table(c, table)  # or a sweep could take what is found here
    by_digest = {hashlib.sha256(_PACK.encode(value)).digest()[:20]: value for value in values}
    found: dict[bytes, int] = {}
    for batch in batches(sorted(by_digest)):
        query = select(table.c.digest, table.c.id).where(table.c.digest.in_(batch))
        found.update((bytes(digest), number) for digest, number in c.execute(query))
    new = sorted(by_digest.keys() - found.keys())
    rows = [{"digest": digest} | _columns(by_digest[digest]) for digest in new]
    written = insert_returning(c, table, rows, table.c.digest, table.c.id)
    found.update((bytes(digest), number) for digest, number in written)
    return {value: found[digest] for digest, value in by_digest.items()}


def _columns(value: FoundPackage | Statement) -> dict[str, Any]:
    row = msgspec.structs.asdict(value)
    if isinstance(value, Statement):
        row["names"] = _WRITE.encode(value.names).decode()
        row["severity"] = SEVERITIES.index(value.severity)
    return row


def _package(row: Any) -> FoundPackage:
    return FoundPackage(
        type=row.type,
        name=row.name,
        version=row.version,
        arch=row.arch,
        source=row.source,
        source_version=row.source_version,
        distro=row.distro,
        origin=row.origin,
    )


def _statement(row: Any) -> Statement:
    return Statement(
        updater=row.updater,
        name=row.fault,
        names=_NAMES.decode(row.names),
        package=row.package,
        severity=SEVERITIES[row.severity],
        urgency=row.urgency,
        fixed=row.fixed,
    )


def _held(row: Any) -> HeldImage:
    return HeldImage(
        row.manifest_id,
        row.digest,
        row.index_state,
        row.updates,
        row.reported,
        row.unread,
        row.wanted,
        row.tried,
        _problem(row),
    )


def _problem(row: Any) -> Unknown | None:
    return Unknown(row.problem_code, row.problem_reason) if row.problem_code else None


def _unknown(problem: Unknown | None) -> dict[str, Any]:
    return {
        "problem_code": problem and problem.code,
        "problem_reason": problem and problem.reason,
    }


def _settle(c: Connection, number: int, values: Mapping[str, Any]) -> None:
    _update(c, clair_image, clair_image.c.manifest_id == number, values)


def _update(c: Connection, table: Table, which: Any, values: Mapping[str, Any]) -> None:
    c.execute(update(table).where(which).values(**values))
