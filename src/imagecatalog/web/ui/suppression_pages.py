"""Pages of what does not count: faults put off, and what VEX documents say."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from imagecatalog.store import deferrals, vex
from imagecatalog.web.api.suppressions import DeferralsQuestion, StatementsQuestion
from imagecatalog.web.service import service_of
from imagecatalog.web.ui.pages import read_question
from imagecatalog.web.ui.render import command, link_query, render

router = APIRouter(include_in_schema=False)

STATEMENT_ROWS = 100


@router.get("/deferrals")
def show_deferrals(request: Request) -> Response:
    """Which faults do we live with, until when, and who said so?"""
    ask = read_question(request, DeferralsQuestion)
    service = service_of(request)
    with service.read() as c:
        items = deferrals.list_deferrals(
            c,
            now=service.clock(),
            advisories=deferrals.find_numbers(c, ask.advisory),
            all_states=ask.all,
        )
    asked = {"advisory": ask.advisory, "all": ask.all}
    return render(
        request,
        "deferrals.html",
        items=items,
        active=sum(item.state == "active" for item in items),
        ask=ask,
        json=link_query("/api/v1/deferrals", **asked),
        csv=link_query("/api/v1/deferrals.csv", **asked),
        line=command("deferrals", ask.advisory, "--all" if ask.all else None),
    )


@router.get("/vex")
def show_statements(request: Request) -> Response:
    """What do others say of faults in what they make?"""
    ask = read_question(request, StatementsQuestion, limit=STATEMENT_ROWS)
    with service_of(request).read() as c:
        page = vex.list_statements(
            c,
            advisories=deferrals.find_numbers(c, ask.advisory),
            limit=ask.limit,
            after=ask.after,
        )
    asked = {"advisory": ask.advisory}
    return render(
        request,
        "vex.html",
        page=page,
        ask=ask,
        json=link_query("/api/v1/vex", **asked),
        csv=link_query("/api/v1/vex.csv", **asked),
        line=command("vex", ask.advisory),
    )
