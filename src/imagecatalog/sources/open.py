"""From an address that a person writes to the source behind it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec

from imagecatalog.config import RegistrySetting, Settings
from imagecatalog.errors import ConfigError
from imagecatalog.sources.archive import DockerArchive
from imagecatalog.sources.interface import ImageSource
from imagecatalog.sources.layout import Layout
from imagecatalog.sources.registry import Registry

_FORMS = "Write https://registry.example.org, oci:DIR or docker-archive:FILE."


def open_source(address: str, settings: Settings) -> ImageSource:
    """The source at ``https://host[:port][/prefix]``, ``http://`` (loopback), ``oci:`` or ``docker-archive:``.

    A registry is spoken to as the ``[[registry]]`` says whose ``url`` is the longest that the
    address lies below. Raises ``ConfigError`` for anything else; no connection is made yet.
    """
    scheme, colon, rest = address.partition(":")
    match scheme.lower():
        case "oci" if rest:
            return Layout(rest)
        case "docker-archive" if rest:
            return DockerArchive(rest)
        case "https":
            return Registry(_find_setting(address, settings))
        case "http" if is_loopback(address):
            return Registry(_find_setting(address, settings))
        case "http":
            raise ConfigError(
                f"{address} would be read unencrypted",
                hint="Write https://; http:// is for this machine's own addresses only.",
            )
    if not colon or "." in scheme:
        raise ConfigError(f"{address!r} has no scheme", hint=f"Write https://{address}.")
    raise ConfigError(f"{address!r} is not an address of images", hint=_FORMS)


def is_loopback(address: str) -> bool:
    """Whether the URL's host is this machine itself."""
    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _find_setting(address: str, settings: Settings) -> RegistrySetting:
    try:
        urlsplit(address)
        fits = [s for s in settings.registries if _covers(s.url, address)]
    except ValueError:
        raise ConfigError(f"{address!r} is not a URL", hint=_FORMS) from None
    nearest = max(fits, key=lambda setting: len(setting.url), default=RegistrySetting(url=address))
    return msgspec.structs.replace(nearest, url=address)


def _covers(wide: str, narrow: str) -> bool:
    outer, inner = urlsplit(wide), urlsplit(narrow)
    below = f"{inner.path.rstrip('/')}/".startswith(f"{outer.path.rstrip('/')}/")
    return (outer.scheme, outer.netloc.lower()) == (inner.scheme, inner.netloc.lower()) and below
