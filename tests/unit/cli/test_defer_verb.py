"""``defer``, ``deferrals`` and ``vex``: on a database, and through a server."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from imagecatalog.cli.main import main
from imagecatalog.domain.access import Token, hash_secret, make_secret
from imagecatalog.formats.vex import parse_vex
from imagecatalog.store import access, vex
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.schema import advisory

SOON = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
VEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "author": "Vendor",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"@id": "pkg:oci/app"}],
            "status": "not_affected",
            "impact_statement": "Not built in.",
        }
    ],
}


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A catalog that knows a fault."""
    path = str(tmp_path / "catalog.sqlite")
    initialise(path)
    catalog = Catalog.open(path)
    with catalog.write() as c:
        c.execute(advisory.insert(), [{"name": "CVE-2026-1"}])
    catalog.close()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("IMAGE_CATALOG_DB", path)
    monkeypatch.delenv("IMAGE_CATALOG_CONFIG", raising=False)
    monkeypatch.delenv("IMAGE_CATALOG_TOKEN", raising=False)
    return path


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_fault_is_put_off_listed_and_taken_back(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--until", SOON, "--why", "not reachable", "--package", "openssl", "--image", "team/*"]
    assert main(["defer", "cve-2026-1", *words]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"deferral 1: CVE-2026-1 in openssl in images team/*, until {SOON} 00:00 UTC\n"
        "warning: no image that was met holds a package openssl: is it written right?\n"
    )
    [item] = ask(capsys, "deferrals")
    assert (item["by"], item["package"], item["image"], item["state"]) == (
        getpass.getuser(),
        "openssl",
        "team/*",
        "active",
    )
    assert main(["deferrals"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("1 deferral in force\n")
    assert "not reachable" in table
    assert main(["defer", "--withdraw", "1", "--by", "ann"]) == 0
    assert "withdrawn" in capsys.readouterr().err
    [item] = ask(capsys, "deferrals", "CVE-2026-1", "--all")
    assert (item["state"], item["withdrawn_by"]) == ("withdrawn", "ann")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["CVE-2026-1", "--until", SOON], 2, "defer needs --why"),
        (["CVE-2026-1", "--why", "x"], 2, "defer needs --until"),
        (["--until", SOON, "--why", "x"], 2, "defer needs ADVISORY"),
        (["CVE-2026-1", "--until", "2020-01-01", "--why", "x"], 2, "is past"),
        (["CVE-2026-1", "--until", "2099-01-01", "--why", "x"], 2, "365 days at most"),
        (["CVE-2026-1", "--until", "soon", "--why", "x"], 2, "is no time"),
        (["CVE-1999-1", "--until", SOON, "--why", "x"], 3, "no feed tells of CVE-1999-1"),
        (["a b", "--until", SOON, "--why", "x"], 2, "does not name an advisory"),
        (["--withdraw", "7"], 3, "there is no deferral 7"),
        (["--withdraw", "7", "--why", "x"], 2, "--withdraw goes alone"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    database: str,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    said: str,
) -> None:
    assert main(["defer", *words]) == status
    assert said in capsys.readouterr().err
    assert ask(capsys, "deferrals", "--all") == []


def test_statements_come_from_a_file_and_are_listed(
    database: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["vex"]) == 0
    assert "refresh vex" in capsys.readouterr().out
    file = tmp_path / "app.json"
    file.write_text(json.dumps(VEX))
    assert main(["refresh", "--from-file", f"vex={file}"]) == 0
    assert "vex: 1 documents, 1 changed" in capsys.readouterr().err
    [item] = ask(capsys, "vex", "CVE-2026-1")
    assert (item["product"], item["author"], item["applied"], item["document"]) == (
        "app",
        "Vendor",
        True,
        "app.json",
    )
    assert main(["vex"]) == 0
    table = capsys.readouterr().out
    assert table.startswith("1 statement, 1 of them may suppress a finding\n")
    assert "Not built in." in table
    assert main(["vex", "--format", "csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    [document] = ask(capsys, "vex", "documents")
    assert (document["feed"], document["statements"], document["applied"]) == ("vex", 1, 1)
    assert main(["vex", "withdraw", str(document["id"])]) == 2
    assert "was not uploaded" in capsys.readouterr().err


def test_what_was_uploaded_is_withdrawn(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = Catalog.open(database)
    document = parse_vex(json.dumps(VEX).encode(), "app")
    with catalog.write() as c:
        vex.put_document(c, "upload", "ci: app", document, b"x", now=datetime.now(UTC))
    catalog.close()
    assert main(["vex", "withdraw", "ci: app", "--by", "ann"]) == 0
    assert "document 1, ci: app: withdrawn, by ann on " in capsys.readouterr().err
    [item] = ask(capsys, "vex", "list", "CVE-2026-1")
    assert (item["state"], item["withdrawn_by"], item["applied"]) == ("withdrawn", "ann", False)
    assert main(["vex", "documents"]) == 0
    assert "withdrawn by ann on " in capsys.readouterr().out
    assert main(["vex", "withdraw", "1"]) == 0, "again is no harm"
    assert main(["vex", "withdraw", "7"]) == 3
    assert "there is no VEX document '7'" in capsys.readouterr().err


def test_a_server_does_the_same(
    database: str,
    serve_catalog: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = make_secret()
    catalog = Catalog.open(database)
    with catalog.write() as c:
        token = Token(name="desk", scopes=("decide",), repositories=(), created=datetime.now(UTC))
        access.add_token(c, token, hash_secret(secret))
    catalog.close()
    server = serve_catalog(database)
    monkeypatch.delenv("IMAGE_CATALOG_DB")
    wish = ["defer", "CVE-2026-1", "--until", SOON, "--why", "not reachable", "--server", server]
    assert main(wish) == 2
    assert "wants a token" in capsys.readouterr().err
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", secret)
    assert main([*wish, "--by", "Ann"]) == 0
    assert "deferral 1: CVE-2026-1, until" in capsys.readouterr().err
    [item] = ask(capsys, "deferrals", "CVE-2026-1", "--server", server)
    assert item["by"] == "Ann (desk)"
    assert ask(capsys, "vex", "--server", server) == []
    assert main(["defer", "--withdraw", "1", "--server", server]) == 0
    assert "withdrawn" in capsys.readouterr().err
    [item] = ask(capsys, "deferrals", "--server", server)
    assert (item["state"], item["withdrawn_by"]) == ("withdrawn", "desk")
    assert main(["defer", "--withdraw", "9", "--server", server]) == 3
    assert main(["defer", "--withdraw", "1", "--by", "x", "--server", server]) == 2
