"""docker-pkg from the command line: its builds are registered, and plans are written as its commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from msgspec import structs

from imagecatalog.cli.bodies import Body, body_of
from imagecatalog.cli.options import Invocation
from imagecatalog.config import RegistrySetting
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import CatalogError, ConfigError, UsageError
from imagecatalog.formats.docker_pkg import TreeConfig
from imagecatalog.jobs.docker_pkg import BUILDER, Run, TreeBuilds
from imagecatalog.sources.credentials import Credential, find_credential
from imagecatalog.sources.docker_pkg import DockerPkgTree, read_config
from imagecatalog.sources.registry import Registry

if TYPE_CHECKING:
    from imagecatalog.domain.plans import Plan

CONFIG = Path("config.yaml")
"""What docker-pkg reads if it is told of no other."""
IN_PART = 1
"""Exit status when something failed and the rest was done."""
_NAMED = 3
_VERSION_SECONDS = 20


Known = Callable[[str], Mapping[str, Digest]]
Tell = Callable[[Callable[[Known], Iterable[Body]]], int]
"""Tells of what is found by what is known; the exit status."""


def register_tree(
    invocation: Invocation,
    folder: Path,
    config_file: Path | None,
    command: Sequence[str],
    tell: Tell,
) -> int:
    """Run the command, if there is one, then register what the tree's registry holds and we do not.

    What cannot work is told before anything is run. The status is the command's unless that is 0.
    """
    config = read_config(config_file or _named_config(command) or CONFIG, os.environ)
    tree = DockerPkgTree(folder)
    if not command:
        return _register(invocation, tree, config, None, tell)
    if shutil.which(command[0]) is None:
        raise UsageError(f"there is no program {command[0]}", hint="is docker-pkg installed?")
    run = Run(datetime.now(UTC), _version_of(command))
    status = _run_through(command)
    try:
        ours = _register(invocation, DockerPkgTree(folder), config, run, tell)
    except CatalogError as error:
        # what docker-pkg said counts more; the same line heals this, whenever it is run again
        click.echo(f"error: not registered: {error.message}", err=True)
        click.echo(f"hint: later: imagecatalog register --docker-pkg {folder}", err=True)
        ours = error.exit_status
    return status or ours


def print_script(plan: Plan, folder: str, config_file: Path | None) -> None:
    """Write the docker-pkg commands of a plan; raises ConfigError for a folder without images."""
    from imagecatalog.outlets.docker_pkg import TreeView, script

    file = config_file or CONFIG
    if config_file is None and not file.exists():
        raise ConfigError(
            f"there is no {file} of docker-pkg in {Path.cwd()}",
            hint="go to where you run docker-pkg, or name both: --tree DIR --docker-pkg-config FILE",
        )
    config = read_config(file, os.environ)
    images = DockerPkgTree(Path(folder)).images()
    if not images:
        raise ConfigError(
            f"{folder} holds no image of docker-pkg", hint="name the folder it builds: --tree DIR"
        )
    view = TreeView(folder=folder, config_file=str(file), config=config, images=images)
    click.echo(script(plan, view, today=datetime.now().astimezone().date()), nl=False)


def _register(
    invocation: Invocation, tree: DockerPkgTree, config: TreeConfig, run: Run | None, tell: Tell
) -> int:
    registry = _registry(invocation, config)
    told: list[Body] = []
    try:
        found = TreeBuilds(tree, config, registry, run)

        def find(known: Known) -> list[Body]:
            told.extend(body_of(build) for build in found.missing(known))
            return told

        status = tell(find)
    finally:
        registry.close()
    _remark(invocation, found, len(told))
    for where, why in found.failures.items():
        click.echo(f"failed: {where}: {why}", err=True)
    return status or (IN_PART if found.failures else 0)


def _remark(invocation: Invocation, found: TreeBuilds, told: int) -> None:
    if invocation.is_quiet:
        return
    if not told:
        click.echo("no build is new here", err=True)
    for where, why in found.problems.items():
        click.echo(f"note: {where}: {why}", err=True)
    if found.absent:
        more = f" and {len(found.absent) - _NAMED} more" if len(found.absent) > _NAMED else ""
        names = ", ".join(found.absent[:_NAMED])
        click.echo(f"note: not in the registry (yet): {names}{more}", err=True)


def _registry(invocation: Invocation, config: TreeConfig) -> Registry:
    """As our own configuration speaks to it, else as docker-pkg's does."""
    settings = invocation.settings(need_database=False)
    setting = RegistrySetting(url=f"https://{config.registry}", ca=config.ca)
    for known in settings.registries:
        if urlsplit(known.url).netloc.lower() == config.registry:
            url = known.url.removesuffix(urlsplit(known.url).path)
            setting = structs.replace(known, url=url, repositories=(), exclude_tags=())

    def find(host: str, setting: RegistrySetting) -> Credential | None:
        found = find_credential(host, setting)
        if found is None and config.username and config.password:
            found = Credential(config.username, config.password)
        return found

    return Registry(setting, find=find)


def _call_of(command: Sequence[str]) -> Sequence[str]:
    """The call of docker-pkg within a command, which may begin with sudo and the like."""
    names = [Path(word).name for word in command]
    return command[names.index(BUILDER) :] if BUILDER in names else ()


def _named_config(command: Sequence[str]) -> Path | None:
    """The configuration that a call of docker-pkg names."""
    words = iter(_call_of(command))
    for word in words:
        option, equals, value = word.partition("=")
        if word == "-c" or (option.startswith("--c") and "--configfile".startswith(option)):
            return Path(value if equals else next(words, str(CONFIG)))
        if word.startswith("-c"):
            return Path(word.removeprefix("-c"))
    return None


def _version_of(command: Sequence[str]) -> str | None:
    """The version of the docker-pkg that is called, by the interpreter in its first line."""
    call = _call_of(command)
    path = shutil.which(call[0]) if call else None
    if path is None:
        return None
    try:
        with Path(path).open("rb") as stream:
            line = stream.readline(500)
        interpreter = line.removeprefix(b"#!").strip().decode()
        asked = "import importlib.metadata as m; print(m.version('docker-pkg'))"
        done = subprocess.run(
            [interpreter, "-c", asked], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_VERSION_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip() or None) if done.returncode == 0 else None


def _run_through(command: Sequence[str]) -> int:
    """Run a command with our streams; its status, as a shell tells it. Signals are its own to answer."""
    child = subprocess.Popen(list(command))

    def pass_on(number: int, _frame: object) -> None:
        child.send_signal(number)

    handlers: dict[int, Callable[[int, object], None] | signal.Handlers] = {
        # a terminal sends it to both
        signal.SIGINT: signal.SIG_IGN,
        signal.SIGTERM: pass_on,
        signal.SIGHUP: pass_on,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status
