"""The HTTP client against servers that answer badly, slowly, or not at all."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_server import Handler, serve

from imagecatalog import __version__
from imagecatalog.errors import (
    AccessDenied,
    ConfigError,
    Missing,
    RateLimited,
    SourceUnavailable,
    TooLarge,
    TooSlow,
)
from imagecatalog.sources.http import Http, Patience

HASTY = Http(patience=Patience(read=1, attempts=1))
PATIENCE = Patience(connect=5, read=0.7, body=0.4, slowest=1e6, attempts=3)


class _Slept(list[float]):
    """A sleep that only notes how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def slept() -> _Slept:
    return _Slept()


@pytest.fixture
def http(slept: _Slept) -> Iterator[Http]:
    client = Http(patience=PATIENCE, sleep=slept)
    yield client
    client.close()


def test_an_answer_comes_whole(http: Http) -> None:
    def answer(handler: Handler) -> None:
        handler.send(200, b"hello", {"X-Word": "yes"})

    with serve(answer) as server:
        got = http.get(f"{server.url}/a?b=c", {"If-None-Match": '"x"'})
    assert (got.status, got.body, got.headers["x-word"]) == (200, b"hello", "yes")
    ((method, path, headers),) = server.seen
    assert (method, path, headers["If-None-Match"]) == ("GET", "/a?b=c", '"x"')
    assert headers["User-Agent"] == f"imagecatalog/{__version__}"
    assert headers["Accept-Encoding"] == "identity"


def test_not_modified_is_an_answer(http: Http) -> None:
    with serve(lambda handler: handler.send(304, headers={"ETag": '"x"'})) as server:
        assert http.get(server.url).status == 304


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (404, Missing),
        (410, Missing),
        (418, SourceUnavailable),
        (501, SourceUnavailable),
        (599, SourceUnavailable),
    ],
)
def test_a_lasting_refusal_raises_at_once(
    http: Http, status: int, error: type[SourceUnavailable]
) -> None:
    with serve(lambda handler: handler.send(status)) as server:
        with pytest.raises(error, match=str(status)) as caught:
            http.get(f"{server.url}/x?secret=1")
        assert type(caught.value) is error
        assert "secret" not in str(caught.value)
        assert http.get(server.url, allow={status}).status == status
        assert len(server.seen) == 2


def test_a_passing_failure_is_tried_again(http: Http, slept: _Slept) -> None:
    statuses = iter([500, 503, 200])
    with serve(lambda handler: handler.send(next(statuses))) as server:
        assert http.get(server.url).status == 200
    assert slept == [1.0, 2.0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_failure_that_stays_is_given_up(http: Http, slept: _Slept, status: int) -> None:
    with serve(lambda handler: handler.send(status)) as server:
        with pytest.raises(SourceUnavailable, match=str(status)):
            http.get(server.url)
        assert len(server.seen) == PATIENCE.attempts
    assert len(slept) == PATIENCE.attempts - 1


def test_retry_after_is_heeded(http: Http, slept: _Slept) -> None:
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=55), usegmt=True)
    waits = iter(["7", soon])

    def answer(handler: Handler) -> None:
        wait = next(waits, None)
        handler.send(429 if wait else 200, headers={"Retry-After": wait} if wait else None)

    with serve(answer) as server:
        assert http.get(server.url).status == 200
    assert slept[0] == 7
    assert 50 < slept[1] <= 55


@pytest.mark.parametrize("wait", ["86400", "999999999999999999999"])
def test_a_long_retry_after_is_told_not_waited(http: Http, slept: _Slept, wait: str) -> None:
    with serve(lambda handler: handler.send(429, headers={"Retry-After": wait})) as server:
        with pytest.raises(RateLimited) as caught:
            http.get(server.url)
        assert len(server.seen) == 1
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 86400
    assert slept == []


@pytest.mark.parametrize("wait", ["soon", "-5", "Thu, 99 Foo 2026", "1e9", "\x7f"])
def test_a_senseless_retry_after_is_passed_over(http: Http, slept: _Slept, wait: str) -> None:
    with (
        serve(lambda handler: handler.send(503, headers={"Retry-After": wait})) as server,
        pytest.raises(SourceUnavailable),
    ):
        http.get(server.url)
    assert slept == [1.0, 2.0]


