"""What a plan comes to before it is put into words: rebuilds, moves of what runs, and what remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from imagecatalog.config import Settings
from imagecatalog.domain.plans import PlanQuestion, Remaining, Unplannable
from imagecatalog.matching.lines import Head, LineKey
from imagecatalog.planning.fleet import RunningImage, list_running
from imagecatalog.planning.graph import Newest, Rebuilds, Spot, Want, find_followers, find_rebuilds
from imagecatalog.planning.survey import NOT_BUILT_HERE, Survey
from imagecatalog.planning.targets import Judgeable, Targets
from imagecatalog.planning.verdicts import Running
from imagecatalog.store import lookups, repositories
from imagecatalog.store.engine import Connection
from imagecatalog.store.plans import Fixable

NO_LINE = "it has no tag of which the catalog knows, so nothing tells what to rebuild"
NO_NEWEST = "nothing tells which is the newest of its line: its tags are gone, or name no version"


class Move(Struct, frozen=True):
    """An image that runs and is to give way to another."""

    running: RunningImage
    line: LineKey
    built: bool
    """Whether the other is there: the newest of the line."""
    fixes: tuple[Fixable, ...]
    """What goes with it."""


class Outline(Struct, frozen=True):
    """Rebuilds, moves and what remains; nothing in it depends on the order of the catalog's rows."""

    survey: Survey
    after: Mapping[LineKey, frozenset[LineKey]]
    """The lines to rebuild, each with those that must be before."""
    brings: Mapping[LineKey, tuple[Want, ...]]
    rebuilds: Rebuilds | None
    root: LineKey | None
    """The line that was named to be rebuilt."""
    moves: Sequence[Move]
    remaining: Sequence[Remaining]
    unplannable: Sequence[Unplannable]
    containers: Mapping[LineKey, int]

    def fixable(self, line: LineKey) -> list[Fixable]:
        """The packages that a line is rebuilt for."""
        return [self.survey.waiting[want.spot][want.package] for want in self.brings.get(line, ())]


class _Ends(Struct):
    """What becomes of what runs, gathered image by image."""

    survey: Survey
    rebuilds: Rebuilds
    moves: list[Move] = []
    remaining: list[Remaining] = []
    unplannable: list[Unplannable] = []

    def decide(self, one: RunningImage, spot: Spot | None, packages: Mapping[str, Fixable]) -> None:
        """Where an image that needs something goes, and what it keeps."""
        newest = self.survey.newest.get(spot) if spot else None
        if spot is None or newest is None:
            why = NO_LINE if spot is None else NO_NEWEST
            self.unplannable.append(Unplannable(image=one.name, reason=why))
            self.remaining.append(_remain(one, why, packages))
            return
        move = _move(one, spot, self.survey, self.rebuilds, packages)
        self.moves += [move] if move else []
        self.remaining += _list_blocked(one, spot, newest, self.rebuilds, packages)


def bring_updates(
    c: Connection,
    ask: PlanQuestion,
    *,
    settings: Settings,
    now: datetime,
    running: Running | None = None,
) -> Outline:
    """The rebuilds that bring what is asked for to all that runs; with ``idle`` to all newest images."""
    targets = Targets(c, ask, now=now, sums=running.read_sums(c) if running else None)
    fleet = list_running(c, now=now, running=running)
    judgeable = {
        one.number: one.judgeable
        for one in fleet
        if one.number is not None and one.judgeable is not None
    }
    waiting = targets.find_waiting(judgeable)
    survey = Survey(c, targets, settings=settings, now=now)
    needy = [one for one in fleet if waiting.get(one.number or 0)]
    lines = survey.lines.of({one.number for one in needy if one.number is not None})
    spots = {
        one.number: Spot(line, one.platform)
        for one in needy
        if (line := lines.get(one.number or 0))
    }
    idle = _list_idle(c, survey) if ask.idle else set()
    survey.climb({*spots.values(), *idle})
    asked = {*spots.values(), *idle} & survey.newest.keys()
    demands = [Want(spot, name) for spot in asked for name in survey.newest[spot].waiting or ()]
    rebuilds = find_rebuilds(demands, survey.newest)
    ends = _Ends(survey, rebuilds)
    for one in needy:
        ends.decide(one, spots.get(one.number), waiting[one.number or 0])
    ends.remaining += _list_unknown(fleet, targets, judgeable, waiting)
    names = {spot.line: survey.newest[spot].name for spot in sorted(survey.newest)}
    ends.unplannable += [
        Unplannable(image=names[line], reason=why) for line, why in rebuilds.circles.items()
    ]
    return Outline(
        survey=survey,
        after=rebuilds.after,
        brings=rebuilds.brings,
        rebuilds=rebuilds,
        root=None,
        moves=ends.moves,
        remaining=ends.remaining,
        unplannable=ends.unplannable,
        containers=_count(needy, spots, survey.newest, rebuilds),
    )


