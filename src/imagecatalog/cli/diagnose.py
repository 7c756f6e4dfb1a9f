"""Looks at everything that the settings name, and tells what is not well; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from imagecatalog.config import ClairSetting, ClusterSetting, HostSetting, RegistrySetting, Settings
from imagecatalog.errors import CatalogError, UsageError, hide_secrets
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog

STALE = timedelta(days=1)


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    is_well: bool
    message: str
    hint: str | None = None


def diagnose(settings: Settings, now: datetime) -> Iterator[Finding]:
    """The configuration, the database and what it knows, keyrings, and all that is to be asked."""
    yield Finding(
        "configuration", True, settings.config_file or "no file, flags and environment alone"
    )
    yield from _look_at_database(settings, now)
    for keyring in settings.apt_keyrings:
        yield _try(f"keyring {keyring}", partial(_read, keyring))
    for registry in settings.registries:
        yield _try(f"registry {registry.url}", partial(_ask_registry, registry, settings))
    for cluster in settings.clusters:
        yield _try(f"cluster {cluster.name}", partial(_ask_cluster, cluster))
    for host in settings.hosts:
        yield _try(f"host {host.name}", partial(_ask_host, host))
    if settings.clair is not None:
        yield _try(f"clair {settings.clair.url}", partial(_ask_clair, settings.clair, now))


def _try(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, look())
    except CatalogError as error:
        message = error.message.removeprefix(f"{subject}: ")
        return Finding(subject, False, message, error.hint)


def _look_at_database(settings: Settings, now: datetime) -> Iterator[Finding]:
    subject = f"database {hide_secrets(settings.database)}"
    try:
        catalog = Catalog.open(settings.database)
    except CatalogError as error:
        yield Finding(subject, False, error.message, error.hint)
        return
    try:
        with catalog.read() as c:
            known = health.list_health(c)
    finally:
        catalog.close()
    yield Finding(subject, True, "of this release")
    verbs = {"cluster": "record", "registry": "sync", "feed": "refresh"}
    for one in known:
        if one.kind in verbs and (one.last_good is None or now - one.last_good > STALE):
            when = (
                f"last well {one.last_good:%Y-%m-%d %H:%M} UTC" if one.last_good else "never well"
            )
            why = f": {one.last_error}" if one.last_error else ""
            hint = f"bring it up to date with: imagecatalog {verbs[one.kind]}"
            yield Finding(f"{one.kind} {one.name}", False, when + why, hint)


def _read(path: str) -> str:
    try:
        return f"{len(Path(path).read_bytes()):,} bytes"
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}") from error


def _ask_registry(registry: RegistrySetting, settings: Settings) -> str:
    from imagecatalog.sources.open import open_source

    source = open_source(registry.url, settings)
    try:
        first = next(source.repositories(), None)
        if first:
            # a repository that the settings write out is not yet one that the registry gives
            next(source.tags(first), None)
    finally:
        source.close()
    return f"answers; {first} is there" if first else "answers, and lists no repository"


def _ask_cluster(cluster: ClusterSetting) -> str:
    from imagecatalog.sources.kube import has_pods

    return "answers and lists its pods" if has_pods(cluster) else "answers, and lists no pod"


def _ask_host(host: HostSetting) -> str:
    from imagecatalog.sources.docker_host import scan_host

    scan = scan_host(host)
    return f"answers, as {scan.kind}; {len(scan.containers):,} containers run"


def _ask_clair(setting: ClairSetting, now: datetime) -> str:
    from imagecatalog.sources.clair import Clair

    clair = Clair(setting, now=lambda: now)
    try:
        clair.index_state()
        updates = clair.updates()
    finally:
        clair.close()
    if not updates.fingerprint:
        raise UsageError("answers, and has never updated", hint="its log tells why")
    newest = updates.newest
    return f"answers; it last updated {newest:%Y-%m-%d %H:%M} UTC" if newest else "answers"
