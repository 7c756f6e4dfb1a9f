"""What lies beside images: found wherever it may lie, read once, and believed only as far as it fits."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_registry import BadRegistry, Handler, debian, refuse, say, serve
from bad_shop import CommandLine, Shop
from sqlalchemy import func, select

from imagecatalog.config import Settings
from imagecatalog.domain.lineage import BuildItem
from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from imagecatalog.jobs import crawl, sync
from imagecatalog.jobs.schedule import utc_now
from imagecatalog.store.builds import list_builds
from imagecatalog.store.engine import Catalog
from imagecatalog.store.lookups import resolve
from imagecatalog.store.packages import list_packages
from imagecatalog.store.schema import attachment, build, inventory, manifest

BUILDKIT = Path(__file__).parents[1] / "data" / "buildkit"
IN_TOTO = "application/vnd.in-toto+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"

Target = dict[str, Any]


def provenance(subject: Target, *, name: str = "provenance-v1-max.json") -> bytes:
    """What BuildKit wrote, as if it were of this image."""
    statement = json.loads((BUILDKIT / name).read_bytes())
    for one in statement["subject"]:
        one["digest"] = {"sha256": Digest(subject["digest"]).encoded}
    return json.dumps(statement).encode()


def sbom(**packages: str) -> bytes:
    """A small CycloneDX document of Debian packages."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{version}?arch=amd64&distro=debian-12",
        }
        for name, version in packages.items()
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    return json.dumps(document).encode()


def sealed(statement: bytes) -> bytes:
    """A statement in a DSSE envelope with a signature that nobody can check."""
    payload = base64.b64encode(statement).decode()
    return json.dumps(
        {"payloadType": IN_TOTO, "payload": payload, "signatures": [{"keyid": "", "sig": "c2ln"}]}
    ).encode()


def add_artifact(
    registry: BadRegistry,
    *documents: tuple[str, bytes],
    subject: Target | None = None,
    kind: str = "",
    config: str = EMPTY,
) -> Target:
    """Keep an artifact manifest of these documents; its descriptor, as lists of referrers have it."""
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": registry.add(b"{}", config),
        "layers": [registry.add(body, media_type) for media_type, body in documents],
    }
    if kind:
        manifest["artifactType"] = kind
    if subject is not None:
        manifest["subject"] = {key: subject[key] for key in ("mediaType", "digest", "size")}
    described = registry.add_manifest(manifest, OCI_MANIFEST)
    return described | ({"artifactType": kind} if kind else {})


def offer_referrers(registry: BadRegistry, listed: dict[str, list[Target]]) -> None:
    """Have the registry keep lists of referrers, a page for each two, as the specification pages."""

    def answer(handler: Handler) -> None:
        path, _, query = handler.path.partition("?")
        digest = path.rpartition("/")[2]
        start = int(dict(part.split("=") for part in query.split("&") if part).get("from", 0))
        members = listed.get(digest, [])
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members[start : start + 2]}
        headers = {"Content-Type": OCI_INDEX}
        if len(members) > start + 2:
            headers["Link"] = f'<{path}?from={start + 2}>; rel="next"'
        handler.send(200, json.dumps(body).encode(), headers)

    registry.lies[r"GET /v2/.+/referrers/.+"] = answer


def fallback(image: Target, end: str = "") -> str:
    """The tag that stands for what is attached to an image."""
    return image["digest"].replace(":", "-") + end


def builds_of(command: CommandLine, reference: str) -> tuple[BuildItem, ...]:
    catalog = Catalog.open(command.database)
    with catalog.read() as c:
        found = list_builds(c, resolve(c, reference))
    catalog.close()
    return found


def inventories_of(command: CommandLine, reference: str) -> list[tuple[str, str, int]]:
    """Teller, format and number of packages of each list that was told of an image."""
    catalog = Catalog.open(command.database)
    columns = (inventory.c.told_by, inventory.c.format, inventory.c.set_id)
    with catalog.read() as c:
        query = select(*columns).join(manifest, manifest.c.digest == inventory.c.subject)
        rows = c.execute(query.where(manifest.c.id == resolve(c, reference))).all()
        found = [(teller, form, len(list_packages(c, number))) for teller, form, number in rows]
    catalog.close()
    return found


def told(shop: Shop, reference: str) -> set[tuple[str, str, str | None]]:
    """Kind, signature and problem of what lies beside an image."""
    found = shop.command.show(f"{shop.host}/{reference}")["attachments"]
    return {(item["kind"], item["signature"], item["problem"]) for item in found}


