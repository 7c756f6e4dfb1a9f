"""A tree for docker-pkg: three generations, a build image with artifacts, and an archive of our own."""

from __future__ import annotations

import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pysequoia
from deb_repository import Deb, paragraph, write_index, write_release

SUITE = "acme-security"
BASE_TAG = "20261101"
CONTROL = "Package: {name}\nMaintainer: Acme <acme@example.org>\n{fields}Description: {name}\n"
CHANGELOG = """{name} ({version}) acme; urgency=medium

  * {reason}

 -- Acme <acme@example.org>  Mon, 02 Nov 2026 10:00:00 +0000
"""

TEMPLATES = {
    "base": (
        "",
        (
            'FROM {{ "bookworm" | image_tag }}\n'
            "COPY acme.asc /etc/apt/keyrings/acme.asc\n"
            "COPY acme.list /etc/apt/sources.list.d/acme.list\n"
            "RUN {{ 'libacme' | apt_install }}\n"
        ),
    ),
    "acme-build": (
        "Depends: base\n",
        (
            'FROM {{ "base" | image_tag }}\n'
            "RUN {{ 'acme-compiler' | apt_install }}\n"
            "RUN mkdir -p /srv/artifacts && dpkg-query -W > /srv/artifacts/built-with\n"
        ),
    ),
    "acme-runtime": (
        "Depends: base\n",
        'FROM {{ "base" | image_tag }}\nRUN {{ "acme-runtime" | apt_install }}\n',
    ),
    "acme-web": (
        "Depends: acme-runtime\nBuild-Depends: acme-build\n",
        (
            '{% set runtime = "acme-runtime" | image_tag %}\n'
            'FROM {{ "acme-build" | image_tag }} AS build\n'
            "FROM {{ runtime }}\n"
            "COPY --from=build /srv/artifacts /srv/web\n"
            "USER 33\n"
        ),
    ),
    "acme-api": (
        "Depends: acme-runtime\nBuild-Depends: acme-build\n",
        (
            'FROM {{ "acme-runtime" | image_tag }}\n'
            'COPY --from={{ "acme-build" | image_tag }} /srv/artifacts/built-with /srv/api\n'
        ),
    ),
    "acme-tool": (
        "",
        f"FROM {{{{ registry }}}}/bookworm:{BASE_TAG}\nRUN echo tool > /srv/tool\n",
    ),
    "other-base": (
        "",
        "FROM {{ registry }}/bookworm:latest\nRUN echo other > /srv/other\n",
    ),
}
"""Name: fields of control, template. Three generations: base, acme-runtime, acme-web and acme-api."""


class AcmeArchive:
    """A signed archive over HTTP on the loopback, until closed."""

    def __init__(self, folder: Path, arch: str) -> None:
        self._folder, self._arch = folder, arch
        self._secret = pysequoia.Tsk.generate("Acme archive <archive@example.org>")
        self.key = str(self._secret.extract_certificate())
        handler = partial(_Quiet, directory=str(folder))
        folder.mkdir()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def source(self) -> str:
        """Its line in sources.list(5)."""
        return f"deb [signed-by=/etc/apt/keyrings/acme.asc] {self.url} {SUITE} main\n"

    def publish(self, version: str) -> None:
        """Publish libacme in this version; all else stays as it is."""
        packages = (
            Deb("libacme", version, self._arch, source="acme"),
            Deb("acme-compiler", "2.0-1"),
            Deb("acme-runtime", "3.0-1"),
        )
        pool, dists = self._folder / "pool", self._folder / "dists" / SUITE
        pool.mkdir(exist_ok=True)
        for deb in packages:
            deb.build(pool)
        shutil.rmtree(pool / "tree", ignore_errors=True)
        rows = [paragraph(path, self._folder) for path in sorted(pool.glob("*.deb"))]
        indices = write_index(dists / "main" / f"binary-{self._arch}", rows)
        facts = {"Suite": SUITE, "Codename": SUITE, "Label": "Acme-Security", "Components": "main",
                 "Date": format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True),
                 "Architectures": self._arch}  # fmt: skip
        write_release(dists, facts, indices)
        signed = pysequoia.sign(
            self._secret.signer(),
            (dists / "Release").read_bytes(),
            mode=pysequoia.SignatureMode.CLEAR,
        )
        (dists / "InRelease").write_bytes(signed)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def write_tree(folder: Path, archive: AcmeArchive) -> None:
    """Write the tree in a git repository of its own, committed."""
    for name, (fields, template) in TEMPLATES.items():
        image = folder / "images" / name
        image.mkdir(parents=True)
        (image / "control").write_text(CONTROL.format(name=name, fields=fields))
        (image / "Dockerfile.template").write_text(template)
        entry = CHANGELOG.format(name=name, version="1.0-1", reason=f"First version of {name}")
        (image / "changelog").write_text(entry)
    (folder / "images/base/acme.asc").write_text(archive.key)
    (folder / "images/base/acme.list").write_text(archive.source)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "remote", "add", "origin", "https://git.example.org/images")
    commit(folder, "First versions")


def commit(folder: Path, message: str) -> str:
    """Commit all that changed; the commit."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *words: str) -> str:
    """Run git as nobody in particular."""
    who = ("-c", "user.name=Acme", "-c", "user.email=acme@example.org")
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout
