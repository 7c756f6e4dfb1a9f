"""The products of a CSAF document (CSAF 2.0 and 2.1, 3.2.2), by the identifiers that join all else.

A product may be another one as a part of, or installed on, one more (``relationships`` of 2.0,
``product_paths`` of 2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from packageurl import PackageURL

from imagecatalog.domain.packages import Distro
from imagecatalog.domain.scopes import scope_of
from imagecatalog.errors import BadDocument, TooDeep, TooManyEntries
from imagecatalog.formats.vex_products import (
    NAME_LIMIT,
    Product,
    cut,
    name_product,
    place,
    restrict,
)

PRODUCTS_LIMIT = 200_000
_DEPTH = 64
"""Branches within branches, and products as parts of parts."""
_CPE = re.compile(r"cpe:(?:/|2\.3:)[oa]:([^:]*):([^:]*):([^:]*)(?::([^:]*))?")
_DISTROS = {
    ("almalinux", "almalinux"): "almalinux",
    ("alpinelinux", "alpine_linux"): "alpine",
    ("amazon", "linux"): "amzn",
    ("canonical", "ubuntu_linux"): "ubuntu",
    ("debian", "debian_linux"): "debian",
    ("fedoraproject", "fedora"): "fedora",
    ("opensuse", "leap"): "opensuse",
    ("redhat", "enterprise_linux"): "redhat",
    ("rocky", "rocky"): "rocky",
    ("suse", "sles"): "suse",
}
"""Products of CPE names that are releases of a distribution."""
_NUMBER = re.compile(r"v?[0-9]")
_PACK = re.compile(r"sp([0-9]+)")


class Helper(Struct):
    """By what else a product is known; of 2.0 one package URL, of 2.1 several."""

    purl: str | None = None
    purls: list[str] | None = None
    cpe: str | None = None


class FullName(Struct):
    """A product and its identifier in the document."""

    id: str = field(name="product_id")
    name: str
    helper: Helper | None = field(name="product_identification_helper", default=None)


class Branch(Struct):
    """A node of the tree of products."""

    category: str
    name: str
    branches: list[Branch] | None = None
    product: FullName | None = None


class Relationship(Struct):
    """A product as a part of another."""

    full: FullName = field(name="full_product_name")
    part: str = field(name="product_reference")
    whole: str = field(name="relates_to_product_reference")


class Subpath(Struct):
    """What the product so far is a part of."""

    whole: str = field(name="next_product_reference")


class Path(Struct):
    """A product as a part of others, one after the other (2.1)."""

    full: FullName = field(name="full_product_name")
    part: str = field(name="beginning_product_reference")
    subpaths: list[Subpath] = []


class Group(Struct):
    """Products under one identifier."""

    id: str = field(name="group_id")
    products: list[str] = field(name="product_ids")


class Tree(Struct):
    """All products that a document speaks of."""

    branches: list[Branch] | None = None
    names: list[FullName] | None = field(name="full_product_names", default=None)
    groups: list[Group] | None = field(name="product_groups", default=None)
    relationships: list[Relationship] | None = None
    paths: list[Path] | None = field(name="product_paths", default=None)


class Products:
    """What each identifier of a document means; raises ``BadDocument`` for one that is not sound."""

    def __init__(self, tree: Tree, where: str) -> None:
        self._where = where
        self._names: dict[str, str] = {}
        self._direct: dict[str, tuple[Product, ...]] = {}
        self._joined: dict[str, tuple[str, ...]] = {}
        self._made: dict[str, tuple[Product, ...]] = {}
        self._scopes: dict[str, str] = {}
        for full, branch in (*_walk(tree.branches or [], where), *_plain(tree.names)):
            product = self._read(full, branch)
            # Red Hat tells some of its products several times, always alike.
            if self._direct.get(full.id) != product or self._names.get(full.id) != full.name:
                self._claim(full)
                self._direct[full.id] = product
        for one in tree.relationships or ():
            self._claim(one.full)
            self._joined[one.full.id] = (one.part, one.whole)
        for path in tree.paths or ():
            self._claim(path.full)
            self._joined[path.full.id] = (path.part, *(step.whole for step in path.subpaths))
        for number, parts in self._joined.items():
            self.check(parts, f"{where}: product_tree: {number[:80]!r}")
        self.groups = self._read_groups(tree.groups or ())
        self._check_circles()

    def _claim(self, full: FullName) -> None:
        if full.id in self._names:
            raise BadDocument(self._where, f"product_tree: {full.id[:80]!r} is defined twice")
        self._names[full.id] = full.name
        if len(self._names) > PRODUCTS_LIMIT:
            raise TooManyEntries(self._where, f"it has more than {PRODUCTS_LIMIT} products")

    def check(self, wanted: Iterable[str], at: str) -> None:
        """Refuse identifiers that no product has."""
        for one in wanted:
            if one not in self._names:
                raise BadDocument(at, f"no product is named {one[:80]!r}")

    def find(self, number: str) -> tuple[Product, ...]:
        """The products that an identifier means: several where it has several package URLs."""
        if number not in self._made:
            self._made[number] = self._direct.get(number) or self._join(number)
        return self._made[number]

    def _join(self, number: str) -> tuple[Product, ...]:
        first, *wholes = self._joined[number]
        parts = self.find(first)
        for whole in wholes:
            scope = self._scopes.get(whole)
            about = self.find(whole)[0]
            parts = tuple(
                restrict(part, scope) if scope and part.name else place(part, about)
                for part in parts
            )
        return parts

    def _read(self, full: FullName, branch: Branch | None) -> tuple[Product, ...]:
        helper = full.helper or Helper()
        if helper.cpe and (scope := _read_cpe(helper.cpe)):
            self._scopes[full.id] = scope
        purls = [*([helper.purl] if helper.purl else ()), *(helper.purls or ())]
        for purl in purls:
            self._check_purl(purl, full)
        if not purls:
            return (Product(within=cut(full.name, NAME_LIMIT)),)
        return tuple(_of_branch(name_product(purl, full.name), branch) for purl in purls)

    def _check_purl(self, purl: str, full: FullName) -> None:
        try:
            PackageURL.from_string(purl)
        except ValueError as error:
            raise BadDocument(
                f"{self._where}: product_tree: {full.id[:80]!r}",
                f"{purl[:80]!r} is not a package URL: {error}",
            ) from error

    def _read_groups(self, groups: Iterable[Group]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for one in groups:
            if one.id in found:
                raise BadDocument(self._where, f"product_groups: {one.id[:80]!r} is defined twice")
            self.check(one.products, f"{self._where}: product_groups: {one.id[:80]!r}")
            found[one.id] = tuple(one.products)
        return found

    def _check_circles(self) -> None:
        """Refuse a product that is a part of itself, and parts of parts without end."""
        heights: dict[str, int] = {}
        for start in self._joined:
            waiting = [start]
            while waiting:
                number = waiting[-1]
                if number in heights:
                    waiting.pop()
                    continue
                inner = [one for one in self._joined[number] if one in self._joined]
                missing = [one for one in inner if one not in heights]
                if not missing:
                    heights[number] = 1 + max((heights[one] for one in inner), default=0)
                    waiting.pop()
                elif any(one in waiting for one in missing):
                    raise BadDocument(
                        self._where, f"product_tree: {number[:80]!r} is a part of itself"
                    )
                elif len(waiting) > _DEPTH:
                    raise TooDeep(self._where, f"its products are parts more than {_DEPTH} deep")
                else:
                    waiting.append(missing[0])


def _walk(branches: list[Branch], where: str) -> Iterator[tuple[FullName, Branch | None]]:
    """All products of the tree, each with the branch that it is."""
    waiting = [(branches, 1)]
    while waiting:
        siblings, depth = waiting.pop()
        if depth > _DEPTH:
            raise TooDeep(where, f"its branches lie more than {_DEPTH} deep in one another")
        for branch in siblings:
            if branch.product is not None:
                yield branch.product, branch
            if branch.branches:
                waiting.append((branch.branches, depth + 1))


def _plain(names: list[FullName] | None) -> Iterator[tuple[FullName, Branch | None]]:
    return ((full, None) for full in names or ())


def _of_branch(product: Product, branch: Branch | None) -> Product:
    """A package without a version has the one that its branch names, if that names one."""
    if branch is None or product.name is None or product.version:
        return product
    if branch.category == "product_version_range":
        fields = {name: getattr(product, name) for name in product.__struct_fields__}
        if branch.name.startswith("vers:"):
            return Product(**fields | {"version": cut(branch.name, NAME_LIMIT)})
        return place(product, Product(within=f"versions {cut(branch.name, NAME_LIMIT)}"))
    if branch.category == "product_version" and _NUMBER.match(branch.name):
        fields = {name: getattr(product, name) for name in product.__struct_fields__}
        return Product(**fields | {"version": cut(branch.name, NAME_LIMIT)})
    return product


def _read_cpe(cpe: str) -> str | None:
    """The scope of a distribution's release that a CPE names (CPE 2.2 and 2.3); None for all else."""
    found = _CPE.match(cpe.lower())
    name = _DISTROS.get((found[1], found[2])) if found else None
    if found is None or name is None:
        return None
    version = found[3]
    if name == "suse" and found[4] and (pack := _PACK.fullmatch(found[4])):
        version = f"{version}.{pack[1]}"
    return scope_of(Distro(name, version)) or None
