"""The commands as a user gives them, over a real kube-apiserver that is there, fails, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import imagecatalog
from go_programs import compile_kubernetes
from kube_apiserver import KubeServer

pytestmark = [pytest.mark.real, pytest.mark.compiled]

RUNNING = {"running": {"startedAt": "2026-11-23T09:00:00Z"}}
STATUS = {
    "name": "main",
    "image": "x",
    "imageID": "sha256:" + "1" * 64,
    "ready": True,
    "restartCount": 0,
    "state": RUNNING,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeServer]:
    cluster = KubeServer(*compile_kubernetes(), tmp_path_factory.mktemp("kubernetes"))
    try:
        cluster.start()
        cluster.apply_manifests("rights.yaml", "account.yaml")
        cluster.bind("imagecatalog", "ClusterRole", "reader")
        cluster.add_namespace("shop", labels={"team": "sales"})
        for name in ("one", "two"):
            cluster.add_pod(
                "shop", name, status={"phase": "Running", "containerStatuses": [STATUS]}
            )
        yield cluster
    finally:
        cluster.stop()


def test_what_runs_is_recorded_and_a_failure_ends_nothing(
    server: KubeServer, tmp_path: Path
) -> None:
    database = {"IMAGE_CATALOG_DB": str(tmp_path / "catalog.sqlite")}
    clusters = f"--clusters=eqiad:{server.write_user('reader')}"

    def ask() -> list[dict[str, Any]]:
        told = imagecatalog("running", "--format", "json", environ=database).stdout
        items: list[dict[str, Any]] = json.loads(told)
        return items

    imagecatalog("init", environ=database)
    assert "2 containers, 2 new" in imagecatalog(clusters, "record", environ=database).stderr
    first = ask()
    assert [(one["pod_name"], one["team"], one["known"]) for one in first] == [
        ("one", "sales", False),
        ("two", "sales", False),
    ]
    server.kill()
    failed = imagecatalog(clusters, "record", environ=database, expect=1)
    assert "cannot be reached" in failed.stderr
    assert ask() == first
    listed = imagecatalog("clusters", "--format", "json", environ=database).stdout
    [cluster] = json.loads(listed)
    assert "cannot be reached" in cluster["last_error"]
    assert cluster["containers"] == 2

    server.start()
    server.delete_pod("shop", "two")
    again = imagecatalog(clusters, "record", environ=database)
    assert "1 container, 0 new, 1 ended" in again.stderr
    assert [one["pod_name"] for one in ask()] == ["one"]
