"""What was said that may make findings not count, for many faults and images at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    union,
)

from imagecatalog.domain.suppressions import VexStatus
from imagecatalog.store.dialect import BATCH, batches
from imagecatalog.store.schema import (
    advisory,
    advisory_cover,
    build,
    deferral,
    index_member,
    manifest,
    repository,
    repository_manifest,
    run,
    run_image,
    tag,
    tag_period,
    vex_document,
    vex_statement,
)


class StatementRow(Struct, frozen=True):
    """A statement of a VEX document that can be applied."""

    id: int
    advisory_id: int
    author: str
    status: VexStatus
    justification: str | None
    statement: str | None
    issued: datetime | None
    expires: datetime | None
    image_digest: str | None
    repository: str | None
    tag: str | None
    type: str | None
    namespace: str | None
    name: str | None
    version: str | None
    scope: str | None


class DeferralRow(Struct, frozen=True):
    """A deferral that is in force."""

    id: int
    advisory_id: int
    package: str | None
    image: str | None
    why: str
    made_by: str
    made_at: datetime
    expires: datetime


class ImageNames(Struct):
    """By what an image is known now."""

    digests: set[str]
    """Its own, its configuration's, and those of the indexes that name it."""
    repositories: set[str]
    """``registry/path``."""
    tagged: set[str]
    """``registry/path:tag``: by tags and by what runs; where there are none, by builds."""


_STATEMENT = select(*(vex_statement.c[name] for name in StatementRow.__struct_fields__))
_STANDS = not_(
    exists().where(
        vex_document.c.feed == vex_statement.c.feed,
        vex_document.c.part == vex_statement.c.part,
        vex_document.c.withdrawn_at.is_not(None),
    )
)
"""Of a statement whose document nobody took back."""
_DEFERRAL = select(*(deferral.c[name] for name in DeferralRow.__struct_fields__))


def is_anything_said(c: Connection) -> bool:
    """Whether there is any statement or deferral at all."""
    return any(
        c.scalar(select(table.c.id).limit(1)) is not None for table in (deferral, vex_statement)
    )


def list_spoken_of(c: Connection, *, now: datetime) -> frozenset[int]:
    """The numbers of all advisories of which something is said that may suppress their findings.

    With the other names of their faults, and the faults that a notice covers.
    """
    said = union(
        select(vex_statement.c.advisory_id).where(
            vex_statement.c.within.is_(None),
            vex_statement.c.status.in_(("not_affected", "fixed")),
            _STANDS,
        ),
        select(deferral.c.advisory_id).where(_in_force(now)),
    )
    numbers = set(c.scalars(said))
    for batch in batches(sorted(numbers)):
        covered = select(advisory_cover.c.covered_id).where(advisory_cover.c.advisory_id.in_(batch))
        numbers.update(c.scalars(covered))
    return frozenset(numbers | {name for kin in _list_kin(c, numbers).values() for name in kin})


def list_names_of(c: Connection, advisories: Collection[int]) -> dict[int, frozenset[int]]:
    """For each advisory the numbers by which its fault may be spoken of.

    Its own, the other names of its fault, and the notices that cover any of these.
    """
    kin = _list_kin(c, advisories)
    above: dict[int, set[int]] = {}
    for batch in batches({number for names in kin.values() for number in names}):
        query = select(advisory_cover.c.covered_id, advisory_cover.c.advisory_id).where(
            advisory_cover.c.covered_id.in_(batch)
        )
        for fault, notice in c.execute(query):
            above.setdefault(fault, set()).add(notice)
    return {
        number: frozenset(names.union(*(above.get(name, ()) for name in names)))
        for number, names in kin.items()
    }


def _list_kin(c: Connection, advisories: Collection[int]) -> dict[int, set[int]]:
    """All names of the fault of each advisory: those that share their first name, and it."""
    first: dict[int, int] = {}
    for batch in batches(sorted(set(advisories))):
        key = func.coalesce(advisory.c.fault_id, advisory.c.id)
        first.update(c.execute(select(advisory.c.id, key).where(advisory.c.id.in_(batch))).all())
    kin = {number: {number} for number in first.values()}
    for batch in batches(sorted(kin)):
        query = select(advisory.c.fault_id, advisory.c.id).where(advisory.c.fault_id.in_(batch))
        for number, name in c.execute(query):
            kin[number].add(name)
    return {number: kin[key] | {number} for number, key in first.items()}


