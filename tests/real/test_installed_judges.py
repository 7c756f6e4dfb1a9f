"""What Syft finds installed, we find: in package databases of each kind, from real files."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import tarfile
from pathlib import Path

import pytest
from syft_judge import name_of, ours, read, read_layers, scan, theirs

from imagecatalog.domain.packages import Package
from imagecatalog.domain.refs import Digest
from rpm_files import bdb, ndb

pytestmark = pytest.mark.real

DATA = Path(__file__).parents[2].parent / "shared/data"
RECORDED = Path(__file__).parents[1] / "data/rpm/Packages.gz"
TRIVY = "aquasecurity_trivy/pkg/fanal/analyzer/pkg/apk/testdata/apk"
SYFTS = "anchore_syft/syft/pkg/cataloger"
APK_DATABASES = {
    TRIVY: 15,
    f"{SYFTS}/alpine/testdata/multiple-1/lib/apk/db/installed": 4,
    f"{SYFTS}/alpine/testdata/multiple-2/lib/apk/db/installed": 14,
    f"{SYFTS}/alpine/testdata/base": 1,
}
APK_PATHS = ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def take(name: str, folder: Path) -> Path:
    """A file of the recorded databases of scanners."""
    archive = DATA / "package-databases/scanner-pkgdb-fixtures.tar.zst"
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", folder, name], check=True)
    return folder / name


def put(root: Path, path: str, data: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)


def sourced(packages: tuple[Package, ...] | None) -> set[tuple[str, str, str, str]]:
    """Name, version, architecture and source of each."""
    return {(one.name, one.version, one.arch, one.source) for one in packages or ()}


if (DATA / "package-databases").is_dir():

    @pytest.mark.parametrize(
        ("name", "path"), list(zip(APK_DATABASES, [*APK_PATHS, *APK_PATHS], strict=True))
    )
    def test_apk(name: str, path: str, tmp_path: Path) -> None:
        root = tmp_path / "root"
        put(root, path, take(name, tmp_path).read_bytes())
        contents = read(root)
        packages = contents.packages
        assert len(packages or ()) == APK_DATABASES[name]
        told = scan(f"dir:{root}")
        # One of the recorded databases has a paragraph without a version, which Syft calls UNKNOWN:
        # such an image is not known.
        broken = [one["name"] for one in told if one["version"] == "UNKNOWN"]
        assert bool(contents.unknown) == bool(broken) == (name == TRIVY)
        assert sourced(packages) == {
            (
                one["name"],
                one["version"],
                one["metadata"]["architecture"],
                one["metadata"]["originPackage"] or one["name"],
            )
            for one in told
            if one["name"] not in broken
        }

    def test_dpkg_of_a_real_distroless_package(tmp_path: Path) -> None:
        folder = f"{SYFTS}/debian/testdata/image-distroless-deb/var"
        take(folder, tmp_path)
        root = (tmp_path / folder).parent
        assert ours(root) == theirs(root) == {("deb", "libsqlite3-0", "3.34.1-3")}
        assert sourced(read(root).packages) == {("libsqlite3-0", "3.34.1-3", "arm64", "sqlite3")}


def _distroless() -> list[tuple[str, list[dict[str, str | None]]]]:
    """The last list of packages of some kinds of distroless images."""
    lists = DATA / "images/distroless-packages.jsonl.zst"
    if not lists.exists():
        return []
    lines = subprocess.run(
        ["zstd", "-dc", "--long=27", lists], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    found = {}
    for line in map(json.loads, lines):
        if line["arch"] == "amd64" and line["set"] in ("bookworm", "trixie", "bookworm_java"):
            found[line["set"]] = line["packages"]
    return sorted(found.items())


@pytest.mark.parametrize("listed", [pytest.param(one, id=name) for name, one in _distroless()])
def test_distroless(listed: list[dict[str, str | None]], tmp_path: Path) -> None:
    expected = set()
    for one in listed:
        name, version, source = one["name"], one["version"], one["pool_source"]
        text = (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@b.org>\n"
        )
        text += f"Source: {source} (1.0-1)\n" if source and source != name else ""
        put(tmp_path, f"var/lib/dpkg/status.d/{name}", text.encode())
        sums = f"d41d8cd98f00b204e9800998ecf8427e  usr/share/doc/{name}/copyright\n"
        put(tmp_path, f"var/lib/dpkg/status.d/{name}.md5sums", sums.encode())
        expected.add((name, version, source or name, "1.0-1" if source != name else version))
    found = read(tmp_path).packages or ()
    told = scan(f"dir:{tmp_path}")
    assert {(one.name, one.version) for one in found} == {one[:2] for one in expected}
    assert {(one.name, one.version, one.source, one.source_version) for one in found} == {
        (
            one["name"],
            one["version"],
            one["metadata"]["source"] or one["name"],
            one["metadata"]["sourceVersion"] or one["version"],
        )
        for one in told
    }


SPEC = """Name: tiny
Epoch: 2
Version: 1.5~rc1
Release: 3
Summary: tiny
License: none
Vendor: Red Hat, Inc.
BuildArch: noarch
%description
x
%package libs
Summary: libs
Epoch: 0
%description libs
x
%install
mkdir -p %{buildroot}/usr/lib/python3.9/site-packages/six-1.16.egg-info
printf 'Name: six\\nVersion: 1.16\\n' > %{buildroot}/usr/lib/python3.9/site-packages/six-1.16.egg-info/PKG-INFO
%files
/usr/lib/python3.9/site-packages/six-1.16.egg-info/PKG-INFO
%files libs
"""
RPMS = {("rpm", "tiny", "2:1.5~rc1-3"), ("rpm", "tiny-libs", "1.5~rc1-3")}
SIX = ("pypi", "six", "1.16")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system into which RPM installed two packages, one with a Python module."""
    folder = tmp_path_factory.mktemp("rpm")
    (folder / "tiny.spec").write_text(SPEC)
    topdir = ["--define", f"_topdir {folder}/top"]
    for command in (
        ["rpmbuild", "--quiet", "--nodeps", "-bb", *topdir, "tiny.spec"],
        [
            "sh",
            "-c",
            f"rpm --root {folder}/system --dbpath /var/lib/rpm --nodeps -i top/RPMS/*/*.rpm",
        ],
    ):
        (folder / "system").mkdir(exist_ok=True)
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "system"


