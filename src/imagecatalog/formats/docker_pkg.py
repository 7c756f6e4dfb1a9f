"""The files of a docker-pkg tree: an image's ``changelog``, ``control`` and template, and the configuration.

What is read here is what docker-pkg 4 reads: name and version are those of the newest changelog entry,
and ``Depends`` and ``Build-Depends`` of ``control`` decide what is built before and updated with what.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

import yaml  # type: ignore[import-untyped]
from msgspec import Struct

from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadDocument, BadName, ConfigError, TooLarge
from imagecatalog.formats.docker_template import ImageUses, read_template

FILES = ("changelog", "control", "Dockerfile.template")
"""What of an image's folder is read; docker-pkg takes no folder for an image that lacks the first or last."""
FILE_LIMIT = 4 << 20
RELEASES_LIMIT = 20_000
"""Entries of one changelog."""
REASON_LIMIT = 2000
"""Characters of a changelog entry that are kept."""

_BRACKETS_LIMIT = 1000

_HEAD = re.compile(r"(\w[-+0-9a-z.]*) \(([^() \t]+)\)(?:\s+[-+0-9a-z.]+)+;", re.I)
_TRAILER = re.compile(r" -- .{0,1000}?<[^<>]*>  ?(\S.*\S)\s*")
_NIGHTLY = re.compile(r"(.+)-(20[0-9]{6})(?:-([0-9]{6}))?")
_SEPARATOR = re.compile(r"\s*,\s*")


class Release(Struct, frozen=True, kw_only=True):
    """One changelog entry."""

    package: str
    version: str
    changes: str
    """Its lines, without the indentation they share."""
    date: datetime | None = None


class TreeImage(Struct, frozen=True, kw_only=True):
    """One image's folder, as its files are at one moment."""

    path: str
    """From the tree's top, with slashes; empty for the top itself."""
    releases: tuple[Release, ...]
    """Newest first; there is one at least."""
    depends: tuple[str, ...] = ()
    """Names of ``Depends`` and ``Build-Depends``: docker-pkg makes no difference between them."""
    template: str = ""

    @property
    def name(self) -> str:
        """As docker-pkg knows it: without registry and namespace."""
        return self.releases[0].package

    @property
    def version(self) -> str:
        """What docker-pkg builds now."""
        return self.releases[0].version


class TreeConfig(Struct, frozen=True, kw_only=True):
    """What of docker-pkg's configuration matters here."""

    registry: str
    """Host, and port if one is written; whatever path follows is in ``namespace``."""
    namespace: str = ""
    base_images: tuple[str, ...] = ()
    ca: str | None = None
    """PEM file of authorities."""
    username: str | None = None
    password: str | None = None
    update_id: str = "s"
    variables: dict[str, str] = {}
    """All that templates may name."""

    def repository(self, name: str) -> str:
        """The whole name of an image of the tree."""
        return "/".join(part for part in (self.registry, self.namespace, name) if part)

    def __repr__(self) -> str:
        return f"TreeConfig(registry={self.registry!r}, namespace={self.namespace!r}, …)"


def read_image(path: str, files: Mapping[str, bytes]) -> TreeImage:
    """An image's folder from its files; raises ``BadDocument`` that names the file at fault."""
    texts = {name: _decode(body, f"{path}/{name}") for name, body in files.items()}
    return TreeImage(
        path=path,
        releases=parse_changelog(texts["changelog"], f"{path}/changelog"),
        depends=parse_control(texts.get("control", "")),
        template=texts["Dockerfile.template"],
    )


def parse_changelog(text: str, where: str) -> tuple[Release, ...]:
    """The entries of a changelog (deb-changelog(5)), newest first; raises ``BadDocument``.

    The newest must name an image and tag that a registry takes: they are what was published.
    """
    releases = tuple(_releases(text, where))
    if not releases:
        raise BadDocument(where, "holds no entry as `name (version) distribution; urgency=…`")
    newest = releases[0]
    try:
        Reference.parse(f"registry.invalid/{newest.package}:{newest.version}")
    except BadName as error:
        raise BadDocument(where, f"its newest entry names no image: {error.message}") from None
    return releases


def _releases(text: str, where: str) -> Iterator[Release]:
    head: re.Match[str] | None = None
    changes: list[str] = []
    date: datetime | None = None
    for count, line in enumerate(text.splitlines()):
        if count > FILE_LIMIT // 20:
            raise TooLarge(where, "too many lines")
        if found := _HEAD.match(line):
            if head:
                yield _release(head, changes, date)
            head, changes, date = found, [], None
        elif found := _TRAILER.fullmatch(line[:2000]):
            date = _parse_date(found[1])
        elif line[:1].isspace() or not line:
            changes.append(line)
    if head:
        yield _release(head, changes, date)


