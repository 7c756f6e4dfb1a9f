"""Lineages and plans as graphs: which boxes, which lines, and the paths that draw them.

A box's text is laid out by the page; here is how large it is and where it stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagecatalog.domain.answers import STATUS_ORDER, Status
from imagecatalog.domain.builds import EVIDENCE_ORDER, Evidence
from imagecatalog.domain.lineage import Lineage, Relative
from imagecatalog.domain.plans import Plan, Step
from imagecatalog.web.ui.placement import Box, Line, Picture, Placed, Point, arrange

IMAGE_WIDTH, IMAGE_HEIGHT, LINE_HEIGHT = 176, 62, 18
STEP_WIDTH = 300
COLLAPSE = 24
"""So many relatives on one side are drawn one by one; of more, those of one repository are one."""
ALL = "*"
"""Opens every repository."""
STALE: frozenset[Status] = frozenset({"security-update", "end-of-life", "update", "superseded"})


@dataclass(frozen=True)
class Relation:
    """An image, or several of one repository, in a drawn lineage."""

    key: str
    repository: str
    """With its registry."""
    tag: str
    """With its colon; empty for several."""
    name: str
    status: Status
    """The worst, for several."""
    digest: str | None = None
    running: int = 0
    """Containers; for several, images that run."""
    stale: int = 0
    images: int = 1
    is_group: bool = False
    is_focus: bool = False
    is_known: bool = True


@dataclass(frozen=True)
class Stroke:
    """All lines of one kind as one path, and their arrowheads as another."""

    kind: str
    lines: str
    heads: str


@dataclass(frozen=True)
class Drawing:
    """A graph to show: its size, its boxes with what they hold, its lines."""

    width: int
    height: int
    images: tuple[tuple[Placed, Relation], ...] = ()
    steps: tuple[tuple[Placed, Step], ...] = ()
    strokes: tuple[Stroke, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    """Of the lines, best first."""
    groups: tuple[str, ...] = ()
    """Repositories of which several images are one box."""
    opened: tuple[str, ...] = ()
    """Repositories that are drawn image by image because somebody asked."""
    registry: str = ""
    """Of all steps, with its slash, so that no box need say it; empty if they are of several."""


def split_name(name: str) -> tuple[str, str]:
    """Repository, and tag or digest with what parts them; takes any text.

    >>> split_name("localhost:5000/a:1")
    ('localhost:5000/a', ':1')
    """
    path, at, digest = name.partition("@")
    if at:
        return path, f"@{digest[:19]}"
    folder, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    return f"{folder}{slash}{last}", f"{colon}{tag}"


def draw_lineage(lineage: Lineage, opened: Collection[str] = ()) -> Drawing:
    """Ancestors above, descendants below; ``opened`` names repositories to draw image by image."""
    group_of = {
        **_group("below", lineage.descendants, opened),
        **_group("above", lineage.ancestors, opened),
    }
    group_of[lineage.digest] = lineage.digest
    relations = _relate(lineage, group_of)
    top = max((relative.depth for relative in lineage.ancestors), default=0)
    least: dict[str, int] = {lineage.digest: top}
    for sign, relatives in ((-1, lineage.ancestors), (1, lineage.descendants)):
        for relative in relatives:
            key = group_of[_key(relative)]
            rank = max(0, top + sign * relative.depth)
            least[key] = min(least.get(key, rank), rank)
    boxes = [
        Box(key, IMAGE_WIDTH, IMAGE_HEIGHT + LINE_HEIGHT * (one.running > 0), least[key])
        for key, one in relations.items()
    ]
    picture = arrange(boxes, _join(lineage, group_of))
    evidence = {relative.evidence for relative in (*lineage.ancestors, *lineage.descendants)}
    groups = {one.repository for one in relations.values() if one.is_group}
    there = {one.repository for one in relations.values() if one.digest != lineage.digest}
    return Drawing(
        picture.width,
        picture.height,
        images=tuple((placed, relations[placed.key]) for placed in picture.boxes),
        strokes=_stroke(picture),
        evidence=tuple(one for one in EVIDENCE_ORDER if one in evidence),
        groups=tuple(sorted(groups)),
        opened=tuple(sorted((there & set(opened)) - groups)),
    )


def _key(relative: Relative) -> str:
    return relative.digest or relative.image


def _group(side: str, relatives: Sequence[Relative], opened: Collection[str]) -> dict[str, str]:
    """The box of each relative of one side: its own, or its repository's."""
    keys = {_key(relative): split_name(relative.image)[0] for relative in relatives}
    members: dict[str, int] = defaultdict(int)
    for repository in keys.values():
        members[repository] += 1
    if len(keys) <= COLLAPSE or ALL in opened:
        return {key: key for key in keys}
    return {
        key: key if members[name] == 1 or name in opened else f"{side} {name}"
        for key, name in keys.items()
    }


def _relate(lineage: Lineage, group_of: Mapping[str, str]) -> dict[str, Relation]:
    """What each box holds, by its key."""
    repository, tag = split_name(lineage.image)
    found = {
        lineage.digest: Relation(
            lineage.digest,
            repository,
            tag,
            lineage.image,
            lineage.status,
            lineage.digest,
            running=lineage.running,
            is_focus=True,
        )
    }
    members: dict[str, dict[str, Relative]] = {}
    for relative in (*lineage.ancestors, *lineage.descendants):
        key = _key(relative)
        if group_of[key] != lineage.digest:
            members.setdefault(group_of[key], {}).setdefault(key, relative)
    for key, many in members.items():
        found[key] = _describe(key, list(many.values()))
    return found


