"""What the distribution's packages brought is theirs: it is not told once more by what lies in it."""

import io
import tarfile

import pytest

from imagecatalog.domain.contents import PackageDatabase
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.apkdb import parse_installed
from imagecatalog.formats.brought import Brought, is_brought
from imagecatalog.formats.language_files import may_tell
from imagecatalog.formats.layer import read_layer
from imagecatalog.formats.rpmdb import parse_rpmdb
from rpm_files import header, ndb, sqlite

SIX = "usr/lib/python3/dist-packages/six-1.16.egg-info/PKG-INFO"
OWN = "usr/local/lib/python3.11/dist-packages/flask-3.0.dist-info/METADATA"
METADATA = "Name: six\nVersion: 1.16\n"


def told(**files: str | bytes) -> list[tuple[str, str, str]]:
    """The packages of a layer of these files, in their order."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    body.seek(0)
    entries = read_layer(body, Descriptor("x", Digest.of(b""), -1))
    databases = [entry.database for entry in entries if entry.database]
    assert all(not database.files for database in databases)
    return sorted((one.type, one.name, one.version) for db in databases for one in db.packages)


def status(name: str, version: str = "1.16-4", maintainer: str = "A <a@lists.debian.org>") -> str:
    return (
        f"Package: {name}\nStatus: install ok installed\nMaintainer: {maintainer}\n"
        f"Architecture: all\nVersion: {version}\n\n"
    )


def apk(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"P:py3-six\nV:1.16-r0\nF:usr\nF:{folder}\nR:{name}\n\n"


def rpm(path: str, vendor: str = "Red Hat, Inc.") -> bytes:
    folder, _, name = path.rpartition("/")
    return header("python3-six", "1.16", "1", vendor=vendor, files=[(f"/{folder}/", name)])


BROUGHT = {
    "dpkg": {
        "var/lib/dpkg/info/python3-six.list": f"/.\n/usr\n/{SIX}\n",
        "var/lib/dpkg/status": status("python3-six"),
    },
    "dpkg, multi-arch": {
        "var/lib/dpkg/info/python3-six:amd64.list": f"/{SIX}\n",
        "var/lib/dpkg/status": status("python3-six"),
    },
    "dpkg, before usr was merged": {
        "var/lib/dpkg/info/python3-six.list": f"/{SIX.removeprefix('usr/')}\n",
    },
    "distroless": {
        "var/lib/dpkg/status.d/python3-six": "Package: python3-six\nArchitecture: all\nVersion: 1.16-4\n",
        "var/lib/dpkg/status.d/python3-six.md5sums": f"d41d8cd98f00b204e9800998ecf8427e  {SIX}\n",
    },
    "apk": {"lib/apk/db/installed": apk(SIX)},
    "rpm": {"var/lib/rpm/rpmdb.sqlite": sqlite(rpm(SIX))},
    "rpm, ndb": {"usr/lib/sysimage/rpm/Packages.db": ndb(rpm(SIX))},
}


@pytest.mark.parametrize("case", BROUGHT)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_package_brought_is_not_told_twice(case, is_first):
    files = {SIX: METADATA, OWN: "Name: flask\nVersion: 3.0\n"}
    found = told(**(BROUGHT[case] | files if is_first else files | BROUGHT[case]))
    assert ("pypi", "flask", "3.0") in found
    assert ("pypi", "six", "1.16") not in found


@pytest.mark.parametrize(
    "files",
    [
        {
            "var/lib/dpkg/info/nodejs.list": f"/{SIX}\n",
            "var/lib/dpkg/status": status("nodejs", "20.10.0-1nodesource1"),
        },
        {
            "var/lib/dpkg/info/docker-ce.list": f"/{SIX}\n",
            "var/lib/dpkg/status": status("docker-ce", maintainer="Docker <support@docker.com>"),
        },
        {"var/lib/rpm/rpmdb.sqlite": sqlite(rpm(SIX, "NodeSource"))},
    ],
)
def test_packages_that_the_distribution_did_not_build_tell_of_what_is_in_them(files):
    assert ("pypi", "six", "1.16") in told(**files, **{SIX: METADATA})


def test_a_file_that_a_higher_layer_brings_is_its_own():
    assert told(**{SIX: METADATA}) == [("pypi", "six", "1.16")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SIX, True),
        ("usr/bin/kubectl", True),
        ("usr/libexec/docker/cli-plugins/docker-compose", True),
        ("usr/bin/python3.11", True),
        ("usr/share/doc/a/b.jar", False),
        ("usr/share/zoneinfo/Europe/Berlin", False),
        ("usr/lib/libc.so.6", False),
        ("usr/share/java/a.jar", True),
    ],
)
def test_which_files_are_noted(path, expected):
    assert may_tell(path) == expected


def test_endless_paths_are_cut():
    long = b"F:" + b"a" * (1 << 20) + b"\n" + b"R:bin\n" * 1000
    files = parse_installed(b"P:a\nV:1-r0\n" + long, "db").files
    assert sum(map(len, files)) < 5 << 20
    rows = [("/" + "b" * (1 << 20) + "/", "bin")] * 20
    files = parse_rpmdb(sqlite(header("a", "1", "1", files=rows)), "db").files
    assert sum(map(len, files)) < 1 << 20


def test_more_files_than_are_noted_are_let_be():
    brought = Brought(("i",), ("s",))
    for number in range(3):
        lines = "".join(f"/usr/bin/{number}-{at}\n" for at in range(90_000))
        brought.take_list(f"i/{number}.list", lines.encode())
    brought.take_database(PackageDatabase((), files=("bin/x",)))
    files = brought.settle()
    assert len(files) == 180_001
    assert is_brought("usr/bin/x", files)
