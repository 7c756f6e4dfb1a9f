"""Reads what a source keeps beside its images: provenance, SBOMs, signatures; each once.

Found by a registry's lists of referrers, by the tags that stand in for them, and in indexes. What
is wrong with an attachment is that attachment's problem: its image stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec
from msgspec import Struct

from imagecatalog.catalog import builds, lineage
from imagecatalog.catalog.configured import ConfiguredSetups
from imagecatalog.catalog.tellings import read_name
from imagecatalog.domain.builds import Build, Inventory, Signature
from imagecatalog.domain.images import Descriptor, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import (
    BadDocument,
    CatalogError,
    DatabaseError,
    Missing,
    SourceUnavailable,
    TooLarge,
    TooSlow,
    Truncated,
    clean_text,
)
from imagecatalog.formats import attached, oci
from imagecatalog.formats.provenance import parse_statement
from imagecatalog.formats.sbom import parse_sbom
from imagecatalog.jobs.report import Failure
from imagecatalog.sources.interface import ImageSource
from imagecatalog.store import attachments, images
from imagecatalog.store.attachments import AttachmentRow, Kind
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

ATTACHMENTS_LIMIT = 100
"""Of one image, and documents of one attachment; what is more is left unread."""
BYTES_LIMIT = 64 * 1024 * 1024
_TEXT_LIMIT = 1000
_EMPTY = "application/vnd.oci.empty.v1+json"
_ORDER: tuple[attached.Content, ...] = ("statement", "sbom", "other", "signature")
"""What tells most comes first where there are too many."""

Writing = Callable[[], AbstractContextManager[tuple[Connection, Shelf]]]


class Beside(Struct, frozen=True):
    """A manifest or index that is no image but speaks of one."""

    subject: Digest
    carrier: Descriptor


class _Image(Struct, frozen=True):
    """The image or index that attachments are read for."""

    repository: str
    digest: Digest
    identities: dict[Digest, Digest]
    known: set[Digest]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


class _Said(Struct, frozen=True, kw_only=True):
    """What a document tells."""

    kind: Kind
    media_type: str
    signature: Signature = "none"
    problem: str | None = None
    of: tuple[Digest, ...] = ()
    """The images and indexes that it counts for."""
    build: Build | None = None
    inventory: Inventory | None = None


def take_beside(tags: dict[str, Descriptor]) -> list[Beside]:
    """Take out of a repository's tags those that stand for what is attached to an image."""
    found = {}
    for tag, target in tags.items():
        read = attached.read_tag(tag)
        # A tag of the specification points to an index; one that does not is a tag like others.
        if read is not None and (read[1] or target.media_type == oci.OCI_INDEX):
            found[tag] = Beside(read[0], target)
    for tag in found:
        del tags[tag]
    return list(found.values())


