"""A cluster's list of pods, from a server on this machine that speaks the list protocol."""

from __future__ import annotations

import base64
import gzip
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_stub import Answer, Handler, Server, make_kubeconfig, pod, status

from imagecatalog.config import ClusterSetting
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooManyEntries,
    TooSlow,
)
from imagecatalog.sources.kube import ClusterScan, KubeLimits, has_pods, read_cluster
from private_authority import Authority


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    stub = Server(tmp_path)
    yield stub
    stub.close()


def page(*names: str, following: str = "", pack: bool = False) -> Answer:
    items = [pod(name) for name in names]
    body = {"kind": "PodList", "metadata": {"continue": following}, "items": items}
    data = json.dumps(body).encode()
    if pack:
        return lambda handler, query: handler.say(200, gzip.compress(data), Content_Encoding="gzip")
    return lambda handler, query: handler.say(200, data)


def names(cluster: ClusterSetting, **limits: Any) -> list[str]:
    return [container.pod_name for container in scan(cluster, **limits).containers]


def scan(cluster: ClusterSetting, *keys: str, **limits: Any) -> ClusterScan:
    waits: list[float] = []
    return read_cluster(cluster, team_keys=keys, limits=KubeLimits(**limits), sleep=waits.append)


def test_pages_are_followed_with_a_limit_and_without_resource_version(server: Server) -> None:
    server.answer(page("a", "b", following="t/1=", pack=True), page("c", following="t2"), page())

    assert names(server.cluster()) == ["a", "b", "c"]
    assert [asked.get("continue") for asked in server.asked] == [None, "t/1=", "t2"]
    assert {asked["limit"] for asked in server.asked} == {"500"}
    assert {asked["path"] for asked in server.asked} == {"/api/v1/pods"}
    assert all("resourceVersion" not in asked for asked in server.asked)


def test_a_server_behind_a_path(server: Server) -> None:
    server.answer(page("a"))
    server.url += "/k8s/clusters/c-1"

    assert names(server.cluster()) == ["a"]
    assert server.asked[0]["path"] == "/k8s/clusters/c-1/api/v1/pods"


def test_whether_there_are_pods_is_asked_of_one_alone(server: Server) -> None:
    server.answer(page("a", following="t"))
    assert has_pods(server.cluster())
    server.answer(page())
    assert not has_pods(server.cluster())

    assert [asked["limit"] for asked in server.asked] == ["1", "1"]


def test_an_expired_list_begins_again_and_what_it_said_before_is_not_kept(server: Server) -> None:
    server.answer(page("a", "b", following="t"), status(410), page("b", "c", following="u"), page())

    assert names(server.cluster()) == ["b", "c"]
    assert [asked.get("continue") for asked in server.asked] == [None, "t", None, "u"]


def test_a_list_that_always_expires_is_given_up(server: Server) -> None:
    server.answer(page("a", following="t"), *[status(410)] * 4)

    with pytest.raises(SourceUnavailable, match="expired 4 times"):
        names(server.cluster())
    assert len(server.asked) == 5


def test_a_server_that_repeats_itself_is_given_up(server: Server) -> None:
    server.answer(page("a", following="t"))
    with pytest.raises(SourceUnavailable, match="repeats a page"):
        names(server.cluster())

    server.answer(*[page(f"{n}", following=str(n % 3)) for n in range(9)])
    with pytest.raises(SourceUnavailable, match="repeats a page"):
        names(server.cluster())
    server.answer(*[page(f"{n}", following=str(n)) for n in range(9)])
    with pytest.raises(SourceUnavailable, match="more than 5 pages"):
        names(server.cluster(), pages=5)
    server.answer(*[page("a", "b", following=str(n)) for n in range(9)])
    with pytest.raises(SourceUnavailable, match="repeats the same pods"):
        names(server.cluster())
    with pytest.raises(TooManyEntries, match="more than 1 pods"):
        names(server.cluster(), pods=1)


