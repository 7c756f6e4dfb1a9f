"""Package URLs (purl): their text to values and back, and the package that one names.

Grammar and types: the purl specification. Texts that tools really write are read too, as
``pkg:oci/host:5000/name@sha256:…`` with a namespace and colons that are not encoded.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct
from packageurl import PackageURL

from imagecatalog.domain.packages import Distro, Package
from imagecatalog.errors import BadName, clean_text
from imagecatalog.formats.os_release import DEBIAN_CODENAMES
from imagecatalog.versions import deb

LIMIT = 4096
"""Characters of a package URL; a real one has fewer than three hundred."""
FIELD_LIMIT = 400
"""Bytes of one field of a package: six of them are one key of the database."""
_DISTRO_LENGTH = 200

SYSTEM_TYPES = frozenset({"deb", "apk", "rpm", "alpm"})
"""Packages of a distribution; their namespace is its name and no part of theirs."""
IMAGE_TYPES = frozenset({"oci", "docker"})

_OTHER_NAMES = {"alpine": "apk"}
"""Types that tools once wrote, by the one that the specification has."""
_SEPARATORS = {"maven": ":"}
_SEPARATED = frozenset({"composer", "github", "golang", "maven", "npm", "swift"})
"""Types whose names have a namespace before them."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffd]")
_DEB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_EPOCH = re.compile(r"[0-9]{1,9}")
_DASHES = re.compile(r"[-_.]+")
_SOURCE_RPM = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")


class Purl(Struct, frozen=True):
    """The parts of a package URL, decoded; ``qualifiers`` has no empty values."""

    type: str
    namespace: str | None
    name: str
    version: str | None = None
    qualifiers: dict[str, str] = {}


@lru_cache(maxsize=8192)
def parse_purl(text: str) -> Purl:
    """The parts of a package URL; raises ``BadName``. Do not change its ``qualifiers``.

    A module of Go is named in full: tools write all behind its third part as a subpath, which
    other tools have for a package within the module, and then say so by the qualifier ``type``.
    """
    if len(text) > LIMIT:
        raise BadName(f"{text[:80]!r}… is longer than {LIMIT} characters")
    try:
        purl = PackageURL.from_string(text)
    except ValueError as error:
        raise BadName(f"{text[:120]!r} is not a package URL") from error
    kind = _OTHER_NAMES.get(purl.type, purl.type)
    qualifiers = dict(purl.qualifiers or {})
    name = purl.name
    if kind == "golang" and purl.subpath and qualifiers.get("type") != "package":
        name = f"{name}/{purl.subpath}"
    return Purl(kind, purl.namespace, name, purl.version, qualifiers)


def make_package(purl: Purl, version: str | None = None, source: str | None = None) -> Package:
    """The package that ``purl`` names; raises ``BadName`` where it is not one that can be kept.

    ``version`` counts where the purl has none. ``source`` is ``name``, ``name@version`` or ``name
    version`` as somebody else told it; else it is the purl's ``upstream``, else the package itself.
    Languages have no architecture, and neither have packages whose teller left it out.
    """
    name, version = package_name(purl), purl.version or version or ""
    version = _with_epoch(version, purl)
    is_system = purl.type in SYSTEM_TYPES
    source = (source or purl.qualifiers.get("upstream") or "") if is_system else ""
    is_file = _SOURCE_RPM.fullmatch(source) is not None
    source = _SOURCE_RPM.sub(r"\1@\2", source).replace("@", " ")
    source_name, _, source_version = source.partition(" ")
    if is_file and version.partition(":")[2] == source_version:
        source_version = ""  # the same, of which the name of the source's file leaves out the epoch
    stream = ":".join(purl.qualifiers.get("rpmmod", "").split(":")[:2])
    if purl.type == "rpm" and stream:
        source_name = f"{stream}/{source_name or name}"
    package = Package(
        type=purl.type,
        name=name,
        version=version,
        arch=purl.qualifiers.get("arch", "") if is_system else "",
        source=source_name or name,
        source_version=source_version or version,
    )
    check_package(package)
    return package


