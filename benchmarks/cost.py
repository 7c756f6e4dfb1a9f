"""What a whole command costs: time, processor, and memory at its peak."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from msgspec import Struct

_WATCH = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
told = [time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, status]
print(json.dumps(told), file=sys.stderr)
"""
"""A small process between: a child's peak begins with what its parent holds."""


class Cost(Struct, frozen=True):
    """Seconds, processor seconds, bytes of memory at the peak, and what it printed."""

    wall: float
    cpu: float
    peak: float
    output: bytes


def watch(command: list[str], environ: Mapping[str, str] = {}) -> Cost:
    """Run a command to its end, with these variables besides; raises SystemExit where it fails."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, *command],
        capture_output=True,
        check=True,
        env=os.environ | environ,
    )
    wall, cpu, peak, status = json.loads(done.stderr.splitlines()[-1])
    if status:
        raise SystemExit(f"{command[0]} failed: {done.stderr.decode()}")
    return Cost(wall, cpu, peak, done.stdout)
