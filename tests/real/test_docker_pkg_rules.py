"""docker-pkg's own code judges how we read trees: names, versions, what is updated with what, FROM."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from docker_pkg_program import docker_pkg_folder

from imagecatalog.formats.docker_pkg import (
    TreeConfig,
    TreeImage,
    next_version,
    read_uses,
    updated_with,
)
from imagecatalog.formats.docker_template import read_dockerfile
from imagecatalog.outlets.docker_pkg import TreeView, select_name
from imagecatalog.sources.docker_pkg import DockerPkgTree

pytestmark = pytest.mark.real

TREES = 60
CONFIG = {
    "registry": "registry.example.org",
    "namespace": "team",
    "base_images": ["registry.example.org/team/debian:20261101", "registry.example.org/other:1"],
    "flavour": "slim",
}
VERSIONS = (
    "1.0", "1.0-1", "1.0-1-s1", "1.0-1-s9", "0.0.3-20261101", "2.1.2rocm5.6-3", "1.17.0-wmf0",
    "3.0-s2", "v1.2", "1.0-1-20261101-s3", "1", "10.2.3.4-s99", "1.0-1-s1-20261101", "1:1.0", "1.0~rc1",
)  # fmt: skip
NAMES = ("base", "other-base", "a.base", "web", "web-build", "build", "x+y", "tool", "9front")

# Runs within docker-pkg's own environment: all of it is the real thing, but for the engine.
_JUDGE = """
import json, sys
from docker_pkg import builder, cli, dockerfile, image

class Engine:
    class images:
        @staticmethod
        def get(name):
            raise builder.docker.errors.ImageNotFound("none here")

builder.docker.from_env = lambda **more: Engine
builder.ImageFSM._is_published = lambda self: False

def judge(tree, config):
    builder.ImageFSM._instances = []
    app = builder.DockerBuilder(tree, {**cli.defaults, **config}, None)
    app.scan()
    dockerfile.TemplateEngine.setup(app.config, app.known_images)
    found = {}
    for fsm in app.all_images:
        try:
            following = fsm.image.new_tag(identifier="s")
        except ValueError:
            following = None
        try:
            rendered = fsm.image.render_dockerfile()
        except Exception as error:
            rendered = None
        found[fsm.image.short_name] = {
            "label": fsm.label, "next": following, "depends": fsm.image.depends, "rendered": rendered,
        }
    for selector in [*found, *("/" + name for name in found)]:
        for fsm in app.all_images:
            fsm.children = set()
        app.glob = "*{}:*".format(selector)
        found.setdefault("updates", {})[selector] = sorted(
            fsm.image.short_name for fsm in app.images_to_update()
        )
    return found

