"""An engine's API on a Unix socket, with answers that a test sets; what was asked is kept."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

VERSION = {
    "Platform": {"Name": "Docker Engine - Community"},
    "Components": [{"Name": "Engine", "Version": "27.3.1"}, {"Name": "containerd"}],
    "Version": "27.3.1",
    "ApiVersion": "1.47",
    "MinAPIVersion": "1.24",
}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class EngineStub:
    """Answers by path without the version; a tuple is status and body, bytes are sent as they are."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {"/version": VERSION, "/containers/json": []}
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.asked.append(self.path)
                path = re.sub(r"^/v[0-9.]+/", "/", self.path)
                answer = stub.answers.get(path, (404, {"message": f"no such thing: {path}"}))
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                sent = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                with suppress(OSError):  # whoever asked may have been killed
                    self.wfile.write(sent)

            def address_string(self) -> str:
                return "a socket"

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(str(socket), Handler)

    @property
    def address(self) -> str:
        """As the settings have it."""
        return f"unix://{self.socket}"

    @contextmanager
    def serving(self) -> Iterator[EngineStub]:
        """Answers until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self.socket.unlink(missing_ok=True)


def engine_container(name: str, image: str = "nginx:1.27", **more: Any) -> dict[str, Any]:
    """One of the list, as Docker has it."""
    number = name.encode().hex().ljust(64, "0")[:64]
    return {
        "Id": number,
        "Names": [f"/{name}"],
        "Image": image,
        "ImageID": "sha256:" + 64 * "c",
        "Labels": {},
        "State": "running",
        "Status": "Up 2 hours",
        **more,
    }
