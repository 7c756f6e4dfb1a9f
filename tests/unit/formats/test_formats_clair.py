"""Clair's answers: those of a real one, those that say too much or too little, hostile ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.refs import Digest
from imagecatalog.domain.second_opinions import FoundPackage, Statement
from imagecatalog.errors import BadDocument, TooDeep, TooLarge, TooManyEntries
from imagecatalog.formats import clair

CAPTURES = Path(__file__).parents[3].parent / "shared" / "data" / "captures" / "clair-4"
DIGEST = "sha256:" + 64 * "1"
LAYER = "sha256:" + 64 * "2"

REPORT: dict[str, Any] = {
    "manifest_hash": DIGEST,
    "state": "IndexFinished",
    "success": True,
    "err": "",
    "packages": {
        "2": {
            "id": "2",
            "name": "bash",
            "version": "5.2.15-2+b9",
            "kind": "binary",
            "source": {"id": "1", "name": "bash", "version": "5.2.15-2", "source": None},
            "normalized_version": "",
            "arch": "amd64",
            "cpe": "",
        },
        "3": {"id": "3", "name": "Flask", "version": "3.0", "source": None, "arch": None},
    },
    "distributions": {"1": {"did": "debian", "version_id": "12", "version": "12 (bookworm)"}},
    "repository": {"5": {"name": "pypi", "uri": "https://python.example.org", "cpe": ""}},
    "environments": {
        "2": [
            {"package_db": "var/lib/dpkg/status", "introduced_in": LAYER, "distribution_id": "1"}
        ],
        "3": [
            {
                "package_db": "python:usr/lib/python3",
                "introduced_in": "",
                "repository_ids": ["5", "6"],
            }
        ],
    },
    "vulnerabilities": {
        "7": {
            "name": "CVE-2026-1111",
            "updater": "debian/updater",
            "severity": "high",
            "normalized_severity": "Critical",
            "package": {"name": "bash", "kind": "source"},
            "fixed_in_version": "",
            "Self": {"never": "heard of"},
        },
        "8": {
            "name": "RHSA-2026:123: bash update (Important)",
            "updater": "rhel",
            "links": "https://e.example/RHSA-2026:123 https://e.example/cve/CVE-2026-5555",
            "normalized_severity": "Unknown",
            "fixed_in_version": "5.3",
        },
    },
    "package_vulnerabilities": {"2": ["7", "8", "99"], "3": None},
}


def _body(**changes: Any) -> bytes:
    return json.dumps(REPORT | changes).encode()


def test_a_report_as_values() -> None:
    report = clair.read_vulnerability_report(_body(), "report")
    bash = FoundPackage(
        type="deb", name="bash", version="5.2.15-2+b9", arch="amd64", source="bash",
        source_version="5.2.15-2", distro="debian 12",
    )  # fmt: skip
    flask = FoundPackage(
        type="pypi", name="Flask", version="3.0", arch="", source="Flask", source_version="3.0",
        distro="", origin="https://python.example.org",
    )  # fmt: skip
    assert report.found == {bash: Digest(LAYER), flask: None}
    assert report.claims == {
        bash: (
            Statement(
                updater="debian/updater", name="CVE-2026-1111", names=("CVE-2026-1111",), package="bash",
                severity="critical", urgency="high", fixed=None,
            ),
            Statement(
                updater="rhel", name="RHSA-2026:123: bash update (Important)",
                names=("RHSA-2026:123", "CVE-2026-5555"), package="", severity=None, urgency=None,
                fixed="5.3",
            ),
        )
    }  # fmt: skip
    assert report.unread == 0
    assert clair.read_index_report(_body(), "report").is_finished


@pytest.mark.parametrize(
    ("changes", "unread"),
    [
        ({"packages": REPORT["packages"] | {"4": {"version": "1"}}}, 1),
        ({"packages": {"2": 5}}, 2),
        ({"vulnerabilities": {"7": {"name": None}}}, 1),
        ({"vulnerabilities": None, "package_vulnerabilities": None}, 0),
        ({"environments": {"2": [1]}}, 1),
        ({"package_vulnerabilities": {"2": "7"}}, 1),
        ({"distributions": {"1": []}}, 1),
        ({"package_vulnerabilities": {"5": ["7"]}}, 1),
        ({"enrichments": None, "repository": None}, 0),
        ({"repository": {"1": 5}}, 1),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_is_read(
    changes: dict[str, Any], unread: int
) -> None:
    assert clair.read_vulnerability_report(_body(**changes), "report").unread == unread


@pytest.mark.parametrize(
    ("success", "state", "error"),
    [(False, "IndexError", "failed to scan"), (True, "CheckManifest", ""), (False, "", "")],
)
def test_an_index_that_did_not_end_well(success: bool, state: str, error: str) -> None:
    result = clair.read_index_report(_body(success=success, state=state, err=error), "report")
    assert not result.is_finished
    assert result.error == (error or state)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadDocument):
        clair.read_vulnerability_report(_body(manifest_hash="sha256:short"), "report")
    deep = b'{"manifest_hash":' + b"[" * 100_000
    for read in (clair.read_vulnerability_report, clair.read_index_report):
        with pytest.raises(BadDocument):
            read(deep, "report")
    nested = _body(repository=None)[:-1] + b',"extra":' + b"[" * 5000 + b"]" * 5000 + b"}"
    with pytest.raises(TooDeep):
        clair.read_vulnerability_report(nested, "report")
    monkeypatch.setattr(clair, "CLAIMS_LIMIT", 2)
    with pytest.raises(TooManyEntries):
        clair.read_vulnerability_report(_body(), "report")
    monkeypatch.setattr(clair, "STATEMENTS_LIMIT", 1)
    with pytest.raises(TooManyEntries):
        clair.read_vulnerability_report(_body(), "report")
    monkeypatch.setattr(clair, "REPORT_LIMIT", 100)
    with pytest.raises(TooLarge):
        clair.read_vulnerability_report(_body(), "report")


def test_endless_texts_are_cut_and_hold_no_zero_byte() -> None:
    vulnerability = {
        "name": "CVE-2026-1111 " + "x" * 10_000,
        "fixed_in_version": "1\0" + "9" * 100_000,
    }
    body = _body(vulnerabilities={"7": vulnerability}, package_vulnerabilities={"2": ["7"]})
    ((statement,),) = clair.read_vulnerability_report(body, "report").claims.values()
    assert len(statement.name) == len(statement.fixed or "") == 255
    assert "\0" not in (statement.fixed or "")
    assert statement.names == ("CVE-2026-1111",)


def test_updates() -> None:
    one = {"ref": "b", "updater": "debian/updater", "date": "2026-11-23T10:00:00.5Z", "kind": "x"}
    other = {"ref": "a", "date": "2026-11-23T12:00:00+01:00"}
    found = clair.read_updates(
        json.dumps({"debian": [one], "osv": [other], "x": None}).encode(), ""
    )
    assert found.newest == datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert found.fingerprint
    again = clair.read_updates(json.dumps({"osv": [other], "debian": [one]}).encode(), "")
    assert again.fingerprint == found.fingerprint
    for nothing in (b"{}", b"null", b'{"debian": []}', b'{"debian": null}'):
        assert clair.read_updates(nothing, "") == clair.Updates("", None)


def test_a_notification_and_its_pages() -> None:
    name = "794cc876-63ff-47e6-8495-5f69c4c147d8"
    noted = [{"manifest": DIGEST, "reason": "added"}, {"manifest": "x"}, {}, {"manifest": DIGEST}]
    body = json.dumps({"page": {"size": 4, "next": name.upper()}, "notifications": noted}).encode()
    assert clair.read_notification(body, "") == clair.Notification((Digest(DIGEST),), name)
    last = clair.read_notification(b'{"page": {"size": 4}, "notifications": null}', "")
    assert last == clair.Notification((), None)
    with pytest.raises(BadDocument):
        clair.read_notification(b'{"page": {"next": "../../secret"}}', "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"notification_id": 5}',
        b'{"notification_id": "../x"}',
        b"\xff",
        b"[" * 9999,
    ],
)
def test_a_callback_that_names_no_notification(body: bytes) -> None:
    with pytest.raises(BadDocument):
        clair.read_callback(body)


@given(st.data())
def test_no_bytes_raise_anything_else(data: st.DataObject) -> None:
    """Real shapes with anything in place of some member."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "2", "7", "did", "version"]), inner, max_size=3
            )
        ),
        max_leaves=6,
    )
    key = data.draw(st.sampled_from(sorted(REPORT)))
    value = data.draw(anything)
    body = _body(**{key: value})
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body)))]
    for read in (
        clair.read_vulnerability_report,
        clair.read_index_report,
        clair.read_index_state,
        clair.read_updates,
        clair.read_notification,
    ):
        try:
            read(body, "somewhere")
        except BadDocument:
            continue
    clair.read_fault(body)


