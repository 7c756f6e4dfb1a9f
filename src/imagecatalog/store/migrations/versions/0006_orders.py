"""Byte keys of the ecosystems whose own order of versions is known now.

Revision ID: 0006

The keys are those of the release that migrates. Should a later one change an order, its own step
writes them anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from imagecatalog.versions import sort_key

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BATCH = 5000
_TYPES = ("apk", "cargo", "gem", "golang", "maven", "npm", "nuget", "pypi", "rpm")
_SOME = sa.text(
    "SELECT id, type, version FROM package_version WHERE id > :last AND type IN :types "
    "ORDER BY id LIMIT :batch"
).bindparams(sa.bindparam("types", _TYPES, expanding=True), batch=_BATCH)
_WRITE = sa.text("UPDATE package_version SET key = :key WHERE id = :number")


def upgrade() -> None:
    """Write the keys of these packages anew, some at a time."""
    c = op.get_bind()
    last = 0
    while rows := c.execute(_SOME, {"last": last}).all():
        keys = [{"number": row.id, "key": sort_key(row.type, row.version)} for row in rows]
        c.execute(_WRITE, keys)
        last = rows[-1].id
