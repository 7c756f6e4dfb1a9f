"""What an image says of its own making: OCI annotations, its configuration's labels, Blubber's.

Keys: OCI image specification 1.1, annotations.md, "Pre-Defined Annotation Keys"; Blubber writes
``blubber.variant`` and ``blubber.version`` into every image that it makes.
"""

from __future__ import annotations

from collections.abc import Mapping

from imagecatalog.domain.builds import Build, Parent
from imagecatalog.domain.images import ImageConfig, ImageManifest
from imagecatalog.domain.refs import Digest
from imagecatalog.errors import BadName

_OCI = "org.opencontainers.image."
_LIMIT = 4096
"""Characters of one value; what is longer is cut."""
_BLUBBER_VERSION, _BLUBBER_VARIANT = "blubber.version", "blubber.variant"


def read_annotations(
    digest: Digest, manifest: ImageManifest, config: ImageConfig
) -> tuple[Build, str] | None:
    """The build that an image tells of, and where it stands: ``annotations`` or ``labels``.

    None where it tells nothing. The manifest's annotations come before the labels, which children
    inherit from their base. A base's digest that is none is left out.
    """
    base, where = _read_base(manifest.annotations), "annotations"
    if base is None:
        base, where = _read_base(config.labels), "labels"
    facts = {key: value[:_LIMIT] for key, value in (config.labels | manifest.annotations).items()}
    is_blubber = _BLUBBER_VERSION in facts or _BLUBBER_VARIANT in facts
    source, revision = facts.get(f"{_OCI}source"), facts.get(f"{_OCI}revision")
    if base is None and not (source or revision or is_blubber):
        return None
    told = Build(
        digest=digest,
        platform=str(config.platform),
        builder="blubber" if is_blubber else None,
        builder_version=facts.get(_BLUBBER_VERSION),
        finished=config.created,
        source_repository=source,
        source_revision=revision,
        parents=() if base is None else (base,),
        labels={key: facts[key] for key in (_BLUBBER_VARIANT,) if key in facts},
    )
    return told, where


def _read_base(facts: Mapping[str, str]) -> Parent | None:
    name = facts.get(f"{_OCI}base.name") or None
    try:
        digest = Digest.parse(facts.get(f"{_OCI}base.digest", ""))
    except BadName:
        digest = None
    return None if name is None and digest is None else Parent(image=name, digest=digest)