def test_a_list_that_ends_before_its_end_is_not_taken_for_the_whole(server: Server) -> None:
    body = {"kind": "PodList", "metadata": {"remainingItemCount": 3}, "items": [pod("a")]}
    server.answer(lambda handler, query: handler.say(200, json.dumps(body).encode()))

    with pytest.raises(BadDocument, match="with 3 of them left"):
        names(server.cluster())


def many(count: int, annotation: int) -> Answer:
    """So many pods with annotations of so many bytes, as many at once as is asked for."""
    pods = [pod(f"p{n}") for n in range(count)]
    for one in pods:
        one["metadata"]["annotations"] = {"huge": "x" * annotation}

    def answer(handler: Handler, query: dict[str, str]) -> None:
        start, limit = int(query.get("continue", "0")), int(query["limit"])
        left = len(pods) - start - limit
        metadata = {"continue": str(start + limit), "remainingItemCount": left} if left > 0 else {}
        body = {"kind": "PodList", "metadata": metadata, "items": pods[start : start + limit]}
        handler.say(200, json.dumps(body).encode())

    return answer


def test_pages_that_are_too_large_are_asked_for_in_parts(server: Server) -> None:
    server.answer(many(20, 100_000))

    assert names(server.cluster(), page_bytes=256_000) == [f"p{n}" for n in range(20)]
    assert {asked["limit"] for asked in server.asked} == {"500", "62", "7", "1"}
    with pytest.raises(TooLarge):
        names(server.cluster(), page_bytes=99_000)


def test_annotations_of_ten_megabytes_are_read_over(server: Server) -> None:
    server.answer(many(5, 10_000_000))

    assert names(server.cluster()) == [f"p{n}" for n in range(5)]


def test_a_pod_that_cannot_be_understood_does_not_stand_for_the_others(server: Server) -> None:
    bad, long = pod("bad"), pod("long")
    bad["spec"]["containers"] = {"main": "x"}
    long["spec"]["containers"][0]["image"] = "é" * 2000
    body = {"kind": "PodList", "metadata": {}, "items": [pod("a"), bad, long, pod("b")]}
    server.answer(lambda handler, query: handler.say(200, json.dumps(body).encode()))

    found = scan(server.cluster())

    assert [container.pod_name for container in found.containers] == ["a", "b"]
    assert {(one.namespace, one.name) for one in found.unread} == {
        ("shop", "bad"),
        ("shop", "long"),
    }
    assert any("array" in one.why for one in found.unread)

    body["items"].append({"metadata": {"name": 3}})  # type: ignore[attr-defined]
    with pytest.raises(BadDocument, match="cannot be read"):
        scan(server.cluster())


def test_pods_of_one_name_are_one_and_doubled_uids_are_two(server: Server) -> None:
    first, second = pod("a"), pod("b")
    second["metadata"]["uid"] = "a"
    body = {"kind": "PodList", "items": [first, second, first]}
    server.answer(lambda handler, query: handler.say(200, json.dumps(body).encode()))

    assert names(server.cluster()) == ["a", "b"]


def namespaces(**teams: str) -> Answer:
    items = [{"metadata": {"name": name, "labels": {"team": team}}} for name, team in teams.items()]
    body = {"kind": "NamespaceList", "metadata": {}, "items": items}
    return lambda handler, query: handler.say(200, json.dumps(body).encode())


def test_teams_are_told_by_pods_else_by_their_namespaces(server: Server) -> None:
    own = pod("own")
    own["metadata"]["annotations"] = {"example.org/team": "search", "other": "x" * 100}
    body = {"kind": "PodList", "items": [own, pod("plain")]}
    server.answer(
        namespaces(shop="sales"),
        lambda handler, query: handler.say(200, json.dumps(body).encode()),
    )

    found = scan(server.cluster(), "example.org/team", "team")

    assert [container.team for container in found.containers] == ["search", "sales"]
    assert [asked["path"] for asked in server.asked] == ["/api/v1/namespaces", "/api/v1/pods"]
    assert found.remarks == ()


