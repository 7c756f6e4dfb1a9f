"""Filters and links of the pages."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.web.ui import render

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=50), "50 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=400), "400 d ago"),
        (timedelta(days=1461), "4.0 years ago"),
        (timedelta(minutes=-20), "in 20 min"),
    ],
)
def test_moments_are_told_by_distance_and_keep_the_moment(before: timedelta, words: str) -> None:
    shown = render.show_moment(NOW - before, NOW)
    assert f">{words}</time>" in shown
    assert f'datetime="{(NOW - before):%Y-%m-%dT%H:%M:%SZ}"' in shown
    assert f'title="{(NOW - before):%Y-%m-%d %H:%M:%S} UTC"' in shown


def test_a_moment_that_never_was_is_said_so() -> None:
    assert render.show_moment(None, NOW) == "never"
    assert render.show_moment(None, NOW, "<never>") == "&lt;never&gt;"


@pytest.mark.parametrize(
    ("name", "registry", "tag"),
    [
        ("registry.example.org/a/b:1.0", "registry.example.org/", ":1.0"),
        ("localhost:5000/a", "localhost:5000/", ""),
        ("library/nginx:1", "", ":1"),
        ("nginx:1.2", "", ":1.2"),
        ("r.example.org/a@sha256:0123456789abcdef", "r.example.org/", "@sha256:0123456789ab"),
    ],
)
def test_the_parts_of_an_image_name_are_told_apart(name: str, registry: str, tag: str) -> None:
    shown = str(render.show_image(name)).replace("<wbr>", "")
    assert f'<span class="registry">{registry}</span>' in shown
    assert f'<span class="tag">{tag}</span>' in shown


@given(st.text())
def test_foreign_text_is_escaped_by_every_filter(text: str) -> None:
    evil = f"{text}<b>"
    for shown in (
        render.show_image(evil),
        render.show_change(evil, evil + "1"),
        render.show_change(evil, None),
        render.show_moment(None, NOW, evil),
    ):
        assert "<b>" not in shown


@given(st.text(max_size=40))
def test_links_lead_to_the_name_they_were_made_of(name: str) -> None:
    for link, prefix in [
        (render.link_image(name), "/image/"),
        (render.link_repository(name), "/images/"),
        (render.link_package(name), "/packages/"),
    ]:
        parts = urlsplit(link)
        assert (parts.query, parts.fragment) == ("", "")
        assert unquote(link).removeprefix(prefix) == name
    link = render.link_query("/running", cluster=name, namespace=None, all=True)
    asked = parse_qs(urlsplit(link).query, keep_blank_values=True)
    assert asked == ({"cluster": [name]} if name else {}) | {"all": ["true"]}


@given(st.lists(st.text(min_size=1, max_size=20), max_size=4))
def test_a_shell_reads_the_command_as_its_words(words: list[str]) -> None:
    assert shlex.split(render.command(*words, None, False)) == ["imagecatalog", *words]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (-1, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (31_240_112, "31.2 MB"),
        (2_500_000_000_000, "2500 GB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert render.show_size(size) == words


def test_numbers_and_digests() -> None:
    assert [render.plural(n, "image") for n in (0, 1, 12345)] == [
        "0 images",
        "1 image",
        "12,345 images",
    ]
    assert render.short("sha256:0123456789abcdef") == "0123456789ab"
    assert render.short(None) == ""
