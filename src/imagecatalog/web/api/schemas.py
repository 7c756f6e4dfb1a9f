"""What may be asked, checked by pydantic, and what is answered, described from the structs.

The answers' schemas are generated from ``domain.answers``, whose structs are what is encoded: the
description cannot drift from the bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from imagecatalog.domain import (
    answers,
    feeds,
    findings,
    lineage,
    pasts,
    plans,
    receipts,
    second_opinions,
    suppressions,
)
from imagecatalog.domain.advisories import Exposure, RunningFaults
from imagecatalog.domain.answers import Status
from imagecatalog.domain.findings import Severity
from imagecatalog.store.labels import KEY_LIMIT, VALUE_LIMIT
from imagecatalog.web.http import Problem

LARGEST_PAGE = 1000
USUAL_PAGE = 100

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in a text, so no name has one."""
Text = Annotated[str, Field(max_length=500, pattern=NO_NUL)]
Label = Annotated[str, Field(max_length=KEY_LIMIT + VALUE_LIMIT + 1, pattern=NO_NUL)]
Cursor = Annotated[str, Field(max_length=4000, pattern=NO_NUL)]
Name = Annotated[str, Path(max_length=1000, pattern=NO_NUL)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this moment is out of the calendar") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""RFC 3339; a time without a zone is UTC."""


class Question(BaseModel):
    """Query parameters; one that we do not know is refused, for it would silently not filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableQuestion(Question):
    """A list that is always whole."""

    format: Annotated[Literal["json", "csv"], Field(description="CSV also by `….csv`.")] = "json"


class ListQuestion(TableQuestion):
    """A page of a list."""

    limit: Annotated[
        int | None,
        Field(ge=1, le=LARGEST_PAGE, description="Items a page; 100 as JSON, all as CSV."),
    ] = None
    after: Annotated[Cursor | None, Field(description="`next` of the page before.")] = None


class ImagesQuestion(ListQuestion):
    """Whose images; without a repository all of them."""

    repository: Annotated[
        Text | None, Field(min_length=1, description="Registry and path; left out: all.")
    ] = None
    label: Annotated[
        Label | None,
        Field(min_length=1, description="KEY or KEY=VALUE: those that carry this label."),
    ] = None


class BuildsQuestion(ListQuestion):
    """Whose builds."""

    repository: Annotated[Text, Field(min_length=1, description="Registry and path.")]


class RepositoriesQuestion(ListQuestion):
    """Which repositories."""

    search: Annotated[Text | None, Field(description="Part of the name.")] = None


class PlacesQuestion(ListQuestion):
    """Where, and which image."""

    cluster: Text | None = None
    namespace: Text | None = None
    image: Annotated[Text | None, Field(description="Part of the name.")] = None


class RunningQuestion(PlacesQuestion):
    """What runs, or ran."""

    at: Annotated[Moment | None, Field(description="What ran then; left out: now.")] = None
    team: Annotated[Text | None, Field(description="Workloads of this team alone.")] = None


class ClustersQuestion(TableQuestion):
    """The clusters, now or then."""

    at: Annotated[
        Moment | None, Field(description="How far what ran then is known; left out: now.")
    ] = None


class ExposureQuestion(Question):
    """Where, and how many spans."""

    cluster: Text | None = None
    namespace: Text | None = None
    limit: Annotated[int, Field(ge=1, le=10_000, description="Spans, at most.")] = 500


class PatchingQuestion(Question):
    """What was patched when, and by whom."""

    since: Annotated[Moment | None, Field(description="Patched since then; left out: 90 days.")] = (
        None
    )
    cluster: Text | None = None
    team: Text | None = None


class OutdatedQuestion(PlacesQuestion):
    """What needs an update."""

    all: Annotated[bool, Field(description="Also images that do not run.")] = False
    security: Annotated[bool, Field(description="Security updates alone.")] = False
    status: Annotated[Status | None, Field(description="This verdict alone.")] = None
    severity: Annotated[
        Severity | None, Field(description="Worst fault with a fix of this severity alone.")
    ] = None
    exploited: Annotated[bool, Field(description="With a fault known to be exploited alone.")] = (
        False
    )


class HoldersQuestion(ListQuestion):
    """Which images hold a package."""

    below: Annotated[Text | None, Field(description="Versions lower than this alone.")] = None
    type: Annotated[Text | None, Field(description="deb, pypi, npm …: this type alone.")] = None


class LineageQuestion(Question):
    """How much of a lineage."""

    limit: Annotated[int, Field(ge=1, le=10_000, description="Descendants, at most.")] = 500


class DiffQuestion(Question):
    """Which two images."""

    a: Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)]
    b: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            pattern=NO_NUL,
            description="Left out: the newest of the first one's line.",
        ),
    ] = None


class SearchQuestion(Question):
    """Anything: an image, a digest's first letters, a package, a namespace."""

    q: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    limit: Annotated[int, Field(ge=1, le=100)] = 20


ANSWERS: tuple[type[msgspec.Struct], ...] = (
    Exposure,
    RunningFaults,
    answers.Health,
    answers.Holder,
    answers.ImageDetail,
    answers.ImageSummary,
    answers.OutdatedImage,
    answers.Overview,
    answers.PackageItem,
    answers.RepositorySummary,
    answers.RunningItem,
    answers.SearchHit,
    answers.TagPeriod,
    feeds.FeedItem,
    feeds.ForgottenFeed,
    findings.ImageFindings,
    lineage.BuildItem,
    lineage.InventoryItem,
    lineage.Diff,
    lineage.HistoryItem,
    lineage.Lineage,
    lineage.RegisteredName,
    pasts.ClusterItem,
    pasts.PastExposure,
    pasts.Patching,
    pasts.RunningPage,
    pasts.WorkloadPast,
    plans.Plan,
    plans.PlanSummary,
    receipts.BuildReceipt,
    receipts.ClusterReceipt,
    receipts.ImageError,
    receipts.ScanReceipt,
    receipts.SbomReceipt,
    second_opinions.ImageOpinion,
    suppressions.DeferralItem,
    suppressions.VexDocumentItem,
    suppressions.VexItem,
    suppressions.VexReceipt,
    Problem,
)


def describe_answers() -> dict[str, Any]:
    """OpenAPI component schemas of all answers, by struct name."""
    _, components = msgspec.json.schema_components(
        ANSWERS, ref_template="#/components/schemas/{name}"
    )
    for name, schema in components.items():
        if name not in {"Problem", "Fault"} and "properties" in schema:
            # msgspec lists as required what a reader must send; we always send all of it.
            schema["required"] = list(schema["properties"])
    return components
