"""What a process that is to be killed does: one command line, its reports written as they come."""

from __future__ import annotations

import faulthandler
import os
import sys
from pathlib import Path


def run_command(words: list[str], log: Path) -> None:
    """Run ``imagecatalog`` with these words, both outputs into ``log``; leaves with its status."""
    from imagecatalog.cli import progress
    from imagecatalog.cli.main import main

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    faulthandler.enable()
    progress.EVERY_SECONDS = 0.0
    sys.exit(main(words))
