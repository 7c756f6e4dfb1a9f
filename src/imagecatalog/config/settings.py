"""All that a user may set, and what is kept from being shown: passwords and keys."""

from __future__ import annotations

import base64
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
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
_SECRET = re.compile(r"[!-+\--~]{16,500}")


def _read_secret(text: str, where: str) -> str:
    """What is written, or what the file of ``file:PATH`` holds; raises ConfigError."""
    if not text.startswith("file:"):
        return text
    path = text.removeprefix("file:").removeprefix("//")
    try:
        with Path(path).open("rb") as stream:
            return stream.read(MAX_FILE).decode("ascii", "replace").strip()
    except OSError as problem:
        raise ConfigError(
            f"{where}: {path} cannot be read: {problem.strerror or problem}"
        ) from None


class ClusterSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A cluster to ask for what runs; ``kubeconfig`` is a path, or ``in-cluster``."""

    name: str
    kubeconfig: str
    watch: bool = False
    """Whether ``serve`` also follows its changes between the hourly lists."""


class HostSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A host of Docker or Podman to ask for what runs, by the socket of its API."""

    name: str
    socket: str
    """``unix:///run/docker.sock``, ``tcp://host:2376`` or ``https://host:2376``."""
    ca: str | None = None
    """PEM file of the authority that signed the host's certificate."""
    certificate: str | None = None
    """PEM file of our client certificate."""
    key: str | None = None
    """PEM file of its key, where that is another one."""


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
    aliases: tuple[str, ...] = ()
    """Other hosts by which its push notifications call it, with their ports."""

    def covers(self, path: str) -> bool:
        """Whether a repository is wanted, listed or not; by its path without the registry."""
        prefix = urlsplit(self.url).path.strip("/")
        return (not prefix or path == prefix or path.startswith(f"{prefix}/")) and (
            not self.repositories
            or any(fnmatchcase(path, pattern.strip("/")) for pattern in self.repositories)
        )


class HooksSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may push notifications to us."""

    registry_secret: str | None = None
    """What registries show with theirs: a text, or ``file:`` of it."""

    def read_registry_secret(self) -> str | None:
        """The secret itself, None where none is set; raises ConfigError, which does not show it."""
        if self.registry_secret is None:
            return None
        where = "hooks.registry_secret"
        text = _read_secret(self.registry_secret, where)
        if not _SECRET.fullmatch(text):
            raise ConfigError(
                f"{where} is no secret that a header can hold",
                hint="write 16 to 500 letters, digits and signs, no space and no comma, as"
                " `openssl rand -hex 32` makes them",
            )
        return text

    def __repr__(self) -> str:
        secret = self.registry_secret
        shown = secret if secret is None or secret.startswith("file:") else "***"
        return f"HooksSetting(registry_secret={shown!r})"


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


class TeamSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """By which labels or annotations of a pod, or of its namespace, a team is named."""

    keys: tuple[str, ...] = ("team",)
    """The first that is there counts; none at all: teams are not asked for."""


class HistorySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """For how long what ran is remembered."""

    days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 730
    """So long after it ended it is dropped."""
    pod_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 30
    """So long the names of the pods are kept; then it is summed up."""


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
        where = "clair.psk"
        text = _read_secret(self.psk, where)
        if self.psk.startswith("file:"):
            where = self.psk.removeprefix("file:").removeprefix("//")
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
    hosts: tuple[HostSetting, ...] = ()
    """Hosts of containers, scanned like clusters; no two of both have one name."""
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
    hooks: HooksSetting = HooksSetting()
    api: ApiSetting = ApiSetting()
    teams: TeamSettings = TeamSettings()
    history: HistorySettings = HistorySettings()
    lines: tuple[LineRule, ...] = ()
    """The first that fits a repository decides which of its tags follow one another."""
    plan: PlanSettings = PlanSettings()
    config_file: str | None = None
    """The TOML file that was read, if one was."""

    def __repr__(self) -> str:
        return hide_secrets(super().__repr__())

    __str__ = __repr__
