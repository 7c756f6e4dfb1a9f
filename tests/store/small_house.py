"""A small house: a base, what is built on it, an archive with updates, and a cluster that runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tests_store import NOON, SETUP, PutImage, digest, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.config import Settings
from imagecatalog.domain.apt import AptSetup, ReleaseFacts
from imagecatalog.domain.plans import Plan, PlanQuestion
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.matching.updates import judge, trust_of
from imagecatalog.planning.plan import make_plan
from imagecatalog.store import apt, images
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.shelf import Shelf

HOST = "registry.example.org"
ARM_SETUP = AptSetup(("arm64",), SETUP.sources)


def facts(*, security: bool) -> ReleaseFacts:
    """What a Release file says of an archive."""
    if security:
        return ReleaseFacts(
            label="Debian-Security", codename="bookworm-security", suite="oldstable"
        )
    return ReleaseFacts(label="Debian", codename="bookworm", suite="oldstable")


class House:
    """Pushes images named ``repository:tag``, offers packages and scans the cluster, an hour apart."""

    def __init__(self, catalog: Catalog, put_image: PutImage) -> None:
        self.catalog = catalog
        self.put_image = put_image
        self.now = NOON
        self.layers: dict[str, tuple[str, ...]] = {}
        self.tags: dict[str, dict[str, int]] = {}
        self.offers: dict[str, str] = {}
        self.running: dict[str, str] = {}

    def push(
        self,
        name: str,
        packages: Mapping[str, str] | None,
        base: str | None = None,
        **more: object,
    ) -> int:
        """Push an image whose layers are its base's and one more; the registry is synced at once."""
        self.layers[name] = (*(self.layers[base] if base else ()), f"layer of {name}")
        installed = None if packages is None else [package(*one) for one in packages.items()]
        with self.catalog.write() as c:
            number = self.put_image(
                c, name, installed, layers=self.layers[name], at=self.now, **more
            )
            self.point(c, name, number)
        return number

    def push_index(
        self,
        name: str,
        packages: Mapping[str, str],
        base: str | None = None,
        *,
        arm: Mapping[str, str] | None = None,
    ) -> None:
        """Push an index of an image for amd64 and one for arm64, each on its base's."""
        members = []
        with self.catalog.write() as c:
            for arch, setup in (("amd64", SETUP), ("arm64", ARM_SETUP)):
                own = f"{name}/{arch}"
                above = self.layers[f"{base}/{arch}"] if base else ()
                self.layers[own] = (*above, f"layer of {own}")
                inside = arm if arm is not None and arch == "arm64" else packages
                installed = [package(*one, arch) for one in inside.items()]
                number = self.put_image(
                    c,
                    own,
                    installed,
                    setup=setup,
                    layers=self.layers[own],
                    platform=f"linux/{arch}",
                    at=self.now,
                )
                members.append(number)
            index = images.put_index(
                c,
                Shelf(),
                digest(name),
                "application/vnd.oci.image.index.v1+json",
                members,
                now=self.now,
            )
            self.point(c, name, index)

    def point(self, c: Connection, name: str, number: int) -> None:
        """Have a tag point to an image."""
        repository, _, tag = name.partition(":")
        tags = self.tags.setdefault(repository, {})
        tags[tag] = number
        ingest.record_repository(
            c, f"{HOST}/{repository}", tags, list(tags.values()), [], now=self.now
        )

    def drop(self, name: str) -> None:
        """Delete a tag."""
        repository, _, tag = name.partition(":")
        del self.tags[repository][tag]
        with self.catalog.write() as c:
            ingest.record_repository(
                c, f"{HOST}/{repository}", self.tags[repository], [], [], now=self.now
            )

    def run(self, *, arch: str = "", **workloads: str | Sequence[str]) -> None:
        """Have each of these workloads run an image, and those of before what they ran.

        Of an index with ``arch`` its image for that.
        """
        suffix = f"/{arch}" if arch else ""
        for workload, image in workloads.items():
            for position, one in enumerate([image] if isinstance(image, str) else image):
                self.running[f"{workload}/{position}"] = one
        pods = [
            RunningContainer(
                "web",
                f"Deployment/{place.partition('/')[0]}",
                place.replace("/", "-"),
                "main",
                "container",
                f"{HOST}/{image}",
                f"{HOST}/{image.partition(':')[0]}@{digest(image + suffix)}",
            )
            for place, image in self.running.items()
        ]
        self.now += timedelta(hours=1)
        with self.catalog.write() as c:
            timeline.observe(c, "north", pods, at=self.now)

    def offer(self, *, security: bool = True, **versions: str) -> None:
        """Have the archive offer these packages too; all that is there is judged anew."""
        self.offers |= {name.replace("_", "-"): version for name, version in versions.items()}
        source = SETUP.sources[0]
        with self.catalog.write() as c:
            number = apt.put_release(
                c, source.uri, source.suite, trust_of(source, ()), tried=self.now
            )
            rows = []
            for arch in ("amd64", "arm64"):
                offered = [package(*one, arch) for one in self.offers.items()]
                index = apt.put_index(c, f"{self.now} {self.offers} {arch}", offered)
                rows.append(apt.IndexRow("main", arch, index, None, None))
            apt.point_indices(c, number, rows)
            apt.save_release(
                c, number, good=self.now, problem=None, facts=facts(security=security), state="{}"
            )
            judge(c)

    def plan(self, settings: Settings = Settings(), **ask: object) -> Plan:  # noqa: B008
        """The plan for a question."""
        with self.catalog.read() as c:
            return make_plan(
                c,
                PlanQuestion(**ask),  # type: ignore[arg-type]
                settings=settings,
                now=self.now,
            )


def steps(plan: Plan) -> list[list[str]]:
    """The waves, by the names of what is rebuilt, without the registry."""
    return [[step.rebuild.removeprefix(f"{HOST}/") for step in wave] for wave in plan.waves]


def moves(plan: Plan) -> dict[str, tuple[str, bool, int]]:
    """Where each workload goes, whether that is there, and after which wave."""
    return {
        one.workload.partition("/")[2]: (one.to.removeprefix(f"{HOST}/"), one.built, one.wave)
        for one in plan.redeploy
    }
