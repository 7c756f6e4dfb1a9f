"""Where an advisory is found: its package versions, the images that hold them, what runs of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure
from imagecatalog.domain.answers import Place
from imagecatalog.domain.packages import Package
from imagecatalog.formats.os_release import DEBIAN_CODENAMES
from imagecatalog.planning.fault_exposure import KnownFault, find_exposure, read_fault
from imagecatalog.planning.feed_ages import list_old_scores
from imagecatalog.planning.subjects import BadRange, Release, Subject, find_bad, read_subject
from imagecatalog.store import exposure, images, lookups, plans, runs
from imagecatalog.store.engine import Connection
from imagecatalog.store.exposure import PlacedImage
from imagecatalog.versions import sort_key

USUAL_LIMIT = 100
"""Images that do not run; those that do are listed all."""


def affected(c: Connection, text: str, *, now: datetime, limit: int = USUAL_LIMIT) -> Exposure:
    """Where ``CVE-…``, ``DSA-…`` or ``pkg:deb/debian/openssl@<3.0.15`` is found.

    Images that run come first, those with most containers before; then at most ``limit`` others.
    Raises BadName and NotFound for what no feed tells of.
    """
    return expose(c, read_subject(c, text), now=now, limit=limit)


def expose(
    c: Connection,
    subject: Subject,
    *,
    now: datetime,
    limit: int,
    fault: KnownFault | None = None,
) -> Exposure:
    """The same of what was read already; ``fault`` is that of an advisory, if it was read too."""
    if not subject.id.startswith("pkg:"):
        fault = fault or read_fault(c, subject.id, now=now)
        found = find_exposure(c, subject, fault, limit=limit, now=now)
        return replace(found, old_scores=list_old_scores(c, now=now))
    search = _Search(c, subject)
    alive: dict[int | None, list[int]] = {}
    for item in runs.list_alive(c):
        alive.setdefault(item.manifest_id, []).append(item.run_image_id)
    running = exposure.list_placed(c, [number for number in alive if number is not None])
    hits = search.look_into(running)
    idle = search.look_into(
        [one for one in search.list_others(limit + 1 + len(running)) if one.id not in alive]
    )
    more = len(idle) > limit
    idle = dict(list(idle.items())[:limit])
    places = _list_places(c, {number: alive[number] for number in hits})
    containers = {n: sum(place.containers for place in places[n]) for n in hits}
    order = [*sorted(hits, key=lambda n: (-containers[n], n)), *idle]
    every = hits | idle
    rows = lookups.list_images(c, order)
    names = images.best_names(c, order)
    return Exposure(
        id=subject.id,
        aliases=subject.aliases,
        description=subject.description,
        severity=None,
        exploited=False,
        packages=search.describe_packages(every.values()),
        images=tuple(
            ExposedImage(
                image=names.get(number, str(rows[number].digest)),
                digest=str(rows[number].digest),
                packages=search.name_packages(every[number]),
                running=places.get(number, ()),
            )
            for number in order
        ),
        containers=sum(containers.values()),
        more_images=more,
        unknown=sum(one.set_id is None for one in running) + len(alive.get(None, ())),
        undetermined=subject.undetermined,
    )


def _list_places(c: Connection, named: Mapping[int, Sequence[int]]) -> dict[int, tuple[Place, ...]]:
    found = runs.list_places(c, [one for many in named.values() for one in many])
    return {
        number: runs.join_places(place for one in many for place in found.get(one, ()))
        for number, many in named.items()
    }


class _Search:
    """The bad package versions of a subject, and who holds them."""

    def __init__(self, c: Connection, subject: Subject) -> None:
        self._c = c
        self._subject = subject
        self._packages = exposure.list_packages_named(c, subject.names)
        self._bad: dict[Release, dict[int, BadRange]] = {}

    def look_into(self, placed: Sequence[PlacedImage]) -> dict[int, dict[int, BadRange]]:
        """The bad package versions of each image that has any."""
        sets = {one.set_id for one in placed if one.set_id is not None}
        held = plans.list_holding(self._c, sets, self._packages.keys())
        found = {}
        for one in placed:
            bad = self._bad_in(_release(one))
            inside = {n: bad[n] for n in held.get(one.set_id or 0, ()) if n in bad}
            if inside:
                found[one.id] = inside
        return found

    def list_others(self, limit: int) -> list[PlacedImage]:
        """Images that hold a version which is bad in some release."""
        anywhere = {
            number
            for number, package in self._packages.items()
            if any(one.hits(package) for one in self._subject.ranges)
        }
        return exposure.list_holding_images(self._c, anywhere, limit=limit)

    def _bad_in(self, release: Release) -> dict[int, BadRange]:
        if release not in self._bad:
            self._bad[release] = find_bad(self._subject, self._packages, release)
        return self._bad[release]

    def name_packages(self, inside: Mapping[int, BadRange]) -> tuple[str, ...]:
        """Name and version of each, by name."""
        packages = (self._packages[number] for number in inside)
        return tuple(sorted({f"{one.name} {one.version}" for one in packages}))

    def describe_packages(
        self, found: Iterable[Mapping[int, BadRange]]
    ) -> tuple[AffectedPackage, ...]:
        """The bad packages that images hold, by source, name and release."""
        grouped: dict[tuple[str, str, BadRange], set[Package]] = {}
        for inside in found:
            for number, bad in inside.items():
                package = self._packages[number]
                grouped.setdefault((package.source, package.name, bad), set()).add(package)
        return tuple(
            AffectedPackage(
                package=name,
                source=source,
                release=bad.release,
                versions=_in_order(packages),
                fixed=bad.fixed,
                reason=bad.reason,
            )
            for (source, name, bad), packages in sorted(
                grouped.items(), key=lambda item: (*item[0][:2], item[0][2].release or "")
            )
        )


def _in_order(packages: Iterable[Package]) -> tuple[str, ...]:
    versions = {(sort_key(one.type, one.version), one.version) for one in packages}
    return tuple(version for _, version in sorted(versions))


def _release(image: PlacedImage) -> Release:
    codename = image.codename or DEBIAN_CODENAMES.get(image.version_id, "")
    return Release(image.distro, codename)