@pytest.fixture
def app(shop: Shop) -> Target:
    """An image that is tagged ``app:1``."""
    image = shop.registry.add_image(debian(app="1.0-1"))
    shop.registry.tag("app", image)
    return image


# --- found wherever it lies ----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v0.2", "v1"])
def test_what_buildkit_keeps_in_an_index(shop: Shop, app: Target, version: str) -> None:
    recorded = json.loads((BUILDKIT / "attestation-manifest.json").read_bytes())
    bill = json.loads((BUILDKIT / "sbom-spdx-2.3.json").read_bytes())
    bill["subject"][0]["digest"] = {"sha256": Digest(app["digest"]).encoded}
    statements = [json.dumps(bill).encode(), provenance(app, name=f"provenance-{version}-max.json")]
    recorded["layers"] = [
        shop.registry.add(body, IN_TOTO) | {"annotations": layer["annotations"]}
        for body, layer in zip(statements, recorded["layers"], strict=True)
    ]
    recorded["config"] |= shop.registry.add(b"{}", recorded["config"]["mediaType"])
    recorded["subject"] |= app
    beside = shop.registry.add_manifest(recorded, OCI_MANIFEST)
    members = json.loads((BUILDKIT / "index.json").read_bytes())["manifests"]
    members[1]["annotations"]["vnd.docker.reference.digest"] = app["digest"]
    index = shop.registry.add_index(members[0] | app, members[1] | beside)
    shop.registry.tag("built", index)
    shop.sync(expect=0)

    assert told(shop, "built:1") == {("provenance", "none", None), ("sbom", "none", None)}
    (build,) = builds_of(shop.command, app["digest"])
    assert (build.evidence, build.told_by, build.signature) == ("provenance", "attached", "none")
    assert build.digest == app["digest"]
    assert build.source_revision == "0123456789abcdef0123456789abcdef01234567"
    assert {(one.role, (one.image or "").rpartition("/")[2].partition("@")[0]) for one in build.parents} == {
        ("base", "debian-minimal:12"),
        ("stage", "debian-pending:12"),
        ("copy", "debian-patched:12"),
    }  # fmt: skip
    ((teller, form, packages),) = inventories_of(shop.command, app["digest"])
    assert (teller, form, packages > 50) == ("attached", "SPDX 2.3", True)
    found = shop.command.run("images", f"{shop.host}/built", "--format", "json").json()
    assert [item["digest"] for item in found] == [app["digest"]], "an attestation is no image"


def test_a_list_of_referrers_is_asked_for_and_each_attachment_read_once(
    shop: Shop, app: Target
) -> None:
    kinds = {CYCLONEDX: sbom(app="1.0-1"), IN_TOTO: provenance(app), SIGNING: b"{}"}
    listed = [
        add_artifact(shop.registry, (kind, body), subject=app, kind=kind)
        for kind, body in kinds.items()
    ]
    offer_referrers(shop.registry, {app["digest"]: listed})
    shop.sync(expect=0)
    assert told(shop, "app:1") == {
        ("sbom", "none", None),
        ("provenance", "none", None),
        ("signature", "unverified", None),
    }
    shop.registry.asked.clear()
    shop.sync(expect=0)
    asked = {line for line in shop.registry.asked if line.startswith("GET")}
    assert all("/referrers/" in line or line.endswith(("/list", "/_catalog")) for line in asked)


def test_a_registry_without_such_lists_is_asked_once_a_sync(shop: Shop, app: Target) -> None:
    shop.sync(expect=0)
    for _ in range(2):
        shop.registry.asked.clear()
        shop.registry.tag("more", shop.registry.add_image(debian(more="1.0-1")), tag="1")
        shop.sync(expect=0)
        asked = [line for line in shop.registry.asked if "/referrers/" in line]
        assert len(asked) == 1
    shop.registry.asked.clear()
    shop.sync(expect=0)
    rest = [line for line in shop.registry.asked if "/referrers/" not in line]
    assert all(line.startswith("HEAD") or line.endswith(("/list", "/_catalog")) for line in rest)


