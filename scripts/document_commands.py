"""Writes the verbs' own help into docs/reference/commands.md; with ``--check`` only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

from imagecatalog.cli.main import imagecatalog

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "commands.md"
BLOCK = re.compile(r"(<!-- help: (?P<verb>\w+(?: \w+)?) -->\n```text\n).*?(\n```\n)", re.DOTALL)


def help_of(verb: str) -> str:
    """What ``imagecatalog VERB --help`` prints on a terminal of 80 columns; ``token create`` too."""
    width: dict[str, Any] = {
        "terminal_width": 80,
        "max_content_width": 80,
        "help_option_names": ["-h", "--help"],
    }
    whole = click.Context(imagecatalog, info_name="imagecatalog", **width)
    if verb == "imagecatalog":
        return imagecatalog.get_help(whole)
    context: click.Context = whole
    command: click.Command = imagecatalog
    for name in verb.split():
        assert isinstance(command, click.Group)
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context, **width)
    return command.get_help(context)


def rewrite(text: str) -> str:
    """The page with every help block as it is today."""
    return BLOCK.sub(lambda found: found[1] + help_of(found["verb"]) + found[3], text)


if __name__ == "__main__":
    before = PAGE.read_text(encoding="utf-8")
    after = rewrite(before)
    if "--check" in sys.argv:
        sys.exit("docs/reference/commands.md is out of date" if before != after else 0)
    PAGE.write_text(after, encoding="utf-8")
