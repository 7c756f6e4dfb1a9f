"""CSAF documents, versions 2.0 and 2.1, for what they say of products: the VEX profile, and advisories.

Of the mandatory tests (CSAF 2.0, 6.1) those are done that the meaning of a statement rests on:
products and groups that are defined, once and not in circles, no contradiction, package URLs, and
what the VEX profile wants. Scores, revisions, languages and links are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, field

from imagecatalog.domain.suppressions import VexDocument, VexStatus
from imagecatalog.errors import BadDocument
from imagecatalog.formats.csaf_products import Products, Tree
from imagecatalog.formats.inventory import decode
from imagecatalog.formats.oci import parse_time
from imagecatalog.formats.vex_products import NAME_LIMIT, Statements, cut, read_names

VERSIONS = ("2.0", "2.1")
_JUSTIFICATIONS = frozenset(
    {
        "component_not_present",
        "inline_mitigations_already_exist",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_not_present",
    }
)


class _Publisher(Struct):
    name: str


class _Tracking(Struct):
    id: str
    released: str = field(name="current_release_date")


class _Document(Struct):
    category: str
    version: str = field(name="csaf_version")
    publisher: _Publisher
    tracking: _Tracking


class _About(Struct):
    """What is said of products: a flag, a remediation, a threat; of 2.1 also another name."""

    products: list[str] | None = field(name="product_ids", default=None)
    groups: list[str] | None = field(name="group_ids", default=None)
    label: str | None = None
    category: str | None = None
    details: str | None = None
    text: str | None = None


class _Status(Struct):
    first_affected: list[str] | None = None
    first_fixed: list[str] | None = None
    fixed: list[str] | None = None
    known_affected: list[str] | None = None
    known_not_affected: list[str] | None = None
    last_affected: list[str] | None = None
    recommended: list[str] | None = None
    under_investigation: list[str] | None = None
    unknown: list[str] | None = None


class _Vulnerability(Struct):
    cve: str | None = None
    ids: list[_About] | None = None
    status: _Status | None = field(name="product_status", default=None)
    flags: list[_About] | None = None
    remediations: list[_About] | None = None
    threats: list[_About] | None = None


class _Csaf(Struct):
    document: _Document
    tree: Tree | None = field(name="product_tree", default=None)
    vulnerabilities: list[_Vulnerability] | None = None


_CSAF = msgspec.json.Decoder(_Csaf)


def parse_csaf(body: bytes, where: str) -> VexDocument:
    """What a document says of its products; raises ``BadDocument`` and its limits."""
    told = decode(body, _CSAF, where)
    document = told.document
    if document.version not in VERSIONS:
        raise BadDocument(where, f"CSAF {document.version[:20]!r} is not read, 2.0 and 2.1 are")
    if not document.publisher.name.strip():
        raise BadDocument(where, "document.publisher.name: it is empty")
    products = Products(told.tree or Tree(), where)
    is_vex = document.category == "csaf_vex"
    if is_vex and not (told.tree and told.vulnerabilities):
        raise BadDocument(where, "a VEX document needs product_tree and vulnerabilities")
    statements = Statements(where)
    for number, one in enumerate(told.vulnerabilities or ()):
        _read(one, products, statements, f"{where}: vulnerabilities[{number}]", is_vex=is_vex)
    return VexDocument(
        name=cut(document.tracking.id, NAME_LIMIT),
        format=f"CSAF {document.version}",
        author=cut(document.publisher.name.strip(), NAME_LIMIT),
        issued=parse_time(document.tracking.released),
        statements=statements.finish(),
    )


def _read(
    one: _Vulnerability, products: Products, statements: Statements, at: str, *, is_vex: bool
) -> None:
    told = _Told(one, products, at)
    if is_vex:
        _check_profile(one, told, at)
    for status, number in told.list_products():
        names = read_names([one.cve]) or read_names(told.list_names(number))
        if not names:
            continue
        label = told.labels.get(number) if status == "not_affected" else None
        words = told.impacts if status in {"not_affected", "under_investigation"} else told.actions
        for product in products.find(number):
            statements.add(names, status, product, justification=label, statement=words.get(number))


class _Told:
    """What a vulnerability says of which product; raises ``BadDocument``."""

    def __init__(self, one: _Vulnerability, products: Products, at: str) -> None:
        self._status = one.status or _Status()
        self._products = products
        self._at = at
        self._by_status = self._sort_statuses()
        self.labels = self._read_labels(one.flags or ())
        self.impacts = self._read_words(
            item for item in one.threats or () if item.category == "impact"
        )
        self.actions = self._read_words(one.remediations or ())
        for item in one.threats or ():
            self._list_named(item, "threats")
        self._ids = [
            (item.text, frozenset(self._list_named(item, "ids")) if _is_limited(item) else None)
            for item in one.ids or ()
        ]

    def _sort_statuses(self) -> Mapping[str, VexStatus]:
        status = self._status
        kinds: dict[str, VexStatus] = {}
        told: tuple[tuple[VexStatus, list[list[str] | None]], ...] = (
            ("affected", [status.first_affected, status.known_affected, status.last_affected]),
            ("not_affected", [status.known_not_affected]),
            ("fixed", [status.first_fixed, status.fixed]),
            ("under_investigation", [status.under_investigation, status.unknown]),
        )
        for kind, lists in told:
            for number in (number for some in lists for number in some or ()):
                if kinds.setdefault(number, kind) != kind:
                    raise BadDocument(
                        f"{self._at}: product_status",
                        f"{number[:80]!r} is both {kinds[number]} and {kind}",
                    )
        if status.unknown and set(status.unknown) & set(status.under_investigation or ()):
            raise BadDocument(
                f"{self._at}: product_status", "a product is unknown and under investigation"
            )
        every = [*kinds, *(status.recommended or ())]
        self._products.check(every, f"{self._at}: product_status")
        return kinds

    def list_products(self) -> Iterator[tuple[VexStatus, str]]:
        """Each product with what is said of it, in the order of its identifiers in the document."""
        return ((kind, number) for number, kind in self._by_status.items())

    def list_names(self, number: str) -> Iterator[str | None]:
        """The names of the fault in a product, besides its CVE."""
        return (text for text, only in self._ids if only is None or number in only)

    def _list_named(self, item: _About, what: str) -> Iterator[str]:
        """The products of an item, those of its groups too."""
        at = f"{self._at}: {what}"
        self._products.check(item.products or (), at)
        for group in item.groups or ():
            if group not in self._products.groups:
                raise BadDocument(at, f"no group is named {group[:80]!r}")
        groups = (self._products.groups[group] for group in item.groups or ())
        return (number for some in (item.products or (), *groups) for number in some)

    def _read_labels(self, flags: Iterable[_About]) -> Mapping[str, str]:
        labels: dict[str, str] = {}
        for flag in flags:
            if not flag.products and not flag.groups:
                raise BadDocument(f"{self._at}: flags", "a flag is of no product")
            for number in self._list_named(flag, "flags"):
                if flag.label not in _JUSTIFICATIONS:
                    continue
                if labels.setdefault(number, flag.label) != flag.label:
                    raise BadDocument(
                        f"{self._at}: flags", f"{number[:80]!r} has several justifications"
                    )
        return labels

    def _read_words(self, items: Iterable[_About]) -> Mapping[str, str]:
        words: dict[str, str] = {}
        for item in items:
            for number in self._list_named(item, "remediations or threats"):
                words.setdefault(number, cut(item.details or item.category or ""))
        return words


def _is_limited(item: _About) -> bool:
    return item.products is not None or item.groups is not None


def _check_profile(one: _Vulnerability, told: _Told, at: str) -> None:
    """What the VEX profile wants of each vulnerability (CSAF 2.0, 4.5)."""
    if one.cve is None and not one.ids:
        raise BadDocument(at, "it has neither cve nor ids")
    by_kind: dict[str, set[str]] = {}
    for kind, number in told.list_products():
        by_kind.setdefault(kind, set()).add(number)
    status = one.status or _Status()
    if not (
        status.fixed
        or status.known_affected
        or status.known_not_affected
        or status.under_investigation
    ):
        raise BadDocument(f"{at}: product_status", "it says nothing of any product")
    wanting = by_kind.get("not_affected", set()) - told.impacts.keys() - told.labels.keys()
    if wanting:
        raise BadDocument(at, f"nothing says why {min(wanting)[:80]!r} is not affected")
    wanting = set(status.known_affected or ()) - told.actions.keys()
    if wanting:
        raise BadDocument(at, f"nothing says what to do about {min(wanting)[:80]!r}")
