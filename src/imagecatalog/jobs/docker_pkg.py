"""What docker-pkg built of a tree: read off the tree and off what its registry really holds.

docker-pkg never learns whether a push went well, so only the registry is believed: each tag there that
is a version of the tree, or a nightly build of one, is a build. Running this again finds what was
missed before; nothing has to be running while docker-pkg builds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from msgspec import Struct, structs

from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest, Reference
from imagecatalog.errors import BadDocument, BadName, CatalogError, Missing
from imagecatalog.formats.docker_pkg import (
    TreeConfig,
    TreeImage,
    read_uses,
    split_nightly,
)
from imagecatalog.formats.docker_template import ImageUse
from imagecatalog.formats.oci import MANIFEST_LIMIT, parse_config, parse_manifest
from imagecatalog.sources.docker_pkg import DockerPkgTree
from imagecatalog.sources.interface import ImageSource
from imagecatalog.versions import deb

BUILDER = "docker-pkg"
_CANDIDATES = 12
"""Versions of a base that are tried before none is named."""
_SNAPSHOT = re.compile(r"(.+)-(20[0-9]{6}-[0-9]{6})")
_SNAPSHOT_SPAN = timedelta(minutes=10)
"""docker-pkg names all snapshots of a run while it reads the tree."""
_EMPTY: Mapping[str, TreeImage] = {}


class Run(Struct, frozen=True):
    """A run of docker-pkg that we watched: what was built since is of the tree as it is now."""

    began: datetime
    version: str | None
    """Of docker-pkg."""


class _Origin(Struct, frozen=True):
    """The tree as it was when an image was built, as far as that is known."""

    image: TreeImage
    images: Mapping[str, TreeImage]
    revision: str | None = None
    is_known: bool = True


class TreeBuilds:
    """The builds of a tree that a registry holds; what could not be told of them is said by where."""

    def __init__(
        self, tree: DockerPkgTree, config: TreeConfig, source: ImageSource, run: Run | None = None
    ) -> None:
        self._tree = tree
        self._config = config
        self._source = source
        self._run = run
        self._images = tree.images()
        self._describe = lru_cache(10_000)(self._read_config)
        self._resolve = lru_cache(10_000)(self._ask)
        self._tags = lru_cache(1000)(self._list_tags)
        self.problems = dict(tree.problems)
        """What is not told, of builds that are; and files that say nothing."""
        self.failures: dict[str, str] = {}
        """Images that could not be asked about."""
        self.absent: list[str] = []
        """Names of images whose newest version the registry does not hold."""

    def missing(self, known: Callable[[str], Mapping[str, Digest]]) -> Iterator[Build]:
        """Each build that is not yet known, the oldest version of an image first.

        ``known`` gives the registered digest of each tag of a repository. What is wrong with one
        image is a problem of that image; raises whatever ``known`` raises.
        """
        for image in sorted(self._images.values(), key=lambda image: image.path):
            repository = self._config.repository(image.name)
            registered = known(repository)
            try:
                yield from self._missing_of(image, repository, registered)
            except CatalogError as error:
                self.failures[repository] = error.message

    def _missing_of(
        self, image: TreeImage, repository: str, registered: Mapping[str, Digest]
    ) -> Iterator[Build]:
        order = {r.version: at for at, r in reversed(list(enumerate(image.releases)))}
        tags = {
            tag: split for tag in self._tags(repository) if (split := split_nightly(tag, order))
        }
        if image.version not in tags:
            self.absent.append(f"{repository}:{image.version}")
        for tag, (version, suffix) in sorted(
            tags.items(), key=lambda item: (-order[item[1][0]], item[1][1])
        ):
            if tag in registered and version != image.version:
                continue
            digest = self._resolve(repository, tag)
            if digest is not None and registered.get(tag) != digest:
                try:
                    yield self._build(image, f"{repository}:{tag}", digest, version, suffix)
                except CatalogError as error:
                    self.failures[f"{repository}:{tag}"] = error.message

    def _build(
        self, image: TreeImage, name: str, digest: Digest, version: str, suffix: str
    ) -> Build:
        config = self._describe(name.rpartition(":")[0], digest)
        built = config.created if config else None
        is_fresh = self._run is not None and built is not None and built >= self._run.began
        origin = self._origin(image, version, built, is_fresh=is_fresh)
        parents: tuple[Parent, ...] = ()
        if origin.is_known:
            parents = tuple(self._parents(name, origin, suffix, config))
        release = next(r for r in image.releases if r.version == version)
        git = self._tree.git
        return Build(
            image=name,
            digest=digest,
            platform=str(config.platform) if config else None,
            builder=BUILDER,
            builder_version=self._run.version if self._run and is_fresh else None,
            finished=built,
            source_repository=git.remote() if git else None,
            source_revision=origin.revision,
            source_path="/".join(p for p in (git.prefix if git else "", image.path) if p) or None,
            reason=release.changes or None,
            parents=parents,
        )

    def _origin(
        self, image: TreeImage, version: str, built: datetime | None, *, is_fresh: bool
    ) -> _Origin:
        git = self._tree.git
        is_newest = version == image.version
        if git is None:
            return _Origin(image, self._images, is_known=is_newest)
        if is_fresh and is_newest:
            dirty = "-dirty" if git.changed(image.path) else ""
            return _Origin(image, self._images, git.head() + dirty)
        if commit := self._tree.commit_of(image, version, built):
            images = self._tree.images_at(commit.id)
            return _Origin(images[image.name], images, commit.id)
        if is_newest:
            return _Origin(image, self._images, f"{git.head()}-dirty")
        return _Origin(image, _EMPTY, is_known=False)

    def _parents(
        self, name: str, origin: _Origin, suffix: str, config: ImageConfig | None
    ) -> Iterator[Parent]:
        uses = read_uses(origin.image, origin.images, self._config, suffix)
        if uses.problems:
            self.problems[f"{origin.image.path}/Dockerfile.template"] = uses.problems[0]
        for use in uses.uses:
            try:
                parent = self._parent(use, config)
            except BadName as error:
                self.problems[f"{name}: {use.image}"] = error.message
                continue
            except CatalogError as error:
                self.problems[f"{name}: {use.image}"] = error.message
                parent = Parent(image=use.image, role=use.role)
            if parent is None:
                self.problems[name] = (
                    f"what it is built on is not known: it begins with no version of {use.image}"
                )
            else:
                yield parent

    def _parent(self, use: ImageUse, child: ImageConfig | None) -> Parent | None:
        """The parent, with its digest where that is sure; None where its layers say otherwise.

        A tag without a figure in it moves, as ``latest`` does: what it meant then, the catalog knows.
        """
        reference = Reference.parse(use.image)
        tag = self._snapshot(reference.name, reference.tag or "latest")
        parent = Parent(image=f"{reference.name}:{tag}", digest=reference.digest, role=use.role)
        if reference.digest or reference.registry != self._config.registry:
            return parent
        is_fixed = any(sign.isdigit() for sign in tag)
        digest = self._resolve(reference.name, tag)
        if child is None or digest is None:
            return parent
        config = self._describe(reference.name, digest)
        if use.role == "base":
            if _begins_with(child, config):
                return structs.replace(parent, digest=digest)
            return self._search(reference.name, tag, child) if is_fixed else parent
        if is_fixed and config and config.created and child.created:
            is_older = config.created <= child.created
            return structs.replace(parent, digest=digest) if is_older else parent
        return parent

    def _snapshot(self, repository: str, tag: str) -> str:
        """Of a snapshot's tag, which is made for each image anew, the one that the same run made."""
        wanted = _SNAPSHOT.fullmatch(tag)
        if wanted is None or not repository.startswith(f"{self._config.registry}/"):
            return tag
        apart: dict[timedelta, str] = {}
        for other in self._tags(repository):
            found = _SNAPSHOT.fullmatch(other)
            if found and found[1] == wanted[1] and (moment := _moment(found[2])):
                apart[abs(moment - (_moment(wanted[2]) or moment))] = other
        nearest = min(apart, default=_SNAPSHOT_SPAN)
        return apart[nearest] if nearest < _SNAPSHOT_SPAN else tag

    def _search(self, repository: str, tag: str, child: ImageConfig) -> Parent | None:
        """The newest version, up to the one that was expected, whose layers the child begins with."""
        key = deb.sort_key(tag)
        older = {t: k for t in self._tags(repository) if t != tag and (k := _key(t)) and k < key}
        for candidate in sorted(older, key=older.__getitem__, reverse=True)[:_CANDIDATES]:
            digest = self._resolve(repository, candidate)
            if digest and _begins_with(child, self._describe(repository, digest)):
                return Parent(image=f"{repository}:{candidate}", digest=digest, role="base")
        return None

    def _list_tags(self, repository: str) -> tuple[str, ...]:
        try:
            return tuple(self._source.tags(repository))
        except Missing:
            return ()

    def _ask(self, repository: str, tag: str) -> Digest | None:
        try:
            return self._source.resolve(repository, tag).digest
        except Missing:
            return None

    def _read_config(self, repository: str, digest: Digest) -> ImageConfig | None:
        """What the image says of itself; None for what is no single image."""
        try:
            manifest = parse_manifest(self._source.manifest(repository, digest))
            if not isinstance(manifest, ImageManifest) or manifest.config.size > MANIFEST_LIMIT:
                return None
            with self._source.blob(repository, manifest.config) as stream:
                return parse_config(stream.read(MANIFEST_LIMIT + 1), f"{repository}@{digest}")
        except (BadDocument, Missing):
            return None


def _begins_with(child: ImageConfig, parent: ImageConfig | None) -> bool:
    if parent is None or not parent.diff_ids:
        return False
    return child.diff_ids[: len(parent.diff_ids)] == parent.diff_ids


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _key(tag: str) -> bytes | None:
    try:
        return deb.sort_key(tag) if any(sign.isdigit() for sign in tag) else None
    except BadName:
        return None
