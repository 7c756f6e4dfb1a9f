"""What ``kubectl get pods --all-namespaces -o json`` would say of the sample clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fleet.build import Built
from fleet.recipes import REGISTRY
from fleet.workloads import CLUSTERS, TEAMS, Container, Workload

Json = dict[str, Any]
STARTED = "2026-11-23T09:00:00Z"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_API = {
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
}


def _letters(count: int, *seed: object) -> str:
    """A suffix as Kubernetes makes them, always the same for the same seed."""
    digest = hashlib.sha256(repr(seed).encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:count])


def _uid(*seed: object) -> str:
    digits = hashlib.sha256(repr(seed).encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _reference(container: Container) -> str:
    """The image as the pod's specification names it."""
    first = container.image.split("/")[0]
    return container.image if "." in first else f"{REGISTRY}/{container.image}"


def _image_id(container: Container, built: Mapping[str, Built], architecture: str) -> str:
    """What the node's runtime says that it runs."""
    repository = _reference(container).rsplit(":", 1)[0]
    if container.shape == "none":
        return ""
    if container.shape == "foreign":
        return f"{repository}@sha256:{hashlib.sha256(repository.encode()).hexdigest()}"
    image = built[container.image].images[architecture]
    digest = image.descriptor["digest"]
    return {
        "containerd": f"{repository}@{digest}",
        "pullable": f"docker-pullable://{repository}@{digest}",
        "index": f"{repository}@{built[container.image].descriptor['digest']}",
        "config": image.config_digest,
        "docker": f"docker://{image.config_digest}",
    }[container.shape]


def _status(container: Container, image_id: str, *, done: bool) -> Json:
    state: Json = {"running": {"startedAt": STARTED}}
    if done:
        state = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": STARTED}}
    if not image_id:
        state = {"waiting": {"reason": "ImagePullBackOff"}}
    image = container.image if container.shape in {"config", "docker"} else _reference(container)
    return {
        "name": container.name,
        "image": image if image_id else _reference(container),
        "imageID": image_id,
        "ready": bool(image_id) and not done,
        "restartCount": 0,
        "state": state,
    }


def _owner(cluster: str, workload: Workload, number: int) -> tuple[str, str] | None:
    """The kind and name of the pod's immediate owner."""
    seed = (cluster, workload.namespace, workload.name)
    match workload.kind:
        case "Pod":
            return None
        case "Deployment":
            return "ReplicaSet", f"{workload.name}-{_letters(10, *seed)}"
        case "CronJob":
            return "Job", f"{workload.name}-{29_923_200 + 60 * number}"
        case kind:
            return kind, workload.name


def _pod_name(cluster: str, workload: Workload, number: int, owner: str | None) -> str:
    if owner is None:
        return workload.name
    if workload.kind == "StatefulSet":
        return f"{owner}-{number}"
    return f"{owner}-{_letters(5, cluster, workload.namespace, owner, number)}"


def _pod(cluster: str, workload: Workload, number: int, built: Mapping[str, Built]) -> Json:
    owner = _owner(cluster, workload, number)
    name = _pod_name(cluster, workload, number, owner and owner[1])
    metadata: Json = {
        "name": name,
        "namespace": workload.namespace,
        "uid": _uid(cluster, workload.namespace, name),
        "creationTimestamp": STARTED,
        "labels": {"app.kubernetes.io/name": workload.name, "team": TEAMS[workload.namespace]},
    }
    if owner:
        uid = _uid(cluster, workload.namespace, *owner)
        reference = {"apiVersion": _API[owner[0]], "kind": owner[0], "name": owner[1]}
        metadata["ownerReferences"] = [{**reference, "uid": uid, "controller": True}]
    if owner and owner[0] == "ReplicaSet":
        metadata["labels"]["pod-template-hash"] = owner[1].removeprefix(f"{workload.name}-")

    def spec(containers: tuple[Container, ...]) -> list[Json]:
        return [{"name": each.name, "image": _reference(each)} for each in containers]

    def statuses(containers: tuple[Container, ...], *, done: bool = False) -> list[Json]:
        return [_status(each, _image_id(each, built, "amd64"), done=done) for each in containers]

    pending = any(each.shape == "none" for each in workload.containers)
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "nodeName": f"{cluster}-node-{1 + number % 6}",
            "containers": spec(workload.containers),
        },
        "status": {
            "phase": "Pending" if pending else "Running",
            "startTime": STARTED,
            "containerStatuses": statuses(workload.containers),
        },
    }
    if workload.init:
        pod["spec"]["initContainers"] = spec(workload.init)
        pod["status"]["initContainerStatuses"] = statuses(workload.init, done=True)
    return pod


def list_pods(cluster: str, built: Mapping[str, Built]) -> Json:
    """The whole answer for one cluster."""
    pods = [
        _pod(cluster, workload, number, built)
        for workload in CLUSTERS[cluster]
        for number in range(workload.pods)
    ]
    return {"apiVersion": "v1", "items": pods, "kind": "List", "metadata": {"resourceVersion": ""}}
