"""What the two sample clusters run: workloads, their images and how their nodes report them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SERVICES = "services"


@dataclass(frozen=True)
class Container:
    """A container of a pod; ``shape`` says how its runtime reports the image."""

    name: str
    image: str
    """``repository:tag`` of a recipe, or a whole reference of an image that is not in the fleet."""
    shape: str = "containerd"
    """``containerd``, ``pullable``, ``index``, ``config``, ``docker``, ``none`` or ``foreign``."""


@dataclass(frozen=True)
class Workload:
    """A workload of one cluster."""

    kind: str
    """``Deployment``, ``StatefulSet``, ``DaemonSet``, ``CronJob``, ``Job`` or ``Pod``."""
    namespace: str
    name: str
    pods: int
    containers: tuple[Container, ...]
    init: tuple[Container, ...] = ()


def _one(
    kind: str, namespace: str, service: str, day: str, pods: int, shape: str = "containerd"
) -> Workload:
    image = f"{SERVICES}/{service}:{day}-1"
    return Workload(kind, namespace, service, pods, (Container(service, image, shape),))


def _with_proxy(service: str, day: str, proxy: str, pods: int) -> Workload:
    """A service behind a proxy of its own, which it waits for."""
    plain = _one("Deployment", service, service, day, pods)
    side = Container("proxy", f"{SERVICES}/edge-proxy:{proxy}-1", "index")
    wait = Container("wait-for-proxy", "tools/health-probe:2026-10-13-1")
    return Workload(plain.kind, service, service, pods, (*plain.containers, side), (wait,))


def _north() -> Iterator[Workload]:
    yield _with_proxy("storefront", "2026-11-23", "2026-11-23", 8)
    yield _with_proxy("checkout", "2026-10-28", "2026-11-23", 6)
    yield _one("Deployment", "search", "product-search", "2026-11-23", 4)
    yield _one("DaemonSet", "ingress", "edge-proxy", "2026-11-23", 6, "index")
    yield _one("Deployment", "intranet", "intranet", "2026-11-23", 2)
    yield _one("Deployment", "finance", "ledger", "2026-11-20", 3)
    yield _one("CronJob", "finance", "legacy-reports", "2025-09-22", 2)
    yield _one("Deployment", "messaging", "mailer", "2026-10-29", 4)
    yield _one("Deployment", "messaging", "webhooks", "2026-08-20", 2)
    yield _one("Deployment", "insight", "recommender", "2026-11-23", 4)
    yield _one("CronJob", "insight", "forecast", "2026-10-05", 2)
    yield _one("Deployment", "logistics", "shipping-labels", "2026-10-01", 2)
    yield _one("Deployment", "media", "thumbnails", "2026-07-24", 3, "config")
    yield _one("StatefulSet", "data", "session-cache", "2026-11-23", 3)
    yield _one("StatefulSet", "data", "orders-db", "2026-07-17", 3)
    probe = Container("probe", "tools/health-probe:2026-10-13-1")
    yield Workload("DaemonSet", "platform", "node-health", 6, (probe,))
    agent = Container("agent", "registry.vendor.example/agents/metrics:7.4.1", "foreign")
    yield Workload("DaemonSet", "platform", "metrics-agent", 6, (agent,))
    shell = Container("shell", "tools/debug-shell:2026-09-24-1")
    yield Workload("Pod", "platform", "debug-shell", 1, (shell,))
    broken = Container("mailer", "services/mailer:2026-11-24-1", "none")
    yield Workload("Deployment", "staging", "mailer", 1, (broken,))


def _south() -> Iterator[Workload]:
    yield _with_proxy("storefront", "2026-10-26", "2026-10-27", 8)
    yield _with_proxy("checkout", "2026-09-08", "2026-07-21", 6)
    yield _one("Deployment", "search", "product-search", "2026-08-04", 3, "pullable")
    yield _one("DaemonSet", "ingress", "edge-proxy", "2026-10-27", 6, "index")
    yield _one("Deployment", "intranet", "intranet", "2026-07-30", 1, "docker")
    yield _one("Deployment", "finance", "ledger", "2026-10-22", 2, "pullable")
    yield _one("Job", "finance", "legacy-reports", "2026-11-16", 1)
    yield _one("Deployment", "messaging", "mailer", "2026-11-23", 3)
    yield _one("Deployment", "messaging", "webhooks", "2026-11-23", 2)
    yield _one("Deployment", "insight", "recommender", "2026-11-12", 4)
    yield _one("Deployment", "logistics", "shipping-labels", "2026-11-23", 2)
    yield _one("Deployment", "media", "thumbnails", "2026-11-23", 2, "config")
    yield _one("StatefulSet", "data", "session-cache", "2026-07-16", 3, "pullable")
    yield _one("StatefulSet", "data", "orders-db", "2026-11-23", 2)
    probe = Container("probe", "tools/health-probe:2026-06-02-1")
    yield Workload("DaemonSet", "platform", "node-health", 6, (probe,))
    agent = Container("agent", "registry.vendor.example/agents/metrics:7.4.1", "foreign")
    yield Workload("DaemonSet", "platform", "metrics-agent", 6, (agent,))


CLUSTERS = {"north": tuple(_north()), "south": tuple(_south())}

TEAMS = {
    "checkout": "shop",
    "data": "storage",
    "finance": "finance",
    "ingress": "platform",
    "insight": "insight",
    "intranet": "office",
    "logistics": "shop",
    "media": "shop",
    "messaging": "messaging",
    "platform": "platform",
    "search": "insight",
    "staging": "messaging",
    "storefront": "shop",
}
"""Whose each namespace is."""
