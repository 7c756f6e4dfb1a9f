"""Feeds as they are kept: listed with what they told, part by part, until somebody forgets them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bad_shop import CommandLine
from feed_site import FeedSite, pack_records, record, serve_feeds

from imagecatalog.config import Settings
from imagecatalog.domain.feeds import FeedItem
from imagecatalog.errors import NotFound, UsageError
from imagecatalog.jobs.forgetting import forget_feed
from imagecatalog.jobs.refresh import refresh
from imagecatalog.planning.feed_ages import list_old_feeds
from imagecatalog.planning.feed_list import describe_feeds, list_feeds
from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog
from imagecatalog.store.findings import has_waiting
from imagecatalog.store.schema import component, finding
from imagecatalog.store.scopes import put_scopes
from imagecatalog.versions import sort_key

NOON = datetime(2026, 8, 20, 12, tzinfo=UTC)
OFF = {
    "apt": False,
    "osv": False,
    "kev": False,
    "epss": False,
    "alpine-secdb": False,
    "debian-tracker": False,
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FeedSite]:
    folder = tmp_path / "site"
    folder.mkdir()
    with serve_feeds(folder) as site:
        yield site


def put(site: FeedSite, path: str, body: bytes) -> None:
    (site.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (site.folder / path).write_bytes(body)


def refresher(catalog: Catalog, **feeds: Any) -> Callable[..., Any]:
    settings = Settings(feeds=OFF | {name.replace("_", "-"): to for name, to in feeds.items()})

    def run(*names: str, at: datetime = NOON, **more: Any) -> Any:
        return refresh(catalog, settings, names, now=lambda: at, **more)

    return run


def hold(catalog: Catalog, **scopes: tuple[str, str, str]) -> None:
    """A component that waits to be judged, of each of these scopes."""
    with catalog.write() as c:
        numbers = put_scopes(c, {scope for scope, _, _ in scopes.values()})
        rows = [
            {
                "scope_id": numbers[scope],
                "name": name,
                "version": version,
                "key": sort_key(kind, version),
                "pending": True,
            }
            for kind, (scope, name, version) in scopes.items()
        ]
        c.execute(component.insert(), rows)


def listed(catalog: Catalog, now: datetime = NOON, **feeds: Any) -> dict[str, FeedItem]:
    settings = {name.replace("_", "-"): value for name, value in feeds.items()}
    with catalog.read() as c:
        return {one.name: one for one in list_feeds(c, settings, now=now)}


def count_findings(catalog: Catalog) -> int:
    with catalog.read() as c:
        return len(c.execute(finding.select()).all())


def secdb(release: str, repository: str, fixed: str) -> bytes:
    package = {"name": "a", "secfixes": {fixed: ["CVE-2026-1001"]}}
    return json.dumps(
        {"distroversion": release, "reponame": repository, "packages": [{"pkg": package}]}
    ).encode()


def kev(*names: str) -> bytes:
    entries = [{"cveID": name, "dateAdded": "2026-08-01"} for name in names]
    return json.dumps(
        {"catalogVersion": "v", "count": len(names), "vulnerabilities": entries}
    ).encode()


def test_a_feed_that_is_switched_off_stays_until_it_is_forgotten(
    catalog: Catalog, site: FeedSite
) -> None:
    put(site, "PyPI/all.zip", pack_records(record("X-1", "PyPI", "a", "2.0")))
    hold(catalog, pypi=("pypi", "a", "1.0"))
    refresher(catalog, osv=site.url)("osv")
    assert count_findings(catalog) == 1

    after = NOON + timedelta(days=9)
    refresher(catalog)(at=after)
    kept = listed(catalog, after, osv=False)
    assert {name: (one.state, one.records, one.too_old) for name, one in kept.items()} == {
        "osv": ("off", 1, True),
        "osv PyPI": ("off", 1, True),
    }
    assert kept["osv PyPI"].where == f"{site.url}PyPI/all.zip"
    assert kept["osv PyPI"].counts_until == NOON + timedelta(days=2)
    assert "switched off, what was read of it stands: osv, osv PyPI" in describe_feeds(
        kept.values()
    )
    assert count_findings(catalog) == 1
    with catalog.read() as c:
        assert (
            "osv PyPI was last read well 9 days ago"
            in list_old_feeds(c, ["pypi"], now=after)["pypi"]
        )

    gone, judged = forget_feed(catalog, Settings(feeds=OFF), "osv")
    assert (gone.feeds, gone.records, gone.is_off) == (("osv", "osv PyPI"), 1, True)
    assert judged
    assert count_findings(catalog) == 0
    assert listed(catalog) == {}
    with catalog.read() as c:
        assert not find_affected(c, "X-1")
        assert not has_waiting(c)

    refresher(catalog, osv=site.url)("osv")
    assert count_findings(catalog) == 1, "told anew, though its file is what it was"


def test_one_file_of_a_feed_is_forgotten(catalog: Catalog, site: FeedSite) -> None:
    put(site, "PyPI/all.zip", pack_records(record("X-1", "PyPI", "a", "2.0")))
    put(site, "npm/all.zip", pack_records(record("N-1", "npm", "b", "2.0.0")))
    hold(catalog, pypi=("pypi", "a", "1.0"), npm=("npm", "b", "1.0.0"))
    refresher(catalog, osv=site.url)("osv")
    assert count_findings(catalog) == 2
    forget_feed(catalog, Settings(feeds=OFF), "osv npm")
    assert count_findings(catalog) == 1
    assert listed(catalog).keys() == {"osv", "osv PyPI"}


@pytest.mark.parametrize("feed", ["alpine-secdb", "kev"])
def test_what_is_forgotten_is_read_anew_though_it_is_the_same(
    catalog: Catalog, site: FeedSite, feed: str
) -> None:
    put(site, "v3.18/main.json", secdb("v3.18", "main", "1.2-r0"))
    put(site, "v3.18/community.json", secdb("v3.18", "community", "1.2-r0"))
    put(site, "kev.json", kev("CVE-2026-1001"))
    hold(catalog, apk=("alpine/3.18", "a", "1.1-r0"))
    run = refresher(catalog, alpine_secdb=site.url, kev=f"{site.url}kev.json")
    run(feed)
    records = listed(catalog)[feed].records
    assert records
    assert "unchanged" in run(feed).done[0]
    gone, _ = forget_feed(catalog, Settings(), feed)
    assert gone.records == records
    assert not gone.is_off
    assert listed(catalog) == {}
    assert "unchanged" not in run(feed).done[0]
    assert listed(catalog)[feed].records == records


def test_what_is_none_to_forget_is_refused(catalog: Catalog, site: FeedSite) -> None:
    put(site, "kev.json", kev("CVE-2026-1001"))
    refresher(catalog, kev=f"{site.url}kev.json")("kev")
    with pytest.raises(NotFound) as raised:
        forget_feed(catalog, Settings(), "osv")
    assert raised.value.hint == "known are kev"
    for name in ("apt", "clair"):
        with pytest.raises(UsageError):
            forget_feed(catalog, Settings(), name)


def test_a_part_that_fails_is_named_and_the_others_are_well(
    catalog: Catalog, site: FeedSite
) -> None:
    for release in ("v3.18", "v3.99"):
        put(site, f"{release}/main.json", secdb(release, "main", "1.2-r0"))
    put(site, "v3.18/community.json", secdb("v3.18", "community", "1.2-r0"))
    hold(catalog, apk=("alpine/3.18", "a", "1.1-r0"))
    with catalog.write() as c:
        number = put_scopes(c, {"alpine/3.99"})["alpine/3.99"]
        told = {"scope_id": number, "name": "a", "version": "1.1-r0", "pending": True}
        c.execute(component.insert(), [told | {"key": sort_key("apk", "1.1-r0")}])
    run = refresher(catalog, alpine_secdb=site.url)
    assert [one.subject for one in run("alpine-secdb").failed] == ["alpine-secdb v3.99/community"]

    kept = listed(catalog)
    assert kept["alpine-secdb"].state == "failing"
    assert kept["alpine-secdb"].last_good == NOON
    assert (kept["alpine-secdb"].last_error or "").startswith("alpine-secdb v3.99/community: ")
    assert {name: one.state for name, one in kept.items() if " " in name} == {
        "alpine-secdb v3.18/community": "well",
        "alpine-secdb v3.18/main": "well",
        "alpine-secdb v3.99/community": "never",
        "alpine-secdb v3.99/main": "well",
    }
    with catalog.read() as c:
        old = list_old_feeds(c, ["alpine/3.18", "alpine/3.99"], now=NOON + timedelta(days=1))
        assert old == {"alpine/3.99": "alpine-secdb v3.99/community was never read well"}
        later = list_old_feeds(c, ["alpine/3.99"], now=NOON + timedelta(days=3))["alpine/3.99"]
    assert later == (
        "alpine-secdb v3.99/community was never read well; alpine-secdb v3.99/main was last read"
        " well 3 days ago, on 2026-08-20"
    )


def test_a_list_of_the_tracker_that_fails_does_not_make_its_json_old(
    catalog: Catalog, tmp_path: Path
) -> None:
    folder = tmp_path / "tracker"
    (folder / "DSA").mkdir(parents=True)
    fault = {"releases": {"bookworm": {"status": "resolved", "fixed_version": "2"}}}
    (folder / "json").write_text(json.dumps({"a": {"CVE-2026-1": fault}}))
    (folder / "DSA" / "list").write_text("")
    run = refresher(catalog, debian_tracker=folder.as_uri() + "/")
    assert {one.subject for one in run("debian-tracker").failed} == {
        "debian-tracker DSA",
        "debian-tracker DLA",
    }
    kept = listed(catalog)
    assert kept["debian-tracker json"].state == "well"
    assert kept["debian-tracker json"].records == 1
    with catalog.read() as c:
        said = list_old_feeds(c, ["debian/bookworm"], now=NOON)["debian/bookworm"]
    assert said == (
        "debian-tracker DSA was never read well; debian-tracker DLA was never read well"
    )


def test_a_file_that_is_tried_once_and_fails_says_nothing_of_the_feed(
    catalog: Catalog, site: FeedSite, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"no archive")
    run = refresher(catalog, osv=bad.as_uri())
    assert run("osv", once=["osv"]).failed
    assert listed(catalog) == {}, "it was tried once, and nobody follows it"

    put(site, "PyPI/all.zip", pack_records(record("X-1", "PyPI", "a", "2.0")))
    hold(catalog, pypi=("pypi", "a", "1.0"))
    refresher(catalog, osv=site.url)("osv")
    before = listed(catalog)
    assert run("osv", at=NOON + timedelta(hours=1), once=["osv"]).failed
    assert listed(catalog) == before
    assert run("osv").failed
    assert listed(catalog)["osv"].state == "failing"


def test_a_mirror_is_not_asked_for_what_better_feeds_tell(catalog: Catalog, site: FeedSite) -> None:
    put(site, "PyPI/all.zip", pack_records(record("X-1", "PyPI", "a", "2.0")))
    put(site, "Debian/all.zip", pack_records(record("DSA-1-1", "Debian:12", "a", "2")))
    hold(
        catalog,
        pypi=("pypi", "a", "1.0"),
        deb=("debian/bookworm", "a", "1"),
        apk=("alpine/3.18", "a", "1.1-r0"),
    )
    settings = Settings(feeds={"osv": site.url, "alpine-secdb": False})
    refresh(catalog, settings, ["osv"], now=lambda: NOON)
    assert [path for path, _ in site.asked] == ["/Alpine/all.zip", "/PyPI/all.zip"]


def test_the_verb_lists_and_forgets(command: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "PyPI.zip"
    path.write_bytes(pack_records(record("X-1", "PyPI", "a", "2.0")))
    assert command.run("feeds").out == "No feed was read yet\n"
    command.run("refresh", "--from-file", f"osv={path}")
    found = command.run("feeds", "--format", "json").json()
    assert [(one["name"], one["state"], one["records"]) for one in found] == [
        ("osv", "well", 1),
        ("osv PyPI", "well", 1),
    ]
    assert found[1]["where"] == path.as_uri()
    said = command.run("feeds").out
    assert said.startswith("2 of 2 feeds and files of feeds are well")
    assert "osv PyPI" in said
    assert command.run("feeds", "list", "--format", "csv").out.startswith("kind,name,last_good,")
    config = tmp_path / "config.toml"
    config.write_text("[feeds]\nosv = false\n")
    assert "off" in command.run("--config", config, "feeds").out
    shutil.move(path, tmp_path / "gone.zip")
    said = command.run("--config", config, "feeds", "forget", "osv").err
    assert said.startswith("forgot osv: 1 record in 1 file; ")
    assert "told anew" not in said
    assert command.run("feeds", "--format", "json").json() == []
    assert "no feed 'osv'" in command.run("feeds", "forget", "osv", expect=3).err
