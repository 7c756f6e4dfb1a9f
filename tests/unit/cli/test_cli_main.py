"""The command line as a whole: options before and after the verb, errors, exit statuses."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from imagecatalog import __version__
from imagecatalog.cli import operate
from imagecatalog.cli.main import main


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("IMAGE_CATALOG_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr("imagecatalog.config.loading.DEFAULT_FILE", tmp_path / "no.toml")
    monkeypatch.chdir(tmp_path)


COMMAND = [sys.executable, "-c", "from imagecatalog.cli.main import main; raise SystemExit(main())"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def dump(path: Path, *names: str) -> str:
    pods = [
        {
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"containers": [{"name": "main", "image": f"registry.example.org/{name}:1"}]},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "main", "imageID": f"registry.example.org/{name}@sha256:{'1' * 64}"}
                ],
            },
        }
        for name in names
    ]
    path.write_text(json.dumps({"kind": "List", "items": pods}))
    return str(path)


def test_the_command_line_of_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--database=catalog.db", "init"]) == 0
    assert main(["--database=catalog.db", "init"]) == 0
    assert main(["--database=catalog.db", "--clusters=a:absent,b:also", "record"]) == 1

    said = capsys.readouterr()
    assert said.out == ""
    assert "failed: cluster a: kubeconfig absent cannot be read: No such file" in said.err
    assert "failed: cluster b:" in said.err


def test_global_options_stand_anywhere_and_the_last_wins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["init", "--database", "after.db"]) == 0
    assert main(["--database", "before.db", "init", "--database", "later.db"]) == 0
    assert [Path(name).exists() for name in ("after.db", "before.db", "later.db")] == [
        True,
        False,
        True,
    ]
    assert main(["--format", "json", "running", "--database", "after.db"]) == 0
    assert main(["running", "--format", "json", "--database", "after.db"]) == 0
    assert capsys.readouterr().out == "[]\n[]\n"


def test_a_dump_recorded_is_what_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pods = dump(tmp_path / "pods.json", "web", "db")
    main(["init", "--database", "c.db", "-q"])

    assert main(["record", "--from-dump", f"eqiad={pods}", "--database", "c.db"]) == 0
    assert main(["running", "--database", "c.db", "--format", "json"]) == 0

    items = json.loads(capsys.readouterr().out)
    assert [(i["cluster"], i["workload"], i["known"]) for i in items] == [
        ("eqiad", "Pod/db", False),
        ("eqiad", "Pod/web", False),
    ]
    assert main(["outdated", "--database", "c.db", "--exit-code"]) == 10
    assert "unknown: 2 images" in capsys.readouterr().out
    assert main(["outdated", "--database", "c.db", "--exit-code", "--security"]) == 0


def test_one_failed_dump_leaves_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = dump(tmp_path / "pods.json", "web")
    (tmp_path / "half.json").write_bytes(Path(good).read_bytes()[:-2])
    main(["init", "--database", "c.db"])
    dumps = ["--from-dump", f"a={good}", "--from-dump", f"b={tmp_path / 'half.json'}"]

    assert main(["record", "--database", "c.db", *dumps]) == 1

    said = capsys.readouterr().err
    assert "cluster a: 1 container" in said
    assert "failed: cluster b: " in said
    assert "ends before the list of pods does" in said


@pytest.mark.parametrize(
    ("arguments", "status", "said", "hint"),
    [
        (["outdatd"], 2, "Did you mean 'outdated'?", "imagecatalog --help"),
        (["outdated", "--secruity"], 2, "--security", "imagecatalog outdated --help"),
        (["running", "--at", "yesterday"], 2, "'yesterday' is no time", "--help"),
        (["outdated", "--status", "bad"], 2, "end-of-life", "--help"),
        (["record", "--from-dump", "pods.json"], 2, "not NAME=PODS.json", "--help"),
        (["--format", "json", "init"], 2, "--format is for verbs that answer", "--help"),
        (["init"], 2, "no database was named", "IMAGE_CATALOG_DB"),
        (["running", "--database", "absent.db"], 2, "no database at absent.db", "init"),
        (["serve", "--database", "absent.db"], 2, "no database at absent.db", "init"),
        (["init", "--config", "absent.toml"], 2, "absent.toml: cannot be read", "--config"),
        (["init", "--database", "mysql://u:hush@h/d"], 2, "mysql://u:***@h/d", "postgresql"),
        (["running", "--server", "catalog"], 2, "'catalog' is not the address", "http://"),
        (["running", "--server", "http://x", "--database", "d"], 2, "exclude each other", None),
        (["images", "--below", "1"], 2, "--package only", None),
        (["images", "a", "--search", "b"], 2, "exclude one another", None),
        (
            ["init", "--clusters", "a", "--database", "d"],
            2,
            "--clusters: 'a' is not a pair",
            "name:",
        ),
    ],
)
def test_wrong_usage_is_a_sentence_and_a_hint(
    arguments: list[str],
    status: int,
    said: str,
    hint: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments) == status

    printed = capsys.readouterr()
    assert printed.out == ""
    first, *rest = printed.err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert "hush" not in printed.err
    if hint:
        assert rest[0].startswith("hint: ")
        assert hint in rest[0]


def test_what_is_not_there_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--database", "c.db", "-q"])

    assert main(["show", "registry.example.org/none:1", "--database", "c.db"]) == 3
    assert main(["images", "registry.example.org/none", "--database", "c.db"]) == 3
    assert capsys.readouterr().out == ""
    assert main(["sync", "--database", "c.db"]) == 2
    assert main(["record", "--database", "c.db"]) == 2
    assert main(["refresh", "nonsense", "--database", "c.db"]) == 2
    assert "known: apt" in capsys.readouterr().err


def test_databases_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.db").write_text("this is no database, but text that is long enough" * 20)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE something (x)")
    other.close()

    for name in ("text.db", "other.db"):
        for verb in ("running", "record", "serve"):
            assert main([verb, "--database", name]) == 2
            assert capsys.readouterr().err.startswith("error: ")


def test_doctor_names_what_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key.asc").write_text("key")
    (tmp_path / "c.toml").write_text(
        'database = "c.db"\n'
        '[[cluster]]\nname = "eqiad"\nkubeconfig = "absent"\n'
        '[[registry]]\nurl = "https://127.0.0.1:1"\nca = "none.pem"\n'
        '[apt]\nkeyrings = ["key.asc", "none.asc"]\n'
    )
    assert main(["doctor", "--config", "c.toml"]) == 1
    assert "make it with: imagecatalog --database" in capsys.readouterr().out
    main(["init", "--config", "c.toml"])
    main(["record", "--config", "c.toml"])
    capsys.readouterr()

    assert main(["doctor", "--config", "c.toml"]) == 1

    lines = capsys.readouterr().out.splitlines()
    well = [line.split(maxsplit=2)[2] for line in lines if line.startswith("● well")]
    ill = [line.split(maxsplit=3)[3] for line in lines if line.startswith("▲ not well")]
    assert [line.split()[0] for line in well] == ["configuration:", "database", "keyring"]
    assert [" ".join(line.split()[:2]) for line in ill] == [
        "cluster eqiad:",
        f"keyring {tmp_path / 'none.asc'}:",
        "registry https://127.0.0.1:1:",
        "cluster eqiad:",
    ]
    assert "never well: cluster eqiad: kubeconfig" in ill[0]


def test_doctor_is_content_with_an_empty_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--database", "c.db", "-q"])

    assert main(["doctor", "--database", "c.db"]) == 0
    assert "not well" not in capsys.readouterr().out


def test_an_empty_catalog_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "--database", "c.db", "-q"])

    for verb, said, following in [
        ("outdated", "Nothing is known to run yet.", "record"),
        ("running", "Nothing is known to run.", "record"),
        ("images", "No repository is known.", "sync"),
    ]:
        assert main([verb, "--database", "c.db"]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith(said)
        assert f"next: imagecatalog --database c.db {following}" in printed.err
        assert main([verb, "--database", "c.db", "--quiet"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("running --cluster b", 3, "no cluster b is known\nhint: known: a"),
        ("outdated --cluster b --format json", 3, "no cluster b is known"),
        ("running --at 0001-01-01T00:00+01:00", 2, "is no time"),
        ("images --package libc6 --below 1:", 2, "is not a Debian version"),
        ("record --from-dump b=absent.json", 2, "there is no file absent.json"),
        ("serve --host 192.0.2.1", 2, "--host takes an address of this machine"),
    ],
)
def test_what_was_written_wrongly_does_not_read_as_all_well(
    line: str, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", "--database", "c.db"])
    main(["record", "--database", "c.db", "--from-dump", "a=" + dump(tmp_path / "a.json", "x")])
    capsys.readouterr()

    assert main([*line.split(), "--database", "c.db"]) == status
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_answer_that_cannot_be_written_is_said(form: str) -> None:
    assert main(["init", "--database", "c.db", "-q"]) == 0
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, "images", "--database", "c.db", "--format", form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.endswith("error: the answer cannot be written: No space left on device\n")


def test_nobody_need_listen() -> None:
    closed = "exec >&- 2>&-; exec " + shlex.join([*COMMAND, "init", "--database", "c.db"])

    assert subprocess.run(["/bin/sh", "-c", closed], check=False).returncode == 0


def test_a_fault_of_ours_is_a_line_and_with_debug_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr("imagecatalog.store.engine.initialise", fail)

    assert main(["init", "--database", "c.db"]) == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: nobody thought of this" in said
    assert "Traceback" not in said
    with pytest.raises(ZeroDivisionError):
        main(["init", "--database", "c.db", "--debug"])


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"], ["outdated", "-h"]):
        assert main(arguments) == 0
        assert "Usage: imagecatalog" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"imagecatalog {__version__}\n"


def test_choices_are_listed_without_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "create"]) == 2
    told = capsys.readouterr().err
    assert "Choose from:\n  register,\n  record,\n  decide,\n  read\nhint: " in told


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from imagecatalog.cli.main import main; main(['--help']);"
        "heavy = {'sqlalchemy', 'fastapi', 'httpx2', 'lightkube', 'rich', 'uvicorn', 'msgspec'};"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_nobody_reads_to_the_end() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    for arguments in (["--help"], ["images", "--database", "c.db"]):
        main(["init", "--database", "c.db", "-q"])
        done = subprocess.run(
            [*COMMAND, *arguments, "-q"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(writer)


def test_serve_says_where_and_leaves_when_told(tmp_path: Path) -> None:
    main(["init", "--database", "c.db", "-q"])
    arguments = ["serve", "--database", "c.db", "--port", "0", "--no-jobs"]
    with (
        subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True) as server,
        ExitStack() as stack,
    ):
        stack.callback(server.kill)
        assert server.stderr
        said = server.stderr.readline()
        address = said.split()[2]
        assert said.startswith("serving on http://127.0.0.1:")
        deadline = time.monotonic() + 60
        while main(["--server", address, "-q", "running"]) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert main(["--server", address, "-q", "running"]) == 0
        port = address.rpartition(":")[2]
        taken = run("serve", "--database", "c.db", "--port", port)
        assert taken.returncode == 2
        assert f"cannot listen on 127.0.0.1 port {port}" in taken.stderr
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert server.stderr.read() == "stopped\n"


def test_the_port_is_the_one_of_old() -> None:
    assert operate.PORT == 3691