def test_the_pauses_together_are_bounded(slept: _Slept) -> None:
    http = Http(patience=Patience(attempts=100, longest_wait=60), sleep=slept)
    with (
        serve(lambda handler: handler.send(429, headers={"Retry-After": "50"})) as server,
        pytest.raises(RateLimited),
    ):
        http.get(server.url)
    assert slept == [50, 50]
    http.close()


HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(HALF, id="half a body"),
        pytest.param(b"", id="nothing at all"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", id="a negative length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="broken chunks"
        ),
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://[::/\r\nContent-Length: 0\r\n\r\n",
            id="a redirect to nowhere",
        ),
    ],
)
def test_a_broken_answer_is_tried_again_and_named(http: Http, raw: bytes) -> None:
    with serve(lambda handler: handler.send_raw(raw)) as server:
        with pytest.raises(SourceUnavailable, match=r"the connection broke|answered 302"):
            http.get(server.url)
        assert len(server.seen) == (1 if b"302" in raw else PATIENCE.attempts)


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=60)
def test_any_bytes_raise_only_our_errors(noise: bytes, begins_well: bool) -> None:
    raw = (b"HTTP/1.1 200 OK\r\n" if begins_well else b"") + noise
    with (
        serve(lambda handler: handler.send_raw(raw)) as server,
        suppress(SourceUnavailable, TooLarge, TooSlow),
    ):
        HASTY.get(server.url)


def test_silence_ends(http: Http) -> None:
    quiet = threading.Event()

    def answer(handler: Handler) -> None:
        quiet.wait(5)
        handler.close_connection = True

    with serve(answer) as server:
        with pytest.raises(SourceUnavailable, match="no answer for too long"):
            http.get(server.url)
        quiet.set()


def test_a_drip_ends_as_too_slow(http: Http) -> None:
    given = 0

    def answer(handler: Handler) -> None:
        nonlocal given
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b".")
            handler.wfile.flush()
            given += 1
            time.sleep(0.05)

    with serve(answer) as server:
        with pytest.raises(TooSlow):
            http.get(server.url)
        assert given < 100


def test_a_body_beyond_the_bound(http: Http) -> None:
    def declared(handler: Handler) -> None:
        handler.send(200, b"x" * 101)

    def undeclared(handler: Handler) -> None:
        handler.send_raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101)

    for answer in (declared, undeclared):
        with serve(answer) as server:
            with pytest.raises(TooLarge, match="100"):
                http.get(server.url, max_bytes=100)
            assert len(http.get(server.url, max_bytes=101).body) == 101
            with http.stream(server.url, max_bytes=100) as download, pytest.raises(TooLarge):
                download.body.read()


def test_a_stream_is_read_in_pieces_and_breaks_where_it_breaks(http: Http) -> None:
    with (
        serve(lambda handler: handler.send(200, b"0123456789")) as server,
        http.stream(server.url) as download,
    ):
        assert download.body.read(4) == b"0123"
        assert download.body.read() == b"456789"
    with (
        serve(lambda handler: handler.send_raw(HALF)) as server,
        http.stream(server.url) as download,
    ):
        assert download.body.read(4) == b"half"
        with pytest.raises(SourceUnavailable, match="the connection broke"):
            download.body.read()


def test_authorization_stays_with_its_host(http: Http) -> None:
    with serve(lambda handler: handler.send(200, b"there")) as there:

        def answer(handler: Handler) -> None:
            target = "/here" if handler.path == "/start" else f"{there.url}/blob"
            if handler.path == "/here":
                handler.send(200, b"here")
            else:
                handler.send(307, headers={"Location": target})

        with serve(answer) as here:
            headers = {"Authorization": "Bearer secret", "Range": "bytes=3-"}
            assert http.get(f"{here.url}/start", headers).body == b"here"
            assert here.seen[-1][2]["Authorization"] == "Bearer secret"
            got = http.get(f"{here.url}/away", headers)
    assert (got.body, got.url) == (b"there", f"{there.url}/blob")
    assert "Authorization" not in there.seen[0][2]
    assert there.seen[0][2]["Range"] == "bytes=3-"


