"""Labels and annotations, each pair of key and value stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sqlalchemy import Connection, Select, select

from imagecatalog.store.dialect import batches, insert_new, insert_returning
from imagecatalog.store.schema import label, manifest_label
from imagecatalog.store.shelf import Shelf

LABELS_LIMIT = 256
"""Of one image; what is more is left out."""
KEY_LIMIT, VALUE_LIMIT = 255, 4096
"""Characters; what is longer is cut."""


def put_labels(c: Connection, shelf: Shelf, labels: Mapping[int, Mapping[str, str]]) -> None:
    """Write the labels of images by their number; those they had before are replaced."""
    pairs = {
        number: [
            (key[:KEY_LIMIT], value[:VALUE_LIMIT])
            for key, value in sorted(many.items())[:LABELS_LIMIT]
        ]
        for number, many in labels.items()
    }
    by_digest = {_digest(*pair): pair for many in pairs.values() for pair in many}
    _put(c, shelf, by_digest)
    for batch in batches(labels):
        c.execute(manifest_label.delete().where(manifest_label.c.manifest_id.in_(batch)))
    insert_new(
        c,
        manifest_label,
        [
            {"manifest_id": number, "label_id": shelf.labels[_digest(*pair)]}
            for number, many in pairs.items()
            for pair in many
        ],
    )


def _put(c: Connection, shelf: Shelf, by_digest: Mapping[bytes, tuple[str, str]]) -> None:
    new = sorted(by_digest.keys() - shelf.labels.keys())
    rows = [
        {"digest": digest, "key": by_digest[digest][0], "value": by_digest[digest][1]}
        for digest in new
    ]
    written = insert_returning(c, label, rows, label.c.digest, label.c.id)
    shelf.labels.update((bytes(digest), number) for digest, number in written)
    for batch in batches([digest for digest in new if digest not in shelf.labels]):
        query = select(label.c.digest, label.c.id).where(label.c.digest.in_(batch))
        shelf.labels.update((bytes(digest), number) for digest, number in c.execute(query))


def list_labels(c: Connection, number: int) -> dict[str, str]:
    """The labels and annotations of an image, by key."""
    query = (
        select(label.c.key, label.c.value)
        .join(manifest_label, manifest_label.c.label_id == label.c.id)
        .where(manifest_label.c.manifest_id == number)
        .order_by(label.c.key)
    )
    return dict(c.execute(query).all())


def labelled(key: str, value: str | None = None) -> Select[tuple[int]]:
    """The numbers of images that carry a label, or that label with exactly that value."""
    key = key[:KEY_LIMIT]
    query = select(manifest_label.c.manifest_id).join(
        label, label.c.id == manifest_label.c.label_id
    )
    if value is None:
        return query.where(label.c.key == key)
    return query.where(label.c.digest == _digest(key, value[:VALUE_LIMIT]))


def _digest(key: str, value: str) -> bytes:
    return hashlib.sha256(f"{len(key)}:{key}={value}".encode()).digest()[:16]
