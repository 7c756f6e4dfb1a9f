"""Where a fault is found, by the findings: the cost is that of its package versions, not of images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from imagecatalog.domain.advisories import AffectedPackage, ExposedImage, Exposure
from imagecatalog.domain.findings import SEVERITIES, Suppression
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.matching.suppress import Held, suppressions_of
from imagecatalog.planning.subjects import Subject
from imagecatalog.store import exposed, held_findings, suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.exposed import BadComponent, IdleImage
from imagecatalog.store.images import best_names


class KnownFault(Struct, frozen=True):
    """A fault, and what has it: for whoever has several questions."""

    numbers: tuple[int, ...]
    """Under which its findings are kept."""
    found: tuple[BadComponent, ...]
    is_spoken_of: bool
    """Whether anybody says of it what may suppress it."""


def read_fault(c: Connection, name: str, *, now: datetime) -> KnownFault:
    """The fault of an advisory."""
    numbers = exposed.find_faults(c, name)
    said = suppressions.list_spoken_of(c, now=now)
    found = exposed.list_bad(c, numbers)
    return KnownFault(tuple(numbers), tuple(found), not said.isdisjoint(numbers))


def find_exposure(
    c: Connection, subject: Subject, fault: KnownFault, *, limit: int, now: datetime
) -> Exposure:
    """Where the faults of an advisory are: what runs first, by containers; then at most ``limit`` others."""
    bad = {one.id: one for one in fault.found if one.state != "undetermined"}
    invalid = tuple(
        f"{one.name} {one.version}, which is no version that its ecosystem allows"
        for one in fault.found
        if one.reason == "invalid-version"
    )
    unkept = exposed.list_unkept(c)
    running = exposed.list_running(c, bad, unkept)
    others = exposed.list_idle(c, bad, limit=limit + 1) if limit else {}
    idle = {one: tuple(sorted(held)) for one, held in list(others.items())[:limit]}
    every = running.components | {one.id: held for one, held in idle.items()}
    images = running.images | _describe_idle(c, idle, bad)
    for number, why in suppress(c, every, bad, fault, now).items():
        images[number] = replace(images[number], suppressed=why)
    names = held_findings.list_names(c, fault.numbers)
    facts = held_findings.list_facts(c, names).values()
    return Exposure(
        id=subject.id,
        aliases=subject.aliases,
        description=subject.description,
        severity=SEVERITIES[_worst(c, bad.values(), fault.numbers)],
        exploited=any(one.is_exploited for one in facts),
        due=min((one.due for one in facts if one.due), default=None),
        epss=max((one.epss for one in facts if one.epss is not None), default=None),
        packages=_describe(
            bad.values(), {number for held in set(every.values()) for number in held}
        ),
        images=tuple(images.values()),
        containers=running.containers,
        more_images=len(others) > limit,
        unknown=exposed.count_unknown(c, unkept),
        undetermined=subject.undetermined + invalid,
        statements=held_findings.list_statements(c, names),
    )


def _worst(c: Connection, bad: Iterable[BadComponent], faults: Collection[int]) -> int:
    """The severity of the findings; where nobody has the fault, the fault's own."""
    found = max((one.severity for one in bad), default=0)
    return found or held_findings.rate(c, faults)


def _describe_idle(
    c: Connection, idle: Mapping[IdleImage, tuple[int, ...]], bad: Mapping[int, BadComponent]
) -> dict[int, ExposedImage]:
    names = best_names(c, {one.id for one in idle})
    return {
        one.id: ExposedImage(
            image=names.get(one.id, str(one.digest)),
            digest=str(one.digest),
            packages=exposed.name_packages(bad, held),
            running=(),
        )
        for one, held in idle.items()
    }


def suppress(
    c: Connection,
    every: Mapping[int, tuple[int, ...]],
    bad: Mapping[int, BadComponent],
    fault: KnownFault,
    now: datetime,
) -> dict[int, Suppression]:
    """Why the fault does not count in an image; where it counts in any package, it does."""
    if not fault.is_spoken_of:
        return {}
    asked = {
        image: [
            Held(
                image=image,
                advisory=advisory,
                scope=bad[number].scope,
                name=bad[number].name,
                version=bad[number].version,
                packages=tuple((name, version) for _, name, version in bad[number].packages),
            )
            for number in held
            for advisory in fault.numbers
        ]
        for image, held in every.items()
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
