"""What a VEX document names as a product, and how its readers make statements of that.

A product that cannot be told from an image's packages keeps its name in ``within``: statements about
it are read and shown, and never applied.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from imagecatalog.domain.refs import Reference
from imagecatalog.domain.scopes import canonical_name, scope_of
from imagecatalog.domain.suppressions import VexStatement, VexStatus, check_fault
from imagecatalog.errors import BadName, TooManyEntries, clean_text
from imagecatalog.formats.inventory import image_digest
from imagecatalog.formats.purl import (
    IMAGE_TYPES,
    SYSTEM_TYPES,
    Purl,
    distro_of,
    package_name,
    parse_purl,
)

STATEMENTS_LIMIT = 200_000
"""Statements of a document, one for each product and name of its fault."""
TEXT_LIMIT = 2000
"""Characters that are kept of what an author says."""
NAME_LIMIT = 400
"""Characters that are kept of a name."""

_EVERYWHERE = frozenset({"", "all", "any", "noarch", "source", "src"})
_NAMESPACES = {"rhel": "redhat", "sles": "suse", "amzn": "amazon"}
"""Names of distributions as some write them in package URLs."""


class Product(Struct, frozen=True, kw_only=True):
    """An image, a package, or a package in an image; or something else, named by ``within``."""

    image_digest: str | None = None
    repository: str | None = None
    tag: str | None = None
    type: str | None = None
    namespace: str | None = None
    name: str | None = None
    version: str | None = None
    scope: str | None = None
    within: str | None = None

    @property
    def is_image(self) -> bool:
        """Whether it names an image and no package."""
        return self.name is None and bool(self.image_digest or self.repository)


def name_product(purl: str | None, fallback: str = "") -> Product:
    """The product that a package URL names; one of another name is not understood."""
    try:
        parsed = parse_purl(purl or "")
        return _name_image(parsed) if parsed.type in IMAGE_TYPES else _name_package(parsed)
    except BadName:
        return Product(within=cut(fallback or purl or "a product without a name", NAME_LIMIT))


def _name_image(purl: Purl) -> Product:
    digest = image_digest(purl)
    if digest is not None:
        return Product(image_digest=str(digest), repository=_repository(purl))
    tag = purl.qualifiers.get("tag") or purl.version or None
    arch = purl.qualifiers.get("arch")
    within = f"images for {cut(arch, NAME_LIMIT)}" if arch else None
    return Product(repository=_repository(purl), tag=tag and cut(tag, NAME_LIMIT), within=within)


def _repository(purl: Purl) -> str:
    """``registry/path``; without an address the name alone. Raises ``BadName``."""
    address = purl.qualifiers.get("repository_url", "").rpartition("://")[2].strip("/")
    path = "/".join(filter(None, (purl.namespace, purl.name)))
    if purl.type == "docker" and "/" not in address:
        return Reference.parse(f"{address}/{path}" if address else path).name
    if not address:
        return Reference.parse(path).path.rpartition("/")[2]
    if address.rpartition("/")[2] != purl.name:
        address = f"{address}/{path}"
    return Reference.parse(address).name


def _name_package(purl: Purl) -> Product:
    is_system = purl.type in SYSTEM_TYPES
    version = purl.version
    epoch = purl.qualifiers.get("epoch", "0")
    if is_system and version and epoch != "0" and ":" not in version:
        version = f"{epoch}:{version}"
    scope, within = None, None
    if is_system and "distro" in purl.qualifiers:
        scope = scope_of(distro_of(purl)) or None
        within = None if scope else purl.qualifiers["distro"]
    for name in ("rpmmod", "arch") if is_system and not version else ():
        if purl.qualifiers.get(name, "") not in _EVERYWHERE:
            within = f"{name} {purl.qualifiers[name]}"
    namespace = (purl.namespace or "").lower() if is_system else ""
    return Product(
        type=purl.type,
        namespace=cut(_NAMESPACES.get(namespace, namespace), NAME_LIMIT) or None,
        name=cut(canonical_name(purl.type, package_name(purl)), NAME_LIMIT),
        version=version and cut(version, NAME_LIMIT),
        scope=scope,
        within=within and cut(within, NAME_LIMIT),
    )


def place(part: Product, whole: Product) -> Product:
    """A part where it is in a whole: a package in an image, or in what no image tells."""
    if part.image_digest or (part.is_image and whole.is_image):
        return part
    if whole.is_image and not part.is_image:
        return Product(
            image_digest=whole.image_digest,
            repository=whole.repository,
            tag=whole.tag,
            type=part.type,
            namespace=part.namespace,
            name=part.name,
            version=part.version,
            scope=part.scope,
            within=part.within or whole.within,
        )
    return _within(part, describe(whole))


def _within(part: Product, what: str) -> Product:
    fields = {name: getattr(part, name) for name in part.__struct_fields__}
    return Product(**fields | {"within": cut(part.within or what, NAME_LIMIT)})


def restrict(product: Product, scope: str) -> Product:
    """The same in one release of a distribution alone."""
    fields = {name: getattr(product, name) for name in product.__struct_fields__}
    return Product(**fields | {"scope": scope})


def describe(product: Product) -> str:
    """A product in a few words."""
    named = product.name or product.repository or product.within or "something else"
    return f"{named} {product.version}" if product.version and product.name else named


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """A foreign text as it can be kept."""
    return clean_text(text[:limit])


def read_names(texts: Iterable[str | None]) -> tuple[str, ...]:
    """The names of a fault among these, each once: of an address its last part."""
    names = []
    for text in texts:
        try:
            names.append(check_fault((text or "").rpartition("/")[2]))
        except BadName:
            continue
    return tuple(dict.fromkeys(names))


class Statements:
    """The statements of one document; raises ``TooManyEntries`` beyond ``STATEMENTS_LIMIT``."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: dict[VexStatement, None] = {}
        self._size = 0

    def add(
        self,
        names: tuple[str, ...],
        status: VexStatus,
        product: Product,
        *,
        justification: str | None = None,
        statement: str | None = None,
        issued: datetime | None = None,
    ) -> None:
        """Take a statement about a product."""
        self._size += max(len(names), 1)
        if self._size > STATEMENTS_LIMIT:
            raise TooManyEntries(self._where, f"it makes more than {STATEMENTS_LIMIT} statements")
        fields = {name: getattr(product, name) for name in product.__struct_fields__}
        made = VexStatement(
            names=names,
            status=status,
            justification=cut(justification, NAME_LIMIT) if justification else None,
            statement=cut(statement) if statement else None,
            issued=issued,
            **fields,
        )
        self._found[made] = None

    def finish(self) -> tuple[VexStatement, ...]:
        """All of them, in their order, each once."""
        return tuple(self._found)
