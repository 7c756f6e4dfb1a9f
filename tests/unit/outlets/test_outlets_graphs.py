"""Lineages and plans as text for graph tools: whole, and no name breaks out of its label."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.lineage import Lineage, Relative
from imagecatalog.domain.plans import Plan, PlannedFix, Redeploy, Step
from imagecatalog.outlets import graphs

DOT_NODE = re.compile(r'^ +(n\d+) \[label="((?:[^"\\]|\\.)*)", fillcolor="#[0-9a-f]{6}"[^"]*\];$')
DOT_EDGE = re.compile(r'^  (n\d+) -> (n\d+) \[style=(\w+)(?:, label="((?:[^"\\]|\\.)*)")?\];$')
MERMAID_NODE = re.compile(r'^ +(n\d+)\["([^"]*)"\]:::is-[a-z-]+$')
MERMAID_EDGE = re.compile(r'^  (n\d+) (-->|-\.->)(?:\|"([^"]*)"\|)? (n\d+)$')


def relative(image: str, of: str, **more: Any) -> Relative:
    facts = {"role": "base", "evidence": "layers", "depth": 1, "digest": f"digest of {image}"}
    return Relative(image=image, of=of, **(facts | more))  # type: ignore[arg-type]


def tree(image: str = "r.example.org/app:1", other: str = "r.example.org/debian:12") -> Lineage:
    focus = f"digest of {image} itself"
    return Lineage(
        image=image,
        digest=focus,
        ancestors=(
            relative(other, focus, status="security-update"),
            relative("tool:1", focus, role="copy", evidence="registered", digest=None, known=False),
        ),
        descendants=(relative("r.example.org/job:1", focus, running=3, status="current"),),
        more_descendants=True,
    )


def plan() -> Plan:
    fix = PlannedFix(package="libssl3", arch="amd64", installed="1", candidate="2", security=True)

    def step(name: str, *after: str, **more: Any) -> Step:
        return Step(
            rebuild=f"{name}:1",
            digest=name,
            repository=name,
            reason=(),
            after=after,
            packages=(fix,),
            **more,
        )

    def move(at: int, to: str) -> Redeploy:
        return Redeploy(
            cluster="c",
            namespace="n",
            workload=f"Deployment/{at}",
            origin="app:0",
            to=to,
            built=False,
            wave=2,
        )

    return Plan(
        waves=((step("debian", state="proven"),), (step("app", "debian:1"),)),
        redeploy=(*(move(at, "app") for at in range(7)), move(9, "elsewhere")),
        remaining=(),
        unplannable=(),
        summary="Two rebuilds",
        asked="imagecatalog plan",
    )


def test_a_lineage_in_dot_leads_from_parents_to_children() -> None:
    lines = graphs.lineage_dot(tree()).splitlines()
    nodes = {m[1]: m[2] for line in lines if (m := DOT_NODE.match(line))}
    edges = {(nodes[m[1]], nodes[m[2]]): (m[3], m[4]) for m in map(DOT_EDGE.match, lines) if m}
    app = r"r.example.org/app:1\nunknown"
    assert edges == {
        (r"r.example.org/debian:12\nsecurity update", app): ("solid", "layers"),
        (r"tool:1\nnot in the catalog", app): ("dotted", "copy, registered"),
        (app, r"r.example.org/job:1\ncurrent, runs ×3"): ("solid", "layers"),
        (app, r"more descendants\nnot listed"): ("solid", None),
    }
    assert lines[0] == 'digraph "lineage of r.example.org/app:1" {'
    assert sum("penwidth=3" in line for line in lines) == 1


def test_a_lineage_in_mermaid_has_the_same_edges() -> None:
    lines = graphs.lineage_mermaid(tree()).splitlines()
    nodes = {m[1]: m[2].split("<br/>")[0] for m in map(MERMAID_NODE.match, lines) if m}
    edges = {(nodes[m[1]], nodes[m[4]]): (m[2], m[3]) for m in map(MERMAID_EDGE.match, lines) if m}
    app = "r.example.org/app:1"
    assert lines[0] == "flowchart TD"
    assert edges == {
        ("r.example.org/debian:12", app): ("-->", "layers"),
        ("tool:1", app): ("-.->", "copy, registered"),
        (app, "r.example.org/job:1"): ("-->", "layers"),
        (app, "more descendants"): ("-->", None),
    }


def test_a_plan_stands_in_waves_and_leads_to_what_moves() -> None:
    lines = graphs.plan_dot(plan()).splitlines()
    labels = [line.strip() for line in lines if line.strip().startswith("label=")]
    assert labels == ['label="wave 1";', 'label="wave 2";', 'label="redeploy";']
    nodes = {m[1]: m[2] for line in lines if (m := DOT_NODE.match(line))}
    edges = [(nodes[m[1]], nodes[m[2]]) for m in map(DOT_EDGE.match, lines) if m]
    assert [(a.split(r"\n")[0], b.split(r"\n")[0]) for a, b in edges] == [
        ("rebuild debian:1", "rebuild app:1"),
        ("rebuild app:1", "redeploy app"),
    ]
    assert any(label.endswith(r"and 2 more") for label in nodes.values())
    text = graphs.plan_mermaid(plan())
    assert text.count("subgraph") == text.count("\n  end\n") == 3


@given(st.text(min_size=1), st.text(min_size=1))
@pytest.mark.parametrize("form", ["dot", "mermaid"])
def test_no_name_breaks_out_of_its_label(form: str, image: str, other: str) -> None:
    lineage = tree(image, other)
    if form == "dot":
        lines = graphs.lineage_dot(lineage).split("\n")
        known = (DOT_NODE, DOT_EDGE)
        begin, end = 4, 2
        assert re.fullmatch(r'digraph "(?:[^"\\]|\\.)*" \{', lines[0])
    else:
        lines = graphs.lineage_mermaid(lineage).split("\n")
        known = (MERMAID_NODE, MERMAID_EDGE, re.compile(r"  (classDef is-|style n)[\w#:,. -]+"))
        begin, end = 1, 1
    odd = [line for line in lines[begin:-end] if not any(form.match(line) for form in known)]
    assert odd == []
