"""A real organisation's docker-pkg trees: our graph is theirs, and a plan names what docker-pkg would.

The trees are those of Wikimedia's production images: what each image's ``control`` and template said,
and all versions of its changelog. Where the data is not at hand there is nothing to test.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from docker_pkg_program import docker_pkg_folder
from msgspec import Struct, structs

from imagecatalog.catalog import builds, ingest
from imagecatalog.catalog.lineage import edges_of
from imagecatalog.config import Settings
from imagecatalog.domain.builds import Build, Parent, Role
from imagecatalog.domain.plans import Plan, PlanQuestion
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadName
from imagecatalog.formats.docker_pkg import parse_control
from imagecatalog.planning.plan import make_plan
from imagecatalog.store import images, lookups
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.shelf import Shelf

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "wikimedia" / "production-images.jsonl.zst"
HOST = "docker-registry.example.org"
NOW = datetime(2026, 8, 22, tzinfo=UTC)
_PARENT = re.compile(
    r"""["']([\w.+-]+)["']\s*\|\s*image_tag|(?:\{\{\s*registry\s*\}\}|docker-registry\.\S+?)/([\w.+-]+)"""
)


class Folder(Struct, frozen=True):
    """An image's folder in one of the trees."""

    tree: str
    name: str
    versions: tuple[str, ...]
    depends: tuple[str, ...]
    """Names of ``Depends`` and ``Build-Depends``."""
    base: str | None
    """Repository of its last FROM, if that is of a tree here."""
    others: tuple[str, ...]
    """Repositories of all other images that its template names, of those."""

    @property
    def repository(self) -> str:
        return _repository(self.tree, self.name)


def _repository(tree: str, name: str) -> str:
    return f"{HOST}/{name}" if tree == "images" else f"{HOST}/{tree}/{name}"


def _read() -> list[Folder]:
    """The folders that are there today; empty where the data is not."""
    if not DATA.exists():
        return []
    text = subprocess.run(
        ["zstd", "-dc", "--long=27", str(DATA)], check=True, capture_output=True
    ).stdout
    rows = [row for line in text.splitlines() if not (row := json.loads(line)).get("deleted")]
    known = {_repository(*_name(row)) for row in rows}
    return [_folder(row, known) for row in rows]


def _name(row: Mapping[str, Any]) -> tuple[str, str]:
    """Its tree, and its name as docker-pkg takes it: from the newest entry of the changelog."""
    return row["dir"].partition("/")[0], row["versions"][-1]["package"]


def _folder(row: Mapping[str, Any], known: set[str]) -> Folder:
    tree, name = _name(row)
    control = row.get("control") or {}
    named: dict[str, str] = {}
    found: list[str | None] = []
    for line in row["dockerfile"]["from"]:
        reference, _, alias = re.sub(r"\s+as\s+", " as ", line, flags=re.I).partition(" as ")
        parent = named.get(reference.strip()) or _find_parent(tree, reference)
        found.append(parent if parent in known else None)
        if alias and parent:
            named[alias.strip()] = parent
    base = found[-1] if found else None
    return Folder(
        tree=tree,
        name=name,
        versions=tuple(dict.fromkeys(one["version"] for one in row["versions"] if _is_tag(one))),
        depends=tuple(
            name
            for key in ("Build-Depends", "Depends")
            for name in parse_control(f"{key}: {control[key]}\n" if key in control else "")
        ),
        base=base,
        others=tuple(sorted({one for one in found if one is not None} - {base})),
    )


def _find_parent(tree: str, reference: str) -> str | None:
    found = _PARENT.search(reference)
    if found is None:
        return None
    return _repository(tree, found[1]) if found[1] else _repository("images", found[2])


def _is_tag(version: Mapping[str, str]) -> bool:
    try:
        Reference.parse(f"{HOST}/image:{version['version']}")
    except BadName:
        return False
    return True


FOLDERS = _read()
__test__ = bool(FOLDERS)


def _digest(repository: str, version: str) -> Digest:
    return Digest.of(f"{repository}:{version}".encode())


def _roles(folder: Folder, known: Collection[str], *, with_templates: bool) -> dict[str, Role]:
    """The parents of an image, of those that are in a tree here."""
    roles: dict[str, Role] = {}
    if with_templates:
        roles |= dict.fromkeys(folder.others, "stage")
        roles |= {folder.base: "base"} if folder.base else {}
    for name in folder.depends:
        near = _repository(folder.tree, name)
        roles.setdefault(near if near in known else _repository("images", name), "stage")
    return roles


