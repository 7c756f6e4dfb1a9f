"""Who may write and who may read: tokens by scope, repository, age, and how they are shown."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import APP, BASE_DIGEST, BODY, DIGEST, NOON, Clock, asking, make_token

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import DatabaseReadOnly
from imagecatalog.store import access, images, lookups
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

BROWSER = {"Accept": "text/html"}
TEAM = ("team/*",)
CONFIG = Digest.of(b"config")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def basic(password: str, user: str = "") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def register(client: TestClient, secret: str | None, **body: object) -> Any:
    headers = bearer(secret) if secret else {}
    return client.post("/register_build", json=body or BODY, headers=headers)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def client(catalog: Catalog) -> Iterator[TestClient]:
    with asking(catalog) as client:
        yield client


# --- good and bad tokens --------------------------------------------------------------------------


def test_who_shows_no_token_is_asked_for_one(client: TestClient) -> None:
    answer = register(client, None)

    assert code_of(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="imagecatalog"')
    assert "token create" in answer.json()["hint"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Token x",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "",
        "Bearer" + " " * 2000,
    ],
)
def test_what_is_no_token_is_none(client: TestClient, header: str) -> None:
    answer = client.post("/register_build", json=BODY, headers={"Authorization": header})

    assert code_of(answer) == (401, "unauthorized")


def test_an_unknown_token_is_called_so(client: TestClient) -> None:
    for secret in ("ic_nobody", "x" * 5000, "'; DROP TABLE token; --"):
        answer = register(client, secret)
        assert code_of(answer) == (401, "token-unknown")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert secret not in answer.text


def test_a_token_expires(catalog: Catalog) -> None:
    secret, clock = make_token(catalog, lasts=timedelta(days=1)), Clock()
    with asking(catalog, clock) as client:
        clock.now += timedelta(days=1) - timedelta(seconds=1)
        assert register(client, secret).status_code == 201
        clock.now += timedelta(seconds=1)
        answer = register(client, secret)

    assert code_of(answer) == (401, "token-expired")
    assert "2026-11-25" in answer.json()["detail"]


def test_a_token_is_revoked_at_once(catalog: Catalog, client: TestClient) -> None:
    secret = make_token(catalog)
    assert register(client, secret).status_code == 201
    with catalog.write() as c:
        assert access.revoke_token(c, "ci", now=NOON)

    assert code_of(register(client, secret)) == (401, "token-revoked")


@pytest.mark.parametrize("scope", ["record", "read"])
def test_another_scope_does_not_do(catalog: Catalog, client: TestClient, scope: Any) -> None:
    answer = register(client, make_token(catalog, scopes=[scope]))

    assert code_of(answer) == (403, "forbidden")
    assert f"it has {scope}" in answer.json()["detail"]


def test_the_body_of_who_may_not_is_not_looked_at(client: TestClient) -> None:
    answer = client.post("/register_build", content=b"{", headers={"Content-Type": "text/plain"})

    assert answer.status_code == 401


def test_nothing_is_written_by_what_a_browser_repeats(catalog: Catalog, client: TestClient) -> None:
    answer = client.post("/register_build", json=BODY, headers=basic(make_token(catalog)))

    assert code_of(answer) == (401, "unauthorized")


def test_only_the_hash_is_kept(catalog: Catalog, tmp_path: Path) -> None:
    secret = make_token(catalog)
    with catalog.read() as c:
        kept = c.exec_driver_sql("SELECT * FROM token").all()

    assert secret not in repr(kept)
    assert secret.removeprefix("ic_").encode() not in b"".join(
        path.read_bytes() for path in tmp_path.glob("catalog.sqlite*")
    )


def test_no_secret_reaches_a_log(
    catalog: Catalog, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = make_token(catalog, repositories=["other/*"])
    answers = [
        register(client, secret),
        register(client, secret + "x"),
        client.post("/register_build", content=b"{", headers=bearer(secret)),
    ]

    told = caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)
    assert secret not in told


# --- repositories ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("glob", "image"),
    [
        ("team/*", f"{APP}:1"),
        ("team/app", f"{APP}:1"),
        ("registry.example.org/team/*", f"{APP}:1"),
        ("*", f"{APP}:1"),
        ("team/*", "registry.example.org/team/deep/er/app:1"),
        ("registry.example.org:5000/*", "registry.example.org:5000/x:1"),
        ("library/debian", "debian:12"),
        ("docker.io/library/*", "debian:12"),
    ],
)
def test_globs_that_cover(catalog: Catalog, client: TestClient, glob: str, image: str) -> None:
    assert (
        register(client, make_token(catalog, repositories=[glob]), image=image).status_code == 201
    )


@pytest.mark.parametrize(
    ("glob", "image"),
    [
        ("team/*", "registry.example.org/teams/app:1"),
        ("team/*", "registry.example.org/x/team/app:1"),
        ("team", f"{APP}:1"),
        ("other.example.org/team/*", f"{APP}:1"),
        ("TEAM/*", f"{APP}:1"),
        ("debian", "debian:12"),
    ],
)
def test_globs_that_do_not(catalog: Catalog, client: TestClient, glob: str, image: str) -> None:
    answer = register(client, make_token(catalog, repositories=["none/*", glob]), image=image)

    assert code_of(answer) == (403, "forbidden")
    assert glob in answer.json()["detail"]
    assert "none/*" in answer.json()["detail"]


def test_a_digest_alone_is_nobodys(catalog: Catalog, client: TestClient) -> None:
    limited, free = make_token(catalog, repositories=TEAM), make_token(catalog, "free")

    assert code_of(register(client, limited, digest=DIGEST)) == (403, "forbidden")
    assert register(client, limited, digest=DIGEST, image=f"{APP}:1").status_code == 201
    assert register(client, limited, digest=DIGEST).status_code == 201
    assert register(client, free, digest=BASE_DIGEST).status_code == 201


def _meet(catalog: Catalog, repository: str) -> Digest:
    """Write an image down as a sync does."""
    digest = Digest.of(repository.encode())
    config = Descriptor("application/vnd.oci.image.config.v1+json", CONFIG, 10)
    manifest = ImageManifest("application/vnd.oci.image.manifest.v1+json", config, ())
    record = ingest.ImageRecord(
        digest, manifest, ImageConfig(NOON, Platform("linux", "amd64")), ImageContents()
    )
    with catalog.write() as c:
        (number,) = ingest.record_images(c, Shelf(), [record], configured={}, reader=1, now=NOON)
        ingest.record_repository(
            c, repository, {"1": number}, [number], [], configured={}, now=NOON
        )
    return digest


def test_nobody_speaks_of_what_another_repository_holds(
    catalog: Catalog, client: TestClient
) -> None:
    digest = _meet(catalog, "registry.example.org/secret/app")
    limited = make_token(catalog, repositories=TEAM)
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}
    path = f"/api/v1/sboms/{digest}"

    told = register(client, limited, digest=digest, image=f"{APP}:1")
    uploaded = client.post(f"{path}?image={APP}:1", json=bom, headers=bearer(limited))
    theirs = client.post(
        path, json=bom, headers=bearer(make_token(catalog, "theirs", repositories=["secret/*"]))
    )

    assert code_of(told) == code_of(uploaded) == (403, "forbidden")
    assert "secret/app" in told.json()["detail"]
    assert theirs.status_code == 201, theirs.text


@pytest.mark.parametrize("by", ["index", "configuration"])
def test_nobody_speaks_of_it_by_another_of_its_digests(
    catalog: Catalog, client: TestClient, by: str
) -> None:
    home = "registry.example.org/secret/app"
    digest, above = _meet(catalog, home), Digest.of(b"index")
    with catalog.write() as c:
        number = lookups.resolve(c, str(digest))
        index = images.put_index(c, Shelf(), above, "", [number], now=NOON)
        ingest.record_repository(c, home, {"all": index}, [index, number], [], now=NOON)
    limited = make_token(catalog, repositories=TEAM)

    told = {"index": above, "configuration": CONFIG}[by]
    assert code_of(register(client, limited, digest=told, image=f"{APP}:1")) == (403, "forbidden")


def test_nobody_speaks_of_what_others_registered(catalog: Catalog, client: TestClient) -> None:
    theirs = make_token(catalog, "theirs", repositories=["secret/*"])
    name = "registry.example.org/secret/app:1"
    assert register(client, theirs, digest=DIGEST, image=name).status_code == 201
    limited = make_token(catalog, repositories=TEAM)
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}
    path = f"/api/v1/sboms/{DIGEST}?image={APP}:1"

    assert code_of(register(client, limited)) == (403, "forbidden")
    uploaded = client.post(path, json=bom, headers=bearer(limited))
    assert code_of(uploaded) == (403, "forbidden")
    assert register(client, theirs, digest=DIGEST, image=name).status_code == 200


@pytest.mark.parametrize(
    ("image", "status"), [(f"{APP}:1", 201), ("quay.example.org/x:1", 403), ("Odd!", 403)]
)
def test_nobody_speaks_of_what_runs_under_other_names(
    catalog: Catalog, client: TestClient, image: str, status: int
) -> None:
    runs = RunningContainer(
        "web", "Deployment/app", "a", "main", "container", image, f"docker-pullable://x@{DIGEST}"
    )
    with catalog.write() as c:
        timeline.observe(c, "north", [runs], at=NOON)

    assert register(client, make_token(catalog, repositories=TEAM)).status_code == status
    assert register(client, make_token(catalog, "free")).status_code in (200, 201)


def test_an_sbom_by_a_limited_token_wants_a_name_or_a_build(
    catalog: Catalog, client: TestClient
) -> None:
    headers = bearer(make_token(catalog, repositories=TEAM))
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}
    path = f"/api/v1/sboms/{DIGEST}"

    assert client.post(path, json=bom, headers=headers).status_code == 403
    assert client.post(f"{path}?image={APP}", json=bom, headers=headers).status_code == 201
    assert client.post(f"{path}?image=other/x", json=bom, headers=headers).status_code == 403


# --- use ------------------------------------------------------------------------------------------


def _used(catalog: Catalog) -> Any:
    with catalog.read() as c:
        return access.list_tokens(c)[0].used


def test_use_is_noted_once_an_hour(catalog: Catalog) -> None:
    secret, clock = make_token(catalog), Clock()
    with asking(catalog, clock) as client:
        assert _used(catalog) is None
        register(client, secret)
        assert _used(catalog) == NOON
        clock.now += timedelta(minutes=59)
        register(client, secret)
        assert _used(catalog) == NOON
        clock.now += timedelta(minutes=1)
        register(client, secret)
        assert _used(catalog) == NOON + timedelta(hours=1)


# --- reads ----------------------------------------------------------------------------------------

READS = [
    "/",
    "/outdated",
    "/images",
    "/health",
    "/api/v1/overview",
    "/api/v1/running.csv",
    "/search",
]


@pytest.fixture
def closed(catalog: Catalog) -> Iterator[TestClient]:
    with asking(catalog, reads="token") as client:
        yield client


@pytest.mark.parametrize("path", READS)
def test_reads_may_want_a_token(catalog: Catalog, closed: TestClient, path: str) -> None:
    secret = make_token(catalog, scopes=["read"])

    assert closed.get(path).status_code == 401
    assert closed.head(path).status_code == 401
    assert closed.get(path, headers=bearer("ic_x")).status_code == 401
    assert closed.get(path, headers=bearer(secret)).status_code == 200
    assert closed.get(path, headers=basic(secret, "me")).status_code == 200


def test_every_question_wants_it(closed: TestClient) -> None:
    document = closed.get("/api/v1/openapi.json").json()
    for path, operations in document["paths"].items():
        if "get" in operations:
            assert closed.get(re.sub(r"\{.*?\}", "1", path)).status_code == 401, path


def test_every_scope_may_read(catalog: Catalog, closed: TestClient) -> None:
    for scope in ("register", "record", "decide", "read"):
        secret = make_token(catalog, scope, scopes=[scope])  # type: ignore[list-item]
        assert closed.get("/api/v1/overview", headers=bearer(secret)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/static/style.css", "/api/v1/openapi.json"]
)
def test_what_stays_open(closed: TestClient, path: str) -> None:
    assert closed.get(path).status_code == 200


def test_a_browser_is_told_what_to_do(closed: TestClient) -> None:
    answer = closed.get("/outdated", headers=BROWSER)

    assert answer.status_code == 401
    assert 'Basic realm="imagecatalog"' in answer.headers["www-authenticate"]
    assert answer.headers["content-type"].startswith("text/html")
    assert "imagecatalog token create" in answer.text
    assert closed.get("/api/v1/overview").headers["content-type"] == "application/problem+json"


def test_reading_notes_the_use(catalog: Catalog, closed: TestClient) -> None:
    secret = make_token(catalog)
    closed.get("/", headers=bearer(secret))

    assert _used(catalog) == NOON


def test_a_question_is_answered_where_nothing_can_be_written(
    catalog: Catalog, closed: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make_token(catalog)

    def refuse(*_: object, **__: object) -> None:
        raise DatabaseReadOnly("the database cannot be written")

    monkeypatch.setattr(access, "note_use", refuse)
    assert closed.get("/api/v1/overview", headers=bearer(secret)).status_code == 200
    assert code_of(register(closed, secret)) == (503, "database-read-only")


def test_open_reads_want_nothing(client: TestClient) -> None:
    for path in READS:
        assert client.get(path).status_code == 200
        assert client.get(path, headers=bearer("ic_nonsense")).status_code == 200


def test_the_description_names_the_token(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()

    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert json.dumps(document).count('"security": [{"token": []}]') >= 3
