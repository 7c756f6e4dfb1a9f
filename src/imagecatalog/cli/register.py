"""The verb ``register``: tells a server, or a database, of builds and of what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imagecatalog.cli.ask import Moment
from imagecatalog.cli.options import READERS_TAKE, Invocation, Verb
from imagecatalog.errors import BadDocument, BadName, Forbidden, InvalidBody, UsageError

if TYPE_CHECKING:
    from imagecatalog.cli.registrar import Registrar
    from imagecatalog.domain.receipts import BuildReceipt, SbomReceipt
    from imagecatalog.domain.refs import Digest

    Receipt = BuildReceipt | SbomReceipt
    Known = Callable[[str], Mapping[str, Digest]]
    """What each tag of a repository was registered as."""

IN_PART = 1
"""Exit status when something failed and the rest was done."""
_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
_OF_ONE = ("image", "digest", "packages", "parents")
"""Flags that say what is true of one build alone."""


class Label(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "label"

    def convert(
        self,
        value: str | tuple[str, str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """The key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals or not key:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


@dataclass(frozen=True, kw_only=True)
class Told:
    """One thing to tell."""

    what: str
    """For messages: the image, or the file."""
    body: bytes
    sbom_of: str | None = None
    """Digest of the image whose packages the body lists; None: it tells of a build."""
    image: str | None = None

    def to(self, registrar: Registrar) -> Receipt:
        """Tell it; raises what the other side refuses."""
        if self.sbom_of is None:
            return registrar.register(self.body)
        return registrar.upload(self.body, self.sbom_of, self.image)