def _fill(path: Path, folders: list[Folder], *, with_templates: bool) -> Catalog:
    """A catalog in which each version of each image registered itself with its parents."""
    initialise(str(path))
    catalog = Catalog.open(str(path))
    newest = {one.repository: one.versions[-1] for one in folders}
    shelf = Shelf()
    for folder in folders:
        parents = tuple(
            Parent(image=f"{name}:{newest[name]}", digest=_digest(name, newest[name]), role=role)
            for name, role in _roles(folder, newest, with_templates=with_templates).items()
        )
        told = [
            builds.prepare(
                Build(
                    image=f"{folder.repository}:{version}",
                    digest=_digest(folder.repository, version),
                    builder="docker-pkg",
                    parents=parents,
                ),
                evidence="registered",
                told_by="tree",
                signature=None,
            )
            for version in folder.versions
        ]
        with catalog.write() as c:
            builds.register_all(c, shelf, told, configured={}, now=NOW)
            met = lookups.find_by_digest(
                c, [_digest(folder.repository, version) for version in folder.versions]
            )
            tags = {v: met[_digest(folder.repository, v)][0] for v in folder.versions}
            ingest.record_repository(c, folder.repository, tags, list(tags.values()), [], now=NOW)
    return catalog


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """All versions of all images, with the parents that templates and ``control`` name."""
    path = tmp_path_factory.mktemp("trees") / "catalog.sqlite"
    catalog = _fill(path, FOLDERS, with_templates=True)
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def controls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """The newest versions with the parents that ``control`` names: all that docker-pkg looks at."""
    path = tmp_path_factory.mktemp("controls") / "catalog.sqlite"
    newest = [structs.replace(one, versions=one.versions[-1:]) for one in FOLDERS]
    catalog = _fill(path, newest, with_templates=False)
    yield catalog
    catalog.close()


def _plan(catalog: Catalog, repository: str) -> tuple[Plan, float]:
    began = time.process_time()
    with catalog.read() as c:
        ask = PlanQuestion(image=repository, idle=True)
        plan = make_plan(c, ask, settings=Settings(), now=NOW)
    return plan, time.process_time() - began


def _places(plan: Plan) -> dict[str, int]:
    """The wave of each repository: the last of its lines counts."""
    return {step.repository: number for number, wave in enumerate(plan.waves) for step in wave}


def test_our_graph_is_theirs(trees: Catalog) -> None:
    known = {one.repository for one in FOLDERS}
    with trees.read() as c:
        newest = {
            lookups.resolve(c, f"{one.repository}:{one.versions[-1]}"): one for one in FOLDERS
        }
        found = edges_of(c, newest)
        parents = {edge.parent for edges in found.values() for edge in edges if edge.parent}
        names = {n: name.rpartition(":")[0] for n, name in images.best_names(c, parents).items()}
    assert len(FOLDERS) == 136
    for number, folder in newest.items():
        told = _roles(folder, known, with_templates=True)
        edges = found.get(number, ())
        assert {names[edge.parent or 0]: edge.role for edge in edges} == told
        assert {edge.evidence for edge in edges} <= {"registered"}


_JUDGE = """
import json, sys
from docker_pkg.builder import DockerBuilder, ImageFSM

class Image:
    def __init__(self, name, depends):
        self.short_name, self.depends, self.image = name, depends, f"registry/{name}:1"

def builder(tree, glob):
    it = object.__new__(DockerBuilder)
    it.glob, it._build_chain, it.all_images = glob, [], set()
    for name, depends in tree.items():
        fsm = object.__new__(ImageFSM)
        fsm.image, fsm.children, fsm.state = Image(name, depends), set(), ImageFSM.STATE_TO_BUILD
        it.all_images.add(fsm)
    return it

tree = json.load(sys.stdin)
updates = {
    name: sorted(f.image.short_name for f in builder(tree, f"*/{name}:*").images_to_update())
    for name in tree
}
chain = [fsm.image.short_name for fsm in builder(tree, None).build_chain]
json.dump({"updates": updates, "chain": chain}, sys.stdout)
"""


def _ask_docker_pkg(tree: Mapping[str, Sequence[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """What docker-pkg's own code would update with each image, and in which order it would build."""
    answer = subprocess.run(
        [docker_pkg_folder() / "python", "-c", _JUDGE],
        input=json.dumps(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(answer.stdout)
    return said["updates"], said["chain"]


def test_a_plan_names_what_docker_pkg_would_update_in_an_order_that_it_would_build(
    controls: Catalog,
) -> None:
    """Of the largest tree: docker-pkg refuses those that depend on images of another."""
    tree = {one.name: one.depends for one in FOLDERS if one.tree == "images"}
    inside = {_repository("images", name) for name in tree}
    updates, chain = _ask_docker_pkg(tree)
    place = {name: position for position, name in enumerate(chain)}
    parents = [name for name, updated in updates.items() if len(updated) > 1]
    assert len(parents) > 20
    slowest = 0.0
    for name in parents:
        plan, seconds = _plan(controls, _repository("images", name))
        slowest = max(slowest, seconds)
        waves = _places(plan)
        assert waves.keys() & inside == {_repository("images", one) for one in updates[name]}
        for one in updates[name]:
            for before in set(tree[one]) & set(updates[name]):
                assert place[before] < place[one]
                assert waves[_repository("images", before)] < waves[_repository("images", one)]
    assert slowest < 1


def test_a_plan_forgets_no_image_that_control_does_not_name(
    trees: Catalog, controls: Catalog
) -> None:
    """Templates name parents that ``control`` leaves out: docker-pkg update leaves these children out."""
    by_name = {one.repository: one for one in FOLDERS}
    told = {name: set(_roles(one, by_name, with_templates=True)) for name, one in by_name.items()}
    forgotten = set()
    for name in (one.repository for one in FOLDERS if one.name in ("golang1.22", "openjdk-8-jre")):
        whole, seconds = _plan(trees, name)
        found = {name}
        while more := {child for child, over in told.items() if over & found} - found:
            found |= more
        assert _places(whole).keys() == found
        assert seconds < 1
        forgotten |= found - _places(_plan(controls, name)[0]).keys()
    assert {one.rpartition("/")[2] for one in forgotten} >= {"envoy", "openjdk-8-jdk"}
