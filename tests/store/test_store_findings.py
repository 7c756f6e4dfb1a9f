"""Findings: each component held against what the feeds say, by the rules and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from tests_store import NOON, PutImage, fixed_in, package

from imagecatalog.domain.advisories import Advisory, Affected, FeedPart
from imagecatalog.matching.match import match
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import advisory, component, finding

JSON, LISTS, OSV = "debian-tracker json", "debian-tracker DSA", "osv Debian"
HERE = "debian/bookworm"


def said(name: str, source: str, status: str, reason: str | None = None, **more: str) -> Affected:
    return Affected(
        advisory=name,
        scope=more.pop("scope", HERE),
        name=source,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        **more,  # type: ignore[arg-type]
    )


def tell(
    c: Connection, feed: str, told: Iterable[Affected], about: Iterable[Advisory] = ()
) -> None:
    """All that a feed says, a part for each advisory."""
    advisories = {one.name: one for one in about}
    parts: dict[str, list[Affected]] = {name: [] for name in advisories}
    for one in told:
        parts.setdefault(one.advisory, []).append(one)
    apply_feed(
        c,
        feed,
        [
            FeedPart(
                name=name,
                digest=repr((name, many, advisories.get(name))).encode(),
                advisories=(advisories.get(name, Advisory(name=name)),),
                affected=tuple(many),
            )
            for name, many in parts.items()
        ],
        where=feed,
    )


def found(c: Connection) -> dict[tuple[str, str, str], tuple[object, ...]]:
    """By name, version and advisory: state, fixed, reason, severity, feed, whether it counts."""
    query = (
        select(
            component.c.name,
            component.c.version,
            advisory.c.name,
            finding.c.state,
            finding.c.fixed,
            finding.c.reason,
            finding.c.severity,
            finding.c.feed,
            finding.c.counted,
        )
        .join(component, component.c.id == finding.c.component_id)
        .join(advisory, advisory.c.id == finding.c.advisory_id)
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in c.execute(query)}


def states(c: Connection) -> dict[tuple[str, str, str], object]:
    return {key: values[0] for key, values in found(c).items()}


def test_each_status_of_the_tracker_is_a_state_of_its_own(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-2"), package("tar", "1.0-2")])
        tell(
            c,
            JSON,
            [
                fixed_in("CVE-2026-1", HERE, "ssl", "1.0-3"),
                fixed_in("CVE-2026-2", HERE, "ssl", "1.0-2"),
                said("CVE-2026-3", "ssl", "open", "postponed"),
                said("CVE-2026-4", "ssl", "open", "ignored"),
                said("CVE-2026-5", "ssl", "open", "end-of-life"),
                said("CVE-2026-6", "ssl", "undetermined"),
                said("CVE-2026-7", "ssl", "not-affected"),
                said("CVE-2026-8", "ssl", "open", urgency="unimportant"),
                said("CVE-2026-9", "ssl", "open", scope="debian/trixie"),
            ],
        )
        assert match(c, now=NOON)
        one = ("ssl", "1.0-2")
        assert found(c) == {
            (*one, "CVE-2026-1"): ("fix-out", "1.0-3", None, 0, JSON, True),
            (*one, "CVE-2026-3"): ("no-fix", None, "postponed", 0, JSON, True),
            (*one, "CVE-2026-4"): ("wont-fix", None, "ignored", 0, JSON, True),
            (*one, "CVE-2026-5"): ("wont-fix", None, "end-of-life", 0, JSON, True),
            (*one, "CVE-2026-6"): ("undetermined", None, None, 0, JSON, True),
            (*one, "CVE-2026-8"): ("no-fix", None, None, 1, JSON, True),
        }
        assert match(c, now=NOON) == 0
