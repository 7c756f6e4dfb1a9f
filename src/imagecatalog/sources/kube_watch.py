"""Changes of a cluster's pods as they happen (Kubernetes API concepts, "Efficient detection of changes")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagecatalog.errors import SourceUnavailable
from imagecatalog.formats.pods import PodEvent, PodReader
from imagecatalog.sources.kube import PODS
from imagecatalog.sources.kube_server import ApiServer, Expired

_CHANGES = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")


def follow_pods(
    server: ApiServer,
    reader: PodReader,
    *,
    version: str,
    teams: Mapping[str, str],
    seconds: float,
) -> Iterator[PodEvent]:
    """Each change after ``version``, and bookmarks, until the server ends the watch after some seconds.

    Raises ``Expired`` where ``version`` is too old, so that a list must come first; ``AccessDenied``
    without the right ``watch``; ``SourceUnavailable`` and ``BadDocument`` for the rest.
    """
    params = {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(max(1, int(min(seconds, server.limits.watch_seconds)))),
    }
    with server.follow(PODS, params) as lines:
        for line in lines:
            event = reader.read_event(line, server.where, teams)
            if event.kind == "ERROR" and event.code == 410:
                raise Expired
            if event.kind not in _CHANGES:
                raise SourceUnavailable(
                    f"{server.where}: the watch ended: {event.message or event.kind[:80]}"
                )
            yield event