def _release(head: re.Match[str], changes: list[str], date: datetime | None) -> Release:
    lines = [line.strip() for line in changes]
    text = "\n".join(line.removeprefix("*").strip() for line in lines if line.strip("* \t"))
    return Release(package=head[1], version=head[2], changes=text[:REASON_LIMIT], date=date)


def _parse_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if date.tzinfo else None


def parse_control(text: str) -> tuple[str, ...]:
    """The names of ``Depends`` and ``Build-Depends`` of all paragraphs, each once, as written."""
    names: dict[str, None] = {}
    wanted = False
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        value = line
        if not line[:1].isspace():
            field, _, value = line.partition(":")
            wanted = field.lower() in ("depends", "build-depends")
        if wanted:
            names.update(dict.fromkeys(filter(None, _SEPARATOR.split(value.strip()))))
    return tuple(names)


def parse_config(texts: Iterable[tuple[str, str]]) -> TreeConfig:
    """docker-pkg's configuration from its files as (where, text), the later over the earlier.

    Raises ``ConfigError``, also where no registry is named: then nothing is ever published.
    """
    values: dict[str, object] = {}
    where = "docker-pkg's configuration"
    for where, text in texts:
        values |= _parse_yaml(text, where)
    scalars = {k: str(v) for k, v in values.items() if isinstance(v, str | int | float)}
    registry, _, path = scalars.get("registry", "").strip("/").partition("/")
    if not registry:
        raise ConfigError(
            f"{where} names no registry",
            hint="docker-pkg publishes only to the `registry` of its configuration",
        )
    namespace = scalars.get("namespace", "").strip("/")
    bases = values.get("base_images")
    return TreeConfig(
        registry=registry.lower(),
        namespace="/".join(part for part in (path, namespace) if part),
        base_images=tuple(name for name in bases if isinstance(name, str))
        if isinstance(bases, list)
        else (),
        ca=scalars.get("ca_bundle"),
        username=scalars.get("username"),
        password=scalars.get("password"),
        update_id=scalars.get("update_id", "" if "update_id" in values else "s"),
        variables=scalars,
    )


def _parse_yaml(text: str, where: str) -> dict[str, object]:
    if text.count("{") + text.count("[") > _BRACKETS_LIMIT:
        # the parser takes the square of their depth
        raise ConfigError(f"{where} has more brackets than a configuration of docker-pkg")
    try:
        parsed = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        # The cause is left out: it may quote the password.
        raise ConfigError(f"{where} is not YAML") from None
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ConfigError(f"{where} is not a configuration of docker-pkg: no mapping")
    return {str(key): value for key, value in parsed.items()}


def read_uses(
    image: TreeImage, images: Mapping[str, TreeImage], config: TreeConfig, suffix: str = ""
) -> ImageUses:
    """The images that ``image`` was built from, named as docker-pkg names them in its Dockerfile.

    ``images`` is the tree at that moment, by name; ``suffix`` is what a nightly build adds to every
    version of it.
    """

    def image_tag(name: str) -> str | None:
        repository = config.repository(name)
        if name in images:
            return f"{repository}:{images[name].version}{suffix}"
        known = (base for base in config.base_images if base.rpartition(":")[0] == repository)
        return next(known, None)

    where = f"{image.path}/Dockerfile.template"
    return read_template(image.template, where, variables=config.variables, image_tag=image_tag)


def split_nightly(tag: str, versions: Collection[str]) -> tuple[str, str] | None:
    """The changelog version that a tag was built of, and what a nightly or snapshot build added.

    None for a tag that docker-pkg made of none of these versions.
    """
    if tag in versions:
        return tag, ""
    found = _NIGHTLY.fullmatch(tag)
    return (found[1], tag[len(found[1]) :]) if found and found[1] in versions else None


def next_version(version: str, identifier: str) -> str | None:
    """What ``docker-pkg update`` makes of a version; None where it gives up."""
    found = re.fullmatch(rf"([\d\-.]+?)(?:-{re.escape(identifier)}(\d{{1,18}}))?", version)
    if not found:
        return None
    return f"{found[1]}-{identifier}{int(found[2] or 0) + 1}"


def updated_with(name: str, images: Mapping[str, TreeImage]) -> frozenset[str]:
    """All images that ``docker-pkg update`` gives a new version together with this one.

    It follows ``control`` alone, whatever the template says, from any image to all that depend on it.
    """
    children: dict[str, list[str]] = {}
    for image in images.values():
        for parent in image.depends:
            children.setdefault(parent, []).append(image.name)
    found, waiting = {name}, [name]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return frozenset(found)


def _decode(body: bytes, where: str) -> str:
    if len(body) > FILE_LIMIT:
        raise TooLarge(where, f"larger than {FILE_LIMIT} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadDocument(where, "is not UTF-8 text") from None
