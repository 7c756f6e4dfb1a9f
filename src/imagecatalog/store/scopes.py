"""Scopes by number: where advisories speak."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from imagecatalog.store.dialect import batches, insert_returning
from imagecatalog.store.schema import component, scope


def put_scopes(c: Connection, names: Collection[str]) -> dict[str, int]:
    """The numbers of these scopes, written where they are new."""
    found = find_scopes(c, names)
    new = sorted(set(names) - found.keys())
    if new:
        insert_returning(c, scope, [{"name": name} for name in new], scope.c.id)
        found |= find_scopes(c, new)
    return found


def find_scopes(c: Connection, names: Collection[str]) -> dict[str, int]:
    """The numbers of those of the scopes that are there."""
    found: dict[str, int] = {}
    for batch in batches(sorted(set(names))):
        query = select(scope.c.name, scope.c.id).where(scope.c.name.in_(batch))
        found |= dict(c.execute(query).all())
    return found


def name_scopes(c: Connection) -> dict[int, str]:
    """The names of all scopes: a few hundred."""
    return dict(c.execute(select(scope.c.id, scope.c.name)).all())


def list_held(c: Connection) -> set[str]:
    """The scopes of which the catalog has packages; others are there because feeds tell of them."""
    held = select(component.c.id).where(component.c.scope_id == scope.c.id)
    return set(c.execute(select(scope.c.name).where(held.exists())).scalars())
