"""Clusters of a size, as an API server lists them: made up, with all that real pods carry.

``python -m benchmarks.pods PODS`` serves them until stopped, and prints its port. Below ``/a``, ``/b``, … lies a
cluster each; ``POST /change`` lets two of a hundred pods be replaced by pods of another image.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 500
_OF_ONE = 10
"""Pods of a workload."""
_CHANGED = 50
"""One of so many pods is replaced."""


def make_pod(number: int, *, is_new: bool = False) -> dict[str, Any]:
    """A running pod of a Deployment; every second one has a sidecar, so that two have three containers."""
    workload = number // _OF_ONE
    name, template = f"service-{workload:05}", f"{workload * 7919 % 0xFFFFFF:06x}9f"
    digest = hashlib.sha256(f"{workload % 400} {is_new}".encode()).hexdigest()
    image = f"registry.example.org/services/s{workload % 400}:{2 if is_new else 1}"
    pod = f"{name}-{template}-{'n' if is_new else 'x'}{number:06}"
    containers = [_container("main", image, name)]
    statuses = [_status("main", image, f"registry.example.org/services@sha256:{digest}")]
    if number % 2:
        proxy = hashlib.sha256(b"proxy").hexdigest()
        containers.append(_container("proxy", "registry.example.org/proxy:1.29", name))
        statuses.append(
            _status("proxy", "registry.example.org/proxy:1.29", f"docker.io/proxy@sha256:{proxy}")
        )
    return {
        "metadata": _metadata(number, pod, template, digest, [one["name"] for one in containers]),
        "spec": _spec(containers),
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": _AT}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "hostIP": "10.64.0.17",
            "podIP": f"10.65.{number // 250 % 250}.{number % 250}",
            "podIPs": [{"ip": f"10.65.{number // 250 % 250}.{number % 250}"}],
            "startTime": _AT,
            "containerStatuses": statuses,
            "qosClass": "Burstable",
        },
    }


_AT = "2026-11-20T09:12:40Z"


def _metadata(
    number: int, pod: str, template: str, digest: str, containers: Sequence[str]
) -> dict[str, Any]:
    workload = number // _OF_ONE
    name = f"service-{workload:05}"
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": f"system-{workload % 40}",
        "pod-template-hash": template,
        "team": f"team-{workload % 30}",
    }
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{name}-{template}",
        "uid": f"10000000-0000-4000-8000-{workload:012}",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": pod,
        "generateName": f"{name}-{template}-",
        "namespace": f"ns-{workload % 60}",
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "resourceVersion": str(10_000_000 + number),
        "creationTimestamp": _AT,
        "labels": labels,
        "annotations": {
            "checksum/config": digest,
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "9102",
        },
        "ownerReferences": [owner],
        "managedFields": _managed(labels, containers),
    }


def _container(name: str, image: str, service: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10}
    return {
        "name": name,
        "image": image,
        "args": ["--config=/etc/service/config.yaml", f"--service={service}"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "SERVICE_IDENTIFIER", "value": service},
            {
                "name": "POD_IP",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
            },
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": service, "key": "it"}}},
        ],
        "resources": {
            "limits": {"cpu": "2", "memory": "1Gi"},
            "requests": {"cpu": "250m", "memory": "512Mi"},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/service", "readOnly": True},
            {
                "name": "kube-api-access",
                "readOnly": True,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            },
        ],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _status(name: str, image: str, image_id: str) -> dict[str, Any]:
    return {
        "name": name,
        "state": {"running": {"startedAt": _AT}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": image,
        "imageID": image_id,
        "containerID": f"containerd://{hashlib.sha256(image_id.encode()).hexdigest()}",
        "started": True,
    }


def _spec(containers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    expiry = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {
        "volumes": [
            {"name": "config", "configMap": {"name": "config", "defaultMode": 420}},
            {
                "name": "kube-api-access",
                "projected": {"sources": [token, {"configMap": authority}], "defaultMode": 420},
            },
        ],
        "containers": containers,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "nodeName": "node-17.example.org",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            expiry | {"key": "node.kubernetes.io/not-ready"},
            expiry | {"key": "node.kubernetes.io/unreachable"},
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def _managed(labels: dict[str, str], containers: Sequence[str]) -> list[dict[str, Any]]:
    """Who set which field: often the largest part of a pod."""
    keys = ("args", "env", "image", "imagePullPolicy", "livenessProbe", "name", "ports", "resources",
            "readinessProbe", "securityContext", "terminationMessagePath", "volumeMounts")  # fmt: skip
    each: dict[str, Any] = {
        f'k:{{"name":"{name}"}}': {".": {}} | {f"f:{key}": {} for key in keys}
        for name in containers
    }
    spec: dict[str, Any] = {f"f:{key}": {} for key in _spec(()) if key != "containers"} | {
        "f:containers": each
    }
    conditions: dict[str, Any] = {
        f'k:{{"type":"{kind}"}}': {".": {}, "f:lastProbeTime": {}, "f:lastTransitionTime": {}, "f:status": {}}
        for kind in ("Initialized", "Ready", "ContainersReady")
    }  # fmt: skip
    status: dict[str, Any] = {
        f"f:{key}": {} for key in ("containerStatuses", "hostIP", "phase", "podIP", "startTime")
    }
    common = {"apiVersion": "v1", "operation": "Update", "time": _AT, "fieldsType": "FieldsV1"}
    made = {
        "f:metadata": {"f:labels": {".": {}} | {f"f:{key}": {} for key in labels}},
        "f:spec": spec,
    }
    told = {"f:status": status | {"f:conditions": conditions}}
    return [
        common | {"manager": "kube-controller-manager", "fieldsV1": made},
        common | {"manager": "kubelet", "subresource": "status", "fieldsV1": told},
    ]


class Pages:
    """The pages of a cluster, rendered once."""

    def __init__(self, pods: int, *, is_changed: bool) -> None:
        numbers = range(pods)
        self._items = [
            ",".join(
                json.dumps(
                    make_pod(n, is_new=is_changed and not n % _CHANGED), separators=(",", ":")
                )
                for n in numbers[start : start + PAGE]
            ).encode()
            for start in range(0, pods, PAGE)
        ]
        self._pods = pods
        self._pages = [self._page(at) for at in range(len(self._items))]
        self._packed = [gzip.compress(page, 1) for page in self._pages]

    def answer(self, limit: int, start: str, *, packed: bool) -> bytes:
        """A page; with no limit the whole list."""
        if limit != PAGE:
            return _HEAD + b'{"resourceVersion":"9"},"items":[' + b",".join(self._items) + b"]}"
        return (self._packed if packed else self._pages)[int(start or 0)]

    def _page(self, at: int) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": "9"}
        if at + 1 < len(self._items):
            left = self._pods - (at + 1) * PAGE
            metadata |= {"continue": str(at + 1), "remainingItemCount": left}
        return _HEAD + json.dumps(metadata).encode() + b',"items":[' + self._items[at] + b"]}"


_HEAD = b'{"kind":"PodList","apiVersion":"v1","metadata":'


def serve(pods: int) -> None:
    """Serve clusters of so many pods."""
    states = [Pages(pods, is_changed=False), Pages(pods, is_changed=True)]

    class Handler(BaseHTTPRequestHandler):
        """An API server's answers; a POST has two pods in a hundred be others, or the same again."""

        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def do_GET(self) -> None:
            """Answer with a page."""
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            packed = "gzip" in self.headers.get("Accept-Encoding", "")
            if url.path.endswith("/namespaces"):
                body, packed = b'{"kind":"NamespaceList","items":[]}', False
            else:
                limit = int(query.get("limit", "0"))
                packed = packed and limit == PAGE
                body = states[0].answer(limit, query.get("continue", ""), packed=packed)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if packed:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            """Turn to the other state of the cluster."""
            states.reverse()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
