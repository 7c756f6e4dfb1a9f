"""What it costs to look at a registry in which nothing has changed, beside as many bare requests."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2

from benchmarks.registry import Peer, fill, serve
from imagecatalog.config import Settings
from imagecatalog.formats.oci import MANIFEST_TYPES
from imagecatalog.jobs.sync import sync
from imagecatalog.store.engine import Catalog, initialise

REPOSITORIES, TAGS = 200, 20
CONNECTIONS = 8
"""As many as a sync opens to one registry."""
ROUNDS = 3
NOW = datetime(2025, 1, 6, tzinfo=UTC)


def run() -> None:
    """Print the first sync, the sync of the unchanged registry, and the same number of bare HEADs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "registry", REPOSITORIES, TAGS)
        initialise(str(folder / "catalog.sqlite"))
        catalog = Catalog.open(str(folder / "catalog.sqlite"))
        with serve(folder / "registry") as peer:
            _compare(catalog, peer)
        catalog.close()


def _compare(catalog: Catalog, peer: Peer) -> None:
    images = REPOSITORIES * TAGS
    print(f"\n{REPOSITORIES} repositories, {images:,} tags, each an image of its own")
    first = _seconds(lambda: _sync(catalog, peer))
    asked = peer.requests()
    print(
        f"  first sync      {first:7.2f} s   {first / images * 1e3:6.2f} ms a tag   {_tell(asked)}"
    )
    again, bare = [], []
    for _ in range(ROUNDS):
        again.append(_seconds(lambda: _sync(catalog, peer)))
        asked = peer.requests()
        bare.append(_seconds(partial(_ask, peer, asked.total())))
        peer.requests()
    ours, limit = statistics.median(again), statistics.median(bare)
    print(
        f"  unchanged sync  {ours:7.2f} s   {ours / images * 1e3:6.2f} ms a tag   {_tell(asked)}\n"
        f"  bare HEADs      {limit:7.2f} s   {asked.total():,} over {CONNECTIONS} connections\n"
        f"  ratio           {ours / limit:7.2f}     unchanged sync to bare HEADs;"
        f" {first / ours:.1f} first sync to unchanged sync"
    )


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _sync(catalog: Catalog, peer: Peer) -> None:
    report = sync(catalog, Settings(), [peer.url], now=lambda: NOW)
    if report.failed:
        raise SystemExit(f"the sync failed: {report.failed[0]}")


def _ask(peer: Peer, count: int) -> None:
    """So many HEADs of tags and nothing else, each thread over its own connection."""

    def ask(first: int) -> None:
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        with httpx2.Client(headers=headers, trust_env=False) as client:
            for number in range(first, count, CONNECTIONS):
                repository, tag = divmod(number % (REPOSITORIES * TAGS), TAGS)
                path = f"team-{repository % 10}/service-{repository:04}/manifests/1.{tag}"
                client.head(f"{peer.url}/v2/{path}").raise_for_status()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(ask, range(CONNECTIONS)))


def _tell(asked: Counter[str]) -> str:
    kinds = dict.fromkeys(("GET list", "HEAD manifest", "GET manifest", "GET blob")) | asked
    return ", ".join(f"{kind} {asked[kind]:,}" for kind in kinds)


if __name__ == "__main__":
    run()
