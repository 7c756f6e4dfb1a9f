"""How long a fault was run, and where: by what images that ran hold, also of those that run no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.pasts import ExposedSpan, ExposedStep, PastExposure
from imagecatalog.domain.scopes import LANGUAGES, type_of
from imagecatalog.formats.os_release import DEBIAN_CODENAMES
from imagecatalog.planning.fault_exposure import KnownFault, read_fault, suppress
from imagecatalog.planning.subjects import Release, Subject, find_bad, read_subject
from imagecatalog.store import clusters, exposure, ran, running_faults
from imagecatalog.store.engine import Connection
from imagecatalog.store.exposed import BadComponent
from imagecatalog.store.ran import RanImage, RanSpan
from imagecatalog.versions import sort_key

USUAL_LIMIT = 500
"""Spans that are told, those that go on first."""
Place = tuple[str, str, str, str]


class _Fix(Struct, frozen=True):
    since: datetime | None = None
    told_by: Literal["notice", "apt"] | None = None


class _Holding(Struct, frozen=True):
    """The images that ran with a fault, each with what is bad in it."""

    packages: Mapping[int, tuple[str, ...]]
    """By the number of the runtime's name: ``name version``."""
    fix: _Fix


def past_exposure(
    c: Connection,
    text: str,
    *,
    now: datetime,
    cluster: str | None = None,
    namespace: str | None = None,
    limit: int = USUAL_LIMIT,
) -> PastExposure:
    """Which workloads ran ``CVE-…``, ``DSA-…`` or ``pkg:deb/debian/openssl@<3.0.15``, and when.

    The faults of a package version are those known today: what ran before anybody knew counts too.
    Images of which VEX says that they are not affected are left out. Raises BadName and NotFound.
    """
    return tell_past(
        c, read_subject(c, text), now=now, cluster=cluster, namespace=namespace, limit=limit
    )


def tell_past(
    c: Connection,
    subject: Subject,
    *,
    now: datetime,
    cluster: str | None = None,
    namespace: str | None = None,
    limit: int = USUAL_LIMIT,
    fault: KnownFault | None = None,
) -> PastExposure:
    """The same of what was read already; ``fault`` is that of an advisory, if it was read too."""
    images = ran.list_ran_images(c)
    held = (
        _of_range(c, subject, images)
        if subject.id.startswith("pkg:")
        else _of_fault(c, fault or read_fault(c, subject.id, now=now), images, now)
    )
    spans = ran.list_spans(c, held.packages, cluster_name=cluster, namespace=namespace)
    items = _join(spans, held, {one.id: one.image for one in images}, now)
    ordered = sorted(items, key=_order)
    return PastExposure(
        id=subject.id,
        first=clusters.first_scan(c),
        fix_since=held.fix.since,
        fix_told_by=held.fix.told_by,
        containers=sum(one.replicas for one in spans if one.until is None),
        workloads=sum(one.still for one in items),
        unknown=len({one.manifest_id or -one.id for one in images if one.set_id is None}),
        items=tuple(ordered[:limit]),
        steps=_count(spans),
        more=max(len(ordered) - limit, 0),
    )


def _order(one: ExposedSpan) -> tuple[float, float, str, str, str]:
    end = float("-inf") if one.until is None else -one.until.timestamp()
    return end, one.since.timestamp(), one.cluster, one.namespace, one.workload


def _of_fault(
    c: Connection, fault: KnownFault, images: Sequence[RanImage], now: datetime
) -> _Holding:
    found = {one.id: one for one in fault.found if one.state != "undetermined"}
    by_package: dict[int, list[BadComponent]] = {}
    for one in found.values():
        for number, *_ in one.packages:
            by_package.setdefault(number, []).append(one)
    inside = ran.find_held(c, {one.set_id for one in images if one.set_id}, by_package)
    components: dict[int, tuple[int, ...]] = {}
    for image in images:
        bad = {
            one.id
            for number in inside.get(image.set_id or 0, ())
            for one in by_package[number]
            if one.scope in LANGUAGES or one.scope_id == image.scope_id
        }
        if bad:
            components[image.id] = tuple(sorted(bad))
    manifests = {one.id: one.manifest_id for one in images if one.manifest_id is not None}
    asked = {manifests[number]: many for number, many in components.items()}
    # What is put off is run all the same; what VEX says is not affected is not.
    why = suppress(c, asked, found, fault, now)
    hidden = {number for number, one in why.items() if one.by == "vex"}
    components = {n: many for n, many in components.items() if manifests[n] not in hidden}
    hit = {number for many in components.values() for number in many}
    packages = {
        image.id: _name(
            (name, version)
            for number in components[image.id]
            for package, name, version in found[number].packages
            if package in inside[image.set_id or 0]
        )
        for image in images
        if image.id in components
    }
    return _Holding(
        packages, _find_fix(c, fault.numbers, [found[number] for number in sorted(hit)])
    )


