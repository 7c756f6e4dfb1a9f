"""What runs and was never met: by which repository and digest, or tag, a registry can be asked."""

from __future__ import annotations

from imagecatalog.domain.refs import Reference, parse_image_id
from imagecatalog.errors import BadName
from imagecatalog.store import runs
from imagecatalog.store.engine import Connection


def list_askable(c: Connection) -> set[tuple[str, str]]:
    """(repository, digest or tag) of all that runs and was never met, where that can be asked for."""
    unmet = (item for item in runs.list_alive(c) if item.manifest_id is None)
    return {one for item in unmet for one in find_askable(item.image, item.image_id)}


def find_askable(image: str, image_id: str) -> list[tuple[str, str]]:
    """By what a registry can be asked for the image that a pod names and a runtime reports.

    By the digest that either of them tells, also where no tag points to it any more. By the tag
    only where nothing is reported: else it may have moved. Nothing where only the digest of its
    configuration is known.
    """
    reported = parse_image_id(image_id)
    try:
        named = Reference.parse(image)
    except BadName:
        named = None
    digest = None if reported.is_config else reported.digest
    digest = digest or (named.digest if named else None)
    if digest is None:
        if named is None or reported.digest is not None:
            return []
        return [(named.name, named.tag or "latest")]
    names = [named.name] if named else []
    if reported.name is not None:
        names.append(Reference.parse(reported.name).name)
    return [(name, str(digest)) for name in dict.fromkeys(names)]
