"""The command line run within a test, and a registry whose good images must be read, come what may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bad_registry import BadRegistry, debian

from imagecatalog.cli.main import main


@dataclass
class Said:
    """How a command line ended and what it said."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """``imagecatalog --database …``, whose every run is checked for what holds of all."""

    database: str
    capture: pytest.CaptureFixture[str]

    def run(self, *words: str | Path, expect: int = 0) -> Said:
        self.capture.readouterr()
        ended = main(["--database", self.database, *map(str, words)])
        said = Said(ended, *self.capture.readouterr())
        assert ended == expect, said
        assert "Traceback" not in said.err
        assert "fault of ours" not in said.err
        if words[0] in ("init", "sync", "record", "refresh"):
            assert said.out == ""
        if expect == 2:
            assert said.err.startswith("error: ")
            assert said.out == ""
        return said

    def show(self, reference: str) -> Any:
        return self.run("show", reference, "--format", "json").json()

    def packages(self, reference: str) -> dict[str, str]:
        found = self.show(reference)
        assert found["verdict"]["reason"] is None or "apt" in found["verdict"]["reason"], found
        return {item["package"]: item["installed"] for item in found["packages"]}


@dataclass
class Shop:
    """A registry with a good image, and a catalog that knows an earlier one of it."""

    registry: BadRegistry
    command: CommandLine
    earlier: Any

    @property
    def host(self) -> str:
        return self.registry.host

    def sync(self, *, expect: int = 1) -> Said:
        """Sync once; the good image must be there, and the earlier one as it was."""
        self.registry.tag("good", self.registry.add_image(debian(good="2.0-1")))
        said = self.command.run("sync", self.registry.url, expect=expect)
        assert self.command.packages(f"{self.host}/good:1") == {"good": "2.0-1"}
        assert self.command.show(f"{self.host}/earlier:1") == self.earlier
        return said

    def reason(self, reference: str) -> str:
        """Why nothing is known of an image."""
        found = self.command.show(f"{self.host}/{reference}")
        assert found["verdict"]["status"] == "unknown", found
        return str(found["verdict"]["reason"])
