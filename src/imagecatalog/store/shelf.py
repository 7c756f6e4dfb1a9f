"""What one job knows to be in the database already, so that it need not ask again."""

from __future__ import annotations

from collections.abc import Sized

from imagecatalog.domain.apt import AptSetup
from imagecatalog.domain.packages import Distro, Package
from imagecatalog.domain.refs import Digest

_ROOM = 100_000


class Shelf:
    """Ids of rows met, by what they stand for. One for a thread of a job, and one database.

    What it knows of a transaction that was dropped must go too: ``forget`` after a failure.
    """

    def __init__(self) -> None:
        self.versions: dict[Package, int] = {}
        """Their places: the bucket of package versions, and below it their ids."""
        self.chunks: dict[bytes, int] = {}
        self.members: dict[int, list[int]] = {}
        """Package versions of the chunks that were written last."""
        self.sets: dict[bytes, int] = {}
        self.set_chunks: dict[int, tuple[int, ...]] = {}
        self.layers: dict[Digest, int] = {}
        self.chains: set[bytes] = set()
        self.labels: dict[bytes, int] = {}
        self.distros: dict[Distro, int] = {}
        self.setups: dict[AptSetup, int] = {}
        self.enrolled: set[tuple[int, int]] = set()
        """Set-up and chunk."""
        self.enrolled_versions: set[tuple[int, int]] = set()
        """Set-up and package version."""
        self.placed: set[tuple[int, int]] = set()
        """Scope and chunk."""
        self.placed_versions: set[tuple[int, int]] = set()
        """Scope and package version."""
        self.components: dict[tuple[int, str, str], int] = {}
        """By scope, name and version."""

    def forget(self) -> None:
        """Start anew: nothing is taken for granted."""
        self.__init__()  # type: ignore[misc]

    def make_room(self) -> None:
        """Forget all if it grew too large to keep."""
        sizes: tuple[Sized, ...] = (self.versions, self.chunks, self.layers)
        sizes += (self.chains, self.labels, self.enrolled, self.enrolled_versions)
        sizes += (self.placed, self.placed_versions, self.components)
        largest = max(map(len, sizes))
        if largest > _ROOM or len(self.set_chunks) > _ROOM // 10 or len(self.setups) > _ROOM // 100:
            self.forget()
