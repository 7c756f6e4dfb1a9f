"""OSV's own scanner, offline: a database of records, bills of materials, and what it finds in them."""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

Found = dict[tuple[str, str, str], set[str]]
"""The records that were found, by document, package and version."""


def write_database(folder: Path, records: Mapping[str, Iterable[bytes]]) -> Path:
    """Write records by ecosystem as the site has them; the folder that ``refresh`` reads as well."""
    database = folder / "osv-scalibr"
    # Packages of no ecosystem that it knows are looked for there; a database that is empty is none.
    for ecosystem, lines in {"GIT": (b'{"id": "NONE-1"}',), **records}.items():
        (database / ecosystem).mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(database / ecosystem / "all.zip", "w") as archive:
            for line in lines:
                archive.writestr(f"{msgspec.json.decode(line)['id']}.json", line)
    return database


def scan(program: Path, folder: Path, documents: Mapping[str, bytes]) -> Found:
    """What it finds in each of these CycloneDX documents; ``folder`` has the database."""
    written = folder / "documents"
    written.mkdir(exist_ok=True)
    words = []
    for name, document in documents.items():
        path = written / f"{name}.cdx.json"
        path.write_bytes(document)
        words += ["-L", str(path)]
    # Nothing that it may look for elsewhere is there.
    nowhere = {f"{kind}_PROXY": "http://127.0.0.1:9" for kind in ("HTTP", "HTTPS")}
    done = subprocess.run(
        [program, "scan", "source", "--offline", "--local-db-path", folder, "--format=json",
         "--all-vulns", "--no-resolve", "--config", _write_config(folder), *words],
        env=os.environ | nowhere, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    # 0: nothing was found, 1: something was.
    assert done.returncode in {0, 1}, done.stderr.decode()
    found: Found = defaultdict(set)
    for source in msgspec.json.decode(done.stdout)["results"] or ():
        name = Path(source["source"]["path"]).name.removesuffix(".cdx.json")
        for one in source["packages"]:
            package: dict[str, Any] = one["package"]
            place = (name, package["name"], package["version"])
            found[place] |= {record["id"] for record in one.get("vulnerabilities") or ()}
    return found


def _write_config(folder: Path) -> Path:
    path = folder / "osv-scanner.toml"
    path.touch()
    return path
