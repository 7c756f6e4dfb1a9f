"""Kernels of Debian: built from one source, and brought to images by several.

A kernel image is signed in a source of its own, ``linux-signed-amd64 (6.1.170+3)``, of which the
tracker says nothing: it is ``linux 6.1.170-3``. A series of its own, ``linux-signed-6.12-amd64``, is
that of ``linux-6.12``. Tools built from ``linux`` with versions of their own, as ``bpftool 7.1.0``,
say so themselves in their ``Source`` field.
"""

from __future__ import annotations

import re

_SIGNED = re.compile(r"linux-signed(?P<series>-[0-9]+\.[0-9]+)?(?:-[a-z0-9]+)?")
_SIGNED_VERSION = re.compile(r"(?P<upstream>[^-+]+)\+(?P<revision>[0-9].*)")
_HEADERS = re.compile(r"linux-libc-dev(?:-.+)?|linux-(?:.+-)?headers-.+|linux-kbuild-.+")


def kernel_source(source: str, version: str) -> tuple[str, str]:
    """The source and version under which advisories speak of a source package of a kernel.

    What is no signed kernel is given back as it is.
    """
    found = _SIGNED.fullmatch(source)
    if found is None:
        return source, version
    signed = _SIGNED_VERSION.fullmatch(version)
    if signed is not None:
        version = f"{signed['upstream']}-{signed['revision']}"
    return f"linux{found['series'] or ''}", version


def is_kernel_headers(package: str) -> bool:
    """Whether a binary package only lets programs be built for a kernel: nothing of it runs."""
    return _HEADERS.fullmatch(package) is not None
