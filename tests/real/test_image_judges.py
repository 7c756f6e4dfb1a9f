"""Syft and we on one image: real layers of Debian, files of every language above, and whiteouts."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from syft_judge import name_of, named, read_layers, scan, write_layout

from imagecatalog.domain.refs import Digest

pytestmark = pytest.mark.real


def metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA description\n"


def manifest(name: str, version: str) -> str:
    return json.dumps({"name": name, "version": version})


def jar(files: dict[str, str | bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()


def pom(group: str, artifact: str, version: str) -> dict[str, str | bytes]:
    text = f"groupId={group}\nartifactId={artifact}\nversion={version}\n"
    return {
        "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n",
        f"META-INF/maven/{group}/{artifact}/pom.properties": text,
    }


SITE = "usr/local/lib/python3.11/dist-packages"
MODULES = "srv/app/node_modules"
FIRST: dict[str, str | bytes] = {
    f"{SITE}/requests-2.31.0.dist-info/METADATA": metadata("requests", "2.31.0"),
    f"{SITE}/Zope.Interface-6.0.egg-info/PKG-INFO": metadata("Zope.Interface", "6.0"),
    f"{SITE}/PyYAML-6.0.egg-info": metadata("PyYAML", "6.0"),
    f"{SITE}/gone-1.0.dist-info/METADATA": metadata("gone", "1.0"),
    f"{SITE}/old_one-1.0.dist-info/METADATA": metadata("old_one", "1.0"),
    "opt/venv/lib/python3.11/site-packages/typing_extensions-4.9.0.dist-info/METADATA": metadata(
        "typing_extensions", "4.9.0"
    ),
    f"{MODULES}/express/package.json": manifest("express", "4.18.2"),
    f"{MODULES}/express/node_modules/qs/package.json": manifest("qs", "6.11.0"),
    f"{MODULES}/qs/package.json": manifest("qs", "6.12.0"),
    f"{MODULES}/@types/node/package.json": manifest("@types/node", "20.1.0"),
    f"{MODULES}/.pnpm/a@1.0.0/node_modules/a/package.json": manifest("a", "1.0.0"),
    f"{MODULES}/.pnpm/a@1.0.0/node_modules/@s/b/package.json": manifest("@s/b", "2.0.0"),
    f"{MODULES}/left/package.json": manifest("left", "1.0.0"),
    "usr/local/bundle/specifications/rack-3.0.8.gemspec": "# -*- encoding: utf-8 -*-\n"
    "# stub: rack 3.0.8 ruby lib\n\nGem::Specification.new do |s|\n"
    '  s.name = "rack".freeze\n  s.version = "3.0.8"\nend\n',
    "usr/local/bundle/specifications/nokogiri-1.15.4-x86_64-linux.gemspec": "# -*- encoding: utf-8 -*-\n"
    "# stub: nokogiri 1.15.4 x86_64-linux lib\n\nGem::Specification.new do |s|\n"
    '  s.name = "nokogiri".freeze\n  s.version = "1.15.4"\n  s.platform = "x86_64-linux".freeze\nend\n',
    "srv/app/app.war": jar(
        pom("org.example", "app", "2.0") | {"WEB-INF/lib/in.jar": jar(pom("org.x", "in", "1.0"))}
    ),
    "srv/app/shaded-3.0.jar": jar(
        pom("org.x", "shaded", "3.0") | pom("com.google.guava", "guava", "32.1.2-jre")
    ),
    "srv/app/commons-io-2.6.jar": jar(
        {"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Version: 9\n"}
    ),
    "srv/app/boot.jar": jar(
        pom("org.x", "boot", "1.0")
        | {"e-1.ear": jar(pom("org.x", "e", "1") | {"w-2.war": jar(pom("org.x", "w", "2"))})}
    ),
}
SECOND: dict[str, str | bytes] = {
    f"{SITE}/.wh.gone-1.0.dist-info": "",
    f"{SITE}/old_one-1.0.dist-info/METADATA": metadata("old_one", "1.1"),
    f"{MODULES}/left/.wh..wh..opq": "",
    f"{MODULES}/left/package.json": manifest("left", "2.0.0"),
}


def layer(files: dict[str, str | bytes]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo(f"{MODULES}/a")
        link.type, link.linkname = tarfile.SYMTYPE, ".pnpm/a@1.0.0/node_modules/a"
        archive.addfile(link)
    return gzip.compress(body.getvalue(), mtime=0)


def layers_of(layout: Path, tag: str) -> list[Path]:
    """The blobs of an image's layers, the base first."""

    def load(digest: str) -> Any:
        return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())

    index = json.loads((layout / "index.json").read_text())
    (digest,) = [
        one["digest"]
        for one in index["manifests"]
        if one["annotations"]["org.opencontainers.image.ref.name"] == tag
    ]
    listed = load(digest)["layers"]
    return [layout / "blobs" / one["digest"].replace(":", "/") for one in listed]


def test_an_image_of_debian_and_of_languages(debian_fleet: Path, tmp_path: Path) -> None:
    # Some packages of this one were removed or upgraded by a layer above.
    paths = layers_of(debian_fleet / "layout", "trimmed")
    assert len(paths) > 1
    for number, files in enumerate((FIRST, SECOND)):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(layer(files))
        paths.append(path)
    write_layout(tmp_path / "layout", paths)
    digests = [
        Digest.of(path.read_bytes())
        if path.parent == tmp_path
        else Digest.parse(f"sha256:{path.name}")
        for path in paths
    ]
    contents = read_layers(list(zip(digests, paths, strict=True)))
    assert (contents.unknown, contents.problems) == (None, ())
    packages = contents.packages or ()

    artifacts = scan(f"oci-dir:{tmp_path / 'layout'}")
    sources = {
        (one["name"], one["version"], meta["architecture"]): (
            meta["source"] or one["name"],
            meta["sourceVersion"] or one["version"],
        )
        for one in artifacts
        if one["type"] == "deb" and (meta := one["metadata"])
    }
    assert sources == {
        (one.name, one.version, one.arch): (one.source, one.source_version)
        for one in packages
        if one.type == "deb"
    }
    assert len(sources) > 150

    def short(found: set[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
        """Without the groups of Java's packages, which Syft keeps apart."""
        return {
            (kind, name.rpartition(":")[2] if kind == "maven" else name, v)
            for kind, name, v in found
        }

    found, told = short(named(packages)), short({name_of(one) for one in artifacts})
    assert found - told == set()
    # What Syft tells besides was brought by Debian's packages, and is told as theirs.
    lists = (debian_fleet / "roots/trimmed/var/lib/dpkg/info").glob("*.list")
    brought = {line for path in lists for line in path.read_text().splitlines()}
    more = [one for one in artifacts if short({name_of(one)}) - found]
    assert more
    assert {place["path"] for one in more for place in one["locations"]} <= brought
    kinds = {kind: sum(one[0] == kind for one in found) for kind in ("pypi", "npm", "gem", "maven")}
    assert kinds == {"pypi": 5, "npm": 7, "gem": 2, "maven": 8}