trees, config = json.load(sys.stdin)
print(json.dumps([judge(tree, config) for tree in trees]))
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[DockerPkgTree, Any]]:
    """Random trees, each with what docker-pkg makes of it."""
    top = tmp_path_factory.mktemp("trees")
    folders = [top / str(number) for number in range(TREES)]
    for number, folder in enumerate(folders):
        write_random_tree(folder, random.Random(number))
    asked = json.dumps([list(map(str, folders)), CONFIG])
    done = subprocess.run(
        [docker_pkg_folder() / "python", "-c", _JUDGE],
        input=asked, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [
        (DockerPkgTree(f), said) for f, said in zip(folders, json.loads(done.stdout), strict=True)
    ]


def write_random_tree(folder: Path, dice: random.Random) -> None:
    """Images that depend on earlier ones by control, template, both or neither."""
    names = dice.sample(NAMES, dice.randint(2, len(NAMES)))
    for at, name in enumerate(names):
        image = folder / "/".join(dice.choices("xyz", k=dice.randint(0, 2))) / f"{name}-folder"
        image.mkdir(parents=True)
        parents = dice.sample(names[:at], min(at, dice.randint(0, 3)))
        if dice.random() < 0.8:
            (image / "control").write_text(_control(name, parents, dice))
        (image / "changelog").write_text(_changelog(name, dice))
        (image / "Dockerfile.template").write_text(_template(parents, dice))
        (image / "test.sh").write_text("true\n")
    (folder / "no-image").mkdir()
    (folder / "no-image" / "changelog").write_text(_changelog("nobody", dice))


def _control(name: str, parents: list[str], dice: random.Random) -> str:
    cut = dice.randint(0, len(parents))
    lines = [f"Package: {name}"]
    joint = dice.choice([", ", ",", " , ", ",\n "])
    for field, listed in (("Depends", parents[:cut]), ("build-depends", parents[cut:])):
        if listed or dice.random() < 0.2:
            lines.append(f"{field}: {joint.join(listed)}")
    lines += ["# Depends: nobody", "Description: what it is", " Depends: nobody here either"]
    return "\n".join(lines) + "\n"


def _changelog(name: str, dice: random.Random) -> str:
    return "\n".join(
        f"{name} ({version}) acme; urgency=medium\n\n  * Why {version}\n"
        f"    more of it\n\n -- A B <a@example.org>  Mon, 02 Nov 2026 10:00:00 +0000\n"
        for version in dice.sample(VERSIONS, dice.randint(1, 4))
    )


def _template(parents: list[str], dice: random.Random) -> str:
    lines = ["{# a remark: FROM nothing #}", "# FROM a remark"]
    base = '{{ "debian" | image_tag }}'
    for at, parent in enumerate(parents):
        name = dice.choice([f'{{{{ "{parent}" | image_tag }}}}', f"{{{{'{parent}'|image_tag}}}}",
                            f"{{{{- ' ' -}}}} {{{{ registry }}}}/{{{{namespace}}}}/{parent}:1",
                            f"{{%- set p{at} = '{parent}' | image_tag %}}\n{{{{ p{at} }}}}"])  # fmt: skip
        if name.startswith("{%-"):
            statement, _, name = name.partition("\n")
            lines.append(statement)
        match dice.randrange(4):
            case 0:
                base = name
            case 1:
                lines += [f"from {name} AS stage{at}", "RUN {{ 'curl' | apt_install }}"]
                base = dice.choice([base, f"STAGE{at}"])
            case 2:
                lines += [f"FROM {name} as S{at}"]
            case _:
                lines += [f"FROM {base} AS again{at}", f"COPY --chown=1:1 --from={name} /a /b"]
    lines += [f"FROM --platform=linux/amd64 {base}", "COPY --from=0 /a \\", "  # why", "  /b"]
    lines += ["{% raw %}ENV X={{ nothing }}{% endraw %}", "RUN echo {{ flavour ~ '-' ~ registry }}"]
    return "\n".join(lines) + "\n"


def _config() -> TreeConfig:
    texts = {key: value for key, value in CONFIG.items() if isinstance(value, str)}
    return TreeConfig(
        registry=texts["registry"],
        namespace=texts["namespace"],
        base_images=tuple(CONFIG["base_images"]),
        variables=texts,
    )


def _names(said: Any) -> set[str]:
    return {name for name in said if name != "updates"}


def test_names_versions_and_dependencies(judged: list[tuple[DockerPkgTree, Any]]) -> None:
    for tree, said in judged:
        images = tree.images()
        readable = {name for name in images if images[name].name == name}
        assert readable <= _names(said)
        for name in _names(said) - readable:
            # docker-pkg reads it, and no registry takes it
            assert any(sign in said[name]["label"].split("/")[-1] for sign in "+~") or (
                said[name]["label"].count(":") > 1
            ), name
        for name in readable:
            image = images[name]
            assert _config().repository(name) + f":{image.version}" == said[name]["label"]
            assert next_version(image.version, "s") == said[name]["next"], image.version
            assert set(image.depends) == set(said[name]["depends"]) - {""}


def test_what_an_update_renews(judged: list[tuple[DockerPkgTree, Any]]) -> None:
    slashes = 0
    for _tree, said in judged:
        images = {name: TreeImage(path=name, releases=tree_release(said, name),
                                  depends=tuple(said[name]["depends"])) for name in _names(said)}  # fmt: skip
        view = TreeView(folder=".", config_file="c", config=_config(), images=images)
        for name in images:
            closure = updated_with(name, images)
            selector = select_name(name, closure, view)
            slashes += selector != name
            assert set(said["updates"][selector]) == closure, (name, selector)
    assert slashes > 5


def tree_release(said: Any, name: str) -> tuple[Any, ...]:
    """A changelog of one entry: the version that docker-pkg found."""
    from imagecatalog.formats.docker_pkg import Release

    version = said[name]["label"].rpartition(f"/{name}:")[2]
    return (Release(package=name, version=version, changes=""),)


def test_the_images_that_templates_name(judged: list[tuple[DockerPkgTree, Any]]) -> None:
    compared = 0
    for tree, said in judged:
        images = tree.images()
        if images.keys() != _names(said):
            continue
        for name, image in images.items():
            if said[name]["rendered"] is None:
                continue
            ours = read_uses(image, images, _config())
            assert ours.problems == ()
            assert ours == read_dockerfile(said[name]["rendered"]), said[name]["rendered"]
            compared += 1
    assert compared > 50
