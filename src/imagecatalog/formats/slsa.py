"""SLSA provenance 0.2 and 1: a predicate as a build. BuildKit's has the most to say.

Of BuildKit's builds the images among the materials are parents, but for the frontends and its
generator of SBOMs, which are tools as a compiler is. Of other builders nobody says what an image was to the build: it may be a
tool too, and so it is never told as a base.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Build, Parent, Role
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import BadName, TooManyEntries, clean_text, hide_secrets
from imagecatalog.formats.buildkit import read_roles
from imagecatalog.formats.inventory import ABSENT, decode, read
from imagecatalog.formats.materials import Material, read_material
from imagecatalog.formats.oci import parse_time

MATERIALS_LIMIT = 10_000
PARENTS_LIMIT = 1_000
LABELS_LIMIT = 200
_TEXT_LENGTH = 1_000

_BUILDKIT = (
    "https://mobyproject.org/buildkit@",
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
)
_GITHUB = (
    "https://actions.github.io/buildtypes/workflow/",
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/",
)
_FRONTENDS = re.compile(r".*/(?:docker/dockerfile(?:-upstream)?|blubber(?:/buildkit|-buildkit))")
"""Names of frontends that are told apart where a statement does not name its own."""
_SCANNER = re.compile(r".*/buildkit-(?:syft-)?scanner")
"""BuildKit's own generator of SBOMs, which it lists among what the image was made from."""
_BLUBBER = re.compile(r".*/blubber(?:/buildkit|-buildkit)")
_USER_INFO = re.compile(r"^(https?://)[^/@]*@")
_GIT_REF = re.compile(r"[#@]refs/.*$|#.*$|(?<=\.git)@.*$")
_REQUEST_DEPTH = 8


class _Descriptor(Struct):
    uri: str | None = None
    digest: Raw = ABSENT


class _Config(Struct):
    uri: str | None = None
    digest: Raw = ABSENT
    entry_point: str | None = field(name="entryPoint", default=None)
    path: str | None = None


class _Nested(Struct):
    request: Raw = ABSENT


class _Request(Struct):
    frontend: str | None = None
    args: dict[str, str] | None = None
    inputs: dict[str, _Nested] | None = None
    root: _Nested | None = None


class _Vcs(Struct):
    vcs: dict[str, str] | None = None


class _Builder(Struct):
    id: str | None = None
    version: Raw = ABSENT


class _Metadata(Struct):
    started02: str | None = field(name="buildStartedOn", default=None)
    finished02: str | None = field(name="buildFinishedOn", default=None)
    started1: str | None = field(name="startedOn", default=None)
    finished1: str | None = field(name="finishedOn", default=None)
    invocation02: str | None = field(name="buildInvocationId", default=None)
    invocation1: str | None = field(name="invocationId", default=None)
    invocation: str | None = field(name="invocationID", default=None)
    buildkit02: _Vcs | None = field(
        name="https://mobyproject.org/buildkit@v1#metadata", default=None
    )
    buildkit1: _Vcs | None = field(name="buildkit_metadata", default=None)


class _Invocation(Struct):
    config_source: Raw = field(name="configSource", default=ABSENT)
    parameters: Raw = ABSENT


class _Predicate02(Struct):
    builder: _Builder | None = None
    build_type: str | None = field(name="buildType", default=None)
    invocation: _Invocation | None = None
    build_config: Raw = field(name="buildConfig", default=ABSENT)
    metadata: Raw = ABSENT
    materials: list[_Descriptor] | None = None


class _Workflow(Struct):
    repository: str | None = None
    path: str | None = None


class _External(Struct):
    config_source: Raw = field(name="configSource", default=ABSENT)
    request: Raw = ABSENT
    workflow: Raw = ABSENT


class _Internal(Struct):
    build_config: Raw = field(name="buildConfig", default=ABSENT)


class _Definition(Struct):
    build_type: str | None = field(name="buildType", default=None)
    external: Raw = field(name="externalParameters", default=ABSENT)
    internal: Raw = field(name="internalParameters", default=ABSENT)
    dependencies: list[_Descriptor] | None = field(name="resolvedDependencies", default=None)


class _Details(Struct):
    builder: _Builder | None = None
    metadata: Raw = ABSENT


