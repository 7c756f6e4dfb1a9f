"""Layers one on another, as a tree: who begins with the layers of whom is asked by index.

A chain is named by a hash of the digests of its layers as stored, the base first, much as the OCI
image specification names a ChainID (config.md, "Layer ChainID") by those of the unpacked ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, select

from imagecatalog.domain.refs import Digest
from imagecatalog.store.dialect import batches, insert_new
from imagecatalog.store.schema import chain
from imagecatalog.store.shelf import Shelf

_SIZE = 16


def list_chains(layers: Sequence[Digest]) -> list[bytes]:
    """The chains that end at each of the layers; the last is the whole."""
    chains, parent = [], b""
    for digest in layers:
        parent = hashlib.sha256(parent + digest.packed()).digest()[:_SIZE]
        chains.append(parent)
    return chains


def put_chains(
    c: Connection, shelf: Shelf, piles: Iterable[Sequence[Digest]]
) -> dict[tuple[Digest, ...], bytes]:
    """The chain of each pile of layers, written where it is new; the shelf must know the layers."""
    ends: dict[tuple[Digest, ...], bytes] = {}
    rows = {}
    for pile in map(tuple, piles):
        parent = None
        for depth, (layer, digest) in enumerate(zip(pile, list_chains(pile), strict=True), 1):
            if digest not in shelf.chains:
                rows[digest] = {
                    "digest": digest,
                    "parent": parent,
                    "layer_id": shelf.layers[layer],
                    "depth": depth,
                }
            parent = digest
        if parent is not None:
            ends[pile] = parent
    insert_new(c, chain, [rows[digest] for digest in sorted(rows)])
    shelf.chains.update(rows)
    return ends


def climb(c: Connection, ends: Collection[bytes]) -> dict[bytes, list[bytes]]:
    """For each chain the shorter ones that it begins with, the longest first."""
    found: dict[bytes, list[bytes]] = {}
    for batch in batches(set(ends)):
        up = (
            select(chain.c.digest.label("below"), chain.c.parent, chain.c.depth)
            .where(chain.c.digest.in_(batch))
            .cte("up", recursive=True)
        )
        up = up.union_all(
            select(up.c.below, chain.c.parent, chain.c.depth).join(
                chain, chain.c.digest == up.c.parent
            )
        )
        query = (
            select(up.c.below, up.c.parent)
            .where(up.c.parent.is_not(None))
            .order_by(up.c.below, up.c.depth.desc())
        )
        for below, parent in c.execute(query):
            found.setdefault(bytes(below), []).append(bytes(parent))
    return found