def test_without_the_right_to_list_namespaces_their_teams_are_not_known(server: Server) -> None:
    server.answer(status(403, "namespaces is forbidden"), page("a"))

    found = scan(server.cluster(), "team")

    assert [container.team for container in found.containers] == [""]
    assert found.remarks == ("namespaces may not be listed, so their teams are not known",)


def test_a_refused_list_says_which_right_is_missing(server: Server) -> None:
    server.answer(status(403, 'pods is forbidden: User "reader" cannot list resource "pods"'))

    with pytest.raises(AccessDenied, match=r'cluster eqiad: .*User "reader" cannot list') as caught:
        names(server.cluster())

    assert "ClusterRole" in str(caught.value.hint)
    assert len(server.asked) == 1


def test_who_was_given_a_page_is_refused_the_next_only_after_some_patience(server: Server) -> None:
    """A server that has just started refuses all, until it has read whose rights are which."""
    server.answer(page("a", following="t"), status(403, "not yet"), status(401), page("b"))
    assert names(server.cluster()) == ["a", "b"]

    server.answer(page("a", following="t"), status(403, "no more"))
    with pytest.raises(AccessDenied, match="no more"):
        names(server.cluster(), attempts_within=2)


def test_refused_credentials_name_the_kubeconfig(server: Server) -> None:
    server.answer(status(401, "Unauthorized"))
    cluster = server.cluster({"token": "hush"})

    with pytest.raises(AccessDenied) as caught:
        names(cluster)

    assert cluster.kubeconfig in str(caught.value)
    assert "hush" not in str(caught.value)
    assert server.asked[0]["auth"] == "Bearer hush"


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        (404, Missing, 1),
        (400, SourceUnavailable, 1),
        (302, SourceUnavailable, 1),
        (429, RateLimited, 4),
        (500, SourceUnavailable, 4),
        (503, SourceUnavailable, 4),
    ],
)
def test_answers_that_are_no_list(
    server: Server, code: int, error: type[SourceUnavailable], tries: int
) -> None:
    server.answer(status(code, "no", Location="http://127.0.0.1:9/"))

    with pytest.raises(error, match="cluster eqiad"):
        names(server.cluster())
    assert len(server.asked) == tries


def test_a_busy_server_is_asked_again_when_it_said(server: Server) -> None:
    waits: list[float] = []
    server.answer(status(429, Retry_After="7"), status(503), page("a"))

    found = read_cluster(server.cluster(), sleep=waits.append)

    assert [container.pod_name for container in found.containers] == ["a"]
    assert waits == [7.0, 1.0]


def test_a_server_that_asks_for_more_patience_than_there_is(server: Server) -> None:
    server.answer(status(429, Retry_After="250"))

    with pytest.raises(RateLimited) as caught:
        names(server.cluster(), seconds=60)

    assert caught.value.retry_after == 250
    assert len(server.asked) == 1