def _list_idle(c: Connection, survey: Survey) -> set[Spot]:
    """Every spot there is."""
    heads = _list_heads(c, survey)
    rows = lookups.list_images(c, {head.number for head in heads.values()})
    return {
        Spot(line, platform or "")
        for line, head in heads.items()
        for platform in (head.members or {rows[head.number].platform: head.number})
    }


def _list_heads(c: Connection, survey: Survey) -> dict[LineKey, Head]:
    """The newest of every line there is."""
    return survey.lines.newest_of(repositories.list_repository_names(c, ""))


def _move(
    one: RunningImage,
    spot: Spot,
    survey: Survey,
    rebuilds: Rebuilds,
    packages: Mapping[str, Fixable],
) -> Move | None:
    if spot.line in rebuilds.brings:
        blocked = rebuilds.blocked
        stay = {name for name in packages if Want(spot, name) in blocked} if blocked else set()
        return Move(one, spot.line, False, _without(packages, stay))
    newest = survey.newest[spot]
    if survey.numbers[spot] == one.number or newest.waiting is None:
        return None
    fixes = _without(packages, newest.waiting)
    return Move(one, spot.line, True, fixes) if fixes else None


def _without(packages: Mapping[str, Fixable], names: Iterable[str]) -> tuple[Fixable, ...]:
    left_out = set(names)
    return tuple(one for name, one in packages.items() if name not in left_out)


def _remain(one: RunningImage, reason: str, packages: Iterable[str] = ()) -> Remaining:
    names = dict.fromkeys(name.rpartition(":")[0] for name in sorted(packages))
    return Remaining(
        image=one.name, reason=reason, packages=tuple(names), containers=one.containers
    )


def _list_blocked(
    one: RunningImage,
    spot: Spot,
    newest: Newest,
    rebuilds: Rebuilds,
    packages: Mapping[str, Fixable],
) -> list[Remaining]:
    """What an image keeps once its line is as new as can be, by the reason."""
    if newest.waiting is None:
        if newest.obstacle == NOT_BUILT_HERE:
            return [_remain(one, NOT_BUILT_HERE, packages)]
        return [
            _remain(one, f"of the newest of its line, {newest.name}: {newest.obstacle}", packages)
        ]
    reasons: dict[str, list[str]] = {}
    for name in newest.waiting if rebuilds.blocked else ():
        why = rebuilds.blocked.get(Want(spot, name))
        if why is not None:
            reasons.setdefault(why, []).append(name)
    return [_remain(one, why, names) for why, names in sorted(reasons.items())]


def _list_unknown(
    fleet: Iterable[RunningImage],
    targets: Targets,
    judgeable: Mapping[int, Judgeable],
    waiting: Mapping[int, Mapping[str, Fixable]],
) -> list[Remaining]:
    """What nobody can promise: images of which too little is known, and faults without a fix."""
    affected = targets.find_affected(judgeable)
    found = []
    for one in fleet:
        if one.number is None or one.number not in judgeable:
            found.append(_remain(one, one.doubt or "its packages are not known"))
            continue
        inside = affected.get(one.number, {})
        stuck = [name for name, bad in inside.items() if bad and name not in waiting[one.number]]
        if stuck and targets.is_of_versions:
            found.append(_remain(one, "no fix is out", stuck))
        if one.doubt is not None and (inside or not targets.is_particular):
            found.append(_remain(one, one.doubt))
    return found


