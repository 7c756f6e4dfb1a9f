"""What the TOML file may hold, and a fault in it told by its key; its paths are made whole."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from imagecatalog.config.settings import (
    FEEDS,
    IN_CLUSTER,
    MOST_DAYS,
    MOST_FEED_DAYS,
    UNIX_PEER,
    ApiSetting,
    ClairSetting,
    ClusterSetting,
    DeferralSettings,
    HistorySettings,
    HooksSetting,
    HostSetting,
    LineRule,
    PlanSettings,
    RegistrySetting,
    TeamSettings,
)
from imagecatalog.errors import ConfigError, hide_secrets

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:]{2,45}\])(?::[0-9]{1,5})?")
_REMOTE_SOCKET = re.compile(rf"(?:tcp|https?)://{_HOST.pattern}/?")
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DATABASE_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")
_LABEL = re.compile(r"([a-z0-9][a-z0-9.-]{0,252}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_RELEASE = re.compile(r"[a-z0-9][a-z0-9._-]*(?: [a-z0-9][a-z0-9._-]*)?")


class AptTable(Struct, frozen=True, forbid_unknown_fields=True):
    """``[apt]`` as it is written."""

    mirrors: dict[str, str] = {}
    sources: dict[str, tuple[str, ...]] = {}
    keyrings: tuple[str, ...] = ()


class SettingsFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The TOML file, as it is written."""

    database: str = ""
    registry: tuple[RegistrySetting, ...] = ()
    cluster: tuple[ClusterSetting, ...] = ()
    host: tuple[HostSetting, ...] = ()
    apt: AptTable = AptTable()
    feeds: dict[str, str | bool | tuple[str, ...]] = {}
    deferrals: DeferralSettings = DeferralSettings()
    feed_days: dict[str, float] = {}
    derived: dict[str, str] = {}
    clair: ClairSetting | None = None
    hooks: HooksSetting = HooksSetting()
    api: ApiSetting = ApiSetting()
    teams: TeamSettings = TeamSettings()
    history: HistorySettings = HistorySettings()
    line: tuple[LineRule, ...] = ()
    plan: PlanSettings = PlanSettings()


SECTIONS: dict[str, type[Struct]] = {
    "": SettingsFile,
    "registry": RegistrySetting,
    "cluster": ClusterSetting,
    "host": HostSetting,
    "apt": AptTable,
    "clair": ClairSetting,
    "hooks": HooksSetting,
    "deferrals": DeferralSettings,
    "api": ApiSetting,
    "teams": TeamSettings,
    "history": HistorySettings,
    "line": LineRule,
    "plan": PlanSettings,
}

_FREE_NAMES: dict[str, Any] = {
    "apt.mirrors": str,
    "apt.sources": tuple[str, ...],
    "feeds": str | bool | tuple[str, ...],
    "feed_days": float,
    "derived": str,
}
"""Sections whose keys the user names, and the type of their values."""


def explain_fault(path: Path, table: Mapping[str, Any], problem: str) -> ConfigError:
    """``Expected `str`, got `int` - at `$.registry[0].url``` in the words of the file."""
    said, _, at = problem.partition(" - at `")
    key = at.rstrip("`").removeprefix("$").lstrip(".")
    unknown = re.search(r"unknown field `(.*)`", said)
    if unknown is None:
        words = said.replace("`", "").replace("Object missing required field", "lacks the key")
        words = words[0].lower() + words[1:]
        key = re.sub(r"^(.*)\[\.\.\.\]", lambda found: _guilty(table, found[1]), key)
        return ConfigError(f"{path}: {key or 'the file'}: {words}")
    name = unknown[1]
    section = re.sub(r"\[\d+\]", "", key)
    known = SECTIONS[section].__struct_fields__ if section in SECTIONS else ()
    near = difflib.get_close_matches(name, known, 1)
    full = f"{key}.{name}" if key else name
    return ConfigError(
        f"{path}: unknown key {full}",
        hint=f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}",
    )


def _guilty(table: Mapping[str, Any], section: str) -> str:
    """The key in a section of free names whose value is of the wrong type; msgspec does not say."""
    values: Any = table
    for part in section.split("."):
        values = values[part]
    for name, value in values.items():
        try:
            msgspec.convert(value, _FREE_NAMES[section])
        except msgspec.ValidationError:
            return f'{section}."{name}"'
    return section


