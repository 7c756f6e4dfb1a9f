"""What a DebMonitor is told of our images and clusters: the messages that its own clients send.

Nothing is pulled and nothing is run: packages are those that the catalog holds, and what is
upgradable is what our verdicts say. Packages on hold are left out, as apt would not upgrade them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.catalog.configured import dpkg_architecture
from imagecatalog.catalog.debmonitor import full_name
from imagecatalog.domain.answers import Update
from imagecatalog.domain.debmonitor import (
    WHOLE,
    InstalledPackage,
    UpgradablePackage,
)
from imagecatalog.domain.packages import Package
from imagecatalog.errors import BadName
from imagecatalog.planning.verdicts import JudgedImage, judge_images
from imagecatalog.store import images, lookups, packages, runs, updates
from imagecatalog.store.engine import Connection
from imagecatalog.store.lookups import ImageRow
from imagecatalog.store.runs import AliveImage

_OS = re.compile(r"Debian( \d\d)?|Ubuntu( \d\d\.\d\d)?")
"""The names of releases that a DebMonitor takes."""
_NAME_LIMIT = 255
"""Characters of a name of an image there."""
_ENCODER = msgspec.json.Encoder()


class Named(Struct, frozen=True):
    """An image with the name by which a DebMonitor is told of it."""

    name: str
    number: int


class LeftOut(Struct, frozen=True):
    """A name of which a DebMonitor is told nothing, and why."""

    name: str
    reason: str


class Running(Struct, frozen=True):
    """What runs, as a DebMonitor is told of it."""

    images: tuple[Named, ...]
    """Each name once, sorted."""
    left_out: tuple[LeftOut, ...]
    clusters: dict[str, dict[str, dict[str, int]]]
    """By cluster, name of image and namespace how many containers; only of ``images``."""


class Content(Struct, frozen=True):
    """What is told of one image; ``digest`` is the same as long as that is."""

    name: str
    os: str
    native: str | None
    set_id: int
    upgradable: tuple[UpgradablePackage, ...]
    digest: bytes
    is_judged: bool
    """Whether there is a verdict of ours; without one nothing is told to be upgradable."""


class Message(Struct, frozen=True, kw_only=True):
    """The body of ``POST /images/NAME/update``."""

    api_version: str = "v1"
    image_name: str
    os: str
    installed: tuple[InstalledPackage, ...]
    uninstalled: tuple[InstalledPackage, ...] = ()
    upgradable: tuple[UpgradablePackage, ...]
    update_type: str = WHOLE


class ClusterMessage(Struct, frozen=True):
    """The body of ``POST /kubernetes/update``."""

    cluster: str
    images: dict[str, dict[str, int]]


def encode(message: Message | ClusterMessage) -> bytes:
    """The message as JSON; the same message has the same bytes."""
    return _ENCODER.encode(message)


def list_running(c: Connection) -> Running:
    """Every image that runs, by the name that a DebMonitor shall have for it.

    That is ``registry/path:tag``. Where several images run under one such name, the one that the
    tag means now has it, else the one of most containers; the others are named by their digest.
    """
    alive = runs.list_alive(c)
    known = [item for item in alive if item.manifest_id is not None]
    names, left_out = _name_all(c, known)
    left_out += [
        LeftOut(name, "no sync met it")
        for name in sorted({item.image for item in alive if item.manifest_id is None})
    ]
    clusters: dict[str, dict[str, Counter[str]]] = {name: {} for name in runs.list_clusters(c)}
    by_run = {
        item.run_image_id: names[item.run_image_id] for item in known if item.run_image_id in names
    }
    for number, places in runs.list_places(c, list(by_run)).items():
        for place in places:
            counts = clusters[place.cluster].setdefault(by_run[number].name, Counter())
            counts[place.namespace] += place.containers
    return Running(
        tuple(sorted(set(by_run.values()), key=lambda one: one.name)),
        tuple(left_out),
        {
            cluster: {name: dict(sorted(counts.items())) for name, counts in sorted(found.items())}
            for cluster, found in clusters.items()
        },
    )


def _name_all(c: Connection, alive: Sequence[AliveImage]) -> tuple[dict[int, Named], list[LeftOut]]:
    """By the number of each runtime's name the image with its name here; and what has none."""
    spelt: dict[int, str] = {}
    left_out = []
    for item in alive:
        try:
            spelt[item.run_image_id] = full_name(item.image)
        except BadName as problem:
            left_out.append(LeftOut(item.image, problem.message))
    counted: dict[str, Counter[int]] = {}
    for item in alive:
        if item.run_image_id in spelt:
            counts = counted.setdefault(spelt[item.run_image_id], Counter())
            counts[item.manifest_id or 0] += item.containers
    owners = {name: _choose_owner(c, name, counts) for name, counts in counted.items()}
    others = {number for counts in counted.values() for number in counts}
    digests = {number: row.digest for number, row in lookups.list_images(c, others).items()}
    named: dict[int, Named] = {}
    for item in alive:
        name = spelt.get(item.run_image_id)
        if name is None or item.manifest_id is None:
            continue
        if owners[name] != item.manifest_id:
            path = name.partition("@")[0].rpartition(":")[0]
            name = f"{path}@{digests[item.manifest_id]}"
        if len(name) > _NAME_LIMIT:
            left_out.append(LeftOut(name, f"its name is longer than {_NAME_LIMIT} characters"))
        else:
            named[item.run_image_id] = Named(name, item.manifest_id)
    return named, left_out


