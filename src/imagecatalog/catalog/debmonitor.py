"""Takes what DebMonitor's clients tell: an image's packages by its name, and what runs where."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.catalog import timeline
from imagecatalog.catalog.configured import ConfiguredSetups, dpkg_architecture
from imagecatalog.catalog.inventories import put_inventory
from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.debmonitor import ImageUpdate, InstalledPackage, ToldPackages, take
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadName
from imagecatalog.store import debmonitor, lookups, names, told_runs
from imagecatalog.store.debmonitor import KnownPackage, Report
from imagecatalog.store.engine import Connection
from imagecatalog.store.images import INDEX
from imagecatalog.store.shelf import Shelf

TELLER = "debmonitor"
_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")
_ENCODER = msgspec.json.Encoder()


def full_name(text: str) -> str:
    """``registry/path:tag`` with nothing left out, or with its digest; raises BadName."""
    reference = Reference.parse(text)
    if reference.digest is not None and reference.tag is None:
        return str(reference)
    return f"{reference.name}:{reference.tag or 'latest'}"


class _Image(Struct, frozen=True):
    """The image that a name means."""

    id: int
    digest: Digest
    platform: str | None


def keep_image(
    c: Connection,
    shelf: Shelf,
    update: ImageUpdate,
    *,
    told_by: str,
    configured: ConfiguredSetups,
    now: datetime,
) -> Digest | None:
    """Take one message of a client; the image that its name means, None where no sync met it yet.

    The very same again changes nothing but when it was told last.
    """
    before = debmonitor.find_report(c, update.image)
    image = _find_images(c, {update.image: now}).get(update.image)
    told = take(before.packages() if before else ToldPackages(), update, now=now)
    key = _key(update.os, told)
    number, digest = (image.id, image.digest) if image else (None, None)
    if before and (before.digest, before.manifest_id) == (key, number):
        debmonitor.touch_report(c, before.id, told_by=told_by, received=now)
        return digest
    report = Report(
        id=before.id if before else 0,
        name=update.image,
        manifest_id=number,
        os=update.os,
        told_by=told_by,
        received=now,
        digest=key,
        updates=len(told.upgradable),
        body=debmonitor.pack(told),
    )
    if not debmonitor.put_report(c, report):
        # Another process wrote the first report of this name meanwhile: this one comes after it.
        return keep_image(c, shelf, update, told_by=told_by, configured=configured, now=now)
    if image is not None:
        _tell(c, shelf, image, report, configured=configured, now=now)
    return digest


def _key(os: str, told: ToldPackages) -> bytes:
    upgrades = [(one.name, one.version_from, one.version_to, one.source) for one in told.upgradable]
    return hashlib.sha256(_ENCODER.encode((os, told.installed, upgrades))).digest()


def settle_reports(
    c: Connection, repository: str, *, configured: ConfiguredSetups, now: datetime
) -> None:
    """Have what was told of names count for the images that a sync met just now."""
    waiting = debmonitor.list_waiting(c, repository)
    if not waiting:
        return
    images = _find_images(c, {one.name: one.received for one in waiting})
    settled = [(images[one.name], one) for one in waiting if one.name in images]
    # Reports before images, as who tells has them: so that neither waits for the other.
    for image, report in settled:
        debmonitor.settle(c, report.id, image.id)
    shelf = Shelf()
    for image, report in sorted(settled, key=lambda pair: (pair[0].digest, pair[1].id)):
        _tell(c, shelf, image, report, configured=configured, now=now)


def _find_images(c: Connection, wanted: Mapping[str, datetime]) -> dict[str, _Image]:
    """By name the image that it meant at a moment, else first after it.

    An index stands for its linux/amd64 image, or its first, as nobody told which was run.
    """
    digests = {name: digest for name in wanted if (digest := _digest_in(name)) is not None}
    tagged = wanted.keys() - digests.keys()
    if tagged:
        sightings = names.list_sightings(c, tagged, after=min(wanted[name] for name in tagged))
        for name, seen in sightings.items():
            meaning = names.choose_meaning(seen, wanted[name])
            if meaning is not None:
                digests[name] = meaning.digest
    met = lookups.find_by_digest(c, digests.values())
    members = lookups.choose_members(c, [number for number, kind in met.values() if kind == INDEX])
    numbers = {
        name: members.get(met[digest][0], met[digest][0])
        for name, digest in digests.items()
        if digest in met
    }
    rows = lookups.list_images(c, numbers.values())
    return {
        name: _Image(number, rows[number].digest, rows[number].platform)
        for name, number in numbers.items()
    }


def _digest_in(name: str) -> Digest | None:
    return Digest.parse(name.partition("@")[2]) if "@" in name else None


def _tell(
    c: Connection,
    shelf: Shelf,
    image: _Image,
    report: Report,
    *,
    configured: ConfiguredSetups,
    now: datetime,
) -> None:
    """Keep the whole list, where there is one, as one list of the image's packages among others."""
    told = report.packages().installed
    if told is None:
        return
    listed = _as_packages(c, told, dpkg_architecture(image.platform))
    inventory = Inventory(
        format="DebMonitor", tool=None, distro=read_os(report.os), packages=listed
    )
    put_inventory(
        c,
        shelf,
        image.digest,
        inventory,
        kind="registered",
        told_by=TELLER,
        configured=configured,
        now=now,
        platform=image.platform,
    )


