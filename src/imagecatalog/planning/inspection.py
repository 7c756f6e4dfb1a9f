"""One image in all its detail, and the images of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from imagecatalog.catalog.lineage import list_bases
from imagecatalog.domain.answers import (
    ImageDetail,
    ImageSummary,
    LayerItem,
    PackageItem,
    Place,
    TagPeriod,
    ToldUpdates,
    Update,
)
from imagecatalog.domain.apt import AptSetup
from imagecatalog.errors import NotFound, hide_secrets
from imagecatalog.formats.apt_sources import format_source
from imagecatalog.planning.ancestry import inherit, package_origins
from imagecatalog.planning.drift import find_drifts
from imagecatalog.planning.severities import rate_updates
from imagecatalog.planning.told import describe_told, list_told
from imagecatalog.planning.verdicts import JudgedImage, judge_images
from imagecatalog.store import (
    apt,
    drifts,
    images,
    lookups,
    packages,
    repositories,
    runs,
    tags,
    updates,
)
from imagecatalog.store.attachments import list_attachments
from imagecatalog.store.engine import Connection
from imagecatalog.store.labels import labelled, list_labels
from imagecatalog.store.page import Page, make_cursor, read_cursor


def image_detail(c: Connection, reference: str, *, now: datetime) -> ImageDetail:
    """All of one image, named by a reference, a digest, or a digest's first letters.

    An index stands for its linux/amd64 image, or its first. Raises NotFound and BadName.
    """
    number = lookups.resolve(c, reference)
    number = lookups.choose_members(c, [number]).get(number, number)
    judged = judge_images(c, [number], now=now)[number]
    row = lookups.list_images(c, [number])[number]
    indexes = lookups.list_indexes(c, number)
    repositories = lookups.list_repositories_of(c, number)
    names = images.list_tag_names(c, [number]).get(number, [])
    name = images.best_names(c, [number]).get(number, str(row.digest))
    listed = inherit(c, {number: _updates_of(c, judged)})[number]
    setup = apt.list_setups(c, [row.setup_id])[0].setup if row.setup_id is not None else None
    return ImageDetail(
        image=reference if reference in names else name,
        digest=str(row.digest),
        index_digest=tuple(str(digest) for _, digest in indexes),
        platform=row.platform,
        media_type=row.media_type,
        config_digest=str(row.config_digest) if row.config_digest else None,
        created=row.created,
        first_seen=row.first_seen,
        gone=_gone(repositories),
        distro=row.distro,
        names=tuple(repository for repository, _ in repositories),
        tags=_periods(c, [number, *(index for index, _ in indexes)]),
        verdict=judged.verdict,
        updates=listed,
        packages=_packages_of(c, number, row.set_id, listed),
        layers=tuple(
            LayerItem(digest=str(item.digest), size=item.size, problem=item.problem)
            for item in lookups.list_layers(c, number)
        ),
        running=_places_of(c, number),
        apt_sources=_describe_sources(setup),
        labels=list_labels(c, number),
        attachments=list_attachments(c, number),
        problems=row.problems,
        base=_base_of(c, number),
        newer=judged.newer,
        newer_base=judged.newer_base,
        debmonitor=_told_of(c, number, row.set_id, judged, listed),
        drift=tuple(find_drifts(c, drifts.list_running_names(c, number)).values()),
    )


def _told_of(
    c: Connection, number: int, set_id: int | None, judged: JudgedImage, listed: Sequence[Update]
) -> ToldUpdates | None:
    counts = judged.report is not None or judged.verdict.status == "unknown"
    held = () if set_id is None else packages.list_packages(c, set_id)
    return describe_told(c, number, counts=counts, ours=listed, packages=held)


def _base_of(c: Connection, number: int) -> str | None:
    base = list_bases(c, [number]).get(number)
    return images.best_names(c, [base]).get(base) if base is not None else None


def _describe_sources(setup: AptSetup | None) -> tuple[str, ...]:
    """A line for each source; a password in an address is nobody else's to know."""
    return tuple(hide_secrets(format_source(source)) for source in setup.sources) if setup else ()


def _gone(repositories: list[tuple[str, datetime | None]]) -> datetime | None:
    moments = [moment for _, moment in repositories]
    if not moments or None in moments:
        return None
    return max(moment for moment in moments if moment is not None)


