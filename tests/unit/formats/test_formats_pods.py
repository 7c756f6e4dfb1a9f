"""Lists of pods: whose pod it is, what is left out, and what is not a list of pods."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.errors import BadDocument, CatalogError, TooDeep, TooLarge, Truncated
from imagecatalog.formats import pod_dumps
from imagecatalog.formats.pod_dumps import read_dump
from imagecatalog.formats.pod_objects import Owner, PodMeta
from imagecatalog.formats.pod_owners import find_workload
from imagecatalog.formats.pods import PodPage, PodReader, SeenPod, UnreadPod

DIGEST = "sha256:" + "1" * 64


def make_pod(name: str = "web-1", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "managedFields": [{"a": 1}]},
        "spec": {
            "containers": [{"name": "main", "image": "registry.example.org/web:1"}],
            "initContainers": [{"name": "migrate", "image": "registry.example.org/migrate:1"}],
            "ephemeralContainers": [{"name": "debug", "image": "debian"}],
        }
        | spec,
        "status": {
            "phase": phase,
            "containerStatuses": [
                {"name": "main", "image": "x", "imageID": f"registry.example.org/web@{DIGEST}"}
            ],
            "initContainerStatuses": None,
        },
    }


def dump(*items: Any, **more: Any) -> bytes:
    return json.dumps(
        {"apiVersion": "v1", "items": items, "kind": "List"} | more, indent=4
    ).encode()


class Slow(io.RawIOBase):
    """A stream that gives a few bytes a read."""

    def __init__(self, body: bytes, step: int) -> None:
        self._stream, self._step = io.BytesIO(body), step

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(self._step)


def read_page(body: bytes, *keys: str, **teams: str) -> PodPage:
    return PodReader(keys).read_page(body, "here", teams)


def see(pod: dict[str, Any], *keys: str, **teams: str) -> SeenPod | UnreadPod:
    page = read_page(json.dumps({"kind": "PodList", "items": [pod]}).encode(), *keys, **teams)
    (found,) = (*page.pods, *page.unread)
    return found


def test_what_containers_do_and_why() -> None:
    pod = make_pod()
    pod["status"]["containerStatuses"][0]["state"] = {
        "waiting": {"reason": "ImagePullBackOff", "message": "x"}
    }
    pod["status"]["initContainerStatuses"] = [
        {"name": "migrate", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
    ]
    pod["status"]["ephemeralContainerStatuses"] = [{"name": "debug", "state": {"running": {}}}]

    found = see(pod)

    assert isinstance(found, SeenPod)
    assert [(c.container, c.state, c.reason) for c in found.containers] == [
        ("migrate", "terminated", "Completed"),
        ("main", "waiting", "ImagePullBackOff"),
        ("debug", "running", ""),
    ]


def test_a_status_that_contradicts_the_specification() -> None:
    """What runs counts, whichever of both names it."""
    pod = make_pod(phase="Succeeded")
    assert see(pod) == SeenPod("shop", "web-1", ())
    pod["status"]["containerStatuses"] = [
        {"name": "other", "image": "x:1", "imageID": DIGEST, "state": {"running": {}}},
        {"name": "other", "image": "x:2", "state": {"waiting": {}}},
        {"name": "third", "image": "y:1", "state": None},
    ]
    pod["status"]["containerStatuses"].reverse()

    found = see(pod)

    assert isinstance(found, SeenPod)
    assert [(c.kind, c.container, c.image, c.image_id, c.state) for c in found.containers] == [
        ("init", "migrate", "registry.example.org/migrate:1", "", ""),
        ("container", "main", "registry.example.org/web:1", "", ""),
        ("container", "third", "y:1", "", ""),
        ("container", "other", "x:1", DIGEST, "running"),
        ("ephemeral", "debug", "debian", "", ""),
    ]


@pytest.mark.parametrize(
    "name", ["a b", "web\n-1", "\x1b[31mred", "\u202egnp", "名前", "💥", "/", "''--"]
)
def test_names_with_odd_characters_are_kept_as_they_are(name: str) -> None:
    found = see(make_pod(name))

    assert isinstance(found, SeenPod)
    assert {(c.pod_name, c.workload) for c in found.containers} == {(name, f"Pod/{name}")}


@pytest.mark.parametrize(
    "spoil",
    [
        {"containers": [{"name": "x" * 300}]},
        {"containers": [{"name": "a\0b"}]},
        {"containers": [{"name": "main", "image": "é" * 2000}]},
        {"containers": [{"image": "x"}]},
        {"containers": {}},
        {"initContainers": [3]},
    ],
)
def test_a_pod_that_cannot_be_understood_is_known_by_its_name(spoil: dict[str, Any]) -> None:
    found = see(make_pod(**spoil))

    assert isinstance(found, UnreadPod)
    assert (found.namespace, found.name) == ("shop", "web-1")
    assert found.why


def test_the_first_key_that_is_there_names_the_team() -> None:
    pod = make_pod()
    pod["metadata"] |= {
        "labels": {"owner": "", "example.org/squad": "blue"},
        "annotations": {"owner": "search", "long": "x" * 300, "nul": "a\0"},
    }

    def team(*keys: str, **teams: str) -> str:
        found = see(pod, *keys, **teams)
        assert isinstance(found, SeenPod)
        return found.containers[0].team

    assert team() == ""
    assert team("owner", "example.org/squad") == "search"
    assert team("example.org/squad", "owner", shop="sales") == "blue"
    assert team("team", shop="sales") == "sales"
    assert team("long", "nul", shop="sales") == "sales"
    assert team("team", other="sales") == ""


def test_teams_of_namespaces() -> None:
    items = [
        {"metadata": {"name": "shop", "labels": {"team": "sales"}}},
        {"metadata": {"name": "mail", "annotations": {"team": "post"}}},
        {"metadata": {"name": "bare"}},
    ]
    body = {"kind": "NamespaceList", "metadata": {"continue": "t"}, "items": items}
    reader = PodReader(("team",))

    assert reader.read_namespaces(json.dumps(body).encode(), "here") == (
        {"shop": "sales", "mail": "post"},
        "t",
    )
    for wrong in (b"{}", b"[", b'{"kind":"Status"}', b'{"kind":' + b"[" * 100_000):
        with pytest.raises(BadDocument, match="here"):
            reader.read_namespaces(wrong, "here")


def test_events_of_a_watch() -> None:
    def read(kind: str, item: Any) -> Any:
        line = json.dumps({"type": kind, "object": item}).encode()
        return PodReader(()).read_event(line, "here", {})

    pod = make_pod()
    pod["metadata"]["resourceVersion"] = "12"
    event = read("MODIFIED", pod)
    assert (event.version, len(event.pod.containers)) == ("12", 3)
    assert read("DELETED", pod).pod == SeenPod("shop", "web-1", ())
    assert isinstance(read("ADDED", make_pod(containers={})).pod, UnreadPod)
    assert read("DELETED", make_pod(containers={})).pod == SeenPod("shop", "web-1", ())
    mark = read("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "13"}})
    assert (mark.kind, mark.pod, mark.version) == ("BOOKMARK", None, "13")
    error = read("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
    assert (error.kind, error.code, error.message) == ("ERROR", 410, "too old")
    for line in (b"", b"{}", b'{"type":"ADDED","object":{}}', b'{"type":' + b"[" * 100_000):
        with pytest.raises(BadDocument, match="here"):
            PodReader(()).read_event(line, "here", {})


def test_every_kind_of_container_with_what_the_runtime_reports() -> None:
    found = list(read_dump(io.BytesIO(dump(make_pod())), "dump"))

    assert [(c.kind, c.container, c.image_id) for c in found] == [
        ("init", "migrate", ""),
        ("container", "main", f"registry.example.org/web@{DIGEST}"),
        ("ephemeral", "debug", ""),
    ]
    assert {(c.namespace, c.pod_name, c.workload) for c in found} == {
        ("shop", "web-1", "Pod/web-1")
    }
    assert found[1].image == "registry.example.org/web:1"


def test_pods_that_ended_do_not_run() -> None:
    phases = ["Running", "Pending", "Succeeded", "Failed", "Unknown"]

    found = read_dump(io.BytesIO(dump(*(make_pod(phase, phase) for phase in phases))), "dump")

    assert {c.pod_name for c in found} == {"Running", "Pending", "Unknown"}


@pytest.mark.parametrize(
    ("kind", "name", "workload"),
    [
        ("ReplicaSet", "web-5d4f8", "Deployment/web"),
        ("ReplicaSet", "web-other", "ReplicaSet/web-other"),
        ("ReplicaSet", "web-77abc", "Rollout/web"),
        ("ReplicaSet", "-5d4f8", "ReplicaSet/-5d4f8"),
        ("StatefulSet", "db", "StatefulSet/db"),
        ("DaemonSet", "logs", "DaemonSet/logs"),
        ("Job", "report-29386080", "CronJob/report"),
        ("Job", "report-1763164800", "CronJob/report"),
        ("Job", "migrate-20261123", "Job/migrate-20261123"),
        ("Job", "migrate-3", "Job/migrate-3"),
        ("Job", "29386080", "Job/29386080"),
        ("Rollout", "web", "Rollout/web"),
        ("Node", "node-1", "Pod/pod"),
    ],
)
def test_whose_pod_it_is(kind: str, name: str, workload: str) -> None:
    owners = [Owner("Other", "first", None), Owner(kind, name, controller=True)]

    pod = PodMeta[Any](
        "pod",
        labels={"pod-template-hash": "5d4f8", "rollouts-pod-template-hash": "77abc"},
        owners=owners,
    )

    assert find_workload(pod) == workload


def test_a_pod_of_nobody_and_one_whose_owner_does_not_control_it() -> None:
    assert find_workload(PodMeta[Any]("pod")) == "Pod/pod"
    assert find_workload(PodMeta[Any]("pod", owners=[])) == "Pod/pod"
    assert (
        find_workload(PodMeta[Any]("pod", owners=[Owner("StatefulSet", "db")])) == "StatefulSet/db"
    )


@pytest.mark.parametrize("step", [1, 7, 100, 1 << 20])
def test_a_dump_reads_the_same_however_it_comes(step: int) -> None:
    body = dump(*(make_pod(f"pod-{n}-é") for n in range(3)), metadata={"resourceVersion": ""})

    found = list(read_dump(Slow(body, step), "dump"))  # type: ignore[arg-type]

    assert len(found) == 9
    assert found[-1].pod_name == "pod-2-é"


def test_a_dump_of_an_api_server_and_one_with_a_byte_order_mark() -> None:
    body = json.dumps({"kind": "PodList", "metadata": {}, "n": 12, "items": [make_pod()]}).encode()

    assert len(list(read_dump(io.BytesIO(b"\xef\xbb\xbf" + body), "dump"))) == 3
    assert list(read_dump(io.BytesIO(dump()), "dump")) == []


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b"", Truncated, "ends before"),
        (b'{"kind":"List","items":[', Truncated, "ends before"),
        (dump(make_pod())[:-1], Truncated, "ends before"),
        (dump(make_pod())[:300], Truncated, "ends before"),
        (b"[]", BadDocument, "not a JSON object"),
        (b"Error from server (Forbidden)", BadDocument, "not a JSON object"),
        (b'{"kind":"Status","message":"Unauthorized"}', BadDocument, "is a Status"),
        (b'{"kind":"List","items":{}}', BadDocument, "not a list"),
        (
            dump({"kind": "Service", "metadata": {"name": "x"}, "spec": {}}),
            BadDocument,
            "a Service",
        ),
        (dump(3), BadDocument, "pod 1"),
        (dump(make_pod(), make_pod(containers="x")), BadDocument, "pod 2"),
        (dump(make_pod(name="x" * 2000)), BadDocument, "length"),
        (dump(metadata={"continue": "abc"}), Truncated, "one page of a longer list"),
        (b'{"items":' + b"[" * 100_000, TooDeep, "nested"),
        (b'{"kind":"List","items":[' + b'{"a":' * 100_000, TooDeep, "nested"),
        (b"\xff\xfe{\x00", BadDocument, "UTF-8"),
        (b'{"kind" "List", "items": [], "metadata": {}}', BadDocument, "not JSON"),
        (b'{"kind": List,   "items": [], "metadata": {}}', BadDocument, "not JSON"),
    ],
)
def test_what_is_not_a_dump_of_pods(body: bytes, error: type[CatalogError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        list(read_dump(io.BytesIO(body), "pods.json"))

    assert str(caught.value).startswith("pods.json: ")


def test_a_value_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_dumps, "MAX_ITEM", 1 << 20)
    monkeypatch.setattr(pod_dumps, "MAX_PODS", 2)

    with pytest.raises(TooLarge):
        list(read_dump(io.BytesIO(b'{"kind": "' + b"x" * (4 << 20)), "dump"))
    with pytest.raises(BadDocument, match="more than 2 pods"):
        list(read_dump(io.BytesIO(dump(*[make_pod()] * 3)), "dump"))


def test_a_page_is_decoded_and_other_answers_are_named() -> None:
    page = read_page(b'{"kind":"PodList","metadata":{"continue":"t"},"items":null}')
    assert (page.pods, page.next, page.left, page.version) == ((), "t", 0, "")
    head = b'{"continue":null,"remainingItemCount":7,"resourceVersion":"9"}'
    page = read_page(b'{"kind":"PodList","metadata":' + head + b"}")
    assert (page.next, page.left, page.version) == ("", 7, "9")

    for body, said in [
        (b'{"kind":"Status"}', "answered with a Status"),
        (b"<html>", "cannot be read"),
        (b'{"kind":"PodList","items":[{}]}', "cannot be read"),
        (b'{"kind":"Pod\xff"}', "cannot be read"),
        (b'{"kind":"PodList","x":' + b"[" * 100_000, "too deeply"),
    ]:
        with pytest.raises(BadDocument, match=said):
            read_page(body)


def bytes_like_a_dump() -> Iterator[st.SearchStrategy[bytes]]:
    whole = dump(make_pod())
    yield st.binary(max_size=200)
    yield st.integers(0, len(whole)).map(lambda cut: whole[:cut] + b"}]" + whole[cut:])
    yield st.integers(0, len(whole) - 1).map(lambda at: whole[:at] + b"\xff" + whole[at + 1 :])


@settings(max_examples=150)
@given(st.one_of(*bytes_like_a_dump()))
def test_nothing_but_our_errors_comes_out(body: bytes) -> None:
    for read in (lambda: list(read_dump(io.BytesIO(body), "x")), lambda: read_page(body)):
        with contextlib.suppress(BadDocument):
            read()
