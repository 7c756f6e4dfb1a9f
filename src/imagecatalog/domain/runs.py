"""What runs: one observation of a cluster."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class RunningContainer(Struct, frozen=True):
    """One container of one pod, as the API server's answer has it."""

    namespace: str
    workload: str
    """``Kind/name`` of the pod's owner (``Deployment/web``), or ``Pod/name`` for a bare pod."""
    pod_name: str
    container: str
    kind: Literal["container", "init", "ephemeral"]
    image: str
    """The name that the pod's specification gives."""
    image_id: str
    """What the runtime reports, in any of its shapes; empty when none was pulled yet."""
    team: str = ""
    """Whose workload it is, as a label or an annotation has it; empty: nobody said."""
    state: Literal["running", "waiting", "terminated", ""] = ""
    """As it is now; empty: not told."""
    reason: str = ""
    """Of that state: ``ImagePullBackOff``, ``OOMKilled``; empty: none was given."""
