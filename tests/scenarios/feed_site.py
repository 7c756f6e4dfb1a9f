"""A site with feeds: a folder served on loopback, with validators, and with pieces to make them of."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class FeedSite:
    """What was asked for and how it was answered, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        self.url = ""


@contextmanager
def serve_feeds(folder: Path) -> Iterator[FeedSite]:
    """Serve a folder; a file that has its ETag is answered by 304."""
    site = FeedSite(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = site.folder / unquote(self.path).lstrip("/")
            body = path.read_bytes() if path.is_file() else b""
            tag = f'"{hashlib.sha256(body).hexdigest()}"'
            status = 200 if path.is_file() else 404
            if status == 200 and self.headers.get("If-None-Match") == tag:
                status, body = 304, b""
            site.asked.append((self.path, status))
            self.send_response(status)
            self.send_header("ETag", tag)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def record(name: str, ecosystem: str, package: str, fixed: str, **more: Any) -> dict[str, Any]:
    """A record of OSV."""
    events = [{"introduced": "0"}, {"fixed": fixed}]
    place = {"package": {"ecosystem": ecosystem, "name": package}}
    ranges = [{"type": "ECOSYSTEM", "events": events}]
    return {"id": name, "affected": [place | {"ranges": ranges}], **more}


def pack(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return stream.getvalue()


def pack_records(*records: Mapping[str, Any]) -> bytes:
    """A zip archive of records, as OSV has it."""
    return pack({f"{one['id']}.json": json.dumps(one).encode() for one in records})
