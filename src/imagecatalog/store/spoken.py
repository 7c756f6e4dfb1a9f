"""The findings of faults of which something is said, and the worst of what is left beside them."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, select

from imagecatalog.domain.findings import SEVERITIES, State
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import (
    advisory,
    component_package,
    finding,
    package_chunk_member,
)

_NEGLIGIBLE = SEVERITIES.index("negligible")


class SpokenFinding(Struct, frozen=True, gc=False):
    """A finding that counts, of a fault of which something is said."""

    component: int
    fault: int
    name: str
    state: State
    severity: int

    @property
    def is_fixable(self) -> bool:
        """Whether a fix is out that somebody may want."""
        return self.state == "fix-out" and self.severity != _NEGLIGIBLE


def list_findings(c: Connection, faults: Collection[int]) -> list[SpokenFinding]:
    """The findings of these faults, whoever holds what has them."""
    found: list[SpokenFinding] = []
    for batch in batches(sorted(faults)):
        query = (
            select(
                finding.c.component_id,
                advisory.c.id,
                advisory.c.name,
                finding.c.state,
                finding.c.severity,
            )
            .join(advisory, advisory.c.id == finding.c.advisory_id)
            .where(finding.c.advisory_id.in_(batch), finding.c.counted)
        )
        found += (SpokenFinding(*row) for row in c.execute(query))
    return found


def list_fixable(c: Connection, chunks: Collection[int], but: Collection[int]) -> dict[int, int]:
    """The worst fault with a fix of each component that these chunks hold; ``but`` are no faults."""
    apart = frozenset(but)
    found: dict[int, int] = {}
    for batch in batches(sorted(chunks)):
        held = (
            select(component_package.c.component_id)
            .join(
                package_chunk_member,
                package_chunk_member.c.package_version_id == component_package.c.package_version_id,
            )
            .where(package_chunk_member.c.chunk_id.in_(batch))
        )
        query = select(finding.c.component_id, finding.c.advisory_id, finding.c.severity).where(
            finding.c.component_id.in_(held),
            finding.c.counted,
            finding.c.state == "fix-out",
            finding.c.severity > _NEGLIGIBLE,
        )
        for number, fault, severity in c.execute(query):
            if fault not in apart:
                found[number] = max(severity, found.get(number, 0))
    return found
