"""The OpenAPI document: as committed, complete, and true of every answer.

``UPDATE_OPENAPI=1 pytest tests/api/test_openapi.py`` writes the committed one anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from imagecatalog.web.http import encode

COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"
REPOSITORY = "registry.example.org/services/edge-proxy"
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


def _document(client: TestClient) -> Any:
    return client.get("/api/v1/openapi.json").json()


def test_the_committed_document_is_the_applications(client: TestClient) -> None:
    text = json.dumps(_document(client), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_OPENAPI"):
        COMMITTED.write_text(text, encoding="utf-8")
    assert COMMITTED.read_text(encoding="utf-8") == text, __doc__


def test_every_reference_in_it_leads_somewhere(client: TestClient) -> None:
    document = _document(client)
    text = encode(document).decode()
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == document["components"]["schemas"].keys()


def test_every_operation_says_what_it_answers(client: TestClient) -> None:
    document = _document(client)
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], path
            good = {"get": {"200", "304"}, "delete": {"200"}}.get(method, {"201"})
            assert good | {"4XX", "422", "5XX"} <= operation["responses"].keys()


def test_the_reference_names_every_route(client: TestClient) -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    routes = list(_document(client)["paths"])
    assert [path for path in routes if f"`{path}`" not in page] == []


@pytest.fixture(scope="module")
def operations(fleet_app: FastAPI) -> list[APIOperation[Any, Any, Any, Any]]:
    """All that may be asked."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", fleet_app)
    offered = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in offered if operation.method == "get"]


def test_answers_about_the_fleet_keep_to_the_document(
    operations: list[APIOperation[Any, Any, Any, Any]], worst: Any
) -> None:
    for operation in operations:
        if operation.path.endswith("/plans/{number}"):
            continue  # nobody saved a plan of the fleet
        path = {
            "digest": worst["digest"],
            "reference": worst["image"],
            "subject": "pkg:deb/debian/openssl@<9",
            "name": "openssl" if "packages" in operation.path else REPOSITORY,
            "workload": "north/finance/Deployment/ledger",
        }
        wanted = {one.name for one in operation.path_parameters}
        required = {"repository": REPOSITORY, "q": "openssl", "a": worst["digest"]}
        case = operation.Case(
            method="GET",
            path_parameters={key: value for key, value in path.items() if key in wanted},
            query={one.name: required[one.name] for one in operation.query if one.is_required},
        )
        answer = case.call_and_validate(checks=CHECKS)
        assert answer.status_code == 200, operation.label
        # Jobs are run by a serving process, and nobody registered builds, saved plans or decided anything here.
        if not operation.path.endswith(
            ("/jobs", "/builds", "/plans", "/deferrals", "/vex", "/documents", "/opinions")
        ):
            assert len(answer.content) > 50, operation.label


@pytest.mark.parametrize("mode", GenerationMode)
def test_any_question_is_answered_as_documented(
    operations: list[APIOperation[Any, Any, Any, Any]], mode: GenerationMode
) -> None:
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.query:
            continue  # any text is a good path

        @settings(max_examples=12, phases=[Phase.generate], suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy(mode))
        def keep(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        keep()
