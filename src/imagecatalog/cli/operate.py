"""The verbs that make and keep a catalog."""

from __future__ import annotations

import errno
import ipaddress
import logging
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imagecatalog.cli.options import Invocation, Verb
from imagecatalog.errors import UsageError

if TYPE_CHECKING:
    from imagecatalog.config import Settings
    from imagecatalog.jobs.report import Report
    from imagecatalog.jobs.schedule import Scheduler
    from imagecatalog.store.engine import Catalog

PORT = 3691
IN_PART = 1
"""Exit status when something failed and the rest was done."""


@click.command(cls=Verb)
@click.pass_obj
def init(invocation: Invocation) -> None:
    """Create the database, or bring it to this release."""
    from imagecatalog.errors import hide_secrets
    from imagecatalog.store.engine import initialise

    settings = invocation.settings()
    initialise(settings.database)
    _remark(invocation, f"{hide_secrets(settings.database)} is ready")


_HOST = click.option(
    "--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on; 127.0.0.1."
)
_PORT = click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, metavar="N", help=f"Port; {PORT}."
)


@click.command(cls=Verb)
@_HOST
@_PORT
@click.option("--no-jobs", is_flag=True, help="Leave the periodic jobs to others (timers).")
@click.pass_obj
def serve(invocation: Invocation, host: str, port: int, *, no_jobs: bool) -> None:
    """Pages and API; on an SQLite database also the hourly jobs.

    On any database it looks at once at what registries tell of pushes.
    """
    with invocation.catalog() as (settings, catalog):
        _serve(invocation, settings, catalog, host, port, with_jobs=not no_jobs)


@click.command(cls=Verb)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME",
    help="Read REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST alone; may be repeated.",
)
@click.pass_obj
def sync(invocation: Invocation, sources: tuple[str, ...], images: tuple[str, ...]) -> int:
    """Read registries: which images there are, what is in them.

    SOURCE is https://registry.example.org[/prefix], oci:DIR (an OCI layout or a folder of them) or
    docker-archive:FILE; left out, every [[registry]] of the configuration.
    """
    from imagecatalog.cli.progress import show_progress
    from imagecatalog.jobs.looking import sync_images
    from imagecatalog.jobs.sync import sync as run

    with invocation.catalog() as (settings, catalog):
        with show_progress(is_quiet=invocation.is_quiet) as progress:
            if images:
                report = sync_images(
                    catalog, settings, images, sources, now=_now, progress=progress
                )
            else:
                report = run(catalog, settings, sources, now=_now, progress=progress)
        return tell_report(invocation, report)


class NamedFile(click.ParamType[tuple[str, Path]]):
    """``NAME=PATH`` of a file that is there."""

    name = "file"

    def __init__(self, shape: str) -> None:
        self._shape = shape

    def convert(
        self,
        value: str | tuple[str, Path],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Path]:
        """The name and the file."""
        if isinstance(value, tuple):
            return value
        name, equals, path = value.partition("=")
        if not equals or not name or not path:
            self.fail(f"{value!r} is not {self._shape}", param, ctx)
        # before anything is read: a file named wrongly is nothing that failed
        if not Path(path).exists():
            self.fail(f"there is no file {path}", param, ctx)
        return name, Path(path)


@click.command(cls=Verb)
@click.option(
    "--from-dump",
    "dumps",
    type=NamedFile("NAME=PODS.json"),
    multiple=True,
    metavar="NAME=PODS.json",
    help="Take `kubectl get pods -A -o json` instead of asking clusters; may be repeated.",
)
@click.pass_obj
def record(invocation: Invocation, dumps: tuple[tuple[str, Path], ...]) -> int:
    """Scan every cluster once for what runs."""
    from imagecatalog.cli.progress import show_progress
    from imagecatalog.jobs.record import record as run

    if len({name for name, _ in dumps}) < len(dumps):
        raise UsageError("--from-dump names a cluster twice", hint="a cluster has one dump a scan")
    with invocation.catalog() as (settings, catalog):
        with show_progress(is_quiet=invocation.is_quiet) as progress:
            report = run(catalog, settings, dumps=dict(dumps), now=_now, progress=progress)
        return tell_report(invocation, report)


@click.command(cls=Verb)
@click.argument("feeds", nargs=-1, metavar="[FEED]...")
@click.option(
    "--from-file",
    "files",
    type=NamedFile("FEED=PATH"),
    multiple=True,
    metavar="FEED=PATH",
    help="Read this feed from a file, or a folder as its site has it; may be repeated.",
)
@click.pass_obj
def refresh(
    invocation: Invocation, feeds: tuple[str, ...], files: tuple[tuple[str, Path], ...]
) -> int:
    """Fetch what was published since, and judge what it changes.

    FEED is apt (the archives that the images' own apt sources name), debian-tracker, alpine-secdb,
    osv, kev, epss, vex or clair; left out, every feed that [feeds] does not switch off.
    """
    import msgspec

    from imagecatalog.cli.progress import show_progress
    from imagecatalog.jobs.refresh import refresh as run

    if any(name == "apt" for name, _ in files):
        raise UsageError(
            "apt is many archives and not one file", hint="map them under [apt.mirrors]"
        )
    if any(name == "clair" for name, _ in files):
        raise UsageError("clair is a server and no file", hint="write its address into [clair]")
    if len({name for name, _ in files}) < len(files):
        raise UsageError(
            "--from-file names a feed twice", hint="name the folder that holds its files"
        )
    addresses: dict[str, str | bool] = {
        name: path.absolute().as_uri() + ("/" if path.is_dir() else "") for name, path in files
    }
    feeds = tuple(dict.fromkeys((*feeds, *addresses)))
    with invocation.catalog() as (settings, catalog):
        asked = msgspec.structs.replace(settings, feeds=settings.feeds | addresses)
        with show_progress(is_quiet=invocation.is_quiet) as progress:
            report = run(catalog, asked, feeds, now=_now, once=addresses, progress=progress)
        return tell_report(invocation, report)


