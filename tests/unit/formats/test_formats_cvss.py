"""Base scores of CVSS vectors, judged by scores that another implementation gave."""

from __future__ import annotations

import contextlib
from hashlib import sha256
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.errors import BadName
from imagecatalog.formats.cvss import base_score, severity_of

RECORDED = Path(__file__).parents[2] / "data" / "cvss" / "scores.txt"
METRICS = {
    "": "AV:LAN AC:HML Au:MSN C:NPC I:NPC A:NPC",
    "CVSS:3.0/": "AV:NALP AC:LH PR:NLH UI:NR S:UC C:HLN I:HLN A:HLN",
    "CVSS:3.1/": "AV:NALP AC:LH PR:NLH UI:NR S:UC C:HLN I:HLN A:HLN",
    "CVSS:4.0/": "AV:NALP AC:LH AT:NP PR:NLH UI:NPA VC:HLN VI:HLN VA:HLN SC:HLN SI:HLN SA:HLN",
}


def every_vector(prefix: str) -> list[str]:
    names, letters = zip(*(one.split(":") for one in METRICS[prefix].split()), strict=True)
    return [
        prefix + "/".join(map(":".join, zip(names, chosen, strict=True)))
        for chosen in product(*letters)
    ]


def test_recorded_vectors_have_their_scores() -> None:
    lines = [line.split() for line in RECORDED.read_text().splitlines()[1:]]
    assert len(lines) == 240
    assert [(vector, base_score(vector)) for vector, _ in lines] == [
        (vector, float(score)) for vector, score in lines
    ]


@pytest.mark.parametrize(
    ("prefix", "count", "digest"),
    [
        ("", 729, "790ff68110b839c05630d28f8ba563a45958f866047e8bbabdad6c97031fb4e5"),
        ("CVSS:3.0/", 2592, "e6f9d4bac910182e6c018ffa848d5e8345c143f96bfbf73d00f1f848be9aa9b8"),
        ("CVSS:3.1/", 2592, "e6f9d4bac910182e6c018ffa848d5e8345c143f96bfbf73d00f1f848be9aa9b8"),
        ("CVSS:4.0/", 104976, "56a1ae3bb3c54833ac07209a96f7bdfface8c2d97cf7c9534480ba5be5efe934"),
    ],
)
def test_every_vector_there_is_has_the_score_of_the_judge(
    prefix: str, count: int, digest: str
) -> None:
    """The digests are of all scores that cvss 3.6 gives, one a line, in the order of the metrics."""
    vectors = every_vector(prefix)
    assert len(vectors) == count
    scores = "\n".join(f"{base_score(vector):.1f}" for vector in vectors)
    assert sha256(scores.encode()).hexdigest() == digest


def test_metrics_beside_the_base_do_not_count() -> None:
    base = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
    assert base_score(base) == base_score(f"{base}/E:U/CR:L/MAV:P/S:N/U:Clear") == 9.3
    assert base_score("(AV:N/AC:L/Au:N/C:P/I:P/A:P/E:U/RL:OF/RC:C)") == 7.5
    assert base_score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:P/MPR:H/") == 9.8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7.5",
        "CVSS:5.0/AV:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:X",
        "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.1/av:n",
        "AV:N/AC:L/Au:N/C:P/I:P/A:P" + "/X:Y" * 200,
    ],
)
def test_what_is_no_vector_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        base_score(text)


@settings(max_examples=200)
@given(st.text(max_size=80) | st.text("CVSS:3.140/AVNLPRUIHX", max_size=80))
def test_any_text_is_scored_or_refused(text: str) -> None:
    with contextlib.suppress(BadName):
        assert 0 <= base_score(text) <= 10


def test_ratings_are_those_of_each_version() -> None:
    scores = (0.0, 0.1, 3.9, 4.0, 6.9, 7.0, 8.9, 9.0, 10.0)
    words = ["negligible", "low", "low", "medium", "medium", "high", "high"]
    assert [severity_of(score) for score in scores] == [*words, "critical", "critical"]
    assert [severity_of(score, 2) for score in scores] == [*words, "high", "high"]
