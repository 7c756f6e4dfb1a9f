"""How old the facts behind an answer are: what was never read is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from imagecatalog.cli.answering import OutdatedQuestion
from imagecatalog.cli.layouts import show_outdated
from imagecatalog.domain.answers import Health

NOON = datetime(2026, 8, 20, 12, tzinfo=UTC)


def feed(name: str, hours: float | None) -> Health:
    good = None if hours is None else NOON - timedelta(hours=hours)
    return Health(
        kind="feed", name=name, last_good=good, last_tried=NOON, last_error=None, seconds=1.0
    )


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ([feed("apt", None), feed("debian-tracker", 3)], "(feeds 3 h ago, never apt)"),
        ([feed("apt", None)], "(feeds never)"),
        ([feed("apt", 5), feed("kev", 3)], "(feeds 5 h ago)"),
        (
            [feed(f"osv {n}", None) for n in range(5)] + [feed("kev", 3)],
            "never osv 0, osv 1, osv 2 and 2 more)",
        ),
    ],
)
def test_what_was_never_read_is_named(
    capsys: pytest.CaptureFixture[str], feeds: list[Health], said: str
) -> None:
    show_outdated([], OutdatedQuestion(), None, feeds, NOON)
    assert said in " ".join(capsys.readouterr().out.split())
