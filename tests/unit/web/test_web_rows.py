"""Lists gathered into rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from imagecatalog.domain.answers import Health, Place, RunningItem, Status
from imagecatalog.web.ui import rows

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _item(**given: Any) -> RunningItem:
    fields: dict[str, Any] = {
        "cluster": "north",
        "namespace": "shop",
        "workload": "Deployment/web",
        "pod_name": "web-1",
        "container": "web",
        "kind": "container",
        "image": "registry.example.org/web:1",
        "digest": "sha256:aa",
        "since": NOW,
        "seen": NOW,
        "known": True,
    }
    return RunningItem(**(fields | given))


def test_pods_of_one_workload_are_one_row_with_their_number() -> None:
    early = NOW - timedelta(days=3)
    items = [
        _item(pod_name="web-1"),
        _item(pod_name="web-2", since=early),
        _item(pod_name="web-2", container="proxy"),
        _item(pod_name="web-3", digest="sha256:bb"),
        _item(namespace="tools"),
        _item(cluster="south", namespace="shop"),
    ]
    groups = rows.group_running(items)
    assert [(group.cluster, group.namespace) for group in groups] == [
        ("north", "shop"),
        ("north", "tools"),
        ("south", "shop"),
    ]
    counted = [(row.item.container, row.item.digest, row.containers) for row in groups[0].rows]
    assert counted == [("web", "sha256:aa", 2), ("proxy", "sha256:aa", 1), ("web", "sha256:bb", 1)]
    assert groups[0].rows[0].item.since == early
    assert sum(row.containers for group in groups for row in group.rows) == len(items)


def test_places_are_summed_by_cluster_and_named_once() -> None:
    places = [
        Place(cluster=cluster, namespace="shop", workload=workload, containers=2)
        for cluster in ("south", "north")
        for workload in ("Deployment/web", "Pod/web", "CronJob/mail")
    ]
    assert rows.sum_places(places) == (("north", 6), ("south", 6))
    assert rows.list_workloads(places) == ("shop/web", "shop/mail")


def test_verdicts_come_worst_first_and_later_ones_only_when_met() -> None:
    ordered = rows.order_statuses({"current": 3, "security-update": 1})
    assert [(status, number) for status, _, number in ordered] == [
        ("security-update", 1),
        ("update", 0),
        ("unknown", 0),
        ("current", 3),
    ]
    assert "end-of-life" in [status for status, *_ in rows.order_statuses({"end-of-life": 1})]


def test_every_verdict_has_its_words() -> None:
    assert rows.STATUS_WORDS.keys() == rows.STATUS_SENTENCES.keys() == set(get_args(Status))


def test_health_has_each_kind() -> None:
    feed = Health(
        kind="feed", name="apt", last_good=NOW, last_tried=NOW, last_error=None, seconds=1.0
    )
    assert rows.group_health([feed]) == {"cluster": [], "registry": [], "feed": [feed], "job": []}
