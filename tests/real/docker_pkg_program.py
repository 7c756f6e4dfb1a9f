"""docker-pkg itself, unmodified, in an environment of its own that is kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).with_name("docker-pkg.txt")


def docker_pkg_folder() -> Path:
    """The folder that holds the program ``docker-pkg``: as it was made before, or made now."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagecatalog-tests"
    home.mkdir(parents=True, exist_ok=True)
    what = hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home / f"docker-pkg-{what}"
    with (home / "docker-pkg.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder)
            (folder / "ready").touch()
    return folder / "bin"


def _make(folder: Path) -> None:
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    for words in (
        [sys.executable, "-m", "venv", str(folder)],
        [f"{folder}/bin/python", *pip, "--require-hashes", "--only-binary=:all:", f"-r{PINS}"],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
