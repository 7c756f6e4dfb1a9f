"""All faults of a body that should tell of a cluster, each with its JSON pointer (RFC 6901)."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from imagecatalog.errors import InvalidBody
from imagecatalog.formats.scans import (
    CONTAINERS_LIMIT,
    Differences,
    FailedScan,
    PlacedContainer,
    PodName,
    Scan,
    ToldContainer,
    ToldPod,
    WholeScan,
    decode_scan,
)

AHEAD = timedelta(minutes=5)
"""So far the clock of who tells may be before ours."""
IMAGE_BYTES = 2500
"""Of an image's name and what the runtime calls it: no database indexes more of both together."""
FAULTS_SHOWN = 100
_FAULTS_SOUGHT = 10_000
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIELDS: dict[type[Struct], dict[str, FieldInfo]] = {
    shape: {field.name: field for field in msgspec.structs.fields(shape)}
    for shape in (
        WholeScan,
        Differences,
        FailedScan,
        ToldPod,
        PodName,
        ToldContainer,
        PlacedContainer,
    )
}
Fault = tuple[str, str]


def read_scan(body: bytes, *, now: datetime) -> Scan:
    """The scan that a body tells of; raises ``InvalidBody`` with all its faults."""
    try:
        scan = decode_scan(body)
        faults = _judge_scan(scan, now)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        faults = _judge_body(body, now)
        scan = None
    found = list(islice(faults, _FAULTS_SOUGHT))
    if found or scan is None:
        raise InvalidBody(found[:FAULTS_SHOWN], more=len(found[FAULTS_SHOWN:]))
    return scan


def _judge_scan(scan: Scan, now: datetime) -> Iterator[Fault]:
    """What no shape tells."""
    count = 0
    if isinstance(scan, FailedScan):
        yield from _judge_moments(scan.at, None, now)
    elif isinstance(scan, WholeScan):
        yield from _judge_moments(scan.at, None, now)
        yield from _judge_images(scan.containers, "/containers")
        count = len(scan.containers)
    else:
        yield from _judge_moments(scan.at, scan.base, now)
        yield from _judge_pods([(pod.namespace, pod.name) for pod in scan.pods])
        for index, pod in enumerate(scan.pods):
            yield from _judge_images(pod.containers, f"/pods/{index}/containers")
        count = sum(len(pod.containers) for pod in scan.pods)
    if count > CONTAINERS_LIMIT:
        yield "", f"has {count} containers, more than the {CONTAINERS_LIMIT} that are read here"


def _judge_images(containers: Iterable[ToldContainer], where: str) -> Iterator[Fault]:
    for index, one in enumerate(containers):
        yield from _judge_image(one.image, one.image_id, f"{where}/{index}")


def _judge_image(image: str, image_id: str, where: str) -> Iterator[Fault]:
    # Most are short in any encoding.
    if len(image) + len(image_id) > IMAGE_BYTES // 4:
        size = len((image + image_id).encode(errors="replace"))
        if size > IMAGE_BYTES:
            said = f"has {size} bytes with image_id, more than the {IMAGE_BYTES} that are kept"
            yield f"{where}/image", said


def _judge_moments(at: datetime | None, base: datetime | None, now: datetime) -> Iterator[Fault]:
    for name, moment in (("at", at), ("base", base)):
        if moment is not None and not moment >= _EPOCH:
            yield f"/{name}", f"lies before {_EPOCH:%Y}"
    if at is not None and at > now + AHEAD:
        ahead = int((at - now).total_seconds())
        said = f"lies {ahead} seconds ahead of the server's clock, {now:%Y-%m-%dT%H:%M:%SZ}"
        yield "/at", f"{said}; more than {AHEAD.seconds} are refused: set the clock that is wrong"
    if at is not None and base is not None and int(base.timestamp()) >= int(at.timestamp()):
        yield "/base", "does not lie before at"


def _judge_pods(keys: list[tuple[Any, Any]]) -> Iterator[Fault]:
    counted = Counter(key for key in keys if all(isinstance(part, str) for part in key))
    if len(counted) == len(keys):
        return
    seen: dict[tuple[Any, Any], int] = {}
    for index, key in enumerate(keys):
        if counted[key] > 1 and seen.setdefault(key, index) != index:
            yield f"/pods/{index}", f"is the pod of /pods/{seen[key]} again"


def _judge_body(body: bytes, now: datetime) -> Iterator[Fault]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        yield "", f"is not JSON: {problem}"
        return
    if not isinstance(told, dict):
        yield "", "is not a JSON object"
        return
    yield from _judge_struct(told, _choose_shape(told), "")
    yield from _judge_moments(_moment(told.get("at")), _moment(told.get("base")), now)
    pods = told.get("pods")
    if isinstance(pods, list):
        named = [pod if isinstance(pod, dict) else {} for pod in pods]
        yield from _judge_pods([(pod.get("namespace"), pod.get("name")) for pod in named])


def _choose_shape(told: dict[str, Any]) -> type[Struct]:
    """What the body is meant to be."""
    if "base" in told or "pods" in told:
        return Differences
    return FailedScan if "fault" in told and "containers" not in told else WholeScan


def _moment(told: Any) -> datetime | None:
    try:
        return msgspec.convert(told, _FIELDS[WholeScan]["at"].type)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        return None


def _judge_struct(told: Any, shape: type[Struct], where: str) -> Iterator[Fault]:
    if not isinstance(told, dict):
        yield where, "is not an object"
        return
    fields = _FIELDS[shape]
    for name in told.keys() - fields.keys():
        near = difflib.get_close_matches(name[:100], fields, 1)
        what = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(fields))}"
        yield f"{where}/{_escape(name)}", f"there is no such key; {what}"
    for name, field in fields.items():
        if name in told:
            yield from _judge_value(told[name], field.type, f"{where}/{name}")
        elif field.required:
            yield f"{where}/{name}", "is required"
    image, image_id = told.get("image"), told.get("image_id", "")
    if "image_id" in fields and isinstance(image, str) and isinstance(image_id, str):
        yield from _judge_image(image, image_id, where)


def _judge_value(told: Any, kind: Any, where: str) -> Iterator[Fault]:
    if get_origin(kind) is tuple:
        if not isinstance(told, list):
            yield where, "is not a list"
            return
        for index, item in enumerate(told):
            yield from _judge_struct(item, get_args(kind)[0], f"{where}/{index}")
        return
    try:
        msgspec.convert(told, kind)
    except msgspec.ValidationError as problem:
        yield where, _explain(str(problem), told)


def _explain(said: str, told: Any) -> str:
    if "matching regex" in said:
        return "holds a zero byte or half of a surrogate pair, which no text may"
    if isinstance(told, str) and ("RFC3339" in said or "datetime" in said):
        return "is no moment with its zone: write it as 2026-11-20T14:00:00Z"
    return f"{said[0].lower()}{said[1:]}".replace("`", "")


def _escape(name: str) -> str:
    return name[:200].replace("~", "~0").replace("/", "~1")