def _periods(c: Connection, numbers: list[int]) -> tuple[TagPeriod, ...]:
    return tuple(
        TagPeriod(tag=name, digest=str(digest), since=since, until=until)
        for name, digest, since, until in tags.list_periods(c, numbers)
    )


def _updates_of(c: Connection, judged: JudgedImage) -> tuple[Update, ...]:
    if judged.report is not None:
        return list_told(c, [judged.report])[judged.report]
    own = updates.list_updates(c, [judged.pair])[judged.pair] if judged.pair else ()
    return rate_updates(c, (*own, *judged.fixes), judged.hidden)


def _packages_of(
    c: Connection, number: int, set_id: int | None, listed: tuple[Update, ...]
) -> tuple[PackageItem, ...]:
    if set_id is None:
        return ()
    newer = {(item.package, item.arch, item.installed): item for item in listed}
    held = packages.list_held(c, [set_id]).get(set_id, ())
    brought = {
        (one.type, one.package, one.arch, one.installed): one.inherited_from
        for one in package_origins(c, number)
    }
    foreign = packages.find_third_party(c, set_id)
    items = []
    for version_id, package in packages.list_numbered(c, set_id):
        key = (package.name, package.arch, package.version)
        update = newer.get(key) or newer.get((package.name, "", package.version))
        items.append(
            PackageItem(
                package=package.name,
                type=package.type,
                arch=package.arch,
                source=package.source,
                source_version=package.source_version,
                installed=package.version,
                candidate=update.candidate if update else None,
                security=update.security if update else False,
                held=f"{package.name}:{package.arch}" in held,
                origin=update.origin if update else None,
                inherited_from=brought.get(
                    (package.type, package.name, package.arch, package.version)
                ),
                third_party=version_id in foreign,
            )
        )
    return tuple(items)


def _places_of(c: Connection, number: int) -> tuple[Place, ...]:
    places = runs.list_places(c, runs.list_named(c, number))
    return runs.join_places(place for many in places.values() for place in many)


def list_images(
    c: Connection,
    *,
    now: datetime,
    repository: str | None = None,
    label: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Page[ImageSummary]:
    """The images of a repository, the newest made first; or all, the last met first.

    With ``label`` (``KEY`` or ``KEY=VALUE``) those that carry it. Those that are gone are there too.
    Raises NotFound for a repository never met.
    """
    if repository is not None and repository not in repositories.list_repository_names(
        c, repository
    ):
        raise NotFound(
            f"no repository {repository} is known", hint="imagecatalog images lists them"
        )
    place = read_cursor(after, tuple[int, int])
    more_than = None if limit is None else limit + 1
    key, is_pair, value = (label or "").partition("=")
    among = labelled(key, value if is_pair else None) if label else None
    if repository is None:
        rows = tags.list_last_met(c, among=among, after=place, limit=more_than)
    else:
        rows = tags.list_newest(c, repository, among=among, after=place, limit=more_than)
    more = limit is not None and len(rows) > limit
    rows = rows[:limit]
    items = _summarise(
        c, [row.id for row in rows], {row.id: row.gone for row in rows}, repository, now
    )
    cursor = make_cursor(rows[-1].moment, rows[-1].id) if more else None
    return Page(items, cursor)


def _summarise(
    c: Connection,
    numbers: list[int],
    gone: dict[int, datetime | None],
    repository: str | None,
    now: datetime,
) -> tuple[ImageSummary, ...]:
    judged = judge_images(c, numbers, now=now)
    found = lookups.list_images(c, numbers)
    tagged = images.list_tag_names(c, numbers)
    best = images.best_names(c, numbers)
    running = images.count_running(c, numbers)
    items = []
    for number in numbers:
        row = found[number]
        names = tagged.get(number, [])
        if repository is not None:
            names = [name for name in names if name.rpartition(":")[0] == repository]
        nameless = (
            best.get(number, str(row.digest))
            if repository is None
            else f"{repository}@{row.digest}"
        )
        items.append(
            ImageSummary(
                image=names[0] if names else nameless,
                digest=str(row.digest),
                platform=row.platform,
                distro=row.distro,
                created=row.created,
                first_seen=row.first_seen,
                gone=gone[number],
                tags=tuple(
                    name if repository is None else name.rpartition(":")[2] for name in names
                ),
                verdict=judged[number].verdict,
                running=running.get(number, 0),
            )
        )
    return tuple(items)
