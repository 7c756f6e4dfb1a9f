"""Lineages and plans as boxes and lines."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec import structs

from imagecatalog.domain.builds import EVIDENCE_ORDER
from imagecatalog.domain.lineage import Lineage, Relative
from imagecatalog.domain.plans import Plan, Step
from imagecatalog.web.ui import graph
from imagecatalog.web.ui.graph import Drawing, Relation, draw_lineage, draw_plan

REGISTRY = "registry.example.org/"


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


def _relative(number: int, name: str, of: int, depth: int = 1, **given: Any) -> Relative:
    fields: dict[str, Any] = {"role": "base", "evidence": "registered", **given}
    return Relative(
        image=REGISTRY + name, digest=_digest(number), of=_digest(of), depth=depth, **fields
    )


def _lineage(
    ancestors: tuple[Relative, ...] = (), descendants: tuple[Relative, ...] = (), **given: Any
) -> Lineage:
    return Lineage(
        image=REGISTRY + "middle:1",
        digest=_digest(0),
        ancestors=ancestors,
        descendants=descendants,
        **given,
    )


def _fleet(images: int, repositories: int, **given: Any) -> Lineage:
    children = tuple(
        _relative(place, f"service-{place % repositories:02}:{place}", 0, **given)
        for place in range(1, images + 1)
    )
    return _lineage((), children)


def _held(drawing: Drawing) -> dict[str, Relation]:
    return {relation.name.removeprefix(REGISTRY): relation for _, relation in drawing.images}


def test_parents_are_above_and_children_below() -> None:
    drawing = draw_lineage(
        _lineage(
            (_relative(1, "base:1", 0), _relative(2, "tools:1", 0, role="stage")),
            (_relative(3, "child:1", 0), _relative(4, "grandchild:1", 3, 2)),
        )
    )
    height = {relation.name.removeprefix(REGISTRY): box.y for box, relation in drawing.images}
    assert height["base:1"] == height["tools:1"]
    assert height["base:1"] < height["middle:1"] < height["child:1"] < height["grandchild:1"]
    held = _held(drawing)
    assert held["middle:1"].is_focus
    assert [stroke.kind for stroke in drawing.strokes] == ["registered base", "registered used"]


def test_a_near_parent_of_nothing_else_stands_near() -> None:
    far = tuple(_relative(n, f"base:{n}", n - 1, n) for n in range(1, 5))
    drawing = draw_lineage(_lineage((*far, _relative(9, "tools:1", 0, role="copy"))))
    height = {relation.tag: box.y for box, relation in drawing.images if "base" in relation.name}
    tools = next(box.y for box, relation in drawing.images if "tools" in relation.name)
    assert tools == height[":1"]


def test_each_evidence_has_its_own_stroke_and_the_legend_lists_those_there() -> None:
    children = tuple(
        _relative(place, f"child-{place}:1", 0, evidence=evidence)
        for place, evidence in enumerate(EVIDENCE_ORDER, 1)
    )
    drawing = draw_lineage(_lineage((), children))
    assert {stroke.kind for stroke in drawing.strokes} == {f"{one} base" for one in EVIDENCE_ORDER}
    assert drawing.evidence == EVIDENCE_ORDER
    assert draw_lineage(_lineage((), children[3:])).evidence == ("layers",)
    for stroke in drawing.strokes:
        assert re.fullmatch(r"(M\d+ \d+(L\d+ \d+|C(\d+ ?){6}))+", stroke.lines)
        assert re.fullmatch(r"(M\d+ \d+l-4 -8h8z)+", stroke.heads)


def test_few_images_are_drawn_one_by_one_and_many_by_repository() -> None:
    few = draw_lineage(_fleet(graph.COLLAPSE, 4))
    assert len(few.images) == graph.COLLAPSE + 1
    assert few.groups == ()
    many = draw_lineage(_fleet(37, 2, status="current", running=2))
    held = _held(many)
    assert sorted(held) == ["middle:1", "service-00", "service-01"]
    assert held["service-01"].is_group
    assert (held["service-00"].images, held["service-00"].running) == (18, 18)
    assert many.groups == (REGISTRY + "service-00", REGISTRY + "service-01")


def test_a_box_of_several_tells_how_many_run_how_many_are_stale_and_the_worst() -> None:
    states = ["current"] * 20 + ["superseded"] * 3 + ["security-update"] * 2 + ["unknown"] * 12
    children = tuple(
        _relative(place, f"php-fpm:{place}", 0, status=status, running=5 if place <= 12 else 0)
        for place, status in enumerate(states, 1)
    )
    group = _held(draw_lineage(_lineage((), children)))["php-fpm"]
    assert (group.images, group.running, group.stale) == (37, 12, 5)
    assert group.status == "security-update"


def test_a_repository_is_opened_alone_or_with_all_others() -> None:
    lineage = _fleet(40, 2)
    one = draw_lineage(lineage, [REGISTRY + "service-01", "registry.example.org/not-there"])
    assert len(one.images) == 1 + 1 + 20
    assert one.groups == (REGISTRY + "service-00",)
    assert one.opened == (REGISTRY + "service-01",)
    every = draw_lineage(lineage, [graph.ALL])
    assert len(every.images) == 41
    assert every.groups == every.opened == ()


def test_a_line_of_several_tells_the_weakest_evidence() -> None:
    children = (
        *_fleet(30, 1, evidence="registered").descendants,
        _relative(31, "service-00:31", 0, evidence="layers"),
    )
    drawing = draw_lineage(_lineage((), children))
    assert [stroke.kind for stroke in drawing.strokes] == ["layers base"]
    assert drawing.evidence == ("registered", "layers")


def test_ancestors_and_descendants_of_one_repository_are_two_boxes() -> None:
    above = tuple(_relative(n, f"same:{n}", n - 1 if n > 1 else 0, n) for n in range(1, 31))
    below = tuple(_relative(n, f"same:{n}", 0) for n in range(31, 61))
    drawing = draw_lineage(_lineage(above, below))
    assert [relation.images for _, relation in drawing.images].count(30) == 2


def test_circles_loops_and_lost_ends_are_drawn_as_far_as_they_make_sense() -> None:
    drawing = draw_lineage(
        _lineage(
            (_relative(1, "a:1", 0), _relative(0, "middle:1", 1, 2), _relative(1, "a:1", 1)),
            (_relative(1, "a:1", 0), _relative(2, "b:1", 99)),
        )
    )
    assert len(drawing.images) == 3
    assert drawing.strokes


def test_an_image_that_is_only_a_name_is_a_box_of_its_own() -> None:
    unknown = Relative(
        image="docker.io/library/debian:12",
        digest=None,
        role="base",
        evidence="annotation",
        depth=1,
        of=_digest(0),
        known=False,
    )
    held = _held(draw_lineage(_lineage((unknown,))))
    assert not held["docker.io/library/debian:12"].is_known


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("registry.example.org/a/b:1", ("registry.example.org/a/b", ":1")),
        ("localhost:5000/a", ("localhost:5000/a", "")),
        ("r.example.org/a@sha256:" + "0" * 64, ("r.example.org/a", "@sha256:000000000000")),
        (_digest(3), ("sha256", ":" + "0" * 63 + "3")),
        ("", ("", "")),
        ("://@:", ("://", "@:")),
    ],
)
def test_names_are_split_whatever_they_are(name: str, parts: tuple[str, str]) -> None:
    assert graph.split_name(name) == parts


@pytest.mark.parametrize("opened", [(), (graph.ALL,)])
def test_five_hundred_descendants_are_drawn(opened: tuple[str, ...]) -> None:
    languages = [_relative(n, f"language-{n % 8}:{n}", 0) for n in range(1, 25)]
    services = [
        _relative(n, f"service-{n % 40}:{n}", 1 + n * 7 % 24, 2, running=n % 3)
        for n in range(25, 501)
    ]
    drawing = draw_lineage(_lineage((), (*languages, *services)), opened)
    assert len(drawing.images) == (501 if opened else 49)


def _step(name: str, *after: str, **given: Any) -> Step:
    return Step(
        rebuild=REGISTRY + name,
        digest=_digest(1),
        repository=REGISTRY + name.partition(":")[0],
        reason=given.pop("reason", ("it holds openssl",)),
        after=tuple(REGISTRY + one for one in after),
        **given,
    )


def _plan(*waves: tuple[Step, ...]) -> Plan:
    return Plan(
        waves=waves, redeploy=(), remaining=(), unplannable=(), summary="s", asked="a question"
    )


def test_a_registry_that_all_steps_share_takes_no_room_in_their_boxes() -> None:
    name = "/".join(["team"] * 7) + ":1"
    reason = f"takes from {REGISTRY}{name}, once that is rebuilt"
    one = _step(name, reason=(reason,))
    drawing = draw_plan(_plan((one, _step("other:1"))))
    assert drawing.registry == REGISTRY
    ((box, _), _) = drawing.steps
    assert box.height < graph.measure_step(one)
    elsewhere = structs.replace(one, rebuild="registry.example.com/other:1")
    assert draw_plan(_plan((one, elsewhere))).registry == ""
    assert draw_plan(_plan((structs.replace(one, rebuild="other:1"),))).registry == ""


def test_waves_go_from_left_to_right() -> None:
    drawing = draw_plan(
        _plan(
            (_step("base:1"),),
            (_step("left:1", "base:1"), _step("right:1", "base:1")),
            (_step("top:1", "left:1", "base:1"), _step("alone:1")),
        )
    )
    place = {step.rebuild.removeprefix(REGISTRY): box.x for box, step in drawing.steps}
    assert place["base:1"] < place["left:1"] == place["right:1"] < place["top:1"]
    assert place["alone:1"] == place["top:1"]
    (stroke,) = drawing.strokes
    assert stroke.kind == "after"
    assert stroke.heads.count("M") == 3
    assert draw_plan(_plan()).steps == ()


def test_a_step_has_room_for_its_words() -> None:
    plain = graph.measure_step(_step("a:1"))
    assert graph.measure_step(_step("a:1", docker_pkg="docker-pkg build " + "x" * 100)) > plain
    assert graph.measure_step(_step("a:1", reason=("word " * 30,))) > plain + 30
    assert graph.measure_step(_step("a:1", detail="libssl3 was kept")) > plain
    wide = graph.measure_step(_step("a:1", reason=("構" * 60,)))
    assert wide > graph.measure_step(_step("a:1", reason=("x" * 60,)))
    reasons = tuple(f"reason {number}" for number in range(5))
    assert graph.measure_step(_step("a:1", reason=reasons)) == plain + 2 * graph.LINE_HEIGHT
    assert graph.measure_step(_step("a" * 100_000)) < 3000
