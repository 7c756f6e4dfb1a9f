"""Scans of a real kube-apiserver: with exactly the rights of deploy/, with less, and while it fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from go_programs import compile_kubernetes
from kube_apiserver import KubeServer, read_manifests
from lightkube.config import kubeconfig as lightkube

from imagecatalog.config import ClusterSetting
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import AccessDenied, SourceUnavailable
from imagecatalog.sources.kube import PODS, ClusterScan, KubeLimits, has_pods, read_cluster

pytestmark = [pytest.mark.real, pytest.mark.compiled]

DIGEST, CONFIG = "sha256:" + "1" * 64, "sha256:" + "2" * 64
RUNNING = {"running": {"startedAt": "2026-11-23T09:00:00Z"}}
BASIC = {"ready": True, "restartCount": 0, "image": "x"}
SHAPES = {
    "manifest": f"registry.example.org/web@{DIGEST}",
    "pullable": f"docker-pullable://registry.example.org/web@{DIGEST}",
    "docker": f"docker://{CONFIG}",
    "config": CONFIG,
    "name": "registry.example.org/web:1",
    "none": "",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    cluster = KubeServer(*compile_kubernetes(), tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        cluster.apply_manifests("rights.yaml", "account.yaml")
        cluster.bind("imagecatalog", "ClusterRole", "reader")
        _fill(cluster)
        yield cluster
    finally:
        cluster.stop()


def _fill(cluster: KubeServer) -> None:
    """Pods as kubelets and controllers leave them."""
    cluster.add_namespace("shop", labels={"team": "sales"})
    cluster.add_namespace("mail", annotations={"team": "post"})
    for shape, image_id in SHAPES.items():
        status = BASIC | {"name": "main", "imageID": image_id, "state": RUNNING}
        if shape == "none":
            status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}
        cluster.add_pod(
            "shop", f"shape-{shape}", status={"phase": "Running", "containerStatuses": [status]}
        )
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8", "uid": "u"}
    sidecar = {"name": "sidecar", "image": "proxy:1", "restartPolicy": "Always"}
    cluster.add_pod(
        "mail",
        "web-5d4f8-abcde",
        metadata={
            "labels": {"pod-template-hash": "5d4f8"},
            "annotations": {"huge": "x" * 200_000},
            "ownerReferences": [owner | {"controller": True}],
        },
        spec={"initContainers": [{"name": "migrate", "image": "migrate:1"}, sidecar]},
        status={
            "phase": "Running",
            "initContainerStatuses": [
                BASIC | {"name": "sidecar", "imageID": DIGEST, "state": RUNNING},
                BASIC
                | {
                    "name": "migrate",
                    "imageID": CONFIG,
                    "state": {"terminated": {"exitCode": 0, "reason": "Completed"}},
                },
            ],
            "containerStatuses": [BASIC | {"name": "main", "imageID": DIGEST, "state": RUNNING}],
        },
    )
    debug = {"name": "debug", "image": "debian:12", "targetContainerName": "main"}
    cluster.ask(
        "PATCH",
        "/api/v1/namespaces/mail/pods/web-5d4f8-abcde/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [debug]}},
        "strategic-merge-patch+json",
    )
    for phase in ("Succeeded", "Failed"):
        cluster.add_pod("mail", phase.lower(), status={"phase": phase})


def _cluster(kubeconfig: Path | str) -> ClusterSetting:
    return ClusterSetting("eqiad", str(kubeconfig))


def _scan(kubeconfig: Path | str, **limits: Any) -> ClusterScan:
    return read_cluster(_cluster(kubeconfig), team_keys=("team",), limits=KubeLimits(**limits))


def _named(found: ClusterScan) -> dict[tuple[str, str], RunningContainer]:
    return {(item.pod_name, item.container): item for item in found.containers}


def test_our_cluster_role_suffices_and_names_no_more() -> None:
    (role,) = read_manifests("rights.yaml")

    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["get", "list"]}
    ]


@pytest.mark.parametrize("page", [500, 2])
def test_a_whole_scan_with_a_client_certificate(server: KubeServer, page: int) -> None:
    found = _scan(server.write_user("reader"), page=page)

    assert (found.unread, found.remarks) == ((), ())
    assert found.teams == {"shop": "sales", "mail": "post"}
    items = _named(found)
    for shape, image_id in SHAPES.items():
        item = items[f"shape-{shape}", "main"]
        assert (item.image, item.image_id, item.team) == ("web:1", image_id, "sales")
        assert item.workload == f"Pod/shape-{shape}"
    waiting = items["shape-none", "main"]
    assert (waiting.state, waiting.reason) == ("waiting", "ImagePullBackOff")
    pod = "web-5d4f8-abcde"
    told = {name: items[pod, name] for name in ("migrate", "sidecar", "main", "debug")}
    assert {item.workload for item in told.values()} == {"Deployment/web"}
    assert [(item.kind, item.image_id, item.state, item.team) for item in told.values()] == [
        ("init", CONFIG, "terminated", "post"),
        ("init", DIGEST, "running", "post"),
        ("container", DIGEST, "running", "post"),
        ("ephemeral", "", "", "post"),
    ]
    assert {name for name, _ in items if name in ("succeeded", "failed")} == set()


def test_with_pods_alone_teams_of_namespaces_are_absent(server: KubeServer) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "pods-alone"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
    }
    server.apply(role)
    server.bind("pods-alone", "ClusterRole", "lesser")

    found = _scan(server.write_user("lesser"))

    whole = _scan(server.write_user("reader"))
    assert {item.team for item in found.containers} == {""}
    assert _named(found).keys() == _named(whole).keys()
    assert found.remarks == ("namespaces may not be listed, so their teams are not known",)


def test_a_role_of_one_namespace_is_too_little_and_said_to_be(server: KubeServer) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "shop-alone", "namespace": "shop"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    }
    server.apply(role)
    server.bind("shop-alone", "Role", "shopper", "shop")

    with pytest.raises(AccessDenied, match=r'"shopper" cannot list .*at the cluster scope') as said:
        _scan(server.write_user("shopper"))
    assert "rights.yaml" in str(said.value.hint)


def test_nobody_and_strangers_are_told_apart(server: KubeServer) -> None:
    with pytest.raises(AccessDenied, match="does not accept the credentials"):
        _scan(server.write_kubeconfig("nobody", {"token": "wrong"}))
    with pytest.raises(AccessDenied, match='"stranger" cannot list'):
        _scan(server.write_user("stranger"))


def test_a_service_account_in_its_pod(
    server: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token projected into a folder, exchanged for another while we run."""
    (tmp_path / "token").write_text(server.make_token("imagecatalog", "imagecatalog"))
    (tmp_path / "namespace").write_text("imagecatalog")
    (tmp_path / "ca.crt").write_bytes(Path(server.authority.file).read_bytes())
    monkeypatch.setattr(lightkube, "SERVICE_ACCOUNT", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))

    assert ("shape-config", "main") in _named(_scan("in-cluster"))


