"""Lines of images: those of a repository whose tags follow one another, and the newest of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from imagecatalog.config import LineRule
from imagecatalog.store import images, lookups, tags
from imagecatalog.store.engine import Connection
from imagecatalog.store.images import INDEX
from imagecatalog.store.tags import TaggedImage
from imagecatalog.versions.tags import TagVersion, read_tag, read_tag_by

COMMITS = "commits"
"""The line of all tags that name no version: their order is that in which they were made."""
_FEW = 100
"""Repositories of which every tag is read with what it points to."""
_FLOATING = re.compile(r"[A-Za-z][A-Za-z_.-]*")
"""``latest``, ``stable``, ``bookworm``: a line of its own, whose newest is what it points to."""


class LineKey(Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """A line of images in a repository."""

    repository: str
    line: str


class Place(Struct, frozen=True, gc=False):
    """Where an image stands in its line."""

    line: LineKey
    key: bytes
    """The greater, the newer."""
    tag: str


class Head(Struct, frozen=True):
    """The newest of a line."""

    name: str
    """Repository and tag."""
    tag: str
    key: bytes
    number: int
    """The image that the tag points to; of an index the usual platform's."""
    members: Mapping[str | None, int]
    """Of an index its images by platform."""

    def on(self, platform: str | None) -> int:
        """The image for a platform; the usual one where there is none for it."""
        return self.members.get(platform, self.number)


class Lines:
    """The lines of a catalog, within one view of it."""

    def __init__(self, c: Connection, rules: Sequence[LineRule] = ()) -> None:
        self._c = c
        self._rules = [(rule.repositories, re.compile(rule.pattern)) for rule in rules]
        self._readers: dict[str, Callable[[str], TagVersion | None]] = {}
        self._heads: dict[LineKey, Head] = {}
        self._seen: set[str] = set()
        self._names: dict[int, list[str]] = {}

    def places(self, numbers: Collection[int]) -> dict[int, Place]:
        """Where images stand, by a tag that they have, or else had; untagged ones are left out."""
        found: dict[int, Place] = {}
        for number, names in self._list_names(numbers).items():
            repository = names[0].rpartition(":")[0]
            own = [name.rpartition(":")[2] for name in names if name.startswith(repository + ":")]
            places = [self._place(repository, tag) for tag in own]
            found[number] = max(places, key=_firmness)
        return found

    def names(self, numbers: Collection[int]) -> dict[int, str]:
        """Whole names of these images by their newest tags; untagged ones are left out."""
        return {number: names[0] for number, names in self._list_names(numbers).items()}

    def _list_names(self, numbers: Collection[int]) -> dict[int, list[str]]:
        new = set(numbers) - self._names.keys()
        self._names |= {number: [] for number in new} | images.list_tag_names(self._c, new)
        return {number: names for number in numbers if (names := self._names[number])}

    def of(self, numbers: Collection[int]) -> dict[int, LineKey]:
        """The line of each image; untagged ones are left out."""
        return {number: place.line for number, place in self.places(numbers).items()}

    def heads(self, keys: Iterable[LineKey]) -> dict[LineKey, Head]:
        """The newest of each line; a line all of whose tags are gone is left out."""
        wanted = set(keys)
        if unseen := {key.repository for key in wanted} - self._seen:
            self._find(unseen)
        return {key: self._heads[key] for key in wanted & self._heads.keys()}

    def newest_of(self, repositories: Collection[str]) -> dict[LineKey, Head]:
        """The newest of every line of these repositories."""
        wanted = set(repositories)
        self._find(wanted - self._seen)
        return {key: head for key, head in self._heads.items() if key.repository in wanted}

    def _find(self, repositories: Collection[str]) -> None:
        newest: dict[tuple[str, str], tuple[_Rank, TaggedImage]] = {}
        tied: set[tuple[str, str]] = set()
        for tagged in self._list_candidates(repositories):
            version = self._read(tagged.repository, tagged.tag)
            line = (tagged.repository, _line_of(tagged.tag, version))
            rank = _rank(version, tagged)
            best = newest.get(line)
            if best is None or rank > best[0]:
                newest[line] = (rank, tagged)
                tied.discard(line)
            elif rank == best[0] and version is None and tagged.manifest_id != best[1].manifest_id:
                tied.add(line)  # nothing tells which of the commits is the newest
        for line in tied:
            del newest[line]
        self._seen |= set(repositories)
        pointed = {tagged.manifest_id for _, tagged in newest.values() if tagged.kind == INDEX}
        members = images.list_members_by_platform(self._c, pointed)
        usual = lookups.choose_usual(members)
        for line, (rank, tagged) in newest.items():
            if tagged.kind == INDEX and tagged.manifest_id not in usual:
                continue  # an index without an image in it
            inside = members.get(tagged.manifest_id, {})
            self._heads[LineKey(*line)] = Head(
                name=f"{tagged.repository}:{tagged.tag}",
                tag=tagged.tag,
                key=rank[1],
                number=usual.get(tagged.manifest_id, tagged.manifest_id),
                members={platform: one for one, platform in reversed(inside.items())},
            )

    def _list_candidates(self, repositories: Collection[str]) -> Iterable[TaggedImage]:
        """The tags that may be the newest of their lines; of few repositories all tags."""
        if len(repositories) <= _FEW:
            return tags.list_tagged(self._c, repositories)
        numbers: list[int] = []
        for repository, names, ids in tags.list_names(self._c, repositories):
            best: dict[str, tuple[tuple[bool, bytes], list[str]]] = {}
            for name, number in zip(names, ids, strict=True):
                version = self._read(repository, name)
                line = _line_of(name, version)
                grade = _grade(version)
                found = best.get(line)
                if found is None or grade > found[0]:
                    best[line] = grade, [number]
                elif grade == found[0]:
                    found[1].append(number)
            numbers += (int(number) for _, many in best.values() for number in many)
        return tags.list_some_tagged(self._c, numbers)

    def _place(self, repository: str, tag: str) -> Place:
        version = self._read(repository, tag)
        key = b"" if version is None else version.key
        return Place(LineKey(repository, _line_of(tag, version)), key, tag)

    def _read(self, repository: str, tag: str) -> TagVersion | None:
        if repository not in self._readers:
            self._readers[repository] = self._choose(repository)
        return self._readers[repository](tag)

    def _choose(self, repository: str) -> Callable[[str], TagVersion | None]:
        path = repository.partition("/")[2]
        for globs, pattern in self._rules:
            if any(fnmatchcase(name, glob) for name in (repository, path) for glob in globs):
                return lambda tag: read_tag_by(pattern, tag)
        return read_tag


_Rank = tuple[bool, bytes, int, int, str]


def _line_of(tag: str, version: TagVersion | None) -> str:
    if version is not None:
        return version.line
    return tag if _FLOATING.fullmatch(tag) else COMMITS


def _grade(version: TagVersion | None) -> tuple[bool, bytes]:
    """Of a tag alone: the greater, the newer."""
    return (True, b"") if version is None else (not version.is_prerelease, version.key)


def _rank(version: TagVersion | None, tagged: TaggedImage) -> _Rank:
    """The greater, the newer; among equal versions what was made, or first seen, later."""
    name = "" if version is None else tagged.tag
    return *_grade(version), tagged.created or 0, tagged.since, name


def _firmness(place: Place) -> tuple[bool, bytes, bool, str]:
    """Of several tags of an image the one that says most: a version, a commit, then a name."""
    return bool(place.key), place.key, place.line.line == COMMITS, place.tag