class AttachmentReader:
    """Reads attachments of one source's images. Safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        source: ImageSource,
        writing: Writing,
        configured: ConfiguredSetups,
        now: Callable[[], datetime],
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._writing = writing
        self._configured = configured
        self._now = now
        self._started = now().replace(microsecond=0)
        self._counting = threading.Lock()
        self.count = 0
        """Attachments that were read."""
        self.faults: list[Failure] = []
        """What could not be read, or is not true; told once."""

    def find_artifacts(self, digests: Collection[Digest]) -> set[Digest]:
        """Those manifests that are known to be attachments, and no images."""
        with self._catalog.read() as c:
            return attachments.find_artifacts(c, digests)

    def read_repository(
        self, repository: str, numbers: Collection[int], beside: Iterable[Beside]
    ) -> None:
        """Read what is new beside the images of a repository; ``numbers`` are those it has.

        Its lists are asked for images met by this sync, and for others within their first week.
        """
        with self._catalog.read() as c:
            members = images.list_members(c, numbers).values()
            present = set(numbers).union(*members)
            recent = attachments.list_recent(c, present, since=self._started, now=self._now())
        found = list(beside)
        for subject in recent:
            try:
                listed = self._source.referrers(repository, subject)
            except CatalogError as error:
                self._tell(f"{repository}@{subject}", error)
                break  # the others are asked for next time
            found += [Beside(subject, one) for one in listed]
        self.read_beside(repository, found)

    def read_beside(self, repository: str, beside: Iterable[Beside]) -> bool:
        """Read what is new of these; whether nothing is left to be read another time."""
        carriers: dict[Digest, list[Descriptor]] = {}
        for one in beside:
            carriers.setdefault(one.subject, []).append(one.carrier)
        done = [self._read(repository, subject, many) for subject, many in carriers.items()]
        return all(done)

    def _read(
        self, repository: str, subject: Digest, carriers: Sequence[Descriptor], *, depth: int = 0
    ) -> bool:
        with self._catalog.read() as c:
            identities = attachments.list_identities(c, subject)
            known = attachments.list_known(c, subject, late=not identities)
        image = _Image(repository, subject, identities, known)
        wanted = {one.digest: one for one in sorted(carriers, key=_rank)}
        wanted.pop(subject, None)
        some = list(wanted.values())[:ATTACHMENTS_LIMIT]
        new = [one for one in some if one.digest not in known]
        if not identities:
            self._put_late(subject, new)
            return True
        if new and len(wanted) > len(some):
            why = f"of its {len(wanted)} attachments {len(some)} are read"
            self._note(Failure(str(image), "too-many-entries", why))
        done = [self._read_carrier(image, one, depth) for one in new]
        return all(done)

    def _read_carrier(self, image: _Image, carrier: Descriptor, depth: int) -> bool:
        try:
            raw = self._source.manifest(image.repository, carrier.digest)
            if depth == 0 and oci.OCI_INDEX in (raw.media_type, carrier.media_type):
                listed = oci.parse_listing(raw.body, f"list {carrier.digest}")
                done = self._read(image.repository, image.digest, listed, depth=1)
                return done and self._finish(image, carrier.digest, oci.OCI_INDEX)
            manifest = oci.parse_manifest(raw)
            if not isinstance(manifest, ImageManifest) or not oci.is_artifact(manifest):
                raise BadDocument(f"attachment {carrier.digest}", "it is an image itself")
            if manifest.subject is not None and manifest.subject.digest != image.digest:
                says = f"it says that it is attached to {manifest.subject.digest}"
                raise BadDocument(f"attachment {carrier.digest}", says)
        except (BadDocument, SourceUnavailable) as error:
            said = _Said(kind="other", media_type=carrier.artifact_type or carrier.media_type)
            return self._refuse(image, carrier.digest, said, error)
        return self._read_artifact(image, carrier.digest, manifest)

    def _read_artifact(self, image: _Image, digest: Digest, manifest: ImageManifest) -> bool:
        what = manifest.artifact_type or manifest.config.media_type
        documents = [layer for layer in manifest.layers if layer.media_type != _EMPTY]
        done = [
            self._read_document(image, layer, what)
            # Those who append to one artifact, as Cosign does, append at its end.
            for layer in documents[-ATTACHMENTS_LIMIT:]
            if layer.digest not in image.known
        ]
        if not documents:
            return self._keep(image, digest, _describe(attached.read_content(what), what))
        return all(done) and self._finish(image, digest, oci.OCI_MANIFEST)

    def _read_document(self, image: _Image, layer: Descriptor, artifact_type: str) -> bool:
        content = attached.read_content(layer.media_type, artifact_type)
        said = _describe(content, layer.media_type)
        where = f"attachment {layer.digest}"
        try:
            if content == "statement":
                said = _read_statement(self._fetch(image, layer, where), where, image)
            elif content == "sbom":
                said = _read_sbom(self._fetch(image, layer, where), where, image, said)
            return self._keep(image, layer.digest, said)
        except DatabaseError:
            raise
        except CatalogError as error:
            return self._refuse(image, layer.digest, said, error)

    def _fetch(self, image: _Image, blob: Descriptor, where: str) -> bytes:
        if blob.size > BYTES_LIMIT:
            raise TooLarge(where, f"{blob.size} bytes are more than the {BYTES_LIMIT} that we read")
        with self._source.blob(image.repository, blob) as stream:
            body = stream.read(BYTES_LIMIT + 1)
            if len(body) > BYTES_LIMIT:
                raise TooLarge(where, f"it is larger than {BYTES_LIMIT} bytes")
            if stream.read(1):
                raise Truncated(where, "it was read in part only")
        return body

    def _keep(self, image: _Image, digest: Digest, said: _Said) -> bool:
        """Write what a document tells, and all that follows from it."""
        with self._writing() as (c, shelf):
            self._put(c, image.digest, digest, said)
            # In one order, so that two writers do not block each other.
            for subject in sorted(said.of):
                if said.build is not None:
                    builds.register(
                        c,
                        shelf,
                        _settle(said.build, subject, image.repository),
                        evidence="provenance",
                        told_by="attached",
                        signature=said.signature,
                        configured=self._configured,
                        now=self._now(),
                    )
                if said.inventory is not None:
                    builds.put_inventory(
                        c,
                        shelf,
                        subject,
                        said.inventory,
                        kind="sbom",
                        told_by="attached",
                        configured=self._configured,
                        now=self._now(),
                    )
            lineage.settle(c)
        with self._counting:
            self.count += 1
        if said.problem is not None and not said.of and said.kind != "other":
            self._note(Failure(str(image), "bad-document", f"attachment {digest}: {said.problem}"))
        return True

    def _refuse(self, image: _Image, digest: Digest, said: _Said, error: CatalogError) -> bool:
        """Remember why an attachment tells nothing; one that may yet be read is only told of."""
        self._tell(str(image), error)
        if isinstance(error, TooSlow | Truncated) or (
            isinstance(error, SourceUnavailable) and not isinstance(error, Missing)
        ):
            return False
        said = msgspec.structs.replace(said, problem=error.message, of=())
        with self._writing() as (c, _):
            self._put(c, image.digest, digest, said)
        return True

    def _finish(self, image: _Image, digest: Digest, media_type: str) -> bool:
        with self._writing() as (c, _):
            self._put(c, image.digest, digest, _Said(kind="carrier", media_type=media_type))
        return True

    def _put_late(self, subject: Digest, carriers: Sequence[Descriptor]) -> None:
        """Remember artifacts whose image was not met yet, so that they are not taken for images."""
        if carriers:
            why = "the image it is attached to was not met yet"
            with self._writing() as (c, _):
                for carrier in carriers:
                    said = _Said(kind="carrier", media_type=carrier.media_type, problem=why)
                    self._put(c, subject, carrier.digest, said)

    def _put(self, c: Connection, subject: Digest, digest: Digest, said: _Said) -> None:
        row = AttachmentRow(
            subject=subject,
            digest=digest,
            kind=said.kind,
            media_type=clean_text(said.media_type)[:_TEXT_LIMIT],
            signature=said.signature,
            problem=said.problem and clean_text(said.problem)[:_TEXT_LIMIT],
        )
        attachments.put_attachments(c, [row], now=self._now())

    def _tell(self, subject: str, error: CatalogError) -> None:
        if isinstance(error, DatabaseError):
            raise error
        self._note(Failure.of(subject, error))

    def _note(self, failure: Failure) -> None:
        with self._counting:
            self.faults.append(failure)


def _rank(carrier: Descriptor) -> tuple[int, Digest]:
    content = attached.read_content(carrier.artifact_type, carrier.media_type)
    return _ORDER.index(content), carrier.digest


def _describe(content: attached.Content, media_type: str) -> _Said:
    """What is known of a document by its media type alone."""
    kind: Kind = content if content in ("sbom", "signature") else "other"
    signed: Signature = "unverified" if content == "signature" else "none"
    return _Said(kind=kind, media_type=media_type, signature=signed)


def _settle(build: Build, subject: Digest, repository: str) -> Build:
    """The build as of this image; who attaches may name it, but not after another repository."""
    name, _ = read_name(build.image)
    is_own = name is not None and name.rpartition(":")[0] == repository
    return msgspec.structs.replace(build, digest=subject, image=name if is_own else None)


def _read_statement(body: bytes, where: str, image: _Image) -> _Said:
    statement = parse_statement(body, where)
    kind: Kind = "provenance" if statement.build else "sbom" if statement.inventory else "other"
    meant, problem = _find_subjects(statement.subjects, image)
    if not statement.subjects:
        problem = "it does not say which image it speaks of"
    inventory = statement.inventory
    return _Said(
        kind=kind,
        media_type=statement.predicate_type,
        signature=statement.signature,
        problem=problem or (inventory.problem if inventory else None),
        of=() if problem else meant,
        build=statement.build,
        inventory=inventory,
    )


def _read_sbom(body: bytes, where: str, image: _Image, said: _Said) -> _Said:
    inventory = parse_sbom(body, where)
    meant, problem = _find_subjects(inventory.subjects, image)
    return msgspec.structs.replace(
        said,
        problem=problem or inventory.problem,
        of=() if problem else meant or (image.digest,),
        inventory=inventory,
    )


def _find_subjects(named: Sequence[Digest], image: _Image) -> tuple[tuple[Digest, ...], str | None]:
    """Which of the image, its indexes and members these digests name, or that they name none."""
    meant = dict.fromkeys(image.identities[one] for one in named if one in image.identities)
    if image.digest in meant:
        return (image.digest,), None
    if named and not meant:
        return (), f"it speaks of {', '.join(named[:3])}, which is another image"
    return tuple(meant), None
