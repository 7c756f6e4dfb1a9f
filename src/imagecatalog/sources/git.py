"""What git knows of a folder: its commits, and the files of each. Nothing is changed, no hook is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from imagecatalog.errors import SourceUnavailable, TooLarge

COMMITS_LIMIT = 200_000
OUTPUT_LIMIT = 256 << 20
SECONDS = 120
_SAFE = (
    "--no-replace-objects", "--no-optional-locks", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
    "-c", "protocol.allow=never", "-c", "core.quotePath=false",
)  # fmt: skip
"""A repository's own configuration must not make git run anything."""


class Commit(Struct, frozen=True):
    """A commit and when it was made."""

    id: str
    time: datetime


class Blob(Struct, frozen=True):
    """A file of a commit."""

    path: str
    """From the folder that was asked about."""
    id: str
    size: int


class Git:
    """The repository that a folder is of."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self.prefix = prefix
        """The folder within its repository, without a slash at either end."""
        self._history = lru_cache(1024)(self._log)

    @classmethod
    def of(cls, folder: Path) -> Git:
        """The repository of a folder; raises ``SourceUnavailable`` if it has none with a commit."""
        _run(folder, "rev-parse", "--verify", "HEAD")
        prefix = _run(folder, "rev-parse", "--show-prefix")
        return cls(folder, prefix.decode(errors="replace").strip().strip("/"))

    def head(self) -> str:
        """The commit that is checked out."""
        return _run(self._folder, "rev-parse", "--verify", "HEAD").decode().strip()

    def remote(self) -> str | None:
        """Where the repository comes from, without a password."""
        try:
            said = _run(self._folder, "config", "--get", "remote.origin.url")
        except SourceUnavailable:
            return None
        return _without_password(said.decode(errors="replace").strip()) or None

    def history(self, path: str = "") -> tuple[Commit, ...]:
        """The commits on the way to HEAD, newest first, of merges the side that was merged into.

        With a path, from the folder, only those that changed it.
        """
        return self._history(path)

    def changed(self, path: str) -> bool:
        """Whether what lies at the path now differs from HEAD, or is not of it."""
        where = path or "."
        said = _run(self._folder, "status", "--porcelain", "-z", "--ignore-submodules", "--", where)
        return bool(said)

    def files(self, commit: str, names: Collection[str], limit: int) -> Iterator[Blob]:
        """The plain files of a commit, below the folder, whose last part is one of these names.

        Without those larger than ``limit`` bytes.
        """
        listed = _run(self._folder, "ls-tree", "-r", "-l", "-z", commit, "--", ".")
        for row in listed.split(b"\0"):
            head, _, raw = row.partition(b"\t")
            path = raw.decode(errors="replace")
            if head.startswith(b"100") and path.rpartition("/")[2] in names:
                _, _, blob, size = head.split()
                if int(size) <= limit:
                    yield Blob(path, blob.decode(), int(size))

    def read(self, blobs: Collection[Blob]) -> dict[str, bytes]:
        """The bytes of files, by id; raises ``TooLarge``."""
        if sum(blob.size for blob in blobs) > OUTPUT_LIMIT:
            raise TooLarge(str(self._folder), f"files of more than {OUTPUT_LIMIT} bytes")
        if not blobs:
            return {}
        ids = "".join(f"{blob.id}\n" for blob in blobs)
        said = _run(self._folder, "cat-file", "--batch", given=ids.encode())
        found, at = {}, 0
        for blob in blobs:
            begin = said.index(b"\n", at) + 1
            at = begin + blob.size + 1
            found[blob.id] = said[begin : at - 1]
        return found

    def _log(self, path: str) -> tuple[Commit, ...]:
        wanted = [
            "log",
            "--first-parent",
            f"--max-count={COMMITS_LIMIT}",
            "--format=%H %ct",
            "HEAD",
        ]
        listed = _run(self._folder, *wanted, *(["--", path] if path else []))
        commits = []
        for row in listed.decode().splitlines():
            commit, _, seconds = row.partition(" ")
            commits.append(Commit(commit, datetime.fromtimestamp(int(seconds), UTC)))
        return tuple(commits)


def _run(folder: Path, *words: str, given: bytes = b"") -> bytes:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *_SAFE, "-C", str(folder), *words],
            input=given, capture_output=True, env=environ, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceUnavailable(f"git {words[0]} in {folder} cannot be run: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SourceUnavailable(f"git {words[0]} in {folder}: {said[0] if said else 'it failed'}")
    return done.stdout


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if "@" in parts.netloc and parts.scheme in ("http", "https"):
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url
