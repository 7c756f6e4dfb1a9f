"""Looks at some tags and digests of some repositories, in the registries that have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

from imagecatalog.config import Settings
from imagecatalog.domain.refs import Reference
from imagecatalog.errors import UsageError
from imagecatalog.jobs.crawl import Crawl
from imagecatalog.jobs.report import Failure, Progress, Report, cancelling, say_nothing
from imagecatalog.jobs.settling import settle
from imagecatalog.sources.open import open_source
from imagecatalog.sources.registry import Registry
from imagecatalog.store.engine import Catalog

_SIDE_BY_SIDE = 8


class Looker:
    """Some registries, each opened when first it is needed. Safe to share between threads."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        registries: Sequence[Registry],
        now: Callable[[], datetime],
    ) -> None:
        self._registries = registries
        self._crawls = [Crawl(catalog, settings, registry, now) for registry in registries]

    @classmethod
    @contextmanager
    def open(
        cls,
        catalog: Catalog,
        settings: Settings,
        addresses: Iterable[str],
        *,
        now: Callable[[], datetime],
    ) -> Iterator[Looker]:
        """Over the registries among these addresses; raises ``ConfigError`` for what is none."""
        sources = [open_source(address, settings) for address in addresses]
        try:
            yield cls(catalog, settings, [one for one in sources if isinstance(one, Registry)], now)
        finally:
            for source in sources:
                source.close()

    def covers(self, repository: str) -> bool:
        """Whether any of the registries is configured to have it."""
        return self._find(repository) is not None

    def look(
        self, wanted: Mapping[str, Collection[str]], progress: Progress = say_nothing
    ) -> Report:
        """Look at these tags and digests by repository; at all tags where none are given.

        The subject of a failure is ``repository:tag``, ``repository@digest``, or the repository
        where all of it failed.
        """
        report = Report()
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool, cancelling(pool):
            names = sorted(wanted)
            found = pool.map(lambda name: self._look(name, wanted[name]), names)
            for done, (name, one) in enumerate(zip(names, found, strict=True), 1):
                report += one
                progress(f"synced {name}", done, len(names))
        counts = Counter(map(self._find, wanted))
        read = (one.summarise(counts[n]) for n, one in enumerate(self._crawls) if counts[n])
        return sum(read, report)

    def _look(self, repository: str, references: Collection[str]) -> Report:
        number = self._find(repository)
        if number is None:
            return Report(failed=(_without_registry(repository),))
        crawl = self._crawls[number]
        if not references:
            return crawl.sync_repository(repository)
        return crawl.look(repository, references)

    def _find(self, repository: str) -> int | None:
        covering = (n for n, one in enumerate(self._registries) if one.covers(repository))
        return next(covering, None)


def _without_registry(repository: str) -> Failure:
    return Failure(repository, "no-registry", "no [[registry]] is configured that has it")


def find_failure(report: Report, repository: str, reference: str) -> Failure | None:
    """Why a look at this failed, if it did."""
    subjects = (f"{repository}:{reference}", f"{repository}@{reference}", repository)
    return next((one for one in report.failed if one.subject in subjects), None)


def sync_images(
    catalog: Catalog,
    settings: Settings,
    names: Iterable[str],
    addresses: Sequence[str],
    *,
    now: Callable[[], datetime],
    progress: Progress = say_nothing,
) -> Report:
    """Bring some images up to date: ``repository``, ``repository:tag`` or ``repository@digest``.

    In the registries at these addresses, or in those of the settings. Raises ``BadName``, and
    ``UsageError`` where no registry has a repository.
    """
    wanted: dict[str, set[str]] = {}
    whole: set[str] = set()
    for reference in map(Reference.parse, names):
        wanted.setdefault(reference.name, set())
        given = reference.digest or reference.tag
        if given is None:
            whole.add(reference.name)
        else:
            wanted[reference.name].add(given)
    wanted |= {name: set() for name in whole}
    chosen = addresses or [setting.url for setting in settings.registries]
    with Looker.open(catalog, settings, chosen, now=now) as looker:
        for name in sorted(wanted):
            if not looker.covers(name):
                raise UsageError(
                    f"no registry is configured that has {name}",
                    hint="write the name with its registry, and name that:"
                    f" imagecatalog sync https://registry.example.org --image {name}",
                )
        report = looker.look(wanted, progress)
    return report + settle(catalog, settings, now=now, progress=progress)