def list_said(
    c: Connection, advisories: Collection[int], packages: Collection[str], *, now: datetime
) -> tuple[list[StatementRow], list[DeferralRow]]:
    """The statements and deferrals in force of these advisories, in the order they were written.

    Statements about other packages than these may be left out.
    """
    about: ColumnElement[bool] = true()
    if len(packages) <= BATCH:
        about = or_(vex_statement.c.name.is_(None), vex_statement.c.name.in_(sorted(packages)))
    statements: list[StatementRow] = []
    deferrals: list[DeferralRow] = []
    for batch in batches(sorted(advisories)):
        in_time = or_(vex_statement.c.expires.is_(None), vex_statement.c.expires > now)
        statements += _read(
            c,
            _STATEMENT.where(
                vex_statement.c.advisory_id.in_(batch),
                vex_statement.c.within.is_(None),
                _STANDS,
                in_time,
                about,
            ).order_by(vex_statement.c.id),
            StatementRow,
        )
        deferrals += _read(
            c,
            _DEFERRAL.where(deferral.c.advisory_id.in_(batch), _in_force(now)).order_by(
                deferral.c.id
            ),
            DeferralRow,
        )
    return statements, deferrals


def _read(c: Connection, query: Select[Any], kind: type[Any]) -> Iterable[Any]:
    return (kind(*row) for row in c.execute(query))


def _in_force(now: datetime) -> ColumnElement[bool]:
    return and_(deferral.c.withdrawn_at.is_(None), deferral.c.expires > now)


def list_image_names(c: Connection, images: Collection[int]) -> dict[int, ImageNames]:
    """By what each of these images is known now."""
    found: dict[int, ImageNames] = {}
    for batch in batches(sorted(set(images))):
        found |= _list_some(c, batch)
    return found


def _list_some(c: Connection, images: Collection[int]) -> dict[int, ImageNames]:
    found = {number: ImageNames(set(), set(), set()) for number in images}
    selves = select(manifest.c.id, manifest.c.id.label("by")).where(manifest.c.id.in_(images))
    indexes = select(index_member.c.manifest_id, index_member.c.index_id.label("by")).where(
        index_member.c.manifest_id.in_(images)
    )
    ways = selves.union(indexes).subquery()
    digests = select(ways.c.id, manifest.c.digest, manifest.c.config_digest).join(
        manifest, manifest.c.id == ways.c.by
    )
    for number, *both in c.execute(digests):
        found[number].digests.update(str(digest) for digest in both if digest is not None)
    homes = (
        select(ways.c.id, repository.c.name)
        .join(repository_manifest, repository_manifest.c.manifest_id == ways.c.by)
        .join(repository, repository.c.id == repository_manifest.c.repository_id)
    )
    for number, home in c.execute(homes):
        found[number].repositories.add(home)
    for query in (_tagged(ways), _running(images)):
        for number, name in c.execute(query):
            _add(found[number], name)
    nameless = {number for number, names in found.items() if not names.tagged}
    for number, name in c.execute(_given(ways)) if nameless else ():
        if number in nameless:
            _add(found[number], name)
    return found


def _tagged(ways: Subquery) -> Select[Any]:
    return (
        select(ways.c.id, repository.c.name + ":" + tag.c.name)
        .join(tag_period, and_(tag_period.c.manifest_id == ways.c.by, tag_period.c.until.is_(None)))
        .join(tag, tag.c.id == tag_period.c.tag_id)
        .join(repository, repository.c.id == tag.c.repository_id)
    )


def _running(images: Collection[int]) -> Select[Any]:
    return (
        select(run_image.c.manifest_id, run_image.c.image)
        .join(run, and_(run.c.run_image_id == run_image.c.id, run.c.until.is_(None)))
        .where(run_image.c.manifest_id.in_(images))
        .distinct()
    )


def _given(ways: Subquery) -> Select[Any]:
    return (
        select(ways.c.id, build.c.image)
        .join(manifest, manifest.c.id == ways.c.by)
        .join(build, build.c.subject == manifest.c.digest)
        .where(build.c.image.is_not(None))
        .distinct()
    )


def _add(names: ImageNames, name: str) -> None:
    """A whole name, without the digest that may follow it."""
    name = name.partition("@")[0]
    home, colon, word = name.rpartition(":")
    if not colon or "/" in word:
        home = name
    else:
        names.tagged.add(name)
    names.repositories.add(home)
