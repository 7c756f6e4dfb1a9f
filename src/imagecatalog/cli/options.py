"""Options that every verb takes, before or after it, and what a verb finds behind them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imagecatalog.errors import UsageError

if TYPE_CHECKING:
    from imagecatalog.cli.answering import Answering
    from imagecatalog.config import Settings
    from imagecatalog.store.engine import Catalog

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
FORMATS = ("table", "json", "csv")
GRAPH_FORMATS = (*FORMATS, "dot", "mermaid")
"""Of verbs whose answer can be drawn."""
ALL_FORMATS = (*GRAPH_FORMATS, "docker-pkg")

READERS_TAKE = ("server", "format")
"""The global options of verbs that answer questions alone."""


class Invocation:
    """One run of the command line: the global options, wherever they stood."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether only data and errors are wanted."""
        return bool(self.flags.get("quiet"))

    @property
    def is_debugging(self) -> bool:
        """Whether tracebacks and detailed logs are wanted."""
        return bool(self.flags.get("debug"))

    @property
    def format(self) -> str:
        """``table``, ``json``, ``csv``, or another of the verb's own."""
        return str(self.flags.get("format") or "table")

    def settings(self, *, need_database: bool = True) -> Settings:
        """The settings of flags, environment and file; raises ConfigError."""
        from imagecatalog.config import load_settings

        return load_settings(self.flags, os.environ, need_database=need_database)

    @contextmanager
    def catalog(self) -> Iterator[tuple[Settings, Catalog]]:
        """Settings and their catalog, opened; raises ConfigError and the DatabaseError family."""
        from imagecatalog.store.engine import Catalog

        settings = self.settings()
        catalog = Catalog.open(settings.database)
        try:
            yield settings, catalog
        finally:
            catalog.close()

    @contextmanager
    def answering(self) -> Iterator[Answering]:
        """Whoever answers questions: the server of ``--server``, else the database."""
        from imagecatalog.cli.answering import LocalCatalog
        from imagecatalog.cli.remote import RemoteCatalog

        server = self.flags.get("server")
        if server:
            if self.flags.get("database"):
                raise UsageError("--server and --database exclude each other")
            with RemoteCatalog.connect(server) as remote:
                yield remote
            return
        with self.catalog() as (settings, catalog), catalog.read() as c:
            yield LocalCatalog(c, settings)


class GlobalOption(click.Option):
    """An option that may stand before or after the verb; the one after it wins."""

    def __init__(self, names: Sequence[str], **attributes: Any) -> None:
        super().__init__(names, expose_value=False, callback=_remember, default=None, **attributes)


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value is not None:
        assert option.name
        context.ensure_object(Invocation).flags[option.name] = value


def _everywhere() -> list[click.Option]:
    return [
        GlobalOption(
            ["--database"],
            metavar="PATH|URL",
            help="The catalog: a file (SQLite) or postgresql://…  [env: IMAGE_CATALOG_DB]",
        ),
        GlobalOption(
            ["--clusters"],
            metavar="NAME:KUBECONFIG,…",
            help="Clusters to scan.  [env: IMAGE_CATALOG_KUBERNETES_CLUSTERS]",
        ),
        GlobalOption(
            ["--config"],
            metavar="FILE",
            help="Configuration in TOML; /etc/imagecatalog/config.toml if there is one."
            "  [env: IMAGE_CATALOG_CONFIG]",
        ),
        GlobalOption(["-q", "--quiet"], is_flag=True, help="No progress, no remarks."),
        GlobalOption(
            ["--debug"], is_flag=True, help="Detailed logs; tracebacks of our own faults."
        ),
    ]


def _for_readers(
    formats: Sequence[str], takes: Collection[str] = READERS_TAKE
) -> list[click.Option]:
    options = [
        GlobalOption(["--server"], metavar="URL", help="Ask this server instead of a database."),
        GlobalOption(
            ["--format"],
            type=click.Choice(formats),
            help=f"Form of the answer; {formats[0]} if left out.",
        ),
    ]
    return [option for option in options if option.name in takes]


class Verb(click.Command):
    """A verb with the global options behind its own.

    ``reads`` adds those of questions, ``takes`` only these of them; ``formats`` are the forms that
    its answer may have.
    """

    def __init__(
        self,
        *arguments: Any,
        reads: bool = False,
        takes: Collection[str] = (),
        formats: Sequence[str] = FORMATS,
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.takes = READERS_TAKE if reads else takes
        self.formats = formats
        self.params += _for_readers(formats, self.takes) + _everywhere()

    def invoke(self, ctx: click.Context) -> Any:
        """Refuse what would be given in vain, then run."""
        flags = ctx.ensure_object(Invocation).flags
        for name in READERS_TAKE:
            if name not in self.takes and name in flags:
                raise click.UsageError(f"--{name} is for verbs that answer questions.", ctx)
        if flags.get("format", self.formats[0]) not in self.formats:
            known = ", ".join(self.formats)
            raise click.UsageError(f"--format {flags['format']} is not one of {known}.", ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verb's own options first."""
        params = self.get_params(ctx)
        options = [p for p in params if isinstance(p, click.Option)]
        everywhere = [p for p in options if isinstance(p, GlobalOption)]
        _write_options(ctx, formatter, "Options", [p for p in options if p not in everywhere])
        _write_options(ctx, formatter, "Global options", everywhere)


class Verbs(click.Group):
    """Verbs in the order in which they were added; ``takes`` as of a ``Verb``."""

    command_class = Verb

    def __init__(
        self, *arguments: Any, takes: Collection[str] = READERS_TAKE, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.params += _for_readers(ALL_FORMATS, takes) + _everywhere()

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Not by the alphabet: first what makes a catalog, then what asks it."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs before the options."""
        self.format_commands(ctx, formatter)
        _write_options(ctx, formatter, "Options, before or after the verb", self.get_params(ctx))


class UsualVerbs(Verbs):
    """Verbs of which the first is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """With the first verb put before what names none."""
        is_help = args[:1] in (["-h"], ["--help"])
        if not is_help and not any(argument in self.commands for argument in args):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


def _write_options(
    ctx: click.Context,
    formatter: click.HelpFormatter,
    title: str,
    params: Sequence[click.Parameter],
) -> None:
    records = [record for p in params if (record := p.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
