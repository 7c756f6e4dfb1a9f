"""What the readers of SBOMs share: their limits, and how entries become a list of packages.

A document is decoded entry by entry, so that one that is not as it should be costs only itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import structs

from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, BadName, TooDeep, TooLarge, TooManyEntries, clean_text
from imagecatalog.formats.purl import IMAGE_TYPES, Purl, distro_of, make_package, parse_purl

T = TypeVar("T")

ABSENT = msgspec.Raw()
"""What a part is that a document does not have; msgspec allows no None beside a ``Raw``."""

SBOM_LIMIT = 64 * 1024 * 1024
"""Bytes of a document."""
VALUES_LIMIT = 4_000_000
"""Commas and brackets of a document: what its values could take in memory. Real ones have one in
28 bytes or more."""
ENTRIES_LIMIT = 200_000
"""Packages of a document, with those that are not understood."""
_SHOWN = 3
_ARCHITECTURES = {"386": "i386", "arm": "armhf", "mips64le": "mips64el", "ppc64le": "ppc64el"}
"""Debian's names of architectures, by those of images."""
_TOOL_LENGTH = 200


def check_size(body: bytes, where: str, limit: int = SBOM_LIMIT) -> None:
    """Raise ``TooLarge`` or ``TooManyEntries`` for what is not worth decoding."""
    if len(body) > limit:
        raise TooLarge(where, f"{len(body)} bytes are more than the {limit} that we read")
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > VALUES_LIMIT:
        raise TooManyEntries(where, f"it has more than {VALUES_LIMIT} values")


def decode(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], where: str) -> T:
    """A foreign value; raises ``TooDeep`` or ``BadDocument``."""
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise TooDeep(where, "its JSON is nested too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(where, f"it is not the JSON it should be: {error}") from error


def read(raw: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """A part of a document, where it is there and as it should be."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def tool_text(name: str | None, version: str | None) -> str | None:
    """``syft 1.18.1``; None without a name."""
    text = " ".join(part for part in (name, version) if part and part != "[not provided]")
    return clean_text(text[:_TOOL_LENGTH]) if name else None


def image_digest(purl: Purl) -> Digest | None:
    """The digest of the image that a purl of type ``oci`` or ``docker`` names."""
    if purl.type not in IMAGE_TYPES:
        return None
    return read_digest(purl.version) or read_digest(purl.qualifiers.get("digest"))


def read_digest(text: str | None) -> Digest | None:
    """``text``, or what stands after its ``@``, as a digest; None where it is none."""
    try:
        return Digest.parse((text or "").rpartition("@")[2])
    except BadName:
        return None


def read_purl(text: str | None) -> Purl | None:
    """A purl where ``text`` is one."""
    try:
        return parse_purl(text) if text else None
    except BadName:
        return None


class Gathering:
    """The packages of one document, and what of it was not understood."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._packages: set[Package] = set()
        self._distros: Counter[Distro] = Counter()
        self._unplaced: list[Package] = []
        self._architecture: str | None = None
        self._entries = 0
        self._images = 0
        self._nameless: list[str] = []
        self._broken: list[str] = []

    def add(
        self, purl: str | None, name: str | None, version: str | None, source: str | None = None
    ) -> None:
        """Take an entry that should be a package; raises ``TooManyEntries``."""
        self._count()
        if not purl:
            self._nameless.append((name or "one without a name")[:80])
            return
        try:
            parsed = parse_purl(purl)
            if parsed.type in IMAGE_TYPES:
                self._images += 1
                return
            package = make_package(parsed, version, source)
        except BadName as error:
            self._broken.append(error.message)
            return
        if package.type == "deb" and not package.arch:
            self._unplaced.append(package)
        else:
            self._packages.add(package)
        if distro := distro_of(parsed):
            self._distros[distro] += 1

    def decode(self, raw: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
        """One entry; None, and it is counted, where it is not as it should be."""
        try:
            return decode(raw, decoder, self._where)
        except TooDeep:
            raise
        except BadDocument as error:
            self._count()
            self._broken.append(error.why[:200])
            return None

    def note_image(self, purl: Purl | None) -> None:
        """Take note of the image that the document speaks of."""
        told = purl.qualifiers.get("arch") if purl and purl.type in IMAGE_TYPES else None
        self._architecture = self._architecture or told

    def _place(self) -> None:
        """Give Debian packages without an architecture that of the others, or of the image.

        apt looks packages up by it, so one without any would look as if it had no updates.
        """
        known = {package.arch for package in self._packages if package.type == "deb"} - {"all"}
        told = _ARCHITECTURES.get(self._architecture or "", self._architecture)
        arch = known.pop() if len(known) == 1 else told
        for package in self._unplaced:
            if arch:
                self._packages.add(structs.replace(package, arch=arch))
            else:
                self._broken.append(f"{package.name!r} has no architecture")

    def _count(self) -> None:
        self._entries += 1
        if self._entries > ENTRIES_LIMIT:
            raise TooManyEntries(self._where, f"it lists more than {ENTRIES_LIMIT} packages")

    def finish(
        self,
        format_name: str,
        tool: str | None,
        distro: Distro | None,
        subjects: Iterable[Digest] = (),
    ) -> Inventory:
        """The list; ``distro`` counts before what most packages say of theirs."""
        self._place()
        likely = min(self._distros.items(), key=lambda pair: (-pair[1], str(pair[0])), default=None)
        return Inventory(
            format=format_name,
            tool=tool,
            distro=distro or (likely[0] if likely else None),
            packages=tuple(sorted(self._packages)),
            subjects=tuple(dict.fromkeys(subjects)),
            problem=self._problem(),
        )

    def _problem(self) -> str | None:
        parts = [] if self._entries else ["it lists no packages"]
        if self._nameless:
            shown = _shown(self._nameless)
            parts.append(
                f"{len(self._nameless)} of {self._entries} entries have no package URL: {shown}"
            )
        if self._broken:
            shown = _shown(self._broken)
            parts.append(
                f"{len(self._broken)} of {self._entries} entries are not understood: {shown}"
            )
        if self._images:
            parts.append(f"{self._images} of {self._entries} entries are images and no packages")
        return clean_text("; ".join(parts)) or None


def _shown(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
