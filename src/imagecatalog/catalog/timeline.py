"""Takes observations of clusters and finds out which images they mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from imagecatalog.domain.refs import Reference, parse_image_id
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import PodKey, Sighting
from imagecatalog.errors import BadName
from imagecatalog.store import lookups, runs, scans
from imagecatalog.store.engine import Connection
from imagecatalog.store.images import INDEX


def observe(
    c: Connection,
    cluster: str,
    containers: Sighting | Iterable[RunningContainer],
    *,
    at: datetime,
    now: datetime | None = None,
    kind: str | None = None,
) -> tuple[int, int, int]:
    """Take one whole scan of a cluster: how many containers run, appeared and ended.

    ``now``, ``kind`` and errors: as of ``scans.record_scan``.
    """
    counts = scans.record_scan(c, cluster, containers, at=at, now=now, kind=kind)
    match_images(c)
    return counts


def observe_pods(
    c: Connection,
    cluster: str,
    pods: Mapping[PodKey, Sequence[RunningContainer]],
    *,
    at: datetime,
    now: datetime | None = None,
) -> tuple[int, int, int]:
    """Take what was told of some pods alone, as ``scans.record_pods`` does."""
    counts = scans.record_pods(c, cluster, pods, at=at, now=now)
    match_images(c)
    return counts


def match_images(c: Connection) -> int:
    """Find the images that run among those the catalog holds; how many were found.

    By the digest that the runtime reports: a manifest's, an index's or a configuration's. Only
    where it reports none, by the tag as it points now. A digest never met stays unknown, whatever
    the tag says: it is another image.
    """
    waiting = [(item, parse_image_id(item.image_id)) for item in runs.list_unmatched(c)]
    digests = [reported.digest for _, reported in waiting if reported.digest]
    manifests = lookups.find_by_digest(c, digests)
    configs = lookups.find_by_config(c, digests)
    members = lookups.choose_members(
        c, [number for number, kind in manifests.values() if kind == INDEX]
    )
    found = 0
    for item, reported in waiting:
        match: tuple[int | None, int | None, str] | None = None
        if reported.digest in manifests:
            number, kind = manifests[reported.digest]
            match = (
                (members.get(number), number, "index")
                if kind == INDEX
                else (number, None, "manifest")
            )
        elif reported.digest in configs:
            match = (_nearest(c, configs[reported.digest], item.image), None, "config")
        elif reported.digest is None:
            match = _by_name(c, item.image)
        if match is not None and match[0] is not None:
            runs.save_match(
                c, item.id, manifest_id=match[0], index_id=match[1], matched_by=match[2]
            )
            found += 1
    return found


def _nearest(c: Connection, numbers: list[int], image: str) -> int:
    """Of the images that share a configuration, the one in the repository that the pod names."""
    try:
        name = Reference.parse(image).name
    except BadName:
        return numbers[0]
    for number in numbers:
        if any(name == repository for repository, _ in lookups.list_repositories_of(c, number)):
            return number
    return numbers[0]


def _by_name(c: Connection, image: str) -> tuple[int | None, int | None, str] | None:
    try:
        reference = Reference.parse(image)
    except BadName:
        return None
    if reference.digest is not None:
        number, kind = lookups.find_by_digest(c, [reference.digest]).get(
            reference.digest, (None, None)
        )
        how = "manifest"
    else:
        number = lookups.find_tag(c, reference.name, reference.tag or "latest")
        kind, how = None, "tag"
    if number is None:
        return None
    member = lookups.choose_members(c, [number]).get(number)
    if member is not None:
        return member, number, "index" if how == "manifest" else how
    return (None if kind == INDEX else number), None, how
