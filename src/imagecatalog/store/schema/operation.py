"""How well the sources are, counts, and who may write."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, LargeBinary, Table, Text

from imagecatalog.store.schema.columns import Moment, metadata, number

tally = Table(
    "tally",
    metadata,
    Column("name", Text, primary_key=True, comment="images or repositories"),
    Column("value", BigInteger, nullable=False, comment="how many there were after the last job"),
    sqlite_with_rowid=False,
    comment="counts of the whole catalog, which no page should have to count",
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
    Column(
        "good_until", Moment, comment="of a feed: when what it told becomes too old; null: never"
    ),
    Column("address", Text, comment="of a feed: where it was last read well from"),
    comment="when each source of facts was last well",
)

token = Table(
    "token",
    metadata,
    number(),
    Column("name", Text, nullable=False, unique=True, comment="what people call it"),
    Column("hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("scopes", Text, nullable=False, comment="JSON list of register, record, read"),
    Column("repositories", Text, nullable=False, comment="JSON list of globs; empty: all"),
    Column("created", Moment, nullable=False, comment="when it was made"),
    Column("expires", Moment, comment="from then on refused; null: never"),
    Column("revoked", Moment, comment="from then on refused; null: in force"),
    Column("used", Moment, comment="last used, to the hour; null: never"),
    comment="who may write, by a secret that only its owner has",
)
