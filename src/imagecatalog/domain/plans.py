"""A plan: what to rebuild in which order, what to redeploy then, and what remains."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

StepState = Literal["waiting", "built", "proven", "kept-old-package", "deployed"]
"""``built``: a newer image is there and not read yet; ``proven``: its packages really moved."""

PlanState = Literal["open", "closed"]


class PlannedFix(Struct, frozen=True, kw_only=True, order=True, gc=False):
    """A package that a step moves."""

    package: str
    arch: str
    installed: str
    candidate: str
    security: bool
    type: str = "deb"


class Step(Struct, frozen=True, kw_only=True, rename={"parents": "from"}):
    """One rebuild: of the image line whose newest tag ``image`` is."""

    rebuild: str
    """Whole name of the newest image of its line."""
    digest: str
    repository: str
    line: str = ""
    """Which of the repository's tags follow one another here."""
    reason: tuple[str, ...]
    """Sentences: what is rebuilt for, brought here or inherited."""
    parents: tuple[str, ...] = ()
    """Images it is built from (contract: ``from``)."""
    after: tuple[str, ...] = ()
    """``rebuild`` of the steps that must be done before."""
    fixes: tuple[str, ...] = ()
    """Advisories."""
    packages: tuple[PlannedFix, ...] = ()
    builder: str | None = None
    """What built its newest image, as its build told: ``docker-pkg``, ``buildkit``."""
    source_path: str | None = None
    """Folder of its source, as its build told."""
    docker_pkg: str | None = None
    """The command that rebuilds it, for images of a docker-pkg tree."""
    containers: int = 0
    """That run what is rebuilt here, or a descendant of it."""
    state: StepState = "waiting"
    detail: str | None = None
    """What became of it: the image that proves it, or the package that was kept."""


class Redeploy(Struct, frozen=True, kw_only=True, rename={"origin": "from"}):
    """A workload that moves to a new image."""

    cluster: str
    namespace: str
    workload: str
    origin: str
    """What runs now (contract: ``from``)."""
    to: str
    """The newest image of its line, or that line's repository while the image is yet to be built."""
    built: bool
    """Whether ``to`` is there already."""
    wave: int
    """After which wave it can move; 0: now."""
    containers: int = 1
    done: bool = False


class Remaining(Struct, frozen=True, kw_only=True):
    """A running image that keeps a package in need of an update when all is done, and why."""

    image: str
    reason: str
    packages: tuple[str, ...] = ()
    containers: int = 0


class Unplannable(Struct, frozen=True, kw_only=True):
    """An image that should be rebuilt and for which no step can be given."""

    image: str
    reason: str


class Plan(Struct, frozen=True, kw_only=True):
    """Rebuilds in waves, parents first; each wave may run side by side."""

    waves: tuple[tuple[Step, ...], ...]
    redeploy: tuple[Redeploy, ...]
    remaining: tuple[Remaining, ...]
    unplannable: tuple[Unplannable, ...]
    summary: str
    """One sentence."""
    asked: str
    """The same question as a command."""
    id: int | None = None
    state: PlanState | None = None
    """None: a preview that is not followed."""
    created: datetime | None = None
    followed: datetime | None = None
    closed: datetime | None = None


class PlanQuestion(Struct, frozen=True, kw_only=True):
    """What a plan is asked for; nothing given: every update of everything that runs."""

    security: bool = False
    advisory: str | None = None
    """A CVE, DSA or other id, or ``pkg:deb/debian/openssl@<3.0.15``."""
    package: str | None = None
    """A binary or source package."""
    image: str | None = None
    """This image is rebuilt, and what is built on it follows."""
    idle: bool = False
    """Also images that do not run."""
    max_parallel: int | None = None
    """The largest wave."""


class PlanSummary(Struct, frozen=True, kw_only=True):
    """A saved plan in a list."""

    id: int
    asked: str
    state: PlanState
    created: datetime
    followed: datetime | None
    closed: datetime | None
    steps: int
    done: int
    """Steps that are proven or deployed."""
