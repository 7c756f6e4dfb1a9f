"""An application to register with, and tokens for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from imagecatalog.config import ApiSetting, Settings
from imagecatalog.domain.access import Scope, Token, hash_secret, make_secret
from imagecatalog.store import access
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
APP = "registry.example.org/team/app"
DIGEST = "sha256:" + 64 * "a"
BASE_DIGEST = "sha256:" + 64 * "b"

PACKAGES = [
    {
        "type": "deb",
        "name": f"lib{number}",
        "version": f"1:3.0.{number}-1~deb12u1",
        "arch": "amd64",
        "source": "library",
        "source_version": f"3.0.{number}-1~deb12u1",
    }
    for number in range(400)
]
BODY: dict[str, Any] = {
    "image": f"{APP}:1.0",
    "digest": DIGEST,
    "platform": "linux/amd64",
    "builder": {"name": "docker-pkg", "version": "4.0.4"},
    "started": "2026-11-24T10:00:00Z",
    "finished": "2026-11-24T10:05:00+00:00",
    "source": {"repository": "https://git.example.org/app", "revision": "4c4e5bf", "path": "app"},
    "parents": [
        {"image": "registry.example.org/bookworm:1", "digest": BASE_DIGEST, "role": "base"}
    ],
    "distro": {"id": "debian", "version_id": "12", "codename": "bookworm"},
    "packages": PACKAGES[:3],
    "labels": {"org.opencontainers.image.vendor": "us"},
}


def make_token(
    catalog: Catalog,
    name: str = "ci",
    *,
    scopes: Sequence[Scope] = ("register",),
    repositories: Sequence[str] = (),
    lasts: timedelta | None = None,
) -> str:
    """A token made at noon; its secret."""
    secret = make_secret()
    token = Token(
        name=name,
        scopes=tuple(scopes),
        repositories=tuple(repositories),
        created=NOON,
        expires=lasts and NOON + lasts,
    )
    with catalog.write() as c:
        access.add_token(c, token, hash_secret(secret))
    return secret


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def asking(
    catalog: Catalog, clock: Clock | None = None, *, reads: str = "open", secret: str | None = None
) -> Iterator[TestClient]:
    """A client of the application over a catalog, which shows a token with each request."""
    settings = Settings(database="", api=ApiSetting(reads=reads))  # type: ignore[arg-type]
    app = create_asgi_app(settings, catalog, clock=clock or Clock())
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with TestClient(
        app, raise_server_exceptions=False, follow_redirects=False, headers=headers
    ) as client:
        yield client
