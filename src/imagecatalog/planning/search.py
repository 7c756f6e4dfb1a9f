"""Finds anything by a part of its name, best first."""

from __future__ import annotations

import re
from urllib.parse import quote

from imagecatalog.domain.answers import SearchHit
from imagecatalog.store import finds, images, lookups, tags
from imagecatalog.store.engine import Connection
from imagecatalog.store.labels import labelled

_ADVISORY = re.compile(r"[A-Za-z][A-Za-z0-9]+-[A-Za-z0-9]+(?:[-:][A-Za-z0-9]*)*")
"""What may be the beginning of an advisory's name."""


def search(c: Connection, text: str, *, limit: int = 20) -> tuple[SearchHit, ...]:
    """Digests and advisories that begin so, then repositories, packages, workloads, namespaces, clusters.

    ``KEY=VALUE`` finds images that carry this label, too.
    Within a kind an equal name comes first, then names that begin so, then by name.
    """
    text = text.strip()
    if not text:
        return ()
    hits = _by_digest(c, text, limit) + _by_label(c, text, limit) + _by_advisory(c, text, limit)
    hits += [
        SearchHit(kind="repository", name=name, detail="repository", link=f"/images/{quote(name)}")
        for name in finds.find_repositories(c, text, limit=limit)
    ]
    hits += [
        SearchHit(
            kind="image",
            name=f"{name}:{tag}",
            detail="image",
            link=f"/image?ref={quote(f'{name}:{tag}')}",
        )
        for name, tag in finds.find_tags(c, text, limit=limit)
    ]
    hits += [
        SearchHit(
            kind="package",
            name=name,
            detail=f"{count} {'version' if count == 1 else 'versions'}",
            link=f"/packages/{quote(name)}",
        )
        for name, count in finds.find_packages(c, text, limit=limit)
    ]
    for name, cluster, namespace in finds.find_workloads(c, text, limit=limit):
        hits.append(
            SearchHit(
                kind="workload",
                name=name,
                detail=f"{cluster}, {namespace}",
                link=f"/running/{quote(f'{cluster}/{namespace}/{name}')}",
            )
        )
    for name, cluster in finds.find_namespaces(c, text, limit=limit):
        where = f"cluster={quote(cluster)}&namespace={quote(name)}"
        hits.append(
            SearchHit(kind="namespace", name=name, detail=cluster, link=f"/running?{where}")
        )
    return tuple(hits[:limit])


def _by_advisory(c: Connection, text: str, limit: int) -> list[SearchHit]:
    if not _ADVISORY.fullmatch(text):
        return []
    return [
        SearchHit(
            kind="advisory",
            name=name,
            detail=(about or "advisory")[:120],
            link=f"/advisories/{quote(name, safe='')}",
        )
        for name, about in finds.find_advisories(c, text, limit=limit)
    ]


def _by_label(c: Connection, text: str, limit: int) -> list[SearchHit]:
    """The images that carry exactly this label, the last met first."""
    key, is_pair, value = text.partition("=")
    if not is_pair:
        return []
    found = [one.id for one in tags.list_last_met(c, among=labelled(key, value), limit=limit)]
    names = images.best_names(c, found)
    digests = {number: str(row.digest) for number, row in lookups.list_images(c, found).items()}
    return [
        SearchHit(
            kind="image",
            name=names.get(number, digests[number]),
            detail=f"{text[:80]}, {digests[number]}",
            link=f"/image?ref={quote(digests[number])}",
        )
        for number in found
    ]


def _by_digest(c: Connection, text: str, limit: int) -> list[SearchHit]:
    if len(text.removeprefix("sha256:")) < 6:
        return []
    found = images.find_by_digest_start(c, text, limit=limit)
    names = images.best_names(c, [number for number, _ in found])
    kinds = lookups.list_images(c, [number for number, _ in found])
    return [
        SearchHit(
            kind="image",
            name=names.get(number, str(digest)),
            detail=("index " if kinds[number].kind == images.INDEX else "") + str(digest),
            link=f"/image?ref={quote(str(digest))}",
        )
        for number, digest in found
    ]
