"""Pages of what is built on what, and of what changed between two images."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from imagecatalog.domain.lineage import Lineage
from imagecatalog.outlets import graphs
from imagecatalog.planning import ancestry, differences
from imagecatalog.web.api.schemas import NO_NUL, Text
from imagecatalog.web.http import respond
from imagecatalog.web.service import service_of
from imagecatalog.web.ui.graph import ALL, STALE, Relation, draw_lineage
from imagecatalog.web.ui.render import TEXT, link_image, link_lineage, link_query, render

router = APIRouter(include_in_schema=False)
Opened = Annotated[tuple[Text, ...], Query(alias="open", max_length=100)]
Named = Annotated[str, Query(max_length=1000, pattern=NO_NUL)]


@router.get("/lineage")
def show_lineage(request: Request, ref: Named = "", opened: Opened = ()) -> Response:
    """What is this image built on, and what is built on it?"""
    if not ref.strip():
        return render(request, "find_lineage.html")
    service = service_of(request)
    with service.read() as c:
        found = ancestry.lineage(c, ref.strip(), now=service.clock())
    return render(request, "lineage.html", **describe_lineage(found, ref.strip(), opened))


@router.get("/lineage.dot")
def write_lineage_dot(request: Request, ref: Named) -> Response:
    """The same as a Graphviz document."""
    return _write(request, ref, graphs.lineage_dot)


@router.get("/lineage.mmd")
def write_lineage_mermaid(request: Request, ref: Named) -> Response:
    """The same as a Mermaid flowchart."""
    return _write(request, ref, graphs.lineage_mermaid)


def _write(request: Request, ref: str, write: Callable[[Lineage], str]) -> Response:
    service = service_of(request)
    with service.read() as c:
        found = ancestry.lineage(c, ref.strip(), now=service.clock())
    return respond(request, write(found).encode(), TEXT)


@router.get("/diff")
def show_diff(request: Request, a: Named = "", b: Named = "") -> Response:
    """What changed from one image to another, or to the newest of its line?"""
    if not a.strip():
        return render(request, "find_diff.html")
    service = service_of(request)
    with service.read() as c:
        found = differences.diff(c, a.strip(), b.strip() or None, rules=service.settings.lines)
    return render(request, "diff.html", diff=found, a=a.strip(), b=b.strip())


@dataclass(frozen=True)
class Census:
    """How many distinct images are built on one."""

    children: int
    descendants: int
    running: int
    """Of the descendants."""
    stale: int
    """Of those that run."""


def count_descendants(lineage: Lineage) -> Census:
    """Each descendant once, however many ways lead to it."""
    distinct = {one.digest or one.image: one for one in lineage.descendants}
    children = {one.digest or one.image for one in lineage.descendants if one.depth == 1}
    running = [one for one in distinct.values() if one.running]
    return Census(
        len(children),
        len(distinct),
        len(running),
        sum(one.status in STALE for one in running),
    )


def describe_lineage(lineage: Lineage, reference: str, opened: Collection[str]) -> dict[str, Any]:
    """What the page shows of a lineage."""

    def link_box(box: Relation) -> str:
        if box.is_group:
            return link_lineage(reference, *opened, box.repository)
        if box.is_focus:
            return link_image(lineage.digest)
        if box.digest is None or not box.is_known:
            return link_query("/search", q=box.name[:200])
        return link_lineage(box.digest)

    relatives = (*lineage.ancestors, *lineage.descendants)
    return {
        "lineage": lineage,
        "reference": reference,
        "census": count_descendants(lineage),
        "parents": [one for one in lineage.ancestors if one.depth == 1],
        "names": {one.digest: one.image for one in relatives if one.digest},
        "drawing": draw_lineage(lineage, opened),
        "everything": ALL in opened,
        "link_box": link_box,
        "forms": _link_forms(lineage),
    }


def _link_forms(lineage: Lineage) -> list[tuple[str, str]]:
    return [
        ("DOT", link_query("/lineage.dot", ref=lineage.digest)),
        ("Mermaid", link_query("/lineage.mmd", ref=lineage.digest)),
        ("JSON", f"/api/v1/images/{lineage.digest}/lineage"),
    ]
