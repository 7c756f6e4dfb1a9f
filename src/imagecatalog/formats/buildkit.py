"""What BuildKit's own description of a build (LLB, as its provenance holds it) says of images.

The steps form a graph. A step changes the file system that it is given first; all else that it is
given it only reads. So the way down from the result along what is given first ends in the base;
what is read from is an image that was copied from, or a stage, whose own way down ends in its base.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from imagecatalog.domain.builds import Role
from imagecatalog.formats.inventory import ABSENT, read
from imagecatalog.formats.materials import Material, read_material

STEPS_LIMIT = 20_000
"""Steps of a build that we follow; of longer ones the roles are not known."""

_Ref = tuple[str, int]
"""A step and which of its outputs."""


class _Mount(Struct):
    input: int = 0
    output: int = 0
    dest: str = ""


class _Exec(Struct):
    mounts: list[_Mount] = []


class _Action(Struct):
    input: int = 0
    output: int = 0


class _File(Struct):
    actions: list[_Action] = []


class _Source(Struct):
    identifier: str = ""


class _Part(Struct):
    input: int = 0


class _Merge(Struct):
    inputs: list[_Part] = []


class _Op(Struct):
    exec: _Exec | None = None
    file: _File | None = None
    source: _Source | None = None
    merge: _Merge | None = None
    other: Raw = field(name="diff", default=ABSENT)
    build: Raw = ABSENT


class _Outer(Struct):
    op: _Op | None = field(name="Op", default=None)


class _Step(Struct):
    id: str = ""
    outer: _Outer | None = field(name="op", default=None)
    inputs: list[str] = []

    @property
    def op(self) -> _Op:
        """What it does; the last one does nothing but name the result."""
        return (self.outer.op if self.outer else None) or _Op()


class _Config(Struct):
    steps: list[_Step] = field(name="llbDefinition", default=[])


_CONFIG = msgspec.json.Decoder(_Config)


def read_roles(config: Raw) -> list[tuple[Material, Role]] | None:
    """The images of a build and what each was to it, the base first; None where it does not say.

    An image in several roles has the first of base, stage and copy.
    """
    told = read(config, _CONFIG)
    if told is None or not told.steps or len(told.steps) > STEPS_LIMIT:
        return None
    graph = _Graph(told.steps)
    roles: dict[Material, Role] = {}
    order: tuple[Role, ...] = ("base", "stage", "copy")
    for material, role in graph.list_images():
        roles[material] = min(roles.get(material, role), role, key=order.index)
    return sorted(roles.items(), key=lambda pair: order.index(pair[1]))


class _Graph:
    """The steps of a build and the ways through them."""

    def __init__(self, steps: list[_Step]) -> None:
        self._steps = {step.id: step for step in steps}
        self._inputs = {step.id: [_parse_ref(text) for text in step.inputs] for step in steps}
        self._result: _Ref = (steps[-1].id, 0)
        self._leaves: dict[_Ref, str | None] = {}

    def list_images(self) -> Iterator[tuple[Material, Role]]:
        """Each image with each role, in no order."""
        if material := self._image(self._follow(self._result)):
            yield material, "base"
        seen, waiting = {self._result[0]}, [self._result[0]]
        while waiting:
            name = waiting.pop()
            inputs = self._inputs.get(name, [])
            given_first = (
                set(self._given_first(self._steps[name])) if name in self._steps else set()
            )
            for position, ref in enumerate(inputs):
                if position not in given_first:
                    leaf = self._follow(ref)
                    if material := self._image(leaf):
                        yield material, "copy" if leaf == ref[0] else "stage"
                if ref[0] not in seen:
                    seen.add(ref[0])
                    waiting.append(ref[0])

    def _follow(self, ref: _Ref) -> str | None:
        """The step at the end of the way down; None where it begins with nothing."""
        way: list[_Ref] = []
        on_way: set[_Ref] = set()
        current: _Ref | None = ref
        last: str | None = None
        while current is not None and current not in self._leaves and current not in on_way:
            way.append(current)
            on_way.add(current)
            step = self._steps.get(current[0])
            last = step.id if step and step.op.source else None
            current = self._next(step, current[1]) if step else None
        if current is not None:
            last = self._leaves.get(current)
        self._leaves.update(dict.fromkeys(way, last))
        return last

    def _next(self, step: _Step, output: int) -> _Ref | None:
        """What the step was given first for this output of it."""
        position: int | None = next(iter(self._given_first(step)), None)
        if step.op.exec:
            mounts = step.op.exec.mounts
            made = next((mount for mount in mounts if mount.output == output), None)
            position = made.input if made else position
        elif step.op.file:
            position = _file_input(step.op.file.actions, len(step.inputs), output)
        inputs = self._inputs[step.id]
        return inputs[position] if position is not None and 0 <= position < len(inputs) else None

    def _given_first(self, step: _Step) -> Iterator[int]:
        """The positions of the inputs that it changes, not only reads."""
        if step.op.exec:
            yield from (mount.input for mount in step.op.exec.mounts if mount.dest == "/")
        elif step.op.file:
            yield from (action.input for action in step.op.file.actions)
        elif step.op.merge:
            yield from (part.input for part in step.op.merge.inputs[:1])
        elif not (step.op.source or step.op.other or step.op.build):
            yield 0

    def _image(self, name: str | None) -> Material | None:
        step = self._steps.get(name) if name is not None else None
        return read_material(step.op.source.identifier) if step and step.op.source else None


def _file_input(actions: list[_Action], inputs: int, output: int) -> int | None:
    """The input of the action that makes an output, back through the actions before it."""
    made = next((number for number, item in enumerate(actions) if item.output == output), None)
    for _ in actions:
        if made is None or not 0 <= made < len(actions):
            return None
        position = actions[made].input
        if position < inputs:
            return position
        made = position - inputs
    return None


def _parse_ref(text: str) -> _Ref:
    name, _, output = text.rpartition(":")
    return (name, int(output)) if output.isdecimal() and len(output) < 6 else (text, 0)
