"""A DebMonitor is told what its own client would tell it: all that runs, and only what changed."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from debmonitor_server import EXCHANGE, DebMonitorServer, serve
from small_house import HOST, House
from tests_store import PutImage, digest, package

from imagecatalog.catalog import ingest, timeline
from imagecatalog.cli.main import main
from imagecatalog.domain.packages import Package
from imagecatalog.domain.runs import RunningContainer
from imagecatalog.errors import AccessDenied, ConfigError, UsageError
from imagecatalog.jobs.debmonitor import REFRESHED_AFTER, Offer, Push
from imagecatalog.jobs.report import Report
from imagecatalog.outlets.debmonitor import name_os
from imagecatalog.sources.debmonitor import DebMonitor, Destination
from imagecatalog.sources.http import Http, Patience
from imagecatalog.store.engine import Catalog

APP = f"{HOST}/app:1"
HOUR = timedelta(hours=1)


@pytest.fixture
def house(catalog: Catalog, put_image: PutImage) -> House:
    return House(catalog, put_image)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[DebMonitorServer]:
    monkeypatch.setitem(Http.__init__.__kwdefaults__, "sleep", lambda _: None)
    monkeypatch.setattr(
        "imagecatalog.sources.debmonitor._PATIENCE", Patience(connect=5, read=5, attempts=2)
    )
    with serve() as server:
        yield server


def push(house: House, there: DebMonitorServer | str, **more: Any) -> Report:
    address = there if isinstance(there, str) else there.url
    with DebMonitor.connect(Destination(server=address)) as server:
        return Push(house.catalog, server, now=lambda: house.now, **more).run()


def offers(house: House, there: DebMonitorServer, **more: Any) -> dict[str, Offer]:
    with DebMonitor.connect(Destination(server=there.url)) as server:
        listed = Push(house.catalog, server, now=lambda: house.now, **more).offers()
    return {one.name: one for one in listed}


def observe(house: House, *pods: tuple[str, str, str], cluster: str = "north") -> None:
    """A scan (namespace, name of an image, text that its digest is of)."""
    house.now += HOUR
    with house.catalog.write() as c:
        timeline.observe(
            c,
            cluster,
            [
                RunningContainer(
                    namespace,
                    "Deployment/x",
                    f"x-{number}",
                    "x",
                    "container",
                    image,
                    f"x@{digest(of)}",
                )
                for number, (namespace, image, of) in enumerate(pods)
            ],
            at=house.now,
        )


# --- what is told ---------------------------------------------------------------------------------


def test_it_is_told_what_the_real_client_tells(house: House, there: DebMonitorServer) -> None:
    """Of the very packages and offers of which the client's own messages were recorded."""
    recorded = EXCHANGE["a whole image"]["body"]
    members = []
    for one in recorded["installed"]:
        name, _, arch = one["name"].partition(":")
        arch = arch or ("all" if name == "tzdata" else "amd64")
        members.append(Package("deb", name, one["version"], arch, one["source"], one["version"]))
    with house.catalog.write() as c:
        number = house.put_image(c, "web", [*members, Package("pypi", "six", "1", "", "six", "1")])
        ingest.record_repository(
            c, f"{HOST}/acme/web", {"1.0": number}, [number], [], now=house.now
        )
    observe(house, ("web", f"{HOST}/acme/web:1.0", "web"))
    # The client tells a package that apt would remove as upgradable to what is installed.
    expected = [one for one in recorded["upgradable"] if one["version_from"] != one["version_to"]]
    house.offer(**{one["name"].replace("-", "_"): one["version_to"] for one in expected})

    assert push(house, there).failed == ()

    (path, headers, body), (_, _, cluster) = there.seen
    assert path == EXCHANGE["a whole image"]["path"]
    assert headers["Content-Type"] == "application/json"
    assert body == recorded | {"upgradable": sorted(expected, key=lambda one: one["name"])}
    assert cluster.keys() == EXCHANGE["cluster: all known"]["body"].keys()
    assert cluster == {"cluster": "north", "images": {f"{HOST}/acme/web:1.0": {"web": 1}}}


def test_packages_on_hold_are_not_upgradable(house: House, there: DebMonitorServer) -> None:
    house.push("app:1", {"held": "1", "free": "1"}, held=("held:amd64",))
    house.run(app="app:1")
    house.offer(held="2", free="2")
    push(house, there)
    assert [one["name"] for one in there.bodies()[APP]["upgradable"]] == ["free"]


