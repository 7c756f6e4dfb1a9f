"""The roles that images have in a build, from BuildKit's own steps."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from imagecatalog.formats.buildkit import STEPS_LIMIT, read_roles

Step = dict[str, Any]


def _roles(*steps: Step) -> list[tuple[str | None, str]] | None:
    found = read_roles(Raw(json.dumps({"llbDefinition": steps}).encode()))
    return None if found is None else [(material.image, role) for material, role in found]


def _step(name: str, op: Any, *inputs: str) -> Step:
    return {"id": name, "op": {"Op": op}, "inputs": inputs}


def _image(name: str) -> Step:
    return _step(name, {"source": {"identifier": f"docker-image://example.org/{name}:1"}})


def _local(name: str) -> Step:
    return _step(name, {"source": {"identifier": f"local://{name}"}})


def _run(name: str, *inputs: str, mounts: list[Any] | None = None) -> Step:
    return _step(name, {"exec": {"mounts": mounts or [{"dest": "/"}]}}, *inputs)


def _copy(name: str, *inputs: str) -> Step:
    action = {"input": 0, "secondaryInput": 1, "output": 0}
    return _step(name, {"file": {"actions": [action]}}, *inputs)


def _result(last: str) -> Step:
    return _step("result", {}, f"{last}:0")


BASE, STAGE, COPY = "example.org/base:1", "example.org/stage:1", "example.org/copy:1"


def test_one_stage_has_one_base() -> None:
    steps = (
        _image("base"),
        _run("run", "base:0"),
        _local("context"),
        _copy("add", "run:0", "context:0"),
    )
    assert _roles(*steps, _result("add")) == [(BASE, "base")]


def test_a_stage_and_an_image_that_are_copied_from() -> None:
    assert _roles(
        _image("base"),
        _image("stage"),
        _image("copy"),
        _run("compile", "stage:0"),
        _copy("one", "base:0", "compile:0"),
        _copy("two", "one:0", "copy:0"),
        _result("two"),
    ) == [(BASE, "base"), (STAGE, "stage"), (COPY, "copy")]


def test_a_linked_copy_merges_layers() -> None:
    """COPY --link: a file step upon nothing, merged over the base."""
    link = _step(
        "link",
        {"file": {"actions": [{"input": -1, "secondaryInput": 0, "output": 0}]}},
        "compile:0",
    )
    merge = _step("merge", {"merge": {"inputs": [{"input": 0}, {"input": 1}]}}, "base:0", "link:0")
    assert _roles(
        _image("base"), _image("stage"), _run("compile", "stage:0"), link, merge, _result("merge")
    ) == [(BASE, "base"), (STAGE, "stage")]


def test_a_mount_is_read_from() -> None:
    mounts = [{"dest": "/"}, {"input": 1, "dest": "/from", "output": -1}]
    run = _run("run", "base:0", "copy:0", mounts=mounts)
    assert _roles(_image("base"), _image("copy"), run, _result("run")) == [
        (BASE, "base"),
        (COPY, "copy"),
    ]


def test_an_image_from_nothing_has_no_base() -> None:
    fill = _step(
        "fill", {"file": {"actions": [{"input": -1, "secondaryInput": 0, "output": 0}]}}, "stage:0"
    )
    assert _roles(_image("stage"), fill, _result("fill")) == [(STAGE, "copy")]


def test_actions_of_one_step_build_on_one_another() -> None:
    actions = [
        {"input": 0, "secondaryInput": -1, "output": -1},
        {"input": 2, "secondaryInput": 1, "output": 0},
    ]
    file = _step("file", {"file": {"actions": actions}}, "base:0", "copy:0")
    assert _roles(_image("base"), _image("copy"), file, _result("file")) == [
        (BASE, "base"),
        (COPY, "copy"),
    ]


def test_a_difference_of_layers_is_read_from() -> None:
    difference = _step("diff", {"diff": {"lower": {}, "upper": {}}}, "base:0", "stage:0")
    merge = _step("merge", {"merge": {"inputs": [{"input": 0}, {"input": 1}]}}, "base:0", "diff:0")
    assert _roles(_image("base"), _run("stage", "base:0"), difference, merge, _result("merge")) == [
        (BASE, "base")
    ]


def test_the_first_role_counts() -> None:
    steps = _image("base"), _run("one", "base:0"), _copy("two", "one:0", "base:0")
    assert _roles(*steps, _result("two")) == [(BASE, "base")]


@pytest.mark.parametrize(
    "config", ["", "null", "{}", '{"llbDefinition": []}', '{"llbDefinition": 5}']
)
def test_without_steps_nothing_is_said(config: str) -> None:
    assert read_roles(Raw(config.encode())) is None


def test_loops_end() -> None:
    assert _roles(_run("one", "two:0"), _run("two", "one:0"), _result("one")) == []
    assert _roles(_result("result")) == []
    assert _roles(_step("x", {}, "nowhere:0", "x:99999999999", "x")) == []


def test_a_long_build_is_read_in_no_time() -> None:
    steps = [_image("base")]
    last = "base"
    for number in range(STEPS_LIMIT - 2):
        steps.append(_copy(f"step{number}", f"{last}:0", "base:0"))
        last = f"step{number}"
    started = time.process_time()
    assert _roles(*steps, _result(last)) == [(BASE, "base")]
    assert time.process_time() - started < 10
    assert _roles(*steps, *steps[:2]) is None


@st.composite
def _graphs(draw: st.DrawFn) -> list[Step]:
    names = [str(number) for number in range(draw(st.integers(1, 8)))]
    ref = st.builds(
        lambda name, output: f"{name}:{output}", st.sampled_from(names), st.integers(-1, 3)
    )
    number = st.integers(-2, 4)
    ops = st.one_of(
        st.just({}),
        st.just({"source": {"identifier": f"docker-image://example.org/{names[0]}:1"}}),
        st.builds(
            lambda items: {"exec": {"mounts": items}},
            st.lists(
                st.fixed_dictionaries(
                    {"input": number, "output": number, "dest": st.sampled_from("/a")}
                )
            ),
        ),
        st.builds(
            lambda items: {"file": {"actions": items}},
            st.lists(st.fixed_dictionaries({"input": number, "output": number})),
        ),
        st.builds(
            lambda items: {"merge": {"inputs": items}},
            st.lists(st.fixed_dictionaries({"input": number})),
        ),
    )
    return [_step(name, draw(ops), *draw(st.lists(ref, max_size=4))) for name in names]


@given(_graphs())
def test_any_graph_ends_with_known_roles(steps: list[Step]) -> None:
    assert {role for _, role in _roles(*steps) or []} <= {"base", "stage", "copy"}
