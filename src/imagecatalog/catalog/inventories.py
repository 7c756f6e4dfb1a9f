"""Takes lists of packages that somebody tells of an image, and has the best of them count."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import clean_text
from imagecatalog.store import apt, components, images, inventories, packages, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.inventories import InventoryRow, Meant, UnmetRow
from imagecatalog.store.packages import PackageList
from imagecatalog.store.shelf import Shelf

Kind = Literal["sbom", "registered"]

_UNMET = Unknown("not-read", "somebody told of it, and no sync has met it yet")
_ENCODER = msgspec.json.Encoder()


class Listing(Struct, frozen=True, kw_only=True):
    """A list told of an image, whose set of packages is written already."""

    subject: Digest
    kind: Kind
    told_by: str
    format: str
    tool: str | None
    distro: Distro | None
    platform: str | None
    """Which image of an index is meant, and what an image never met runs on."""
    set_id: int
    digest: bytes
    """Of the list as it was told."""
    problem: str | None = None


def put_inventory(
    c: Connection,
    shelf: Shelf,
    subject: Digest,
    inventory: Inventory,
    *,
    kind: Kind,
    told_by: str,
    configured: ConfiguredSetups,
    now: datetime,
    platform: str | None = None,
) -> bool:
    """Keep a list of an image's packages, and let it count if it is the best; whether it is new.

    ``subject`` may be the digest of a manifest, an index or a configuration, met or not;
    ``platform`` says which image of an index is meant. Of several subjects in one transaction the
    smaller digest has to come first, so that two processes do not wait for each other.
    """
    told, written = sort_packages(inventory.packages)
    (set_id,) = packages.put_sets(c, shelf, [PackageList(told)])
    facts = (kind, inventory.format, inventory.tool, inventory.distro, platform)
    listing = Listing(
        subject=subject,
        kind=kind,
        told_by=clean_text(told_by),
        format=clean_text(inventory.format),
        tool=_clean(inventory.tool),
        distro=clean_distro(inventory.distro),
        platform=platform or guess_platform(told),
        set_id=set_id,
        digest=hashlib.sha256(_ENCODER.encode(facts) + b"\n" + written).digest(),
        problem=_clean(inventory.problem),
    )
    return bool(tell(c, shelf, [listing], configured=configured, now=now))


def tell(
    c: Connection,
    shelf: Shelf,
    listings: Sequence[Listing],
    *,
    others: Mapping[Digest, str | None] = {},
    configured: ConfiguredSetups,
    now: datetime,
) -> list[Listing]:
    """Keep lists, and let those count that are the best of their images; the new ones.

    ``others`` are images, with their platform, of which nothing but their being was told. Images
    never met are written down for a sync to read.
    """
    # Set-ups and distributions, then lists, then images: in this order every writer has them, so
    # that none waits in a circle.
    setups = {one.digest: _setup_of(c, shelf, configured, one) for one in listings}
    rows = [_row(c, shelf, one, now) for one in listings]
    numbers = inventories.put_inventories(c, rows)
    new = [one for one in listings if (one.subject, one.digest) in numbers]
    platforms = dict(others) | {one.subject: one.platform for one in listings}
    known = inventories.find_meant(c, platforms.keys())
    unmet = {
        digest: UnmetRow(digest, platform)
        for digest, platform in platforms.items()
        if digest not in known
    }
    spoken = Counter(one.subject for one in new)
    for row in rows:
        number = numbers.get((row.subject, row.digest))
        if row.subject in unmet and number is not None and spoken[row.subject] == 1:
            unmet[row.subject] = UnmetRow(
                row.subject, row.platform, row.set_id, number, row.distro_id, setups[row.digest]
            )
    written = inventories.put_unmet(c, unmet.values(), why=_UNMET, now=now)
    known |= inventories.find_meant(c, unmet.keys() - written)  # another process wrote those
    settled = [row for row in unmet.values() if row.digest in written and row.inventory_id]
    enrolled = [(one.setup_id, one.set_id) for one in settled if one.setup_id and one.set_id]
    doubtful = spoken.keys() - {row.digest for row in settled}
    known |= {digest: Meant([written[digest]], False) for digest in doubtful & written.keys()}
    touched = _list_images(c, [known[one] for one in doubtful])
    apply_inventories(c, shelf, touched, configured, enrolled=enrolled)
    placed = [(one.distro_id, one.set_id) for one in settled if one.set_id]
    components.enrol(c, shelf, placed)
    return new


def _row(c: Connection, shelf: Shelf, listing: Listing, now: datetime) -> InventoryRow:
    distro = listing.distro
    return InventoryRow(
        subject=listing.subject,
        digest=listing.digest,
        kind=listing.kind,
        told_by=listing.told_by,
        format=listing.format,
        tool=listing.tool,
        platform=listing.platform,
        received=now,
        set_id=listing.set_id,
        distro_id=None if distro is None else images.put_distro(c, shelf, distro),
        problem=listing.problem,
    )


def _list_images(c: Connection, meant: Collection[Meant]) -> list[int]:
    """The images meant, an index's in its place."""
    indexes = {number for one in meant if one.is_index for number in one.numbers}
    members = images.list_members(c, indexes) if indexes else {}
    return [
        image
        for one in meant
        for number in one.numbers
        for image in (members.get(number, ()) if one.is_index else (number,))
    ]


