"""A docker-pkg tree on disk and in git: what is read of it, and what it cannot make us do."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from docker_pkg_folders import START, commit, git, write_image
from imagecatalog.errors import ConfigError
from imagecatalog.sources.docker_pkg import DockerPkgTree, read_config


def test_the_images_of_a_tree(tmp_path: Path) -> None:
    write_image(tmp_path / "deep/er/web", "web", "1.0", "1.1")
    write_image(tmp_path / "base", "base", "2.0")
    (tmp_path / "base/control").write_text("Depends: web\n")
    (tmp_path / "no-template").mkdir()
    (tmp_path / "no-template/changelog").write_text("x (1) x;\n")
    (tmp_path / "no-changelog").mkdir()
    (tmp_path / "no-changelog/Dockerfile.template").write_text("FROM x\n")
    tree = DockerPkgTree(tmp_path)
    images = tree.images()
    assert {name: (one.path, one.version) for name, one in images.items()} == {
        "web": ("deep/er/web", "1.1"),
        "base": ("base", "2.0"),
    }
    assert images["base"].depends == ("web",)
    assert tree.problems == {}
    assert tree.git is None


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        DockerPkgTree(tmp_path / "none")


def test_one_bad_image_spoils_no_other(tmp_path: Path) -> None:
    write_image(tmp_path / "good", "good", "1.0")
    write_image(tmp_path / "odd", "ODD", "1.0")
    write_image(tmp_path / "twice", "good", "2.0")
    write_image(tmp_path / "binary", "binary", "1.0")
    (tmp_path / "binary/Dockerfile.template").write_bytes(b"\xff\xfe\x00")
    write_image(tmp_path / "pipe", "pipe", "1.0")
    (tmp_path / "pipe/control").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe/control")
    tree = DockerPkgTree(tmp_path)
    assert {name: one.version for name, one in tree.images().items()} == {"good": "1.0"}
    assert {where: why.split(":")[0][:30] for where, why in tree.problems.items()} == {
        "odd/changelog": "its newest entry names no imag",
        "twice/changelog": "names good, as good/changelog ",
        "binary/Dockerfile.template": "is not UTF-8 text",
        "pipe/control": "is not a file",
    }


def test_no_link_leads_out_of_a_tree(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    write_image(outside / "far", "far", "1.0")
    write_image(tree / "near", "near", "1.0")
    (tree / "folder").symlink_to(outside)
    write_image(tree / "stolen", "stolen", "1.0")
    (tree / "stolen/changelog").unlink()
    (tree / "stolen/changelog").symlink_to(outside / "far/changelog")
    write_image(tree / "shared", "shared", "1.0")
    (tree / "shared/Dockerfile.template").unlink()
    (tree / "shared/Dockerfile.template").symlink_to("../near/Dockerfile.template")
    (tree / "loop").symlink_to("loop")
    read = DockerPkgTree(tree)
    assert set(read.images()) == {"near", "shared"}
    assert read.problems == {"stolen/changelog": "is a link that leads out of the tree"}


def test_the_tree_at_each_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    images = tmp_path / "images"
    write_image(images / "base", "base", "1.0")
    first = commit(tmp_path)
    write_image(images / "base", "base", "1.0", "1.1")
    second = commit(tmp_path, START + timedelta(days=1))
    (tmp_path / "README").write_text("x")
    third = commit(tmp_path, START + timedelta(days=2))
    write_image(images / "base", "base", "1.0", "1.1", "1.2")
    tree = DockerPkgTree(images)
    base = tree.images()["base"]
    assert tree.git is not None
    assert tree.git.prefix == "images"
    assert tree.images_at(first)["base"].version == "1.0"
    assert tree.images_at(third)["base"].path == "base"

    def revision(version: str, days: float | None) -> str | None:
        built = None if days is None else START + timedelta(days=days)
        found = tree.commit_of(base, version, built)
        return found.id if found else None

    assert revision("1.0", 0.5) == first
    assert revision("1.1", 1.5) == second
    assert revision("1.1", 2.5) == third, "what was checked out, not what changed the image last"
    assert revision("1.0", 1.5) == first, "built from an older checkout"
    assert revision("1.1", 0.5) == second, "built before it was committed"
    assert revision("1.1", None) == second
    assert revision("1.2", 3) is None, "not committed"
    assert tree.git.changed("base")
    assert not tree.git.changed("other")


def test_a_broken_past_spoils_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write_image(tmp_path / "web", "web", "1.0")
    (tmp_path / "web/changelog").write_bytes(b"\xff broken")
    broken = commit(tmp_path)
    write_image(tmp_path / "web", "web", "1.0", "1.1")
    good = commit(tmp_path, START + timedelta(days=1))
    tree = DockerPkgTree(tmp_path)
    assert tree.images_at(broken) == {}
    found = tree.commit_of(tree.images()["web"], "1.1", START)
    assert found
    assert found.id == good
    assert tree.problems == {}


def test_odd_names_of_folders(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for at, name in enumerate(["a b", "-c", "d\ne", 'f"g', "ü", ":(top)h", "*"]):
        write_image(tmp_path / "images" / name, f"image{at}", "1.0")
    first = commit(tmp_path)
    for at, name in enumerate(["a b", "-c", "d\ne", 'f"g', "ü", ":(top)h", "*"]):
        write_image(tmp_path / "images" / name, f"image{at}", "1.0", "2.0")
    commit(tmp_path, START + timedelta(days=1))
    tree = DockerPkgTree(tmp_path / "images")
    images = tree.images()
    assert len(images) == 7
    for name, image in images.items():
        assert tree.images_at(first)[name].path == image.path
        found = tree.commit_of(image, "1.0", None)
        assert found
        assert found.id == first


def test_a_repository_makes_git_run_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write_image(tmp_path / "web", "web", "1.0")
    commit(tmp_path)
    trap = tmp_path / "trap"
    trap.write_text(f"#!{sys.executable}\nopen({str(tmp_path / 'sprung')!r}, 'w')\n")
    trap.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(trap))
    (tmp_path / ".git/hooks").mkdir(exist_ok=True)
    (tmp_path / ".git/hooks/post-index-change").symlink_to(trap)
    tree = DockerPkgTree(tmp_path)
    assert tree.git
    tree.git.changed("web")
    tree.commit_of(tree.images()["web"], "1.0", None)
    assert not (tmp_path / "sprung").exists()


def test_where_git_does_not_answer_the_files_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    write_image(tmp_path / "web", "web", "1.0")
    assert DockerPkgTree(tmp_path).git is None, "no commit yet"
    commit(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    tree = DockerPkgTree(tmp_path)
    assert tree.git is None
    assert set(tree.images()) == {"web"}
    assert tree.problems[".git"].startswith("revisions are not known: git ")


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("https://jane:sesame@git.example.org/a", "https://git.example.org/a"),
        ("git@git.example.org:a/b.git", "git@git.example.org:a/b.git"),
        ("ssh://git@git.example.org/a", "ssh://git@git.example.org/a"),
    ],
)
def test_where_a_tree_comes_from(tmp_path: Path, remote: str, told: str) -> None:
    git(tmp_path, "init", "-q")
    write_image(tmp_path / "web", "web", "1.0")
    commit(tmp_path)
    tree = DockerPkgTree(tmp_path)
    assert tree.git
    assert tree.git.remote() is None
    git(tmp_path, "remote", "add", "origin", remote)
    assert tree.git.remote() == told


def test_docker_pkgs_own_places_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "docker-pkg.yaml").write_text("username: jane\nregistry: other.example.org\n")
    file = tmp_path / "config.yaml"
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(ConfigError, match=r"config\.yaml.*cannot be read") as caught:
        read_config(file, environ)
    assert "--docker-pkg-config" in str(caught.value.hint)
    file.write_text("registry: registry.example.org\n")
    config = read_config(file, environ)
    assert (config.registry, config.username) == ("registry.example.org", "jane")
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(file, environ)
