"""The lists of packages that are told of an image, each compared with the one that counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from imagecatalog.domain.lineage import InventoryItem
from imagecatalog.domain.packages import Package
from imagecatalog.store.inventories import find_subjects, list_told
from imagecatalog.store.packages import list_packages
from imagecatalog.store.schema import inventory, package_set

_SHOWN = 50
"""Packages shown of those by which two lists differ, on either side."""
_LISTS = 20
"""Lists shown of one image; the newest of each kind come first."""

_ITEMS = select(inventory, package_set.c.size).join(
    package_set, package_set.c.id == inventory.c.set_id
)


def list_inventories(c: Connection, number: int) -> tuple[InventoryItem, ...]:
    """The lists of an image's packages, the one that counts first, then by rank and age.

    Only packages of a kind that both lists know are compared, by architecture where both tell it.
    """
    found = find_subjects(c, [number])
    if not found:
        return ()
    (subject,) = found
    told = [one.id for one in list_told(c, found).get(number, ())][:_LISTS]
    rows = {row.id: row for row in c.execute(_ITEMS.where(inventory.c.id.in_(told)))}
    counting = () if subject.set_id is None else list_packages(c, subject.set_id)
    items = []
    if subject.set_id is not None and subject.inventory_id is None:
        items.append(_read_from_layers(len(counting)))
    for one in sorted(told, key=lambda one: one != subject.inventory_id):
        row = rows[one]
        listed = counting if row.set_id == subject.set_id else list_packages(c, row.set_id)
        only_here, not_here = _compare(listed, counting)
        items.append(
            InventoryItem(
                kind=row.kind,
                told_by=row.told_by,
                format=row.format,
                tool=row.tool,
                received=row.received,
                packages=row.size,
                counts=one == subject.inventory_id,
                only_here=tuple(only_here[:_SHOWN]),
                not_here=tuple(not_here[:_SHOWN]),
                differences=len(only_here) + len(not_here),
                problem=row.problem,
            )
        )
    return tuple(items)


def _read_from_layers(size: int) -> InventoryItem:
    return InventoryItem(
        kind="layers",
        told_by="layers",
        format="layers",
        tool=None,
        received=None,
        packages=size,
        counts=True,
    )


def _compare(here: Sequence[Package], there: Sequence[Package]) -> tuple[list[str], list[str]]:
    """What one list has and the other has not, as ``name version arch``; and the other way round."""
    only_here: list[str] = []
    not_here: list[str] = []
    if here is there:
        return only_here, not_here
    for kind in sorted({one.type for one in here} & {one.type for one in there}):
        ours = [one for one in here if one.type == kind]
        theirs = [one for one in there if one.type == kind]
        parts = 3 if all(one.arch for one in (*ours, *theirs)) else 2
        texts, others = _describe(ours, parts), _describe(theirs, parts)
        only_here += sorted(texts - others)
        not_here += sorted(others - texts)
    return only_here, not_here


def _describe(packages: Iterable[Package], parts: int) -> set[str]:
    return {" ".join((one.name, one.version, one.arch)[:parts]) for one in packages}
