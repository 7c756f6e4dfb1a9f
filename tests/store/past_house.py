"""A cluster scanned by the hour, whose workload moves from a bad image to a good one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from test_store_findings import HERE, JSON, tell
from tests_store import NOON, PutImage, digest, fixed_in, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.advisories import Advisory, FeedPart
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching.match import match
from imagecatalog.store.advisories import apply_feed
from imagecatalog.store.engine import Connection

HOME = "registry.example.org/team/app"
FAULT, NOTICE = "CVE-2026-1", "DSA-1-1"
FIX_OUT = NOON + timedelta(hours=2)


def hour(number: float) -> datetime:
    """So many hours after noon."""
    return NOON + timedelta(hours=number)


def pod(
    name: str, image: str, *, workload: str = "Deployment/app", team: str = "shop", **more: str
) -> RunningContainer:
    """A pod of one container that runs the image of that name."""
    return RunningContainer(
        namespace="web",
        workload=workload,
        pod_name=name,
        container="main",
        kind="container",
        image=f"{HOME}:{image}",
        image_id=f"{HOME}@{digest(image)}",
        team=team,
        **more,  # type: ignore[arg-type]
    )


def scan(c: Connection, at: float, *pods: RunningContainer, cluster: str = "north") -> None:
    """One whole scan at that hour."""
    timeline.observe(c, cluster, pods, at=hour(at))


def fill(c: Connection, put_image: PutImage) -> None:
    """``bad`` holds openssl with a fault that is fixed in 2.0, ``good`` holds 2.0, ``dark`` nobody knows."""
    numbers = {
        "bad": put_image(c, "bad", [package("openssl", "1.0-1"), package("tar")], at=hour(-30)),
        "good": put_image(c, "good", [package("openssl", "2.0-1"), package("tar")], at=hour(5)),
        "dark": put_image(c, "dark", None),
    }
    ingest.record_repository(c, HOME, numbers, list(numbers.values()), [], now=NOON)


def announce(c: Connection, published: datetime | None = FIX_OUT) -> None:
    """The fault, and the notice that tells of its fix."""
    tell(c, JSON, [fixed_in(FAULT, HERE, "openssl", "2.0-1")])
    part = FeedPart(
        name=NOTICE,
        digest=b"1",
        advisories=(
            Advisory(name=NOTICE, description="a fix", published=published, covers=(FAULT,)),
        ),
        affected=(fixed_in(NOTICE, HERE, "openssl", "2.0-1"),),
    )
    apply_feed(c, "debian-tracker DSA", [part], where="list")
    match(c, now=NOON)


def pods(image: str, count: int, **more: str) -> Sequence[RunningContainer]:
    """So many of one image."""
    return [pod(f"{image}-{number}", image, **more) for number in range(count)]