class _Predicate1(Struct):
    definition: _Definition | None = field(name="buildDefinition", default=None)
    details: _Details | None = field(name="runDetails", default=None)


_PREDICATE02 = msgspec.json.Decoder(_Predicate02)
_PREDICATE1 = msgspec.json.Decoder(_Predicate1)
_CONFIG = msgspec.json.Decoder(_Config)
_REQUEST = msgspec.json.Decoder(_Request)
_METADATA = msgspec.json.Decoder(_Metadata)
_EXTERNAL = msgspec.json.Decoder(_External)
_INTERNAL = msgspec.json.Decoder(_Internal)
_WORKFLOW = msgspec.json.Decoder(_Workflow)
_DIGESTS = msgspec.json.Decoder(dict[str, str])
_VERSIONS = msgspec.json.Decoder(dict[str, str])


class _Told(Struct):
    """What both versions say, each in its own place."""

    build_type: str
    builder: _Builder
    materials: list[_Descriptor]
    metadata: _Metadata
    config: _Config
    request: Raw
    steps: Raw


def read_slsa02(predicate: Raw | bytes, where: str) -> Build:
    """A predicate of SLSA provenance 0.2; raises ``BadDocument`` and its limits."""
    told = decode(predicate, _PREDICATE02, where)
    invocation = told.invocation or _Invocation()
    return _make_build(
        _Told(
            build_type=told.build_type or "",
            builder=told.builder or _Builder(),
            materials=told.materials or [],
            metadata=read(told.metadata, _METADATA) or _Metadata(),
            config=read(invocation.config_source, _CONFIG) or _Config(),
            request=invocation.parameters,
            steps=told.build_config,
        ),
        where,
    )


def read_slsa1(predicate: Raw | bytes, where: str) -> Build:
    """A predicate of SLSA provenance 1; raises ``BadDocument`` and its limits."""
    told = decode(predicate, _PREDICATE1, where)
    definition, details = told.definition or _Definition(), told.details or _Details()
    external = read(definition.external, _EXTERNAL) or _External()
    workflow = read(external.workflow, _WORKFLOW) or _Workflow()
    config = read(external.config_source, _CONFIG) or _Config()
    if workflow.repository:
        config = _Config(uri=workflow.repository, path=workflow.path)
    return _make_build(
        _Told(
            build_type=definition.build_type or "",
            builder=details.builder or _Builder(),
            materials=definition.dependencies or [],
            metadata=read(details.metadata, _METADATA) or _Metadata(),
            config=config,
            request=external.request,
            steps=(read(definition.internal, _INTERNAL) or _Internal()).build_config,
        ),
        where,
    )


def _make_build(told: _Told, where: str) -> Build:
    if len(told.materials) > MATERIALS_LIMIT:
        count = len(told.materials)
        raise TooManyEntries(where, f"{count} materials are more than {MATERIALS_LIMIT}")
    is_buildkit = told.build_type.startswith(_BUILDKIT)
    requests = _list_requests(told.request) if is_buildkit else []
    parents, tools = _find_parents(told, requests, is_buildkit)
    if len(parents) > PARENTS_LIMIT:
        raise TooManyEntries(where, f"{len(parents)} images are more than {PARENTS_LIMIT}")
    builder, version = _name_builder(told, tools, is_buildkit)
    repository, revision, path = _find_source(told)
    metadata = told.metadata
    return Build(
        builder=_text(builder),
        builder_version=_text(version),
        started=parse_time(metadata.started1 or metadata.started02),
        finished=parse_time(metadata.finished1 or metadata.finished02),
        source_repository=repository,
        source_revision=revision,
        source_path=path,
        link=_find_link(told),
        parents=parents,
        labels=_find_labels(requests),
    )


def _find_parents(
    told: _Told, requests: list[_Request], is_buildkit: bool
) -> tuple[tuple[Parent, ...], list[Material]]:
    """The images that were built upon, and those that did the building."""
    images = [
        image
        for item in told.materials
        if (image := read_material(item.uri, read(item.digest, _DIGESTS)))
    ]
    named = _frontend_names(requests)
    tools = [image for image in images if _is_tool(image, named)]
    roles = read_roles(told.steps) if is_buildkit else None
    if roles is not None:
        digests = {image.image: image.digest for image in images if image.digest}
        found = [(image, image.digest or digests.get(image.image), role) for image, role in roles]
    else:
        others = list(dict.fromkeys(image for image in images if image not in tools))
        role: Role = "base" if is_buildkit and len(others) == 1 else "stage"
        found = [(image, image.digest, role) for image in others]
    parents = (Parent(image=image.image, digest=digest, role=role) for image, digest, role in found)
    return tuple(dict.fromkeys(parents)), tools


