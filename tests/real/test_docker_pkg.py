"""docker-pkg as it is published builds a tree, its builds register themselves, a plan is carried out.

On a Docker-compatible engine, against a registry with TLS and a password, a signed archive and a
served catalog; the lines that a user runs are the lines that run here.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from api_server import make_pod
from command_line import COMMAND, clean_environment
from debian_roots import machine_archive
from docker_engine import DockerEngine
from docker_pkg_program import docker_pkg_folder
from docker_pkg_tree import BASE_TAG, TEMPLATES, AcmeArchive, commit, git, write_tree
from registry_server import PASSWORD, USER, DockerRegistry

pytestmark = pytest.mark.real

BOOKWORM = f"127.0.0.1/bookworm:{BASE_TAG}"
RUNNING = ("acme-web", "acme-api", "acme-tool")
RENEWED = ("base", "acme-build", "acme-runtime", "acme-web", "acme-api")
MOVED = ("acme-web", "acme-api")
"""What runs of that."""
PARENTS = {
    "base": {("base", BOOKWORM)},
    "acme-build": {("base", "base")},
    "acme-runtime": {("base", "base")},
    "acme-web": {("base", "acme-runtime"), ("stage", "acme-build")},
    "acme-api": {("base", "acme-runtime"), ("copy", "acme-build")},
    "acme-tool": {("base", BOOKWORM)},
    "other-base": {("base", "127.0.0.1/bookworm:latest")},
}
DOCUMENTED = "imagecatalog register --docker-pkg images -- docker-pkg -c config.yaml build images"


class Workplace:
    """The folder of a user of docker-pkg, and what it runs against."""

    def __init__(
        self, folder: Path, registry: DockerRegistry, engine: DockerEngine, archive: AcmeArchive
    ) -> None:
        self.folder = folder
        self.registry = registry
        self.engine = engine
        self.archive = archive
        self.settings = folder.parent / "catalog.toml"
        self.environ = clean_environment(
            {
                "HOME": str(folder.parent / "home"),
                "PATH": f"{COMMAND.parent}:{docker_pkg_folder()}:{os.environ['PATH']}",
                "DOCKER_HOST": f"unix://{engine.socket}",
                "DEBFULLNAME": "Acme",
                "DEBEMAIL": "acme@example.org",
            }
        )
        self._write_settings()

    def sh(self, line: str, *, expect: int = 0) -> str:
        """Run a line as its user does, in the folder of the tree; what it says."""
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.folder, env=self.environ,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{line}: {done.returncode}\n{done.stdout}\n{self._log()}"
        return done.stdout

    def ask(self, line: str) -> Any:
        """What a reading verb answers from the database, as JSON."""
        said = self.sh(f"imagecatalog --config {self.settings} {line} --format json 2>/dev/null")
        return json.loads(said)

    def catalog(self, line: str) -> str:
        """Run a verb of whoever keeps the catalog."""
        return self.sh(f"imagecatalog --config {self.settings} {line}")

    def digest(self, name: str) -> str:
        """What the registry itself says a name means."""
        repository, _, tag = name.removeprefix("127.0.0.1/").rpartition(":")
        request = urllib.request.Request(
            f"https://127.0.0.1/v2/{repository}/manifests/{tag}", method="HEAD"
        )
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        kinds = ("oci.image.manifest.v1", "docker.distribution.manifest.v2")
        request.add_header("Accept", ", ".join(f"application/vnd.{kind}+json" for kind in kinds))
        context = ssl.create_default_context(cafile=str(self.registry.ca))
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def _write_settings(self) -> None:
        home = self.folder.parent / "home"
        home.mkdir()
        (home / ".netrc").write_text(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
        secret = self.folder.parent / "password"
        secret.write_text(PASSWORD)
        self.settings.write_text(
            f'database = "{self.folder.parent}/catalog.sqlite"\n'
            f'[[registry]]\nurl = "https://127.0.0.1"\nca = "{self.registry.ca}"\n'
            f'username = "{USER}"\npassword_file = "{secret}"\n'
        )
        config = {
            "registry": self.registry.host,
            "username": USER,
            "password": PASSWORD,
            "ca_bundle": str(self.registry.ca),
            "base_images": [BOOKWORM],
            "distribution": "acme",
        }
        (self.folder / "config.yaml").write_text(json.dumps(config))

    def _log(self) -> str:
        log = self.folder / "docker-pkg-build.log"
        return log.read_text()[-4000:] if log.exists() else ""


@pytest.fixture
def workplace(tmp_path: Path, debian_fleet: Path) -> Iterator[Workplace]:
    """An engine, a registry with a base image, an archive, and a tree in git."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 443))
        except OSError as error:
            pytest.fail(f"docker-pkg wants its registry on port 443, which is not ours: {error}")
    with ExitStack() as stack:
        registry = DockerRegistry(tmp_path / "registry", secure=True, port=443)
        stack.callback(registry.stop)
        registry.start()
        archive = AcmeArchive(tmp_path / "archive", machine_archive().architecture)
        stack.callback(archive.close)
        engine = DockerEngine(tmp_path / "engine", {registry.host: registry.ca})
        stack.callback(engine.stop)
        engine.start()
        for tag in (BASE_TAG, "latest"):
            registry.push(f"oci:{debian_fleet}/layout:minimal", f"bookworm:{tag}")
        archive.publish("1.0-1")
        write_tree(tmp_path / "tree", archive)
        yield Workplace(tmp_path / "tree", registry, engine, archive)


