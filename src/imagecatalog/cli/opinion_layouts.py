"""How another judge's word lies on a terminal: where it is not ours, and why."""

from __future__ import annotations

from collections.abc import Sequence

from imagecatalog.cli.lineage_layouts import say
from imagecatalog.cli.render import Column, wrap, write_table
from imagecatalog.domain.second_opinions import ImageOpinion
from imagecatalog.planning.opinion_sentences import (
    describe_opinion,
    describe_ours,
    describe_theirs,
)

_COLUMNS = (
    Column("ADVISORY", least=14),
    Column("PACKAGE", least=10),
    Column("WE SAY", least=12),
    Column("THE OTHER", least=12),
    Column("WHY", least=20),
)


def show_opinions(found: Sequence[ImageOpinion]) -> None:
    """``show --opinions``: each judge with its differences."""
    if not found:
        say("no other judge is configured: see [clair] in the configuration")
    for one in found:
        say(wrap(f"{one.image}: {describe_opinion(one)}", 2))
        if one.opinion.unknown:
            say(wrap(f"unknown: {one.opinion.unknown}", 9))
        if one.differences:
            say()
            rows = [
                (
                    difference.advisory,
                    difference.package,
                    describe_ours(difference),
                    describe_theirs(difference.clair),
                    difference.why or "-",
                )
                for difference in one.differences
            ]
            write_table(_COLUMNS, rows)
