"""The recipes of the guide, carried out as they stand: only docker, git and pip are played."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagecatalog.cli.main import main
from imagecatalog.domain.lineage import BuildItem
from imagecatalog.store import builds, lookups
from imagecatalog.store.engine import Catalog

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "register-builds.md"
DIGEST = "sha256:" + 64 * "a"
APP = "registry.example.org/team/app:1"
METADATA = json.dumps({"containerimage.digest": DIGEST, "image.name": APP})
BOM = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []})
PLAYED = {
    "docker": f"""
        case "$*" in
        *--metadata-file*) echo '{METADATA}' > metadata.json ;;
        inspect*) echo registry.example.org/team/app@{DIGEST} ;;
        run*) echo "libssl3 3.0.15-1 amd64 openssl 3.0.15-1 ii " ;;
        esac""",
    "git": """
        case "$*" in
        remote*) echo https://ci:hush@git.example.org/app ;;
        *) echo 4c4e5bf ;;
        esac""",
    "pip": "",
    "imagecatalog": f"""
        exec {shlex.quote(sys.executable)} -c 'import sys; from imagecatalog.cli.main import main; sys.exit(main())' "$@"
        """,
}
OF_CI = {
    "CI_REGISTRY_PASSWORD": "hush",
    "CI_REGISTRY_USER": "ci",
    "CI_REGISTRY": "registry.example.org",
    "CI_REGISTRY_IMAGE": "registry.example.org/team/app",
    "CI_COMMIT_SHORT_SHA": "1",
    "CI_COMMIT_SHA": "4c4e5bf",
    "CI_PROJECT_URL": "https://git.example.org/app",
    "CI_JOB_URL": "https://ci.example.org/1",
    "METADATA": METADATA,
    "GITHUB_SERVER_URL": "https://git.example.org",
    "GITHUB_REPOSITORY": "app",
    "GITHUB_SHA": "4c4e5bf",
    "GITHUB_RUN_ID": "1",
    "IMAGE": APP,
    "GIT_URL": "https://git.example.org/app",
    "GIT_COMMIT": "4c4e5bf",
    "BUILD_URL": "https://ci.example.org/1",
    "DIGEST": DIGEST,
}


def block(heading: str, language: str) -> str:
    """The first block of a section."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    assert found, heading
    return found[1]


def gitlab() -> str:
    jobs: dict[str, Any] = yaml.safe_load(block("GitLab CI", "yaml"))
    assert jobs["register"]["needs"] == ["build"]
    assert jobs["build"]["artifacts"]["paths"] == ["metadata.json"]
    return "\n".join(line for job in jobs.values() for line in job["script"])


def github() -> str:
    steps = yaml.safe_load(block("GitHub Actions", "yaml"))["jobs"]["image"]["steps"]
    (step,) = [step for step in steps if "run" in step]
    assert step["env"].keys() == {"IMAGE_CATALOG_TOKEN", "METADATA"}
    return str(step["run"])


def jenkins() -> str:
    text = block("Jenkins", "groovy")
    assert text.count("{") == text.count("}")
    assert "variable: 'IMAGE_CATALOG_TOKEN'" in text
    # Groovy reads \<newline> in its ''' as nothing at all, as the shell does.
    return "\n".join(re.findall(r"'''\n(.*?)'''", text, re.DOTALL))


RECIPES: dict[str, Callable[[], str]] = {
    "GitLab CI": gitlab,
    "GitHub Actions": github,
    "Jenkins": jenkins,
    "a plain shell": lambda: block("A plain shell", "sh"),
}


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> str:
    return str(shutil.copy(sqlite_template, tmp_path / "catalog.sqlite"))


@pytest.fixture
def carry_out(
    database: str,
    tmp_path: Path,
    serve_catalog: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> Callable[[str], str]:
    """Runs a recipe in a folder of its own against a server, with a token for ``team/*``."""
    create = [
        "--scope",
        "register",
        "--repositories",
        "team/*",
        "--name",
        "ci",
        "--expires",
        "365d",
    ]
    assert f"imagecatalog token create {' '.join(create)}".replace("team/*", "'team/*'") in (
        PAGE.read_text(encoding="utf-8")
    )
    assert main(["--database", database, "token", "create", *create]) == 0
    token, address = capsys.readouterr().out.strip(), serve_catalog(database)
    programs, folder = tmp_path / "bin", tmp_path / "checkout"
    programs.mkdir()
    folder.mkdir()
    for name, script in PLAYED.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (folder / "bom.json").write_text(BOM)
    (folder / "build.json").write_text(json.dumps({"image": APP, "digest": DIGEST}))
    environ = {k: v for k, v in os.environ.items() if not k.startswith("IMAGE_CATALOG")}

    def run(script: str) -> str:
        assert "https://catalog.example.org" in script
        done = subprocess.run(
            ["sh", "-eu", "-c", script.replace("https://catalog.example.org", address)],
            cwd=folder,
            env={
                **environ,
                **OF_CI,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "IMAGE_CATALOG_TOKEN": token,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "hush" not in done.stdout + done.stderr
        return done.stdout

    return run


def only_build(database: str) -> BuildItem:
    catalog = Catalog.open(database)
    try:
        with catalog.read() as c:
            (build,) = builds.list_builds(c, lookups.resolve(c, DIGEST))
            return build
    finally:
        catalog.close()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_registers_the_build(
    recipe: str, carry_out: Callable[[str], str], database: str
) -> None:
    carry_out(RECIPES[recipe]())

    build = only_build(database)
    assert (build.told_by, build.digest) == ("ci", DIGEST)
    assert build.image is not None
    assert build.image.startswith("registry.example.org/team/app:")
    assert build.source_repository == "https://git.example.org/app"
    assert build.source_revision == "4c4e5bf"
    if recipe == "a plain shell":
        assert [one.image for one in build.parents] == ["registry.example.org/bookworm:20261025"]
        assert build.started is not None
    else:
        assert build.link is not None
        assert build.link.endswith("/1")


def test_curl_does_it_too(carry_out: Callable[[str], str], database: str) -> None:
    answer = carry_out(block("Without imagecatalog at hand", "sh"))

    assert json.loads(answer)["created"] is True
    assert only_build(database).image == APP


def test_an_sbom_is_sent_as_told(carry_out: Callable[[str], str]) -> None:
    assert carry_out(block("SBOMs", "sh")).startswith("registered 0 packages of sha256:")
