"""A real Clair: it indexes what we hand it, we keep what it says, and what it does not say is unknown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clair_workplace import IMAGES, Tracker, Workplace, list_claims, make_tracker

from imagecatalog.config import ClairSetting
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import AccessDenied, Missing
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.second_opinions import compare
from imagecatalog.sources.clair import Clair, ClairInitialising
from imagecatalog.store.clair import list_held
from imagecatalog.store.lookups import resolve

pytestmark = [pytest.mark.real, pytest.mark.compiled]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, debian_fleet: Path) -> Iterator[Workplace]:
    """Images, registry, tracker and catalog; Clair is not started."""
    with Workplace(tmp_path_factory.mktemp("clair"), debian_fleet).working() as found:
        yield found


def test_clair_and_we(workplace: Workplace) -> None:
    """One story, for what Clair says rests on what happened before."""
    _down(workplace)
    _never_updated(workplace)
    tracker = _reports(workplace)
    _differences(workplace, tracker)
    _notification(workplace, tracker)
    _deletion(workplace)
    _killed(workplace)


def _down(workplace: Workplace) -> None:
    told = workplace.run("refresh", "clair", expect=1).stderr
    assert "no connection" in told
    assert "could not be asked" in (workplace.opinion("debian-minimal:12").unknown or "")


def _never_updated(workplace: Workplace) -> None:
    """Everything is indexed, the broken one apart, and nothing is clean."""
    workplace.clair.start(updates=False)
    told = workplace.run("refresh", "clair", expect=1).stderr
    assert "3 images indexed, 0 reports read" in told, told
    assert "failed: clair: Clair has never updated" in told
    assert f"{workplace.name('broken:1')}: Clair could not index" in told
    for name in IMAGES:
        opinion = workplace.opinion(f"debian-{name}:12")
        assert opinion.unknown == "Clair has never updated: it knows no faults yet"
        assert opinion.packages == len(workplace.installed[name])
    client = workplace.connect()
    with pytest.raises(ClairInitialising):
        client.report(Digest(workplace.digest("debian-minimal:12")))
    client.close()
    setting = ClairSetting(url=workplace.clair.url, psk="bm90IHRoZSBrZXk=")
    stranger = Clair(setting, now=lambda: datetime.now(UTC))
    with pytest.raises(AccessDenied):
        stranger.index_state()
    stranger.close()
    again = workplace.run("refresh", "clair", expect=1).stderr
    assert "0 images indexed" in again, "what is there is not handed over again, nor what failed"


def _reports(workplace: Workplace) -> Tracker:
    tracker = make_tracker(workplace.installed, workplace.codename)
    workplace.mirror.publish(tracker)
    workplace.clair.stop()
    workplace.clair.start()
    workplace.wait_for_update("")
    assert "3 reports read" in workplace.run("refresh", "clair").stderr
    for name in IMAGES:
        opinion = workplace.opinion(f"debian-{name}:12")
        assert opinion.unknown is None
        assert opinion.updated is not None
        said = {(remark.advisory, remark.package) for remark in opinion.remarks}
        assert said == list_claims(tracker, workplace.installed[name], workplace.codename)
        layers = {
            layer["digest"]
            for layer in workplace.ask("show", workplace.name(f"debian-{name}:12"))["layers"]
        }
        assert {remark.layer for remark in opinion.remarks} <= layers
        worst = opinion.remarks[0]
        assert (worst.severity, worst.updater) == ("critical", "debian/updater")
    assert "could not index" in (workplace.opinion("broken:1").unknown or "")
    assert "0 reports read" in workplace.run("refresh", "clair").stderr, "nothing changed"
    return tracker


def _differences(workplace: Workplace, tracker: Tracker) -> None:
    """Those that are to be expected of how Clair reads the tracker, and no other; each explained."""
    workplace.run("refresh", "debian-tracker")
    for name in IMAGES:
        image = workplace.name(f"debian-{name}:12")
        with workplace.catalog() as catalog, catalog.read() as c:
            ours = image_findings(c, image, now=datetime.now(UTC)).items
            differences = compare(c, resolve(c, image), ours)
        undetermined = {
            advisory
            for *_, source, _ in workplace.installed[name]
            for advisory, issue in tracker.get(source, {}).items()
            if issue["releases"][workplace.codename]["status"] == "undetermined"
        }
        assert undetermined
        assert {one.advisory for one in differences} == undetermined | {"CVE-2026-30000"}
        for difference in differences:
            assert difference.why is not None
            if difference.advisory in undetermined:
                assert difference.clair is not None
                assert "nobody has determined" in difference.why
            else:
                assert (difference.ours, difference.clair) == ("fix-out", None)
                assert "version of the binary package" in difference.why


def _notification(workplace: Workplace, tracker: Tracker) -> None:
    """An advisory more in the tracker: Clair tells our server, which fetches what it is about."""
    source = next(p[3] for p in workplace.installed["minimal"] if p[0] == "dpkg")
    release = {workplace.codename: {"status": "open", "urgency": "high"}}
    issue = {"description": "new", "releases": release}
    client = workplace.connect()
    before = client.updates().fingerprint
    client.close()
    workplace.mirror.publish(
        tracker | {source: {**tracker.get(source, {}), "CVE-2026-40000": issue}}
    )
    with workplace.serving():
        workplace.clair.stop()
        workplace.clair.start()
        workplace.wait_for_update(before)
        until = time.monotonic() + 150
        while (status := _receipts(workplace)) != ["deleted"]:
            assert time.monotonic() < until, (status, workplace.clair.log())
            time.sleep(0.5)
        while "1 notification" not in _last_words(workplace):
            assert time.monotonic() < until, (workplace.folder / "server.log").read_text()
            time.sleep(0.5)
    for name in IMAGES:
        said = {remark.advisory for remark in workplace.opinion(f"debian-{name}:12").remarks}
        assert "CVE-2026-40000" in said


def _last_words(workplace: Workplace) -> str:
    """How the server's own job with Clair last ended."""
    jobs = {job["name"]: job for job in workplace.get("/api/v1/jobs")["items"]}
    return str(jobs.get("clair", {}).get("detail"))


def _receipts(workplace: Workplace) -> list[str]:
    """How the notifier's notifications about images stand."""
    query = (
        "SELECT status FROM receipt WHERE notification_id IN (SELECT id FROM notification)"
        " ORDER BY ts"
    )
    return workplace.database.ask("notifier", query).split()


def _deletion(workplace: Workplace) -> None:
    """What the registry no longer has, and nobody runs, is no longer Clair's either."""
    gone, kept = (Digest(workplace.digest(f"debian-{name}:12")) for name in ("pending", "patched"))
    workplace.registry.delete("debian-pending:12")
    workplace.run("sync")
    assert "1 image deleted there" in workplace.run("refresh", "clair").stderr
    client = workplace.connect()
    with pytest.raises(Missing):
        client.report(gone)
    assert client.report(kept).manifest == kept
    client.close()
    with workplace.catalog() as catalog, catalog.read() as c:
        assert gone not in {held.digest for held in list_held(c)}


def _killed(workplace: Workplace) -> None:
    """A Clair that is down takes nothing back of what it said, and says so."""
    before = workplace.opinion("debian-minimal:12")
    assert before.unknown is None
    workplace.clair.stop()
    workplace.run("refresh", "clair", expect=1)
    after = workplace.opinion("debian-minimal:12")
    assert "could not be asked" in (after.unknown or "")
    assert (after.remarks, after.reported) == (before.remarks, before.reported)
