"""What of a feed could not be read: the rest counts, and what a broken part said before stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagecatalog.domain.advisories import FeedPart
from imagecatalog.errors import BadDocument, clean_text

_SHOWN = 5
_TOLERATED = 10


class Faults:
    """The parts of one feed that could not be read, beside those that could.

    ``known`` are the digests of the parts as they were last applied.
    """

    def __init__(self, known: Mapping[str, bytes] | None = None) -> None:
        self._known = known or {}
        self._good = 0
        self._bad: dict[str, str] = {}
        self.count = 0

    def good(self) -> None:
        """Count one that was read."""
        self._good += 1

    def note(self, name: str, why: str) -> None:
        """Count one that could not be read."""
        self.count += 1
        if len(self._bad) < _SHOWN:
            self._bad.setdefault(clean_text(name)[:80] or "one without a name", why[:160])

    def take(self, part: FeedPart) -> FeedPart:
        """Count a part that was read."""
        self.good()
        return part

    def unchanged(self, name: str, digest: bytes) -> FeedPart | None:
        """The part as one that need not be read, if it has the digest it had."""
        if self._known.get(name) != digest:
            return None
        return self.take(FeedPart(name=name, digest=digest, advisories=(), affected=()))

    def fail(self, name: str, why: str) -> Iterator[FeedPart]:
        """Count a part that could not be read; gives what stands of it, if there was anything."""
        self.note(name, why)
        if name in self._known:
            yield FeedPart(name=name, digest=self._known[name], advisories=(), affected=())

    def check(self, where: str) -> None:
        """Raise BadDocument where so much is broken that the whole is not to be believed."""
        if self.count and (not self._good or self.count > max(_TOLERATED, self._good // 9)):
            raise BadDocument(
                where,
                f"{self.count:,} of {self.count + self._good:,} records cannot be read: {self}",
            )

    def __str__(self) -> str:
        """The first of them, each with what is wrong."""
        shown = "; ".join(f"{name} ({clean_text(why)})" for name, why in self._bad.items())
        more = self.count - len(self._bad)
        return shown + (f"; and {more:,} more" if more > 0 else "")