def _count(
    needy: Iterable[RunningImage],
    spots: Mapping[int | None, Spot],
    newest: Mapping[Spot, Newest],
    rebuilds: Rebuilds,
) -> dict[LineKey, int]:
    """How many containers wait for each line, running it or what is built on it."""
    of_spots = Counter[Spot]()
    for one in needy:
        if spot := spots.get(one.number):
            of_spots[spot] += one.containers
    counts = Counter[LineKey]()
    for spot, containers in of_spots.items():
        lines: set[LineKey] = set()
        for name in newest[spot].waiting or () if spot in newest else ():
            want: Want | None = Want(spot, name)
            while want is not None and want not in rebuilds.blocked:
                lines.add(want.spot.line)
                want = rebuilds.over.get(want)
        counts.update(dict.fromkeys(lines, containers))
    return counts


def follow_image(
    c: Connection,
    ask: PlanQuestion,
    *,
    settings: Settings,
    now: datetime,
    running: Running | None = None,
) -> Outline:
    """The rebuild of one image's line, and of all that is built on or with it and runs.

    With ``idle`` of all that is built on it. Raises NotFound and BadName for the image.
    """
    number = lookups.resolve(c, ask.image or "")
    number = lookups.choose_members(c, [number]).get(number, number)
    survey = Survey(c, None, settings=settings, now=now)
    root = survey.lines.of([number]).get(number)
    fleet = [one for one in list_running(c, now=now, running=running) if one.number is not None]
    lines = survey.lines.of({one.number for one in fleet if one.number is not None})
    spots = {Spot(line, "") for line in lines.values()}
    if ask.idle:
        spots |= {Spot(line, "") for line in _list_heads(c, survey)}
    if root is not None:
        spots.add(Spot(root, ""))
    survey.climb(spots)
    name = survey.newest[Spot(root, "")].name if root and Spot(root, "") in survey.newest else None
    if root is None or name is None:
        why = NO_LINE if root is None else NO_NEWEST
        stuck = [Unplannable(image=ask.image or "", reason=why)]
        return Outline(survey, {}, {}, None, root, [], [], stuck, {})
    names = {spot.line: one.name for spot, one in survey.newest.items()}
    followers = find_followers(
        root,
        survey.bases,
        survey.uses,
        obstacles={line: NOT_BUILT_HERE for line in names if survey.is_external(line)},
        names=names,
        goals=None if ask.idle else set(lines.values()),
    )
    moves = [
        Move(one, line, False, ())
        for one in fleet
        if (line := lines.get(one.number or 0)) in followers.after and line is not None
    ]
    remaining = [
        _remain(one, followers.stopped[line])
        for one in fleet
        if (line := lines.get(one.number or 0)) in followers.stopped and line is not None
    ]
    return Outline(
        survey=survey,
        after=followers.after,
        brings={},
        rebuilds=None,
        root=root,
        moves=moves,
        remaining=remaining,
        unplannable=[
            Unplannable(image=names.get(line, line.repository), reason=why)
            for line, why in sorted(followers.stopped.items())
        ],
        containers=_count_below(moves, followers.after, survey),
    )


def _count_below(
    moves: Iterable[Move], after: Mapping[LineKey, frozenset[LineKey]], survey: Survey
) -> dict[LineKey, int]:
    """How many containers run each line, or what is built on or with it."""
    counts = Counter[LineKey]()
    for move in moves:
        over = {move.line}
        todo = [move.line]
        while todo:
            line = todo.pop()
            for one in (
                survey.bases.get(line, set()) | survey.uses.get(line, set())
            ) & after.keys():
                if one not in over:
                    over.add(one)
                    todo.append(one)
        counts.update(dict.fromkeys(over, move.running.containers))
    return counts
