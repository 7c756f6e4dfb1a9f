"""Modules of RPM: each stream has versions and fixes of its own."""

import json
import subprocess
from pathlib import Path

import pytest

from imagecatalog.domain.packages import Package
from imagecatalog.domain.scopes import find_stream, is_modular, names_in

OSV = Path(__file__).parents[3].parent / "shared/data/osv"
MODULAR = "1:18.20.4-1.module_el9.4.0+119+6b11d4a9"


def named(source: str, version: str, name: str = "nodejs-docs") -> list[str]:
    package = Package("rpm", name, version, "noarch", source, version)
    return [name for name, _ in names_in("almalinux/9", package)]


def test_a_package_of_a_module_is_judged_within_its_stream():
    assert named("nodejs:18/nodejs", MODULAR) == ["nodejs:18/nodejs", "nodejs:18/nodejs-docs"]
    assert named("nodejs:18/nodejs", MODULAR, "nodejs") == ["nodejs:18/nodejs"]
    assert named("nodejs", "1:16.20.2-8.el9_4") == ["nodejs", "nodejs-docs"]
    # Which stream it is of nobody told: no advisory speaks of it.
    assert named("nodejs", MODULAR) == []


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("Important: nodejs:18 security update", "nodejs:18"),
        ("Moderate: php:8.1 security update", "php:8.1"),
        ("RHSA-2023:1234: container-tools:rhel8 bug fix", "container-tools:rhel8"),
        ("Important: 389-ds:1.4 security update", "389-ds:1.4"),
        ("ALSA-2022:8832", None),
        ("Important: nodejs security update", None),
        ("see https://example.org:8080/a", None),
        ("", None),
    ],
)
def test_the_stream_of_a_title(text, stream):
    assert find_stream(text) == stream


@pytest.mark.parametrize("path", [*OSV.glob("almalinux.jsonl.zst")], ids=lambda _: "almalinux")
def test_every_modular_fix_of_almalinux_tells_its_stream(path):
    told = subprocess.run(
        ["zstd", "-dc", "--long=27", path], check=True, capture_output=True, text=True
    ).stdout
    modular = [
        record
        for record in map(json.loads, told.splitlines())
        if any(
            is_modular(event.get("fixed", ""))
            for said in record["affected"]
            for one in said["ranges"]
            for event in one["events"]
        )
    ]
    assert len(modular) == 100
    assert all(find_stream(record["summary"]) for record in modular)
