"""Makes the sample fleet of ``imagecatalog demo`` from the Debian archive.

Real OCI images of an invented company, in three generations, whose package databases apt's own
solver made of real packages; the matching slice of the archive's indices; and what two clusters
run of it. The archive is the one that this machine's apt is set up for (run ``apt-get update``
first). The same archive gives the same bytes; only when its indices changed does the sample
archive get a new signing key, which no file keeps.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from fleet.advisories import write_advisories
from fleet.archive import Archive
from fleet.build import Fleet, Packages
from fleet.builds import list_builds
from fleet.layout import Layout
from fleet.mirror import write_mirror
from fleet.pods import list_pods
from fleet.recipes import REGISTRY, all_recipes

SAMPLE = Path(__file__).resolve().parent.parent / "src/imagecatalog/sample"
PARTS = ("images", "mirror", "pods")
BUILDS = "builds.json"
ADVISORIES = "advisories"


def make_fleet(work: Path, previous: Path, keyring: str) -> Path:
    """Makes the fleet in a folder under ``work`` and gives that folder."""
    print("reading the archive")
    archive = Archive(work, keyring)
    recipes = all_recipes()
    print(f"solving {len(recipes)} images")
    packages = Packages(archive, recipes)
    made = work / "made"
    mirrored = write_mirror(archive, packages.names, made / "mirror", previous / "mirror")
    layout = Layout(made / "images")
    fleet = Fleet(archive, packages, layout, mirrored)
    for recipe in recipes:
        fleet.add(recipe)
    layout.close()
    (made / "pods").mkdir()
    for cluster in ("north", "south"):
        text = json.dumps(list_pods(cluster, fleet.built), indent=1)
        (made / f"pods/{cluster}.json").write_text(f"{text}\n")
    digests = {
        f"{REGISTRY}/{name}": built.descriptor["digest"] for name, built in fleet.built.items()
    }
    (made / BUILDS).write_text(f"{json.dumps(list_builds(recipes, digests), indent=1)}\n")
    return made


def main() -> None:
    """Makes the fleet and puts it in the place of the old one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=SAMPLE, help=f"folder that receives {PARTS}")
    parser.add_argument(
        "--keyring",
        default="/usr/share/keyrings/debian-archive-keyring.gpg",
        help="keyring that signed the archive (default: %(default)s)",
    )
    parser.add_argument(
        "--advisories",
        type=Path,
        help="folder with tracker-from-advisories.json.zst and advisories-2025-2026.jsonl.zst",
    )
    parser.add_argument("--only-advisories", action="store_true", help="keep all else as it is")
    arguments = parser.parse_args()
    output: Path = arguments.output
    if not arguments.only_advisories:
        _replace_fleet(output, arguments.keyring)
    if arguments.advisories:
        shutil.rmtree(output / ADVISORIES, ignore_errors=True)
        write_advisories(arguments.advisories, output / "mirror", output / ADVISORIES)
    parts = (*PARTS, ADVISORIES)
    files = [file for part in parts for file in (output / part).rglob("*") if file.is_file()]
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files):,} bytes")


def _replace_fleet(output: Path, keyring: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        made = make_fleet(Path(work), output, keyring)
        for part in PARTS:
            shutil.rmtree(output / part, ignore_errors=True)
            shutil.copytree(made / part, output / part)
        shutil.copy(made / BUILDS, output / BUILDS)


if __name__ == "__main__":
    main()
