"""Lineages and plans as text for graph tools: DOT of Graphviz, and Mermaid.

Names are foreign: whatever they hold stays a label. DOT as https://graphviz.org/doc/info/lang.html
has it; in Mermaid's labels every sign that could end or style them is written by its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from imagecatalog.domain.answers import Status
from imagecatalog.domain.lineage import Lineage, Relative
from imagecatalog.domain.plans import Plan, Redeploy, Step

_COLOURS = {
    "security-update": "#f8d0cf",
    "end-of-life": "#f8d0cf",
    "update": "#fbe7b5",
    "superseded": "#fbe7b5",
    "unknown": "#d5e3f7",
    "current": "#d4edd4",
    "missing": "#eeeeee",
    "deploy": "#ffffff",
    "done": "#d4edd4",
    "failed": "#f8d0cf",
    "step": "#d5e3f7",
}
"""Of a node by its kind; what a colour says stands in the label too."""
_LINES = {"base": ("solid", "-->"), "stage": ("dashed", "-.->"), "copy": ("dotted", "-.->")}
_WORDS: dict[Status, str] = {
    "security-update": "security update",
    "update": "update",
    "superseded": "superseded",
    "end-of-life": "end of life",
    "unknown": "unknown",
    "current": "current",
}
_PLAIN = re.compile(r"[^A-Za-z0-9 .,:/@_()×·-]")


class _Node(Struct, frozen=True):
    key: str
    lines: tuple[str, ...]
    kind: str
    is_focus: bool = False
    group: str = ""


class _Arrow(Struct, frozen=True):
    tail: str
    head: str
    role: str = "base"
    label: str = ""


class _Graph(Struct, frozen=True):
    title: str
    nodes: Sequence[_Node]
    arrows: Sequence[_Arrow]


def lineage_dot(lineage: Lineage) -> str:
    """Ancestors above, descendants below; drawn by ``dot -Tsvg``."""
    return _write_dot(_read_lineage(lineage))


def lineage_mermaid(lineage: Lineage) -> str:
    """The same as a Mermaid flowchart."""
    return _write_mermaid(_read_lineage(lineage))


def plan_dot(plan: Plan) -> str:
    """Waves of rebuilds from above, then the workloads that move; drawn by ``dot -Tsvg``."""
    return _write_dot(_read_plan(plan))


def plan_mermaid(plan: Plan) -> str:
    """The same as a Mermaid flowchart."""
    return _write_mermaid(_read_plan(plan))


def _read_lineage(lineage: Lineage) -> _Graph:
    focus = _describe(lineage.image, lineage.status, lineage.running)
    nodes = {lineage.digest: _Node(lineage.digest, focus, lineage.status, is_focus=True)}
    arrows = []
    for relatives, is_above in ((lineage.ancestors, True), (lineage.descendants, False)):
        for one in relatives:
            key = one.digest or one.image
            kind = one.status if one.known else "missing"
            nodes.setdefault(key, _Node(key, _describe_relative(one), kind))
            tail, head = (key, one.of) if is_above else (one.of, key)
            arrows.append(_Arrow(tail, head, one.role, _describe_edge(one)))
    if lineage.more_descendants:
        nodes["more"] = _Node("more", ("more descendants", "not listed"), "missing")
        arrows.append(_Arrow(lineage.digest, "more"))
    return _Graph(f"lineage of {lineage.image}", list(nodes.values()), arrows)


def _describe(image: str, status: Status, running: int) -> tuple[str, ...]:
    runs = f", runs ×{running:,}" if running else ""
    return image, f"{_WORDS[status]}{runs}"


def _describe_relative(one: Relative) -> tuple[str, ...]:
    if not one.known:
        return one.image, "not in the catalog"
    return _describe(one.image, one.status, one.running)


def _describe_edge(one: Relative) -> str:
    return f"{one.role}, {one.evidence}" if one.role != "base" else one.evidence


def _read_plan(plan: Plan) -> _Graph:
    nodes: list[_Node] = []
    arrows: list[_Arrow] = []
    by_target: dict[str, str] = {}
    for number, wave in enumerate(plan.waves, 1):
        for step in wave:
            nodes.append(
                _Node(step.rebuild, _describe_step(step), _kind(step), group=f"wave {number}")
            )
            arrows += [_Arrow(before, step.rebuild) for before in step.after]
            by_target |= {step.repository: step.rebuild, step.rebuild: step.rebuild}
    moved: dict[str, list[Redeploy]] = {}
    for one in plan.redeploy:
        moved.setdefault(one.to, []).append(one)
    for target, many in moved.items():
        key = f"redeploy {target}"
        nodes.append(_Node(key, _describe_moves(target, many), "deploy", group="redeploy"))
        step_key = by_target.get(target)
        if step_key is not None:
            arrows.append(_Arrow(step_key, key, "stage"))
    return _Graph(plan.summary, nodes, arrows)


def _kind(step: Step) -> str:
    if step.state == "kept-old-package":
        return "failed"
    return "done" if step.state in ("proven", "deployed") else "step"


_SHOWN = 5


def _describe_step(step: Step) -> tuple[str, ...]:
    names = sorted({one.package for one in step.packages})
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    packages = (", ".join(names[:_SHOWN]) + more,) if names else ()
    return (f"rebuild {step.rebuild}", *packages, step.state)


def _describe_moves(target: str, many: Sequence[Redeploy]) -> tuple[str, ...]:
    places = sorted({f"{one.cluster}, {one.namespace}, {one.workload}" for one in many})
    rest = (f"and {len(places) - _SHOWN:,} more",) if len(places) > _SHOWN else ()
    return (f"redeploy {target}", *places[:_SHOWN], *rest)


def _write_dot(graph: _Graph) -> str:
    keys = {node.key: f"n{place}" for place, node in enumerate(graph.nodes)}
    lines = [
        f"digraph {_quote((graph.title,))} {{",
        '  graph [rankdir=TB, fontname="sans-serif"];',
        '  node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=8];',
    ]
    for place, (group, nodes) in enumerate(_group(graph.nodes)):
        indent = "    " if group else "  "
        if group:
            lines.append(f"  subgraph cluster_{place} {{")
            lines.append(f"    label={_quote((group,))};")
        for node in nodes:
            width = ", penwidth=3" if node.is_focus else ""
            lines.append(
                f"{indent}{keys[node.key]} [label={_quote(node.lines)}, "
                f'fillcolor="{_COLOURS[node.kind]}"{width}];'
            )
        if group:
            lines.append("  }")
    for arrow in _between(graph.arrows, keys):
        style = _LINES[arrow.role][0]
        label = f", label={_quote((arrow.label,))}" if arrow.label else ""
        lines.append(f"  {keys[arrow.tail]} -> {keys[arrow.head]} [style={style}{label}];")
    return "\n".join([*lines, "}"]) + "\n"


def _write_mermaid(graph: _Graph) -> str:
    keys = {node.key: f"n{place}" for place, node in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    for place, (group, nodes) in enumerate(_group(graph.nodes)):
        indent = "    " if group else "  "
        if group:
            lines.append(f'  subgraph g{place}["{_spell(group)}"]')
        for node in nodes:
            label = "<br/>".join(map(_spell, node.lines))
            lines.append(f'{indent}{keys[node.key]}["{label}"]:::{_class(node.kind)}')
        if group:
            lines.append("  end")
    for arrow in _between(graph.arrows, keys):
        label = f'|"{_spell(arrow.label)}"|' if arrow.label else ""
        shaft = _LINES[arrow.role][1]
        lines.append(f"  {keys[arrow.tail]} {shaft}{label} {keys[arrow.head]}")
    lines += [
        f"  classDef {_class(kind)} fill:{_COLOURS[kind]},stroke:#555,color:#000"
        for kind in sorted({node.kind for node in graph.nodes})
    ]
    lines += [f"  style {keys[node.key]} stroke-width:3px" for node in graph.nodes if node.is_focus]
    return "\n".join(lines) + "\n"


def _between(arrows: Iterable[_Arrow], keys: dict[str, str]) -> Iterable[_Arrow]:
    """Each arrow once, so far as both its ends are drawn."""
    return (one for one in dict.fromkeys(arrows) if one.tail in keys and one.head in keys)


def _group(nodes: Sequence[_Node]) -> list[tuple[str, list[_Node]]]:
    groups: dict[str, list[_Node]] = {}
    for node in nodes:
        groups.setdefault(node.group, []).append(node)
    return list(groups.items())


def _class(kind: str) -> str:
    """``end`` at a word's beginning is a word of Mermaid's own."""
    return f"is-{kind}"


def _quote(lines: Iterable[str]) -> str:
    """A DOT string of lines; backslashes would be escapes."""
    texts = (_clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(texts) + '"'


def _spell(text: str) -> str:
    """A Mermaid label: all but plain signs by their number, as ``#35;``."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", _clean(text))


def _clean(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
