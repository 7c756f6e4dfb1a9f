"""What apt is told, what its archives offer, and its verdicts."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, Text, UniqueConstraint

from imagecatalog.store.schema.columns import Moment, metadata, number, to

apt_setup = Table(
    "apt_setup",
    metadata,
    number(),
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
    number(),
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
    number(),
    Column("fingerprint", Text, nullable=False, unique=True, comment="hash of its Packages file"),
    comment="a Packages file, stored once",
)

apt_release_index = Table(
    "apt_release_index",
    metadata,
    to("release_id", "apt_release.id", "the suite", primary_key=True),
    Column("component", Text, primary_key=True, comment="main, contrib, …"),
    Column("architecture", Text, primary_key=True, comment="of the index"),
    to("index_id", "apt_index.id", "its content when it was last well; null: never was"),
    Column("problem", Text, comment="why its content of now could not be read"),
    comment="the Packages files of a suite",
)

apt_package = Table(
    "apt_package",
    metadata,
    to("index_id", "apt_index.id", "the index", primary_key=True),
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
    to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    to("chunk_id", "package_chunk.id", "a chunk of some image under it", primary_key=True),
    sqlite_with_rowid=False,
    comment="which chunks are judged under which set-up",
)

package_update = Table(
    "package_update",
    metadata,
    to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    to("package_version_id", "package_version.id", "what is installed", primary_key=True),
    Column("judged", Boolean, nullable=False, comment="false: new, not judged yet"),
    Column("candidate", Text, comment="what apt would install; null: nothing newer"),
    Column("security", Boolean, nullable=False, comment="a security archive has a part in it"),
    Column("source_version", Text, comment="source version of the candidate"),
    Column("since", Moment, comment="when it was first seen to wait, by its security; null: none"),
    Column("origin", Text, comment="label and codename of the archive"),
    sqlite_with_rowid=False,
    comment="the verdict of apt on a package version under a set-up",
)

verdict = Table(
    "verdict",
    metadata,
    to("setup_id", "apt_setup.id", "the set-up", primary_key=True),
    to("set_id", "package_set.id", "the packages", primary_key=True),
    Column("generation", Integer, nullable=False, comment="of the set-up when it was judged"),
    Column("security", Integer, nullable=False, comment="packages with a security update"),
    Column("updates", Integer, nullable=False, comment="packages with any update"),
    Column("members", LargeBinary, nullable=False, comment="ids of those packages; MessagePack"),
    Column("security_since", Moment, comment="since when a security update waits"),
    Column("since", Moment, comment="since when any update waits"),
    sqlite_with_rowid=False,
    comment="the sum of a set's updates, kept for what runs",
)
