"""Plans as docker-pkg commands: the fewest, quoted, and never one that would go wrong half-way."""

from __future__ import annotations

import shlex
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.plans import Plan, PlannedFix, Step
from imagecatalog.formats.docker_pkg import Release, TreeConfig, TreeImage, updated_with
from imagecatalog.outlets.docker_pkg import TreeView, script, step_command, with_commands

HOST = "registry.example.org/team"
TODAY = date(2026, 11, 23)


def image(name: str, version: str = "1.0", *depends: str) -> TreeImage:
    """An image's folder with one release."""
    release = Release(package=name, version=version, changes="")
    return TreeImage(path=name, releases=(release,), depends=depends)


def view(*images: TreeImage, **config: Any) -> TreeView:
    """A tree of these images."""
    settings: dict[str, Any] = {"registry": "registry.example.org", "namespace": "team"}
    return TreeView(
        folder="images",
        config_file="config.yaml",
        config=TreeConfig(**settings | config),
        images={one.name: one for one in images},
    )


FIX = PlannedFix(
    package="libssl3", arch="amd64", installed="3.0.15-1", candidate="3.0.16-1", security=True
)


def step(name: str, *after: str, tag: str = "1.0", **more: Any) -> Step:
    """A rebuild; ``name`` below the registry and namespace unless it is whole."""
    repository = name if "/" in name else f"{HOST}/{name}"
    facts: dict[str, Any] = {"packages": (FIX,), "builder": "docker-pkg"}
    return Step(
        rebuild=f"{repository}:{tag}",
        digest="sha256:" + 64 * "a",
        repository=repository,
        reason=(),
        after=tuple(after),
        **facts | more,
    )


def plan(*waves: list[Step]) -> Plan:
    """A plan of these waves."""
    return Plan(
        waves=tuple(map(tuple, waves)),
        redeploy=(),
        remaining=(),
        unplannable=(),
        summary="As planned.",
        asked="imagecatalog plan",
    )


def commands(text: str) -> list[list[str]]:
    """What a shell would run."""
    return [shlex.split(line) for line in text.splitlines() if not line.startswith("#")]


def remarks(text: str) -> str:
    """What it would not."""
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


REASON = "Security update of libssl3 to 3.0.16-1"
BUILD = ["docker-pkg", "-c", "config.yaml", "build", "images"]


def update(name: str, reason: str = REASON) -> list[str]:
    """The words of one update."""
    return ["docker-pkg", "-c", "config.yaml", "update", name, "--reason", reason, "images"]


def test_one_update_brings_all_that_depends_on_an_image() -> None:
    tree = view(image("base"), image("run", "1.0", "base"), image("web", "1.0", "run"))
    text = script(
        plan([step("base")], [step("run")], [step("web", fixes=("CVE-2026-1",))]), tree, today=TODAY
    )
    assert commands(text) == [update("base"), BUILD]
    assert text.startswith("# As planned.\n")
    assert "Commit the changelogs" in remarks(text)


def test_what_control_does_not_name_needs_a_line_of_its_own() -> None:
    tree = view(image("base"), image("run", "1.0", "base"), image("web"))
    text = script(
        plan([step("base")], [step("run"), step("web", fixes=("CVE-2026-1", "DSA-1-1"))]),
        tree,
        today=TODAY,
    )
    assert commands(text) == [
        update("base"),
        update("web", f"{REASON} (CVE-2026-1, DSA-1-1)"),
        BUILD,
    ]


def test_images_that_come_along_are_told() -> None:
    tree = view(image("base"), *(image(f"idle{n}", "1.0", "base") for n in range(7)))
    text = script(plan([step("base")]), tree, today=TODAY)
    assert commands(text) == [update("base"), BUILD]
    assert "renews too" in remarks(text)
    assert "idle4 and 2 more." in remarks(text)


def test_a_name_that_others_end_in_is_written_with_a_slash() -> None:
    tree = view(
        image("build"), image("spark-build"), image("base"), image("my.base", "1.0", "base")
    )
    text = script(plan([step("build"), step("base")]), tree, today=TODAY)
    assert commands(text) == [update("base"), update("/build"), BUILD]


def test_versions_that_docker_pkg_cannot_follow_are_told_and_not_tried() -> None:
    tree = view(image("base"), image("flink", "1.17.0-wmf0", "base"), image("lone"))
    text = script(plan([step("base"), step("lone")]), tree, today=TODAY)
    assert commands(text) == [update("lone"), BUILD]
    assert "no version after flink 1.17.0-wmf0" in remarks(text)
    assert f"# {shlex.join(update('base'))}" in text


def test_a_tree_that_docker_pkg_would_refuse() -> None:
    text = script(plan([step("web")]), view(image("web", "1.0", "gone")), today=TODAY)
    assert "refuses a tree without gone" in remarks(text)


