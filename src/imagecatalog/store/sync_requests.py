"""Tags and digests that are to be looked at in registries: pushed ones, and running ones never met.

A request stays until what it asks for was done. Who takes one has it for a while: when that ends
without a word, because the process was killed, the next may take it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from imagecatalog.store.dialect import batches, insert, insert_new
from imagecatalog.store.schema import sync_request

Origin = Literal["push", "running"]
WAITING_LIMIT = 10_000
"""Pushes that wait at most."""


class SyncRequest(Struct, frozen=True):
    """One request; ``tries`` are those that failed."""

    id: int
    repository: str
    """Registry and path."""
    reference: str
    """A tag, or a digest."""
    asked: int
    tries: int
    problem: str | None


def ask(c: Connection, wanted: Collection[tuple[str, str]], *, now: datetime) -> bool:
    """Have pushed (repository, reference) looked at, at once; False where too many wait already.

    One that waits waits on. One that a job is at is looked at once more after that.
    """
    count = select(func.count()).where(sync_request.c.origin == "push")
    if (c.scalar(count) or 0) + len(wanted) > WAITING_LIMIT:
        return False
    rows = [
        {"repository": repository, "reference": reference, "origin": "push"}
        | {"asked": 1, "received": now, "due": now, "tries": 0}
        for repository, reference in sorted(set(wanted))
    ]
    if rows:
        again = insert(c, sync_request).on_conflict_do_update(
            index_elements=["repository", "reference", "origin"],
            set_={"asked": sync_request.c.asked + 1, "due": now, "tries": 0},
        )
        c.execute(again, rows)
    return True


def ask_running(c: Connection, wanted: Set[tuple[str, str]], *, now: datetime) -> None:
    """Have what runs looked at by the syncs; what is not among these any more is forgotten.

    One that failed before is due when it was.
    """
    known = select(sync_request.c.id, sync_request.c.repository, sync_request.c.reference)
    rows = c.execute(known.where(sync_request.c.origin == "running")).all()
    gone = [row.id for row in rows if (row.repository, row.reference) not in wanted]
    for batch in batches(sorted(gone)):
        c.execute(delete(sync_request).where(sync_request.c.id.in_(batch)))
    insert_new(
        c,
        sync_request,
        [
            {"repository": repository, "reference": reference, "origin": "running"}
            | {"asked": 1, "received": now, "due": now, "tries": 0}
            for repository, reference in sorted(wanted)
        ],
    )


def has_due(c: Connection, origin: Origin, *, now: datetime) -> bool:
    """Whether any is to be looked at by now."""
    query = select(sync_request.c.id).where(
        sync_request.c.origin == origin, sync_request.c.due <= now
    )
    return c.scalar(query.limit(1)) is not None


def take(
    c: Connection, origin: Origin, *, now: datetime, lease: timedelta, limit: int
) -> list[SyncRequest]:
    """Those that are due, the first asked for first; nobody else gets them within the lease."""
    columns = [sync_request.c[name] for name in SyncRequest.__struct_fields__]
    query = (
        select(*columns)
        .where(sync_request.c.origin == origin, sync_request.c.due <= now)
        .order_by(sync_request.c.received, sync_request.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    taken = [SyncRequest(*row) for row in c.execute(query)]
    for batch in batches([one.id for one in taken]):
        values = {"due": now + lease}
        c.execute(update(sync_request).where(sync_request.c.id.in_(batch)).values(**values))
    return taken


def finish(c: Connection, done: Iterable[SyncRequest]) -> None:
    """They are done with, but for those that were asked for again meanwhile."""
    rows = [{"number": one.id, "times": one.asked} for one in done]
    if rows:
        c.execute(delete(sync_request).where(*_as_taken()), rows)


def postpone(c: Connection, one: SyncRequest, problem: str, *, due: datetime) -> None:
    """It failed: try again later, unless it was asked for again meanwhile."""
    change = update(sync_request).where(*_as_taken()).values(problem=problem, due=due)
    change = change.values(tries=sync_request.c.tries + 1)
    c.execute(change, {"number": one.id, "times": one.asked})


def release(c: Connection, *, now: datetime) -> None:
    """Make all pushes due: nobody is at them, who was is dead."""
    mine = sync_request.c.origin == "push"
    c.execute(update(sync_request).where(mine, sync_request.c.due > now).values(due=now))


def list_problems(c: Connection) -> dict[tuple[str, str], str]:
    """Why what runs could not be had, by repository and reference."""
    query = select(
        sync_request.c.repository, sync_request.c.reference, sync_request.c.problem
    ).where(sync_request.c.origin == "running", sync_request.c.problem.is_not(None))
    return {(repository, reference): why for repository, reference, why in c.execute(query)}


def _as_taken() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (sync_request.c.id == bindparam("number"), sync_request.c.asked == bindparam("times"))
