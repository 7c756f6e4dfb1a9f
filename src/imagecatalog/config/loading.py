"""One frozen settings value: flags beat the environment, the environment beats the TOML file.

Relative paths in the file are taken from the file's own folder, all others from the working
directory; ``~`` is the home of who runs us. Printing settings shows no password and no key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from imagecatalog.config.file_checks import (
    SettingsFile,
    check_clusters,
    check_database,
    check_file,
    check_hosts,
    explain_fault,
    place,
)
from imagecatalog.config.settings import (
    CLUSTERS_VARIABLE,
    CONFIG_VARIABLE,
    DATABASE_VARIABLE,
    DEFAULT_FILE,
    MAX_FILE,
    ClusterSetting,
    HostSetting,
    Settings,
)
from imagecatalog.errors import ConfigError


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], *, need_database: bool = True
) -> Settings:
    """Settings of the flags ``database``, ``clusters`` and ``config``, the environment and the file.

    A flag that is absent or None was not given; an empty variable counts as unset. Raises
    ``ConfigError`` that names the flag, the variable, or the file and key at fault.
    """
    path, named_by = _find_file(_text(flags.get("config")), environ)
    file = _read_file(path, named_by) if path else SettingsFile()
    database = _text(flags.get("database")) or environ.get(DATABASE_VARIABLE, "")
    if database:
        where = "--database" if _text(flags.get("database")) else DATABASE_VARIABLE
        database = check_database(database, where)
    else:
        database = file.database
    if need_database and not database:
        raise ConfigError(
            "no database was named",
            hint=f"give --database PATH, set {DATABASE_VARIABLE}, or write"
            f' database = "PATH" into {path or DEFAULT_FILE}',
        )
    clusters, hosts = _choose_clusters(_text(flags.get("clusters")), environ, file)
    return Settings(
        database=database,
        clusters=clusters,
        hosts=hosts,
        registries=file.registry,
        apt_mirrors=file.apt.mirrors,
        apt_sources=file.apt.sources,
        apt_keyrings=file.apt.keyrings,
        feeds={name: v for name, v in file.feeds.items() if not isinstance(v, tuple)},
        vex=_list_vex(file),
        deferrals=file.deferrals,
        derived=file.derived,
        feed_days=file.feed_days,
        clair=file.clair,
        hooks=file.hooks,
        api=file.api,
        teams=file.teams,
        history=file.history,
        lines=file.line,
        plan=file.plan,
        config_file=str(path) if path else None,
    )


Scanned = tuple[tuple[ClusterSetting, ...], tuple[HostSetting, ...]]
"""Clusters, and hosts of containers."""


def parse_clusters(text: str, where: str) -> Scanned:
    """``name:/path/to/kubeconfig`` pairs, separated by commas or spaces; ``where`` names their source.

    A socket (``name:unix:///run/docker.sock``) instead of the path makes it a host.
    """
    clusters, hosts = [], []
    for pair in re.split(r"[,\s]+", text.strip(", \t\r\n")):
        if not pair:
            continue
        name, colon, path = pair.partition(":")
        if not colon or not path:
            raise ConfigError(
                f"{where}: {pair!r} is not a pair of name and kubeconfig",
                hint="write name:/path/to/kubeconfig, several separated by commas",
            )
        if "://" in path:
            hosts.append(HostSetting(name, path))
        else:
            clusters.append(ClusterSetting(name, place(path, "")))
    checked = check_clusters(tuple(clusters), where)
    return checked, check_hosts(tuple(hosts), checked, where)


def _list_vex(file: SettingsFile) -> tuple[str, ...]:
    listed = file.feeds.get("vex")
    return listed if isinstance(listed, tuple) else ()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _choose_clusters(flag: str, environ: Mapping[str, str], file: SettingsFile) -> Scanned:
    if flag:
        return parse_clusters(flag, "--clusters")
    if variable := environ.get(CLUSTERS_VARIABLE, ""):
        return parse_clusters(variable, CLUSTERS_VARIABLE)
    return file.cluster, file.host


def _find_file(flag: str, environ: Mapping[str, str]) -> tuple[Path | None, str]:
    if flag:
        return Path(flag).expanduser(), "--config"
    if variable := environ.get(CONFIG_VARIABLE, ""):
        return Path(variable).expanduser(), CONFIG_VARIABLE
    try:
        present = DEFAULT_FILE.exists()
    except OSError:
        present = True
    return (DEFAULT_FILE, "the default place") if present else (None, "")


def _read_file(path: Path, named_by: str) -> SettingsFile:
    try:
        with path.open("rb") as stream:
            body = stream.read(MAX_FILE + 1)
        if len(body) > MAX_FILE:
            raise ConfigError(f"{path}: larger than {MAX_FILE} bytes; is this the right file?")
        table = tomllib.loads(body.decode())
    except OSError as problem:
        raise ConfigError(
            f"{path}: cannot be read: {problem.strerror or problem}",
            hint=f"it was named by {named_by}",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text, as TOML must be") from None
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ConfigError(f"{path}: is not TOML: {problem}") from None
    try:
        file = msgspec.convert(table, SettingsFile)
    except msgspec.ValidationError as problem:
        raise explain_fault(path, table, str(problem)) from None
    return check_file(file, path)
