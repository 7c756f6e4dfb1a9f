"""The agent and what it keeps: nothing lost while nobody listens, nothing told that was not seen."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.receipts import ScanReceipt
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import (
    BaseNotHeld,
    BodyTooLarge,
    CatalogError,
    Forbidden,
    InvalidBody,
    ScanRefused,
    SourceUnavailable,
    UsageError,
)
from imagecatalog.formats.pods import UnreadPod
from imagecatalog.formats.scan_faults import read_scan
from imagecatalog.formats.scans import (
    Differences,
    FailedScan,
    Scan,
    WholeScan,
    digest_pods,
    tell_differences,
    tell_whole,
)
from imagecatalog.jobs import agent_buffer
from imagecatalog.jobs.agent import Agent, Subject
from imagecatalog.jobs.agent_buffer import Base, Buffer
from imagecatalog.sources.kube import ClusterScan

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Pods = dict[str, str]
"""Image by pod."""


def contain(pods: Pods) -> list[RunningContainer]:
    return [
        RunningContainer(
            namespace="shop", workload="Deployment/web", pod_name=pod, container="web",
            kind="container", image=image, image_id="",
        )
        for pod, image in pods.items()
    ]  # fmt: skip


class Catalog:
    """A server of the simplest kind: what ran at each moment, by whole scans and differences."""

    def __init__(self) -> None:
        self.held: dict[datetime, Pods] = {}
        self.told: list[Scan] = []
        self.refusal: CatalogError | None = None
        self.failures: list[str] = []

    def __call__(self, cluster: str, body: bytes) -> bytes:
        scan = read_scan(body, now=NOON + 1000 * HOUR)
        self.told.append(scan)
        if self.refusal is not None:
            raise self.refusal
        if isinstance(scan, FailedScan):
            self.failures.append(scan.fault)
            return self._answer(cluster, scan, is_new=False)
        is_new = scan.at not in self.held
        before = max((at for at in self.held if at < scan.at), default=None)
        if isinstance(scan, WholeScan):
            now = {one.pod_name: one.image for one in scan.containers}
            now |= {one.name: self.held[before][one.name] for one in scan.unread if before}
        elif before is None or scan.base != before:
            raise BaseNotHeld("not held")
        else:
            now = dict(self.held[before])
            for pod in scan.pods:
                now.pop(pod.name, None)
                now.update((pod.name, one.image) for one in pod.containers)
        self.held.setdefault(scan.at, now)
        return self._answer(cluster, scan, is_new=is_new)

    def _answer(self, cluster: str, scan: Scan, *, is_new: bool) -> bytes:
        receipt = ScanReceipt(
            cluster=cluster, at=scan.at, running=0, appeared=0, ended=0, created=is_new
        )
        return msgspec.json.encode(receipt)


class Site:
    """A cluster with its agent, of which each run is one scan."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog()
        self.pods: Pods = {}
        self.unread: tuple[str, ...] = ()
        self.fault: CatalogError | None = None
        self.now = NOON
        self.lines: list[str] = []
        self.most_bytes = 1 << 20

    def scan(self) -> ClusterScan:
        if self.fault is not None:
            raise self.fault
        unread = tuple(UnreadPod("shop", name, "it is odd") for name in self.unread)
        return ClusterScan(contain(self.pods), unread)

    def run(self, *, pods: Pods | None = None) -> bool:
        """An hour later scan once and tell what waits."""
        self.now += HOUR
        self.pods = self.pods if pods is None else pods
        work = Agent(
            [Subject("north", self.scan)],
            self.catalog,
            folder=self.folder,
            every=3600,
            most_bytes=self.most_bytes,
            now=lambda: self.now,
            say=lambda line, is_fault: self.lines.append(("! " if is_fault else "") + line),
            stopping=threading.Event(),
        )
        return work.run(once=True)

    def waiting(self) -> int:
        return len(Buffer(self.folder / "north").waiting())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "buffer")


def test_the_first_is_whole_and_others_are_what_changed(site: Site) -> None:
    assert site.run(pods={"a": "x:1", "b": "x:1", "c": "x:1"})
    assert site.run(pods={"a": "x:1", "b": "x:2", "d": "x:1"})
    assert site.run()
    first, second, third = site.catalog.told
    assert isinstance(first, WholeScan)
    assert isinstance(second, Differences)
    assert isinstance(third, Differences)
    assert {(pod.name, len(pod.containers)) for pod in second.pods} == {
        ("b", 1),
        ("c", 0),
        ("d", 1),
    }
    assert third.pods == ()
    assert site.catalog.held[site.now] == {"a": "x:1", "b": "x:2", "d": "x:1"}


