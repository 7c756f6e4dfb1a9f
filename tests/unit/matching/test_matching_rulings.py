"""Rulings on a package: what a feed tells under very many names costs no more than it tells."""

from __future__ import annotations

from imagecatalog.matching.rulings import rule
from imagecatalog.store.rulings import Background, Claim


def claims(names: int) -> list[Claim]:
    """As many advisories, all of one fault, each with a fix of its own."""
    return [
        Claim(
            advisory=number,
            fault=1,
            feed="osv PyPI",
            status="fixed",
            low_key=None,
            high_key=b"%06d" % number,
            high_inclusive=False,
            fixed=str(number),
            urgency=None,
            reason=None,
        )
        for number in range(1, names + 1)
    ]


def test_every_name_of_a_fault_is_ruled_on() -> None:
    found = rule(claims(20), Background({}, {}))
    assert len(found) == 20 * 20
    assert {one.advisory for one in found if one.counted} == {1}


def test_a_fault_of_very_many_names_is_ruled_on_under_its_best_alone() -> None:
    found = rule(claims(5000), Background({}, {}))
    assert len(found) == 5000
    assert all(one.advisory == 1 and one.counted for one in found)