def test_tags_stand_in_for_the_list_and_are_no_images(shop: Shop, app: Target) -> None:
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app, kind=CYCLONEDX)
    shop.registry.tag("app", shop.registry.add_index(bill), tag=fallback(app))
    shop.sync(expect=0)
    assert told(shop, "app:1") == {("sbom", "none", None)}
    (found,) = shop.command.run("images", f"{shop.host}/app", "--format", "json").json()
    assert found["tags"] == ["1"]

    shop.registry.asked.clear()
    shop.sync(expect=0)
    asked = [line for line in shop.registry.asked if "/referrers/" not in line]
    assert all(line.startswith("HEAD") or line.endswith(("/list", "/_catalog")) for line in asked)

    # One more is attached: the list is another, what it listed before is not read again.
    more = add_artifact(shop.registry, (IN_TOTO, provenance(app)), subject=app, kind=IN_TOTO)
    shop.registry.tag("app", shop.registry.add_index(bill, more), tag=fallback(app))
    shop.registry.asked.clear()
    shop.sync(expect=0)
    assert f"GET /v2/app/manifests/{bill['digest']}" not in shop.registry.asked
    assert {kind for kind, _, _ in told(shop, "app:1")} == {"sbom", "provenance"}


def test_cosigns_tags(shop: Shop, app: Target) -> None:
    statement = sealed(provenance(app))
    shop.registry.tag(
        "app",
        add_artifact(shop.registry, (DSSE, statement), config=OCI_CONFIG),
        fallback(app, ".att"),
    )
    shop.registry.tag(
        "app",
        add_artifact(shop.registry, (SIGNING, b"{}"), config=OCI_CONFIG),
        fallback(app, ".sig"),
    )
    bill = add_artifact(
        shop.registry, ("text/spdx+json", (BUILDKIT / "sbom-spdx-2.3.json").read_bytes())
    )
    shop.registry.tag("app", bill, fallback(app, ".sbom"))
    shop.sync()
    assert {(kind, signature) for kind, signature, _ in told(shop, "app:1")} == {
        ("provenance", "unverified"),
        ("signature", "unverified"),
        ("sbom", "none"),
    }
    (build,) = builds_of(shop.command, f"{shop.host}/app:1")
    assert build.signature == "unverified"
    (found,) = shop.command.run("images", f"{shop.host}/app", "--format", "json").json()
    assert found["tags"] == ["1"]


def test_an_artifact_with_a_tag_of_its_own(shop: Shop, app: Target) -> None:
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app, kind=CYCLONEDX)
    shop.registry.tag("app", bill, "bill-of-materials")
    shop.sync(expect=0)
    assert told(shop, "app:1") == {("sbom", "none", None)}
    (found,) = shop.command.run("images", f"{shop.host}/app", "--format", "json").json()
    assert found["tags"] == ["1"]
    shop.registry.asked.clear()
    shop.sync(expect=0)
    assert f"GET /v2/app/manifests/{bill['digest']}" not in shop.registry.asked


def test_an_attachment_that_comes_before_its_image(shop: Shop) -> None:
    image = shop.registry.add_image(debian(late="1.0-1"))
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(late="1.0-1")), subject=image)
    shop.registry.tag("late", bill, "bill")
    shop.registry.tag("late", shop.registry.add_index(bill), fallback(image))
    shop.sync(expect=0)
    shop.registry.asked.clear()
    shop.sync(expect=0)
    assert f"GET /v2/late/manifests/{bill['digest']}" not in shop.registry.asked
    shop.registry.tag("late", image)
    shop.sync(expect=0)
    assert told(shop, "late:1") == {("sbom", "none", None)}


def test_an_image_layout_on_disk(shop: Shop, app: Target, tmp_path: Path) -> None:
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app, kind=CYCLONEDX)
    blobs = tmp_path / "app" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    kept = shop.registry.blobs | {key: body for key, (_, body) in shop.registry.manifests.items()}
    for digest, body in kept.items():
        (blobs / digest.encoded).write_bytes(body)
    (tmp_path / "app" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [bill, app]}
    (tmp_path / "app" / "index.json").write_text(json.dumps(index))
    shop.command.run("sync", f"oci:{tmp_path / 'app'}")
    found = shop.command.show(app["digest"])
    assert [item["kind"] for item in found["attachments"]] == ["sbom"]
    assert [item["tag"] for item in found["tags"]] == ["docker.io/library/app:latest"]


# --- what an SBOM is good for ---------------------------------------------------------------------


