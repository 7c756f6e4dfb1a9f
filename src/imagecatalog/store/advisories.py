"""Advisories as the feeds tell them: only what changed of a feed is written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, func, select

from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.errors import BadDocument
from imagecatalog.store.dialect import batches, insert_new, insert_returning, upsert
from imagecatalog.store.schema import advisory, advisory_cover, affected, feed_file, feed_part
from imagecatalog.versions import sort_key

_AT_ONCE = 200
"""Parts of a feed in one go."""
_LEAST_KEPT = 0.9


class Applied(Struct, frozen=True):
    """How a feed compared with what was known of it, in parts."""

    parts: int
    changed: int
    gone: int


def apply_feed(c: Connection, feed: str, parts: Iterable[FeedPart], *, where: str) -> Applied:
    """Make what is known of a feed be exactly these parts; those that are gone are retracted.

    Raises BadDocument for a feed that is empty, or lost more than a tenth of its parts: such a one
    is broken, and the transaction with it is to be dropped. What ``parts`` raises passes.
    """
    known = {
        part: bytes(digest)
        for part, digest in c.execute(
            select(feed_part.c.part, feed_part.c.digest).where(feed_part.c.feed == feed)
        )
    }
    seen: set[str] = set()
    changed = 0
    for some in batches(parts, _AT_ONCE):
        new = {part.name: part for part in some if known.get(part.name) != part.digest}
        seen.update(part.name for part in some)
        changed += len(new)
        _replace(c, feed, list(new.values()))
    if not seen:
        raise BadDocument(where, "it is empty")
    if len(seen) < _LEAST_KEPT * len(known):
        raise BadDocument(
            where,
            f"it has {len(seen):,} parts where it had {len(known):,}: more than a tenth is missing",
            hint="what was known of it is kept; fetch it again, or look what became of it",
        )
    gone = known.keys() - seen
    _retract(c, feed, gone)
    return Applied(len(seen), changed, len(gone))


def get_file_state(c: Connection, address: str) -> str | None:
    """What was kept of the file when it was last applied."""
    found = c.scalar(select(feed_file.c.state).where(feed_file.c.address == address))
    return None if found is None else str(found)


def save_file_state(c: Connection, address: str, state: str) -> None:
    """Keep what tells the file that was applied now from a later one."""
    upsert(c, feed_file, [{"address": address, "state": state}])


def _replace(c: Connection, feed: str, parts: Sequence[FeedPart]) -> None:
    numbers = _put_advisories(c, [one for part in parts for one in part.advisories])
    _retract(c, feed, [part.name for part in parts])
    rows: list[dict[str, Any]] = [
        {
            "feed": feed,
            "part": part.name,
            "advisory_id": numbers[one.advisory],
            "distro": "debian",
            "release": one.release,
            "source": one.source,
            "status": one.status,
            "fixed": one.fixed,
            "fixed_key": None if one.fixed is None else sort_key("deb", one.fixed),
            "urgency": one.urgency,
            "reason": one.reason,
        }
        for part in parts
        for one in part.affected
    ]
    insert_new(c, affected, rows)
    insert_new(
        c,
        feed_part,
        [{"feed": feed, "part": part.name, "digest": part.digest} for part in parts],
    )


def _retract(c: Connection, feed: str, parts: Collection[str]) -> None:
    for batch in batches(sorted(parts)):
        c.execute(affected.delete().where(affected.c.feed == feed, affected.c.part.in_(batch)))
        c.execute(feed_part.delete().where(feed_part.c.feed == feed, feed_part.c.part.in_(batch)))


def _put_advisories(c: Connection, advisories: Iterable[Advisory]) -> dict[str, int]:
    """The numbers of the advisories and of those they cover, written where they are new."""
    told: dict[str, Advisory] = {}
    for one in advisories:
        if one.name not in told or one.description:
            told[one.name] = one
    names = sorted(told.keys() | {name for one in told.values() for name in one.covers})
    described = [name for name in names if name in told and told[name].description]
    rows = [
        {"name": name, "description": told[name].description, "published": told[name].published}
        for name in described
    ]
    columns = (advisory.c.name, advisory.c.id)
    numbers = dict(upsert(c, advisory, rows, key=["name"], returned=columns))
    bare = [{"name": name} for name in names if name not in numbers]
    numbers |= dict(insert_returning(c, advisory, bare, *columns))
    for batch in batches([name for name in names if name not in numbers]):
        numbers |= dict(c.execute(select(*columns).where(advisory.c.name.in_(batch))).all())
    _put_covers(c, told, numbers)
    return numbers


def _put_covers(c: Connection, told: Mapping[str, Advisory], numbers: Mapping[str, int]) -> None:
    notices = {numbers[one.name]: one.covers for one in told.values() if one.covers}
    for batch in batches(notices):
        c.execute(advisory_cover.delete().where(advisory_cover.c.advisory_id.in_(batch)))
    insert_new(
        c,
        advisory_cover,
        [
            {"advisory_id": number, "covered_id": numbers[name]}
            for number, covers in sorted(notices.items())
            for name in sorted(covers)
        ],
    )


def find_affected(c: Connection, name: str) -> tuple[Affected, ...] | None:
    """What is affected by an advisory, by release and source; None for one that no feed tells.

    ``DSA-1234`` means all its revisions. Of a notice without packages of its own, its faults' count.
    """
    numbers = list(c.scalars(select(advisory.c.id).where(_is_named(name))))
    if not numbers:
        return None
    return _list_affected(c, numbers) or _list_affected(c, _covered(c, numbers))


def describe(c: Connection, name: str) -> Advisory:
    """An advisory that is there; ``covers`` are the faults it bundles and the notices that bundle it.

    ``DSA-1234`` means the first of its revisions.
    """
    row = c.execute(
        select(advisory).where(_is_named(name)).order_by(advisory.c.name).limit(1)
    ).one()
    other = advisory.alias()
    down = (
        select(other.c.name)
        .join(advisory_cover, advisory_cover.c.covered_id == other.c.id)
        .where(advisory_cover.c.advisory_id == row.id)
    )
    up = (
        select(other.c.name)
        .join(advisory_cover, advisory_cover.c.advisory_id == other.c.id)
        .where(advisory_cover.c.covered_id == row.id)
    )
    return Advisory(
        name=row.name,
        description=row.description,
        published=row.published,
        covers=tuple(sorted([*c.scalars(down), *c.scalars(up)])),
    )


def _is_named(name: str) -> ColumnElement[bool]:
    wanted = name.upper()
    named = advisory.c.name == wanted
    if wanted.startswith(("DSA-", "DLA-", "DTSA-")) and wanted.count("-") == 1:
        named = named | advisory.c.name.between(f"{wanted}-", f"{wanted}-\uffff")
    return named


def _covered(c: Connection, numbers: Sequence[int]) -> list[int]:
    query = select(advisory_cover.c.covered_id).where(advisory_cover.c.advisory_id.in_(numbers))
    return list(c.scalars(query))


def _list_affected(c: Connection, numbers: Sequence[int]) -> tuple[Affected, ...]:
    query = (
        select(
            advisory.c.name,
            affected.c.release,
            affected.c.source,
            affected.c.status,
            affected.c.fixed,
            affected.c.urgency,
            affected.c.reason,
        )
        .join(affected, affected.c.advisory_id == advisory.c.id)
        .where(advisory.c.id.in_(numbers))
        .order_by(affected.c.release, affected.c.source, advisory.c.name)
    )
    return tuple(
        Affected(
            advisory=row.name,
            release=row.release,
            source=row.source,
            status=row.status,
            fixed=row.fixed,
            urgency=row.urgency,
            reason=row.reason,
        )
        for row in c.execute(query)
    )


class Span(Struct, frozen=True):
    """From one version of a source package in a release to a later one."""

    release: str
    source: str
    after: str
    up_to: str


_POCKET = re.compile(r"-(?:security|updates|proposed-updates|backports(?:-sloppy)?|lts)$")


def release_of(origin: str) -> str:
    """The codename of the release that an archive, named as ``Label/codename``, belongs to."""
    return _POCKET.sub("", origin.rpartition("/")[2])


def list_fixed(c: Connection, spans: Iterable[Span]) -> dict[Span, tuple[str, ...]]:
    """The faults that are gone at the end of each span and not at its beginning, by name.

    Faults alone, not the notices that bundle them. Spans without any are left out.
    """
    by_source: dict[tuple[str, str], set[Span]] = {}
    for span in spans:
        by_source.setdefault((span.release, span.source), set()).add(span)
    found: dict[Span, set[str]] = {}
    for batch in batches({source for _, source in by_source}):
        query = (
            select(advisory.c.name, affected.c.release, affected.c.source, affected.c.fixed_key)
            .join(affected, affected.c.advisory_id == advisory.c.id)
            .where(
                affected.c.source.in_(batch),
                affected.c.distro == "debian",
                affected.c.release.in_({release for release, _ in by_source}),
                affected.c.status == "fixed",
                advisory.c.id.not_in(select(advisory_cover.c.advisory_id)),
            )
        )
        for name, release, source, key in c.execute(query):
            for span in by_source.get((release, source), ()):
                if sort_key("deb", span.after) < key <= sort_key("deb", span.up_to):
                    found.setdefault(span, set()).add(name)
    return {span: tuple(sorted(names)) for span, names in found.items()}


def list_faults(
    c: Connection, release: str, sources: Collection[tuple[str, str]]
) -> dict[str, set[str]]:
    """The faults that source packages of a release have, each with the sources that have it.

    ``sources`` are pairs of name and version. Faults that nobody has determined are left out.
    """
    versions: dict[str, list[bytes]] = {}
    for source, version in sources:
        versions.setdefault(source, []).append(sort_key("deb", version))
    found: dict[str, set[str]] = {}
    for batch in batches(sorted(versions)):
        query = (
            select(advisory.c.name, affected.c.source, affected.c.status, affected.c.fixed_key)
            .join(affected, affected.c.advisory_id == advisory.c.id)
            .where(
                affected.c.source.in_(batch),
                affected.c.distro == "debian",
                affected.c.release == release,
                affected.c.status.in_(("fixed", "open")),
                advisory.c.id.not_in(select(advisory_cover.c.advisory_id)),
            )
        )
        for name, source, status, key in c.execute(query):
            if status == "open" or any(version < bytes(key) for version in versions[source]):
                found.setdefault(name, set()).add(source)
    return found


def has_advisories(c: Connection) -> bool:
    """Whether any feed of advisories was ever applied."""
    return c.scalar(select(func.count()).select_from(select(feed_part).limit(1).subquery())) == 1
