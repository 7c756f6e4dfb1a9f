"""Registries tell of pushes: 202 once it waits to be looked at, and only where we are configured to."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from registration import Clock, make_token

from imagecatalog.config import ApiSetting, HooksSetting, RegistrySetting, Settings
from imagecatalog.store import sync_requests
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

SECRET = "5f0c2e1d9a7b4c3e8f6a"
DIGEST = "sha256:" + "a" * 64
CAPTURES = Path(__file__).parents[3] / "shared/data/captures/registry-events"
REGISTRIES = (
    RegistrySetting(
        url="https://registry.example.org", aliases=("localhost:5443",), exclude_tags=("^tmp",)
    ),
    RegistrySetting(url="https://hub.example.org:443/team", repositories=("team/*",)),
)


class Hook:
    """An application with two registries, and what they asked it to look at."""

    def __init__(self, catalog: Catalog, secret: str | None = SECRET) -> None:
        self.catalog = catalog
        self.clock = Clock()
        self.woken = 0
        settings = Settings(
            registries=REGISTRIES,
            hooks=HooksSetting(registry_secret=secret),
            api=ApiSetting(reads="token"),
        )
        app = create_asgi_app(settings, catalog, clock=self.clock, wake=self._wake)
        self.client = TestClient(app, raise_server_exceptions=False)

    def _wake(self) -> None:
        self.woken += 1

    def post(
        self, body: Any, shown: str | None = f"Bearer {SECRET}", kind: str = "application/json"
    ) -> int:
        headers = {"Content-Type": kind} | ({} if shown is None else {"Authorization": shown})
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = self.client.post("/hooks/registry", content=content, headers=headers)
        return self.answer.status_code

    def waiting(self) -> list[tuple[str, str]]:
        with self.catalog.write() as c:
            taken = sync_requests.take(
                c, "push", now=self.clock.now, lease=timedelta(hours=1), limit=10_000
            )
        return sorted((one.repository, one.reference) for one in taken)

    def reasons(self) -> list[str]:
        return [one["reason"] for one in self.answer.json()["ignored"]]


@pytest.fixture
def hook(catalog: Catalog) -> Hook:
    return Hook(catalog)


def _event(
    path: str = "app", tag: str = "1.0", action: str = "push", host: str = "registry.example.org"
) -> dict[str, Any]:
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST}
    target |= {"repository": path} | ({"tag": tag} if tag else {})
    return {"id": f"{path}-{tag}", "action": action, "target": target, "request": {"host": host}}


def _harbor(kind: str = "PUSH_ARTIFACT", tag: str = "1.0") -> dict[str, Any]:
    resource = {"digest": DIGEST, "tag": tag, "resource_url": f"hub.example.org/team/app:{tag}"}
    repository = {"name": "app", "namespace": "team", "repo_full_name": "team/app"}
    return {
        "type": kind,
        "occur_at": 1680501893,
        "operator": "robot$ci",
        "event_data": {"resources": [resource], "repository": repository},
    }


def _cloud(kind: str = "harbor.artifact.pushed") -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "66e18103",
        "source": "/projects/2/webhook/policies/15",
        "type": kind,
        "datacontenttype": "application/json",
        "data": _harbor()["event_data"],
    }


APP = ("registry.example.org/app", "1.0")
HUB = ("hub.example.org:443/team/app", "1.0")


# --- what is taken --------------------------------------------------------------------------------


def test_a_push_waits_to_be_looked_at_and_the_jobs_are_woken(hook: Hook) -> None:
    for version in (1, 2):
        kind = f"application/vnd.docker.distribution.events.v{version}+json"
        assert hook.post({"events": [_event()]}, kind=kind) == 202
    assert hook.answer.json() == {"accepted": 1, "ignored": []}
    assert hook.waiting() == [APP]
    assert hook.woken == 2


def test_a_push_without_a_tag_goes_by_its_digest(hook: Hook) -> None:
    assert hook.post({"events": [_event(tag="")]}) == 202
    assert hook.waiting() == [("registry.example.org/app", DIGEST)]


def test_what_is_deleted_is_looked_at_as_well(hook: Hook) -> None:
    gone = [_event(tag="", action="delete"), _event(path="web", tag="2", action="delete")]
    del gone[1]["target"]["digest"]
    assert hook.post({"events": gone}) == 202
    assert hook.waiting() == [
        ("registry.example.org/app", DIGEST),
        ("registry.example.org/web", "2"),
    ]


@pytest.mark.parametrize("body", [_harbor(), _cloud(), _harbor("pushImage")])
def test_harbor_in_all_its_formats(hook: Hook, body: dict[str, Any]) -> None:
    assert hook.post(body, kind="application/cloudevents+json") == 202
    assert hook.waiting() == [HUB]


@pytest.mark.parametrize("body", [_harbor("DELETE_ARTIFACT"), _cloud("harbor.artifact.deleted")])
def test_a_deletion_of_harbors_is_of_the_tag_and_the_digest(hook: Hook, body: Any) -> None:
    assert hook.post(body, shown=SECRET) == 202, "Harbor's header may be the secret alone"
    assert hook.waiting() == [HUB, (HUB[0], DIGEST)]


def test_harbor_writes_a_digest_where_there_is_no_tag(hook: Hook) -> None:
    assert hook.post(_harbor(tag=DIGEST)) == 202
    assert hook.waiting() == [(HUB[0], DIGEST)]


@pytest.mark.parametrize(
    "host", ["LOCALHOST:5443", "registry.example.org:443", "registry.example.org"]
)
def test_a_registry_may_be_called_by_its_aliases(hook: Hook, host: str) -> None:
    assert hook.post({"events": [_event(host=host)]}) == 202
    assert hook.waiting() == [APP]


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.json")), ids=lambda path: path.name)
def test_what_a_real_registry_sent(hook: Hook, path: Path) -> None:
    expected = {
        "003.json": [("registry.example.org/tlspush/bookworm", "1.0.0")],
        "006.json": [("registry.example.org/tlspush/bookworm", "1.0.1")],
        "007.json": "sha256:b664d501d03a18e4a4f51227e2f7b40aebf18d716283ce84bd445a0f3ae9e531",
        "008.json": "sha256-7f5213354bd8ccfc88d25d99da2f34fb4ff6115adc48bd754718c53d94f0550a",
    }.get(path.name, [])
    if isinstance(expected, str):
        expected = [("registry.example.org/myapp", expected)]
    kind = "application/vnd.docker.distribution.events.v1+json"
    assert hook.post(path.read_bytes(), kind=kind) == 202
    assert hook.waiting() == expected
    assert len(hook.reasons()) == (0 if expected else 1), "a layer, or a pull"


# --- what is not ----------------------------------------------------------------------------------


def test_one_bad_event_spoils_no_other(hook: Hook) -> None:
    bad: list[Any] = [
        7,
        {"action": "push", "target": {"repository": 7}},
        _event(path="../etc"),
        _event(path="UPPER"),
        _event(tag="no tag"),
        _event(tag="sha256:short"),
        _event(action="pull"),
        _event(host=""),
        _event(host="elsewhere.example.org"),
        {**_event(), "target": {"mediaType": "application/octet-stream", "digest": DIGEST}},
        _event(path="x" * 300),
        _event(tag="\0"),
    ]
    assert hook.post({"events": [*bad, _event()]}) == 202
    assert hook.answer.json()["accepted"] == 1
    assert len(hook.reasons()) == len(bad)
    assert hook.waiting() == [APP]


def test_a_registry_that_is_not_configured_is_told_so(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        assert hook.post({"events": [_event(host="evil.example.com\n")]}) == 202
    (reason,) = hook.reasons()
    assert "no [[registry]] of the configuration has 'evil.example.com\\n'" in reason
    assert hook.waiting() == []
    assert hook.woken == 0
    told = [record for record in caplog.records if "evil" in record.getMessage()]
    assert len(told) == 1, "the log says it once"


def test_what_the_configuration_leaves_out_is_ignored(hook: Hook) -> None:
    assert hook.post({"events": [_event(host="hub.example.org", path="other/app")]}) == 202
    assert "leaves other/app of 'hub.example.org' out" in hook.reasons()[0]
    assert hook.waiting() == []


def test_no_more_events_than_a_limit_are_read(hook: Hook) -> None:
    assert hook.post({"events": [_event(tag=f"t{n}") for n in range(1001)]}) == 202
    assert hook.answer.json()["accepted"] == 1000
    assert hook.reasons() == ["1 more in one notification than the 1000 read"]


def test_reasons_are_told_of_a_hundred(hook: Hook) -> None:
    assert hook.post({"events": [7] * 500}) == 202
    assert len(hook.reasons()) == 100


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ([], 422),
        ({"events": 7}, 422),
        ({"type": "PUSH_ARTIFACT"}, 422),
        (b"no JSON", 422),
        (b"[" * 60_000, 422),
        (b'{"events": [' + b"[" * 60_000, 422),
        ({"events": [], "pad": "x" * (1 << 20)}, 413),
    ],
)
def test_bodies_that_tell_nothing(hook: Hook, body: Any, status: int) -> None:
    assert hook.post(body) == status, hook.answer.text
    assert hook.answer.headers["content-type"] == "application/problem+json"
    assert hook.waiting() == []


def test_it_must_be_json(hook: Hook) -> None:
    assert hook.post({"events": [_event()]}, kind="text/plain") == 415


def test_too_many_that_wait_are_refused_so_that_they_are_told_again(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_requests, "WAITING_LIMIT", 1)
    assert hook.post({"events": [_event()]}) == 202
    assert hook.post({"events": [_event(tag="2.0")]}) == 503
    assert hook.waiting() == [APP]


# --- who may --------------------------------------------------------------------------------------


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"registry:{password}".encode()).decode()


@pytest.mark.parametrize(
    "shown", [f"Bearer {SECRET}", f"bearer {SECRET}", SECRET, _basic(SECRET), f"x,Bearer {SECRET}"]
)
def test_the_secret_may_be_shown_as_registries_can(hook: Hook, shown: str) -> None:
    assert hook.post({"events": [_event()]}, shown) == 202


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        f"Bearer {SECRET}x",
        SECRET[:-1],
        _basic("x"),
        "Basic §",
    ],
)
def test_everybody_else_is_refused(hook: Hook, shown: str | None) -> None:
    value = None if shown is None else shown.encode("latin-1").decode("latin-1")
    headers: Iterable[tuple[bytes, bytes]] = [(b"Content-Type", b"application/json")]
    if value is not None:
        headers = [*headers, (b"Authorization", value.encode("latin-1"))]
    content = json.dumps({"events": [_event()]})
    answer = hook.client.post("/hooks/registry", content=content, headers=list(headers))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert hook.waiting() == []


def test_a_token_of_ours_is_as_good_for_its_repositories(hook: Hook) -> None:
    token = make_token(hook.catalog, "ci", scopes=("record",), repositories=("app",))
    assert hook.post({"events": [_event(), _event(path="web")]}, f"Bearer {token}") == 202
    assert hook.waiting() == [APP]
    assert "may not speak of registry.example.org/web" in hook.reasons()[0]
    token = make_token(hook.catalog, "reader", scopes=("register", "read"))
    assert hook.post({"events": [_event()]}, f"Bearer {token}") == 401


def test_without_a_secret_the_route_refuses(catalog: Catalog) -> None:
    hook = Hook(catalog, None)
    assert hook.post({"events": [_event()]}) == 404
    assert "[hooks] registry_secret" in hook.answer.json()["hint"]


@pytest.mark.parametrize("secret", ["short", "file:/nowhere/at-all", "with a space in it it is"])
def test_a_secret_that_cannot_be_one_is_our_fault_and_not_shown(
    catalog: Catalog, secret: str
) -> None:
    hook = Hook(catalog, secret)
    assert hook.post({"events": [_event()]}, f"Bearer {secret}") == 500
    assert hook.answer.json()["code"] == "config"
    if not secret.startswith("file:"):
        assert secret not in hook.answer.text
        assert secret not in repr(HooksSetting(registry_secret=secret))