def half_a_body(handler: Handler, query: dict[str, str]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"kind":"PodList"')
    handler.close_connection = True


def drip(head: bytes) -> Answer:
    """A few bytes at once, then one each moment for ever."""

    def answer(handler: Handler, query: dict[str, str]) -> None:
        handler.wfile.write(head)
        for _ in range(200):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    return answer


def nothing(handler: Handler, query: dict[str, str]) -> None:
    time.sleep(0.5)
    handler.close_connection = True


def bomb(handler: Handler, query: dict[str, str]) -> None:
    handler.say(200, gzip.compress(b" " * (8 << 20)), Content_Encoding="gzip")


def test_half_a_body_is_asked_for_again_and_then_named(server: Server) -> None:
    server.answer(half_a_body, page("a"))
    assert names(server.cluster()) == ["a"]

    server.answer(half_a_body)
    with pytest.raises(SourceUnavailable, match="broke off"):
        names(server.cluster())


def test_bodies_that_are_too_slow_or_too_large_or_wrong(server: Server) -> None:
    server.answer(nothing)
    with pytest.raises(SourceUnavailable, match="did not answer in time"):
        names(server.cluster(), silence=0.1, attempts=1)

    server.answer(bomb)
    with pytest.raises(TooLarge):
        names(server.cluster(), page_bytes=1 << 20)

    server.answer(lambda handler, query: handler.say(200, b"<html>a login page</html>"))
    with pytest.raises(BadDocument, match="cluster eqiad: the list of pods cannot be read"):
        names(server.cluster())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Much: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        # a gzip file whose name has no end
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_a_server_that_drips_is_given_up_in_time(server: Server, head: bytes) -> None:
    server.answer(drip(head))
    began = time.monotonic()

    with pytest.raises(TooSlow, match="in the time that there is"):
        names(server.cluster(), seconds=0.3)
    assert time.monotonic() - began < 2


def test_answers_packed_wrongly(server: Server) -> None:
    server.answer(lambda handler, query: handler.say(200, b"no gzip", Content_Encoding="gzip"))
    with pytest.raises(BadDocument, match="cannot be unpacked"):
        names(server.cluster())
    cut = gzip.compress(b" " * 100)[:-4]
    server.answer(lambda handler, query: handler.say(200, cut, Content_Encoding="gzip"))
    with pytest.raises(SourceUnavailable, match="ends before its end"):
        names(server.cluster())
    server.answer(lambda handler, query: handler.say(200, b"{}", Content_Encoding="br"))
    with pytest.raises(BadDocument, match="encoding br"):
        names(server.cluster())


def test_a_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    cluster = server.cluster()
    server.close()

    with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
        names(cluster)
    assert str(tmp_path) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a kubeconfig"),
        ("a: [", "is not YAML"),
        ("[]", "is not a kubeconfig"),
        ("\xff", "kubeconfig"),
        ("{}", "lacks 'clusters'"),
        ("{clusters: [], contexts: []}", "names no current context"),
        ("{clusters: [], contexts: [], current-context: x}", "Context 'x' not found"),
        (json.dumps(make_kubeconfig("kube.example.org")), "not the address of an API server"),
        (json.dumps(make_kubeconfig("https://kube.example.org:x")), "kubeconfig"),
        (
            json.dumps(make_kubeconfig("https://k", **{"certificate-authority": "absent.pem"})),
            "absent.pem: No such file",
        ),
        (
            json.dumps(make_kubeconfig("https://k", **{"certificate-authority-data": "!"})),
            "kubeconfig",
        ),
        (
            json.dumps(make_kubeconfig("https://k", **{"certificate-authority-data": "YQ=="})),
            "certificate or key",
        ),
        (
            json.dumps(
                make_kubeconfig(
                    "https://k", {"client-certificate": "absent", "client-key": "absent"}
                )
            ),
            "No such file",
        ),
    ],
)
def test_kubeconfigs_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(SourceUnavailable, match=said) as caught:
        names(ClusterSetting("eqiad", str(path)))

    assert "cluster eqiad" in str(caught.value)
    assert caught.value.hint


def test_kubeconfigs_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in [(tmp_path / "absent", "No such file"), (tmp_path, "directory")]:
        with pytest.raises(SourceUnavailable, match=said):
            names(ClusterSetting("eqiad", str(path)))


def test_the_service_account_of_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(SourceUnavailable, match="in-cluster"):
        names(ClusterSetting("eqiad", "in-cluster"))


def plugin(tmp_path: Path, script: str) -> dict[str, Any]:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    environ = [{"name": "TOKEN", "value": "from-plugin"}]
    return {"exec": {"apiVersion": version, "command": str(path), "args": ["-x"], "env": environ}}


