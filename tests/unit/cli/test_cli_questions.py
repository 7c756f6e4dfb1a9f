"""The verbs that ask, on the sample fleet: what people read, and that a server answers the same."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from imagecatalog.cli.main import main
from imagecatalog.config import Settings

CHECKOUT = "registry.example.org/services/checkout"


@pytest.fixture(autouse=True)
def _sample(
    sample_settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("IMAGE_CATALOG_DB", sample_settings.database)
    monkeypatch.delenv("IMAGE_CATALOG_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


QUESTIONS = [
    ["outdated"],
    ["outdated", "--security"],
    ["outdated", "--all", "--limit", "7"],
    ["outdated", "--status", "unknown", "--cluster", "north"],
    ["outdated", "--image", "checkout", "--namespace", "checkout"],
    ["running"],
    ["running", "--cluster", "south", "--limit", "3"],
    ["running", "--namespace", "finance"],
    ["history", "north/finance/Deployment/ledger"],
    ["images"],
    ["images", CHECKOUT],
    ["images", "--search", "node"],
    ["images", "--package", "libssl3"],
    ["images", "--package", "libssl3", "--below", "3.0.1"],
    ["show", f"{CHECKOUT}:2026-10-28-1"],
    ["show", f"{CHECKOUT}:2026-10-28-1", "--inherited"],
    ["lineage", f"{CHECKOUT}:2026-10-28-1"],
    ["lineage", f"{CHECKOUT}:2026-10-28-1", "--all", "--limit", "3"],
    ["diff", f"{CHECKOUT}:2026-10-28-1"],
    ["history", f"{CHECKOUT}:2026-10-28-1"],
    ["history", CHECKOUT, "--limit", "5"],
    ["search", "ssl"],
    ["search", "checkout", "--limit", "2"],
    ["search", "nothing has this name"],
    ["affected", "pkg:deb/debian/openssl"],
    ["affected", "pkg:deb/debian/openssl@<0", "--limit", "0"],
]


TIMED = [
    ["clusters"],
    ["exposure", "CVE-2026-45447"],
    ["exposure", "pkg:deb/debian/openssl@<3.0.18", "--cluster", "north"],
    ["patching"],
    ["patching", "--team", "finance"],
]
"""They tell how long ago to the second, save to people."""


@pytest.mark.parametrize("question", TIMED, ids=" ".join)
def test_a_server_tells_people_the_same(
    question: list[str],
    sample_server: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = ask(capsys, *question)
    assert json.loads(ask(capsys, *question, "--format", "json"))
    assert ask(capsys, *question, "--format", "csv").count("\n") > 1
    monkeypatch.delenv("IMAGE_CATALOG_DB")
    there = ask(capsys, *question, "--server", sample_server + "/")

    ages = re.compile(r" *\d+ (?:s|min)\b")
    assert ages.sub("", here) == ages.sub("", there)


@pytest.mark.parametrize("remote", [False, True])
def test_where_nobody_looked_stderr_and_status_say_so(
    sample_server: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    remote: bool,
) -> None:
    where = []
    if remote:
        monkeypatch.delenv("IMAGE_CATALOG_DB")
        where = ["--server", sample_server]
    assert main(["running", "--at", "2020-01-01", "--format", "json", *where]) == 1
    told = capsys.readouterr()
    assert told.out == "[]\n"
    assert told.err.startswith("north: not known: the first scan of north was ")
    assert "\nsouth: not known: the first scan of south was " in told.err
    assert main(["running", "--at", "2020-01-01", *where]) == 1
    assert capsys.readouterr().out == "What ran at 2020-01-01 00:00 UTC is not known.\n"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_a_server_answers_as_the_database_does(
    question: list[str],
    form: str,
    sample_server: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = ask(capsys, *question, "--format", form)
    monkeypatch.delenv("IMAGE_CATALOG_DB")
    there = ask(capsys, *question, "--format", form, "--server", sample_server + "/")

    ages = re.compile(r" *\d+ (?:s|min)\b")
    assert ages.sub("", here) == ages.sub("", there)
    assert here


def test_pages_of_a_server_are_followed(
    sample_server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ask(capsys, "running", "--format", "json")
    monkeypatch.setattr("imagecatalog.cli.remote.LARGEST_PAGE", 7)
    monkeypatch.delenv("IMAGE_CATALOG_DB")

    paged = ask(capsys, "running", "--format", "json", "--server", sample_server)
    some = ask(capsys, "running", "--format", "json", "--server", sample_server, "--limit", "9")

    assert json.loads(paged) == json.loads(whole)
    assert json.loads(some) == json.loads(whole)[:9]


def test_outdated_answers_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["outdated"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert printed.err == "\nnext: imagecatalog plan --security\n"

    headline = re.fullmatch(
        r"(\d+) of (\d+) running images need a security update"
        r"; the oldest fix has waited \d+ \S+ \(scanned .* ago, feeds .* ago\)",
        lines[0],
    )
    assert headline
    assert 0 < int(headline[1]) < int(headline[2])
    titles = [
        "VERDICT",
        "IMAGE",
        "(registry.example.org/…)",
        "SECURITY",
        "UPDATES",
        "WORST",
        "WAITING",
        "FROM",
        "RUNS",
        "IN",
    ]
    assert lines[2].split() == titles
    assert any(line.split()[2].startswith("services/") for line in lines[3:])
    assert sum(line.startswith("▲ security") for line in lines) == int(headline[1])
    assert any("the catalog never met this image" in line for line in lines)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    "question",
    [
        ["outdated"],
        ["plan", "--security"],
        ["history", CHECKOUT],
        ["lineage", "registry.example.org/bookworm:20260712"],
        ["diff", f"{CHECKOUT}:2026-10-28-1"],
    ],
    ids=" ".join,
)
def test_a_line_fits_into_eighty_columns(
    question: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, ask(capsys, *question).splitlines())) <= 80


def test_a_plan_gives_its_reasons_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = json.loads(ask(capsys, "plan", "--security", "--format", "json"))
    reasons = [reason for wave in plan["waves"] for step in wave for reason in step["reason"]]
    assert reasons
    monkeypatch.setenv("COLUMNS", "110")

    out = ask(capsys, "plan", "--security")

    for reason in reasons:
        for word in reason.replace("registry.example.org/", "").split():
            assert word in out


def test_a_step_is_built_as_its_image_or_an_index_of_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ("plan", "--image", "registry.example.org/bookworm:20261122", "--format", "json")
    plan = json.loads(ask(capsys, *asked))

    builders = {
        step["repository"].removeprefix("registry.example.org/"): step["builder"]
        for wave in plan["waves"]
        for step in wave
    }

    assert builders["nginx"] == builders["python3-11"] == "docker-pkg"
    assert builders["services/ledger"] == "buildkit"
    assert builders["services/checkout"] is None


def test_show_says_what_it_is_built_on_and_who_must_act(
    capsys: pytest.CaptureFixture[str],
) -> None:
    detail = json.loads(ask(capsys, "show", f"{CHECKOUT}:2026-09-08-1", "--format", "json"))
    base, newer = detail["base"], detail["newer_base"]
    assert base.startswith("registry.example.org/openjdk-17-jre:")
    assert newer.startswith("registry.example.org/openjdk-17-jre:")
    assert main(["show", f"{CHECKOUT}:2026-09-08-1"]) == 0
    printed = capsys.readouterr()

    told = " ".join(printed.out.split())
    assert f"built on {base}; newer: {newer}" in told
    assert f"newer {detail['newer']} to act a newer image is there (see diff): " in told
    assert " came with registry.example.org/bookworm:" in told
    assert f"next: imagecatalog lineage {CHECKOUT}:2026-09-08-1\nalso: diff, " in printed.err


def test_outdated_counts_what_a_filter_left(capsys: pytest.CaptureFixture[str]) -> None:
    items = json.loads(ask(capsys, "outdated", "--cluster", "south", "--format", "json"))
    urgent = sum(item["status"] == "security-update" for item in items)

    line = ask(capsys, "outdated", "--cluster", "south").splitlines()[0]

    assert line.startswith(f"{urgent} of the {len(items)} images listed need a security update")


def test_show_marks_what_changes_and_whose_update_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = ask(capsys, "show", f"{CHECKOUT}:2026-09-08-1")
    detail = json.loads(ask(capsys, "show", f"{CHECKOUT}:2026-09-08-1", "--format", "json"))

    assert out.startswith(f"{CHECKOUT}:2026-09-08-1: ▲ ")
    assert detail["digest"] in out
    for update in detail["updates"]:
        assert re.search(rf"^{re.escape(update['package'][:4])}.*▲|△", out, re.MULTILINE)


def test_show_as_csv_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ask(capsys, "show", f"{CHECKOUT}:2026-09-08-1", "--format", "csv").splitlines()
    detail = json.loads(ask(capsys, "show", f"{CHECKOUT}:2026-09-08-1", "--format", "json"))

    assert lines[0].startswith("package,type,arch,source,")
    assert len(lines) == 1 + len(detail["packages"])


def test_faults_of_servers(
    sample_server: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_CATALOG_DB")

    assert main(["show", "registry.example.org/none:1", "--server", sample_server]) == 3
    assert main(["images", "none", "--server", sample_server, "--format", "csv"]) == 3
    assert main(["search", "x" * 300, "--server", sample_server]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("error: ") == 3
    assert "no repository none is known" in printed.err


class Elsewhere(BaseHTTPRequestHandler):
    """A server of something else."""

    def do_GET(self) -> None:
        self.send_response(404 if "running" in self.path else 200)
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, *args: Any) -> None:
        pass


def test_servers_of_something_else(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for verb in ("running", "outdated"):
            assert main([verb, "--server", address, "--format", "json"]) == 1
            printed = capsys.readouterr()
            assert printed.out == ""
            assert "imagecatalog server" in printed.err
        server.shutdown()


def test_affected_leads_from_a_package_to_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    items = json.loads(ask(capsys, "affected", "pkg:deb/debian/openssl", "--format", "json"))
    running = sum(bool(image["running"]) for image in items["images"])
    assert running
    assert all(
        text.split()[0] in {"libssl3", "openssl", "libssl3t64", "openssl-provider-legacy"}
        for image in items["images"]
        for text in image["packages"]
    )
    assert main(["affected", "pkg:deb/debian/openssl@<9"]) == 0
    printed = capsys.readouterr()
    headline = printed.out.partition("\n")[0]
    assert headline.startswith(f"{running} running images in ")
    assert headline.endswith(" hold pkg:deb/debian/openssl@<9")
    assert "fix" not in printed.out, "nobody said that there is one"
    assert "FIXED IN" not in printed.out
    assert printed.err == "\nnext: imagecatalog plan --for 'pkg:deb/debian/openssl@<9'\n"
    assert main(["affected", "pkg:deb/debian/openssl", "--exit-code"]) == 10
    assert main(["affected", "pkg:deb/debian/openssl@<0", "--exit-code"]) == 0
    assert main(["affected", "CVE-2026-1"]) == 3
    assert main(["affected", "openssl"]) == 2
    assert "write CVE-2026-12345" in capsys.readouterr().err
