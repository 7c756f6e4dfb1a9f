"""Takes in what somebody tells of an image, and says what became of it."""

from __future__ import annotations

from datetime import datetime

from imagecatalog.catalog import builds, inventories, lineage
from imagecatalog.catalog.builds import Registered
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.domain.builds import Build, Inventory
from imagecatalog.domain.receipts import BuildReceipt, SbomReceipt, image_page
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import InvalidBody
from imagecatalog.store import access
from imagecatalog.store.engine import Connection
from imagecatalog.store.shelf import Shelf


def keep_build(
    c: Connection,
    shelf: Shelf,
    build: Build,
    *,
    told_by: str | None,
    configured: ConfiguredSetups,
    now: datetime,
) -> BuildReceipt:
    """Keep a build as registered; the very same again changes nothing."""
    kept = builds.register(c, shelf, build, told_by=told_by, configured=configured, now=now)
    lineage.settle(c)
    return write_receipt(build, kept)


def write_receipt(build: Build, kept: Registered) -> BuildReceipt:
    """What is answered to who told of a build."""
    return BuildReceipt(
        id=kept.id,
        image=build.image,
        digest=kept.digest,
        created=kept.created,
        pending=kept.pending,
        url=image_page(kept.digest or build.image or ""),
    )


def keep_sbom(
    c: Connection,
    shelf: Shelf,
    subject: Digest,
    inventory: Inventory,
    *,
    told_by: str,
    configured: ConfiguredSetups,
    now: datetime,
) -> SbomReceipt:
    """Keep a list of packages; raises ``InvalidBody`` for one that speaks of another image."""
    if inventory.subjects and not access.list_kin(c, subject).intersection(inventory.subjects):
        raise InvalidBody([("", f"speaks of {inventory.subjects[0]}, not of {subject}")])
    is_new = inventories.put_inventory(
        c,
        shelf,
        subject,
        inventory,
        kind="sbom",
        told_by=told_by,
        configured=configured,
        now=now,
    )
    lineage.settle(c)
    return SbomReceipt(
        digest=subject,
        format=inventory.format,
        tool=inventory.tool,
        packages=len(inventory.packages),
        created=is_new,
        problem=inventory.problem,
        url=image_page(subject),
    )
