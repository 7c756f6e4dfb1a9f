"""Which credential a registry gets: the configuration's own, else what ``docker login`` left.

Secrets appear in no message and no ``repr``.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field

from imagecatalog.config import RegistrySetting
from imagecatalog.errors import AccessDenied, ConfigError

FILE_LIMIT = 1024 * 1024
HELPER_SECONDS = 30
DOCKER_HUB = "https://index.docker.io/v1/"
"""The key under which Docker keeps the credential of docker.io."""
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TOKEN_USER = "<token>"  # noqa: S105 - docker-credential helpers mark identity tokens by this name


class Credential(Struct, frozen=True):
    """A user name and password, or an identity token (an OAuth 2 refresh token) in their place."""

    username: str = ""
    password: str = ""
    identity_token: str | None = None

    def basic(self) -> str:
        """The value of an ``Authorization`` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, ...)"


class _Entry(Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identity_token: str | None = field(name="identitytoken", default=None)


class _Logins(Struct):
    auths: dict[str, _Entry | None] | None = None
    helpers: dict[str, str] | None = field(name="credHelpers", default=None)
    store: str | None = field(name="credsStore", default=None)


def find_credential(
    host: str, setting: RegistrySetting, environ: Mapping[str, str] = os.environ
) -> Credential | None:
    """The credential for a registry's host (and port), or None to come without.

    The first that holds one wins: ``username`` with ``password_file`` of the setting;
    ``$REGISTRY_AUTH_FILE``; ``config.json`` of Docker; ``auth.json`` of podman, skopeo and buildah. Within a file
    ``credHelpers``, then ``credsStore``, then ``auths``. Raises ``ConfigError`` for a file that
    cannot be used, ``AccessDenied`` for a helper that fails.
    """
    if setting.username is not None or setting.password_file is not None:
        return _read_setting(setting)
    for path in _login_files(environ):
        logins = _read_logins(path)
        found = _ask_helpers(host, logins) or _look_up(host, logins, path)
        if found is not None:
            return found
    return None


def _read_setting(setting: RegistrySetting) -> Credential:
    if setting.username is None or setting.password_file is None:
        raise ConfigError(
            f"registry {setting.url}: username and password_file belong together",
            hint="Give both, or neither to use docker's config.json.",
        )
    password = _read_file(Path(setting.password_file))
    try:
        return Credential(setting.username, password.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        raise ConfigError(f"{setting.password_file} is not UTF-8 text") from None


def _login_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files to look into, of which the explicitly named one must exist."""
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    home = Path(environ["HOME"]) if environ.get("HOME") else None
    folders: list[Path] = []
    if docker := environ.get("DOCKER_CONFIG"):
        folders.append(Path(docker, "config.json"))
    elif home:
        folders.append(home / ".docker/config.json")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(runtime, "containers/auth.json"))
    if home:
        folders.append(home / ".config/containers/auth.json")
    yield from (path for path in folders if path.is_file())


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > FILE_LIMIT:
        raise ConfigError(f"{path} is larger than {FILE_LIMIT} bytes")
    return content


_LOGINS = msgspec.json.Decoder(_Logins)


def _read_logins(path: Path) -> _Logins:
    try:
        return _LOGINS.decode(_read_file(path) or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The cause is left out: it may quote what stands in the file.
        raise ConfigError(f"{path} is not a docker config.json or auth.json") from None


def _keys(host: str) -> tuple[str, ...]:
    hub = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io") if host == "docker.io" else ()
    return (*hub, host, f"https://{host}", f"https://{host}/", f"http://{host}")


def _ask_helpers(host: str, logins: _Logins) -> Credential | None:
    helpers = logins.helpers or {}
    for key in _keys(host):
        if key in helpers:
            return _run_helper(helpers[key], key)
    return _run_helper(logins.store, _keys(host)[0]) if logins.store else None


def _run_helper(name: str, key: str) -> Credential | None:
    program = f"docker-credential-{name}"
    if not _HELPER_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not the name of a credential helper")
    try:
        run = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise ConfigError(
            f"the credential helper {program} cannot be run: {error.strerror}",
            hint="Install it, or take it out of docker's config.json.",
        ) from error
    except subprocess.TimeoutExpired:
        raise AccessDenied(f"{program} gave no answer in {HELPER_SECONDS} seconds") from None
    if run.returncode != 0:
        if b"not found" in run.stdout.lower():
            return None
        raise AccessDenied(f"{program} failed for {key} with status {run.returncode}")
    try:
        answer = msgspec.json.decode(run.stdout, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AccessDenied(f"{program} answered something else than a credential") from None
    username, secret = answer.get("Username", ""), answer.get("Secret", "")
    if username == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(username, secret)


def _look_up(host: str, logins: _Logins, path: Path) -> Credential | None:
    auths = logins.auths or {}
    for key in _keys(host):
        entry = auths.get(key)
        if entry is None:
            continue
        username, password = entry.username or "", entry.password or ""
        if entry.auth:
            username, password = _decode_auth(entry.auth, key, path)
        if entry.identity_token or username:
            return Credential(username, password, entry.identity_token)
    return None


def _decode_auth(auth: str, key: str, path: Path) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ConfigError(f"{path}: auth of {key} is not base64 of user:password") from None
    return username, password.rstrip("\0")
