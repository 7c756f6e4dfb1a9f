"""Kubernetes' lists of pods, as an API server pages them and as ``kubectl -o json`` dumps them.

Only what the catalog records is decoded (Kubernetes API, core/v1 Pod). Containers of pods that have
ended (phase ``Succeeded`` or ``Failed``) are left out. Whom a pod belongs to is told from the pod
alone, so that no right beyond listing pods is needed:

- a ``ReplicaSet`` named ``web-<pod-template-hash>`` is ``Deployment/web``;
- a ``Job`` named ``report-<digits>``, where the digits are a schedule's time in minutes or seconds
  since 1970, is ``CronJob/report``;
- the pods that a node starts by itself (owner ``Node``) and those without an owner are ``Pod/name``;
- everything else is ``Kind/name`` of the owner that controls the pod.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from msgspec import Meta, Struct

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import BadDocument, TooDeep, TooLarge, TooManyEntries, Truncated

MAX_ITEM = 16 << 20
"""Characters of one pod of a dump; an API server keeps none over 3 MiB."""
MAX_PODS = 2_000_000
_CHUNK = 1 << 18
_ENDED = ("Succeeded", "Failed")
_SCHEDULED = re.compile(r"(.+)-(\d{8}|\d{10})")
_DUMP_HINT = "make it with: kubectl get pods -A -o json"

Kind = Literal["container", "init", "ephemeral"]
_STORABLE = r"^[^\x00\ud800-\udfff]*$"
"""No zero byte and no half of a surrogate: no API server gives them, and no database takes them."""
Name = Annotated[str, Meta(max_length=1024, pattern=_STORABLE)]
Long = Annotated[str, Meta(max_length=8192, pattern=_STORABLE)]


class Owner(Struct):
    """An owner reference."""

    kind: Name
    name: Name
    controller: bool | None = None


class PodMeta(Struct):
    """A pod's name and owners."""

    name: Name
    namespace: Name = "default"
    uid: Name = ""
    labels: dict[str, str] | None = None
    owners: list[Owner] | None = msgspec.field(default=None, name="ownerReferences")


class Container(Struct):
    """A container as it is asked for."""

    name: Name
    image: Long = ""


class ContainerStatus(Struct):
    """A container as it runs."""

    name: Name
    image_id: Long = msgspec.field(default="", name="imageID")


class PodSpec(Struct, rename="camel"):
    """The containers asked for."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None


class PodStatus(Struct, rename="camel"):
    """The containers that run."""

    phase: str = ""
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None


class Pod(Struct):
    """One pod, as far as it is read."""

    metadata: PodMeta
    spec: PodSpec
    status: PodStatus = msgspec.field(default_factory=PodStatus)
    kind: str = "Pod"

    def containers(self) -> Iterator[RunningContainer]:
        """Its containers in the order of the specification; none if the pod has ended."""
        if self.status.phase in _ENDED:
            return
        spec, status = self.spec, self.status
        groups: tuple[tuple[Kind, list[Container] | None, list[ContainerStatus] | None], ...] = (
            ("init", spec.init_containers, status.init_container_statuses),
            ("container", spec.containers, status.container_statuses),
            ("ephemeral", spec.ephemeral_containers, status.ephemeral_container_statuses),
        )
        workload = find_workload(self.metadata)
        for kind, containers, statuses in groups:
            image_ids = {status.name: status.image_id for status in statuses or ()}
            for container in containers or ():
                yield RunningContainer(
                    namespace=self.metadata.namespace,
                    workload=workload,
                    pod_name=self.metadata.name,
                    container=container.name,
                    kind=kind,
                    image=container.image,
                    image_id=image_ids.get(container.name, ""),
                )


class ListMeta(Struct):
    """A list's place in a longer one."""

    next: Long | None = msgspec.field(default=None, name="continue")


class PodPage(Struct):
    """One answer of an API server to a listing of pods."""

    kind: str
    items: list[Pod] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


_PAGE = msgspec.json.Decoder(PodPage)


def find_workload(pod: PodMeta) -> str:
    """``Kind/name`` of whom the pod belongs to, by the rules above."""
    owners = pod.owners or []
    owner = next((o for o in owners if o.controller), owners[0] if owners else None)
    if owner is None or owner.kind == "Node":
        return f"Pod/{pod.name}"
    if owner.kind == "ReplicaSet":
        template = (pod.labels or {}).get("pod-template-hash", "")
        name = owner.name.removesuffix(f"-{template}")
        if template and name and name != owner.name:
            return f"Deployment/{name}"
    if owner.kind == "Job":
        scheduled = _SCHEDULED.fullmatch(owner.name)
        if scheduled and _is_schedule_time(scheduled[2]):
            return f"CronJob/{scheduled[1]}"
    return f"{owner.kind}/{owner.name}"


def _is_schedule_time(digits: str) -> bool:
    # 2019 to 2080, so that a job named by its day (migrate-20261123) is not taken for a CronJob's
    minutes = int(digits) if len(digits) == 8 else int(digits) // 60
    return 25_700_000 <= minutes < 58_000_000


