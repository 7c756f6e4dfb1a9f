"""Feeds as they are kept: how well each is, how much it told, and how long that counts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

FeedState = Literal["well", "old", "failing", "never", "off"]
"""``failing``: the last try went wrong, what it told before counts until it is old. ``old``: too old to
rest on. ``never``: nothing of it was ever read. ``off``: switched off, what it told stands until it is
old, and is listed until it is forgotten."""


class FeedItem(Struct, frozen=True, kw_only=True):
    """One item of ``feeds``: a feed, or one file of a feed that has several."""

    kind: Literal["feed"] = "feed"
    name: str
    last_good: datetime | None
    last_tried: datetime | None
    last_error: str | None
    """What went wrong at the last try; None: nothing."""
    seconds: float | None
    """How long the last try took."""
    next_run: datetime | None = None
    detail: str | None
    """What its last good try came to."""
    state: FeedState
    where: str | None
    """Where it was last read well from; None: not told, as of apt, whose archives the images name."""
    records: int | None
    """Of these it tells now; None where they are counted elsewhere."""
    counts_until: datetime | None
    """From then on what it told is too old; None: never, or nothing was told."""
    too_old: bool
    """Also where it was never read well."""


class ForgottenFeed(Struct, frozen=True, kw_only=True):
    """What became of a feed that was forgotten."""

    name: str
    feeds: tuple[str, ...]
    """Itself, or its files."""
    records: int
    """How many it told."""
    is_off: bool
    """False: the configuration still has it read, so it is told anew."""
