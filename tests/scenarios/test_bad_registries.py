"""Registries that refuse, break off or keep silent, at every step of a sync."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from bad_registry import (
    Answering,
    Handler,
    break_off,
    debian,
    keep_silent,
    layer,
    refuse,
    say,
    serve,
)
from bad_shop import Shop

from imagecatalog.domain.refs import Digest
from imagecatalog.sources.http import Http, Patience

NESTED = b'{"tags":' + b"[" * 1000 + b"]" * 1000 + b"}"

ANSWERS: dict[str, tuple[Answering, str]] = {
    "401": (refuse(401), "credentials"),
    "401 Basic": (refuse(401, WWW_Authenticate='Basic realm="x"'), "credentials"),
    "403": (refuse(403), "403"),
    "404": (refuse(404), "404"),
    "429": (refuse(429, Retry_After="1"), "429"),
    "429 for an hour": (refuse(429, Retry_After="3600"), "429"),
    "500": (refuse(500), "500"),
    "half a body": (break_off, ""),
    "nothing": (keep_silent, "no answer for too long"),
    "no HTTP": (lambda handler: _say_raw(handler, b"SSH-2.0-OpenSSH_9.2\r\n"), ""),
    "a hang-up": (lambda handler: _say_raw(handler, b""), ""),
}


def _say_raw(handler: Handler, data: bytes) -> None:
    handler.wfile.write(data)
    handler.wfile.flush()
    handler.close_connection = True


STEPS = {
    "tags": "GET /v2/{name}/tags/list",
    "digest": "HEAD /v2/{name}/manifests/1",
    "manifest": "GET /v2/{name}/manifests/{digest}",
    "config": "GET /v2/{name}/blobs/{config}",
    "layer": "GET /v2/{name}/blobs/{layer}",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_bad_answer_costs_what_it_is_about(shop: Shop, step: str) -> None:
    names = {case: f"bad/x{number:02}" for number, case in enumerate(ANSWERS)}
    for case, name in names.items():
        target = shop.registry.add_image(
            debian(bad="1.0-1", case=f"{len(case)}"), layer({name: b""})
        )
        shop.registry.tag(name, target)
        named = json.loads(shop.registry.manifests[Digest(target["digest"])][1])
        pattern = STEPS[step].format(
            name=name,
            digest=target["digest"],
            config=named["config"]["digest"],
            layer=named["layers"][1]["digest"],
        )
        shop.registry.lies[pattern] = ANSWERS[case][0]
    said = shop.sync()
    for case, name in names.items():
        passed = (step, case) in PASSED
        told = [line for line in said.err.splitlines() if f"failed: {shop.host}/{name}" in line]
        assert len(told) == (not passed), (case, said)
        assert passed or ANSWERS[case][1] in told[0]

    shop.registry.lies.clear()  # well again: everything is read
    shop.command.run("sync", shop.registry.url)
    for case, name in names.items():
        found = {"bad": "1.0-1", "case": f"{len(case)}"}
        assert shop.command.packages(f"{shop.host}/{name}:1") == found


PASSED = {("tags", "404"), ("digest", "404"), ("digest", "half a body")}
"""What is no fault: a list's or a tag's 404 (it went meanwhile); a HEAD has no body."""


def test_registries_that_answer_nothing_well(shop: Shop) -> None:
    with ExitStack() as stack:
        bad = {case: stack.enter_context(serve()) for case in ANSWERS}
        for case, registry in bad.items():
            registry.lies["/v2/.*"] = ANSWERS[case][0]
        shop.registry.tag("good", shop.registry.add_image(debian(good="2.0-1")))
        urls = [registry.url for registry in bad.values()]
        said = shop.command.run("sync", *urls, shop.registry.url, expect=1)
        for case, registry in bad.items():
            [told] = [line for line in said.err.splitlines() if f"failed: {registry.host}" in line]
            assert ANSWERS[case][1].replace("credentials", "401") in told
    assert shop.command.packages(f"{shop.host}/good:1") == {"good": "2.0-1"}
    assert shop.command.show(f"{shop.host}/earlier:1") == shop.earlier


def test_a_registry_that_falls_silent_is_not_asked_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = Patience(connect=5, read=0.5, attempts=1, in_vain=5)
    monkeypatch.setitem(Http.__init__.__kwdefaults__, "patience", patience)
    for number in range(100):
        shop.registry.tag("bad", shop.registry.add_image(debian(bad="1")), f"{number}")
    seen: list[str] = []

    def fall_silent(handler: Handler) -> None:
        seen.append(handler.path)
        keep_silent(handler)

    shop.registry.lies["HEAD /v2/.*"] = fall_silent
    said = shop.command.run("sync", shop.registry.url, expect=1)
    assert len(seen) == 5
    assert "it is asked no more" in said.err
    assert shop.command.show(f"{shop.host}/earlier:1") == shop.earlier


def test_a_registry_that_is_not_there(shop: Shop, tmp_path: Path) -> None:
    """Of two registries one is reached; what it has is recorded."""
    shop.registry.tag("good", shop.registry.add_image(debian(good="2.0-1")))
    said = shop.command.run("sync", "http://127.0.0.1:9", shop.registry.url, expect=1)
    assert "failed: " in said.err
    assert "127.0.0.1:9" in said.err
    assert "hint: " in said.err
    assert shop.command.packages(f"{shop.host}/good:1") == {"good": "2.0-1"}


@pytest.mark.parametrize(
    "address",
    ["http://registry.example.org", "oci:absent", "docker-archive:absent", "ftp://x", "x"],
)
def test_a_wrong_address_is_told_before_anything_is_read(shop: Shop, address: str) -> None:
    shop.registry.tag("good", shop.registry.add_image(debian(good="2.0-1")))
    said = shop.command.run("sync", shop.registry.url, address, expect=2)
    assert address.removeprefix("oci:").removeprefix("docker-archive:") in said.err
    assert "hint: " in said.err
    shop.command.run("show", f"{shop.host}/good:1", expect=3)


LISTS = {
    "nested a thousand deep": NESTED,
    "no JSON": b"<html>log in</html>",
    "another kind": b'{"tags": {"a": 1}, "repositories": 7}',
    "invalid UTF-8": b'{"tags": ["\xff"], "repositories": ["\xff"]}',
}


def test_a_list_of_tags_that_is_none(shop: Shop) -> None:
    for number, content in enumerate(LISTS.values()):
        shop.registry.tag(f"bad{number}", shop.registry.add_image(debian(bad="1")))
        shop.registry.lies[f"/v2/bad{number}/tags/list"] = say(content)
    said = shop.sync()
    for number in range(len(LISTS)):
        assert f"failed: {shop.host}/bad{number}: tags of {shop.host}/bad{number}: " in said.err
    assert "nested more than 64 deep" in said.err


@pytest.mark.parametrize("case", LISTS)
def test_a_catalog_that_is_none(shop: Shop, case: str) -> None:
    shop.registry.lies["/v2/_catalog"] = say(LISTS[case])
    said = shop.command.run("sync", shop.registry.url, expect=1)
    assert f"catalog of {shop.host}" in said.err
    assert shop.command.show(f"{shop.host}/earlier:1") == shop.earlier


def test_names_that_are_none_are_passed_over(shop: Shop) -> None:
    names = ["../../etc", "UPPER", "a//b", "good", "a\0b", "x" * 5000, "earlier", "\x1b[31m", ""]
    shop.registry.lies["/v2/_catalog"] = say(json.dumps({"repositories": names}).encode())
    shop.registry.lies["/v2/good/tags/list"] = say(
        json.dumps({"tags": ["../1", "1", "\0", "é", "-", "x" * 5000, ""]}).encode()
    )
    said = shop.sync(expect=0)
    assert "\x1b" not in said.err


TOKENS = {
    "nested a thousand deep": (say(NESTED), "nested more than 64 deep"),
    "no JSON": (say(b"<html>"), "token"),
    "none": (say(b"{}"), "token"),
    "control characters": (say(b'{"token": "a\\r\\nX: y"}'), "token"),
    "401": (refuse(401), "token service"),
    "500": (refuse(500), "500"),
    "nothing": (keep_silent, "no answer for too long"),
    "half a body": (break_off, ""),
}


def test_a_token_that_is_none(shop: Shop) -> None:
    for number, (answer, _) in enumerate(TOKENS.values()):
        shop.registry.tag(f"bad{number}", shop.registry.add_image(debian(bad="1")))
        realm = f'Bearer realm="{shop.registry.url}/token{number}",service="x"'
        shop.registry.lies[f"/v2/bad{number}/.*"] = refuse(401, WWW_Authenticate=realm)
        shop.registry.lies[f"/token{number}"] = answer
    said = shop.sync()
    for number, (_, sentence) in enumerate(TOKENS.values()):
        [told] = [line for line in said.err.splitlines() if f"{shop.host}/bad{number}:" in line]
        assert sentence in told


@pytest.mark.parametrize("code", [403, 500])
def test_a_registry_that_forgets_is_not_believed(shop: Shop, code: int) -> None:
    """Only a plain 404 says that an image went; and new tags are recorded all the same."""
    old = shop.registry.tag("moved", shop.registry.add_image(debian(moved="1.0-1")))
    shop.command.run("sync", shop.registry.url)
    shop.registry.tag("moved", shop.registry.add_image(debian(moved="2.0-1")))
    shop.registry.lies[f"HEAD /v2/moved/manifests/{old}"] = refuse(code)
    shop.sync(expect=1)
    assert shop.command.packages(f"{shop.host}/moved:1") == {"moved": "2.0-1"}
    assert shop.command.show(str(old))["gone"] is None


def test_a_slow_drip_ends(shop: Shop) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not handler.server.closing.wait(0.1):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    target = shop.registry.add_image(debian(bad="1"))
    shop.registry.tag("bad", target)
    named = json.loads(shop.registry.manifests[Digest(target["digest"])][1])
    shop.registry.lies[f"/v2/bad/blobs/{named['layers'][0]['digest']}"] = drip
    shop.sync()
    assert "seconds are too few" in shop.reason("bad:1")


def test_redirects_to_nowhere(shop: Shop) -> None:
    targets = ["/v2/bad0/tags/list", "file:///etc/passwd", "//", "http://[", "x:", "\x7f"]
    for number, target in enumerate(targets):
        shop.registry.tag(f"bad{number}", shop.registry.add_image(debian(bad="1")))
        shop.registry.lies[f"/v2/bad{number}/tags/list"] = refuse(307, Location=target)
    said = shop.sync()
    for number in range(len(targets)):
        assert f"failed: {shop.host}/bad{number}" in said.err
    assert "root:" not in said.err
