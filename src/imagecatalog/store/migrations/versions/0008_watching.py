"""What runs, watched: workloads and scans stand apart, and what is long past can be summed up.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from imagecatalog.store.migrations.request_tables import make_requests

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables; what ran before is kept, and belongs to the workloads it names."""
    _extend_clusters()
    _make_scans()
    _make_workloads()
    op.execute("CREATE TABLE run_before AS SELECT * FROM run")
    op.drop_table("run")
    _make_runs()
    _move_runs()
    op.drop_table("run_before")
    _index_runs()
    _make_standing_images()
    make_requests()


def _extend_clusters() -> None:
    op.add_column(
        "cluster",
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            server_default="kubernetes",
            comment="kubernetes, docker or podman",
        ),
    )
    op.add_column(
        "cluster",
        sa.Column(
            "summed_up",
            sa.BigInteger(),
            nullable=True,
            comment="what ended by then has no names of pods any more",
        ),
    )
    op.add_column(
        "cluster",
        sa.Column(
            "pushed",
            sa.BigInteger(),
            nullable=True,
            comment="when a scan was told that no job looked at yet; null: none",
        ),
    )
    op.add_column(
        "cluster",
        sa.Column(
            "forgotten",
            sa.BigInteger(),
            nullable=True,
            comment="when it was said to be no more; counts if no scan is later",
        ),
    )
    if op.get_context().dialect.name == "postgresql":
        op.create_table_comment(
            "cluster",
            "a Kubernetes cluster, or a host of containers",
            existing_comment="a Kubernetes cluster",
        )


def _make_scans() -> None:
    op.create_table(
        "scan",
        sa.Column("cluster_id", _ID, nullable=False, comment="where"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when it was begun"),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=True,
            comment="of all that it saw; null: it told of some pods alone",
        ),
        sa.Column(
            "pods",
            sa.LargeBinary(),
            nullable=True,
            comment="the pods told of alone: MessagePack; null: none",
        ),
        sa.ForeignKeyConstraint(["cluster_id"], ["cluster.id"], name=op.f("fk_scan_cluster_id")),
        sa.PrimaryKeyConstraint("cluster_id", "at", name=op.f("pk_scan")),
        comment="the moments at which what ran in a cluster was seen",
        sqlite_with_rowid=False,
    )
    # Of what the last scan saw nothing is known but what runs: any other of that moment wins.
    op.execute(
        "INSERT INTO scan (cluster_id, at, digest) "  # noqa: S608
        f"SELECT id, last_scan, {_EMPTY[op.get_context().dialect.name]} FROM cluster "
        "WHERE last_scan IS NOT NULL"
    )


_EMPTY = {"sqlite": "x''", "postgresql": "''::bytea"}
"""No bytes, as each database writes it."""


def _make_workloads() -> None:
    op.create_table(
        "workload",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("cluster_id", _ID, nullable=False, comment="where"),
        sa.Column("namespace", sa.Text(), nullable=False, comment="namespace"),
        sa.Column("name", sa.Text(), nullable=False, comment="Kind/name of the pods' owner"),
        sa.Column(
            "team",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="whose it is; empty: not told",
        ),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["cluster.id"], name=op.f("fk_workload_cluster_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workload")),
        sa.UniqueConstraint(
            "cluster_id", "namespace", "name", name=op.f("uq_workload_cluster_id_namespace_name")
        ),
        comment="what owns pods",
    )
    op.execute(
        "INSERT INTO workload (cluster_id, namespace, name) "
        "SELECT DISTINCT cluster_id, namespace, workload FROM run ORDER BY 1, 2, 3"
    )


