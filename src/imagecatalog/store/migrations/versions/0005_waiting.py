"""Since when each update waits, and its source version.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moments; they are known from the next judgement of each package on."""
    of = "source version of the candidate"
    op.add_column("package_update", sa.Column("source_version", sa.Text(), comment=of))
    waits = "when it was first seen to wait, by its security; null: none"
    op.add_column("package_update", sa.Column("since", sa.BigInteger(), comment=waits))
    of_sum = {
        "security_since": "since when a security update waits",
        "since": "since when any update waits",
    }
    for name, comment in of_sum.items():
        op.add_column("verdict", sa.Column(name, sa.BigInteger(), comment=comment))
    # What waits already has waited since it was last found to, at the latest.
    op.execute(
        "UPDATE package_update SET since = (SELECT checked FROM apt_setup "
        "WHERE apt_setup.id = package_update.setup_id) WHERE candidate IS NOT NULL"
    )
    op.execute("DELETE FROM verdict")
    op.execute("UPDATE apt_setup SET inputs = NULL")
