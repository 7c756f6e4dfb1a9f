"""What the catalog knows of single pods: for what a scan could not say of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, tuple_

from imagecatalog.domain.runs import RunningContainer
from imagecatalog.store.dialect import batches
from imagecatalog.store.schema import cluster, run, run_image, workload


def list_known(
    c: Connection, name: str, pods: Sequence[tuple[str, str]], *, before: datetime | None = None
) -> list[RunningContainer]:
    """The containers that run in these pods of a cluster (namespace, pod), as they were last seen.

    Those that ran just before a moment, where one is given.
    """
    alive: ColumnElement[bool] = run.c.until.is_(None)
    if before is not None:
        alive = and_(run.c.since < before, or_(alive, run.c.until >= before))
    query: Select[Any] = (
        select(
            workload.c.namespace,
            workload.c.name,
            run.c.pod_name,
            run.c.container,
            run.c.kind,
            run_image.c.image,
            run_image.c.image_id,
            workload.c.team,
            run.c.state,
            run.c.reason,
        )
        .join(workload, workload.c.id == run.c.workload_id)
        .join(cluster, cluster.c.id == run.c.cluster_id)
        .join(run_image, run_image.c.id == run.c.run_image_id)
        .where(cluster.c.name == name, alive, run.c.pod_name != "")
    )
    found = []
    for batch in batches(pods):
        wanted = query.where(tuple_(workload.c.namespace, run.c.pod_name).in_(batch))
        found += [RunningContainer(*row) for row in c.execute(wanted)]
    return found