def format_purl(package: Package, distro: Distro | None = None) -> str:
    """The package URL of a package, which ``make_package`` reads as the same package again.

    ``distro`` is what the package is of, if it is one of a distribution.
    """
    namespace, name = None, package.name
    qualifiers = {}
    if package.type in SYSTEM_TYPES:
        namespace = distro.id if distro else None
        qualifiers = {"arch": package.arch}
        if distro and (version := distro.version_id or distro.codename):
            qualifiers["distro"] = f"{distro.id}-{version}" if distro.version_id else version
        source = package.source
        if package.type == "rpm" and "/" in source:
            qualifiers["rpmmod"], _, source = source.rpartition("/")
        if package.source_version != package.version:
            qualifiers["upstream"] = f"{source}@{package.source_version}"
        elif source != package.name:
            qualifiers["upstream"] = source
    elif package.type in _SEPARATED or package.name.startswith("@"):
        namespace, _, name = package.name.rpartition(_SEPARATORS.get(package.type, "/"))
    url = PackageURL(package.type, namespace or None, name, package.version, qualifiers)
    return url.to_string()


def package_name(purl: Purl) -> str:
    """The name as its ecosystem writes it: ``group:artifact``, ``@scope/name``, ``libssl3``."""
    if purl.type == "pypi":
        return normalise_pypi(purl.name)
    if purl.namespace is None or purl.type in SYSTEM_TYPES:
        return purl.name
    return purl.namespace + _SEPARATORS.get(purl.type, "/") + purl.name


def normalise_pypi(name: str) -> str:
    """The one name that Python's index has for all ways to write it (PEP 503)."""
    return _DASHES.sub("-", name).lower()


def make_distro(distro_id: str, version: str | None, codename: str | None = None) -> Distro:
    """A distribution as ``os-release`` would tell of it: Debian's point releases are not in it."""
    distro_id, version, codename = (
        clean_text(text[:_DISTRO_LENGTH])
        for text in (distro_id.lower(), version or "", codename or "")
    )
    if distro_id == "debian" and version:
        version = version.partition(".")[0]
        codename = codename or DEBIAN_CODENAMES.get(version)
    return Distro(distro_id or "linux", version or None, codename or None)


def distro_of(purl: Purl) -> Distro | None:
    """The distribution that a purl's ``distro`` names: ``debian-12``, ``12.5`` or ``bookworm``."""
    text = purl.qualifiers.get("distro")
    if not text or purl.type not in SYSTEM_TYPES or _is_bad(text):
        return None
    name, dash, version = text.rpartition("-")
    if dash and version[:1].isdigit():
        return make_distro(name, version)
    distro_id = (purl.namespace or "linux").lower()
    if text[0].isdigit():
        return make_distro(distro_id, text)
    number = next((number for number, name in DEBIAN_CODENAMES.items() if name == text), None)
    return make_distro(distro_id, number if distro_id == "debian" else None, text)


def _with_epoch(version: str, purl: Purl) -> str:
    epoch = purl.qualifiers.get("epoch", "")
    if (
        purl.type in SYSTEM_TYPES
        and ":" not in version
        and epoch != "0"
        and _EPOCH.fullmatch(epoch)
    ):
        return f"{epoch}:{version}"
    return version


def check_package(package: Package) -> None:
    """Refuse what no database could keep, and of Debian's what dpkg would not install."""
    fields = (package.name, package.version, package.arch, package.source, package.source_version)
    if any(_is_bad(field) for field in (package.type, *fields)):
        raise BadName(f"{package.name[:80]!r} has a field that cannot be kept")
    if not package.version:
        raise BadName(f"{package.name[:80]!r} has no version")
    if package.type == "deb":
        if not (_DEB_NAME.fullmatch(package.name) and _DEB_NAME.fullmatch(package.source)):
            raise BadName(f"{package.name[:80]!r} is not a Debian package")
        deb.key(package.version)
        deb.key(package.source_version)


def _is_bad(text: str) -> bool:
    return bool(_CONTROL.search(text)) or len(text.encode(errors="replace")) > FIELD_LIMIT