def test_images_from_elsewhere_come_before_and_after() -> None:
    tree = view(image("web"), base_images=("registry.example.org/debian:20261101",))
    steps = [
        [step("registry.example.org/debian", builder=None)],
        [step("web", "registry.example.org/debian:1.0")],
        [step("registry.example.org/app", f"{HOST}/web:1.0", builder="buildkit")],
    ]
    text = script(plan(*steps), tree, today=TODAY)
    lines = text.splitlines()
    at = [
        next(n for n, line in enumerate(lines) if part in line)
        for part in (
            "/debian:1.0",
            "base_images of config.yaml",
            "update web",
            "build images",
            "/app:1.0",
        )
    ]
    assert at == sorted(at)
    assert commands(text) == [update("web"), BUILD]
    assert "docker pull" not in text
    assert "docker pull it" in script(plan(*steps), view(image("web")), today=TODAY)


def test_a_plan_that_is_of_another_tree() -> None:
    text = script(plan([step("registry.example.org/app")]), view(image("web")), today=TODAY)
    assert commands(text) == []
    assert "No step of it is of the tree images" in text


def test_nightly_builds_are_renewed_by_the_next_night() -> None:
    tree = view(image("base"), image("web", "1.0", "base"))
    night = ["docker-pkg", "-c", "config.yaml", "build", "--nightly", "images"]
    text = script(plan([step("base", tag="1.0-20261122")]), tree, today=TODAY)
    assert commands(text) == [night]
    text = script(plan([step("base", tag="1.0-20261123")]), tree, today=TODAY)
    assert commands(text) == [[*night[:4], "--snapshot", "images"]]
    text = script(plan([step("base", tag="1.0-20261122"), step("web")]), tree, today=TODAY)
    assert commands(text) == [update("web"), BUILD, night]


def test_images_in_a_circle_are_led_by_one() -> None:
    tree = view(image("a", "1.0", "b"), image("b", "1.0", "a"))
    text = script(plan([step("a"), step("b")]), tree, today=TODAY)
    assert commands(text) == [update("a"), BUILD]


def test_the_command_of_a_step_alone() -> None:
    assert shlex.split(step_command(step("web")) or "") == [
        "docker-pkg", "update", "web", "--reason", REASON, ".",
    ]  # fmt: skip
    assert step_command(step("web", builder="buildkit")) is None
    assert step_command(step("web", builder=None)) is None
    (wave,) = with_commands(plan([step("web"), step("x", builder=None)])).waves
    assert [one.docker_pkg is None for one in wave] == [False, True]


def test_what_a_plan_says_is_run_by_no_shell() -> None:
    evil = PlannedFix(
        package="a'; touch /x #\n touch /y", arch="", installed="1", candidate="$(id)`id`\\",
        security=False,
    )  # fmt: skip
    tree = view(image("web"))
    odd = TreeView(
        folder="my images;\nid", config_file="$x", config=tree.config, images=tree.images
    )
    loud = plan([step("web", packages=(evil,))], [step("registry.example.org/x")])
    loud = Plan(**{f: getattr(loud, f) for f in loud.__struct_fields__ if f != "summary"},
                summary="Fine.\ntouch /z")  # fmt: skip
    for said in (script(loud, odd, today=TODAY), step_command(loud.waves[0][0]) or ""):
        words = shlex.split(said, comments=True)
        assert words.count("docker-pkg") == said.count("docker-pkg -c") or len(words) == 6
        assert all("touch" not in word or word.startswith("Update of") for word in words)
    assert "# Fine. touch /z\n" in script(loud, odd, today=TODAY)


_NAMES = ["a", "b", "c", "xa", "x-b", "d", "e"]


@given(st.data())
def test_the_updates_renew_the_plan_and_none_can_be_left_out(data: st.DataObject) -> None:
    images = []
    for at, name in enumerate(_NAMES):
        depends = data.draw(st.sets(st.sampled_from(_NAMES[:at]))) if at else set()
        images.append(image(name, "1.0", *sorted(depends)))
    wanted = data.draw(st.sets(st.sampled_from(_NAMES), min_size=1))
    tree = view(*images)
    steps = [step(name) for name in data.draw(st.permutations(sorted(wanted)))]
    lines = commands(script(plan(steps), tree, today=TODAY))
    selected = [line[4].removeprefix("/") for line in lines if line[3] == "update"]
    renewed = {name: updated_with(name, tree.images) for name in selected}
    assert set().union(*renewed.values()) >= wanted
    for name in selected:
        others = set().union(*(found for other, found in renewed.items() if other != name), set())
        assert not wanted <= others, "a line too many"
    assert set(selected) <= wanted, "nothing above the plan is renewed"