def test_an_sbom_tells_the_packages_of_an_image_whose_layers_do_not(shop: Shop) -> None:
    image = shop.registry.add_image(b"no archive at all")
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(hidden="3.0-1")), subject=image)
    shop.registry.tag("opaque", image)
    shop.registry.tag("opaque", shop.registry.add_index(bill), fallback(image))
    shop.sync()
    found = shop.command.show(f"{shop.host}/opaque:1")
    assert {item["package"]: item["installed"] for item in found["packages"]} == {"hidden": "3.0-1"}


# --- what does not fit ----------------------------------------------------------------------------


def _of_another(shop: Shop, app: Target) -> tuple[str, bytes]:
    return IN_TOTO, provenance(shop.registry.add_image(debian(other="1.0-1")))


def _of_nothing(shop: Shop, app: Target) -> tuple[str, bytes]:
    statement = json.loads(provenance(app))
    return IN_TOTO, json.dumps(statement | {"subject": []}).encode()


def _sbom_of_another(shop: Shop, app: Target) -> tuple[str, bytes]:
    document = json.loads(sbom(app="9.9-1"))
    other = "sha256:" + "0" * 64
    component = {"type": "container", "name": "app", "version": other, "bom-ref": "x"}
    component["purl"] = f"pkg:oci/app@{other}?repository_url=registry.example.org/app"
    return CYCLONEDX, json.dumps(document | {"metadata": {"component": component}}).encode()


LIES: dict[str, tuple[Callable[[Shop, Target], tuple[str, bytes]], str]] = {
    "of another image": (_of_another, "another image"),
    "of no image": (_of_nothing, "which image"),
    "an SBOM of another image": (_sbom_of_another, "another image"),
    "not JSON": (lambda *_: (IN_TOTO, b"\xff\x00"), ""),
    "deep JSON": (lambda *_: (CYCLONEDX, b"[" * 100_000), ""),
    "an envelope of nothing": (lambda *_: (DSSE, b'{"payload": "!"}'), ""),
    "no SBOM": (lambda *_: (CYCLONEDX, b"{}"), ""),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_lies_or_cannot_be_read_counts_for_nothing(shop: Shop, app: Target, lie: str) -> None:
    make, problem = LIES[lie]
    bad = add_artifact(shop.registry, make(shop, app), subject=app)
    good = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app)
    shop.registry.tag("app", shop.registry.add_index(bad, good), fallback(app))
    shop.sync()
    (why,) = [why for _, _, why in told(shop, "app:1") if why is not None]
    assert problem in why
    assert builds_of(shop.command, f"{shop.host}/app:1") == ()
    (bill,) = inventories_of(shop.command, f"{shop.host}/app:1")
    assert bill == ("attached", "CycloneDX 1.6", 1), "the good one beside it is read"
    shop.sync(expect=0)  # told once, and not read again


def test_provenance_gives_no_image_a_name_of_another_repository(shop: Shop, app: Target) -> None:
    statement = json.loads(provenance(app))
    for name in ("registry.example.org/victim@1", f"{shop.host}/app@own"):
        statement["subject"][0]["name"] = f"pkg:docker/{name}"
        own = add_artifact(shop.registry, (IN_TOTO, json.dumps(statement).encode()), subject=app)
        shop.registry.tag("app", own, name[-3:].replace("@", "-"))
    shop.sync(expect=0)
    found = builds_of(shop.command, app["digest"])
    assert {build.image for build in found} == {None, f"{shop.host}/app:own"}
    shop.command.run("show", "registry.example.org/victim:1", expect=3)


def test_an_artifact_that_says_it_is_attached_elsewhere(shop: Shop, app: Target) -> None:
    other = shop.registry.add_image(debian(other="1.0-1"))
    bad = add_artifact(shop.registry, (IN_TOTO, provenance(app)), subject=other)
    shop.registry.tag("app", shop.registry.add_index(bad), fallback(app))
    shop.sync()
    ((_, _, why),) = told(shop, "app:1")
    assert why is not None
    assert other["digest"] in why
    assert builds_of(shop.command, f"{shop.host}/app:1") == ()


def test_an_image_that_a_list_calls_an_attachment_stays_an_image(shop: Shop, app: Target) -> None:
    victim = shop.registry.add_image(debian(victim="1.0-1"))
    shop.registry.tag("app", shop.registry.add_index(victim, app), fallback(app))
    shop.registry.tag("victim", shop.registry.add_index(victim), fallback(victim))
    shop.sync()
    shop.registry.tag("victim", victim)
    shop.registry.tag("victims", shop.registry.add_index(victim))
    shop.sync(expect=0)
    for name in ("victim", "victims"):
        assert shop.command.packages(f"{shop.host}/{name}:1") == {"victim": "1.0-1"}