def _is_tool(image: Material, named: set[str]) -> bool:
    if not image.name or _SCANNER.fullmatch(image.name):
        return bool(image.name)
    return image.name in named if named else bool(_FRONTENDS.fullmatch(image.name))


def _frontend_names(requests: list[_Request]) -> set[str]:
    """The repositories of the images that BuildKit was told to run (``gateway.v0``)."""
    names = set()
    for request in requests:
        if source := (request.args or {}).get("source"):
            try:
                names.add(Reference.parse(source).name)
            except BadName:
                continue
    return names


def _list_requests(raw: Raw) -> list[_Request]:
    """A request and those within it."""
    found: list[_Request] = []
    level = [raw]
    for _ in range(_REQUEST_DEPTH):
        requests = [request for item in level if (request := read(item, _REQUEST))]
        found += requests
        nested = [request.root for request in requests if request.root]
        nested += [item for request in requests for item in (request.inputs or {}).values()]
        level = [item.request for item in nested]
    return found


def _name_builder(
    told: _Told, tools: list[Material], is_buildkit: bool
) -> tuple[str | None, str | None]:
    versions = read(told.builder.version, _VERSIONS) or {}
    if is_buildkit:
        blubber = next((item for item in tools if _BLUBBER.fullmatch(item.name or "")), None)
        return ("blubber", blubber.tag) if blubber else ("buildkit", versions.get("buildkit"))
    if told.build_type.startswith(_GITHUB):
        return "github-actions", None
    return told.builder.id, next(iter(versions.values()), None)


def _find_source(told: _Told) -> tuple[str | None, str | None, str | None]:
    """Repository, revision and path: what the build was configured by, else what its client said."""
    kits = (told.metadata.buildkit1, told.metadata.buildkit02)
    vcs = next((kit.vcs for kit in kits if kit and kit.vcs), {})
    uri = told.config.uri or vcs.get("source") or ""
    revision = _read_commit(told.config.digest)
    if uri and not revision:
        base = _plain_url(uri)
        same = (item for item in told.materials if item.uri and _plain_url(item.uri) == base)
        revision = next((commit for item in same if (commit := _read_commit(item.digest))), None)
    path = told.config.path or told.config.entry_point
    folder = vcs.get("localdir:dockerfile") or vcs.get("localdir:context") or ""
    if path and folder:
        path = posixpath.normpath(posixpath.join(folder, path))
    return _text(_plain_url(uri)), _text(revision or vcs.get("revision")), _text(path)


def _read_commit(raw: Raw) -> str | None:
    digests: dict[str, Any] = read(raw, _DIGESTS) or {}
    return digests.get("gitCommit") or digests.get("sha1") or digests.get("sha256")


def _plain_url(uri: str) -> str:
    """The address of a repository without what it says of access, branch and folder."""
    uri = _GIT_REF.sub("", uri.removeprefix("git+")[:_TEXT_LENGTH])
    return hide_secrets(_USER_INFO.sub(r"\1", uri))


def _find_link(told: _Told) -> str | None:
    """The page of the build: BuildKit is told it as the builder's id, others number their runs."""
    metadata = told.metadata
    invocations = (metadata.invocation1, metadata.invocation, metadata.invocation02)
    for text in (*invocations, told.builder.id):
        if text and text.startswith(("https://", "http://")):
            return _text(_USER_INFO.sub(r"\1", text))
    return None


def _find_labels(requests: list[_Request]) -> dict[str, str]:
    labels = {
        clean_text(name.removeprefix("label:")[:_TEXT_LENGTH]): clean_text(value[:_TEXT_LENGTH])
        for request in requests[:1]
        for name, value in sorted((request.args or {}).items())
        if name.startswith("label:")
    }
    return dict(list(labels.items())[:LABELS_LIMIT])


def _text(text: str | None) -> str | None:
    return clean_text(text[:_TEXT_LENGTH]) or None if text else None
