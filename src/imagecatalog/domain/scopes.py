"""Where advisories speak: a release of a distribution, or the packages of a language.

A scope is a text: ``debian/bookworm``, ``alpine/3.18``, ``almalinux/9`` for what a distribution
ships, and the type of its package URLs (``pypi``, ``golang``) for a language. Within a scope a name
means one thing: for a distribution the source package (for RPM a binary one too), for a language the
package as its registry writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from imagecatalog.domain.kernels import kernel_source
from imagecatalog.domain.packages import Distro, Package

LANGUAGES = frozenset({"cargo", "gem", "golang", "maven", "npm", "nuget", "pypi"})
"""Types whose packages are the same whatever distribution they are installed on."""

NOWHERE = ""
"""The scope of an image whose distribution is not understood: nobody judges its packages."""

_DISTRO_TYPES = {
    "debian": "deb",
    "ubuntu": "deb",
    "alpine": "apk",
    "chainguard": "apk",
    "wolfi": "apk",
    "almalinux": "rpm",
    "amazon": "rpm",
    "azurelinux": "rpm",
    "centos": "rpm",
    "fedora": "rpm",
    "mageia": "rpm",
    "mariner": "rpm",
    "openeuler": "rpm",
    "opensuse": "rpm",
    "photon": "rpm",
    "redhat": "rpm",
    "rocky": "rpm",
    "suse": "rpm",
}
_DISTRO_IDS = {
    "amzn": "amazon",
    "mariner": "azurelinux",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "rhel": "redhat",
    "sles": "suse",
}
"""Names of os-release(5) that feeds write otherwise."""

_ECOSYSTEMS = {
    "crates.io": "cargo",
    "go": "golang",
    "maven": "maven",
    "npm": "npm",
    "nuget": "nuget",
    "pypi": "pypi",
    "rubygems": "gem",
}
_OSV_DISTROS = {
    "almalinux": "almalinux",
    "alpine": "alpine",
    "azure linux": "azurelinux",
    "chainguard": "chainguard",
    "debian": "debian",
    "mageia": "mageia",
    "openeuler": "openeuler",
    "opensuse": "opensuse",
    "photon os": "photon",
    "red hat": "redhat",
    "rocky linux": "rocky",
    "suse": "suse",
    "ubuntu": "ubuntu",
    "wolfi": "wolfi",
}
ECOSYSTEMS = {
    "almalinux": "AlmaLinux",
    "alpine": "Alpine",
    "azurelinux": "Azure Linux",
    "cargo": "crates.io",
    "chainguard": "Chainguard",
    "debian": "Debian",
    "gem": "RubyGems",
    "golang": "Go",
    "mageia": "Mageia",
    "maven": "Maven",
    "npm": "npm",
    "nuget": "NuGet",
    "openeuler": "openEuler",
    "opensuse": "openSUSE",
    "photon": "Photon OS",
    "pypi": "PyPI",
    "redhat": "Red Hat",
    "rocky": "Rocky Linux",
    "suse": "SUSE",
    "ubuntu": "Ubuntu",
    "wolfi": "Wolfi",
}
"""What OSV calls the scopes that it tells of, by their beginning."""

DEBIAN_RELEASES = {
    "7": "wheezy",
    "8": "jessie",
    "9": "stretch",
    "10": "buster",
    "11": "bullseye",
    "12": "bookworm",
    "13": "trixie",
    "14": "forky",
}
UBUNTU_RELEASES = {
    "14.04": "trusty",
    "16.04": "xenial",
    "18.04": "bionic",
    "20.04": "focal",
    "22.04": "jammy",
    "24.04": "noble",
    "26.04": "resolute",
}
_MAJOR_ONLY = frozenset({"almalinux", "azurelinux", "centos", "redhat", "rocky"})
_SUSE = re.compile(r"\b(\d+)(?:\.(\d+)| SP(\d+))?(?![\d.])")
_RELEASE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,63}")
_PYPI_RUNS = re.compile(r"[-_.]+")
_REBUILD = re.compile(r"\+b[0-9]+$")
_MODULAR = re.compile(r"\.module[_+]")
_STREAM = re.compile(
    r"(?<![\w.:/-])((?=[^:]*[a-z])[a-z0-9][a-z0-9+_-]*:[a-z0-9][a-z0-9._]*)(?![\w:])"
)


def scope_of(distro: Distro | None, derived: Mapping[str, str] | None = None) -> str:
    """The scope of the packages of a distribution's release; NOWHERE where it is not understood.

    ``derived`` says of derived distributions, written as ``raspbian 12`` or ``raspbian``, whose
    advisories count for them, as ``debian bookworm`` or ``debian``.
    """
    if distro is None:
        return NOWHERE
    for written in (str(distro), f"{distro.id} {distro.codename or ''}".strip(), distro.id):
        if derived and written in derived:
            os_id, _, release = derived[written].partition(" ")
            return _make(os_id, release or distro.codename or distro.version_id)
    if distro.id == "opensuse-tumbleweed":
        return _make(distro.id, "tumbleweed")
    by_codename = distro.id in {"debian", "ubuntu"} and distro.codename
    return _make(distro.id, distro.codename if by_codename else distro.version_id)


def _make(os_id: str, release: str | None) -> str:
    name = _DISTRO_IDS.get(os_id, os_id)
    if name not in _DISTRO_TYPES:
        return NOWHERE
    if name in {"wolfi", "chainguard"}:
        return name
    text = (release or "").lower().removeprefix("v")
    if name == "debian":
        text = DEBIAN_RELEASES.get(text.split(".")[0], text)
    elif name == "ubuntu":
        text = UBUNTU_RELEASES.get(text, text)
    elif name == "alpine":
        # What has not been released yet calls itself 3.19_alpha20231219.
        text = "edge" if "_alpha" in text else ".".join(text.split(".")[:2])
    elif name in _MAJOR_ONLY:
        text = text.split(".")[0]
    return f"{name}/{text}" if _RELEASE.fullmatch(text) else NOWHERE


def scope_of_ecosystem(ecosystem: str) -> str:
    """The scope that an OSV record means by an ecosystem (OSV schema, ``affected[].package``).

    ``Debian:12`` is ``debian/bookworm``, ``Alpine:v3.18`` is ``alpine/3.18``, ``PyPI`` is ``pypi``.
    NOWHERE for one without a release where it needs one, or that is not known here.
    """
    name, _, release = ecosystem.partition(":")
    name = name.strip().lower()
    if name in _ECOSYSTEMS:
        return _ECOSYSTEMS[name]
    os_id = _OSV_DISTROS.get(name, "")
    if os_id == "ubuntu":
        release = release.removeprefix("Pro:").partition(":")[0]
    elif os_id == "redhat":
        found = re.search(r"enterprise_linux:(\d+)", release)
        release = found[1] if found else ""
    elif os_id in {"opensuse", "suse"}:
        release = _shorten_suse(release)
    elif os_id == "openeuler":
        release = release.removesuffix("-LTS")
    return _make(os_id, release)


def _shorten_suse(product: str) -> str:
    """``Leap 15.5`` and ``Linux Enterprise Server 15 SP5-LTSS`` as os-release writes them: 15.5."""
    if product == "Tumbleweed":
        return "tumbleweed"
    found = _SUSE.search(product)
    return ".".join(filter(None, found.groups())) if found else ""


def ecosystem_of(scope: str) -> str | None:
    """What OSV calls a scope, its release left out: ``PyPI``, ``Debian``; None for none of OSV's."""
    return ECOSYSTEMS.get(scope.partition("/")[0])


