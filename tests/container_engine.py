"""An engine's API on a Unix socket, with answers that a test sets; what was asked is kept."""

from __future__ import annotations

import json
import re
import socketserver
import ssl
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


class _Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Remote(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        taken, address = super().get_request()
        taken.settimeout(10)
        return self.context.wrap_socket(taken, server_side=True), address


class EngineStub:
    """Answers by path without the version; a tuple is status and body, bytes are sent as they are.

    Without a socket it listens on a port, and speaks TLS.
    """

    def __init__(self, socket: Path | None, context: ssl.SSLContext | None = None) -> None:
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

        self._server: socketserver.BaseServer
        if socket is not None:
            self._server = _Local(str(socket), Handler)
            self.address = f"unix://{socket}"
        else:
            assert context is not None
            self._server = remote = _Remote(("127.0.0.1", 0), Handler)
            remote.context = context
            self.address = f"tcp://127.0.0.1:{remote.server_address[1]}"

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
            if self.socket is not None:
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
