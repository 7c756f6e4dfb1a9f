"""What registries push: notifications of CNCF Distribution, and Harbor's in both of its formats.

Distribution: "Work with notifications" (version 2 and 3, media types ``…events.v1+json`` and
``…events.v2+json``). Harbor: "Configure Webhook Notifications"; CloudEvents 1.0 in structured mode.
Each event is read by itself: one that cannot be read spoils no other. What an event says is a hint
where to look, and nothing more is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw, Struct

from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadDocument, BadName, clean_text
from imagecatalog.formats.oci import MANIFEST_TYPES, SCHEMA1_TYPES, decode_json

BODY_LIMIT = 1 << 20
"""Bytes of a notification."""
EVENTS_LIMIT = 1000
"""Events of a notification, and images of an event; what is more is ignored."""
_TEXT_LIMIT = 255
_WHERE = "notification"
_IMAGES = frozenset({*MANIFEST_TYPES, *SCHEMA1_TYPES})
_HARBOR = frozenset(
    {
        "PUSH_ARTIFACT",
        "DELETE_ARTIFACT",
        "harbor.artifact.pushed",
        "harbor.artifact.deleted",
        "pushImage",
        "deleteImage",
    }
)
"""Harbor's names of what changes a registry: since 2.0, as CloudEvents, and before 2.0."""


class Touched(Struct, frozen=True):
    """An image of which a registry says that it came, moved or went."""

    event: str
    """By which name the registry calls the event; may be empty."""
    hosts: tuple[str, ...]
    """By which the registry calls itself, in lower case, the likeliest first."""
    path: str
    """The repository, without the registry."""
    references: tuple[str, ...]
    """Tags, and digests."""


class Ignored(Struct, frozen=True):
    """An event that asks for nothing, and why."""

    event: str
    reason: str


class Notification(Struct, frozen=True):
    """All that one request told."""

    touched: tuple[Touched, ...]
    ignored: tuple[Ignored, ...]


class _Target(Struct, frozen=True, rename="camel"):
    media_type: str = ""
    digest: str = ""
    repository: str = ""
    url: str = ""
    tag: str = ""


class _Request(Struct, frozen=True):
    host: str = ""


class _Source(Struct, frozen=True):
    addr: str = ""


class _Event(Struct, frozen=True):
    id: str = ""
    action: str = ""
    target: _Target = _Target()
    request: _Request = _Request()
    source: _Source = _Source()


class _Resource(Struct, frozen=True):
    digest: str = ""
    tag: str = ""
    resource_url: str = ""


class _Repository(Struct, frozen=True):
    repo_full_name: str = ""


class _Data(Struct, frozen=True):
    resources: tuple[Raw, ...] | None = None
    repository: _Repository | None = None


class _Body(Struct, frozen=True):
    events: list[Raw] | None = None
    type: str = ""
    id: str = ""
    specversion: str | None = None
    event_data: _Data | None = None
    data: _Data | None = None


_EVENT = msgspec.json.Decoder(_Event)
_RESOURCE = msgspec.json.Decoder(_Resource)


def read_notification(body: bytes) -> Notification:
    """What a registry told; raises ``BadDocument`` for what is no notification of any kind known."""
    read = decode_json(body, _Body, _WHERE, limit=BODY_LIMIT)
    if read.events is not None:
        found = [_read_event(raw) for raw in read.events[:EVENTS_LIMIT]]
        rest = len(read.events) - EVENTS_LIMIT
    elif read.type and (read.event_data or read.specversion is not None):
        data = read.data or read.event_data or _Data()
        found = list(_read_harbor(read, data))
        rest = len(data.resources or ()) - EVENTS_LIMIT
    else:
        raise BadDocument(
            _WHERE,
            "it is neither of distribution (events) nor of Harbor (type and event_data, or data)",
        )
    if rest > 0:
        found.append(Ignored("", f"{rest} more in one notification than the {EVENTS_LIMIT} read"))
    return Notification(
        tuple(one for one in found if isinstance(one, Touched)),
        tuple(one for one in found if isinstance(one, Ignored)),
    )


def _read_event(raw: Raw) -> Touched | Ignored:
    """One event of distribution."""
    try:
        event = _EVENT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Ignored("", f"it is not the event it should be: {error}")
    name, target = _cut(event.id), event.target
    if event.action not in ("push", "delete"):
        return Ignored(name, f"the action {_cut(event.action)!r} changes no image")
    if event.action == "push" and not _is_image(target):
        return Ignored(name, "it is about a layer or a configuration, and not about an image")
    hosts = (event.request.host, _host_of(target.url), event.source.addr)
    given = [target.tag] if target.tag else [target.digest]
    if event.action == "delete":
        given = [target.tag, target.digest]
    return _settle(name, hosts, target.repository, given)


def _is_image(target: _Target) -> bool:
    if target.media_type in _IMAGES or target.tag:
        return True
    return "/manifests/" in target.url and "/blobs/" not in target.url


def _read_harbor(read: _Body, data: _Data) -> Iterable[Touched | Ignored]:
    """Each image of an event of Harbor's."""
    name = _cut(read.id)
    if read.type not in _HARBOR:
        yield Ignored(name, f"the event {_cut(read.type)!r} changes no image")
        return
    if not data.resources:
        yield Ignored(name, "it names no image")
        return
    for raw in data.resources[:EVENTS_LIMIT]:
        try:
            resource = _RESOURCE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield Ignored(name, f"it is not the event it should be: {error}")
            continue
        host, _, rest = resource.resource_url.rpartition("://")[2].partition("/")
        path = data.repository.repo_full_name if data.repository else ""
        # Of what has no tag Harbor writes the digest where the tag belongs.
        given = [resource.tag or resource.digest]
        if "delete" in read.type.lower():
            given = [resource.tag, resource.digest]
        yield _settle(name, (host,), path or _path_of(rest), given)


def _path_of(rest: str) -> str:
    """The repository of ``path:tag`` or ``path@digest``."""
    path = rest.partition("@")[0]
    return path.rpartition(":")[0] or path


def _settle(
    name: str, hosts: Sequence[str], path: str, references: Sequence[str]
) -> Touched | Ignored:
    """The image, if it can be the name of one; the registry's name is none of the event's."""
    given = tuple(dict.fromkeys(one for one in references if one))
    known = tuple(dict.fromkeys(_cut(host.lower()) for host in hosts if host))
    if not given:
        return Ignored(name, "it names neither a tag nor a digest")
    if not known:
        return Ignored(name, "it does not say of which registry it is")
    try:
        for one in given:
            sign = "@" if ":" in one else ":"
            if Reference.parse(f"registry.example/{path}{sign}{one}").path != path:
                raise BadName(f"{_cut(path)!r} is no repository")
    except BadName as error:
        return Ignored(name, error.message)
    return Touched(name, known, path, given)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _cut(text: str) -> str:
    return clean_text(text)[:_TEXT_LIMIT]
