"""The history of an image, a repository or a workload: tags, builds and runs, in one list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from imagecatalog.domain.lineage import BuildItem, HistoryItem
from imagecatalog.domain.pasts import WorkloadPast
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName
from imagecatalog.planning.ancestry import find_image
from imagecatalog.planning.workload_past import read_name, workload_past
from imagecatalog.store import builds, images, lookups, past, repositories, tags
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page, make_cursor, read_cursor
from imagecatalog.store.past import Stay

MOST_BUILT = 200
"""Images of a repository whose builds are listed: those told last."""

_MOST_STEPS = 6

_Place = tuple[float, str, str, str, str, str, str]


def history(
    c: Connection,
    reference: str,
    *,
    now: datetime,
    limit: int | None = None,
    after: str | None = None,
) -> Page[HistoryItem]:
    """What happened to an image, to all images of a repository, or to a workload: the last first.

    A repository is named without a tag, a workload as ``cluster/namespace/Kind/name``; an index
    stands for its usual image. Raises NotFound and BadName.
    """
    place = read_cursor(after, tuple[float, str, str, str, str, str, str])
    items = sorted(_list_items(c, reference, now), key=_place)
    if place is not None:
        items = [item for item in items if _place(item) > place]
    shown = items[:limit]
    return Page(tuple(shown), make_cursor(*_place(shown[-1])) if len(shown) < len(items) else None)


def _list_items(c: Connection, reference: str, now: datetime) -> Iterable[HistoryItem]:
    workload = read_name(reference)
    if workload is not None:
        return _of_workload(workload_past(c, workload, now=now))
    found = _find_repository(c, reference)
    return _of_image(c, reference) if found is None else _of_repository(c, *found)


def _place(item: HistoryItem) -> _Place:
    where = (item.cluster or "", item.namespace or "", item.container or item.workload or "")
    return (-item.at.timestamp(), item.event, item.image, item.digest or "", *where)


def _find_repository(c: Connection, text: str) -> tuple[int, str] | None:
    names = {text}
    with suppress(BadName):
        reference = Reference.parse(text)
        if reference.tag is not None or reference.digest is not None:
            return None
        names.add(reference.name)
    return past.find_repository(c, names)


def _of_image(c: Connection, reference: str) -> list[HistoryItem]:
    number = find_image(c, reference)
    row = lookups.list_images(c, [number])[number]
    name = images.best_names(c, [number]).get(number, str(row.digest))
    indexes = [index for index, _ in lookups.list_indexes(c, number)]
    pointed = tags.list_periods(c, [number, *indexes])
    periods = {(tag, str(digest), since, until) for tag, digest, since, until in pointed}
    return [
        *(_tagged(*one) for one in periods | set(_list_meanings(c, reference, pointed))),
        *_built(builds.list_builds(c, number), name, str(row.digest)),
        *_ran(past.list_stays(c, numbers=[number]), {number: str(row.digest)}),
    ]


def _list_meanings(
    c: Connection, reference: str, pointed: Iterable[tuple[str, object, datetime, datetime | None]]
) -> Iterable[tuple[str, str, datetime, datetime | None]]:
    """What a tag that is asked about pointed to, whichever image that was."""
    for name in {tag for tag, *_ in pointed if f"/{tag}".endswith(f"/{reference}")}:
        repository, _, asked = name.rpartition(":")
        for one in repositories.tag_history(c, repository):
            if one.tag == asked:
                yield name, one.digest, one.since, one.until


def _of_workload(past: WorkloadPast) -> Iterable[HistoryItem]:
    for stay in past.stays:
        verb = "runs" if stay.until is None else "ran"
        kind = "" if stay.kind == "container" else f"{stay.kind} "
        numbers = ", then ".join(f"{step.replicas:,}" for step in stay.steps[:_MOST_STEPS])
        more = " and so on" if len(stay.steps) > _MOST_STEPS else ""
        yield HistoryItem(
            event="run",
            at=stay.since,
            until=stay.until,
            image=stay.image,
            digest=stay.digest,
            detail=f"{verb} as {kind}{stay.container} ×{numbers}{more}, {stay.status}",
            cluster=past.cluster,
            namespace=past.namespace,
            workload=past.workload,
            container=stay.container,
            replicas=stay.steps,
        )


def _of_repository(c: Connection, number: int, name: str) -> list[HistoryItem]:
    items = [
        _tagged(f"{name}:{one.tag}", one.digest, one.since, one.until)
        for one in repositories.tag_history(c, name)
    ]
    built = past.list_built(c, number, MOST_BUILT)
    stays = past.list_stays(c, repository_id=number)
    rows = lookups.list_images(c, {*built, *(stay.image for stay in stays)})
    digests = {image: str(row.digest) for image, row in rows.items()}
    names = images.best_names(c, built)
    told: dict[BuildItem, int] = {}
    for image in built:
        for item in builds.list_builds(c, image):
            told.setdefault(item, image)
    for item, image in told.items():
        items += _built([item], names.get(image, f"{name}@{digests[image]}"), digests[image])
    return [*items, *_ran(stays, digests)]


def _tagged(name: str, digest: str, since: datetime, until: datetime | None) -> HistoryItem:
    return HistoryItem(
        event="tag",
        at=since,
        until=until,
        image=name,
        digest=digest,
        detail="points here" if until is None else "pointed here",
    )


def _built(found: Iterable[BuildItem], name: str, digest: str) -> Iterable[HistoryItem]:
    for item in found:
        yield HistoryItem(
            event="build",
            at=item.finished or item.started or item.received,
            until=None,
            image=item.image or name,
            digest=item.digest or digest,
            detail=describe_build(item),
            build=item,
        )


def describe_build(item: BuildItem) -> str:
    """``by docker-pkg 4.0.4 from bookworm:20261025, told by an annotation`` and the like."""
    by = " ".join(part for part in (item.builder, item.builder_version) if part)
    parents = [one.image or (one.digest or "")[:19] for one in item.parents if one.role == "base"]
    teller = "registered" if item.evidence == "registered" else f"told by its {item.evidence}"
    parts = [
        f"by {by}" if by else "",
        f"from {', '.join(parents)}" if parents else "",
        f"at {item.source_revision[:12]}" if item.source_revision else "",
        f"for: {item.reason}" if item.reason else "",
    ]
    return f"{' '.join(part for part in parts if part)}, {teller}".removeprefix(", ")


def _ran(stays: Sequence[Stay], digests: dict[int, str]) -> Iterable[HistoryItem]:
    for stay in stays:
        verb = "runs" if stay.until is None else "ran"
        yield HistoryItem(
            event="run",
            at=stay.since,
            until=stay.until,
            image=stay.name,
            digest=digests[stay.image],
            detail=f"{verb} in {stay.cluster}, {stay.namespace}, {stay.workload}",
            cluster=stay.cluster,
            namespace=stay.namespace,
            workload=stay.workload,
        )
