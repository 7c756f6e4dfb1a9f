"""The tables. Digests are packed bytes, moments are seconds since 1970 in UTC."""

from __future__ import annotations

from imagecatalog.store.schema.advisories import advisory, advisory_cover, affected, feed_part
from imagecatalog.store.schema.archives import (
    apt_index,
    apt_package,
    apt_release,
    apt_release_index,
    apt_setup,
    package_update,
    setup_chunk,
    verdict,
)
from imagecatalog.store.schema.builds import (
    attachment,
    base_path,
    build,
    build_parent,
    inventory,
    plan,
    succession,
)
from imagecatalog.store.schema.columns import Id, Moment, PackedDigest, metadata
from imagecatalog.store.schema.images import (
    blob,
    chain,
    distro,
    index_member,
    label,
    layer,
    layer_entry,
    manifest,
    manifest_label,
    repository,
    repository_manifest,
    tag,
    tag_period,
)
from imagecatalog.store.schema.operation import health, tally, token
from imagecatalog.store.schema.packages import (
    package_chunk,
    package_chunk_member,
    package_set,
    package_set_chunk,
    package_version,
)
from imagecatalog.store.schema.runs import cluster, run, run_image

__all__ = [
    "Id",
    "Moment",
    "PackedDigest",
    "advisory",
    "advisory_cover",
    "affected",
    "apt_index",
    "apt_package",
    "apt_release",
    "apt_release_index",
    "apt_setup",
    "attachment",
    "base_path",
    "blob",
    "build",
    "build_parent",
    "chain",
    "cluster",
    "distro",
    "feed_part",
    "health",
    "index_member",
    "inventory",
    "label",
    "layer",
    "layer_entry",
    "manifest",
    "manifest_label",
    "metadata",
    "package_chunk",
    "package_chunk_member",
    "package_set",
    "package_set_chunk",
    "package_update",
    "package_version",
    "plan",
    "repository",
    "repository_manifest",
    "run",
    "run_image",
    "setup_chunk",
    "succession",
    "tag",
    "tag_period",
    "tally",
    "token",
    "verdict",
]
