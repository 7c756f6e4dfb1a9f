"""What the verb ``agent`` is told: whom, by which token, of what, and where scans wait."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagecatalog.cli import agent as verb
from imagecatalog.cli.agent import list_subjects
from imagecatalog.cli.main import main
from imagecatalog.cli.server import Server
from imagecatalog.config import ClusterSetting, HostSetting, Settings
from imagecatalog.errors import ConfigError, UsageError

SERVER = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("IMAGE_CATALOG_KUBERNETES_CLUSTERS", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("imagecatalog.config.loading.DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", "ic_one")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = main(["agent", *words])
    told = capsys.readouterr()
    assert told.out == ""
    return status, told.err


def test_clusters_and_hosts_are_its_subjects() -> None:
    settings = Settings(
        clusters=(ClusterSetting("north", "in-cluster"),),
        hosts=(HostSetting("build-1", "unix:///run/docker.sock"),),
    )
    assert [one.name for one in list_subjects(settings)] == ["north", "build-1"]
    with pytest.raises(UsageError, match="no cluster to scan"):
        list_subjects(Settings())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cluster", "a:unix:///s"], "whom should it tell"),
        (["--server", "catalog", "--cluster", "a:x"], "is not the address of a server"),
        (["--server", SERVER], "there is no cluster to scan"),
        (["--server", SERVER, "--cluster", "in-cluster"], "not a pair of name and kubeconfig"),
        (["--server", SERVER, "--cluster", "a:x", "--cluster", "a:unix:///s"], "two clusters"),
        (["--server", SERVER, "--cluster", "a:x", "--token-file", "none"], "does not exist"),
        (["--server", SERVER, "--cluster", "a:x", "--every", "0"], "--every"),
        (["--server", SERVER, "--cluster", "a:x", "--format", "json"], "--format"),
    ],
)
def test_what_cannot_be_is_told(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    status, told = run(capsys, *words)
    assert status == 2
    assert said in told


def test_without_a_token_it_does_not_begin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_CATALOG_TOKEN")
    status, told = run(capsys, "--server", SERVER, "--cluster", "a:x")
    assert (status, "IMAGE_CATALOG_TOKEN holds no token" in told) == (2, True)


def test_once_keeps_what_it_could_not_tell_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("--server", SERVER, "--cluster", f"a:unix://{tmp_path}/none", "--once")
    status, told = run(capsys, *words)
    assert status == 1
    lines = told.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ warning: a: ", line) for line in lines)
    assert "a: not scanned: host a: there is no socket" in lines[0]
    assert (tmp_path / "state" / "imagecatalog-agent" / "a" / "lock").exists()
    assert run(capsys, *words, "--quiet")[1].count("\n") == len(lines)


def test_scans_wait_where_systemd_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/one:{tmp_path}/two")
    words = ("--server", SERVER, "--cluster", f"a:unix://{tmp_path}/none", "--once")
    run(capsys, *words)
    run(capsys, *words, "--buffer", str(tmp_path / "own"))
    assert sorted(path.parent.parent.name for path in tmp_path.rglob("lock")) == ["one", "own"]
    (tmp_path / "file").touch()
    status, told = run(capsys, *words[:-1], "--buffer", str(tmp_path / "file" / "under"))
    assert (status, "cannot be written" in told) == (2, True)


def test_the_token_of_a_file_is_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str | None] = []

    def post(server: Any, path: str, body: bytes, query: Any) -> Any:
        shown.append(server._headers.get("Authorization"))
        return SimpleNamespace(body=b"{}")

    monkeypatch.setattr(Server, "post", post)
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", "ic_of-the-environment")
    file = tmp_path / "token"
    for text in ("ic_one\n", "  ic_two  "):
        file.write_text(text)
        verb._tell(SERVER, file, "a", b"")
    verb._tell(SERVER, None, "a", b"")
    assert shown == ["Bearer ic_one", "Bearer ic_two", "Bearer ic_of-the-environment"]
    for text in ("", "ic_\x01hidden", "two words"):
        file.write_text(text)
        with pytest.raises(ConfigError, match="token") as caught:
            verb._tell(SERVER, file, "a", b"")
        assert "hidden" not in str(caught.value)
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        verb._tell(SERVER, file, "a", b"")
