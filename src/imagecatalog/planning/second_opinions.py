"""What Clair says of an image beside what we say, and where the two differ.

Neither is taken over into the other: each keeps its word, and silence of a Clair that is down,
initialising, never updated or not of today is told as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from imagecatalog.domain.findings import SEVERITIES, Finding, ImageFindings, State
from imagecatalog.domain.second_opinions import (
    Difference,
    FoundPackage,
    ImageOpinion,
    Opinion,
    Remark,
)
from imagecatalog.store import clair, lookups
from imagecatalog.store.clair import ClaimRow, HeldImage, ServerRow
from imagecatalog.store.engine import Connection
from imagecatalog.versions import sort_key

FRESH_FOR = timedelta(days=1)
"""So long what Clair said last counts as its word of today."""
_AFFECTED: frozenset[State] = frozenset({"fix-out", "no-fix", "wont-fix"})
_UNDECIDED: frozenset[State] = frozenset({"undetermined", "unknown"})


class _Word(Struct, frozen=True):
    """What is kept of Clair on one image."""

    held: HeldImage | None
    found: list[FoundPackage]
    remarks: tuple[Remark, ...]


def image_opinions(
    c: Connection, ours: ImageFindings, *, now: datetime
) -> tuple[ImageOpinion, ...]:
    """What other judges say of an image beside what we found: nothing, or Clair's word."""
    server = clair.get_server(c)
    if server is None:
        return ()
    word = _read(c, lookups.resolve(c, ours.digest))
    doubt = ours.unknown[0] if ours.unknown else None
    return (
        ImageOpinion(
            image=ours.image,
            digest=ours.digest,
            opinion=_opinion(server, word, now),
            differences=_list_differences(word, ours.items, doubt),
        ),
    )


def second_opinion(c: Connection, number: int, *, now: datetime) -> Opinion | None:
    """What Clair says of an image, worst first; None where no Clair was ever asked."""
    server = clair.get_server(c)
    return None if server is None else _opinion(server, _read(c, number), now)


def compare(c: Connection, number: int, ours: Iterable[Finding]) -> tuple[Difference, ...]:
    """Where Clair and we differ about an image, by package and advisory.

    None where Clair's report was never read: then it has no word that could differ. What is
    suppressed here counts as what it is: a fault that somebody explained.
    """
    return _list_differences(_read(c, number), ours, None)


def _read(c: Connection, number: int) -> _Word:
    held = next(iter(clair.list_held(c, [number])), None)
    if held is None:
        return _Word(None, [], ())
    return _Word(held, list(clair.list_found(c, number)), list_remarks(c, number))


def _opinion(server: ServerRow, word: _Word, now: datetime) -> Opinion:
    return Opinion(
        source="clair",
        unknown=_explain_silence(server, word.held, now),
        updated=server.updated,
        reported=None if word.held is None else word.held.reported,
        packages=len(word.found),
        remarks=word.remarks,
    )


def list_remarks(c: Connection, number: int) -> tuple[Remark, ...]:
    """What Clair last said of an image, one remark for a fault of a source package; worst first."""
    groups: dict[tuple[str, str, str], list[ClaimRow]] = {}
    for claim in clair.list_claims(c, number):
        package = claim.package
        key = claim.statement.name, package.source, package.source_version
        groups.setdefault(key, []).append(claim)
    remarks = [_remark(claims) for claims in groups.values()]
    rank = SEVERITIES.index
    remarks.sort(key=lambda one: (-rank(one.severity), one.advisory, one.package, one.installed))
    return tuple(remarks)


def _list_differences(
    word: _Word, ours: Iterable[Finding], doubt: str | None
) -> tuple[Difference, ...]:
    """As ``compare``; ``doubt`` is why our own word is not whole, where it is not."""
    if word.held is None or word.held.reported is None:
        return ()
    said: dict[tuple[str, str], Remark] = {}
    for remark in word.remarks:
        package = _usual_name(remark.type, remark.package)
        said.update(((name, package), remark) for name in remark.names)
    differences = []
    met: set[Remark] = set()
    for finding in ours:
        package = _usual_name(finding.type, finding.source)
        keys = [(name, package) for name in (finding.advisory, *finding.aliases)]
        matches = [said[key] for key in keys if key in said]
        met.update(matches)
        differences += _compare(finding, matches, word.found)
    differences += [
        Difference(
            advisory=remark.advisory,
            package=remark.package,
            ours=None,
            fixed=None,
            clair=remark,
            why=_explain_only_clair(remark, word.found) or (doubt and f"here: {doubt}"),
        )
        for remark in word.remarks
        if remark not in met
    ]
    return tuple(sorted(differences, key=lambda one: (one.package, one.advisory)))


