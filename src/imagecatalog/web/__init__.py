"""The web: pages and API over one set of read functions."""

from __future__ import annotations

from imagecatalog.web.app import create_app, create_asgi_app

__all__ = ["create_app", "create_asgi_app"]
