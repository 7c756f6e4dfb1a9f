"""Which distribution an image is of: ``os-release``, or Debian's older ``debian_version``."""

from __future__ import annotations

import re

from imagecatalog.domain.packages import Distro
from imagecatalog.domain.scopes import DEBIAN_RELEASES

_ASSIGNMENT = re.compile(r"([A-Za-z0-9_]+)=(.*)")
_ESCAPED = re.compile(r"\\(.)")
_VERSION_WITH_CODENAME = re.compile(r"\(([^)]+)\)")
_LENGTH = 200

DEBIAN_CODENAMES = DEBIAN_RELEASES
"""For files that leave the codename out, as those of distroless images do."""


def parse_os_release(data: bytes) -> Distro:
    """What the file says (os-release(5)); lines that are no assignments are passed over.

    Without ``ID`` it is ``linux``. The codename is ``VERSION_CODENAME`` or ``UBUNTU_CODENAME``,
    else the one in brackets in ``VERSION``, else Debian's for that number.
    """
    fields: dict[str, str] = {}
    for line in data.decode(errors="replace").splitlines():
        if match := _ASSIGNMENT.fullmatch(line.strip()):
            fields[match[1]] = _unquote(match[2])
    distro_id = fields.get("ID", "").lower() or "linux"
    version_id = fields.get("VERSION_ID") or None
    bracketed = _VERSION_WITH_CODENAME.search(fields.get("VERSION", ""))
    codename = (
        fields.get("VERSION_CODENAME")
        or fields.get("UBUNTU_CODENAME")
        or (bracketed[1].split()[0].lower() if bracketed and bracketed[1].strip() else None)
        or (DEBIAN_CODENAMES.get(version_id or "") if distro_id == "debian" else None)
    )
    return Distro(distro_id, version_id, codename, fields.get("PRETTY_NAME") or None)


def parse_debian_version(data: bytes) -> Distro | None:
    """What ``/etc/debian_version`` says: a number as ``12.8``, or codenames as ``trixie/sid``."""
    text = _printable(data.decode(errors="replace").strip())
    if not text:
        return None
    major = text.split(".")[0]
    if major.isdecimal():
        return Distro("debian", major, DEBIAN_CODENAMES.get(major), f"Debian {text}")
    return Distro("debian", None, text.split("/")[0], f"Debian {text}")


def _unquote(value: str) -> str:
    """A value without its quotes and escapes, as a shell would read it."""
    if value[:1] == "'":
        value = value[1:].partition("'")[0]
    elif value[:1] == '"':
        body = value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:]
        value = _ESCAPED.sub(r"\1", body)
    else:
        value = _ESCAPED.sub(r"\1", value)
    return _printable(value)


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_LENGTH]
