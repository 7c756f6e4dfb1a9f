"""What Clair 4 answers: reports, states, updates, notifications (its OpenAPI document, version 1).

Real bodies have members that its schema does not know and lack some that it demands: only what is
needed is looked at, and what of a report cannot be read is counted and left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from imagecatalog.domain.findings import SEVERITIES, Severity
from imagecatalog.domain.refs import Digest
from imagecatalog.domain.second_opinions import ForeignReport, FoundPackage, Statement
from imagecatalog.errors import (
    BadDocument,
    BadName,
    TooDeep,
    TooLarge,
    TooManyEntries,
    clean_text,
)
from imagecatalog.formats.oci import parse_time

T = TypeVar("T")

REPORT_LIMIT = 64 << 20
"""Bytes of a report."""
PACKAGES_LIMIT = 100_000
STATEMENTS_LIMIT = 200_000
CLAIMS_LIMIT = 1_000_000
TEXT_LIMIT = 255
ORIGIN_LIMIT = 4000
NAMES_LIMIT = 50
"""Identifiers of one fault: some notices bundle very many."""
FAULT_LIMIT = 500
"""Characters of what Clair says went wrong."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IDENTIFIER = re.compile(
    r"\b(?:CVE-[0-9]{4}-[0-9]{4,19}"
    r"|GHSA(?:-[0-9a-z]{4}){3}"
    r"|(?:PYSEC|RUSTSEC|GO|TEMP|DSA|DLA|USN|RH[SBE]A|[AER]LSA|ALAS[0-9]?|SUSE-[SR]U|OSV|MAL)"
    r"-[0-9A-Za-z][0-9A-Za-z:.-]{0,60}[0-9A-Za-z])"
)
_TYPES = {
    "dpkg": "deb", "dpkg-distroless": "deb", "var/lib/dpkg": "deb", "apk": "apk", "lib/apk": "apk",
    "rpm": "rpm", "var/lib/rpm": "rpm", "sqlite": "rpm", "bdb": "rpm", "ndb": "rpm",
    "python": "pypi", "java": "maven", "maven": "maven", "jar": "maven",
    "gobin": "golang", "go": "golang", "ruby": "gem", "nodejs": "npm",
}  # fmt: skip
"""Type of package URLs by Clair's detector, by the scheme of its package database, or its path."""


class IndexResult(Struct, frozen=True):
    """How indexing ended, and what was found."""

    report: ForeignReport
    is_finished: bool
    error: str
    """Clair's own words where it is not."""


class Updates(Struct, frozen=True):
    """What Clair last took in; ``fingerprint`` is empty when it never took in anything."""

    fingerprint: str
    newest: datetime | None


class Notification(Struct, frozen=True):
    """A page of a notification: the images that it is about, and how to ask for the next page."""

    manifests: tuple[Digest, ...]
    next: str | None


class _Package(Struct):
    name: str
    version: str = ""
    arch: str | None = None
    module: str | None = None
    source: _Package | None = None
    detector: str | None = None


class _Distribution(Struct):
    did: str = ""
    version_id: str = ""
    version_code_name: str = ""


class _Environment(Struct):
    package_db: str = ""
    introduced_in: str = ""
    distribution_id: str = ""
    repository_ids: list[str] | None = None


class _Named(Struct):
    name: str = ""


class _Repository(Struct):
    name: str = ""
    uri: str = ""
    cpe: str = ""


class _Vulnerability(Struct):
    name: str
    updater: str = ""
    links: str = ""
    severity: str = ""
    normalized_severity: str = ""
    package: _Named | None = None
    fixed_in_version: str = ""


class _Report(Struct):
    manifest_hash: str
    packages: dict[str, Raw] | None = None
    distributions: dict[str, Raw] | None = None
    repository: dict[str, Raw] | None = None
    environments: dict[str, Raw] | None = None
    vulnerabilities: dict[str, Raw] | None = None
    package_vulnerabilities: dict[str, Raw] | None = None
    state: str = ""
    success: bool = True
    err: str | None = None


class _State(Struct):
    state: str


class _Operation(Struct):
    ref: str
    date: str = ""


class _Paging(Struct):
    next: str | None = None


class _Noted(Struct):
    manifest: str


class _Page(Struct):
    page: _Paging
    notifications: list[Raw] | None = None


class _Callback(Struct):
    notification_id: str


class _Fault(Struct):
    message: str


