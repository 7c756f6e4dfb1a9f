"""How far long work is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from imagecatalog.cli.render import shorten

Progress = Callable[[str, int, int | None], None]
"""What was just done, how many are done, and of how many (None: nobody knows)."""

EVERY_SECONDS = 10.0


@contextmanager
def show_progress(*, is_quiet: bool = False) -> Iterator[Progress]:
    """A function that takes the progress and shows it until the block ends."""
    if is_quiet:
        yield _keep_silent
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield write_lines(sys.stderr)


def _keep_silent(_what: str, _done: int, _total: int | None) -> None:
    pass


def write_lines(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Progress as lines, one in ten seconds at most."""
    last = clock()

    def write(what: str, done: int, total: int | None) -> None:
        nonlocal last
        if clock() - last >= EVERY_SECONDS:
            last = clock()
            of = f" of {total:,}" if total is not None else ""
            stream.write(f"{what} ({done:,}{of})\n")
            stream.flush()

    return write


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console
    from rich.markup import escape

    columns = (
        bars.SpinnerColumn(),
        bars.BarColumn(bar_width=20),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("beginning", total=None)
        room = max(bar.console.width - 50, 20)

        def show(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=escape(shorten(what, room)), completed=done, total=total)

        yield show
