"""Names of images: what Docker, containerd and the runtimes write, and what is refused."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.images import Descriptor
from imagecatalog.domain.refs import (
    Digest,
    Platform,
    Reference,
    ReportedImage,
    decode_hook,
    encode_hook,
    parse_image_id,
)
from imagecatalog.errors import BadName

HEX = hashlib.sha256(b"an image").hexdigest()
SHA256 = f"sha256:{HEX}"

# --- digests ------------------------------------------------------------------------------------

_HEX_SIZES = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}
known_digests = st.sampled_from(sorted(_HEX_SIZES)).flatmap(
    lambda name: st.binary(min_size=_HEX_SIZES[name] // 2, max_size=_HEX_SIZES[name] // 2).map(
        lambda raw: f"{name}:{raw.hex()}"
    )
)
_parts = st.lists(st.text("az09", min_size=1, max_size=4), min_size=1, max_size=3)
other_digests = st.builds(
    lambda parts, separator, encoded: f"{separator.join(parts)}:{encoded}",
    _parts,
    st.sampled_from("+._-"),
    st.text("azAZ09=_-", min_size=1, max_size=60),
)


@given(known_digests | other_digests)
def test_every_digest_survives_packing(text: str) -> None:
    digest = Digest.parse(text)
    assert digest == text
    assert f"{digest.algorithm}:{digest.encoded}" == text
    assert Digest.unpack(digest.packed()) == digest
    assert type(Digest.unpack(digest.packed())) is Digest


@given(st.lists(known_digests | other_digests, unique=True))
def test_packed_digests_are_as_different_as_the_digests(texts: list[str]) -> None:
    assert len({Digest(text).packed() for text in texts}) == len(texts)


@given(st.binary(max_size=70))
def test_what_unpacks_was_packed(packed: bytes) -> None:
    try:
        digest = Digest.unpack(packed)
    except BadName:
        return
    assert digest.packed() == packed


def test_packed_forms_are_kept_for_ever() -> None:
    assert Digest(SHA256).packed() == b"\x01" + bytes.fromhex(HEX)
    assert Digest("sha512:" + "ab" * 64).packed() == b"\x02" + b"\xab" * 64
    assert Digest("blake3:" + "ab" * 32).packed() == b"\x03" + b"\xab" * 32
    assert Digest("sha384:" + "ab" * 48).packed() == b"\x04" + b"\xab" * 48
    assert Digest("multihash+base58:QmRZxt2b1").packed() == b"\0multihash+base58:QmRZxt2b1"


def test_what_can_be_verified() -> None:
    assert Digest.of(b"an image") == SHA256
    for name in ("sha256", "sha384", "sha512"):
        digest = Digest(f"{name}:{hashlib.new(name, b'x').hexdigest()}")
        assert digest.verifiable
        hasher = digest.hasher()
        hasher.update(b"x")
        assert hasher.hexdigest() == digest.encoded
    for text in ("blake3:" + "0" * 64, "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564"):
        assert not Digest(text).verifiable
        with pytest.raises(BadName, match="cannot be verified"):
            Digest(text).hasher()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        HEX,
        SHA256[:-1],
        SHA256 + "0",
        SHA256.upper(),
        f"sha256:{HEX.upper()}",
        f"sha256:{HEX[:-1]}g",
        f"{SHA256}\n",
        f" {SHA256}",
        f"sha512:{HEX}",
        "sha256:../../etc/passwd",
        "../x:abc",
        "md5:a/b",
        "a..b:c",
        "x:" + "a" * 300,
        "sha256:" + "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
    ],
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(BadName):
        Digest.parse(text)


def test_digests_pass_through_msgspec() -> None:
    whole = Descriptor("x/y", Digest(SHA256), 3, Platform.parse("linux/arm64/v8"), {"a": "b"})
    for codec in (msgspec.json, msgspec.msgpack):
        written = codec.encode(whole, enc_hook=encode_hook)
        again = codec.decode(written, type=Descriptor, dec_hook=decode_hook)
        assert again == whole
        assert type(again.digest) is Digest
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"media_type":"x","digest":7,"size":1}', type=Descriptor, dec_hook=decode_hook
        )


# --- platforms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("Linux/AMD64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/arm/V5", "linux/arm/v5"),
        ("macos/arm64", "darwin/arm64"),
        ("arm64", "linux/arm64"),
        ("linux/ppc64le", "linux/ppc64le"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
        ("windows()/amd64", "windows/amd64"),
        ("unknown/unknown", "unknown/unknown"),
    ],
)
def test_platforms_as_containerd_has_them(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "linux",
        "windows(10)",
        "linux/",
        "linux/arm/v7/x",
        "li nux/amd64",
        "a/b\n",
        "(1)/amd64",
    ],
)
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(BadName):
        Platform.parse(text)


_word = st.text("azAZ09_-", min_size=1, max_size=8) | st.sampled_from(["linux", "macos"])
_value = st.text("azAZ09_.-", min_size=1, max_size=8) | st.sampled_from(["arm", "arm64", "8"])


@given(
    st.builds(
        Platform,
        os=_word,
        architecture=_value,
        variant=st.none() | _value,
        os_version=st.none() | _value,
        os_features=st.lists(_value, max_size=3).map(tuple),
    )
)
def test_platforms_come_back_from_their_text(platform: Platform) -> None:
    assert Platform.parse(str(platform)) == platform
    again = msgspec.json.decode(msgspec.json.encode(platform), type=Platform)
    assert again == platform


# --- references ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole", "familiar"),
    [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
        ("library/nginx", "docker.io/library/nginx", "nginx"),
        ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("team/app:1", "docker.io/team/app:1", "team/app:1"),
        (f"nginx@{SHA256}", f"docker.io/library/nginx@{SHA256}", f"nginx@{SHA256}"),
        (f"nginx:1@{SHA256}", f"docker.io/library/nginx:1@{SHA256}", f"nginx:1@{SHA256}"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("registry:5000/a/b/c", "registry:5000/a/b/c", "registry:5000/a/b/c"),
        ("registry:5000", "docker.io/library/registry:5000", "registry:5000"),
        ("Registry.Example/app", "registry.example/app", "registry.example/app"),
        ("Host/app", "host/app", None),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app", "127.0.0.1:5000/app"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1", "[::1]:5000/app:1"),
        ("docker.io/localhost/app", "docker.io/localhost/app", "docker.io/localhost/app"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("a.b/c__d/e-f/g--h", "a.b/c__d/e-f/g--h", "a.b/c__d/e-f/g--h"),
        ("a.b/c:_x.Y-Z", "a.b/c:_x.Y-Z", "a.b/c:_x.Y-Z"),
    ],
)
def test_references_as_docker_reads_them(text: str, whole: str, familiar: str | None) -> None:
    reference = Reference.parse(text)
    assert str(reference) == whole
    if familiar is not None:
        assert reference.familiar() == familiar


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nginx",
        "team/App",
        "a.b/App",
        "nginx:",
        "nginx@",
        "nginx@sha256:abc",
        ":tag",
        "/nginx",
        "a.b/",
        "a.b//c",
        "a.b/../c",
        "a.b/.c",
        "a.b/c___d",
        "a.b/c_",
        "-a.b/c",
        "a..b/c",
        "a.b:port/c",
        "a.b:/c",
        "nginx:a b",
        "nginx:.x",
        "nginx:tag\n",
        "nginx:tág",
        "nginx:" + "x" * 129,
        "a.b/" + "x" * 252,
        HEX,
        "https://a.b/c",
        "user@a.b/c",
        "a.b/c@x@y",
        "a.b/\0",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(BadName):
        Reference.parse(text)


def test_the_longest_names() -> None:
    assert len(Reference.parse("a.b/" + "x" * 251).name) == 255
    assert Reference.parse("nginx:" + "x" * 128).tag == "x" * 128


def _joined(separators: str, alphabet: str, most: int) -> st.SearchStrategy[str]:
    words = st.lists(st.text(alphabet, min_size=1, max_size=4), min_size=1, max_size=most)
    return st.builds(str.join, st.sampled_from(separators.split()), words)


_hosts = _joined(".", "az09", 3).map(lambda host: f"{host}.example")
_registries = st.sampled_from(["docker.io", "localhost", "[::1]", "host:5000"]) | st.builds(
    lambda host, port: f"{host}{port}", _hosts | st.just("[fe80::1]"), st.sampled_from(["", ":443"])
)
_paths = st.lists(_joined(". _ __ - ---", "az09", 3), min_size=1, max_size=4).map("/".join)
_tags = st.builds(str.__add__, st.sampled_from("aZ0_"), st.text("aZ0_.-", max_size=20))


@given(_registries, _paths, st.none() | _tags, st.none() | known_digests)
def test_references_come_back_from_either_text(
    registry: str, path: str, tag: str | None, digest: str | None
) -> None:
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    reference = Reference(registry, path, tag, Digest(digest) if digest else None)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar()) == reference
    assert len(reference.familiar()) <= len(str(reference))


@given(st.text(max_size=300))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except BadName:
        return
    assert Reference.parse(str(reference)) == reference
    assert len(reference.name) <= 255


# --- what runtimes report -----------------------------------------------------------------------

NOTHING = ReportedImage(None, None, None)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("", NOTHING),
        ("   ", NOTHING),
        (f"docker-pullable://nginx@{SHA256}", ReportedImage(Digest(SHA256), "docker.io/library/nginx", is_config=False)),
        (f"a.b:5000/team/app@{SHA256}", ReportedImage(Digest(SHA256), "a.b:5000/team/app", is_config=False)),
        (f"a.b/app:1@{SHA256}", ReportedImage(Digest(SHA256), "a.b/app:1", is_config=False)),
        (f"docker://{SHA256}", ReportedImage(Digest(SHA256), None, is_config=True)),
        (SHA256, ReportedImage(Digest(SHA256), None, is_config=True)),
        (HEX, ReportedImage(Digest(SHA256), None, is_config=True)),
        ("sha512:" + "a" * 128, ReportedImage(Digest("sha512:" + "a" * 128), None, is_config=True)),
        ("registry.k8s.io/pause:3.9", ReportedImage(None, "registry.k8s.io/pause:3.9", None)),
        ("docker.io/library/nginx", ReportedImage(None, "docker.io/library/nginx", None)),
        (f"docker-pullable://nginx@sha256:{HEX[:-1]}", NOTHING),
        ("sha256:short", NOTHING),
        ("docker-pullable://", NOTHING),
        ("\0\0", NOTHING),
    ],
)  # fmt: skip
def test_image_ids_of_every_runtime(text: str, reported: ReportedImage) -> None:
    assert parse_image_id(text) == reported


@given(st.text(max_size=200))
def test_no_image_id_raises(text: str) -> None:
    for prefix in ("", "docker://", "docker-pullable://", "sha256:"):
        parse_image_id(prefix + text)
