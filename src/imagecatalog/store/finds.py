"""Finds names that contain a text: equal ones first, then those that begin so."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, select

from imagecatalog.store.schema import (
    advisory,
    cluster,
    package_version,
    repository,
    run,
    tag,
    tag_period,
    workload,
)

_ALIVE = select(run.c.workload_id).where(run.c.until.is_(None))


def _order(column: ColumnElement[Any], text: str) -> list[ColumnElement[Any]]:
    low = func.lower(column)
    rank = case((low == text.lower(), 0), (column.istartswith(text, autoescape=True), 1), else_=2)
    return [rank, column]


def find_repositories(c: Connection, text: str, *, limit: int) -> list[str]:
    """Repositories by a part of their name."""
    column = repository.c.name
    query = select(column).where(column.icontains(text, autoescape=True))
    return list(c.scalars(query.order_by(*_order(column, text)).limit(limit)))


def find_tags(c: Connection, text: str, *, limit: int) -> list[tuple[str, str]]:
    """Tags as they point now: (repository, tag), by a name written as ``path:tag``."""
    path, colon, name = text.rpartition(":")
    if not colon or not path:
        return []
    points = select(tag_period.c.tag_id).where(
        tag_period.c.tag_id == tag.c.id, tag_period.c.until.is_(None)
    )
    query = (
        select(repository.c.name, tag.c.name)
        .join(tag, tag.c.repository_id == repository.c.id)
        .where(
            repository.c.name.icontains(path, autoescape=True),
            tag.c.name.istartswith(name, autoescape=True),
            points.exists(),
        )
        .order_by(repository.c.name, tag.c.name.desc())
        .limit(limit)
    )
    return list(c.execute(query).all())


def find_packages(c: Connection, text: str, *, limit: int) -> list[tuple[str, int]]:
    """Binary packages by a part of their name, or their source's whole name: how many versions."""
    column = package_version.c.name
    query = (
        select(column, func.count(package_version.c.version.distinct()))
        .where(column.icontains(text, autoescape=True) | (package_version.c.source == text))
        .group_by(column)
        .order_by(*_order(column, text))
        .limit(limit)
    )
    return list(c.execute(query).all())


def find_workloads(c: Connection, text: str, *, limit: int) -> list[tuple[str, str, str]]:
    """Workloads that run, by a part of their name: (workload, cluster, namespace)."""
    columns = (workload.c.name, cluster.c.name, workload.c.namespace)
    query = (
        select(*columns)
        .join(cluster, cluster.c.id == workload.c.cluster_id)
        .where(workload.c.name.icontains(text, autoescape=True), workload.c.id.in_(_ALIVE))
        .order_by(*columns)
        .limit(limit)
    )
    return list(c.execute(query).all())


def find_namespaces(c: Connection, text: str, *, limit: int) -> list[tuple[str, str]]:
    """Namespaces in which something runs, by a part of their name: (namespace, cluster)."""
    columns = (workload.c.namespace, cluster.c.name)
    query = (
        select(*columns)
        .join(cluster, cluster.c.id == workload.c.cluster_id)
        .where(workload.c.namespace.icontains(text, autoescape=True), workload.c.id.in_(_ALIVE))
        .group_by(*columns)
        .order_by(*columns)
        .limit(limit)
    )
    return list(c.execute(query).all())


def find_advisories(c: Connection, text: str, *, limit: int) -> list[tuple[str, str | None]]:
    """Advisories whose name begins so, as CVE-2026-1, in whatever case: name and description."""
    start = text.upper()
    if start.startswith("GHSA-"):
        start = f"GHSA{text[4:].lower()}"
    query = (
        select(advisory.c.name, advisory.c.description)
        .where(advisory.c.name.between(start, f"{start}\uffff"))
        .order_by(advisory.c.name)
        .limit(limit)
    )
    return list(c.execute(query).all())