@click.command(cls=Verb, takes=READERS_TAKE)
@click.option("--image", metavar="NAME", help="What was built, with its tag.")
@click.option("--digest", metavar="DIGEST", help="Its digest in the registry: sha256:…")
@click.option("--platform", metavar="OS/ARCH", help="Such as linux/amd64.")
@click.option(
    "--parent",
    "parents",
    multiple=True,
    metavar="IMAGE[@DIGEST][=ROLE]",
    help="An image it was built from; ROLE is base, stage or copy. May be repeated.",
)
@click.option("--builder", metavar="NAME[@VERSION]", help="What built it.")
@click.option("--source", metavar="URL", help="Repository of its source.")
@click.option("--revision", metavar="COMMIT", help="Commit of its source.")
@click.option("--path", metavar="PATH", help="Folder in its source.")
@click.option("--started", type=Moment(), metavar="TIME", help="When the build began.")
@click.option("--finished", type=Moment(), metavar="TIME", help="When the build ended.")
@click.option("--link", metavar="URL", help="Page of the build, for people.")
@click.option("--reason", metavar="TEXT", help="Why it was built.")
@click.option(
    "--label", "labels", type=Label(), multiple=True, metavar="KEY=VALUE", help="May be repeated."
)
@click.option(
    "--packages", type=_FILE, metavar="FILE", help="What dpkg-query lists in it; see the reference."
)
@click.option("--sbom", type=_FILE, metavar="FILE", help="CycloneDX or SPDX in JSON, of --digest.")
@click.option("--file", type=_FILE, metavar="FILE", help="The whole body of one build, as JSON.")
@click.option(
    "--buildx-metadata",
    type=_FILE,
    metavar="FILE",
    help="What docker buildx build --metadata-file wrote; other flags add to it.",
)
@click.option(
    "--docker-pkg",
    "tree",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="All that docker-pkg published of the tree DIR and that is not registered yet.",
)
@click.option(
    "--docker-pkg-config",
    "tree_config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="docker-pkg's configuration; what COMMAND names, else config.yaml.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.pass_obj
def register(
    invocation: Invocation,
    /,
    tree: Path | None,
    tree_config: Path | None,
    command: tuple[str, ...],
    **given: Any,
) -> int:
    """Tell of a build: what it made, and from what.

    With --server it goes to that server, and IMAGE_CATALOG_TOKEN holds the token; otherwise into the
    database. The same again is always safe. A FILE may be - for what comes in.

    With --docker-pkg DIR the builds of a docker-pkg tree are told. COMMAND, a call of docker-pkg, is
    run before, and the exit status is its own unless that is 0:
    imagecatalog register --docker-pkg images -- docker-pkg -c config.yaml build images
    """
    from imagecatalog.cli.registrar import find_registrar

    if tree is not None:
        from imagecatalog.cli.docker_pkg import register_tree

        if others := [name for name, value in given.items() if value]:
            raise UsageError(f"--docker-pkg and {', '.join(map(_flag, others))} exclude each other")

        def tell_found(find: Callable[[Known], Iterable[Mapping[str, Any]]]) -> int:
            with find_registrar(invocation) as registrar:
                things = list(told_of_builds(find(registrar.registered)))
                return tell(invocation, registrar, things)

        return register_tree(invocation, tree, tree_config, command, tell_found)
    if tree_config is not None or command:
        what = "--docker-pkg-config" if tree_config is not None else command[0]
        raise UsageError(f"{what} is of use with --docker-pkg DIR only")
    things = list(_gather(given))
    with find_registrar(invocation) as registrar:
        return tell(invocation, registrar, things)


def tell(invocation: Invocation, registrar: Registrar, things: Sequence[Told]) -> int:
    """Tell one after another and show the receipts; what is refused of one leaves the others."""
    receipts: list[Receipt] = []
    refused: list[UsageError] = []
    for thing in things:
        try:
            receipts.append(thing.to(registrar))
        except (InvalidBody, BadName, BadDocument, Forbidden) as error:
            refused.append(_explain(thing.what, error))
    if refused and not receipts:
        raise refused[0]
    _show(invocation, receipts)
    for refusal in refused:
        click.echo(f"failed: {refusal.message}", err=True)
    return IN_PART if refused else 0


def told_of_builds(bodies: Iterable[Mapping[str, Any]]) -> Iterator[Told]:
    """Builds to tell, each by its body."""
    import msgspec

    for body in bodies:
        what = str(body.get("image") or body.get("digest") or "the build")
        yield Told(what=what, body=msgspec.json.encode(body))


def _gather(given: Mapping[str, Any]) -> Iterator[Told]:
    """What the flags tell of; raises UsageError where they do not go together."""
    from imagecatalog.cli.bodies import body_of_flags, read_file

    whole, sbom = given["file"], given["sbom"]
    if whole is not None:
        others = [name for name, value in given.items() if value and name != "file"]
        if others:
            raise UsageError(
                f"--file is the whole body: {', '.join(map(_flag, others))} cannot be added"
            )
        yield Told(what=str(whole), body=read_file(whole, "--file"))
        return
    flags = body_of_flags(given)
    if given["buildx_metadata"] is not None:
        yield from told_of_builds(_add_flags(_read_metadata(given["buildx_metadata"]), flags))
    elif flags.keys() - {"image", "digest"} or sbom is None:
        if not flags:
            raise UsageError(
                "there is nothing to register",
                hint="give --image and --digest, --file, --buildx-metadata or --sbom",
            )
        yield from told_of_builds([flags])
    if sbom is not None:
        if "digest" not in flags:
            raise UsageError("--sbom wants --digest: of which image does it speak?")
        body = read_file(sbom, "--sbom")
        yield Told(what=str(sbom), body=body, sbom_of=flags["digest"], image=flags.get("image"))


def _read_metadata(path: Path) -> list[Mapping[str, Any]]:
    from imagecatalog.cli.bodies import body_of, read_file
    from imagecatalog.formats.buildx import parse_metadata

    try:
        builds = parse_metadata(read_file(path, "--buildx-metadata"), str(path))
    except BadDocument as error:
        hint = "give the file that docker buildx build --metadata-file FILE wrote"
        raise UsageError(f"--buildx-metadata {error.message}", hint=error.hint or hint) from error
    return [body_of(build) for build in builds]


def _add_flags(
    bodies: Sequence[Mapping[str, Any]], flags: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The bodies with what flags say, which count more; raises UsageError for what is of one alone."""
    of_one = [name for name in _OF_ONE if name in flags]
    if len(bodies) > 1 and of_one:
        raise UsageError(
            f"the metadata tells of {len(bodies)} builds: {', '.join(map(_flag, of_one))} cannot be"
            " true of all"
        )
    for body in bodies:
        yield {**body, **flags, "source": {**body.get("source", {}), **flags.get("source", {})}}


def _flag(name: str) -> str:
    singular = {"parents": "parent", "labels": "label"}
    return "--" + singular.get(name, name).replace("_", "-")


def _explain(what: str, error: UsageError | BadDocument) -> UsageError:
    """The refusal with its faults, a line each."""
    lines = [f"{what}: {error.message}"]
    if isinstance(error, InvalidBody):
        lines += [f"  {where or 'the whole'}: {said}" for where, said in error.faults]
    return UsageError("\n".join(lines), hint=error.hint)


def _show(invocation: Invocation, receipts: Sequence[Receipt]) -> None:
    from imagecatalog.cli import render
    from imagecatalog.domain.receipts import BuildReceipt, SbomReceipt

    match invocation.format:
        case "json":
            render.write_json_array(receipts)
        case "csv":
            for kind in (BuildReceipt, SbomReceipt):
                of_kind = [one for one in receipts if isinstance(one, kind)]
                if of_kind:
                    render.write_csv(kind, of_kind)
        case _:
            for receipt in receipts:
                click.echo(render.clean("\n".join(_lines(receipt))))


def _lines(receipt: Receipt) -> Iterator[str]:
    from imagecatalog.domain.receipts import SbomReceipt

    begin = "registered" if receipt.created else "known already:"
    if isinstance(receipt, SbomReceipt):
        yield f"{begin} {receipt.packages} packages of {receipt.digest} ({receipt.format})"
        if receipt.problem:
            yield f"  not understood: {receipt.problem}"
        return
    names = " ".join(name for name in (receipt.image, receipt.digest) if name)
    yield f"{begin} {names} as build {receipt.id}"
    if receipt.digest is None:
        yield "  its digest is not known: it waits for a sync that meets its name"
    for name in receipt.pending:
        yield f"  waits for a sync that meets {name}"


VERBS = (register,)
