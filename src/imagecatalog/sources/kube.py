"""What runs in a cluster: its API server's paged list of pods, with the rights to list pods alone.

The list is read in pages (Kubernetes API concepts, "Retrieving large results sets in chunks") without
``resourceVersion``, for with ``resourceVersion=0`` a server ignores the limit. One that expires before its
end (410) begins anew, and of what it had said nothing is kept. No more than a page of what the server sends is held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from imagecatalog.config import ClusterSetting
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.sightings import Sighting
from imagecatalog.errors import (
    AccessDenied,
    BadDocument,
    Missing,
    SourceUnavailable,
    TooLarge,
    TooManyEntries,
)
from imagecatalog.formats.pod_dumps import read_dump
from imagecatalog.formats.pods import PodPage, PodReader, UnreadPod
from imagecatalog.sources.kube_server import ApiServer, Expired, KubeLimits

__all__ = [
    "ClusterScan",
    "KubeLimits",
    "explain_unread",
    "has_pods",
    "list_pods",
    "list_running",
    "read_cluster",
    "read_dump",
]

PODS = "api/v1/pods"
_NAMESPACES = "api/v1/namespaces"
_IN_VAIN = 3
"""Pages in a row that tell of nothing new."""


class ClusterScan(Struct, frozen=True):
    """One whole list of a cluster."""

    containers: Sighting
    """Of each pod that runs or waits to, once."""
    unread: tuple[UnreadPod, ...] = ()
    """Pods that are there and could not be understood: nothing is known of what they run."""
    teams: dict[str, str] = {}
    """Of namespaces."""
    version: str = ""
    """From where a watch goes on."""
    remarks: tuple[str, ...] = ()
    """What could not be had, in sentences."""
    kind: Literal["kubernetes", "docker", "podman"] = "kubernetes"


def explain_unread(name: str, seen: ClusterScan) -> BadDocument | None:
    """What is told of pods that stand as they were, for they could not be understood."""
    if not seen.unread:
        return None
    first = seen.unread[0]
    many = "1 pod" if len(seen.unread) == 1 else f"{len(seen.unread):,} pods"
    return BadDocument(
        f"cluster {name}",
        f"{many} could not be understood and count as they did before:"
        f" {first.namespace}/{first.name}: {first.why[:500]}",
    )


def read_cluster(
    cluster: ClusterSetting,
    *,
    team_keys: Sequence[str] = (),
    limits: KubeLimits = KubeLimits(),  # noqa: B008
    sleep: Callable[[float], None] = time.sleep,
) -> ClusterScan:
    """Every container of every pod; the first of ``team_keys`` that a pod or its namespace has is its team.

    Raises ``SourceUnavailable`` or ``BadDocument`` where the list is not whole.
    """
    with ApiServer(cluster, limits, sleep) as server:
        return list_pods(server, PodReader(team_keys), has_keys=bool(team_keys))


def list_running(
    cluster: ClusterSetting, *, team_keys: Sequence[str] = ()
) -> list[RunningContainer]:
    """As ``read_cluster``, for whom nothing but the whole will do: raises for a pod not understood too."""
    seen = read_cluster(cluster, team_keys=team_keys)
    for pod in seen.unread:
        where = f"cluster {cluster.name}"
        raise BadDocument(where, f"pod {pod.namespace}/{pod.name}: {pod.why[:500]}")
    return list(seen.containers)


def has_pods(cluster: ClusterSetting) -> bool:
    """Whether the cluster lists a pod to us; raises as ``read_cluster`` does."""
    limits = KubeLimits(seconds=60)
    with ApiServer(cluster, limits) as server, server.within(limits.seconds):
        body = server.read(PODS, {"limit": "1"}, attempts=limits.attempts)
        page = PodReader().read_page(body, server.where, {})
        return bool(page.pods or page.unread)


def list_pods(server: ApiServer, reader: PodReader, *, has_keys: bool) -> ClusterScan:
    """One whole list, within the limits of ``server``."""
    with server.within(server.limits.seconds):
        teams, remarks = _list_teams(server, reader) if has_keys else ({}, ())
        for _ in range(server.limits.restarts + 1):
            try:
                return _Listing(server, reader, teams, remarks).run()
            except Expired:
                continue
    raise SourceUnavailable(
        f"{server.where}: the list of pods expired {server.limits.restarts + 1} times before its end",
        hint="the API server forgets lists faster than it answers; try again later",
    )


class _Listing:
    """One try at the whole list."""

    def __init__(
        self,
        server: ApiServer,
        reader: PodReader,
        teams: dict[str, str],
        remarks: tuple[str, ...],
    ) -> None:
        self._server = server
        self._reader = reader
        self._teams = teams
        self._remarks = remarks
        self._limit = server.limits.page
        self._containers = Sighting()
        self._unread: list[UnreadPod] = []
        self._seen: set[int] = set()
        self._tokens: set[str] = set()
        self._in_vain = 0

    def run(self) -> ClusterScan:
        """Page after page; raises ``Expired``."""
        token, version = "", ""
        for _ in range(self._server.limits.pages):
            page = self._page(token)
            version = version or page.version
            self._take(page)
            if not page.next:
                if page.left > 0:
                    raise BadDocument(
                        self._server.where,
                        f"ends the list of pods with {page.left:,} of them left",
                    )
                return ClusterScan(
                    self._containers, tuple(self._unread), self._teams, version, self._remarks
                )
            if page.next in self._tokens:
                raise SourceUnavailable(
                    f"{self._server.where}: the API server repeats a page for ever"
                )
            self._tokens.add(page.next)
            token = page.next
        raise SourceUnavailable(
            f"{self._server.where}: more than {self._server.limits.pages} pages of pods"
        )

    def _page(self, token: str) -> PodPage:
        """The page at a token, of as many pods as fit."""
        limits = self._server.limits
        while True:
            params = {"limit": str(self._limit)} | ({"continue": token} if token else {})
            attempts = limits.attempts_within if token else limits.attempts
            try:
                body = self._server.read(PODS, params, attempts=attempts)
            except TooLarge:
                if self._limit == 1:
                    raise
                self._limit = max(1, self._limit // 8)
                continue
            if len(body) < limits.page_bytes // 16:
                self._limit = min(limits.page, self._limit * 2)
            return self._reader.read_page(body, self._server.where, self._teams)

    def _take(self, page: PodPage) -> None:
        before = len(self._seen)
        for pod in page.pods:
            if self._is_new(pod.namespace, pod.name):
                self._containers.add(pod.containers)
        self._unread += [pod for pod in page.unread if self._is_new(pod.namespace, pod.name)]
        if len(self._seen) > self._server.limits.pods:
            raise TooManyEntries(self._server.where, f"more than {self._server.limits.pods:,} pods")
        self._in_vain = 0 if len(self._seen) > before else self._in_vain + 1
        if self._in_vain >= _IN_VAIN and page.next:
            raise SourceUnavailable(
                f"{self._server.where}: the API server repeats the same pods on page after page"
            )

    def _is_new(self, namespace: str, name: str) -> bool:
        # by name: no cluster has two pods of one name at a time, whatever uid they claim
        before = len(self._seen)
        self._seen.add(hash((namespace, name)))
        return len(self._seen) > before


def _list_teams(server: ApiServer, reader: PodReader) -> tuple[dict[str, str], tuple[str, ...]]:
    """The teams of namespaces; none, and that said, where we may not list them."""
    teams: dict[str, str] = {}
    token, tokens = "", set[str]()
    for _ in range(server.limits.pages):
        params = {"limit": str(server.limits.page)} | ({"continue": token} if token else {})
        try:
            attempts = server.limits.attempts_within if token else server.limits.attempts
            body = server.read(_NAMESPACES, params, attempts=attempts)
        except (AccessDenied, Missing):
            if token:
                raise
            return {}, ("namespaces may not be listed, so their teams are not known",)
        except Expired:
            teams, token = {}, ""
            continue
        found, token = reader.read_namespaces(body, server.where)
        teams |= found
        if not token:
            return teams, ()
        if token in tokens:
            break
        tokens.add(token)
    raise SourceUnavailable(f"{server.where}: the API server repeats namespaces for ever")