def _describe(key: str, relatives: Sequence[Relative]) -> Relation:
    first = relatives[0]
    repository, tag = split_name(first.image)
    if key == _key(first):
        return Relation(
            key,
            repository,
            tag,
            first.image,
            first.status,
            first.digest,
            running=first.running,
            is_known=first.known,
        )
    return Relation(
        key,
        repository,
        "",
        repository,
        min((relative.status for relative in relatives), key=STATUS_ORDER.index),
        running=sum(relative.running > 0 for relative in relatives),
        stale=sum(relative.status in STALE for relative in relatives),
        images=len(relatives),
        is_group=True,
    )


def _join(lineage: Lineage, group_of: Mapping[str, str]) -> list[Line]:
    """One line a pair of boxes and role: of several the weakest evidence, so none says too much."""
    weakest: dict[tuple[str, str, str], int] = {}
    ends = [(relative, _key(relative), relative.of) for relative in lineage.ancestors]
    ends += [(relative, relative.of, _key(relative)) for relative in lineage.descendants]
    for relative, parent, child in ends:
        if parent not in group_of or child not in group_of:
            continue
        role = "base" if relative.role == "base" else "used"
        pair = (group_of[parent], group_of[child], role)
        rank = EVIDENCE_ORDER.index(relative.evidence)
        weakest[pair] = max(weakest.get(pair, 0), rank)
    return [
        Line(parent, child, f"{EVIDENCE_ORDER[rank]} {role}")
        for (parent, child, role), rank in weakest.items()
    ]


def draw_plan(plan: Plan) -> Drawing:
    """Waves from left to right, each step after those it waits for."""
    steps = {step.rebuild: step for wave in plan.waves for step in wave}
    registry = _find_registry(steps)
    boxes = [
        Box(step.rebuild, STEP_WIDTH, measure_step(step, registry), number)
        for number, wave in enumerate(plan.waves)
        for step in wave
    ]
    lines = [
        Line(before, step.rebuild, "after") for step in steps.values() for before in step.after
    ]
    picture = arrange(boxes, lines, across=max(1, len(boxes)), sideways=True)
    return Drawing(
        picture.width,
        picture.height,
        steps=tuple((placed, steps[placed.key]) for placed in picture.boxes),
        strokes=_stroke(picture),
        registry=registry,
    )


def _find_registry(names: Iterable[str]) -> str:
    registries = {name.partition("/")[:2] for name in names}
    (host, slash), *others = registries or {("", "")}
    return "" if others or not slash else f"{host}/"


SHOWN_REASONS = 2
_LETTERS, _CODE_LETTERS = 39, 35
"""How many fit into a line of a step's box: of its words, of its command."""
_PIECE = re.compile(r"[^\s-]+-*|-+|\s")
"""Between which a line may end."""


def measure_step(step: Step, registry: str = "") -> int:
    """Height of a step's box, in pixels: its name, state, reasons, command and counts.

    ``registry`` is left out of names wherever they stand.
    """
    shown = [reason.replace(registry, "") for reason in step.reason[:SHOWN_REASONS]]
    words = sum(_count_lines(reason, _LETTERS) for reason in shown)
    words += len(step.reason) > SHOWN_REASONS
    words += _count_lines(step.rebuild.removeprefix(registry), _LETTERS) + _count_lines(
        step.detail or "", _LETTERS
    )
    code = _count_lines(step.docker_pkg or "", _CODE_LETTERS)
    if not code:
        words += _count_lines(f"built by {step.builder} of {step.source_path}", _LETTERS)
    return 52 + LINE_HEIGHT * (words + code) + (12 if code else 0)


def _count_lines(text: str, letters: int) -> int:
    """Lines that a text takes, cut where browsers cut; wide letters count twice."""
    lines = free = 0
    for piece in _PIECE.findall(text[:2000]):
        width = sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in piece)
        if width > free and not piece.isspace():
            more = -(-width // letters)
            lines, free = lines + more, more * letters
        free -= width
    return lines


def _stroke(picture: Picture) -> tuple[Stroke, ...]:
    """The lines by kind; where several share a way, it is drawn once."""
    pieces: dict[str, dict[tuple[Point, Point], None]] = defaultdict(dict)
    heads: dict[str, dict[Point, bool]] = defaultdict(dict)
    for route in picture.routes:
        kind = route.line.kind
        for start, end in zip(route.points, route.points[1:], strict=False):
            if start != end:
                pieces[kind][start, end] = None
        (before_x, before_y), (x, y) = route.points[-2:]
        heads[kind][x, y] = (before_x < x) if picture.sideways else (before_y < y)
    return tuple(
        Stroke(kind, _draw(pieces[kind], picture), _point(heads[kind].items(), picture))
        for kind in sorted(pieces)
    )


def _draw(pieces: Iterable[tuple[Point, Point]], picture: Picture) -> str:
    """Path data: straight pieces, and curves that leave and arrive upright."""
    drawn = []
    for (x1, y1), (x2, y2) in pieces:
        if x1 == x2 or y1 == y2:
            drawn.append(f"M{x1} {y1}L{x2} {y2}")
        elif picture.sideways:
            middle = (x1 + x2) // 2
            drawn.append(f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
        else:
            middle = (y1 + y2) // 2
            drawn.append(f"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}")
    return "".join(drawn)


def _point(heads: Iterable[tuple[Point, bool]], picture: Picture) -> str:
    """Path data of arrowheads; a line that goes against the ranks arrives from the other side."""
    drawn = []
    for (x, y), is_forward in heads:
        back = -8 if is_forward else 8
        if picture.sideways:
            drawn.append(f"M{x} {y}l{back} -4v8z")
        else:
            drawn.append(f"M{x} {y}l-4 {back}h8z")
    return "".join(drawn)
