"""Every error that a person may meet, with what to do about it.

    CatalogError
    ├── UsageError                the caller asked wrongly
    │   ├── ConfigError
    │   ├── BadName               not a reference, digest, platform or version
    │   ├── Unauthorized          a token is wanted
    │   │   ├── TokenUnknown
    │   │   ├── TokenExpired
    │   │   └── TokenRevoked
    │   ├── Forbidden             the token may not do this
    │   ├── InvalidBody           faults of a request's body, each with its place
    │   ├── BodyTooLarge
    │   ├── UnsupportedMediaType
    │   ├── BaseNotHeld           differences from what the catalog does not hold
    │   └── ScanRefused           a look at a cluster of a moment that is not taken
    ├── NotFound                  asked for something the catalog does not hold
    ├── BadDocument               foreign bytes that do not say what they should
    │   ├── Truncated
    │   ├── DigestMismatch
    │   ├── SignatureInvalid
    │   └── LimitExceeded
    │       ├── TooLarge          bytes of one file or of the whole
    │       ├── TooManyEntries
    │       ├── TooDeep
    │       ├── TooCompressed     the ratio of a decompression bomb
    │       └── TooSlow
    ├── SourceUnavailable         a registry, cluster, mirror did not answer as it should
    │   ├── AccessDenied          401, 403
    │   ├── Missing               404
    │   └── RateLimited           429
    └── DatabaseError
        ├── DatabaseNotReady      not initialised, or of an older release
        ├── DatabaseTooNew
        ├── DatabaseReadOnly
        ├── DatabaseFull
        ├── DatabaseLocked
        │   └── DatabaseConflict
        └── NotADatabase

Each has a stable ``code``, an HTTP status, an exit status, a sentence and, where one helps, a hint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar


def clean_text(text: str) -> str:
    """The text as every database and terminal takes it: no zero byte, no half of a surrogate."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


_URL_SECRET = re.compile(r"(\w://[^:@/\s'\"]*:)[^\s'\"]*@")
_QUERY_SECRET = re.compile(r"([?&][^=&\s]*(?:password|secret|token|key)[^=&\s]*=)[^&\s'\"]+", re.I)


def hide_secrets(text: str) -> str:
    """The text with the passwords of URLs in it replaced by ``***``; hides too much over too little."""
    return _QUERY_SECRET.sub(r"\1***", _URL_SECRET.sub(r"\1***@", text))


class CatalogError(Exception):
    """The root of all errors of this project; ``str()`` is a sentence for a person."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_status: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = hide_secrets(clean_text(message))
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CatalogError):
    """The caller asked wrongly."""

    code = "usage"
    http_status = 400


class ConfigError(UsageError):
    """A flag, an environment variable or the configuration file holds something unusable."""

    code = "config"
    http_status = 500


class BadName(UsageError):
    """A text that is not the reference, digest, platform or version it should be."""

    code = "bad-name"
    http_status = 400


class Unauthorized(UsageError):
    """What was asked for wants a token."""

    code = "unauthorized"
    http_status = 401


class TokenUnknown(Unauthorized):
    """There is no such token."""

    code = "token-unknown"


class TokenExpired(Unauthorized):
    """The token's time is over."""

    code = "token-expired"


class TokenRevoked(Unauthorized):
    """The token was taken back."""

    code = "token-revoked"


class Forbidden(UsageError):
    """The token is good, and not for this."""

    code = "forbidden"
    http_status = 403


class InvalidBody(UsageError):
    """A body that is not what it should be; ``faults`` has pairs of JSON pointer and sentence."""

    code = "invalid-request"
    http_status = 422
    faults: tuple[tuple[str, str], ...] = ()

    def __init__(self, faults: Sequence[tuple[str, str]], *, more: int = 0) -> None:
        count = len(faults) + more
        many = "1 fault" if count == 1 else f"{count} faults"
        shown = f"; the first {len(faults)} are listed" if more else ""
        super().__init__(f"The body has {many}{shown}.")
        self.faults = tuple((clean_text(where), clean_text(what)) for where, what in faults)


class BodyTooLarge(UsageError):
    """A request brings more bytes than we read."""

    code = "body-too-large"
    http_status = 413


class UnsupportedMediaType(UsageError):
    """A request's body is of a type or encoding that is not read here."""

    code = "unsupported-media-type"
    http_status = 415


class BaseNotHeld(UsageError):
    """Differences were told from a scan that is not the last one held before them."""

    code = "base-not-held"
    http_status = 409


class ScanRefused(UsageError):
    """What was seen of a cluster is of a moment for which it is not taken."""

    code = "scan-refused"
    http_status = 409


class NotFound(CatalogError):
    """The catalog does not hold what was asked for."""

    code = "not-found"
    http_status = 404
    exit_status = 3


class BadDocument(CatalogError):
    """Foreign bytes that do not say what they should: where, and why."""

    code = "bad-document"
    http_status = 422
    exit_status = 1

    def __init__(self, where: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{where}: {why}", hint=hint)
        self.where = where
        self.why = why


class Truncated(BadDocument):
    """The bytes end before the document does."""

    code = "truncated"


class DigestMismatch(BadDocument):
    """The bytes are not those that their digest names."""

    code = "digest-mismatch"


class SignatureInvalid(BadDocument):
    """No trusted key signed these bytes."""

    code = "signature-invalid"


class LimitExceeded(BadDocument):
    """The document is larger, deeper or slower than we read."""

    code = "limit-exceeded"


class TooLarge(LimitExceeded):
    """More bytes than we read."""

    code = "too-large"


class TooManyEntries(LimitExceeded):
    """More entries than we read."""

    code = "too-many-entries"


class TooDeep(LimitExceeded):
    """Nested deeper than we follow."""

    code = "too-deep"


class TooCompressed(LimitExceeded):
    """It unpacks to many times its size, as a decompression bomb does."""

    code = "too-compressed"


class TooSlow(LimitExceeded):
    """Reading it took longer than we wait."""

    code = "too-slow"


class SourceUnavailable(CatalogError):
    """A registry, cluster or mirror did not answer as it should."""

    code = "source-unavailable"
    http_status = 502
    exit_status = 1

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """Seconds the other side asked us to wait, if it did."""


class AccessDenied(SourceUnavailable):
    """The other side wants other credentials (401) or refuses these (403)."""

    code = "access-denied"


class Missing(SourceUnavailable):
    """The other side says that there is no such thing (404)."""

    code = "missing"


class RateLimited(SourceUnavailable):
    """The other side asks for fewer requests (429)."""

    code = "rate-limited"


class DatabaseError(CatalogError):
    """The catalog's database cannot be used."""

    code = "database"
    http_status = 503


class DatabaseNotReady(DatabaseError):
    """The database was not initialised, or by an older release."""

    code = "database-not-ready"


class DatabaseTooNew(DatabaseError):
    """A newer release wrote this database."""

    code = "database-too-new"


class DatabaseReadOnly(DatabaseError):
    """The database cannot be written."""

    code = "database-read-only"


class DatabaseFull(DatabaseError):
    """The disk that holds the database is full."""

    code = "database-full"


class DatabaseLocked(DatabaseError):
    """Another process holds the database for too long."""

    code = "database-locked"


class DatabaseConflict(DatabaseLocked):
    """Two processes that write at the same moment waited for each other; one may try again."""

    code = "database-conflict"


class NotADatabase(DatabaseError):
    """The file is something else."""

    code = "not-a-database"
