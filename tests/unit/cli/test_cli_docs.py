"""The reference says what the command line and the settings are, no more and no less."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click
import msgspec
import pytest

from imagecatalog import config
from imagecatalog.cli.main import imagecatalog
from imagecatalog.config import file_checks

ROOT = Path(__file__).parents[3]
COMMANDS = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")


def test_help_in_the_reference_is_the_real_one() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "document_commands.py"))

    assert script["rewrite"](COMMANDS) == COMMANDS, "run scripts/document_commands.py"


def test_every_verb_has_its_section_and_no_other_has() -> None:
    blocks = re.findall(r"<!-- help: (\w+) -->", COMMANDS)
    sections = re.findall(r"^## ([a-z]+)$", COMMANDS, re.MULTILINE)

    assert blocks == ["imagecatalog", *imagecatalog.commands]
    assert sections == list(imagecatalog.commands)


@pytest.mark.parametrize("verb", imagecatalog.commands.values(), ids=lambda verb: verb.name)
def test_every_verb_and_option_says_what_it_is_for(verb: click.Command) -> None:
    assert verb.help
    summary = verb.help.split("\n")[0]
    assert summary.endswith(".")
    assert len(summary) <= 66, "the list of verbs would cut it off"
    silent = [p.name for p in verb.params if isinstance(p, click.Option) and not p.help]
    assert silent == []


def test_every_setting_is_documented() -> None:
    for name in (
        config.DATABASE_VARIABLE,
        config.CLUSTERS_VARIABLE,
        config.CONFIG_VARIABLE,
        config.TOKEN_VARIABLE,
    ):
        assert f"`{name}`" in CONFIGURATION
    for feed in config.FEEDS:
        assert f"`{feed}`" in CONFIGURATION
    for section, kind in file_checks.SECTIONS.items():
        for key in kind.__struct_fields__:
            tables = (
                "registry",
                "cluster",
                "host",
                "apt",
                "feeds",
                "clair",
                "hooks",
                "teams",
                "history",
                "line",
                "api",
                "plan",
                "deferrals",
                "derived",
                "feed_days",
            )
            heading = key in tables and not section
            assert ("[" + key + "]" if heading else f"`{key}`") in CONFIGURATION, key


def test_the_example_in_the_reference_is_valid_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = re.search(r"```toml\n(.*?)```", CONFIGURATION, re.DOTALL)
    assert block
    path = tmp_path / "config.toml"
    path.write_text(block[1])

    settings = config.load_settings({"config": path}, {})

    empty = config.Settings()
    unused = [
        name
        for name in msgspec.structs.asdict(settings)
        if getattr(settings, name) == getattr(empty, name)
    ]
    assert unused == []


@pytest.mark.parametrize(
    "page", sorted((ROOT / "docs" / "howto").glob("*.md")), ids=lambda p: p.stem
)
def test_commands_in_the_guides_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"^(?:\S*/)?imagecatalog ([a-z]+)", text, re.MULTILINE)
    named += re.findall(r"`imagecatalog ([a-z]+)", text)

    assert set(named) <= set(imagecatalog.commands)
