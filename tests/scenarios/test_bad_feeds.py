"""Feeds that lie, break or are made to harm: bounded, refused, and the last good one stays."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import os
import resource
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_shop import CommandLine
from feed_site import pack, pack_records, record

from imagecatalog.cli.main import main
from imagecatalog.store.affected import find_affected
from imagecatalog.store.engine import Catalog

MEMORY = 300
"""MiB that no feed may take, whatever it is."""
GOOD = [record(f"X-{n}", "PyPI", f"p{n}", "1.0") for n in range(30)]
SECDB = {
    "distroversion": "v3.18",
    "reponame": "main",
    "packages": [{"pkg": {"name": "a", "secfixes": {"1.0-r0": ["CVE-2026-2001"]}}}],
}
TRACKER = {"p": {"CVE-2026-3001": {"releases": {"bookworm": {"status": "open"}}}}}
KEV = {"vulnerabilities": [{"cveID": "CVE-2026-4001", "dateAdded": "2026-08-01"}]}
EPSS = "#model_version:v1,score_date:2026-08-16T00:00:00Z\ncve,epss,percentile\nCVE-2026-4001,0.5,0.5\n"
FILES = {
    "osv": ("PyPI.zip", pack_records(*GOOD)),
    "alpine-secdb": ("main.json", json.dumps(SECDB).encode()),
    "debian-tracker": ("json", json.dumps(TRACKER).encode()),
    "kev": ("kev.json", json.dumps(KEV).encode()),
    "epss": ("epss.csv.gz", gzip.compress(EPSS.encode())),
}


def is_known(command: CommandLine, *names: str) -> bool:
    catalog = Catalog.open(command.database)
    with catalog.read() as c:
        found = [find_affected(c, name) for name in names]
    catalog.close()
    return all(found)


@pytest.fixture
def folder(command: CommandLine, tmp_path: Path) -> Path:
    """A mirror whose every feed was read once."""
    folder = tmp_path / "feeds"
    folder.mkdir()
    for feed, (name, body) in FILES.items():
        (folder / name).write_bytes(body)
        command.run("refresh", "--from-file", f"{feed}={folder / name}")
    return folder


def sparse(path: Path, size: int) -> None:
    """A file of zero bytes that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)


def huge_json(path: Path) -> None:
    """2 GiB of JSON, all but its beginning in one string."""
    with path.open("wb") as file:
        file.write(b'{"p": {"CVE-2026-3001": {"description": "')
        file.truncate(2 << 30)


def long_member(path: Path) -> None:
    """One member that is larger than any is read; what follows it would be good."""
    with path.open("wb") as file:
        file.write(b'{"p": "' + b"x" * (100 << 20) + b'"}')


def deep(path: Path) -> None:
    path.write_bytes(b'{"vulnerabilities": ' + b"[" * (8 << 20))


def bomb(path: Path) -> None:
    with gzip.open(path, "wb", 1) as file:
        file.write(EPSS.encode())
        for _ in range(64):
            file.write(b"\n" * (1 << 20))


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(150):
            archive.writestr(f"{number}.json", b" " * (1 << 20))


def overlapping(path: Path) -> None:
    """Many members that are all the same bytes of the archive."""
    data = pack({"a.json": b" " * (1 << 20)})
    at, end = data.index(b"PK\1\2"), data.rfind(b"PK\5\6")
    many = 50_000
    tail = bytearray(data[end:])
    tail[8:12] = many.to_bytes(2, "little") * 2
    tail[12:16] = ((end - at) * many).to_bytes(4, "little")
    path.write_bytes(data[:at] + data[at:end] * many + bytes(tail))


