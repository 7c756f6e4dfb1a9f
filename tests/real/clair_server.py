"""A real Clair 4 as one process, over a PostgreSQL of its own, and a Debian that it updates from."""

from __future__ import annotations

import base64
import email.utils
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = base64.b64encode(b"a key that both sides have, and nobody else").decode()
ISSUER = "imagecatalog"
HOOK_TOKEN = "what Clair's own configuration sends"
_DATABASES = ("indexer", "matcher", "notifier")


class DebianMirror:
    """What Clair's Debian updater reads: suites with their versions, and the tracker's JSON."""

    def __init__(self, releases: dict[str, str], tracker: dict[str, Any]) -> None:
        self._releases = releases
        self.tracker = tracker
        self._changed = time.time()
        self.is_up = True
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def publish(self, tracker: dict[str, Any]) -> None:
        """Another state of the tracker, told by its date."""
        self.tracker = tracker
        self._changed = max(time.time(), self._changed + 1)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        body: bytes | None = None
        if path == "/debian/dists/":
            body = "".join(f'<a href="{name}/">{name}</a>\n' for name in self._releases).encode()
        elif path.endswith("/Release"):
            name = path.split("/")[-2]
            if name in self._releases:
                body = f"Codename: {name}\nVersion: {self._releases[name]}.1\n".encode()
        elif path == "/tracker.json" and self.is_up:
            body = json.dumps(self.tracker).encode()
        handler.send_response(404 if body is None else 200)
        handler.send_header("Last-Modified", email.utils.formatdate(self._changed, usegmt=True))
        handler.send_header("Content-Length", str(len(body or b"")))
        handler.end_headers()
        handler.wfile.write(body or b"")


class PostgreSQL:
    """Debian's PostgreSQL on a socket below a folder of its own; as root it runs as ``postgres``."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert found, "PostgreSQL is missing: install the package postgresql"
        self._programs = found[-1]
        # pytest's own folder is shut to the user postgres, and names of sockets have to be short
        self.folder = Path("/tmp") / f"imagecatalog-clair-{uuid.uuid4().hex[:8]}"
        self._user = "postgres" if os.geteuid() == 0 else None
        self.role = self._user or os.environ.get("USER", "postgres")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make and start it, with Clair's databases; returns when it answers."""
        self.folder.mkdir()
        if self._user:
            shutil.chown(self.folder, self._user)
        data = self.folder / "data"
        self._run("initdb", "--auth=trust", "--no-sync", "-E", "UTF8", "-U", self.role, "-D", data)
        quick = [f"-c{name}=off" for name in ("fsync", "synchronous_commit", "full_page_writes")]
        log = (self.folder.parent / f"{self.folder.name}.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, "-k", self.folder,
                 "-clisten_addresses=", "-cmax_connections=300", *quick],
                user=self._user, cwd="/", stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 60
        while self._try("pg_isready", "-q", "-h", self.folder):
            assert time.monotonic() < until, "PostgreSQL gave no answer"
            time.sleep(0.1)
        for name in _DATABASES:
            self._run("createdb", "-h", self.folder, "-U", self.role, name)

    def stop(self) -> None:
        """End it, and remove all that it wrote."""
        if self._process is not None:
            self._process.send_signal(2)  # a fast shutdown
            self._process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.log").unlink(missing_ok=True)

    def address(self, database: str) -> str:
        """Where a database is, for Clair."""
        return f"host={self.folder} user={self.role} dbname={database} sslmode=disable"

    def ask(self, database: str, query: str) -> str:
        """What psql answers, without decoration."""
        words = ["-h", self.folder, "-U", self.role, "-d", database, "-Atc", query]
        return self._run("psql", *words)

    def _run(self, program: str, *words: str | Path) -> str:
        done = subprocess.run(
            [self._programs / program, *words], user=self._user, cwd="/", capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}"
        return done.stdout.strip()

    def _try(self, program: str, *words: str | Path) -> int:
        command = [self._programs / program, *words]
        return subprocess.run(command, user=self._user, cwd="/", check=False).returncode


class ClairServer:
    """Indexer, matcher and notifier in one; ``hook`` is where it tells of notifications.

    ``ca`` is the PEM file of whom it trusts.
    """

    def __init__(
        self,
        program: Path,
        folder: Path,
        database: PostgreSQL,
        mirror: DebianMirror,
        hook: str,
        ca: Path,
    ) -> None:
        self._program = program
        self.folder = folder
        self._database = database
        self._mirror = mirror
        self._hook = hook
        self._ca = ca
        self._port, self._introspection = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, updates: bool = True) -> None:
        """Begin; returns when it answers. It updates at every start, and not before the next."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "config.json"
        config.write_text(json.dumps(self._configure(updates=updates)))
        # what it would download of others' mappings goes nowhere
        nowhere = {f"{kind}_PROXY": "http://127.0.0.1:9" for kind in ("HTTP", "HTTPS")}
        environ = os.environ | nowhere | {"NO_PROXY": "127.0.0.1", "CLAIR_MODE": "combo"}
        environ = {key: value for key, value in environ.items() if not key.endswith("_proxy")}
        environ["SSL_CERT_FILE"] = str(self._ca)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-conf", config], env=environ, stdout=log, stderr=log
            )
        self._wait()

    def stop(self) -> None:
        """End it as a machine that fails does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
            self._process = None

    def log(self) -> str:
        """The end of what it told."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def _configure(self, *, updates: bool) -> dict[str, Any]:
        database = self._database
        # without a file of another distribution's mapping it would download that
        (self.folder / "empty.json").write_text('{"data": {}}')
        empty = str(self.folder / "empty.json")
        return {
            "http_listen_addr": f"127.0.0.1:{self._port}",
            "introspection_addr": f"127.0.0.1:{self._introspection}",
            "log_level": "info",
            "auth": {"psk": {"key": KEY, "iss": [ISSUER]}},
            "indexer": {
                "connstring": database.address("indexer"),
                "migrations": True,
                "airgap": True,
                "scanlock_retry": 1,
                "scanner": {
                    "repo": {"rhel-repository-scanner": {"repo2cpe_mapping_file": empty}},
                    "package": {"rhel_containerscanner": {"name2repos_mapping_file": empty}},
                },
            },
            "matcher": {
                "connstring": database.address("matcher"),
                "migrations": True,
                "disable_enrichment": True,
                "disable_updaters": not updates,
                "update_retention": 10,
            },
            "updaters": {
                "sets": ["debian"] if updates else [],
                "config": {
                    "debian": {
                        "mirror_url": self._mirror.url,
                        "json_url": f"{self._mirror.url}tracker.json",
                    }
                },
            },
            "notifier": {
                "connstring": database.address("notifier"),
                "migrations": True,
                # the shortest that it takes; what one tick made, the other delivers a second later
                "poll_interval": "60s",
                "delivery_interval": "61s",
                "webhook": {
                    "target": self._hook,
                    "callback": f"{self.url}/notifier/api/v1/notification/",
                    "headers": {"Authorization": [f"Bearer {HOOK_TOKEN}"]},
                },
            },
        }

    def _wait(self) -> None:
        until = time.monotonic() + 60
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < until:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            try:
                opener.open(f"{self.url}/indexer/api/v1/index_state", timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 401:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"Clair gave no answer: {self.log()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