@contextmanager
def served(workplace: Workplace) -> Iterator[str]:
    """A server over the catalog; its address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [COMMAND, "--config", workplace.settings, "serve", "--no-jobs", "--port", str(port)]
    process = subprocess.Popen(
        [str(word) for word in command], env=workplace.environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the server ended"
            try:
                urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < until, "the server gave no answer"
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def check_builds(workplace: Workplace, suffix: str, revision: str, names: Iterable[str]) -> None:
    """What is known of each image's build is what docker-pkg did."""
    for name in names:
        image = f"127.0.0.1/{name}:1.0-1{suffix}"
        told = [
            build
            for build in fetch(workplace, f"/images/{workplace.digest(image)}/builds")["items"]
            if build["evidence"] == "registered"
        ]
        assert [build["image"] for build in told] == [image]
        (build,) = told
        assert build["digest"] == workplace.digest(image)
        assert build["builder"] == "docker-pkg"
        assert build["source_repository"] == "https://git.example.org/images"
        assert build["source_revision"] == revision, image
        assert build["source_path"] == f"images/{name}"
        assert build["platform"].startswith("linux/")
        expected = {
            (role, parent if "/" in parent else f"127.0.0.1/{parent}:1.0-1{suffix}")
            for role, parent in PARENTS[name]
        }
        assert {(one["role"], one["image"]) for one in build["parents"]} == expected
        for parent in build["parents"]:
            assert parent["digest"] == workplace.digest(parent["image"]), (image, parent)


def check_packages(workplace: Workplace, suffix: str, names: Iterable[str]) -> None:
    """The packages of each image are those that its own dpkg-query lists."""
    for name in names:
        image = f"127.0.0.1/{name}:1.0-1{suffix}"
        digest = workplace.digest(image)
        listed = {
            (one["package"], one["arch"], one["installed"])
            for one in fetch(workplace, f"/images/{digest}/packages")["items"]
        }
        assert listed == {row[:3] for row in workplace.engine.packages(image)}, image


def fetch(workplace: Workplace, path: str) -> Any:
    """An answer of the served catalog."""
    address = workplace.environ["SERVER"]
    with urllib.request.urlopen(f"{address}/api/v1{path}", timeout=60) as answer:
        return json.load(answer)


def scan(workplace: Workplace) -> None:
    """What a cluster says that it runs: the newest version of each image."""
    pods = []
    for number, name in enumerate(RUNNING):
        changelog = (workplace.folder / "images" / name / "changelog").read_text()
        version = re.search(r"\((\S+)\)", changelog)
        assert version
        image = f"127.0.0.1/{name}:{version[1]}"
        digest = workplace.digest(image)
        pods.append(make_pod(number, "prod", image, f"127.0.0.1/{name}@{digest}"))
    dump = workplace.folder.parent / "pods.json"
    dump.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    workplace.catalog(f"record --from-dump prod={dump}")


