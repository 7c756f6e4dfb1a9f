"""The apt set-ups that the configuration gives to images without any."""

from __future__ import annotations

from collections.abc import Mapping

from imagecatalog.config import Settings
from imagecatalog.domain.apt import AptSetup
from imagecatalog.errors import ConfigError
from imagecatalog.formats.apt_sources import parse_sources

ConfiguredSetups = Mapping[tuple[str, str], AptSetup]
"""By (``id version`` of the distribution, architecture of the platform): for images without apt."""

_ARCHITECTURES = {
    "amd64": "amd64",
    "arm64": "arm64",
    "arm": "armhf",
    "386": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""dpkg's name for each architecture of a platform (dpkg-architecture(1))."""


def configured_setups(settings: Settings) -> dict[tuple[str, str], AptSetup]:
    """The set-ups that ``[apt.sources]`` gives to images without any, for each architecture."""
    setups = {}
    for release, lines in settings.apt_sources.items():
        text = "\n".join(lines).encode()
        sources, problems = parse_sources({"etc/apt/sources.list": text})
        if problems:
            raise ConfigError(f"[apt.sources] {release!r}: {problems[0]}")
        for platform, architecture in _ARCHITECTURES.items():
            setups[release, platform] = AptSetup((architecture,), sources)
    return setups


def dpkg_architecture(platform: str | None) -> str | None:
    """How dpkg names the architecture of ``os/architecture``; None where that is not known."""
    return _ARCHITECTURES.get((platform or "").partition("/")[2].partition("/")[0])