def check_file(file: SettingsFile, path: Path) -> SettingsFile:
    """The file with its paths made whole; raises ConfigError."""
    base = path.absolute().parent
    for index, registry in enumerate(file.registry):
        _check_registry(registry, f"{path}: registry[{index}]")
    _check_api(file.api, f"{path}: api")
    for index, rule in enumerate(file.line):
        _check_line(rule, f"{path}: line[{index}]")
    clusters = tuple(
        msgspec.structs.replace(c, kubeconfig=place(c.kubeconfig, base)) for c in file.cluster
    )
    _check_teams(file.teams, f"{path}: teams")
    hosts = tuple(_placed(host, base) for host in file.host)
    _check_feeds(file, path)
    if not 1 <= file.deferrals.max_days <= MOST_DAYS:
        raise ConfigError(f"{path}: deferrals.max_days: it is from 1 to {MOST_DAYS}")
    for written, meant in file.derived.items():
        if not (_RELEASE.fullmatch(written) and _RELEASE.fullmatch(meant)):
            raise ConfigError(
                f'{path}: derived."{written}": {meant!r} is not a release of a distribution',
                hint='write "raspbian 12" = "debian bookworm", names as os-release has them',
            )
    return msgspec.structs.replace(
        file,
        database=check_database(file.database, f"{path}: database", base),
        cluster=check_clusters(clusters, f"{path}: cluster"),
        host=check_hosts(hosts, clusters, f"{path}: host"),
        registry=tuple(_rooted(registry, base) for registry in file.registry),
        clair=file.clair and _check_clair(file.clair, f"{path}: clair", base),
        hooks=HooksSetting(_place_secret(file.hooks.registry_secret, base)),
        apt=msgspec.structs.replace(
            file.apt, keyrings=tuple(place(k, base) for k in file.apt.keyrings)
        ),
    )


def _check_feeds(file: SettingsFile, path: Path) -> None:
    for section, names in (("feeds", file.feeds), ("feed_days", file.feed_days)):
        for feed in names:
            if feed not in FEEDS:
                near = difflib.get_close_matches(feed, FEEDS, 1)
                hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(FEEDS)}"
                raise ConfigError(f"{path}: unknown key {section}.{feed}", hint=hint)
    for feed, value in file.feeds.items():
        if feed != "vex" and isinstance(value, tuple):
            raise ConfigError(f"{path}: feeds.{feed}: a list is for vex alone")
    for feed, days in file.feed_days.items():
        if not 0 < days <= MOST_FEED_DAYS:
            raise ConfigError(
                f"{path}: feed_days.{feed}: {days:g} is no number of days",
                hint=f"write one above 0 and up to {MOST_FEED_DAYS}",
            )


def _rooted(registry: RegistrySetting, base: Path) -> RegistrySetting:
    return msgspec.structs.replace(
        registry,
        ca=registry.ca and place(registry.ca, base),
        password_file=registry.password_file and place(registry.password_file, base),
    )


def _check_clair(clair: ClairSetting, where: str, base: Path) -> ClairSetting:
    try:
        url = urlsplit(clair.url)
        is_fine = url.scheme in ("https", "http") and bool(url.hostname) and "@" not in url.netloc
    except ValueError:
        is_fine = False
    if not is_fine:
        raise ConfigError(
            f"{where}.url: {hide_secrets(clair.url)!r} is not the address of a Clair",
            hint="write http://clair.example.org:6060; it knows us by psk",
        )
    psk = _place_secret(clair.psk, base)
    return msgspec.structs.replace(clair, psk=psk, ca=clair.ca and place(clair.ca, base))


def _place_secret(secret: str | None, base: Path) -> str | None:
    if secret is not None and secret.startswith("file:") and not secret.startswith("file://"):
        return f"file:{place(secret.removeprefix('file:'), base)}"
    return secret


def _check_registry(registry: RegistrySetting, where: str) -> None:
    try:
        url = urlsplit(registry.url)
        host, password = url.hostname, url.password
        _ = url.port
    except ValueError as problem:
        raise ConfigError(f"{where}.url: {registry.url!r} is not a URL: {problem}") from None
    if url.scheme not in ("https", "http") or not host:
        raise ConfigError(
            f"{where}.url: {hide_secrets(registry.url)!r} is not the address of a registry",
            hint="write https://registry.example.org",
        )
    if url.username or password:
        raise ConfigError(
            f"{where}.url: credentials do not belong into the address",
            hint="give username and password_file, or log in with docker login",
        )
    if (registry.username is None) != (registry.password_file is None):
        missing = "password_file" if registry.password_file is None else "username"
        raise ConfigError(f"{where}.{missing}: username and password_file go together")
    for index, pattern in enumerate(registry.exclude_tags):
        try:
            re.compile(pattern)
        except (re.error, RecursionError) as problem:
            raise ConfigError(
                f"{where}.exclude_tags[{index}]: {pattern!r} is no regular expression: {problem}"
            ) from None
    for index, alias in enumerate(registry.aliases):
        if not _HOST.fullmatch(alias):
            raise ConfigError(
                f"{where}.aliases[{index}]: {alias!r} is no host",
                hint='write "registry.internal:5000": without scheme and path',
            )


