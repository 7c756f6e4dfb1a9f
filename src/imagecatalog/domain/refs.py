"""Names of images as people and runtimes write them: digests, platforms, references, image ids.

Grammars: OCI image specification 1.1 (descriptor.md, "Digests"), the reference grammar that Docker
and containerd share, containerd's platform specifiers. Nothing here touches a network.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple, Self

from msgspec import Struct
from msgspec.structs import force_setattr

from imagecatalog.errors import BadName

DEFAULT_REGISTRY = "docker.io"
NAME_LIMIT = 255
"""Characters of ``registry/path`` (OCI distribution specification, "Pulling manifests")."""
DIGEST_LIMIT = 255


class _Algorithm(NamedTuple):
    number: int
    name: str
    size: int


# The numbers stand in databases: they are never given away again.
_ALGORITHMS = (
    _Algorithm(1, "sha256", 32),
    _Algorithm(2, "sha512", 64),
    _Algorithm(3, "blake3", 32),
    _Algorithm(4, "sha384", 48),
)
_BY_NAME = {algorithm.name: algorithm for algorithm in _ALGORITHMS}
_SHA256 = bytes([_BY_NAME["sha256"].number])
_BY_NUMBER = {algorithm.number: algorithm for algorithm in _ALGORITHMS}
_VERIFIABLE = frozenset({"sha256", "sha384", "sha512"})

_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX = re.compile(r"[a-f0-9]+")
_IMAGE_HEX = re.compile(r"[a-f0-9]{64}")

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(
    rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9]*:[a-fA-F0-9:]*\])(?::[0-9]+)?"
)
_PATH = re.compile(
    r"(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

_PLATFORM_OS = re.compile(
    r"(?P<os>[A-Za-z0-9_-]+)"
    r"(?:\((?P<version>[A-Za-z0-9_.-]*)(?P<features>(?:\+[A-Za-z0-9_.-]+)*)\))?"
)
_PLATFORM_PART = re.compile(r"[A-Za-z0-9_.-]+")
_SYSTEMS = frozenset(
    ["aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "macos"]
).union(["netbsd", "openbsd", "plan9", "solaris", "wasip1", "windows", "zos"])
_ARCHITECTURES = {
    "i386": ("386", None),
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_VARIANTS: dict[tuple[str, str | None], str | None] = {
    ("amd64", "v1"): None,
    ("arm64", "8"): None,
    ("arm64", "v8"): None,
    ("arm", None): "v7",
    ("arm", "5"): "v5",
    ("arm", "6"): "v6",
    ("arm", "7"): "v7",
    ("arm", "8"): "v8",
}


class Digest(str):
    """``algorithm:encoded``, the identity of bytes; making one of another text raises ``BadName``.

    Every algorithm that the OCI grammar allows can be held and compared; ``verifiable`` tells which
    can be computed here. msgspec needs ``encode_hook`` and ``decode_hook`` for it.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:  # noqa: D102
        algorithm, _, encoded = text.partition(":")
        if len(text) > DIGEST_LIMIT or not _DIGEST.fullmatch(text):
            raise BadName(
                f"{_quote(text)} is not a digest", hint="Write it as sha256:<64 hex digits>."
            )
        known = _BY_NAME.get(algorithm)
        if known and not (len(encoded) == 2 * known.size and _HEX.fullmatch(encoded)):
            raise BadName(
                f"{_quote(text)} is not a digest: {algorithm} has {2 * known.size} lower-case hex digits"
            )
        return super().__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The digest that ``text`` writes; raises ``BadName``."""
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """The SHA-256 digest of ``data``."""
        return str.__new__(cls, "sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The digest that ``packed`` wrote; raises ``BadName`` for other bytes."""
        known = _BY_NUMBER.get(packed[0]) if packed else None
        if known and len(packed) == 1 + known.size:
            return str.__new__(cls, f"{known.name}:{packed[1:].hex()}")
        if packed[:1] == b"\0" and packed.isascii():
            return cls(packed[1:].decode())
        raise BadName("these bytes are not a packed digest")

    @property
    def algorithm(self) -> str:
        """What stands before the colon."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """What stands after the colon: hex digits for every registered algorithm."""
        return self.partition(":")[2]

    @property
    def verifiable(self) -> bool:
        """Whether bytes can be checked against it here."""
        return self.algorithm in _VERIFIABLE

    def hasher(self) -> hashlib._Hash:
        """A new hash of its algorithm; raises ``BadName`` if it is not ``verifiable``."""
        if not self.verifiable:
            raise BadName(f"digests of algorithm {self.algorithm} cannot be verified")
        return hashlib.new(self.algorithm)

    def packed(self) -> bytes:
        """One byte of algorithm number and the raw bytes; for unknown ones a zero and the text."""
        known = _BY_NAME.get(self.algorithm)
        if known is None:
            return b"\0" + self.encode()
        return bytes([known.number]) + bytes.fromhex(self.encoded)


def unpack_text(packed: bytes) -> str:
    """The text of the digest that ``packed`` wrote; raises ``BadName`` as ``Digest.unpack`` does."""
    if packed[:1] == _SHA256 and len(packed) == 33:  # by the thousand in one answer
        return "sha256:" + packed[1:].hex()
    return str(Digest.unpack(packed))


class Platform(Struct, frozen=True):
    """What an image runs on, always normalised as containerd does (aarch64 is arm64, and so on)."""

    os: str
    architecture: str
    variant: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        os = self.os.lower()
        architecture = self.architecture.lower()
        variant = (self.variant or "").lower() or None
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, None))
        variant = implied or variant
        force_setattr(self, "os", "darwin" if os == "macos" else os)
        force_setattr(self, "architecture", architecture)
        force_setattr(self, "variant", _VARIANTS.get((architecture, variant), variant))
        force_setattr(self, "os_version", self.os_version or None)
        force_setattr(self, "os_features", tuple(sorted(set(self.os_features))))

    @classmethod
    def parse(cls, text: str) -> Self:
        """``os/arch[/variant]``, ``os(version+feature)/arch`` or ``arch`` alone, which means Linux.

        Raises ``BadName``; an operating system alone is refused, as it would mean another
        architecture on every machine.
        """
        first, *rest = text.split("/")
        system = _PLATFORM_OS.fullmatch(first)
        if len(text) > NAME_LIMIT or not system or len(rest) > 2:
            raise BadName(f"{_quote(text)} is not a platform", hint="Write it as linux/amd64.")
        if not all(_PLATFORM_PART.fullmatch(part) for part in rest):
            raise BadName(f"{_quote(text)} is not a platform", hint="Write it as linux/amd64.")
        if not rest:
            if first.lower() in _SYSTEMS or "(" in first:
                raise BadName(
                    f"platform {text!r} names no architecture", hint=f"Write it as {first}/amd64."
                )
            return cls("linux", first)
        features = (system["features"] or "").split("+")[1:]
        return cls(
            os=system["os"],
            architecture=rest[0],
            variant=rest[1] if len(rest) == 2 else None,
            os_version=system["version"],
            os_features=tuple(features),
        )

    def __str__(self) -> str:
        version = "+".join((self.os_version or "", *self.os_features))
        system = f"{self.os}({version})" if version else self.os
        return "/".join(part for part in (system, self.architecture, self.variant) if part)


class Reference(Struct, frozen=True):
    """A name of an image with its registry spelt out; neither tag nor digest is ever made up."""

    registry: str
    """Host, and port if one is written, in lower case."""
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``[registry/]path[:tag][@digest]`` as Docker and containerd read it; raises ``BadName``.

        What has no registry is of docker.io, and what has no folder there of ``library/``. The
        first part is a registry if it has a dot, a colon, an upper-case letter or is localhost.
        """
        named, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        if _IMAGE_HEX.fullmatch(named):
            raise BadName(
                f"{named!r} is an image id, not a name", hint=f"Write it as sha256:{named}."
            )
        registry, path = _split_registry(named)
        path, colon, tag = path.partition(":")
        if not _REGISTRY.fullmatch(registry):
            raise BadName(f"{_quote(text)} does not begin with a registry's host name")
        if not _PATH.fullmatch(path):
            hint = "Names are in lower case." if path != path.lower() else None
            raise BadName(f"{_quote(text)} is not an image reference", hint=hint)
        if colon and not _TAG.fullmatch(tag):
            raise BadName(
                f"{_quote(text)} has no valid tag",
                hint="A tag has at most 128 letters, digits, dots, dashes and underscores.",
            )
        if len(registry) + 1 + len(path) > NAME_LIMIT:
            raise BadName(f"{_quote(text)} is longer than {NAME_LIMIT} characters")
        return cls(registry=registry, path=path, tag=tag or None, digest=digest)

    @property
    def name(self) -> str:
        """``registry/path``, the whole name of the repository."""
        return f"{self.registry}/{self.path}"

    def familiar(self) -> str:
        """The shortest text that parses to this reference, as Docker prints it."""
        suffix = str(self)[len(self.name) :]
        if self.registry == DEFAULT_REGISTRY:
            for short in (self.path.removeprefix("library/"), self.path):
                if _parses_to(short + suffix, self):
                    return short + suffix
        return str(self)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


