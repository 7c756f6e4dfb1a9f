"""The verb ``agent``: scans what a server cannot reach, and tells it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagecatalog.cli.options import Invocation, Verb
from imagecatalog.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from imagecatalog.config import Settings
    from imagecatalog.jobs.agent import Subject

IN_PART = 1
"""Exit status when something was not told."""
_TOKEN_LIMIT = 4096
_STATE_VARIABLE = "STATE_DIRECTORY"
"""In which systemd names the folder that a service may write."""


@click.command(cls=Verb, takes=("server",))
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Holds the token, and is read each time; left out, IMAGE_CATALOG_TOKEN.",
)
@click.option(
    "--cluster",
    "clusters",
    multiple=True,
    metavar="NAME:KUBECONFIG",
    help="What to scan: a kubeconfig, in-cluster, or unix:///run/docker.sock. May be repeated; "
    "left out, all of the configuration.",
)
@click.option(
    "--every",
    type=click.IntRange(1, 86400),
    default=3600,
    metavar="SECONDS",
    help="Scan that often; 3600.",
)
@click.option(
    "--buffer",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where scans wait while the server is away; ~/.local/state/imagecatalog-agent, or what "
    "STATE_DIRECTORY names.",
)
@click.option(
    "--buffer-mib",
    type=click.IntRange(1, 1 << 20),
    default=256,
    metavar="N",
    help="How much may wait, in MiB; 256.",
)
@click.option("--once", is_flag=True, help="Scan once, tell all that waits, and leave.")
@click.pass_obj
def agent(
    invocation: Invocation,
    *,
    token_file: Path | None,
    clusters: tuple[str, ...],
    every: int,
    folder: Path | None,
    buffer_mib: int,
    once: bool,
) -> int:
    """Scan clusters that the server cannot reach, and tell it.

    It wants --server, and a token with the scope record. While the server is away scans wait in a
    folder, and are told in their order afterwards. With --once exit status 1: not all was told.
    """
    from imagecatalog.cli.server import check_address
    from imagecatalog.jobs.agent import Agent

    server = invocation.flags.get("server")
    if not server:
        raise UsageError("--server: whom should it tell?", hint="--server https://catalog.example")
    check_address(server)
    _find_token(token_file)
    if clusters:
        invocation.flags["clusters"] = ",".join(clusters)
    subjects = list_subjects(invocation.settings(need_database=False))
    with _stopping() as stopping:
        work = Agent(
            subjects,
            partial(_tell, server, token_file),
            folder=folder or _usual_folder(),
            every=every,
            most_bytes=buffer_mib << 20,
            now=lambda: datetime.now(UTC),
            say=_speaker(is_quiet=invocation.is_quiet),
            stopping=stopping,
        )
        is_told = work.run(once=once)
    return IN_PART if once and not is_told else 0


def list_subjects(settings: Settings) -> list[Subject]:
    """What the settings name to be scanned; raises UsageError where that is nothing."""
    from imagecatalog.jobs.agent import Subject
    from imagecatalog.sources.docker_host import scan_host
    from imagecatalog.sources.kube import read_cluster

    keys = settings.teams.keys
    found = [
        Subject(one.name, partial(read_cluster, one, team_keys=keys)) for one in settings.clusters
    ]
    found += [Subject(one.name, partial(scan_host, one, team_keys=keys)) for one in settings.hosts]
    if not found:
        raise UsageError(
            "there is no cluster to scan",
            hint="name one: --cluster NAME:KUBECONFIG, NAME:in-cluster or NAME:unix:///run/docker.sock",
        )
    return found


def _tell(address: str, token_file: Path | None, cluster: str, body: bytes) -> bytes:
    from imagecatalog.cli.server import ONCE, Server

    token = _find_token(token_file)
    # The agent itself tries again, between its scans.
    with Server.connect(address, token=token, patience=ONCE) as server:
        return server.post(f"/api/v1/clusters/{cluster}/scan", body, {}).body


def _find_token(path: Path | None) -> str:
    """The token of the file, else of the environment, which is not shown; raises ConfigError."""
    from imagecatalog.cli.server import read_token
    from imagecatalog.config import TOKEN_VARIABLE

    where, told = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
    if path is not None:
        where = str(path)
        try:
            with path.open("rb") as stream:
                told = stream.read(_TOKEN_LIMIT).decode("ascii", "replace")
        except OSError as problem:
            raise ConfigError(f"{path} cannot be read: {problem.strerror}") from None
    token = read_token({TOKEN_VARIABLE: told}, where=where)
    if token is None:
        raise ConfigError(
            f"{where} holds no token",
            hint="imagecatalog token create --scope record prints one; name its file by --token-file",
        )
    return token


def _usual_folder() -> Path:
    named = os.environ.get(_STATE_VARIABLE, "").partition(":")[0]
    if named:
        return Path(named)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "imagecatalog-agent"


def _speaker(*, is_quiet: bool) -> Callable[[str, bool], None]:
    """Writes lines with their moment to stderr, whole ones, whichever thread they come of."""
    from imagecatalog.cli.render import clean

    lock = threading.Lock()

    def say(line: str, is_fault: bool) -> None:
        if is_quiet and not is_fault:
            return
        word = "warning: " if is_fault else ""
        with lock:
            sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {word}{clean(line)}\n")
            sys.stderr.flush()

    return say


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that TERM and Ctrl-C set."""
    event = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        event.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


VERBS = (agent,)