def read_os(text: str) -> Distro | None:
    """The release that a client calls ``Debian 12``; None for what it could not find out."""
    name, _, release = text.partition(" ")
    return None if name.lower() == "unknown" else Distro(name.lower(), release or None)


def _as_packages(
    c: Connection, told: Sequence[InstalledPackage], native: str | None
) -> tuple[Package, ...]:
    """The packages with what the clients do not tell, from what is known of the very same ones.

    A name and a version of Debian have one source version, whichever image they were read of.
    """
    names_told = [one.name.partition(":") for one in told]
    known = debmonitor.find_known_packages(
        c, [(name, one.version) for (name, _, _), one in zip(names_told, told, strict=True)]
    )
    return tuple(
        _complete(name, one, suffix, native, known.get((name, one.version), ()))
        for (name, _, suffix), one in zip(names_told, told, strict=True)
    )


def _complete(
    name: str,
    told: InstalledPackage,
    suffix: str,
    native: str | None,
    known: Iterable[KnownPackage],
) -> Package:
    usual = {suffix} if suffix else {native, "all"} if native else None
    fits = sorted(
        (
            one
            for one in known
            if one.arch and one.source == told.source and (usual is None or one.arch in usual)
        ),
        key=lambda one: (one.arch == "all", one.arch, one.source_version),
    )
    arch = suffix or native or ""
    if fits and (usual is not None or len({one.arch for one in fits}) == 1):
        arch = fits[0].arch
    version = fits[0].source_version if fits else _BINARY_REBUILD.sub("", told.version)
    return Package("deb", name, told.version, arch, told.source, version)


def observe(
    c: Connection,
    cluster: str,
    told: Mapping[str, Mapping[str, int]],
    *,
    unsure: Collection[str] = (),
    at: datetime,
) -> list[str]:
    """Take how many containers of each image run in each namespace of a cluster (by name of image).

    Which of the names nobody knows of: neither a sync met them nor a client told of them. They run
    all the same. What a scan of the cluster's pods knows is never ended, and not counted twice; nor
    does anything end of the ``unsure`` images, of which not all was understood.
    """
    wanted = {
        (name, namespace): count
        for name, namespaces in told.items()
        for namespace, count in namespaces.items()
    }
    told_runs.record_told(c, cluster, wanted, unsure=unsure, same=_same_name, at=at)
    timeline.match_images(c)
    by_name = {_same_name(name): name for name in told}
    proper = [name for name in by_name if _is_name(name)]
    known = debmonitor.list_named(c, proper).keys() | _find_images(c, dict.fromkeys(proper, at))
    return sorted(name for same, name in by_name.items() if same not in known)


def _same_name(text: str) -> str:
    """A name by which pods and clients mean one image, however much of it they spell out."""
    try:
        return full_name(text)
    except BadName:
        return text


def _is_name(text: str) -> bool:
    try:
        return full_name(text) == text
    except BadName:
        return False
