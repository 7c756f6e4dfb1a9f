"""Whom a pod belongs to, told from the pod alone, so that no right beyond listing pods is needed.

- A ``ReplicaSet`` named ``web-<pod-template-hash>`` is ``Deployment/web``, and one named by Argo's
  ``rollouts-pod-template-hash`` is ``Rollout/web``; one that carries neither was made by hand and is itself;
- a ``Job`` named ``report-<digits>``, where the digits are a schedule's time in minutes or seconds
  since 1970, is ``CronJob/report``;
- the pods that a node starts by itself (owner ``Node``) and those without an owner are ``Pod/name``;
- everything else is ``Kind/name`` of the owner that controls the pod.
"""

from __future__ import annotations

import re
from typing import Any

from imagecatalog.formats.pod_objects import PodMeta

_SCHEDULED = re.compile(r"(.+)-(\d{8}|\d{10})")
_TEMPLATES = (("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout"))


def find_workload(pod: PodMeta[Any]) -> str:
    """``Kind/name`` of whom the pod belongs to, by the rules above."""
    owners = pod.owners or []
    owner = next((o for o in owners if o.controller), owners[0] if owners else None)
    if owner is None or owner.kind == "Node":
        return f"Pod/{pod.name}"
    if owner.kind == "ReplicaSet":
        for label, kind in _TEMPLATES:
            template = (pod.labels or {}).get(label, "")
            name = owner.name.removesuffix(f"-{template}")
            if template and name and name != owner.name:
                return f"{kind}/{name}"
    if owner.kind == "Job":
        scheduled = _SCHEDULED.fullmatch(owner.name)
        if scheduled and _is_schedule_time(scheduled[2]):
            return f"CronJob/{scheduled[1]}"
    return f"{owner.kind}/{owner.name}"


def _is_schedule_time(digits: str) -> bool:
    # 2019 to 2080, so that a job named by its day (migrate-20261123) is not taken for a CronJob's
    minutes = int(digits) if len(digits) == 8 else int(digits) // 60
    return 25_700_000 <= minutes < 58_000_000
