"""Takes observations of clusters and finds out which images they mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.refs import Digest, Reference, parse_image_id
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import PodKey, Sighting
from imagecatalog.errors import BadName
from imagecatalog.store import lookups, runs, scans, tag_meanings
from imagecatalog.store.engine import Connection
from imagecatalog.store.images import INDEX
from imagecatalog.store.runs import Match, RunImage

_PAST = 20_000
"""Images that ran of which it is looked, each time, whether they are known by now."""


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
    return _matched(c, counts)


def observe_pods(
    c: Connection,
    cluster: str,
    pods: Mapping[PodKey, Sequence[RunningContainer]],
    *,
    at: datetime,
    now: datetime | None = None,
) -> tuple[int, int, int]:
    """Take what was told of some pods alone, as ``scans.record_pods`` does."""
    return _matched(c, scans.record_pods(c, cluster, pods, at=at, now=now))


def _matched(c: Connection, counts: scans.Counts) -> scans.Counts:
    _, appeared, ended = counts
    if appeared or ended:
        match_images(c)
    return counts


def match_images(c: Connection) -> int:
    """Find the images that run among those the catalog holds; how many were found.

    By the digest that the runtime reports: a manifest's, an index's or a configuration's. Only
    where it reports none, by the tag as it pointed when the first of those that run now was first
    seen. A digest never met stays unknown, whatever the tag says: it is another image.
    """
    waiting = runs.list_unmatched(c)
    return _match(c, waiting, {item.id: _read_name(item) for item in waiting})


def match_past(c: Connection) -> int:
    """The same for the latest images that ran and do no longer, by their digests alone."""
    waiting = runs.list_unmatched_past(c, limit=_PAST)
    named = {item.id: _read_name(item) for item in waiting}
    return _match(c, waiting, {n: name for n, name in named.items() if name.digest is not None})


def _match(c: Connection, waiting: Iterable[RunImage], named: Mapping[int, _Name]) -> int:
    known = _Known(c, named.values())
    found: dict[int, Match] = {}
    for number, name in named.items():
        match = known.match(name)
        if match is not None:
            found[number] = match
    kept = {item.id: item.match for item in waiting}
    runs.save_matches(c, {n: match for n, match in found.items() if match != kept[n]})
    return len(found)


class _Name(Struct, frozen=True):
    """What is told of an image that runs."""

    digest: Digest | None
    repository: str | None
    tag: str | None
    """None: the digest counts."""
    since: datetime


def _read_name(item: RunImage) -> _Name:
    reported = parse_image_id(item.image_id).digest
    try:
        reference = Reference.parse(item.image)
    except BadName:
        return _Name(reported, None, None, item.since)
    digest = reported or reference.digest
    tag = None if digest else reference.tag or "latest"
    return _Name(digest, reference.name, tag, item.since)


class _Known:
    """What the catalog holds of names, read for all of them at once."""

    def __init__(self, c: Connection, names: Collection[_Name]) -> None:
        digests = {name.digest for name in names if name.digest is not None}
        self._manifests = lookups.find_by_digest(c, digests)
        self._configs = lookups.find_by_config(c, digests - self._manifests.keys())
        shared = {one for many in self._configs.values() if len(many) > 1 for one in many}
        self._homes = tag_meanings.list_homes(c, shared)
        moments = {
            (name.repository, name.tag, name.since)
            for name in names
            if name.repository is not None and name.tag is not None
        }
        self._tagged = tag_meanings.find_meanings(c, moments)
        pointed = {*self._manifests.values(), *self._tagged.values()}
        indexes = [number for number, kind in pointed if kind == INDEX]
        self._members = lookups.choose_members(c, indexes)

    def match(self, name: _Name) -> Match | None:
        """Which image is meant; None where it was never met."""
        if name.digest is None:
            where = (name.repository or "", name.tag or "", name.since)
            return self._pick(self._tagged.get(where), "tag", "tag")
        if name.digest in self._manifests:
            return self._pick(self._manifests[name.digest], "manifest", "index")
        numbers = self._configs.get(name.digest)
        if not numbers:
            return None
        # Of those that share a configuration, the one in the repository that the pod names.
        there = (one for one in numbers if name.repository in self._homes.get(one, ()))
        return Match(next(there, numbers[0]), None, "config")

    def _pick(self, found: tuple[int, int] | None, way: str, by_index: str) -> Match | None:
        if found is None:
            return None
        number, kind = found
        if kind != INDEX:
            return Match(number, None, way)
        member = self._members.get(number)
        return None if member is None else Match(member, number, by_index)
