"""Layers made to harm a reader: each ends in its own named error, soon and in little memory."""

import gzip
import io
import itertools
import sys
import tarfile
import time
import tracemalloc
import zlib

import pytest

from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    TooCompressed,
    TooDeep,
    TooLarge,
    TooManyEntries,
    TooSlow,
    Truncated,
)
from imagecatalog.formats.layer import Limits, read_layer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLACE = Digest.of(b"")


def header(name="x", size=0, kind=tarfile.REGTYPE, link="", dialect=tarfile.GNU_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(dialect)


def member(name, body=b"", kind=tarfile.REGTYPE) -> bytes:
    return header(name, len(body), kind) + body + bytes(-len(body) % 512)


def archive(*members: bytes) -> bytes:
    return b"".join(members) + bytes(1024)


def read(layer, clock=time.monotonic, **limits):
    stream = layer if hasattr(layer, "read") else io.BytesIO(layer)
    return read_layer(stream, Descriptor("x", PLACE, -1), limits=Limits(**limits), clock=clock)


class Stream(io.RawIOBase):
    """Bytes that are made as they are read."""

    def __init__(self, chunks):
        self.chunks, self.rest, self.given = filter(None, chunks), b"", 0

    def read(self, size=-1):
        while len(self.rest) < size and (chunk := next(self.chunks, b"")):
            self.rest += chunk
        data, self.rest = self.rest[:size], self.rest[size:]
        self.given += len(data)
        return data


def refuse(layer, error, sentence="", *, peak=40 << 20, seconds=20.0, **limits):
    """Check that reading ends in this very error, within bounds of memory and time."""
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(error) as caught:
        read(layer, **limits)
    spent = time.process_time() - start
    _, used = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert type(caught.value) is error
    assert sentence in str(caught.value)
    assert str(PLACE) in str(caught.value)
    assert len(str(caught.value)) < 600
    assert used < peak
    assert spent < seconds


ZEROS = [bytes(1 << 20)] * 10240


def pack_gzip(chunks):
    packer = zlib.compressobj(9, wbits=31)
    yield from map(packer.compress, chunks)
    yield packer.flush()


def pack_zstd(chunks):
    packer = zstd.ZstdCompressor()
    yield from map(packer.compress, chunks)
    yield packer.flush()


@pytest.mark.parametrize("pack", [pack_gzip, pack_zstd])
def test_ten_gigabytes_of_zeros(pack):
    start = header("bomb", 10 << 30)
    stream = Stream(pack(itertools.chain([start], ZEROS)))
    refuse(stream, TooCompressed, "200 times")
    assert stream.given < 4 << 20


def test_zeros_after_the_end_of_the_archive():
    stream = Stream(pack_gzip(itertools.chain([archive()], ZEROS)))
    refuse(stream, TooCompressed)


def test_a_bomb_within_a_wanted_file():
    layer = gzip.compress(header("var/lib/dpkg/status", 65 << 20) + bytes(1 << 20))
    refuse(layer, TooLarge, "var/lib/dpkg/status has")
    small = b"".join(member(f"etc/apt/keyrings/{number}", bytes(1 << 20)) for number in range(40))
    refuse(
        gzip.compress(archive(small), mtime=0),
        TooLarge,
        "package and apt files",
        total=8 << 20,
        peak=200 << 20,
    )


def test_more_bytes_than_we_read():
    refuse(
        Stream([header("big", 10 << 30), *ZEROS]), TooLarge, "unpacks to more", unpacked=64 << 20
    )


def test_a_million_tiny_files():
    assert Limits().entries == 1_000_000
    tiny = gzip.compress(member("srv/file", b"x") * 1000)
    stream = Stream(itertools.repeat(tiny))
    refuse(stream, TooManyEntries, "15000 entries", entries=15_000, peak=4 << 20)
    assert stream.given < 16 * len(tiny) + (1 << 17)


def test_many_wanted_files():
    tiny = (member(f"etc/apt/keyrings/{number}", b"x") for number in itertools.count())
    refuse(Stream(tiny), TooManyEntries, "more than 3000 package and apt files", kept=3000)


def test_too_slow():
    clock = itertools.count(0, 100.0)
    with pytest.raises(TooSlow, match="3600 seconds"):
        read(Stream([header("big", 10 << 30), *ZEROS]), clock=lambda: next(clock))


@pytest.mark.parametrize("kind", [b"x", b"L", b"K"])
def test_an_extended_header_of_gigabytes(kind):
    refuse(Stream([header("x", 4 << 30, kind), *ZEROS]), TooLarge, "extended header")


def test_an_endless_map_of_a_sparse_file():
    block = bytearray(header("x", 0, b"S"))
    block[482] = 1
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    more = bytes(504) + b"\1" + bytes(7)
    refuse(Stream([bytes(block), *[more * 2048] * 100]), TooLarge, unpacked=64 << 20)


def test_paths_too_long_and_too_deep():
    long = b"5011 path=%s\n" % (b"a" * 5000)
    refuse(archive(member("p", long, b"x"), member("x")), TooDeep, "5000 bytes")
    deep = b"a/" * 400
    record = b"810 path=%s\n" % deep
    refuse(archive(member("p", record, b"x"), member("x")), TooDeep, "400 folders")


@pytest.mark.parametrize(
    "name", ["../etc/os-release", "/../x", "a/../../x", "..", "etc/../../etc/x"]
)
def test_names_that_lead_out_of_the_tree(name):
    refuse(archive(member(name, b"ID=x")), BadDocument, "leads out of the tree")


def test_hard_links_to_outside():
    layer = archive(header("etc/os-release", 0, tarfile.LNKTYPE, "../../etc/shadow"))
    refuse(layer, BadDocument, "leads out of the tree: ../../etc/shadow")
    [entry] = read(archive(header("etc/os-release", 0, tarfile.LNKTYPE, "/etc/shadow")))
    assert (entry.target, entry.data) == ("etc/shadow", None)


WHOLE = archive(member("usr/bin/x", b"x" * 9000), member("etc/os-release", b"ID=debian\n"))


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_packed_layer_cut_anywhere(pack):
    layer = pack(WHOLE)
    for end in range(4, len(layer)):
        with pytest.raises(Truncated):
            read(layer[:end])


def test_a_plain_layer_cut_within_a_member():
    for end in (700, 5000, 512 + 9216 + 100, 512 + 9216 + 520):
        refuse(WHOLE[:end], Truncated)


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_packed_layer_corrupt_anywhere(pack):
    layer = (
        pack(WHOLE)
        if pack is gzip.compress
        else zstd.compress(WHOLE, options={zstd.CompressionParameter.checksum_flag: 1})
    )
    expected = read(layer)
    for at in range(len(layer)):
        changed = layer[:at] + bytes([layer[at] ^ 0x55]) + layer[at + 1 :]
        try:
            assert read(changed) == expected, at  # a time or name in gzip's header
        except BadDocument:
            continue


def test_a_corrupt_header_is_not_the_end():
    first = member("usr/bin/x", b"x")
    layer = bytearray(archive(first, member("etc/os-release", b"ID=a")))
    layer[len(first) + 3] ^= 1
    refuse(bytes(layer), BadDocument, "a header's sum is wrong")


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (b"garbage", "ends in the midst"),
        (b"garbage" * 100, "no tar archive"),
        (b"{}" * 600, "no tar archive"),
        (b"\x1f\x8b" + b"garbage" * 100, "is corrupt"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, "is corrupt"),
        (gzip.compress(WHOLE, mtime=0) + b"garbage", "garbage after"),
        (gzip.compress(b"garbage" * 100, mtime=0), "no tar archive"),
        (bytes(512) + WHOLE, "lone block of zeros"),
        (archive(member("p", b"garbage\n", b"x"), member("x")), "malformed pax"),
        (archive(member("p", b"99 path=x\n", b"x"), member("x")), "malformed pax"),
        (archive(member("p", b"9" * 5000 + b" path=x\n", b"x"), member("x")), "malformed pax"),
        (archive(member("p", b"0 path=x\n", b"x"), member("x")), "malformed pax"),
        (archive(member("p", b"12 path=a\0b\n", b"x"), member("x")), "zero byte"),
        (archive(member("p", b"12 size=-17\n", b"x"), member("x")), "malformed size"),
        (archive(member("p", b"10 path=x\n", b"x")), "after an extended header"),
    ],
)
def test_garbage(layer, why):
    with pytest.raises(BadDocument, match=why):
        read(layer)


def test_a_number_below_zero_or_beyond_all_files():
    for size in (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-0000000001\0", b"12345678901x"):
        block = bytearray(header("x"))
        block[124:136] = size
        block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
        refuse(bytes(block) + bytes(1024), BadDocument, "number")


def test_a_stream_that_fails_passes_its_own_error():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        read(Broken())
