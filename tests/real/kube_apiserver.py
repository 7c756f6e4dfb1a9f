"""A real kube-apiserver over a real etcd, without kubelets and controllers: pods run where a test says so."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import yaml

from private_authority import Authority

_SECONDS = 90
DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"


class KubeServer:
    """A cluster's API on the loopback; users are whom client certificates name."""

    def __init__(self, etcd: Path, apiserver: Path, folder: Path) -> None:
        self._etcd_program, self._program = etcd, apiserver
        self.folder = folder
        self.authority = Authority(folder)
        self._certificate, self._key = self.authority.issue(
            "kube-apiserver", hosts=("kubernetes.default.svc",)
        )
        self._ports = [_free_port() for _ in range(3)]
        self.port = self._ports[0]
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd_url = f"http://127.0.0.1:{self._ports[1]}"
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        context = ssl.create_default_context(cafile=self.authority.file)
        context.load_cert_chain(*self.authority.issue("admin", group="system:masters"))
        self._admin = httpx2.Client(
            base_url=self.url, verify=context, trust_env=False, timeout=httpx2.Timeout(60)
        )

    def start(self) -> None:
        """Begin; returns when it is ready."""
        if self._etcd is None:
            self._etcd = self._run("etcd", self._etcd_program, *self._etcd_flags())
        self._server = self._run("apiserver", self._program, *self._server_flags())
        until = time.monotonic() + _SECONDS
        while not self._is_ready():
            assert self._server.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.1)

    def kill(self) -> None:
        """End the API server as a machine that fails does; etcd goes on."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(timeout=60)

    def stop(self) -> None:
        """End both."""
        for process in (self._server, self._etcd):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(timeout=60)
        self._admin.close()

    def log(self) -> str:
        """The end of what the API server told."""
        return (self.folder / "apiserver.log").read_text(errors="replace")[-4000:]

    def ask(self, method: str, path: str, body: Any = None, kind: str = "json") -> Any:
        """What an administrator is answered; ``kind`` is the body's media type."""
        media = f"application/{kind}"
        content = None if body is None else json.dumps(body).encode()
        answer = self._admin.request(method, path, content=content, headers={"Content-Type": media})
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def apply(self, item: dict[str, Any], *, dry_run: bool = False) -> Any:
        """Create or change what a manifest says, as ``kubectl apply --server-side`` does."""
        options = "?fieldManager=test&force=true&fieldValidation=Strict"
        path = _path_of(item) + options + ("&dryRun=All" if dry_run else "")
        return self.ask("PATCH", path, item, "apply-patch+yaml")

    def apply_manifests(self, *names: str) -> None:
        """Files of deploy/kubernetes."""
        for name in names:
            for item in read_manifests(name):
                self.apply(item)

    def bind(self, role: str, kind: str, user: str, namespace: str = "") -> None:
        """Give a user a role, everywhere or in a namespace."""
        api = "rbac.authorization.k8s.io"
        within = {"namespace": namespace} if namespace else {}
        self.apply(
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
                "metadata": {"name": f"{role}-{user}"} | within,
                "roleRef": {"apiGroup": api, "kind": kind, "name": role},
                "subjects": [{"kind": "User", "apiGroup": api, "name": user}],
            }
        )

    def add_namespace(self, name: str, **metadata: Any) -> None:
        """A namespace."""
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name} | metadata})

    def add_pod(self, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
        """A pod of ``metadata`` and ``spec``, and ``status`` as a kubelet would patch it."""
        spec = {"containers": [{"name": "main", "image": "web:1"}]} | parts.get("spec", {})
        pod = {"metadata": {"name": name} | parts.get("metadata", {}), "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/pods"
        made = self.ask("POST", path, pod)
        if "status" in parts:
            self.set_status(namespace, name, parts["status"])
        return made  # type: ignore[no-any-return]

    def set_status(self, namespace: str, name: str, status: dict[str, Any]) -> None:
        """What a kubelet would say."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        self.ask("PATCH", path, {"status": status}, "merge-patch+json")

    def delete_pod(self, namespace: str, name: str) -> None:
        """At once."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0"
        self.ask("DELETE", path)

    def compact(self) -> None:
        """Make etcd forget all that was before now."""
        client = httpx2.Client(base_url=self._etcd_url, trust_env=False)
        with client:
            key = base64.b64encode(b"/").decode()
            found = client.post("/v3/kv/range", json={"key": key}).json()
            revision = {"revision": found["header"]["revision"], "physical": True}
            answer = client.post("/v3/kv/compaction", json=revision)
            assert answer.is_success, answer.text

    def write_kubeconfig(self, name: str, user: dict[str, Any], **cluster: Any) -> Path:
        """A kubeconfig of this cluster and that user."""
        path = self.folder / f"{name}.config"
        trusted = {"server": self.url, "certificate-authority": self.authority.file} | cluster
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "c", "cluster": trusted}],
                    "users": [{"name": "u", "user": user}],
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        return path

    def write_user(self, name: str) -> Path:
        """A kubeconfig with a client certificate of that user."""
        certificate, key = self.authority.issue(name)
        return self.write_kubeconfig(name, {"client-certificate": certificate, "client-key": key})

    def make_token(self, namespace: str, account: str) -> str:
        """A token of a service account, as a kubelet projects it into pods."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        asked = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}
        return str(self.ask("POST", path, asked)["status"]["token"])

    def _is_ready(self) -> bool:
        try:
            return self._admin.get("/readyz").is_success
        except httpx2.HTTPError:
            return False

    def _run(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def _etcd_flags(self) -> Sequence[str]:
        peer = f"http://127.0.0.1:{self._ports[2]}"
        return (
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )

    def _server_flags(self) -> Sequence[str]:
        return (
            f"--etcd-servers={self._etcd_url}",
            "--etcd-compaction-interval=0",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self._certificate}",
            f"--tls-private-key-file={self._key}",
            f"--client-ca-file={self.authority.file}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._certificate}",
            f"--service-account-signing-key-file={self._key}",
            # there is no controller that would give each namespace its account
            "--disable-admission-plugins=ServiceAccount",
            # or the pages of a list come from memory, and nothing that etcd forgets is missed
            "--feature-gates=ListFromCacheSnapshot=false",
        )


def read_manifests(name: str) -> list[dict[str, Any]]:
    """The objects of a file in deploy/kubernetes."""
    with (DEPLOY / name).open() as stream:
        return [item for item in yaml.safe_load_all(stream) if item]


def _path_of(item: dict[str, Any]) -> str:
    plural = f"{item['kind'].lower()}s"
    api = (
        f"/api/{item['apiVersion']}"
        if item["apiVersion"] == "v1"
        else f"/apis/{item['apiVersion']}"
    )
    metadata = item["metadata"]
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{api}{within}/{plural}/{metadata['name']}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
