"""What became of packages: by the order of versions, and nothing lost on the way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.lineage import PackageChange, PackageChanges
from imagecatalog.domain.packages import Package
from imagecatalog.planning.differences import compare_packages


def package(name: str, version: str, arch: str = "amd64", kind: str = "deb") -> Package:
    return Package(kind, name, version, arch, name, version)


def told(changes: PackageChanges) -> dict[str, list[tuple[str, str | None, str | None]]]:
    return {
        name: [(one.package, one.a, one.b) for one in getattr(changes, name)]
        for name in PackageChanges.__struct_fields__
    }


def test_versions_go_up_and_down_by_their_order() -> None:
    before = [
        package("apt", "2.9"),
        package("zlib", "1:1"),
        package("gone", "1"),
        package("x", "1"),
    ]
    after = [package("apt", "2.10"), package("zlib", "9"), package("new", "1"), package("x", "1")]
    assert told(compare_packages(before, after)) == {
        "added": [("new", None, "1")],
        "removed": [("gone", "1", None)],
        "upgraded": [("apt", "2.9", "2.10")],
        "downgraded": [("zlib", "1:1", "9")],
    }


def test_of_several_versions_the_newest_meet() -> None:
    before = [package("linux", version) for version in ("6.1", "6.9")]
    after = [package("linux", version) for version in ("6.9", "6.10", "6.12")]
    assert told(compare_packages(before, after)) == {
        "added": [("linux", None, "6.10")],
        "removed": [],
        "upgraded": [("linux", "6.1", "6.12")],
        "downgraded": [],
    }


def test_a_package_of_another_architecture_is_the_same_package() -> None:
    (change,) = compare_packages(
        [package("tz", "1", "amd64")], [package("tz", "2", "all")]
    ).upgraded
    assert (change.arch, change.a, change.b) == ("all", "1", "2")


def test_packages_of_two_kinds_are_not_the_same() -> None:
    changes = compare_packages([package("a", "2", kind="pypi")], [package("a", "1")])
    assert told(changes)["added"] == [("a", None, "1")]
    assert told(changes)["removed"] == [("a", "2", None)]


packages = st.frozensets(
    st.builds(
        package,
        st.sampled_from("abc"),
        st.from_regex(r"[0-9][0-9.~+-]{0,3}[0-9]", fullmatch=True),
        st.sampled_from(["amd64", "all", "arm64"]),
        st.sampled_from(["deb", "pypi"]),
    ),
    max_size=8,
)


@given(packages, packages)
def test_every_package_is_accounted_for_once(
    before: frozenset[Package], after: frozenset[Package]
) -> None:
    changes = compare_packages(before, after)
    listed: list[PackageChange] = [
        one for name in PackageChanges.__struct_fields__ for one in getattr(changes, name)
    ]
    old = sorted((one.type, one.package, one.a) for one in listed if one.a is not None)
    new = sorted((one.type, one.package, one.b) for one in listed if one.b is not None)
    assert old == sorted((one.type, one.name, one.version) for one in before - after)
    assert new == sorted((one.type, one.name, one.version) for one in after - before)
    assert told(compare_packages(after, before))["added"] == [
        (name, b, a) for name, a, b in told(changes)["removed"]
    ]
    assert compare_packages(before, before) == compare_packages((), ())
