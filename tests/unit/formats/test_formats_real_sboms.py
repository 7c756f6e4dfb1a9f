"""Bills of materials that real tools wrote of real software and real images.

They lie beside the repository; where they are not, there is nothing to test.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from imagecatalog.domain.builds import Inventory
from imagecatalog.errors import BadDocument
from imagecatalog.formats.purl import make_package, parse_purl
from imagecatalog.formats.sbom import parse_sbom

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DATA = Path(__file__).parents[4] / "shared" / "data"


def _unpack(path: str) -> bytes:
    with zstd.open(DATA / path) as stream:
        content: bytes = stream.read()
    return content


def _documents() -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(_unpack("sbom/sbom-samples.tar.zst"))) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith((".json", ".spdx", ".xml")):
                stream = archive.extractfile(member)
                assert stream is not None
                yield member.name, stream.read()


def _read_capture(name: str) -> Inventory:
    return parse_sbom(_unpack(f"captures/sbom/{name}.json.zst"), name)


if DATA.is_dir():

    def test_every_document_is_read_or_refused_with_its_reason() -> None:
        outcomes: Counter[str] = Counter()
        packages = 0
        for name, body in _documents():
            try:
                found = parse_sbom(body, name)
            except BadDocument as error:
                outcomes[error.why.partition(":")[0]] += 1
            else:
                outcomes[found.format.partition(".")[0]] += 1
                packages += len(found.packages)
                assert found.packages or found.problem
        assert outcomes == {
            "CycloneDX 1": 73,
            "SPDX 2": 126,
            "SPDX 3": 27,
            "it lists vulnerabilities and no components": 25,
            "it is XML": 21,
            "it is SPDX in its tag-value form": 22,
            "it is Syft's own format": 2,
            "it is no JSON object": 1,
            "it is no bill of materials we know": 1,
            "it is not the JSON it should be": 1,
        }
        assert packages == 18_069

    def test_two_formats_of_one_image_list_the_same_packages() -> None:
        cyclonedx, spdx = _read_capture("myapp_1.0.0.cdx"), _read_capture("myapp_1.0.0.spdx")
        assert cyclonedx.packages == spdx.packages
        assert str(cyclonedx.distro) == str(spdx.distro) == "debian 12"
        assert cyclonedx.problem is spdx.problem is None

    def test_they_are_the_packages_that_another_scanner_read_from_the_layers() -> None:
        """Clair reads dpkg's own status file, so this is what it says."""
        for image in ("bookworm_1.0.0", "myapp_1.0.0"):
            index = json.loads((DATA / "captures" / "clair-4" / f"index-{image}.json").read_bytes())
            expected = {
                (
                    package["name"],
                    package["version"],
                    package["arch"],
                    package["source"]["name"],
                    package["source"]["version"],
                )
                for package in index["packages"].values()
                if package["kind"] == "binary" and package.get("arch")
            }
            told = {
                (item.name, item.version, item.arch, item.source, item.source_version)
                for item in _read_capture(f"{image}.cdx").packages
                if item.type == "deb"
            }
            assert told == expected

    def test_packages_of_787_images_are_named_as_their_tool_names_them() -> None:
        count = 0
        for line in _unpack("sbom/bom-shelter-syft-packages.jsonl.zst").splitlines():
            for told in json.loads(line)["packages"]:
                purl = parse_purl(told["purl"]) if told.get("purl") else None
                if purl and purl.type in {"deb", "apk"}:
                    package = make_package(purl)
                    assert (package.name, package.version) == (told["n"], told["v"])
                    count += 1
        assert count == 42_737
