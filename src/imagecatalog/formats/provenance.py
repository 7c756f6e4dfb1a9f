"""Attestations: in-toto statements 0.1 and 1, taken out of DSSE envelopes and Sigstore bundles.

A signature is never checked here: a statement that has one says "unverified", for whoever reads it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Build, Inventory, Signature, Statement
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadDocument, TooManyEntries, clean_text
from imagecatalog.formats.inventory import (
    ABSENT,
    SBOM_LIMIT,
    check_size,
    decode,
    read,
    read_purl,
)
from imagecatalog.formats.materials import read_digests, read_material
from imagecatalog.formats.sbom import parse_sbom
from imagecatalog.formats.slsa import read_slsa02, read_slsa1

SUBJECTS_LIMIT = 1_000
ENVELOPE_LIMIT = SBOM_LIMIT * 3 // 2
"""Bytes: what a statement of the largest size takes in base64, and something around it."""

_STATEMENTS = ("https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1")
_IN_TOTO = "application/vnd.in-toto+json"
_SLSA02 = frozenset({"https://slsa.dev/provenance/v0.2"})
_SLSA1 = frozenset({"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v1.0"})
_SBOMS = ("https://spdx.dev/Document", "https://cyclonedx.org/")
_URL_SAFE = str.maketrans("-_", "+/")


class _Envelope(Struct):
    type: Raw = field(name="_type", default=ABSENT)
    payload: str | None = None
    payload_type: str | None = field(name="payloadType", default=None)
    signatures: Raw = ABSENT
    dsse: Raw = field(name="dsseEnvelope", default=ABSENT)
    message: Raw = field(name="messageSignature", default=ABSENT)


class _Subject(Struct):
    name: str | None = None
    digest: Raw = ABSENT


class _Statement(Struct):
    type: str | None = field(name="_type", default=None)
    subjects: list[Raw] | None = field(name="subject", default=None)
    predicate_type: str | None = field(name="predicateType", default=None)
    predicate: Raw = ABSENT


class _Wrapped(Struct):
    data: Raw = field(name="Data", default=ABSENT)


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_STATEMENT = msgspec.json.Decoder(_Statement)
_SUBJECT = msgspec.json.Decoder(_Subject)
_WRAPPED = msgspec.json.Decoder(_Wrapped)
_DIGESTS = msgspec.json.Decoder(dict[str, str])
_ANY_LIST = msgspec.json.Decoder(list[Any])
_TEXT = msgspec.json.Decoder(str)


def parse_statement(body: bytes, where: str) -> Statement:
    """What an attestation says, whatever it is wrapped in.

    ``build`` is told of SLSA provenance 0.2 and 1, ``inventory`` of an SPDX or CycloneDX predicate,
    neither of other predicates. Raises ``BadDocument`` and its limits.
    """
    body, signature = _unwrap(body, where)
    check_size(body, where)
    told = decode(body, _STATEMENT, where)
    if told.type not in _STATEMENTS:
        raise BadDocument(where, f"{str(told.type)[:80]!r} is not a statement that we read")
    names, subjects = _read_subjects(told.subjects or [], where)
    predicate_type = clean_text((told.predicate_type or "")[:300])
    return Statement(
        subjects=subjects,
        predicate_type=predicate_type,
        signature=signature,
        build=_read_build(predicate_type, told.predicate, names, where),
        inventory=_read_inventory(predicate_type, told.predicate, where),
    )


def _unwrap(body: bytes, where: str) -> tuple[bytes, Signature]:
    """The statement itself, and whether something around it was signed."""
    check_size(body, where, ENVELOPE_LIMIT)
    envelope = decode(body, _ENVELOPE, where)
    if envelope.dsse:
        envelope = decode(envelope.dsse, _ENVELOPE, where)
    elif envelope.message:
        raise BadDocument(where, "it is a signature of bytes and states nothing")
    if envelope.payload is None:
        return body, "none"
    if envelope.payload_type != _IN_TOTO:
        raise BadDocument(where, f"its envelope holds {str(envelope.payload_type)[:80]!r}")
    try:
        statement = base64.b64decode(envelope.payload.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadDocument(where, "the payload of its envelope is not base64") from error
    return statement, "unverified" if read(envelope.signatures, _ANY_LIST) else "none"


def _read_subjects(raws: list[Raw], where: str) -> tuple[tuple[str, ...], tuple[Digest, ...]]:
    """The names and the digests of what a statement speaks of, each once."""
    if len(raws) > SUBJECTS_LIMIT:
        raise TooManyEntries(where, f"{len(raws)} subjects are more than {SUBJECTS_LIMIT}")
    subjects = [subject for raw in raws if (subject := read(raw, _SUBJECT))]
    digests = [read_digests(read(subject.digest, _DIGESTS)) for subject in subjects]
    return (
        tuple(dict.fromkeys(subject.name for subject in subjects if subject.name)),
        tuple(dict.fromkeys(digest for digest in digests if digest)),
    )


def _read_build(kind: str, predicate: Raw, names: tuple[str, ...], where: str) -> Build | None:
    """The build of a SLSA predicate, with the name and platform that its subjects have."""
    if kind in _SLSA02:
        build = read_slsa02(predicate, where)
    elif kind in _SLSA1:
        build = read_slsa1(predicate, where)
    else:
        return None
    images = [image for name in names if read_purl(name) and (image := read_material(name))]
    named = [image.image for image in images if image.tag]
    platforms = {image.platform for image in images}
    return msgspec.structs.replace(
        build,
        image=named[0] if named else None,
        platform=platforms.pop() if len(platforms) == 1 else None,
    )


def _read_inventory(kind: str, predicate: Raw, where: str) -> Inventory | None:
    """The list of an SBOM predicate; older cosign puts the document into ``Data``."""
    if not kind.startswith(_SBOMS):
        return None
    if wrapped := read(predicate, _WRAPPED):
        text = read(wrapped.data, _TEXT)
        if text is not None:
            return parse_sbom(text.encode(errors="replace"), where)
        predicate = wrapped.data or predicate
    return parse_sbom(bytes(predicate), where)