def test_what_waits_is_told_in_its_order(site: Site) -> None:
    site.run(pods={"a": "x:1"})
    site.catalog.refusal = SourceUnavailable("no connection")
    for number in range(3):
        assert not site.run(pods={"a": f"x:{number}"})
    assert site.waiting() == 3
    assert any("waiting to be told: 3 scans" in line for line in site.lines)
    site.catalog.refusal = None
    site.catalog.told.clear()
    assert site.run(pods={"b": "x:1"})
    assert site.waiting() == 0
    assert [type(one) for one in site.catalog.told] == [Differences] * 4
    assert list(site.catalog.held) == [NOON + n * HOUR for n in range(1, 6)]
    assert list(site.catalog.held.values())[1:4] == [{"a": f"x:{n}"} for n in range(3)]


def test_a_server_that_forgot_is_told_all(site: Site) -> None:
    site.run(pods={"a": "x:1", "b": "x:1"})
    site.catalog.held.clear()
    assert site.run(pods={"a": "x:1", "b": "x:2"})
    assert [type(one) for one in site.catalog.told] == [WholeScan, Differences, WholeScan]
    assert site.catalog.held[site.now] == {"a": "x:1", "b": "x:2"}
    site.run()
    assert isinstance(site.catalog.told[-1], Differences)


def test_a_moment_that_somebody_else_told_of_is_no_base(site: Site) -> None:
    site.run(pods={"a": "x:1"})
    site.catalog.held[site.now + HOUR] = {"z": "z"}
    assert site.run(pods={"a": "x:2"})
    assert site.run(pods={"a": "x:3"})
    assert isinstance(site.catalog.told[-1], WholeScan)
    assert site.catalog.held[site.now] == {"a": "x:3"}


def test_a_clock_that_was_set_back_has_all_told(site: Site) -> None:
    site.run(pods={"a": "x:1"})
    site.now -= 5 * HOUR
    assert site.run(pods={"b": "x:1"})
    assert isinstance(site.catalog.told[-1], WholeScan)
    assert site.catalog.held[NOON + HOUR] == {"a": "x:1"}


def test_a_failed_scan_is_none_and_is_told(site: Site) -> None:
    site.run(pods={"a": "x:1"})
    site.fault = SourceUnavailable("cluster north: no answer", hint="look")
    assert not site.run(pods={})
    assert site.catalog.failures == ["cluster north: no answer"]
    assert site.waiting() == 0
    site.catalog.refusal = SourceUnavailable("away")
    assert not site.run()
    assert site.lines[-1] == "! north: the server does not know that: away"
    site.fault = site.catalog.refusal = None
    assert site.run(pods={"a": "x:1"})
    assert site.catalog.told[-1].pods == ()  # type: ignore[union-attr]


def test_pods_that_are_not_understood_neither_change_nor_go(site: Site) -> None:
    site.unread = ("odd",)
    assert not site.run(pods={"a": "x:1"})
    assert site.catalog.told[0].fault.endswith("shop/odd: it is odd")
    site.unread = ()
    assert site.run(pods={"a": "x:1", "odd": "x:1"})
    site.unread = ("odd",)
    site.run(pods={"a": "x:2"})
    assert site.catalog.held[site.now] == {"a": "x:2", "odd": "x:1"}
    site.unread = ()
    site.run(pods={"a": "x:2", "odd": "x:1"})
    assert site.catalog.told[-1].pods == ()  # type: ignore[union-attr]
    site.unread = ("odd",)
    site.catalog.held.clear()
    site.run(pods={"a": "x:2"})
    site.unread = ()
    site.run(pods={"a": "x:2", "odd": "x:1"})
    assert site.catalog.held[site.now] == {"a": "x:2", "odd": "x:1"}


@pytest.mark.parametrize(
    "refusal",
    [InvalidBody([("/containers/0", "is odd")]), BodyTooLarge("too large"), ScanRefused("past")],
)
def test_what_is_refused_for_good_is_dropped_with_a_word(site: Site, refusal: CatalogError) -> None:
    site.catalog.refusal = refusal
    assert not site.run(pods={"a": "x:1"})
    assert site.waiting() == 0
    assert any("! north: dropped, as the server refuses it" in line for line in site.lines)


def test_what_may_be_taken_later_waits(site: Site) -> None:
    for refusal in (Forbidden("the token may not"), InvalidBody([("/at", "lies ahead")])):
        site.catalog.refusal = refusal
        assert not site.run(pods={"a": "x:1"})
    assert site.waiting() == 2
    assert any("not taken yet: /at lies ahead" in line for line in site.lines)


def test_an_answer_of_somebody_else_is_no_receipt(site: Site) -> None:
    def answer(cluster: str, body: bytes) -> bytes:
        return b"<html>"

    site.catalog = answer  # type: ignore[assignment]
    assert not site.run(pods={"a": "x:1"})
    assert site.waiting() == 1


# --- the buffer -----------------------------------------------------------------------------------


def whole(number: int, pods: int = 1) -> WholeScan:
    return tell_whole(
        contain({f"p{n}": f"x:{number}" for n in range(pods)}), at=NOON + number * HOUR
    )


