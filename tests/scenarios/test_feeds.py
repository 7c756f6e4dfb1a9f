"""Feeds as they come day by day: what changed is told, what is gone is forgotten, what broke is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bad_shop import CommandLine
from feed_site import FeedSite, pack, pack_records, record, serve_feeds
from sqlalchemy import select

from imagecatalog.config import Settings
from imagecatalog.jobs.refresh import refresh
from imagecatalog.planning.feed_ages import list_old_feeds, list_old_scores
from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.health import note_try
from imagecatalog.store.schema import advisory, component, epss, exploited
from imagecatalog.store.scopes import put_scopes

NOON = datetime(2026, 8, 20, 12, tzinfo=UTC)
SETTINGS = Settings(feeds={})


def some_records(count: int = 20, ecosystem: str = "PyPI") -> list[dict[str, Any]]:
    return [record(f"X-{n}", ecosystem, f"p{n}", "1.0") for n in range(count)]


def known(command: CommandLine, name: str) -> list[tuple[str, str, str | None]]:
    catalog = Catalog.open(command.database)
    with catalog.read() as c:
        found = find_affected(c, name) or ()
    catalog.close()
    return [(one.scope, one.name, one.fixed) for one in found]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FeedSite]:
    folder = tmp_path / "site"
    folder.mkdir()
    with serve_feeds(folder) as site:
        yield site


def put(site: FeedSite, path: str, body: bytes) -> None:
    (site.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (site.folder / path).write_bytes(body)


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def refresher(
    catalog: Catalog, clock: Callable[[], datetime] = lambda: NOON, **feeds: Any
) -> Callable[..., Any]:
    settings = Settings(feeds={name.replace("_", "-"): value for name, value in feeds.items()})
    return lambda *names: refresh(catalog, settings, names, now=clock)


def hold(c: Connection, scopes: set[str]) -> None:
    """A package of each of these scopes; a scope alone may be there because a feed tells of it."""
    rows = [
        {"scope_id": number, "name": "held", "version": "1", "key": b"1", "pending": False}
        for number in put_scopes(c, scopes | {"nuget", "alpine/3.1"}).values()
    ]
    others = put_scopes(c, {"nuget", "alpine/3.1"}).values()
    c.execute(component.insert(), [row for row in rows if row["scope_id"] not in others])


def test_osv_is_asked_of_the_ecosystems_that_the_catalog_holds(
    catalog: Catalog, site: FeedSite
) -> None:
    put(site, "PyPI/all.zip", pack_records(*some_records()))
    put(site, "crates.io/all.zip", pack_records(record("X-c", "crates.io", "c", "1.0.0")))
    put(site, "Rocky Linux/all.zip", pack_records(record("RLSA-1:1", "Rocky Linux:9", "r", "1-1")))
    run = refresher(catalog, osv=site.url)
    assert run("osv").done == ("osv: the catalog has no packages that it tells of",)
    with catalog.write() as c:
        hold(c, {"pypi", "cargo", "rocky/9", "fedora/40"})
    assert run("osv").done == ("osv: 22 records, 22 changed",)
    assert [path for path, _ in site.asked] == [
        "/PyPI/all.zip",
        "/Rocky%20Linux/all.zip",
        "/crates.io/all.zip",
    ]
    assert run("osv").done == ("osv: unchanged, 22 records",)
    assert [status for _, status in site.asked[3:]] == [304, 304, 304]
    put(site, "PyPI/all.zip", pack_records(*some_records()[1:], record("X-0", "PyPI", "p0", "2.0")))
    assert run("osv").done == ("osv: 22 records, 1 changed",)
    with catalog.read() as c:
        assert [one.fixed for one in find_affected(c, "X-0") or ()] == ["2.0"]


def test_debian_and_alpine_of_osv_are_left_to_their_own_feeds(
    catalog: Catalog, site: FeedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagecatalog.sources.feeds.OSV", site.url)
    with catalog.write() as c:
        hold(c, {"debian/bookworm", "alpine/3.18"})
    assert refresher(catalog)("osv").done == ("osv: the catalog has no packages that it tells of",)
    put(site, "Debian/all.zip", pack_records(record("DSA-1-1", "Debian:12", "a", "2")))
    told = refresher(catalog, debian_tracker=False)("osv")
    assert told.done == ("osv: 1 records, 1 changed",)
    with catalog.read() as c:
        assert [one.scope for one in find_affected(c, "DSA-1") or ()] == ["debian/bookworm"]


def test_what_is_no_longer_configured_is_forgotten(
    catalog: Catalog, site: FeedSite, tmp_path: Path
) -> None:
    put(site, "PyPI/all.zip", pack_records(*some_records()))
    with catalog.write() as c:
        hold(c, {"pypi"})
    refresher(catalog, osv=site.url)("osv")
    other = tmp_path / "other"
    other.mkdir()
    (other / "npm.zip").write_bytes(pack_records(record("N-1", "npm", "n", "1.0.0")))
    refresher(catalog, osv=(other / "npm.zip").as_uri())("osv")
    with catalog.read() as c:
        assert find_affected(c, "X-1"), "one file more replaces no other"
    refresher(catalog, osv=other.as_uri() + "/")("osv")
    with catalog.read() as c:
        assert not find_affected(c, "X-1")
        assert find_affected(c, "N-1")
    refresher(catalog, osv=site.url)("osv")
    with catalog.read() as c:
        assert find_affected(c, "X-1"), (
            "what was forgotten is told anew, though its file is the same"
        )


def test_what_a_distribution_told_itself_does_not_stay_fresh_by_others_word(
    catalog: Catalog,
) -> None:
    scopes = ("debian/bookworm", "alpine/3.18")
    names = (
        "debian-tracker",
        "osv Debian",
        "alpine-secdb v3.18/main",
        "alpine-secdb v3.18/community",
    )
    week = timedelta(days=7)
    with catalog.write() as c:
        for name in names:
            note_try(c, "feed", name, at=NOON, seconds=1, good_for=week)
        later = NOON + 2 * week
        for name in names[1:3]:
            note_try(c, "feed", name, at=later, seconds=1, good_for=week)
        assert list_old_feeds(c, scopes, now=later) == {
            "debian/bookworm": "debian-tracker was last read well 14 days ago, on 2026-08-20",
            "alpine/3.18": "alpine-secdb v3.18/community was last read well 14 days ago, on 2026-08-20",
        }
        note_try(c, "feed", names[3], at=later, seconds=1, good_for=week)
        assert list(list_old_feeds(c, scopes, now=later)) == ["debian/bookworm"]


def test_a_folder_has_archives_lines_and_records(command: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "osv"
    for path, body in {
        "PyPI/all.zip": pack_records(*some_records(3)),
        "npm.zip": pack_records(record("N-1", "npm", "n", "1.0.0")),
        "go.jsonl": b"\n".join(
            json.dumps(record(f"GO-{n}", "Go", "g", "1.0.0")).encode() for n in range(3)
        ),
        "single/R-1.json": json.dumps(record("R-1", "crates.io", "r", "1.0.0")).encode(),
        "single/notes.txt": b"not read",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    command.run("init")
    said = command.run("refresh", "--from-file", f"osv={folder}")
    assert "osv: 8 records, 8 changed" in said.err
    assert known(command, "R-1") == [("cargo", "r", "1.0.0")]
    assert known(command, "GO-2") == [("golang", "g", "1.0.0")]
    said = command.run("refresh", "--from-file", f"osv={folder}")
    assert "osv: unchanged, 8 records" in said.err
    (folder / "single" / "R-1.json").write_text(
        json.dumps(record("R-1", "crates.io", "r", "1.1.0"))
    )
    said = command.run("refresh", "--from-file", f"osv={folder}")
    assert "osv: 8 records, 1 changed" in said.err
    assert known(command, "R-1") == [("cargo", "r", "1.1.0")]
    said = command.run("refresh", "--from-file", f"osv={folder / 'single' / 'R-1.json'}")
    assert "osv: 1 records, 1 changed" in said.err
    (tmp_path / "empty").mkdir()
    for wrong, why in {"osv/single/notes.txt": "no file of OSV", "empty": "no record"}.items():
        said = command.run("refresh", "--from-file", f"osv={tmp_path / wrong}", expect=1)
        assert "osv: " in said.err
        assert why in said.err


def test_a_withdrawn_record_is_taken_back(command: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "PyPI.zip"
    command.run("init")
    records = some_records()
    path.write_bytes(pack_records(*records))
    command.run("refresh", "--from-file", f"osv={path}")
    assert known(command, "X-3")
    records[3] |= {"withdrawn": "2026-08-01T00:00:00Z", "summary": "Told twice."}
    path.write_bytes(pack_records(*records[:19]))
    said = command.run("refresh", "--from-file", f"osv={path}")
    assert "osv: 19 records, 2 changed" in said.err
    assert known(command, "X-3") == known(command, "X-19") == []


def test_one_broken_record_keeps_what_it_said(command: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "PyPI.zip"
    command.run("init")
    path.write_bytes(pack_records(*some_records()))
    command.run("refresh", "--from-file", f"osv={path}")
    bodies = {f"{one['id']}.json": json.dumps(one).encode() for one in some_records()}
    bodies["X-3.json"] = b'{"id": "X-3", "affected": 7}'
    bodies["X-4.json"] = json.dumps(record("X-4", "PyPI", "p4", "3.0")).encode()
    path.write_bytes(pack(bodies))
    said = command.run("refresh", "--from-file", f"osv={path}")
    assert (
        "20 records, 1 changed; 1 cannot be read, what they said before stands: X-3 (" in said.err
    )
    assert known(command, "X-3") == [("pypi", "p3", "1.0")]
    assert known(command, "X-4") == [("pypi", "p4", "3.0")]
    said = command.run("refresh", "--from-file", f"osv={path}")
    assert "osv: unchanged, 20 records; 1 cannot be read" in said.err


def secdb(*packages: dict[str, Any], release: str = "v3.18", repository: str = "main") -> bytes:
    whole = {"distroversion": release, "reponame": repository, "packages": packages}
    return json.dumps(whole).encode()


def fixes(name: str, **versions: list[str]) -> dict[str, Any]:
    return {"pkg": {"name": name, "secfixes": versions}}


def test_alpine_is_read_for_the_releases_of_the_catalog(catalog: Catalog, site: FeedSite) -> None:
    put(site, "v3.18/main.json", secdb(fixes("a", **{"1.2-r0": ["CVE-2026-1001"]})))
    put(site, "v3.18/community.json", secdb(release="v3.18", repository="community"))
    put(site, "edge/main.json", secdb(fixes("a", **{"1.3-r0": ["CVE-2026-1001"]}), release="edge"))
    run = refresher(catalog, alpine_secdb=site.url)
    assert run("alpine-secdb").done == ("alpine-secdb: the catalog has no image of Alpine",)
    with catalog.write() as c:
        hold(c, {"alpine/3.18", "alpine/edge", "debian/bookworm"})
    told = run("alpine-secdb")
    assert told.done == ("alpine-secdb: 2 packages, 2 changed",)
    assert [one.subject for one in told.failed] == ["alpine-secdb edge/community"]
    with catalog.read() as c:
        found = find_affected(c, "CVE-2026-1001") or ()
    assert [(one.scope, one.fixed) for one in found] == [
        ("alpine/3.18", "1.2-r0"),
        ("alpine/edge", "1.3-r0"),
    ]
    put(site, "v3.18/main.json", secdb(fixes("a"), release="v3.17"))
    told = run("alpine-secdb")
    assert "it is about v3.17/main and not about v3.18/main" in told.failed[0].message
    put(site, "v3.18/main.json", secdb())
    assert "it is empty" in run("alpine-secdb").failed[0].message


def test_one_file_of_alpine_says_itself_what_it_is(command: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(secdb(fixes("a", **{"1.2-r0": ["CVE-2026-1001"]}), repository="community"))
    command.run("init")
    said = command.run("refresh", "--from-file", f"alpine-secdb={path}")
    assert "alpine-secdb: 1 packages, 1 changed" in said.err
    assert known(command, "CVE-2026-1001") == [("alpine/3.18", "a", "1.2-r0")]


def kev(*names: str, due: str = "2026-09-01") -> bytes:
    entries = [
        {
            "cveID": name,
            "vulnerabilityName": f"fault {name}",
            "dateAdded": "2026-08-01",
            "dueDate": due,
            "knownRansomwareCampaignUse": "Known" if name.endswith("1") else "Unknown",
        }
        for name in names
    ]
    return json.dumps(
        {"catalogVersion": "v", "count": len(names), "vulnerabilities": entries}
    ).encode()


def test_exploited_faults_are_known_with_their_day(catalog: Catalog, site: FeedSite) -> None:
    names = [f"CVE-2026-{n}" for n in range(1001, 1021)]
    put(site, "kev.json", kev(*names))
    run = refresher(catalog, kev=f"{site.url}kev.json")
    assert run("kev").done == ("kev: 20 exploited faults of v, 20 changed",)
    query = (
        select(advisory.c.description, exploited.c.due, exploited.c.ransomware)
        .join(exploited, exploited.c.advisory_id == advisory.c.id)
        .where(advisory.c.name == "CVE-2026-1001")
    )
    with catalog.read() as c:
        assert tuple(c.execute(query).one()) == (
            "fault CVE-2026-1001",
            datetime(2026, 9, 1, tzinfo=UTC),
            True,
        )
    assert run("kev").done == ("kev: unchanged, 20 exploited faults of v",)
    put(site, "kev.json", kev(*names[1:]))
    assert run("kev").done == ("kev: 19 exploited faults of v, 1 changed",)
    for broken in (kev(*names[4:]), kev(), b"{}", kev(*names)[:-5]):
        put(site, "kev.json", broken)
        told = run("kev")
        assert [one.subject for one in told.failed] == ["kev"]
        assert not told.done
    with catalog.read() as c:
        assert len(c.execute(select(exploited)).all()) == 19


def scores(day: str, *rows: str) -> bytes:
    head = f"#model_version:v1,score_date:{day}T00:00:00Z\ncve,epss,percentile\n"
    return gzip.compress((head + "".join(f"{row}\n" for row in rows)).encode())


def kept_scores(catalog: Catalog) -> dict[str, tuple[float, datetime]]:
    query = select(advisory.c.name, epss.c.probability, epss.c.day).join(
        epss, epss.c.advisory_id == advisory.c.id
    )
    with catalog.read() as c:
        return {name: (value, day) for name, value, day in c.execute(query)}


def test_scores_are_kept_of_known_faults_and_of_one_day(catalog: Catalog, site: FeedSite) -> None:
    rows = [f"CVE-2026-{n},0.{n},0.5" for n in range(1001, 1041)]
    put(site, "epss.csv.gz", scores("2026-08-16", *rows))
    run = refresher(catalog, epss=f"{site.url}epss.csv.gz", kev=f"{site.url}kev.json")
    assert run("epss").done == ("epss: no feed has told of a fault that could have a score",)
    put(site, "kev.json", kev("CVE-2026-1001"))
    run("kev")
    assert run("epss").done == ("epss: 40 scores of 2026-08-16, 1 changed",)
    assert run("epss").done == ("epss: unchanged, 40 scores of 2026-08-16",)
    put(site, "kev.json", kev("CVE-2026-1001", "CVE-2026-1002"))
    run("kev")
    assert run("epss").done == ("epss: 40 scores of 2026-08-16, 1 changed",), (
        "new faults are scored"
    )
    then = datetime(2026, 8, 16, tzinfo=UTC)
    assert kept_scores(catalog) == {
        "CVE-2026-1001": (0.1001, then),
        "CVE-2026-1002": (0.1002, then),
    }
    put(site, "epss.csv.gz", scores("2026-08-17", *rows[1:]))
    run("epss")
    assert kept_scores(catalog) == {"CVE-2026-1002": (0.1002, datetime(2026, 8, 17, tzinfo=UTC))}
    for broken in (
        scores("2026-08-18", *rows[10:]),
        scores("2026-08-18"),
        scores("2026-08-18", *rows)[:-9],
        scores("2026-08-18", *rows, *["nothing"] * 20),
        b"",
    ):
        put(site, "epss.csv.gz", broken)
        assert [one.subject for one in run("epss").failed] == ["epss"]
    assert set(kept_scores(catalog)) == {"CVE-2026-1002"}


def test_a_feed_that_shrinks_is_refused_and_the_last_one_stays(
    command: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "PyPI.zip"
    command.run("init")
    path.write_bytes(pack_records(*some_records(100)))
    command.run("refresh", "--from-file", f"osv={path}")
    for broken in (
        pack_records(*some_records(89)),
        pack({}),
        b"",
        b"PK",
        pack_records(*some_records())[:-30],
    ):
        path.write_bytes(broken)
        said = command.run("refresh", "--from-file", f"osv={path}", expect=1)
        assert "osv PyPI" in said.err
        assert known(command, "X-99") == [("pypi", "p99", "1.0")]
    path.write_bytes(pack_records(*some_records(90)))
    assert "90 records, 10 changed" in command.run("refresh", "--from-file", f"osv={path}").err


def test_a_feed_that_is_old_says_so(catalog: Catalog, site: FeedSite) -> None:
    put(site, "PyPI/all.zip", pack_records(*some_records()))
    put(site, "kev.json", kev("CVE-2026-1001"))
    clock = Clock()
    run = refresher(catalog, clock, osv=site.url, kev=f"{site.url}kev.json")
    with catalog.write() as c:
        hold(c, {"pypi", "npm"})
    scopes = ("pypi", "npm", "debian/bookworm", "alpine/3.18", "fedora/40")

    def old(**after: float) -> dict[str, str]:
        with catalog.read() as c:
            return list_old_feeds(c, scopes, now=NOON + timedelta(**after))

    assert old() == {}, "nothing was asked of yet"
    run("osv", "kev")
    assert old(days=1.9) == {"npm": "osv npm was never read well"}
    assert old(days=5)["pypi"] == "osv PyPI was last read well 5 days ago, on 2026-08-20"
    with catalog.read() as c:
        assert list_old_scores(c, now=NOON + timedelta(days=6.9)) == ()
        (said,) = list_old_scores(c, now=NOON + timedelta(days=7.1))
    assert said == (
        "kev was last read well 7 days ago, on 2026-08-20: which faults are exploited may have"
        " changed since"
    )
    clock.now += timedelta(days=4)
    put(site, "npm/all.zip", pack_records(record("N-1", "npm", "n", "1.0.0")))
    run("osv")
    assert old(days=5) == {}, "unchanged is read well"
    put(site, "PyPI/all.zip", b"")
    clock.now += timedelta(days=3)
    run("osv")
    assert old(days=7) == {"pypi": "osv PyPI was last read well 3 days ago, on 2026-08-24"}


def test_how_long_a_feed_counts_is_configured(command: CommandLine, tmp_path: Path) -> None:
    command.run("init")
    path = tmp_path / "PyPI.zip"
    path.write_bytes(pack_records(*some_records()))
    config = tmp_path / "config.toml"
    config.write_text(f'[feeds]\nosv = "{path.as_uri()}"\n[feed_days]\nosv = 30\n')
    command.run("--config", config, "refresh", "osv")
    catalog = Catalog.open(command.database)
    with catalog.read() as c:
        now = datetime.now(UTC)
        assert list_old_feeds(c, ["pypi"], now=now + timedelta(days=29)) == {}
        assert list(list_old_feeds(c, ["pypi"], now=now + timedelta(days=31))) == ["pypi"]
    catalog.close()
    config.write_text("[feed_days]\nosv = 0\n")
    assert "no number of days" in command.run("--config", config, "refresh", "osv", expect=2).err


def test_from_file_names_each_feed_once(command: CommandLine, tmp_path: Path) -> None:
    command.run("init")
    path = tmp_path / "PyPI.zip"
    path.write_bytes(pack_records(*some_records()))
    twice = ("--from-file", f"osv={path}", "--from-file", f"osv={path}")
    assert "twice" in command.run("refresh", *twice, expect=2).err
