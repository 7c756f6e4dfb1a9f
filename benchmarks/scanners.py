"""A scanner per image beside judging each package version once: how long, and times the images.

The images are of the fleet that the other questions use. The scanner is OSV's, given one bill of materials
at a time as pipelines do; where it is not installed that is said, and only ours is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from sqlalchemy import text

from benchmarks.filling import NOW, borrow
from imagecatalog.config import Settings
from imagecatalog.jobs.matching import judge_findings
from imagecatalog.jobs.refresh import refresh
from imagecatalog.outlets.sbom import write_sbom
from imagecatalog.planning.inspection import image_detail
from imagecatalog.store import findings
from imagecatalog.store.engine import Catalog

RECORDS = 11_000
"""Records of the database: as many as Debian has notices."""
_ROUNDS = 10
_IMAGES = text("SELECT digest FROM manifest WHERE set_id IS NOT NULL ORDER BY id LIMIT :count")


def run(sizes: list[int]) -> None:
    """Print what judging all costs here, and one scan of one image."""
    for size in sizes:
        with borrow(size) as (catalog, _), tempfile.TemporaryDirectory() as folder:
            print(f"\na scanner per image, {size:,} images, {RECORDS:,} records", flush=True)
            _measure(catalog, Path(folder), size)


def _measure(catalog: Catalog, folder: Path, size: int) -> None:
    database = _write_records(catalog, folder)
    settings = Settings(feeds={"osv": f"{database.as_uri()}/"})
    report = refresh(catalog, settings, ["osv"], now=lambda: NOW)
    assert not report.failed, report.failed
    with catalog.write() as c:
        findings.mark_all(c)
    began = time.perf_counter()
    judge_findings(catalog, settings)
    ours = time.perf_counter() - began
    print(f"  ours, all images judged anew     {ours:8.2f} s")
    program = shutil.which("osv-scanner")
    if program is None:
        print("  osv-scanner is not installed: nothing to hold it against")
        return
    with catalog.read() as c:
        rows = c.scalars(_IMAGES, {"count": _ROUNDS})
        digests = [f"sha256:{row[1:].hex()}" for row in rows]
        bills = [write_sbom(image_detail(c, one, now=NOW), "cyclonedx") for one in digests]
    one = statistics.median(_scan(program, folder, bill) for bill in bills)
    print(f"  osv-scanner, one image           {one:8.2f} s median of {len(bills)}")
    print(
        f"  times the images                 {one * size:8.0f} s, {one * size / ours:,.0f} of ours"
    )


def _write_records(catalog: Catalog, folder: Path) -> Path:
    with catalog.read() as c:
        rows = c.exec_driver_sql("SELECT DISTINCT source FROM package_version WHERE type = 'deb'")
        names = sorted(row[0] for row in rows)
    database = folder / "osv-scalibr"
    (database / "Debian").mkdir(parents=True)
    with zipfile.ZipFile(database / "Debian" / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(RECORDS):
            package = {"ecosystem": "Debian:12", "name": names[number % len(names)]}
            events = [{"introduced": "0"}, {"fixed": "1.0" if number % 20 else "999:1"}]
            affected = [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
            record = {"id": f"DSA-{number + 10_000}-1", "modified": "2026-01-01T00:00:00Z"}
            archive.writestr(f"{record['id']}.json", json.dumps(record | {"affected": affected}))
    return database


def _scan(program: str, folder: Path, bill: bytes) -> float:
    path = folder / "bill.cdx.json"
    path.write_bytes(bill)
    began = time.perf_counter()
    done = subprocess.run(
        [program, "scan", "source", "--offline", "--local-db-path", folder, "--format=json",
         "--all-vulns", "-L", path],
        env=os.environ, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr.decode()  # something was found, or it was no scan
    return time.perf_counter() - began
