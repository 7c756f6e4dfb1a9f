"""What runs and what ran: containers as intervals between scans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update

from imagecatalog.domain.answers import Place
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.store.dialect import batches, insert_new
from imagecatalog.store.schema import cluster, run, run_image, workload

Key = tuple[int, str, str, str, int]


class RunImage(Struct, frozen=True):
    """An image as runtimes name it."""

    id: int
    image: str
    image_id: str


class RunRow(Struct, frozen=True):
    """One container's interval."""

    id: int
    cluster: str
    namespace: str
    workload: str
    pod_name: str
    container: str
    kind: Literal["container", "init", "ephemeral"]
    run_image_id: int
    since: datetime
    seen: datetime
    until: datetime | None = None
    """The first scan that no longer saw it; None: it still runs."""
    replicas: int = 1
    """More than one, with no name of a pod: several, long past, summed up."""
    state: Literal["running", "waiting", "terminated", ""] = ""
    reason: str = ""
    team: str = ""


class AliveImage(Struct, frozen=True):
    """An image that runs, with how many containers run it."""

    run_image_id: int
    image: str
    image_id: str
    manifest_id: int | None
    index_id: int | None
    matched_by: str | None
    containers: int


class RunFilter(Struct, frozen=True):
    """Which runs are asked for; None means all."""

    cluster: str | None = None
    namespace: str | None = None
    at: datetime | None = None
    team: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        found: list[ColumnElement[bool]] = []
        if self.cluster is not None:
            found.append(cluster.c.name == self.cluster)
        if self.namespace is not None:
            there = select(workload.c.id).where(workload.c.namespace == self.namespace)
            found.append(run.c.workload_id.in_(there))
        if self.team is not None:
            theirs = select(workload.c.id).where(workload.c.team == self.team)
            found.append(run.c.workload_id.in_(theirs))
        if self.at is None:
            found.append(run.c.until.is_(None))
        else:
            found.append(run.c.since <= self.at)
            found.append(or_(run.c.until.is_(None), run.c.until > self.at))
        return found


def record_scan(
    c: Connection,
    name: str,
    containers: Iterable[RunningContainer],
    *,
    at: datetime,
    now: datetime | None = None,  # noqa: ARG001
) -> tuple[int, int, int]:
    """Take one whole scan of a cluster: how many containers run, appeared and ended.

    A scan not newer than the last one changes nothing of what runs. Containers the scan did not
    see end at ``at``; the others go on.
    """
    number, last = put_cluster(c, name)
    items = set(containers)
    if last is not None and at <= last:
        return len(items), 0, 0
    images = put_run_images(c, {(item.image, item.image_id) for item in items})
    owners = put_workloads(c, number, {(item.namespace, item.workload) for item in items})
    found: dict[Key, RunningContainer] = {
        (
            owners[item.namespace, item.workload],
            item.pod_name,
            item.container,
            item.kind,
            images[item.image, item.image_id],
        ): item
        for item in items
    }
    columns = (
        run.c.workload_id,
        run.c.pod_name,
        run.c.container,
        run.c.kind,
        run.c.run_image_id,
    )
    alive: dict[Key, int] = {
        (row[1], row[2], row[3], row[4], row[5]): row[0]
        for row in c.execute(
            select(run.c.id, *columns).where(run.c.cluster_id == number, run.c.until.is_(None))
        )
    }
    ended = [alive[key] for key in alive.keys() - found.keys()]
    end_runs(c, ended, until=at, seen=last or at)
    new = sorted(found.keys() - alive.keys())
    names = [column.name for column in columns]
    insert_new(
        c,
        run,
        [
            dict(zip(names, key, strict=True)) | {"cluster_id": number, "since": at, "seen": at}
            for key in new
        ],
    )
    c.execute(update(cluster).where(cluster.c.id == number).values(last_scan=at))
    return len(found), len(new), len(ended)


def put_cluster(c: Connection, name: str) -> tuple[int, datetime | None]:
    """Its id and last whole scan; no other scan of it is taken before this one's end."""
    insert_new(c, cluster, [{"name": name}])
    find = select(cluster.c.id, cluster.c.last_scan).where(cluster.c.name == name)
    row = c.execute(find.with_for_update(key_share=True)).one()
    return row.id, row.last_scan


