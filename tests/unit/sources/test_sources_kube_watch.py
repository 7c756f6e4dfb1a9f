"""Lines of a watch, from a server on this machine that says them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_stub import Answer, Handler, Server, pod, status

from imagecatalog.errors import AccessDenied, BadDocument, SourceUnavailable, TooLarge
from imagecatalog.formats.pods import PodEvent, PodReader
from imagecatalog.sources.kube_server import ApiServer, Expired, KubeLimits
from imagecatalog.sources.kube_watch import follow_pods


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    stub = Server(tmp_path)
    yield stub
    stub.close()


def say(*lines: bytes, cut: bool = False) -> Answer:
    body = b"".join(line + b"\n" for line in lines)

    def answer(handler: Handler, query: dict[str, str]) -> None:
        handler.say(200, body, **({"Content-Length": str(len(body) + 9)} if cut else {}))
        handler.close_connection = True

    return answer


def event(kind: str, item: dict[str, Any], version: str = "") -> bytes:
    item = item | {"metadata": item.get("metadata", {}) | {"resourceVersion": version}}
    return json.dumps({"type": kind, "object": item}).encode()


def follow(server: Server, **limits: Any) -> list[PodEvent]:
    setting, bounds = server.cluster(), KubeLimits(**limits)
    with ApiServer(setting, bounds) as api:
        return list(follow_pods(api, PodReader(), version="7", teams={}, seconds=30.9))


def test_events_come_as_they_are_said(server: Server) -> None:
    server.answer(
        say(
            event("ADDED", pod("a"), "8"),
            event("DELETED", pod("b"), "9"),
            event("BOOKMARK", {"kind": "Pod"}, "12"),
        )
    )

    found = follow(server)

    assert [(one.kind, one.version) for one in found] == [
        ("ADDED", "8"),
        ("DELETED", "9"),
        ("BOOKMARK", "12"),
    ]
    assert [
        one.pod and (one.pod.name, len(getattr(one.pod, "containers", ()))) for one in found
    ] == [
        ("a", 1),
        ("b", 0),
        None,
    ]
    (asked,) = server.asked
    assert (asked["watch"], asked["resourceVersion"], asked["timeoutSeconds"]) == ("1", "7", "30")
    assert asked["allowWatchBookmarks"] == "true"


def test_a_watch_that_is_too_old_says_so_in_either_way(server: Server) -> None:
    server.answer(status(410))
    with pytest.raises(Expired):
        follow(server)

    server.answer(say(event("ERROR", {"kind": "Status", "code": 410})))
    with pytest.raises(Expired):
        follow(server)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (status(403, "cannot watch"), AccessDenied, "cannot watch"),
        (status(503), SourceUnavailable, "answered 503"),
        (say(event("ERROR", {"code": 500, "message": "etcd"})), SourceUnavailable, "ended: etcd"),
        (say(event("SYNC", {})), SourceUnavailable, "ended: SYNC"),
        (say(b"{}"), BadDocument, "cannot be read"),
        (say(b"<html>"), BadDocument, "cannot be read"),
        (say(b"x" * 200_000), TooLarge, "no end"),
        (say(event("ADDED", pod("a"), "8"), cut=True), SourceUnavailable, "broke off"),
    ],
)
def test_a_watch_that_ends_badly(
    server: Server, answer: Answer, error: type[SourceUnavailable], said: str
) -> None:
    server.answer(answer)

    with pytest.raises(error, match=said):
        follow(server, page_bytes=100_000)
