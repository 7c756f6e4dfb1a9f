"""Images made to harm: each is refused or unknown with its reason, and the good ones beside are read."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_registry import (
    OS_RELEASE,
    STATUS,
    BadRegistry,
    debian,
    layer,
    member,
    say,
    status,
    tar,
)
from bad_shop import Shop

from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import MANIFEST_LIMIT, OCI_INDEX, OCI_MANIFEST

NESTED = b'{"a":' * 1000 + b"1" + b"}" * 1000
"""JSON, a thousand deep."""


def packed(*members: bytes) -> bytes:
    return gzip.compress(tar(*members), mtime=0)


# --- layers -------------------------------------------------------------------------------------

BAD_LAYERS = {
    "cut short": (debian(bad="1")[:-20], "ends in the midst of its compressed data"),
    "not packed as it says": (b"\x1f\x8b" + b"x" * 500, "is corrupt"),
    "not an archive": (gzip.compress(b"x" * 4000), "is no tar archive"),
    "a name that leads out": (
        packed(
            member("../../../etc/cron.d/x", b"* * * * * root x"), member(STATUS, status(bad="1"))
        ),
        "leads out of the tree",
    ),
    "an absolute name that leads out": (
        packed(member("/../etc/cron.d/x", b"x")),
        "leads out of the tree",
    ),
    "a hard link to outside": (
        packed(
            member("etc/os-release", OS_RELEASE),
            member(STATUS, kind=tarfile.LNKTYPE, target="../../../../etc/passwd"),
        ),
        "leads out of the tree",
    ),
    "a path of a thousand folders": (
        packed(
            member("p", b"2012 path=%s\n" % (b"a/" * 1000 + b"b"), kind=tarfile.XHDTYPE),
            member("x"),
        ),
        "folders",
    ),
    "a paragraph without a version": (
        debian({STATUS: status(one="1") + b"\nPackage: two\nStatus: install ok installed\n"}),
        "'two'",
    ),
    "a paragraph cut short": (debian({STATUS: status(one="1") + b"\nPacka"}), "without a colon"),
    "a status that is not text": (
        debian({STATUS: b"Package: \xff\xfe\nVersion: \xc3\x28\nStatus: install ok installed\n"}),
        "Package",
    ),
    "a status of zeros": (debian({STATUS: bytes(4000)}), "without a colon"),
}


def test_a_bad_layer_is_an_unknown_image(shop: Shop) -> None:
    bad = {
        case: shop.registry.tag("bad", shop.registry.add_image(content), f"{number}")
        for number, (case, (content, _)) in enumerate(BAD_LAYERS.items())
    }
    said = shop.sync()
    for number, (case, (_, reason)) in enumerate(BAD_LAYERS.items()):
        [told] = [line for line in said.err.splitlines() if str(bad[case]) in line]
        assert reason in told
        assert reason in shop.reason(f"bad:{number}"), case


def test_a_bad_layer_spoils_each_image_that_has_it_and_no_other(shop: Shop) -> None:
    broken = debian(bad="1")[:-20]
    for number in range(3):
        top = layer({f"srv/{number}": b"x"})
        shop.registry.tag("bad", shop.registry.add_image(broken, top), f"{number}")
        shop.registry.tag(
            "fine", shop.registry.add_image(debian(fine=f"{number}"), top), f"{number}"
        )
    shop.sync()
    for number in range(3):
        assert "ends in the midst" in shop.reason(f"bad:{number}")
        assert shop.command.packages(f"{shop.host}/fine:{number}") == {"fine": f"{number}"}


def test_absolute_names_mean_the_same_as_relative_ones(shop: Shop) -> None:
    content = packed(
        member("/etc/os-release", OS_RELEASE), member(f"//./{STATUS}", status(absolute="1.0-1"))
    )
    shop.registry.tag("absolute", shop.registry.add_image(content))
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/absolute:1") == {"absolute": "1.0-1"}


def test_a_link_reads_nothing_of_this_machine(shop: Shop) -> None:
    targets = ["/etc/passwd", "../../../../../../etc/passwd", "/proc/self/environ"]
    for number, target in enumerate(targets):
        link = member(STATUS, kind=tarfile.SYMTYPE, target=target)
        content = packed(member("etc/os-release", OS_RELEASE), link)
        shop.registry.tag("bad", shop.registry.add_image(content), f"{number}")
    shop.sync(expect=0)
    for number in range(len(targets)):
        assert "is a link to" in shop.reason(f"bad:{number}")


def test_links_in_a_circle(shop: Shop) -> None:
    content = packed(member(STATUS, kind=tarfile.SYMTYPE, target="status"))
    shop.registry.tag("bad", shop.registry.add_image(content))
    shop.sync()
    assert "40 symbolic links" in shop.reason("bad:1")


NASTY_FILES = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="De\0bian \xff\xfe \xed\xa0\x80"\n',
    "etc/apt/sources.list": b"deb https://apt.example.org/\0\xff b\0\xffookworm m\0ain\xff\n\xfe\n",
    "etc/apt/sources.list.d/x.sources": b"Types: deb\nURIs: https://\0.example.org/\xff\nSuites: \0x\xff\n"
    b"Components: \0\nSigned-By: /\0\xff\n",
    "etc/apt/preferences": b"Package: \0\xff\nPin: release a=\0\xff\nPin-Priority: 1\0\n\n\xff\n",
    "etc/apt/trusted.gpg.d/\xff.asc": b"\0\xff",
}


def test_text_that_is_none_harms_nobody(shop: Shop) -> None:
    shop.registry.tag("bad", shop.registry.add_image(debian(NASTY_FILES, nasty="1.0-1")))
    shop.sync(expect=0)
    found = shop.command.show(f"{shop.host}/bad:1")
    assert found["verdict"]["status"] == "unknown"
    assert {item["package"] for item in found["packages"]} == {"nasty"}
    shop.command.run("show", f"{shop.host}/bad:1")
    shop.command.run("refresh", "apt")
    shop.command.run("outdated", "--all")


# --- what is too much ---------------------------------------------------------------------------

COMMAND = [sys.executable, "-c", "from imagecatalog.cli.main import main; raise SystemExit(main())"]
# Starts the rest of its words and writes the peak of their memory in KiB, and the CPU time in
# seconds. A process of its own, as Linux lets the peak of a new process begin with that of the one
# which started it.
WATCH = """
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, ended, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as told:
    told.write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")
