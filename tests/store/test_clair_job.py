"""``refresh clair``: polite, resumable, and never silent about what it could not do."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from clair_house import push, run
from clair_peer import Peer, answering
from tests_store import NOON, PutImage, digest

from imagecatalog.cli.diagnose import diagnose
from imagecatalog.config import FEEDS, ClairSetting, RegistrySetting, Settings
from imagecatalog.domain.second_opinions import Opinion
from imagecatalog.errors import ConfigError
from imagecatalog.formats.jwt import read_token
from imagecatalog.jobs import clair as job
from imagecatalog.jobs import clair_round, schedule
from imagecatalog.jobs.clair import has_notices
from imagecatalog.jobs.refresh import list_feeds, refresh
from imagecatalog.jobs.report import Report
from imagecatalog.planning.second_opinions import second_opinion
from imagecatalog.sources import clair as source
from imagecatalog.sources.http import Patience
from imagecatalog.store import clair, clair_notices, health
from imagecatalog.store.engine import Catalog

HOUR = timedelta(hours=1)
KEY = b"shared"
NOTICE = "794cc876-63ff-47e6-8495-5f69c4c147d8"


class House:
    """A catalog of images that a peer is handed, an hour later each time."""

    def __init__(self, catalog: Catalog, put_image: PutImage, peer: Peer) -> None:
        self.catalog = catalog
        self.peer = peer
        self.now = NOON
        self._put_image = put_image
        self.numbers: dict[str, int] = {}
        self.options: dict[str, Any] = {"psk": base64.b64encode(KEY).decode(), "keep_days": 0}
        self.registries = (RegistrySetting(url=peer.url),)

    def push(self, *names: str, runs: bool = True) -> None:
        with self.catalog.write() as c:
            self.numbers |= push(c, self._put_image, *names, host=self.peer.host)
        if runs:
            self.run(*self.numbers)

    def run(self, *names: str) -> None:
        self.now += timedelta(minutes=1)
        with self.catalog.write() as c:
            run(c, names, at=self.now, host=self.peer.host)

    def settings(self) -> Settings:
        setting = ClairSetting(url=self.peer.url, **self.options)
        return Settings(clair=setting, registries=self.registries)

    def refresh(self) -> Report:
        self.now += HOUR
        return refresh(self.catalog, self.settings(), ["clair"], now=lambda: self.now)

    def opinion(self, name: str) -> Opinion:
        with self.catalog.read() as c:
            found = second_opinion(c, self.numbers[name], now=self.now)
        assert found is not None
        return found

    def said(self, name: str) -> list[str]:
        return [remark.advisory for remark in self.opinion(name).remarks]

    def tell(self, name: str = NOTICE) -> None:
        with self.catalog.write() as c:
            clair_notices.put_notice(c, name, now=self.now)


@pytest.fixture
def house(
    catalog: Catalog, put_image: PutImage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    monkeypatch.setattr(source, "PATIENCE", Patience(attempts=2, read=20, longest_wait=2))
    with answering() as peer:
        yield House(catalog, put_image, peer)


def _refuse(path: str, status: int, *, times: int = 10**6, **headers: str) -> Callable[[Any], bool]:
    left = [times]

    def answer(handler: Any) -> bool:
        if not handler.path.startswith(path) or not left[0]:
            return False
        left[0] -= 1
        handler.send(status, {"code": "internal-error", "message": "it is broken"}, **headers)
        return True

    return answer


def test_images_that_run_are_handed_over_with_their_layers(house: House) -> None:
    house.push("app", "job")
    house.push("idle", runs=False)
    house.peer.claims[digest("app")] = ["CVE-2026-0001", "CVE-2026-0002"]
    assert house.refresh() == Report(("clair: 2 images indexed, 2 reports read",))
    assert set(house.peer.indexed) == {digest("app"), digest("job")}
    layers = house.peer.indexed[digest("app")]["layers"]
    base = f"{house.peer.url}/v2/app/blobs"
    assert layers == [
        {"hash": digest(name), "uri": f"{base}/{digest(name)}", "headers": {}}
        for name in ("base", "app")
    ]
    assert house.said("app") == ["CVE-2026-0001", "CVE-2026-0002"]
    assert house.opinion("app").unknown is None
    assert (house.said("job"), house.opinion("job").unknown) == ([], None)
    assert "was not handed this image" in (house.opinion("idle").unknown or "")
    for credential in house.peer.credentials:
        token = credential.removeprefix("Bearer ")
        assert read_token(token, KEY, now=house.now).iss == "imagecatalog"
    with house.catalog.read() as c:
        (feed,) = [item for item in health.list_health(c) if item.kind == "feed"]
    assert (feed.name, feed.last_error, feed.last_good) == ("clair", None, house.now)


def test_a_second_time_nothing_is_handed_over_and_no_report_read(house: House) -> None:
    house.push("app", "job")
    house.refresh()
    house.peer.seen.clear()
    assert house.refresh() == Report(("clair: 0 images indexed, 0 reports read",))
    assert set(house.peer.seen) == {
        "GET /indexer/api/v1/index_state",
        "GET /matcher/api/v1/internal/update_operation",
    }


def test_new_updates_are_read_and_another_state_is_indexed_anew(house: House) -> None:
    house.push("app")
    house.refresh()
    house.peer.updates = {"debian/updater": [{"ref": "u2"}]}
    house.peer.claims[digest("app")] = ["CVE-2026-0001"]
    assert house.refresh().done == ("clair: 0 images indexed, 1 report read",)
    assert house.said("app") == ["CVE-2026-0001"]
    house.peer.state = "s2"
    assert house.refresh().done == ("clair: 1 image indexed, 1 report read",)


def test_what_no_longer_runs_or_is_gone_is_deleted_there(house: House) -> None:
    house.push("app", "job")
    house.refresh()
    house.run("app")
    assert "1 image deleted there" in house.refresh().done[0]
    assert set(house.peer.indexed) == {digest("app")}
    with house.catalog.read() as c:
        assert [held.number for held in clair.list_held(c)] == [house.numbers["app"]]


def test_what_no_longer_runs_is_kept_for_some_days(house: House) -> None:
    house.options["keep_days"] = 1
    house.push("app", "job")
    house.refresh()
    house.run("app")
    assert "deleted" not in house.refresh().done[0]
    house.run("app", "job")
    assert house.refresh().done == ("clair: 0 images indexed, 0 reports read",), "it was there"
    house.run("app")
    house.now += timedelta(days=1)
    assert "1 image deleted there" in house.refresh().done[0]


def test_what_clair_would_not_delete_is_deleted_the_next_time(house: House) -> None:
    house.push("app", "job")
    house.refresh()
    house.run("app")
    house.peer.odd = lambda handler: (
        handler.command == "DELETE" and _refuse("/indexer", 500)(handler)
    )
    assert [one.message for one in house.refresh().failed] == [
        "Clair could not delete images: it is broken"
    ]
    house.peer.odd = None
    assert "1 image deleted there" in house.refresh().done[0]


def test_all_images_if_so_configured(house: House) -> None:
    house.options["images"] = "all"
    house.push("app", "idle", runs=False)
    assert house.refresh().done == ("clair: 2 images indexed, 2 reports read",)


def test_few_at_once(house: House) -> None:
    house.options["at_once"] = 3
    house.peer.pause = 0.1
    house.push(*(f"app-{number}" for number in range(9)))
    house.refresh()
    assert house.peer.most_at_once == 3


def test_one_bad_image_stops_no_other_and_is_left_alone_for_a_while(house: House) -> None:
    house.push("app", "bad", "job")
    bad = digest("bad")
    house.peer.odd = lambda handler: (
        bad.encode() in handler.body and _refuse("/indexer", 500)(handler)
    )
    report = house.refresh()
    assert report.done == ("clair: 2 images indexed, 2 reports read",)
    (failure,) = report.failed
    assert failure.subject == f"{house.peer.host}/bad:1"
    assert failure.message == f"Clair could not index {bad}: it is broken"
    assert house.opinion("bad").unknown == failure.message
    house.peer.seen.clear()
    assert house.refresh().failed == ()
    assert house.peer.count("POST") == 0
    house.peer.odd = None
    house.refresh()
    assert house.opinion("bad").unknown is None


def test_an_index_that_did_not_end_well(house: House) -> None:
    def answer(handler: Any) -> bool:
        if handler.command != "POST":
            return False
        failed = {"state": "IndexError", "success": False, "err": "out of room"}
        handler.send(201, {"manifest_hash": digest("app")} | failed)
        return True

    house.push("app")
    house.peer.odd = answer
    assert "out of room" in house.refresh().failed[0].message
    assert "out of room" in (house.opinion("app").unknown or "")


def test_a_clair_that_forgot_an_image_is_handed_it_again(house: House) -> None:
    house.push("app")
    house.refresh()
    house.peer.indexed.clear()
    house.peer.updates = {"debian/updater": [{"ref": "u2"}]}
    assert house.refresh().done == ("clair: 1 image indexed, 1 report read",)


def test_a_clair_that_never_updated(house: House) -> None:
    house.peer.updates = {}
    house.push("app")
    report = house.refresh()
    assert report.done == ("clair: 1 image indexed, 0 reports read",)
    assert [one.code for one in report.failed] == ["clair-never-updated"]
    assert "never updated" in (house.opinion("app").unknown or "")
    house.peer.updates = {"debian/updater": [{"ref": "u1"}]}
    assert house.refresh() == Report(("clair: 0 images indexed, 1 report read",))
    assert house.opinion("app").unknown is None


def test_a_clair_that_is_initialising(house: House) -> None:
    """It updated something, and answers 202 all the same."""
    house.push("app", "job")

    def answer(handler: Any) -> bool:
        if "/vulnerability_report/" not in handler.path:
            return False
        handler.send(202)
        return True

    house.peer.odd = answer
    assert [one.code for one in house.refresh().failed] == ["clair-initialising"]
    assert "is initialising" in (house.opinion("app").unknown or "")
    house.peer.odd = None
    assert house.refresh().failed == ()
    assert house.opinion("app").unknown is None
    assert house.opinion("job").unknown is None


@pytest.mark.parametrize("path", ["/indexer/api/v1/index_state", "/matcher/api/v1/internal"])
def test_a_clair_that_fails_takes_nothing_back(house: House, path: str) -> None:
    house.push("app")
    house.peer.claims[digest("app")] = ["CVE-2026-0001"]
    house.refresh()
    house.peer.odd = _refuse(path, 503)
    (failure,) = house.refresh().failed
    assert "503" in failure.message
    assert "could not be asked" in (house.opinion("app").unknown or "")
    assert house.said("app") == ["CVE-2026-0001"]
    with house.catalog.read() as c:
        (feed,) = [item for item in health.list_health(c) if item.kind == "feed"]
    assert "503" in (feed.last_error or "")
    assert feed.last_good == house.now - HOUR


def test_a_key_that_clair_does_not_take(house: House) -> None:
    house.push("app")
    house.peer.odd = _refuse("/", 401)
    assert [one.code for one in house.refresh().failed] == ["access-denied"]
    assert "could not be asked" in (house.opinion("app").unknown or "")


def test_it_waits_as_long_as_clair_asks(house: House) -> None:
    house.push("app")
    house.peer.odd = _refuse("/indexer/api/v1/index_report", 429, times=1, Retry_After="0")
    assert house.refresh().failed == ()
    assert house.opinion("app").unknown is None


def test_a_clair_that_wants_no_more_now_gets_the_rest_later(house: House) -> None:
    house.options["at_once"] = 1
    house.push("app", "job")
    house.peer.odd = _refuse("/indexer/api/v1/index_report", 429, Retry_After="3600")
    report = house.refresh()
    assert [one.code for one in report.failed] == ["rate-limited"]
    assert "1 left for the next time" in report.done[0]
    assert "not indexed" in (house.opinion("app").unknown or ""), "it is not down"
    house.peer.odd = None
    assert house.refresh() == Report(("clair: 2 images indexed, 2 reports read",))


def test_a_job_that_is_ended_goes_on_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.options["at_once"] = 1
    house.push("app", "job", "web")
    save = clair.save_index
    calls: list[int] = []

    def end(*args: Any, **more: Any) -> None:
        calls.append(args[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*args, **more)

    monkeypatch.setattr(clair, "save_index", end)
    with pytest.raises(KeyboardInterrupt):
        house.refresh()
    monkeypatch.setattr(clair, "save_index", save)
    house.now += HOUR  # until then the image is the ended job's
    house.peer.seen.clear()
    assert house.refresh().failed == ()
    assert {house.opinion(name).unknown for name in house.numbers} == {None}
    assert house.peer.count("POST") < 3, "one at least was done before"


def test_a_round_ends_after_its_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clair_round, "BUDGET", -1.0)
    house.push("app", "job")
    assert house.refresh().done == (
        "clair: 0 images indexed, 0 reports read, 2 left for the next time",
    )


def test_images_of_no_configured_registry_are_unknown(house: House) -> None:
    house.registries = ()
    house.push("app")
    assert house.refresh().done == (
        "clair: 0 images indexed, 0 reports read, 1 that Clair cannot be given",
    )
    assert "no [[registry]] is configured" in (house.opinion("app").unknown or "")


def test_an_image_whose_registry_no_longer_has_it(house: House) -> None:
    house.push("app")
    house.peer.odd = _refuse("/v2/", 404)
    house.refresh()
    assert "404" in (house.opinion("app").unknown or "")
    assert house.peer.count("POST") == 0


def test_a_report_about_another_image_is_refused(house: House) -> None:
    house.push("app")

    def answer(handler: Any) -> bool:
        if "/vulnerability_report/" not in handler.path:
            return False
        handler.send(200, {"manifest_hash": digest("other")})
        return True

    house.peer.odd = answer
    assert [one.code for one in house.refresh().failed] == ["bad-document"]


# --- the notifier ---------------------------------------------------------------------------------


def test_a_notification_is_read_page_by_page_and_deleted(house: House) -> None:
    house.push("app", "job", "web")
    house.refresh()
    house.peer.claims[digest("app")] = ["CVE-2026-0001"]
    house.peer.notifications[NOTICE] = [[digest("app")], [digest("never met")], [digest("job")]]
    house.tell()
    assert has_notices(house.catalog, now=house.now)
    assert house.refresh().done == (
        "clair: 0 images indexed, 2 reports read, 1 notification about 2 images",
    )
    assert house.said("app") == ["CVE-2026-0001"], "though no update was told of"
    assert house.peer.notifications == {}
    assert not has_notices(house.catalog, now=house.now)


def test_a_notification_that_cannot_be_read_is_tried_again_later_and_not_for_ever(
    house: House,
) -> None:
    house.peer.odd = _refuse("/notifier", 500)
    house.tell()
    tries = 0
    while True:
        house.now += timedelta(hours=6)
        if not has_notices(house.catalog, now=house.now):
            break
        assert [one.code for one in house.refresh().failed] == ["clair-refused"]
        assert not has_notices(house.catalog, now=house.now)
        tries += 1
    assert 10 < tries < 20


def test_pages_without_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_PAGES", 5)
    house.peer.notifications[NOTICE] = [[]] * 10
    house.tell()
    (failure,) = house.refresh().failed
    assert "more than 5 pages" in failure.message


def test_a_server_looks_soon_when_it_was_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "_LOOK_EVERY", 0.05)
    house.push("app")
    house.now = schedule.utc_now()
    feeds = dict.fromkeys((name for name in FEEDS if name != "clair"), False)
    settings = msgspec.structs.replace(house.settings(), registries=(), feeds=feeds)
    scheduler = schedule.Scheduler(house.catalog, settings)
    scheduler.start()
    try:
        _wait_for(lambda: house.peer.count("GET /matcher/api/v1/internal") == 1)
        house.peer.notifications[NOTICE] = [[digest("app")]]
        house.tell()
        _wait_for(lambda: not house.peer.notifications)
    finally:
        scheduler.stop()
    with house.catalog.read() as c:
        jobs = [item.name for item in health.list_health(c) if item.kind == "job"]
    assert "clair" in jobs
    assert "refresh" not in jobs, "no other feed is wanted"


def _wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


# --- the configuration ----------------------------------------------------------------------------


def test_without_a_clair_there_is_nothing_to_refresh(catalog: Catalog) -> None:
    assert "clair" not in list_feeds(Settings())
    with pytest.raises(ConfigError, match="no Clair is configured"):
        refresh(catalog, Settings(), ["clair"], now=lambda: NOON)
    setting = ClairSetting(url="http://127.0.0.1:1")
    assert "clair" in list_feeds(Settings(clair=setting))
    assert "clair" not in list_feeds(Settings(clair=setting, feeds={"clair": False}))


def test_doctor_asks_clair(house: House, catalog_url: str) -> None:
    settings = msgspec.structs.replace(house.settings(), database=catalog_url, registries=())

    def ask() -> tuple[bool, str]:
        (found,) = [one for one in diagnose(settings, NOON) if one.subject.startswith("clair ")]
        return found.is_well, found.message

    assert ask() == (True, "answers; it last updated 2026-11-20 10:00 UTC")
    house.peer.updates = {}
    assert ask() == (False, "answers, and has never updated")
    house.peer.odd = _refuse("/", 401)
    assert not ask()[0]


def test_a_clair_that_is_configured_no_more_is_forgotten(house: House) -> None:
    house.push("app")
    house.refresh()
    off = dict.fromkeys(list_feeds(Settings()), False)
    refresh(house.catalog, Settings(feeds=off), now=lambda: house.now)
    with house.catalog.read() as c:
        assert second_opinion(c, house.numbers["app"], now=house.now) is None
