"""Run ``imagecatalog`` as a user does: another process, its own environment, its two outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).with_name("imagecatalog")


def clean_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what would configure imagecatalog, and with the changes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMAGE_CATALOG")}
    return kept | dict(changes or {})


def imagecatalog(
    *words: str | Path, environ: Mapping[str, str] | None = None, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command and check its exit status."""
    done = subprocess.run(
        [str(COMMAND), *map(str, words)],
        env=clean_environment(environ), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
