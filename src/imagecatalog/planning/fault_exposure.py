"""Where a fault is found, by the findings: the cost is that of its package versions, not of images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure
from imagecatalog.domain.answers import Place
from imagecatalog.domain.findings import SEVERITIES, Suppression
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.matching.suppress import Held, suppressions_of
from imagecatalog.planning.subjects import Subject
from imagecatalog.store import exposed, held_findings, images, lookups, runs, suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.exposed import BadComponent, HoldingImage


def find_exposure(c: Connection, subject: Subject, *, limit: int, now: datetime) -> Exposure:
    """Where the faults of an advisory are: what runs first, by containers; then at most ``limit`` others."""
    faults = exposed.find_faults(c, subject.id)
    found = exposed.list_bad(c, faults)
    bad = {one.id: one for one in found if one.state != "undetermined"}
    invalid = tuple(
        f"{one.name} {one.version}, which is no version that its ecosystem allows"
        for one in found
        if one.reason == "invalid-version"
    )
    running = exposed.list_running(c, bad)
    others = exposed.list_holding(c, bad, limit=limit + 1 + len(running))
    idle = {one: held for one, held in others.items() if one not in running}
    more = len(idle) > limit
    idle = dict(list(idle.items())[:limit])
    places = _list_places(c, {one.id for one in running})
    order = sorted(running, key=lambda one: (-_count(places.get(one.id, ())), one.id))
    every = {one: running[one] for one in order} | idle
    numbers = [one.id for one in every]
    rows = lookups.list_images(c, numbers)
    names = images.best_names(c, numbers)
    why = _suppress(c, every, bad, faults, now)
    facts = held_findings.list_facts(c, faults).values()
    return Exposure(
        id=subject.id,
        aliases=subject.aliases,
        description=subject.description,
        severity=SEVERITIES[_worst(c, bad.values(), faults)],
        exploited=any(one.is_exploited for one in facts),
        due=min((one.due for one in facts if one.due), default=None),
        epss=max((one.epss for one in facts if one.epss is not None), default=None),
        packages=_describe(bad.values(), {number for held in every.values() for number in held}),
        images=tuple(
            ExposedImage(
                image=names.get(one.id, str(rows[one.id].digest)),
                digest=str(rows[one.id].digest),
                packages=_name(bad[number] for number in held),
                running=places.get(one.id, ()),
                suppressed=why.get(one.id),
            )
            for one, held in every.items()
        ),
        containers=sum(_count(many) for many in places.values()),
        more_images=more,
        unknown=exposed.count_unknown(c),
        undetermined=subject.undetermined + invalid,
        statements=held_findings.list_statements(c, faults),
    )


def _worst(c: Connection, bad: Iterable[BadComponent], faults: Collection[int]) -> int:
    """The severity of the findings; where nobody has the fault, the fault's own."""
    found = max((one.severity for one in bad), default=0)
    return found or held_findings.rate(c, faults)


def _list_places(c: Connection, numbers: Collection[int]) -> dict[int, tuple[Place, ...]]:
    named = exposed.list_run_images(c, numbers)
    found = runs.list_places(c, [one for many in named.values() for one in many])
    return {
        number: runs.join_places(place for one in many for place in found.get(one, ()))
        for number, many in named.items()
    }


def _count(places: Iterable[Place]) -> int:
    return sum(place.containers for place in places)


def _name(bad: Iterable[BadComponent]) -> tuple[str, ...]:
    return tuple(sorted({f"{name} {version}" for one in bad for _, name, version in one.packages}))


def _suppress(
    c: Connection,
    every: Mapping[HoldingImage, set[int]],
    bad: Mapping[int, BadComponent],
    faults: Collection[int],
    now: datetime,
) -> dict[int, Suppression]:
    """Why the fault does not count in an image; where it counts in any package, it does."""
    if suppressions.list_spoken_of(c, now=now).isdisjoint(faults):
        return {}
    asked = {
        one.id: [
            Held(
                image=one.id,
                advisory=fault,
                scope=bad[number].scope,
                name=bad[number].name,
                version=bad[number].version,
                packages=tuple((name, version) for _, name, version in bad[number].packages),
            )
            for number in sorted(held)
            for fault in faults
        ]
        for one, held in every.items()
    }
    why = suppressions_of(c, {held for many in asked.values() for held in many}, now=now)
    return {
        number: why[many[0]]
        for number, many in asked.items()
        if many and all(held in why for held in many)
    }


def _describe(bad: Iterable[BadComponent], held: Collection[int]) -> tuple[AffectedPackage, ...]:
    """The bad packages that these components are, by source, name and release."""
    grouped: dict[tuple[str, str, str, str | None, str | None], list[str]] = {}
    for one in bad:
        if one.id not in held:
            continue
        for _, name, version in one.packages:
            versions = grouped.setdefault((one.name, name, one.scope, one.fixed, one.reason), [])
            if version not in versions:
                versions.append(version)
    return tuple(
        AffectedPackage(
            package=name,
            source=source,
            release=None if scope in LANGUAGES else scope.partition("/")[2],
            versions=tuple(versions),
            fixed=fixed,
            reason=reason,
        )
        for (source, name, scope, fixed, reason), versions in sorted(
            grouped.items(), key=lambda item: tuple(text or "" for text in item[0])
        )
    )
