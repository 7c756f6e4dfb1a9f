"""Who we are to a cluster and whom we believe: a kubeconfig, or the service account of our own pod.

Files are read by lightkube, which also knows tokens and token files; ``tls-server-name`` and ``proxy-url``
we read beside it. Exec plug-ins we run ourselves (client.authentication.k8s.io: tokens and certificates,
for a time limit), and certificates too, to leave no key behind on disk.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import yaml  # type: ignore[import-untyped]
from lightkube.config import kubeconfig as lightkube
from lightkube.config.client_adapter import user_auth
from lightkube.config.models import Cluster, Context, NameValue, User, UserExec
from lightkube.core.exceptions import ConfigError as LightkubeError
from msgspec import Struct, ValidationError

from imagecatalog import __version__
from imagecatalog.config import IN_CLUSTER, ClusterSetting
from imagecatalog.errors import SourceUnavailable
from imagecatalog.sources.kube_plugins import PluginAuth, run_plugin

__all__ = ["Access", "open_access"]

_GUIDE = "docs/howto/add-a-cluster.md shows how to make one"
_MAX_FILE = 4 << 20
_HERE = ("localhost", "127.0.0.1", "::1")


class FullCluster(Cluster):
    """A cluster with what lightkube leaves out."""

    server_name: str | None = msgspec.field(name="tls-server-name", default=None)
    proxy: str | None = msgspec.field(name="proxy-url", default=None)


class FullExec(UserExec):
    """A credential plug-in with what lightkube leaves out."""

    provideClusterInfo: bool = False  # noqa: N815 - as the file has it


class FullUser(User):
    """A user whose plug-in is whole."""

    exec: FullExec | None = None


# Clusters are scanned side by side: msgspec 0.22 crashes where two threads are the first to use a type.
_READY = tuple(msgspec.json.Decoder(kind) for kind in (Context, FullCluster, FullUser))


class Access(Struct, frozen=True):
    """A client that is known to the API server, and by which name that one is to prove itself."""

    client: httpx2.Client
    server: str
    server_name: str | None


def open_access(cluster: ClusterSetting, *, silence: float) -> Access:
    """A client for the cluster's API server; ``silence`` is the seconds without a byte that it bears.

    Raises ``SourceUnavailable``; ``AccessDenied`` where a credential plug-in fails.
    """
    config = _read(cluster)
    where = f"cluster {cluster.name}: kubeconfig {cluster.kubeconfig}"
    chosen, user = config.cluster, config.user or User()
    try:
        auth: httpx2.Auth | None
        if user.token_file:
            user.token_file = str(config.abs_file(user.token_file))
        if isinstance(user, FullUser) and user.exec:
            plugin = _complete(user.exec, config)
            given = run_plugin(plugin, where)
            user.client_cert_data = _encode(given.certificate) or user.client_cert_data
            user.client_key_data = _encode(given.key) or user.client_key_data
            auth = PluginAuth(given.token, lambda: run_plugin(plugin, where).token)
        else:
            auth = user_auth(user)
        server = urlsplit(chosen.server)
        if server.scheme not in ("https", "http") or not server.hostname or server.port == 0:
            raise SourceUnavailable(
                f"{where}: {chosen.server!r} is not the address of an API server",
                hint="server is an address like https://kube.example.org:6443",
            )
        client = httpx2.Client(
            base_url=chosen.server.rstrip("/") + "/",
            verify=_trust(config, user),
            auth=auth,
            timeout=httpx2.Timeout(silence, connect=10),
            headers={"Accept": "application/json", "User-Agent": f"imagecatalog/{__version__}"},
            proxy=getattr(chosen, "proxy", None) or None,
            # as for kubectl, no proxy of the environment stands before a server on this machine
            trust_env=server.hostname not in _HERE,
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL, LightkubeError) as problem:
        raise SourceUnavailable(
            f"{where}: {_sentence(problem)}",
            hint="its certificates, keys and addresses must be whole and readable",
        ) from None
    return Access(client, chosen.server, getattr(chosen, "server_name", None) or None)


def _complete(plugin: FullExec, config: lightkube.SingleConfig) -> FullExec:
    """The plug-in with its path made whole, and what it wants to know of the cluster."""
    if os.sep in plugin.command:
        plugin = msgspec.structs.replace(plugin, command=str(config.abs_file(plugin.command)))
    info: dict[str, Any] = {
        "apiVersion": plugin.apiVersion,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    if plugin.provideClusterInfo:
        cluster = config.cluster
        authority = _material(config, cluster.certificate_auth, cluster.certificate_auth_data)
        told = {
            "server": cluster.server,
            "insecure-skip-tls-verify": cluster.insecure or None,
            "tls-server-name": getattr(cluster, "server_name", None),
            "proxy-url": getattr(cluster, "proxy", None),
            "certificate-authority-data": _encode(authority),
        }
        info["spec"]["cluster"] = {name: value for name, value in told.items() if value}
    entry = NameValue("KUBERNETES_EXEC_INFO", json.dumps(info))
    return msgspec.structs.replace(plugin, env=[*(plugin.env or ()), entry])


def _trust(config: lightkube.SingleConfig, user: User) -> ssl.SSLContext:
    """Whom we believe and who we are. Keys written into the kubeconfig touch the disk for an instant."""
    cluster = config.cluster
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority = _material(config, cluster.certificate_auth, cluster.certificate_auth_data)
    if cluster.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is not None:
        context.load_verify_locations(cadata=authority.decode("latin-1"))
    else:
        context.load_default_certs()
    certificate = _material(config, user.client_cert, user.client_cert_data)
    key = _material(config, user.client_key, user.client_key_data)
    if certificate is not None:
        with tempfile.NamedTemporaryFile() as chain:
            chain.write(certificate + b"\n" + (key or b""))
            chain.flush()
            # an empty password, lest OpenSSL ask a person who is not there
            context.load_cert_chain(chain.name, password=b"")
    return context


def _encode(material: bytes | None) -> str | None:
    return base64.b64encode(material).decode() if material else None


def _material(config: lightkube.SingleConfig, path: str | None, inline: str | None) -> bytes | None:
    if inline:
        return base64.b64decode(inline, validate=True)
    return Path(config.abs_file(path)).read_bytes() if path else None


def _sentence(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLError):
        return f"a certificate or key of it cannot be used ({problem.reason or problem})"
    if isinstance(problem, OSError) and problem.filename:
        return f"{problem.filename}: {problem.strerror}"
    if isinstance(problem, ImportError):
        return "proxies of the kind socks5 are not spoken; name one of http or https"
    return str(problem)


def _read(cluster: ClusterSetting) -> lightkube.SingleConfig:
    where = f"cluster {cluster.name}: kubeconfig {cluster.kubeconfig}"
    try:
        if cluster.kubeconfig == IN_CLUSTER:
            found = lightkube.KubeConfig.from_service_account(lightkube.SERVICE_ACCOUNT).get()
        else:
            found = _parse(Path(cluster.kubeconfig)).get()
    except OSError as problem:
        raise SourceUnavailable(
            f"{where} cannot be read: {problem.strerror}", hint=_GUIDE
        ) from None
    except yaml.YAMLError:
        raise SourceUnavailable(f"{where} is not YAML", hint=_GUIDE) from None
    except LightkubeError as problem:
        why = "names no current context" if "current context" in str(problem) else f": {problem}"
        raise SourceUnavailable(f"{where} {why}".replace(" : ", ": "), hint=_GUIDE) from None
    except KeyError as problem:
        raise SourceUnavailable(f"{where} lacks {problem.args[0]!r}", hint=_GUIDE) from None
    except (ValidationError, ValueError, TypeError, AttributeError, RecursionError):
        raise SourceUnavailable(f"{where} is not a kubeconfig", hint=_GUIDE) from None
    assert found is not None
    return found


def _parse(path: Path) -> lightkube.KubeConfig:
    with path.open("rb") as stream:
        text = stream.read(_MAX_FILE)
    table = yaml.safe_load(text)
    return lightkube.KubeConfig(
        clusters=lightkube.to_mapping(table["clusters"], "cluster", factory=FullCluster),
        contexts=lightkube.to_mapping(table["contexts"], "context", factory=Context),
        users=lightkube.to_mapping(table.get("users") or [], "user", factory=FullUser),
        current_context=table.get("current-context"),
        fname=path,
    )