def _check_api(api: ApiSetting, where: str) -> None:
    for index, proxy in enumerate(api.trusted_proxies):
        try:
            if proxy != UNIX_PEER:
                ip_network(proxy)
        except ValueError as problem:
            raise ConfigError(
                f"{where}.trusted_proxies[{index}]: {proxy!r} is no address or network: {problem}",
                hint=f'write "10.2.0.5", "10.2.0.0/16", or "{UNIX_PEER}" for a Unix socket',
            ) from None
    for key in ("certificate_header", "verified_header"):
        if not _HEADER_NAME.fullmatch(getattr(api, key)):
            raise ConfigError(f"{where}.{key}: {getattr(api, key)!r} cannot name a header")


def _check_teams(teams: TeamSettings, where: str) -> None:
    for index, key in enumerate(teams.keys):
        if not _LABEL.fullmatch(key):
            raise ConfigError(
                f"{where}.keys[{index}]: {key!r} is no key of a label",
                hint='write "team" or "example.org/team", as the pods have it',
            )


def _check_line(rule: LineRule, where: str) -> None:
    try:
        pattern = re.compile(rule.pattern)
    except (re.error, RecursionError) as problem:
        raise ConfigError(
            f"{where}.pattern: {rule.pattern!r} is no regular expression: {problem}"
        ) from None
    if "version" not in pattern.groupindex:
        raise ConfigError(
            f"{where}.pattern: {rule.pattern!r} has no group that is named version",
            hint="write (?P<version>…) around what grows",
        )


def check_clusters(clusters: tuple[ClusterSetting, ...], where: str) -> tuple[ClusterSetting, ...]:
    """Return them; raises ConfigError for names that cannot be, or are there twice."""
    _check_names([cluster.name for cluster in clusters], where)
    return clusters


def check_hosts(
    hosts: tuple[HostSetting, ...], clusters: tuple[ClusterSetting, ...], where: str
) -> tuple[HostSetting, ...]:
    """Return them; raises ConfigError for names that clusters have as well, and bad addresses."""
    _check_names([*(one.name for one in clusters), *(one.name for one in hosts)], where)
    for host in hosts:
        is_socket = host.socket.startswith("unix:///")
        if not is_socket and not _REMOTE_SOCKET.fullmatch(host.socket):
            raise ConfigError(
                f"{where}: {host.name}: {hide_secrets(host.socket)!r} is not the socket of an API",
                hint="write unix:///run/docker.sock, tcp://host:2376 or https://host:2376",
            )
        is_secured = bool(host.ca or host.certificate)
        if (is_socket and is_secured) or (host.key and not host.certificate):
            raise ConfigError(
                f"{where}: {host.name}: ca, certificate and key are for tcp and https, and key goes"
                " with certificate"
            )
    return hosts


def _check_names(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if not _CLUSTER_NAME.fullmatch(name):
            raise ConfigError(
                f"{where}: {name!r} cannot name a cluster",
                hint="letters, digits, dots, dashes and underscores can",
            )
        if name in seen:
            raise ConfigError(f"{where}: two clusters are named {name!r}")
        seen.add(name)


def _placed(host: HostSetting, base: Path) -> HostSetting:
    return HostSetting(
        host.name,
        host.socket,
        *(path and place(path, base) for path in (host.ca, host.certificate, host.key)),
    )


def check_database(text: str, where: str, base: Path | str = "") -> str:
    """The path made whole, or the URL; raises ConfigError for what is neither."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return place(text, base)
    if scheme == "postgres":
        return f"postgresql://{rest}"
    if scheme not in _DATABASE_SCHEMES or not rest.strip("/"):
        raise ConfigError(
            f"{where}: {hide_secrets(text)!r} is not a database that we know",
            hint="a path, sqlite:////absolute/path or postgresql://user@host/name is",
        )
    return text


def place(text: str, base: Path | str) -> str:
    """A path taken from this folder, ``~`` resolved; the word for within a cluster stays."""
    if text == IN_CLUSTER:
        return text
    # unlike Path.expanduser it leaves ~nobody-of-that-name alone instead of raising
    return os.path.join(base, os.path.expanduser(text)) if text else text  # noqa: PTH111, PTH118
