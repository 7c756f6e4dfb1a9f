"""Holds what images are made of against what the feeds say: each component once, if it changed.

A component is a version of a package in a scope, however many images hold it. It is judged when it
is new, and anew as to those advisories of its name of which a feed says something else. What waits
is kept in the database, so that whoever is killed goes on where he was. What counts of all that the
feeds say is found out here (``matching.rulings``), the versions are held against that in the database
(``store.judging``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from imagecatalog.matching.rulings import rule
from imagecatalog.store import components, findings, judging, rulings, standing_images
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Connection
from imagecatalog.store.rulings import Name
from imagecatalog.store.shelf import Shelf

_NAMES = 20
_COMPONENTS = 500
"""Judged in one statement: what is in memory then is bounded."""
_ADVISORIES = 1000
"""If more changed, components are judged as to all."""


def match(c: Connection, *, now: datetime, derived: Mapping[str, str] = {}) -> int:  # noqa: ARG001
    """Bring all findings up to date in one transaction; how many names and components it looked at.

    ``derived`` are distributions that count as others (``domain.scopes.scope_of``).
    """
    components.settle_scopes(c, derived)
    while enrol_some(c):
        pass
    judged = 0
    while some := judge_some(c):
        judged += some
    findings.keep_standings(c)
    standing_images.keep_images(c)
    return judged


def enrol_some(c: Connection) -> int:
    """Enrol some of the images that are not yet; how many may be left."""
    return components.enrol_backlog(c, Shelf())


def judge_some(c: Connection) -> int:
    """Judge some of what waits; how many components or names that were, 0 once nothing waits."""
    findings.lock(c)
    return _judge_touched(c) or _judge_new(c)


def _judge_touched(c: Connection) -> int:
    """Of some names of which the feeds say something new: judge what that changes."""
    names = rulings.list_touched(c, limit=_NAMES)
    changed = _rule(c, names)
    known = findings.list_judged(c, names) if changed else []
    _judge(c, known, changed if len(changed) <= _ADVISORIES else ())
    rulings.forget_touched(c, names)
    return len(names)


def _judge_new(c: Connection) -> int:
    """Judge some components that were never judged."""
    new = findings.list_new(c, limit=_COMPONENTS)
    _rule(c, rulings.list_unruled(c, new))
    _judge(c, new)
    findings.note_judged(c, new)
    return len(new)


def _rule(c: Connection, names: Collection[Name]) -> set[int]:
    """Find out what counts for these names; the advisories of which something else does."""
    claims = rulings.read_claims(c, names)
    faults = {one.fault for many in claims.values() for one in many}
    background = rulings.read_background(c, faults)
    return rulings.write_rulings(c, {name: rule(many, background) for name, many in claims.items()})


def _judge(c: Connection, numbers: Collection[int], advisories: Collection[int] = ()) -> None:
    for batch in batches(numbers, _COMPONENTS):
        if judging.judge(c, batch, advisories):
            findings.note_changed(c, batch)
