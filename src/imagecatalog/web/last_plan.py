"""The plan that the front page speaks of: made once for what the sources last told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta

from imagecatalog.domain.plans import Plan

KEPT = timedelta(minutes=5)
"""Builds that are registered meanwhile show at the latest after this."""


class LastPlan:
    """Remembers one plan. Thread-safe; two who miss it at once both make it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[Hashable, datetime, Plan] | None = None

    def get(self, told: Hashable, now: datetime, make: Callable[[], Plan]) -> Plan:
        """The plan made for the same ``told`` not long ago, or a new one."""
        with self._lock:
            last = self._last
        if last is not None and last[0] == told and abs(now - last[1]) < KEPT:
            return last[2]
        plan = make()
        with self._lock:
            self._last = (told, now, plan)
        return plan
