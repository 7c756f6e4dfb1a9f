"""apt's set-ups as images have them, and what the archives that they name offer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, or_, select, update

from imagecatalog.domain.apt import AptSetup, ReleaseFacts
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.store.dialect import batches, insert_new, lock_table
from imagecatalog.store.judgements import has_debian
from imagecatalog.store.schema import (
    apt_index,
    apt_package,
    apt_release,
    apt_release_index,
    apt_setup,
    distro,
    manifest,
    package_update,
    package_version,
)
from imagecatalog.store.shelf import Shelf

# Made here, by one thread: msgspec 0.22 crashes where two are the first to use a type.
_SETUP = msgspec.msgpack.Decoder(AptSetup)
_FACTS = msgspec.json.Decoder(ReleaseFacts)


class SetupRow(Struct, frozen=True):
    """A set-up with what the catalog knows of it."""

    id: int
    setup: AptSetup
    problem: str | None
    checked: datetime | None
    generation: int
    inputs: bytes | None
    pending: bool


class Borrowers(Struct, frozen=True):
    """Images without apt sources of their own: of one release, platform, and set-up lent to them."""

    distro_id: int
    distro: Distro
    platform: str | None
    setup_id: int | None

    @property
    def architecture(self) -> str:
        """As the platform names it; empty where it is not known."""
        return (self.platform or "").partition("/")[2].partition("/")[0]


class ReleaseRow(Struct, frozen=True):
    """An archive's suite as it was last met."""

    id: int
    facts: ReleaseFacts
    state: str | None
    good: datetime | None
    problem: str | None


class IndexRow(Struct, frozen=True):
    """A Packages file of a suite: its content when it was last well, and what is wrong with it now."""

    component: str
    architecture: str
    id: int | None
    fingerprint: str | None
    problem: str | None


class Offer(Struct, frozen=True):
    """A version on offer."""

    name: str
    arch: str
    version: str
    source: str
    source_version: str


def put_setup(c: Connection, shelf: Shelf, setup: AptSetup) -> int:
    """The id of a set-up, written if it is new."""
    if setup not in shelf.setups:
        shelf.setups[setup] = _put_setup(c, setup)
    return shelf.setups[setup]


def _put_setup(c: Connection, setup: AptSetup) -> int:
    digest = setup.digest()
    find = select(apt_setup.c.id).where(apt_setup.c.digest == digest)
    found = c.scalar(find)
    if found is None:
        body = msgspec.msgpack.encode(setup)
        insert_new(
            c, apt_setup, [{"digest": digest, "body": body, "generation": 0, "pending": False}]
        )
        found = c.execute(find).scalar_one()
    return int(found)


def list_setups(
    c: Connection,
    numbers: Iterable[int] | None = None,
    *,
    used: bool = False,
    lock: bool = False,
) -> list[SetupRow]:
    """The set-ups, or only those, in the order of their ids; ``used``: that some image is judged by.

    ``lock``: until the transaction ends, nobody else judges them or notes packages that wait.
    """
    query = select(apt_setup).order_by(apt_setup.c.id)
    if lock:
        query = query.with_for_update(key_share=True)
    if used:
        query = query.where(apt_setup.c.id.in_(select(manifest.c.setup_id)))
    if numbers is not None:
        query = query.where(apt_setup.c.id.in_(list(numbers)))
    return [
        SetupRow(
            row.id,
            _SETUP.decode(row.body),
            row.problem,
            row.checked,
            row.generation,
            row.inputs,
            row.pending,
        )
        for row in c.execute(query)
    ]


def save_setup(
    c: Connection,
    number: int,
    *,
    problem: str | None,
    checked: datetime | None,
    inputs: bytes,
    changed: bool,
) -> None:
    """Note how a set-up was judged; ``changed`` makes verdicts of before outlive themselves."""
    values: dict[str, Any] = {
        "problem": problem,
        "checked": checked,
        "inputs": inputs,
        "pending": False,
    }
    if changed:
        values["generation"] = apt_setup.c.generation + 1
    c.execute(update(apt_setup).where(apt_setup.c.id == number).values(values))


def list_borrowers(c: Connection) -> list[Borrowers]:
    """Every kind of image that is not judged by apt sources of its own."""
    query = (
        select(distro, manifest.c.platform, manifest.c.setup_id)
        .join(distro, distro.c.id == manifest.c.distro_id)
        .where(manifest.c.own_setup_id.is_(None))
        .distinct()
    )
    return [
        Borrowers(
            row.id,
            Distro(row.os_id, row.version_id or None, row.codename or None, row.pretty or None),
            row.platform,
            row.setup_id,
        )
        for row in c.execute(query)
    ]


def point_setup(c: Connection, kind: Borrowers, setup_id: int | None) -> int:
    """Judge the images of a kind by this set-up from now on; how many they are."""
    moved = c.execute(
        update(manifest)
        .where(
            manifest.c.distro_id == kind.distro_id,
            manifest.c.own_setup_id.is_(None),
            manifest.c.platform.is_not_distinct_from(kind.platform),
            manifest.c.setup_id.is_not_distinct_from(kind.setup_id),
            # apt knows nothing of images that have other packages alone
            or_(manifest.c.set_id.is_(None), has_debian(manifest.c.set_id)),
        )
        .values(setup_id=setup_id)
    )
    return int(moved.rowcount)


