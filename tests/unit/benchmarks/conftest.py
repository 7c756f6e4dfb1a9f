"""Has the benchmarks importable, which are no part of the package; where they are not, nothing is tested."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
collect_ignore_glob = [] if (ROOT / "benchmarks").is_dir() else ["test_*"]
sys.path.append(str(ROOT))
