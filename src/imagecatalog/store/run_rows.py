"""Writes what runs: the rows of clusters, workloads, images as runtimes name them, and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, tuple_, update

from imagecatalog.store.dialect import batches, insert_new
from imagecatalog.store.schema import cluster, run, run_image, workload

Names = Iterable[tuple[str, str]]
_FEW = 300
"""Pairs of names in one statement."""


def put_cluster(
    c: Connection, name: str, *, kind: str | None = None
) -> tuple[int, datetime | None]:
    """Its id and last whole scan; no other scan of it is taken before this one's end.

    A kind (kubernetes, docker, podman) that is given is kept.
    """
    find = select(cluster.c.id, cluster.c.last_scan, cluster.c.kind).where(cluster.c.name == name)
    find = find.with_for_update(key_share=True)
    row = c.execute(find).one_or_none()
    if row is None:
        insert_new(c, cluster, [{"name": name, "kind": kind or "kubernetes"}])
        row = c.execute(find).one()
    if kind is not None and row.kind != kind:
        c.execute(update(cluster).where(cluster.c.id == row.id).values(kind=kind))
    return row.id, row.last_scan


def put_workloads(c: Connection, number: int, names: Names) -> dict[tuple[str, str], int]:
    """The numbers of a cluster's workloads by namespace and name, written where new."""
    wanted = sorted(set(names))
    found = _find_workloads(c, number, wanted)
    new = [pair for pair in wanted if pair not in found]
    rows = [{"cluster_id": number, "namespace": there, "name": name} for there, name in new]
    for batch in batches(rows):
        insert_new(c, workload, batch)
    return found | _find_workloads(c, number, new)


def _find_workloads(
    c: Connection, number: int, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for batch in batches(names, _FEW):
        query = select(workload.c.namespace, workload.c.name, workload.c.id).where(
            workload.c.cluster_id == number,
            tuple_(workload.c.namespace, workload.c.name).in_(batch),
        )
        found.update(((namespace, name), id_) for namespace, name, id_ in c.execute(query))
    return found


def put_run_images(c: Connection, names: Names) -> dict[tuple[str, str], int]:
    """The numbers of images as runtimes name them (name, what is reported), written where new."""
    wanted = set(names)
    found = _find_images(c, wanted)
    # In one order, so that two scans do not wait for each other.
    rows = [{"image": image, "image_id": id_} for image, id_ in sorted(wanted - found.keys())]
    for batch in batches(rows):
        insert_new(c, run_image, batch)
    return found | _find_images(c, wanted - found.keys())


def _find_images(c: Connection, names: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for batch in batches(sorted(names), _FEW):
        query = select(run_image.c.image, run_image.c.image_id, run_image.c.id).where(
            tuple_(run_image.c.image, run_image.c.image_id).in_(batch)
        )
        found.update(((image, id_), number) for image, id_, number in c.execute(query))
    return found


def measure_span(since: datetime, until: datetime) -> int:
    """The power of two of the seconds between two moments, by which runs are found at a moment."""
    return int((until - since).total_seconds()).bit_length() - 1


def end_runs(c: Connection, numbers: Iterable[int], *, until: datetime, seen: datetime) -> None:
    """End these; one that begins no earlier never was."""
    for batch in batches(sorted(numbers)):
        c.execute(delete(run).where(run.c.id.in_(batch), run.c.since >= until))
        spans: dict[int, list[int]] = {}
        for number, since in c.execute(select(run.c.id, run.c.since).where(run.c.id.in_(batch))):
            spans.setdefault(measure_span(since, until), []).append(number)
        for span, those in spans.items():
            values = {"until": until, "seen": seen, "span": span, "state": "", "reason": ""}
            c.execute(update(run).where(run.c.id.in_(those)).values(values))


def insert_runs(c: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Write intervals, by the columns that they have: the others are as of a pod that runs."""
    for batch in batches(_fill(row) for row in rows):
        insert_new(c, run, batch)


def _fill(row: dict[str, Any]) -> dict[str, Any]:
    since, until = row["since"], row.get("until")
    return (
        _REST
        | row
        | {
            "seen": row.get("seen", since),
            "span": None if until is None else measure_span(since, until),
        }
    )


_REST = {"replicas": 1, "until": None, "origin": None, "state": "", "reason": ""}


def delete_runs(c: Connection, numbers: Iterable[int]) -> None:
    """Have these never been."""
    for batch in batches(sorted(numbers)):
        c.execute(delete(run).where(run.c.id.in_(batch)))


_CHANGE = (
    update(run)
    .where(run.c.id == bindparam("number"))
    .values(state=bindparam("new_state"), reason=bindparam("new_reason"))
)
_GIVE = (
    update(workload).where(workload.c.id == bindparam("number")).values(team=bindparam("new_team"))
)


def note_conditions(c: Connection, changed: Sequence[tuple[int, str, str]]) -> None:
    """Keep how runs are now: (number, state, reason)."""
    for batch in batches(changed):
        rows = [{"number": n, "new_state": s, "new_reason": r} for n, s, r in batch]
        c.execute(_CHANGE, rows)


def note_teams(c: Connection, teams: dict[int, str], *, latest: bool) -> None:
    """Keep whose workloads are; what is not the latest word is kept only where nobody said."""
    for batch in batches(sorted(teams)):
        query = select(workload.c.id, workload.c.team).where(workload.c.id.in_(batch))
        rows = [
            {"number": number, "new_team": teams[number]}
            for number, team in c.execute(query)
            if team != teams[number] and (latest or not team)
        ]
        if rows:
            c.execute(_GIVE, rows)
