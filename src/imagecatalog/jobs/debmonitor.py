"""Tells a DebMonitor of images and clusters: what changed since it was told last, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from imagecatalog.errors import (
    AccessDenied,
    CatalogError,
    DatabaseError,
    SourceUnavailable,
    clean_text,
)
from imagecatalog.jobs.report import Failure, Progress, Report, plural, say_nothing
from imagecatalog.outlets import debmonitor as outlet
from imagecatalog.outlets.debmonitor import Content, LeftOut, Named
from imagecatalog.sources.debmonitor import DebMonitor
from imagecatalog.store import debmonitor as memory
from imagecatalog.store.dialect import batches
from imagecatalog.store.engine import Catalog

REFRESHED_AFTER = timedelta(days=30)
"""A DebMonitor forgets images of which it heard nothing for 90 days, unless they run."""
_LOOKED_AT = 500
_COMPOSED = 50
"""Images whose messages are in memory at once, and remembered at once."""
_IN_VAIN = 5
"""Images in a row of which a server could not be told, after which it is told no more."""
_SHOWN = 100


class Offer(Struct, frozen=True, kw_only=True):
    """What a push would tell of one image or cluster."""

    kind: str
    """``image`` or ``cluster``."""
    name: str
    state: str
    """``changed``, ``unchanged``, or ``left out``."""
    upgrades: int | None = None
    reason: str | None = None
    """Why it is left out, or told without upgrades."""


class Push:
    """One push to one DebMonitor, worked out when it is made.

    ``idle``: also of images that do not run. ``again``: also of what did not change.
    """

    def __init__(
        self,
        catalog: Catalog,
        server: DebMonitor,
        *,
        idle: bool = False,
        again: bool = False,
        now: Callable[[], datetime],
        progress: Progress = say_nothing,
    ) -> None:
        self._catalog = catalog
        self._server = server
        self._now = now
        self._progress = progress
        with catalog.read() as c:
            running = outlet.list_running(c)
            named = [*running.images, *(outlet.list_idle(c, running.images) if idle else ())]
            told = {} if again else memory.list_pushed(c, server.name, "image")
            told_clusters = memory.list_pushed(c, server.name, "cluster")
        self._told: set[str] = set()
        self._tried = self._in_vain = 0
        self._contents, self._left_out = self._look_at(named, running.left_out)
        oldest = now() - REFRESHED_AFTER
        self._kept = {
            one.name
            for one in self._contents
            if (last := told.get(one.name)) and last.digest == one.digest and last.pushed > oldest
        }
        clusters = outlet.compose_clusters(running, self._left_out)
        self._clusters = {
            name: message
            for name, message in clusters.items()
            if message.images or name in told_clusters
        }
        self._kept_clusters = {
            name
            for name, message in self._clusters.items()
            if not again
            and name in told_clusters
            and told_clusters[name].digest == outlet.digest_of(message)
        }

    def _look_at(
        self, named: Sequence[Named], left_out: Iterable[LeftOut]
    ) -> tuple[list[Content], list[LeftOut]]:
        contents, gone = [], [*left_out]
        for batch in batches(named, _LOOKED_AT):
            with self._catalog.read() as c:
                found, more = outlet.list_contents(c, batch, now=self._now())
            contents += found
            gone += more
            self._progress("looking at images", len(contents) + len(gone), None)
        return contents, gone

    def offers(self) -> list[Offer]:
        """What would be told, and what not."""
        return [
            *(
                Offer(
                    kind="image",
                    name=one.name,
                    state="unchanged" if one.name in self._kept else "changed",
                    upgrades=len(one.upgradable) if one.is_judged else None,
                    reason=None if one.is_judged else "there is no verdict of ours",
                )
                for one in self._contents
            ),
            *(
                Offer(kind="image", name=one.name, state="left out", reason=one.reason)
                for one in self._left_out
            ),
            *(
                Offer(
                    kind="cluster",
                    name=name,
                    state="unchanged" if name in self._kept_clusters else "changed",
                )
                for name in self._clusters
            ),
        ]

    def run(self) -> Report:
        """Tell it. One image that fails stops no other; raises AccessDenied where nobody may tell."""
        failed = self._tell_images([one for one in self._contents if one.name not in self._kept])
        clusters: set[str] = set()
        if not self._is_lost:
            clusters, missing, more = self._tell_clusters()
            again = [one for one in self._contents if one.name in missing & self._kept]
            if again:
                # It forgot what it was told before: that is told anew, then what runs.
                failed += self._tell_images(again)
                told, missing, more = self._tell_clusters()
                clusters |= told
            known = {failure.subject for failure in failed}
            failed += more
            failed += [
                Failure(name, "missing", f"{self._server.name} does not know {name}")
                for name in sorted(missing - known)
            ]
        return Report(self._say(clusters), tuple(failed))

    def _say(self, clusters: Collection[str]) -> tuple[str, ...]:
        images, kept = (
            plural(len(self._told), "image"),
            plural(len(self._kept - self._told), "image"),
        )
        what = f"{images} and {plural(len(clusters), 'cluster')}"
        done = [f"{self._server.name}: told of {what}; {kept} had not changed"]
        if self._left_out:
            done.append(f"{plural(len(self._left_out), 'image')} left out: --dry-run says why")
        unjudged = sum(not one.is_judged for one in self._contents)
        if unjudged:
            many = plural(unjudged, "image has", "images have")
            done.append(f"{many} no verdict of ours, so that no upgrade is told of")
        return tuple(done)

    def _tell_images(self, wanted: Sequence[Content]) -> list[Failure]:
        failed: list[Failure] = []
        for batch in batches(wanted, _COMPOSED):
            if self._is_lost:
                break
            with self._catalog.read() as c:
                messages = outlet.compose(c, batch)
            told: dict[str, bytes] = {}
            try:
                for content, message in zip(batch, messages, strict=True):
                    if not self._is_lost:
                        error = self._tell_image(content.name, outlet.encode(message))
                        if error is None:
                            told[content.name] = content.digest
                        else:
                            failed.append(Failure.of(content.name, error))
                        self._tried += 1
                        self._progress(f"told of {content.name}", self._tried, len(wanted))
            finally:
                self._remember("image", told)
                self._told |= told.keys()
        if self._is_lost:
            left = plural(len(wanted) - len(failed) - len(self._told), "image")
            said = f"failed {_IN_VAIN} times in a row; {left} and what runs were not told"
            failed.append(Failure(self._server.name, SourceUnavailable.code, said))
        return failed

    def _tell_image(self, name: str, body: bytes) -> CatalogError | None:
        try:
            self._server.tell_image(name, body)
        except (AccessDenied, DatabaseError):
            raise
        except SourceUnavailable as error:
            self._in_vain += 1
            return error
        except CatalogError as error:
            self._in_vain = 0
            return error
        self._in_vain = 0
        return None

    @property
    def _is_lost(self) -> bool:
        return self._in_vain >= _IN_VAIN

    def _tell_clusters(self) -> tuple[set[str], set[str], list[Failure]]:
        """The clusters that were told of, the images that it does not know, and what failed."""
        told: dict[str, bytes] = {}
        missing: set[str] = set()
        failed = []
        for name, message in self._clusters.items():
            if name in self._kept_clusters:
                continue
            try:
                answer = self._server.tell_cluster(outlet.encode(message))
            except (AccessDenied, DatabaseError):
                raise
            except CatalogError as error:
                failed.append(Failure.of(f"cluster {name}", error))
                continue
            missing |= message.images.keys() & set(answer.missing)
            failed += [
                Failure(f"cluster {name}", "refused", f"it did not take {_describe(one)}")
                for one in answer.errors[:_SHOWN]
            ]
            if not answer.missing and not answer.errors:
                told[name] = outlet.digest_of(message)
            self._progress(f"told of cluster {name}", len(told), len(self._clusters))
        self._remember("cluster", told)
        self._kept_clusters |= told.keys()
        return set(told), missing, failed

    def _remember(self, kind: str, told: Mapping[str, bytes]) -> None:
        if told:
            with self._catalog.write() as c:
                memory.note_pushed(c, self._server.name, kind, told.items(), now=self._now())


def _describe(error: Mapping[str, object]) -> str:
    parts = (f"{key} {clean_text(str(value))[:_SHOWN]}" for key, value in sorted(error.items())[:6])
    return ", ".join(parts)
