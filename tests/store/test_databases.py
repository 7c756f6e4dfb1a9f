"""The databases which tests are given are what they say."""

from __future__ import annotations

import socket

import pytest

from imagecatalog.errors import DatabaseNotReady
from imagecatalog.store.engine import Catalog, initialise


def test_empty_url_holds_nothing_until_it_is_initialised(empty_url: str) -> None:
    with pytest.raises(DatabaseNotReady):
        Catalog.open(empty_url)
    initialise(empty_url)
    Catalog.open(empty_url).close()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_catalog_of_its_own(catalog: Catalog, turn: int) -> None:
    with catalog.write() as c:
        c.exec_driver_sql("CREATE TABLE mine (n integer)")
    with catalog.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM mine").scalar() == 0


def test_both_databases_are_met(catalog: Catalog, request: pytest.FixtureRequest) -> None:
    assert catalog.embedded == ("sqlite" in request.node.name)


def test_the_network_ends_at_the_loopback() -> None:
    with pytest.raises(OSError, match="loopback"):
        socket.create_connection(("198.51.100.1", 80), timeout=1)
    with pytest.raises(OSError, match="loopback"):
        socket.getaddrinfo("registry.example.org", 443)
