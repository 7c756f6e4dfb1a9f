"""Clusters and what runs in them, as intervals."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from imagecatalog.store.schema.columns import Moment, metadata, number, to

cluster = Table(
    "cluster",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="as configured"),
    Column(
        "kind",
        Text,
        nullable=False,
        server_default="kubernetes",
        comment="kubernetes, docker or podman",
    ),
    Column("last_scan", Moment, comment="the last scan that was whole"),
    Column("last_told", Moment, comment="when DebMonitor's feeder last told what runs in it"),
    Column("summed_up", Moment, comment="what ended by then has no names of pods any more"),
    Column("pushed", Moment, comment="when a scan was told that no job looked at yet; null: none"),
    Column(
        "forgotten", Moment, comment="when it was said to be no more; counts if no scan is later"
    ),
    comment="a Kubernetes cluster, or a host of containers",
)

scan = Table(
    "scan",
    metadata,
    to("cluster_id", "cluster.id", "where", primary_key=True),
    Column("at", Moment, primary_key=True, comment="when it was begun"),
    Column("digest", LargeBinary, comment="of all that it saw; null: it told of some pods alone"),
    Column("pods", LargeBinary, comment="the pods told of alone: MessagePack; null: none"),
    comment="the moments at which what ran in a cluster was seen",
    sqlite_with_rowid=False,
)

workload = Table(
    "workload",
    metadata,
    number(),
    to("cluster_id", "cluster.id", "where", nullable=False),
    Column("namespace", Text, nullable=False, comment="namespace"),
    Column("name", Text, nullable=False, comment="Kind/name of the pods' owner"),
    Column("team", Text, nullable=False, server_default="", comment="whose it is; empty: not told"),
    UniqueConstraint("cluster_id", "namespace", "name"),
    comment="what owns pods",
)

run_image = Table(
    "run_image",
    metadata,
    number(),
    Column("image", Text, nullable=False, comment="name in the pod's specification"),
    Column("image_id", Text, nullable=False, comment="what the runtime reports, or empty"),
    to("manifest_id", "manifest.id", "the image it is; null: never met", index=True),
    to("index_id", "manifest.id", "the index by which it was named"),
    Column("matched_by", Text, comment="manifest, index, config or tag"),
    UniqueConstraint("image", "image_id"),
    comment="an image as runtimes name it, stored once",
)

run = Table(
    "run",
    metadata,
    number(),
    to("cluster_id", "cluster.id", "where", nullable=False),
    to("workload_id", "workload.id", "whose", nullable=False),
    Column("pod_name", Text, nullable=False, comment="pod; empty: several, summed up"),
    Column("container", Text, nullable=False, comment="container"),
    Column("kind", Text, nullable=False, comment="container, init or ephemeral"),
    to("run_image_id", "run_image.id", "what runs", nullable=False),
    Column(
        "replicas",
        Integer,
        nullable=False,
        server_default="1",
        comment="how many at once; of a pod 1",
    ),
    Column("since", Moment, nullable=False, comment="first seen"),
    Column(
        "seen", Moment, nullable=False, comment="last seen; while open, the cluster's last scan"
    ),
    Column("until", Moment, comment="first scan that no longer saw it; null: still runs"),
    Column(
        "span",
        SmallInteger,
        comment="power of two of the seconds from since to until; null: still runs",
    ),
    Column("origin", Text, comment="who told of it beside scans; null: a scan of pods"),
    Column(
        "state",
        Text,
        nullable=False,
        server_default="",
        comment="running, waiting, terminated or empty: not told, or ended",
    ),
    Column("reason", Text, nullable=False, server_default="", comment="of that state"),
    comment="a container that runs or ran, as an interval",
)

_ALIVE = text("until IS NULL")
_ENDED = text("until IS NOT NULL")

# What runs now, by image: all that counting needs, and ``until``, without which SQLite takes another.
Index(
    "ix_run_alive",
    run.c.run_image_id,
    run.c.cluster_id,
    run.c.workload_id,
    run.c.replicas,
    run.c.since,
    run.c.until,
    sqlite_where=_ALIVE,
    postgresql_where=_ALIVE,
)
Index(None, run.c.cluster_id, run.c.pod_name, sqlite_where=_ALIVE, postgresql_where=_ALIVE)
# What ran at a moment: of each span only what ended soon after it is read.
Index(
    "ix_run_ended",
    run.c.span,
    run.c.until,
    run.c.since,
    run.c.run_image_id,
    run.c.cluster_id,
    run.c.workload_id,
    run.c.replicas,
    sqlite_where=_ENDED,
    postgresql_where=_ENDED,
)
Index(None, run.c.cluster_id, run.c.until)
Index(None, run.c.workload_id, run.c.since)
Index(None, run.c.run_image_id, run.c.since)
