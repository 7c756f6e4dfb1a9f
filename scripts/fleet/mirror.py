"""The slice of the archive's indices that the sample images' apt sources name, signed anew."""

from __future__ import annotations

import hashlib
import lzma
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pysequoia import SignatureMode, Tsk, sign

from fleet.archive import Archive, Suite

KEYRING = "keyring.pgp"
_OWNER = "Image catalog sample archive <archive@example.org>"
_VALIDITY = 50 * 365 * 86_400
"""Seconds; GnuPG counts the end of a key in 32 bits, which last until 2106."""
_KEPT = ("Origin", "Label", "Suite", "Version", "Codename", "Date", "Description")
Names = Mapping[tuple[str, str], set[str]]
"""Package names that the fleet has had installed, by release and architecture."""


@dataclass(frozen=True)
class Index:
    """One Packages file of a suite, by its path below ``dists/SUITE``."""

    path: str
    data: bytes


def _cut_index(suite: Suite, architecture: str, names: set[str]) -> Index:
    packages = suite.packages[architecture]
    text = "".join(
        f"{stanza.text}\n" for name in sorted(names) for stanza in packages.get(name, ())
    )
    return Index(f"main/binary-{architecture}/Packages", text.encode())


def _write_release(suite: Suite, indices: list[Index], folder: Path) -> str:
    """Writes the indices and gives the Release text: real facts, no Valid-Until, our hashes."""
    facts = dict(re.findall(r"^([\w-]+): (.*)$", suite.head, re.MULTILINE))
    architectures = [index.path.split("/")[1].removeprefix("binary-") for index in indices]
    lines = [f"{key}: {facts[key]}" for key in _KEPT if key in facts]
    lines += [f"Architectures: {' '.join(architectures)}", "Components: main", "SHA256:"]
    for index in indices:
        packed = lzma.compress(index.data, preset=9 | lzma.PRESET_EXTREME)
        file = folder / f"{index.path}.xz"
        file.parent.mkdir(parents=True)
        file.write_bytes(packed)
        for path, data in ((index.path, index.data), (f"{index.path}.xz", packed)):
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}")
    return "\n".join(lines)


def _signed_text(document: Path) -> str | None:
    """What an InRelease file says, without its signature."""
    if not document.exists():
        return None
    body = document.read_text().split("\n\n", 1)[1]
    return body.split("\n-----BEGIN PGP SIGNATURE-----", 1)[0]


def write_mirror(archive: Archive, names: Names, folder: Path, previous: Path) -> bytes:
    """Writes ``folder/debian`` and ``folder/debian-security``; gives the public keyring.

    When every Release says what it said in ``previous``, the signatures of then are kept: the key
    that made them was thrown away, and the images hold its public half.
    """
    texts: dict[str, str] = {}
    for suite in archive.suites.values():
        place = f"{suite.site}/dists/{suite.name}"
        release = suite.name.split("-")[0]
        indices = [
            _cut_index(suite, architecture, names[release, architecture])
            for architecture in suite.packages
        ]
        texts[f"{place}/InRelease"] = _write_release(suite, indices, folder / place)
    if all(_signed_text(previous / path) == text for path, text in texts.items()):
        for path in texts:
            (folder / path).write_bytes((previous / path).read_bytes())
        keyring = (previous / KEYRING).read_bytes()
    else:
        keyring = _sign(texts, folder)
    (folder / KEYRING).write_bytes(keyring)
    return keyring


def _sign(texts: Mapping[str, str], folder: Path) -> bytes:
    """Signs each text with a new key, which is then forgotten; gives its public half."""
    key = Tsk.generate(_OWNER, validity_seconds=_VALIDITY)
    for path, text in texts.items():
        (folder / path).write_bytes(sign(key.signer(), text.encode(), mode=SignatureMode.CLEAR))
    return bytes(key.extract_certificate())
