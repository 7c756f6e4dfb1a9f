"""How a lineage lies on a terminal: a tree, the farthest base first."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from imagecatalog.cli.layouts import describe_status
from imagecatalog.cli.render import (
    Cell,
    Column,
    clean,
    measure,
    plural,
    shorten,
    table_width,
    wrap,
    write_table,
)
from imagecatalog.domain.answers import Status
from imagecatalog.domain.lineage import (
    Contradiction,
    Lineage,
    Relative,
)

_STALE: tuple[Status, ...] = ("security-update", "end-of-life", "update", "superseded")
_COLLAPSE = 4
"""So many siblings of one repository are one line, where there are more descendants than this:"""
_ROOMY = 40
_KNOWN_BY = 10
"""The least that is kept of how an edge is known."""
_NARROW = 16
"""A name in a tree is cut to no less than this."""


class RelativeRow(Struct, frozen=True):
    """A relative as a line of CSV."""

    side: str
    """``ancestor`` or ``descendant``."""
    image: str
    digest: str | None
    role: str
    evidence: str
    also: tuple[str, ...]
    depth: int
    of: str
    known: bool
    status: str
    running: int


def list_relatives(lineage: Lineage) -> Iterator[RelativeRow]:
    """Ancestors, then descendants, as lines of CSV."""
    fields = RelativeRow.__struct_fields__[1:]
    for side, many in (("ancestor", lineage.ancestors), ("descendant", lineage.descendants)):
        for one in many:
            yield RelativeRow(side, *(getattr(one, field) for field in fields))


# --- lineage --------------------------------------------------------------------------------------


class _Line(Struct, frozen=True):
    """A line of the tree."""

    stem: str
    """What leads to the name."""
    name: str
    verdict: Cell
    runs: str
    known_by: str
    is_focus: bool = False


def show_lineage(lineage: Lineage, *, whole: bool) -> None:
    """``lineage``: the ancestors above, the image, its descendants below."""
    say(_lineage_headline(lineage))
    tree = _Tree(lineage, whole=whole)
    lines = tree.lines()
    say()
    registry = usual_registry(line.name for line in lines)
    room = _room_for_names(lines)
    rows = []
    for line in lines:
        name = line.name.removeprefix(registry)
        if room is not None:
            name = shorten(name, max(room - measure(line.stem), _NARROW), whole_end=True)
        colour = "bold" if line.is_focus else None
        rows.append(
            (Cell(line.stem + name, colour, len(line.stem)), line.verdict, line.runs, line.known_by)
        )
    title = f"IMAGE ({registry}…)" if registry else "IMAGE"
    columns = (
        Column(title if room is None else shorten(title, max(room, _NARROW))),
        Column("VERDICT"),
        Column("RUNS", right=True),
        Column("KNOWN BY", least=_KNOWN_BY),
    )
    write_table(columns, rows)
    if lineage.more_descendants:
        say(f"\nThere are more than {len(tree.images):,} descendants; see --limit")
    _say_contradictions(lineage.contradictions)


def _room_for_names(lines: Sequence[_Line]) -> int | None:
    """Columns that the facts leave to the tree; None where lines may be as long as they like."""
    total = table_width(sys.stdout)
    if total is None:
        return None
    facts = (
        max(len("VERDICT"), *(measure(line.verdict.text) for line in lines)),
        max(len("RUNS"), *(measure(line.runs) for line in lines)),
        max(_KNOWN_BY, *(measure(line.known_by) for line in lines)) if total >= 80 else _KNOWN_BY,
    )
    return total - sum(facts) - 2 * len(facts)


def usual_registry(names: Iterable[str]) -> str:
    """The registry of most of these names with its slash, which a table need not repeat."""
    registries = Counter(name.partition("/")[0] + "/" for name in names if "/" in name)
    return registries.most_common(1)[0][0] if registries else ""


def _lineage_headline(lineage: Lineage) -> str:
    above = {one.digest or one.image for one in lineage.ancestors}
    below = {one.digest: one for one in lineage.descendants}
    running = sum(bool(one.running) for one in below.values())
    more = "more than " if lineage.more_descendants else ""
    parts = [
        f"built on {plural(len(above), 'image')}" if above else "built on nothing that is known",
        f"{more}{plural(len(below), 'image')} built on it, {running:,} of them running"
        if below
        else "nothing is built on it",
    ]
    return wrap(f"{lineage.image}: {'; '.join(parts)}", 2)


def _say_contradictions(found: Sequence[Contradiction]) -> None:
    if not found:
        return
    say(f"\n{plural(len(found), 'contradiction')}; the word of the better evidence was taken")
    for one in found:
        say(wrap(f"  {one.image}: by {one.evidence}, {one.says} (against {one.against})", 4))


class _Tree:
    """The lines of a lineage."""

    def __init__(self, lineage: Lineage, *, whole: bool) -> None:
        self._lineage = lineage
        self._children: dict[str, list[Relative]] = {}
        for one in lineage.descendants:
            self._children.setdefault(one.of, []).append(one)
        self.images = {one.digest for one in lineage.descendants}
        self._whole = whole or len(self.images) <= _ROOMY
        self._drawn: set[str] = set()

    def lines(self) -> list[_Line]:
        """From the farthest base down to the last descendant."""
        path = _base_path(self._lineage)
        others: dict[str, list[Relative]] = {}
        for one in self._lineage.ancestors:
            if one not in path:
                others.setdefault(one.of, []).append(one)
        lines: list[_Line] = []
        indent = ""
        known_by = ""
        for base in reversed(path):
            self._draw_others(lines, indent, others.get(base.digest or "", ()))
            lines.append(_line(f"{indent}└─ " if indent or lines else "", base, known_by))
            known_by = _describe_evidence(base)
            indent = " " * len(lines[-1].stem)
        focus = self._lineage
        self._draw_others(lines, indent, others.get(focus.digest, ()))
        stem = f"{indent}└─ ► " if lines else "► "
        verdict, runs = describe_status(focus.status), _describe_runs(focus.running)
        lines.append(_Line(stem, focus.image, verdict, runs, known_by, is_focus=True))
        self._drawn.add(focus.digest)
        self._draw_below(lines, " " * (len(stem) - 2), focus.digest)
        return lines

    def _draw_others(self, lines: list[_Line], indent: str, many: Sequence[Relative]) -> None:
        """Parents beside the base."""
        lines += [_line(f"{indent}┌╌ ", one, _describe_evidence(one)) for one in many]

    def _draw_below(self, lines: list[_Line], indent: str, digest: str) -> None:
        branches = self._gather(self._children.get(digest, ()))
        for place, branch in enumerate(branches, 1):
            is_last = place == len(branches)
            stem = f"{indent}{'└─ ' if is_last else '├─ '}"
            if len(branch) > 1:
                lines.append(_collapsed(stem, branch))
                continue
            (one,) = branch
            lines.append(_line(stem, one, _describe_evidence(one)))
            if one.digest is not None and one.digest not in self._drawn:
                self._drawn.add(one.digest)
                self._draw_below(lines, f"{indent}{'   ' if is_last else '│  '}", one.digest)

    def _gather(self, children: Sequence[Relative]) -> list[list[Relative]]:
        """Those of one repository together, where there are many."""
        groups: dict[str, list[Relative]] = {}
        for one in children:
            groups.setdefault(_repository(one.image), []).append(one)
        branches = []
        for many in groups.values():
            is_one = len(many) >= _COLLAPSE and not self._whole
            branches += [many] if is_one else [[one] for one in many]
        return branches


def _base_path(lineage: Lineage) -> list[Relative]:
    """The bases, the nearest first; where one is not in the catalog the path takes the known one."""
    path: list[Relative] = []
    at, seen = lineage.digest, {lineage.digest}
    while True:
        bases = [one for one in lineage.ancestors if one.of == at and one.role == "base"]
        base = min(bases, key=lambda one: not one.known, default=None)
        if base is None or base.digest in seen:
            return path
        path.append(base)
        if base.digest is None or not base.known:
            return path
        at = base.digest
        seen.add(at)


def _line(stem: str, one: Relative, known_by: str) -> _Line:
    role = "" if one.role == "base" else f" ({one.role})"
    verdict = describe_status(one.status) if one.known else Cell("? not in the catalog", "blue")
    return _Line(stem, one.image + role, verdict, _describe_runs(one.running), known_by)


def _collapsed(stem: str, many: Sequence[Relative]) -> _Line:
    stale = sum(one.status in _STALE for one in many)
    unknown = sum(one.status == "unknown" for one in many)
    worst = Cell(f"? {unknown:,} unknown", "blue") if unknown else describe_status("current")
    if stale:
        worst = Cell(f"△ {stale:,} stale", "yellow")
    running = sum(one.running for one in many)
    name = f"{_repository(many[0].image)}: {plural(len(many), 'image')}"
    evidence = ", ".join(dict.fromkeys(one.evidence for one in many))
    return _Line(stem, name, worst, _describe_runs(running), evidence)


def _repository(name: str) -> str:
    path = name.partition("@")[0]
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def _describe_runs(containers: int) -> str:
    return f"×{containers:,}" if containers else "-"


def _describe_evidence(one: Relative) -> str:
    return ", ".join((one.evidence, *one.also))


def say(text: str = "") -> None:
    """A line on stdout."""
    sys.stdout.write(clean(text) + "\n")
