"""What runs and what ran: containers as intervals between scans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    column,
    func,
    or_,
    select,
    type_coerce,
    union_all,
    update,
    values,
)

from imagecatalog.domain.answers import Place
from imagecatalog.store.dialect import batches
from imagecatalog.store.scans import record_pods, record_scan
from imagecatalog.store.schema import cluster, run, run_image, workload

__all__ = [
    "AliveImage",
    "Match",
    "RunFilter",
    "RunImage",
    "RunRow",
    "join_places",
    "list_alive",
    "list_clusters",
    "list_named",
    "list_places",
    "list_runs",
    "list_unmatched",
    "record_pods",
    "record_scan",
    "save_matches",
]


class Match(Struct, frozen=True):
    """Which image it is that runtimes name so, and how that is known."""

    manifest_id: int
    index_id: int | None
    """The index by which it was named."""
    matched_by: str
    """manifest, index, config or tag."""


class RunImage(Struct, frozen=True):
    """An image as runtimes name it."""

    id: int
    image: str
    image_id: str
    since: datetime
    """Since when the first of those runs that run now."""
    match: Match | None
    """As it is kept."""


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
        if self.at is None:
            found.append(run.c.until.is_(None))
            where: ColumnElement[int] = run.c.cluster_id
            whose: ColumnElement[int] = run.c.workload_id
        else:
            found.append(run.c.id.in_(_list_then(self.at)))
            # A sum is in no index: no other one leads to fewer rows than the moment does.
            where, whose = run.c.cluster_id + 0, run.c.workload_id + 0
        if self.cluster is not None:
            found.append(where.in_(select(cluster.c.id).where(cluster.c.name == self.cluster)))
        if self.namespace is not None:
            there = select(workload.c.id).where(workload.c.namespace == self.namespace)
            found.append(whose.in_(there))
        if self.team is not None:
            theirs = select(workload.c.id).where(workload.c.team == self.team)
            found.append(whose.in_(theirs))
        return found


_SPANS = (
    values(column("span", Integer), column("seconds", BigInteger), name="spans")
    .data([(span, 2 ** (span + 1)) for span in range(32)])
    .cte()
)
"""Powers of two of seconds, for more than a century, and how long runs of that span are at most."""


def _list_then(at: datetime) -> CompoundSelect[Any]:
    """The runs of a moment: of each span only what ended soon enough after it is looked at."""
    then, ended = run.alias("then"), run.alias("ended")
    moment, until = int(at.timestamp()), type_coerce(ended.c.until, BigInteger)
    return union_all(
        select(then.c.id).where(then.c.until.is_(None), then.c.since <= at),
        select(ended.c.id)
        .select_from(_SPANS)
        .join(ended, ended.c.span == _SPANS.c.span)
        .where(until > moment, until < moment + _SPANS.c.seconds, ended.c.since <= at),
    )


def list_unmatched(c: Connection) -> list[RunImage]:
    """Images that run and that the catalog could not name, or only by their tag."""
    alive = (
        select(run.c.run_image_id, func.min(run.c.since).label("since"))
        .where(run.c.until.is_(None))
        .group_by(run.c.run_image_id)
        .subquery()
    )
    query = (
        select(
            run_image.c.id,
            run_image.c.image,
            run_image.c.image_id,
            alive.c.since,
            run_image.c.manifest_id,
            run_image.c.index_id,
            run_image.c.matched_by,
        )
        .join(alive, alive.c.run_image_id == run_image.c.id)
        .where(or_(run_image.c.manifest_id.is_(None), run_image.c.matched_by == "tag"))
        # In one order, so that two scans do not wait for each other.
        .order_by(run_image.c.id)
    )
    found = []
    for number, image, image_id, since, *match in c.execute(query):
        kept = None if match[0] is None else Match(*match)
        found.append(RunImage(number, image, image_id, since, kept))
    return found


def list_unmatched_past(c: Connection, *, limit: int) -> list[RunImage]:
    """Images that ran, named by a digest, and that the catalog could not name; the latest first.

    Their ``since`` is not looked for: a digest means the same at any time.
    """
    query = (
        select(run_image.c.id, run_image.c.image, run_image.c.image_id)
        .where(
            run_image.c.manifest_id.is_(None),
            or_(run_image.c.image_id.contains(":"), run_image.c.image.contains("@")),
            run_image.c.id.not_in(select(run.c.run_image_id).where(run.c.until.is_(None))),
        )
        .order_by(run_image.c.id.desc())
        .limit(limit)
    )
    return [RunImage(*row, since=_ALWAYS, match=None) for row in c.execute(query)]


_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

_MATCH = (
    update(run_image)
    .where(run_image.c.id == bindparam("number"))
    .values(
        manifest_id=bindparam("new_manifest"),
        index_id=bindparam("new_index"),
        matched_by=bindparam("new_way"),
    )
)


def save_matches(c: Connection, matches: Mapping[int, Match]) -> None:
    """Note which images they are that runtimes name so."""
    for batch in batches(sorted(matches)):
        rows = [
            {
                "number": number,
                "new_manifest": matches[number].manifest_id,
                "new_index": matches[number].index_id,
                "new_way": matches[number].matched_by,
            }
            for number in batch
        ]
        c.execute(_MATCH, rows)


def list_alive(c: Connection, wanted: RunFilter = RunFilter()) -> list[AliveImage]:  # noqa: B008
    """Every image that runs (or ran at the filter's moment), with its number of containers."""
    counts = select(run.c.run_image_id, func.sum(run.c.replicas).label("containers")).group_by(
        run.c.run_image_id
    )
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


_ORDER = (
    cluster.c.name,
    workload.c.namespace,
    workload.c.name,
    run.c.pod_name,
    run.c.container,
    run.c.id,
)
_ROWS = (
    select(
        run,
        cluster.c.name,
        workload.c.namespace,
        workload.c.name.label("workload"),
        workload.c.team,
        cluster.c.last_scan,
        cluster.c.last_told,
    )
    .join(cluster, cluster.c.id == run.c.cluster_id)
    .join(workload, workload.c.id == run.c.workload_id)
    .order_by(*_ORDER)
)


def list_runs(
    c: Connection,
    wanted: RunFilter,
    *,
    run_images: Sequence[int] | None = None,
    after: Sequence[Any] | None = None,
    limit: int | None = None,
) -> list[RunRow]:
    """Containers by cluster, namespace, workload, pod and container, from ``after`` on."""
    query: Select[Any] = _ROWS.where(*wanted.conditions())
    if run_images is not None:
        query = query.where(run.c.run_image_id.in_(run_images))
    if after is not None:
        query = query.where(_beyond(_ORDER, after))
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


def list_teams(c: Connection) -> list[str]:
    """The teams of which any workload was ever seen, by name."""
    query = select(workload.c.team).where(workload.c.team != "").distinct()
    return sorted(c.scalars(query))


def list_clusters(c: Connection) -> dict[str, datetime | None]:
    """Every cluster ever scanned, with its last whole scan."""
    return dict(
        c.execute(select(cluster.c.name, cluster.c.last_scan).order_by(cluster.c.name)).all()
    )
