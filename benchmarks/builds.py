"""Builds to register: the same every time, each of 400 packages, most of them shared with others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import structs

from benchmarks.fleet import START, read_pool
from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest

PACKAGES = 400
_IMAGES = 40
"""Repositories; a build of each follows the one before with a few newer packages."""
_SHARED, _MOVES = 150, 4
_REGISTRY = "registry.example.org"


def make_builds(count: int, *, seed: int = 1) -> Iterator[Build]:
    """So many builds of images that were never met, one minute after another."""
    chance = random.Random(seed)
    pool = sorted(read_pool().values())
    while len(pool) < 2 * PACKAGES:
        pool += [structs.replace(one, name=f"{one.name}-extra{len(pool)}") for one in pool]
    shared = chance.sample(pool, _SHARED)
    rest = sorted(set(pool) - set(shared))
    lists = [shared + chance.sample(rest, PACKAGES - _SHARED) for _ in range(_IMAGES)]
    for number in range(count):
        packages = lists[number % _IMAGES]
        for place in chance.sample(range(PACKAGES), _MOVES):
            packages[place] = _newer(packages[place], number)
        yield _build(number, tuple(packages), seed, START + timedelta(minutes=number))


def _build(number: int, packages: tuple[Package, ...], seed: int, moment: datetime) -> Build:
    name = f"{_REGISTRY}/services/service-{number % _IMAGES:03}"
    week = f"{number // 1000}"
    return Build(
        image=f"{name}:1.{seed}.{number}",
        digest=Digest.of(f"{seed} build {number}".encode()),
        platform="linux/amd64",
        builder="docker-pkg",
        builder_version="4.0.4",
        started=moment - timedelta(minutes=3),
        finished=moment,
        source_repository="https://git.example.org/images",
        source_revision=f"{number:040x}",
        source_path=f"images/service-{number % _IMAGES:03}",
        parents=(
            Parent(image=f"{_REGISTRY}/base:{week}", digest=Digest.of(f"base {week}".encode())),
        ),
        distro=Distro("debian", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)"),
        packages=packages,
    )


def _newer(package: Package, number: int) -> Package:
    version = f"{package.version.partition('+n')[0]}+n{number}"
    source = f"{package.source_version.partition('+n')[0]}+n{number}"
    return structs.replace(package, version=version, source_version=source)
