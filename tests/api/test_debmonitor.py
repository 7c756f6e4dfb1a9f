"""The real clients' requests, as they were recorded, are answered as the real DebMonitor did."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from registration import NOON, Clock, make_token

from imagecatalog.config import ApiSetting, Settings
from imagecatalog.errors import InvalidBody
from imagecatalog.planning.moments import running
from imagecatalog.planning.staleness import outdated
from imagecatalog.store import access, health
from imagecatalog.store.debmonitor import list_named
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app
from imagecatalog.web.api.debmonitor import BODY_LIMIT
from imagecatalog.web.api.debmonitor_bodies import (
    CONTAINERS_LIMIT,
    read_cluster_update,
    read_image_update,
)

EXCHANGE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "debmonitor" / "exchange.json").read_text()
)
RECORDED = {one["name"]: one for one in EXCHANGE}
APP = "registry.example.org/acme/web:1.0"
UPDATE = f"/images/{APP}/update"
CLUSTER = "/kubernetes/update"
FEEDER = "feeder.example.org"
PEER = "192.0.2.7"
CERTIFICATE = {"X-Client-Cert-Verify": "SUCCESS", "X-Client-Cert-Subject-DN": f"CN={FEEDER}"}


@contextmanager
def behind(
    catalog: Catalog, *, peer: str = PEER, clock: Clock | None = None, **api: Any
) -> Iterator[TestClient]:
    """A client of the application, which comes from an address."""
    wanted = {"trusted_proxies": (PEER,), "certificate_names": (FEEDER,), **api}
    setting = Settings(database="", api=ApiSetting(**wanted))
    app = create_asgi_app(setting, catalog, clock=clock or Clock())
    with TestClient(app, raise_server_exceptions=False, client=(peer, 50000)) as client:
        yield client


@pytest.fixture
def client(catalog: Catalog) -> Iterator[TestClient]:
    """Through a trusted proxy."""
    with behind(catalog) as client:
        yield client


def replay(client: TestClient, one: dict[str, Any]) -> Any:
    """Send what was recorded, as the proxy passed it on."""
    body = one["body"] if isinstance(one["body"], str) else json.dumps(one["body"])
    headers = {"Content-Type": "application/json", "X-Client-Cert-Verify": one["verified"]}
    if one["certificate"]:
        headers["X-Client-Cert-Subject-DN"] = one["certificate"]
    return client.post(one["path"], content=body, headers=headers)


def post(client: TestClient, path: str, body: Any, **headers: str) -> Any:
    return client.post(path, json=body, headers=headers or CERTIFICATE)


def whole(**more: Any) -> dict[str, Any]:
    """A body of which all is well."""
    return RECORDED["a whole image"]["body"] | more


# --- the exchange as it was recorded --------------------------------------------------------------


def test_every_recorded_request_is_answered_as_it_was(client: TestClient) -> None:
    for one in EXCHANGE:
        answer = replay(client, one)
        told = (answer.status_code, answer.headers["content-type"].partition(";")[0])
        match one["status"], one["name"]:
            case 403, "without a certificate":
                # There may be a token instead, so it is asked for.
                assert answer.status_code == 401
            case 500, "cluster: an image without namespaces":
                # It fell over; here one bad image is told among the errors.
                assert told == (202, "application/json")
                assert [e["pointer"] for e in answer.json()["errors"]] == [
                    "/images/registry.example.org~1acme~1web:1.0"
                ]
            case 500, "image: no release":
                assert {e["pointer"] for e in answer.json()["errors"]} == {"/os", "/installed"}
                assert answer.status_code == 400
            case 400, "image: a release that is none":
                # What a client could not find out about its release is none of the faults here.
                assert [e["pointer"] for e in answer.json()["errors"]] == ["/installed"]
                assert answer.status_code == 400
            case 400 | 403, _:
                assert told == (one["status"], "application/problem+json"), one["name"]
                assert answer.json()["detail"]
            case 201 | 202, _:
                assert told == (one["status"], one["type"]), one["name"]
                check_receipt(answer, one)


def check_receipt(answer: Any, one: dict[str, Any]) -> None:
    if one["type"] == "text/plain":
        assert answer.content == b""
        return
    theirs, ours = one["answer"], answer.json()
    assert ours.keys() == theirs.keys()
    assert (ours["missing"], ours["success"]) == (theirs["missing"], theirs["success"])
    assert [{k: e[k] for k in ("image", "cluster", "namespace")} for e in ours["errors"]] == [
        {k: e[k] for k in ("image", "cluster", "namespace")} for e in theirs["errors"]
    ]


def test_what_was_recorded_is_known_then(client: TestClient, catalog: Catalog) -> None:
    for name in ("a whole image", "a dpkg hook", "a report of docker-report", "cluster: all known"):
        assert replay(client, RECORDED[name]).status_code in (201, 202)
    with catalog.read() as c:
        report = list_named(c, [APP])[APP]
        told = report.packages()
        items = {item.image: item for item in outdated(c, now=NOON).items}
        assert len(running(c, now=NOON).items) == 6
        checked = {one.name: one for one in health.list_health(c)}
    assert report.told_by == FEEDER
    assert report.os == "Debian 12"
    assert told.installed is not None
    assert {one.name: one.version for one in told.installed}["openssl"] == "3.0.17-1~deb12u2"
    assert "held-back" not in {one.name for one in told.installed}
    # The hook upgraded openssl; libssl3:i386 was no upgrade from the beginning.
    assert [one.name for one in told.upgradable] == ["acme-tool", "libssl3", "tzdata"]
    assert items[APP].status == "update"
    assert checked["eqiad (DebMonitor)"].last_good == NOON


def test_a_package_of_the_native_architecture_and_one_of_another_are_two(
    client: TestClient, catalog: Catalog
) -> None:
    replay(client, RECORDED["a whole image"])
    with catalog.read() as c:
        told = list_named(c, [APP])[APP].packages().installed or ()
    assert [one.name for one in told if one.name.startswith("libssl3")] == [
        "libssl3",
        "libssl3:i386",
    ]


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (CERTIFICATE, 201),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": f"O=Example,CN={FEEDER},C=DE"}, 201),
        (CERTIFICATE | {"X-Client-Cert-Verify": "FAILED:expired"}, 401),
        (CERTIFICATE | {"X-Client-Cert-Verify": ""}, 401),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": "CN=other.example.org"}, 403),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": f"CN=evil,O=a\\,CN={FEEDER}"}, 403),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": f"CN=evil,CN={FEEDER}"}, 401),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": f"O=x+CN={FEEDER},CN=y"}, 401),
        (CERTIFICATE | {"X-Client-Cert-Subject-DN": f'O="x,CN={FEEDER}"'}, 401),
        ({"X-Client-Cert-Verify": "SUCCESS"}, 401),
        ({}, 401),
    ],
)
def test_whose_certificate_may(client: TestClient, headers: dict[str, str], status: int) -> None:
    answer = client.post(UPDATE, json=whole(), headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("peer", "proxies", "status"),
    [
        ("192.0.2.7", ("192.0.2.0/24",), 201),
        ("::ffff:192.0.2.7", ("192.0.2.7",), 201),
        ("2001:db8::1", ("192.0.2.7", "2001:db8::/64"), 201),
        ("198.51.100.1", ("192.0.2.7",), 401),
        ("192.0.2.7", (), 401),
        ("192.0.2.7", ("unix",), 401),
        ("", ("unix",), 201),
        ("", ("192.0.2.7",), 401),
    ],
)
def test_whose_word_on_certificates_counts(
    catalog: Catalog, peer: str, proxies: tuple[str, ...], status: int
) -> None:
    with behind(catalog, peer=peer, trusted_proxies=proxies) as client:
        assert post(client, UPDATE, whole()).status_code == status


def test_headers_may_be_named_otherwise(catalog: Catalog) -> None:
    names = {"certificate_header": "X-Subject", "verified_header": "X-Verified"}
    with behind(catalog, **names) as client:
        good = {"X-Subject": f"CN={FEEDER}", "X-Verified": "SUCCESS"}
        assert client.post(UPDATE, json=whole(), headers=good).status_code == 201
        assert client.post(UPDATE, json=whole(), headers=CERTIFICATE).status_code == 401


def test_a_header_given_twice_is_none(client: TestClient) -> None:
    twice = [*CERTIFICATE.items(), ("X-Client-Cert-Subject-DN", "CN=other.example.org")]
    assert client.post(UPDATE, json=whole(), headers=twice).status_code == 401  # type: ignore[arg-type]


def test_a_token_does_too_also_as_netrc_has_it(catalog: Catalog) -> None:
    secret = make_token(catalog, scopes=("register", "record"))
    basic = base64.b64encode(f"any:{secret}".encode()).decode()
    with behind(catalog) as client:
        for scheme in (f"Bearer {secret}", f"Basic {basic}"):
            assert post(client, UPDATE, whole(), Authorization=scheme).status_code == 201
            told = {"cluster": "eqiad", "images": {}}
            assert post(client, CLUSTER, told, Authorization=scheme).status_code == 201
        stranger = CERTIFICATE | {"X-Client-Cert-Subject-DN": "CN=other.example.org"}
        stranger["Authorization"] = f"Bearer {secret}"
        assert post(client, UPDATE, whole(), **stranger).status_code == 201
    with catalog.read() as c:
        assert access.list_tokens(c)[0].used is not None
        assert list_named(c, [APP])[APP].told_by == "ci"


def test_scopes_and_repositories_of_a_token_count(catalog: Catalog) -> None:
    with behind(catalog) as client:

        def ask(name: str, path: str, body: Any, **token: Any) -> tuple[int, str]:
            secret = make_token(catalog, name, **token)
            answer = post(client, path, body, Authorization=f"Bearer {secret}")
            return answer.status_code, answer.json().get("code") if answer.content else ""

        told = {"cluster": "eqiad", "images": {}}
        assert ask("a", UPDATE, whole(), scopes=("record",)) == (403, "forbidden")
        assert ask("b", CLUSTER, told, scopes=("register",)) == (403, "forbidden")
        assert ask("c", UPDATE, whole(), repositories=("team/*",)) == (403, "forbidden")
        assert ask("d", UPDATE, whole(), repositories=("acme/*",)) == (201, "")
        clock_expired = ask("e", UPDATE, whole(), lasts=timedelta(hours=-1))
        assert clock_expired == (401, "token-expired")


def test_hosts_are_none_of_ours(client: TestClient) -> None:
    answer = client.post("/hosts/web1.example.org/update", json={})
    assert answer.status_code == 404
    assert "debmonitor-client -i" in answer.json()["hint"]


# --- hostile bodies -------------------------------------------------------------------------------


def faults(answer: Any) -> dict[str, str]:
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {one["pointer"]: one["detail"] for one in answer.json()["errors"]}


def test_all_faults_of_an_image_are_told_at_once(client: TestClient) -> None:
    body = whole(
        image_name="UPPER/no name",
        api_version="v2",
        update_type="half",
        installed=[
            {"name": "a b", "version": "1", "source": "a"},
            {"name": "b", "version": "not a version"},
            {"name": "c", "version": "-1", "source": 3},
            [],
        ],
        uninstalled=[{}],
        upgradable={"no": "list"},
    )
    del body["os"]
    assert faults(post(client, UPDATE, body)).keys() == {
        "/image_name",
        "/api_version",
        "/update_type",
        "/os",
        "/installed/0/name",
        "/installed/1/source",
        "/installed/1/version",
        "/installed/2/version",
        "/installed/2/source",
        "/installed/3",
        "/uninstalled/0/name",
        "/upgradable",
    }


def test_a_name_in_the_address_that_is_none_is_a_fault(client: TestClient) -> None:
    name = "UPPER/no name"
    answer = post(client, f"/images/{name}/update", whole(image_name=name))
    assert faults(answer).keys() == {"/image_name"}


def test_of_many_faults_the_first_are_told(client: TestClient) -> None:
    answer = post(client, UPDATE, whole(installed=[{"name": " "}] * 5000))
    assert len(answer.json()["errors"]) == 100
    assert "15000 faults" in answer.json()["detail"]
    images = {f"image{number}": {"web": -1} for number in range(5000)}
    answer = post(client, CLUSTER, {"cluster": "eqiad", "images": images})
    assert (answer.status_code, len(answer.json()["errors"])) == (202, 100)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"image_name":' * 50_000,
        b"null",
        b'"text"',
        b"[]",
        b"\xff\xfe",
        b'{"image_name": "\\ud800", "os": "Debian 12", "update_type": "full"}',
        b'{"image_name": "\\u0000", "os": "\\u0000", "update_type": "full", "installed": null}',
        b'{"cluster": "\\ud800", "images": {}}',
        b'{"cluster": "\\u0000", "images": {}}',
        b'{"cluster": 7, "images": {}}',
        b'{"cluster": "", "images": {}}',
        b'{"cluster": "a", "images": {"x": {"web": 9999999999999999999999}}}',
        b'{"cluster": "a", "images": {"x": {"web": 500000}, "y": {"web": 1}}}',
    ],
)
def test_what_is_none_of_it_is_refused(client: TestClient, body: bytes) -> None:
    headers = CERTIFICATE | {"Content-Type": "application/json"}
    for path in (UPDATE, CLUSTER):
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"]


def test_odd_members_of_a_cluster_spoil_no_other(client: TestClient, catalog: Catalog) -> None:
    images = {
        "good": {"web": 1},
        "n\0ul": {"web": 1},
        "x" * 2000: {"web": 1},
        "counts": {
            "true": True,
            "half": 0.5,
            "null": None,
            "less": -1,
            "text": "2",
            "long": "9" * 99,
        },
        "spaces": {"": 1, "n\0ul": 1, "y" * 300: 1, "fine": 1},
        "list": [],
    }
    answer = post(client, CLUSTER, {"cluster": "eqiad", "images": images})
    assert answer.status_code == 400  # 99 nines are more containers than there are
    images["counts"].pop("long")  # type: ignore[attr-defined]
    answer = post(client, CLUSTER, {"cluster": "eqiad", "images": images})
    assert answer.status_code == 202
    assert len(answer.json()["errors"]) == 10
    with catalog.read() as c:
        found = sorted((item.image, item.namespace) for item in running(c, now=NOON).items)
    assert found == [("counts", "text"), ("counts", "text"), ("good", "web"), ("spaces", "fine")]


def test_bodies_are_bounded(client: TestClient) -> None:
    headers = CERTIFICATE | {"Content-Type": "application/json"}
    long = b" " * (BODY_LIMIT + 1)
    assert client.post(UPDATE, content=long, headers=headers).status_code == 413
    form = CERTIFICATE | {"Content-Type": "text/plain"}
    assert client.post(UPDATE, content=b"{}", headers=form).status_code == 415


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_KEYS = ("image_name", "os", "update_type", "installed", "upgradable", "uninstalled", "api_version")


def faults_of(read: Callable[[], object]) -> int:
    """How many are told of a body; none: it is read."""
    try:
        read()
    except InvalidBody as error:
        return len(error.faults) or 1000
    return 0


@settings(max_examples=200)
@given(st.binary(max_size=60) | _JSON.map(lambda told: json.dumps(told).encode()))
def test_no_bytes_get_through(body: bytes) -> None:
    assert 0 < faults_of(lambda: read_image_update(body, APP)) <= 100
    assert faults_of(lambda: read_cluster_update(body)) <= 100


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=3))
def test_no_value_of_a_key_gets_through(changed: dict[str, Any]) -> None:
    body = json.dumps(whole() | changed).encode()
    assert faults_of(lambda: read_image_update(body, APP)) <= 100


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=20), _JSON, max_size=4))
def test_no_image_of_a_cluster_gets_through(images: dict[str, Any]) -> None:
    try:
        update = read_cluster_update(json.dumps({"cluster": "a", "images": images}).encode())
    except InvalidBody:
        return
    counts = [count for one in update.images.values() for count in one.values()]
    assert all(count >= 0 for count in counts)
    assert sum(counts) <= CONTAINERS_LIMIT
