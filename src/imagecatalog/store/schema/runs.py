"""Clusters and what runs in them, as intervals."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from imagecatalog.store.schema.columns import Moment, metadata, number, to

cluster = Table(
    "cluster",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="as configured"),
    Column("last_scan", Moment, comment="the last scan that was whole"),
    Column("last_told", Moment, comment="when DebMonitor's feeder last told what runs in it"),
    comment="a Kubernetes cluster",
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
    Column("namespace", Text, nullable=False, comment="namespace"),
    Column("workload", Text, nullable=False, comment="Kind/name of the owner"),
    Column("pod_name", Text, nullable=False, comment="pod"),
    Column("container", Text, nullable=False, comment="container"),
    Column("kind", Text, nullable=False, comment="container, init or ephemeral"),
    to("run_image_id", "run_image.id", "what runs", nullable=False),
    Column("since", Moment, nullable=False, comment="first seen"),
    Column(
        "seen", Moment, nullable=False, comment="last seen; while open, the cluster's last scan"
    ),
    Column("until", Moment, comment="first scan that no longer saw it; null: still runs"),
    Column("origin", Text, comment="who told of it beside scans; null: a scan of pods"),
    Index(None, "until", "run_image_id", "cluster_id"),
    Index(None, "cluster_id", "until"),
    comment="a container that runs or ran, as an interval",
)