class ReportedImage(Struct, frozen=True):
    """What a container runtime told of the image that it runs."""

    digest: Digest | None
    name: str | None
    """``registry/path``, with ``:tag`` where the runtime wrote one."""
    is_config: bool | None
    """Whether the digest is that of the image's configuration, and not of a manifest or index."""


def parse_image_id(text: str) -> ReportedImage:
    """Read ``imageID`` of a pod's status in any shape that a runtime writes; never raises.

    ``docker-pullable://name@digest``, ``name@digest`` (a manifest or an index), ``docker://digest``,
    ``digest`` or bare hex (a configuration), a name alone (cri-o), or nothing. All parts are None
    where the text says nothing that could be understood.
    """
    text = text.strip().removeprefix("docker-pullable://").removeprefix("docker://")
    if _IMAGE_HEX.fullmatch(text):
        text = f"sha256:{text}"
    try:
        if text.partition(":")[0] in _BY_NAME and "@" not in text and "/" not in text:
            return ReportedImage(Digest.parse(text), None, is_config=True)
        reference = Reference.parse(text)
    except BadName:
        return ReportedImage(None, None, None)
    name = reference.name + (f":{reference.tag}" if reference.tag else "")
    return ReportedImage(reference.digest, name, None if reference.digest is None else False)


def encode_hook(value: Any) -> Any:
    """``enc_hook`` of msgspec for structs that hold a ``Digest``: its text."""
    if isinstance(value, Digest):
        return str(value)
    raise TypeError(f"no encoder for {type(value).__name__}")


def decode_hook(kind: type[Any], value: Any) -> Any:
    """``dec_hook`` of msgspec for structs that hold a ``Digest``; raises ``BadName``."""
    if not issubclass(kind, Digest):
        raise TypeError(f"no decoder for {kind.__name__}")
    if not isinstance(value, str):
        raise TypeError("a digest is a text")  # which msgspec turns into a ValidationError
    return kind(value)


def _split_registry(named: str) -> tuple[str, str]:
    first, slash, rest = named.partition("/")
    is_host = slash and (
        first == "localhost" or "." in first or ":" in first or first != first.lower()
    )
    registry, path = (first.lower(), rest) if is_host else (DEFAULT_REGISTRY, named)
    if registry == "index.docker.io":
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return registry, path


def _parses_to(text: str, reference: Reference) -> bool:
    try:
        return Reference.parse(text) == reference
    except BadName:
        return False


def _quote(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