@click.command(cls=Verb)
@click.option(
    "--directory",
    "--dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    metavar="DIR",
    help="Where its catalog and configuration lie; .demo in the working directory.",
)
@_HOST
@_PORT
@click.option("--no-serve", is_flag=True, help="Fill the catalog and leave.")
@click.pass_obj
def demo(invocation: Invocation, directory: Path, host: str, port: int, *, no_serve: bool) -> int:
    """A sample fleet of real Debian images, read and served."""
    from imagecatalog.cli.progress import show_progress
    from imagecatalog.jobs.demo import run_demo
    from imagecatalog.store.engine import Catalog

    with show_progress(is_quiet=invocation.is_quiet) as progress:
        settings, report = run_demo(directory.absolute(), now=_now, progress=progress)
    status = tell_report(invocation, report)
    _remark(
        invocation,
        f"ask it: imagecatalog --config {shlex.quote(settings.config_file or '')} outdated",
    )
    if not no_serve:
        with closing(Catalog.open(settings.database)) as catalog:
            _serve(invocation, settings, catalog, host, port, with_jobs=True)
    return status


@click.command(cls=Verb)
@click.pass_obj
def doctor(invocation: Invocation) -> int:
    """Check the set-up, and say what to do where it is not well.

    Asks the database, every registry, every cluster and the Clair of the configuration; changes
    nothing.
    """
    from imagecatalog.cli.diagnose import diagnose
    from imagecatalog.cli.layouts import show_findings

    findings = [*diagnose(invocation.settings(), _now())]
    show_findings(findings)
    return 0 if all(finding.is_well for finding in findings) else IN_PART


def tell_report(invocation: Invocation, report: Report) -> int:
    """Say on stderr what was done and, also when quiet, what failed; the exit status."""
    from imagecatalog.cli.render import clean

    for line in report.done:
        _remark(invocation, line)
    for failure in report.failed:
        subject = "" if failure.message.startswith(failure.subject) else f"{failure.subject}: "
        click.echo(clean(f"failed: {subject}{failure.message}"), err=True)
        if failure.hint:
            click.echo(clean(f"  hint: {failure.hint}"), err=True)
    return IN_PART if report.failed else 0


def _remark(invocation: Invocation, line: str) -> None:
    from imagecatalog.cli.render import clean

    if not invocation.is_quiet:
        click.echo(clean(line), err=True)


def _serve(
    invocation: Invocation,
    settings: Settings,
    catalog: Catalog,
    host: str,
    port: int,
    *,
    with_jobs: bool,
) -> None:
    import uvicorn

    from imagecatalog.jobs.schedule import Scheduler
    from imagecatalog.web import create_asgi_app

    logging.getLogger("imagecatalog").setLevel(logging.INFO)
    with closing(_listen(host, port)) as listener, _stoppable():
        scheduler = Scheduler(catalog, settings, periodic=catalog.embedded) if with_jobs else None
        wake = scheduler.wake if scheduler else lambda: None
        app = create_asgi_app(settings, catalog, wake=wake)
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
        config.log_level = "warning"
        _remark(invocation, f"serving on {_address(listener)} (stop with Ctrl-C)")
        is_loopback = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        if not is_loopback and settings.api.reads == "open":
            _remark(
                invocation,
                'reads are open: whoever reaches this address may; [api] reads = "token" shuts them',
            )
        with _jobs(scheduler), _watching(settings, catalog, wanted=with_jobs):
            uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _jobs(scheduler: Scheduler | None) -> Iterator[None]:
    if scheduler is None:
        yield
        return
    scheduler.start()
    try:
        yield
    finally:
        scheduler.stop()


@contextmanager
def _watching(settings: Settings, catalog: Catalog, *, wanted: bool) -> Iterator[None]:
    if not wanted or not any(cluster.watch for cluster in settings.clusters):
        yield
        return
    from imagecatalog.jobs.watch import Watching

    watching = Watching(catalog, settings, now=_now)
    watching.start()
    try:
        yield
    finally:
        watching.stop()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
        # Connections take it over. asyncio does not set it for these, and then every answer on a
        # connection in use waits 40 ms for the other side's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as problem:
        hints = {
            errno.EADDRINUSE: "another one may be running; choose with --port, or --port 0 for any"
            " free one",
            errno.EACCES: "ports below 1024 are root's; choose with --port",
        }
        # create_server adds to the reason what we say ourselves
        reason = str(problem.strerror or problem).partition(" (while")[0]
        raise UsageError(
            f"cannot listen on {host} port {port}: {reason}",
            hint=hints.get(problem.errno or 0, "--host takes an address of this machine"),
        ) from None


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """A server that is told to stop, by Ctrl-C or by TERM, has done what it should."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
    finally:
        signal.signal(signal.SIGTERM, before)


def _now() -> datetime:
    return datetime.now(UTC)


VERBS = (init, sync, refresh, record, serve, doctor, demo)