def test_rpm(installed: Path) -> None:
    assert ours(installed) == RPMS
    # The module lies in a package, and is told as that.
    assert theirs(installed) == RPMS | {SIX}


@pytest.mark.parametrize(
    ("path", "write"),
    [
        ("usr/lib/sysimage/rpm/Packages.db", ndb),
        ("var/lib/rpm/Packages.db", ndb),
        ("var/lib/rpm/Packages", bdb),
        ("var/lib/rpm/Packages", lambda *all: bdb(*all, order=">", page_size=4096)),
    ],
)
def test_rpm_databases_of_other_kinds(path, write, installed: Path, tmp_path: Path) -> None:
    # RPM of this system writes SQLite alone: its headers are put into files of the other kinds.
    connection = sqlite3.connect(installed / "var/lib/rpm/rpmdb.sqlite")
    headers = [blob for (blob,) in connection.execute("SELECT blob FROM Packages")]
    connection.close()
    put(tmp_path, path, write(*headers))
    assert ours(tmp_path) == theirs(tmp_path) == RPMS
    put(
        tmp_path,
        "usr/lib/python3.9/site-packages/six-1.16.egg-info/PKG-INFO",
        b"Name: six\nVersion: 1.16\n",
    )
    assert ours(tmp_path) == RPMS


def test_a_database_that_berkeley_db_wrote(tmp_path: Path) -> None:
    data = gzip.decompress(RECORDED.read_bytes())
    put(tmp_path, "var/lib/rpm/Packages", data)
    assert ours(tmp_path) == theirs(tmp_path) == RPMS
    command = ["rpm", "--define", "_db_backend bdb_ro", "--dbpath", tmp_path / "var/lib/rpm"]
    form = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n"
    told = subprocess.run(
        [*command, "-qa", "--qf", form], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert {("rpm", *line.split()) for line in told.replace(" 0:", " ").splitlines()} == RPMS


def test_the_list_of_mariner(tmp_path: Path) -> None:
    rows = [
        ("bash", "5.1.8-4.cm2", "(none)", "0", "bash-5.1.8-4.cm2.src.rpm"),
        ("openssl-libs", "1.1.1k-15.cm2", "(none)", "0", "openssl-1.1.1k-15.cm2.src.rpm"),
        ("vim", "9.0-1.cm2", "2", "2", "vim-9.0-1.cm2.src.rpm"),
    ]
    text = "".join(
        f"{name}\t{version}\t1653816591\t1653753130\tMicrosoft Corporation\t{epoch}\t580\tx86_64"
        f"\t{number}\t{source}\n"
        for name, version, epoch, number, source in rows
    )
    put(tmp_path, "var/lib/rpmmanifest/container-manifest-2", text.encode())
    told = scan(f"dir:{tmp_path}")
    # For a package with an epoch Syft 1.18 takes its size for that.
    sizes = {("rpm", "vim", "580:9.0-1.cm2"): ("rpm", "vim", "2:9.0-1.cm2")}
    assert ours(tmp_path) == {sizes.get(name_of(one), name_of(one)) for one in told}
    assert {(one.name, one.source) for one in read(tmp_path).packages or ()} == {
        (one["name"], one["metadata"]["sourceRpm"].rsplit("-", 2)[0]) for one in told
    }


def test_a_database_that_is_sparse_in_its_layer_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "var/lib/rpm/rpmdb.sqlite"
    path.parent.mkdir(parents=True)
    with path.open("wb") as stream:
        stream.truncate(2 << 30)
    # GNU tar writes such a file as a map and fragments.
    archive = tmp_path / "layer.tar"
    subprocess.run(["tar", "-C", tmp_path, "--sparse", "-cf", archive, "var"], check=True)
    assert archive.stat().st_size < 1 << 20
    path.unlink()
    with tarfile.open(archive) as members:
        assert members.getmember("var/lib/rpm/rpmdb.sqlite").size == 2 << 30
    data = archive.read_bytes()
    contents = read_layers([(Digest.of(data), data)])
    assert contents.unknown is not None
    assert contents.unknown.code == "package-database-not-read"
