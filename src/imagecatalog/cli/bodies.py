"""Bodies of builds, made of flags, of what dpkg lists, or of a build that a file tells of."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from imagecatalog.domain.builds import Build, Role
from imagecatalog.domain.refs import encode_hook
from imagecatalog.errors import UsageError

_MAX_FILE = 64 << 20
_ROLES = get_args(Role)
_STATE = re.compile(r"[uihrp](?:(?P<gone>[nc])|[HUFWti])R?")
"""dpkg's abbreviated states (dpkg-query(1)), and those in which nothing but settings is left."""

Body = dict[str, Any]


def read_file(path: Path, option: str) -> bytes:
    """The file, or what comes in for ``-``; raises UsageError, also for one beyond 64 MiB."""
    try:
        if str(path) == "-":
            body = sys.stdin.buffer.read(_MAX_FILE + 1)
        else:
            with path.open("rb") as stream:
                body = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"{option}: {path}: cannot be read: {error.strerror or error}") from None
    if len(body) > _MAX_FILE:
        raise UsageError(f"{option}: {path} is larger than {_MAX_FILE} bytes")
    return body


def body_of(build: Build) -> Body:
    """The body that tells of a build, without what is not known."""
    told: Body = msgspec.to_builtins(build, enc_hook=encode_hook)
    builder = {"name": told.pop("builder"), "version": told.pop("builder_version")}
    source = {key: told.pop(f"source_{key}") for key in ("repository", "revision", "path")}
    if builder["name"]:
        told["builder"] = builder
    told["source"] = source
    told["parents"] = [_without_blanks(parent) for parent in told["parents"]]
    for package in told.get("packages") or ():
        package["arch"] = package["arch"] or None
    return _without_blanks(told) | ({"packages": []} if build.packages == () else {})


def body_of_flags(given: Mapping[str, Any]) -> Body:
    """The body that flags tell of; an empty one, as an unset variable leaves it, tells nothing."""
    name, _, version = (given.get("builder") or "").partition("@")
    packages = given.get("packages")
    body = {
        **{key: given.get(key) for key in ("image", "digest", "platform", "link", "reason")},
        **{
            key: moment.isoformat() if (moment := given.get(key)) else None
            for key in ("started", "finished")
        },
        "builder": {"name": name, "version": version},
        "source": {
            "repository": given.get("source"),
            "revision": given.get("revision"),
            "path": given.get("path"),
        },
        "parents": [_read_parent(text) for text in given.get("parents") or () if text],
        "labels": dict(given.get("labels") or ()),
    }
    body = _without_blanks(body)
    if packages is not None:
        body["packages"] = read_packages(read_file(packages, "--packages"), str(packages))
    return body


def _without_blanks(told: Mapping[str, Any]) -> Body:
    """The mapping without what is empty, in the mappings in it too."""
    cleaned = {
        key: _without_blanks(value) if isinstance(value, Mapping) and key != "labels" else value
        for key, value in told.items()
    }
    return {key: value for key, value in cleaned.items() if value not in (None, "", {}, [])}


def _read_parent(text: str) -> Body:
    """``IMAGE[@DIGEST][=ROLE]``, where a digest may stand alone."""
    rest, equals, role = text.rpartition("=")
    if not equals or role not in _ROLES:
        # An equals sign may be of a digest, too.
        rest, role = text, ""
    image, _, digest = ("", "", rest) if rest.startswith("sha256:") else rest.partition("@")
    return _without_blanks({"image": image, "digest": digest, "role": role})


def read_packages(listing: bytes, where: str) -> Sequence[Body]:
    """What ``dpkg-query -W`` lists, five columns a line, a sixth being the abbreviated state.

    Raises UsageError that names the line.
    """
    packages = []
    for number, line in enumerate(listing.decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        columns = line.rstrip().split(" ")
        state = _STATE.fullmatch(columns[5] if len(columns) == 6 else "ii")
        if state and state["gone"]:
            continue
        if len(columns) not in (5, 6) or not all(columns) or not state:
            raise UsageError(
                f"--packages: {where}, line {number}: {line[:80]!r} is not of five columns",
                hint="list them by: dpkg-query -W -f '${Package} ${Version} ${Architecture} "
                "${source:Package} ${source:Version} ${db:Status-Abbrev}\\n'",
            )
        names = ("name", "version", "arch", "source", "source_version")
        packages.append({"type": "deb", **dict(zip(names, columns[:5], strict=True))})
    return packages
