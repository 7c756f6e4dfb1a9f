"""The application: ``create_app()`` for any server, ``create_asgi_app()`` for uvicorn.

Nothing is opened or started before the first request, so that workers may fork after this.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from a2wsgi import ASGIMiddleware
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import imagecatalog
from imagecatalog.config import Settings, load_settings
from imagecatalog.errors import CatalogError
from imagecatalog.store import health
from imagecatalog.store.engine import Catalog
from imagecatalog.web.api import (
    advisories,
    affected,
    clusters,
    debmonitor,
    feeds,
    hooks,
    lineage,
    opinions,
    pasts,
    plans,
    read,
    sboms,
    suppressions,
    write,
)
from imagecatalog.web.api.bodies import describe_bodies
from imagecatalog.web.api.clusters import describe_scans
from imagecatalog.web.api.debmonitor_bodies import describe_debmonitor
from imagecatalog.web.api.schemas import describe_answers
from imagecatalog.web.auth import challenge, require_reader
from imagecatalog.web.chunks import measured
from imagecatalog.web.http import (
    SECURITY_HEADERS,
    HeadAndHeaders,
    Problem,
    describe_error,
    describe_faults,
    make_problem,
    problem_response,
    wants_page,
)
from imagecatalog.web.service import Service, service_of
from imagecatalog.web.ui import (
    advisory_pages,
    lineage_pages,
    pages,
    past_pages,
    plan_pages,
    suppression_pages,
)
from imagecatalog.web.ui.render import render_problem

OPENAPI = "/api/v1/openapi.json"


class Application:
    """Callable as WSGI (two arguments) and as ASGI (three)."""

    def __init__(self, asgi: ASGIApp) -> None:
        self.asgi: Any = asgi
        self._wsgi: Any = None
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Answer by the protocol that the number of arguments tells."""
        if len(arguments) == 3:
            return self.asgi(*arguments)
        with self._lock:
            # It starts a thread, which a fork before the first request would lose.
            self._wsgi = self._wsgi or ASGIMiddleware(self.asgi)
        return self._answer(*arguments)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        with measured(environ):
            yield from self._wsgi(environ, start_response)


def create_app() -> Application:
    """The application with the settings of the environment; raises ConfigError."""
    return Application(create_asgi_app())


def create_asgi_app(
    settings: Settings | None = None,
    catalog: Catalog | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
    wake: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The application for an ASGI server.

    ``catalog`` is opened from the settings when left out, and stays the caller's to close when not;
    ``wake`` is called when there is work for the jobs that need not wait.
    """
    settings = settings or load_settings({}, os.environ)
    app = FastAPI(
        title="imagecatalog",
        version=imagecatalog.__version__,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.service = Service(settings, catalog, **({"clock": clock} if clock else {}), wake=wake)
    app.add_middleware(HeadAndHeaders)
    app.add_exception_handler(CatalogError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_faults)
    app.add_exception_handler(HTTPException, _on_status)
    app.add_exception_handler(Exception, _on_surprise)
    readers = [Depends(require_reader)] if settings.api.reads == "token" else []
    app.include_router(write.router)  # first, for routes are tried in turn and this is asked most
    app.include_router(hooks.router)
    app.include_router(debmonitor.router)
    app.include_router(clusters.router)
    app.include_router(advisories.router, dependencies=readers)
    app.include_router(affected.router, dependencies=readers)
    app.include_router(feeds.router, dependencies=readers)
    app.include_router(lineage.router, dependencies=readers)
    app.include_router(opinions.router, dependencies=readers)
    app.include_router(plans.router, dependencies=readers)
    app.include_router(sboms.router, dependencies=readers)
    app.include_router(suppressions.router, dependencies=readers)
    app.include_router(pasts.router, dependencies=readers)
    app.include_router(read.router, dependencies=readers)
    app.include_router(plans.saving)
    app.include_router(suppressions.deciding)
    app.include_router(feeds.deciding)
    app.add_api_route("/healthz", say_alive, include_in_schema=False)
    app.add_api_route("/readyz", say_ready, include_in_schema=False)
    app.mount("/static", StaticFiles(packages=[("imagecatalog.web", "static")]), name="static")
    for ui in (advisory_pages, past_pages, pages, lineage_pages, plan_pages, suppression_pages):
        app.include_router(ui.router, dependencies=readers)
    app.openapi = lambda: describe_api(app)  # type: ignore[method-assign]
    return app


def say_alive() -> Response:
    """200 while the process answers at all."""
    return Response("ok\n", media_type="text/plain")


def say_ready(request: Request) -> Response:
    """200 when the catalog can be read, else 503 with the reason."""
    with service_of(request).read() as c:
        health.list_health(c)
    return Response("ready\n", media_type="text/plain")


def describe_api(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, the answers' schemas generated from their structs."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            summary="Which container images you have, where they run, and what to update.",
            routes=app.routes,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(
            describe_answers() | describe_bodies() | describe_debmonitor() | describe_scans()
        )
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token."}
        }
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        app.openapi_schema = document
    return app.openapi_schema


def _answer(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    if wants_page(request):
        return render_problem(request, problem, headers)
    return problem_response(problem, headers)


def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CatalogError)
    return _answer(request, describe_error(error), challenge(error))


def _on_faults(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(request, describe_faults(error.errors()))


def _on_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.method} is not allowed here.",
    }.get(error.status_code, HTTPStatus(error.status_code).description)
    return _answer(request, make_problem(error.status_code, detail), dict(error.headers or {}))


def _on_surprise(request: Request, _error: Exception) -> Response:
    problem = make_problem(
        500, "Something went wrong on our side.", code="internal", hint="the server's log has more"
    )
    # This answer is made outside of the middleware that adds them.
    return _answer(request, problem, dict(SECURITY_HEADERS))
