"""Runs the steps over a connection whose transaction the caller owns."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from imagecatalog.store.migrations import HEAD
from imagecatalog.store.schema import metadata


def migrate(c: Connection) -> None:
    """Bring the database to this release's schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    # The folder is ours, so no env.py of Alembic's making runs: the steps are driven from here.
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(
        config,
        script,
        fn=lambda revision, _: script._upgrade_revs(HEAD, revision),  # noqa: SLF001
    ) as context:
        context.configure(connection=c, target_metadata=metadata, transactional_ddl=False)
        context.run_migrations()
