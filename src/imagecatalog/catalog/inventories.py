"""Takes lists of packages that somebody tells of an image, and has the best of them count."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.domain.builds import Inventory
from imagecatalog.domain.packages import Distro, Package, Unknown
from imagecatalog.domain.refs import Digest, Platform
from imagecatalog.errors import BadName, clean_text
from imagecatalog.store import apt, images, inventories, packages, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.inventories import InventoryRow
from imagecatalog.store.shelf import Shelf

Kind = Literal["sbom", "registered"]

_UNMET = Unknown("not-read", "somebody told of it, and no sync has met it yet")
_ENCODER = msgspec.json.Encoder()


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
    told = sort_packages(inventory.packages)
    (set_id,) = packages.put_sets(c, shelf, [packages.PackageList(told)])
    inventory = msgspec.structs.replace(inventory, packages=told)
    return tell(
        c,
        shelf,
        subject,
        inventory,
        set_id=set_id,
        kind=kind,
        told_by=told_by,
        platform=platform,
        configured=configured,
        now=now,
    )


def tell(
    c: Connection,
    shelf: Shelf,
    subject: Digest,
    inventory: Inventory,
    *,
    set_id: int,
    kind: Kind,
    told_by: str,
    platform: str | None,
    configured: ConfiguredSetups,
    now: datetime,
) -> bool:
    """The same for a list whose set is written already, and whose packages are sorted."""
    platform = platform or guess_platform(inventory.packages)
    distro = _clean_distro(inventory.distro)
    distro_id = None if distro is None else images.put_distro(c, shelf, distro)
    _find_setup(c, shelf, configured, distro, platform)  # before the image, as a sync has it
    row = InventoryRow(
        subject=subject,
        digest=_digest_of(inventory, kind, platform),
        kind=kind,
        told_by=clean_text(told_by),
        format=clean_text(inventory.format),
        tool=_clean(inventory.tool),
        platform=platform,
        received=now,
        set_id=set_id,
        distro_id=distro_id,
        problem=_clean(inventory.problem),
    )
    is_new = inventories.put_inventory(c, row)
    numbers = meet(c, subject, platform=platform, now=now)
    if is_new:
        apply_inventories(c, shelf, numbers, configured)
    return is_new


def meet(c: Connection, subject: Digest, *, platform: str | None, now: datetime) -> list[int]:
    """The numbers of what the digest means; what was never met is written down for a sync to read."""
    found, is_index = inventories.find_meant(c, subject)
    if not found:
        found = [inventories.put_unmet(c, subject, platform=platform, why=_UNMET, now=now)]
    if is_index:
        return [member for many in images.list_members(c, found).values() for member in many]
    return found


def apply_inventories(
    c: Connection, shelf: Shelf, numbers: Collection[int], configured: ConfiguredSetups
) -> None:
    """Have the best list told count for each image whose packages its layers do not tell.

    Its packages are then judged by the image's own apt sources, else by the configured ones.
    """
    subjects = [one for one in inventories.lock_subjects(c, numbers) if not one.is_read]
    told = inventories.list_told(c, subjects)
    rows, pairs = [], []
    for subject in subjects:
        if subject.id not in told:
            continue
        best = told[subject.id][0]
        distro_id = best.distro_id or subject.distro_id
        setup_id = subject.own_setup_id
        if setup_id is None:
            release, platform = best.distro or subject.distro, subject.platform or best.platform
            setup_id = _find_setup(c, shelf, configured, release, platform)
        if (best.id, setup_id) != (subject.inventory_id, subject.setup_id):
            rows.append((subject.id, best, distro_id, setup_id))
        if setup_id is not None:
            pairs.append((setup_id, best.set_id))
    inventories.point_images(c, rows)
    updates.enrol(c, shelf, pairs)


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


def sort_packages(told: Sequence[Package]) -> tuple[Package, ...]:
    """The packages once each, in order, as every database takes them."""
    if b"\\u0000" in _ENCODER.encode(told):
        told = [Package(*map(clean_text, msgspec.structs.astuple(one))) for one in told]
    return tuple(sorted(set(told)))


def guess_platform(told: Sequence[Package]) -> str | None:
    """The platform of which all the packages are, where they are of one."""
    architectures = {one.arch for one in told if one.type == "deb"} - {"all", ""}
    if len(architectures) != 1:
        return None
    (architecture,) = architectures
    try:
        return str(Platform("linux", "ppc64le" if architecture == "ppc64el" else architecture))
    except BadName:
        return None


def _digest_of(inventory: Inventory, kind: Kind, platform: str | None) -> bytes:
    told = (kind, inventory.format, inventory.tool, inventory.distro, platform, inventory.packages)
    return hashlib.sha256(_ENCODER.encode(told)).digest()


def _clean(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def _clean_distro(distro: Distro | None) -> Distro | None:
    return distro and Distro(*(_clean(part) or "" for part in msgspec.structs.astuple(distro)))
