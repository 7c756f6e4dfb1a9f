"""What apt is told to do in an image: its sources, pins and keyrings (sources.list(5))."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct


class AptSource(Struct, frozen=True):
    """One (URI, suite) of one ``deb`` entry; ``deb-src`` entries are left out."""

    uri: str
    """As written (``$(ARCH)`` too), without trailing slash."""
    suite: str
    """A suite or codename; an exact path when it ends in ``/`` (then no components)."""
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] | None = None
    """Only these; None means all of the set-up's."""
    trusted: bool = False
    """``[trusted=yes]``: no signature is asked for."""
    signed_by: tuple[str, ...] = ()
    """Keyring paths, or fingerprints in upper-case hex, or one inline armoured key block."""
    check_valid_until: bool = True
    added: tuple[str, ...] = ()
    """Architectures besides (``arch+=``)."""
    removed: tuple[str, ...] = ()
    """Architectures left out (``arch-=``)."""

    def resolve(self, architectures: Sequence[str]) -> AptSource:
        """The source as a set-up of these architectures sees it, the native one first.

        ``$(ARCH)`` is replaced and ``architectures`` holds those that apt asks the archive for.
        """
        native = architectures[0] if architectures else ""
        wanted = (*(self.architectures or architectures), *self.added)
        return msgspec.structs.replace(
            self,
            uri=self.uri.replace("$(ARCH)", native),
            suite=self.suite.replace("$(ARCH)", native),
            architectures=tuple(n for n in dict.fromkeys(wanted) if n not in self.removed),
        )


class AptPin(Struct, frozen=True):
    """One record of preferences(5); order matters, the first that matches wins."""

    packages: tuple[str, ...]
    """Names, globs, ``/regex/`` or ``src:`` forms; ``("*",)`` is the general form."""
    kind: str
    """``version``, ``source-version``, ``release`` or ``origin``."""
    value: str
    priority: int
    """From -32767 to 32767 but not 0; -32768 is ``never``."""


class Keyring(Struct, frozen=True):
    """An OpenPGP keyring found in an image, binary or armoured."""

    path: str
    data: bytes


class AptSetup(Struct, frozen=True):
    """All that decides which candidates apt sees; images with an equal one share it."""

    architectures: tuple[str, ...]
    """dpkg names, the native one first, then foreign ones in order."""
    sources: tuple[AptSource, ...]
    pins: tuple[AptPin, ...] = ()
    keyrings: tuple[Keyring, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read of it, a sentence each: its verdicts are then incomplete."""

    def digest(self) -> bytes:
        """SHA-256 over all of it, the same for equal set-ups."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).digest()


class ReleaseFacts(Struct, frozen=True):
    """The fields of a Release file that pins and verdicts look at (Debian repository format)."""

    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    version: str = ""
    not_automatic: bool = False
    but_automatic_upgrades: bool = False

    @property
    def is_security(self) -> bool:
        """Whether the archive says of itself that it carries security updates."""
        return (
            self.label.lower().endswith("-security")
            or self.codename.endswith("-security")
            or self.suite.endswith("-security")
        )
