"""What follows from it: archives, updates, what runs, and how well each source is.

Revision ID: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of what refresh and record find out."""
    op.create_table(
        "apt_index",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="hash of its Packages file"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apt_index")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_apt_index_fingerprint")),
        comment="a Packages file, stored once",
    )
    op.create_table(
        "apt_release",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("uri", sa.Text(), nullable=False, comment="as the image's sources write it"),
        sa.Column("suite", sa.Text(), nullable=False, comment="suite, codename or flat path"),
        sa.Column(
            "trust", sa.LargeBinary(), nullable=False, comment="digest of the keys asked for"
        ),
        sa.Column("facts", sa.Text(), nullable=True, comment="fields of the Release file; JSON"),
        sa.Column(
            "state", sa.Text(), nullable=True, comment="what the next conditional fetch needs; JSON"
        ),
        sa.Column(
            "good",
            sa.BigInteger(),
            nullable=True,
            comment="when it was last fetched or found unchanged",
        ),
        sa.Column("tried", sa.BigInteger(), nullable=True, comment="when it was last tried"),
        sa.Column(
            "problem",
            sa.Text(),
            nullable=True,
            comment="why the last try failed, or what was missing",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apt_release")),
        sa.UniqueConstraint("uri", "suite", "trust", name=op.f("uq_apt_release_uri_suite_trust")),
        comment="an archive's suite, as verified by some set of keys",
    )
    op.create_table(
        "cluster",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("name", sa.Text(), nullable=False, comment="as configured"),
        sa.Column(
            "last_scan", sa.BigInteger(), nullable=True, comment="the last scan that was whole"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cluster")),
        sa.UniqueConstraint("name", name=op.f("uq_cluster_name")),
        comment="a Kubernetes cluster",
    )
    op.create_table(
        "health",
        sa.Column("kind", sa.Text(), nullable=False, comment="cluster, registry, feed or job"),
        sa.Column("name", sa.Text(), nullable=False, comment="which"),
        sa.Column("last_good", sa.BigInteger(), nullable=True, comment="when it last went well"),
        sa.Column("last_tried", sa.BigInteger(), nullable=True, comment="when it was last tried"),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="what went wrong at the last try; null: nothing",
        ),
        sa.Column("seconds", sa.Float(), nullable=True, comment="how long the last try took"),
        sa.Column("next_run", sa.BigInteger(), nullable=True, comment="when it is due again"),
        sa.Column("detail", sa.Text(), nullable=True, comment="counts of the last good try"),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_health")),
        comment="when each source of facts was last well",
    )
    op.create_table(
        "tally",
        sa.Column("name", sa.Text(), nullable=False, comment="images or repositories"),
        sa.Column(
            "value",
            sa.BigInteger(),
            nullable=False,
            comment="how many there were after the last job",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tally")),
        comment="counts of the whole catalog, which no page should have to count",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "apt_package",
        sa.Column("index_id", _ID, nullable=False, comment="the index"),
        sa.Column("name", sa.Text(), nullable=False, comment="binary package"),
        sa.Column("arch", sa.Text(), nullable=False, comment="architecture"),
        sa.Column("version", sa.Text(), nullable=False, comment="version on offer"),
        sa.Column(
            "source", sa.Text(), nullable=True, comment="source package; null: of the same name"
        ),
        sa.Column(
            "source_version", sa.Text(), nullable=True, comment="source version; null: the same"
        ),
        sa.ForeignKeyConstraint(
            ["index_id"], ["apt_index.id"], name=op.f("fk_apt_package_index_id")
        ),
        sa.PrimaryKeyConstraint("index_id", "name", "arch", "version", name=op.f("pk_apt_package")),
        comment="what an index offers",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "apt_release_index",
        sa.Column("release_id", _ID, nullable=False, comment="the suite"),
        sa.Column("component", sa.Text(), nullable=False, comment="main, contrib, …"),
        sa.Column("architecture", sa.Text(), nullable=False, comment="of the index"),
        sa.Column(
            "index_id",
            _ID,
            nullable=True,
            comment="its content when it was last well; null: never was",
        ),
        sa.Column(
            "problem", sa.Text(), nullable=True, comment="why its content of now could not be read"
        ),
        sa.ForeignKeyConstraint(
            ["index_id"], ["apt_index.id"], name=op.f("fk_apt_release_index_index_id")
        ),
        sa.ForeignKeyConstraint(
            ["release_id"], ["apt_release.id"], name=op.f("fk_apt_release_index_release_id")
        ),
        sa.PrimaryKeyConstraint(
            "release_id", "component", "architecture", name=op.f("pk_apt_release_index")
        ),
        comment="the Packages files of a suite",
    )
    op.create_table(
        "package_update",
        sa.Column("setup_id", _ID, nullable=False, comment="the set-up"),
        sa.Column("package_version_id", _ID, nullable=False, comment="what is installed"),
        sa.Column("judged", sa.Boolean(), nullable=False, comment="false: new, not judged yet"),
        sa.Column(
            "candidate",
            sa.Text(),
            nullable=True,
            comment="what apt would install; null: nothing newer",
        ),
        sa.Column(
            "security", sa.Boolean(), nullable=False, comment="a security archive has a part in it"
        ),
        sa.Column("origin", sa.Text(), nullable=True, comment="label and codename of the archive"),
        sa.ForeignKeyConstraint(
            ["package_version_id"],
            ["package_version.id"],
            name=op.f("fk_package_update_package_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["setup_id"], ["apt_setup.id"], name=op.f("fk_package_update_setup_id")
        ),
        sa.PrimaryKeyConstraint("setup_id", "package_version_id", name=op.f("pk_package_update")),
        comment="the verdict of apt on a package version under a set-up",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "setup_chunk",
        sa.Column("setup_id", _ID, nullable=False, comment="the set-up"),
        sa.Column("chunk_id", _ID, nullable=False, comment="a chunk of some image under it"),
        sa.ForeignKeyConstraint(
            ["chunk_id"], ["package_chunk.id"], name=op.f("fk_setup_chunk_chunk_id")
        ),
        sa.ForeignKeyConstraint(
            ["setup_id"], ["apt_setup.id"], name=op.f("fk_setup_chunk_setup_id")
        ),
        sa.PrimaryKeyConstraint("setup_id", "chunk_id", name=op.f("pk_setup_chunk")),
        comment="which chunks are judged under which set-up",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdict",
        sa.Column("setup_id", _ID, nullable=False, comment="the set-up"),
        sa.Column("set_id", _ID, nullable=False, comment="the packages"),
        sa.Column(
            "generation", sa.Integer(), nullable=False, comment="of the set-up when it was judged"
        ),
        sa.Column(
            "security", sa.Integer(), nullable=False, comment="packages with a security update"
        ),
        sa.Column("updates", sa.Integer(), nullable=False, comment="packages with any update"),
        sa.Column(
            "members",
            sa.LargeBinary(),
            nullable=False,
            comment="ids of those packages; MessagePack",
        ),
        sa.ForeignKeyConstraint(["set_id"], ["package_set.id"], name=op.f("fk_verdict_set_id")),
        sa.ForeignKeyConstraint(["setup_id"], ["apt_setup.id"], name=op.f("fk_verdict_setup_id")),
        sa.PrimaryKeyConstraint("setup_id", "set_id", name=op.f("pk_verdict")),
        comment="the sum of a set's updates, kept for what runs",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_image",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("image", sa.Text(), nullable=False, comment="name in the pod's specification"),
        sa.Column(
            "image_id", sa.Text(), nullable=False, comment="what the runtime reports, or empty"
        ),
        sa.Column("manifest_id", _ID, nullable=True, comment="the image it is; null: never met"),
        sa.Column("index_id", _ID, nullable=True, comment="the index by which it was named"),
        sa.Column("matched_by", sa.Text(), nullable=True, comment="manifest, index, config or tag"),
        sa.ForeignKeyConstraint(["index_id"], ["manifest.id"], name=op.f("fk_run_image_index_id")),
        sa.ForeignKeyConstraint(
            ["manifest_id"], ["manifest.id"], name=op.f("fk_run_image_manifest_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_image")),
        sa.UniqueConstraint("image", "image_id", name=op.f("uq_run_image_image_image_id")),
        comment="an image as runtimes name it, stored once",
    )
    op.create_index(op.f("ix_run_image_manifest_id"), "run_image", ["manifest_id"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("cluster_id", _ID, nullable=False, comment="where"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace"),
        sa.Column("workload", sa.Text(), nullable=False, comment="Kind/name of the owner"),
        sa.Column("pod_name", sa.Text(), nullable=False, comment="pod"),
        sa.Column("container", sa.Text(), nullable=False, comment="container"),
        sa.Column("kind", sa.Text(), nullable=False, comment="container, init or ephemeral"),
        sa.Column("run_image_id", _ID, nullable=False, comment="what runs"),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="first seen"),
        sa.Column(
            "seen",
            sa.BigInteger(),
            nullable=False,
            comment="last seen; while open, the cluster's last scan",
        ),
        sa.Column(
            "until",
            sa.BigInteger(),
            nullable=True,
            comment="first scan that no longer saw it; null: still runs",
        ),
        sa.ForeignKeyConstraint(["cluster_id"], ["cluster.id"], name=op.f("fk_run_cluster_id")),
        sa.ForeignKeyConstraint(
            ["run_image_id"], ["run_image.id"], name=op.f("fk_run_run_image_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        comment="a container that runs or ran, as an interval",
    )
    op.create_index(op.f("ix_run_cluster_id_until"), "run", ["cluster_id", "until"], unique=False)
    op.create_index(
        op.f("ix_run_until_run_image_id_cluster_id"),
        "run",
        ["until", "run_image_id", "cluster_id"],
        unique=False,
    )