def test_a_tree_registers_itself_and_a_plan_is_carried_out(workplace: Workplace) -> None:
    revision = git(workplace.folder, "rev-parse", "HEAD").strip()
    workplace.catalog("init")
    token = workplace.catalog("token create --scope register 2>/dev/null").strip()
    with served(workplace) as server:
        # the server is named by a global option, which may also stand before the verb
        workplace.environ |= {"IMAGE_CATALOG_TOKEN": token, "SERVER": server}
        register = DOCUMENTED.replace("imagecatalog ", f"imagecatalog --server {server} ")

        said = workplace.sh(register)
        assert said.count("Successfully published image") == len(TEMPLATES)
        assert registered(said) == {f"{name}:1.0-1" for name in TEMPLATES}
        workplace.catalog("sync")
        check_builds(workplace, "", revision, TEMPLATES)
        check_packages(workplace, "", TEMPLATES)
        assert "no build is new here" in workplace.sh(register)
        scan(workplace)
        workplace.catalog("refresh apt")
        assert workplace.ask("outdated --security") == []

        workplace.archive.publish("1.0-1+deb12u1")
        workplace.catalog("refresh apt")
        stale = {one["image"] for one in workplace.ask("outdated --security")}
        assert stale == {f"127.0.0.1/{name}:1.0-1" for name in MOVED}
        number = check_plan(workplace)
        lines = carry_out(workplace, number)
        assert [line.split()[3] for line in lines] == ["update", "build"]

        # whoever only built and told nobody is caught up with
        said = workplace.sh(f"imagecatalog --server {server} register --docker-pkg images")
        assert registered(said) == {f"{name}:1.0-1-s1" for name in RENEWED}
        workplace.catalog("sync")
        check_builds(workplace, "-s1", f"{revision}-dirty", RENEWED)
        check_packages(workplace, "-s1", RENEWED)
        assert set(states(workplace, number, "open").values()) == {"proven"}
        scan(workplace)
        proven = states(workplace, number, "closed")
        assert {name for name, state in proven.items() if state == "deployed"} == set(MOVED)
        assert set(proven.values()) == {"proven", "deployed"}
        assert workplace.ask("outdated --security") == []

        check_nightly(workplace, register)


def registered(said: str) -> set[str]:
    """The images that a call of register told of."""
    return set(re.findall(r"(?m)^registered 127\.0\.0\.1/(\S+) sha256:", said))


def check_plan(workplace: Workplace) -> int:
    """Plan for the new package; the number that the plan was saved under."""
    plan = workplace.ask("plan --package libacme --save")
    waves = [
        {step["rebuild"].removeprefix("127.0.0.1/").removesuffix(":1.0-1") for step in wave}
        for wave in plan["waves"]
    ]
    assert waves[0] == {"base"}
    assert waves[1] >= {"acme-runtime"}
    assert waves[-1] == set(MOVED)
    moves = {(one["workload"], one["from"]) for one in plan["redeploy"]}
    assert moves == {
        ("Deployment/web-0", "127.0.0.1/acme-web:1.0-1"),
        ("Deployment/web-1", "127.0.0.1/acme-api:1.0-1"),
    }
    assert plan["state"] == "open"
    assert isinstance(plan["id"], int)
    return int(plan["id"])


def states(workplace: Workplace, number: int, state: str) -> dict[str, str]:
    """What became of each step of a plan that is in this state."""
    plan = workplace.ask(f"plan --id {number}")
    assert plan["state"] == state, plan
    return {
        step["rebuild"].removeprefix("127.0.0.1/").partition(":")[0]: step["state"]
        for wave in plan["waves"]
        for step in wave
    }


def carry_out(workplace: Workplace, number: int) -> list[str]:
    """Run what the plan prints, as it is printed; the lines that are commands."""
    told = workplace.sh(
        f"imagecatalog --config {workplace.settings} plan --id {number} --format docker-pkg"
        " --tree images 2>/dev/null"
    )
    script = workplace.folder.parent / "plan.sh"
    script.write_text(told)
    said = workplace.sh(f"sh -e {script}")
    assert said.count("Successfully published image") == len(RENEWED), told
    return [line for line in told.splitlines() if not line.startswith("#")]


def check_nightly(workplace: Workplace, register: str) -> None:
    """A nightly build has parents of the same night, committed sources, and no libacme of old."""
    revision = commit(workplace.folder, "Security update")
    nightly = register.replace(" build ", " build --nightly --select '*/acme-web:*' ")
    said = workplace.sh(nightly)
    found = re.findall(r"Successfully published image 127.0.0.1/([^:]+):1.0-1-s1(-[0-9]{8})", said)
    suffix = found[0][1]
    assert {name for name, _ in found} == {"base", "acme-build", "acme-runtime", "acme-web"}
    check_builds(workplace, f"-s1{suffix}", revision, [name for name, _ in found])
