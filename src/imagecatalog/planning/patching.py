"""From a fix that is out to the rebuilt image to its deployment: how long that took, and what waits.

A fault counts once for each container of each workload. Its time begins when the fix was out, or
when the workload was first seen, where that was later; it ends when the last container that had the
fault was gone and another image had taken its place. What cannot be known is counted apart, with why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.domain.pasts import Patching, PatchTimes, Uncounted, WaitingWorkload
from imagecatalog.domain.scopes import LANGUAGES
from imagecatalog.planning.sights import check_cluster
from imagecatalog.store import fix_times, ran
from imagecatalog.store.engine import Connection
from imagecatalog.store.fix_times import ContainerSpan, Owner
from imagecatalog.store.ran import RanImage
from imagecatalog.store.scopes import find_scopes
from imagecatalog.versions import sort_key

USUAL_DAYS = 90
_BEFORE = timedelta(days=365)
"""So long before what is asked about a workload's beginning is looked for."""
_MOST_WAITING = 25
_NEGLIGIBLE = SEVERITIES.index("negligible")

NO_PACKAGES = "the packages of the image are not known"
NO_SUCCESSOR = "the workload ended, and no other image took its place"
NO_MOMENT = "no notice and no archive tells since when the fix is out"
BEFORE_US = "the fix was out and the workload ran before its cluster was first scanned"
_REASONS = (NO_MOMENT, BEFORE_US, NO_PACKAGES, NO_SUCCESSOR)

Fault = tuple[int, datetime | None]
"""Severity, by rank, and when the fix was out."""
Faults = Mapping[int, Fault]
"""By the number of the fault."""


@dataclass
class _Times:
    """Seconds, each with how many faults took so long."""

    rebuilt: list[tuple[float, int]] = field(default_factory=list)
    deployed: list[tuple[float, int]] = field(default_factory=list)
    waiting: list[tuple[float, int]] = field(default_factory=list)
    ready: int = 0
    oldest: datetime | None = None

    def describe(self, severity: int | None, team: str | None) -> PatchTimes:
        """As it is told."""
        return PatchTimes(
            severity=None if severity is None else SEVERITIES[severity],
            team=team,
            patched=sum(many for _, many in self.deployed),
            rebuilt_median=quantile(self.rebuilt, 0.5),
            rebuilt_p90=quantile(self.rebuilt, 0.9),
            deployed_median=quantile(self.deployed, 0.5),
            deployed_p90=quantile(self.deployed, 0.9),
            waiting=sum(many for _, many in self.waiting),
            rebuilt=self.ready,
            waiting_median=quantile(self.waiting, 0.5),
            oldest=self.oldest,
        )


def quantile(times: Sequence[tuple[float, int]], share: float) -> float | None:
    """The least time within which so large a share of all was done."""
    wanted = share * sum(many for _, many in times)
    seen = 0
    for seconds, many in sorted(times):
        seen += many
        if seen >= wanted:
            return seconds
    return None


def patching(
    c: Connection,
    *,
    now: datetime,
    since: datetime | None = None,
    cluster: str | None = None,
    team: str | None = None,
) -> Patching:
    """What was patched since then (90 days, if left out) and what waits now.

    Raises NotFound for an unknown cluster.
    """
    check_cluster(c, cluster)
    begin = since or now - timedelta(days=USUAL_DAYS)
    survey = _Survey(c, begin, now, cluster, team)
    for owner, spans in survey.list_containers():
        survey.look_at(owner, spans)
    return survey.describe()