def many_entries(path: Path) -> None:
    """An archive that is nothing but its directory: a million members that are not there."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", b"{}")
    data = path.read_bytes()
    at, end = data.index(b"PK\1\2"), data.rfind(b"PK\5\6")
    entry = data[at:end]
    many = 0xFFFE
    tail = bytearray(data[end:])
    tail[8:12] = many.to_bytes(2, "little") * 2
    tail[12:16] = (len(entry) * many).to_bytes(4, "little")
    path.write_bytes(data[:at] + entry * many + bytes(tail))


def same_id(path: Path) -> None:
    path.write_bytes(pack({f"{n}.json": b'{"id": "X-0"}' for n in range(100)}))


def text(words: str | bytes) -> Callable[[Path], None]:
    body = words.encode() if isinstance(words, str) else words
    return lambda path: void(path.write_bytes(body))


def void(_: object) -> None:
    pass


HOSTILE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "osv: 2 GiB": ("osv", lambda path: sparse(path, 2 << 30)),
    "osv: empty": ("osv", text(b"")),
    "osv: cut": ("osv", lambda path: text(path.read_bytes()[:-200])(path)),
    "osv: bomb": ("osv", zip_bomb),
    "osv: overlapping": ("osv", overlapping),
    "osv: many entries": ("osv", many_entries),
    "osv: one id": ("osv", same_id),
    "osv: nothing that is read": (
        "osv",
        text(pack({"../X-1.json": b"{}", "/etc/X-2.json": b"{}"})),
    ),
    "osv: other files": ("osv", text(pack({"X-1.txt": b"{}"}))),
    "secdb: 2 GiB": ("alpine-secdb", huge_json),
    "secdb: deep": ("alpine-secdb", text(b'{"packages": ' + b"[" * (8 << 20))),
    "secdb: cut": ("alpine-secdb", text(FILES["alpine-secdb"][1][:-5])),
    "tracker: 2 GiB": ("debian-tracker", huge_json),
    "tracker: 2 GiB of zeros": ("debian-tracker", lambda path: sparse(path, 2 << 30)),
    "tracker: long member": ("debian-tracker", long_member),
    "tracker: deep": ("debian-tracker", text(b'{"p": ' + b"[" * (8 << 20))),
    "kev: 2 GiB": ("kev", huge_json),
    "kev: deep": ("kev", deep),
    "kev: other": ("kev", text(FILES["alpine-secdb"][1])),
    "epss: 2 GiB": ("epss", lambda path: sparse(path, 2 << 30)),
    "epss: cut": ("epss", text(FILES["epss"][1][:-6])),
    "epss: bomb": ("epss", bomb),
    "epss: one line": ("epss", text(gzip.compress(EPSS.encode() + b"x" * (64 << 20)))),
}


def run_measured(runs: list[list[str]], errors: list[Path], result: Any) -> None:
    """In a process of its own: how each ended, and by how much its memory grew, in MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = []
    for words, path in zip(runs, errors, strict=True):
        with path.open("w") as file:
            os.dup2(file.fileno(), 2)
            ended.append(main(words))
            sys.stderr.flush()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    result.put((ended, grown / 1024))


@pytest.mark.parametrize("feed", FILES)
def test_hostile_files_are_refused_within_bounds_and_the_last_one_stays(
    command: CommandLine, folder: Path, feed: str
) -> None:
    cases = [case for case in HOSTILE if HOSTILE[case][0] == feed]
    runs: list[list[str]] = []
    name, good = FILES[feed]
    for number, case in enumerate(cases):
        path = folder / str(number) / name
        path.parent.mkdir()
        path.write_bytes(good)
        HOSTILE[case][1](path)
        words = ["refresh", "--from-file", f"{feed}={path}"]
        runs.append(["--database", command.database, *words])
    errors = [folder / str(number) / "errors" for number in range(len(cases))]
    context = multiprocessing.get_context("spawn")
    result = context.Queue()
    child = context.Process(target=run_measured, args=(runs, errors, result))
    child.start()
    try:
        ended, grown = result.get(timeout=120)
    finally:
        child.join(10)
        child.kill()
    said = {case: path.read_text() for case, path in zip(cases, errors, strict=True)}
    assert ended == [1] * len(cases), said
    for told in said.values():
        assert feed in told
        assert "Traceback" not in told
    assert grown < MEMORY
    assert is_known(command, "X-0", "X-29", "CVE-2026-2001", "CVE-2026-3001")


def long_version() -> dict[str, Any]:
    return record("BAD-1", "npm", "n", "1" * 100_000)


def cycle() -> list[dict[str, Any]]:
    """Records that are all aliases of the next one, and of themselves."""
    return [
        record(f"A-{n}", "PyPI", "a", "1.0", aliases=[f"A-{(n + 1) % 200}", f"A-{n}"])
        for n in range(200)
    ]


