"""Templates to pages: the environment, its filters, links, and the page of an error."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from imagecatalog.planning.finding_sentences import (
    STATE_WORDS,
    describe_counts,
    describe_exposure,
    describe_fault_state,
    describe_running_faults,
    describe_state,
    describe_suppression,
    explain_reason,
    explain_suppression,
    refuse_fix,
)
from imagecatalog.planning.opinion_sentences import (
    describe_opinion,
    describe_ours,
    describe_theirs,
)
from imagecatalog.web.http import Problem, respond
from imagecatalog.web.service import service_of
from imagecatalog.web.ui.rows import (
    EVIDENCE_NAMES,
    FAULT_STATES,
    ROLE_WORDS,
    STATUS_SENTENCES,
    STATUS_WORDS,
    group_origins,
    list_workloads,
    sum_places,
)
from imagecatalog.web.ui.versions import split_change

HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


def link_image(reference: str) -> str:
    """Path of an image's page, by digest or name."""
    return f"/image/{quote(reference, safe='/:@')}"


def link_repository(name: str) -> str:
    """Path of a repository's page."""
    return f"/images/{quote(name, safe='/:')}"


def link_package(name: str) -> str:
    """Path of a package's page."""
    return f"/packages/{quote(name, safe='')}"


def link_advisory(name: str) -> str:
    """Path of an advisory's page."""
    return f"/advisories/{quote(name, safe='')}"


def link_workload(cluster: str, namespace: str, workload: str) -> str:
    """Path of a workload's page."""
    return f"/running/{quote(f'{cluster}/{namespace}/{workload}', safe='/:')}"


def link_query(path: str, **parameters: object) -> str:
    """The path with those parameters that are set."""
    given = {
        key: "true" if value is True else str(value) for key, value in parameters.items() if value
    }
    return f"{path}?{urlencode(given)}" if given else path


def link_lineage(reference: str, *opened: str) -> str:
    """Path of an image's lineage; the images of the ``opened`` repositories are drawn one by one."""
    return f"/lineage?{urlencode([('ref', reference), *(('open', name) for name in opened)])}"


def command(*words: object) -> str:
    """A command line that a shell reads as these words; None and False are left out."""
    return shlex.join(["imagecatalog", *(str(word) for word in words if word)])


def show_moment(moment: datetime | None, now: datetime, never: str = "never") -> Markup:
    """How long ago, the very moment on hover."""
    if moment is None:
        return escape(never)
    moment = moment.astimezone(UTC)
    text = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    stamp = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        stamp, text, _distance((now - moment).total_seconds())
    )


def _distance(seconds: float) -> str:
    size = abs(seconds)
    if size < 45:
        return "just now"
    span = _length(max(size, 60))
    return f"{span} ago" if seconds > 0 else f"in {span}"


def show_span(seconds: float | None) -> str:
    """How long: ``3 d``, ``5 h``; a dash for what is not known."""
    return "–" if seconds is None else _length(seconds)


def _length(seconds: float) -> str:
    for unit, length, most in (("min", 60, 90), ("h", 3600, 48), ("d", 86400, 730)):
        if seconds < length * most:
            return f"{round(seconds / length)} {unit}"
    return f"{seconds / 31557600:.1f} years"


def show_change(installed: str, candidate: str | None) -> Markup:
    """Installed → candidate in monospace, the part that changes marked."""
    if candidate is None:
        return Markup("<code>{}</code>").format(installed)
    shared, old, new = split_change(installed, candidate)
    return Markup(
        '<span class="change"><code>{}<del>{}</del></code>'
        '<span class="to" aria-label="to"> → </span><code>{}<ins>{}</ins></code></span>'
    ).format(shared, old, shared, new)


def show_image(name: str) -> Markup:
    """An image's name, the registry faint and the tag apart, breakable where it may break."""
    registry, slash, rest = _split_registry(name)
    path, separator, tag = _split_tag(rest)
    return Markup(
        '<span class="image"><span class="registry">{}{}<wbr></span>{}'
        '<span class="tag"><wbr>{}{}</span></span>'
    ).format(registry, slash, Markup("/<wbr>").join(path.split("/")), separator, tag)


def show_workload(name: str) -> Markup:
    """``Kind/name``, broken between the two before anywhere else."""
    return Markup("/<wbr>").join(name.split("/"))


def _split_registry(name: str) -> tuple[str, str, str]:
    first, slash, rest = name.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return (first, slash, rest) if is_host else ("", "", name)


def _split_tag(rest: str) -> tuple[str, str, str]:
    path, at, digest = rest.partition("@")
    if at:
        return path, at, digest[:19]
    folder, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    return folder + slash + last, colon, tag


def show_elsewhere(address: str, words: str | None = None) -> Markup:
    """A link out of the catalog, for addresses of the web alone: others are but text."""
    scheme, separator, _ = address.removeprefix("git+").partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return escape(address)
    return Markup('<a href="{}" rel="noreferrer nofollow">{}</a>').format(
        address.removeprefix("git+"), words or address
    )


def show_size(size: int) -> str:
    """Bytes for a person; -1 where nobody said."""
    if size < 0:
        return "–"
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``2 images``, ``12,345 images``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(digest: str | None) -> str:
    """A digest's first twelve letters after its algorithm."""
    return "" if digest is None else digest.partition(":")[2][:12]


def _style_version() -> str:
    style = resources.files("imagecatalog.web").joinpath("static/style.css").read_bytes()
    return hashlib.sha256(style).hexdigest()[:12]


environment = Environment(
    loader=PackageLoader("imagecatalog.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "ago": show_moment,
    "change": show_change,
    "elsewhere": show_elsewhere,
    "image": show_image,
    "workload": show_workload,
    "plural": plural,
    "short": short,
    "size": show_size,
    "span": show_span,
}
environment.globals |= {
    "command": command,
    "describe_counts": describe_counts,
    "describe_exposure": describe_exposure,
    "describe_fault_state": describe_fault_state,
    "describe_running_faults": describe_running_faults,
    "explain_suppression": explain_suppression,
    "describe_opinion": describe_opinion,
    "describe_ours": describe_ours,
    "describe_state": describe_state,
    "explain_reason": explain_reason,
    "refuse_fix": refuse_fix,
    "describe_suppression": describe_suppression,
    "describe_theirs": describe_theirs,
    "evidence_names": EVIDENCE_NAMES,
    "fault_states": FAULT_STATES,
    "group_origins": group_origins,
    "link_advisory": link_advisory,
    "link_image": link_image,
    "link_lineage": link_lineage,
    "link_package": link_package,
    "link_query": link_query,
    "link_repository": link_repository,
    "link_workload": link_workload,
    "state_words": STATE_WORDS,
    "style_version": _style_version(),
    "sum_places": sum_places,
    "list_workloads": list_workloads,
    "role_words": ROLE_WORDS,
    "sentences": STATUS_SENTENCES,
    "words": STATUS_WORDS,
}


def render(request: Request, template: str, **values: Any) -> Response:
    """The page; its words may hold anything, all is escaped."""
    return respond(request, _fill(request, template, values), HTML)


def render_problem(
    request: Request, problem: Problem, headers: Mapping[str, str] | None = None
) -> Response:
    """The page of an error."""
    body = _fill(request, "error.html", {"problem": problem})
    every = {"Cache-Control": "no-store", **(headers or {})}
    return Response(body, problem.status, every, HTML)


def _fill(request: Request, template: str, values: Mapping[str, Any]) -> bytes:
    page = environment.get_template(template)
    context = {"now": service_of(request).clock(), "path": request.url.path, "q": "", **values}
    return page.render(context).encode()
