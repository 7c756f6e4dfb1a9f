"""The verb ``register``: what it makes of flags and files, whom it tells, and what it says of it."""

from __future__ import annotations

import functools
import gzip
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imagecatalog.cli.bodies import body_of, body_of_flags, read_packages
from imagecatalog.cli.main import main
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import UsageError
from imagecatalog.sources.http import Http
from imagecatalog.store.engine import Catalog
from imagecatalog.web.api.builds import read_build

APP = "registry.example.org/team/app"
DIGEST = Digest("sha256:" + 64 * "a")
BASE_DIGEST = Digest("sha256:" + 64 * "b")
BOM = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}
LISTED = "libssl3 3.0.15-1 amd64 openssl 3.0.15-1 ii \n"


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> str:
    """A catalog without content."""
    return str(shutil.copy(sqlite_template, tmp_path / "catalog.sqlite"))


@pytest.fixture
def here(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database at hand."""
    monkeypatch.setenv("IMAGE_CATALOG_DB", database)
    monkeypatch.delenv("IMAGE_CATALOG_TOKEN", raising=False)
    return database


@pytest.fixture
def there(
    serve_catalog: Callable[[str], str],
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """A server, and a token for it in the environment."""
    assert main(["--database", database, "token", "create", "--scope", "register"]) == 0
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", capsys.readouterr().out)
    monkeypatch.delenv("IMAGE_CATALOG_DB", raising=False)
    return serve_catalog(database)


def register(*arguments: str) -> int:
    return main(["register", *arguments])


def one_build(url: str) -> Any:
    from imagecatalog.store import builds, lookups

    catalog = Catalog.open(url)
    try:
        with catalog.read() as c:
            (build,) = builds.list_builds(c, lookups.resolve(c, str(DIGEST)))
            return build
    finally:
        catalog.close()


EVERY_FLAG = [
    *("--image", f"{APP}:1.0", "--digest", str(DIGEST), "--platform", "linux/amd64"),
    *("--parent", f"registry.example.org/base:1@{BASE_DIGEST}"),
    *("--parent", "registry.example.org/build:2=stage"),
    *("--parent", f"{BASE_DIGEST}=copy"),
    *("--builder", "docker-pkg@4.0.4", "--source", "https://git.example.org/app"),
    *("--revision", "4c4e5bf", "--path", "images/app"),
    *("--started", "2026-11-20T14:00", "--finished", "2026-11-20T14:03+00:00"),
    *("--link", "https://ci.example.org/1", "--reason", "security updates"),
    *("--label", "a=b=c", "--label", "empty="),
]


def test_every_flag_arrives(here: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = tmp_path / "packages"
    listing.write_text(LISTED)

    assert register(*EVERY_FLAG, "--packages", str(listing)) == 0

    told = capsys.readouterr().out
    assert told.startswith(f"registered {APP}:1.0 {DIGEST} as build ")
    assert "waits for a sync that meets registry.example.org/build:2" in told
    build = one_build(here)
    assert build.told_by is None
    assert (build.builder, build.builder_version) == ("docker-pkg", "4.0.4")
    assert (build.source_revision, build.source_path) == ("4c4e5bf", "images/app")
    assert str(build.started) == "2026-11-20 14:00:00+00:00"
    assert build.reason == "security updates"
    assert {(one.role, one.image, one.digest) for one in build.parents} == {
        ("base", "registry.example.org/base:1", BASE_DIGEST),
        ("stage", "registry.example.org/build:2", None),
        ("copy", None, BASE_DIGEST),
    }


def test_a_server_keeps_the_same(there: str, database: str) -> None:
    assert register("--server", there, *EVERY_FLAG) == 0

    assert one_build(database).told_by.startswith("register-")


def test_again_is_known_already(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    for begin in ("registered", "known already:"):
        assert register("--server", there + "/", *EVERY_FLAG) == 0
        assert capsys.readouterr().out.startswith(begin)


def test_json_has_the_receipts(there: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert register("--server", there, "--format", "json", "--digest", str(DIGEST)) == 0

    (receipt,) = json.loads(capsys.readouterr().out)
    assert receipt["digest"] == DIGEST
    assert receipt["created"] is True


def test_a_body_from_a_file_or_from_what_comes_in(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"digest": DIGEST, "reason": "by file"}))
    assert register("--server", there, "--file", str(body)) == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body.read_bytes())))
    assert register("--server", there, "--file", "-") == 0

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "registered",
        "known",
    ]


def test_an_sbom_goes_to_its_own_place(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bom = tmp_path / "bom.json"
    bom.write_text(json.dumps(BOM))
    sbom = ("--server", there, "--digest", str(DIGEST), "--sbom", str(bom))

    assert register(*sbom) == 0
    assert capsys.readouterr().out.startswith(f"registered 0 packages of {DIGEST} (CycloneDX 1.6)")
    assert register(*sbom, "--image", f"{APP}:1", "--reason", "x", "--format", "csv") == 0
    assert capsys.readouterr().out.count("\r\n") == 4


def test_metadata_of_buildx_with_flags_beside_it(here: str, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.json"
    metadata.write_text(
        json.dumps(
            {"containerimage.digest": DIGEST, "image.name": f"{APP}:1.0", "buildx.build.ref": "x"}
        )
    )

    assert register("--buildx-metadata", str(metadata), "--link", "https://ci.example.org/1") == 0

    build = one_build(here)
    assert (build.image, build.link) == (f"{APP}:1.0", "https://ci.example.org/1")


def test_several_builds_share_no_digest(
    here: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tmp_path / "metadata.json"
    targets = {
        name: {"containerimage.digest": digest, "image.name": f"{APP}-{name}:1.0"}
        for name, digest in (("a", DIGEST), ("b", BASE_DIGEST))
    }
    metadata.write_text(json.dumps(targets))

    assert register("--buildx-metadata", str(metadata), "--digest", str(DIGEST)) == 2
    assert "2 builds: --digest cannot be true of all" in capsys.readouterr().err
    assert register("--buildx-metadata", str(metadata), "--reason", "both") == 0
    assert capsys.readouterr().out.count("registered") == 2


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["here", "there"])
def test_all_faults_are_told_with_their_places(
    where: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    whom = ["--server", request.getfixturevalue("there")] if where == "there" else []
    if where == "here":
        request.getfixturevalue("here")
    faulty = ["--image", "debian", "--parent", "alpine", "--link", "ftp://x", "--platform", "linux"]

    assert register(*whom, *faulty) == 2

    told = capsys.readouterr().err
    assert "4 faults" in told
    for pointer in ("/image", "/parents/0/image", "/link", "/platform"):
        assert f"  {pointer}: " in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to register"),
        (["--image", ""], "nothing to register"),
        (["--sbom", "BOM"], "--sbom wants --digest"),
        (
            ["--file", "BOM", "--parent", "x:1", "--label", "a=b"],
            "--parent, --label cannot be added",
        ),
        (["--file", "absent.json"], "absent.json"),
        (["--label", "x", "--image", "a:1"], "KEY=VALUE"),
        (["--started", "soon", "--image", "a:1"], "no time"),
        (["--packages", "BOM", "--image", "a:1"], "line 1"),
        (["--buildx-metadata", "BOM"], "BOM"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BOM").write_text(json.dumps(BOM))

    assert register("--server", "http://127.0.0.1:1", *arguments) in (1, 2)
    assert said in capsys.readouterr().err


def test_metadata_that_is_no_json_is_told_with_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tmp_path / "metadata.json"
    metadata.write_text("#1 building\n")

    assert register("--server", "http://127.0.0.1:1", "--buildx-metadata", str(metadata)) == 2
    told = capsys.readouterr().err
    assert f"--buildx-metadata {metadata}: it is not the JSON it should be" in told
    assert "hint: give the file that docker buildx build --metadata-file FILE wrote" in told


def test_refusals_keep_their_reason(
    there: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for token, said in (("ic_wrong", "no such token"), ("", "wants a token")):
        monkeypatch.setenv("IMAGE_CATALOG_TOKEN", token)
        assert register("--server", there, "--image", "a:1") == 2
        assert said in capsys.readouterr().err


def test_a_broken_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", "hush\r\nX: y")

    assert register("--server", "http://127.0.0.1:1", "--image", "a:1") == 2
    told = capsys.readouterr().err
    assert "IMAGE_CATALOG_TOKEN" in told
    assert "hush" not in told


def test_one_bad_build_leaves_the_others(
    here: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bom = tmp_path / "bom.json"
    bom.write_text("{}")

    assert register("--digest", str(DIGEST), "--reason", "x", "--sbom", str(bom)) == 1

    told = capsys.readouterr()
    assert told.out.startswith("registered")
    assert told.err.startswith("failed: ")
    assert str(bom) in told.err


# --- the way --------------------------------------------------------------------------------------


class Moody(BaseHTTPRequestHandler):
    """Fails a few times, then takes what is sent."""

    failures: list[int]
    seen: list[tuple[str, Any, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.headers, body))
        if self.failures:
            status = self.failures.pop(0)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "http://localhost:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        receipt = {
            "id": 1,
            "image": None,
            "digest": None,
            "created": True,
            "pending": [],
            "url": "/",
        }
        answer = json.dumps(receipt).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Moody]]]:
    class Handler(Moody):
        failures: list[int] = []  # noqa: RUF012
        seen: list[Any] = []  # noqa: RUF012

    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", "ic_secret")
    impatient = functools.partial(Http, sleep=lambda _: None)
    monkeypatch.setattr("imagecatalog.cli.server.Http", impatient)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_may_pass_is_tried_again(moody: tuple[str, type[Moody]]) -> None:
    address, handler = moody
    handler.failures += [503, 429, 500]

    assert register("--server", address, "--image", "a:1") == 0

    assert [json.loads(body) for _, _, body in handler.seen] == [{"image": "a:1"}] * 4
    assert {headers["Authorization"] for _, headers, _ in handler.seen} == {"Bearer ic_secret"}


def test_it_is_not_tried_for_ever(
    moody: tuple[str, type[Moody]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, handler = moody
    handler.failures += [503] * 20

    assert register("--server", address, "--image", "a:1") == 1
    assert len(handler.seen) == 6
    assert "503" in capsys.readouterr().err


def test_refusals_are_not_tried_again(moody: tuple[str, type[Moody]]) -> None:
    address, handler = moody
    handler.failures += [403]

    assert register("--server", address, "--image", "a:1") == 1
    assert len(handler.seen) == 1


def test_a_server_that_leads_elsewhere_is_named(
    moody: tuple[str, type[Moody]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, handler = moody
    handler.failures += [307] * 20

    assert register("--server", address, "--image", "a:1") != 0
    assert "elsewhere" in capsys.readouterr().err


def test_large_bodies_are_packed(moody: tuple[str, type[Moody]], tmp_path: Path) -> None:
    address, handler = moody
    body = tmp_path / "body"
    body.write_bytes(b" " * 100_000 + b"{}")

    assert register("--server", address, "--file", str(body)) == 0

    ((_, headers, sent),) = handler.seen
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(sent) == body.read_bytes()


# --- bodies ---------------------------------------------------------------------------------------


def test_a_build_is_told_as_it_is() -> None:
    build = Build(
        image=f"{APP}:1.0",
        digest=DIGEST,
        builder="buildkit",
        source_repository="https://git.example.org/app",
        parents=(
            Parent(image="docker.io/library/debian:12", role="stage"),
            Parent(digest=BASE_DIGEST),
        ),
        distro=Distro("debian", "12"),
        packages=(
            Package("deb", "a", "1", "amd64", "b", "2"),
            Package("npm", "x", "1", "", "x", "1"),
        ),
        labels={"empty": ""},
    )

    assert read_build(json.dumps(body_of(build)).encode()) == build
    bare = Build(image="docker.io/library/a:1", packages=())
    assert read_build(json.dumps(body_of(bare)).encode()) == bare


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        ("a:1", {"image": "a:1"}),
        ("a:1=stage", {"image": "a:1", "role": "stage"}),
        (f"a:1@{DIGEST}=copy", {"image": "a:1", "digest": DIGEST, "role": "copy"}),
        (f"{DIGEST}", {"digest": DIGEST}),
        (f"{DIGEST}=base", {"digest": DIGEST, "role": "base"}),
        ("a:1=mother", {"image": "a:1=mother"}),
        ("a@md6+x:ab=", {"image": "a", "digest": "md6+x:ab="}),
    ],
)
def test_parents_as_flags_write_them(text: str, parent: object) -> None:
    assert body_of_flags({"parents": (text,)})["parents"] == [parent]


def test_what_dpkg_lists() -> None:
    listing = (
        "libssl3 3.0.15-1 amd64 openssl 3.0.15-1\n\n"
        "gone 1.0 all gone 1.0 rc \n"
        "never   never  un \n"
        "held 1.0-1+b1 amd64 held 1.0-1 hi \n"
    )

    packages = read_packages(listing.encode(), "list")
    assert [(one["name"], one["version"], one["source_version"]) for one in packages] == [
        ("libssl3", "3.0.15-1", "3.0.15-1"),
        ("held", "1.0-1+b1", "1.0-1"),
    ]
    for line in ("a 1 amd64", "a  amd64 a 1", "\x00"):
        with pytest.raises(UsageError, match=r"list, line 1.*five columns"):
            read_packages(line.encode(), "list")