def test_containers_are_counted_by_cluster_image_and_namespace(
    house: House, there: DebMonitorServer
) -> None:
    house.push("app:1", {"libc6": "1"})
    observe(house, ("web", APP, "app:1"), ("web", APP, "app:1"), ("api", APP, "app:1"))
    observe(house, ("web", APP, "app:1"), cluster="south")
    push(house, there)
    bodies = there.bodies()
    assert bodies["north"]["images"] == {APP: {"api": 1, "web": 2}}
    assert bodies["south"]["images"] == {APP: {"web": 1}}


def test_names_are_spelt_out_and_one_image_has_each(house: House, there: DebMonitorServer) -> None:
    with house.catalog.write() as c:
        numbers = {
            text: house.put_image(c, text, [package(text)]) for text in ("old", "new", "n", "d")
        }
        ingest.record_repository(
            c, f"{HOST}/app", {"1": numbers["new"]}, list(numbers.values()), [], now=house.now
        )
    observe(
        house,
        ("web", APP, "old"),
        ("web", APP, "old"),
        ("web", APP, "new"),
        ("web", "nginx", "n"),
        ("web", f"{HOST}/app@{digest('d')}", "d"),
        ("web", f"{HOST}/app:2@{digest('d')}", "d"),
    )
    push(house, there)
    installed = {
        name: body["installed"][0]["name"]
        for name, body in there.bodies().items()
        if "installed" in body
    }
    assert installed == {
        APP: "new",  # what the tag means, though more containers run the other
        f"{HOST}/app@{digest('old')}": "old",
        "docker.io/library/nginx:latest": "n",
        f"{HOST}/app@{digest('d')}": "d",
        f"{HOST}/app:2": "d",
    }
    assert there.bodies()["north"]["images"].keys() == installed.keys()


def test_what_it_cannot_take_is_left_out_and_said(house: House, there: DebMonitorServer) -> None:
    house.push("unread:1", None)
    house.push("app:1", {"libc6": "1"})
    house.push("bare:1", {"libc6": "1"}, setup=None)
    house.push("long:1", {"libc6": "1"})
    long = f"{HOST}/{'x' * 100}/{'y' * 100}/{'z' * 60}:1"
    observe(
        house,
        ("web", f"{HOST}/unread:1", "unread:1"),
        ("web", f"{HOST}/stranger:1", "stranger"),
        ("web", "No Name", "app:1"),
        ("web", long, "long:1"),
        ("web", f"{HOST}/bare:1", "bare:1"),
        ("web", APP, "app:1"),
    )
    house.offer(libc6="2")
    found = offers(house, there)
    assert there.seen == []
    assert {name: one.state for name, one in found.items()} == {
        APP: "changed",
        f"{HOST}/bare:1": "changed",
        f"{HOST}/unread:1": "left out",
        f"{HOST}/stranger:1": "left out",
        "No Name": "left out",
        long: "left out",
        "north": "changed",
    }
    assert all(one.reason for one in found.values() if one.state == "left out")
    assert found[APP].upgrades == 1
    assert found[f"{HOST}/bare:1"].upgrades is None

    report = push(house, there)
    assert there.bodies()["north"]["images"].keys() == {APP, f"{HOST}/bare:1"}
    assert "4 images left out" in report.done[1]
    assert "1 image has no verdict of ours" in report.done[2]


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("debian 12", "Debian 12"),
        ("debian 9", None),
        ("debian trixie", "Debian"),
        ("debian", "Debian"),
        ("ubuntu 24.04", "Ubuntu 24.04"),
        ("alpine 3.20", None),
        (None, None),
    ],
)
def test_releases_are_named_as_debmonitor_has_them(release: str | None, name: str | None) -> None:
    assert name_os(release) == name


def test_images_that_do_not_run_are_told_of_where_that_is_wanted(
    house: House, there: DebMonitorServer
) -> None:
    house.push("app:1", {"libc6": "1"})
    house.push("idle:1", {"libc6": "1"})
    house.run(app="app:1")
    push(house, there)
    assert there.told() == [APP, "north"]
    push(house, there, idle=True)
    assert there.told() == [f"{HOST}/idle:1"]


