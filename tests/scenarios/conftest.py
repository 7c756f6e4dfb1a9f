"""The command line run within the test, on a catalog that already knows an image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_registry import debian, serve
from bad_shop import CommandLine, Shop

from imagecatalog.sources.http import Http, Patience


@pytest.fixture
def command(
    sqlite_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """The command line on an initialised SQLite catalog, little patient with those that are silent."""
    for name in list(os.environ):
        if name.startswith("IMAGE_CATALOG_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("imagecatalog.config.loading.DEFAULT_FILE", tmp_path / "no.toml")
    monkeypatch.chdir(tmp_path)
    defaults = Http.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "patience", Patience(connect=10, read=2, body=4, attempts=2))
    monkeypatch.setitem(defaults, "sleep", lambda _: None)
    path = tmp_path / "catalog.sqlite"
    shutil.copy(sqlite_template, path)
    return CommandLine(str(path), capsys)


@pytest.fixture
def shop(command: CommandLine) -> Iterator[Shop]:
    """Two good images of a registry, of which one is known."""
    with serve() as registry:
        registry.tag("earlier", registry.add_image(debian(earlier="1.0-1")))
        command.run("sync", registry.url)
        yield Shop(registry, command, command.show(f"{registry.host}/earlier:1"))
