"""Fills an embedded catalog with the sample fleet, by the very jobs that a user runs.

Nothing is fetched from a network: images, apt indices and pod lists are files of the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from imagecatalog import sample
from imagecatalog.catalog.registration import keep_build
from imagecatalog.config import FEEDS, Settings, load_settings
from imagecatalog.domain.builds import Build
from imagecatalog.domain.refs import decode_hook
from imagecatalog.errors import ConfigError
from imagecatalog.jobs.demo_past import tell_past
from imagecatalog.jobs.record import record
from imagecatalog.jobs.refresh import refresh
from imagecatalog.jobs.report import Progress, Report, say_nothing
from imagecatalog.jobs.sync import sync
from imagecatalog.store.engine import Catalog, initialise
from imagecatalog.store.shelf import Shelf

CONFIG = "config.toml"
"""The demo's configuration, in its folder: the other verbs take it as ``--config``."""
DATABASE = "catalog.sqlite"
_FEEDS = {
    "apt": None,
    "debian-tracker": sample.tracker,
    "kev": sample.kev,
    "epss": sample.epss,
}
"""The feeds that the sample has something of, and where each is read."""
_builds = msgspec.json.Decoder(list[Build], dec_hook=decode_hook)

_DISTROLESS = (
    f"deb [arch=amd64,arm64] {sample.APT_SITE}debian bookworm main",
    f"deb [arch=amd64,arm64] {sample.APT_SITE}debian bookworm-updates main",
    f"deb [arch=amd64,arm64] {sample.APT_SITE}debian-security bookworm-security main",
)
"""For the images without apt sources of their own; the mirror has these architectures."""


def run_demo(
    directory: Path, *, now: Callable[[], datetime], progress: Progress = say_nothing
) -> tuple[Settings, Report]:
    """Write a configuration into the folder, then ``init``, ``sync``, ``register`` and the rest.

    The folder is made if it is missing; what it holds already is brought up to date. Raises
    ``ConfigError`` if it cannot be written, and the DatabaseError family.
    """
    settings = _write_settings(directory)
    initialise(settings.database)
    catalog = Catalog.open(settings.database)
    try:
        source = f"oci:{sample.images()}"
        report = sync(catalog, settings, [source], now=now, progress=progress)
        _register_builds(catalog, now())
        report += refresh(catalog, settings, list(_FEEDS), now=now, progress=progress)
        tell_past(catalog, now=now())
        report += record(catalog, settings, dumps=sample.pods(), now=now, progress=progress)
    finally:
        catalog.close()
    return settings, report


def _register_builds(catalog: Catalog, now: datetime) -> None:
    """What the sample's builders would have told; the same again changes nothing."""
    with catalog.write() as c:
        shelf = Shelf()
        for build in _builds.decode(sample.builds().read_bytes()):
            keep_build(c, shelf, build, told_by="sample", configured={}, now=now)


def _write_settings(directory: Path) -> Settings:
    """The demo's configuration file, read back as any other is."""
    # JSON's strings and arrays of them are TOML's too.
    lines = [
        f"database = {json.dumps(DATABASE)}",
        "",
        "[apt]",
        f"keyrings = {json.dumps([str(sample.keyring())])}",
        "[apt.mirrors]",
        f"{json.dumps(sample.APT_SITE)} = {json.dumps(sample.mirror().as_uri() + '/')}",
        "[apt.sources]",
        f'"debian 12" = {json.dumps(_DISTROLESS)}',
        "",
        "[feeds]",
        *(f"{feed} = {json.dumps(_uri(at()))}" for feed, at in _FEEDS.items() if at),
        *(f"{feed} = false" for feed in FEEDS if feed not in _FEEDS),
    ]
    file = directory / CONFIG
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be written: {error.strerror or error}",
            hint="give a folder that you may write: imagecatalog demo --dir PATH",
        ) from error
    return load_settings({"config": file}, {})


def _uri(path: Path) -> str:
    return path.as_uri() + "/" * path.is_dir()