# --- only what changed ----------------------------------------------------------------------------


def test_what_did_not_change_is_not_told_again(house: House, there: DebMonitorServer) -> None:
    house.push("app:1", {"libc6": "1"})
    house.push("other:1", {"zlib": "1"})
    house.run(app="app:1", other="other:1")
    house.offer(libc6="1")
    assert push(house, there).done == (
        f"{there.url}: told of 2 images and 1 cluster; 0 images had not changed",
    )
    assert there.told() == [APP, f"{HOST}/other:1", "north"]

    assert push(house, there).done == (
        f"{there.url}: told of 0 images and 0 clusters; 2 images had not changed",
    )
    assert there.told() == []
    house.offer(libc6="2")
    push(house, there)
    assert there.told() == [APP]
    house.run(app="other:1")
    push(house, there)
    assert there.told() == ["north"]
    push(house, there, again=True)
    assert there.told() == [f"{HOST}/other:1", "north"]
    house.now += REFRESHED_AFTER + HOUR
    push(house, there)
    assert there.told() == [f"{HOST}/other:1"]


def test_each_server_is_remembered_for_itself(house: House, there: DebMonitorServer) -> None:
    house.push("app:1", {"libc6": "1"})
    house.run(app="app:1")
    push(house, there)
    with serve() as another:
        push(house, another)
        assert another.told() == [APP, "north"]


def test_a_cluster_in_which_nothing_runs_any_more_is_told_once(
    house: House, there: DebMonitorServer
) -> None:
    house.push("app:1", {"libc6": "1"})
    observe(house, ("web", APP, "app:1"))
    push(house, there)
    there.told()
    observe(house)
    push(house, there)
    assert there.bodies()["north"]["images"] == {}
    there.told()
    push(house, there)
    assert there.told() == []


def test_images_that_it_forgot_are_told_anew(house: House, there: DebMonitorServer) -> None:
    house.push("app:1", {"libc6": "1"})
    house.push("other:1", {"libc6": "1"})
    observe(house, ("web", APP, "app:1"))
    push(house, there)
    there.told()
    there.images.clear()
    observe(house, ("web", APP, "app:1"), ("web", f"{HOST}/other:1", "other:1"))
    assert push(house, there).failed == ()
    assert there.told() == [f"{HOST}/other:1", "north", APP, "north"]
    assert push(house, there).failed == ()
    assert there.told() == []


# --- what goes wrong ------------------------------------------------------------------------------


def house_of(house: House, count: int) -> None:
    for number in range(count):
        house.push(f"app{number}:1", {"libc6": "1"})
    house.run(**{f"app{number}": f"app{number}:1" for number in range(count)})


@pytest.mark.parametrize(
    ("status", "said"), [(400, b"Unable: 'source'"), (500, b"oh"), (200, b"<p>hello")]
)
def test_one_image_that_fails_stops_no_other(
    house: House, there: DebMonitorServer, status: int, said: bytes
) -> None:
    house_of(house, 3)
    bad = f"{HOST}/app1:1"
    there.answers[f"/images/{bad}/update"] = (status, {}, said)
    report = push(house, there)
    assert {one.subject for one in report.failed} == {bad}
    assert there.bodies().keys() == {f"{HOST}/app0:1", bad, f"{HOST}/app2:1", "north"}
    assert "told of 2 images and 0 clusters" in report.done[0]
    there.answers.clear()
    there.told()
    assert push(house, there).failed == ()
    assert there.told() == [bad, "north"]


def test_who_may_not_tell_is_told_so_at_once(house: House, there: DebMonitorServer) -> None:
    house_of(house, 3)
    refused = (403, {"Content-Type": "text/plain"}, b"Unauthorized to modify image")
    there.answers[f"/images/{HOST}/app1:1/update"] = refused
    with pytest.raises(AccessDenied, match="403: Unauthorized to modify image"):
        push(house, there)
    there.answers.clear()
    there.told()
    push(house, there)
    assert there.told() == [f"{HOST}/app1:1", f"{HOST}/app2:1", "north"]


def test_a_server_that_is_down_is_not_asked_for_ever(house: House, there: DebMonitorServer) -> None:
    house_of(house, 9)
    with serve() as gone:
        address = gone.url
    report = push(house, address)
    assert len(report.failed) == 6
    assert report.failed[-1].message == (
        "failed 5 times in a row; 4 images and what runs were not told"
    )
    assert "told of 0 images" in report.done[0]


