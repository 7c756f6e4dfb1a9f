"""Registering a docker-pkg tree from the command line: what goes wrong stays small and is told."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bad_registry import BadRegistry, debian, serve
from bad_shop import CommandLine, Said

from docker_pkg_folders import commit, git, write_image


@dataclass
class Yard:
    """A tree of two images, of which the registry holds one, and the command line beside it."""

    folder: Path
    registry: BadRegistry
    command: CommandLine

    def register(self, *words: str, expect: int = 0) -> Said:
        """Register the tree with these words behind it."""
        config = str(self.folder.parent / "catalog.toml")
        head = ("register", "--config", config, "--docker-pkg", str(self.folder))
        return self.command.run(*head, *words, expect=expect)


@pytest.fixture
def yard(command: CommandLine, tmp_path: Path) -> Iterator[Yard]:
    """The tree in git, and its configuration where docker-pkg looks for it."""
    tree = tmp_path / "tree"
    write_image(tree / "web", "web", "1.0", "1.1", template='FROM {{ "base" | image_tag }}\n')
    write_image(tree / "base", "base", "1.0")
    git(tree, "init", "-q")
    commit(tree)
    with serve() as registry:
        registry.tag("web", registry.add_image(debian(web="1.1")), "1.1")
        (tmp_path / "config.yaml").write_text(f"registry: {registry.host}\n")
        (tmp_path / "catalog.toml").write_text(
            f'[[registry]]\nurl = "{registry.url}/some/prefix"\n'
        )
        yield Yard(tree, registry, command)


def test_what_the_registry_holds_is_registered_once(yard: Yard) -> None:
    said = yard.register()
    assert said.out.startswith(f"registered {yard.registry.host}/web:1.1 sha256:")
    assert f"not in the registry (yet): {yard.registry.host}/base:1.0" in said.err
    again = yard.register()
    assert again.out == ""
    assert "no build is new here" in again.err
    assert yard.register("-q").err == ""
    yard.registry.tag("web", yard.registry.add_image(debian(web="1.0")), "1.0")
    assert "web:1.0" in yard.register().out, "what was forgotten is caught up with"


def test_the_status_of_docker_pkg_is_kept_and_what_it_published_is_registered(yard: Yard) -> None:
    said = yard.register("--", "sh", "-c", "exit 3", expect=3)
    assert "web:1.1" in said.out
    killed = yard.register("--", "sh", "-c", "kill -TERM $$", expect=128 + signal.SIGTERM)
    assert "no build is new here" in killed.err


def test_the_command_is_run(yard: Yard) -> None:
    mark = yard.folder.parent / "mark"
    yard.register("--", sys.executable, "-c", f"open({str(mark)!r}, 'w').write('x')")
    assert mark.read_text() == "x"


def test_signals_reach_the_command_and_not_us(yard: Yard) -> None:
    """It tells us to stop, as a supervisor would; it is the command that decides what that means."""
    script = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(20)\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    said = yard.register("--", sys.executable, "-c", script, expect=7)
    assert "web:1.1" in said.out
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_catalog_that_is_away_changes_no_status_but_a_good_one(yard: Yard) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        yard.command.database = ""
        words = ("register", "--config", str(yard.folder.parent / "catalog.toml"),
                 "--server", address, "--docker-pkg", str(yard.folder), "--", "sh", "-c")  # fmt: skip
        failed = _run(yard, *words, "exit 3")
        assert failed.status == 3
        assert "error: not registered:" in failed.err
        assert f"imagecatalog register --docker-pkg {yard.folder}" in failed.err
        assert _run(yard, *words, "true").status == 1


def _run(yard: Yard, *words: str) -> Said:
    from imagecatalog.cli.main import main

    yard.command.capture.readouterr()
    return Said(main(list(words)), *yard.command.capture.readouterr())


def test_an_image_that_cannot_be_asked_about_spoils_no_other(yard: Yard) -> None:
    yard.registry.lies["GET /v2/base/.*"] = lambda handler: handler.send(500)
    said = yard.register(expect=1)
    assert "web:1.1" in said.out
    assert f"failed: {yard.registry.host}/base: " in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--image", "a:1"), "--docker-pkg and --image exclude each other"),
        (("--docker-pkg-config", "none.yaml"), "none.yaml: cannot be read"),
        (("--", "no-such-program"), "no program no-such-program"),
        (("--", "docker-pkg", "-c", "own.yaml", "build", "."), "own.yaml: cannot be read"),
        (("--", "docker-pkg", "--configfile=own.yaml", "build"), "own.yaml: cannot be read"),
        (("--", "docker-pkg", "--conf", "own.yaml", "build"), "own.yaml: cannot be read"),
        (("--", "docker-pkg", "-cown.yaml", "build", "."), "own.yaml: cannot be read"),
        (("--", "nice", "/opt/bin/docker-pkg", "-c", "own.yaml"), "own.yaml: cannot be read"),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(
    yard: Yard, words: tuple[str, ...], told: str
) -> None:
    assert told in yard.register(*words, expect=2).err
    assert yard.registry.asked == []


def test_a_tree_or_a_registry_that_is_not_there(yard: Yard, tmp_path: Path) -> None:
    said = yard.command.run("register", "--docker-pkg", tmp_path / "none", expect=2)
    assert "no folder" in said.err
    (tmp_path / "config.yaml").write_text("namespace: x\n")
    assert "names no registry" in yard.register(expect=2).err
    said = yard.command.run("register", "--", "docker-pkg", "build", expect=2)
    assert "of use with --docker-pkg DIR only" in said.err


def test_a_plan_for_a_folder_without_images(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    plan = ("plan", "--format", "docker-pkg", "--tree")
    assert "holds no image" in yard.command.run(*plan, tmp_path / "empty", expect=2).err
    assert "No step of it is of the tree" in yard.command.run(*plan, yard.folder).out
    said = yard.command.run("plan", "--tree", yard.folder, expect=2)
    assert "--tree is of use with --format docker-pkg only" in said.err


def test_a_plan_asked_for_elsewhere_says_where_to_go(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said = yard.command.run("plan", "--format", "docker-pkg", expect=2)
    assert "there is no config.yaml of docker-pkg in" in said.err
    assert "--tree DIR --docker-pkg-config FILE" in said.err
