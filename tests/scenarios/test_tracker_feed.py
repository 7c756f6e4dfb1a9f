"""Debian's security tracker from files, as where there is no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bad_shop import CommandLine

from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog

RESOLVED = {"status": "resolved", "fixed_version": "3.0.15-1", "urgency": "low"}
OPENSSL = {"openssl": {"CVE-2026-0001": {"releases": {"bookworm": RESOLVED}}}}
LIST = """\
[12 Feb 2026] DSA-5865-2 openssl - regression update
\t[bookworm] - openssl 3.0.15-2
[10 Feb 2026] DSA-5865-1 openssl - security update
\t{CVE-2026-0001 CVE-2026-0003}
\t[bookworm] - openssl 3.0.15-1
"""


def known(command: CommandLine, name: str) -> set[tuple[str, str | None]]:
    catalog = Catalog.open(command.database)
    with catalog.read() as c:
        found = find_affected(c, name) or ()
    catalog.close()
    return {
        (one.scope.removeprefix("debian/"), one.fixed) for one in found if one.status == "fixed"
    }


@pytest.fixture
def tracker(tmp_path: Path) -> Path:
    folder = tmp_path / "tracker"
    for kind in ("DSA", "DLA"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "list").write_text(LIST.replace("DSA", kind))
    (folder / "json").write_text(json.dumps(OPENSSL))
    return folder


def test_a_folder_has_the_json_and_the_lists(command: CommandLine, tracker: Path) -> None:
    command.run("init")
    said = command.run("refresh", "--from-file", f"debian-tracker={tracker}")
    assert "debian-tracker: 5 packages and notices, 5 changed" in said.err
    assert known(command, "CVE-2026-0001") == {("bookworm", "3.0.15-1")}
    assert known(command, "DLA-5865-2") == {("bookworm", "3.0.15-2")}
    said = command.run("refresh", "--from-file", f"debian-tracker={tracker}")
    assert "debian-tracker: unchanged" in said.err
    (tracker / "json").touch()
    (tracker / "DSA" / "list").write_text(LIST.replace("3.0.15-2", "3.0.17-1"))
    said = command.run("refresh", "--from-file", f"debian-tracker={tracker}")
    assert "debian-tracker: 5 packages and notices, 1 changed" in said.err


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"openssl": 7}', "{}"])
def test_a_broken_file_changes_nothing_and_spoils_no_other(
    command: CommandLine, tracker: Path, broken: str
) -> None:
    command.run("init")
    command.run("refresh", "--from-file", f"debian-tracker={tracker}")
    (tracker / "json").write_text(broken)
    (tracker / "DSA" / "list").write_text(LIST.replace("3.0.15-1", "3.0.16-1"))
    said = command.run("refresh", "--from-file", f"debian-tracker={tracker}", expect=1)
    assert "debian-tracker json" in said.err
    assert known(command, "CVE-2026-0001") == {("bookworm", "3.0.15-1")}
    assert known(command, "DSA-5865-1") == {("bookworm", "3.0.16-1")}


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_an_empty_file_says_what_to_do(command: CommandLine, tmp_path: Path, text: str) -> None:
    command.run("init")
    path = tmp_path / "tracker.json"
    path.write_text(text)
    said = command.run("refresh", "--from-file", f"debian-tracker={path}", expect=1).err
    assert f"failed: debian-tracker json: {path.as_uri()}: it is empty\n" in said
    assert "hint: what was known of it is kept; fetch it again, or look what became of it" in said


def test_a_file_named_wrongly_is_wrong_usage(command: CommandLine, tmp_path: Path) -> None:
    command.run("init")
    for words in ("debian-tracker", "debian-tracker=", f"debian-tracker={tmp_path}/none"):
        assert command.run("refresh", "--from-file", words, expect=2).err
    said = command.run("refresh", "--from-file", f"apt={tmp_path}", expect=2)
    assert "[apt.mirrors]" in said.err
    said = command.run("refresh", "--from-file", f"nonsense={tmp_path}", expect=2)
    assert "there is no feed 'nonsense'" in said.err
