"""What people read of lineages, differences and histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from imagecatalog.cli import change_layouts, lineage_layouts
from imagecatalog.cli.main import main
from imagecatalog.config import Settings
from imagecatalog.domain.answers import ImageDetail, PackageItem, Update, Verdict
from imagecatalog.domain.lineage import (
    AdvisoryChanges,
    Contradiction,
    Diff,
    HistoryItem,
    LayerChanges,
    Lineage,
    PackageChange,
    PackageChanges,
    Relative,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
R = "r.example.org/"
IMAGE = "registry.example.org/services/checkout:2026-10-28-1"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")


def relative(image: str, of: str, depth: int = 1, **more: Any) -> Relative:
    facts: dict[str, Any] = {"role": "base", "evidence": "layers", "digest": image}
    facts["status"] = "current"
    return Relative(image=R + image, of=of, depth=depth, **(facts | more))


def tree(**more: Any) -> Lineage:
    facts: dict[str, Any] = {
        "ancestors": (
            relative("node:20", "app:1", also=("layers",), evidence="registered"),
            relative("golang:1", "app:1", role="stage", evidence="registered"),
            relative("lost:1", "app:1", role="copy", digest=None, known=False, status="unknown"),
            relative("debian:12", "node:20", 2, status="security-update"),
        ),
        "descendants": (
            relative("job:1", "app:1", running=3),
            relative("debug:1", "app:1"),
            relative("trace:1", "job:1", 2, status="update"),
        ),
        "running": 1204,
        "status": "update",
    }
    return Lineage(image=R + "app:1", digest="app:1", **(facts | more))


def test_parents_stand_above_and_children_below(capsys: pytest.CaptureFixture[str]) -> None:
    lineage_layouts.show_lineage(tree(), whole=False)
    assert capsys.readouterr().out == (
        "r.example.org/app:1: built on 4 images; 3 images built on it, 1 of them running\n"
        "\n"
        "IMAGE (r.example.org/…)  VERDICT                 RUNS  KNOWN BY\n"
        "debian:12                ▲ security                 -\n"
        "└─ node:20               ● current                  -  layers\n"
        "   ┌╌ golang:1 (stage)   ● current                  -  registered\n"
        "   ┌╌ lost:1 (copy)      ? not in the catalog       -  layers\n"
        "   └─ ► app:1            △ update              ×1,204  registered, layers\n"
        "      ├─ job:1           ● current                 ×3  layers\n"
        "      │  └─ trace:1      △ update                   -  layers\n"
        "      └─ debug:1         ● current                  -  layers\n"
    )


def test_many_of_a_repository_are_one_line_unless_all_are_wanted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    many = [relative(f"job:{n:02}", "app:1", running=n, status="update") for n in range(41)]
    below = [relative("below:1", "job:07", 2)]
    lineage = tree(descendants=(*many, *below), more_descendants=True)
    lineage_layouts.show_lineage(lineage, whole=False)
    out = capsys.readouterr().out
    assert "└─ job: 41 images" in out
    assert "△ 41 stale" in out
    assert "×820" in out
    assert "There are more than 42 descendants; see --limit" in out
    lineage_layouts.show_lineage(lineage, whole=True)
    out = capsys.readouterr().out
    assert "job:40" in out
    assert "│  └─ below:1" in out


def test_contradictions_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = Contradiction(
        image=R + "app:1",
        digest="app:1",
        evidence="provenance",
        says="its base is other:1",
        against="registered",
    )
    lineage_layouts.show_lineage(tree(contradictions=(told,)), whole=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "1 contradiction; the word of the better evidence was taken" in out
    assert "r.example.org/app:1: by provenance, its base is other:1 (against registered)" in out


def test_a_hostile_circle_and_names_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    lineage = tree(
        ancestors=(relative("a", "app:1"), relative("app:1", "a", 2)),
        descendants=(relative("\x1b[31mred", "app:1"), relative("\x1b[31mred", "\x1b[31mred", 2)),
    )
    lineage_layouts.show_lineage(lineage, whole=False)
    assert "\x1b" not in capsys.readouterr().out


def test_a_narrow_terminal_keeps_the_ends_of_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    long = relative("team/" + "very-" * 12 + "long:1.2.3", "app:1")
    lineage_layouts.show_lineage(tree(descendants=(long,)), whole=False)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 70
    assert "└─ …" in out
    assert "long:1.2.3" in out


def detail(packages: tuple[PackageItem, ...], updates: tuple[Update, ...]) -> ImageDetail:
    return ImageDetail(
        image=R + "app:1",
        digest="sha256:0",
        index_digest=(),
        platform=None,
        media_type="",
        config_digest=None,
        created=None,
        first_seen=NOW,
        gone=None,
        distro=None,
        names=(),
        tags=(),
        verdict=Verdict(status="update", reason=None if packages else "nobody told them"),
        updates=updates,
        packages=packages,
        layers=(),
        running=(),
        apt_sources=(),
    )


def test_inherited_says_who_brought_and_who_must_act(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"type": "deb", "arch": "amd64", "installed": "1"}
    packages = tuple(
        PackageItem(package=name, source=name, source_version="1", inherited_from=origin, **facts)
        for name, origin in (("a", R + "debian:12"), ("b", R + "debian:12"), ("c", None))
    )
    updates = tuple(
        Update(
            package=one.package,
            source=one.package,
            candidate="2",
            security=one.package == "a",
            origin="",
            inherited_from=one.inherited_from,
            **facts,
        )
        for one in packages
    )
    change_layouts.show_inherited(detail(packages, updates))
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(" ".join(lines[:2]).split()) == (
        "r.example.org/app:1: 2 of its 3 packages came with its ancestors;"
        " 2 of 3 updates to be made in r.example.org/debian:12"
    )
    assert [line.split() for line in lines if line.startswith(("debian", "its own"))] == [
        ["debian:12", "2", "2", "1"],
        ["its", "own", "1", "1", "0"],
    ]
    change_layouts.show_inherited(detail((), ()))
    assert "no packages to tell of: nobody told them" in capsys.readouterr().out


def test_a_diff_says_what_changed_and_what_is_not_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def change(name: str, a: str | None, b: str | None) -> PackageChange:
        return PackageChange(package=name, type="deb", arch="amd64", source=name, a=a, b=b)

    changes = PackageChanges(
        added=(change("new", None, "1"),),
        removed=(change("old", "1", None),),
        upgraded=(change("up", "1", "2"),),
        downgraded=(change("down", "2", "1"),),
    )
    found = Diff(
        a="a:1",
        b="b:1",
        a_digest="",
        b_digest="",
        packages=changes,
        advisories=AdvisoryChanges(),
        layers=LayerChanges(common=2, a=("x",), b=()),
        config={"config_digest": ("sha256:" + "0" * 64, None)},
        reason="nobody told",
    )
    change_layouts.show_diff(found)
    assert capsys.readouterr().out == (
        "a:1 → b:1: 1 added, 1 removed, 1 upgraded, 1 downgraded\n"
        "  unknown: nobody told\n"
        "\n"
        "CHANGE        PACKAGE  ARCH   FROM  TO\n"
        "↑ upgraded    up       amd64  1     2\n"
        "↓ downgraded  down     amd64  2     1\n"
        "+ added       new      amd64  -     1\n"
        "- removed     old      amd64  1     -\n"
        "\n"
        "CONFIGURATION  FROM                 TO\n"
        "config_digest  sha256:000000000000  -\n"
        "\n"
        "2 layers in common, then 1 of the first and 0 of the second\n"
    )
    assert [row.change for row in change_layouts.list_changes(found)] == [
        "added",
        "removed",
        "upgraded",
        "downgraded",
    ]


def test_a_history_names_images_only_where_they_differ(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def item(image: str, hours: int, **more: Any) -> HistoryItem:
        facts: dict[str, Any] = {"event": "tag", "until": None, "detail": "points here"}
        at = NOW - timedelta(hours=hours)
        return HistoryItem(at=at, image=R + image, digest=None, **(facts | more))

    items = [item("app:1", 1), item("app:1", 2, until=NOW, event="run", detail="ran")]
    change_layouts.show_history(items, "app:1", NOW)
    out = capsys.readouterr().out
    assert out.startswith("app:1: 1 tag, 1 run, the last 1 h ago\n\n")
    assert "2026-11-24 11:00  now    tag   points here\n" in out
    assert "2026-11-24 10:00  12:00  run   ran\n" in out
    change_layouts.show_history([*items, item("app:2", 3)], "app", NOW)
    assert "app:2" in capsys.readouterr().out
    change_layouts.show_history([], "app", NOW)
    assert capsys.readouterr().out == "Nothing is known to have happened to app.\n"


def test_forms_of_graph_tools_are_for_what_can_be_drawn(
    sample_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    database = ["--database", sample_settings.database]
    assert main([*database, "lineage", IMAGE, "--format", "dot"]) == 0
    assert capsys.readouterr().out.startswith("digraph")
    assert main([*database, "--format", "mermaid", "lineage", IMAGE]) == 0
    assert capsys.readouterr().out.startswith("flowchart TD\n")
    assert main([*database, "--format", "dot", "show", IMAGE]) == 2
    assert "--format dot is not one of table, json, csv" in capsys.readouterr().err
    assert main([*database, "lineage", "nobody:1"]) == 3
