"""The newest images of lines, and what each is built on: what a plan may rebuild, read level by level."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from msgspec import Struct

from imagecatalog.catalog.lineage import Edge, edges_of
from imagecatalog.config import Settings
from imagecatalog.domain.refs import DEFAULT_REGISTRY
from imagecatalog.matching.lines import Head, LineKey, Lines
from imagecatalog.planning.graph import Newest, Spot
from imagecatalog.planning.targets import Judgeable, Targets
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import images, lookups, plans
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.plans import Fixable

NOT_BUILT_HERE = "not built here: somebody else's image, see [plan] external in the configuration"


class _Base(Struct, frozen=True):
    """The base of an image: what it brought, and where its line goes on."""

    inherited: frozenset[str]
    spot: Spot | None
    dead_end: str | None


class _Parents(Struct, frozen=True):
    """The parents of some images, those that the catalog holds."""

    lines: Mapping[int, LineKey]
    heads: Mapping[LineKey, Head]
    named: Mapping[int, str]

    def name(self, edge: Edge) -> str:
        return self.named.get(edge.parent or 0) or edge.image or str(edge.digest)


class Survey:
    """The newest image of every spot looked at, in one view of the catalog."""

    def __init__(
        self, c: Connection, targets: Targets | None, *, settings: Settings, now: datetime
    ) -> None:
        self._c = c
        self._targets = targets
        self._now = now
        globs = settings.plan.external
        self._external = (f"{DEFAULT_REGISTRY}/*",) if globs is None else globs
        self.lines = Lines(c, settings.lines)
        self._names: dict[LineKey, str] = {}
        self.newest: dict[Spot, Newest] = {}
        self.numbers: dict[Spot, int] = {}
        self.rows: dict[int, ImageRow] = {}
        self.waiting: dict[Spot, dict[str, Fixable]] = {}
        self.bases: dict[LineKey, set[LineKey]] = {}
        """The lines that each is built on."""
        self.uses: dict[LineKey, set[LineKey]] = {}
        """The lines that each is built with: stages and copies."""
        self.parents: dict[LineKey, dict[str, None]] = {}
        """Names of the images that each would be built from, its base first."""

    def is_external(self, line: LineKey) -> bool:
        """Whether somebody else builds it."""
        path = line.repository.partition("/")[2]
        return any(
            fnmatchcase(name, glob) for name in (line.repository, path) for glob in self._external
        )

    def name(self, line: LineKey) -> str:
        """The name of the newest of a line; its repository's where there is none."""
        if line not in self._names:
            head = self.lines.heads([line]).get(line)
            self._names[line] = head.name if head else line.repository
        return self._names[line]

    def climb(self, spots: Iterable[Spot]) -> None:
        """Look at these spots and at all above them: those of their bases that what waits is from.

        Without targets at all that they are built on or with. Lines without a newest are left out.
        """
        level = set(spots)
        while level:
            level = self._look(level) - self.newest.keys()

    def _look(self, level: Collection[Spot]) -> set[Spot]:
        heads = self.lines.heads(spot.line for spot in level)
        numbers = {
            spot: heads[spot.line].on(spot.platform or None)
            for spot in sorted(level)
            if spot.line in heads
        }
        self.numbers |= numbers
        self._read_rows({*numbers.values(), *(head.number for head in heads.values())})
        unknown = self._read_waiting(numbers)
        open_spots = [
            spot
            for spot in numbers
            if self._targets is None or (self.waiting.get(spot) and not self.is_external(spot.line))
        ]
        edges = edges_of(self._c, {numbers[spot] for spot in open_spots})
        bases, above = self._find_bases(open_spots, edges)
        for spot, number in numbers.items():
            base = bases.get(spot)
            obstacle = unknown.get(number)
            if self.is_external(spot.line):
                obstacle = NOT_BUILT_HERE
            self.newest[spot] = Newest(
                name=heads[spot.line].name,
                waiting=None if number in unknown else frozenset(self.waiting.get(spot, ())),
                inherited=base.inherited if base else frozenset(),
                base=base.spot if base else None,
                dead_end=base.dead_end if base else None,
                obstacle=obstacle,
            )
        return above

    def _read_rows(self, numbers: Iterable[int]) -> None:
        self.rows |= lookups.list_images(self._c, set(numbers) - self.rows.keys())

    def _read_waiting(self, numbers: Mapping[Spot, int]) -> dict[int, str]:
        """What waits in these images; why that is not known of some."""
        if self._targets is None:
            return {}
        judgeable = {}
        for number in set(numbers.values()):
            row = self.rows[number]
            if row.set_id is not None and row.setup_id is not None and row.unknown_code is None:
                pair = row.setup_id, row.set_id
                judgeable[number] = Judgeable(pair, row.set_id, row.distro, row.scope_id)
        rest = judge_images(self._c, set(numbers.values()) - judgeable.keys(), now=self._now)
        unknown = {}
        for number, one in rest.items():
            row = self.rows[number]
            if one.verdict.status == "unknown" or row.set_id is None or one.report is not None:
                unknown[number] = f"its packages are not known: {one.verdict.reason}"
            else:
                judgeable[number] = Judgeable(None, row.set_id, row.distro, row.scope_id)
        waiting = self._targets.find_waiting(judgeable)
        for spot, number in numbers.items():
            self.waiting[spot] = waiting.get(number, {})
        return unknown

    def _find_bases(
        self, spots: Collection[Spot], edges: Mapping[int, list[Edge]]
    ) -> tuple[dict[Spot, _Base], set[Spot]]:
        """The base of each spot's newest image, and the spots that are to be looked at next."""
        parents = self._read_parents(edges)
        brought = self._find_brought(edges)
        bases: dict[Spot, _Base] = {}
        for spot in spots:
            its = edges.get(self.numbers[spot], ())
            self._note_lines(spot.line, its, parents)
            told = [edge for edge in its if edge.role == "base"]
            if told:
                bases[spot] = self._weigh(spot, told[0], parents, brought)
        if self._targets is not None:
            return bases, {one.spot for one in bases.values() if one.spot and one.inherited}
        above = {
            Spot(line, spot.platform)
            for spot in spots
            for line in (self.bases[spot.line] | self.uses[spot.line]) & parents.heads.keys()
        }
        return bases, above

    def _read_parents(self, edges: Mapping[int, list[Edge]]) -> _Parents:
        numbers = {edge.parent for many in edges.values() for edge in many if edge.parent}
        lines = self.lines.of(numbers)
        heads = self.lines.heads(lines.values())
        following = {n for head in heads.values() for n in (head.number, *head.members.values())}
        self._read_rows(numbers | following)
        names = self.lines.names(numbers)
        names |= images.best_names(self._c, numbers - names.keys())
        return _Parents(lines, heads, names)

    def _note_lines(self, line: LineKey, edges: Iterable[Edge], parents: _Parents) -> None:
        bases, uses = self.bases.setdefault(line, set()), self.uses.setdefault(line, set())
        names = self.parents.setdefault(line, {})
        for edge in edges:
            over = parents.lines.get(edge.parent or 0)
            if over is not None:
                (bases if edge.role == "base" else uses).add(over)
            head = parents.heads.get(over) if over else None
            names[head.name if head else parents.name(edge)] = None

    def _find_brought(self, edges: Mapping[int, list[Edge]]) -> dict[int, set[int]]:
        """Which of all that waits each base holds, by the base's set."""
        told = {edge.parent for many in edges.values() for edge in many if edge.role == "base"}
        sets = {self.rows[one].set_id for one in told if one}
        waiting = {one.number for many in self.waiting.values() for one in many.values()}
        return plans.list_holding(self._c, {one for one in sets if one is not None}, waiting)

    def _weigh(
        self, spot: Spot, edge: Edge, parents: _Parents, brought: Mapping[int, set[int]]
    ) -> _Base:
        waiting = self.waiting.get(spot, {})
        name = parents.name(edge)
        row = self.rows.get(edge.parent or 0)
        if row is None:
            return _Base(
                frozenset(waiting), None, f"its base {name} is told but not in the catalog"
            )
        if row.set_id is None:
            return _Base(frozenset(waiting), None, f"the packages of its base {name} are not known")
        held = brought.get(row.set_id, set())
        inherited = frozenset(key for key, one in waiting.items() if one.number in held)
        line = parents.lines.get(row.id)
        if line is None or line not in parents.heads:
            return _Base(inherited, None, f"nothing tells what came after its base {name}")
        return _Base(inherited, Spot(line, spot.platform), None)


def spots_of(survey: Survey, running: Mapping[int, str]) -> dict[int, Spot]:
    """The spot of each image, of which its platform is given; images without a line are left out."""
    lines = survey.lines.of(running)
    return {number: Spot(line, running[number]) for number, line in lines.items()}
