"""Which images a template names: what is understood, what is told as unknown, what is hostile."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.errors import TooLarge
from imagecatalog.formats.docker_template import TEMPLATE_LIMIT, read_dockerfile, read_template

REGISTRY = "registry.example.org"
KNOWN = {"base": f"{REGISTRY}/base:1.0", "build": f"{REGISTRY}/build:2.0"}


def read(text: str) -> tuple[list[tuple[str, str]], int]:
    """(role, image) of each use, and how many problems were told."""
    found = read_template(
        text, "web/Dockerfile.template", variables={"registry": REGISTRY}, image_tag=KNOWN.get
    )
    return [(use.role, use.image) for use in found.uses], len(found.problems)


@pytest.mark.parametrize(
    ("text", "uses", "problems"),
    [
        ('FROM {{ "base" | image_tag }}', [("base", KNOWN["base"])], 0),
        ("FROM {{ 'base'|image_tag }} AS x\nRUN x", [("base", KNOWN["base"])], 0),
        ("FROM {{ registry }}/debian:12", [("base", f"{REGISTRY}/debian:12")], 0),
        ("FROM scratch\nCOPY --from=busybox /b /b", [("copy", "busybox")], 0),
        ("{% set a = registry ~ '/x' %}FROM {{ a + ':1' }}", [("base", f"{REGISTRY}/x:1")], 0),
        ("ARG V=12\nFROM debian:${V}\nARG V=13", [("base", "debian:12")], 0),
        ("ARG V\nFROM debian:$V", [], 1),
        ("FROM debian:${V:-12}", [], 1),
        ('FROM {{ "unheard-of" | image_tag }}', [], 1),
        ('FROM {{ "base" | image_tag | upper }}', [], 1),
        ("FROM {{ config['base'] }}", [], 1),
        ("FROM {{ base_of('x') }}", [], 1),
        ("{% if arm %}FROM a{% else %}FROM b{% endif %}", [], 1),
        ("{% if arm %}\nFROM a\n{% else %}\nFROM b\n{% endif %}", [], 2),
        ("{% if x %}{% set b = 'c' %}{% endif %}FROM {{ b }}", [], 1),
        ("{% set b %}c{% endset %}\nFROM {{ b }}", [], 1),
        ("{# {{ #}FROM a", [("base", "a")], 0),
        ("{% raw %}FROM {{ x }}{% endraw %}", [("base", "{{")], 0),
        ("FROM a AS One\nFROM b\nCOPY --from=oNE /x /y", [("stage", "a"), ("base", "b")], 0),
        ("FROM a AS one\nFROM one AS two\nFROM two", [("base", "a")], 0),
        ("FROM a\nFROM a", [("stage", "a"), ("base", "a")], 0),
        ("FROM a\nCOPY --from=0 /x /y\nCOPY --from=1 /x /y", [("base", "a"), ("copy", "1")], 0),
        (
            "FROM a\nRUN --mount=type=cache --mount=type=bind,from=tools:1,source=/ \\\n  make",
            [("base", "a"), ("copy", "tools:1")],
            0,
        ),
        ("FROM --platform=$BUILDPLATFORM a", [("base", "a")], 0),
        ("FROM a\n# FROM b\nRUN echo \\\n# FROM c\n FROM d", [("base", "a")], 0),
        ("RUN x", [], 0),
        ("", [], 0),
    ],
)  # fmt: skip
def test_what_a_template_names(text: str, uses: list[tuple[str, str]], problems: int) -> None:
    assert read(text) == (uses, problems)


def test_a_base_that_is_unknown_leaves_no_other_image_as_the_base() -> None:
    uses, problems = read('FROM {{ "build" | image_tag }} AS build\nFROM {{ chosen }}\n')
    assert uses == [("stage", KNOWN["build"])]
    assert problems == 1


def test_a_stage_within_a_condition_may_still_be_copied_from() -> None:
    uses, problems = read("FROM a AS one\n{% if x %}\nCOPY --from=one /a /b\n{% endif %}")
    assert (uses, problems) == ([("base", "a")], 0)


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 100_000,
        "{%" * 100_000,
        "{% raw %}" * 25_000,
        "{% if x %}\n" * 20_000,
        "{% endif %}" * 20_000,
        "\n" * 250_000,
        "FROM a\\\n" * 30_000,
        "RUN " + "--mount=" * 30_000,
        "FROM " + "--a " * 60_000,
        "{{ " + '"a"~' * 60_000 + " }}",
        "{% set a = a ~ a %}" * 13_000,
        "{% set a = 'aaaaaaaa' %}" + "{% set a = a ~ a %}" * 60 + "FROM {{ a }}",
        "\\ \n" * 80_000,
        "COPY --from=" + "$a" * 100_000,
    ],
)
def test_a_template_takes_little_time_and_memory(text: str) -> None:
    began = time.process_time()
    with suppress(TooLarge):
        read_template(text, "t", variables={"a": "aaaa"}, image_tag=KNOWN.get)
    assert time.process_time() - began < 5


def test_too_large() -> None:
    with pytest.raises(TooLarge, match="t/Dockerfile"):
        read_template("x" * (TEMPLATE_LIMIT + 1), "t/Dockerfile", variables={}, image_tag=KNOWN.get)
    with pytest.raises(TooLarge, match="200 images"):
        read_dockerfile("".join(f"FROM image{n}\n" for n in range(500)))


_PARTS = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "-", " ", "\n", "FROM ", "a", "set x = ", "if x", "endif",
     "'", '"', "|", "image_tag", "~", "\\", "raw", "endraw", "COPY --from=", " AS ", "$", "${x}"]
)  # fmt: skip


@given(st.lists(_PARTS, max_size=40).map("".join))
def test_nothing_makes_it_fall_over(text: str) -> None:
    found = read_template(text, "t", variables={"x": "y"}, image_tag=KNOWN.get)
    assert all("\ufffd" not in use.image for use in found.uses)
    assert sum(use.role == "base" for use in found.uses) <= 1
