"""Holds what images are made of against what the feeds say: each component once, if it changed.

A component is a version of a package in a scope, however many images hold it. It waits to be judged
when it is new, and when a feed says something else of its name. That is kept in the database, so
that whoever is killed goes on where he was. The judging itself is done there too
(``store.judging``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from imagecatalog.store import components, findings
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf


def match(c: Connection, *, now: datetime, derived: Mapping[str, str] = {}) -> int:  # noqa: ARG001
    """Bring all findings up to date in one transaction; how many components were judged.

    ``derived`` are distributions that count as others (``domain.scopes.scope_of``).
    """
    prepare(c, derived)
    while enrol_some(c):
        pass
    judged = 0
    while some := findings.judge_some(c):
        judged += some
    findings.keep_standings(c)
    return judged


def prepare(c: Connection, derived: Mapping[str, str]) -> int:
    """Find out what waits: what is enrolled is then judged; how many components wait already."""
    components.settle_scopes(c, derived)
    findings.mark_touched(c)
    return findings.count_waiting(c)


def enrol_some(c: Connection) -> int:
    """Enrol some of the images that are not yet; how many may be left."""
    return components.enrol_backlog(c, Shelf())
