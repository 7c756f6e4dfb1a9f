"""The verb ``token``: made once, listed without its secret, revoked."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from imagecatalog.cli.main import main
from imagecatalog.cli.tokens import SCOPES
from imagecatalog.domain.access import Scope


@pytest.fixture(autouse=True)
def _database(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shutil.copy(sqlite_template, tmp_path / "catalog.sqlite")
    monkeypatch.setenv("IMAGE_CATALOG_DB", str(path))
    monkeypatch.setenv("COLUMNS", "120")


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def ask(*arguments: str) -> str:
        assert main(["token", *arguments]) == 0
        return capsys.readouterr().out

    return ask


def listed(run: Run) -> list[Any]:
    items: list[Any] = json.loads(run("list", "--format", "json"))
    return items


def test_the_token_stands_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", "--scope", "register", "--name", "ci"]) == 0

    told = capsys.readouterr()
    assert re.fullmatch(r"ic_[A-Za-z0-9_-]{43}\n", told.out)
    assert "ci never expires" in told.err
    assert main(["-q", "token", "create", "--scope", "register"]) == 0
    assert capsys.readouterr().err == ""


def test_no_two_are_alike(run: Run) -> None:
    assert len({run("create", "--scope", "read") for _ in range(5)}) == 5
    assert len(listed(run)) == 5


def test_what_was_given_is_listed_and_no_secret(run: Run) -> None:
    secret = run(
        *("create", "--scope", "register", "--scope", "read", "--name", "ci", "--expires", "90d"),
        *("--repositories", "mediawiki/*", "--repositories", "r.example.org:5000/x"),
    ).strip()

    (item,) = listed(run)
    assert item["scopes"] == ["register", "read"]
    assert item["repositories"] == ["mediawiki/*", "r.example.org:5000/x"]
    assert (item["state"], item["used"], item["name"]) == ("valid", None, "ci")
    lasts = datetime.fromisoformat(item["expires"]) - datetime.fromisoformat(item["created"])
    assert lasts == timedelta(days=90)
    for form in ("table", "json", "csv"):
        assert secret[3:] not in run("list", "--format", form)


def test_the_forms_say_the_same(run: Run) -> None:
    run("create", "--scope", "register", "--name", "ci")

    (row,) = csv.DictReader(io.StringIO(run("list", "--format", "csv")))
    assert row.keys() == listed(run)[0].keys()
    heading, line = run("list").splitlines()
    assert heading.split() == [
        "NAME",
        "SCOPES",
        "REPOSITORIES",
        "CREATED",
        "EXPIRES",
        "USED",
        "STATE",
    ]
    assert line.split() == ["ci", "register", "all", line.split()[3], "never", "never", "valid"]


def test_none_yet_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "list"]) == 0

    assert "token create" in capsys.readouterr().err


def test_revoked_stays_in_the_list_and_keeps_its_name(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("create", "--scope", "register", "--name", "ci")
    run("revoke", "ci")

    assert listed(run)[0]["state"] == "revoked"
    assert main(["token", "create", "--scope", "register", "--name", "ci"]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert main(["token", "revoke", "ci"]) == 0
    assert "before" in capsys.readouterr().err
    assert main(["token", "revoke", "nobody"]) == 3


@pytest.mark.parametrize(
    ("text", "lasts"),
    [("8h", timedelta(hours=8)), ("2w", timedelta(weeks=2)), ("1d", timedelta(days=1))],
)
def test_spans(run: Run, text: str, lasts: timedelta) -> None:
    run("create", "--scope", "read", "--expires", text)

    (item,) = listed(run)
    rest = datetime.fromisoformat(item["expires"]) - datetime.now(UTC)
    assert timedelta() <= lasts - rest < timedelta(minutes=1)


def test_a_date(run: Run) -> None:
    run("create", "--scope", "read", "--expires", "2199-01-01")

    assert listed(run)[0]["expires"] == "2199-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scope", "write"], "'write' is not one of"),
        ([], "--scope"),
        (["--scope", "read", "--expires", "0d"], "is past"),
        (["--scope", "read", "--expires", "2020-01-01"], "is past"),
        (["--scope", "read", "--expires", "soon"], "no time"),
        (["--scope", "read", "--expires", "999999w"], "no time"),
        (["--scope", "read", "--name", "a b"], "cannot name a token"),
        (["--scope", "read", "--name", "x" * 101], "cannot name a token"),
        (["--scope", "read", "--repositories", ""], "no glob"),
        (["--scope", "read", "--repositories", "team/app:1.0"], "without a tag"),
        (["--scope", "read", "--repositories", "Team/*"], "no glob"),
        (["--scope", "read", "--server", "http://127.0.0.1:1"], "--server"),
    ],
)
def test_wrong_words(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create", *arguments]) == 2

    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""


def test_every_scope_can_be_given() -> None:
    assert get_args(Scope) == SCOPES
