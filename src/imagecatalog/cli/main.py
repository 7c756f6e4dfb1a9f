"""The command line: verbs, exit statuses, and the one place where errors meet a person.

Exit status: 0 done; 1 done in part; 2 wrong usage or configuration, or the database cannot be used;
3 not found; 10 with ``--exit-code`` when something is listed; 130 interrupted; 70 a fault of ours.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from imagecatalog import __version__
from imagecatalog.cli import (
    advisories,
    affected,
    agent,
    ask,
    debmonitor,
    defer,
    export,
    feeds,
    lineage,
    operate,
    pasts,
    plan,
    register,
    tokens,
    vex,
)
from imagecatalog.cli.options import Invocation, Verbs
from imagecatalog.errors import CatalogError

INTERRUPTED = 130
BROKEN_PIPE = 141
"""As the shell reports a program that SIGPIPE ended."""
UNWRITTEN = 1
"""The disk that stdout leads to is full."""
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
OUR_FAULT = 70
"""EX_SOFTWARE of sysexits.h."""


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def imagecatalog(context: click.Context) -> None:
    """Which container images you have, where each runs, and what to update."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _verb in (
    *operate.VERBS,
    *agent.VERBS,
    *feeds.VERBS,
    *register.VERBS,
    *tokens.VERBS,
    *ask.VERBS,
    *lineage.VERBS,
    *advisories.VERBS,
    *affected.VERBS,
    *pasts.VERBS,
    *defer.VERBS,
    *vex.VERBS,
    *plan.VERBS,
    *export.VERBS,
    *debmonitor.VERBS,
):
    imagecatalog.add_command(_verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` if left out) and return its exit status."""
    invocation = Invocation()
    _prepare_streams()
    try:
        status = _run(arguments, invocation)
        sys.stdout.flush()
    except OSError as error:
        # what is still buffered would raise again when the interpreter flushes it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        if error.errno not in _UNWRITABLE:
            raise
        _tell(f"the answer cannot be written: {error.strerror}", None)
        return UNWRITTEN
    return status


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # closed by whoever started us: there is nobody to tell
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open to the end
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _run(arguments: Sequence[str] | None, invocation: Invocation) -> int:
    try:
        logging.basicConfig(
            stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
        )
        answer = imagecatalog.main(
            list(arguments) if arguments is not None else None,
            prog_name="imagecatalog",
            standalone_mode=False,
            obj=invocation,
        )
        return answer if isinstance(answer, int) else 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "imagecatalog"
        _tell(error.format_message().rstrip("."), f"see {command} --help")
        return 2
    except click.ClickException as error:
        _tell(error.format_message(), None)
        return 2
    except CatalogError as error:
        if invocation.is_debugging:
            logging.getLogger(__name__).debug("raised here", exc_info=True)
        _tell(error.message, error.hint)
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted", None)
        return INTERRUPTED
    except SystemExit:
        # click leaves so when nobody reads what it writes
        raise BrokenPipeError from None
    except BrokenPipeError:
        raise
    except Exception as error:
        is_unwritten = isinstance(error, OSError) and error.errno in _UNWRITABLE
        if is_unwritten or invocation.is_debugging:
            raise
        _tell(
            f"something went wrong within imagecatalog: {type(error).__name__}: {error}",
            "this is a fault of ours: run it again with --debug and report what it prints",
        )
        return OUR_FAULT


def _tell(message: str, hint: str | None) -> None:
    from imagecatalog.cli.render import clean

    # click lists choices by tabs
    click.echo(f"error: {clean(message.expandtabs(2))}", err=True)
    if hint:
        click.echo(f"hint: {clean(hint)}", err=True)
