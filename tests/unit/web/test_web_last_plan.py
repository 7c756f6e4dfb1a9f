"""When the front page's plan is made anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imagecatalog.domain.plans import Plan
from imagecatalog.web.last_plan import KEPT, LastPlan

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_plan_is_kept_until_a_source_tells_something_or_it_is_old() -> None:
    made = []

    def make() -> Plan:
        number = len(made)
        plan = Plan(
            waves=(), redeploy=(), remaining=(), unplannable=(), summary=str(number), asked=""
        )
        made.append(plan)
        return plan

    last = LastPlan()
    assert last.get(("apt", NOON), NOON, make).summary == "0"
    assert last.get(("apt", NOON), NOON + KEPT - timedelta(seconds=1), make).summary == "0"
    assert last.get(("apt", NOON + KEPT), NOON, make).summary == "1"
    assert last.get(("apt", NOON + KEPT), NOON + KEPT, make).summary == "2"
    assert last.get(("apt", NOON), NOON + KEPT, make).summary == "3"
    assert len(made) == 4
