"""What is decoded of Kubernetes' objects (core/v1 Pod, Namespace; meta/v1 lists and watch events)."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

_ENDED = ("Succeeded", "Failed")
STORABLE = r"^[^\x00\ud800-\udfff]*\Z"
"""No zero byte and no half of a surrogate: no API server gives them, and no database takes them."""

Kind = Literal["container", "init", "ephemeral"]
State = Literal["running", "waiting", "terminated", ""]
Short = Annotated[str, Meta(max_length=63, pattern=STORABLE)]
Name = Annotated[str, Meta(max_length=253, pattern=STORABLE)]
Image = Annotated[str, Meta(max_length=2048, pattern=STORABLE)]
Why = Annotated[str, Meta(max_length=1024, pattern=STORABLE)]
Token = Annotated[str, Meta(max_length=1 << 16)]
Chosen = TypeVar("Chosen")
"""A structure of the configured keys alone, so that other annotations cost nothing."""


class Owner(Struct):
    """An owner reference."""

    kind: Short
    name: Name
    controller: bool | None = None


class PodMeta(Struct, Generic[Chosen]):
    """A pod's name and owners."""

    name: Name
    namespace: Name = "default"
    labels: dict[str, str] | None = None
    annotations: Chosen | None = None
    owners: list[Owner] | None = msgspec.field(default=None, name="ownerReferences")


class Container(Struct):
    """A container as it is asked for."""

    name: Name
    image: Image = ""


class StateReason(Struct):
    """Why it is in a state."""

    reason: Why = ""


class ContainerState(Struct):
    """What a container does; at most one of them."""

    running: StateReason | None = None
    waiting: StateReason | None = None
    terminated: StateReason | None = None

    def tell(self) -> tuple[State, str]:
        """The one that it is, and why."""
        if self.running is not None:
            return "running", ""
        if self.waiting is not None:
            return "waiting", self.waiting.reason
        if self.terminated is not None:
            return "terminated", self.terminated.reason
        return "", ""


class ContainerStatus(Struct):
    """A container as it runs."""

    name: Name
    image: Image = ""
    image_id: Image = msgspec.field(default="", name="imageID")
    state: ContainerState | None = None


class PodSpec(Struct, rename="camel"):
    """The containers asked for."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None


class PodStatus(Struct, rename="camel"):
    """The containers that run."""

    phase: str = ""
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None


class Pod(Struct, Generic[Chosen]):
    """One pod, as far as it is read."""

    metadata: PodMeta[Chosen]
    spec: PodSpec
    status: PodStatus = msgspec.field(default_factory=PodStatus)
    kind: str = "Pod"

    def groups(
        self,
    ) -> tuple[tuple[Kind, list[Container] | None, list[ContainerStatus] | None], ...]:
        """Its containers as they are asked for and as they run, by kind, in the order they start."""
        spec, status = self.spec, self.status
        return (
            ("init", spec.init_containers, status.init_container_statuses),
            ("container", spec.containers, status.container_statuses),
            ("ephemeral", spec.ephemeral_containers, status.ephemeral_container_statuses),
        )

    def has_ended(self) -> bool:
        """Whether it ran to its end; a container that runs contradicts the phase, and counts more."""
        return self.status.phase in _ENDED and not any(
            item.state is not None and item.state.running is not None
            for _, _, statuses in self.groups()
            for item in statuses or ()
        )


class ListMeta(Struct):
    """A list's place in a longer one, and the state of the cluster it shows."""

    next: Token | None = msgspec.field(default=None, name="continue")
    left: int | None = msgspec.field(default=None, name="remainingItemCount")
    version: Token = msgspec.field(default="", name="resourceVersion")


class PodList(Struct, Generic[Chosen]):
    """A page of pods."""

    kind: str
    items: list[Pod[Chosen]] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class LooseList(Struct):
    """A page whose items are read one by one."""

    kind: str
    items: list[msgspec.Raw] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class NamespaceItem(Struct, Generic[Chosen]):
    """A namespace, by its metadata alone."""

    metadata: PodMeta[Chosen]


class NamespaceList(Struct, Generic[Chosen]):
    """A page of namespaces."""

    kind: str
    items: list[NamespaceItem[Chosen]] | None = None
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class EventLine(Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class NamedMeta(Struct):
    """Where a pod is, and what it is called."""

    name: Name
    namespace: Name = "default"


class NamedItem(Struct):
    """A pod of which no more than its name is read."""

    metadata: NamedMeta


class Bookmark(Struct):
    """The object of an event that is no change: a place in time, or a ``Status``."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    code: int = 0
    message: str = ""
