"""The tables. Digests are packed bytes, moments are seconds since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from imagecatalog.domain.refs import Digest

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware datetime kept as whole seconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Seconds; refuses a naive datetime."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment needs its time zone"
        return int(value.timestamp())

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """An aware datetime in UTC."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


class PackedDigest(TypeDecorator[Digest]):
    """A digest kept as one byte for its algorithm and the raw bytes."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Digest | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """The packed form."""
        return None if value is None else value.packed()

    def process_result_value(self, value: Any, dialect: Dialect) -> Digest | None:  # noqa: ARG002
        """The digest as text."""
        return None if value is None else Digest.unpack(bytes(value))


Id = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, comment="our own number")


def _to(name: str, target: str, comment: str, **options: Any) -> Column[int]:
    return Column(name, Id, ForeignKey(target), comment=comment, **options)


repository = Table(
    "repository",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True, comment="registry and path"),
    comment="a repository of a registry",
)

tag = Table(
    "tag",
    metadata,
    _id(),
    _to("repository_id", "repository.id", "whose tag", nullable=False),
    Column("name", Text, nullable=False, comment="the tag alone"),
    UniqueConstraint("repository_id", "name"),
    comment="a tag that a repository has or had",
)

manifest = Table(
    "manifest",
    metadata,
    _id(),
    Column("digest", PackedDigest, nullable=False, unique=True, comment="of the manifest's bytes"),
    Column("kind", SmallInteger, nullable=False, comment="0 index, 1 image, 2 not read"),
    Column("media_type", SmallInteger, nullable=False, comment="number in images.MEDIA_TYPES"),
    Column("config_digest", PackedDigest, index=True, comment="the image ID of Docker"),
    Column("platform", Text, comment="os/architecture/variant"),
    Column("created", Moment, comment="as the configuration says"),
    Column("first_seen", Moment, nullable=False, comment="when we met it"),
    _to("distro_id", "distro.id", "distribution inside"),
    _to("own_setup_id", "apt_setup.id", "what apt is told inside; null without apt sources"),
    _to("setup_id", "apt_setup.id", "the set-up judged by: its own, or the configured one"),
    _to("set_id", "package_set.id", "packages inside; null when unknown"),
    Column("unknown_code", Text, comment="why the packages are not known"),
    Column("unknown_reason", Text, comment="the same as a sentence"),
    Column("reader", SmallInteger, comment="version of the reader of its contents"),
    Index(None, "set_id"),
    comment="an image or an index, by digest",
)

index_member = Table(
    "index_member",
    metadata,
    _to("index_id", "manifest.id", "the index", primary_key=True),
    _to("manifest_id", "manifest.id", "an image in it", primary_key=True, index=True),
    Column("position", SmallInteger, nullable=False, comment="order in the index"),
    sqlite_with_rowid=False,
    comment="which images an index names",
)

tag_period = Table(
    "tag_period",
    metadata,
    _to("tag_id", "tag.id", "which tag", primary_key=True),
    Column("since", Moment, primary_key=True, comment="first seen pointing there"),
    Column("until", Moment, comment="seen elsewhere or gone; null: still"),
    _to("manifest_id", "manifest.id", "what it pointed to", nullable=False, index=True),
    sqlite_with_rowid=False,
    comment="what each tag pointed to, and when",
)

repository_manifest = Table(
    "repository_manifest",
    metadata,
    _to("repository_id", "repository.id", "where", primary_key=True),
    _to("manifest_id", "manifest.id", "what", primary_key=True, index=True),
    Column("gone_at", Moment, comment="when the registry no longer had it; null: it has"),
    sqlite_with_rowid=False,
    comment="which repository holds which manifest",
)

layer = Table(
    "layer",
    metadata,
    _id(),
    Column("digest", PackedDigest, nullable=False, unique=True, comment="of the blob"),
    Column("size", BigInteger, nullable=False, comment="bytes as stored in the registry"),
    Column("reader", SmallInteger, comment="version of the reader; null: not read yet"),
    Column("problem_code", Text, comment="why it could not be read"),
    Column("problem_reason", Text, comment="the same as a sentence"),
    comment="a layer, stored once",
)

manifest_layer = Table(
    "manifest_layer",
    metadata,
    _to("manifest_id", "manifest.id", "the image", primary_key=True),
    Column("position", SmallInteger, primary_key=True, comment="0 is the base"),
    _to("layer_id", "layer.id", "the layer", nullable=False),
    sqlite_with_rowid=False,
    comment="the layers of an image in order",
)

blob = Table(
    "blob",
    metadata,
    _id(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the data"),
    Column("data", LargeBinary, nullable=False, comment="compressed by zlib"),
    comment="a small file found in layers, stored once",
)

layer_entry = Table(
    "layer_entry",
    metadata,
    _to("layer_id", "layer.id", "the layer", primary_key=True),
    Column("position", Integer, primary_key=True, comment="order in the reading"),
    Column("path", Text, nullable=False, comment="relative path"),
    Column("kind", Text, nullable=False, comment="file, link, whiteout or opaque"),
    Column("target", Text, comment="of a link"),
    _to("blob_id", "blob.id", "a file's bytes"),
    _to("set_id", "package_set.id", "a package database's content"),
    Column("problem", Text, comment="what of the package database was not read"),
    sqlite_with_rowid=False,
    comment="the few paths of a layer that matter",
)

distro = Table(
    "distro",
    metadata,
    _id(),
    Column("os_id", Text, nullable=False, comment="ID of os-release"),
    Column("version_id", Text, nullable=False, comment="VERSION_ID, or empty"),
    Column("codename", Text, nullable=False, comment="VERSION_CODENAME, or empty"),
    Column("pretty", Text, nullable=False, comment="PRETTY_NAME, or empty"),
    UniqueConstraint("os_id", "version_id", "codename", "pretty"),
    comment="a release of a distribution",
)

package_version = Table(
    "package_version",
    metadata,
    _id(),
    Column("type", Text, nullable=False, comment="purl type"),
    Column("name", Text, nullable=False, comment="binary package"),
    Column("arch", Text, nullable=False, comment="architecture, or all"),
    Column("version", Text, nullable=False, comment="binary version"),
    Column("key", LargeBinary, nullable=False, comment="sorts as the ecosystem sorts versions"),
    Column("source", Text, nullable=False, comment="source package"),
    Column("source_version", Text, nullable=False, comment="source version"),
    UniqueConstraint("name", "version", "arch", "type", "source", "source_version"),
    Index(None, "name", "key"),
    Index(None, "source"),
    comment="a version of a binary package, stored once",
)

package_chunk = Table(
    "package_chunk",
    metadata,
    _id(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of its members' ids"),
    comment="the part of a package set whose names share a hash bucket, stored once",
)

package_chunk_member = Table(
    "package_chunk_member",
    metadata,
    _to("chunk_id", "package_chunk.id", "the chunk", primary_key=True),
    _to("package_version_id", "package_version.id", "in it", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the package versions of a chunk",
)

package_set = Table(
    "package_set",
    metadata,
    _id(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of its chunks and holds"),
    Column("size", Integer, nullable=False, comment="packages in it"),
    Column("held", Text, comment="JSON list of name:arch kept back by hold"),
    comment="all packages of an image or a layer's database, stored once",
)

package_set_chunk = Table(
    "package_set_chunk",
    metadata,
    _to("set_id", "package_set.id", "the set", primary_key=True),
    _to("chunk_id", "package_chunk.id", "a part of it", primary_key=True, index=True),
    sqlite_with_rowid=False,
    comment="the chunks of a set",
)

apt_setup = Table(
    "apt_setup",
    metadata,
    _id(),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="of the body"),
    Column("body", LargeBinary, nullable=False, comment="sources, pins, keyrings; MessagePack"),
    Column("problem", Text, comment="why verdicts under it are incomplete"),
    Column(
        "checked", Moment, comment="the oldest moment any of its archives was well; null: never"
    ),
    Column("generation", Integer, nullable=False, comment="grows when its updates change"),
    Column("inputs", LargeBinary, comment="fingerprint of the indices it was last judged by"),
    Column("pending", Boolean, nullable=False, comment="some package under it waits for judgement"),
    comment="what apt is told in an image, stored once",
)

apt_release = Table(
    "apt_release",
    metadata,
    _id(),
    Column("uri", Text, nullable=False, comment="as the image's sources write it"),
    Column("suite", Text, nullable=False, comment="suite, codename or flat path"),
    Column("trust", LargeBinary, nullable=False, comment="digest of the keys asked for"),
    Column("facts", Text, comment="fields of the Release file; JSON"),
    Column("state", Text, comment="what the next conditional fetch needs; JSON"),
    Column("good", Moment, comment="when it was last fetched or found unchanged"),
    Column("tried", Moment, comment="when it was last tried"),
    Column("problem", Text, comment="why the last try failed, or what was missing"),
    UniqueConstraint("uri", "suite", "trust"),
    comment="an archive's suite, as verified by some set of keys",
)

apt_index = Table(
    "apt_index",
    metadata,
    _id(),
    Column("fingerprint", Text, nullable=False, unique=True, comment="hash of its Packages file"),
    comment="a Packages file, stored once",
)

apt_release_index = Table(
    "apt_release_index",
    metadata,
    _to("release_id", "apt_release.id", "the suite", primary_key=True),
    Column("component", Text, primary_key=True, comment="main, contrib, …"),
    Column("architecture", Text, primary_key=True, comment="of the index"),
    _to("index_id", "apt_index.id", "its content when it was last well; null: never was"),
    Column("problem", Text, comment="why its content of now could not be read"),
    comment="the Packages files of a suite",
)

apt_package = Table(
    "apt_package",
    metadata,
    _to("index_id", "apt_index.id", "the index", primary_key=True),
    Column("name", Text, primary_key=True, comment="binary package"),
    Column("arch", Text, primary_key=True, comment="architecture"),
    Column("version", Text, primary_key=True, comment="version on offer"),
    Column("source", Text, comment="source package; null: of the same name"),
    Column("source_version", Text, comment="source version; null: the same"),
    sqlite_with_rowid=False,
    comment="what an index offers",
)

setup_chunk = Table(
    "setup_chunk",
    metadata,
    _to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    _to("chunk_id", "package_chunk.id", "a chunk of some image under it", primary_key=True),
    sqlite_with_rowid=False,
    comment="which chunks are judged under which set-up",
)

package_update = Table(
    "package_update",
    metadata,
    _to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    _to("package_version_id", "package_version.id", "what is installed", primary_key=True),
    Column("judged", Boolean, nullable=False, comment="false: new, not judged yet"),
    Column("candidate", Text, comment="what apt would install; null: nothing newer"),
    Column("security", Boolean, nullable=False, comment="a security archive has a part in it"),
    Column("origin", Text, comment="label and codename of the archive"),
    sqlite_with_rowid=False,
    comment="the verdict of apt on a package version under a set-up",
)

verdict = Table(
    "verdict",
    metadata,
    _to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    _to("set_id", "package_set.id", "the packages", primary_key=True),
    Column("generation", Integer, nullable=False, comment="of the set-up when it was judged"),
    Column("security", Integer, nullable=False, comment="packages with a security update"),
    Column("updates", Integer, nullable=False, comment="packages with any update"),
    Column("members", LargeBinary, nullable=False, comment="ids of those packages; MessagePack"),
    sqlite_with_rowid=False,
    comment="the sum of a set's updates, kept for what runs",
)

tally = Table(
    "tally",
    metadata,
    Column("name", Text, primary_key=True, comment="images or repositories"),
    Column("value", BigInteger, nullable=False, comment="how many there were after the last job"),
    sqlite_with_rowid=False,
    comment="counts of the whole catalog, which no page should have to count",
)

cluster = Table(
    "cluster",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True, comment="as configured"),
    Column("last_scan", Moment, comment="the last scan that was whole"),
    comment="a Kubernetes cluster",
)

run_image = Table(
    "run_image",
    metadata,
    _id(),
    Column("image", Text, nullable=False, comment="name in the pod's specification"),
    Column("image_id", Text, nullable=False, comment="what the runtime reports, or empty"),
    _to("manifest_id", "manifest.id", "the image it is; null: never met", index=True),
    _to("index_id", "manifest.id", "the index by which it was named"),
    Column("matched_by", Text, comment="manifest, index, config or tag"),
    UniqueConstraint("image", "image_id"),
    comment="an image as runtimes name it, stored once",
)

run = Table(
    "run",
    metadata,
    _id(),
    _to("cluster_id", "cluster.id", "where", nullable=False),
    Column("namespace", Text, nullable=False, comment="namespace"),
    Column("workload", Text, nullable=False, comment="Kind/name of the owner"),
    Column("pod_name", Text, nullable=False, comment="pod"),
    Column("container", Text, nullable=False, comment="container"),
    Column("kind", Text, nullable=False, comment="container, init or ephemeral"),
    _to("run_image_id", "run_image.id", "what runs", nullable=False),
    Column("since", Moment, nullable=False, comment="first seen"),
    Column(
        "seen", Moment, nullable=False, comment="last seen; while open, the cluster's last scan"
    ),
    Column("until", Moment, comment="first scan that no longer saw it; null: still runs"),
    Index(None, "until", "run_image_id", "cluster_id"),
    Index(None, "cluster_id", "until"),
    comment="a container that runs or ran, as an interval",
)

health = Table(
    "health",
    metadata,
    Column("kind", Text, primary_key=True, comment="cluster, registry, feed or job"),
    Column("name", Text, primary_key=True, comment="which"),
    Column("last_good", Moment, comment="when it last went well"),
    Column("last_tried", Moment, comment="when it was last tried"),
    Column("last_error", Text, comment="what went wrong at the last try; null: nothing"),
    Column("seconds", Float, comment="how long the last try took"),
    Column("next_run", Moment, comment="when it is due again"),
    Column("detail", Text, comment="counts of the last good try"),
    comment="when each source of facts was last well",
)
