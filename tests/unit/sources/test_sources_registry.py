"""The registry client against registries that page, ask for tokens, break off, and lie."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from image_files import Blobs, describe
from loopback_server import Handler, LoopbackServer, serve

from imagecatalog.config import RegistrySetting
from imagecatalog.domain.images import Descriptor, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    BadName,
    ConfigError,
    DigestMismatch,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooSlow,
    Truncated,
)
from imagecatalog.formats.oci import (
    MANIFEST_LIMIT,
    MANIFEST_TYPES,
    OCI_MANIFEST,
    ManifestSchema1,
    parse_manifest,
)
from imagecatalog.sources.authorization import Authorization, parse_challenges
from imagecatalog.sources.credentials import Credential
from imagecatalog.sources.http import Http, Patience
from imagecatalog.sources.registry import RESUMES, Registry

PATIENCE = Patience(connect=5, read=1, body=0.5, slowest=1e6, attempts=2)
Routes = dict[str, Callable[[Handler], None]]


def _json(document: object, **headers: str) -> Callable[[Handler], None]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: handler.send(200, json.dumps(document).encode(), named)


def _status(status: int, **headers: str) -> Callable[[Handler], None]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: handler.send(status, headers=named)


@contextmanager
def _registry(
    routes: Routes,
    *,
    path: str = "",
    credential: Credential | None = None,
    **setting: Any,
) -> Iterator[tuple[Registry, LoopbackServer]]:
    """A server that answers by path and query, else by path, else 404; and a client of it."""

    def answer(handler: Handler) -> None:
        route = routes.get(handler.path) or routes.get(handler.path.partition("?")[0])
        (route or _status(404))(handler)

    with serve(answer) as server:
        registry = Registry(
            RegistrySetting(url=server.url + path, **setting),
            http=Http(patience=PATIENCE, sleep=lambda _: None),
            find=lambda *_: credential,
        )
        try:
            yield registry, server
        finally:
            registry.close()


def _paths(registry: Registry) -> list[str]:
    return [name.partition("/")[2] for name in registry.repositories()]


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("absolute", [False, True])
def test_the_catalog_is_paged(absolute: bool) -> None:
    routes: Routes = {}
    with _registry(routes) as (registry, server):
        # A registry behind a proxy may know neither its scheme nor its port.
        start = "https://127.0.0.1" if absolute else ""
        link = f'<{start}/v2/_catalog?last=b&n=2>; rel="next"'
        routes["/v2/_catalog?n=1000"] = _json({"repositories": ["a", "team/b"]}, Link=link)
        routes["/v2/_catalog?last=b&n=2"] = _json({"repositories": ["c", "a"]})
        assert list(registry.repositories()) == [
            f"{server.host}/{path}" for path in ("a", "team/b", "c")
        ]
        assert registry.name == server.host


def test_a_link_to_another_host_is_not_followed() -> None:
    link = '<http://registry.example.org/v2/_catalog?last=b>; rel="next"'
    routes = {"/v2/_catalog": _json({"repositories": ["a"]}, Link=link)}
    with _registry(routes) as (registry, server):
        with pytest.raises(SourceUnavailable, match="another host"):
            list(registry.repositories())
        assert len(server.seen) == 1


def test_pages_in_a_circle_end() -> None:
    link = '</v2/_catalog?n=1000>; rel="next"'
    with _registry({"/v2/_catalog": _json({"repositories": ["a"]}, Link=link)}) as (
        registry,
        server,
    ):
        with pytest.raises(SourceUnavailable, match="without end"):
            list(registry.repositories())
        assert len(server.seen) == 1


def test_ever_new_pages_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagecatalog.sources.registry.PAGES_LIMIT", 5)

    def page(handler: Handler) -> None:
        link = f'</v2/a/tags/list?n={len(handler.server.seen)}>; rel="next"'
        _json({"tags": ["x"]}, Link=link)(handler)

    with _registry({"/v2/a/tags/list": page}) as (registry, server):
        with pytest.raises(SourceUnavailable, match="without end"):
            list(registry.tags(f"{server.host}/a"))
        assert len(server.seen) == 5


def test_globs_prefixes_and_unusable_names(caplog: pytest.LogCaptureFixture) -> None:
    names = ["mediawiki/web", "mediawiki/sub/web", "other", "media", "UPPER", "mediawiki/../x"]
    routes = {"/v2/_catalog": _json({"repositories": names})}
    with _registry(routes, repositories=("mediawiki/*", "other")) as (registry, _):
        assert _paths(registry) == ["other", "mediawiki/web", "mediawiki/sub/web"]
    assert "mediawiki/../x" in caplog.text
    with _registry(routes, path="/mediawiki/") as (registry, _):
        assert _paths(registry) == ["mediawiki/web", "mediawiki/sub/web"]
    with _registry({"/v2/_catalog": _json({"repositories": None})}) as (registry, _):
        assert _paths(registry) == []


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_where_the_catalog_is_closed(status: int) -> None:
    routes = {"/v2/_catalog": _status(status)}
    with _registry(routes, repositories=("a", "team/b")) as (registry, server):
        assert _paths(registry) == ["a", "team/b"]
        assert server.seen == []
    with _registry(routes, repositories=("a", "team/*")) as (registry, server):
        names = registry.repositories()
        assert next(names) == f"{server.host}/a"
        with pytest.raises(AccessDenied, match="does not list its repositories") as caught:
            next(names)
        assert "`repositories`" in str(caught.value.hint)
    with _registry(routes) as (registry, _), pytest.raises(AccessDenied):
        next(registry.repositories())


def test_tags() -> None:
    link = '</v2/team/a/tags/list?last=2>; rel="next"'
    routes = {
        "/v2/team/a/tags/list": _json(
            {"name": "team/a", "tags": ["1", "2", "bad tag", "3" * 40]}, Link=link
        ),
        "/v2/team/a/tags/list?last=2": _json({"tags": ["2", "latest"]}),
        "/v2/empty/tags/list": _json({"name": "empty", "tags": None}),
    }
    with _registry(routes, exclude_tags=("^[0-9a-f]{40}$", "^lat")) as (registry, server):
        assert list(registry.tags(f"{server.host}/team/a")) == ["1", "2"]
        assert list(registry.tags(f"{server.host}/empty")) == []
        with pytest.raises(Missing):
            list(registry.tags(f"{server.host}/none"))
        with pytest.raises(BadName):
            list(registry.tags("other.host/a"))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"repositories": 7}', b"\xff", b"[" * 5000, b'{"repositories": [1]}'],
)
def test_a_catalog_that_is_none(body: bytes) -> None:
    routes = {"/v2/_catalog": lambda h: h.send(200, body)}
    with _registry(routes) as (registry, _), pytest.raises(BadDocument):
        list(registry.repositories())


def test_settings_that_cannot_be_used() -> None:
    for url in ("registry.example.org", "ftp://a.b", "https://", "https://me:pw@a.b"):
        with pytest.raises(ConfigError):
            Registry(RegistrySetting(url=url))
    with pytest.raises(ConfigError, match="exclude_tags"):
        Registry(RegistrySetting(url="https://a.b", exclude_tags=("(",)))


# --- manifests ----------------------------------------------------------------------------------

BLOBS = Blobs()
IMAGE = describe(BLOBS.add_image("one"))
BODY = BLOBS[IMAGE.digest]


def _manifest(
    body: bytes = BODY, media_type: str = OCI_MANIFEST, **headers: str
) -> Callable[[Handler], None]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda h: h.send(200, body, {"Content-Type": media_type, **named})


def test_a_tag_is_resolved_without_reading() -> None:
    route = _manifest(Docker_Content_Digest=IMAGE.digest)
    with _registry({"/v2/a/manifests/1.0": route}) as (registry, server):
        assert registry.resolve(f"{server.host}/a", "1.0") == IMAGE
        ((method, _, headers),) = server.seen
        assert method == "HEAD"
        assert headers["Accept"].split(", ") == list(MANIFEST_TYPES)
        with pytest.raises(Missing):
            registry.resolve(f"{server.host}/a", "2.0")


@pytest.mark.parametrize("stated", [{}, {"Docker_Content_Digest": "nonsense"}])
def test_a_tag_is_read_where_no_digest_is_told(stated: dict[str, str]) -> None:
    with _registry({"/v2/a/manifests/1": _manifest(**stated)}) as (registry, server):
        assert registry.resolve(f"{server.host}/a", "1") == IMAGE
        assert [method for method, _, _ in server.seen] == ["HEAD", "GET"]


def test_a_tag_is_read_where_head_is_not_spoken() -> None:
    def route(handler: Handler) -> None:
        (_status(405) if handler.command == "HEAD" else _manifest())(handler)

    with _registry({"/v2/a/manifests/1": route}) as (registry, server):
        assert registry.resolve(f"{server.host}/a", "1") == IMAGE


def test_a_manifest_is_checked() -> None:
    address = f"/v2/a/manifests/{IMAGE.digest}"
    with _registry({address: _manifest(media_type=f"{OCI_MANIFEST}; x=y")}) as (registry, server):
        raw = registry.manifest(f"{server.host}/a", IMAGE.digest)
        assert (raw.digest, raw.media_type, raw.body) == (IMAGE.digest, OCI_MANIFEST, BODY)
        assert registry.exists(f"{server.host}/a", IMAGE.digest)
        assert not registry.exists(f"{server.host}/a", Digest.of(b"other"))
    longer = {address: _manifest(BODY + b" ")}
    with _registry(longer) as (registry, server), pytest.raises(DigestMismatch):
        registry.manifest(f"{server.host}/a", IMAGE.digest)
    schema1 = _manifest(b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws")
    with _registry({address: schema1}) as (registry, server), pytest.raises(ManifestSchema1):
        registry.manifest(f"{server.host}/a", IMAGE.digest)


@pytest.mark.parametrize("size", [MANIFEST_LIMIT, MANIFEST_LIMIT + 1])
def test_a_manifest_of_four_megabytes(size: int) -> None:
    body = BODY.ljust(size)
    digest = Digest.of(body)
    for route in (_manifest(body), lambda h: h.send_raw(b"HTTP/1.1 200 OK\r\n\r\n" + body)):
        with _registry({f"/v2/a/manifests/{digest}": route}) as (registry, server):
            if size > MANIFEST_LIMIT:
                with pytest.raises(TooLarge):
                    registry.manifest(f"{server.host}/a", digest)
            else:
                assert len(registry.manifest(f"{server.host}/a", digest).body) == size


@pytest.mark.parametrize(
    ("route", "error"),
    [
        (_status(401), AccessDenied),
        (_status(403), AccessDenied),
        (_status(404), Missing),
        (_status(429, Retry_After="3600"), RateLimited),
        (_status(500), SourceUnavailable),
        (
            lambda h: h.send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
            SourceUnavailable,
        ),
        (lambda h: h.send_raw(b""), SourceUnavailable),
    ],
)
def test_every_refusal_has_its_error(
    route: Callable[[Handler], None], error: type[SourceUnavailable]
) -> None:
    blob = Descriptor("", Digest.of(b"x"), 1)
    routes = {
        f"/v2/a/manifests/{IMAGE.digest}": route,
        "/v2/a/tags/list": route,
        f"/v2/a/blobs/{blob.digest}": route,
    }
    with _registry(routes) as (registry, server):
        name = f"{server.host}/a"
        with pytest.raises(error) as manifest:
            registry.manifest(name, IMAGE.digest)
        with pytest.raises(error) as tags:
            list(registry.tags(name))
        with pytest.raises(error) as read, registry.blob(name, blob) as stream:
            stream.read()
    assert {type(caught.value) for caught in (manifest, tags, read)} == {error}


# --- blobs --------------------------------------------------------------------------------------

LAYER = bytes(range(256)) * 1000
BLOB = Descriptor("", Digest.of(LAYER), len(LAYER))


def _read_blob(
    route: Callable[[Handler], None], blob: Descriptor = BLOB
) -> tuple[bytes, LoopbackServer]:
    with (
        _registry({f"/v2/a/blobs/{blob.digest}": route}) as (registry, server),
        registry.blob(f"{server.host}/a", blob) as stream,
    ):
        return stream.read(), server


def _start(handler: Handler) -> int:
    return int(handler.headers.get("Range", "bytes=0-")[6:-1])


@pytest.mark.parametrize("size", [len(LAYER), -1])
def test_a_blob_comes_whole(size: int) -> None:
    blob = Descriptor("", BLOB.digest, size)
    assert _read_blob(lambda h: h.send(200, LAYER), blob)[0] == LAYER


@pytest.mark.parametrize("spoken", [True, False])
def test_a_blob_is_taken_up_where_it_broke(spoken: bool) -> None:
    """With Range, and with a server that always begins anew."""

    def route(handler: Handler) -> None:
        start = _start(handler) if spoken else 0
        status = (
            f"HTTP/1.1 {206 if start else 200} OK\r\nContent-Length: {len(LAYER) - start}\r\n\r\n"
        )
        end = len(LAYER) if len(handler.server.seen) > 3 else 70_000 * len(handler.server.seen)
        handler.send_raw(status.encode() + LAYER[start:end])

    content, server = _read_blob(route)
    assert content == LAYER
    asked = [headers.get("Range") for _, _, headers in server.seen]
    assert asked == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"]


def test_a_blob_that_ever_breaks_is_given_up() -> None:
    def route(handler: Handler) -> None:
        handler.send_raw(b"HTTP/1.1 206 OK\r\nContent-Length: 99999\r\n\r\nx")

    with pytest.raises(SourceUnavailable, match="the connection broke"):
        _read_blob(route)


def test_a_blob_that_is_too_short() -> None:
    requests = 0

    def route(handler: Handler) -> None:
        nonlocal requests
        requests += 1
        handler.send(206 if _start(handler) else 200, LAYER[_start(handler) : 1000])

    with pytest.raises(Truncated, match="1000 of 256000"):
        _read_blob(route)
    assert requests == RESUMES + 1


@pytest.mark.parametrize("content", [LAYER + b"x", LAYER[:-1] + b"x"])
def test_a_blob_of_other_bytes(content: bytes) -> None:
    with pytest.raises(DigestMismatch):
        _read_blob(lambda h: h.send(200, content))


def test_a_blob_that_drips() -> None:
    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(LAYER)))
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b".")
            handler.wfile.flush()
            time.sleep(0.05)

    with pytest.raises(TooSlow):
        _read_blob(route)


def test_a_blob_left_unread_holds_nothing() -> None:
    with _registry({f"/v2/a/blobs/{BLOB.digest}": lambda h: h.send(200, LAYER)}) as (
        registry,
        server,
    ):
        for _ in range(20):
            with registry.blob(f"{server.host}/a", BLOB) as stream:
                assert stream.read(10) == LAYER[:10]


# --- access -------------------------------------------------------------------------------------

ME = Credential("me", "open: sesame")
BASIC = "Basic " + base64.b64encode(b"me:open: sesame").decode()
TAGS = "/v2/a/tags/list"


def _guarded(expected: set[str], challenge: str) -> Callable[[Handler], None]:
    def route(handler: Handler) -> None:
        if handler.headers.get("Authorization") in expected:
            _json({"tags": ["1"]})(handler)
        else:
            handler.send(401, headers={"WWW-Authenticate": challenge})

    return route


def test_basic_is_asked_for_once() -> None:
    with _registry({TAGS: _guarded({BASIC}, 'Basic realm="x"')}, credential=ME) as (
        registry,
        server,
    ):
        for _ in range(2):
            assert list(registry.tags(f"{server.host}/a")) == ["1"]
        assert [h.get("Authorization") for _, _, h in server.seen] == [None, BASIC, BASIC]


@pytest.mark.parametrize(
    "challenge",
    [
        'Basic realm="x"',
        "Negotiate",
        "",
        'Bearer realm="nowhere"',
        'Bearer realm="file:///etc/passwd"',
    ],
)
@pytest.mark.parametrize("credential", [None, ME])
def test_no_way_in(challenge: str, credential: Credential | None) -> None:
    with _registry({TAGS: _guarded(set(), challenge)}, credential=credential) as (registry, server):
        with pytest.raises(SourceUnavailable) as caught:
            list(registry.tags(f"{server.host}/a"))
        assert len(server.seen) <= 2
    assert "sesame" not in str(caught.value)
    if "Bearer" not in challenge:
        assert type(caught.value) is AccessDenied
        assert "docker login" in str(caught.value.hint)


class _Tokens:
    """A token service, and a registry that believes its tokens."""

    def __init__(self, answer: Callable[[int], dict[str, Any]]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        self.valid: set[str] = set()

    def routes(self, paths: dict[str, object]) -> Routes:
        def token(handler: Handler) -> None:
            query = handler.form() if handler.command == "POST" else urlsplit(handler.path).query
            self.asked.append(
                (handler.command, parse_qs(query), handler.headers.get("Authorization"))
            )
            answer = self.answer(len(self.asked))
            self.valid.add(f"Bearer {answer.get('token') or answer.get('access_token')}")
            _json(answer)(handler)

        def guard(document: object) -> Callable[[Handler], None]:
            def route(handler: Handler) -> None:
                if handler.headers.get("Authorization") in self.valid:
                    _json(document)(handler)
                    return
                realm = f"{handler.server.url}/token"
                scope = f"repository:{handler.path.split('/')[2]}:pull"
                challenge = f'Bearer realm="{realm}",service="the registry",scope="{scope}"'
                handler.send(401, headers={"WWW-Authenticate": challenge})

            return route

        return {"/token": token} | {path: guard(document) for path, document in paths.items()}


@pytest.mark.parametrize("credential", [None, ME])
@pytest.mark.parametrize("key", ["token", "access_token"])
def test_a_token_is_kept_for_its_scope(credential: Credential | None, key: str) -> None:
    tokens = _Tokens(lambda number: {key: f"t{number}", "expires_in": 300})
    paths = {TAGS: {"tags": ["1"]}, "/v2/b/tags/list": {"tags": ["2"]}}
    with _registry(tokens.routes(paths), credential=credential) as (registry, server):
        for _ in range(2):
            assert list(registry.tags(f"{server.host}/a")) == ["1"]
            assert list(registry.tags(f"{server.host}/b")) == ["2"]
    assert tokens.asked == [
        (
            "GET",
            {"service": ["the registry"], "scope": [f"repository:{name}:pull"]},
            credential and BASIC,
        )
        for name in ("a", "b")
    ]


def test_a_token_that_is_refused_is_renewed() -> None:
    tokens = _Tokens(lambda number: {"token": f"t{number}", "expires_in": 0})
    with _registry(tokens.routes({TAGS: {"tags": ["1"]}})) as (registry, server):
        for renewals in (1, 2):
            for _ in range(2):
                assert list(registry.tags(f"{server.host}/a")) == ["1"]
            assert len(tokens.asked) == renewals
            tokens.valid.clear()


def test_blobs_are_shared_with_a_token_that_was_just_given() -> None:
    tokens = _Tokens(lambda number: {"token": f"t{number}", "expires_in": 300})
    image = Digest.of(b"image")
    path = f"/v2/a/manifests/{image}"
    with _registry(tokens.routes({path: {}})) as (registry, server):
        name = f"{server.host}/a"
        for number in (1, 2):
            assert registry.share_blobs(name, image) == (
                f"{server.url}/v2/a/blobs/",
                {"Authorization": f"Bearer t{number}"},
            )


def test_blobs_are_shared_by_password_or_without_any() -> None:
    image = Digest.of(b"image")
    path = f"/v2/a/manifests/{image}"
    with _registry({path: _guarded({BASIC}, 'Basic realm="x"')}, credential=ME) as (
        registry,
        server,
    ):
        for _ in range(2):
            headers = registry.share_blobs(f"{server.host}/a", image)[1]
            assert headers == {"Authorization": BASIC}
    with _registry({path: _json({})}) as (registry, server):
        assert registry.share_blobs(f"{server.host}/a", image)[1] == {}
        with pytest.raises(Missing):
            registry.share_blobs(f"{server.host}/a", Digest.of(b"gone"))
    with (
        _registry({path: _guarded({BASIC}, 'Basic realm="x"')}) as (registry, server),
        pytest.raises(AccessDenied),
    ):
        registry.share_blobs(f"{server.host}/a", image)


@pytest.mark.parametrize(("expires_in", "seconds"), [(None, 54), (0, 54), (-5, 54), (300, 270)])
def test_a_token_is_not_sent_when_it_ends(expires_in: int | None, seconds: int) -> None:
    now = 1000.0
    http = Http(patience=PATIENCE)
    with serve(_json({"token": "t", "expires_in": expires_in})) as server:
        access = Authorization(http, "a.b", lambda: None, secure=False, clock=lambda: now)
        assert access.renew({"WWW-Authenticate": f'Bearer realm="{server.url}"'}, "scope")
    for age, sent in [(0, True), (seconds - 1, True), (seconds + 1, False)]:
        now = 1000.0 + age
        assert access.headers("scope") == ({"Authorization": "Bearer t"} if sent else {})
        assert access.headers("other") == {}
    http.close()


def test_no_unencrypted_realm_for_an_encrypted_registry() -> None:
    http = Http(patience=PATIENCE)
    with serve(_json({"token": "t"})) as server:
        access = Authorization(http, "a.b", lambda: ME)
        with pytest.raises(SourceUnavailable, match="no usable realm"):
            access.renew({"WWW-Authenticate": f'Bearer realm="{server.url}"'}, "scope")
        assert server.seen == []
    http.close()


def test_an_identity_token_is_exchanged() -> None:
    tokens = _Tokens(lambda number: {"access_token": "t"})
    mine = Credential(identity_token="refresh me")
    with _registry(tokens.routes({TAGS: {"tags": ["1"]}}), credential=mine) as (registry, server):
        assert list(registry.tags(f"{server.host}/a")) == ["1"]
    ((method, form, authorization),) = tokens.asked
    assert (method, authorization) == ("POST", None)
    assert form == {
        "grant_type": ["refresh_token"],
        "client_id": ["imagecatalog"],
        "refresh_token": ["refresh me"],
        "service": ["the registry"],
        "scope": ["repository:a:pull"],
    }


@pytest.mark.parametrize(
    ("route", "error"),
    [
        (_status(401), AccessDenied),
        (_status(500), SourceUnavailable),
        (_json({}), SourceUnavailable),
        (_json({"token": "a\nb"}), SourceUnavailable),
        (_json({"token": 7}), BadDocument),
        (lambda h: h.send(200, b"nonsense"), BadDocument),
    ],
)
def test_a_token_service_that_fails(
    route: Callable[[Handler], None], error: type[Exception]
) -> None:
    routes = _Tokens(lambda number: {}).routes({TAGS: {}}) | {"/token": route}
    with _registry(routes, credential=ME) as (registry, server), pytest.raises(error) as caught:
        list(registry.tags(f"{server.host}/a"))
    assert "sesame" not in str(caught.value)


def test_a_token_that_opens_nothing() -> None:
    routes = _Tokens(lambda number: {"token": "t"}).routes({})
    denied = 'Bearer realm="{}/token",scope="x"'
    routes[TAGS] = lambda h: h.send(401, headers={"WWW-Authenticate": denied.format(h.server.url)})
    with _registry(routes) as (registry, server):
        with pytest.raises(AccessDenied, match="wants"):
            list(registry.tags(f"{server.host}/a"))
        assert len(server.seen) == 3


def test_a_blob_behind_a_token() -> None:
    tokens = _Tokens(lambda number: {"token": "t"})
    document = {"a": "blob"}
    content = json.dumps(document).encode()
    blob = Descriptor("", Digest.of(content), len(content))
    with (
        _registry(tokens.routes({f"/v2/a/blobs/{blob.digest}": document})) as (registry, server),
        registry.blob(f"{server.host}/a", blob) as stream,
    ):
        assert stream.read() == content


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="a, b=\\"c\\""', [("basic", {"realm": 'a, b="c"'})]),
        (
            'Bearer realm="https://x/t",service=y, scope="repository:a:pull,push", Basic realm=z',
            [
                (
                    "bearer",
                    {"realm": "https://x/t", "service": "y", "scope": "repository:a:pull,push"},
                ),
                ("basic", {"realm": "z"}),
            ],
        ),
        ('BEARER Realm = "x"', [("bearer", {"realm": "x"})]),
        ('realm="x"', []),
    ],
)
def test_challenges(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert [(c.scheme, c.parameters) for c in parse_challenges(header)] == challenges


def test_a_manifest_can_be_parsed_as_it_was_sent() -> None:
    address = f"/v2/a/manifests/{IMAGE.digest}"
    with _registry({address: _manifest()}) as (registry, server):
        parsed = parse_manifest(registry.manifest(f"{server.host}/a", IMAGE.digest))
    assert isinstance(parsed, ImageManifest)


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "Registry-1.docker.io"])
def test_docker_hub_has_one_name(host: str) -> None:
    registry = Registry(RegistrySetting(url=f"https://{host}"))
    assert registry.name == "docker.io"
    assert registry._base == "https://registry-1.docker.io"
    registry.close()
