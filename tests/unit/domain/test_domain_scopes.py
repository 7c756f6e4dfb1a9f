"""What OSV calls a release and what os-release calls it is one scope."""

from __future__ import annotations

import pytest

from imagecatalog.domain.packages import Distro
from imagecatalog.domain.scopes import (
    ECOSYSTEMS,
    NOWHERE,
    ecosystem_of,
    scope_of,
    scope_of_ecosystem,
)


@pytest.mark.parametrize(
    ("ecosystem", "os_id", "version", "codename"),
    [
        ("Debian:12", "debian", "12", "bookworm"),
        ("Debian:12", "debian", "12", None),
        ("Ubuntu:22.04:LTS", "ubuntu", "22.04", "jammy"),
        ("Ubuntu:Pro:18.04:LTS", "ubuntu", "18.04", "bionic"),
        ("Ubuntu:23.10", "ubuntu", "23.10", None),
        ("Alpine:v3.18", "alpine", "3.18.4", None),
        ("Alpine:edge", "alpine", "3.22_alpha20250108", None),
        ("AlmaLinux:9", "almalinux", "9.4", None),
        ("Rocky Linux:8", "rocky", "8.9", None),
        ("Red Hat:enterprise_linux:9::appstream", "rhel", "9.4", None),
        ("Azure Linux:3", "azurelinux", "3.0", None),
        ("Azure Linux:2", "mariner", "2.0", None),
        ("openSUSE:Leap 15.5", "opensuse-leap", "15.5", None),
        ("openSUSE:Tumbleweed", "opensuse-tumbleweed", "20260801", None),
        ("SUSE:Linux Enterprise Server 15 SP5-LTSS", "sles", "15.5", None),
        ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "sles", "15.5", None),
        ("openEuler:24.03-LTS", "openeuler", "24.03", None),
        ("Mageia:9", "mageia", "9", None),
        ("Photon OS:4.0", "photon", "4.0", None),
        ("Wolfi", "wolfi", "20230201", None),
        ("Chainguard", "chainguard", "20230214", None),
    ],
)
def test_a_release_has_one_scope(
    ecosystem: str, os_id: str, version: str, codename: str | None
) -> None:
    scope = scope_of_ecosystem(ecosystem)
    assert scope != NOWHERE
    assert scope_of(Distro(os_id, version, codename)) == scope
    assert ecosystem_of(scope) == ecosystem.partition(":")[0]


@pytest.mark.parametrize(
    "name", ["Debian", "Bitnami", "SUSE:Manager Tools", "Red Hat:rhel_eus:9.2"]
)
def test_what_names_no_release_is_nowhere(name: str) -> None:
    assert scope_of_ecosystem(name) == NOWHERE


def test_every_ecosystem_is_found_again() -> None:
    for scope, name in ECOSYSTEMS.items():
        release = {"debian": "12", "redhat": "enterprise_linux:9", "suse": "X 15"}.get(scope, "1.2")
        found = scope_of_ecosystem(f"{name}:{release}")
        assert found.partition("/")[0] == scope
        assert ecosystem_of(found) == name
    assert ecosystem_of("fedora/40") is None
