"""Clair's notifier tells us: 200 once it is kept, and nobody else can have us fetch anything."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import NOON, Clock, make_token

from imagecatalog.config import ApiSetting, ClairSetting, Settings
from imagecatalog.formats.jwt import sign_token
from imagecatalog.store import clair_notices
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

KEY = b"a key that both sides have"
PSK = base64.b64encode(KEY).decode()
NAME = "794cc876-63ff-47e6-8495-5f69c4c147d8"
BODY = {"notification_id": NAME, "callback": f"http://clair.example.org/notification/{NAME}"}


class Hook:
    """An application where a Clair is configured, and what it kept."""

    def __init__(self, catalog: Catalog, clair: ClairSetting | None) -> None:
        self.catalog = catalog
        self.clock = Clock()
        settings = Settings(clair=clair, api=ApiSetting(reads="token"))
        app = create_asgi_app(settings, catalog, clock=self.clock)
        self.client = TestClient(app, raise_server_exceptions=False)

    def post(self, body: Any = BODY, tokens: Sequence[str] = (), **more: Any) -> int:
        headers = [("Authorization", f"Bearer {token}") for token in tokens]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.append(("Content-Type", more.pop("kind", "application/json")))
        # a generator is sent in chunks, without a length, as Clair does
        answer = self.client.post(
            "/hooks/clair", content=iter([content[:5], content[5:]]), headers=headers
        )
        self.answer = answer
        return answer.status_code

    def kept(self) -> list[str]:
        with self.catalog.read() as c:
            return [one.name for one in clair_notices.list_due(c, now=self.clock.now)]


@pytest.fixture
def hook(catalog: Catalog) -> Hook:
    return Hook(catalog, ClairSetting(url="http://127.0.0.1:6060", psk=PSK))


def _signed(issuer: str = "clair-notifier", key: bytes = KEY, **ago: float) -> str:
    return sign_token(issuer, key, now=NOON - timedelta(**ago))


def test_what_the_notifier_signed_is_kept(hook: Hook) -> None:
    assert hook.post(tokens=[_signed()]) == 200
    assert hook.kept() == [NAME]
    assert hook.post(tokens=[_signed()]) == 200, "told again"
    assert hook.kept() == [NAME]


def test_the_signature_may_be_the_second_token(hook: Hook) -> None:
    assert hook.post(tokens=["what its configuration has", _signed()]) == 200
    joined = f"of its configuration,Bearer {_signed()}"
    assert hook.post(tokens=[joined]) == 200, "as WSGI servers join them"


def test_a_token_of_ours_that_may_record_is_as_good(hook: Hook) -> None:
    assert hook.post(tokens=[make_token(hook.catalog, "clair", scopes=("record",))]) == 200
    assert hook.kept() == [NAME]


def test_everybody_else_is_refused(hook: Hook) -> None:
    lasts = timedelta(hours=1)
    short = make_token(hook.catalog, "short", scopes=("record",), lasts=lasts)
    for tokens in (
        [],
        ["nonsense"],
        [_signed(key=b"another key")],
        [_signed("imagecatalog")],
        [_signed(hours=2)],
        [make_token(hook.catalog, "ci", scopes=("register", "read"))],
        ["x"] * 4 + [_signed()],
        ["y" * 5000],
    ):
        assert hook.post(tokens=tokens) == 401, tokens
        assert hook.answer.headers["content-type"] == "application/problem+json"
    hook.clock.now += lasts
    assert hook.post(tokens=[short]) == 401
    assert hook.kept() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"notification_id": "../../admin"}, 422),
        ({"notification_id": 7}, 422),
        (b"no JSON", 422),
        (b"[" * 60_000, 422),
        ({"notification_id": NAME, "pad": "x" * 70_000}, 413),
    ],
)
def test_bodies_that_tell_nothing(hook: Hook, body: Any, status: int) -> None:
    assert hook.post(body, tokens=[_signed()]) == status
    assert hook.kept() == []


def test_it_must_be_json(hook: Hook) -> None:
    assert hook.post(tokens=[_signed()], kind="text/plain") == 415


def test_the_address_in_the_body_is_never_asked(hook: Hook) -> None:
    """It is not even kept."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        address = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data/"
        assert hook.post({"notification_id": NAME, "callback": address}, [_signed()]) == 200
        with pytest.raises(TimeoutError):
            trap.accept()
    with hook.catalog.read() as c:
        rows = c.exec_driver_sql("SELECT * FROM clair_notice").mappings().all()
    assert [str(trap) for row in rows for trap in row.values() if "meta-data" in str(trap)] == []


def test_too_many_are_not_kept_and_known_ones_still_are(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clair_notices, "WAITING_LIMIT", 2)
    names = [NAME[:-1] + str(number) for number in range(3)]
    statuses = [hook.post({"notification_id": name}, [_signed()]) for name in names]
    assert statuses == [200, 200, 503]
    assert hook.post({"notification_id": names[0]}, [_signed()]) == 200
    assert hook.kept() == names[:2]


def test_without_a_shared_key_anybody_may_tell(catalog: Catalog) -> None:
    hook = Hook(catalog, ClairSetting(url="http://127.0.0.1:6060"))
    assert hook.post() == 200
    assert hook.kept() == [NAME]


def test_without_a_clair_there_is_nothing(catalog: Catalog) -> None:
    assert Hook(catalog, None).post() == 404


def test_a_key_that_cannot_be_read_is_our_fault(catalog: Catalog, tmp_path: Path) -> None:
    hook = Hook(catalog, ClairSetting(url="http://127.0.0.1:6060", psk=f"file:{tmp_path}/none"))
    assert hook.post(tokens=[_signed()]) == 500
    assert hook.answer.json()["code"] == "config"


# --- under the server that is most used -----------------------------------------------------------


@pytest.fixture(params=[["-k", "sync"], ["-k", "asgi"]], ids=["WSGI", "ASGI"])
def gunicorn(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path
) -> Iterator[tuple[str, int, Path]]:
    """Host and port of gunicorn over an empty catalog."""
    database = tmp_path / "catalog.sqlite"
    database.write_bytes(sqlite_template.read_bytes())
    config = tmp_path / "config.toml"
    config.write_text(f'[clair]\nurl = "http://127.0.0.1:9"\npsk = "{PSK}"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environ = {"IMAGE_CATALOG_DB": str(database), "IMAGE_CATALOG_CONFIG": str(config)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *request.param, "--bind", f"127.0.0.1:{port}",
         "--log-level", "warning", "imagecatalog.web:create_app()"],
        env=os.environ | environ,
    )  # fmt: skip
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield "127.0.0.1", port, database
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_chunks_and_two_tokens_under_gunicorn(gunicorn: tuple[str, int, Path]) -> None:
    from datetime import UTC, datetime

    host, port, database = gunicorn
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.putrequest("POST", "/hooks/clair")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Authorization", "Bearer what its configuration has")
    token = sign_token("clair-notifier", KEY, now=datetime.now(UTC))
    connection.putheader("Authorization", f"Bearer {token}")
    body = json.dumps(BODY).encode()
    connection.endheaders(iter([body[:7], body[7:]]), encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()
    catalog = Catalog.open(str(database))
    with catalog.read() as c:
        assert [one.name for one in clair_notices.list_due(c, now=datetime.now(UTC))] == [NAME]
    catalog.close()
