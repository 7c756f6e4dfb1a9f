"""A Clair, and a registry, that answer as a test tells them: for what a real one does seldom."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

UPDATE = {"ref": "u1", "updater": "debian/updater", "date": "2026-11-20T10:00:00Z"}
Answering = Callable[["_Handler"], bool]
"""Answers a request and says so, or leaves it to the peer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        self.server.note(self)

    do_GET = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815

    def send(self, status: int, body: Any = None, **headers: str) -> None:
        """A whole answer, its body as JSON."""
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Peer(ThreadingHTTPServer):
    """Clair's three services and a registry in one; what it holds and met is there to be looked at."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"
        self.state = "s1"
        self.updates: dict[str, Any] = {"debian/updater": [UPDATE]}
        self.claims: dict[str, list[str]] = {}
        """Faults by digest, of the one package of each."""
        self.indexed: dict[str, Any] = {}
        self.notifications: dict[str, list[list[str]]] = {}
        """By name the images on each of its pages."""
        self.seen: Counter[str] = Counter()
        self.credentials: list[str] = []
        self.at_once = self.most_at_once = 0
        self.pause = 0.0
        self.odd: Answering | None = None
        self._lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that went away is no matter."""

    def note(self, handler: _Handler) -> None:
        """Count a request, and answer it."""
        path = handler.path.partition("?")[0]
        with self._lock:
            self.seen[f"{handler.command} {path}"] += 1
            if not path.startswith("/v2/"):
                self.credentials.append(handler.headers.get("Authorization", ""))
        if self.odd is None or not self.odd(handler):
            self._answer(handler, path)

    def count(self, start: str) -> int:
        """How many requests began so."""
        return sum(number for key, number in self.seen.items() if key.startswith(start))

    def _answer(self, handler: _Handler, path: str) -> None:
        name = path.rpartition("/")[2]
        match handler.command, path.rpartition("/")[0]:
            case _, found if found.startswith("/v2/"):
                handler.send(200)
            case "GET", "/indexer/api/v1":
                handler.send(200, {"state": self.state})
            case "POST", "/indexer/api/v1":
                self._index(handler)
            case "DELETE", "/indexer/api/v1":
                for digest in json.loads(handler.body):
                    self.indexed.pop(digest, None)
                handler.send(200, json.loads(handler.body))
            case "GET", "/matcher/api/v1/internal":
                handler.send(200, self.updates)
            case "GET", "/matcher/api/v1/vulnerability_report":
                self._report(handler, name)
            case "GET", "/notifier/api/v1/notification":
                self._page(handler, name)
            case "DELETE", "/notifier/api/v1/notification":
                self.notifications.pop(name, None)
                handler.send(200)
            case _:
                handler.send(404, {"code": "not-found", "message": "nothing is there"})

    def _index(self, handler: _Handler) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        time.sleep(self.pause)
        asked = json.loads(handler.body)
        with self._lock:
            self.at_once -= 1
            self.indexed[asked["hash"]] = asked
        whole = self._describe(asked["hash"]) | {"state": "IndexFinished", "success": True}
        handler.send(201, whole)

    def _report(self, handler: _Handler, digest: str) -> None:
        if not any(self.updates.values()):
            handler.send(202)
        elif digest not in self.indexed:
            handler.send(404, {"code": "not-found", "message": "no such report"})
        else:
            handler.send(200, self._describe(digest))

    def _describe(self, digest: str) -> dict[str, Any]:
        names = self.claims.get(digest, [])
        package = f"of-{digest[-6:]}"
        return {
            "manifest_hash": digest,
            "packages": {"1": {"name": package, "version": "1.0-1"}},
            "vulnerabilities": {
                name: {"name": name, "updater": "debian/updater", "package": {"name": package}}
                for name in names
            },
            "package_vulnerabilities": {"1": names},
        }

    def _page(self, handler: _Handler, name: str) -> None:
        pages = self.notifications.get(name, [[]])
        query = handler.path.partition("next=")[2]
        number = int(query.rpartition("-")[2]) if query else 0
        page: dict[str, Any] = {"size": 500}
        if number + 1 < len(pages):
            page["next"] = f"00000000-0000-0000-0000-{number + 1:012}"
        noted = [{"id": "x", "manifest": digest, "reason": "added"} for digest in pages[number]]
        handler.send(200, {"page": page, "notifications": noted})


@contextmanager
def answering() -> Iterator[Peer]:
    """A peer for the time of the block."""
    peer = Peer()
    thread = threading.Thread(target=peer.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield peer
    finally:
        peer.shutdown()
        thread.join()
        peer.server_close()
