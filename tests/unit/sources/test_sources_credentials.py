"""Where a credential comes from, and that it goes nowhere else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from imagecatalog.config import RegistrySetting
from imagecatalog.errors import AccessDenied, ConfigError
from imagecatalog.sources import credentials
from imagecatalog.sources.credentials import Credential, find_credential

HOST = "a.b:5000"
PLAIN = RegistrySetting(url=f"https://{HOST}")


def _auth(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def _write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _find(home: Path, host: str = HOST, **environ: str) -> Credential | None:
    return find_credential(host, PLAIN, {"HOME": str(home), **environ})


def _install_helper(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = _write(home / "bin/docker-credential-test", f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")


def test_none_at_all(home: Path) -> None:
    assert _find(home) is None
    _write(home / ".docker/config.json", "")
    assert _find(home) is None
    assert find_credential(HOST, PLAIN, {}) is None


def test_the_setting_wins(home: Path) -> None:
    _write(home / ".docker/config.json", {"auths": {HOST: _auth("other:x")}})
    password = _write(home / "password", "open: sesame \n")
    setting = RegistrySetting(url=PLAIN.url, username="me", password_file=str(password))
    found = find_credential(HOST, setting, {"HOME": str(home)})
    assert found == Credential("me", "open: sesame ")
    assert found.basic() == "Basic " + base64.b64encode(b"me:open: sesame ").decode()
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/"])
def test_the_files_of_docker_and_podman(home: Path, key: str) -> None:
    places = {
        "auth.json": {"REGISTRY_AUTH_FILE": str(home / "auth.json")},
        "docker/config.json": {"DOCKER_CONFIG": str(home / "docker")},
        ".docker/config.json": {},
        "run/containers/auth.json": {"XDG_RUNTIME_DIR": str(home / "run")},
        ".config/containers/auth.json": {},
    }
    for path, environ in places.items():
        file = _write(home / path, {"auths": {key: _auth(f"{path}:se:cret")}})
        assert _find(home, **environ) == Credential(path, "se:cret")
        assert _find(home, "other.host", **environ) is None
        file.unlink()


def test_the_first_file_that_holds_one(home: Path) -> None:
    _write(home / ".docker/config.json", {"auths": {"x.y": _auth("docker:1")}})
    _write(home / ".config/containers/auth.json", {"auths": {HOST: _auth("podman:1")}})
    assert _find(home) == Credential("podman", "1")
    named = _write(home / "named.json", {"auths": {HOST: _auth("named:1")}})
    assert _find(home, REGISTRY_AUTH_FILE=str(named)) == Credential("named", "1")


def test_docker_hub_goes_by_its_old_name(home: Path) -> None:
    hub = "https://index.docker.io/v1/"
    _write(home / ".docker/config.json", {"auths": {hub: _auth("me:1")}})
    assert _find(home, "docker.io") == Credential("me", "1")


def test_other_entries(home: Path) -> None:
    entries = {
        HOST: {"username": "me", "password": "1"},
        "c.d": {"auth": "", "identitytoken": "token"},
        "e.f": {},
        "g.h": None,
    }
    _write(home / ".docker/config.json", {"auths": entries, "HttpHeaders": {"X": "y"}})
    assert _find(home) == Credential("me", "1")
    assert _find(home, "c.d") == Credential(identity_token="token")
    assert _find(home, "e.f") is None
    assert _find(home, "g.h") is None


def test_helpers_are_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_helper(
        home,
        monkeypatch,
        'test "$1" = get || exit 2\nread -r host\n'
        'echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"of $host\\",\\"Secret\\":\\"1\\"}"',
    )
    _write(home / ".docker/config.json", {"credHelpers": {HOST: "test"}, "auths": {HOST: {}}})
    assert _find(home) == Credential(f"of {HOST}", "1")
    assert _find(home, "c.d") is None
    _write(home / ".docker/config.json", {"credsStore": "test"})
    assert _find(home, "c.d") == Credential("of c.d", "1")
    assert _find(home, "docker.io") == Credential("of https://index.docker.io/v1/", "1")


def test_a_helper_may_give_an_identity_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_helper(home, monkeypatch, 'echo \'{"Username":"<token>","Secret":"x"}\'')
    _write(home / ".docker/config.json", {"credsStore": "test"})
    assert _find(home) == Credential(identity_token="x")


def test_a_helper_that_knows_nothing_leaves_the_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install_helper(home, monkeypatch, "echo credentials not found in native keychain; exit 1")
    _write(home / ".docker/config.json", {"credsStore": "test", "auths": {HOST: _auth("me:1")}})
    assert _find(home) == Credential("me", "1")


@pytest.mark.parametrize(
    "script",
    ["echo s3cret; echo s3cret >&2; exit 1", "echo s3cret", "sleep 5", "echo '{\"a\": 1}'"],
)
def test_a_helper_that_fails_tells_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(credentials, "HELPER_SECONDS", 0.5)
    _install_helper(home, monkeypatch, script)
    _write(home / ".docker/config.json", {"credsStore": "test"})
    with pytest.raises(AccessDenied, match="docker-credential-test") as caught:
        _find(home)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../bin/sh", "a/b", "", "-x", "nowhere-to-be-found"])
def test_a_helper_that_cannot_be(home: Path, name: str) -> None:
    _write(home / ".docker/config.json", {"credHelpers": {HOST: name}})
    with pytest.raises(ConfigError):
        _find(home)


@pytest.mark.parametrize(
    "content",
    [
        "nonsense s3cret",
        "[" * 5000,
        '{"auths": "s3cret"}',
        '{"auths": {"a.b:5000": {"auth": "s3cret!"}}}',
        " " * (credentials.FILE_LIMIT + 1),
    ],
)
def test_a_file_that_cannot_be_used(home: Path, content: str) -> None:
    _write(home / ".docker/config.json", content)
    with pytest.raises(ConfigError, match=r"config\.json") as caught:
        _find(home)
    assert "s3cret" not in str(caught.value)


def test_a_setting_that_cannot_be_used(home: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        _find(home, REGISTRY_AUTH_FILE=str(home / "nowhere"))
    (home / "binary").write_bytes(b"\xff\xfe")
    for setting in (
        RegistrySetting(url=PLAIN.url, username="me"),
        RegistrySetting(url=PLAIN.url, password_file=str(home / "x")),
        RegistrySetting(url=PLAIN.url, username="me", password_file=str(home / "x")),
        RegistrySetting(url=PLAIN.url, username="me", password_file=str(home / "binary")),
    ):
        with pytest.raises(ConfigError):
            find_credential(HOST, setting, {})
