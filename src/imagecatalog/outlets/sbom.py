"""What the catalog knows of an image as a bill of materials: CycloneDX 1.6 and SPDX 2.3, in JSON.

The same image with the same packages has the same document, bit by bit: its number is made of them,
and its moment is when the catalog first met the image.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from packageurl import PackageURL

from imagecatalog import __version__
from imagecatalog.domain.answers import ImageDetail, PackageItem
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadName, NotFound
from imagecatalog.formats.purl import format_purl

SbomFormat = Literal["cyclonedx", "spdx"]
MEDIA_TYPES: dict[SbomFormat, str] = {
    "cyclonedx": "application/vnd.cyclonedx+json; version=1.6",
    "spdx": "application/spdx+json; version=2.3",
}


def write_sbom(image: ImageDetail, sbom_format: SbomFormat) -> bytes:
    """The document; raises ``NotFound`` where no packages of the image are known."""
    if not image.packages:
        raise NotFound(
            f"no packages of {image.image} are known: {image.verdict.reason or 'it has none'}",
            hint="A bill of materials without packages would say that there are none.",
        )
    writers: dict[SbomFormat, Callable[[ImageDetail], Any]] = {
        "cyclonedx": _make_cyclonedx,
        "spdx": _make_spdx,
    }
    return msgspec.json.format(msgspec.json.encode(writers[sbom_format](image)), indent=2) + b"\n"


def _make_cyclonedx(image: ImageDetail) -> dict[str, Any]:
    distro = _read_distro(image)
    components: list[dict[str, Any]] = []
    if distro:
        version = distro.version_id or distro.codename
        components.append(
            {"bom-ref": "os", "type": "operating-system", "name": distro.id, "version": version}
        )
    for item in image.packages:
        purl = _purl_of(item, distro)
        components.append(
            {
                "bom-ref": purl,
                "type": "library",
                "name": item.package,
                "version": item.installed,
                "purl": purl,
            }
        )
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": _number_of(image).urn,
        "version": 1,
        "metadata": {
            "timestamp": _moment_of(image),
            "tools": {
                "components": [
                    {"type": "application", "name": "imagecatalog", "version": __version__}
                ]
            },
            "component": {
                "bom-ref": "image",
                "type": "container",
                "name": image.image,
                "version": image.digest,
                "purl": _image_purl(image),
            },
        },
        "components": components,
    }


def _make_spdx(image: ImageDetail) -> dict[str, Any]:
    distro = _read_distro(image)
    root = _spdx_package("SPDXRef-image", image.image, image.digest, _image_purl(image))
    root["primaryPackagePurpose"] = "CONTAINER"
    digest = Digest.parse(image.digest)
    if digest.algorithm in {"sha256", "sha384", "sha512"}:
        algorithm = digest.algorithm.upper()
        root["checksums"] = [{"algorithm": algorithm, "checksumValue": digest.encoded}]
    packages = [root]
    if distro:
        system = _spdx_package("SPDXRef-os", distro.id, distro.version_id or distro.codename or "")
        packages.append(system | {"primaryPackagePurpose": "OPERATING-SYSTEM"})
    packages += [
        _spdx_package(
            f"SPDXRef-package-{number}", item.package, item.installed, _purl_of(item, distro)
        )
        for number, item in enumerate(image.packages, start=1)
    ]
    described = [_relate("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")]
    contained = [_relate("SPDXRef-image", "CONTAINS", one["SPDXID"]) for one in packages[1:]]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image.image,
        "documentNamespace": f"https://spdx.org/spdxdocs/imagecatalog-{_number_of(image)}",
        "creationInfo": {
            "created": _moment_of(image),
            "creators": [f"Tool: imagecatalog-{__version__}"],
        },
        "packages": packages,
        "relationships": described + contained,
    }


def _spdx_package(ref: str, name: str, version: str, purl: str | None = None) -> dict[str, Any]:
    package: dict[str, Any] = {
        "SPDXID": ref,
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }
    if purl:
        package["externalRefs"] = [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ]
    return package


def _relate(element: str, kind: str, related: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}


def _purl_of(item: PackageItem, distro: Distro | None) -> str:
    package = Package(
        type=item.type,
        name=item.package,
        version=item.installed,
        arch=item.arch,
        source=item.source,
        source_version=item.source_version,
    )
    return format_purl(package, distro)


def _image_purl(image: ImageDetail) -> str:
    """As the purl specification has images: the last part of the name, and where it lies."""
    try:
        reference = Reference.parse(image.image)
    except BadName:
        return PackageURL("oci", None, "image", image.digest).to_string()
    qualifiers = {"repository_url": reference.name}
    if reference.tag:
        qualifiers["tag"] = reference.tag
    name = reference.path.rpartition("/")[2]
    return PackageURL("oci", None, name, image.digest, qualifiers).to_string()


def _read_distro(image: ImageDetail) -> Distro | None:
    distro_id, _, version = (image.distro or "").partition(" ")
    if not distro_id:
        return None
    return (
        Distro(distro_id, version, None)
        if version[:1].isdigit()
        else Distro(distro_id, None, version)
    )


def _number_of(image: ImageDetail) -> uuid.UUID:
    told = [(item.type, item.package, item.arch, item.installed) for item in image.packages]
    return uuid.uuid5(uuid.NAMESPACE_URL, repr((image.digest, image.image, told)))


def _moment_of(image: ImageDetail) -> str:
    return image.first_seen.strftime("%Y-%m-%dT%H:%M:%SZ")
