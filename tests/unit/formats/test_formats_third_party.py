"""Which packages Debian did not build, by their maintainer or by what stands in the version."""

import subprocess
from pathlib import Path

import pytest

from imagecatalog.formats.third_party import is_foreign_vendor, is_third_party

SUITES = Path(__file__).parents[3].parent / "shared/data/debian"


@pytest.mark.parametrize(
    "version",
    [
        "1.25.3-1~bookworm",
        "1.13.8-1~stretch",
        "20.10.0-1nodesource1",
        "5:20.10.7~3-0~debian-buster",
        "5:24.0.7-1~debian.12~bookworm",
        "15.5-1.pgdg120+1",
        "260.pgdg120+1",
        "1:10.11.6+maria~deb12",
        "10.1.30+maria-1~jessie",
        "8.2.13-1+0~20231121.61+debian12~1.gbp7f6f2a",
        "1:17.0.6~++20231209124227+6009708b4367-1~exp1",
        "6:7.2.3-1rl1~bookworm1",
        "1:6.0.25-1+debian12",
        "6.12.0.182-0xamarin1+debian10b1",
        "5.7.21-20-2.jessie",
    ],
)
def test_versions_that_others_write(version):
    assert is_third_party(version)


@pytest.mark.parametrize(
    "version",
    [
        "1.22.1-9+deb12u1",
        "7.26.0-1+wheezy24",
        "246.9.1-1+debian1",
        "0.01.1~debian-5",
        "2.6+debian.4-4",
        "5.2.15-2+b7",
        "1.8.0-1~bpo12+1",
        "8.0.1-0ubuntu0.22.04.1",
        "2.4.99-1~ubuntu16.04.1",
        "1.1.1n-0+deb11u5",
        "20230311",
    ],
)
def test_versions_that_debian_and_ubuntu_write(version):
    assert not is_third_party(version)


@pytest.mark.parametrize(
    ("maintainer", "third"),
    [
        ("Docker <support@docker.com>", True),
        ("HashiCorp <someone@example.org>", True),
        ("NGINX Packaging <nginx-packaging@f5.com>", True),
        ("Grafana Labs <contact@grafana.com>", True),
        ("Debian Go Packaging Team <team+pkg-go@tracker.debian.org>", False),
        ("A Maintainer <someone@google.com>", False),
        ("Kubernetes Team <k8s@example.net>", False),
        ("", False),
    ],
)
def test_maintainers(maintainer, third):
    assert is_third_party("1.0-1", maintainer) == third


@pytest.mark.parametrize(
    ("vendor", "third"),
    [
        ("Red Hat, Inc.", False),
        ("SUSE LLC <https://www.suse.com/>", False),
        ("Rocky Enterprise Software Foundation", False),
        ("", False),
        ("NodeSource", True),
        ("Datadog <package@datadoghq.com>", True),
    ],
)
def test_vendors(vendor, third):
    assert is_foreign_vendor(vendor) == third


@pytest.mark.parametrize("lists", [*SUITES.glob("suite-packages-amd64.tsv.zst")], ids=lambda _: "")
def test_no_package_of_debian_is_taken_for_anothers(lists):
    told = subprocess.run(
        ["zstd", "-dc", "--long=27", lists], check=True, capture_output=True, text=True
    ).stdout.splitlines()[1:]
    versions = {version for line in told for version in line.split("\t")[2:5:2]}
    assert len(versions) > 10_000
    assert [version for version in versions if is_third_party(version)] == []
