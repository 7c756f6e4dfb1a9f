"""Where images come from: whose word counts, who disagrees, and the walk up and down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from tests_store import NOON, PutImage, digest, layer, package

from imagecatalog.catalog.builds import register
from imagecatalog.catalog.lineage import (
    Edge,
    ancestry,
    contradictions_of,
    edges_of,
    find_children,
)
from imagecatalog.domain.builds import EVIDENCE_ORDER, Build, Evidence, Parent
from imagecatalog.domain.images import Descriptor
from imagecatalog.planning.ancestry import inherit, lineage, package_origins
from imagecatalog.planning.inspection import image_detail
from imagecatalog.store import images, repositories
from imagecatalog.store import lineage as claims
from imagecatalog.store.engine import Catalog, Connection
from imagecatalog.store.images import ImageFacts
from imagecatalog.store.shelf import Shelf

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
Tell = Callable[..., None]


@pytest.fixture
def tell() -> Tell:
    """Tells of a build of the image of a name, from parents."""
    shelf = Shelf()

    def say(
        c: Connection,
        name: str,
        *parents: Parent,
        evidence: Evidence = "registered",
        minutes: int = 0,
        **more: object,
    ) -> None:
        build = Build(digest=digest(name), parents=parents, **more)  # type: ignore[arg-type]
        register(
            c,
            shelf,
            build,
            evidence=evidence,
            told_by="a test",
            configured={},
            now=NOON + timedelta(minutes=minutes),
        )

    return say


def base(name: str, role: str = "base") -> Parent:
    return Parent(digest=digest(name), role=role)  # type: ignore[arg-type]


def tag(c: Connection, name: str, *numbers: int) -> None:
    repository, _, first = name.rpartition(":")
    number = repositories.put_repository(c, repository)
    repositories.mark_present(c, number, numbers)
    tags = repositories.list_current_tags(c, repository)
    for position, one in enumerate(numbers):
        tags[first + ("" if not position else f"-{position}")] = one
    repositories.point_tags(c, number, tags, now=NOON)


def bases(edges: Sequence[Edge]) -> list[tuple[int | None, Evidence, tuple[Evidence, ...]]]:
    return [(edge.parent, edge.evidence, edge.also) for edge in edges if edge.role == "base"]


def test_the_nearest_image_that_the_layers_begin_with_is_the_base(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        node = put_image(c, "node", layers=["d", "n"])
        app = put_image(c, "app", layers=["d", "n", "x", "y"])
        twin = put_image(c, "twin", layers=["d", "n", "x", "y"])
        other = put_image(c, "other", layers=["e", "n"])
        bare = put_image(c, "bare", layers=[])
        found = edges_of(c, [debian, node, app, twin, other, bare])
        assert {child: bases(edges) for child, edges in found.items()} == {
            node: [(debian, "layers", ())],
            app: [(node, "layers", ())],
            twin: [(node, "layers", ())],
        }
        assert edges_of(c, []) == {}
        assert set(ancestry(c, [app])) == {app, node}
        assert {e.child for e in find_children(c, [node], 10).edges[node]} == {app, twin}
        assert set(find_children(c, [debian, other], 10).edges) == {debian}


def test_of_images_with_the_same_layers_another_repository_s_is_the_base_then_the_first_made(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        later = put_image(c, "later", layers=["d"], at=NOON + timedelta(days=2))
        first = put_image(c, "first", layers=["d"], at=NOON)
        home = put_image(c, "home", layers=["d"], at=NOON - timedelta(days=9))
        app = put_image(c, "app", layers=["d", "a"])
        assert bases(edges_of(c, [app])[app]) == [(home, "layers", ())]
        tag(c, "r.example.org/app:1", app, home)
        tag(c, "r.example.org/base:1", later, first)
        assert bases(edges_of(c, [app])[app]) == [(first, "layers", ())]
        tag(c, "r.example.org/app:2", first, later)
        assert bases(edges_of(c, [app])[app]) == [(home, "layers", ())], "all are at home"


def test_the_best_evidence_wins_and_the_others_are_told(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        parents = [
            put_image(c, evidence, layers=["d"] if evidence == "layers" else [evidence])
            for evidence in EVIDENCE_ORDER
        ]
        app = put_image(c, "app", layers=["d", "a"])
        left: list[Evidence] = list(EVIDENCE_ORDER)
        for at in range(3, -1, -1):
            best = EVIDENCE_ORDER[at]
            if best != "layers":
                tell(c, "app", base(best), evidence=best)
            assert bases(edges_of(c, [app])[app]) == [(parents[at], best, ())]
            told = contradictions_of(c, [app]).get(app, [])
            spoken = [(one.evidence, one.against) for one in told]
            assert spoken == [(one, best) for one in left[at + 1 :]]
        assert all(one.digest == str(digest("app")) for one in told)
        assert [one.says for one in told] == [
            f"its base is {digest('provenance')}",
            f"its base is {digest('annotation')}",
            f"it does not begin with the layers of {digest('registered')}",
        ]


def test_who_says_the_same_is_told_too(catalog: Catalog, put_image: PutImage, tell: Tell) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        app = put_image(c, "app", layers=["d", "a"])
        for evidence in ("annotation", "registered", "provenance"):
            tell(c, "app", base("debian"), evidence=evidence)
        everybody = [(debian, "registered", ("provenance", "annotation", "layers"))]
        assert bases(edges_of(c, [app])[app]) == everybody
        assert contradictions_of(c, [app]) == {}


def test_a_base_that_is_a_shorter_beginning_than_the_nearest_is_no_contradiction(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        put_image(c, "node", layers=["d", "n"])
        app = put_image(c, "app", layers=["d", "n", "a"])
        same = put_image(c, "same", layers=["d", "n", "a"])
        tell(c, "app", base("debian"))
        tell(c, "same", base("app"))
        assert bases(edges_of(c, [app])[app]) == [(debian, "registered", ("layers",))]
        assert bases(edges_of(c, [same])[same]) == [(app, "registered", ("layers",))]
        assert contradictions_of(c, [app, same]) == {}
        assert {e.child for e in find_children(c, [debian], 10).edges[debian]} > {app}


def test_two_builds_that_claim_one_digest_contradict_each_other(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        put_image(c, "one", layers=["1"])
        two = put_image(c, "two", layers=["2"])
        app = put_image(c, "app", layers=["2", "a"])
        tell(c, "app", base("one"), minutes=1)
        tell(c, "app", base("two"), minutes=2)
        assert bases(edges_of(c, [app])[app]) == [(two, "registered", ("layers",))]
        (told,) = contradictions_of(c, [app])[app]
        assert (told.evidence, told.against) == ("registered", "registered")
        assert told.says == f"its base is {digest('one')}"


def test_stages_and_copies_are_listed_with_their_roles(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        go = put_image(c, "go", layers=["g"])
        tools = put_image(c, "tools", layers=["t"])
        static = put_image(c, "static", layers=["s"])
        app = put_image(c, "app", layers=["s", "a"])
        tell(c, "app", base("tools", "copy"), base("go", "stage"), base("static"))
        tell(c, "app", base("go", "stage"), base("tools", "stage"), evidence="provenance")
        edges = edges_of(c, [app])[app]
        assert [(e.parent, e.role, e.evidence, e.also) for e in edges] == [
            (static, "base", "registered", ("layers",)),
            (go, "stage", "registered", ("provenance",)),
            (tools, "copy", "registered", ("provenance",)),
        ]
        assert contradictions_of(c, [app]) == {}
        assert [e.role for e in find_children(c, [tools], 10).edges[tools]] == ["copy"]


def test_a_parent_may_be_named_by_its_index_or_its_configuration(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        amd = put_image(c, "amd", layers=["x86"])
        arm = put_image(c, "arm", layers=["arm"], platform="linux/arm64/v8")
        images.put_index(c, Shelf(), digest("both"), INDEX_TYPE, [amd, arm], now=NOON)
        app = put_image(c, "app", layers=["x86", "a"])
        pad = put_image(c, "pad", layers=["arm", "a"], platform="linux/arm64/v8")
        risc = put_image(c, "risc", layers=["r"], platform="linux/riscv64")
        images.put_index(c, Shelf(), digest("apps"), INDEX_TYPE, [app, pad], now=NOON)
        tell(c, "apps", base("both"))
        tell(c, "risc", base("both"), base("both", "stage"))
        found = edges_of(c, [app, pad, risc])
        assert bases(found[app]) == [(amd, "registered", ("layers",))]
        assert bases(found[pad]) == [(arm, "registered", ("layers",))]
        assert bases(found[risc]) == [(None, "registered", ())], "there is none of its platform"
        by_config = put_image(c, "by config", layers=["z"])
        tell(c, "by config", base("config of amd"))
        assert bases(edges_of(c, [by_config])[by_config])[0][0] == amd
        below = find_children(c, [amd, arm], 10).edges
        assert {e.child for e in below[amd]} == {app, by_config, risc}
        assert {e.child for e in below[arm]} == {pad}


def test_a_build_of_one_platform_tells_nothing_of_the_others_in_its_index(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        amd_base = put_image(c, "amd base", layers=["b"])
        arm_base = put_image(c, "arm base", layers=["c"], platform="linux/arm64")
        amd = put_image(c, "amd", layers=["x"])
        arm = put_image(c, "arm", layers=["y"], platform="linux/arm64")
        images.put_index(c, Shelf(), digest("all"), INDEX_TYPE, [amd, arm], now=NOON)
        tell(c, "all", base("amd base"), base("arm base"))
        found = edges_of(c, [amd, arm])
        assert [edge.parent for edge in found[amd]] == [amd_base]
        assert [edge.parent for edge in found[arm]] == [arm_base]
        tool = put_image(c, "tool", layers=["t"])
        tell(c, "all", base("tool", "copy"), platform="linux/amd64", minutes=1)
        found = edges_of(c, [amd, arm])
        assert tool in {edge.parent for edge in found[amd]}
        assert tool not in {edge.parent for edge in found[arm]}


def test_a_base_that_the_catalog_does_not_hold_stays_beside_the_nearest_by_layers(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        app = put_image(c, "app", layers=["d", "a"])
        tell(c, "app", Parent(image="r.example.org/lost:1", role="base"))
        edges = edges_of(c, [app])[app]
        assert bases(edges) == [(None, "registered", ()), (debian, "layers", ())]
        assert edges[0].image == "r.example.org/lost:1"
        found = lineage(c, str(digest("app")), now=NOON)
        assert [(one.image, one.known, one.digest) for one in found.ancestors] == [
            ("r.example.org/lost:1", False, None),
            (str(digest("debian")), True, str(digest("debian"))),
        ]


def test_a_label_that_the_base_hands_down_is_not_the_child_s_word(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        node = put_image(c, "node", layers=["d", "n"])
        app = put_image(c, "app", layers=["d", "n", "a"])
        for name in ("node", "app"):
            tell(c, name, base("debian"), evidence="annotation")
        found = edges_of(c, [app, node])
        assert bases(found[node]) == [(debian, "annotation", ("layers",))]
        assert bases(found[app]) == [(node, "layers", ())]
        tell(c, "app", base("node"))
        assert contradictions_of(c, [app]) == {}


def test_an_image_is_not_its_own_parent(catalog: Catalog, put_image: PutImage, tell: Tell) -> None:
    with catalog.write() as c:
        app = put_image(c, "app", layers=["a"])
        images.put_index(c, Shelf(), digest("index"), INDEX_TYPE, [app], now=NOON)
        for name in ("app", "index", "config of app"):
            tell(c, "app", base(name), base(name, "copy"))
        assert edges_of(c, [app]) == {}
        says = {one.says for one in contradictions_of(c, [app])[app]}
        assert says == {"it is built from itself"}
        assert lineage(c, str(digest("app")), now=NOON).ancestors == ()


def test_a_circle_is_told_and_never_walked_twice(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        names = ["a", "b", "c"]
        numbers = [put_image(c, name, layers=[name]) for name in names]
        for child, parent in zip(names, ["b", "c", "a"], strict=True):
            tell(c, child, base(parent))
        assert set(ancestry(c, numbers[:1])) == set(numbers)
        found = lineage(c, str(digest("a")), now=NOON)
        assert [(one.digest, one.depth) for one in found.ancestors] == [
            (str(digest("b")), 1),
            (str(digest("c")), 2),
        ]
        assert {one.digest for one in found.descendants} == {str(digest("b")), str(digest("c"))}
        circles = [one.says for one in found.contradictions if one.digest == str(digest("c"))]
        assert f"it is built from {digest('a')}, which is built from it" in circles


def test_lineage_has_depth_names_verdicts_and_every_way(
    catalog: Catalog, put_image: PutImage, tell: Tell
) -> None:
    with catalog.write() as c:
        debian = put_image(c, "debian", layers=["d"])
        node = put_image(c, "node", layers=["d", "n"])
        app = put_image(c, "app", layers=["d", "n", "a"])
        job = put_image(c, "job", layers=["d", "n", "a", "j"])
        tag(c, "r.example.org/debian:12", debian)
        tag(c, "r.example.org/node:20", node)
        tag(c, "r.example.org/app:1", app)
        tag(c, "r.example.org/job:1", job)
        tell(c, "app", base("node"), base("debian", "copy"))
        found = lineage(c, "r.example.org/node:20", now=NOON)
        assert (found.image, found.digest) == ("r.example.org/node:20", str(digest("node")))
        assert [(one.image, one.role, one.depth) for one in found.ancestors] == [
            ("r.example.org/debian:12", "base", 1)
        ]
        assert [(one.image, one.depth, one.of) for one in found.descendants] == [
            ("r.example.org/app:1", 1, str(digest("node"))),
            ("r.example.org/job:1", 2, str(digest("app"))),
        ]
        found = lineage(c, "r.example.org/app:1", now=NOON)
        assert [(one.image, one.role, one.depth, one.of) for one in found.ancestors] == [
            ("r.example.org/node:20", "base", 1, str(digest("app"))),
            ("r.example.org/debian:12", "copy", 1, str(digest("app"))),
            ("r.example.org/debian:12", "base", 2, str(digest("node"))),
        ]
        assert lineage(c, "r.example.org/debian:12", now=NOON, limit=2).more_descendants


def _put_children(c: Connection, count: int) -> None:
    facts = [
        ImageFacts(
            digest=digest(f"child {at}"),
            media_type="",
            layers=(layer("root"), Descriptor("", digest(f"own {at}"), 1)),
            platform="linux/amd64",
        )
        for at in range(count)
    ]
    images.put_images(c, Shelf(), facts, now=NOON)


def test_ten_thousand_children_are_bounded(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        root = put_image(c, "root", layers=["root"])
        _put_children(c, 10_000)
        found = lineage(c, str(digest("root")), now=NOON, limit=500)
        assert len(found.descendants) == 500
        assert found.more_descendants
        some = find_children(c, [root], 10_000)
        assert len(some.edges[root]) == 10_000
        assert not some.more


def test_a_package_is_inherited_from_the_farthest_base_that_has_it_all_the_way(
    catalog: Catalog, put_image: PutImage
) -> None:
    ssl, zlib, node_own, app_own = (package(n) for n in ("libssl3", "zlib1g", "nodejs", "app"))
    newer = package("libssl3", "1.0-2")
    with catalog.write() as c:
        put_image(c, "debian", [ssl, zlib], layers=["d"])
        put_image(c, "unknown", None, layers=["d", "u"])
        put_image(c, "node", [newer, zlib, node_own], layers=["d", "u", "n"])
        app = put_image(c, "app", [newer, zlib, node_own, app_own], layers=["d", "u", "n", "a"])
        back = put_image(c, "back", [ssl], layers=["d", "u", "n", "b"])
        origins = {one.package: one for one in package_origins(c, app)}
        node = str(digest("node"))
        assert {name: one.inherited_from for name, one in origins.items()} == {
            "app": None,
            "libssl3": node,
            "nodejs": node,
            "zlib1g": str(digest("debian")),
        }
        assert origins["libssl3"].installed == "1.0-2"
        assert origins["libssl3"].digest == node
        assert [one.inherited_from for one in package_origins(c, back)] == [None], "brought anew"
        assert inherit(c, {}) == {}
        assert image_detail(c, str(digest("app")), now=NOON).updates == ()


def test_however_many_build_one_image_the_last_told_are_heard(catalog: Catalog, tell: Tell) -> None:
    most = claims.MOST_BUILDS
    with catalog.write() as c:
        tell(c, "app", base("noted"), evidence="annotation")
        for number in range(most + 50):
            parents = [base(f"{number % 140} {n}") for n in range(3)]
            tell(c, "app", *parents, minutes=number, reason=f"{number}")
        (app,) = claims.find_meant(c, [digest("app")])[digest("app")]
        heard = claims.list_claims(c, [digest("app")])[digest("app")]
        told = contradictions_of(c, [app.id])[app.id]
        edge = edges_of(c, [app.id])[app.id][0]
    assert [one.evidence for one in heard].count("annotation") == 1
    assert len(heard) == 3 * most + 1
    assert edge.digest == digest(f"{(most + 49) % 140} 0")
    assert len(told) == len(set(told)) == 100