def type_of(scope: str) -> str:
    """The type of package URL, hence the order of versions, of what a scope names."""
    return _DISTRO_TYPES.get(scope.partition("/")[0], scope)


def names_in(scope: str, package: Package) -> tuple[tuple[str, str], ...]:
    """The names under which a package is judged in a scope, each with the version that counts.

    Of a distribution's scope the source package, a kernel's as ``domain.kernels`` has it; for RPM the
    binary one as well, as some feeds name those. Nothing where the scope has no word on packages of that type.
    """
    if type_of(scope) != package.type:
        return ()
    if package.type in LANGUAGES:
        return ((canonical_name(package.type, package.name), package.version),)
    source = (package.source, package.source_version)
    if package.type == "deb":
        # A list that tells no source version has the binary's, which a rebuild alone made higher.
        source = kernel_source(package.source, _REBUILD.sub("", package.source_version))
    if package.type == "rpm":
        return _rpm_names(package)
    return (source,)


def _rpm_names(package: Package) -> tuple[tuple[str, str], ...]:
    """Source and binary, each with its module's stream before it: streams have fixes of their own.

    A package of a module whose stream nobody told has none.
    """
    stream, slash, source = package.source.rpartition("/")
    if is_modular(package.version) and not stream:
        return ()
    names = {source: package.source_version, package.name: package.version}
    return tuple((f"{stream}{slash}{name}", version) for name, version in names.items())


def is_modular(version: str) -> bool:
    """Whether a version of RPM is that of a package of a module, which its release says."""
    return bool(_MODULAR.search(version))


def find_stream(text: str) -> str | None:
    """The stream of a module that a notice's title names, as ``nodejs:18``; None for none."""
    match = _STREAM.search(text)
    return match[1] if match else None


def canonical_name(kind: str, name: str) -> str:
    """A package's name as all ways to write it have in common (PyPA: "Name normalization")."""
    if kind == "pypi":
        return _PYPI_RUNS.sub("-", name).lower()
    return name.lower() if kind in {"npm", "nuget"} else name