def test_redirects_end(http: Http) -> None:
    with serve(lambda handler: handler.send(302, headers={"Location": "/"})) as server:
        with pytest.raises(SourceUnavailable, match="redirects more than"):
            http.get(server.url)
        assert len(server.seen) < 10
    with (
        serve(lambda h: h.send(302, headers={"Location": "file:///etc/passwd"})) as server,
        pytest.raises(SourceUnavailable, match="only http and https"),
    ):
        http.get(server.url)


def _answering(http: Http, answer: object) -> None:
    http._client = httpx2.Client(transport=httpx2.MockTransport(answer))  # type: ignore[arg-type]


def test_no_redirect_from_https_to_http(http: Http) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "http://127.0.0.1/"})

    _answering(http, answer)
    with pytest.raises(SourceUnavailable, match="from https to"):
        http.get("https://registry.example.org/")


def _children(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _children(child)


@pytest.mark.parametrize("kind", sorted(_children(httpx2.RequestError), key=str))
def test_every_error_below_is_ours(http: Http, kind: type[Exception]) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise kind("from below")

    _answering(http, answer)
    with pytest.raises(SourceUnavailable, match=r"registry\.example\.org") as caught:
        http.get("https://user:secret@registry.example.org/")
    assert "secret" not in str(caught.value)


def test_nobody_there(http: Http) -> None:
    with serve(lambda handler: None) as server:
        url = server.url
    with pytest.raises(SourceUnavailable, match="no connection") as caught:
        http.get(url)
    assert caught.value.hint
    with pytest.raises(SourceUnavailable, match="not known") as caught:
        http.get("http://registry.example.invalid/")
    assert caught.value.hint


@pytest.mark.parametrize("url", ["http://[::/", "ftp://example.org/", "http:///x", "nonsense"])
def test_an_unusable_address(http: Http, url: str, slept: _Slept) -> None:
    with pytest.raises(SourceUnavailable):
        http.get(url)
    assert slept == []


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.pem"):
        Http(ca=str(tmp_path / "nowhere.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"empty\.pem"):
        Http(ca=str(tmp_path / "empty.pem"))


def test_a_proxy_is_heeded_but_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda handler: handler.send(200, b"by the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        http = Http(patience=PATIENCE)
        assert http.get("http://registry.example.invalid/x").body == b"by the proxy"
        with serve(lambda handler: handler.send(200, b"straight")) as server:
            assert http.get(server.url).body == b"straight"
        assert [path for _, path, _ in proxy.seen] == ["http://registry.example.invalid/x"]
        http.close()


def test_few_requests_at_a_time() -> None:
    http = Http(per_host=2)
    lock, at_once, most = threading.Lock(), 0, 0

    def answer(handler: Handler) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.03)
        with lock:
            at_once -= 1
        handler.send(200)

    with serve(answer) as server:
        threads = [threading.Thread(target=http.get, args=(server.url,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 2
    assert len(server.seen) == 8
    http.close()


def test_a_slot_comes_back_after_a_failure(slept: _Slept) -> None:
    http = Http(patience=PATIENCE, per_host=1, sleep=slept)
    with serve(lambda handler: handler.send(404)) as server:
        for _ in range(3):
            with pytest.raises(Missing):
                http.get(server.url)
            with pytest.raises(Missing), http.stream(server.url):
                pass
    http.close()


@pytest.mark.parametrize("status", [200, 404])
def test_one_connection_serves_heads_and_bodies(http: Http, status: int) -> None:
    peers: set[tuple[str, int]] = set()

    def answer(handler: Handler) -> None:
        peers.add(handler.client_address)
        handler.send(status, b"body")

    with serve(answer) as server:
        for _ in range(3):
            http.head(server.url, allow=(status,))
            http.get(server.url, allow=(status,))
        with suppress(Missing):
            http.head(server.url)
        http.get(server.url, allow=(status,))
    assert len(peers) == 1