class _Survey:
    def __init__(
        self, c: Connection, begin: datetime, now: datetime, cluster: str | None, team: str | None
    ) -> None:
        self._c = c
        self._begin, self._now = begin, now
        owners = fix_times.list_owners(c)
        self._owners = {
            number: one
            for number, one in owners.items()
            if cluster in {None, one.cluster} and team in {None, one.team}
        }
        spans = fix_times.list_container_spans(c, since=begin - _BEFORE)
        self._spans = [one for one in spans if one.workload_id in self._owners]
        self._images = {one.id: one for one in ran.list_ran_images(c)}
        self._cells: dict[tuple[int, str], _Times] = defaultdict(_Times)
        self._unknown: Counter[str] = Counter()
        self._waiting: dict[int, WaitingWorkload] = {}
        self._fixed: dict[tuple[int, int], Counter[Fault]] = {}
        self._sums: dict[frozenset[int], tuple[Counter[Fault], int]] = {}

    def list_containers(self) -> Iterator[tuple[int, list[ContainerSpan]]]:
        """The spans of each container of each workload, by their beginning."""
        groups: dict[tuple[int, str], list[ContainerSpan]] = {}
        for one in self._spans:
            groups.setdefault((one.workload_id, one.container), []).append(one)
        for (number, _), spans in groups.items():
            yield number, spans

    def look_at(self, number: int, spans: Sequence[ContainerSpan]) -> None:
        """Count what was patched in a container, and what waits there."""
        owner = self._owners[number]
        born = min(one.since for one in spans)
        for one in spans:
            if one.until is not None and one.until >= self._begin:
                self._count_patched(owner, one, spans, born)
        running = [one for one in spans if one.until is None]
        if running:
            self._count_waiting(number, running, born)

    def _count_patched(
        self, owner: Owner, old: ContainerSpan, spans: Sequence[ContainerSpan], born: datetime
    ) -> None:
        assert old.until is not None
        after = [one for one in spans if one.until is None or one.until > old.until]
        if self._place(old.run_image_id) is None:
            self._unknown[NO_PACKAGES] += 1
            return
        if not after:
            self._unknown[NO_SUCCESSOR] += sum(self._list_faults([old.run_image_id]).values())
            return
        new = max(after, key=lambda one: one.since)
        if self._place(new.run_image_id) is None:
            self._unknown[NO_PACKAGES] += 1
            return
        built = self._built.get(self._images[new.run_image_id].manifest_id or 0)
        for (severity, fix), many in self._list_fixed(old.run_image_id, new.run_image_id).items():
            start = self._start(owner, fix, born, many)
            if start is None or start > old.until:
                continue
            cell = self._cells[severity, owner.team]
            cell.deployed.append(((old.until - start).total_seconds(), many))
            if built is not None and built <= old.until:
                cell.rebuilt.append((max((built - start).total_seconds(), 0.0), many))

    def _count_waiting(self, number: int, running: Sequence[ContainerSpan], born: datetime) -> None:
        owner = self._owners[number]
        known = [one for one in running if self._place(one.run_image_id) is not None]
        self._unknown[NO_PACKAGES] += len(running) - len(known)
        names = [one.run_image_id for one in known]
        faults = self._list_faults(names)
        ready = self._list_ready(names)
        worst, first = 0, None
        for (severity, fix), many in faults.items():
            if fix is None:
                self._unknown[NO_MOMENT] += many
                continue
            # However long it ran before it was first seen, the fix has been out for so long.
            is_newborn = owner.watched is None or born > owner.watched
            start = max(fix, born) if is_newborn else fix
            cell = self._cells[severity, owner.team]
            cell.waiting.append(((self._now - start).total_seconds(), many))
            cell.ready += min(ready[severity, fix], many)
            cell.oldest = min(start, cell.oldest or start)
            if severity > worst or first is None:
                worst, first = severity, start
            elif severity == worst:
                first = min(first, start)
        if first is not None:
            self._note_waiting(number, names, sum(faults.values()), worst, first)

    def _note_waiting(
        self, number: int, names: Sequence[int], faults: int, worst: int, first: datetime
    ) -> None:
        owner, before = self._owners[number], self._waiting.get(number)
        if before is not None and (SEVERITIES.index(before.severity), first) > (
            worst,
            before.waiting_since,
        ):
            return
        newer = self._newer.get(self._images[names[-1]].manifest_id or 0)
        self._waiting[number] = WaitingWorkload(
            cluster=owner.cluster,
            namespace=owner.namespace,
            workload=owner.name,
            team=owner.team,
            image=self._images[names[-1]].image,
            faults=faults,
            severity=SEVERITIES[worst],
            waiting_since=first,
            rebuilt=newer[3] if newer and self._list_ready(names) else None,
        )

    def _start(
        self, owner: Owner, fix: datetime | None, born: datetime, many: int
    ) -> datetime | None:
        """When the time of a fault that was patched began; None where that is not known."""
        if fix is None:
            self._unknown[NO_MOMENT] += many
            return None
        if fix >= born:
            return fix
        if owner.watched is None or born > owner.watched:
            return born
        self._unknown[BEFORE_US] += many
        return None

    def _place(self, run_image: int) -> tuple[int | None, int] | None:
        """Scope and package set of an image; None where its packages are not known."""
        image: RanImage = self._images[run_image]
        return None if image.set_id is None else (image.scope_id, image.set_id)

    @cached_property
    def _newer(self) -> Mapping[int, tuple[int, int | None, int | None, str | None]]:
        return fix_times.list_newer(self._c)

    @cached_property
    def _built(self) -> Mapping[int, datetime]:
        numbers = {self._images[one.run_image_id].manifest_id for one in self._spans}
        return fix_times.list_built(self._c, {one for one in numbers if one is not None})

    @cached_property
    def _by_set(self) -> Mapping[int, set[tuple[int, int]]]:
        sets = {self._images[one.run_image_id].set_id for one in self._spans}
        sets |= {set_id for _, _, set_id, _ in self._newer.values()}
        return fix_times.list_components(self._c, {one for one in sets if one is not None})

    @cached_property
    def _of_component(self) -> Mapping[int, Faults]:
        numbers = {number for many in self._by_set.values() for number, _ in many}
        fixable = fix_times.list_fixable(self._c, numbers)
        silent = {n for n, many in fixable.items() if any(one.announced is None for one in many)}
        packages = fix_times.list_packages_of(self._c, silent)
        offers: dict[int, list[ran.Offer]] = {}
        for offer in ran.list_offers(self._c, {one for many in packages.values() for one in many}):
            offers.setdefault(offer.package_version_id, []).append(offer)
        found = {}
        for number, many in fixable.items():
            offered = [offer for one in packages.get(number, ()) for offer in offers.get(one, ())]
            found[number] = {
                one.advisory_id: (one.severity, one.announced or _first_offer(one, offered))
                for one in many
                if one.severity != _NEGLIGIBLE
            }
        return found

    @cached_property
    def _languages(self) -> frozenset[int]:
        return frozenset(find_scopes(self._c, LANGUAGES).values())

    def _faults_of(self, place: tuple[int | None, int]) -> dict[int, Fault]:
        scope_id, set_id = place
        found: dict[int, Fault] = {}
        for number, where in self._by_set.get(set_id, ()):
            if where == scope_id or where in self._languages:
                for fault, (severity, fix) in self._of_component.get(number, {}).items():
                    worse, before = found.get(fault, (severity, fix))
                    known = [one for one in (fix, before) if one is not None]
                    found[fault] = max(severity, worse), min(known, default=None)
        return found

    def _of_images(self, names: Iterable[int]) -> dict[int, Fault]:
        found: dict[int, Fault] = {}
        for name in names:
            place = self._place(name)
            if place is not None:
                found |= self._faults_of(place)
        return found

    def _list_faults(self, names: Sequence[int]) -> Counter[Fault]:
        key = frozenset(names)
        if key not in self._sums:
            self._sums[key] = Counter(self._of_images(key).values()), 0
        return self._sums[key][0]

    def _list_fixed(self, old: int, new: int) -> Counter[Fault]:
        if (old, new) not in self._fixed:
            left = self._of_images([new])
            gone = self._of_images([old])
            self._fixed[old, new] = Counter(
                fault for number, fault in gone.items() if number not in left
            )
        return self._fixed[old, new]

    def _list_ready(self, names: Sequence[int]) -> Counter[Fault]:
        """What waits only for the newest image of its line to be deployed."""
        found: Counter[Fault] = Counter()
        for name in names:
            newer = self._newer.get(self._images[name].manifest_id or 0)
            if newer is None or newer[2] is None:
                continue
            left = self._faults_of((newer[1], newer[2]))
            found += Counter(
                fault for number, fault in self._of_images([name]).items() if number not in left
            )
        return found

    def describe(self) -> Patching:
        """All that was counted."""
        by_severity: dict[int, list[_Times]] = defaultdict(list)
        by_team: dict[str, list[_Times]] = defaultdict(list)
        for (severity, team), cell in self._cells.items():
            by_severity[severity].append(cell)
            by_team[team].append(cell)
        waiting = sorted(
            self._waiting.values(),
            key=lambda one: (
                -SEVERITIES.index(one.severity),
                one.waiting_since,
                one.cluster,
                one.namespace,
                one.workload,
            ),
        )
        return Patching(
            since=self._begin,
            until=self._now,
            total=_sum(self._cells.values()).describe(None, None),
            by_severity=tuple(
                _sum(by_severity[one]).describe(one, None)
                for one in sorted(by_severity, reverse=True)
            ),
            by_team=tuple(_sum(by_team[one]).describe(None, one) for one in sorted(by_team)),
            unknown=tuple(
                Uncounted(number=self._unknown[one], reason=one)
                for one in _REASONS
                if self._unknown[one]
            ),
            waiting=tuple(waiting[:_MOST_WAITING]),
        )


def _first_offer(fault: fix_times.FixableFault, offers: Iterable[ran.Offer]) -> datetime | None:
    """When apt was first seen to have it, of a fault that no notice dates."""
    if fault.fixed is None:
        return None
    wanted = sort_key(fault.type, fault.fixed)
    seen = [
        one.since
        for one in offers
        if one.source_version is not None and sort_key(fault.type, one.source_version) >= wanted
    ]
    return min(seen, default=None)


def _sum(cells: Iterable[_Times]) -> _Times:
    total = _Times()
    for one in cells:
        total.rebuilt += one.rebuilt
        total.deployed += one.deployed
        total.waiting += one.waiting
        total.ready += one.ready
        if one.oldest is not None:
            total.oldest = min(one.oldest, total.oldest or one.oldest)
    return total
