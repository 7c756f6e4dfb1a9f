"""Putting a fault off: who decides it says why and until when, and what was decided stays."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from imagecatalog.domain.suppressions import DeferralItem, DeferralWish, check_fault
from imagecatalog.errors import BadName, UsageError, clean_text
from imagecatalog.store import deferrals
from imagecatalog.store.engine import Connection

_GLOB = re.compile(r"[A-Za-z0-9*?\[\]!._:/-]{1,500}")
_PACKAGE = re.compile(r"[!-~]{1,200}")
WHY_LIMIT = 2000
"""Characters of a reason."""
BY_LIMIT = 200
"""Characters of a name."""


class PutOff(Struct, frozen=True):
    """What became of a wish."""

    deferral: DeferralItem
    created: bool
    """False: the very same was in force already."""


def put_off(c: Connection, wish: DeferralWish, *, by: str, most_days: int, now: datetime) -> PutOff:
    """Write a deferral.

    Raises BadName and UsageError for one that cannot be meant, NotFound for a fault of which no
    feed tells.
    """
    check_wish(wish, most_days=most_days, now=now)
    if not by.strip():
        raise UsageError("a deferral needs who decided it", hint="give --by NAME")
    number, _ = deferrals.find_fault(c, wish.advisory)
    item, is_new = deferrals.add_deferral(
        c, number, wish, by=clean_text(by.strip()[:BY_LIMIT]), now=now
    )
    if wish.package is not None and not deferrals.is_package_met(c, wish.package):
        note = f"no image that was met holds a package {wish.package}: is it written right?"
        item = replace(item, note=note)
    return PutOff(item, is_new)


def check_wish(wish: DeferralWish, *, most_days: int, now: datetime) -> None:
    """Raise BadName or UsageError for what cannot be meant."""
    check_fault(wish.advisory)
    if not wish.why.strip() or len(wish.why) > WHY_LIMIT or "\0" in wish.why:
        raise UsageError(
            f"a deferral needs a reason of at most {WHY_LIMIT} characters",
            hint="who meets it in a year wants to know why",
        )
    if wish.until <= now:
        raise UsageError(
            f"{wish.until:%Y-%m-%d %H:%M} UTC is past: a deferral ends in time to come"
        )
    if wish.until > now + timedelta(days=most_days):
        last = now + timedelta(days=most_days)
        raise UsageError(
            f"a fault is put off for {most_days} days at most: until {last:%Y-%m-%d}",
            hint="then it is decided anew; [deferrals] max_days says how long",
        )
    if wish.package is not None and not _PACKAGE.fullmatch(wish.package):
        raise BadName(f"{wish.package[:80]!r} is no name of a package")
    if wish.image is not None and not _GLOB.fullmatch(wish.image):
        raise BadName(
            f"{wish.image[:80]!r} is no glob of images' names",
            hint="write 'team/app:*' or 'registry.example.org/team/*'",
        )
