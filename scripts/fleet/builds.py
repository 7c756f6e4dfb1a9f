"""What the sample company's builders tell of their builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.recipes import REGISTRY, Recipe

Json = dict[str, Any]
_SITE = "https://git.example.org/images"


def list_builds(recipes: Sequence[Recipe], digests: Mapping[str, str]) -> list[Json]:
    """A build of every runtime, by docker-pkg, and of the services for finance, by BuildKit.

    ``digests`` say what each whole name points to. The others have nobody who tells of them.
    """
    return [
        _describe(recipe, digests)
        for recipe in recipes
        if recipe.parent is not None and ("/" not in recipe.repository or _is_finance(recipe))
    ]


def _is_finance(recipe: Recipe) -> bool:
    return recipe.repository in {"services/ledger", "services/legacy-reports"}


def _describe(recipe: Recipe, digests: Mapping[str, str]) -> Json:
    image, parent = (f"{REGISTRY}/{name}" for name in (recipe.name, recipe.parent))
    return {
        "image": image,
        "digest": digests[image],
        "finished": f"{recipe.created}T06:00:00Z",
        **dict(_by_docker_pkg(recipe) if "/" not in recipe.repository else _by_buildkit(recipe)),
        # an invented commit, the same each time
        "source_revision": hashlib.sha1(recipe.name.encode()).hexdigest(),
        "parents": [{"image": parent, "digest": digests[parent], "role": "base"}],
    }


def _by_docker_pkg(recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield "builder", "docker-pkg"
    yield "builder_version", "4.0.4"
    yield "source_repository", _SITE
    yield "source_path", f"images/{recipe.repository}"
    yield "reason", f"Rebuilt on {recipe.parent}"


def _by_buildkit(recipe: Recipe) -> Iterator[tuple[str, str]]:
    yield "builder", "buildkit"
    yield "source_repository", f"{_SITE}/{recipe.repository}"
    yield "reason", f"Release {recipe.tag}"
