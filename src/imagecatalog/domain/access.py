"""Tokens: who may do what to which repositories."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct

from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName

Scope = Literal["register", "record", "decide", "read"]
"""What a token lets its holder do."""
State = Literal["valid", "expired", "revoked"]

PREFIX = "ic_"
"""With which every secret begins, so that scanners of leaked secrets know one."""
_GLOB = re.compile(r"[a-z0-9*?\[\]!._:/-]{1,500}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Token(Struct, frozen=True, kw_only=True):
    """A token without its secret, which is kept nowhere."""

    name: str
    scopes: tuple[Scope, ...]
    repositories: tuple[str, ...]
    """Globs; empty: all."""
    created: datetime
    expires: datetime | None = None
    """From then on refused; None: never."""
    revoked: datetime | None = None
    used: datetime | None = None
    """To the hour."""

    def state(self, now: datetime) -> State:
        """Whether it is good at that moment."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"

    def covers(self, repository: str) -> bool:
        """Whether it may speak of ``registry/path``; globs are held against the path alone, too."""
        path = repository.partition("/")[2]
        return not self.repositories or any(
            fnmatchcase(name, glob) for glob in self.repositories for name in (repository, path)
        )

    def covers_glob(self, image: str | None) -> bool:
        """Whether it may speak of all that a glob of images' names means; None means all images."""
        if image is None:
            return not self.repositories
        # A star of the glob may stand for more than the one letter that a question mark of ours is.
        home, colon, tag = image.replace("*", "**").rpartition(":")
        home = home if colon and "/" not in tag else f"{home}{colon}{tag}"
        registry, _, path = home.partition("/")
        names = [home, path] if re.search(r"[.:]|^localhost$", registry) else [home]
        return not self.repositories or any(
            fnmatchcase(name, glob) for glob in self.repositories for name in names
        )


class TokenItem(Struct, frozen=True, kw_only=True):
    """One item of ``token list``."""

    name: str
    scopes: tuple[Scope, ...]
    repositories: tuple[str, ...]
    created: datetime
    expires: datetime | None
    used: datetime | None
    state: State


def make_secret() -> str:
    """A new secret of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. It is too long to be guessed, so that one round of SHA-256 does."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def check_name(name: str) -> str:
    """The name of a token; raises ``BadName``."""
    if not _NAME.fullmatch(name):
        raise BadName(
            f"{name[:100]!r} cannot name a token",
            hint="letters, digits, dots, dashes and underscores can, at most 100",
        )
    return name


def check_globs(globs: Iterable[str]) -> tuple[str, ...]:
    """Globs of repositories, each once, sorted; raises ``BadName`` for one that fits no name."""
    checked = tuple(sorted(set(globs)))
    for glob in checked:
        if not _GLOB.fullmatch(glob) or ":" in glob.rpartition("/")[2]:
            raise BadName(
                f"{glob[:100]!r} is no glob of repositories",
                hint="write 'mediawiki/*' or 'registry.example.org/mediawiki/*', without a tag",
            )
    return checked


def repository_of(image: str) -> str:
    """``registry/path`` of a name with or without tag and digest; raises ``BadName``."""
    return Reference.parse(image).name
