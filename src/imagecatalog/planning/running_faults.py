"""The faults that what runs holds, worst first; what does not count is told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from imagecatalog.domain.advisories import FixedIn, RunningFault, RunningFaults
from imagecatalog.domain.findings import SEVERITIES, STATE_ORDER, Severity, State
from imagecatalog.errors import BadName
from imagecatalog.matching.suppress import Held, suppressions_of
from imagecatalog.planning.feed_ages import list_old_scores
from imagecatalog.planning.holding import Holding
from imagecatalog.store import exposed, findings, held_findings, running_faults, suppressions
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import make_cursor, read_cursor
from imagecatalog.store.running_faults import ComponentName, HeldFault, RunningImage
from imagecatalog.store.runs import RunFilter

FaultState = Literal["fix-out", "no-fix", "wont-fix", "undetermined", "suppressed"]
"""By which faults are kept: a state of theirs, or that they count nowhere."""
Rating = Severity | Literal["unrated"]

_NEGLIGIBLE = SEVERITIES.index("negligible")
_RANK = {state: rank for rank, state in enumerate(STATE_ORDER)}
_STATES = get_args(FaultState)
_Key = tuple[bool, bool, int, int, float, int, str]
"""Suppressed everywhere, not exploited; severity (negative), state, EPSS and containers (negative);
name."""


class FaultFilter(Struct, frozen=True, kw_only=True):
    """Which faults are listed; None means all."""

    cluster: str | None = None
    namespace: str | None = None
    severity: Rating | None = None
    state: FaultState | None = None
    exploited: bool = False
    everything: bool = False
    """Also those that count in nothing that runs."""

    def keeps(self, one: Fault) -> bool:
        """Whether a fault is to be listed."""
        if self.state is None and one.is_suppressed and not self.everything:
            return False
        if self.state is not None and self.state != one.shown_state:
            return False
        if self.exploited and not one.is_exploited:
            return False
        return self.severity is None or self.severity == (SEVERITIES[one.severity] or "unrated")


class Fault(Struct):
    """A fault with the components that run; ``hidden`` are the images in which it does not count."""

    id: int
    name: str
    epss: float
    is_exploited: bool
    severity: int = 0
    state: State = "undetermined"
    components: tuple[int, ...] = ()
    images: int = 0
    """A bit for each image that runs and has it."""
    hidden: frozenset[int] = frozenset()
    containers: int = 0

    @property
    def is_suppressed(self) -> bool:
        """Whether it counts nowhere."""
        return len(self.hidden) == self.images.bit_count()

    @property
    def is_fixable(self) -> bool:
        """Whether a fix is out that somebody may want."""
        return self.state == "fix-out" and self.severity != _NEGLIGIBLE

    @property
    def shown_state(self) -> FaultState:
        """Its state, or that it counts nowhere."""
        if self.is_suppressed:
            return "suppressed"
        return self.state  # type: ignore[return-value]  # findings have these states alone

    @property
    def key(self) -> _Key:
        """Its place in the order."""
        return (
            self.is_suppressed,
            not self.is_exploited,
            -self.severity,
            _RANK[self.state],
            -self.epss,
            -self.containers,
            self.name,
        )


def list_running_faults(
    c: Connection,
    *,
    now: datetime,
    wanted: FaultFilter = FaultFilter(),  # noqa: B008 - frozen
    limit: int | None = None,
    after: str | None = None,
) -> RunningFaults:
    """What is wrong with what runs, worst first: exploited, severity, fix out, EPSS, containers.

    Raises BadName for a cursor that is none of ours, or a state that no fault has.
    """
    if wanted.state is not None and wanted.state not in _STATES:
        raise BadName(f"{wanted.state} is no state of a fault", hint=f"one of {', '.join(_STATES)}")
    place = read_cursor(after, tuple[bool, bool, int, int, float, int, str])
    where = RunFilter(cluster=wanted.cluster, namespace=wanted.namespace)
    unkept = exposed.list_unkept(c)
    images = running_faults.list_running(c, where, unkept)
    due = running_faults.list_exploited(c)
    faults, _ = read_faults(c, images, due, running_faults.list_faults(c), now=now)
    told = Counter(number for one in faults if one.is_fixable for number in one.hidden)
    listed = sorted((one for one in faults if wanted.keeps(one)), key=lambda one: one.key)
    rest = [one for one in listed if place is None or one.key > place]
    shown = rest if limit is None else rest[:limit]
    more = len(shown) < len(rest)
    counted = [one for one in faults if not one.is_suppressed]
    fixable = [one for one in counted if one.is_fixable]
    undetermined = sum(one.state == "undetermined" for one in counted)
    return RunningFaults(
        fixable=len(fixable),
        exploited=sum(one.is_exploited for one in fixable),
        unfixed=len(counted) - len(fixable) - undetermined,
        undetermined=undetermined,
        suppressed=len(faults) - len(counted),
        images=_count_fixable(c, images, told),
        running=len(images),
        unknown=exposed.count_unknown(c, unkept),
        total=len(listed),
        items=_describe(c, shown, due),
        next=make_cursor(*shown[-1].key) if more and shown else None,
        old_scores=list_old_scores(c, now=now),
    )


def read_faults(
    c: Connection,
    images: Sequence[RunningImage],
    exploited: Collection[int],
    rows: Iterable[HeldFault],
    *,
    now: datetime,
) -> tuple[list[Fault], Holding]:
    """The faults among the rows that any of these images has, each with where it does not count."""
    gathered = _gather(rows, exploited)
    numbers = {number for one in gathered for number in one.components}
    holding = Holding.read(c, images, numbers)
    faults = _place(gathered, holding)
    _hide_suppressed(c, faults, holding, now)
    return faults, holding


def _gather(rows: Iterable[HeldFault], exploited: Collection[int]) -> list[Fault]:
    """One of each fault, with all components that have it."""
    found: dict[int, Fault] = {}
    components: dict[int, list[int]] = {}
    for row in rows:
        one = found.get(row.advisory_id)
        if one is None:
            one = found[row.advisory_id] = Fault(
                row.advisory_id,
                row.advisory,
                row.epss,
                row.advisory_id in exploited,
                severity=row.severity,
                state=row.state,
            )
        one.severity = max(one.severity, row.severity)
        one.state = min(one.state, row.state, key=_RANK.__getitem__)
        components.setdefault(row.advisory_id, []).append(row.component_id)
    for number, one in found.items():
        one.components = tuple(components[number])
    return list(found.values())


def _place(gathered: Iterable[Fault], holding: Holding) -> list[Fault]:
    """Those of them that any of the images has, each with these images."""
    faults = []
    for one in gathered:
        one.images = holding.find(one.components)
        one.containers = holding.count_containers(one.images)
        if one.images:
            faults.append(one)
    return faults


def _hide_suppressed(
    c: Connection, faults: Sequence[Fault], holding: Holding, now: datetime
) -> None:
    """Note in which images faults do not count."""
    spoken = suppressions.list_spoken_of(c, now=now)
    about = [one for one in faults if one.id in spoken]
    if not about:
        return
    numbers = {number for one in about for number in one.components}
    names = running_faults.name_components(c, numbers)
    held = {number: list(holding.list_images(holding.find([number]))) for number in numbers}
    sets = {image.set_id for many in held.values() for image in many}
    installed = running_faults.list_installed(c, sets, numbers)
    asked: dict[int, dict[int, list[Held]]] = {one.id: {} for one in about}
    for one in about:
        for number in one.components:
            for image in held[number]:
                packages = installed.get((image.set_id, number), ())
                item = _ask(image.id, one.id, names[number], packages)
                asked[one.id].setdefault(image.id, []).append(item)
    every = {item for many in asked.values() for parts in many.values() for item in parts}
    why = suppressions_of(c, every, now=now)
    for one in about:
        parts = asked[one.id]
        one.hidden = frozenset(number for number in parts if all(i in why for i in parts[number]))
        one.containers -= sum(
            image.containers for image in holding.list_images(one.images) if image.id in one.hidden
        )


def _ask(
    image: int, fault: int, named: ComponentName, packages: tuple[tuple[str, str], ...]
) -> Held:
    return Held(
        image=image,
        advisory=fault,
        scope=named.scope,
        name=named.name,
        version=named.version,
        packages=packages,
    )


def _count_fixable(c: Connection, images: Iterable[RunningImage], hidden: Mapping[int, int]) -> int:
    """Images with more fixable faults than are suppressed in them."""
    pairs = {one.id: (one.scope_id, one.set_id) for one in images if one.fixable is None}
    sums = findings.list_standings(c, pairs.values()) if pairs else {}
    found = {one.id: one.fixable for one in images if one.fixable is not None}
    found |= {number: sums[pair].fixable for number, pair in pairs.items()}
    return sum(fixable > hidden.get(number, 0) for number, fixable in found.items())


def _describe(
    c: Connection,
    shown: Sequence[Fault],
    due: Mapping[int, datetime | None],
) -> tuple[RunningFault, ...]:
    numbers = {number for one in shown for number in one.components}
    facts = held_findings.list_facts(c, held_findings.list_names(c, [one.id for one in shown]))
    names = running_faults.name_components(c, numbers)
    fixed = running_faults.list_fixed(c, [one.id for one in shown], numbers)
    announced = running_faults.list_announced(
        c,
        {
            one.id: {(names[n].scope_id, names[n].name) for n in one.components}
            for one in shown
            if one.state == "fix-out"
        },
    )
    return tuple(
        RunningFault(
            advisory=one.name,
            aliases=facts[one.id].aliases,
            severity=SEVERITIES[one.severity],
            exploited=one.is_exploited,
            due=due.get(one.id),
            epss=facts[one.id].epss,
            state=one.state,
            packages=tuple(sorted({names[number].name for number in one.components})),
            fixed=_list_fixed(one, names, fixed),
            images=one.images.bit_count() - len(one.hidden),
            containers=one.containers,
            suppressed=len(one.hidden),
            waiting_since=announced.get(one.id),
        )
        for one in shown
    )


def _list_fixed(
    one: Fault, names: Mapping[int, ComponentName], fixed: Mapping[tuple[int, int], str]
) -> tuple[FixedIn, ...]:
    found = {
        (names[number].scope, names[number].name, version)
        for number in one.components
        if (version := fixed.get((one.id, number)))
    }
    return tuple(
        FixedIn(scope=scope, source=source, fixed=version)
        for scope, source, version in sorted(found)
    )
