"""Tables, JSON and CSV: widths, colours, and names that would steer a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.cli import progress, render
from imagecatalog.cli.render import Cell, Column
from imagecatalog.domain.answers import OutdatedImage, Place, RunningItem

NOW = datetime(2026, 11, 20, 14, tzinfo=UTC)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


COLUMNS = (Column("IMAGE", least=12), Column("N", right=True), Column("WHERE", least=8))
ROWS = [
    ("registry.example.org/team/application:2026-11-20-1", "7", "Deployment/application"),
    ("short", Cell("1,204", "red"), "x"),
]


def draw(stream: io.StringIO) -> list[str]:
    render.write_table(COLUMNS, ROWS, stream=stream)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    lines = draw(io.StringIO())

    assert max(map(len, lines)) <= width
    assert all("2026-11-20-1" in line for line in lines if "7" in line)


def test_what_goes_to_no_terminal_is_whole_and_plain() -> None:
    assert draw(io.StringIO()) == [
        "IMAGE                                                   N  WHERE",
        "registry.example.org/team/application:2026-11-20-1      7  Deployment/application",
        "short                                               1,204  x",
    ]


def test_prose_goes_on_in_further_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()

    render.write_table(
        (Column("IMAGE"), Column("WHY", least=12, is_prose=True), Column("×", right=True)),
        [("ledger:2026-11-20-1", "takes from python3-11: libssl3", "5")],
        stream=stream,
    )

    assert stream.getvalue().splitlines() == [
        "IMAGE                WHY               ×",
        "ledger:2026-11-20-1  takes from        5",
        "                     python3-11:",
        "                     libssl3",
    ]


@pytest.mark.parametrize(
    ("width", "titles"), [(40, ["IMAGE", "N"]), (46, ["IMAGE", "BASE", "N"]), (54, list("IBWN"))]
)
def test_a_spare_column_is_left_out_where_there_is_no_room(
    width: int, titles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()

    render.write_table(
        (
            Column("IMAGE", least=30),
            Column("BASE", least=8, is_spare=True),
            Column("WAITING", is_spare=True),
            Column("N", right=True),
        ),
        [("i" * 40, "b" * 10, "23 d", "7")],
        stream=stream,
    )

    title, row = stream.getvalue().splitlines()
    assert [name[: len(titles[at])] for at, name in enumerate(title.split())] == titles
    assert len(row) <= width
    assert row.split()[-1] == "7"


def test_colours_are_for_terminals_whose_user_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m1,204\x1b[0m" in "\n".join(draw(Terminal()))

    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert "\x1b" not in "\n".join(draw(Terminal()))


def test_a_colour_may_begin_within_a_text() -> None:
    stream = Terminal()

    render.write_table((Column("V"),), [(Cell("3.0.15", "bold", 4),)], stream=stream)

    assert "3.0.\x1b[1m15\x1b[0m" in stream.getvalue()


def test_foreign_names_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()

    render.write_table((Column("NAME"),), [("a\x1b[2Jb\nc\u202ed\u0007",)], stream=stream)

    assert stream.getvalue().splitlines()[1] == "a�[2Jb c�d�"


@given(st.text(max_size=60), st.integers(1, 50))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    shortened = render.shorten(render.clean(text), width)

    assert render.measure(shortened) <= width
    assert render.measure(render.clean(text)) > width or shortened == render.clean(text)


def test_a_shortened_text_keeps_its_end() -> None:
    assert render.shorten("registry.example.org/team/app:1.0", 16) == "re…/team/app:1.0"
    assert render.shorten("registry.example.org/team/app:1.0", 16, whole_end=True) == (
        "…rg/team/app:1.0"
    )
    assert render.measure("日本") == 4


def running(name: str = "app") -> RunningItem:
    return RunningItem(
        cluster="eqiad",
        namespace="shop",
        workload="Deployment/app",
        pod_name="app-1",
        container=name,
        kind="container",
        image="app",
        digest=None,
        since=NOW,
        seen=NOW,
        known=False,
    )


@pytest.mark.parametrize("number", [0, 1, 3])
def test_json_is_a_plain_array(number: int) -> None:
    stream = io.StringIO()

    count = render.write_json_array((running() for _ in range(number)), stream)

    items = json.loads(stream.getvalue())
    assert count == len(items) == number
    assert all(item["since"] == "2026-11-20T14:00:00Z" for item in items)


def test_csv_has_the_keys_as_columns_and_runs_no_formula() -> None:
    stream = io.StringIO(newline="")
    item = OutdatedImage(
        image="=cmd()",
        digest=None,
        platform="linux/amd64",
        distro=None,
        status="unknown",
        reason='said "no", then left',
        running=(Place(cluster="c", namespace="n", workload="w", containers=2),),
        updates=(),
    )

    render.write_csv(OutdatedImage, [item], stream)

    (row,) = csv.DictReader(io.StringIO(stream.getvalue(), newline=""))
    assert list(row) == list(OutdatedImage.__struct_fields__)
    assert row["image"] == "'=cmd()"
    assert row["digest"] == ""
    assert row["reason"] == 'said "no", then left'
    assert json.loads(row["running"])[0]["containers"] == 2


def test_csv_of_nothing_is_its_heading() -> None:
    stream = io.StringIO(newline="")

    assert render.write_csv(RunningItem, [], stream) == 0
    assert stream.getvalue().startswith("cluster,namespace,workload,")


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=119), "1 h"),
        (timedelta(hours=47), "47 h"),
        (timedelta(hours=48), "2 d"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_ages(age: timedelta, said: str) -> None:
    assert render.format_age(NOW - age, NOW) == said
    assert render.format_ago(None, NOW) == "never"


@pytest.mark.parametrize(
    ("size", "said"),
    [(-1, "?"), (0, "0 B"), (999, "999 B"), (31_240_000, "31.2 MB"), (999_960, "1.0 MB")],
)
def test_sizes(size: int, said: str) -> None:
    assert render.format_size(size) == said


def make_clock(*moments: float) -> Callable[[], float]:
    left = list(moments)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    now = 0.0
    write = progress.write_lines(stream, lambda: now)

    for done in range(100):
        now = done * 0.25
        write(f"synced r{done}", done, 100)

    assert stream.getvalue() == "synced r40 (40 of 100)\nsynced r80 (80 of 100)\n"


def test_the_mark_of_a_change_survives_shortening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(Terminal, "fileno", lambda self: 1, raising=False)
    stream = Terminal()
    version = "8:6.9.11.60+dfsg-1.6+deb12u15"

    render.write_table(
        (Column("A"), Column("V", least=12)),
        [("x" * 20, Cell(version, "bold", len(version) - 2))],
        stream=stream,
    )

    assert "…" in stream.getvalue()
    assert "u\x1b[1m15\x1b[0m" in stream.getvalue()


def test_facts_are_cut_last_and_titles_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    stream = io.StringIO()
    version = "8:6.9.11.60+dfsg-1.6+deb12u15"
    name = Column("IMAGE (registry.example.org)", least=10, is_name=True)

    render.write_table(
        (name, Column("V", least=8, is_fact=True)),
        [("services/thumbnails:1", version)],
        stream=stream,
    )

    title, row = stream.getvalue().splitlines()
    assert title.split("  ") == ["IMAGE (regis…", "V"]
    assert row.split("  ") == ["…thumbnails:1", version]


def test_long_sentences_are_wrapped_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "  3 × " + "because of this and that " * 5

    assert render.wrap(sentence, 6, io.StringIO()) == sentence
    monkeypatch.setenv("COLUMNS", "60")
    first, *rest = render.wrap(sentence, 6, io.StringIO()).splitlines()
    assert first.startswith("  3 × because")
    assert rest
    assert all(line.startswith("      ") and len(line) <= 60 for line in rest)
