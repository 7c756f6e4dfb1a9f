"""The questions that both the pages and the API ask, each one call of the catalog."""

from __future__ import annotations

from datetime import datetime

from imagecatalog.domain.answers import (
    Holder,
    ImageSummary,
    OutdatedImage,
    RepositorySummary,
)
from imagecatalog.domain.pasts import RunningPage
from imagecatalog.planning import inspection, moments, staleness
from imagecatalog.planning.verdicts import Running
from imagecatalog.store import holders, repositories
from imagecatalog.store.engine import Connection
from imagecatalog.store.page import Page
from imagecatalog.web.api.schemas import (
    USUAL_PAGE,
    HoldersQuestion,
    ImagesQuestion,
    OutdatedQuestion,
    RepositoriesQuestion,
    RunningQuestion,
)


def ask_outdated(
    c: Connection, ask: OutdatedQuestion, now: datetime, running: Running | None = None
) -> Page[OutdatedImage]:
    """Images by verdict, worst first. ``running`` is what was read of all that runs."""
    return staleness.outdated(
        c,
        now=now,
        all_images=ask.all,
        security=ask.security,
        status=ask.status,
        severity=ask.severity,
        exploited=ask.exploited,
        cluster=ask.cluster,
        namespace=ask.namespace,
        image=ask.image,
        limit=ask.limit or USUAL_PAGE,
        after=ask.after,
        running=running,
    )


def ask_running(c: Connection, ask: RunningQuestion, now: datetime) -> RunningPage:
    """Containers by cluster, namespace, workload, and how far what runs is known."""
    return moments.running(
        c,
        now=now,
        cluster=ask.cluster,
        namespace=ask.namespace,
        image=ask.image,
        team=ask.team,
        at=ask.at,
        limit=ask.limit or USUAL_PAGE,
        after=ask.after,
    )


def ask_images(c: Connection, ask: ImagesQuestion, now: datetime) -> Page[ImageSummary]:
    """Images of a repository, the newest first, or all, the last met first."""
    return inspection.list_images(
        c,
        now=now,
        repository=ask.repository,
        label=ask.label,
        limit=ask.limit or USUAL_PAGE,
        after=ask.after,
    )


def ask_repositories(
    c: Connection, ask: RepositoriesQuestion, _now: datetime
) -> Page[RepositorySummary]:
    """Repositories by name."""
    return repositories.list_repositories(
        c, search=ask.search, limit=ask.limit or USUAL_PAGE, after=ask.after
    )


def ask_holders(c: Connection, name: str, ask: HoldersQuestion) -> Page[Holder]:
    """Images that hold a package."""
    return holders.list_holders(
        c, name, below=ask.below, kind=ask.type, limit=ask.limit or USUAL_PAGE, after=ask.after
    )
