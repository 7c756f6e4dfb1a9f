"""What one look at a cluster saw, in little memory: each text once, whatever many containers have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Literal, cast

from imagecatalog.domain.runs import RunningContainer

Key = tuple[int, str, str, str, int]
"""A container: position of its workload, pod, container, kind, position of its image."""
Condition = tuple[str, str]
"""State, and its reason."""
PodKey = tuple[str, str]
"""Namespace and name."""
Kind = Literal["container", "init", "ephemeral"]
State = Literal["running", "waiting", "terminated", ""]

_DIGEST_BYTES = 16


class Sighting:
    """Containers, told page by page; the same one twice is one."""

    def __init__(self, containers: Iterable[RunningContainer] = ()) -> None:
        self.found: dict[Key, Condition] = {}
        self.teams: list[str] = []
        """Of each workload, by its position."""
        self._workloads: dict[tuple[str, str], int] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._words: dict[str, str] = {}
        self._conditions: dict[Condition, Condition] = {}
        self.add(containers)

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[RunningContainer]:
        """What was seen, container by container, in the order in which it was told."""
        workloads, images = self.workloads, self.images
        for (owner, pod, container, kind, image), (state, reason) in self.found.items():
            namespace, workload = workloads[owner]
            yield RunningContainer(
                namespace,
                workload,
                pod,
                container,
                cast("Kind", kind),
                *images[image],
                self.teams[owner],
                cast("State", state),
                reason,
            )

    @property
    def workloads(self) -> list[tuple[str, str]]:
        """Namespace and ``Kind/name`` by position."""
        return list(self._workloads)

    @property
    def images(self) -> list[tuple[str, str]]:
        """Name and what the runtime reports, by position."""
        return list(self._images)

    def add(self, containers: Iterable[RunningContainer]) -> None:
        """Take some more containers."""
        words, found, pod = self._words, self.found, ""
        for item in containers:
            # The containers of a pod come one after another.
            pod = pod if item.pod_name == pod else item.pod_name
            key = (
                self._place_workload(item),
                pod,
                words.setdefault(item.container, item.container),
                words.setdefault(item.kind, item.kind),
                self._place_image((item.image, item.image_id)),
            )
            condition: Condition = (item.state, item.reason)
            condition = self._conditions.setdefault(condition, condition)
            # Told twice and not alike: one of both, whichever came first.
            found[key] = max(condition, found.get(key, condition))

    def _place_workload(self, item: RunningContainer) -> int:
        name = (item.namespace, item.workload)
        place = self._workloads.setdefault(name, len(self._workloads))
        if place == len(self.teams):
            self.teams.append(item.team)
        elif item.team > self.teams[place]:
            self.teams[place] = item.team
        return place

    def _place_image(self, name: tuple[str, str]) -> int:
        return self._images.setdefault(name, len(self._images))

    def digest(self) -> bytes:
        """Of all that was seen, in whatever order it was told."""
        return _add(self._marks().values())

    def pod_digests(self) -> dict[PodKey, bytes]:
        """Of what was seen of each pod."""
        marks: dict[PodKey, list[int]] = {}
        workloads = self.workloads
        for key, mark in self._marks().items():
            marks.setdefault((workloads[key[0]][0], key[1]), []).append(mark)
        return {pod: _add(some) for pod, some in marks.items()}

    def _marks(self) -> dict[Key, int]:
        return {key: int.from_bytes(_hash(text)) for key, text in self._texts()}

    def _texts(self) -> Iterator[tuple[Key, str]]:
        workloads, images = self.workloads, self.images
        for key, condition in self.found.items():
            owner, pod, container, kind, image = key
            texts = (*workloads[owner], self.teams[owner], pod, container, kind, *images[image])
            yield key, "\0".join((*texts, *condition))


def _hash(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def _add(marks: Iterable[int]) -> bytes:
    return (sum(marks) % (1 << 8 * _DIGEST_BYTES)).to_bytes(_DIGEST_BYTES)


NOTHING = _add(())
"""The digest of a pod that is gone."""
