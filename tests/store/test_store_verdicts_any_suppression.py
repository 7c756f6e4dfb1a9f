"""Whatever is suppressed of whatever is found, verdicts are what a slow look at each finding says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from msgspec import Struct, structs
from suppression_house import defer, say, tell
from test_store_findings import HERE, JSON, said
from test_store_findings import tell as tell_feed
from test_store_unknown_not_clean import ALPINE, put
from test_store_updates import APP, SECURITY
from tests_store import NOON, SETUP, PutImage, digest, fixed_in, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.domain.advisories import Affected
from imagecatalog.domain.packages import Package
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.domain.suppressions import VexStatement
from imagecatalog.matching.match import match
from imagecatalog.matching.updates import judge, trust_of
from imagecatalog.planning.findings import image_findings
from imagecatalog.planning.staleness import outdated
from imagecatalog.planning.verdicts import judge_images
from imagecatalog.store import apt
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.versions import key

FAULTS = tuple(f"CVE-2026-{n}" for n in range(1, 7))
ALPINE_SCOPE = "alpine/3.18"
OFFERED = {"ssl": "1.0-3", "tar": "1.0-2"}
"""By the security archive; zlib is not."""
VERSIONS = ("1.0-1", "1.0-2", "1.0-3")
URGENCIES = (None, "unimportant", "low", "medium", "high")
RANKS = {None: 0, "unimportant": 1, "low": 2, "medium": 3, "high": 4}
WORDS = (None, "negligible", "low", "medium", "high")
IMAGES, ROUNDS = 9, 10


class Fault(Struct, frozen=True):
    """What a feed says of one package: open without ``fixed``."""

    name: str
    scope: str
    source: str
    fixed: str | None
    urgency: str | None

    def has(self, version: str, kind: str) -> bool:
        return self.fixed is None or key(kind, version) < key(kind, self.fixed)


class Rule(Struct, frozen=True):
    """Something said: a deferral, or a statement with its moment."""

    fault: str
    image: str | None = None
    package: str | None = None
    version: str | None = None
    days: int = 30
    status: str | None = None
    """Of a statement; None: a deferral."""
    hours: int = 0
    """After noon a statement was issued, each at a time of its own."""


class Image(Struct, frozen=True):
    """An image, by what of it decides."""

    name: str
    packages: tuple[Package, ...]
    has_apt: bool

    @property
    def scope(self) -> str:
        return HERE if self.has_apt else ALPINE_SCOPE


class Expected(Struct, frozen=True):
    status: str
    security: int
    suppressed: int
    severity: str | None


def make_images(luck: random.Random) -> list[Image]:
    images = []
    for n in range(IMAGES):
        has_apt = n % 3 != 2
        names = luck.sample(["ssl", "tar", "zlib"], luck.randrange(1, 4))
        if has_apt:
            inside = [package(name, luck.choice(VERSIONS)) for name in names]
        else:
            inside = [apk(name, luck.choice(("1.0-r1", "1.0-r2"))) for name in names]
        for version in luck.sample(["1.0", "1.1"], luck.randrange(3)):
            inside.append(Package("pypi", "flask", version, "", "flask", version))
        images.append(Image(f"app{n}", tuple(inside), has_apt))
    return images


def apk(name: str, version: str) -> Package:
    return Package("apk", name, version, "x86_64", name, version)


def make_faults(luck: random.Random) -> list[Fault]:
    found = {}
    for name in FAULTS:
        for _ in range(luck.randrange(1, 4)):
            scope, source = luck.choice(
                [(s, p) for s in (HERE, ALPINE_SCOPE) for p in ("ssl", "tar", "zlib")]
                + [("pypi", "flask")] * 2
            )
            fixed: str | None = luck.choice(
                {HERE: (*VERSIONS, "1.0-4"), ALPINE_SCOPE: ("1.0-r2", "1.0-r3")}.get(
                    scope, ("1.1", "1.2")
                )
            )
            urgency = luck.choice(URGENCIES) if scope == HERE else None
            if scope == HERE and luck.random() < 0.25:
                fixed = None
            found[name, scope, source] = Fault(name, scope, source, fixed, urgency)
    return list(found.values())


def make_rules(luck: random.Random) -> list[Rule]:
    rules = []
    for hours in range(luck.randrange(3, 10)):
        package = luck.choice([None, "ssl", "tar", "zlib", "flask"])
        image = luck.choice([None, None, f"app{luck.randrange(IMAGES)}"])
        version, status = None, luck.choice([None, "not_affected", "not_affected", "affected"])
        if status and package == "flask":
            version = luck.choice([None, "1.0"])
        days = luck.choice([-1, 30]) if status is None else 30
        fault = luck.choice(FAULTS)
        rules.append(Rule(fault, image, package, version, days, status, hours))
    return rules


def write_house(c: Connection, put_image: PutImage, images: Sequence[Image]) -> dict[str, int]:
    numbers = {}
    for one in images:
        if one.has_apt:
            numbers[one.name] = put_image(c, one.name, one.packages)
        else:
            numbers[one.name] = put(c, one.name, one.packages, ALPINE)
        home = f"{APP}/{one.name}"
        numbered = numbers[one.name]
        ingest.record_repository(c, home, {"1": numbered}, [numbered], [], now=NOON)
    source = SETUP.sources[0]
    release = apt.put_release(c, source.uri, source.suite, trust_of(source, ()), tried=NOON)
    index = apt.put_index(c, "1", [package(*one) for one in OFFERED.items()])
    apt.point_indices(c, release, [apt.IndexRow("main", "amd64", index, None, None)])
    apt.save_release(c, release, good=NOON, problem=None, facts=SECURITY, state="{}")
    judge(c)
    pods = [
        RunningContainer(
            "web",
            "Deployment/app",
            one.name,
            "main",
            "container",
            f"{APP}/{one.name}:1",
            f"{APP}/{one.name}@{digest(one.name)}",
        )
        for one in images[::2]
    ]
    timeline.observe(c, "north", pods, at=NOON)
    return numbers


def write_feeds(c: Connection, faults: Sequence[Fault]) -> None:
    silent = [
        fixed_in("CVE-2020-1", scope, "nothing", "1") for scope in (HERE, ALPINE_SCOPE, "pypi")
    ]
    for feed, scope in ((JSON, HERE), ("alpine-secdb v3.18/main", ALPINE_SCOPE), ("osv", "pypi")):
        told: list[Affected] = [one for one in silent if one.scope == scope]
        for one in faults:
            if one.scope == scope and one.fixed:
                fixed = fixed_in(one.name, scope, one.source, one.fixed)
                told.append(structs.replace(fixed, urgency=one.urgency))
            elif one.scope == scope:
                more = {"urgency": one.urgency} if one.urgency else {}
                told.append(said(one.name, one.source, "open", **more))
        tell_feed(c, feed, told)
    match(c, now=NOON)


def write_rules(c: Connection, rules: Sequence[Rule]) -> None:
    statements: list[VexStatement] = []
    for one in rules:
        if one.status is None:
            about = {"package": one.package, "image": one.image and f"*/{one.image}*"}
            told = {name: text for name, text in about.items() if text}
            defer(c, one.fault, days=one.days, **told)
        else:
            product: dict[str, object] = {
                "name": one.package,
                "version": one.version,
                "image_digest": str(digest(one.image)) if one.image else None,
                "issued": NOON - timedelta(days=1) + timedelta(hours=one.hours),
            }
            statements.append(say(one.status, one.fault, **product))  # type: ignore[arg-type]
    tell(c, *statements)


# --- the slow look ------------------------------------------------------------------------------


def is_hidden(rules: Sequence[Rule], image: Image, package: Package, fault: str) -> bool:
    about = [
        one
        for one in rules
        if one.fault == fault
        and one.image in {None, image.name}
        and one.package in {None, package.name}
        and one.version in {None, package.version}
    ]
    said = [one for one in about if one.status]
    if said:
        best = max(
            said,
            key=lambda one: (
                one.image is not None,
                (one.package is not None) + (one.version is not None),
                one.hours,
            ),
        )
        if best.status == "not_affected":
            return True
    return any(one.status is None and one.days > 0 for one in about)


def evaluate(image: Image, faults: Sequence[Fault], rules: Sequence[Rule]) -> Expected:
    found = [
        (package, one)
        for package in image.packages
        for one in faults
        if one.scope == ("pypi" if package.type == "pypi" else image.scope)
        and one.source == package.name
        and one.has(package.version, package.type)
    ]
    counting = [
        (package, one) for package, one in found if not is_hidden(rules, image, package, one.name)
    ]
    left = {one.name for _, one in counting}
    fixable = [
        (package, one) for package, one in counting if one.fixed and one.urgency != "unimportant"
    ]
    offered = [
        package
        for package in image.packages
        if package.type == "deb"
        and package.name in OFFERED
        and key("deb", package.version) < key("deb", OFFERED[package.name])
    ]
    urgent = 0
    for update in offered:
        mended = {
            one.name
            for held, one in found
            if held == update and not one.has(OFFERED[update.name], "deb")
        }
        spared = mended - {one.name for held, one in counting if held == update}
        urgent += not mended or mended != spared
    others = len({package for package, _ in fixable if package.type != "deb"})
    if urgent or others or fixable:
        status = "security-update"
    else:
        status = "update" if offered else "current"
    return Expected(
        status,
        urgent + others,
        len({one.name for _, one in found} - left),
        WORDS[max((RANKS[one.urgency] for _, one in fixable), default=0)],
    )


class _UndoneError(Exception):
    """Ends a transaction so that nothing of it stays."""


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_are_what_each_finding_comes_to(
    catalog: Catalog, put_image: PutImage, seed: int
) -> None:
    luck = random.Random(seed)
    images = make_images(luck)
    with catalog.write() as c:
        numbers = write_house(c, put_image, images)
    changed = 0
    for _ in range(ROUNDS):
        faults, rules = make_faults(luck), make_rules(luck)
        with suppress(_UndoneError), catalog.write() as c:
            write_feeds(c, faults)
            before = {one.name: evaluate(one, faults, ()) for one in images}
            assert read(c, numbers) == before
            write_rules(c, usable(rules, faults))
            after = {one.name: evaluate(one, faults, rules) for one in images}
            changed += before != after
            assert read(c, numbers) == after
            check_findings(c, images, numbers)
            raise _UndoneError
    assert changed > 1


def usable(rules: Sequence[Rule], faults: Sequence[Fault]) -> list[Rule]:
    """Those about faults that any feed tells of: others cannot be deferred."""
    known = {one.name for one in faults}
    return [one for one in rules if one.fault in known]


def read(c: Connection, numbers: Mapping[str, int]) -> dict[str, Expected]:
    judged = judge_images(c, numbers.values(), now=NOON)
    found = {}
    for name, number in numbers.items():
        one = judged[number]
        assert one.standing is not None
        found[name] = Expected(
            one.verdict.status,
            one.verdict.security,
            one.verdict.suppressed,
            one.standing.severity,
        )
    return found


def check_findings(c: Connection, images: Sequence[Image], numbers: Mapping[str, int]) -> None:
    """Lists, pages and verdicts tell the same."""
    listed = {one.digest: one for one in outdated(c, now=NOON, all_images=True).items}
    judged = judge_images(c, numbers.values(), now=NOON)
    for image in images:
        one = judged[numbers[image.name]]
        assert one.standing is not None
        told = image_findings(c, str(digest(image.name)), now=NOON).counts
        assert (told.suppressed, told.undetermined) == (one.verdict.suppressed, 0)
        assert told.fixable + told.unfixed == one.standing.fixable + one.standing.unfixed
        item = listed[str(digest(image.name))]
        assert item.severity == one.standing.severity
        assert (item.status, item.suppressed) == (one.verdict.status, one.verdict.suppressed)
        for update in item.updates:
            assert set(update.suppressed) <= set(update.advisories)