raise SystemExit(os.waitstatus_to_exitcode(ended))
"""


def sync_measured(shop: Shop, folder: Path, *, seconds: float, megabytes: int) -> str:
    """Sync in a process of its own, within bounds of CPU time and of memory; what it said."""
    shop.registry.tag("good", shop.registry.add_image(debian(good="2.0-1")))
    with (folder / "stderr").open("w+") as err, (folder / "stdout").open("w+") as out:
        words = [*COMMAND, "--database", shop.command.database, "sync", shop.registry.url]
        watched = [sys.executable, "-c", WATCH, str(folder / "peak"), *words]
        process = subprocess.run(watched, stdout=out, stderr=err, check=False)
        said = Path(err.name).read_text()
        assert process.returncode == 1, said
        assert Path(out.name).read_text() == ""
    assert "Traceback" not in said
    peak, spent = map(float, (folder / "peak").read_text().split())
    assert 10 * 1024 < peak < megabytes * 1024, f"{peak} KiB"
    assert spent < seconds
    assert shop.command.packages(f"{shop.host}/good:1") == {"good": "2.0-1"}
    assert shop.command.show(f"{shop.host}/earlier:1") == shop.earlier
    return said


def bomb() -> bytes:
    """Ten gigabytes of zeros in ten megabytes: a file within an archive, in gzip members."""
    info = tarfile.TarInfo(STATUS + ".old")
    info.size = 10 << 30
    zeros = gzip.compress(bytes(64 << 20), mtime=0)
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT)) + zeros * 160 + gzip.compress(bytes(1024))


def test_a_bomb_of_ten_gigabytes(shop: Shop, tmp_path: Path) -> None:
    content = bomb()
    assert len(content) < 11 << 20
    for number in range(8):  # all of them at once
        shop.registry.tag(
            f"bomb{number}", shop.registry.add_image(layer({f"{number}": b""}), content)
        )
    said = sync_measured(shop, tmp_path, seconds=30, megabytes=300)
    assert said.count("failed: ") == 8
    for number in range(8):
        assert "as a bomb does" in shop.reason(f"bomb{number}:1")


def test_a_million_tiny_files(shop: Shop, tmp_path: Path) -> None:
    some = b"".join(member(f"srv/{os.urandom(12).hex()}") for _ in range(1000))
    content = gzip.compress(some) * 1000 + gzip.compress(bytes(1024))
    shop.registry.tag("many", shop.registry.add_image(content))
    sync_measured(shop, tmp_path, seconds=60, megabytes=300)
    assert "1000000 entries or more" in shop.reason("many:1")


# --- wrong digests ------------------------------------------------------------------------------


def other(content: bytes) -> bytes:
    """As many bytes, of which one differs."""
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


LIES: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": other,
    "more bytes": lambda truth: truth + b" ",
    "fewer bytes": lambda truth: truth[:-1],
}


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_bytes_that_are_not_those_of_their_digest(shop: Shop, part: str) -> None:
    digests = {}
    for number, (lie, spoil) in enumerate(LIES.items()):
        config = json.dumps({"os": "linux", "architecture": "amd64", "a": lie}).encode()
        content = debian(bad=f"{number}")
        target = shop.registry.add_image(content, config=config)
        bad = shop.registry.tag("bad", target, f"{number}")
        manifest = shop.registry.manifests[bad][1]
        truth = {"layer": content, "config": config, "manifest": manifest}[part]
        digests[number] = Digest.of(truth)
        kind = OCI_MANIFEST if part == "manifest" else "application/octet-stream"
        pattern = f"GET /v2/bad/(blobs|manifests)/{digests[number]}"
        shop.registry.lies[pattern] = say(spoil(truth), kind)
    said = shop.sync()
    assert said.err.count("failed: ") == 3
    for number, digest in digests.items():
        assert digest in shop.reason(f"bad:{number}")

    shop.registry.lies.clear()  # well again: the next sync reads them
    shop.command.run("sync", shop.registry.url)
    for number in digests:
        assert shop.command.packages(f"{shop.host}/bad:{number}") == {"bad": f"{number}"}


# --- manifests ----------------------------------------------------------------------------------


def test_a_manifest_of_more_than_four_megabytes(shop: Shop) -> None:
    target = shop.registry.add_image(debian(bad="1"))
    document = json.loads(shop.registry.manifests[Digest(target["digest"])][1])
    document["annotations"] = {"a": "x" * MANIFEST_LIMIT}
    shop.registry.tag("bad", shop.registry.add_manifest(document, OCI_MANIFEST))
    shop.sync()
    assert "4194304" in shop.reason("bad:1")


DEEP: dict[str, Callable[[BadRegistry], dict[str, Any]]] = {
    "manifest": lambda registry: registry.add_manifest(NESTED, OCI_MANIFEST),
    "index": lambda registry: registry.add_manifest(NESTED + b" ", OCI_INDEX),
    "config": lambda registry: registry.add_image(debian(bad="1"), config=NESTED),
}


def test_json_nested_a_thousand_deep(shop: Shop) -> None:
    for part, make in DEEP.items():
        shop.registry.tag("bad", make(shop.registry), part)
    shop.sync()
    for part in DEEP:
        assert "nested more than 64 deep" in shop.reason(f"bad:{part}")


GARBAGE = {
    "no JSON": b"<html>",
    "nothing": b"",
    "another kind": b"[]",
    "invalid UTF-8": b'{"schemaVersion":2,"mediaType":"\xff\xfe","config":{}}',
    "half a surrogate": b'{"schemaVersion":2,"mediaType":"\\ud800","manifests":[]}',
    "both": b'{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}',
    "no digest": b'{"schemaVersion":2,"config":{"digest":"../../etc/passwd"},"layers":[]}',
    "zeros": bytes(2000),
    "huge numbers": b'{"schemaVersion":2,"config":{"size":' + b"9" * 4000 + b'},"layers":[]}',
}


def test_a_manifest_that_is_none(shop: Shop) -> None:
    bad = [
        shop.registry.tag("bad", shop.registry.add_manifest(body, OCI_MANIFEST), f"{number}")
        for number, body in enumerate(GARBAGE.values())
    ]
    said = shop.sync()
    for number, digest in enumerate(bad):
        assert f"bad@{digest}" in said.err
        assert str(digest) in shop.reason(f"bad:{number}")


def test_a_config_that_is_none(shop: Shop) -> None:
    for number, config in enumerate(GARBAGE.values()):
        target = shop.registry.add_image(debian(bad="1"), config=config)
        shop.registry.tag("bad", target, f"{number}")
    said = shop.sync()
    assert said.err.count("failed: ") >= 5
    shop.command.run("outdated", "--all")


def test_a_config_of_odd_values(shop: Shop) -> None:
    config = {
        "os": "linux",
        "architecture": "amd\x0064",
        "variant": "v\x00",
        "created": "0001-02-03T00:00:00+23:00",
        "config": {"Labels": {"\x00": "\x00", "a": None}},
        "rootfs": {"diff_ids": []},
    }
    target = shop.registry.add_image(debian(odd="1.0-1"), config=json.dumps(config).encode())
    shop.registry.tag("odd", target)
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/odd:1") == {"odd": "1.0-1"}
    shop.command.run("show", f"{shop.host}/odd:1")


# --- indexes ------------------------------------------------------------------------------------

AMD64 = {"platform": {"os": "linux", "architecture": "amd64"}}


def test_an_index_that_names_itself(shop: Shop) -> None:
    """Its digest cannot be true, so a registry has to lie; also in a circle of two."""
    false = [Digest.of(b"%d" % number) for number in range(3)]
    circle = {false[0]: false[0], false[1]: false[2], false[2]: false[1]}
    for name, target in circle.items():
        entry = {"mediaType": OCI_INDEX, "digest": target, "size": 300}
        body = json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry | AMD64]}
        )
        shop.registry.manifests[name] = OCI_INDEX, body.encode()
        shop.registry.tags.setdefault("bad", {})[name.encoded[:8]] = name
    around = {"mediaType": OCI_INDEX, "digest": false[0], "size": 300}
    fine = shop.registry.add_image(debian(fine="1.0-1"))
    shop.registry.tag("around", shop.registry.add_index(around, fine | AMD64))
    said = shop.sync()
    for name in false:
        assert "its bytes have the digest" in shop.reason(f"bad:{name.encoded[:8]}")
        assert str(name) in said.err
    # what is whole beside it in an index is read
    assert shop.command.packages(f"{shop.host}/around:1") == {"fine": "1.0-1"}


def nest(registry: BadRegistry, name: str, depth: int) -> dict[str, Any]:
    """An image within so many indexes."""
    target = registry.add_image(debian(**{name: "1.0-1"})) | AMD64
    for _ in range(depth):
        target = registry.add_index(target)
    return target


def test_an_index_of_indexes(shop: Shop) -> None:
    for depth in (1, 2, 3):
        shop.registry.tag("nested", nest(shop.registry, f"deep{depth}", depth), f"{depth}")
    shop.sync(expect=0)
    for depth in (1, 2, 3):
        name = f"{shop.host}/nested:{depth}"
        assert shop.command.packages(name) == {f"deep{depth}": "1.0-1"}


@pytest.mark.parametrize("depth", [4, 40])
def test_an_index_of_too_many_indexes(shop: Shop, depth: int) -> None:
    shop.registry.tag("nested", nest(shop.registry, "deep", depth))
    said = shop.sync()
    assert "nested more than 3 deep" in said.err
    assert "nested more than 3 deep" in shop.reason("nested:1")


def test_an_index_without_end_of_members(shop: Shop) -> None:
    members = [
        {"mediaType": OCI_MANIFEST, "digest": Digest.of(b"%d" % n), "size": 9} for n in range(1001)
    ]
    shop.registry.tag("bad", shop.registry.add_index(*members))
    shop.sync()
    assert "1001 manifests" in shop.reason("bad:1")


def test_a_bad_member_leaves_the_others_of_its_index(shop: Shop) -> None:
    arm = {"platform": {"os": "linux", "architecture": "arm64"}}
    config = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    bad = shop.registry.add_image(debian(bad="1")[:-20], config=config)
    lost = {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(b"lost")), "size": 9}
    fine = shop.registry.add_image(debian(fine="1.0-1"))
    shop.registry.tag("mixed", shop.registry.add_index(bad | arm, lost | arm, fine | AMD64))
    said = shop.sync()
    assert bad["digest"] in said.err
    assert shop.command.packages(f"{shop.host}/mixed:1") == {"fine": "1.0-1"}