def test_a_token_of_a_credential_plugin(server: Server, tmp_path: Path) -> None:
    server.answer(page("a"))
    user = plugin(tmp_path, """echo "{\\"status\\": {\\"token\\": \\"$TOKEN\\"}}" """)

    assert names(server.cluster(user)) == ["a"]
    assert server.asked[0]["auth"] == "Bearer from-plugin"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo log in first >&2; exit 3", "left with 3: log in first"),
        ("echo '{}'", "printed no credential"),
        ("""echo '{"status": {"token": 3}}'""", "printed n"),
    ],
)
def test_a_plugin_that_fails(server: Server, tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(AccessDenied, match=said) as caught:
        names(server.cluster(plugin(tmp_path, script)))
    assert str(caught.value.hint).endswith("plugin -x")


def test_a_plugin_that_is_not_installed(server: Server) -> None:
    absent = {"apiVersion": "v1", "command": "no-such-plugin", "installHint": "get it"}

    with pytest.raises(AccessDenied, match="no-such-plugin is not installed: get it"):
        names(server.cluster({"exec": absent}))


def test_a_plugin_is_told_of_the_cluster_and_asked_anew(server: Server, tmp_path: Path) -> None:
    """The second time, for the first token is no longer taken."""
    count = f'echo x >> {tmp_path}/count; echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/info;'
    user = plugin(
        tmp_path,
        count
        + f""" echo "{{\\"status\\": {{\\"token\\": \\"$(wc -l < {tmp_path}/count)\\"}}}}" """,
    )
    user["exec"] |= {"provideClusterInfo": True, "command": "./plugin"}
    server.answer(status(401), page("a"))

    assert names(server.cluster(user)) == ["a"]
    assert [asked["auth"] for asked in server.asked] == ["Bearer 1", "Bearer 2"]
    info = json.loads((tmp_path / "info").read_text())
    assert info["spec"] == {"interactive": False, "cluster": {"server": server.url}}


def test_proxies_of_the_kubeconfig_and_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(page("a"))
    proxy, server.url = server.url, "http://kube.example.org"

    assert names(server.cluster(**{"proxy-url": proxy})) == ["a"]
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert names(server.cluster()) == ["a"]
    assert len(server.asked) == 2

    with pytest.raises(SourceUnavailable, match="socks5"):
        names(server.cluster(**{"proxy-url": "socks5://127.0.0.1:9"}))
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        names(server.cluster(**{"proxy-url": "http://127.0.0.1:9"}))


def test_a_token_file_beside_the_kubeconfig(server: Server, tmp_path: Path) -> None:
    server.answer(page("a"))
    (tmp_path / "token").write_text("from-file\n")

    assert names(server.cluster({"tokenFile": "token"})) == ["a"]
    assert server.asked[0]["auth"] == "Bearer from-file"

    with pytest.raises(AccessDenied, match="absent not found"):
        names(server.cluster({"tokenFile": "absent"}))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure_server(tmp_path: Path, authority: Authority) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    stub = Server(tmp_path, context)
    yield stub
    stub.close()


def test_a_client_certificate_and_a_private_authority(
    secure_server: Server, authority: Authority
) -> None:
    secure_server.answer(page("a"))
    certificate, key = authority.issue("reader")

    def inline(path: str) -> str:
        return base64.b64encode(Path(path).read_bytes()).decode()

    by_name = {"client-certificate": certificate, "client-key": Path(key).name}
    by_value = {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}
    trusted = {"certificate-authority": authority.file}
    inlined = {"certificate-authority-data": inline(authority.file)}

    assert names(secure_server.cluster(by_name, **trusted)) == ["a"]
    assert names(secure_server.cluster(by_value, **inlined)) == ["a"]


def test_a_certificate_of_an_unknown_authority(secure_server: Server) -> None:
    with pytest.raises(SourceUnavailable, match="is not to be trusted") as caught:
        names(secure_server.cluster())

    assert "certificate-authority" in str(caught.value.hint)
