"""A server on this machine that answers as a test says, and the kubeconfig that leads to it."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagecatalog.config import ClusterSetting

Answer = Callable[["Handler", dict[str, str]], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: list[Answer]
    asked: list[dict[str, str]]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.asked.append(query | {"path": url.path, "auth": self.headers.get("Authorization", "")})
        answers = self.answers
        with contextlib.suppress(ConnectionError):
            (answers.pop(0) if len(answers) > 1 else answers[0])(self, query)

    def say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class Server:
    """A server with its kubeconfig; ``answers`` are given in turn, the last one for ever."""

    def __init__(self, tmp_path: Path, context: ssl.SSLContext | None = None) -> None:
        self.handler = type("Stub", (Handler,), {"answers": [], "asked": []})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        if context:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._http.server_port}"
        self._path = tmp_path / "kubeconfig"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def cluster(self, user: dict[str, Any] | None = None, **cluster: Any) -> ClusterSetting:
        self._path.write_text(json.dumps(make_kubeconfig(self.url, user, **cluster)))
        return ClusterSetting("eqiad", str(self._path))

    @property
    def asked(self) -> list[dict[str, str]]:
        return self.handler.asked

    def answer(self, *answers: Answer) -> None:
        self.handler.answers[:] = answers

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def make_kubeconfig(url: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    context: dict[str, Any] = {"cluster": "c"} | ({"user": "u"} if user else {})
    return {
        "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": url} | cluster}],
        "contexts": [{"name": "x", "context": context}],
        "users": [{"name": "u", "user": user}] if user else [],
    }


def pod(name: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"containers": [{"name": "main", "image": "registry.example.org/web:1"}]},
        "status": {"phase": "Running"},
    }


def status(code: int, message: str = "", **headers: str) -> Answer:
    body = json.dumps({"kind": "Status", "message": message, "code": code}).encode()
    return lambda handler, query: handler.say(code, body, **headers)
