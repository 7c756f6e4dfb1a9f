"""A plan as the docker-pkg commands that carry it out, to be read and then run by a shell.

``docker-pkg update NAME`` gives a new version to every image whose name ends in NAME and to all whose
``control`` leads to one of them, whatever their templates say. So images that it follows need no line
of their own, images that it overlooks do, and a NAME that fits too much is written with a slash.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase

from msgspec import Struct, structs

from imagecatalog.domain.plans import Plan, Step
from imagecatalog.formats.docker_pkg import (
    TreeConfig,
    TreeImage,
    next_version,
    split_nightly,
    updated_with,
)

BUILDER = "docker-pkg"
_NAMED = 5
"""Packages and advisories in a reason, images in a remark."""


class TreeView(Struct, frozen=True, kw_only=True):
    """A docker-pkg tree as the commands speak of it."""

    folder: str
    config_file: str
    config: TreeConfig
    images: Mapping[str, TreeImage]


def step_command(step: Step) -> str | None:
    """What rebuilds one step, in the folder of its tree; None for what docker-pkg did not build."""
    if step.builder != BUILDER:
        return None
    return shlex.join([BUILDER, "update", _name(step), "--reason", _reason(step), "."])


def with_commands(plan: Plan) -> Plan:
    """The plan, each step of a docker-pkg tree with its command."""
    waves = tuple(
        tuple(structs.replace(step, docker_pkg=step_command(step)) for step in wave)
        for wave in plan.waves
    )
    return structs.replace(plan, waves=waves)


def script(plan: Plan, tree: TreeView, *, today: date) -> str:
    """The commands in their order, a line each; whatever cannot be one is a remark (``#``)."""
    lines = [_remark(plan.summary)]
    steps = [step for wave in plan.waves for step in wave]
    phases = _phases(steps, tree)
    for phase in sorted(set(phases.values())):
        members = [step for step in steps if phases[step.rebuild] == phase]
        lines += _here(members, tree, today) if phase % 2 else _elsewhere(members, steps, tree)
    if not any(phase % 2 for phase in phases.values()):
        lines.append(_remark(f"No step of it is of the tree {tree.folder}."))
    return "".join(f"{line}\n" for line in lines)


def _phases(steps: Sequence[Step], tree: TreeView) -> dict[str, int]:
    """When each step is done: what is of the tree in odd phases, the rest between them."""
    repositories = {tree.config.repository(name) for name in tree.images}
    found: dict[str, int] = {}
    for step in steps:
        phase = int(step.repository in repositories)
        for before in step.after:
            if before in found:
                is_same = (found[before] - phase) % 2 == 0
                phase = max(phase, found[before] + (not is_same))
        found[step.rebuild] = phase
    return found


def _elsewhere(members: Sequence[Step], steps: Sequence[Step], tree: TreeView) -> Iterator[str]:
    bases = {base.rpartition(":")[0] for base in tree.config.base_images}
    needed = {
        before
        for step in steps
        if step.repository == tree.config.repository(_name(step)) and _name(step) in tree.images
        for before in step.after
    }
    yield _remark(f"Not of {tree.folder}; rebuild it where it is built, now:")
    for step in members:
        yield _remark(f"- {step.rebuild}")
        if step.repository in bases:
            yield _remark(f"and put its new tag into base_images of {tree.config_file}")
        elif step.rebuild in needed:
            # docker-pkg builds with pull=False, so the engine would take the one it has
            yield _remark("and docker pull it: docker-pkg pulls its own and base_images alone")


def _here(steps: Sequence[Step], tree: TreeView, today: date) -> Iterator[str]:
    nightly = [suffix for step in steps if (suffix := _suffix(step, tree))]
    wanted = {_name(step): step for step in reversed(steps) if not _suffix(step, tree)}
    yield from _updates(wanted, tree)
    if wanted:
        yield _remark("Commit the changelogs here, so that the builds can name their revision.")
        yield _docker_pkg(tree, "build")
    if nightly:
        # the tag of a day is built once
        is_done = any(suffix.startswith(f"-{today:%Y%m%d}") for suffix in nightly)
        yield _docker_pkg(tree, "build", "--snapshot" if is_done else "--nightly")


def _updates(wanted: Mapping[str, Step], tree: TreeView) -> Iterator[str]:
    lost = {parent for image in tree.images.values() for parent in image.depends} - set(tree.images)
    if wanted and lost:
        yield _remark(f"docker-pkg update refuses a tree without {_some(sorted(lost))}.")
    closures = {name: updated_with(name, tree.images) for name in wanted}
    covered: set[str] = set()
    for name in sorted(wanted):
        # what depends on another comes with it; of images in a circle the first leads
        is_led = any(
            name in closures[other] - {other} and other not in closures[name] for other in wanted
        )
        if is_led or name in covered:
            continue
        covered |= closures[name]
        yield from _update(name, closures[name], wanted[name], tree)
    if more := sorted(covered - set(wanted)):
        yield _remark(f"This renews too, as it depends on them: {_some(more)}.")


def _update(name: str, closure: frozenset[str], step: Step, tree: TreeView) -> Iterator[str]:
    stuck = [
        f"{member} {tree.images[member].version}"
        for member in sorted(closure)
        if next_version(tree.images[member].version, tree.config.update_id) is None
    ]
    command = _docker_pkg(
        tree, "update", select_name(name, closure, tree), "--reason", _reason(step)
    )
    if stuck:
        yield _remark(
            f"docker-pkg knows no version after {_some(stuck)}; it would stop half-way at:"
        )
    yield _remark(command) if stuck else command


def select_name(name: str, closure: frozenset[str], tree: TreeView) -> str:
    """The name, with a slash before it where it would also select images that end in it."""
    labels = {
        other: f"{tree.config.repository(other)}:{image.version}"
        for other, image in tree.images.items()
    }
    hits = {other for other, label in labels.items() if fnmatchcase(label, f"*{name}:*")}
    return name if hits <= closure else f"/{name}"


def _suffix(step: Step, tree: TreeView) -> str:
    """What a nightly build added to the version that the step renews."""
    image = tree.images[_name(step)]
    tag = step.rebuild.removeprefix(f"{step.repository}:")
    split = split_nightly(tag, {release.version for release in image.releases})
    return split[1] if split else ""


def _reason(step: Step) -> str:
    kind = "Security update" if any(fix.security for fix in step.packages) else "Update"
    moves = list(dict.fromkeys(f"{fix.package} to {fix.candidate}" for fix in step.packages))
    what = f"{kind} of {_some(moves)}" if moves else "Rebuild"
    return _one_line(f"{what} ({_some(step.fixes)})" if step.fixes else what)


def _name(step: Step) -> str:
    """As docker-pkg knows it: a changelog's package has no slash in it."""
    return step.repository.rpartition("/")[2]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _docker_pkg(tree: TreeView, verb: str, *words: str) -> str:
    return shlex.join([BUILDER, "-c", tree.config_file, verb, *words, tree.folder])


def _remark(text: str) -> str:
    """A line that no shell runs."""
    return f"# {_one_line(text)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