def _make_runs() -> None:
    op.create_table(
        "run",
        sa.Column("id", _ID, nullable=False, comment="our own number"),
        sa.Column("cluster_id", _ID, nullable=False, comment="where"),
        sa.Column("workload_id", _ID, nullable=False, comment="whose"),
        sa.Column("pod_name", sa.Text(), nullable=False, comment="pod; empty: several, summed up"),
        sa.Column("container", sa.Text(), nullable=False, comment="container"),
        sa.Column("kind", sa.Text(), nullable=False, comment="container, init or ephemeral"),
        sa.Column("run_image_id", _ID, nullable=False, comment="what runs"),
        sa.Column(
            "replicas",
            sa.Integer(),
            nullable=False,
            server_default="1",
            comment="how many at once; of a pod 1",
        ),
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
        sa.Column(
            "span",
            sa.SmallInteger(),
            nullable=True,
            comment="power of two of the seconds from since to until; null: still runs",
        ),
        sa.Column(
            "origin",
            sa.Text(),
            nullable=True,
            comment="who told of it beside scans; null: a scan of pods",
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="running, waiting, terminated or empty: not told, or ended",
        ),
        sa.Column("reason", sa.Text(), nullable=False, server_default="", comment="of that state"),
        sa.ForeignKeyConstraint(["cluster_id"], ["cluster.id"], name=op.f("fk_run_cluster_id")),
        sa.ForeignKeyConstraint(["workload_id"], ["workload.id"], name=op.f("fk_run_workload_id")),
        sa.ForeignKeyConstraint(
            ["run_image_id"], ["run_image.id"], name=op.f("fk_run_run_image_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        comment="a container that runs or ran, as an interval",
    )


_LOGARITHMS = " ".join(f"WHEN until - since < {2 ** (k + 1)} THEN {k}" for k in range(40))


def _move_runs() -> None:
    """Copy what ran: an interval of no length was none."""
    op.execute(
        "INSERT INTO run (cluster_id, workload_id, pod_name, container, kind, run_image_id, "  # noqa: S608
        "replicas, since, seen, until, span, origin, state, reason) "
        "SELECT b.cluster_id, w.id, b.pod_name, b.container, b.kind, b.run_image_id, "
        "1, b.since, b.seen, b.until, "
        f"CASE WHEN until IS NULL THEN NULL {_LOGARITHMS} END, b.origin, '', '' "
        "FROM run_before AS b JOIN workload AS w ON w.cluster_id = b.cluster_id "
        "AND w.namespace = b.namespace AND w.name = b.workload "
        "WHERE until IS NULL OR until > since ORDER BY b.id"
    )


def _index_runs() -> None:
    alive, ended = sa.text("until IS NULL"), sa.text("until IS NOT NULL")
    held = ["cluster_id", "workload_id", "replicas"]
    for name, columns, where in (
        ("alive", ["run_image_id", *held, "since", "until"], alive),
        ("cluster_id_pod_name", ["cluster_id", "pod_name"], alive),
        ("ended", ["span", "until", "since", "run_image_id", *held], ended),
        ("cluster_id_until", ["cluster_id", "until"], None),
        ("workload_id_since", ["workload_id", "since"], None),
        ("run_image_id_since", ["run_image_id", "since"], None),
    ):
        op.create_index(
            op.f(f"ix_run_{name}"),
            "run",
            columns,
            unique=False,
            sqlite_where=where,
            postgresql_where=where,
        )


def _make_standing_images() -> None:
    op.create_table(
        "standing_image",
        sa.Column("manifest_id", _ID, autoincrement=False, nullable=False, comment="an image"),
        sa.Column("scope_id", _ID, nullable=False, comment="its distribution's release"),
        sa.Column("set_id", _ID, nullable=False, comment="its packages"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="its digest"),
        sa.ForeignKeyConstraint(
            ["manifest_id"],
            ["manifest.id"],
            name=op.f("fk_standing_image_manifest_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("manifest_id", name=op.f("pk_standing_image")),
        comment="the images that run, by their packages: what a fault is in is read without the others",
    )
    op.create_index(
        op.f("ix_standing_image_scope_id_set_id"), "standing_image", ["scope_id", "set_id"]
    )
