"""How a job tells what it does and how it ended: partial success is a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from msgspec import Struct

from imagecatalog.errors import CatalogError

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how many are done, and of how many, if that is known."""


def say_nothing(what: str, done: int, of: int | None) -> None:
    """A Progress that keeps silent."""


class Failure(Struct, frozen=True):
    """One thing that did not work; the others did."""

    subject: str
    """The cluster, registry, repository, image or archive."""
    code: str
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, subject: str, error: CatalogError) -> Failure:
        """The failure that an error means for this subject."""
        return cls(subject, error.code, error.message, error.hint)


class Report(Struct, frozen=True):
    """What a job did, a sentence each, and what failed."""

    done: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()

    def __add__(self, other: Report) -> Report:
        return Report(self.done + other.done, self.failed + other.failed)


@contextmanager
def cancelling(pool: Executor) -> Iterator[None]:
    """For the wait on a pool's work: what goes wrong there keeps the rest from beginning."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 image``, ``1,204 images``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