def _find_fix(c: Connection, faults: Collection[int], hit: Sequence[BadComponent]) -> _Fix:
    places = {(one.scope_id, one.name) for one in hit if one.fixed}
    told = running_faults.list_announced(c, dict.fromkeys(faults, places)) if places else {}
    if told:
        return _Fix(min(told.values()), "notice")
    fixed = {
        number: (type_of(one.scope), one.fixed)
        for one in hit
        if one.fixed
        for number, *_ in one.packages
    }
    seen = [
        offer.since
        for offer in ran.list_offers(c, fixed)
        if _reaches(offer.source_version, *fixed[offer.package_version_id])
    ]
    return _Fix(min(seen), "apt") if seen else _Fix()


def _reaches(version: str | None, kind: str, fixed: str) -> bool:
    return version is not None and sort_key(kind, version) >= sort_key(kind, fixed)


def _of_range(c: Connection, subject: Subject, images: Sequence[RanImage]) -> _Holding:
    packages = exposure.list_packages_named(c, subject.names)
    inside = ran.find_held(c, {one.set_id for one in images if one.set_id}, packages)
    bad: dict[Release, Collection[int]] = {}
    named = {}
    hit: dict[int, str] = {}
    for image in images:
        release = Release(
            image.distro, image.codename or DEBIAN_CODENAMES.get(image.version_id, "")
        )
        if release not in bad:
            bad[release] = found = find_bad(subject, packages, release)
            hit |= {number: one.fixed for number, one in found.items() if one.fixed}
        numbers = [one for one in inside.get(image.set_id or 0, ()) if one in bad[release]]
        if numbers:
            named[image.id] = _name((packages[one].name, packages[one].version) for one in numbers)
    held = {number for many in inside.values() for number in many}
    fixed = {number: one for number, one in hit.items() if number in held}
    seen = [
        offer.since
        for offer in ran.list_offers(c, fixed)
        if _reaches(
            offer.source_version,
            packages[offer.package_version_id].type,
            fixed[offer.package_version_id],
        )
    ]
    return _Holding(named, _Fix(min(seen), "apt") if seen else _Fix())


def _name(packages: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({f"{name} {version}" for name, version in packages}))


def _join(
    spans: Sequence[RanSpan], held: _Holding, names: Mapping[int, str], now: datetime
) -> list[ExposedSpan]:
    """One span for what a workload ran without a break; ``spans`` by their beginning."""
    runs: dict[Place, list[list[RanSpan]]] = {}
    ends: dict[Place, datetime | None] = {}
    for one in spans:
        place = (one.cluster, one.namespace, one.workload, one.team)
        groups = runs.setdefault(place, [])
        end = ends.get(place)
        if groups and (end is None or one.since <= end):
            groups[-1].append(one)
            ends[place] = None if end is None or one.until is None else max(end, one.until)
        else:
            groups.append([one])
            ends[place] = one.until
    return [
        _describe(place, group, held, names, now)
        for place, groups in runs.items()
        for group in groups
    ]


def _describe(
    place: Place, group: Sequence[RanSpan], held: _Holding, names: Mapping[int, str], now: datetime
) -> ExposedSpan:
    begin = group[0].since
    still = any(one.until is None for one in group)
    end = None if still else max(one.until for one in group if one.until is not None)
    images = dict.fromkeys(names[one.run_image_id] for one in group)
    packages = {text for one in group for text in held.packages[one.run_image_id]}
    waited = None
    if held.fix.since is not None:
        waited = max(((end or now) - max(begin, held.fix.since)).total_seconds(), 0.0)
    cluster, namespace, workload, team = place
    return ExposedSpan(
        cluster=cluster,
        namespace=namespace,
        workload=workload,
        team=team,
        since=begin,
        until=end,
        still=still,
        containers=group[0].replicas
        if len(group) == 1
        else max(one.containers for one in _count(group)),
        images=tuple(images),
        packages=tuple(sorted(packages)),
        waited=waited,
    )


def _count(spans: Iterable[RanSpan]) -> tuple[ExposedStep, ...]:
    """How many containers ran at once, wherever that changed."""
    changes: Counter[datetime] = Counter()
    for one in spans:
        changes[one.since] += one.replicas
        if one.until is not None:
            changes[one.until] -= one.replicas
    found, number = [], 0
    for at, change in sorted(changes.items()):
        if change:
            number += change
            found.append(ExposedStep(at=at, containers=number))
    return tuple(found)