def decode_page(body: bytes, where: str) -> PodPage:
    """An API server's answer; raises ``BadDocument`` naming ``where``."""
    try:
        page = _PAGE.decode(body)
    except RecursionError:
        raise TooDeep(where, "the list of pods is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise BadDocument(where, f"the list of pods cannot be read: {problem}") from None
    if page.kind != "PodList":
        raise BadDocument(where, f"answered with a {page.kind[:80]} instead of a list of pods")
    return page


def read_dump(stream: BinaryIO, where: str) -> Iterator[RunningContainer]:
    """The containers of ``kubectl get pods -A -o json``, one pod in memory at a time.

    Raises ``BadDocument`` naming ``where``, perhaps after containers were yielded: those are then
    not the whole and must not be recorded.
    """
    for number, item in enumerate(_Dump(stream, where).items(), 1):
        if number > MAX_PODS:
            raise TooManyEntries(where, f"more than {MAX_PODS} pods")
        yield from _convert(item, where, number).containers()


def _convert(item: Any, where: str, number: int) -> Pod:
    try:
        pod = msgspec.convert(item, Pod)
    except msgspec.ValidationError as problem:
        raise BadDocument(where, f"pod {number}: {problem}", hint=_DUMP_HINT) from None
    if pod.kind != "Pod":
        raise BadDocument(where, f"holds a {pod.kind[:80]} among the pods", hint=_DUMP_HINT)
    return pod


class _Dump:
    """A JSON object of the shape of a list, read from a stream item by item."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        self._where = where
        self._chunks = self._decode(stream)
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def items(self) -> Iterator[Any]:
        """The items; that the list is whole is known once they are through."""
        if self._peek() != "{":
            raise BadDocument(self._where, "is not a JSON object", hint=_DUMP_HINT)
        found = False
        head: dict[str, Any] = {}
        for _ in self._members("{", "}"):
            key = self._value()
            self._expect(":")
            if key == "items" and self._peek() == "[":
                found = True
                yield from (self._value() for _ in self._members("[", "]"))
            elif key in ("kind", "metadata"):
                head[key] = self._value()
            else:
                self._value()
        self._check(head, found=found)

    def _check(self, head: dict[str, Any], *, found: bool) -> None:
        kind, metadata = head.get("kind"), head.get("metadata")
        if kind not in ("List", "PodList") or not found:
            name = kind if isinstance(kind, str) else "document"
            why = f"is a {name[:80]}, not a list of pods"
            raise BadDocument(self._where, why, hint=_DUMP_HINT)
        if isinstance(metadata, dict) and metadata.get("continue"):
            raise Truncated(self._where, "is one page of a longer list of pods", hint=_DUMP_HINT)

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        self._expect(opening)
        if self._peek() == closing:
            self._expect(closing)
            return
        while True:
            yield
            if self._peek() == closing:
                self._expect(closing)
                return
            self._expect(",")

    def _peek(self) -> str:
        while True:
            self._buffer = self._buffer.lstrip(" \t\r\n")
            if self._buffer:
                return self._buffer[0]
            self._fill()

    def _expect(self, character: str) -> None:
        if (found := self._peek()) != character:
            why = f"is not JSON: {found!r} where {character!r} should be"
            raise BadDocument(self._where, why, hint=_DUMP_HINT)
        self._buffer = self._buffer[1:]

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer)
            except RecursionError:
                raise TooDeep(self._where, "is nested too deeply") from None
            except ValueError as problem:
                self._refuse_bad_json(problem)
            else:
                # a number that ends where the buffer does may go on
                if end < len(self._buffer) or isinstance(value, dict | list | str):
                    self._buffer = self._buffer[end:]
                    return value
            if len(self._buffer) > MAX_ITEM:
                raise TooLarge(self._where, f"holds a value of more than {MAX_ITEM} characters")
            self._fill(len(self._buffer))

    def _refuse_bad_json(self, problem: ValueError) -> None:
        # an error well before the end of what was read does not go away with more of it
        at = getattr(problem, "pos", 0)
        if "Unterminated string" not in str(problem) and at < len(self._buffer) - 16:
            raise BadDocument(self._where, f"is not JSON: {problem}", hint=_DUMP_HINT) from None

    def _fill(self, least: int = 1) -> None:
        """At least so many characters more, so that a value read in n steps is read in log n."""
        parts, size = [self._buffer], 0
        while size < least:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            size += len(chunk)
        if not size:
            raise Truncated(self._where, "ends before the list of pods does", hint=_DUMP_HINT)
        self._buffer = "".join(parts)

    def _decode(self, stream: BinaryIO) -> Iterator[str]:
        blocks: Iterable[bytes] = iter(lambda: stream.read(_CHUNK), b"")
        try:
            yield from codecs.iterdecode(blocks, "utf-8-sig")
        except UnicodeDecodeError:
            raise BadDocument(self._where, "is not UTF-8 text", hint=_DUMP_HINT) from None
        except OSError as problem:
            raise BadDocument(self._where, f"cannot be read: {problem.strerror}") from None
