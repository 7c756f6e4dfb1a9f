"""What is looked at because somebody asked: what runs unknown, what was pushed, what is gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bad_registry import BadRegistry, Handler, debian, refuse, serve
from sqlalchemy import func, select

from imagecatalog.catalog import timeline
from imagecatalog.config import HooksSetting, RegistrySetting, Settings
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.jobs import looking, pushes, schedule, settling
from imagecatalog.jobs.report import Report
from imagecatalog.jobs.sync import sync
from imagecatalog.planning.moments import running
from imagecatalog.store import repositories, sync_requests
from imagecatalog.store.engine import Catalog
from imagecatalog.store.schema import sync_request

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class House:
    """A registry, a cluster, a catalog, and the time that it is."""

    def __init__(self, catalog: Catalog, registry: BadRegistry) -> None:
        self.catalog, self.registry = catalog, registry
        self.now = NOON
        self.app = f"{registry.host}/app"
        self.settings = Settings(
            registries=(RegistrySetting(url=registry.url, exclude_tags=("^tmp",)),),
            hooks=HooksSetting(registry_secret="a-secret-of-both-sides"),
        )

    def image(self, version: str, tag: str | None = None) -> Digest:
        """An image in the registry, tagged or not."""
        made = self.registry.add_image(debian(app=version))
        if tag is not None:
            self.registry.tag("app", made, tag=tag)
        return Digest(made["digest"])

    def untag(self, tag: str) -> None:
        """The registry has such a tag no more."""
        self.registry.tags["app"].pop(tag, None)
        self.registry.lies[f".*/manifests/{tag}"] = refuse(404)

    def run(self, *what: tuple[str, str]) -> None:
        """A scan sees these names and what the runtime reports."""
        pods = [
            RunningContainer("web", f"Deployment/d{n}", f"p{n}", "main", "container", *one)
            for n, one in enumerate(what)
        ]
        with self.catalog.write() as c:
            timeline.observe(c, "north", pods, at=self.now, now=self.now)

    def sync(self, after: timedelta = HOUR) -> Report:
        self.now += after
        return sync(self.catalog, self.settings, [], now=lambda: self.now)

    def push(self, *references: str) -> Report:
        """The registry tells of these, and the job looks."""
        with self.catalog.write() as c:
            sync_requests.ask(c, [(self.app, one) for one in references], now=self.now)
        return self.look()

    def due(self) -> datetime | None:
        """When something is to be looked at again."""
        with self.catalog.read() as c:
            due: datetime | None = c.scalar(select(func.min(sync_request.c.due)))
            return due

    def look(self) -> Report:
        return pushes.sync_pushed(self.catalog, self.settings, now=lambda: self.now)

    def known(self) -> list[tuple[bool, str | None]]:
        with self.catalog.read() as c:
            return [(item.known, item.reason) for item in running(c, now=self.now).items]

    def tags(self) -> set[str]:
        with self.catalog.read() as c:
            return set(repositories.list_current_tags(c, self.app))

    def asked(self, part: str) -> int:
        return sum(part in one for one in self.registry.asked)


@pytest.fixture
def house(catalog: Catalog) -> Iterator[House]:
    with serve() as registry:
        yield House(catalog, registry)


# --- what runs and was never met ------------------------------------------------------------------


def test_a_running_image_that_no_tag_names_is_fetched_by_its_digest(house: House) -> None:
    lost = house.image("1.0")
    house.image("2.0", "live")
    house.run((f"{house.app}:live", f"{house.app}@{lost}"))
    assert house.known()[0][0] is False
    report = house.sync()
    assert report.failed == ()
    assert any(line.startswith("of what runs and was not known") for line in report.done)
    assert house.known()[0][0] is True
    assert house.tags() == {"live"}


def test_by_an_index_and_by_a_name_pinned_to_a_digest(house: House) -> None:
    inside = house.registry.add_image(debian(app="1.0"))
    index = house.registry.add_index(inside)
    other = house.registry.add_image(debian(app="3.0"))
    config = json.loads(house.registry.manifests[Digest(other["digest"])][1])["config"]["digest"]
    house.run(
        (f"{house.app}:1", f"docker-pullable://{house.app}@{index['digest']}"),
        (f"{house.app}@{other['digest']}", f"docker://{config}"),
    )
    assert house.sync().failed == ()
    assert [known for known, _ in house.known()] == [True, True]


def test_what_cannot_be_fetched_is_told_once_and_tried_ever_less_often(house: House) -> None:
    gone = "sha256:" + "d" * 64
    house.image("1.0", "live")
    house.run((f"{house.app}:live", f"{house.app}@{gone}"))
    first = house.sync()
    assert [failure.subject for failure in first.failed] == [f"{house.app}@{gone}"]
    ((known, reason),) = house.known()
    assert not known
    assert reason is not None
    assert reason.startswith("it could not be fetched: ")
    asked = house.asked(gone)
    assert house.sync().failed == ()
    assert house.asked(gone) == asked, "it is not due yet"
    tries = []
    for _ in range(6):
        before = house.asked(gone)
        assert house.sync(timedelta(days=1)).failed == (), "told once"
        tries.append(house.asked(gone) > before)
    assert tries == [True, True, True, True, False, True]
    house.run((f"{house.app}:live", ""))
    house.sync()
    with house.catalog.read() as c:
        assert sync_requests.list_problems(c) == {}, "what runs no more is forgotten"


def test_a_digest_of_a_configuration_alone_is_said_to_be_no_address(house: House) -> None:
    house.image("1.0", "live")
    house.run((f"{house.app}:live", "docker://sha256:" + "c" * 64))
    house.sync()
    ((known, reason),) = house.known()
    assert not known
    assert "nothing but the digest of its configuration" in (reason or "")
    assert house.asked("c" * 64) == 0


def test_what_is_of_no_configured_registry_is_not_asked_for(house: House) -> None:
    digest = "sha256:" + "e" * 64
    house.run(("elsewhere.example.org/app:1", f"elsewhere.example.org/app@{digest}"))
    assert house.sync().failed == ()
    assert house.known() == [
        (False, "the catalog never met this image: sync the registry that has it")
    ]


def test_no_more_than_a_number_is_fetched_by_one_sync(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagecatalog.jobs.unmet.AT_ONCE", 2)
    lost = [house.image(f"1.{n}") for n in range(5)]
    house.run(*((f"{house.app}:{n}", f"{house.app}@{one}") for n, one in enumerate(lost)))
    counts = []
    for _ in range(3):
        house.sync()
        counts.append(sum(known for known, _ in house.known()))
    assert counts == [2, 4, 5]


# --- what was pushed ------------------------------------------------------------------------------


def test_a_burst_is_one_look_at_the_tags_told_of_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        house.image(f"1.{n}", f"v{n}")
    house.image("9", "tmp-9")
    settled: list[int] = []
    settle = settling.settle

    def count(*words: Any, **more: Any) -> Report:
        settled.append(1)
        return settle(*words, **more)

    monkeypatch.setattr(pushes, "settle", count)
    report = house.push(*(f"v{n}" for n in range(10)), "tmp-9")
    assert report.failed == ()
    assert house.tags() == {f"v{n}" for n in range(10)}
    assert len(settled) == 1
    assert house.asked("/tags/list") == house.asked("/_catalog") == 0
    assert house.look() == Report()


def test_what_is_gone_ends_and_what_was_not_told_of_stays(house: House) -> None:
    one, two = house.image("1.0", "one"), house.image("2.0", "two")
    house.registry.tag("app", {"digest": str(two)}, tag="second")
    house.sync()
    house.now += HOUR
    house.untag("one")
    house.untag("second")
    del house.registry.manifests[one]
    house.push(str(one))
    assert house.tags() == {"two", "second"}, (
        "by its digest its tags went; of the other nobody told"
    )
    with house.catalog.read() as c:
        assert one not in repositories.list_present(c, house.app)
        assert two in repositories.list_present(c, house.app)
    house.push("second")
    assert house.tags() == {"two"}


def test_what_was_pushed_by_its_digest_is_listed(house: House) -> None:
    digest = house.image("1.0")
    assert house.push(str(digest)).failed == ()
    with house.catalog.read() as c:
        assert digest in repositories.list_present(c, house.app)
    house.image("2.0", "never-was")
    house.untag("never-was")
    assert house.push("sha256:" + "f" * 64, "never-was").failed == (), "pushed, and gone again"
    assert house.look() == Report()


def test_a_registry_that_fails_is_tried_again_ever_later_and_at_last_no_more(house: House) -> None:
    house.image("1.0", "live")
    house.registry.lies["HEAD .*/manifests/live"] = refuse(403)
    assert [failure.code for failure in house.push("live").failed] == ["access-denied"]
    assert house.look() == Report(), "not due"
    waits = []
    while (due := house.due()) is not None:
        waits.append((due - house.now).total_seconds() / 60)
        house.now = due
        house.look()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    house.registry.lies.clear()
    house.push("live")
    assert house.tags() == {"live"}


def test_a_crawl_does_not_undo_a_push_that_came_meanwhile(house: House) -> None:
    """It resolved the tag before the push, and writes after the push was looked at."""
    house.image("1.0", "live")
    house.image("1.0", "other")
    house.sync()
    new = house.image("2.0")
    pushed = threading.Event()

    def answer(handler: Handler) -> None:
        # the last that the crawl resolves: by now it believes to know what live points to
        if not pushed.is_set():
            pushed.set()
            house.registry.tag("app", {"digest": str(new)}, tag="live")
            house.push("live")
        digest = house.registry.tags["app"]["other"]
        kind, body = house.registry.manifests[digest]
        headers = {"Docker-Content-Digest": str(digest), "Content-Type": kind}
        handler.send(200, body, headers)

    house.registry.lies["HEAD .*/manifests/other"] = answer
    house.sync()
    assert pushed.is_set()
    with house.catalog.read() as c:
        periods = repositories.tag_history(c, house.app)
    assert [str(one.digest) for one in periods if one.tag == "live" and one.until is None] == [new]


def test_the_job_is_woken(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not wait for a job that takes long."""
    monkeypatch.setattr(schedule, "_LOOK_EVERY", 3600.0)
    block = threading.Event()
    monkeypatch.setattr(schedule, "sync", lambda *_, **__: block.wait(60) and Report())
    house.image("1.0", "live")
    feeds: Any = dict.fromkeys(
        ("apt", "debian-tracker", "osv", "alpine-secdb", "kev", "epss", "vex"), False
    )
    house.settings = Settings(
        registries=house.settings.registries, hooks=house.settings.hooks, feeds=feeds
    )
    scheduler = schedule.Scheduler(house.catalog, house.settings, periodic=True)
    scheduler.start()
    try:
        threading.Event().wait(1.0)
        with house.catalog.write() as c:
            sync_requests.ask(c, [(house.app, "live")], now=schedule.utc_now())
        scheduler.wake()
        for _ in range(200):
            if house.tags():
                break
            threading.Event().wait(0.1)
        assert house.tags() == {"live"}
    finally:
        block.set()
        scheduler.stop(wait=30)


def test_names_by_hand(house: House) -> None:
    house.image("1.0", "one")
    house.image("2.0", "two")
    looking.sync_images(house.catalog, house.settings, [f"{house.app}:one"], [], now=lambda: NOON)
    assert house.tags() == {"one"}
    looking.sync_images(house.catalog, house.settings, [house.app], [], now=lambda: NOON)
    assert house.tags() == {"one", "two"}
