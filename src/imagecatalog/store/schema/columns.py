"""What all tables are made of: their registry, types of columns, keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
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


Exact = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its bytes, so that what begins with a text is a range of an index."""

Id = BigInteger().with_variant(Integer(), "sqlite")


def number() -> Column[int]:
    """The column of our own number."""
    return Column("id", Id, primary_key=True, comment="our own number")


def to(name: str, target: str, comment: str, **options: Any) -> Column[int]:
    """A column that refers to another table's number."""
    return Column(name, Id, ForeignKey(target), comment=comment, **options)
