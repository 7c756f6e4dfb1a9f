"""Builds and SBOMs over HTTP: what is kept, and what is refused with all that is wrong with it."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from psycopg import sql
from registration import APP, BASE_DIGEST, BODY, DIGEST, PACKAGES, asking, make_token

from imagecatalog.config import Settings
from imagecatalog.domain.packages import Package
from imagecatalog.store import packages
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app
from imagecatalog.web.api import bodies, builds, write
from imagecatalog.web.app import Application
from imagecatalog.web.service import Service

JSON = {"Content-Type": "application/json"}
BOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {"tools": {"components": [{"type": "application", "name": "syft"}]}},
    "components": [
        {
            "type": "library",
            "name": "libssl3",
            "version": "3.0.15-1~deb12u1",
            "purl": "pkg:deb/debian/libssl3@3.0.15-1~deb12u1?arch=amd64&distro=debian-12",
        }
    ],
}


@pytest.fixture
def client(catalog: Catalog) -> Iterator[TestClient]:
    with asking(catalog, secret=make_token(catalog)) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """For what is refused before any database is asked to keep it."""
    path = tmp_path_factory.mktemp("refusing") / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    catalog = Catalog.open(str(path))
    with asking(catalog, secret=make_token(catalog)) as client:
        yield client
    catalog.close()


def register(client: TestClient, body: object = BODY, path: str = "/register_build") -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers=JSON)


def faults_of(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "invalid-request"
    return {fault["pointer"]: fault["detail"] for fault in problem["errors"]}


# --- what is kept ---------------------------------------------------------------------------------


def test_a_build_is_new_once(client: TestClient) -> None:
    first, second = register(client), register(client, path="/api/v1/builds")

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == f"/image/{DIGEST}"
    assert first.json() == {
        "id": first.json()["id"],
        "image": f"{APP}:1.0",
        "digest": DIGEST,
        "created": True,
        "pending": [],
        "url": f"/image/{DIGEST}",
    }
    assert second.json() == first.json() | {"created": False}


def test_another_body_of_the_same_digest_is_another_build(client: TestClient) -> None:
    first = register(client).json()
    other = register(client, BODY | {"reason": "again"})

    assert other.status_code == 201
    assert other.json()["id"] != first["id"]
    items = client.get(f"/api/v1/images/{DIGEST}/builds").json()["items"]
    assert {one["reason"] for one in items} == {None, "again"}
    assert {one["told_by"] for one in items} == {"ci"}


def test_what_was_told_is_what_is_read(client: TestClient) -> None:
    register(client)

    (build,) = client.get(f"/api/v1/images/{DIGEST}/builds").json()["items"]
    assert build["started"] == "2026-11-24T10:00:00Z"
    assert build["source_repository"] == "https://git.example.org/app"
    assert build["parents"] == [
        {
            "image": "registry.example.org/bookworm:1",
            "digest": BASE_DIGEST,
            "role": "base",
            "resolved": "given",
        }
    ]
    packages = client.get(f"/api/v1/images/{DIGEST}/packages").json()["items"]
    assert [one["package"] for one in packages] == ["lib0", "lib1", "lib2"]


def test_a_name_that_nobody_met_is_pending(client: TestClient) -> None:
    parent = {"image": "registry.example.org/bookworm:1"}
    answer = register(client, {"image": f"{APP}:1.0", "parents": [parent]})

    assert answer.status_code == 201
    assert answer.json()["digest"] is None
    assert answer.json()["pending"] == ["registry.example.org/bookworm:1"]
    assert answer.json()["url"] == f"/image/{APP}:1.0"


@pytest.mark.parametrize("only", [{"digest": DIGEST}, {"image": f"{APP}:1.0"}])
def test_image_or_digest_is_enough(client: TestClient, only: dict[str, str]) -> None:
    assert register(client, only).status_code == 201


def test_a_digest_within_the_name_is_one(client: TestClient) -> None:
    answer = register(client, {"image": f"{APP}:1.0@{DIGEST}"})

    assert (answer.json()["image"], answer.json()["digest"]) == (f"{APP}:1.0", DIGEST)


def test_what_is_left_out_of_a_package_follows_from_the_rest(client: TestClient) -> None:
    register(
        client,
        {"digest": DIGEST, "packages": [{"name": "foo", "version": "1.0-2+b3", "arch": "amd64"}]},
    )
    (package,) = client.get(f"/api/v1/images/{DIGEST}/packages").json()["items"]

    assert (package["type"], package["source"]) == ("deb", "foo")
    assert (package["installed"], package["source_version"]) == ("1.0-2+b3", "1.0-2")


def test_no_password_of_an_address_is_kept(client: TestClient) -> None:
    source = {"repository": "https://gitlab-ci-token:hush@git.example.org/app?private_token=hush"}
    link = "https://me:hush@ci.example.org/1"
    register(client, {"digest": DIGEST, "source": source, "link": link})

    (build,) = client.get(f"/api/v1/images/{DIGEST}/builds").json()["items"]
    assert build["link"] == "https://ci.example.org/1"
    assert build["source_repository"] == "https://git.example.org/app?private_token=***"


def test_the_largest_builds_are_taken(client: TestClient) -> None:
    parents = [{"digest": f"sha256:{number:064x}"} for number in range(bodies.PARENTS_LIMIT)]
    packages = [{"name": f"p{number}", "version": "1", "arch": "all"} for number in range(20_000)]
    answer = register(client, {"digest": DIGEST, "parents": parents, "packages": packages})

    assert answer.status_code == 201, answer.text[:300]
    assert len(client.get(f"/api/v1/images/{DIGEST}/packages").json()["items"]) == 20_000


# --- at once --------------------------------------------------------------------------------------


def test_sixteen_at_once_tell_the_same_and_of_one_it_is_new(catalog: Catalog) -> None:
    body = BODY | {"packages": PACKAGES}
    with asking(catalog, secret=make_token(catalog)) as client, ThreadPoolExecutor(16) as pool:
        start = threading.Barrier(16)

        def one(_: int) -> Any:
            start.wait()
            return register(client, body)

        answers = list(pool.map(one, range(16)))

    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_sixteen_at_once_tell_of_images_that_share_packages(catalog: Catalog) -> None:
    def one(number: int) -> int:
        mine = PACKAGES[number : number + 200]
        body = BODY | {
            "digest": f"sha256:{number:064x}",
            "packages": mine[:: -1 if number % 2 else 1],
        }
        return int(register(client, body).status_code)

    with asking(catalog, secret=make_token(catalog)) as client, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(48))) == [201] * 48
        for number in (0, 1, 47):
            path = f"/api/v1/images/sha256:{number:064x}/packages"
            told = {one["package"] for one in client.get(path).json()["items"]}
            assert told == {one["name"] for one in PACKAGES[number : number + 200]}


# --- faults ---------------------------------------------------------------------------------------


def test_all_faults_come_in_one_answer(refusing: TestClient) -> None:
    body = {
        "image": "Team/App",
        "digst": DIGEST,
        "platform": "linux",
        "builder": {},
        "started": "2026-11-24T10:00:00",
        "finished": "2026-11-24T09:00:00",
        "source": {"revison": "x"},
        "link": "javascript:alert(1)",
        "parents": [
            {"digest": "sha256:xyz"},
            {"image": "debian"},
            {},
            {"image": "a:1", "role": "mother"},
        ],
        "packages": [
            {"name": "a", "version": "1", "arch": "amd64"},
            {"name": "a", "version": "2", "arch": "amd64"},
            {"name": "b", "version": "1"},
            {"name": "c", "version": "not-a_version", "arch": "all"},
            {"version": "1", "arch": "all"},
        ],
        "labels": {"a/b": 1, "c~d": None},
    }
    faults = faults_of(register(refusing, body))

    assert set(faults) == {
        "/image",
        "/digst",
        "/platform",
        "/builder/name",
        "/finished",
        "/source/revison",
        "/link",
        "/parents/0/digest",
        "/parents/1/image",
        "/parents/2",
        "/parents/3/role",
        "/packages/1",
        "/packages/2",
        "/packages/3/version",
        "/packages/4/name",
        "/labels/a~1b",
        "/labels/c~0d",
    }
    assert "did you mean digest?" in faults["/digst"]
    assert "did you mean revision?" in faults["/source/revison"]
    assert "/packages/0" in faults["/packages/1"]


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        (b"", "", "JSON"),
        (b"{", "", "JSON"),
        (b"[]", "", "object"),
        (b"null", "", "object"),
        (b"{}", "", "image"),
        (b"\xff\xfe{\x00}\x00", "", "JSON"),
        (b'{"digest": "\xff"}', "", "JSON"),
        (b"[" * 1_000_000, "", "recursion"),
        (b'{"labels":' * 900 + b"1" + b"}" * 900, "", "recursion"),
        (b'{"image": "a:1", "reason": "\\u0000"}', "/reason", "NUL"),
        (b'{"image": "a:1", "labels": {"\\u0000/": "x"}}', "/labels/\ufffd~1", "NUL"),
        (b'{"image": "a:1", "reason": "\\ud800"}', "/reason", "surrogate"),
        (b'{"image": "a:1", "reason": "\\udc00\\ud800"}', "/reason", "surrogate"),
        (b'{"image": "a:1", "labels": {"\\ud800": "x"}}', "/labels/?", "surrogate"),
        (b'{"image": "a:1", "started": 1764000000}', "/started", "time"),
        (b'{"image": "a:1", "started": "1764000000"}', "/started", "time"),
        (b'{"image": "a:1", "started": "9999-12-31T23:59:59-10:00"}', "/started", "calendar"),
        (b'{"image": "a:1", "digest": 5}', "/digest", "string"),
        (b'{"image": "a:1", "digest": "sha256:AA"}', "/digest", "lower-case"),
        (b'{"image": "a:1", "packages": {}}', "/packages", "array"),
        (b'{"image": "a:1", "labels": []}', "/labels", "object"),
        (b'{"image": "a"}', "/image", "latest"),
        (
            b'{"image": "a:1", "packages": [{"type": "deb", "name": "a b", "version": "1", "arch": "all"}]}',
            "/packages/0/name",
            "visible ASCII",
        ),
        (
            b'{"image": "a:1", "packages": [{"type": "Deb", "name": "a", "version": "1", "arch": "all"}]}',
            "/packages/0/type",
            "write it as deb",
        ),
    ],
)
def test_hostile_bodies_are_refused_where_they_are_wrong(
    refusing: TestClient, body: bytes, pointer: str, said: str
) -> None:
    faults = faults_of(register(refusing, body))

    assert said in faults[pointer], faults


def test_an_escaped_backslash_is_no_nul(refusing: TestClient) -> None:
    assert register(refusing, b'{"image": "a:1", "reason": "\\\\u0000"}').status_code == 201


def test_a_pair_of_surrogates_is_a_character(refusing: TestClient) -> None:
    register(refusing, b'{"digest": "%s", "reason": "\\ud83d\\ude00"}' % DIGEST.encode())
    (build,) = refusing.get(f"/api/v1/images/{DIGEST}/builds").json()["items"]

    assert build["reason"] == "\U0001f600"


def test_an_image_is_not_its_own_parent(refusing: TestClient) -> None:
    body = {"digest": DIGEST, "parents": [{"image": f"a:1@{DIGEST}"}, {"digest": DIGEST}]}

    assert set(faults_of(register(refusing, body))) == {"/parents/0", "/parents/1"}


def test_two_digests_of_one_image_contradict(refusing: TestClient) -> None:
    body = {"image": f"{APP}@{DIGEST}", "digest": BASE_DIGEST}

    assert set(faults_of(register(refusing, body))) == {"/digest"}


def test_of_very_many_faults_the_first_are_listed(refusing: TestClient) -> None:
    answer = register(refusing, {"digest": DIGEST, "packages": [{}] * 5000})

    assert len(faults_of(answer)) == builds.FAULTS_SHOWN
    assert "15000 faults" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("parents", [{"digest": BASE_DIGEST}] * (bodies.PARENTS_LIMIT + 1)),
        ("labels", {str(number): "" for number in range(bodies.LABELS_LIMIT + 1)}),
        ("packages", [{"name": "a", "version": "1"}] * (bodies.PACKAGES_LIMIT + 1)),
        ("labels", {"k" * 300: "v"}),
        ("reason", "x" * 3000),
        ("image", "a/" * 400 + "b:1"),
    ],
)
def test_there_are_bounds(refusing: TestClient, key: str, value: object) -> None:
    faults = faults_of(register(refusing, {"digest": DIGEST, key: value}))

    assert any(pointer.startswith(f"/{key}") for pointer in faults)


# --- bytes ----------------------------------------------------------------------------------------


def test_a_body_may_be_gzip(refusing: TestClient) -> None:
    body = gzip.compress(json.dumps(BODY).encode())
    answer = refusing.post(
        "/register_build", content=body, headers=JSON | {"Content-Encoding": "gzip"}
    )

    assert answer.status_code in (200, 201)
    assert answer.json()["digest"] == DIGEST


@pytest.mark.parametrize(
    ("packed", "status"),
    [
        (b"{}", 422),
        (gzip.compress(json.dumps(BODY).encode())[:-9], 422),
        (gzip.compress(json.dumps(BODY).encode()) + b"more", 422),
        (gzip.compress(b" " * (write.BUILD_LIMIT + 1)), 413),
    ],
)
def test_broken_gzip_and_bombs_are_refused(
    refusing: TestClient, packed: bytes, status: int
) -> None:
    headers = JSON | {"Content-Encoding": "gzip"}

    assert refusing.post("/register_build", content=packed, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        (JSON | {"Content-Encoding": "br"}, 415),
        (JSON | {"Content-Encoding": "gzip, gzip"}, 415),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 200),
        ({"Content-Type": "application/vnd.example+json"}, 200),
        (JSON | {"Content-Encoding": "identity"}, 200),
    ],
)
def test_types_and_encodings_that_are_read(
    refusing: TestClient, headers: dict[str, str], status: int
) -> None:
    register(refusing)
    answer = refusing.post("/register_build", content=json.dumps(BODY).encode(), headers=headers)

    assert answer.status_code == status, answer.text
    if status == 415:
        assert answer.json()["code"] == "unsupported-media-type"


def test_too_large_a_body_is_not_read_to_its_end(refusing: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1 << 20
            yield b" " * (1 << 20)

    for content in (b" " * (write.BUILD_LIMIT + 1), endless()):
        answer = refusing.post("/register_build", content=content, headers=JSON)
        assert answer.status_code == 413
        assert answer.json()["code"] == "body-too-large"


def test_only_post_is_allowed(refusing: TestClient) -> None:
    for path in ("/register_build", f"/api/v1/sboms/{DIGEST}"):
        answer = refusing.get(path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


# --- the server and its database ------------------------------------------------------------------


def test_a_database_that_cannot_be_written_is_said(make_postgresql: Callable[..., str]) -> None:
    url = make_postgresql(initialised=True)
    with closing(Catalog.open(url)) as catalog:
        secret = make_token(catalog)
    with psycopg.connect(url, autocommit=True) as c:
        name = sql.Identifier(c.info.dbname)
        c.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    with closing(Catalog.open(url)) as catalog, asking(catalog, secret=secret) as client:
        answer = register(client)
        assert client.get("/api/v1/overview").status_code == 200

    assert (answer.status_code, answer.json()["code"]) == (503, "database-read-only")


def test_what_was_dropped_is_not_taken_for_written(catalog: Catalog) -> None:
    with asking(catalog, secret=make_token(catalog)) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]

        def break_off() -> None:
            one = Package("deb", "lib0", "1:3.0.0-1~deb12u1", "amd64", "library", "3.0.0-1~deb12u1")
            with service.write() as (c, shelf):
                packages.put_sets(c, shelf, [packages.PackageList((one,))])
                raise RuntimeError("broken off")

        with pytest.raises(RuntimeError, match="broken off"):
            break_off()

        assert register(client).status_code == 201
        items = client.get(f"/api/v1/images/{DIGEST}/packages").json()["items"]
        assert len(items) == 3


def test_a_wsgi_server_passes_bodies_on(catalog: Catalog) -> None:
    body = gzip.compress(json.dumps(BODY).encode())
    told: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/register_build",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": "gzip",
        "HTTP_AUTHORIZATION": f"Bearer {make_token(catalog)}",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "3691",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    app = Application(create_asgi_app(Settings(), catalog))
    answer = b"".join(app(environ, lambda *arguments: told.append(arguments)))

    assert told[0][0].startswith("201"), answer
    assert json.loads(answer)["digest"] == DIGEST


# --- SBOMs ----------------------------------------------------------------------------------------


def test_an_sbom_tells_the_packages_of_an_image_nobody_met(client: TestClient) -> None:
    path = f"/api/v1/sboms/{DIGEST}"
    headers = {"Content-Type": "application/vnd.cyclonedx+json"}
    first, second = (client.post(path, json=BOM, headers=headers) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200), first.text
    assert first.json() | {"tool": ""} == {
        "digest": DIGEST,
        "format": "CycloneDX 1.6",
        "tool": "",
        "packages": 1,
        "created": True,
        "problem": first.json()["problem"],
        "url": f"/image/{DIGEST}",
    }
    (package,) = client.get(f"/api/v1/images/{DIGEST}/packages").json()["items"]
    assert package["package"] == "libssl3"


def test_who_told_of_the_packages_is_told(client: TestClient) -> None:
    register(client)
    client.post(f"/api/v1/sboms/{DIGEST}", json=BOM)

    counting, other = client.get(f"/api/v1/images/{DIGEST}/inventories").json()["items"]
    assert (counting["kind"], counting["counts"], counting["told_by"]) == ("sbom", True, "ci")
    assert (other["kind"], other["counts"], other["packages"]) == ("registered", False, 3)
    assert len(other["only_here"]) == 3
    assert other["not_here"] == ["libssl3 3.0.15-1~deb12u1 amd64"]


def test_an_sbom_of_another_image_is_refused(client: TestClient) -> None:
    component = {"type": "container", "name": APP, "version": BASE_DIGEST}
    component["purl"] = f"pkg:oci/app@{BASE_DIGEST.replace(':', '%3A')}"
    bom = BOM | {"metadata": {"component": component}}

    faults = faults_of(client.post(f"/api/v1/sboms/{DIGEST}", json=bom))
    assert BASE_DIGEST in faults[""]
    assert client.post(f"/api/v1/sboms/{BASE_DIGEST}", json=bom).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{}", 422), (b"[]", 422), (b"<bom/>", 422), (b"\0", 422), (b"[" * 1_000_000, 422)],
)
def test_what_is_no_sbom_is_refused(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post(f"/api/v1/sboms/{DIGEST}", content=body, headers=JSON)

    assert answer.status_code == status
    assert answer.json()["detail"]


def test_an_sbom_wants_a_digest(client: TestClient) -> None:
    answer = client.post("/api/v1/sboms/latest", json=BOM)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad-name")
