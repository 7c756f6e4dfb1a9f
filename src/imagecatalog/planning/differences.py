"""What changed from one image to another: packages, layers, configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile, zip_longest

from imagecatalog.config import LineRule
from imagecatalog.domain.lineage import (
    AdvisoryChanges,
    Diff,
    LayerChanges,
    PackageChange,
    PackageChanges,
)
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName
from imagecatalog.matching.lines import Lines
from imagecatalog.planning.ancestry import find_image
from imagecatalog.store import held_findings, images, labels, lookups, packages
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.versions import sort_key

_Kind = tuple[str, str, str]
"""Type, name and architecture."""


def diff(c: Connection, a: str, b: str | None = None, *, rules: Sequence[LineRule] = ()) -> Diff:
    """What changed from image ``a`` to ``b``, or to the newest of its line when ``b`` is left out.

    ``rules`` say which tags follow one another. Raises NotFound and BadName.
    """
    first = find_image(c, a)
    second = _find_newest(c, a, first, rules) if b is None else find_image(c, b)
    rows = lookups.list_images(c, [first, second])
    names = images.best_names(c, [first, second])
    before, after = rows[first], rows[second]
    unknown = _why_unknown(before, a) or _why_unknown(after, b or names.get(second, "the newest"))
    changes = PackageChanges(added=(), removed=(), upgraded=(), downgraded=())
    if before.set_id is not None and after.set_id is not None and before.set_id != after.set_id:
        changes = compare_packages(
            packages.list_packages(c, before.set_id), packages.list_packages(c, after.set_id)
        )
    return Diff(
        a=names.get(first, str(before.digest)),
        b=names.get(second, str(after.digest)),
        a_digest=str(before.digest),
        b_digest=str(after.digest),
        packages=changes,
        advisories=_compare_faults(c, before, after),
        layers=_compare_layers(c, first, second),
        config=_compare_config(c, before, after),
        reason=unknown,
    )


def _compare_faults(c: Connection, before: ImageRow, after: ImageRow) -> AdvisoryChanges:
    """Which faults went and which came, each image's by its own release, of all kinds of packages."""
    if before.set_id is None or after.set_id is None:
        return AdvisoryChanges()
    old, new = _list_faults(c, before), _list_faults(c, after)
    return AdvisoryChanges(
        fixed=tuple(sorted(old - new)),
        introduced=tuple(sorted(new - old)),
        remaining=tuple(sorted(old & new)),
    )


def _list_faults(c: Connection, row: ImageRow) -> set[str]:
    """The faults that count, those that nobody has determined left out."""
    assert row.set_id is not None
    scope_id, _ = held_findings.find_scope(c, row.id)
    held = held_findings.list_held(c, row.set_id, scope_id)
    return {one.advisory for one in held if one.state != "undetermined"}


def _find_newest(c: Connection, name: str, number: int, rules: Sequence[LineRule]) -> int:
    lines = Lines(c, rules)
    key = lines.of([number]).get(number)
    head = None if key is None else lines.heads([key]).get(key)
    if head is None:
        raise BadName(f"{name} has no tag that another follows", hint="name a second image")
    platform = lookups.list_images(c, [number])[number].platform
    newest = head.on(platform)
    if newest == number:
        raise BadName(f"{name} is the newest of its line", hint="name a second image")
    return newest


def _why_unknown(row: ImageRow, name: str) -> str | None:
    if row.set_id is not None:
        return None
    return f"the packages of {name} are not known: {row.unknown_reason or 'nobody told them'}"


def compare_packages(before: Iterable[Package], after: Iterable[Package]) -> PackageChanges:
    """What became of each package, by name; of equal versions the new one counts as newer."""
    added, removed, upgraded, downgraded = [], [], [], []
    for old, new in _pair(set(before), set(after)):
        change = _change(old, new)
        if old is None:
            added.append(change)
        elif new is None:
            removed.append(change)
        elif _is_older(new, old):
            downgraded.append(change)
        else:
            upgraded.append(change)
    lists = (
        tuple(
            sorted(
                many, key=lambda one: (one.package, one.arch, one.type, one.a or "", one.b or "")
            )
        )
        for many in (added, removed, upgraded, downgraded)
    )
    return PackageChanges(
        added=next(lists), removed=next(lists), upgraded=next(lists), downgraded=next(lists)
    )


def _pair(
    before: set[Package], after: set[Package]
) -> Iterator[tuple[Package | None, Package | None]]:
    """What is in one alone with what took its place: of the same architecture, else of another."""
    gone, come = _group(before - after), _group(after - before)
    rest_gone: dict[tuple[str, str], list[Package]] = {}
    rest_come: dict[tuple[str, str], list[Package]] = {}
    for kind in sorted(gone.keys() | come.keys()):
        old, new = gone.get(kind, []), come.get(kind, [])
        both = min(len(old), len(new))
        yield from zip(old[:both], new[:both], strict=True)
        rest_gone.setdefault(kind[:2], []).extend(old[both:])
        rest_come.setdefault(kind[:2], []).extend(new[both:])
    for name in sorted(rest_gone):
        yield from zip_longest(rest_gone[name], rest_come[name])


def _group(found: Iterable[Package]) -> dict[_Kind, list[Package]]:
    """The newest version of each first."""
    groups: dict[_Kind, list[Package]] = {}
    for one in sorted(found, key=_order, reverse=True):
        groups.setdefault((one.type, one.name, one.arch), []).append(one)
    return groups


def _order(one: Package) -> tuple[bytes, str, str]:
    return sort_key(one.type, one.version), one.version, one.source_version


def _is_older(new: Package, old: Package) -> bool:
    """Whether the order of their ecosystem says so."""
    return sort_key(new.type, new.version) < sort_key(old.type, old.version)


def _change(old: Package | None, new: Package | None) -> PackageChange:
    one = new or old
    assert one is not None
    return PackageChange(
        package=one.name,
        type=one.type,
        arch=one.arch,
        source=one.source,
        a=old.version if old else None,
        b=new.version if new else None,
    )


def _compare_layers(c: Connection, first: int, second: int) -> LayerChanges:
    before = [str(item.digest) for item in lookups.list_layers(c, first)]
    after = [str(item.digest) for item in lookups.list_layers(c, second)]
    same = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
    common = sum(1 for _ in same)
    return LayerChanges(common=common, a=tuple(before[common:]), b=tuple(after[common:]))


def _compare_config(
    c: Connection, before: ImageRow, after: ImageRow
) -> dict[str, tuple[str | None, str | None]]:
    """What differs: facts by their names, then labels as ``label NAME``."""
    old, new = _describe(c, before), _describe(c, after)
    return {
        name: (old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    }


def _describe(c: Connection, row: ImageRow) -> dict[str, str | None]:
    facts = {
        "platform": row.platform,
        "distro": row.distro,
        "created": _write_moment(row.created),
        "config_digest": str(row.config_digest) if row.config_digest else None,
    }
    written = {f"label {key}": value for key, value in labels.list_labels(c, row.id).items()}
    return facts | written


def _write_moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
