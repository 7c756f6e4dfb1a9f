"""``python -m benchmarks [--sizes 10000,100000] [QUESTION…]``: prints figures and ratios."""

from __future__ import annotations

import argparse

from benchmarks import contents, questions, sync


def main() -> None:
    """Run the questions named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--sizes", default="10000,100000", help="image versions, with commas")
    parser.add_argument("questions", nargs="*", help="questions, sync, contents; default all")
    wanted = parser.parse_args()
    names = wanted.questions or ["questions", "sync", "contents"]
    if "questions" in names:
        questions.run([int(size) for size in wanted.sizes.split(",")])
    if "sync" in names:
        sync.run()
    if "contents" in names:
        contents.run()


if __name__ == "__main__":
    main()
