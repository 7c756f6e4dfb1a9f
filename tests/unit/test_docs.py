"""The documents say what is there: links, commands, errors, words."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from imagecatalog import errors
from imagecatalog.domain.answers import Status

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _prose(path: Path) -> str:
    """A page without its blocks and spans of code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", _text(path), flags=re.DOTALL)


def _anchors(path: Path) -> set[str]:
    without_blocks = re.sub(r"```.*?```", "", _text(path), flags=re.DOTALL)
    titles = [re.sub(r"[`*]", "", title).lower() for title in HEADING.findall(without_blocks)]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def _links(path: Path) -> list[str]:
    return [link for link in LINK.findall(_prose(path)) if not re.match(r"[a-z]+:", link)]


@cache
def _verbs() -> dict[str, str]:
    """What `make` alone lists: each verb with its line."""
    listing = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return dict(re.findall(r"^  make (\S+) +(\S.*)$", listing, re.MULTILINE))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in _links(path):
        target, _, anchor = link.partition("#")
        page = (path.parent / target).resolve() if target else path
        if not page.exists() or (anchor and anchor not in _anchors(page)):
            broken.append(link)
    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "index.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _links(index)}
    lost = [_name(page) for page in PAGES if page.parent != ROOT and page not in {*linked, index}]
    assert lost == []


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_pages_begin_with_one_title(path: Path) -> None:
    text = re.sub(r"```.*?```", "", _text(path), flags=re.DOTALL)
    assert re.match(r"# \S", text), "the first line is the title"
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_make_alone_lists_at_most_twelve_verbs() -> None:
    assert {"setup", "check", "test", "test-real", "bench", "demo", "fleet"} <= _verbs().keys()
    assert len(_verbs()) <= 12
    targets = re.findall(r"^([a-z-]+):", _text(ROOT / "Makefile"), re.MULTILINE)
    assert sorted(targets) == sorted(_verbs()), "each target has its line in the list"


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_make_commands_exist(path: Path) -> None:
    text = _text(path)
    named = re.findall(r"`make ([a-z-]+)", text)
    for block in re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.DOTALL):
        named += re.findall(r"^(?:\$ )?make ([a-z-]+)", block, re.MULTILINE)
    assert set(named) <= _verbs().keys()


def test_the_readme_is_short_and_shows_both_commands() -> None:
    readme = _text(ROOT / "README.md")
    assert readme.count("\n") < 120
    assert "make demo" in readme
    assert "make test" in readme
    assert "http://127.0.0.1:3691" in readme


def test_the_changelog_tells_of_this_version() -> None:
    from imagecatalog import __version__

    pyproject = _text(ROOT / "pyproject.toml")
    assert f'version = "{__version__}"' in pyproject
    assert f"## [{__version__}]" in _text(ROOT / "CHANGELOG.md")


# --- errors ---------------------------------------------------------------------------------------


def _error_classes() -> list[type[errors.CatalogError]]:
    found: list[type[errors.CatalogError]] = [errors.CatalogError]
    for cls in found:
        found += [sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__]
    return found


def test_error_codes_are_stable_names_of_their_own() -> None:
    codes = [cls.code for cls in _error_classes()]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_every_error_is_documented_as_it_is() -> None:
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\d+) \| (\d+) \| \S.* \| \S.* \|$",
        _text(DOCS / "reference" / "errors.md"),
        re.MULTILINE,
    )
    documented = {code: (int(http), int(leave)) for code, http, leave in rows}
    assert len(documented) == len(rows)
    assert documented == {c.code: (c.http_status, c.exit_status) for c in _error_classes()}


def test_the_tree_of_errors_is_drawn_whole() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"[─ ]([A-Z]\w+)(?=\s{2,}|$)", errors.__doc__.split("Each has")[0], re.M)
    assert sorted(drawn) == sorted(cls.__name__ for cls in _error_classes())


# --- words ----------------------------------------------------------------------------------------


def _words() -> list[str]:
    return re.findall(r"^\*\*(.+?)\*\*", _text(DOCS / "glossary.md"), re.MULTILINE)


def test_the_glossary_is_in_order_and_says_each_word_once() -> None:
    words = [word.lower() for word in _words()]
    assert words == sorted(set(words))


@pytest.mark.parametrize("status", get_args(Status))
def test_the_glossary_has_every_verdict(status: str) -> None:
    assert f"`{status}`" in _text(DOCS / "glossary.md")


@pytest.mark.parametrize(
    "word",
    [
        "candidate",
        "catalog",
        "digest",
        "image",
        "interval",
        "package set",
        "tag",
        "unknown",
        "verdict",
    ],
)
def test_the_glossary_has_the_words_the_design_rests_on(word: str) -> None:
    assert word in [known.lower() for known in _words()]


def test_decisions_say_context_choice_and_cost() -> None:
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        headings = HEADING.findall(_text(page))
        assert {"Context", "Choice", "Cost"} <= set(headings), _name(page)
