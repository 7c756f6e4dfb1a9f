"""Components: what advisories are held against, a row for each version of a name in a scope.

An image's packages are enrolled with its package set: the chunks of the set that are new to the
image's scope are looked at once, and the components of their members linked to them. Language
packages are components of their language's scope, whatever image they are in.

``enrol(c, shelf, pairs)``, ``settle_scopes(c, derived)``, ``enrol_backlog(c, shelf)``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, bindparam, func, or_, select, update

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.scopes import LANGUAGES, NOWHERE, names_in, scope_of, type_of
from imagecatalog.store import findings, standing_images
from imagecatalog.store.dialect import (
    batches,
    insert_pairs,
    insert_returning,
    lock_table,
    upsert,
)
from imagecatalog.store.packages import list_chunks
from imagecatalog.store.schema import (
    component,
    component_package,
    distro,
    manifest,
    package_chunk_member,
    package_set_chunk,
    package_version,
    scope_chunk,
    unenrolled,
)
from imagecatalog.store.scopes import name_scopes, put_scopes
from imagecatalog.store.shelf import Shelf
from imagecatalog.versions import sort_key

Place = tuple[int | None, int]
"""The id of a distribution's release, or None, and that of a package set."""

NO_DISTRO = 0
"""In ``unenrolled``: images whose distribution is not known."""

_FIELDS = tuple(package_version.c[name] for name in Package.__struct_fields__)
_MEMBERS = (
    select(package_chunk_member.c.package_version_id)
    .where(package_chunk_member.c.chunk_id.in_(bindparam("chunks", expanding=True)))
    .distinct()
)
_PACKAGES = select(package_version.c.id, *_FIELDS).where(
    package_version.c.id.in_(bindparam("ids", expanding=True))
)
_DISTROS = select(
    distro.c.id, distro.c.scope_id, distro.c.os_id, distro.c.version_id, distro.c.codename
).order_by(distro.c.id)


def enrol(c: Connection, shelf: Shelf, pairs: Iterable[Place]) -> None:
    """Have every package of these sets judged in the scope of its image's distribution."""
    places = set(pairs)
    if not places:
        return
    scopes = _find_scopes(c, {number for number, _ in places})
    new: dict[int, set[int]] = {}
    for distro_id, set_id in places:
        new.setdefault(scopes[distro_id], set()).update(list_chunks(c, shelf, set_id))
    enrol_chunks(c, shelf, new)


def enrol_chunks(c: Connection, shelf: Shelf, chunks: Mapping[int, Collection[int]]) -> None:
    """Have the members of chunks judged in a scope each."""
    # In the order of their keys, so that two processes do not wait for each other.
    for scope_id, many in sorted(chunks.items()):
        fresh = sorted(one for one in many if (scope_id, one) not in shelf.placed)
        shelf.placed.update((scope_id, one) for one in fresh)
        rows = [{"scope_id": scope_id, "chunk_id": chunk} for chunk in fresh]
        written = insert_returning(c, scope_chunk, rows, scope_chunk.c.chunk_id)
        if written:
            _enrol_members(c, shelf, scope_id, [row.chunk_id for row in written])


def _find_scopes(c: Connection, distros: Collection[int | None]) -> dict[int | None, int]:
    """The scope of each distribution, worked out where it is not known yet."""
    known = sorted(number for number in distros if number is not None)
    query = _DISTROS.where(distro.c.id.in_(known))
    # So that ``settle_scopes`` does not turn one while images of it are written: shared, or, where one
    # is to be written, not shared: two who both hold it would wait for each other to let go.
    is_new = any(row.scope_id is None for row in c.execute(query)) if known else False
    query = query.with_for_update(read=not is_new, key_share=is_new)
    found: dict[int | None, int] = {}
    names: dict[int | None, str] = {None: NOWHERE} if None in distros else {}
    for number, scope_id, *values in c.execute(query) if known else ():
        if scope_id is None:
            names[number] = scope_of(_distro(*values))
        else:
            found[number] = scope_id
    scopes = put_scopes(c, set(names.values())) if names else {}
    for number, name in names.items():
        found[number] = scopes[name]
        if number is not None:
            c.execute(update(distro).where(distro.c.id == number).values(scope_id=scopes[name]))
    return found


def _distro(os_id: str, version_id: str, codename: str) -> Distro:
    return Distro(os_id, version_id or None, codename or None)