def put_workloads(
    c: Connection, number: int, names: set[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The numbers of a cluster's workloads by namespace and name, written where new."""
    rows = [
        {"cluster_id": number, "namespace": namespace, "name": name}
        for namespace, name in sorted(names)
    ]
    insert_new(c, workload, rows)
    found: dict[tuple[str, str], int] = {}
    for batch in batches({namespace for namespace, _ in names}):
        query = select(workload.c.namespace, workload.c.name, workload.c.id).where(
            workload.c.cluster_id == number, workload.c.namespace.in_(batch)
        )
        found.update(((namespace, name), id_) for namespace, name, id_ in c.execute(query))
    return found


def measure_span(since: datetime, until: datetime) -> int:
    """The power of two of the seconds between two moments, by which runs are found at a moment."""
    return int((until - since).total_seconds()).bit_length() - 1


def end_runs(c: Connection, numbers: Sequence[int], *, until: datetime, seen: datetime) -> None:
    """End these; one that begins no earlier never was."""
    for batch in batches(numbers):
        c.execute(delete(run).where(run.c.id.in_(batch), run.c.since >= until))
        rows = c.execute(select(run.c.id, run.c.since).where(run.c.id.in_(batch))).all()
        spans: dict[int, list[int]] = {}
        for number, since in rows:
            spans.setdefault(measure_span(since, until), []).append(number)
        for span, those in spans.items():
            values = {"until": until, "seen": seen, "span": span, "state": "", "reason": ""}
            c.execute(update(run).where(run.c.id.in_(those)).values(values))


def put_run_images(c: Connection, names: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The numbers of images as runtimes name them (name, what is reported), written where new."""
    insert_new(c, run_image, [{"image": image, "image_id": id_} for image, id_ in sorted(names)])
    found: dict[tuple[str, str], int] = {}
    for batch in batches({image for image, _ in names}):
        query = select(run_image.c.image, run_image.c.image_id, run_image.c.id).where(
            run_image.c.image.in_(batch)
        )
        found.update(((image, id_), number) for image, id_, number in c.execute(query))
    return found


def list_unmatched(c: Connection) -> list[RunImage]:
    """Images that run and that the catalog could not name, or only by their tag."""
    alive = select(run.c.run_image_id).where(run.c.until.is_(None))
    query = select(run_image.c.id, run_image.c.image, run_image.c.image_id).where(
        or_(run_image.c.manifest_id.is_(None), run_image.c.matched_by == "tag"),
        run_image.c.id.in_(alive),
    )
    # In one order, so that two scans do not wait for each other.
    query = query.order_by(run_image.c.id)
    return [RunImage(*row) for row in c.execute(query)]


def save_match(
    c: Connection, number: int, *, manifest_id: int, index_id: int | None, matched_by: str
) -> None:
    """Note which image it is that runtimes name so."""
    c.execute(
        update(run_image)
        .where(run_image.c.id == number)
        .values(manifest_id=manifest_id, index_id=index_id, matched_by=matched_by)
    )


def list_alive(c: Connection, wanted: RunFilter = RunFilter()) -> list[AliveImage]:  # noqa: B008
    """Every image that runs (or ran at the filter's moment), with its number of containers."""
    counts = select(run.c.run_image_id, func.sum(run.c.replicas).label("containers")).group_by(
        run.c.run_image_id
    )
    if wanted.cluster is not None:
        counts = counts.join(cluster, cluster.c.id == run.c.cluster_id)
    counted = counts.where(*wanted.conditions()).subquery()
    query = select(
        run_image.c.id,
        run_image.c.image,
        run_image.c.image_id,
        run_image.c.manifest_id,
        run_image.c.index_id,
        run_image.c.matched_by,
        counted.c.containers,
    ).join(counted, counted.c.run_image_id == run_image.c.id)
    return [AliveImage(*row) for row in c.execute(query)]


def list_named(c: Connection, manifest_id: int) -> list[int]:
    """Every name by which runtimes ever called an image."""
    query = select(run_image.c.id).where(run_image.c.manifest_id == manifest_id)
    return list(c.scalars(query))


def join_places(places: Iterable[Place]) -> tuple[Place, ...]:
    """One place for each workload, even where it names the image in two ways."""
    counted: dict[tuple[str, str, str], int] = {}
    for place in places:
        key = (place.cluster, place.namespace, place.workload)
        counted[key] = counted.get(key, 0) + place.containers
    return tuple(
        Place(cluster=cluster, namespace=namespace, workload=workload, containers=number)
        for (cluster, namespace, workload), number in sorted(counted.items())
    )


def list_places(
    c: Connection,
    run_images: Sequence[int],
    wanted: RunFilter = RunFilter(),  # noqa: B008
) -> dict[int, list[Place]]:
    """The workloads that run each of these: by cluster, namespace and name."""
    places: dict[int, list[Place]] = {}
    columns = (cluster.c.name, workload.c.namespace, workload.c.name)
    for batch in batches(run_images):
        query = (
            select(run.c.run_image_id, *columns, func.sum(run.c.replicas))
            .join(cluster, cluster.c.id == run.c.cluster_id)
            .join(workload, workload.c.id == run.c.workload_id)
            .where(run.c.run_image_id.in_(batch), *wanted.conditions())
            .group_by(run.c.run_image_id, *columns)
            .order_by(*columns)
        )
        for number, name, namespace, owner, count in c.execute(query):
            place = Place(cluster=name, namespace=namespace, workload=owner, containers=count)
            places.setdefault(number, []).append(place)
    return places


def list_runs(
    c: Connection,
    wanted: RunFilter,
    *,
    run_images: Sequence[int] | None = None,
    after: Sequence[Any] | None = None,
    limit: int | None = None,
) -> list[RunRow]:
    """Containers by cluster, namespace, workload, pod and container, from ``after`` on."""
    order = (
        cluster.c.name,
        workload.c.namespace,
        workload.c.name,
        run.c.pod_name,
        run.c.container,
        run.c.id,
    )
    query: Select[Any] = (
        select(
            run.c.id,
            cluster.c.name,
            workload.c.namespace,
            workload.c.name.label("workload"),
            run.c.pod_name,
            run.c.container,
            run.c.kind,
            run.c.run_image_id,
            run.c.since,
            run.c.seen,
            run.c.until,
            run.c.origin,
            cluster.c.last_scan,
            cluster.c.last_told,
            run.c.replicas,
            run.c.state,
            run.c.reason,
            workload.c.team,
        )
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .join(workload, workload.c.id == run.c.workload_id)
        .where(*wanted.conditions())
        .order_by(*order)
    )
    if run_images is not None:
        query = query.where(run.c.run_image_id.in_(run_images))
    if after is not None:
        query = query.where(_beyond(order, after))
    if limit is not None:
        query = query.limit(limit)
    return [
        RunRow(
            row.id,
            row.name,
            row.namespace,
            row.workload,
            row.pod_name,
            row.container,
            row.kind,
            row.run_image_id,
            row.since,
            _last_sight(row),
            row.until,
            row.replicas,
            row.state,
            row.reason,
            row.team,
        )
        for row in c.execute(query)
    ]


def _last_sight(row: Any) -> datetime:
    if row.until is not None:
        return row.seen  # type: ignore[no-any-return]
    return row.last_scan if row.origin is None else row.last_told  # type: ignore[no-any-return]


def _beyond(columns: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> ColumnElement[bool]:
    """Rows after a place in the order of these columns."""
    steps = [
        and_(
            *(before == value for before, value in zip(columns[:i], place[:i], strict=True)),
            columns[i] > place[i],
        )
        for i in range(len(columns))
    ]
    return or_(*steps)


def list_clusters(c: Connection) -> dict[str, datetime | None]:
    """Every cluster ever scanned, with its last whole scan."""
    return dict(
        c.execute(select(cluster.c.name, cluster.c.last_scan).order_by(cluster.c.name)).all()
    )
