"""Hosts of Docker and Podman: answers as engines give them, hostile ones, sockets that do not open."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from container_engine import VERSION, EngineStub, engine_container
from imagecatalog.config import HostSetting
from imagecatalog.domain.refs import parse_image_id
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    CatalogError,
    SourceUnavailable,
    TooLarge,
    TooManyEntries,
)
from imagecatalog.formats.engine import EngineContainer, EngineImage, Version, read_container
from imagecatalog.formats.scans import encode_scan, tell_whole
from imagecatalog.sources import docker_host
from imagecatalog.sources.docker_host import scan_host
from imagecatalog.sources.http import Patience
from private_authority import Authority

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "engines" / "podman-4.3.1.json").read_text()
)
CONFIG = "sha256:" + 64 * "c"
MANIFEST = "sha256:" + 64 * "d"
OTHER = "sha256:" + 64 * "e"
QUICK = Patience(connect=1, read=2, body=2, attempts=1)
INSPECTED = f"/images/{CONFIG}/json"


@pytest.fixture
def engine() -> Iterator[EngineStub]:
    # A path of a socket has 107 bytes at most.
    with (
        tempfile.TemporaryDirectory(prefix="engine-") as folder,
        EngineStub(Path(folder) / "sock").serving() as stub,
    ):
        yield stub


def scan(engine: EngineStub, *keys: str) -> list[RunningContainer]:
    host = HostSetting("build-1", engine.address)
    return scan_host(host, team_keys=keys, patience=QUICK).containers


def scan_one(engine: EngineStub, container: dict[str, Any], *keys: str) -> RunningContainer:
    engine.answers["/containers/json"] = [container]
    (found,) = scan(engine, *keys)
    return found


def test_podman_as_it_was_recorded(engine: EngineStub) -> None:
    engine.answers = dict(RECORDED["answers"])
    found = scan_host(HostSetting("build-1", engine.address), patience=QUICK)
    assert found.kind == "podman"
    assert [
        (one.namespace, one.workload, one.pod_name, one.container, one.state)
        for one in found.containers
    ] == [
        ("shop", "Compose/shop-web", "shop_web_1", "web", "running"),
        ("default", "Unit/db.service", "db", "db", "running"),
        ("default", "Container/plain", "plain", "plain", "running"),
    ]
    for one in found.containers:
        assert one.image == "registry.example.org/acme/web:1"
        assert parse_image_id(one.image_id).is_config
    assert engine.asked == ["/version", "/v1.41/containers/json"]


def test_docker_names_an_image_by_what_it_was_pulled_by(engine: EngineStub) -> None:
    engine.answers[INSPECTED] = {
        "RepoDigests": [f"mirror.example.org/nginx@{OTHER}", f"nginx@{MANIFEST}"]
    }
    engine.answers["/containers/json"] = [engine_container("web"), engine_container("more")]
    one, two = scan(engine)
    reported = parse_image_id(one.image_id)
    assert (reported.digest, reported.name) == (MANIFEST, "docker.io/library/nginx")
    assert two.image_id == one.image_id
    assert engine.asked.count(f"/v1.47{INSPECTED}") == 1


@pytest.mark.parametrize(
    ("digests", "expected"),
    [
        (None, CONFIG),
        ([], CONFIG),
        ([f"<none>@{MANIFEST}"], CONFIG),
        ([f"localhost/own@{MANIFEST}"], CONFIG),
        (["nginx@sha256:12", "nginx", "@", "\0"], CONFIG),
        (
            [f"b.example.org/x@{OTHER}", f"a.example.org/x@{MANIFEST}"],
            f"a.example.org/x@{MANIFEST}",
        ),
    ],
)
def test_digests_that_name_no_manifest_are_passed_over(
    engine: EngineStub, digests: list[str] | None, expected: str
) -> None:
    engine.answers[INSPECTED] = {"RepoDigests": digests}
    assert scan_one(engine, engine_container("web")).image_id == expected


def test_an_image_that_was_removed_is_known_by_its_configuration(engine: EngineStub) -> None:
    assert scan_one(engine, engine_container("web")).image_id == CONFIG
    bare = engine_container("web", ImageID=64 * "c")
    assert scan_one(engine, bare).image_id == CONFIG
    odd = engine_container("web", ImageID="../../containers")
    assert scan_one(engine, odd).image_id == ""
    assert not any(".." in path for path in engine.asked)


def test_the_manifest_of_the_list_counts_first(engine: EngineStub) -> None:
    engine.answers["/version"] = {**VERSION, "ApiVersion": "1.51"}
    container = engine_container("web", ImageManifestDescriptor={"digest": MANIFEST, "size": 7})
    assert scan_one(engine, container).image_id == f"docker.io/library/nginx@{MANIFEST}"
    assert engine.asked[1] == "/v1.48/containers/json"


def test_a_name_that_the_list_has_lost_is_asked_for(engine: EngineStub) -> None:
    container = engine_container("web", CONFIG)
    engine.answers[f"/containers/{container['Id']}/json"] = {"Config": {"Image": "nginx:1.26"}}
    assert scan_one(engine, container).image == "nginx:1.26"
    assert scan_one(engine, engine_container("gone", CONFIG)).image == CONFIG


def test_places_are_told_by_labels(engine: EngineStub) -> None:
    def place(**labels: str) -> tuple[str, ...]:
        told = {key.replace("_", "."): value for key, value in labels.items()}
        one = scan_one(engine, engine_container("x-1", Labels=told), "org.team", "team")
        return one.namespace, one.workload, one.container, one.team

    assert place() == ("default", "Container/x-1", "x-1", "")
    compose = {"com_docker_compose_project": "shop", "com_docker_compose_service": "web"}
    assert place(**compose, team="blue") == ("shop", "Compose/shop-web", "web", "blue")
    swarm = {"com_docker_swarm_service_name": "shop_web", "com_docker_stack_namespace": "shop"}
    assert place(**swarm) == ("shop", "Service/shop_web", "shop_web", "")
    labels = {"PODMAN_SYSTEMD_UNIT": "web.service", "org.team": "red", "team": "blue"}
    one = scan_one(engine, engine_container("x-1", Labels=labels), "org.team", "team")
    assert (one.workload, one.team) == ("Unit/web.service", "red")


def test_what_does_not_run_is_left_out(engine: EngineStub) -> None:
    states = ["running", "paused", "restarting", "exited", "created", "dead"]
    engine.answers["/containers/json"] = [engine_container(s, State=s) for s in states]
    assert [(one.pod_name, one.state, one.reason) for one in scan(engine)] == [
        ("running", "running", ""),
        ("paused", "running", "paused"),
        ("restarting", "waiting", "restarting"),
    ]


def test_names_of_links_are_not_its_own(engine: EngineStub) -> None:
    linked = engine_container("db", Names=["/app/db-alias", "/db", "/api/db"])
    assert scan_one(engine, linked).pod_name == "db"
    assert scan_one(engine, engine_container("x", Names=None)).pod_name == "7800" + 8 * "0"


# --- what does not answer -------------------------------------------------------------------------


def test_a_version_is_agreed_on(engine: EngineStub) -> None:
    for newest, least, spoken in (("1.24", "1.12", "1.24"), ("1.99", "1.60", "1.60")):
        engine.answers["/version"] = {"ApiVersion": newest, "MinAPIVersion": least}
        scan(engine)
        assert engine.asked[-1] == f"/v{spoken}/containers/json"
    engine.answers["/version"] = {"ApiVersion": "1.23"}
    with pytest.raises(SourceUnavailable, match=r"older API \(1\.23\)"):
        scan(engine)
    engine.answers["/version"] = {"name": "something else"}
    with pytest.raises(BadDocument, match="no version"):
        scan(engine)
    assert Version.parse("1.9") < Version(1, 24)  # type: ignore[operator]


def test_a_proxy_that_lets_nothing_through_is_named(engine: EngineStub) -> None:
    engine.answers["/containers/json"] = (403, b"Forbidden")
    with pytest.raises(AccessDenied, match=r"host build-1: unix:///.*403") as caught:
        scan(engine)
    assert "GET /containers/json" in str(caught.value.hint)


def test_sockets_that_do_not_open_say_what_to_do(tmp_path: Path) -> None:
    def refuse(path: Path) -> SourceUnavailable:
        with pytest.raises(SourceUnavailable) as caught:
            scan_host(HostSetting("build-1", f"unix://{path}"), patience=QUICK)
        assert caught.value.message.startswith("host build-1: ")
        assert caught.value.hint
        return caught.value

    assert "no socket" in refuse(tmp_path / "none").message
    (tmp_path / "file").touch()
    assert "nobody listens" in refuse(tmp_path / "file").message
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
        assert "nobody listens" in refuse(path).message
    assert "cannot be opened" in refuse(tmp_path / ("x" * 200)).message


def test_a_socket_of_others_says_which_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Whoever runs this may be root, whom no socket refuses.
    monkeypatch.setattr(docker_host.socket, "socket", lambda *_: _Refusing(refuse))
    with pytest.raises(AccessDenied, match="may not be opened by this user") as caught:
        scan_host(HostSetting("build-1", "unix:///run/docker.sock"))
    assert "group docker" in str(caught.value.hint)


class _Refusing:
    def __init__(self, connect: Any) -> None:
        self.connect = connect

    def settimeout(self, _: float) -> None:
        pass

    def __enter__(self) -> _Refusing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_remote_host_that_is_away_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailable, match=rf"host b: tcp://127.0.0.1:{port}.*no connection"):
        scan_host(HostSetting("b", f"tcp://127.0.0.1:{port}"), patience=QUICK)
    with pytest.raises(SourceUnavailable, match="host b: https://127"):
        scan_host(HostSetting("b", f"https://127.0.0.1:{port}"), patience=QUICK)


def test_a_remote_host_knows_us_by_our_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = authority.issue("reader")
    with EngineStub(None, context).serving() as engine:
        engine.answers["/containers/json"] = [engine_container("web")]
        host = HostSetting("b", engine.address, authority.file, certificate, key)
        (found,) = scan_host(host, patience=QUICK).containers
        assert found.pod_name == "web"
        with pytest.raises(SourceUnavailable, match="host b: tcp://127"):
            scan_host(HostSetting("b", engine.address, authority.file), patience=QUICK)
        with pytest.raises(SourceUnavailable, match="certificate is not trusted"):
            scan_host(HostSetting("b", engine.address, None, certificate, key), patience=QUICK)


# --- hostile answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[7]", b'[{"Id": 7}]', b"[{}]", b"\xff", b"[" * 200_000, b'[{"Id": "x", "Labels": 3}]'],
)  # fmt: skip
def test_what_is_no_list_of_containers_is_refused_whole(engine: EngineStub, answer: bytes) -> None:
    engine.answers["/containers/json"] = answer
    with pytest.raises(BadDocument, match="host build-1"):
        scan(engine)


def test_answers_without_end_are_cut(engine: EngineStub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_host, "_LIST_LIMIT", 1000)
    engine.answers["/containers/json"] = b" " * 1001
    with pytest.raises(TooLarge):
        scan(engine)
    monkeypatch.setattr(docker_host, "_LIST_LIMIT", 1 << 20)
    monkeypatch.setattr(docker_host, "MOST_CONTAINERS", 2)
    engine.answers["/containers/json"] = [engine_container(name) for name in "abc"]
    with pytest.raises(TooManyEntries):
        scan(engine)


TEXTS = st.text(max_size=8) | st.sampled_from(
    ["x" * 5000, "é" * 3000, "\0", "a/b:c@d", "sha256:", " "]
)


@given(
    name=TEXTS, image=TEXTS, number=TEXTS, labels=st.lists(TEXTS, min_size=5, max_size=5),
    digests=st.lists(TEXTS, max_size=3), identity=TEXTS,
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_text_becomes_what_a_catalog_keeps(
    name: str, image: str, number: str, labels: list[str], digests: list[str], identity: str
) -> None:
    keys = ("com.docker.compose.project", "com.docker.compose.service", "PODMAN_SYSTEMD_UNIT",
            "com.docker.swarm.service.name", "team")  # fmt: skip
    told = EngineContainer(
        id=identity, names=[f"/{name}"], image=image, image_id=number,
        labels=dict(zip(keys, labels, strict=True)),
    )  # fmt: skip
    one = read_container(told, image, EngineImage(repo_digests=digests), ["team"])
    from datetime import UTC, datetime

    from imagecatalog.formats.scan_faults import read_scan

    at = datetime(2026, 11, 24, tzinfo=UTC)
    body = encode_scan(tell_whole([one], at=at, kind="docker"))
    assert read_scan(body, now=at).running() == [one]  # type: ignore[union-attr]
    assert not one.image_id or parse_image_id(one.image_id).digest is not None


def test_an_engine_is_asked_nothing_else(engine: EngineStub) -> None:
    engine.answers[INSPECTED] = {"RepoDigests": []}
    scan_one(engine, engine_container("web"))
    assert set(engine.asked) == {
        "/version", "/v1.47/containers/json", f"/v1.47/images/{CONFIG}/json"
    }  # fmt: skip


def test_errors_are_ours_alone(engine: EngineStub) -> None:
    for status in (400, 401, 404, 500, 503, 301):
        engine.answers["/version"] = (status, b"x")
        with pytest.raises(CatalogError, match="host build-1"):
            scan(engine)