def test_tokens_token_files_and_plugins(server: KubeServer, tmp_path: Path) -> None:
    token = server.make_token("imagecatalog", "imagecatalog")
    (tmp_path / "token").write_text(token)
    certificate, key = server.authority.issue("reader")
    status = {
        "clientCertificateData": Path(certificate).read_text(),
        "clientKeyData": Path(key).read_text(),
    }
    (tmp_path / "said.json").write_text(json.dumps({"status": status}))
    plugins = {
        "token": f'echo \'{{"status": {{"token": "{token}"}}}}\'',
        "certificate": f"cat {tmp_path / 'said.json'}",
    }
    users: list[dict[str, Any]] = [{"token": token}, {"tokenFile": str(tmp_path / "token")}]
    for name, script in plugins.items():
        program = server.folder / f"plugin-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        api = "client.authentication.k8s.io/v1"
        users.append({"exec": {"apiVersion": api, "command": f"./plugin-{name}"}})

    for number, user in enumerate(users):
        assert has_pods(_cluster(server.write_kubeconfig(f"user-{number}", user)))


def test_a_server_by_another_name(server: KubeServer) -> None:
    """Its certificate is for 127.0.0.1 and for kubernetes.default.svc."""
    token = {"token": server.make_token("imagecatalog", "imagecatalog")}
    right = {"tls-server-name": "kubernetes.default.svc"}
    assert has_pods(_cluster(server.write_kubeconfig("named", token, **right)))

    wrong = server.write_kubeconfig("misnamed", token, **{"tls-server-name": "other.example.org"})
    with pytest.raises(SourceUnavailable, match=r"not to be trusted.*other\.example\.org"):
        has_pods(_cluster(wrong))


class _Pages:
    """Does something once, before the second page of a list is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
        from imagecatalog.sources.kube_server import ApiServer

        self.asked: list[bool] = []
        read = ApiServer.read

        def watched(this: ApiServer, path: str, params: Any, *, attempts: int) -> bytearray:
            if path == PODS:
                self.asked.append("continue" in params)
                if self.asked.count(True) == 1 and self.asked[-1]:
                    act()
            return read(this, path, params, attempts=attempts)

        monkeypatch.setattr(ApiServer, "read", watched)


def test_a_list_that_etcd_forgot_begins_anew(
    server: KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server.write_user("reader")
    server.add_pod("shop", "early")

    def change() -> None:
        server.delete_pod("shop", "early")
        server.add_pod("shop", "late")
        server.compact()

    pages = _Pages(monkeypatch, change)
    found = {name for name, _ in _named(_scan(user, page=3))}

    assert pages.asked.count(False) == 2
    assert "late" in found
    assert "early" not in found
    server.delete_pod("shop", "late")


def test_a_server_killed_and_started_anew_within_a_scan(
    server: KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server.write_user("reader")
    before = _named(_scan(user))
    starting: list[threading.Thread] = []

    def fall() -> None:
        server.kill()
        starting.append(threading.Timer(1, server.start))
        starting[0].start()

    _Pages(monkeypatch, fall)
    found = _named(_scan(user, page=3))
    starting[0].join()

    assert found == before


def test_a_server_that_stays_away_is_an_error(
    server: KubeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = server.write_user("reader")
    _Pages(monkeypatch, server.kill)
    began = time.monotonic()

    with pytest.raises(SourceUnavailable, match=r"cannot be reached|broke off"):
        _scan(user, page=3, attempts_within=3)
    assert time.monotonic() - began < 20
    server.start()


@pytest.mark.parametrize(
    "name", ["rights.yaml", "account.yaml", "watch.yaml", "service.yaml", "jobs.yaml", "agent.yaml"]
)
def test_the_server_takes_every_manifest_of_deploy(server: KubeServer, name: str) -> None:
    for item in read_manifests(name):
        made = server.apply(item, dry_run=True)
        assert made["metadata"]["name"] == item["metadata"]["name"]