def test_what_it_does_not_take_of_a_cluster_is_said(house: House, there: DebMonitorServer) -> None:
    house_of(house, 1)
    errors = EXCHANGE["cluster: numbers that are none"]
    answer = json.dumps(errors["answer"]).encode()
    there.answers["/kubernetes/update"] = (errors["status"], {}, answer)
    report = push(house, there)
    assert [one.subject for one in report.failed] == ["cluster north"] * 2
    assert "namespace web" in report.failed[0].message
    there.answers.clear()
    there.told()
    push(house, there)
    assert there.told() == ["north"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[" * 100_000, b'{"missing": 3}', b"\xff"],
)
def test_an_answer_that_says_nothing_of_a_cluster_fails(
    house: House, there: DebMonitorServer, answer: bytes
) -> None:
    house_of(house, 1)
    there.answers["/kubernetes/update"] = (201, {}, answer)
    report = push(house, there)
    assert [one.subject for one in report.failed] == ["cluster north"]


def test_missing_images_of_which_it_was_just_told_are_a_failure(
    house: House, there: DebMonitorServer
) -> None:
    house_of(house, 1)
    name = f"{HOST}/app0:1"
    body = json.dumps({"missing": [name, "another"], "errors": [], "success": False}).encode()
    there.answers["/kubernetes/update"] = (202, {}, body)
    report = push(house, there)
    assert [(one.subject, one.code) for one in report.failed] == [(name, "missing")]
    assert there.told() == [name, "north"]


def test_nothing_is_sent_on_to_where_a_server_leads(house: House, there: DebMonitorServer) -> None:
    house_of(house, 1)
    with serve() as other:
        there.answers[f"/images/{HOST}/app0:1/update"] = (307, {"Location": other.url + "/x"}, b"")
        report = push(house, there)
        assert "leads elsewhere" in report.failed[0].message
        assert other.seen == []


@pytest.mark.parametrize("address", ["debmonitor.example.org", "ftp://x", "https://", "http://a?b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a server"):
        DebMonitor(Destination(server=address))


# --- certificates and the command line ------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's certificate with its key, good for everything; made by openssl."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.mark.usefixtures("there")  # which lets nobody wait
def test_our_certificate_is_shown_over_tls(
    house: House, catalog_url: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificates / "cert.pem", certificates / "key.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    house_of(house, 1)
    monkeypatch.setenv("IMAGE_CATALOG_TOKEN", "ic_secret")
    with serve(context) as secure:
        words = ["debmonitor", "push", "--server", secure.url, "--ca", str(cert), "--token"]
        words = ["--database", catalog_url, *words]
        assert main(words) == 1
        assert secure.seen == []
        assert main([*words, "--cert", str(cert), "--key", str(key)]) == 0
        assert secure.seen[0][1]["Authorization"] == "Bearer ic_secret"
        assert secure.told() == [f"{HOST}/app0:1", "north"]


def test_a_key_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    with pytest.raises(ConfigError, match=r"cannot read our certificate from .*bad\.pem"):
        DebMonitor(Destination(server="https://debmonitor.example.org", certificate=str(bad)))


def test_the_command_lists_tells_and_fails_in_part(
    house: House,
    there: DebMonitorServer,
    catalog_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IMAGE_CATALOG_TOKEN", raising=False)
    house_of(house, 2)
    words = ["--database", catalog_url, "debmonitor", "push", "--server", there.url]

    assert main([*words, "--dry-run", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["name"], one["state"]) for one in listed] == [
        ("image", f"{HOST}/app0:1", "changed"),
        ("image", f"{HOST}/app1:1", "changed"),
        ("cluster", "north", "changed"),
    ]
    assert main([*words, "--dry-run"]) == 0
    assert "UPGRADES" in capsys.readouterr().out
    assert there.seen == []

    there.answers[f"/images/{HOST}/app1:1/update"] = (400, {}, b"Unable to update image")
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "failed: " in said.err
    assert "Unable to update image" in said.err
    there.answers.clear()
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*words, "--key", __file__]) == 2
    assert main([*words, "--token"]) == 2
    assert main([*words[:4]]) == 2
