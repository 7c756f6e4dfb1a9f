"""Debian's security tracker: its JSON, and its lists of DSA and DLA."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.advisories import Affected
from imagecatalog.errors import BadDocument, CatalogError
from imagecatalog.formats.debian_tracker import read_advisories, read_tracker

OPENSSL = {
    "openssl": {
        "CVE-2026-0001": {
            "description": "a fault",
            "releases": {
                "bookworm": {
                    "status": "resolved",
                    "repositories": {"bookworm": "3.0.14-1", "bookworm-security": "3.0.15-1"},
                    "fixed_version": "3.0.15-1",
                    "urgency": "not yet assigned",
                },
                "trixie": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
                "sid": {"status": "open", "urgency": "low"},
            },
        },
        "CVE-2026-0002": {
            "releases": {
                "bookworm": {
                    "status": "open",
                    "urgency": "low**",
                    "nodsa": "Minor issue",
                    "nodsa_reason": "postponed",
                },
                "bullseye": {"status": "open", "urgency": "end-of-life"},
                "trixie": {"status": "open", "nodsa": "Minor issue", "nodsa_reason": ""},
                "sid": {"status": "undetermined"},
            }
        },
    }
}
LIST = """\
[12 Feb 2026] DSA-5865-2 openssl - regression update
\t[bookworm] - openssl 3.0.15-2
[10 Feb 2026] DSA-5865-1 openssl - security update
\t{CVE-2026-0001 CVE-2026-0003}
\t[bookworm] - openssl 3.0.15-1
\t[bullseye] - openssl <not-affected> (Vulnerable code not present)
\t[buster] - openssl <end-of-life> (not supported)
\tNOTE: a note
"""


def read(value: object) -> dict[tuple[str, str], Affected]:
    parts = read_tracker(io.BytesIO(json.dumps(value).encode()), "tracker")
    return {
        (one.advisory, one.scope.removeprefix("debian/")): one
        for part in parts
        for one in part.affected
    }


def test_each_state_is_kept() -> None:
    found = read(OPENSSL)
    told = {key: (one.status, one.fixed, one.reason) for key, one in found.items()}
    first, second = "CVE-2026-0001", "CVE-2026-0002"
    assert told == {
        (first, "bookworm"): ("fixed", "3.0.15-1", None),
        (first, "trixie"): ("not-affected", None, None),
        (first, "sid"): ("open", None, None),
        (second, "bookworm"): ("open", None, "postponed"),
        (second, "bullseye"): ("open", None, "end-of-life"),
        (second, "trixie"): ("open", None, "no-dsa"),
        (second, "sid"): ("undetermined", None, None),
    }
    assert found[second, "bookworm"].urgency == "low**"


def test_a_part_has_the_digest_of_its_bytes() -> None:
    (before,) = read_tracker(io.BytesIO(json.dumps(OPENSSL).encode()), "tracker")
    (same,) = read_tracker(io.BytesIO(json.dumps(OPENSSL).encode()), "tracker")
    assert before.digest == same.digest
    assert before.advisories[0].description == "a fault"


def test_of_a_part_that_is_known_only_its_scopes_are_told() -> None:
    body = json.dumps(OPENSSL | {"tar": {"CVE-2026-0004": {"releases": {}}}}).encode()
    first = list(read_tracker(io.BytesIO(body), "tracker"))
    assert not any(part.scopes for part in first)
    known = {part.name: part.digest for part in first}
    ssl, tar = read_tracker(io.BytesIO(body), "tracker", known)
    releases = ("bookworm", "bullseye", "sid", "trixie")
    assert ssl.scopes == {f"debian/{one}" for one in releases}
    assert (ssl.digest, ssl.advisories, ssl.affected) == (first[0].digest, (), ())
    assert tar.scopes == frozenset()
    known["openssl"] = b"another"
    again, _ = read_tracker(io.BytesIO(body), "tracker", known)
    assert again == first[0]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"openssl": []},
        {"openssl": {"CVE-1": {"releases": {"sid": {}}}}},
        {"openssl": {"CVE-1": {"releases": {"sid": {"status": "novel"}}}}},
        {"openssl": {"CVE-1": {"releases": {"sid": {"status": "resolved"}}}}},
        {"open ssl": {}},
        {"openssl": {"CVE\n1": {}}},
    ],
)
def test_what_is_not_the_tracker_s_is_refused(value: object) -> None:
    with pytest.raises(BadDocument, match="tracker"):
        read(value)


def test_a_notice_covers_its_faults() -> None:
    second, first = read_advisories(io.BytesIO(LIST.encode()), "DSA/list")
    assert first.advisories[0].covers == ("CVE-2026-0001", "CVE-2026-0003")
    assert first.advisories[0].published == datetime(2026, 2, 10, tzinfo=UTC)
    assert {one.scope: (one.status, one.fixed, one.reason) for one in first.affected} == {
        "debian/bookworm": ("fixed", "3.0.15-1", None),
        "debian/bullseye": ("not-affected", None, None),
        "debian/buster": ("open", None, "end-of-life"),
    }
    assert second.advisories[0].covers == ()
    assert second.affected[0].fixed == "3.0.15-2"


@pytest.mark.parametrize(
    "text", ["\t[bookworm] - openssl 1\n", "openssl\n", "[40 Feb 2026] DSA-1-1 x - y\n"]
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(BadDocument, match="DSA/list"):
        list(read_advisories(io.BytesIO(text.encode()), "DSA/list"))


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    for read_any, good in (
        (read_tracker, json.dumps(OPENSSL).encode()),
        (read_advisories, LIST.encode()),
    ):
        for body in (noise, good[:at] + noise + good[at:]):
            try:
                list(read_any(io.BytesIO(body), "feed"))
            except CatalogError:
                continue
