"""A Kubernetes API server's list of pods on the loopback, as the real one answers it.

Pages with ``continue`` tokens, gzip when asked, 401 without the right token, 403 with a ``Status``
body; the shapes were read off a kube-apiserver 1.20.
"""

from __future__ import annotations

import base64
import gzip
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 50
"""The most that this server gives at once, whatever is asked for."""


def make_pod(number: int, namespace: str, image: str, image_id: str) -> dict[str, Any]:
    """A running pod of a Deployment, with an init container of the same image."""
    name = f"web-{number}"
    status = {"name": "main", "image": image, "imageID": image_id, "ready": True, "restartCount": 0}
    return {
        "metadata": {
            "name": f"{name}-5d8c7f9b6d-x{number:04}",
            "namespace": namespace,
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "labels": {"app": name, "pod-template-hash": "5d8c7f9b6d"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-5d8c7f9b6d",
                 "uid": "u", "controller": True, "blockOwnerDeletion": True}
            ],
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {
            "initContainers": [{"name": "init", "image": image}],
            "containers": [{"name": "main", "image": image}],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [status | {"name": "init", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [status | {"state": {"running": {"startedAt": "2026-11-23T09:00:00Z"}}}],
        },
    }  # fmt: skip


class ApiServer:
    """Serves ``pods`` until closed; ``forbidden`` makes it answer 403.

    ``requests`` are those for pods; of namespaces it has none.
    """

    def __init__(self, pods: list[dict[str, Any]], *, forbidden: bool = False) -> None:
        self.pods = pods
        self.forbidden = forbidden
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig with this server and its token."""
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "c", "cluster": {"server": self.address}}],
                    "users": [{"name": "u", "user": {"token": "sesame"}}],
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return path

    def answer(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        """Status and body for one GET."""
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/api/v1/pods":
            self.requests.append(path)
        if token != "Bearer sesame":
            return 401, _failure(401, "Unauthorized", "Unauthorized")
        if self.forbidden:
            said = 'pods is forbidden: User "catalog" cannot list resource "pods"'
            return 403, _failure(403, "Forbidden", said)
        if url.path == "/api/v1/namespaces":
            return 200, {"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": []}
        if url.path != "/api/v1/pods":
            return 404, _failure(
                404, "NotFound", "the server could not find the requested resource"
            )
        start = int(base64.b64decode(query.get("continue", "MA==")))
        limit = min(int(query.get("limit") or PAGE), PAGE)
        left = max(0, len(self.pods) - start - limit)
        metadata: dict[str, Any] = {"resourceVersion": "675"}
        if left:
            token = base64.b64encode(str(start + limit).encode()).decode()
            metadata |= {"continue": token, "remainingItemCount": left}
        items = self.pods[start : start + limit]
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with suppress(ConnectionError):  # who asked was killed
                    super().handle()

            def do_GET(self) -> None:
                status, document = server.answer(self.path, self.headers.get("Authorization", ""))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if "gzip" in self.headers.get("Accept-Encoding", ""):
                    body = gzip.compress(body, 1)
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                pass

        return Handler


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    }  # fmt: skip
