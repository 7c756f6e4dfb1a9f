"""What a push agent tells of a cluster: a whole scan, or what is different since one that was told.

One description for who writes and who reads (``POST /api/v1/clusters/{name}/scan``). Moments are
whole seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import astuple

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import clean_text

CONTAINERS_LIMIT = 500_000
"""Of one body."""
_TEXT_LIMIT = 1024
_STORABLE = r"^[^\x00\ud800-\udfff]*$"

Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=_STORABLE)]
Workload = Annotated[str, Meta(min_length=1, max_length=317, pattern=_STORABLE)]
Image = Annotated[str, Meta(max_length=2048, pattern=_STORABLE)]
Text = Annotated[str, Meta(max_length=_TEXT_LIMIT, pattern=_STORABLE)]
ClusterKind = Literal["kubernetes", "docker", "podman"]
PodKey = tuple[str, str]
"""Namespace and name."""


class ToldContainer(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A container of a pod that is named beside it."""

    workload: Workload
    """`Kind/name` of whom the pod belongs to."""
    container: Name
    image: Image
    """The name that is asked for."""
    image_id: Image = ""
    """What the runtime reports, in any of its shapes."""
    kind: Literal["container", "init", "ephemeral"] = "container"
    team: Text = ""
    state: Literal["running", "waiting", "terminated", ""] = ""
    reason: Text = ""


class PlacedContainer(
    ToldContainer, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A container with its pod."""

    namespace: Name
    pod_name: Name

    @property
    def pod(self) -> PodKey:
        """Its pod."""
        return self.namespace, self.pod_name


class PodName(Struct, frozen=True, forbid_unknown_fields=True):
    """A pod that is there, of which nothing else could be understood."""

    namespace: Name
    name: Name


class ToldPod(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pod with all its containers; without any it is gone."""

    namespace: Name
    name: Name
    containers: tuple[ToldContainer, ...]


class WholeScan(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """All that runs in a cluster at a moment."""

    at: Moment
    containers: tuple[PlacedContainer, ...]
    unread: tuple[PodName, ...] = ()
    """Pods that count as they did before."""
    fault: Text = ""
    """What did not go well."""
    kind: ClusterKind = "kubernetes"

    def running(self) -> list[RunningContainer]:
        """The containers as the catalog has them."""
        return [
            RunningContainer(namespace=one.namespace, pod_name=one.pod_name, **_told(one))
            for one in self.containers
        ]


class Differences(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The pods that are different since a scan that was told."""

    at: Moment
    base: Moment
    """The moment of that scan."""
    pods: tuple[ToldPod, ...]
    fault: Text = ""
    """What did not go well."""
    kind: ClusterKind = "kubernetes"

    def running(self) -> dict[PodKey, list[RunningContainer]]:
        """The containers of each pod that is different."""
        return {
            (pod.namespace, pod.name): [
                RunningContainer(namespace=pod.namespace, pod_name=pod.name, **_told(one))
                for one in pod.containers
            ]
            for pod in self.pods
        }


class FailedScan(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """That a cluster could not be scanned: nothing is known of what runs, and nothing ends."""

    at: Moment
    fault: Annotated[Text, Meta(min_length=1)]
    kind: ClusterKind = "kubernetes"


Scan = WholeScan | Differences | FailedScan
_WHOLE = msgspec.json.Decoder(WholeScan)
_DIFFERENCES = msgspec.json.Decoder(Differences)
_FAILED = msgspec.json.Decoder(FailedScan)
_ENCODER = msgspec.json.Encoder()
_TOLD = ToldContainer.__struct_fields__


def _told(one: RunningContainer | ToldContainer) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _TOLD}


def decode_scan(body: bytes) -> Scan:
    """The scan that a body tells of; raises msgspec's errors where it has not that shape."""
    with suppress(msgspec.ValidationError):
        return _WHOLE.decode(body)
    with suppress(msgspec.ValidationError):
        return _DIFFERENCES.decode(body)
    return _FAILED.decode(body)


def encode_scan(scan: Scan) -> bytes:
    """The body that tells it."""
    return _ENCODER.encode(scan)


def tell_whole(
    containers: Iterable[RunningContainer],
    *,
    at: datetime,
    unread: Iterable[PodKey] = (),
    fault: str = "",
    kind: ClusterKind = "kubernetes",
) -> WholeScan:
    """A whole scan: each container once, in an order that is the same whatever theirs was."""
    told = {
        PlacedContainer(namespace=one.namespace, pod_name=one.pod_name, **_told(one))
        for one in containers
    }
    placed = sorted(told, key=lambda one: (one.pod, astuple(one)))
    return WholeScan(
        at=at.replace(microsecond=0),
        containers=tuple(placed),
        unread=tuple(PodName(*pod) for pod in sorted(set(unread))),
        fault=clean_text(fault)[:_TEXT_LIMIT],
        kind=kind,
    )


def tell_failure(fault: str, *, at: datetime, kind: ClusterKind = "kubernetes") -> FailedScan:
    """That there is no scan, and why."""
    said = clean_text(fault)[:_TEXT_LIMIT] or "it does not say why"
    return FailedScan(at=at.replace(microsecond=0), fault=said, kind=kind)


def digest_pods(scan: WholeScan, before: Mapping[PodKey, bytes] = {}) -> dict[PodKey, bytes]:
    """By pod what tells whether it is as it was; those not understood are as they were before."""
    unread = [(pod.namespace, pod.name) for pod in scan.unread]
    found = {key: before.get(key, b"") for key in unread}
    for key, pod in _by_pod(scan):
        found[key] = hashlib.blake2b(_ENCODER.encode(pod), digest_size=16).digest()
    return found


def tell_differences(scan: WholeScan, base: datetime, known: Mapping[PodKey, bytes]) -> Differences:
    """The pods that are different from those of an earlier scan, of which the digests are known."""
    now = digest_pods(scan, known)
    pods: dict[PodKey, tuple[ToldContainer, ...]] = dict.fromkeys(known.keys() - now.keys(), ())
    pods |= {
        key: tuple(ToldContainer(**_told(one)) for one in pod)
        for key, pod in _by_pod(scan)
        if known.get(key) != now[key]
    }
    told = (
        ToldPod(namespace=namespace, name=name, containers=containers)
        for (namespace, name), containers in sorted(pods.items())
    )
    return Differences(at=scan.at, base=base, pods=tuple(told), fault=scan.fault, kind=scan.kind)


def _by_pod(scan: WholeScan) -> Iterator[tuple[PodKey, list[PlacedContainer]]]:
    """Of a scan that ``tell_whole`` made."""
    for key, pod in groupby(scan.containers, key=lambda one: one.pod):
        yield key, list(pod)
