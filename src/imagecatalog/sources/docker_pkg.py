"""A docker-pkg tree on disk, as it is now and, where git keeps it, as it was at any commit.

Nothing of the tree is run and no link is followed out of it. A folder that cannot be read is told
in ``problems`` and spoils no other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath

from imagecatalog.errors import (
    BadDocument,
    ConfigError,
    SourceUnavailable,
    TooLarge,
    TooManyEntries,
)
from imagecatalog.formats.docker_pkg import (
    FILE_LIMIT,
    FILES,
    TreeConfig,
    TreeImage,
    parse_config,
    read_image,
)
from imagecatalog.sources.git import Blob, Commit, Git

CONFIG_LIMIT = 1 << 20
FOLDERS_LIMIT = 100_000
DEPTH_LIMIT = 40
IMAGES_LIMIT = 10_000


class DockerPkgTree:
    """The images below a folder. Raises ``ConfigError`` if there is no such folder."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(
                f"there is no folder {folder}", hint="name the folder that docker-pkg builds"
            )
        self.folder = folder.resolve()
        self.problems: dict[str, str] = {}
        """What could not be read, and why; by file or folder."""
        self.git = self._find_git()
        self._known: dict[str, TreeImage | None] = {}
        """Folders of the past as they were read, by the files in them."""
        self._at = lru_cache(2000)(self._images_at)

    def images(self) -> dict[str, TreeImage]:
        """The images as the files are now, by name; two folders of one name are a problem of both."""
        images = list(self._folders())
        found = self._by_name(images)
        for image in images:
            if (other := found[image.name]) is not image:
                self.problems[f"{image.path}/changelog"] = (
                    f"names {image.name}, as {other.path}/changelog does; docker-pkg refuses that"
                )
        return found

    def images_at(self, commit: str) -> Mapping[str, TreeImage]:
        """The images of a commit, by name; raises ``SourceUnavailable``."""
        return self._at(commit)

    def commit_of(self, image: TreeImage, version: str, built: datetime | None) -> Commit | None:
        """The commit that a version of an image was built from, of those that HEAD descends from.

        It is what was checked out when the image was built, if that version was then the newest of
        its changelog; else the last commit at which it was. None: no commit has it, or no git.
        """
        if self.git is None:
            return None
        then = next((c for c in self.git.history() if built and c.time <= built), None)
        if then and self._version_at(then, image.name) == version:
            return then
        changes = self.git.history(str(PurePosixPath(image.path, "changelog")))
        return next((c for c in changes if self._version_at(c, image.name) == version), None)

    def _version_at(self, commit: Commit, name: str) -> str | None:
        image = self.images_at(commit.id).get(name)
        return image.version if image else None

    def _images_at(self, commit: str) -> dict[str, TreeImage]:
        assert self.git is not None
        folders: dict[str, dict[str, Blob]] = {}
        for blob in self.git.files(commit, FILES, FILE_LIMIT):
            folder, _, name = blob.path.rpartition("/")
            folders.setdefault(folder, {})[name] = blob
        keys = {
            path: " ".join([path, *(blob.id for blob in files.values())])
            for path, files in folders.items()
            if _is_image(files)
        }
        fresh = [path for path, key in keys.items() if key not in self._known]
        bodies = self.git.read([blob for path in fresh for blob in folders[path].values()])
        for path in fresh:
            files = {name: bodies[blob.id] for name, blob in folders[path].items()}
            try:
                self._known[keys[path]] = read_image(path, files)
            except BadDocument:
                # the past cannot be mended; of what is there now, problems are told
                self._known[keys[path]] = None
        return self._by_name(image for key in keys.values() if (image := self._known[key]))

    def _find_git(self) -> Git | None:
        try:
            return Git.of(self.folder)
        except SourceUnavailable as error:
            if any((folder / ".git").exists() for folder in (self.folder, *self.folder.parents)):
                self.problems[".git"] = f"revisions are not known: {error.message}"
            return None

    def _folders(self) -> Iterator[TreeImage]:
        count = 0
        for top, folders, files in os.walk(self.folder):
            count += 1
            path = Path(top).relative_to(self.folder)
            if count > FOLDERS_LIMIT:
                raise TooManyEntries(str(self.folder), f"more than {FOLDERS_LIMIT} folders")
            folders[:] = sorted(f for f in folders if f != ".git" and len(path.parts) < DEPTH_LIMIT)
            if not _is_image(files):
                continue
            try:
                names = [name for name in FILES if name in files]
                yield read_image(
                    "" if path == Path() else path.as_posix(),
                    {name: self._bytes(Path(top, name)) for name in names},
                )
            except BadDocument as error:
                self.problems[error.where] = error.why

    def _bytes(self, path: Path) -> bytes:
        where = path.relative_to(self.folder).as_posix()
        if not path.resolve().is_relative_to(self.folder):
            raise BadDocument(where, "is a link that leads out of the tree")
        return read_file(path, FILE_LIMIT, where)

    def _by_name(self, images: Iterable[TreeImage]) -> dict[str, TreeImage]:
        found: dict[str, TreeImage] = {}
        for image in images:
            if len(found) >= IMAGES_LIMIT:
                raise TooManyEntries(str(self.folder), f"more than {IMAGES_LIMIT} images")
            found.setdefault(image.name, image)
        return found


def _is_image(files: Iterable[str]) -> bool:
    names = set(files)
    return "changelog" in names and "Dockerfile.template" in names


def read_file(path: Path, limit: int, where: str) -> bytes:
    """The bytes of a regular file; raises ``BadDocument`` for anything else, and ``TooLarge``."""
    try:
        # a pipe must not keep us waiting for its other end
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise BadDocument(where, f"cannot be read: {error.strerror}") from None
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise BadDocument(where, "is not a file")
        body = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(where, f"larger than {limit} bytes")
    return body


def read_config(path: Path, environ: Mapping[str, str]) -> TreeConfig:
    """docker-pkg's configuration: the user's own file, and this one over it. Raises ``ConfigError``."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    own = Path(home, "docker-pkg.yaml")
    texts = []
    for file in ([own] if own.exists() else []) + [path]:
        try:
            texts.append((str(file), read_file(file, CONFIG_LIMIT, str(file)).decode()))
        except UnicodeDecodeError:
            raise ConfigError(f"{file} is not UTF-8 text") from None
        except BadDocument as error:
            raise ConfigError(
                error.message, hint="name docker-pkg's configuration: --docker-pkg-config FILE"
            ) from None
    return parse_config(texts)
