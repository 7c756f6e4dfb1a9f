"""The shape of what may be registered, key by key.

Dictionaries, so that valid bodies and broken ones can be looked at alike.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Required
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from imagecatalog.domain.builds import Role
from imagecatalog.domain.refs import Digest, Platform, Reference
from imagecatalog.errors import BadName, hide_secrets
from imagecatalog.store.labels import KEY_LIMIT, LABELS_LIMIT, VALUE_LIMIT
from imagecatalog.web.api.schemas import Moment

PACKAGES_LIMIT = 100_000
PARENTS_LIMIT = 1000
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:")


def _refuse(said: str, hint: str | None = None) -> PydanticCustomError:
    return PydanticCustomError("fault", "{said}", {"said": f"{said}. {hint}" if hint else said})


def _as_digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except BadName as problem:
        raise _refuse(problem.message, problem.hint) from None


def _as_image(text: str) -> str:
    try:
        return str(Reference.parse(text))
    except BadName as problem:
        raise _refuse(problem.message, problem.hint) from None


def _as_platform(text: str) -> str:
    try:
        return str(Platform.parse(text))
    except BadName as problem:
        raise _refuse(problem.message, problem.hint) from None


def _without_secrets(text: str) -> str:
    """An address without the user and password that CI systems write into it."""
    try:
        url = urlsplit(text)
    except ValueError:
        return hide_secrets(text)
    if url.scheme in ("http", "https") and "@" in url.netloc:
        text = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
    return hide_secrets(text)


def _as_link(text: str) -> str:
    if not re.match(r"https?://[^\s/]", text):
        raise _refuse("not a link: it begins with http:// or https://")
    return _without_secrets(text)


def _as_written_moment(value: object) -> object:
    """Numbers are no times here: nobody could tell seconds from milliseconds."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise _refuse("not a time: write it as 2026-11-20T14:00:00Z")
    return value


_Short = Annotated[str, Field(min_length=1, max_length=255)]
_Long = Annotated[str, Field(min_length=1, max_length=2000)]
_Word = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
_Digest = Annotated[str, Field(examples=["sha256:" + 64 * "a"]), AfterValidator(_as_digest)]
_Image = Annotated[
    str,
    Field(max_length=700, examples=["registry.example.org/team/app:1.0"]),
    AfterValidator(_as_image),
]
_Moment = Annotated[Moment, BeforeValidator(_as_written_moment)]
_NO_OTHERS = with_config(ConfigDict(extra="forbid"))


@_NO_OTHERS
class BuilderBody(TypedDict, total=False):
    """What built it."""

    name: Required[_Short]
    version: _Short | None


@_NO_OTHERS
class SourceBody(TypedDict, total=False):
    """What it was built of."""

    repository: Annotated[_Long, AfterValidator(_without_secrets)] | None
    revision: _Short | None
    path: _Long | None


@_NO_OTHERS
class ParentBody(TypedDict, total=False):
    """An image that the build used; a name without a digest is what its tag meant then."""

    digest: _Digest | None
    image: _Image | None
    role: Role


@_NO_OTHERS
class DistroBody(TypedDict, total=False):
    """What `/etc/os-release` says."""

    id: Required[_Short]
    version_id: _Short | None
    codename: _Short | None
    pretty: _Short | None


@_NO_OTHERS
class PackageBody(TypedDict, total=False):
    """A package in the image; `arch` is wanted for type `deb`, which is what is meant if left out."""

    type: Annotated[str, Field(pattern=r"^[a-z0-9.+-]{1,32}$")]
    name: Required[_Word]
    version: Required[_Word]
    arch: Annotated[str, Field(pattern=r"^[!-~]{1,32}$")] | None
    source: _Word | None
    source_version: _Word | None


_Key = Annotated[str, Field(min_length=1, max_length=KEY_LIMIT)]
_Value = Annotated[str, Field(max_length=VALUE_LIMIT)]


@_NO_OTHERS
class BuildBody(TypedDict, total=False):
    """A build; `image` or `digest` is required, the rest is what the builder knows."""

    digest: _Digest | None
    image: _Image | None
    platform: Annotated[_Short, AfterValidator(_as_platform)] | None
    builder: BuilderBody | None
    started: _Moment | None
    finished: _Moment | None
    source: SourceBody | None
    link: Annotated[_Long, AfterValidator(_as_link)] | None
    reason: _Long | None
    parents: Annotated[list[ParentBody], Field(max_length=PARENTS_LIMIT)] | None
    distro: DistroBody | None
    packages: Annotated[list[PackageBody], Field(max_length=PACKAGES_LIMIT)] | None
    labels: Annotated[dict[_Key, _Value], Field(max_length=LABELS_LIMIT)] | None


BUILD: TypeAdapter[BuildBody] = TypeAdapter(BuildBody)
PACKAGES: TypeAdapter[list[PackageBody]] = TypeAdapter(list[PackageBody])
MOMENT: TypeAdapter[datetime] = TypeAdapter(_Moment)
SHAPES: dict[tuple[str, ...], type] = {
    (): BuildBody,
    ("builder",): BuilderBody,
    ("source",): SourceBody,
    ("parents",): ParentBody,
    ("distro",): DistroBody,
    ("packages",): PackageBody,
}


def describe_bodies() -> dict[str, Any]:
    """OpenAPI component schemas of what may be sent, by name."""
    schema = BUILD.json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "BuildBody": schema}
