"""What Debian's tracker says of each fault, as a person is told it of an image: by sync, refresh, show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_registry import STATUS, BadRegistry, debian, paragraph, serve
from bad_shop import CommandLine

WIDE = "220"
TOLD = {
    "01": {"status": "resolved", "fixed_version": "2.0-1", "urgency": "medium"},
    "02": {"status": "resolved", "fixed_version": "0", "urgency": "unimportant"},
    "03": {"status": "open", "urgency": "low", "nodsa": "Minor issue", "nodsa_reason": ""},
    "04": {"status": "open", "urgency": "low", "nodsa": "x", "nodsa_reason": "postponed"},
    "05": {"status": "open", "urgency": "low", "nodsa": "x", "nodsa_reason": "ignored"},
    "06": {"status": "open", "urgency": "end-of-life"},
    "07": {"status": "undetermined", "urgency": "not yet assigned"},
    "08": {"status": "open", "urgency": "unimportant"},
    "09": {"status": "resolved", "fixed_version": "0.9-1", "urgency": "high"},
}
STATES = {
    "CVE-2026-1001": ("fix out", "2.0-1"),
    "CVE-2026-1002": ("not affected", "-"),
    "CVE-2026-1003": ("no fix yet", "minor: no notice of its own"),
    "CVE-2026-1004": ("no fix yet", "put off until another fix is due"),
    "CVE-2026-1005": ("Debian will not fix it", "ignored"),
    "CVE-2026-1006": ("Debian will not fix it", "out of support"),
    "CVE-2026-1007": ("unknown", "nobody has determined it"),
    "CVE-2026-1008": ("no fix yet", "-"),
    "CVE-2026-1009": ("fixed here", "0.9-1"),
    "CVE-2026-1010": ("unknown", "a version that is none cannot be compared"),
}


@pytest.fixture
def registry() -> Iterator[BadRegistry]:
    with serve() as registry:
        yield registry


@pytest.fixture
def told(
    command: CommandLine, registry: BadRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The name of an image that was read and judged."""
    monkeypatch.setenv("COLUMNS", WIDE)
    issues = {
        f"CVE-2026-10{number}": {"releases": {"bookworm": said}} for number, said in TOLD.items()
    }
    fixed = {"status": "resolved", "fixed_version": "9-1", "urgency": "low"}
    tracker = tmp_path / "tracker.json"
    tracker.write_text(
        json.dumps({"made": issues, "odd": {"CVE-2026-1010": {"releases": {"bookworm": fixed}}}})
    )
    status = "\n".join((paragraph("made-bin", "1.0-1", Source="made"), paragraph("odd", "1_2")))
    registry.tag("app", registry.add_image(debian({STATUS: status.encode()})))
    command.run("sync", registry.url)
    command.run("refresh", "--from-file", f"debian-tracker={tracker}")
    return f"{registry.host}/app:1"


def test_each_state_has_its_words(command: CommandLine, told: str) -> None:
    shown = command.run("show", told, "--advisories", "--all").out
    found = {}
    for line in shown.splitlines():
        cells = re.split(r" {2,}", line)
        for name in re.findall(r"CVE-2026-\d{4}", line):
            found[name] = cells[3], cells[4]
    assert found == STATES
    assert re.search(r"^SEVERITY +PACKAGE +INSTALLED +STATE +FIXED IN +ADVISORIES", shown, re.M)


def test_what_is_suppressed_is_a_state_and_stays(command: CommandLine, told: str) -> None:
    command.run("defer", "CVE-2026-1001", "--until", "2027-01-01", "--why", "soon", "--by", "ann")
    shown = command.run("show", told, "--advisories", "--all").out
    (line,) = [one for one in shown.splitlines() if "CVE-2026-1001" in one and "1.0-1" in one]
    assert re.split(r" {2,}", line)[3:5] == ["suppressed", "2.0-1"]
    assert "deferred by ann" in shown


def test_one_invalid_version_spoils_no_other_package(command: CommandLine, told: str) -> None:
    image = command.show(told)
    assert {one["package"]: one["installed"] for one in image["packages"]} == {
        "made-bin": "1.0-1",
        "odd": "1_2",
    }
    found = command.run("show", told, "--advisories", "--format", "json").json()
    states = {one["advisory"]: one["state"] for one in found["items"]}
    assert states["CVE-2026-1001"] == "fix-out"
    assert states["CVE-2026-1010"] == "undetermined"
    assert [one for one in found["unknown"] if "odd 1_2" in one]


def test_no_apt_sources_offer_nothing_and_withhold_nothing(command: CommandLine, told: str) -> None:
    found = command.run("show", told, "--advisories", "--format", "json").json()
    (fixable,) = [one for one in found["items"] if one["state"] == "fix-out"]
    assert fixable["offered"] is None
    assert "do not offer" not in command.run("show", told, "--advisories").out


def test_scores_that_are_too_old_are_told(command: CommandLine, told: str, tmp_path: Path) -> None:
    kev = tmp_path / "kev.json"
    entry = {"cveID": "CVE-2026-1001", "dateAdded": "2026-08-01"}
    kev.write_text(json.dumps({"catalogVersion": "v", "count": 1, "vulnerabilities": [entry]}))
    config = tmp_path / "config.toml"
    asked = (
        ("show", told, "--advisories"),
        ("affected", "CVE-2026-1001"),
        ("advisories",),
    )
    command.run("refresh", "--from-file", f"kev={kev}")
    for words in asked:
        assert "too old" not in command.run(*words).out
    config.write_text("[feed_days]\nkev = 0.0000001\n")
    command.run("--config", config, "refresh", "--from-file", f"kev={kev}")
    for words in asked:
        said = " ".join(command.run(*words).out.split())
        assert "too old: kev was last read well 0 days ago" in said, words
        found = command.run(*words, "--format", "json").json()
        assert len(found["old_scores"]) == 1


def test_a_derived_distribution_counts_as_configured(
    command: CommandLine, registry: BadRegistry, told: str, tmp_path: Path
) -> None:
    release = b'ID=raspbian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
    status = paragraph("made-bin", "1.0-1", Source="made").encode()
    files = {"etc/os-release": release, STATUS: status}
    registry.tag("pi", registry.add_image(debian(files)))
    config = tmp_path / "config.toml"
    config.write_text('[derived]\n"raspbian 12" = "debian bookworm"\n')
    name = f"{registry.host}/pi:1"
    command.run("sync", registry.url)
    command.run("refresh", "apt")
    found = command.run("show", name, "--advisories", "--format", "json").json()
    assert (found["items"], found["unknown"]) != ([], [])
    assert not found["items"]
    command.run("--config", config, "refresh", "apt")
    found = command.run("show", name, "--advisories", "--format", "json").json()
    assert found["scope"] == "debian/bookworm"
    assert found["counts"]["fixable"] == 1
    assert "Debian will not fix it (ignored)" in command.run("show", name, "--advisories").out
