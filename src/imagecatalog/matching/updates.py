"""Judges package versions against the archives that their set-up names: each once, for all images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from msgspec import Struct

from imagecatalog.domain.apt import AptSetup, AptSource, Keyring
from imagecatalog.errors import hide_secrets
from imagecatalog.matching.candidates import Available, Choice, Policy
from imagecatalog.store import apt, counts, updates
from imagecatalog.store.apt import ReleaseRow, SetupRow
from imagecatalog.store.engine import Connection
from imagecatalog.store.updates import Judged
from imagecatalog.versions.deb import apt_key

_RULES = b"2"
"""Another where a release of ours judges the same packages and archives otherwise."""


class _Archive(Struct, frozen=True):
    source: AptSource
    release: ReleaseRow
    indices: Sequence[apt.IndexRow]


def trust_of(source: AptSource, keyrings: Sequence[Keyring]) -> bytes:
    """What tells two sources of one suite apart: the keys by which each would believe it."""
    told = hashlib.sha256(
        repr((source.trusted, source.check_valid_until, source.signed_by)).encode()
    )
    if not source.trusted:
        for keyring in usable_keyrings(source, keyrings):
            told.update(hashlib.sha256(keyring.data).digest())
    return told.digest()


def usable_keyrings(source: AptSource, keyrings: Sequence[Keyring]) -> tuple[Keyring, ...]:
    """The keyrings that apt would believe for a source (sources.list(5), ``Signed-By``)."""
    paths = {path.lstrip("/") for path in source.signed_by if path.startswith("/")}
    if paths:
        return tuple(ring for ring in keyrings if ring.path.lstrip("/") in paths)
    return tuple(
        ring for ring in keyrings if ring.path.lstrip("/").startswith("etc/apt/trusted.gpg")
    )


def judge(c: Connection) -> int:
    """Bring every verdict up to date; how many package versions changed theirs.

    A set-up whose archives are as they were, and which has no new packages, costs one look.
    """
    changed = 0
    for row in apt.list_setups(c, lock=True):
        changed += _judge_setup(c, row)
    updates.keep_sums(c)
    counts.keep_counts(c)
    return changed


def _judge_setup(c: Connection, row: SetupRow) -> int:
    archives, problems, checked = _archives(c, row.setup)
    problem = "; ".join(dict.fromkeys([*row.setup.problems, *problems])) or None
    inputs = _fingerprint(archives)
    unmoved = inputs == row.inputs and not row.pending
    if unmoved and (problem, checked) == (row.problem, row.checked):
        return 0
    rows = [] if unmoved else _judge_packages(c, row, archives, checked or row.checked)
    apt.save_setup(c, row.id, problem=problem, checked=checked, inputs=inputs, changed=bool(rows))
    return len(rows)


def _archives(c: Connection, setup: AptSetup) -> tuple[list[_Archive], list[str], datetime | None]:
    """The archives that were ever read, what is wrong with any, and the oldest good moment."""
    found, problems = [], []
    moments: list[datetime | None] = []
    for written in setup.sources:
        source = written.resolve(setup.architectures)
        release = apt.find_release(c, source.uri, source.suite, trust_of(source, setup.keyrings))
        if release is None:
            problems.append(f"{hide_secrets(source.uri)} {source.suite} was never fetched")
            moments.append(None)
            continue
        if release.problem:
            problems.append(release.problem)
        moments.append(release.good)
        indices, missing = _choose_indices(c, source, release.id)
        problems += missing
        found.append(_Archive(source, release, indices))
    if not setup.sources:
        problems.append("its apt sources name no archive")
    good = [moment for moment in moments if moment is not None]
    return found, problems, min(good) if len(good) == len(moments) and good else None


def _choose_indices(
    c: Connection, source: AptSource, release_id: int
) -> tuple[list[apt.IndexRow], list[str]]:
    """Of a suite's indices those that a resolved source asks for, and what is wrong with any of them."""
    architectures = source.architectures or ()
    read = {*architectures, "all"} - {*source.removed}
    rows = {(row.component, row.architecture): row for row in apt.list_indices(c, release_id)}
    flat = not source.components
    chosen = [
        row
        for (component, architecture), row in rows.items()
        if flat or (component in source.components and architecture in read)
    ]
    problems = [row.problem for row in chosen if row.problem]
    problems += [
        f"{hide_secrets(source.uri)} {source.suite}: {component} for {architecture} was not fetched yet"
        for component in source.components
        for architecture in architectures
        if (component, architecture) not in rows
    ]
    return chosen, problems


def _fingerprint(archives: Iterable[_Archive]) -> bytes:
    told = hashlib.sha256(_RULES)
    for archive in archives:
        told.update(
            repr((archive.source.uri, archive.source.suite, archive.release.facts)).encode()
        )
        for index in archive.indices:
            told.update(repr((index.component, index.architecture, index.fingerprint)).encode())
    return told.digest()


def _judge_packages(
    c: Connection, row: SetupRow, archives: Sequence[_Archive], at: datetime | None
) -> list[Judged]:
    native = row.setup.architectures[0]
    policy = Policy(row.setup.pins, native)
    offers = _offers(c, row.id, native, archives)
    changed = []
    for old in updates.list_judged(c, row.id):
        package = old.package
        arch = native if package.arch == "all" else package.arch
        # apt knows its own packages alone: of npm's openssl it can tell nothing.
        there = offers.get((package.name, arch), ()) if package.type == "deb" else ()
        choice = policy.choose(package, there) if there else None
        new = Judged(
            old.number,
            package,
            True,
            choice.candidate if choice else None,
            choice.security if choice else False,
            choice.origin if choice else None,
            choice.source_version if choice else None,
            _waiting_since(old, choice, at),
        )
        if new != old:
            changed.append(new)
    updates.save_judged(c, row.id, changed)
    return changed


def _waiting_since(old: Judged, choice: Choice | None, at: datetime | None) -> datetime | None:
    """Since when an update waits: a newer candidate still in time for it starts no new wait."""
    if choice is None:
        return None
    goes_on = old.candidate is not None and (old.security or not choice.security)
    return old.since if goes_on and old.since else at


def _offers(
    c: Connection, setup_id: int, native: str, archives: Sequence[_Archive]
) -> dict[tuple[str, str], list[Available]]:
    """What the archives offer, by package and architecture; ``all`` counts as the native one."""
    offers: dict[tuple[str, str], list[Available]] = {}
    for archive in archives:
        site = urlsplit(archive.source.uri).hostname or ""
        for index in archive.indices:
            for offer in () if index.id is None else apt.list_offers(c, index.id, setup_id):
                arch = native if offer.arch == "all" else offer.arch
                offers.setdefault((offer.name, arch), []).append(
                    Available(
                        version=offer.version,
                        key=apt_key(offer.version),
                        release=archive.release.facts,
                        component=index.component,
                        site=site,
                        source=offer.source,
                        source_version=offer.source_version,
                        index_architecture=index.architecture,
                    )
                )
    return offers
