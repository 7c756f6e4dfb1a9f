"""Push agents tell what runs: whole scans and differences, twice, late, broken and too much."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from registration import NOON, Clock, asking, make_token

from imagecatalog.config import Settings
from imagecatalog.errors import InvalidBody
from imagecatalog.formats.scan_faults import FAULTS_SHOWN, read_scan
from imagecatalog.jobs.schedule import list_jobs
from imagecatalog.store import health, pushed
from imagecatalog.store.engine import Catalog
from imagecatalog.web.api.clusters import PACKED_LIMIT, SCAN_LIMIT

WEB = "registry.example.org/acme/web:1"
EARLIER = NOON - timedelta(hours=6)


def moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def container(pod: str = "web-1", image: str = WEB, **more: Any) -> dict[str, Any]:
    """A container of a whole scan."""
    told = {"namespace": "shop", "pod_name": pod, "workload": "Deployment/web", "container": "web"}
    return {**told, "image": image, **more}


def whole(at: datetime, *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"at": moment(at), "containers": list(containers), **more}


def pod(name: str, *images: str) -> dict[str, Any]:
    """A pod of differences."""
    containers = [
        {"workload": "Deployment/web", "container": f"c{number}", "image": image}
        for number, image in enumerate(images)
    ]
    return {"namespace": "shop", "name": name, "containers": containers}


def differences(at: datetime, base: datetime, *pods: dict[str, Any]) -> dict[str, Any]:
    return {"at": moment(at), "base": moment(base), "pods": list(pods)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(catalog: Catalog, clock: Clock) -> Iterator[TestClient]:
    with asking(catalog, clock, secret=make_token(catalog, "north", scopes=["record"])) as client:
        yield client


Tell = Callable[..., Any]


@pytest.fixture
def tell(client: TestClient) -> Tell:
    """Sends a body of which all is well; running, appeared, ended."""

    def send(body: dict[str, Any], cluster: str = "north") -> tuple[int, int, int]:
        answer = client.post(f"/api/v1/clusters/{cluster}/scan", json=body)
        told = answer.json()
        assert answer.status_code == (201 if told.get("created") else 200), answer.text
        assert (told["cluster"], told["at"]) == (cluster, body["at"])
        return told["running"], told["appeared"], told["ended"]

    return send


def problem(client: TestClient, body: Any, **more: Any) -> Any:
    """What is said of a body that is refused."""
    sent = {"json": body} if not isinstance(body, bytes) else {"content": body}
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    answer = client.post("/api/v1/clusters/north/scan", headers=headers, **sent, **more)
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def pods_at(client: TestClient, at: datetime | None = None) -> set[tuple[str, str]]:
    """The pods that ran, each with the image of its container."""
    query = {"at": moment(at)} if at else {}
    items = client.get("/api/v1/running", params=query).json()["items"]
    return {(one["pod_name"], one["image"]) for one in items}


# --- what is taken --------------------------------------------------------------------------------


def test_a_whole_scan_is_all_that_runs(tell: Tell, client: TestClient, catalog: Catalog) -> None:
    first = whole(EARLIER, container("a"), container("b"), container("b", kind="init"))
    assert tell(first) == (3, 3, 0)
    second = whole(NOON, container("b"), container("c", image="registry.example.org/other:2"))
    assert tell(second) == (2, 1, 2)
    assert pods_at(client) == {("b", WEB), ("c", "registry.example.org/other:2")}
    assert pods_at(client, EARLIER) == {("a", WEB), ("b", WEB)}
    with catalog.read() as c:
        (told,) = health.list_health(c)
    assert (told.kind, told.name, told.last_error, told.last_good) == (
        "cluster",
        "north",
        None,
        NOON,
    )
    assert told.detail == "2 containers, told by north"


def test_the_same_again_changes_nothing(
    tell: Tell, client: TestClient, catalog: Catalog, clock: Clock
) -> None:
    bodies = [
        whole(EARLIER, container("a"), container("b")),
        differences(NOON, EARLIER, pod("a"), pod("c", WEB)),
    ]
    assert [tell(body) for body in bodies] == [(2, 2, 0), (2, 1, 1)]
    before = pods_at(client), pods_at(client, EARLIER)
    clock.now += timedelta(hours=1)
    again = client.post("/api/v1/clusters/north/scan", json=bodies[0])
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert [tell(body) for body in bodies * 2] == [(2, 0, 0)] * 4
    assert (pods_at(client), pods_at(client, EARLIER)) == before


def test_differences_say_of_their_pods_alone(
    tell: Tell, client: TestClient, catalog: Catalog
) -> None:
    tell(whole(EARLIER, container("a"), container("b"), container("c")))
    middle = EARLIER + timedelta(hours=1)
    told = differences(middle, EARLIER, pod("a"), pod("b", "registry.example.org/acme/web:2"))
    assert tell(told) == (2, 1, 2)
    assert tell(differences(NOON, middle)) == (2, 0, 0)
    assert pods_at(client) == {("b", "registry.example.org/acme/web:2"), ("c", WEB)}


def test_differences_from_what_is_not_held_are_refused_for_the_whole(
    tell: Tell, client: TestClient, catalog: Catalog
) -> None:
    refused = problem(client, differences(NOON, EARLIER, pod("a", WEB)))
    assert (refused["status"], refused["code"]) == (409, "base-not-held")
    assert "is none" in refused["detail"]
    tell(whole(EARLIER, container("a")))
    later = EARLIER + timedelta(hours=1)
    tell(whole(later, container("b")))
    refused = problem(client, differences(NOON, EARLIER, pod("c", WEB)))
    assert refused["code"] == "base-not-held"
    assert moment(later) in refused["detail"]
    assert "whole" in refused["hint"]
    assert pods_at(client) == {("b", WEB)}
    with catalog.read() as c:
        assert [one.name for one in health.list_health(c)] == ["north"]


def test_differences_may_be_late(tell: Tell, client: TestClient, catalog: Catalog) -> None:
    middle = EARLIER + timedelta(hours=1)
    tell(whole(EARLIER, container("a")))
    tell(whole(NOON, container("c")))
    tell(differences(middle, EARLIER, pod("b", WEB)))
    assert pods_at(client) == {("c", WEB)}
    assert pods_at(client, middle) == {("a", WEB), ("b", WEB)}
    with catalog.read() as c:
        (told,) = health.list_health(c)
    assert told.last_good == NOON


def test_pods_that_were_not_understood_stand_as_they_were(
    tell: Tell, client: TestClient, catalog: Catalog
) -> None:
    tell(whole(EARLIER, container("a"), container("b")))
    unread = [{"namespace": "shop", "name": "a"}, {"namespace": "shop", "name": "never-met"}]
    tell(whole(NOON, container("c"), unread=unread, fault="2 pods are beyond understanding"))
    assert pods_at(client) == {("a", WEB), ("c", WEB)}
    with catalog.read() as c:
        (told,) = health.list_health(c)
    assert told.last_error == "2 pods are beyond understanding"


def test_of_late_scans_what_was_not_understood_stands_as_it_was_then(
    tell: Tell, client: TestClient
) -> None:
    middle = EARLIER + timedelta(hours=1)
    tell(whole(EARLIER, container("a", "registry.example.org/acme/web:0"), container("b")))
    tell(whole(NOON, container("a"), container("c")))
    late = whole(middle, unread=[{"namespace": "shop", "name": name} for name in "abc"])
    tell(late)
    tell(late)
    assert pods_at(client, middle) == {("a", "registry.example.org/acme/web:0"), ("b", WEB)}
    assert pods_at(client) == {("a", WEB), ("c", WEB)}


def test_a_failed_scan_ends_nothing_and_is_told(
    tell: Tell, client: TestClient, catalog: Catalog
) -> None:
    tell(whole(EARLIER, container("a")))
    failed = {"at": moment(NOON), "fault": "cluster north: no answer"}
    assert tell(failed) == (0, 0, 0)
    assert pods_at(client) == {("a", WEB)}
    with catalog.read() as c:
        (told,) = health.list_health(c)
    assert (told.last_error, told.last_good) == ("cluster north: no answer", EARLIER)
    assert tell(failed, "unheard-of") == (0, 0, 0)


def test_it_is_judged_soon_after(tell: Tell, catalog: Catalog) -> None:
    judge = next(job for job in list_jobs(catalog, Settings(database="")) if job.name == "judge")
    judge.run()
    assert not judge.is_asked_for()
    tell(whole(NOON, container("a")))
    assert judge.is_asked_for()
    assert judge.run().failed == ()
    assert not judge.is_asked_for()
    tell(whole(NOON + timedelta(minutes=1), container("a")))
    assert not judge.is_asked_for(), "nothing changed"


def test_gzip_is_taken_and_a_bomb_is_not(tell: Tell, client: TestClient, catalog: Catalog) -> None:
    packed = gzip.compress(json.dumps(whole(NOON, container("a"))).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    url = "/api/v1/clusters/north/scan"
    assert client.post(url, content=packed, headers=headers).json()["running"] == 1
    bomb = gzip.compress(b" " * (SCAN_LIMIT + 1))
    assert problem(client, bomb, headers=headers)["code"] == "body-too-large"
    assert problem(client, b" " * (PACKED_LIMIT + 1))["code"] == "body-too-large"
    assert problem(client, b"x" + packed, headers=headers)["code"] == "invalid-request"


# --- what is refused ------------------------------------------------------------------------------


def pointers(client: TestClient, body: Any) -> list[str]:
    return [fault["pointer"] for fault in problem(client, body)["errors"]]


def test_a_scan_from_the_time_to_come_is_refused(client: TestClient, tell: Tell) -> None:
    tell(whole(NOON + timedelta(minutes=5), container("a")))
    refused = problem(client, whole(NOON + timedelta(minutes=5, seconds=1)))
    (fault,) = refused["errors"]
    assert (refused["status"], fault["pointer"]) == (422, "/at")
    assert "301 seconds ahead" in fault["detail"]


def test_all_faults_are_told_at_once(client: TestClient, catalog: Catalog) -> None:
    body = {
        "at": "yesterday",
        "containers": [
            container("a"),
            container("b\0", kind="sidecar"),
            {"imge": WEB, "namespace": 7, "pod_name": "x" * 254},
            "c",
            container("d", image="x" * 2000, image_id="y" * 501),
        ],
        "unread": [{"namespace": "shop"}],
        "kind": "nomad",
        "more": 1,
    }
    assert sorted(pointers(client, body)) == [
        "/at",
        "/containers/1/kind",
        "/containers/1/pod_name",
        "/containers/2/container",
        "/containers/2/image",
        "/containers/2/imge",
        "/containers/2/namespace",
        "/containers/2/pod_name",
        "/containers/2/workload",
        "/containers/3",
        "/containers/4/image",
        "/kind",
        "/more",
        "/unread/0/name",
    ]
    assert pointers(client, whole(NOON, body["containers"][4])) == ["/containers/0/image"]
    again = differences(EARLIER, NOON, pod("a"), pod("b"), pod("a"))
    assert pointers(client, again) == ["/base", "/pods/2"]
    with catalog.read() as c:
        assert health.list_health(c) == ()
        assert pushed.last_scan(c, "north") is None


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'{"at":', b"\xff", b"[" * 100_000])
def test_what_is_no_scan_is_told_so(client: TestClient, body: bytes) -> None:
    assert pointers(client, body) == [""]


def test_faults_without_end_are_counted(client: TestClient) -> None:
    refused = problem(client, whole(NOON, *([{}] * 30_000)))
    assert len(refused["errors"]) == FAULTS_SHOWN
    assert "10000 faults; the first 100 are listed" in refused["detail"]


@pytest.mark.parametrize("name", ["-north", "a b", "n" * 201, "nörd"])
def test_a_cluster_has_a_name_as_in_the_settings(client: TestClient, name: str) -> None:
    answer = client.post(f"/api/v1/clusters/{name}/scan", json=whole(NOON))
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "name")


def test_it_wants_a_token_that_may(catalog: Catalog, clock: Clock) -> None:
    body = whole(NOON, container("a"))
    with asking(catalog, clock) as nobody:
        assert problem(nobody, body)["status"] == 401
    with asking(catalog, clock, secret=make_token(catalog, scopes=["register"])) as ci:
        assert problem(ci, body)["status"] == 403
    secret = make_token(catalog, "acme", scopes=["record"], repositories=["acme/*"])
    with asking(catalog, clock, secret=secret) as limited:
        assert limited.post("/api/v1/clusters/north/scan", json=body).status_code == 201
        later = NOON + timedelta(minutes=1)
        foreign = "registry.example.org/kube/pause:3"
        refused = problem(limited, whole(later, container("a"), container("b", image=foreign)))
        assert (refused["code"], foreign in refused["detail"]) == ("forbidden", True)
        refused = problem(limited, differences(later, NOON, pod("b", "No Name")))
        assert refused["code"] == "forbidden"


# --- any body -------------------------------------------------------------------------------------

TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["shop", "\0", "x" * 300, "init", ""]))
MOMENTS = st.one_of(
    st.sampled_from([moment(EARLIER), moment(NOON), "2026-11-24", "0001-01-01T00:00:00+10:00"]),
    st.integers(),
)
KEYS = ["namespace", "pod_name", "name", "workload", "container", "image", "kind", "state", "x"]
CONTAINERS = st.lists(st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=7), max_size=3)
PODS = st.lists(
    st.fixed_dictionaries({"namespace": TEXTS, "name": TEXTS, "containers": CONTAINERS}), max_size=3
)
BODIES = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    ),
    st.fixed_dictionaries(
        {"at": MOMENTS},
        optional={
            "base": MOMENTS, "containers": CONTAINERS, "pods": PODS, "fault": TEXTS, "kind": TEXTS
        },
    ),
)  # fmt: skip


@given(BODIES)
@settings(max_examples=200, deadline=None)
def test_any_body_is_taken_or_its_faults_are_told(body: Any) -> None:
    faults: tuple[tuple[str, str], ...] = ()
    try:
        scan: Any = read_scan(json.dumps(body).encode(), now=NOON)
    except InvalidBody as error:
        scan, faults = None, error.faults
    assert (scan is None) == bool(faults)
    assert all(where == "" or where.startswith("/") for where, _ in faults)
    assert scan is None or msgspec.to_builtins(scan)["at"]
