"""Feeds, statements and judgements written at once: nobody waits in a circle, and all is there."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select, update
from suppression_house import say
from suppression_house import tell as tell_vex
from test_store_at_once import Other, at_once
from test_store_findings import HERE, JSON, said
from test_store_findings import tell as tell_feed
from test_store_standing_images import ask, keep, observe
from tests_store import NOON, PutImage, fixed_in, package

from imagecatalog.domain.exploits import Exploit
from imagecatalog.matching.match import judge_some, match
from imagecatalog.store import components, findings
from imagecatalog.store.components import settle_scopes
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.exploits import apply_exploits
from imagecatalog.store.schema import advisory, distro, vex_statement
from imagecatalog.store.shelf import Shelf

FAULTS = [f"CVE-2026-{n:03}" for n in range(60)]
Write = Callable[[Connection], object]


def tell_one_by_one(c: Connection, names: list[str], feed: str) -> None:
    """A feed that names its faults in this order, each in a write of its own."""
    for name in names:
        tell_feed(c, f"{feed} {name}", [said(name, "ssl", "open")])


def say_one_by_one(c: Connection, names: list[str], author: str) -> None:
    """Documents that name their faults in this order."""
    for name in names:
        tell_vex(c, say(fault=name, name="ssl"), author=author, name=f"{author} {name}.json")


@pytest.mark.parametrize("write", [tell_one_by_one, say_one_by_one])
def test_two_name_the_same_faults_in_two_orders(
    catalog: Catalog, write: Callable[[Connection, list[str], str], None]
) -> None:
    first, second = FAULTS[:2]
    other = Other(catalog, lambda c: write(c, [second, first], "other"))
    with catalog.write() as c:
        say_one_by_one(c, [first], "one")
        other.begin()
        say_one_by_one(c, [second], "one")
    other.result()
    with catalog.read() as c:
        assert sorted(c.scalars(select(advisory.c.name))) == [first, second]


@pytest.mark.parametrize("seed", range(2))
def test_all_who_write_names_of_faults_end_well(
    catalog: Catalog, put_image: PutImage, seed: int
) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
    threads = 4
    start = Barrier(threads)

    def work(thread: int) -> None:
        luck = random.Random(f"{seed} {thread}")
        start.wait(timeout=30)
        for turn in range(6):
            names = luck.sample(FAULTS, 6)
            entries = [Exploit(name=one, added=NOON, description=None) for one in names]
            writes: list[Write] = [
                lambda c, n=names: tell_one_by_one(c, n[:3], f"osv {thread}"),  # type: ignore[misc]
                lambda c, n=names: say_one_by_one(c, n, f"author {thread}"),  # type: ignore[misc]
                lambda c, e=entries: apply_exploits(c, e, "kev"),  # type: ignore[misc]
                judge_some,
                findings.keep_standings,
            ]
            with catalog.write() as c:
                # Statements first, then what else: as one transaction of a job has it.
                writes[1](c)
                writes[(thread + turn) % len(writes)](c)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    with catalog.read() as c:
        assert c.scalar(select(func.count()).select_from(vex_statement)) or 0 > 0


def test_two_find_out_the_scope_of_a_distribution_at_once(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
        c.execute(update(distro).values(scope_id=None))
        (number,) = c.scalars(select(distro.c.id))

    start = Barrier(2)

    def find(_: int) -> None:
        start.wait(timeout=30)
        with catalog.write() as c:
            components.enrol(c, Shelf(), [(number, 1)])

    for _ in range(20):
        with catalog.write() as c:
            c.execute(update(distro).values(scope_id=None))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(find, range(2)))
    with catalog.read() as c:
        assert c.scalar(select(distro.c.scope_id)) is not None


def test_scopes_are_settled_while_images_are_written(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        put_image(c, "app", [package("ssl", "1.0-1")])
        (number,) = c.scalars(select(distro.c.id))
    derived = {"debian 12": "debian trixie"}
    moved = at_once(
        catalog,
        lambda c: components.enrol(c, Shelf(), [(number, 1)]),
        lambda c: components.settle_scopes(c, derived),
    )
    assert moved == 1


@pytest.mark.parametrize("seed", range(2))
def test_images_are_written_while_what_runs_is_kept(
    catalog: Catalog, make_put_image: Callable[[], PutImage], seed: int
) -> None:
    put_image = make_put_image()
    names = [f"app-{n}" for n in range(8)]
    versions = [package("ssl", f"{n}-1") for n in range(1, 4)]
    with catalog.write() as c:
        for name in names:
            put_image(c, name, versions[:1])
        observe(c, *names)
        tell_feed(c, JSON, [fixed_in("CVE-2026-1", HERE, "ssl", "3-1")])
        match(c, now=NOON)
    threads = 4
    start = Barrier(threads)

    def work(thread: int) -> None:
        luck = random.Random(f"{seed} {thread}")
        put = make_put_image()
        start.wait(timeout=30)
        for turn in range(6):
            some, which = luck.sample(names, 4), luck.choice(versions)
            writes: list[Write] = [
                lambda c, s=some, v=which: put(c, s[0], [v]),  # type: ignore[misc]
                findings.mark_all,
                judge_some,
                keep,
                lambda c, t=turn: settle_scopes(c, {"debian 12": f"debian {11 + t % 2}"}),  # type: ignore[misc]
                lambda c, s=some, t=turn: observe(c, *s, minutes=t),  # type: ignore[misc]
            ]
            for write in luck.sample(writes, 4):
                with catalog.write() as c:
                    write(c)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    with catalog.write() as c:
        ask(c)
        make_put_image()(c, names[0], versions[:1])
        match(c, now=NOON)
        assert ask(c).images