def test_a_tag_that_only_looks_like_one_of_an_attachment(shop: Shop, app: Target) -> None:
    image = shop.registry.add_image(debian(named="1.0-1"))
    tag = "sha256-" + "a" * 64
    shop.registry.tag("named", image, tag)
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/named:{tag}") == {"named": "1.0-1"}


def test_thousands_of_referrers(shop: Shop, app: Target) -> None:
    one = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app, kind=CYCLONEDX)
    many = [
        add_artifact(shop.registry, (SIGNING, b"%d" % number), subject=app, kind=SIGNING)
        for number in range(1500)
    ]
    shop.registry.tag("app", shop.registry.add_index(*many, one), fallback(app))
    said = shop.sync()
    assert "attachments 100 are read" in said.err
    found = shop.command.show(f"{shop.host}/app:1")["attachments"]
    assert len(found) == 100
    shop.sync(expect=0)


def test_what_speaks_of_itself_or_of_an_attachment_leads_nowhere(shop: Shop, app: Target) -> None:
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), subject=app, kind=CYCLONEDX)
    of_bill = add_artifact(shop.registry, (SIGNING, b"{}"), subject=bill, kind=SIGNING)
    everything = [app, bill, of_bill]
    offer_referrers(shop.registry, {one["digest"]: everything for one in everything})
    shop.sync()
    assert ("sbom", "none", None) in told(shop, "app:1")
    assert not [
        line for line in shop.registry.asked if line.endswith(f"/referrers/{bill['digest']}")
    ]


def test_fifty_megabytes_and_more(shop: Shop, app: Target) -> None:
    bulk = b'{"bomFormat":"CycloneDX","specVersion":"1.6","x":"' + b"x" * (50 << 20) + b'"}'
    large = add_artifact(shop.registry, (CYCLONEDX, bulk), subject=app)
    manifest = json.loads(shop.registry.manifests[Digest(large["digest"])][1])
    manifest["layers"] = [manifest["layers"][0] | {"digest": "sha256:" + "b" * 64, "size": 1 << 40}]
    endless = shop.registry.add_manifest(manifest, OCI_MANIFEST)
    shop.registry.tag("app", shop.registry.add_index(large, endless), fallback(app))
    shop.sync()
    problems = [why for _, _, why in told(shop, "app:1")]
    assert any(why and "more than" in why for why in problems)
    assert not [line for line in shop.registry.asked if line.endswith("b" * 64)]


# --- a registry that fails ------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["manifests", "blobs"])
def test_an_attachment_that_is_not_to_be_had_is_tried_again(
    shop: Shop, app: Target, part: str
) -> None:
    statement = provenance(app)
    artifact = add_artifact(shop.registry, (IN_TOTO, statement), subject=app)
    where = {"manifests": artifact["digest"], "blobs": str(Digest.of(statement))}
    described = {"annotations": {"vnd.docker.reference.digest": app["digest"]}}
    described["platform"] = {"os": "unknown", "architecture": "unknown"}
    shop.registry.tag("both", shop.registry.add_index(app, artifact | described))
    shop.registry.tag("app", shop.registry.add_index(artifact), fallback(app))
    shop.registry.lies[f"GET /v2/.+/{part}/{where[part]}"] = refuse(500)
    said = shop.sync()
    assert "500" in said.err
    assert told(shop, "app:1") == set()
    shop.registry.lies.clear()
    shop.sync(expect=0)
    assert told(shop, "app:1") == {("provenance", "none", None)}


@pytest.mark.parametrize(
    "answer",
    [refuse(404), refuse(401), refuse(403), refuse(405), refuse(400), say(b"<html>", "text/html")],
)
def test_a_registry_may_refuse_its_lists(
    shop: Shop, app: Target, answer: Callable[[Handler], None]
) -> None:
    shop.registry.lies[r"GET /v2/.+/referrers/.+"] = answer
    shop.sync(expect=0)
    assert shop.command.packages(f"{shop.host}/app:1") == {"app": "1.0-1"}


def test_a_broken_list_is_told_and_costs_no_image(shop: Shop, app: Target) -> None:
    shop.registry.lies[r"GET /v2/.+/referrers/.+"] = say(b"[", OCI_INDEX)
    said = shop.sync()
    assert "referrers of" in said.err
    assert shop.command.packages(f"{shop.host}/app:1") == {"app": "1.0-1"}