def apply_inventories(
    c: Connection,
    shelf: Shelf,
    numbers: Collection[int],
    configured: ConfiguredSetups,
    *,
    enrolled: Collection[updates.Pair] = (),
) -> None:
    """Have the best list told count for each image whose packages its layers do not tell.

    Its packages are then judged by the image's own apt sources, else by the configured ones;
    and with them those of ``enrolled``, as set-ups have to be met in one order by every writer.
    """
    subjects = [one for one in inventories.find_subjects(c, numbers, lock=True) if not one.is_read]
    told = inventories.list_told(c, subjects) if subjects else {}
    rows, pairs = [], [*enrolled]
    for subject in subjects:
        if subject.id not in told:
            continue
        best = told[subject.id][0]
        setup_id = subject.own_setup_id
        if setup_id is None:
            release, platform = best.distro or subject.distro, subject.platform or best.platform
            setup_id = _find_setup(c, shelf, configured, release, platform)
        if (best.id, setup_id) != (subject.inventory_id, subject.setup_id):
            rows.append((subject.id, best, best.distro_id or subject.distro_id, setup_id))
        if setup_id is not None:
            pairs.append((setup_id, best.set_id))
    inventories.point_images(c, rows)
    updates.enrol(c, shelf, pairs)
    components.enrol(c, shelf, [(distro_id, told.set_id) for _, told, distro_id, _ in rows])


def _setup_of(
    c: Connection, shelf: Shelf, configured: ConfiguredSetups, listing: Listing
) -> int | None:
    return _find_setup(c, shelf, configured, listing.distro, listing.platform)


def _find_setup(
    c: Connection,
    shelf: Shelf,
    configured: ConfiguredSetups,
    distro: Distro | None,
    platform: str | None,
) -> int | None:
    architecture = (platform or "").partition("/")[2].partition("/")[0]
    setup = configured.get((str(distro), architecture))
    return None if setup is None else apt.put_setup(c, shelf, setup)


def sort_packages(told: Sequence[Package]) -> tuple[tuple[Package, ...], bytes]:
    """The packages once each, in order, as every database takes them; the same as JSON."""
    ordered = tuple(sorted(set(told)))
    written = _ENCODER.encode(ordered)
    if b"\\u0000" in written:
        return sort_packages(
            [Package(*map(clean_text, msgspec.structs.astuple(one))) for one in told]
        )
    return ordered, written


def guess_platform(told: Sequence[Package]) -> str | None:
    """The platform of which all the packages are, where they are of one."""
    architectures = {one.arch for one in told if one.type == "deb"} - {"all", ""}
    if len(architectures) != 1:
        return None
    (architecture,) = architectures
    return str(Platform("linux", "ppc64le" if architecture == "ppc64el" else architecture))


def _clean(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def clean_distro(distro: Distro | None) -> Distro | None:
    """The release as every database takes it."""
    return distro and Distro(
        *(part and clean_text(part) for part in msgspec.structs.astuple(distro))
    )