def open_buffer(folder: Path, do: Callable[[Buffer], Any], **bounds: int) -> Any:
    with Buffer.open(folder, **bounds) as buffer:
        return do(buffer)


def test_the_oldest_go_where_too_much_waits(tmp_path: Path) -> None:
    def fill(buffer: Buffer) -> list[int]:
        return [buffer.put(whole(number)) for number in range(5)]

    assert open_buffer(tmp_path / "few", fill, most_scans=3) == [0, 0, 0, 1, 1]
    kept = Buffer(tmp_path / "few")
    assert [kept.read(path).at for path in kept.waiting()] == [whole(n).at for n in (2, 3, 4)]  # type: ignore[union-attr]
    size = kept.waiting()[0].stat().st_size
    assert sum(open_buffer(tmp_path / "small", fill, most_bytes=2 * size + 9)) == 3
    assert sum(path.stat().st_size for path in Buffer(tmp_path / "small").waiting()) < 2 * size + 9


def test_dropped_scans_are_told_in_the_log(site: Site) -> None:
    site.most_bytes = 1
    site.catalog.refusal = SourceUnavailable("away")
    site.run(pods={"a": "x:1"})
    site.run(pods={"a": "x:2"})
    assert site.waiting() == 1
    assert "! north: dropped, as too much waits: 1 older scan" in site.lines


def test_a_full_disk_has_scans_told_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agent_buffer.os, "fsync", refuse)
    assert site.run(pods={"a": "x:1"})
    assert site.run(pods={"a": "x:2"})
    assert [type(one) for one in site.catalog.told] == [WholeScan, WholeScan]
    assert any("cannot be kept in" in line and "No space left" in line for line in site.lines)
    assert not list(site.folder.rglob("*.new"))


@given(spoilt=st.binary(max_size=40), kind=st.sampled_from(["raw", "gzip", "cut"]))
@settings(max_examples=60, deadline=None)
def test_files_that_the_disk_spoilt_are_dropped(
    tmp_path_factory: pytest.TempPathFactory, spoilt: bytes, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("buffer")

    def spoil(buffer: Buffer) -> None:
        buffer.put(whole(1))
        (path,) = buffer.waiting()
        body = path.read_bytes()
        path.write_bytes(
            {"raw": spoilt, "gzip": gzip.compress(spoilt), "cut": body[: len(spoilt)]}[kind]
        )
        assert buffer.read(path) is None
        assert buffer.waiting() == []
        (folder / "base.msgpack").write_bytes(spoilt)
        assert buffer.base() is None

    open_buffer(folder, spoil)


def test_leftovers_go_and_nobody_shares(tmp_path: Path) -> None:
    (tmp_path / "scan-000000000007.json.gz.new").write_bytes(b"half")
    with Buffer.open(tmp_path) as buffer:
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        with pytest.raises(UsageError, match="another agent"), Buffer.open(tmp_path):
            pass
        buffer.note_base(Base.of(whole(3), {}))
    with Buffer.open(tmp_path) as buffer:
        base = buffer.base()
    assert base is not None
    assert (base.at, base.digests()) == (whole(3).at, digest_pods(whole(3)))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"), Buffer.open(tmp_path / "file"):
        pass


SCANS = st.lists(
    st.dictionaries(st.sampled_from("abcde"), st.sampled_from(["x:1", "x:2"])),
    min_size=2,
    max_size=8,
)


@given(SCANS, st.data())
@settings(max_examples=40, deadline=None)
def test_whenever_the_server_is_away_all_is_told(
    tmp_path_factory: pytest.TempPathFactory, scans: list[Pods], data: st.DataObject
) -> None:
    site = Site(tmp_path_factory.mktemp("buffer"))
    for pods in scans:
        happens = data.draw(st.sampled_from(["well", "away", "forgets", "lost answer"]))
        site.catalog.refusal = SourceUnavailable("away") if happens == "away" else None
        if happens == "forgets":
            for at in list(site.catalog.held)[-2:]:
                del site.catalog.held[at]
        site.run(pods=pods)
        if happens == "lost answer":
            # As after a kill between the server's answer and our note of it.
            (site.folder / "north" / "base.msgpack").unlink(missing_ok=True)
    site.catalog.refusal = None
    site.run()
    for number, pods in enumerate(scans, 1):
        held = site.catalog.held.get(NOON + number * HOUR)
        assert held is None or held == pods
    assert site.catalog.held[site.now] == scans[-1]


def test_differences_of_a_large_cluster_are_small() -> None:
    pods = {f"pod-{number}": "x:1" for number in range(20_000)}
    before = tell_whole(contain(pods), at=NOON)
    after = tell_whole(contain(pods | {"pod-7": "x:2", "new": "x:1"}), at=NOON + HOUR)
    told = tell_differences(after, NOON, digest_pods(before))
    assert [pod.name for pod in told.pods] == ["new", "pod-7"]
