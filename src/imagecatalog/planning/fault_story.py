"""One advisory for a person: where it is, by which bases it came, who suppressed it, what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.catalog.lineage import list_base_paths
from imagecatalog.domain.advisories import ExposedImage, Exposure, Rating
from imagecatalog.domain.answers import Place
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.suppressions import DeferralItem, VexItem
from imagecatalog.planning.exposure import expose
from imagecatalog.planning.fault_exposure import KnownFault, read_fault
from imagecatalog.planning.subjects import Subject, read_subject
from imagecatalog.store import (
    deferrals,
    images,
    lookups,
    running_faults,
    suppressions,
    vex,
)
from imagecatalog.store.engine import Connection

MOST_GROUPED = 300
"""Images whose ancestors are looked at."""
_STATEMENTS = 50


class BroughtBy(Struct, frozen=True, kw_only=True):
    """Images that one base brought the fault to; None: their own, as far as is known."""

    base: str | None
    images: tuple[ExposedImage, ...]

    @property
    def containers(self) -> int:
        """That run any of them."""
        return sum(place.containers for one in self.images for place in one.running)


class FaultStory(Struct, frozen=True, kw_only=True):
    """All that is known of a fault, or of a range of versions."""

    subject: Subject
    fault: KnownFault | None
    """Of an advisory."""
    exposure: Exposure
    ratings: tuple[tuple[str, Rating], ...]
    """Who says so, and what."""
    running: tuple[BroughtBy, ...]
    """Images that run and in which it counts, by the base that brought it: most containers first."""
    idle: tuple[ExposedImage, ...]
    suppressed: tuple[ExposedImage, ...]
    vex: tuple[VexItem, ...]
    deferrals: tuple[DeferralItem, ...]

    @property
    def containers(self) -> int:
        """In which it runs and counts."""
        return sum(one.containers for one in self.running)

    @property
    def workloads(self) -> int:
        """Of these."""
        return len({(p.cluster, p.namespace, p.workload) for p in self._places()})

    @property
    def clusters(self) -> int:
        """Of these."""
        return len({place.cluster for place in self._places()})

    def _places(self) -> list[Place]:
        return [place for many in self.running for one in many.images for place in one.running]


def tell_fault(c: Connection, text: str, *, now: datetime, limit: int) -> FaultStory:
    """The story of an advisory or a range of versions; at most ``limit`` images that do not run.

    Raises BadName, and NotFound for what no feed tells of.
    """
    subject = read_subject(c, text)
    fault = None if text.startswith("pkg:") else read_fault(c, subject.id, now=now)
    found = expose(c, subject, now=now, limit=limit, fault=fault)
    faults = fault.numbers if fault else ()
    names = suppressions.list_names_of(c, faults)
    numbers = sorted({number for many in names.values() for number in many})
    counting = [one for one in found.images if one.suppressed is None]
    said = vex.list_statements(c, advisories=numbers, limit=_STATEMENTS).items if numbers else ()
    put_off = (
        deferrals.list_deferrals(c, now=now, advisories=numbers, all_states=True) if numbers else ()
    )
    return FaultStory(
        subject=subject,
        fault=fault,
        exposure=found,
        ratings=running_faults.list_ratings(c, faults) if faults else (),
        running=_group(c, [one for one in counting if one.running], fault),
        idle=tuple(one for one in counting if not one.running),
        suppressed=tuple(one for one in found.images if one.suppressed),
        vex=said,
        deferrals=put_off,
    )


def _group(
    c: Connection, running: Sequence[ExposedImage], fault: KnownFault | None
) -> tuple[BroughtBy, ...]:
    """By the farthest base that holds all bad packages that the image holds."""
    bases = _find_bases(c, running[:MOST_GROUPED], fault)
    groups: dict[str | None, list[ExposedImage]] = {}
    for one in running:
        groups.setdefault(bases.get(one.digest), []).append(one)
    found = [BroughtBy(base=base, images=tuple(many)) for base, many in groups.items()]
    return tuple(sorted(found, key=lambda one: (one.base is None, -one.containers, one.base or "")))


def _find_bases(
    c: Connection, running: Sequence[ExposedImage], fault: KnownFault | None
) -> Mapping[str, str]:
    """By digest, the name of the base that brought the fault; those of their own are left out."""
    if fault is None or not fault.found:
        return {}
    placed = lookups.find_by_digest(c, [Digest(one.digest) for one in running])
    numbers = {number: str(digest) for digest, (number, _) in placed.items()}
    paths = list_base_paths(c, numbers)
    every = numbers.keys() | {base for path in paths.values() for base in path}
    bad = [one.id for one in fault.found]
    held = running_faults.list_components_of(c, every, bad)
    brought = {}
    for number, digest in numbers.items():
        base = None
        for above in paths.get(number, ()):
            if not held.get(number, set()) <= held.get(above, set()):
                break
            base = above
        if base is not None:
            brought[digest] = base
    named = images.best_names(c, set(brought.values()))
    return {digest: named[base] for digest, base in brought.items() if base in named}
