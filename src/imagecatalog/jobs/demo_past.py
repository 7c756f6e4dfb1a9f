"""The sample clusters' past: what they run was rolled out over some weeks, and each day somebody looked.

Everything is told back from the sample itself: a workload ran the images of its repository in the
order of their tags, each from some days after the day in its tag. The same sample gives the same past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct, structs

from imagecatalog import sample
from imagecatalog.catalog import timeline
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.formats.pod_dumps import read_dump
from imagecatalog.store import clusters
from imagecatalog.store.engine import Catalog

DAYS = 112
"""Before now, each with a scan."""
BLIND: Mapping[str, range] = {"south": range(47, 55)}
"""Days ago on which a cluster could not be scanned."""
_LAST_DAY = date(2026, 11, 24)
"""Of the sample: its images were built before."""
_LAGS = {"north": (0, 5), "south": (3, 13)}
"""Days from an image's build to its rollout: the least, and beyond the most."""
_GREW = 34
"""Days ago; before, large workloads had fewer pods."""
_TAG = re.compile(r"(\d{4}-\d\d-\d\d)-\d+")


class _Index(Struct):
    manifests: list[dict[str, Any]] = []


_index = msgspec.json.Decoder(_Index)


class _Version(Struct, frozen=True, order=True):
    """An image of a service: how many days ago it was built, negative, and where."""

    built: int
    name: str
    image_id: str


def tell_past(catalog: Catalog, *, now: datetime) -> None:
    """Record what ran on each of the last days, in clusters that were never scanned."""
    versions = _list_versions()
    with catalog.read() as c:
        known = {one.name for one in clusters.list_clusters(c)}
    for name, path in sample.pods().items():
        if name in known:
            continue
        with path.open("rb") as stream:
            containers = list(read_dump(stream, str(path), ("team",)))
        with catalog.write() as c:
            for ago in range(DAYS, 0, -1):
                if ago not in BLIND.get(name, ()):
                    ran = list(_step_back(name, containers, versions, ago))
                    timeline.observe(c, name, ran, at=now - timedelta(days=ago))


def _list_versions() -> Mapping[str, Sequence[_Version]]:
    """The dated images of each repository, the first built first."""
    found: dict[str, list[_Version]] = {}
    for entry in _index.decode((sample.images() / "index.json").read_bytes()).manifests:
        name = entry["annotations"]["org.opencontainers.image.ref.name"]
        repository, _, tag = name.rpartition(":")
        dated = _TAG.fullmatch(tag)
        if dated:
            built = (date.fromisoformat(dated[1]) - _LAST_DAY).days
            version = _Version(built, name, f"{repository}@{entry['digest']}")
            found.setdefault(repository, []).append(version)
    return {repository: sorted(many) for repository, many in found.items()}


def _step_back(
    cluster: str,
    containers: Sequence[RunningContainer],
    versions: Mapping[str, Sequence[_Version]],
    ago: int,
) -> Iterator[RunningContainer]:
    """What ran so many days ago, instead of these."""
    for number, one in enumerate(containers):
        if one.state == "waiting" or (ago > _GREW and number % 8 >= 6):
            continue
        repository, _, tag = one.image.rpartition(":")
        known = versions.get(repository, ())
        now = next((at for at, each in enumerate(known) if each.name.endswith(f":{tag}")), None)
        if now is None:
            yield one
            continue
        out = [each for each in known[: now + 1] if _rolled_out(cluster, one, each) >= ago]
        if not out:
            continue
        if out[-1] is known[now]:
            yield one
        else:
            then = out[-1]
            pod = f"{one.pod_name}-{sha256(then.image_id.encode()).hexdigest()[:5]}"
            yield structs.replace(one, pod_name=pod, image=then.name, image_id=then.image_id)


def _rolled_out(cluster: str, one: RunningContainer, version: _Version) -> int:
    """How many days ago a workload began to run an image, at least none."""
    least, most = _LAGS.get(cluster, (0, 7))
    seed = sha256(f"{cluster} {one.namespace} {one.workload} {version.name}".encode()).digest()[0]
    return max(-version.built - least - seed % (most - least), 0)
