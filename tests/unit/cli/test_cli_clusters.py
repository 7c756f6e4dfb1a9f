"""The verb ``clusters``: what is known of each, and one forgotten."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imagecatalog.catalog import timeline
from imagecatalog.cli.main import main
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog

NOW = datetime.now(UTC)


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A catalog with a cluster seen five hours ago, and one that was never seen well."""
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    catalog = Catalog.open(str(path))
    seen = NOW - timedelta(hours=5)
    pod = RunningContainer(
        "web", "Deployment/app", "app-1", "main", "container", "r.example.org/a:1", ""
    )
    with catalog.write() as c:
        timeline.observe(c, "north", [pod], at=seen)
        health.note_try(c, "cluster", "north", at=seen, seconds=1)
        health.note_try(c, "cluster", "south", at=NOW, seconds=1, error="connection refused")
    catalog.close()
    return str(path)


def test_one_that_is_late_and_one_that_fails(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--database", database, "clusters"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 of 2 clusters were not seen well for over two hours\n")
    north, south = (line for line in out.splitlines() if line.startswith(("north", "south")))
    assert "△ late" in north
    assert "the last whole scan of north was" in north
    assert "▲ failing" in south
    assert "connection refused" in south


def test_one_is_forgotten_and_its_past_is_not(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["--database", database]
    config = tmp_path / "config.toml"
    config.write_text('[[cluster]]\nname = "north"\nkubeconfig = "/dev/null"\n')
    assert main([*there, "--config", str(config), "clusters", "forget", "north"]) == 2
    assert "take it out there first" in capsys.readouterr().err
    assert main([*there, "clusters", "forget", "north"]) == 0
    assert "1 container ended" in capsys.readouterr().err
    assert main([*there, "clusters", "forget", "nowhere"]) == 3
    capsys.readouterr()
    assert main([*there, "running", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    then = (NOW - timedelta(hours=5)).isoformat()
    assert main([*there, "running", "--at", then, "--cluster", "north"]) == 0
    assert "Deployment/app" in capsys.readouterr().out
    assert main([*there, "clusters"]) == 0
    assert "forgotten" in capsys.readouterr().out
