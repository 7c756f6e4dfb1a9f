"""Layers in which each kind of file that tells of packages is spoilt: an answer, never an accident."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.overlay import Tree
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadDocument, TooLarge
from imagecatalog.formats.layer import read_layer
from imagecatalog.sources.rootfs import describe_root
from rpm_files import bdb, header, ndb, sqlite

RPM = header("six", "1", "1", vendor="SUSE LLC", files=[("/usr/lib/six.egg-info/", "PKG-INFO")])
STATUS = (
    b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n"
    b"Maintainer: A <a@b.org>\nSource: bash (5.2-0)\n\n"
)
GO = b"go1.22.1"
MODULES = (
    b"x" * 16
    + b"path\ta.org/b\nmod\ta.org/b\tv1.0.0\ndep\tc.org/d\tv1.1.0\n=>\t../d\t\n"
    + b"y" * 16
)


def jar() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "META-INF/maven/o/a/pom.properties", "groupId=o\nartifactId=a\nversion=1\n"
        )
        archive.writestr("META-INF/MANIFEST.MF", "Bundle-Version: 1\n")
    return body.getvalue()


def go() -> bytes:
    info = b"\xff Go buildinf:\x08\x02".ljust(32, b"\0")
    texts = b"".join(bytes([len(text)]) + text for text in (GO, MODULES))
    return b"\x7fELF".ljust(64, b"\x90") + info + texts


RECORDED = Path(__file__).parents[2] / "data/rpm/Packages.gz"
FILES = {
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/status.d/bash": STATUS,
    "var/lib/dpkg/status.d/bash.md5sums": b"d41d8cd9  usr/lib/six.egg-info/PKG-INFO\n",
    "var/lib/dpkg/info/bash.list": b"/.\n/usr\n/usr/lib/six.egg-info/PKG-INFO\n",
    "lib/apk/db/installed": b"P:a\nV:1-r0\nA:x\no:b\nF:usr/lib/six.egg-info\nR:PKG-INFO\n\n",
    "var/lib/rpm/rpmdb.sqlite": sqlite(RPM),
    "var/lib/rpm/Packages.db": ndb(RPM),
    "usr/share/rpm/Packages": bdb(RPM),
    "var/lib/rpm/Packages": gzip.decompress(RECORDED.read_bytes()),
    "var/lib/rpmmanifest/container-manifest-2": b"a\t1-1\t1\t2\tv\t(none)\t3\tx\t0\ta-1-1.src.rpm\n",
    "etc/os-release": b"ID=debian\nVERSION_ID=12\n",
    "usr/lib/six.egg-info/PKG-INFO": b"Name: six\nVersion: 1\n",
    "usr/lib/b.dist-info/METADATA": b"Name: b\nVersion: 1\n",
    "a/node_modules/@a/b/package.json": b'{"name": "@a/b", "version": "1.0.0"}',
    "root/store/v3/files/0a/bcd": b'{"name": "c", "version": "1.0.0"}',
    "g/specifications/rake-1.gemspec": b"# stub: rake 1.0 ruby lib\n",
    "srv/a.jar": jar(),
    "srv/b.war": jar(),
    "usr/bin/app": go(),
}
NAMES = list(FILES)


def pack(files: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return body.getvalue()


def describe_layer(layer: bytes) -> ImageContents:
    tree = Tree()
    tree.lay(read_layer(io.BytesIO(layer), Descriptor("x", Digest.of(b""), -1)))
    return describe_root(tree, Platform.parse("linux/amd64"))


def describe(files: dict[str, bytes]) -> ImageContents:
    return describe_layer(pack(files))


def check(layer: bytes) -> None:
    """A layer is read, and what is in it is told or unknown; or it is refused with a sentence."""
    sentence = ""
    try:
        contents = describe_layer(layer)
    except BadDocument as error:
        sentence = str(error)
    else:
        assert contents.unknown or contents.packages
    assert len(sentence) < 1000


def test_all_of_it_is_read():
    contents = describe(FILES)
    assert contents.problems == ()
    kinds = {"apk", "deb", "gem", "golang", "maven", "npm", "pypi", "rpm"}
    assert {one.type for one in contents.packages} == kinds


EDITS = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=200)
@given(st.integers(0, len(NAMES) - 1), EDITS, st.integers(0, 1 << 16) | st.none())
def test_a_file_that_is_changed_and_cut_costs_no_other(place, edits, end):
    name = NAMES[place]
    data = bytearray(FILES[name])
    for at, value in edits:
        data[at % len(data)] = value
    contents = describe(FILES | {name: bytes(data[: None if end is None else end % len(data)])})
    assert all(one.version for one in contents.packages)
    # What another file tells is there as before, but for what no longer has an owner.
    others = describe({path: data for path, data in FILES.items() if path != name})
    lost = {(one.type, one.name) for one in set(others.packages) - set(contents.packages)}
    assert lost <= {("pypi", "six")} or name.startswith(("var/lib/dpkg", "var/lib/rpm", "lib/apk"))
    assert all(problem.path and problem.reason for problem in contents.problems)


@settings(max_examples=200)
@given(EDITS, st.integers(0, 1 << 17) | st.none())
def test_an_archive_that_is_changed_and_cut_is_read_or_refused(edits, end):
    data = bytearray(pack({name: FILES[name] for name in NAMES if "rpm" not in name}))
    for at, value in edits:
        data[at % len(data)] = value
    check(bytes(data[: None if end is None else end % len(data)]))


LOOPS = {
    "a folder that leads to itself": {"usr/lib": "lib", "usr/lib/lib": "../lib"},
    "two that lead to each other": {"var/lib/dpkg": "../../a", "a": "var/lib/dpkg"},
    "far out of the tree": {"var/lib": "../" * 300 + "etc"},
    "many hops": {f"l{n}": f"l{n + 1}" for n in range(60)} | {"var/lib/rpm": "/l0"},
    "packages to themselves": {"a/node_modules": "node_modules"},
}


@pytest.mark.parametrize("links", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("is_first", [True, False])
def test_games_with_links(links, is_first):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:

        def add_links():
            for path, target in links.items():
                info = tarfile.TarInfo(path)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)

        if is_first:
            add_links()
        for path, data in FILES.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if not is_first:
            add_links()
    check(body.getvalue())


def test_a_sparse_database_of_two_gigabytes_is_not_unpacked():
    info = tarfile.TarInfo("var/lib/rpm/rpmdb.sqlite")
    info.size = 512
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = b"S"
    block[386:398], block[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    block[483:495] = b"%011o\0" % (2 << 30)
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    contents = describe_layer(bytes(block) + bytes(512) + bytes(1024))
    assert contents.unknown.code == "package-database-not-read"


def test_a_database_of_two_gigabytes_is_refused_unread():
    info = tarfile.TarInfo("var/lib/rpm/rpmdb.sqlite")
    info.size = 2 << 30
    with pytest.raises(TooLarge, match="has 2147483648 bytes"):
        describe_layer(info.tobuf(tarfile.GNU_FORMAT))
