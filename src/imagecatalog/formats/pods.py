"""Kubernetes' pods, as an API server lists and watches them, and the teams that namespaces name.

Only what the catalog records is decoded. Pods that have ended (phase ``Succeeded`` or ``Failed``, and no
container said to run) hold no container. A container counts that either the specification or the status names,
for either may be behind the other.

A pod's team is the first of the configured keys that has a value among its labels or annotations, else among
those of its namespace.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, ValidationError

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadDocument, TooDeep
from imagecatalog.formats.pod_objects import (
    STORABLE,
    Bookmark,
    EventLine,
    LooseList,
    NamedItem,
    NamespaceList,
    Pod,
    PodList,
    PodMeta,
)
from imagecatalog.formats.pod_owners import find_workload

__all__ = ["PodEvent", "PodPage", "PodReader", "SeenPod", "UnreadPod"]

_IMAGE_BYTES = 2500
"""Of an image's name and what the runtime calls it: no database indexes more of both together."""
_MAKING = threading.Lock()


class SeenPod(Struct, frozen=True):
    """A pod and the containers it has; none once it ended or was deleted."""

    namespace: str
    name: str
    containers: tuple[RunningContainer, ...]


class UnreadPod(Struct, frozen=True):
    """A pod that is there and could not be understood."""

    namespace: str
    name: str
    why: str


class PodPage(Struct, frozen=True):
    """One answer of an API server to a listing of pods."""

    pods: tuple[SeenPod, ...]
    unread: tuple[UnreadPod, ...]
    next: str
    """The token that goes on; empty at the end."""
    left: int
    """How many more there are, where the server says so."""
    version: str
    """The state of the cluster that it shows."""


class PodEvent(Struct, frozen=True):
    """One line of a watch."""

    kind: str
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    pod: SeenPod | UnreadPod | None
    version: str
    code: int = 0
    """Of an ERROR, as HTTP would have it."""
    message: str = ""


_LOOSE = msgspec.json.Decoder(LooseList)
_NAMED = msgspec.json.Decoder(NamedItem)
_EVENT = msgspec.json.Decoder(EventLine)
_BOOKMARK = msgspec.json.Decoder(Bookmark)


class _Decoders(Struct, frozen=True):
    page: msgspec.json.Decoder[Any]
    pod: msgspec.json.Decoder[Any]
    namespaces: msgspec.json.Decoder[Any]
    pod_type: Any


@cache
def _make_decoders(keys: tuple[str, ...]) -> _Decoders:
    fields: list[Any] = [
        (f"key{number}", str, msgspec.field(default="", name=key))
        for number, key in enumerate(keys)
    ]
    chosen: Any = msgspec.defstruct("Chosen", fields)
    pod: Any = Pod[chosen]
    return _Decoders(
        page=msgspec.json.Decoder(PodList[chosen]),
        pod=msgspec.json.Decoder(pod),
        namespaces=msgspec.json.Decoder(NamespaceList[chosen]),
        pod_type=pod,
    )


