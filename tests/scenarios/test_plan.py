"""The plan on the command line, from the first look to the last redeploy, at hand and by a server."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from bad_shop import CommandLine

from imagecatalog.cli.main import main
from imagecatalog.config import Settings
from imagecatalog.jobs.demo import run_demo
from imagecatalog.store.engine import Catalog
from imagecatalog.web import create_asgi_app


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog that holds the sample fleet; to be copied."""
    settings, _ = run_demo(tmp_path_factory.mktemp("fleet"), now=lambda: datetime.now(UTC))
    return Path(settings.database)


@pytest.fixture
def command(
    filled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """The command line on a copy of it."""
    for name in list(os.environ):
        if name.startswith("IMAGE_CATALOG_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("imagecatalog.config.loading.DEFAULT_FILE", tmp_path / "no.toml")
    monkeypatch.setenv("COLUMNS", "120")
    path = tmp_path / "catalog.sqlite"
    shutil.copy(filled, path)
    return CommandLine(str(path), capsys)


@pytest.fixture
def server(command: CommandLine) -> Iterator[str]:
    """A server of the same catalog."""
    catalog = Catalog.open(command.database)
    app = create_asgi_app(Settings(database=command.database), catalog)
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    (listener,) = running.servers[0].sockets
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    running.should_exit = True
    thread.join()
    catalog.close()


def ask(command: CommandLine, *words: str) -> Any:
    return command.run("plan", *words, "--format", "json").json()


def test_a_person_reads_what_to_do_in_which_order(command: CommandLine) -> None:
    said = command.run("plan", "--security")
    lines = said.out.splitlines()
    plan = ask(command, "--security")
    assert lines[0] == plan["summary"]
    assert "wave 1: " in said.out
    assert "then redeploy " in said.out
    assert "what remains: " in said.out
    for reason in {one["reason"] for one in plan["remaining"]}:
        assert reason[:40] in said.out
    assert "plan --security --save" in said.err
    assert max(map(len, lines)) <= 120


def test_a_program_reads_the_same_in_its_form(command: CommandLine) -> None:
    plan = ask(command)
    steps = [step["rebuild"] for wave in plan["waves"] for step in wave]
    rows = list(csv.DictReader(io.StringIO(command.run("plan", "--format", "csv").out)))
    assert [row["rebuild"] for row in rows] == steps
    assert rows[0]["wave"] == "1"
    dot = command.run("plan", "--format", "dot").out
    assert dot.startswith("digraph")
    assert all(step in dot for step in steps)
    assert "flowchart" in command.run("plan", "--format", "mermaid").out


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--package", "nobody-has-this"), 3),
        (("--for", "CVE-1999-0000"), 3),
        (("--for", "pkg:nothing"), 2),
        (("--id", "7"), 3),
        (("--id", "7", "--security"), 2),
        (("--list", "--save"), 2),
        (("--tree", "images"), 2),
        (("--max-parallel", "0"), 2),
        (("--format", "docker-pkg", "--tree", "nowhere"), 2),
    ],
)
def test_what_makes_no_sense_says_so(
    command: CommandLine, words: tuple[str, ...], status: int
) -> None:
    assert command.run("plan", *words, expect=status).out == ""


def test_a_plan_is_saved_watched_and_closed_by_the_next_scan(
    command: CommandLine, tmp_path: Path
) -> None:
    assert "No plan was saved yet." in command.run("plan", "--list").out
    rebuilt = {
        fix["package"]
        for wave in ask(command)["waves"]
        for step in wave
        for fix in step["packages"]
    }
    outdated = command.run("outdated", "--format", "json").json()
    package = next(
        update["package"]
        for item in outdated
        for update in item["updates"]
        if update["package"] not in rebuilt
    )
    saved = ask(command, "--package", package, "--save")
    assert (saved["id"], saved["state"], saved["waves"]) == (1, "open", [])
    assert saved["redeploy"]
    assert "plan 1, open" in command.run("plan", "--id", "1").out
    (listed,) = command.run("plan", "--list", "--format", "json").json()
    assert (listed["id"], listed["state"]) == (1, "open")
    empty = tmp_path / "pods.json"
    empty.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": []}))
    clusters = {one["cluster"] for one in saved["redeploy"]}
    said = command.run(
        "record", *(word for name in clusters for word in ("--from-dump", f"{name}={empty}"))
    )
    assert "1 plan closed" in said.err
    closed = ask(command, "--id", "1")
    assert (closed["state"], {one["done"] for one in closed["redeploy"]}) == ("closed", {True})
    assert "1 saved plan, 0 of them open" in command.run("plan", "--list").out


def test_a_server_plans_saves_and_shows_the_same(
    command: CommandLine,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = command.run("token", "create", "--name", "ci", "--scope", "register").out.strip()

    def remote(*words: str, expect: int = 0) -> Any:
        assert main(["--server", server, "plan", *words, "--format", "json"]) == expect
        out = capsys.readouterr().out
        return json.loads(out) if out else None

    assert remote("--security", "--max-parallel", "2") == ask(
        command, "--security", "--max-parallel", "2"
    )
    remote("--security", "--save", expect=2)
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", token)
    saved = remote("--security", "--save")
    assert saved["asked"] == "imagecatalog plan --security"
    assert remote("--id", str(saved["id"])) == ask(command, "--id", str(saved["id"]))
    assert remote("--list") == ask(command, "--list")
