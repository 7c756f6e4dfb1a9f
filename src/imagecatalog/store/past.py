"""The past of images and of whole repositories: where they ran, and which were built."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, or_, select

from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    build,
    cluster,
    manifest,
    repository,
    repository_manifest,
    run,
    run_image,
    workload,
)

MOST_RUNS = 20_000
"""Intervals of single containers that a history rests on: the last of them."""


class Stay(Struct, frozen=True):
    """A time for which a workload ran an image, in whichever of its pods."""

    image: int
    name: str
    """As the pod names it."""
    cluster: str
    namespace: str
    workload: str
    since: datetime
    until: datetime | None
    """The first scan that no longer saw it; None: it still runs."""


def find_repository(c: Connection, names: Collection[str]) -> tuple[int, str] | None:
    """The repository of one of these names, else the only one that ends so after a slash."""
    query = select(repository.c.id, repository.c.name).order_by(repository.c.name)
    exact = c.execute(query.where(repository.c.name.in_(names))).first()
    if exact is not None:
        return exact.id, exact.name
    ends = or_(*(repository.c.name.endswith("/" + name, autoescape=True) for name in names))
    found = c.execute(query.where(ends).limit(2)).all()
    return (found[0].id, found[0].name) if len(found) == 1 else None


def list_stays(
    c: Connection, *, numbers: Collection[int] = (), repository_id: int | None = None
) -> list[Stay]:
    """Where these images ran, or all that the repository has or had: the last first."""
    if repository_id is not None:
        held = select(repository_manifest.c.manifest_id).where(
            repository_manifest.c.repository_id == repository_id
        )
        return _join(_list_runs(c, run_image.c.manifest_id.in_(held)))
    rows: list[Any] = []
    for batch in batches(set(numbers)):
        rows += _list_runs(c, run_image.c.manifest_id.in_(batch))
    return _join(rows)


def _list_runs(c: Connection, which: ColumnElement[bool]) -> list[Any]:
    query: Select[Any] = (
        select(
            run_image.c.manifest_id,
            run_image.c.image,
            cluster.c.name,
            workload.c.namespace,
            workload.c.name.label("workload"),
            run.c.since,
            run.c.until,
        )
        .join(run, run.c.run_image_id == run_image.c.id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .where(which)
        .order_by(run.c.since.desc(), run.c.id.desc())
        .limit(MOST_RUNS)
    )
    return list(c.execute(query))


def _join(rows: list[Any]) -> list[Stay]:
    """One stay for containers of a workload that followed one another without a gap."""
    stays: list[Stay] = []
    last: dict[tuple[Any, ...], int] = {}
    for row in sorted(rows, key=lambda row: row.since):
        key = (row.manifest_id, row.image, row.name, row.namespace, row.workload)
        place = last.get(key)
        held = None if place is None else stays[place]
        if held is None or place is None or (held.until is not None and held.until < row.since):
            last[key] = len(stays)
            stays.append(Stay(*key, row.since, row.until))
            continue
        until = None if held.until is None or row.until is None else max(held.until, row.until)
        stays[place] = Stay(*key, held.since, until)
    return sorted(stays, key=lambda stay: (stay.since, stay.image), reverse=True)


def list_built(c: Connection, repository_id: int, limit: int) -> list[int]:
    """Images and indexes of a repository of which builds were told, the last told first."""
    query = (
        select(manifest.c.id)
        .join(build, build.c.subject == manifest.c.digest)
        .join(repository_manifest, repository_manifest.c.manifest_id == manifest.c.id)
        .where(repository_manifest.c.repository_id == repository_id)
        .order_by(build.c.id.desc())
        .limit(limit)
    )
    return list(dict.fromkeys(c.scalars(query)))