class PodReader:
    """Reads pods; ``keys`` of labels and annotations name a team, the first that is there counts."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = tuple(dict.fromkeys(keys))
        with _MAKING:  # msgspec 0.22 crashes where two threads are the first to use a type
            self._decoders = _make_decoders(self._keys)

    def read_page(self, body: bytes | bytearray, where: str, teams: Mapping[str, str]) -> PodPage:
        """An API server's list; raises ``BadDocument`` naming ``where``.

        ``teams`` are those of namespaces. A pod of which only the name can be read is among the unread;
        where not even that can be, the page is no list of pods.
        """
        unread: list[UnreadPod] = []
        try:
            page = self._decoders.page.decode(body)
            pods = page.items or ()
        except RecursionError:
            raise TooDeep(where, "the list of pods is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            page, pods = self._read_loosely(body, where, unread)
        if page.kind != "PodList":
            raise BadDocument(where, f"answered with a {page.kind[:80]} instead of a list of pods")
        seen = []
        for pod in pods:
            try:
                seen.append(self._see(pod, teams))
            except ValueError as problem:
                unread.append(UnreadPod(pod.metadata.namespace, pod.metadata.name, str(problem)))
        head = page.metadata
        return PodPage(tuple(seen), tuple(unread), head.next or "", head.left or 0, head.version)

    def read_namespaces(self, body: bytes | bytearray, where: str) -> tuple[dict[str, str], str]:
        """The teams that a page of namespaces names, and the token that goes on."""
        try:
            page = self._decoders.namespaces.decode(body)
        except RecursionError:
            raise TooDeep(where, "the list of namespaces is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise BadDocument(where, f"the list of namespaces cannot be read: {problem}") from None
        if page.kind != "NamespaceList":
            raise BadDocument(where, f"answered with a {page.kind[:80]} instead of namespaces")
        found = [item.metadata for item in page.items or ()]
        teams = {metadata.name: self.find_team(metadata) for metadata in found}
        return {name: team for name, team in teams.items() if team}, page.metadata.next or ""

    def read_event(self, line: bytes, where: str, teams: Mapping[str, str]) -> PodEvent:
        """One line of a watch; raises ``BadDocument`` naming ``where``."""
        try:
            event = _EVENT.decode(line)
            if event.type in ("ADDED", "MODIFIED", "DELETED"):
                return self._read_change(event, teams)
            mark = _BOOKMARK.decode(event.object)
        except RecursionError:
            raise TooDeep(where, "an event of the watch is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise BadDocument(where, f"an event of the watch cannot be read: {problem}") from None
        return PodEvent(event.type, None, mark.metadata.version, mark.code, mark.message[:500])

    def read_item(self, item: Any, teams: Mapping[str, str]) -> tuple[str, SeenPod]:
        """The kind and the pod of a parsed object; raises ``ValidationError`` (msgspec) or ``ValueError``."""
        pod = msgspec.convert(item, self._decoders.pod_type)
        return pod.kind, self._see(pod, teams)

    def find_team(self, metadata: PodMeta[Any]) -> str:
        """The first of the keys that has a value, as label or as annotation; empty: none has."""
        labels, chosen = metadata.labels or {}, metadata.annotations
        for number, key in enumerate(self._keys):
            for team in (labels.get(key), getattr(chosen, f"key{number}", "")):
                if team and len(team) <= 253 and re.match(STORABLE, team):
                    return team
        return ""

    def _read_change(self, event: EventLine, teams: Mapping[str, str]) -> PodEvent:
        version = _BOOKMARK.decode(event.object).metadata.version
        found: SeenPod | UnreadPod
        try:
            pod = self._decoders.pod.decode(event.object)
            found = self._see(pod, teams)
        except (ValidationError, ValueError) as problem:
            named = _NAMED.decode(event.object).metadata
            found = UnreadPod(named.namespace, named.name, str(problem))
        if event.type == "DELETED":
            found = SeenPod(found.namespace, found.name, ())
        return PodEvent(event.type, found, version)

    def _read_loosely(
        self, body: bytes | bytearray, where: str, unread: list[UnreadPod]
    ) -> tuple[LooseList, list[Pod[Any]]]:
        """Pod by pod, so that one that is not as it should be does not stand for the others."""
        pods = []
        try:
            page = _LOOSE.decode(body)
            for item in page.items or ():
                try:
                    pods.append(self._decoders.pod.decode(item))
                except ValidationError as problem:
                    named = _NAMED.decode(item).metadata
                    unread.append(UnreadPod(named.namespace, named.name, str(problem)))
        except RecursionError:
            raise TooDeep(where, "the list of pods is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise BadDocument(where, f"the list of pods cannot be read: {problem}") from None
        return page, pods

    def _see(self, pod: Pod[Any], teams: Mapping[str, str]) -> SeenPod:
        metadata = pod.metadata
        found: tuple[RunningContainer, ...] = ()
        if not pod.has_ended():
            team = self.find_team(metadata) or teams.get(metadata.namespace, "")
            found = tuple(_list_containers(pod, sys.intern(team)))
        return SeenPod(sys.intern(metadata.namespace), metadata.name, found)


def _list_containers(pod: Pod[Any], team: str) -> Iterator[RunningContainer]:
    """Its containers in the order of the specification, then those that only the status names.

    Texts that many pods share are kept once.
    """
    once = sys.intern
    namespace, name = once(pod.metadata.namespace), pod.metadata.name
    workload = once(find_workload(pod.metadata))
    for kind, asked, told in pod.groups():
        if not asked and not told:
            continue
        statuses = {item.name: item for item in told or ()}
        named = [(item.name, item.image) for item in asked or ()]
        known = {container for container, _ in named}
        named += [(item.name, item.image) for item in statuses.values() if item.name not in known]
        for container, image in named:
            status = statuses.get(container)
            image_id = status.image_id if status else ""
            state, reason = status.state.tell() if status and status.state else ("", "")
            if len(image) + len(image_id) > _IMAGE_BYTES // 4:
                _check_length(container, image + image_id)
            yield RunningContainer(
                namespace=namespace,
                workload=workload,
                pod_name=name,
                container=once(container),
                kind=kind,
                image=once(image),
                image_id=once(image_id),
                team=team,
                state=state,
                reason=once(reason),
            )


def _check_length(container: str, image: str) -> None:
    if len(image.encode()) > _IMAGE_BYTES:
        raise ValueError(
            f"the image of container {container[:80]} has a name of over {_IMAGE_BYTES} bytes"
        )