def _explain_silence(server: ServerRow, held: HeldImage | None, now: datetime) -> str | None:
    """Why Clair's word on an image is missing or not of today; the first reason that is true."""
    if server.problem is not None:
        return server.problem.reason
    if held is None:
        return "Clair was not handed this image: it does not run, or was not met yet"
    if server.checked is None or now - server.checked > FRESH_FOR:
        last = "never" if server.checked is None else f"on {server.checked:%Y-%m-%d %H:%M} UTC"
        return f"Clair was last heard {last}"
    return _explain_image(held)


def _explain_image(held: HeldImage) -> str | None:
    if held.problem is not None:
        return held.problem.reason
    if held.index_state is None:
        return "Clair has not indexed this image yet"
    if held.reported is None or held.updates is None:
        return "Clair's newest report of this image was not read yet"
    if held.unread:
        return f"{held.unread:,} parts of Clair's report were not understood"
    return None


def _remark(claims: Sequence[ClaimRow]) -> Remark:
    first = claims[0]
    statement, package = first.statement, first.package
    layers = [claim.layer for claim in claims if claim.layer is not None]
    binaries = {f"{claim.package.name} {claim.package.version}" for claim in claims}
    return Remark(
        advisory=statement.names[0],
        names=statement.names,
        type=package.type,
        package=package.source,
        installed=package.source_version,
        binaries=tuple(sorted(binaries)),
        severity=statement.severity,
        fixed=statement.fixed,
        updater=statement.updater,
        layer=str(layers[0]) if layers else None,
        urgency=statement.urgency,
    )


def _compare(
    finding: Finding, matches: Sequence[Remark], found: Sequence[FoundPackage]
) -> list[Difference]:
    """The difference about one of our findings, if there is one."""
    remark = matches[0] if matches else None
    is_affected = finding.state in _AFFECTED
    if remark is None:
        if not is_affected:
            return []
        why = _explain_only_ours(finding, found)
    elif is_affected and finding.suppressed is None:
        if remark.fixed == finding.fixed:
            return []
        why = "each knows another first version without it"
    else:
        why = _explain_more_of_clair(finding, remark, found)
    return [
        Difference(
            advisory=finding.advisory,
            package=finding.source,
            ours=finding.state,
            fixed=finding.fixed,
            clair=remark,
            why=why,
        )
    ]


def _explain_more_of_clair(
    finding: Finding, remark: Remark, found: Sequence[FoundPackage]
) -> str | None:
    """Why Clair holds against the image what we do not."""
    if finding.suppressed is not None:
        return f"{finding.suppressed.who} explained it here, which Clair does not know"
    if finding.state in _UNDECIDED:
        return "Clair takes what nobody has determined for affected"
    return _explain_only_clair(remark, found)


def _explain_only_clair(remark: Remark, found: Sequence[FoundPackage]) -> str | None:
    """Why Clair holds against the image what is not among our findings."""
    if remark.fixed is None:
        return None
    for package in _list_of_source(remark.package, found, remark.type):
        version = f"{package.name} {package.version}"
        if version not in remark.binaries or package.version == package.source_version:
            continue
        if _is_below(package.type, package.version, remark.fixed) and not _is_below(
            package.type, package.source_version, remark.fixed
        ):
            return _mixed_versions(package)
    return None


def _explain_only_ours(finding: Finding, found: Sequence[FoundPackage]) -> str | None:
    """Why Clair does not list what we do."""
    packages = _list_of_source(finding.source, found, finding.type)
    if not packages:
        return f"Clair finds no package of {finding.source} in the image"
    if not any(package.distro for package in packages) and finding.type in ("deb", "rpm", "apk"):
        return "Clair did not recognise the distribution"
    if finding.fixed is None:
        return None
    for package in packages:
        if package.version != package.source_version and not _is_below(
            package.type, package.version, finding.fixed
        ):
            return _mixed_versions(package)
    return None


def _mixed_versions(package: FoundPackage) -> str:
    return (
        f"Clair compares the version of the binary package {package.name}, {package.version}; that"
        f" of its source is {package.source_version}"
    )


def _list_of_source(
    source: str, found: Sequence[FoundPackage], ecosystem: str
) -> list[FoundPackage]:
    name = _usual_name(ecosystem, source)
    return [package for package in found if _usual_name(package.type, package.source) == name]


def _usual_name(ecosystem: str, name: str) -> str:
    """Python's names are one however they are written (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "pypi" else name


def _is_below(ecosystem: str, version: str, fixed: str) -> bool:
    return sort_key(ecosystem, version) < sort_key(ecosystem, fixed)
