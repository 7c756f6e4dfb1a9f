"""Tokens at rest, known by the hash of their secret alone; and whose a digest is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, or_, select

from imagecatalog.domain.access import Token
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import NotFound, UsageError
from imagecatalog.store.dialect import insert_returning
from imagecatalog.store.schema import (
    build,
    index_member,
    manifest,
    repository,
    repository_manifest,
    run_image,
    token,
)

USE_NOTED = timedelta(hours=1)
"""How exactly the last use of a token is kept."""

_BY_HASH = select(token).where(token.c.hash == bindparam("hash"))
_BY_NUMBER = select(token).where(token.c.id == bindparam("number"))
_HOMES_LIMIT = 1000


class TokenRow(Struct, frozen=True):
    """A token and our number of it."""

    id: int
    token: Token


def add_token(c: Connection, new: Token, secret_hash: bytes) -> None:
    """Write a token; raises UsageError if there is, or was, one of its name."""
    row = {
        "name": new.name,
        "hash": secret_hash,
        "scopes": json.dumps(new.scopes),
        "repositories": json.dumps(new.repositories),
        "created": new.created,
        "expires": new.expires,
    }
    if not insert_returning(c, token, [row], token.c.id):
        raise UsageError(
            f"there is a token named {new.name} already",
            hint="choose another name; that of a revoked token is not given again",
        )


def list_tokens(c: Connection) -> list[Token]:
    """All tokens that ever were, by name."""
    return [_read(row) for row in c.execute(select(token).order_by(token.c.name))]


def revoke_token(c: Connection, name: str, *, now: datetime) -> bool:
    """Refuse a token from now on; False if it is refused already. Raises NotFound."""
    found = c.execute(
        select(token.c.id, token.c.revoked).where(token.c.name == name).with_for_update()
    ).first()
    if found is None:
        raise NotFound(f"there is no token named {name}", hint="see: imagecatalog token list")
    if found.revoked is not None:
        return False
    c.execute(token.update().where(token.c.id == found.id).values(revoked=now))
    return True


def find_token(c: Connection, secret_hash: bytes) -> TokenRow | None:
    """The token of a secret, in whatever state."""
    row = c.execute(_BY_HASH, {"hash": secret_hash}).first()
    return None if row is None else TokenRow(row.id, _read(row))


def get_token(c: Connection, number: int) -> TokenRow:
    """A token by our number of it, which no token ever loses."""
    row = c.execute(_BY_NUMBER, {"number": number}).one()
    return TokenRow(row.id, _read(row))


def is_use_noted(row: TokenRow, now: datetime) -> bool:
    """Whether the last use that is kept is recent enough."""
    return row.token.used is not None and now - row.token.used < USE_NOTED


def note_use(c: Connection, row: TokenRow, *, now: datetime) -> None:
    """Keep that a token is used, once an hour at most."""
    if is_use_noted(row, now):
        return
    stale = or_(token.c.used.is_(None), token.c.used <= now - USE_NOTED)
    c.execute(token.update().where(token.c.id == row.id, stale).values(used=now))


def list_homes(c: Connection, digest: Digest) -> list[str]:
    """Repositories (``registry/path``) that hold or held an image or index, or an index of it.

    An image goes by the digest of its configuration, too.
    """
    self = select(manifest.c.id).where(manifest.c.digest == digest)
    by_config = select(manifest.c.id).where(manifest.c.config_digest == digest)
    numbers = set(c.scalars(self.union(by_config)))
    above = select(index_member.c.index_id).where(index_member.c.manifest_id.in_(numbers))
    numbers.update(c.scalars(above.limit(_HOMES_LIMIT)))
    query = (
        select(repository.c.name)
        .join(repository_manifest, repository_manifest.c.repository_id == repository.c.id)
        .where(repository_manifest.c.manifest_id.in_(numbers))
        .distinct()
        .order_by(repository.c.name)
        .limit(_HOMES_LIMIT)
    )
    return list(c.scalars(query))


def list_given_names(c: Connection, digest: Digest) -> list[str]:
    """The names that builds gave to a digest, and those under which it runs."""
    given = (
        select(build.c.image)
        .where(build.c.subject == digest, build.c.image.is_not(None))
        .distinct()
        .limit(_HOMES_LIMIT)
    )
    runs = (
        select(run_image.c.image)
        .where(run_image.c.image_id.endswith(str(digest)))
        .distinct()
        .limit(_HOMES_LIMIT)
    )
    return [*c.scalars(given), *c.scalars(runs)]


def list_kin(c: Connection, digest: Digest) -> set[Digest]:
    """All digests by which an image goes: its own, its configuration's, and its index's or members'."""
    own = c.execute(
        select(manifest.c.id, manifest.c.config_digest).where(
            or_(manifest.c.digest == digest, manifest.c.config_digest == digest)
        )
    ).all()
    numbers = [row.id for row in own]
    below = select(index_member.c.manifest_id).where(index_member.c.index_id.in_(numbers))
    above = select(index_member.c.index_id).where(index_member.c.manifest_id.in_(numbers))
    query = select(manifest.c.digest, manifest.c.config_digest).where(
        or_(manifest.c.id.in_(numbers), manifest.c.id.in_(below), manifest.c.id.in_(above))
    )
    found = {one for row in c.execute(query) for one in row if one is not None}
    return found | {digest}


def _read(row: Any) -> Token:
    scopes: Sequence[Any] = json.loads(row.scopes)
    return Token(
        name=row.name,
        scopes=tuple(scopes),
        repositories=tuple(json.loads(row.repositories)),
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        used=row.used,
    )
