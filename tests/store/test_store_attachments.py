"""What lies beside images, at rest; and images by their labels."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests_store import NOON, PutImage, digest, layer

from imagecatalog.domain.refs import Digest
from imagecatalog.formats.oci import OCI_INDEX, OCI_MANIFEST
from imagecatalog.store import attachments, images, labels, repositories, tags
from imagecatalog.store.attachments import AttachmentRow
from imagecatalog.store.engine import Catalog
from imagecatalog.store.shelf import Shelf

WEEK = timedelta(days=7)
LATE = "its image was not met"


def row(subject: str, name: str, kind: attachments.Kind = "other", **more: str) -> AttachmentRow:
    return AttachmentRow(subject=digest(subject), digest=digest(name), kind=kind, **more)  # type: ignore[arg-type]


def test_attachments_of_an_image_and_of_the_indexes_that_name_it(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        app, other = put_image(c, "app"), put_image(c, "other")
        images.put_index(c, Shelf(), digest("index"), OCI_INDEX, [app, other], now=NOON)
        attachments.put_attachments(c, [row("app", "bill", "sbom")], now=NOON)
        attachments.put_attachments(
            c,
            [row("index", "origin", "provenance"), row("app", "list", "carrier")],
            now=NOON + WEEK,
        )
        attachments.put_attachments(
            c, [row("app", "bill", "sbom", problem="broken")], now=NOON + WEEK
        )
    with catalog.read() as c:
        found = attachments.list_attachments(c, app)
        assert [(one.kind, one.subject, one.seen) for one in found] == [
            ("provenance", str(digest("index")), NOON + WEEK),
            ("sbom", str(digest("app")), NOON),
        ]
        assert found[1].problem == "broken"
        assert [one.kind for one in attachments.list_attachments(c, other)] == ["provenance"]


def test_an_image_goes_by_its_own_digest_its_configurations_and_its_indexes(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        app, other = put_image(c, "app"), put_image(c, "other")
        images.put_index(c, Shelf(), digest("index"), OCI_INDEX, [app, other], now=NOON)
    config = {name: layer(f"config of {name}").digest for name in ("app", "other")}
    with catalog.read() as c:
        assert attachments.list_identities(c, digest("app")) == {
            digest("app"): digest("app"),
            config["app"]: digest("app"),
            digest("index"): digest("index"),
        }
        assert attachments.list_identities(c, digest("index")) == {
            digest("index"): digest("index"),
            digest("app"): digest("app"),
            config["app"]: digest("app"),
            digest("other"): digest("other"),
            config["other"]: digest("other"),
        }
        assert attachments.list_identities(c, digest("never met")) == {}


def test_artifacts_are_known_unless_their_image_came_later(
    catalog: Catalog, put_image: PutImage
) -> None:
    with catalog.write() as c:
        put_image(c, "app")
        rows = [
            row("app", "read", "carrier", media_type=OCI_MANIFEST),
            row("app", "late", "carrier", media_type=OCI_MANIFEST, problem=LATE),
            row("gone", "waiting", "carrier", media_type=OCI_MANIFEST, problem=LATE),
            row("app", "list", "carrier", media_type=OCI_INDEX),
            row("app", "document", "sbom"),
        ]
        attachments.put_attachments(c, rows, now=NOON)
    names = ("read", "late", "waiting", "list", "document", "unknown")
    with catalog.read() as c:
        found = attachments.find_artifacts(c, [digest(name) for name in names])
        assert found == {digest("read"), digest("waiting")}
        known = attachments.list_known(c, digest("app"))
        assert known == {digest("read"), digest("list"), digest("document")}
        assert attachments.list_known(c, digest("gone")) == set()
        assert attachments.list_known(c, digest("gone"), late=True) == {digest("waiting")}


@pytest.mark.parametrize(
    ("met", "made", "is_recent"),
    [
        (timedelta(0), timedelta(0), True),
        (timedelta(0), timedelta(days=400), True),  # met by this very sync
        (timedelta(days=3), timedelta(days=4), True),
        (timedelta(days=3), timedelta(days=400), False),  # a first sync met it long after
        (timedelta(days=3), timedelta(days=20_000), True),  # 1970: its date means nothing
        (timedelta(days=8), timedelta(days=8), False),
    ],
)
def test_images_to_which_something_may_yet_be_attached(
    catalog: Catalog, put_image: PutImage, met: timedelta, made: timedelta, is_recent: bool
) -> None:
    with catalog.write() as c:
        number = put_image(c, "app", at=NOON - met)
        c.execute(images.manifest.update().values(created=NOON - made))
    with catalog.read() as c:
        found = attachments.list_recent(c, [number], since=NOON - timedelta(hours=1), now=NOON)
        assert found == ([digest("app")] if is_recent else [])


def test_what_was_taken_for_an_image_is_forgotten_but_for_what_is_one(
    catalog: Catalog, put_image: PutImage
) -> None:
    name, tag = "registry.example.org/app", "sha256-" + "0" * 64
    with catalog.write() as c:
        app, bill = put_image(c, "app"), put_image(c, "bill")
        index = images.put_index(c, Shelf(), digest("list"), OCI_INDEX, [bill, app], now=NOON)
        number = repositories.put_repository(c, name)
        repositories.mark_present(c, number, [app, bill, index])
        repositories.point_tags(c, number, {"1": app, tag: index}, now=NOON)
    with catalog.write() as c:
        attachments.forget_as_images(c, name, [tag])
    with catalog.read() as c:
        assert repositories.list_current_tags(c, name) == {"1": app}
        assert repositories.list_present(c, name) == {digest("app"): app}
        assert [one.id for one in tags.list_last_met(c)] == [app]


def test_images_by_their_labels(catalog: Catalog, put_image: PutImage) -> None:
    with catalog.write() as c:
        one, two, three = (put_image(c, name) for name in ("one", "two", "three"))
        put = {one: {"team": "a"}, two: {"team": "b", "x": "y" * 9000}, three: {"x": ""}}
        labels.put_labels(c, Shelf(), put)
    with catalog.read() as c:

        def find(key: str, value: str | None = None) -> list[int]:
            return [item.id for item in tags.list_last_met(c, among=labels.labelled(key, value))]

        assert find("team") == [two, one]
        assert find("team", "a") == [one]
        assert find("x", "") == [three]
        assert find("x", "y" * 9000) == [two]
        assert find("Team") == find("team", "c") == []


def test_an_odd_digest_is_kept(catalog: Catalog) -> None:
    odd = Digest.parse("sha512:" + "0" * 128)
    with catalog.write() as c:
        attachments.put_attachments(
            c, [AttachmentRow(subject=odd, digest=odd, kind="other")], now=NOON
        )
        assert attachments.list_known(c, odd) == {odd}