def _choose_owner(c: Connection, name: str, counts: Counter[int]) -> int:
    if len(counts) > 1 and "@" not in name:
        path, _, tag = name.rpartition(":")
        meant = lookups.find_tag(c, path, tag)
        if meant is not None:
            meant = lookups.choose_members(c, [meant]).get(meant, meant)
        if meant is not None and meant in counts:
            return meant
    return min(counts, key=lambda number: (-counts[number], number))


def list_idle(c: Connection, running: Collection[Named]) -> tuple[Named, ...]:
    """Every image that a registry has and that does not run, by its best name."""
    busy = {one.number for one in running}
    taken = {one.name for one in running}
    rest = [number for number in lookups.list_image_ids(c) if number not in busy]
    found = []
    for number, best in sorted(images.best_names(c, rest).items()):
        try:
            name = full_name(best)
        except BadName:
            continue
        if name not in taken and len(name) <= _NAME_LIMIT:
            taken.add(name)
            found.append(Named(name, number))
    return tuple(found)


def list_contents(
    c: Connection, named: Sequence[Named], *, now: datetime
) -> tuple[list[Content], list[LeftOut]]:
    """What is told of these images, and of which of them nothing can be."""
    numbers = {one.number for one in named}
    judged = judge_images(c, numbers, now=now)
    rows = lookups.list_images(c, numbers)
    pending = updates.list_updates(c, {one.pair for one in judged.values() if one.pair})
    contents, left_out = [], []
    for one in named:
        row, verdict = rows[one.number], judged[one.number]
        os = name_os(row.distro)
        reason = _why_not(row, os)
        if reason is not None or os is None or row.set_id is None:
            left_out.append(LeftOut(one.name, reason or ""))
            continue
        listed = pending.get(verdict.pair, ()) if verdict.pair else ()
        contents.append(_describe(one.name, os, row, verdict, listed))
    return contents, left_out


def name_os(release: str | None) -> str | None:
    """``debian 12`` as DebMonitor calls it; None for what it does not take."""
    name, _, version = (release or "").partition(" ")
    text = f"{name.capitalize()} {version}" if re.match(r"\d", version) else name.capitalize()
    return text if _OS.fullmatch(text) else None


def _why_not(row: ImageRow, os: str | None) -> str | None:
    if row.unknown_code is not None or row.set_id is None:
        return row.unknown_reason or "its packages are not known"
    if os is None:
        return f"DebMonitor takes Debian from 10 on and Ubuntu, and not {row.distro or 'unknown'}"
    return None


def _describe(
    name: str, os: str, row: ImageRow, judged: JudgedImage, listed: Iterable[Update]
) -> Content:
    assert row.set_id is not None
    native = dpkg_architecture(row.platform)
    upgradable = tuple(
        sorted(
            (
                UpgradablePackage(
                    _name_package(one.package, one.arch, native),
                    one.installed,
                    one.candidate,
                    one.source,
                )
                for one in listed
                if not one.held and one.type == "deb"
            ),
            key=lambda one: one.name,
        )
    )
    told = _ENCODER.encode((name, os, native, row.set_id, upgradable))
    is_judged = judged.pair is not None and judged.verdict.status != "unknown"
    digest = hashlib.sha256(told).digest()
    return Content(name, os, native, row.set_id, upgradable, digest, is_judged)


def _name_package(name: str, arch: str, native: str | None) -> str:
    return name if arch in (native, "all", "") or native is None else f"{name}:{arch}"


def compose(c: Connection, contents: Sequence[Content]) -> list[Message]:
    """The messages that tell of these images; one of no package of Debian has none installed."""
    sets = packages.list_members(c, {one.set_id for one in contents})
    return [_compose(one, sets.get(one.set_id, ())) for one in contents]


def _compose(content: Content, members: Iterable[Package]) -> Message:
    installed = {
        (name := _name_package(one.name, one.arch, content.native)): InstalledPackage(
            name, one.version, one.source
        )
        for one in members
        if one.type == "deb"
    }
    return Message(
        image_name=content.name,
        os=content.os,
        installed=tuple(installed[name] for name in sorted(installed)),
        upgradable=content.upgradable,
    )


def compose_clusters(
    running: Running, left_out: Collection[LeftOut]
) -> Mapping[str, ClusterMessage]:
    """By cluster what runs in it, without the images of which nothing is told."""
    gone = {one.name for one in left_out}
    return {
        cluster: ClusterMessage(
            cluster, {name: counts for name, counts in found.items() if name not in gone}
        )
        for cluster, found in running.clusters.items()
    }


def digest_of(message: ClusterMessage) -> bytes:
    """The same as long as the message is."""
    return hashlib.sha256(encode(message)).digest()
