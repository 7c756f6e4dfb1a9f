"""Advisories as the feeds tell them: only what changed of a feed is written.

A feed is told in parts, each of which tells all that it has of one thing. What a part says of a
package is compared with what it said before, and the names of packages of which anything is said
differently now are kept in ``unjudged`` until ``store.findings`` judges them, in the same
transaction: whoever is killed between the two loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Table, bindparam, func, select, tuple_, update

from imagecatalog.domain.advisories import Advisory, Affected, AffectedRange, FeedPart
from imagecatalog.domain.findings import SEVERITIES
from imagecatalog.errors import BadDocument
from imagecatalog.store.dialect import (
    batches,
    insert,
    insert_new,
    insert_returning,
    lock_table,
    upsert,
)
from imagecatalog.store.faults import list_grouped, settle_faults
from imagecatalog.store.schema import (
    advisory,
    advisory_alias,
    advisory_cover,
    affected,
    feed_file,
    feed_part,
    rating,
    unjudged,
)
from imagecatalog.store.scopes import find_scopes, put_scopes

_AT_ONCE = 200
"""Parts of a feed in one go."""
_ROWS_AT_ONCE = 20_000
"""Ranges of versions and names of faults in one go, or those of one part."""
_LEAST_KEPT = 0.9
_KEPT = "what was known of it is kept; fetch it again, or look what became of it"

_ALL = AffectedRange(None, None)
_ROW = (
    "part",
    "advisory_id",
    "scope_id",
    "name",
    "status",
    "low_key",
    "high_key",
    "high_inclusive",
    "fixed",
    "urgency",
    "reason",
)
_COLUMNS = tuple(affected.c[name] for name in _ROW)


class Applied(Struct, frozen=True):
    """How a feed compared with what was known of it, in parts."""

    parts: int
    changed: int
    gone: int
    unjoined: int = 0
    """Advisories that are told to be one fault with more others than any fault has names."""


def apply_feed(
    c: Connection,
    feed: str,
    parts: Iterable[FeedPart],
    *,
    where: str,
    complete: bool = True,
    keeps_scopes: bool = False,
) -> Applied:
    """Make what is known of a feed be exactly these parts; those that are gone are retracted.

    Unless ``complete``, the parts not told stay. With ``keeps_scopes`` what was told of scopes that
    the feed no longer names at all stays too, as of releases that it does not look after any more:
    nobody mended their faults. Raises BadDocument for a complete feed that is
    empty, or lost more than a tenth of its parts: such a one is broken, and the transaction with it
    is to be dropped. What ``parts`` raises passes.
    """
    # Whoever judges waits until all is told: what it looked at must not change behind it.
    lock_table(c, unjudged)
    known = list_digests(c, feed)
    telling = _Telling(c, feed, keeps_scopes=keeps_scopes)
    seen: set[str] = set()
    changed = 0
    for some in _gather(parts):
        telling.named.update(one.scope for part in some for one in part.affected)
        telling.named.update(*(part.scopes for part in some))
        new = {part.name: part for part in some if known.get(part.name) != part.digest}
        seen.update(part.name for part in some)
        changed += len(new)
        telling.replace(list(new.values()))
    if not complete:
        return Applied(len(seen), changed, 0, telling.finish())
    _check(seen, known, where)
    gone = sorted(known.keys() - seen)
    telling.retract(gone)
    return Applied(len(seen), changed, len(gone), telling.finish())


def retract_feeds(c: Connection, prefix: str, but: Collection[str]) -> tuple[str, ...]:
    """Forget all feeds that begin so and are none of these, as if they had never been told."""
    lock_table(c, unjudged)
    begins = feed_part.c.feed.startswith(prefix, autoescape=True)
    told = set(c.scalars(select(feed_part.c.feed).where(begins).distinct()))
    gone = tuple(sorted(told.difference(but)))
    for feed in gone:
        retract_feed(c, feed)
    return gone


def retract_feed(c: Connection, feed: str) -> None:
    """Forget all that one feed told, as if it had never done so."""
    lock_table(c, unjudged)
    telling = _Telling(c, feed)
    telling.retract(sorted(list_digests(c, feed)))
    telling.finish()


def list_digests(c: Connection, feed: str) -> dict[str, bytes]:
    """The digest of each part of a feed as it was last applied."""
    query = select(feed_part.c.part, feed_part.c.digest).where(feed_part.c.feed == feed)
    return {part: bytes(digest) for part, digest in c.execute(query)}


def is_told(c: Connection, feed: str) -> bool:
    """Whether anything is known of a feed."""
    return c.scalar(select(feed_part.c.part).where(feed_part.c.feed == feed).limit(1)) is not None


def _gather(parts: Iterable[FeedPart]) -> Iterator[list[FeedPart]]:
    """Parts as many as are written in one go, and fewer where each says much."""
    some: list[FeedPart] = []
    weight = 0
    for part in parts:
        some.append(part)
        weight += sum(1 + len(one.ranges) for one in part.affected)
        weight += sum(len(one.aliases) + len(one.covers) for one in part.advisories)
        if len(some) == _AT_ONCE or weight > _ROWS_AT_ONCE:
            yield some
            some, weight = [], 0
    if some:
        yield some


def _check(seen: Collection[str], known: Collection[str], where: str) -> None:
    if not seen:
        raise BadDocument(where, "it is empty", hint=_KEPT)
    if len(seen) < _LEAST_KEPT * len(known):
        raise BadDocument(
            where,
            f"it has {len(seen):,} parts where it had {len(known):,}: more than a tenth is missing",
            hint=_KEPT,
        )


def get_file_state(c: Connection, address: str) -> str | None:
    """What was kept of the file when it was last applied."""
    found = c.scalar(select(feed_file.c.state).where(feed_file.c.address == address))
    return None if found is None else str(found)


def save_file_state(c: Connection, address: str, state: str) -> None:
    """Keep what tells the file that was applied now from a later one."""
    upsert(c, feed_file, [{"address": address, "state": state}])


def has_advisories(c: Connection) -> bool:
    """Whether any feed of advisories was ever applied."""
    return c.scalar(select(func.count()).select_from(select(feed_part).limit(1).subquery())) == 1


def put_names(c: Connection, names: Collection[str]) -> dict[str, int]:
    """The numbers of advisories by name, written where they are new."""
    columns = (advisory.c.name, advisory.c.id)
    wanted = sorted(set(names))
    numbers: dict[str, int] = {}
    for batch in batches(wanted):
        numbers |= dict(c.execute(select(*columns).where(advisory.c.name.in_(batch))).all())
    bare = [{"name": name} for name in wanted if name not in numbers]
    numbers |= dict(insert_returning(c, advisory, bare, *columns))
    for batch in batches([name for name in wanted if name not in numbers]):
        numbers |= dict(c.execute(select(*columns).where(advisory.c.name.in_(batch))).all())
    return numbers


class _Telling:
    """What one feed says now, written as a difference to what it said."""

    def __init__(self, c: Connection, feed: str, *, keeps_scopes: bool = False) -> None:
        self._c = c
        self._feed = feed
        self.named: set[str] = set()
        """Scopes of which it tells anything, changed or not."""
        self._keeps_scopes = keeps_scopes
        self._gone: dict[int, tuple[int, str]] = {}
        """Rows no longer told, by number, with the scope and name that they are of."""
        self._scopes: dict[str, int] = {}
        self._regrouped: set[int] = set()
        """Advisories whose aliases or ratings changed."""
        self._recovered: set[int] = set()
        """Notices that cover others than before."""

    def replace(self, parts: Sequence[FeedPart]) -> None:
        """Make these parts be as told."""
        if not parts:
            return
        numbers = self._put_advisories([one for part in parts for one in part.advisories], parts)
        new = {one.scope for part in parts for one in part.affected} - self._scopes.keys()
        self._scopes |= put_scopes(self._c, new)
        names = [part.name for part in parts]
        self._write_affected(
            names,
            [
                (part.name, numbers[one.advisory], self._scopes[one.scope], *row)
                for part in parts
                for one in part.affected
                for row in _list_rows(one)
            ],
        )
        self._write_beside(names, parts, numbers)
        digests = [{"feed": self._feed, "part": one.name, "digest": one.digest} for one in parts]
        upsert(self._c, feed_part, digests)

    def retract(self, names: Sequence[str]) -> None:
        """Forget these parts."""
        for batch in batches(names, _AT_ONCE):
            self._write_affected(batch, [])
            self._write_beside(batch, (), {})
            self._c.execute(
                feed_part.delete().where(
                    feed_part.c.feed == self._feed, feed_part.c.part.in_(batch)
                )
            )

    def finish(self) -> int:
        """Join faults anew, and have judged anew what that changes; how many were too many to join."""
        if self._keeps_scopes:
            named = set(find_scopes(self._c, self.named).values())
            self._drop({one: of for one, of in self._gone.items() if of[0] in named})
        settled = settle_faults(self._c, self._regrouped)
        changed = list_grouped(self._c, settled.changed | self._recovered)
        notices: set[int] = set()
        for batch in batches(sorted(changed)):
            query = select(advisory_cover.c.advisory_id).where(
                advisory_cover.c.covered_id.in_(batch)
            )
            notices.update(self._c.scalars(query))
        for batch in batches(sorted(changed | list_grouped(self._c, notices))):
            rows = (
                select(affected.c.scope_id, affected.c.name)
                .where(affected.c.advisory_id.in_(batch))
                .distinct()
            )
            self._c.execute(
                insert(self._c, unjudged)
                .from_select(["scope_id", "name"], rows)
                .on_conflict_do_nothing()
            )
        return settled.unjoined

    def _put_advisories(
        self, advisories: Iterable[Advisory], parts: Iterable[FeedPart]
    ) -> dict[str, int]:
        """The numbers of all that is named, with what is told of them."""
        told: dict[str, Advisory] = {}
        names = {one.advisory for part in parts for one in part.affected}
        for one in advisories:
            if one.name not in told or one.description:
                told[one.name] = one
            names.update((one.name, *one.covers, *one.aliases))
        numbers = put_names(self._c, names)
        self._describe(told, numbers)
        return numbers

    def _describe(self, told: Mapping[str, Advisory], numbers: Mapping[str, int]) -> None:
        described = {numbers[one.name]: one for one in told.values() if one.description}
        for batch in batches(sorted(described)):
            query = select(advisory.c.id, advisory.c.description, advisory.c.published)
            rows = [
                {
                    "number": number,
                    "words": described[number].description,
                    "moment": described[number].published,
                }
                for number, words, moment in self._c.execute(query.where(advisory.c.id.in_(batch)))
                if (words, moment) != (described[number].description, described[number].published)
            ]
            if rows:
                self._c.execute(_DESCRIBE, sorted(rows, key=lambda row: row["number"]))

    def _write_affected(self, parts: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Have these rows alone be those of the parts; what differs is to be judged."""
        old: dict[tuple[Any, ...], int] = {}
        spare: list[int] = []
        query = select(affected.c.id, *_COLUMNS).where(
            affected.c.feed == self._feed, affected.c.part.in_(parts)
        )
        for number, *values in self._c.execute(query):
            key = tuple(values)
            if key in old:
                spare.append(number)
            old[key] = number
        new = dict.fromkeys(rows)
        gone = old.keys() - new
        self._drop(dict.fromkeys(spare))
        if self._keeps_scopes:
            self._gone |= {old[key]: key[2:4] for key in gone}
        else:
            self._drop({old[key]: key[2:4] for key in gone})
        come = [row for row in new if row not in old]
        if come:
            values = [{"feed": self._feed, **dict(zip(_ROW, row, strict=True))} for row in come]
            self._c.execute(affected.insert(), values)
        self._touch(row[2:4] for row in come)

    def _drop(self, rows: Mapping[int, tuple[int, str] | None]) -> None:
        for batch in batches(sorted(rows)):
            self._c.execute(affected.delete().where(affected.c.id.in_(batch)))
        self._touch(of for of in rows.values() if of is not None)

    def _touch(self, names: Iterable[tuple[int, str]]) -> None:
        """Have the packages of these scopes and names judged anew."""
        rows = [{"scope_id": scope, "name": name} for scope, name in sorted(set(names))]
        insert_new(self._c, unjudged, rows)

    def _write_beside(
        self, names: Sequence[str], parts: Iterable[FeedPart], numbers: Mapping[str, int]
    ) -> None:
        """Have aliases, ratings and what notices cover be those of the parts."""
        aliases: set[tuple[Any, ...]] = set()
        covers: set[tuple[Any, ...]] = set()
        ratings: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for part in parts:
            for one in part.advisories:
                number = numbers[one.name]
                for alias in (numbers[name] for name in one.aliases if name != one.name):
                    aliases |= {(part.name, number, alias), (part.name, alias, number)}
                covers.update(
                    (part.name, number, numbers[name]) for name in one.covers if name != one.name
                )
                for told in one.ratings:
                    rank = SEVERITIES.index(told.severity)
                    row = (part.name, number, told.system, told.vector, told.score, rank)
                    ratings[row[:3]] = row
        self._regrouped |= self._write(advisory_alias, names, aliases)
        self._recovered |= self._write(advisory_cover, names, covers)
        self._regrouped |= self._write(rating, names, set(ratings.values()))

    def _write(self, table: Table, parts: Sequence[str], rows: set[tuple[Any, ...]]) -> set[int]:
        """Have these rows alone be those of the parts; the advisories of those that differ."""
        columns = [column for column in table.columns if column.name != "feed"]
        query = select(*columns).where(table.c.feed == self._feed, table.c.part.in_(parts))
        old = {tuple(row) for row in self._c.execute(query)}
        unique = [column for column in columns if column.primary_key]
        gone = sorted(row[: len(unique)] for row in old - rows)
        for batch in batches(gone):
            self._c.execute(
                table.delete().where(table.c.feed == self._feed, tuple_(*unique).in_(batch))
            )
        names = [column.name for column in columns]
        come = sorted(rows - old, key=lambda row: row[: len(unique)])
        insert_new(
            self._c,
            table,
            [{"feed": self._feed, **dict(zip(names, row, strict=True))} for row in come],
        )
        return {row[1] for row in rows ^ old}


_DESCRIBE = (
    update(advisory)
    .where(advisory.c.id == bindparam("number"))
    .values(description=bindparam("words"), published=bindparam("moment"))
)


def _list_rows(one: Affected) -> list[tuple[Any, ...]]:
    """The columns behind the scope: a row for each range, one where it is about all versions."""
    return [
        (
            one.name,
            one.status,
            span.low,
            span.high,
            span.high_inclusive,
            span.fixed,
            one.urgency,
            one.reason,
        )
        for span in (one.ranges or (_ALL,))
    ]
