"""``export sbom`` on the sample fleet, from the database and from a server."""

from __future__ import annotations

import pytest

from imagecatalog.cli.main import main
from imagecatalog.config import Settings
from imagecatalog.formats.sbom import parse_sbom

IMAGE = "registry.example.org/services/checkout:2026-10-28-1"


@pytest.fixture(autouse=True)
def _sample(sample_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_CATALOG_DB", sample_settings.database)
    monkeypatch.delenv("IMAGE_CATALOG_CONFIG", raising=False)


def _export(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str) -> bytes:
    assert main(["export", "sbom", IMAGE, *arguments]) == 0
    return capsysbinary.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--format", "spdx")])
def test_a_server_writes_what_the_database_does(
    arguments: tuple[str, ...],
    sample_server: str,
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = _export(capsysbinary, *arguments)
    monkeypatch.delenv("IMAGE_CATALOG_DB")
    assert _export(capsysbinary, *arguments, "--server", sample_server) == here
    found = parse_sbom(here, "the answer")
    assert found.format == ("SPDX 2.3" if arguments else "CycloneDX 1.6")
    assert len(found.packages) > 10
    assert found.problem is None


def test_an_unknown_image_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "sbom", "registry.example.org/none:1"]) == 3
    assert capsys.readouterr().out == ""


def test_other_formats_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "sbom", IMAGE, "--format", "json"]) == 2
    assert "cyclonedx" in capsys.readouterr().err
