"""Debian's security tracker: where its files lie, and their bytes if they changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO

from msgspec import Struct

from imagecatalog.errors import TooLarge
from imagecatalog.sources.apt_transport import Validators, open_changed
from imagecatalog.sources.http import Http

TRACKER = "https://security-tracker.debian.org/tracker/data/json"
LISTS = "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/"
SIZE_LIMIT = 1 << 30
"""Bytes of one file."""
_CHUNK = 1 << 20


class TrackerFile(Struct, frozen=True):
    """A file of the tracker; ``kind`` is ``json``, ``DSA`` or ``DLA``."""

    kind: str
    address: str


def list_files(setting: str | bool | None) -> tuple[TrackerFile, ...]:
    """The files that a setting of ``debian-tracker`` names; without one the public ones.

    A folder (its address ends in a slash) has ``json``, ``DSA/list`` and ``DLA/list``; any other
    address is that of the JSON alone.
    """
    if not isinstance(setting, str):
        base, json = LISTS, TRACKER
    elif setting.endswith("/"):
        base, json = setting, f"{setting}json"
    else:
        return (TrackerFile("json", setting),)
    lists = (TrackerFile(kind, f"{base}{kind}/list") for kind in ("DSA", "DLA"))
    return (TrackerFile("json", json), *lists)


@contextmanager
def open_file(
    file: TrackerFile, http: Http, previous: Validators | None
) -> Iterator[tuple[BinaryIO | None, Validators]]:
    """The whole file on this machine's disk, so that no transaction waits for a network.

    None where it is still the previous one. Raises SourceUnavailable, Missing, and TooLarge.
    """
    with (
        TemporaryFile() as kept,
        open_changed(file.address, http, previous) as (stream, validators),
    ):
        if stream is None:
            yield None, validators
            return
        size = 0
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > SIZE_LIMIT:
                raise TooLarge(file.address, f"more than {SIZE_LIMIT} bytes")
            kept.write(chunk)
        kept.seek(0)
        yield kept, validators
