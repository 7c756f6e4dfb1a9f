"""What Clair says, at rest: stored once, shared by images, taken back, forgotten."""

from __future__ import annotations

from datetime import timedelta

from clair_house import fault, found, push, report, run
from sqlalchemy import func, select
from tests_store import NOON, PutImage, digest

from imagecatalog.domain.packages import Unknown
from imagecatalog.store import clair, clair_notices
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.schema import (
    clair_claim,
    clair_found,
    clair_image,
    clair_package,
    clair_server,
    clair_statement,
)

URL = "http://clair.example.org:6060"
HOUR = timedelta(hours=1)


def _hand_over(c: Connection, numbers: dict[str, int]) -> int:
    server = clair.put_server(c, URL).id
    clair.note_wanted(c, server, numbers.values(), now=NOON)
    return server


def _counts(c: Connection) -> dict[str, int]:
    tables = (clair_server, clair_image, clair_found, clair_package, clair_claim, clair_statement)
    return {table.name: c.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def _said(c: Connection, number: int) -> set[tuple[str, str]]:
    return {(row.package.name, row.statement.name) for row in clair.list_claims(c, number)}


def test_what_images_share_is_stored_once(catalog: Catalog, put_image: PutImage) -> None:
    ssl, bash = found("openssl", "3.0.15-1+b1", "3.0.15-1"), found("bash")
    held = {ssl: (fault(1, "openssl", "3.0.16-1"), fault(2, "openssl")), bash: ()}
    with catalog.write() as c:
        numbers = push(c, put_image, "one", "two", "three")
        _hand_over(c, numbers)
        for name, number in numbers.items():
            clair.save_report(c, number, report(name, held), updates="u1", now=NOON)
    with catalog.read() as c:
        assert _counts(c) == {
            "clair_server": 1, "clair_image": 3, "clair_found": 6, "clair_package": 2,
            "clair_claim": 2, "clair_statement": 2,
        }  # fmt: skip
        rows = clair.list_claims(c, numbers["two"])
        assert [(row.package, row.statement, row.layer) for row in rows] == [
            (ssl, one, digest("two")) for one in held[ssl]
        ]
        assert clair.list_found(c, numbers["two"]) == {bash: digest("two"), ssl: digest("two")}


def test_what_is_taken_back_or_new_is_so_for_every_image_that_holds_the_package(
    catalog: Catalog, put_image: PutImage
) -> None:
    ssl = found("openssl")
    with catalog.write() as c:
        numbers = push(c, put_image, "one", "two")
        _hand_over(c, numbers)
        for name, number in numbers.items():
            held = {ssl: (fault(1, "openssl"), fault(2, "openssl"))}
            clair.save_report(c, number, report(name, held), updates="u1", now=NOON)
        held = {ssl: (fault(2, "openssl"), fault(3, "openssl"))}
        clair.save_report(c, numbers["one"], report("one", held), updates="u2", now=NOON + HOUR)
        clair.sweep(c)
    with catalog.read() as c:
        expected = {("openssl", "CVE-2026-0002"), ("openssl", "CVE-2026-0003")}
        assert _said(c, numbers["one"]) == _said(c, numbers["two"]) == expected
        assert _counts(c)["clair_statement"] == 2
        states = {held.number: held.updates for held in clair.list_held(c)}
        assert states == {numbers["one"]: "u2", numbers["two"]: "u1"}


def test_an_index_alone_tells_packages_and_wants_a_report(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "one")
        _hand_over(c, numbers)
        number = numbers["one"]
        held = {found("bash"): (fault(1, "bash"),)}
        clair.save_report(c, number, report("one", held), updates="u1", now=NOON)
        clair.save_index(c, number, report("one", {}, found("dash")), state="s2", now=NOON + HOUR)
        (image,) = clair.list_held(c)
    assert (image.index_state, image.updates, image.reported) == ("s2", None, NOON)
    with catalog.read() as c:
        assert set(clair.list_found(c, number)) == {found("dash")}
        assert _said(c, number) == set()


def test_one_job_at_a_time_takes_an_image(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "one")
        _hand_over(c, numbers)
        number = numbers["one"]
        assert clair.take(c, number, since=NOON - HOUR, now=NOON)
        assert not clair.take(c, number, since=NOON - HOUR, now=NOON)
        assert clair.take(c, number, since=NOON + HOUR, now=NOON + 2 * HOUR), "it was abandoned"
        clair.release(c, [number])
        assert clair.take(c, number, since=NOON - HOUR, now=NOON)
        clair.note_failure(c, number, Unknown("clair-refused", "it is broken"), now=NOON)
        assert clair.take(c, number, since=NOON - HOUR, now=NOON)


def test_which_images_are_wanted(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "runs", "rests", "ran")
        run(c, ["runs", "ran"], at=NOON)
        run(c, ["runs"], at=NOON + HOUR)
        assert clair.list_wanted(c, everything=False) == {numbers["runs"]: digest("runs")}
        assert set(clair.list_wanted(c, everything=True)) == set(numbers.values())
        assert clair.list_gone(c, numbers.values()) == set()


def test_forgetting_images_forgets_what_was_said_of_them_alone(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "one", "two")
        _hand_over(c, numbers)
        shared, own = found("bash"), found("dash")
        for name, held in {
            "one": {shared: (fault(1, "bash"),), own: (fault(2, "dash"),)},
            "two": {shared: (fault(1, "bash"),)},
        }.items():
            clair.save_report(c, numbers[name], report(name, held), updates="u1", now=NOON)
        clair.forget(c, [numbers["one"]])
        assert _counts(c) == {
            "clair_server": 1, "clair_image": 1, "clair_found": 1, "clair_package": 1,
            "clair_claim": 1, "clair_statement": 1,
        }  # fmt: skip
        clair.forget_server(c)
        assert set(_counts(c).values()) == {0}


def test_another_clair_has_everything_to_learn(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "one")
        server = _hand_over(c, numbers)
        clair.note_answer(
            c, server, index_state="s", updates="u", updated=NOON, problem=None, now=NOON
        )
        assert clair.put_server(c, URL).index_state == "s"
        other = clair.put_server(c, "http://other.example.org")
        assert (other.index_state, other.checked, clair.list_held(c)) == (None, None, [])
        clair.note_silence(c, other.id, Unknown("source-unavailable", "it is down"))
        found = clair.get_server(c)
    assert found is not None
    assert found.problem == Unknown("source-unavailable", "it is down")


def test_news_of_an_image_has_its_report_read_anew(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        numbers = push(c, put_image, "one", "two")
        _hand_over(c, numbers)
        for name, number in numbers.items():
            clair.save_report(c, number, report(name, {}), updates="u1", now=NOON)
        assert clair.note_news(c, [digest("one"), digest("never met")]) == [numbers["one"]]
        updates = {held.number: held.updates for held in clair.list_held(c)}
    assert updates == {numbers["one"]: None, numbers["two"]: "u1"}


def test_notices_wait_until_they_are_due(catalog: Catalog) -> None:
    with catalog.write() as c:
        assert clair_notices.put_notice(c, "a", now=NOON)
        assert clair_notices.put_notice(c, "b", now=NOON + HOUR)
        assert clair_notices.put_notice(c, "a", now=NOON + HOUR), "told again"
        assert [n.name for n in clair_notices.list_due(c, now=NOON)] == []
        assert [n.name for n in clair_notices.list_due(c, now=NOON + HOUR)] == ["a", "b"]
        clair_notices.postpone(c, "a", "no", due=NOON + 3 * HOUR)
        (due,) = clair_notices.list_due(c, now=NOON + HOUR)
        assert (due.name, due.received, due.tries) == ("b", NOON + HOUR, 0)
        assert clair_notices.list_due(c, now=NOON + 3 * HOUR)[0].tries == 1
        clair_notices.drop_notice(c, "b")
        assert [n.name for n in clair_notices.list_due(c, now=NOON + 3 * HOUR)] == ["a"]
