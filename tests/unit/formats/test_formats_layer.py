"""Layers as builders write them: compressions, tar dialects, and which entries are kept."""

import gzip
import io
import subprocess
import sys
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.domain.contents import LayerEntry
from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import CatalogError
from imagecatalog.formats.layer import Limits, read_layer
from imagecatalog.formats.tar import TarReader
from imagecatalog.formats.unpack import Unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STATUS = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\n\n"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def make_tar(entries, dialect=tarfile.PAX_FORMAT) -> bytes:
    """A tar of ``{name: bytes, or None for a folder, or ("sym" | "hard", target)}``."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w", format=dialect) as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                info.type = tarfile.SYMTYPE if content[0] == "sym" else tarfile.LNKTYPE
                info.linkname = content[1]
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return body.getvalue()


def read(layer: bytes, media_type: str = GZIP, **limits) -> tuple[LayerEntry, ...]:
    descriptor = Descriptor(media_type, Digest.of(layer), len(layer))
    return read_layer(io.BytesIO(layer), descriptor, limits=Limits(**limits))


def paths(layer: bytes) -> list[tuple[str, str]]:
    return [(entry.kind, entry.path) for entry in read(layer)]


WANTED = {
    "etc/os-release": b"ID=debian\n",
    "usr/bin/bash": b"\x7fELF" * 100,
    "var/lib/dpkg/status": STATUS,
    "etc/apt/sources.list": b"deb http://apt.example.org/debian bookworm main\n",
}


def cut_members(data: bytes) -> bytes:
    """Each kilobyte a gzip member of its own, as eStargz and pigz make them."""
    return b"".join(gzip.compress(data[at : at + 1000]) for at in range(0, len(data), 1000))


def pad(data: bytes) -> bytes:
    return gzip.compress(data) + bytes(700)


def cut_frames(data: bytes) -> bytes:
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    frames = (zstd.compress(data[at : at + 1000]) for at in range(0, len(data), 1000))
    return skippable + b"".join(frames) + skippable


@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, pad, cut_members, zstd.compress, cut_frames],
)
@pytest.mark.parametrize("media_type", [GZIP, "application/vnd.oci.image.layer.v1.tar+zstd", "x/y"])
def test_compression_is_told_by_the_bytes_alone(pack, media_type):
    entries = read(pack(make_tar(WANTED)), media_type)
    assert [entry.path for entry in entries] == [name for name in WANTED if "bash" not in name]
    assert entries[0].data == b"ID=debian\n"
    assert entries[1].data is None
    assert entries[1].database is not None
    assert entries[1].database.packages[0].name == "bash"


def test_a_stream_may_give_few_bytes_at_a_time():
    class Dripping(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    for layer in (
        make_tar(WANTED),
        gzip.compress(make_tar(WANTED)),
        zstd.compress(make_tar(WANTED)),
    ):
        descriptor = Descriptor(GZIP, Digest.of(layer), len(layer))
        stream = Dripping(layer)
        assert read_layer(stream, descriptor) == read(layer)
        assert stream.tell() == len(layer)


def test_what_is_wanted():
    wanted = [
        "etc/os-release",
        "usr/lib/os-release",
        "etc/debian_version",
        "var/lib/dpkg/status.d/base-files",
        "var/lib/dpkg/arch",
        "usr/lib/dpkg/status",
        "etc/apt/sources.list.d/a.sources",
        "etc/apt/sources.list.d/a.list",
        "etc/apt/preferences",
        "etc/apt/preferences.d/pin",
        "etc/apt/trusted.gpg",
        "etc/apt/trusted.gpg.d/a.asc",
        "etc/apt/keyrings/b",
        "usr/share/keyrings/debian-archive-keyring.gpg",
        "lib/apk/db/installed",
        "var/lib/rpm/rpmdb.sqlite",
    ]
    unwanted = [
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/status.d/base-files.md5sums",
        "var/lib/dpkg/info/bash.list",
        "etc/apt/sources.list.d/a.list.save",
        "etc/apt/sources.list.d/sub/a.list",
        "etc/passwd",
        "srv/chroot/etc/os-release",
    ]
    layer = make_tar(dict.fromkeys([*unwanted, *wanted], b"x"))
    assert paths(layer) == [("file", name) for name in wanted]


def test_whiteouts_links_and_folders_that_touch_wanted_paths():
    layer = make_tar(
        [
            ("etc", None),
            ("opt", None),
            ("lib", ("sym", "usr/lib")),
            ("var/lib/dpkg", ("sym", "../../usr/lib/dpkg")),
            ("etc/apt/.wh..wh..opq", b""),
            ("opt/.wh..wh..opq", b""),
            ("usr/share/doc/.wh.bash", b""),
            ("var/cache/.wh..wh..opq", b""),
            ("etc/.wh.apt", b""),
            ("var/lib/dpkg/.wh.status", b""),
            ("var/lib/dpkg/.wh.status-old", b""),
            (".wh.var", b""),
            (".wh.home", b""),
            (".wh..wh..opq", b""),
            (".wh.", b""),
            (".wh..wh.plnk", None),
            ("etc/os-release", ("hard", "./usr/lib/os-release")),
        ]
    )
    assert read(layer) == (
        LayerEntry("etc", "directory"),
        LayerEntry("lib", "link", target="usr/lib"),
        LayerEntry("var/lib/dpkg", "link", target="../../usr/lib/dpkg"),
        LayerEntry("etc/apt", "opaque"),
        LayerEntry("opt", "opaque"),
        LayerEntry("etc/apt", "whiteout"),
        LayerEntry("var/lib/dpkg/status", "whiteout"),
        LayerEntry("var/lib/dpkg/status-old", "whiteout"),
        LayerEntry("var", "whiteout"),
        LayerEntry("home", "whiteout"),
        LayerEntry("", "opaque"),
        LayerEntry("etc/os-release", "file", target="usr/lib/os-release"),
    )


@pytest.mark.parametrize("name", ["./etc/os-release", "/etc/os-release", "etc//./x/../os-release"])
def test_one_path_has_many_names(name):
    assert [entry.path for entry in read(make_tar({name: b"ID=a"}))] == ["etc/os-release"]


def test_a_device_or_folder_in_place_of_a_file_is_there_unread():
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, kind in (("etc/os-release", tarfile.CHRTYPE), ("etc/apt", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            archive.addfile(info)
    assert read(body.getvalue()) == (
        LayerEntry("etc/os-release", "file"),
        LayerEntry("etc/apt", "file"),
    )


def test_a_keyring_too_large_is_there_unread():
    layer = make_tar(
        {"usr/share/keyrings/debian-keyring.gpg": bytes(2 << 20), "etc/os-release": b"ID=a"}
    )
    assert [(entry.path, entry.data) for entry in read(layer)] == [
        ("usr/share/keyrings/debian-keyring.gpg", None),
        ("etc/os-release", b"ID=a"),
    ]


def test_an_archive_without_its_end_marker_is_whole():
    member = make_tar({"etc/os-release": b"ID=a"})[:1024]
    assert paths(member) == [("file", "etc/os-release")]
    assert read(b"") == ()
    assert read(bytes(1024)) == ()


DIALECTS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
names = st.text("ab/.é", min_size=1, max_size=120).filter(lambda name: name.strip("/"))
contents = st.one_of(
    st.none(), st.binary(max_size=1200), st.tuples(st.sampled_from(["sym", "hard"]), names)
)


@settings(max_examples=150)
@given(st.lists(st.tuples(names, contents), max_size=6), st.sampled_from(["gnu", "pax"]))
def test_members_are_those_that_tarfile_finds(entries, dialect):
    data = make_tar(entries, DIALECTS[dialect])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [
            (
                info.name,
                info.linkname,
                archive.extractfile(info).read() if info.isreg() else b"",
            )
            for info in archive
        ]
    reader = TarReader(Unpacked(io.BytesIO(data), "test", Limits()), "test")
    found = [
        (
            member.name.decode().rstrip("/"),
            member.target.decode(),
            reader.read_body(member) if member.type == b"0" else b"",
        )
        for member in reader
    ]
    assert found == [(name.rstrip("/"), link, body) for name, link, body in expected]


def test_sizes_beyond_the_octal_field_and_ustar_prefixes():
    long = "usr/share/" + "x" * 90 + "/" + "y" * 90
    for dialect in DIALECTS.values():
        assert paths(make_tar({long: b"1", "etc/os-release": b"2"}, dialect)) == [
            ("file", "etc/os-release")
        ]
    info = tarfile.TarInfo("big")
    info.size = 9 << 30
    header = info.tobuf(tarfile.GNU_FORMAT)
    reader = TarReader(Unpacked(io.BytesIO(header), "test", Limits()), "test")
    assert next(iter(reader)).size == 9 << 30


@pytest.mark.parametrize("form", ["gnu", "pax --sparse-version=1.0", "pax --sparse-version=0.1"])
def test_gnu_tars_sparse_files_are_stepped_over(form, tmp_path):
    with (tmp_path / "holes").open("wb") as stream:
        for position in range(0, 60 << 16, 1 << 16):  # more pieces than one header has room for
            stream.seek(position)
            stream.write(b"data" * 1024)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_bytes(b"ID=debian\n")
    command = ["tar", "--sparse", f"--format={form.split()[0]}", *form.split()[1:]]
    command += ["-cf", "-", "-C", str(tmp_path), "holes", "etc/os-release"]
    layer = subprocess.run(command, check=True, capture_output=True).stdout
    assert read(layer) == (LayerEntry("etc/os-release", "file", data=b"ID=debian\n"),)


def _mutate(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in edits:
        changed[at % len(changed)] = value
    return bytes(changed)


_SEEDS = [
    pack(make_tar(WANTED | {"n" * 200: b"x", "lib": ("sym", "usr/lib")}, dialect))
    for pack in (bytes, gzip.compress, zstd.compress)
    for dialect in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
]


@settings(max_examples=200)
@given(
    st.binary(max_size=2000)
    | st.binary(max_size=100).map(gzip.compress)
    | st.binary(max_size=100).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail)
    | st.builds(
        _mutate,
        st.sampled_from(_SEEDS),
        st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=8),
    )
    | st.builds(lambda seed, end: seed[: end % len(seed)], st.sampled_from(_SEEDS), st.integers(0))
)
def test_any_bytes_give_entries_or_an_error_of_ours(data):
    try:
        read(data)
    except CatalogError as error:
        assert str(Digest.of(data)) in str(error)  # noqa: PT017