# --- what a real Clair 4.9 answered ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted(CAPTURES.glob("vulns-*_*.json")), ids=lambda path: path.stem
)
def test_real_vulnerability_reports(path: Path) -> None:
    raw = json.loads(path.read_bytes())
    report = clair.read_vulnerability_report(path.read_bytes(), path.name)
    assert (report.manifest, report.unread) == (raw["manifest_hash"], 0)
    assert len(report.found) == len(raw["packages"])
    assert None not in report.found.values()
    count = sum(len(held) for held in raw["package_vulnerabilities"].values())
    assert sum(map(len, report.claims.values())) == count
    assert {one.distro for one in report.found if one.type == "deb"} == {"debian 12"}
    assert {package.type for package in report.found} <= {"deb", "pypi"}


@pytest.mark.parametrize(
    "path", sorted(CAPTURES.glob("index-*_*.json")), ids=lambda path: path.stem
)
def test_real_index_reports(path: Path) -> None:
    raw = json.loads(path.read_bytes())
    result = clair.read_index_report(path.read_bytes(), path.name)
    assert result.is_finished
    assert len(result.report.found) == len(raw["packages"])
    assert result.report.claims == {}


@pytest.mark.parametrize(
    "path", sorted(CAPTURES.glob("webhook-*.json")), ids=lambda path: path.stem
)
def test_real_webhooks_and_their_pages(path: Path) -> None:
    assert clair.read_callback(path.read_bytes()) in path.read_text()
    for page in CAPTURES.glob("notification-*.json"):
        notification = clair.read_notification(page.read_bytes(), page.name)
        assert len(notification.manifests) == 3
        assert notification.next is None


@pytest.mark.parametrize(
    "path", sorted(CAPTURES.glob("index_state.json")), ids=lambda path: path.stem
)
def test_a_real_state_and_real_faults(path: Path) -> None:
    assert clair.read_index_state(path.read_bytes(), "") == "cb31df8269833698891b35a63251a81a"
    assert clair.read_fault((CAPTURES / "index-bogus.json").read_bytes()) == "bogus manifest"
    assert "BLOB_UNKNOWN" in clair.read_fault((CAPTURES / "index-missing-blob.json").read_bytes())
