"""``python -m benchmarks [--sizes 10000,100000] [QUESTION…]``: prints figures and ratios."""

from __future__ import annotations

import argparse

from benchmarks import (
    advisories,
    contents,
    debmonitor,
    drawing,
    lineage,
    planning,
    questions,
    recording,
    registering,
    scanners,
    sync,
    year,
)


def main() -> None:
    """Run the questions named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="image versions, with commas")
    parser.add_argument(
        "questions",
        nargs="*",
        help="questions, advisories, scanners, lineage, planning, drawing, registering, debmonitor, sync, contents,"
        " recording, year; default all",
    )
    wanted = parser.parse_args()
    sizes = [int(size) for size in wanted.sizes.split(",")]
    runs = {
        "questions": lambda: questions.run(sizes),
        "advisories": lambda: advisories.run(sizes),
        "scanners": lambda: scanners.run(sizes),
        "lineage": lambda: lineage.run(sizes),
        "planning": lambda: planning.run(sizes),
        "drawing": drawing.run,
        "registering": registering.run,
        "debmonitor": debmonitor.run,
        "sync": sync.run,
        "contents": contents.run,
        "recording": recording.run,
        "year": year.run,
    }
    for name in wanted.questions or runs:
        if name not in runs:
            parser.error(f"{name} is none of {', '.join(runs)}")
    for name in wanted.questions or runs:
        runs[name]()


if __name__ == "__main__":
    main()