_REPORT = msgspec.json.Decoder(_Report)
_PACKAGE = msgspec.json.Decoder(_Package)
_DISTRIBUTION = msgspec.json.Decoder(_Distribution)
_REPOSITORY = msgspec.json.Decoder(_Repository)
_ENVIRONMENTS = msgspec.json.Decoder(list[_Environment] | None)
_VULNERABILITY = msgspec.json.Decoder(_Vulnerability)
_NUMBERS = msgspec.json.Decoder(list[str] | None)
_STATE = msgspec.json.Decoder(_State)
_UPDATES = msgspec.json.Decoder(dict[str, list[_Operation] | None] | None)
_PAGE = msgspec.json.Decoder(_Page)
_NOTED = msgspec.json.Decoder(_Noted)
_CALLBACK = msgspec.json.Decoder(_Callback)
_FAULT = msgspec.json.Decoder(_Fault)


def read_index_report(body: bytes, where: str) -> IndexResult:
    """An index report; raises ``BadDocument`` and its limits."""
    report = _open(body, where)
    packages, unread = _read_packages(report, where)
    return IndexResult(
        ForeignReport(
            manifest=_digest(report.manifest_hash, where),
            found=dict(packages.values()),
            unread=unread,
        ),
        report.success and report.state == "IndexFinished",
        _cut(report.err or report.state, FAULT_LIMIT),
    )


def read_vulnerability_report(body: bytes, where: str) -> ForeignReport:
    """A vulnerability report; raises ``BadDocument`` and its limits."""
    report = _open(body, where)
    packages, unread = _read_packages(report, where)
    statements, lost = _members(report.vulnerabilities, _VULNERABILITY, STATEMENTS_LIMIT, where)
    links, broken = _members(report.package_vulnerabilities, _NUMBERS, PACKAGES_LIMIT, where)
    known = {number: _statement(one) for number, one in statements.items()}
    claims: dict[FoundPackage, dict[Statement, None]] = {}
    count = 0
    for number, numbers in links.items():
        count += len(numbers or ())
        if count > CLAIMS_LIMIT:
            raise TooManyEntries(where, f"more than {CLAIMS_LIMIT} faults of packages")
        held = [known[one] for one in numbers or () if one in known]
        # what is said of a package that could not be read is lost, and so said
        broken += number not in packages and bool(held)
        if held and number in packages:
            claims.setdefault(packages[number][0], {}).update(dict.fromkeys(held))
    return ForeignReport(
        manifest=_digest(report.manifest_hash, where),
        found=dict(packages.values()),
        claims={package: tuple(held) for package, held in claims.items()},
        unread=unread + lost + broken,
    )


def read_index_state(body: bytes, where: str) -> str:
    """The indexer's state: another one finds other things in the same image."""
    return _cut(_decode(_STATE, body, where).state) or "empty"


def read_updates(body: bytes, where: str) -> Updates:
    """The latest update of each updater; dates in UTC."""
    found = [one for some in (_decode(_UPDATES, body, where) or {}).values() for one in some or ()]
    if not found:
        return Updates("", None)
    refs = "\n".join(sorted(one.ref for one in found))
    times = [time for one in found if (time := parse_time(one.date))]
    return Updates(hashlib.sha256(refs.encode()).hexdigest()[:32], max(times, default=None))


def read_notification(body: bytes, where: str) -> Notification:
    """A page of a notification; what in it names no image is left out."""
    page = _decode(_PAGE, body, where)
    manifests: dict[Digest, None] = {}
    for raw in page.notifications or ():
        try:
            manifests[Digest(_decode(_NOTED, raw, where).manifest)] = None
        except (BadDocument, BadName):
            continue
    following = page.page.next
    if following is not None and not _UUID.fullmatch(following.lower()):
        raise BadDocument(where, "its next page has no name")
    return Notification(tuple(manifests), following and following.lower())


def read_callback(body: bytes) -> str:
    """The name of the notification that the notifier's webhook tells of; raises ``BadDocument``.

    The address in it is not read: where Clair is, is ours to say.
    """
    name = _decode(_CALLBACK, body, "webhook").notification_id.lower()
    if not _UUID.fullmatch(name):
        raise BadDocument("webhook", "its notification_id is no UUID")
    return name


def read_fault(body: bytes) -> str:
    """What Clair says went wrong, cut; empty where it says nothing that is understood."""
    try:
        return _cut(_decode(_FAULT, body, "").message, FAULT_LIMIT)
    except BadDocument:
        return ""


