"""One frozen settings value: flags beat the environment, the environment beats the TOML file.

Relative paths in the file are taken from the file's own folder, all others from the working
directory; ``~`` is the home of who runs us. Printing settings shows no password and no key.
"""

from __future__ import annotations

import base64
import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from imagecatalog.errors import ConfigError, hide_secrets

DATABASE_VARIABLE = "IMAGE_CATALOG_DB"
CLUSTERS_VARIABLE = "IMAGE_CATALOG_KUBERNETES_CLUSTERS"
CONFIG_VARIABLE = "IMAGE_CATALOG_CONFIG"
TOKEN_VARIABLE = "IMAGE_CATALOG_TOKEN"  # noqa: S105 - the name of a variable
"""The token that the command line shows a server."""
DEFAULT_FILE = Path("/etc/imagecatalog/config.toml")
"""Read when neither flag nor environment name a file, and it is there."""
IN_CLUSTER = "in-cluster"
"""Written instead of a kubeconfig: the service account of the pod we run in."""
FEEDS = ("apt", "debian-tracker", "osv", "alpine-secdb", "kev", "epss", "vex", "clair")
"""Every name that ``[feeds]`` may hold."""
MAX_FILE = 1 << 20
MOST_FEED_DAYS = 3650
"""That a configuration may let what a feed told count for."""
MOST_DAYS = 3650
"""That a configuration may let a fault be put off for."""

UNIX_PEER = "unix"
"""Written instead of an address: whoever comes through a Unix socket."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DATABASE_SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg")


class ClusterSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster to ask for what runs; ``kubeconfig`` is a path, or ``in-cluster``."""

    name: str
    kubeconfig: str


class RegistrySetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A registry to crawl, or how to speak to one that an address names."""

    url: str
    ca: str | None = None
    """PEM file of the authority that signed the registry's certificate."""
    repositories: tuple[str, ...] = ()
    """Globs; empty means all that the registry's catalog lists."""
    exclude_tags: tuple[str, ...] = ()
    """Regular expressions, searched for in each tag."""
    username: str | None = None
    password_file: str | None = None


