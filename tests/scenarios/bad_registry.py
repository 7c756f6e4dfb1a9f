"""A registry on the loopback that says what a test wants, true or not, and images to put into it."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
STATUS = "var/lib/dpkg/status"
OS_RELEASE = b'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'


def paragraph(name: str, version: str = "1.0-1", **more: str) -> str:
    """One installed package of a dpkg status file."""
    fields = {"Package": name, "Status": "install ok installed", "Architecture": "amd64"}
    fields |= {"Version": version} | more
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def status(**packages: str) -> bytes:
    """A dpkg status file of these packages and versions."""
    return "\n".join(paragraph(name, version) for name, version in packages.items()).encode()


def member(
    name: str, body: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = ""
) -> bytes:
    """One entry of a tar archive, however odd its name."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(body), kind, target
    return info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % 512)


def tar(*members: bytes) -> bytes:
    """The members as a whole archive."""
    return b"".join(members) + bytes(1024)


def layer(files: Mapping[str, bytes]) -> bytes:
    """A gzip layer of these files."""
    return gzip.compress(tar(*(member(name, body) for name, body in files.items())), mtime=0)


def debian(files: Mapping[str, bytes] | None = None, **packages: str) -> bytes:
    """A layer of Debian 12 with these packages and these more (or other) files."""
    files = {"etc/os-release": OS_RELEASE, STATUS: status(**packages)} | dict(files or {})
    return layer(files)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: BadRegistry

    def do_GET(self) -> None:
        self.server.answer(self)

    do_HEAD = do_GET  # noqa: N815

    def send(
        self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """A whole answer; a HEAD gets the same without its body."""
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


Answering = Callable[[Handler], None]


class BadRegistry(ThreadingHTTPServer):
    """Serves images whole and truly, and at the paths of ``lies`` whatever a test put there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"
        self.tags: dict[str, dict[str, Digest]] = {}
        self.manifests: dict[Digest, tuple[str, bytes]] = {}
        self.blobs: dict[Digest, bytes] = {}
        self.lies: dict[str, Answering] = {}
        """By a pattern that matches a whole ``METHOD PATH``, or a path alone."""
        self.closing = threading.Event()
        self.asked: list[str] = []
        """Every ``METHOD PATH`` so far."""

    def add(self, content: bytes, media_type: str) -> dict[str, Any]:
        """Keep a blob; its descriptor."""
        digest = Digest.of(content)
        self.blobs[digest] = content
        return {"mediaType": media_type, "digest": str(digest), "size": len(content)}

    def add_manifest(self, document: object, media_type: str) -> dict[str, Any]:
        """Keep a manifest (a document, or its very bytes); its descriptor."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = Digest.of(body)
        self.manifests[digest] = media_type, body
        return {"mediaType": media_type, "digest": str(digest), "size": len(body)}

    def add_image(self, *layers: bytes, config: bytes | None = None) -> dict[str, Any]:
        """Keep an image of these layers, from the lowest; its descriptor."""
        if config is None:
            ids = [str(Digest.of(content)) for content in layers]
            document = {
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": ids},
            }
            config = json.dumps(document).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.add(config, OCI_CONFIG),
            "layers": [self.add(content, LAYER) for content in layers],
        }
        return self.add_manifest(manifest, OCI_MANIFEST)

    def add_index(self, *members: dict[str, Any]) -> dict[str, Any]:
        """Keep an index; its descriptor."""
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members}
        return self.add_manifest(index, OCI_INDEX)

    def tag(self, repository: str, target: dict[str, Any], tag: str = "1") -> Digest:
        """Have a tag point to what a descriptor describes."""
        digest = Digest(target["digest"])
        self.tags.setdefault(repository, {})[tag] = digest
        return digest

    def answer(self, handler: Handler) -> None:
        """The lie for this path, else the truth."""
        path = handler.path.partition("?")[0]
        self.asked.append(f"{handler.command} {path}")
        for pattern, lie in self.lies.items():
            if re.fullmatch(pattern, path) or re.fullmatch(pattern, f"{handler.command} {path}"):
                lie(handler)
                return
        self.tell_truth(handler)

    def tell_truth(self, handler: Handler) -> None:
        """As a registry answers (OCI distribution specification)."""
        path = handler.path.partition("?")[0]
        if path == "/v2/_catalog":
            handler.send(body=json.dumps({"repositories": list(self.tags)}).encode())
        elif listed := re.fullmatch(r"/v2/(.+)/tags/list", path):
            tags = list(self.tags.get(listed[1], ()))
            handler.send(body=json.dumps({"name": listed[1], "tags": tags}).encode())
        elif named := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            digest = self.tags.get(named[1], {}).get(named[2]) or Digest(named[2])
            found = self.manifests.get(digest)
            if found is None:
                handler.send(404)
                return
            headers = {"Content-Type": found[0], "Docker-Content-Digest": str(digest)}
            handler.send(body=found[1], headers=headers)
        elif (blob := re.fullmatch(r"/v2/.+/blobs/(.+)", path)) and Digest(blob[1]) in self.blobs:
            handler.send(body=self.blobs[Digest(blob[1])])
        else:
            handler.send(404)

    def handle_error(self, *_: object) -> None:
        """A client that went away is what many tests are about."""


@contextmanager
def serve() -> Iterator[BadRegistry]:
    """A registry for the time of the block."""
    server = BadRegistry()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


# --- ways to answer badly -----------------------------------------------------------------------


def refuse(code: int, **headers: str) -> Answering:
    """This status, and a body that says nothing."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: handler.send(code, b"no", named)


def say(body: bytes, content_type: str = "application/json") -> Answering:
    """This body, well delivered."""
    return lambda handler: handler.send(200, body, {"Content-Type": content_type})


def break_off(handler: Handler) -> None:
    """Half of a body, and the end of the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", "2000")
    handler.end_headers()
    handler.wfile.write(b"{" * 1000)
    handler.wfile.flush()
    handler.close_connection = True


def keep_silent(handler: Handler) -> None:
    """Nothing at all, until the test is over."""
    handler.server.closing.wait(30)
    handler.close_connection = True