def _open(body: bytes, where: str) -> _Report:
    if len(body) > REPORT_LIMIT:
        raise TooLarge(where, f"{len(body)} bytes are more than the {REPORT_LIMIT} that we read")
    return _decode(_REPORT, body, where)


def _decode(decoder: msgspec.json.Decoder[T], body: Any, where: str) -> T:
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise TooDeep(where, "its JSON is nested deeper than we follow") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(where, f"it is not what Clair writes: {error}") from error


def _members(
    raw: Mapping[str, Raw] | None, decoder: msgspec.json.Decoder[T], limit: int, where: str
) -> tuple[dict[str, T], int]:
    """Those members that can be read, and how many cannot."""
    members = raw or {}
    if len(members) > limit:
        raise TooManyEntries(where, f"{len(members)} members are more than {limit}")
    found: dict[str, T] = {}
    for number, body in members.items():
        try:
            found[number] = _decode(decoder, body, where)
        except BadDocument:
            continue
    return found, len(members) - len(found)


def _read_packages(
    report: _Report, where: str
) -> tuple[dict[str, tuple[FoundPackage, Digest | None]], int]:
    """By Clair's number each package with its layer, and how many could not be read."""
    packages, lost = _members(report.packages, _PACKAGE, PACKAGES_LIMIT, where)
    environments, strange = _members(report.environments, _ENVIRONMENTS, PACKAGES_LIMIT, where)
    distributions, odd = _members(report.distributions, _DISTRIBUTION, PACKAGES_LIMIT, where)
    repositories, other = _members(report.repository, _REPOSITORY, PACKAGES_LIMIT, where)
    found = {}
    for number, package in packages.items():
        first = next(iter(environments.get(number) or ()), _Environment())
        distro = distributions.get(first.distribution_id)
        known = [repositories[one] for one in first.repository_ids or () if one in repositories]
        found[number] = _found(package, first, distro, known), _layer(first.introduced_in)
    return found, lost + strange + odd + other


def _found(
    package: _Package,
    place: _Environment,
    distro: _Distribution | None,
    repositories: Sequence[_Repository],
) -> FoundPackage:
    origins = {one.cpe or one.uri or one.name for one in repositories} | {package.module or ""}
    source = package.source or package
    named = source.name or package.name
    release = (distro.version_id or distro.version_code_name) if distro else ""
    return FoundPackage(
        type=_type(package.detector or "", place.package_db),
        name=_cut(package.name),
        version=_cut(package.version),
        arch=_cut(package.arch or ""),
        source=_cut(named),
        source_version=_cut(source.version or package.version),
        distro=_cut(f"{distro.did} {release}".strip()) if distro else "",
        origin=_cut(" ".join(sorted(origins - {""})), ORIGIN_LIMIT),
    )


def _type(detector: str, database: str) -> str:
    """``urn:claircore:detector:dpkg:7:package``, ``python:usr/lib/…`` or a plain path."""
    parts = detector.split(":")
    if len(parts) > 3 and parts[3] in _TYPES:
        return _TYPES[parts[3]]
    scheme, colon, _ = database.partition(":")
    path = "/".join(database.lstrip("/").split("/")[: 2 if database.startswith("lib") else 3])
    return _TYPES.get(scheme if colon else path, "")


def _layer(text: str) -> Digest | None:
    try:
        return Digest(text)
    except BadName:
        return None


def _statement(one: _Vulnerability) -> Statement:
    names = _IDENTIFIER.findall(one.name[:FAULT_LIMIT])
    if not any(name.startswith("CVE-") for name in names):
        names += _IDENTIFIER.findall(one.links[: 100 * TEXT_LIMIT])
    name = _cut(one.name)
    return Statement(
        updater=_cut(one.updater),
        name=name,
        names=tuple(dict.fromkeys(names))[:NAMES_LIMIT] or (name,),
        package=_cut(one.package.name) if one.package else "",
        severity=_severity(one.normalized_severity),
        urgency=_cut(one.severity) or None,
        fixed=_cut(one.fixed_in_version) or None,
    )


def _severity(word: str) -> Severity | None:
    lower = word.lower()
    return next((known for known in SEVERITIES if known == lower), None)


def _digest(text: str, where: str) -> Digest:
    try:
        return Digest(text)
    except BadName as error:
        raise BadDocument(where, error.message) from error


def _cut(text: str, limit: int = TEXT_LIMIT) -> str:
    return clean_text(text[:limit])
