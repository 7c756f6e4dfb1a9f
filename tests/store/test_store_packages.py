"""Package sets come back as they went in, whatever they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests_store import PutImage, package

from imagecatalog.domain.packages import Package
from imagecatalog.store import packages
from imagecatalog.store.deferrals import is_package_met
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.holders import list_holders, list_versions
from imagecatalog.store.packages import PackageList
from imagecatalog.store.schema import package_chunk, package_set, package_version
from imagecatalog.store.shelf import Shelf


def put_set(c: Connection, shelf: Shelf, items: Iterable[Package], held: Sequence[str] = ()) -> int:
    return packages.put_sets(c, shelf, [PackageList(tuple(items), tuple(held))])[0]


_NAMES = st.sampled_from([f"lib{letter}{n}" for letter in "abcdef" for n in range(6)])
_VERSIONS = st.sampled_from(["1.0-1", "1:1.0-1", "1.0-1+b1", "2.0~rc1-1", "not a version"])
_PACKAGES = st.builds(
    lambda name, version, arch, source: Package("deb", name, version, arch, source, version),
    _NAMES,
    _VERSIONS,
    st.sampled_from(["amd64", "all", "i386"]),
    st.sampled_from(["alpha", "beta"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets=st.lists(st.lists(_PACKAGES, max_size=60), min_size=1, max_size=4))
def test_sets_come_back(catalog: Catalog, sets: list[list[Package]]) -> None:
    shelf = Shelf()
    with catalog.write() as c:
        numbers = packages.put_sets(c, shelf, [PackageList(tuple(items)) for items in sets])
        again = [put_set(c, Shelf(), reversed(items)) for items in sets]
    assert again == numbers
    with catalog.read() as c:
        for number, items in zip(numbers, sets, strict=True):
            assert packages.list_packages(c, number) == tuple(sorted(set(items)))
    equal = {frozenset(items) for items in sets}
    assert len(set(numbers)) == len(equal)


def test_a_rebuild_writes_only_the_chunks_of_what_changed(catalog: Catalog) -> None:
    shelf = Shelf()
    old = [package(f"lib{n}") for n in range(400)]
    new = [package("lib7", "1.0-2"), *(item for item in old if item.name != "lib7")]
    with catalog.write() as c:
        put_set(c, shelf, old)
        before = c.scalar(select(func.count()).select_from(package_chunk))
        put_set(c, shelf, new)
        assert c.scalar(select(func.count()).select_from(package_chunk)) == before + 1
        assert c.scalar(select(func.count()).select_from(package_version)) == 401
        assert c.scalar(select(func.count()).select_from(package_set)) == 2


def test_holds_make_another_set(catalog: Catalog) -> None:
    with catalog.write() as c:
        free = put_set(c, Shelf(), [package("vim")])
        held = put_set(c, Shelf(), [package("vim")], ["vim:amd64"])
    assert free != held
    with catalog.read() as c:
        assert packages.list_held(c, [free]) == {}
        assert packages.list_held(c, [free, held]) == {held: ("vim:amd64",)}


def test_what_was_dropped_is_not_taken_for_granted(catalog: Catalog) -> None:
    shelf = Shelf()

    class Stop(Exception):
        pass

    try:
        with catalog.write() as c:
            put_set(c, shelf, [package("vim")])
            raise Stop
    except Stop:
        shelf.forget()
    with catalog.write() as c:
        number = put_set(c, shelf, [package("nano"), package("vim")])
    with catalog.read() as c:
        assert packages.list_packages(c, number) == (package("nano"), package("vim"))


def test_holders_of_a_package_below_a_version(catalog: Catalog, put_image: PutImage) -> None:
    versions = ["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-2", "1:0.5-1"]
    with catalog.write() as c:
        for position, version in enumerate(versions):
            put_image(c, f"image {position}", [package("ssl", version), package("other")])
    with catalog.read() as c:
        below = list_holders(c, "ssl", below="1.0-2")
        assert [item.version for item in below.items] == ["1.0~rc1-1", "1.0-1", "1.0-1+b1"]
        assert len(list_holders(c, "ssl").items) == 5
        assert list_holders(c, "absent").items == ()
        assert [(found.version, count) for found, count in list_versions(c, "ssl")] == [
            (version, 1) for version in reversed(versions)
        ]
        pages, after = [], None
        while True:
            page = list_holders(c, "ssl", limit=2, after=after)
            pages += page.items
            after = page.next
            if after is None:
                break
        assert pages == list(list_holders(c, "ssl").items)


def test_a_source_package_is_held_by_who_holds_its_packages(
    catalog: Catalog, put_image: PutImage
) -> None:
    made = Package("deb", "libssl3", "3.0-1", "amd64", "openssl", "3.0-1")
    with catalog.write() as c:
        put_image(c, "app", [made, package("other")])
        put_image(c, "bare", [package("other")])
    with catalog.read() as c:
        (item,) = list_holders(c, "openssl").items
        assert (item.package, item.version) == ("libssl3", "3.0-1")
        assert list_holders(c, "libssl3").items == (item,)
        assert list_holders(c, "openssl", below="3.0-1").items == ()
        met = {name: is_package_met(c, name) for name in ("openssl", "libssl3", "nosuch")}
    assert met == {"openssl": True, "libssl3": True, "nosuch": False}