STRANGE: dict[str, list[dict[str, Any]]] = {
    "a version of 100 kB": [long_version()],
    "a thousand ranges": [
        {
            "id": "BAD-2",
            "affected": [
                {
                    "package": {"ecosystem": "npm", "name": "n"},
                    "versions": [f"1.{n}.0" for n in range(1000)],
                }
            ],
        }
    ],
    "times that cannot be": [
        record(
            "BAD-3",
            "npm",
            "n",
            "1.0.0",
            published="9999-12-31T23:59:59-23:59",
            modified="0001-01-01",
        )
    ],
    "aliases in a ring": cycle(),
    "names with NUL": [
        record("BAD-4", "npm", "n\0", "1.0.0\0", summary="\0", aliases=["\0", "A\0"]),
        record("BAD-5", "Maven", "a\0:b", "1.0\0", details="\0"),
    ],
    "long names": [
        record("BAD-6", "npm", "n" * 100_000, "1.0.0"),
        record("BAD-7", "npm", "n", "1.0.0", aliases=["A" * 100_000]),
        record("BAD-8", "n" * 100_000, "n", "1.0.0"),
    ],
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_records_stand_beside_the_good_ones(
    command: CommandLine, folder: Path, case: str
) -> None:
    path = folder / "PyPI.zip"
    good = [record(f"X-{n}", "PyPI", f"p{n}", "2.0") for n in range(30)]
    other = folder / "other.zip"
    other.write_bytes(pack_records(*STRANGE[case], *good))
    path.unlink()
    said = command.run("refresh", "--from-file", f"osv={other}")
    assert f"{len(STRANGE[case]) + 30} records" in said.err
    assert is_known(command, "X-0", "X-29")
    for verb in (("affected", "X-1"), ("affected", str(STRANGE[case][0]["id"]))):
        assert command.run(*verb, "--format", "json").out


def test_members_twice_and_deep_records_spoil_no_other(command: CommandLine, folder: Path) -> None:
    bodies = {f"{one['id']}.json": json.dumps(one).encode() for one in GOOD}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in bodies.items():
            archive.writestr(name, body)
        archive.writestr("X-0-again.json", b'{"id": "X-0", "id": "X-1"}')
        archive.writestr("DEEP-1.json", b'{"id": "DEEP-1", "affected": ' + b"[" * 1_000_000)
        archive.writestr("DEEP-2.json", b'{"id": "DEEP-2", "x": ' + b'{"a":' * 1_000_000)
        archive.writestr("../../X-9.json", b"{}")
        archive.writestr("big.json", b'{"id": "BIG", "summary": "' + b"x" * (17 << 20) + b'"}')
    (folder / "PyPI.zip").write_bytes(stream.getvalue())
    said = command.run("refresh", "--from-file", f"osv={folder / 'PyPI.zip'}")
    assert "osv: 30 records, 0 changed; 5 cannot be read" in said.err
    for name in ("X-1 (it is there twice)", "DEEP-1", "DEEP-2", "leads out", "big (it is larger"):
        assert name in said.err
    assert is_known(command, *(f"X-{n}" for n in range(30)))


def run_slowly(words: list[str], begun: Any) -> None:
    """As a command line, slow enough to be caught in the middle; says when it writes."""
    from imagecatalog.store import advisories

    told = advisories._Telling.replace

    def replace(self: Any, parts: Any) -> None:
        told(self, parts)
        begun.set()
        time.sleep(0.1)

    advisories._Telling.replace = replace  # type: ignore[method-assign]
    sys.exit(main(words))


def test_whoever_is_killed_in_the_middle_leaves_the_last_good_one(
    command: CommandLine, folder: Path
) -> None:
    many = [record(f"X-{n}", "PyPI", f"p{n}", "9.0") for n in range(10_000)]
    path = folder / "PyPI.zip"
    path.write_bytes(pack_records(*many))
    words = ["--database", command.database, "refresh", "--from-file", f"osv={path}"]
    context = multiprocessing.get_context("spawn")
    for pause in (0.1, 1.5):
        begun = context.Event()
        child = context.Process(target=run_slowly, args=(words, begun))
        child.start()
        assert begun.wait(60)
        time.sleep(pause)
        assert child.is_alive(), "it was over before it could be killed"
        child.kill()
        child.join()
        catalog = Catalog.open(command.database)
        with catalog.read() as c:
            assert [one.fixed for one in find_affected(c, "X-0") or ()] == ["1.0"]
            assert find_affected(c, "X-9999") is None
        catalog.close()
    assert "10,000 records, 10,000 changed" in command.run(*words[2:]).err