def find_release(c: Connection, uri: str, suite: str, trust: bytes) -> ReleaseRow | None:
    """The suite as it was last met with these keys."""
    row = c.execute(
        select(apt_release).where(
            apt_release.c.uri == uri, apt_release.c.suite == suite, apt_release.c.trust == trust
        )
    ).one_or_none()
    if row is None:
        return None
    facts = _FACTS.decode(row.facts) if row.facts else ReleaseFacts()
    return ReleaseRow(row.id, facts, row.state, row.good, row.problem)


def put_release(c: Connection, uri: str, suite: str, trust: bytes, *, tried: datetime) -> int:
    """The id of a suite, written if it is new; notes the try."""
    row = {"uri": uri, "suite": suite, "trust": trust}
    insert_new(c, apt_release, [row])
    here = [apt_release.c[name] == value for name, value in row.items()]
    c.execute(update(apt_release).where(*here).values(tried=tried))
    return int(c.execute(select(apt_release.c.id).where(*here)).scalar_one())


def save_release(
    c: Connection,
    number: int,
    *,
    good: datetime | None,
    problem: str | None,
    facts: ReleaseFacts | None = None,
    state: str | None = None,
) -> None:
    """Note how the try went; what is None of ``good``, ``facts`` and ``state`` stays as it was."""
    values: dict[str, object] = {"problem": problem}
    if good is not None:
        values["good"] = good
    if facts is not None:
        values["facts"] = msgspec.json.encode(facts).decode()
    if state is not None:
        values["state"] = state
    c.execute(update(apt_release).where(apt_release.c.id == number).values(values))


def list_indices(c: Connection, release_id: int) -> list[IndexRow]:
    """The Packages files of a suite, by component and architecture."""
    query = (
        select(
            apt_release_index.c.component,
            apt_release_index.c.architecture,
            apt_index.c.id,
            apt_index.c.fingerprint,
            apt_release_index.c.problem,
        )
        .outerjoin(apt_index, apt_index.c.id == apt_release_index.c.index_id)
        .where(apt_release_index.c.release_id == release_id)
        .order_by(apt_release_index.c.component, apt_release_index.c.architecture)
    )
    return [IndexRow(*row) for row in c.execute(query)]


def lock_indices(c: Connection) -> None:
    """Let nobody else write or drop Packages files until the transaction ends."""
    lock_table(c, apt_index)


def find_index(c: Connection, fingerprint: str) -> int | None:
    """The id of a Packages file that was read before."""
    found = c.scalar(select(apt_index.c.id).where(apt_index.c.fingerprint == fingerprint))
    return None if found is None else int(found)


def put_index(c: Connection, fingerprint: str, packages: Iterable[Package]) -> int:
    """Write a Packages file's offers, in one go with the caller's transaction."""
    insert_new(c, apt_index, [{"fingerprint": fingerprint}])
    number = find_index(c, fingerprint)
    assert number is not None
    for batch in batches(packages, 5000):
        insert_new(
            c,
            apt_package,
            [
                {
                    "index_id": number,
                    "name": item.name,
                    "arch": item.arch,
                    "version": item.version,
                    "source": None if item.source == item.name else item.source,
                    "source_version": (
                        None if item.source_version == item.version else item.source_version
                    ),
                }
                for item in batch
            ],
        )
    return number


def point_indices(c: Connection, release_id: int, indices: Sequence[IndexRow]) -> None:
    """Make these the suite's Packages files; drops what no suite names any more."""
    c.execute(apt_release_index.delete().where(apt_release_index.c.release_id == release_id))
    insert_new(
        c,
        apt_release_index,
        [
            {
                "release_id": release_id,
                "component": index.component,
                "architecture": index.architecture,
                "index_id": index.id,
                "problem": index.problem,
            }
            for index in indices
        ],
    )
    used = select(apt_release_index.c.index_id).where(apt_release_index.c.index_id.is_not(None))
    unused = select(apt_index.c.id).where(apt_index.c.id.not_in(used))
    c.execute(apt_package.delete().where(apt_package.c.index_id.in_(unused)))
    c.execute(apt_index.delete().where(apt_index.c.id.not_in(used)))


def list_offers(c: Connection, index_id: int, setup_id: int) -> list[Offer]:
    """What an index offers of the packages that are installed somewhere under the set-up."""
    names = (
        select(package_version.c.name)
        .join(package_update, package_update.c.package_version_id == package_version.c.id)
        .where(package_update.c.setup_id == setup_id)
    )
    query = select(
        apt_package.c.name,
        apt_package.c.arch,
        apt_package.c.version,
        func.coalesce(apt_package.c.source, apt_package.c.name),
        func.coalesce(apt_package.c.source_version, apt_package.c.version),
    ).where(apt_package.c.index_id == index_id, apt_package.c.name.in_(names))
    return [Offer(*row) for row in c.execute(query)]
