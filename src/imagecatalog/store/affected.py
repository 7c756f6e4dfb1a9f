"""What the feeds say is affected by an advisory, and which faults lie between two versions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, false, func, or_, select, true, union

from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange
from imagecatalog.domain.kernels import kernel_source
from imagecatalog.domain.scopes import type_of
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    advisory,
    advisory_alias,
    advisory_cover,
    affected,
    exploited,
    ruling,
    scope,
)
from imagecatalog.versions import sort_key


def find_affected(c: Connection, name: str) -> tuple[Affected, ...] | None:
    """What is affected by an advisory, by scope and name; None for one that no feed tells.

    ``DSA-1234`` means all its revisions. Of one without packages of its own, its other names' count,
    else of a notice its faults'.
    """
    numbers = list(c.scalars(select(advisory.c.id).where(is_named(name))))
    if not numbers:
        return None
    return (
        _list_affected(c, numbers)
        or _list_affected(c, _list_aliases(c, numbers))
        or _list_affected(c, _list_covered(c, numbers))
    )


def describe(c: Connection, name: str) -> Advisory:
    """An advisory that is there; ``covers`` are the faults it bundles and the notices that bundle it.

    ``DSA-1234`` means the first of its revisions.
    """
    row = c.execute(select(advisory).where(is_named(name)).order_by(advisory.c.name).limit(1)).one()
    covers = select(advisory.c.name, true())
    down = covers.join(advisory_cover, advisory_cover.c.covered_id == advisory.c.id)
    up = covers.join(advisory_cover, advisory_cover.c.advisory_id == advisory.c.id)
    fault = row.fault_id or row.id
    same = select(advisory.c.name, false()).where(
        or_(advisory.c.id == fault, advisory.c.fault_id == fault), advisory.c.id != row.id
    )
    others = c.execute(
        union(
            down.where(advisory_cover.c.advisory_id == row.id),
            up.where(advisory_cover.c.covered_id == row.id),
            same,
        )
    ).all()
    return Advisory(
        name=row.name,
        description=row.description,
        published=row.published,
        covers=tuple(sorted(name for name, is_covered in others if is_covered)),
        aliases=tuple(sorted(name for name, is_covered in others if not is_covered)),
    )


def is_named(name: str) -> ColumnElement[bool]:
    """Whether an advisory is the one that somebody names, in whatever case."""
    wanted = name.upper()
    if wanted.startswith("GHSA-"):
        wanted = f"GHSA{name[4:].lower()}"
    named: ColumnElement[bool] = advisory.c.name.in_({name, wanted})
    if wanted.startswith(("DSA-", "DLA-", "DTSA-")) and wanted.count("-") == 1:
        named = named | advisory.c.name.between(f"{wanted}-", f"{wanted}-\uffff")
    return named


def _list_aliases(c: Connection, numbers: Sequence[int]) -> list[int]:
    query = select(advisory_alias.c.alias_id).where(advisory_alias.c.advisory_id.in_(numbers))
    return sorted(set(c.scalars(query)))


def _list_covered(c: Connection, numbers: Sequence[int]) -> list[int]:
    query = select(advisory_cover.c.covered_id).where(advisory_cover.c.advisory_id.in_(numbers))
    return sorted(set(c.scalars(query)))


def _list_affected(c: Connection, numbers: Sequence[int]) -> tuple[Affected, ...]:
    """As the feeds tell it; of what two feeds tell alike one."""
    found: dict[Affected, None] = {}
    for batch in batches(numbers):
        query = (
            select(
                advisory.c.name.label("advisory"),
                scope.c.name.label("scope"),
                affected,
            )
            .join(affected, affected.c.advisory_id == advisory.c.id)
            .join(scope, scope.c.id == affected.c.scope_id)
            .where(advisory.c.id.in_(batch))
            .order_by(scope.c.name, affected.c.name, advisory.c.name, affected.c.id)
        )
        spans: dict[tuple[str, Affected], list[AffectedRange]] = {}
        for row in c.execute(query):
            one = Affected(
                advisory=row.advisory,
                scope=row.scope,
                name=row.name,
                status=row.status,
                urgency=row.urgency,
                reason=row.reason,
            )
            span = AffectedRange(row.low_key, row.high_key, row.high_inclusive, row.fixed)
            spans.setdefault((f"{row.feed} {row.part}", one), []).append(span)
        for (_, one), many in spans.items():
            found[msgspec.structs.replace(one, ranges=tuple(many))] = None
    return tuple(found)


class Span(Struct, frozen=True):
    """From one version of a source package in a scope to a later one."""

    scope: str
    source: str
    after: str
    up_to: str


_POCKET = re.compile(r"-(?:security|updates|proposed-updates|backports(?:-sloppy)?|lts)$")


def scope_of_origin(origin: str) -> str:
    """The scope of the release that an archive, named as ``Label/codename``, belongs to."""
    label, _, suite = origin.rpartition("/")
    os_id = "ubuntu" if label.lower().startswith("ubuntu") else "debian"
    return f"{os_id}/{_POCKET.sub('', suite)}"


class _Ruled(Struct, frozen=True, gc=False):
    """Versions that are ruled to have a fault."""

    fault: str
    low: bytes | None
    high: bytes | None
    high_inclusive: bool
    state: str

    def holds(self, key: bytes) -> bool:
        """Whether a version is among them."""
        if self.low is not None and key < self.low:
            return False
        return self.high is None or key < self.high or (self.high_inclusive and key == self.high)


def list_fixed(c: Connection, spans: Iterable[Span]) -> dict[Span, tuple[str, ...]]:
    """The faults that are gone at the end of each span and not at its beginning, by name.

    By the word that counts of all that feeds say, as findings are: so of what is held by images, and
    once that is judged. Faults alone, not the notices that bundle them. Of a version that is none of
    the order, and of what nobody has determined, nothing is known to be gone. Spans without any are
    left out.
    """
    wanted = {span: _judged_as(span) for span in spans}
    ruled = _list_ruled(c, {(scope, name) for scope, name, _, _ in wanted.values()})
    found = {}
    for span, (place, name, before, after) in wanted.items():
        if before.startswith(_INVALID) or after.startswith(_INVALID) or after <= before:
            continue
        rows = ruled.get((place, name), ())
        had = {row.fault for row in rows if row.state != "undetermined" and row.holds(before)}
        gone = had - {row.fault for row in rows if row.fault in had and row.holds(after)}
        if gone:
            found[span] = tuple(sorted(gone))
    return found


_INVALID = b"\x00"


def _judged_as(span: Span) -> tuple[str, str, bytes, bytes]:
    """Scope and name under which the rulings are, and the keys of both versions."""
    kind = type_of(span.scope)
    name, before, after = span.source, span.after, span.up_to
    if kind == "deb":
        name, before = kernel_source(span.source, span.after)
        _, after = kernel_source(span.source, span.up_to)
    return span.scope, name, sort_key(kind, before), sort_key(kind, after)


def _list_ruled(
    c: Connection, names: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[_Ruled]]:
    """What is ruled of these names in their scopes, by scope and name."""
    found: dict[tuple[str, str], list[_Ruled]] = {}
    for batch in batches({name for _, name in names}):
        query = (
            select(
                scope.c.name.label("scope"),
                ruling.c.name.label("source"),
                advisory.c.name,
                ruling.c.low_key,
                ruling.c.high_key,
                ruling.c.high_inclusive,
                ruling.c.state,
            )
            .join(advisory, advisory.c.id == ruling.c.advisory_id)
            .join(scope, scope.c.id == ruling.c.scope_id)
            .where(
                ruling.c.name.in_(batch),
                scope.c.name.in_({place for place, _ in names}),
                ruling.c.counted,
                ruling.c.state != "not-affected",
            )
        )
        for place, name, *values in c.execute(query):
            if (place, name) in names:
                found.setdefault((place, name), []).append(_Ruled(*values))
    return found


class Rated(Struct, frozen=True):
    """How bad a fault is: the rank of its severity, and whether it is known to be exploited."""

    severity: int
    is_exploited: bool


def rate_faults(c: Connection, names: Collection[str]) -> dict[str, Rated]:
    """How bad these faults are where they are held, else anywhere; unknown names are left out."""
    known = (
        select(func.coalesce(advisory.c.fault_id, advisory.c.id).label("fault"))
        .join(exploited, exploited.c.advisory_id == advisory.c.id)
        .distinct()
        .subquery()
    )
    found = {}
    for batch in batches(sorted(names)):
        query = (
            select(
                advisory.c.name,
                func.coalesce(func.max(ruling.c.severity), func.max(advisory.c.severity), 0),
                func.count(known.c.fault),
            )
            .outerjoin(ruling, ruling.c.advisory_id == advisory.c.id)
            .outerjoin(known, known.c.fault == func.coalesce(advisory.c.fault_id, advisory.c.id))
            .where(advisory.c.name.in_(batch))
            .group_by(advisory.c.name)
        )
        for name, severity, many in c.execute(query):
            found[name] = Rated(severity, many > 0)
    return found