class LineRule(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tags of some repositories follow one another, where their words do not say it."""

    repositories: tuple[str, ...]
    """Globs of repositories, with or without the registry."""
    pattern: str
    """Regular expression of a whole tag: its group ``version`` grows, all else names the line."""


class PlanSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What plans rest on."""

    external: tuple[str, ...] | None = None
    """Globs of repositories that are not built here; None: those of Docker's own registry."""


class ClairSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Clair is, how it knows us, and which images it is handed."""

    url: str
    psk: str | None = None
    """The key that signs our requests and its notifier's: base64, or ``file:`` of it."""
    issuer: str = "imagecatalog"
    """By which name Clair's list of issuers has us."""
    ca: str | None = None
    """PEM file of the authority that signed its certificate."""
    images: Literal["running", "all"] = "running"
    at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    """Images that it indexes for us at the same time."""
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 7
    """So long it keeps an image that is no longer wanted."""

    def read_key(self) -> bytes | None:
        """The key itself, None where none is set; raises ConfigError, which does not show it."""
        if self.psk is None:
            return None
        text, where = self.psk, "clair.psk"
        if text.startswith("file:"):
            where = text.removeprefix("file:").removeprefix("//")
            try:
                with Path(where).open("rb") as stream:
                    text = stream.read(MAX_FILE).decode("ascii", "replace").strip()
            except OSError as problem:
                raise ConfigError(
                    f"clair.psk: {where} cannot be read: {problem.strerror or problem}"
                ) from None
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if not key:
            raise ConfigError(
                f"{where} holds no key", hint="it is the base64 text of Clair's auth.psk.key"
            )
        return key

    def __repr__(self) -> str:
        psk = self.psk if self.psk is None or self.psk.startswith("file:") else "***"
        return f"ClairSetting(url={self.url!r}, psk={psk!r}, images={self.images!r})"


class DeferralSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a fault may be put off."""

    max_days: int = 365


class ApiSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may read pages and API (anybody, or who has a token), and whose certificates may write."""

    reads: Literal["open", "token"] = "open"
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of proxies whose word on client certificates counts, or ``unix``."""
    certificate_names: tuple[str, ...] = ()
    """Common names of client certificates that may register and record as DebMonitor's do."""
    certificate_header: str = "X-Client-Cert-Subject-DN"
    """In which a proxy tells the certificate's subject (RFC 4514)."""
    verified_header: str = "X-Client-Cert-Verify"
    """In which it tells ``SUCCESS`` of a certificate that it verified."""


class Settings(Struct, frozen=True, kw_only=True):
    """All that a user may set. ``database`` is empty only where none was asked for."""

    database: str = ""
    """A path, ``sqlite:///…`` or ``postgresql://…``."""
    clusters: tuple[ClusterSetting, ...] = ()
    registries: tuple[RegistrySetting, ...] = ()
    apt_mirrors: dict[str, str] = {}
    """URI prefix as images write it → where to fetch; the longest prefix wins."""
    apt_sources: dict[str, tuple[str, ...]] = {}
    """``debian 12`` → sources.list(5) lines for images that carry none."""
    apt_keyrings: tuple[str, ...] = ()
    """Files of OpenPGP keys that may sign any archive, besides those of the image."""
    feeds: dict[str, str | bool] = {}
    """URL or ``file:`` of each feed; ``False`` switches it off."""
    feed_days: dict[str, float] = {}
    """After how many days what a feed told is too old to rest on, where not after the usual."""
    vex: tuple[str, ...] = ()
    """Where VEX documents lie, if at more than one place."""
    deferrals: DeferralSettings = DeferralSettings()
    derived: dict[str, str] = {}
    """``raspbian 12`` → ``debian bookworm``: by whose advisories a derived distribution is judged."""
    clair: ClairSetting | None = None
    api: ApiSetting = ApiSetting()
    lines: tuple[LineRule, ...] = ()
    """The first that fits a repository decides which of its tags follow one another."""
    plan: PlanSettings = PlanSettings()
    config_file: str | None = None
    """The TOML file that was read, if one was."""

    def __repr__(self) -> str:
        return hide_secrets(super().__repr__())

    __str__ = __repr__


class _Apt(Struct, frozen=True, forbid_unknown_fields=True):
    mirrors: dict[str, str] = {}
    sources: dict[str, tuple[str, ...]] = {}
    keyrings: tuple[str, ...] = ()


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    database: str = ""
    registry: tuple[RegistrySetting, ...] = ()
    cluster: tuple[ClusterSetting, ...] = ()
    apt: _Apt = _Apt()
    feeds: dict[str, str | bool | tuple[str, ...]] = {}
    deferrals: DeferralSettings = DeferralSettings()
    feed_days: dict[str, float] = {}
    derived: dict[str, str] = {}
    clair: ClairSetting | None = None
    api: ApiSetting = ApiSetting()
    line: tuple[LineRule, ...] = ()
    plan: PlanSettings = PlanSettings()


_RELEASE = re.compile(r"[a-z0-9][a-z0-9._-]*(?: [a-z0-9][a-z0-9._-]*)?")
_SECTIONS: dict[str, type[Struct]] = {
    "": _File,
    "registry": RegistrySetting,
    "cluster": ClusterSetting,
    "apt": _Apt,
    "clair": ClairSetting,
    "deferrals": DeferralSettings,
    "api": ApiSetting,
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


def load_settings(
    flags: Mapping[str, object], environ: Mapping[str, str], *, need_database: bool = True
) -> Settings:
    """Settings of the flags ``database``, ``clusters`` and ``config``, the environment and the file.

    A flag that is absent or None was not given; an empty variable counts as unset. Raises
    ``ConfigError`` that names the flag, the variable, or the file and key at fault.
    """
    path, named_by = _find_file(_text(flags.get("config")), environ)
    file = _read_file(path, named_by) if path else _File()
    database = _text(flags.get("database")) or environ.get(DATABASE_VARIABLE, "")
    if database:
        where = "--database" if _text(flags.get("database")) else DATABASE_VARIABLE
        database = _check_database(database, where)
    else:
        database = file.database
    if need_database and not database:
        raise ConfigError(
            "no database was named",
            hint=f"give --database PATH, set {DATABASE_VARIABLE}, or write"
            f' database = "PATH" into {path or DEFAULT_FILE}',
        )
    return Settings(
        database=database,
        clusters=_choose_clusters(_text(flags.get("clusters")), environ, file.cluster),
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
        api=file.api,
        lines=file.line,
        plan=file.plan,
        config_file=str(path) if path else None,
    )


def parse_clusters(text: str, where: str) -> tuple[ClusterSetting, ...]:
    """``name:/path/to/kubeconfig`` pairs, separated by commas or spaces; ``where`` names their source."""
    pairs = []
    for pair in re.split(r"[,\s]+", text.strip(", \t\r\n")):
        if not pair:
            continue
        name, colon, path = pair.partition(":")
        if not colon or not path:
            raise ConfigError(
                f"{where}: {pair!r} is not a pair of name and kubeconfig",
                hint="write name:/path/to/kubeconfig, several separated by commas",
            )
        pairs.append(ClusterSetting(name, _path(path, "")))
    return _check_clusters(tuple(pairs), where)


def _list_vex(file: _File) -> tuple[str, ...]:
    listed = file.feeds.get("vex")
    return listed if isinstance(listed, tuple) else ()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _choose_clusters(
    flag: str, environ: Mapping[str, str], file: tuple[ClusterSetting, ...]
) -> tuple[ClusterSetting, ...]:
    if flag:
        return parse_clusters(flag, "--clusters")
    if variable := environ.get(CLUSTERS_VARIABLE, ""):
        return parse_clusters(variable, CLUSTERS_VARIABLE)
    return file


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


def _read_file(path: Path, named_by: str) -> _File:
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
        file = msgspec.convert(table, _File)
    except msgspec.ValidationError as problem:
        raise _explain(path, table, str(problem)) from None
    return _check_file(file, path)


def _explain(path: Path, table: Mapping[str, Any], problem: str) -> ConfigError:
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
    known = _SECTIONS[section].__struct_fields__ if section in _SECTIONS else ()
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


def _check_file(file: _File, path: Path) -> _File:
    base = path.absolute().parent
    for index, registry in enumerate(file.registry):
        _check_registry(registry, f"{path}: registry[{index}]")
    _check_api(file.api, f"{path}: api")
    for index, rule in enumerate(file.line):
        _check_line(rule, f"{path}: line[{index}]")
    clusters = tuple(ClusterSetting(c.name, _path(c.kubeconfig, base)) for c in file.cluster)
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
        database=_check_database(file.database, f"{path}: database", base),
        cluster=_check_clusters(clusters, f"{path}: cluster"),
        registry=tuple(_rooted(registry, base) for registry in file.registry),
        clair=file.clair and _check_clair(file.clair, f"{path}: clair", base),
        apt=msgspec.structs.replace(
            file.apt, keyrings=tuple(_path(k, base) for k in file.apt.keyrings)
        ),
    )


def _check_feeds(file: _File, path: Path) -> None:
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
        ca=registry.ca and _path(registry.ca, base),
        password_file=registry.password_file and _path(registry.password_file, base),
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
    psk = clair.psk
    if psk is not None and psk.startswith("file:") and not psk.startswith("file://"):
        psk = f"file:{_path(psk.removeprefix('file:'), base)}"
    return msgspec.structs.replace(clair, psk=psk, ca=clair.ca and _path(clair.ca, base))


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


def _check_clusters(clusters: tuple[ClusterSetting, ...], where: str) -> tuple[ClusterSetting, ...]:
    seen: set[str] = set()
    for cluster in clusters:
        if not _CLUSTER_NAME.fullmatch(cluster.name):
            raise ConfigError(
                f"{where}: {cluster.name!r} cannot name a cluster",
                hint="letters, digits, dots, dashes and underscores can",
            )
        if cluster.name in seen:
            raise ConfigError(f"{where}: two clusters are named {cluster.name!r}")
        seen.add(cluster.name)
    return clusters


def _check_database(text: str, where: str, base: Path | str = "") -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return _path(text, base)
    if scheme == "postgres":
        return f"postgresql://{rest}"
    if scheme not in _DATABASE_SCHEMES or not rest.strip("/"):
        raise ConfigError(
            f"{where}: {hide_secrets(text)!r} is not a database that we know",
            hint="a path, sqlite:////absolute/path or postgresql://user@host/name is",
        )
    return text


def _path(text: str, base: Path | str) -> str:
    if text == IN_CLUSTER:
        return text
    # unlike Path.expanduser it leaves ~nobody-of-that-name alone instead of raising
    return os.path.join(base, os.path.expanduser(text)) if text else text  # noqa: PTH111, PTH118
