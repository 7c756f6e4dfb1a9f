"""OpenPGP signatures of archives (RFC 9580, and the clear-signed form of InRelease files)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from pysequoia import Cert, Sig, verify

from imagecatalog.domain.apt import Keyring
from imagecatalog.errors import BadDocument, SignatureInvalid

_ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)
_CLEAR_SIGNED = re.compile(
    rb"-----BEGIN PGP SIGNED MESSAGE-----\r?\n(?:[A-Za-z]+:[^\n]*\n)*\r?\n"
    rb"(?P<body>.*?)\r?\n-----BEGIN PGP SIGNATURE-----\r?\n",
    re.DOTALL,
)


def verify_clear_signed(
    data: bytes, keyrings: Sequence[Keyring], *, signers: Collection[str] = (), where: str
) -> bytes:
    """The bytes that were signed, and nothing that stands around them.

    ``signers`` are the fingerprints in hex, of certificates or of their subkeys, of which one must
    have signed; none means any in the keyrings. Raises SignatureInvalid.
    """
    return _verify(data, None, keyrings, signers, where)


def verify_detached(
    data: bytes,
    signature: bytes,
    keyrings: Sequence[Keyring],
    *,
    signers: Collection[str] = (),
    where: str,
) -> None:
    """As ``verify_clear_signed``, for a signature that lies beside its data (Release.gpg)."""
    _verify(data, signature, keyrings, signers, where)


def strip_signature(data: bytes, where: str) -> bytes:
    """The text of a clear-signed document whose signature nobody asks for. Raises BadDocument."""
    if not data.lstrip().startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        return data
    match = _CLEAR_SIGNED.search(data)
    if not match:
        raise BadDocument(where, "this is not a clear-signed document")
    return b"\n".join(line.removeprefix(b"- ") for line in match["body"].split(b"\n"))


def _verify(
    data: bytes,
    signature: bytes | None,
    keyrings: Sequence[Keyring],
    signers: Collection[str],
    where: str,
) -> bytes:
    certificates = [certificate for ring in keyrings for certificate in _read_keyring(ring)]
    paths = ", ".join(ring.path for ring in keyrings) or "none at all"
    issuers: list[str] = []

    def store(ids: list[str]) -> list[Cert]:
        issuers.extend(ids)
        return certificates

    try:
        detached = None if signature is None else Sig.from_bytes(signature)
        result = verify(data, store=store, signature=detached)
    except Exception as error:  # noqa: BLE001 - the library raises RuntimeError and others alike
        why = str(error).partition("\n\n")[0].partition("\n")[0].rstrip(".")
        known = f"signed by {', '.join(map(str, issuers))}; " if issuers else ""
        raise SignatureInvalid(
            where,
            f"no trusted key signed it ({known}keyrings: {paths}): {why}",
            hint="Name the archive's keyring in the source's signed-by, or as a keyring of [apt].",
        ) from None
    accepted = {name.rstrip("!").lower() for name in signers}
    made = {key.lower() for sig in result.valid_sigs for key in (sig.certificate, sig.signing_key)}
    if not made or (accepted and not made & accepted):
        raise SignatureInvalid(
            where, f"it is signed by {', '.join(sorted(made))}, none of which signed-by names"
        )
    return data if result.bytes is None else bytes(result.bytes)


def _read_keyring(keyring: Keyring) -> Iterator[Cert]:
    """Each certificate; one that cannot be read, or a whole keyring, vouches for nothing."""
    for block in _ARMOR.findall(keyring.data) or [keyring.data]:
        try:
            yield from Cert.split_bytes(block)
        except Exception:  # noqa: BLE001, S112 - as above; then the signature decides
            continue
