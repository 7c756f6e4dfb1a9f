"""Folders of docker-pkg trees, and their history in git."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def write_image(folder: Path, name: str, *versions: str, template: str = "FROM scratch\n") -> None:
    """An image's folder; the last version is the newest."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [f"{name} ({version}) x; urgency=low\n\n  * {version}\n" for version in versions]
    (folder / "changelog").write_text("\n".join(reversed(entries)))
    (folder / "Dockerfile.template").write_text(template)


def git(folder: Path, *words: str, at: datetime = START) -> str:
    """Run git as nobody in particular, at a moment."""
    moment = at.isoformat()
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", str(folder), *words],
        env={**os.environ, "GIT_COMMITTER_DATE": moment, "GIT_AUTHOR_DATE": moment},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def commit(folder: Path, at: datetime = START) -> str:
    """Commit everything; its name."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x", at=at)
    return git(folder, "rev-parse", "HEAD")
