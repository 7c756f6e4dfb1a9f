"""A catalog with faults of which something can be said."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests_store import NOON

from imagecatalog.domain.suppressions import DeferralWish, VexDocument, VexStatement
from imagecatalog.matching.suppress import Held
from imagecatalog.store import deferrals, vex
from imagecatalog.store.dialect import insert_new
from imagecatalog.store.engine import Connection
from imagecatalog.store.schema import advisory

OPENSSL = (("libssl3", "3.0.11-1"), ("openssl", "3.0.11-1"))


def put_faults(c: Connection, *names: str, of: str | None = None) -> dict[str, int]:
    """Faults by name, each with its number; ``of`` is the fault that they are other names of."""
    known = dict(
        c.execute(advisory.select().with_only_columns(advisory.c.name, advisory.c.id)).all()
    )
    insert_new(c, advisory, [{"name": n, "fault_id": known[of] if of else None} for n in names])
    if of:
        c.execute(advisory.update().where(advisory.c.name == of).values(fault_id=known[of]))
    return dict(
        c.execute(advisory.select().with_only_columns(advisory.c.name, advisory.c.id)).all()
    )


def tell(
    c: Connection, *statements: VexStatement, author: str = "vendor", name: str = "a.json"
) -> None:
    """Keep a document of these statements."""
    document = VexDocument(
        name=name, format="OpenVEX", author=author, issued=NOON, statements=statements
    )
    vex.put_document(c, "vex", name, document, vex.digest_of(name.encode()), now=NOON)


def say(
    status: str = "not_affected", fault: str = "CVE-2026-1", **product: str | datetime
) -> VexStatement:
    """A statement about a product."""
    return VexStatement(names=(fault,), status=status, **product)  # type: ignore[arg-type]


def defer(c: Connection, fault: str = "CVE-2026-1", *, days: int = 30, **about: str) -> int:
    """Put a fault off from ``NOON`` on; the deferral's number."""
    number, _ = deferrals.find_fault(c, fault)
    wish = DeferralWish(
        advisory=fault,
        package=about.get("package"),
        image=about.get("image"),
        why="we live with it",
        until=NOON + timedelta(days=days),
    )
    return deferrals.add_deferral(c, number, wish, by=about.get("by", "ann"), now=NOON)[0].id


def held(image: int, fault: int, **more: object) -> Held:
    """A finding of openssl."""
    values = {
        "scope": "debian/bookworm",
        "name": "openssl",
        "version": "3.0.11-1",
        "packages": OPENSSL,
    }
    return Held(image=image, advisory=fault, **(values | more))  # type: ignore[arg-type]
