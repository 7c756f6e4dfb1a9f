"""A server on the loopback that answers what a real DebMonitor was recorded to answer."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXCHANGE: dict[str, dict[str, Any]] = {
    one["name"]: one
    for one in json.loads(
        (Path(__file__).parents[1] / "data" / "debmonitor" / "exchange.json").read_text()
    )
}


class DebMonitorServer(ThreadingHTTPServer):
    """Knows the images that it was told of, and remembers every request (path, headers, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.images: set[str] = set()
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """What is answered to a path instead."""
        self.secure = False

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://localhost:{self.server_address[1]}"

    def told(self) -> list[str]:
        """The images and clusters it was told of since this was asked, in order."""
        found = [body.get("image_name") or body["cluster"] for _, _, body in self.seen]
        self.seen.clear()
        return found

    def bodies(self) -> dict[str, Any]:
        """The last body of each image and cluster."""
        return {body.get("image_name") or body["cluster"]: body for _, _, body in self.seen}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DebMonitorServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers.get(self.path) or self._answer(body)
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(answer))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: Any) -> tuple[int, dict[str, str], bytes]:
        if self.path == "/kubernetes/update":
            missing = [name for name in body["images"] if name not in self.server.images]
            recorded = EXCHANGE["cluster: one missing" if missing else "cluster: all known"]
            answer = json.dumps(recorded["answer"] | {"missing": missing}).encode()
        else:
            recorded, answer = EXCHANGE["a whole image"], b""
            assert self.path == f"/images/{body['image_name']}/update"
            self.server.images.add(body["image_name"])
        return recorded["status"], {"Content-Type": recorded["type"]}, answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(context: ssl.SSLContext | None = None) -> Iterator[DebMonitorServer]:
    """One for the time of the block, over TLS with a context."""
    server = DebMonitorServer()
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.secure = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
