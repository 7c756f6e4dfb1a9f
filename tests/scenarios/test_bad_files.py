"""Layouts, archives, dumps and kubeconfigs that are not what they should be, beside good ones."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bad_registry import BadRegistry, debian, serve
from bad_shop import CommandLine
from test_bad_images import NASTY_FILES

from imagecatalog.formats.oci import OCI_INDEX


def write_layout(folder: Path, name: str, content: bytes) -> None:
    """An OCI layout of one image."""
    made = BadRegistry()
    made.server_close()
    target = made.add_image(content)
    target["annotations"] = {"org.opencontainers.image.ref.name": f"registry.example.org/{name}:1"}
    blobs = {digest: body for digest, (_, body) in made.manifests.items()} | made.blobs
    (folder / "blobs/sha256").mkdir(parents=True)
    for digest, body in blobs.items():
        (folder / f"blobs/sha256/{digest.encoded}").write_bytes(body)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [target]}
    (folder / "index.json").write_text(json.dumps(index))


def layer_of(folder: Path) -> Path:
    blobs = (folder / "blobs/sha256").iterdir()
    return next(path for path in blobs if path.read_bytes().startswith(b"\x1f\x8b"))


def cut_blob(folder: Path) -> None:
    blob = layer_of(folder)
    blob.write_bytes(blob.read_bytes()[:-7])


def lead_out(folder: Path) -> None:
    blob = layer_of(folder)
    blob.unlink()
    blob.symlink_to("/etc/passwd")


def lose_blob(folder: Path) -> None:
    layer_of(folder).unlink()


def put_index(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "index.json").write_bytes(content)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (cut_blob, "it ends after"),
    "leads out": (lead_out, "leads out of"),
    "lost": (lose_blob, "has no sha256:"),
    "deep": (put_index(b"[" * 1000 + b"]" * 1000), "nested more than 64 deep"),
    "not-json": (put_index(b"\xff\xfe"), "it is not the JSON"),
    "large": (put_index(b" " * (5 << 20)), "bytes are more than"),
}


def test_layouts_beside_one_another(command: CommandLine, tmp_path: Path) -> None:
    top = tmp_path / "layouts"
    for case, (spoil, _) in SPOILT.items():
        name = case.replace(" ", "-")
        write_layout(top / name, name, debian(bad="1", case=f"{len(case)}.{ord(case[0])}"))
        spoil(top / name)
    write_layout(top / "good", "good", debian(good="1.0-1"))
    said = command.run("sync", f"oci:{top}", expect=1)
    for _, sentence in SPOILT.values():
        assert sentence in said.err
    assert "root:" not in said.err
    assert command.packages("registry.example.org/good:1") == {"good": "1.0-1"}


def test_a_folder_whose_name_is_no_text(command: CommandLine, tmp_path: Path) -> None:
    top = os.fsencode(tmp_path / "layouts")
    write_layout(Path(os.fsdecode(top + b"/\xff\xfe")), "odd", debian(odd="1.0-1"))
    put_index(b"{}")(Path(os.fsdecode(top + b"/\xff\xfe")))
    write_layout(Path(os.fsdecode(top + b"/good")), "good", debian(good="1.0-1"))
    command.run("sync", f"oci:{os.fsdecode(top)}", expect=1)
    assert command.packages("registry.example.org/good:1") == {"good": "1.0-1"}


@pytest.mark.parametrize(
    "content", [b"", b"x" * 5000, bytes(10240), b"\x1f\x8b" + bytes(600)], ids=range(4)
)
def test_an_archive_that_is_none(command: CommandLine, tmp_path: Path, content: bytes) -> None:
    write_layout(tmp_path / "good", "good", debian(good="1.0-1"))
    file = tmp_path / "bad.tar"
    file.write_bytes(content)
    said = command.run("sync", f"docker-archive:{file}", f"oci:{tmp_path / 'good'}", expect=1)
    assert str(file) in said.err
    assert command.packages("registry.example.org/good:1") == {"good": "1.0-1"}


# --- what runs ----------------------------------------------------------------------------------


def pods(name: str) -> dict[str, object]:
    image = f"registry.example.org/{name}:1"
    status = {"name": "main", "imageID": "", "image": image}
    pod = {
        "metadata": {"name": f"{name}-1", "namespace": "shop", "uid": name},
        "spec": {"containers": [{"name": "main", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]}


WHOLE = json.dumps(pods("good")).encode()
DUMPS = {
    "empty": b"",
    "cut short": WHOLE[:-30],
    "no JSON": b"\xff\xfe",
    "invalid UTF-8": WHOLE.replace(b"shop", b"\xff\xfe"),
    "deep": b'{"kind":"List","items":' + b"[" * 1000 + b"]" * 1000 + b"}",
    "another kind": b'{"kind": "Secret", "data": {}}',
    "a list": b"[]",
}


def running(command: CommandLine, cluster: str) -> list[str]:
    found = command.run("running", "--cluster", cluster, "--format", "json").json()
    return [item["pod_name"] for item in found]


def test_bad_dumps_end_nothing_and_stop_nobody(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_bytes(WHOLE)
    names = {case: f"c{number}" for number, case in enumerate(DUMPS)}
    line = [f"--from-dump={name}={tmp_path / 'good.json'}" for name in names.values()]
    command.run("record", *line)
    for case, name in names.items():
        (tmp_path / f"{name}.json").write_bytes(DUMPS[case])
    line = [f"--from-dump={name}={tmp_path / name}.json" for name in names.values()]
    line.append(f"--from-dump=good={tmp_path / 'good.json'}")
    refused = command.run("record", *line, "--from-dump=absent=nowhere.json", expect=2)
    assert "there is no file nowhere.json" in refused.err  # a word that is wrong: nothing is read
    command.run("running", "--cluster", "good", expect=3)  # not even known
    said = command.run("record", *line, expect=1)
    for case, name in names.items():
        assert f"failed: cluster {name}" in said.err, case
    for name in (*names.values(), "good"):
        assert running(command, name) == ["good-1"]  # as it was when last it could be seen


def test_kubeconfigs_that_point_nowhere(command: CommandLine, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = f"""
apiVersion: v1
kind: Config
current-context: x
contexts: [{{name: x, context: {{cluster: x, user: x}}}}]
clusters: [{{name: x, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: x, user: {{token: s3cret}}}}]
"""
    (tmp_path / "nobody").write_text(config)
    (tmp_path / "no-context").write_text(config.replace("current-context: x", ""))
    (tmp_path / "no-yaml").write_text("\t{")
    (tmp_path / "no-text").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("")
    (tmp_path / "deep").write_text("[" * 5000)
    (tmp_path / "folder").mkdir()
    bad = [
        "nobody", "no-context", "no-yaml", "no-text", "empty", "deep", "folder", "absent",
    ]  # fmt: skip
    (tmp_path / "good.json").write_bytes(WHOLE)
    command.run("record", f"--from-dump=nobody={tmp_path / 'good.json'}")
    clusters = ",".join(f"{name}:{tmp_path / name}" for name in bad)
    said = command.run("--clusters", clusters, "record", expect=1)
    assert said.out == ""
    for name in bad:
        assert f"failed: cluster {name}: " in said.err
    assert said.err.count("hint: ") == len(bad)
    assert "s3cret" not in said.err
    assert running(command, "nobody") == ["good-1"]


def test_nasty_text_on_postgresql(
    command: CommandLine, make_postgresql: Callable[..., str], tmp_path: Path
) -> None:
    """PostgreSQL keeps no zero byte, and no half of a surrogate."""
    command = replace(command, database=make_postgresql(initialised=True))
    odd = {
        "os": "linux\0",
        "architecture": "amd64\0",
        "created": "0001-02-03T00:00:00+23:00",
        "config": {"Labels": {"\0": "\0", "a": None}},
    }
    nasty = pods("nasty\0")
    with serve() as registry:
        image = registry.add_image(
            debian(NASTY_FILES, nasty="1.0-1"), config=json.dumps(odd).encode()
        )
        registry.tag("nasty", image)
        registry.tag("good", registry.add_image(debian(good="1.0-1")))
        command.run("sync", registry.url)
        assert command.packages(f"{registry.host}/good:1") == {"good": "1.0-1"}
        (tmp_path / "nasty.json").write_text(json.dumps(nasty).replace("shop", "\\ud800\\u0000"))
        (tmp_path / "good.json").write_bytes(WHOLE)
        line = [f"--from-dump={name}={tmp_path / name}.json" for name in ("nasty", "good")]
        assert "failed: cluster nasty: " in command.run("record", *line, expect=1).err
        assert running(command, "good") == ["good-1"]
        command.run("outdated", "--all")
        command.run("running")
