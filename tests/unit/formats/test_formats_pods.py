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
from imagecatalog.formats import pods
from imagecatalog.formats.pods import Owner, PodMeta, decode_page, find_workload, read_dump

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

    pod = PodMeta("pod", labels={"pod-template-hash": "5d4f8"}, owners=owners)

    assert find_workload(pod) == workload


def test_a_pod_of_nobody_and_one_whose_owner_does_not_control_it() -> None:
    assert find_workload(PodMeta("pod")) == "Pod/pod"
    assert find_workload(PodMeta("pod", owners=[])) == "Pod/pod"
    assert find_workload(PodMeta("pod", owners=[Owner("StatefulSet", "db")])) == "StatefulSet/db"


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
    monkeypatch.setattr(pods, "MAX_ITEM", 1 << 20)
    monkeypatch.setattr(pods, "MAX_PODS", 2)

    with pytest.raises(TooLarge):
        list(read_dump(io.BytesIO(b'{"kind": "' + b"x" * (4 << 20)), "dump"))
    with pytest.raises(BadDocument, match="more than 2 pods"):
        list(read_dump(io.BytesIO(dump(*[make_pod()] * 3)), "dump"))


def test_a_page_is_decoded_and_other_answers_are_named() -> None:
    page = decode_page(b'{"kind":"PodList","metadata":{"continue":"t"},"items":null}', "here")
    assert (page.items, page.metadata.next) == (None, "t")

    for body, said in [
        (b'{"kind":"Status"}', "answered with a Status"),
        (b"<html>", "cannot be read"),
        (b'{"kind":"PodList","items":[{}]}', "cannot be read"),
        (b'{"kind":"Pod\xff"}', "cannot be read"),
        (b'{"kind":"PodList","x":' + b"[" * 100_000, "too deeply"),
    ]:
        with pytest.raises(BadDocument, match=said):
            decode_page(body, "here")


def bytes_like_a_dump() -> Iterator[st.SearchStrategy[bytes]]:
    whole = dump(make_pod())
    yield st.binary(max_size=200)
    yield st.integers(0, len(whole)).map(lambda cut: whole[:cut] + b"}]" + whole[cut:])
    yield st.integers(0, len(whole) - 1).map(lambda at: whole[:at] + b"\xff" + whole[at + 1 :])


@settings(max_examples=150)
@given(st.one_of(*bytes_like_a_dump()))
def test_nothing_but_our_errors_comes_out(body: bytes) -> None:
    for read in (lambda: list(read_dump(io.BytesIO(body), "x")), lambda: decode_page(body, "x")):
        with contextlib.suppress(BadDocument):
            read()