def _enrol_members(c: Connection, shelf: Shelf, scope_id: int, chunks: Sequence[int]) -> None:
    members = {number for chunk in chunks for number in shelf.members.get(chunk, ())}
    for batch in batches([chunk for chunk in chunks if chunk not in shelf.members]):
        members.update(c.scalars(_MEMBERS, {"chunks": batch}))
    fresh = sorted(one for one in members if (scope_id, one) not in shelf.placed_versions)
    shelf.placed_versions.update((scope_id, one) for one in fresh)
    scope = name_scopes(c)[scope_id]
    languages = put_scopes(c, LANGUAGES)
    judged: list[tuple[int, tuple[int, str, str]]] = []
    for batch in batches(fresh):
        for number, *values in c.execute(_PACKAGES, {"ids": batch}):
            package = Package(*values)
            if package.type in LANGUAGES:
                place, names = languages[package.type], names_in(package.type, package)
            else:
                place, names = scope_id, names_in(scope, package)
            judged += [(number, (place, name, version)) for name, version in names if name]
    types = {scope_id: type_of(scope)} | {number: kind for kind, number in languages.items()}
    _put_components(c, shelf, types, {key for _, key in judged})
    pairs = sorted({(number, shelf.components[key]) for number, key in judged})
    insert_pairs(c, component_package, pairs)


def _put_components(
    c: Connection, shelf: Shelf, types: Mapping[int, str], keys: Collection[tuple[int, str, str]]
) -> None:
    """Have the shelf know these components, written where they are new."""
    missing = sorted(key for key in keys if key not in shelf.components)
    columns = component.c.scope_id, component.c.name, component.c.version, component.c.id
    rows = [
        {
            "scope_id": place,
            "name": name,
            "version": version,
            "key": sort_key(types[place], version),
            "pending": True,
        }
        for place, name, version in missing
    ]
    for row in insert_returning(c, component, rows, *columns):
        shelf.components[tuple(row[:3])] = row[3]
    by_scope: dict[int, set[str]] = {}
    for key in missing:
        if key not in shelf.components:
            by_scope.setdefault(key[0], set()).add(key[1])
    for place, names in by_scope.items():
        for batch in batches(sorted(names)):
            query = select(*columns).where(
                component.c.scope_id == place, component.c.name.in_(batch)
            )
            for row in c.execute(query):
                shelf.components[tuple(row[:3])] = row[3]


def settle_scopes(c: Connection, derived: Mapping[str, str]) -> int:
    """Have each distribution be of the scope that the configuration of now says; how many moved.

    Their images are enrolled anew by ``enrol_backlog``.
    """
    rows = c.execute(_DISTROS).all()
    wanted = {number: scope_of(_distro(*values), derived) for number, _, *values in rows}
    names = name_scopes(c)
    moved = [row.id for row in rows if names.get(row.scope_id) != wanted[row.id]]
    if moved:
        findings.lock(c)  # before any scope is written, as feeds do; nobody keeps images meanwhile
        # When nobody holds any: who does may ask for one more.
        lock_table(c, distro, mode="EXCLUSIVE")
    scopes = put_scopes(c, {wanted[number] for number in moved})
    for number in moved:
        place = scopes[wanted[number]]
        c.execute(update(distro).where(distro.c.id == number).values(scope_id=place))
    if moved:
        standing_images.forget_all(c)
    last = c.scalar(select(func.max(manifest.c.id))) if moved else None
    if last is not None:
        upsert(c, unenrolled, [{"distro_id": one, "manifest_id": last} for one in moved])
    return len(moved)


def enrol_backlog(c: Connection, shelf: Shelf, *, images: int = 10_000) -> int:
    """Enrol what was there before, at most so many images of the last; how many may be left.

    Those met before there were findings, and those whose distribution moved to another scope.
    """
    waiting = dict(c.execute(select(unenrolled.c.distro_id, unenrolled.c.manifest_id)).all())
    if not waiting:
        return 0
    last = max(waiting.values())
    distros = {one for one, number in waiting.items() if number > last - images}
    known = sorted(distros - {NO_DISTRO})
    scopes = _find_scopes(c, [None if one == NO_DISTRO else one for one in distros])
    of_these: ColumnElement[bool] = manifest.c.distro_id.in_(known)
    if NO_DISTRO in distros:
        of_these = or_(of_these, manifest.c.distro_id.is_(None))
    query = (
        select(manifest.c.distro_id, package_set_chunk.c.chunk_id)
        .join(package_set_chunk, package_set_chunk.c.set_id == manifest.c.set_id)
        .where(manifest.c.id > last - images, manifest.c.id <= last, of_these)
        .distinct()
    )
    chunks: dict[int, set[int]] = {}
    for distro_id, chunk in c.execute(query):
        chunks.setdefault(scopes[distro_id], set()).add(chunk)
    enrol_chunks(c, shelf, chunks)
    left: int = max(last - images, 0)
    if left:
        upsert(c, unenrolled, [{"distro_id": one, "manifest_id": left} for one in sorted(distros)])
    else:
        c.execute(unenrolled.delete().where(unenrolled.c.distro_id.in_(distros)))
    return left