# --- a catalog of an older release ----------------------------------------------------------------


def test_tags_that_were_taken_for_images_are_forgotten(
    shop: Shop, app: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = add_artifact(shop.registry, (CYCLONEDX, sbom(app="1.0-1")), kind=CYCLONEDX)
    shop.registry.tag("app", shop.registry.add_index(bill), tag=fallback(app))
    with monkeypatch.context() as patch:
        patch.setattr(crawl, "take_beside", lambda _: [])
        shop.sync(expect=0)
    assert len(shop.command.run("images", f"{shop.host}/app", "--format", "json").json()) == 2
    shop.sync(expect=0)
    (found,) = shop.command.run("images", f"{shop.host}/app", "--format", "json").json()
    assert (found["tags"], found["digest"]) == (["1"], app["digest"])
    assert told(shop, "app:1") == {("sbom", "none", None)}
    shop.command.run("show", bill["digest"], expect=3)


# --- how it is told -------------------------------------------------------------------------------


def test_show_says_what_is_signed_and_what_does_not_count(shop: Shop, app: Target) -> None:
    other = shop.registry.add_image(debian(other="1.0-1"))
    good, bad = sealed(provenance(app)), sealed(provenance(other))
    artifact = add_artifact(shop.registry, (DSSE, good), (DSSE, bad))
    shop.registry.tag("app", artifact, fallback(app, ".att"))
    shop.sync()
    said = shop.command.run("show", f"{shop.host}/app:1", "--format", "table").out
    lines = " ".join(said.split())
    assert "signature: signed, not verified" in lines
    assert "which is another image" in lines


def test_labels_and_annotations_are_searched(shop: Shop) -> None:
    config = {"os": "linux", "architecture": "amd64", "config": {"Labels": {"team": "a=b c"}}}
    labelled = shop.registry.add_image(debian(one="1.0-1"), config=json.dumps(config).encode())
    plain = shop.registry.add_image(debian(two="1.0-1"))
    manifest = json.loads(shop.registry.manifests[Digest(plain["digest"])][1])
    manifest["annotations"] = {"team": "other"}
    annotated = shop.registry.add_manifest(manifest, OCI_MANIFEST)
    shop.registry.tag("labelled", labelled)
    shop.registry.tag("annotated", annotated)
    shop.sync(expect=0)

    def find(*words: str) -> list[str]:
        found = shop.command.run("images", *words, "--format", "json").json()
        return [item["digest"] for item in found]

    assert set(find("--label", "team")) == {labelled["digest"], annotated["digest"]}
    assert find("--label", "team=a=b c") == [labelled["digest"]]
    assert find(f"{shop.host}/annotated", "--label", "team") == [annotated["digest"]]
    assert find("--label", "team=nobody") == find("--label", "tea") == []
    assert "1 image with team=other" in shop.command.run("images", "--label", "team=other").out
    hits = shop.command.run("search", "team=other", "--format", "json").json()
    assert [hit["name"] for hit in hits] == [f"{shop.host}/annotated:1"]
    shop.command.run("images", "--label", "", expect=2)
    shop.command.run("images", "--label", "team", "--search", "x", expect=2)
    assert shop.command.show(f"{shop.host}/labelled:1")["labels"] == {"team": "a=b c"}


# --- many at once ---------------------------------------------------------------------------------


def test_many_images_with_the_same_parents_at_once(catalog: Catalog) -> None:
    with serve() as registry:
        for number in range(24):
            image = registry.add_image(debian(app=f"1.0-{number}"))
            beside = add_artifact(
                registry, (IN_TOTO, provenance(image)), (CYCLONEDX, sbom(a="1-1"))
            )
            described = {"annotations": {"vnd.docker.reference.digest": image["digest"]}}
            described["platform"] = {"os": "unknown", "architecture": "unknown"}
            index = registry.add_index(image, beside | described)
            for repository in ("left", "right"):  # the same at the same time, in two places
                registry.tag(f"{repository}/{number}", index)
        report = sync.sync(catalog, Settings(), [registry.url], now=utc_now)
    assert report.failed == ()
    with catalog.read() as c:
        counts = dict(
            c.execute(select(attachment.c.kind, func.count()).group_by(attachment.c.kind)).all()
        )
        assert counts == {"provenance": 24, "sbom": 24, "carrier": 24}
        assert c.scalar(select(func.count()).select_from(build)) == 24
        assert c.scalar(select(func.count()).select_from(inventory)) == 24
