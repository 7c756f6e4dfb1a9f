"""apt's list of sources: both forms, and what apt itself makes of the same files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagecatalog.domain.apt import AptSource
from imagecatalog.formats.apt_sources import format_source, parse_sources

LIST = "etc/apt/sources.list"
PARTS = "etc/apt/sources.list.d/"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


def read_one(line: str) -> AptSource:
    sources, problems = parse_sources({LIST: line.encode()})
    assert problems == ()
    assert len(sources) == 1
    return sources[0]


def test_one_line_with_all_options() -> None:
    found = read_one(
        "deb [ arch=amd64,i386 arch+=arm64 arch-=i386 trusted=yes check-valid-until=no"
        " signed-by=/usr/share/keyrings/a.gpg ] https://apt.example.org/deb/ bookworm main contrib # x"
    )
    assert found == AptSource(
        uri="https://apt.example.org/deb",
        suite="bookworm",
        components=("main", "contrib"),
        architectures=("amd64", "i386"),
        added=("arm64",),
        removed=("i386",),
        trusted=True,
        check_valid_until=False,
        signed_by=("/usr/share/keyrings/a.gpg",),
    )
    assert found.resolve(["armhf"]).architectures == ("amd64", "arm64")


def test_arch_of_the_setup() -> None:
    found = read_one("deb [arch-=i386] file:///srv/$(ARCH) $(ARCH)/")
    assert found.resolve(["amd64", "i386"]).architectures == ("amd64",)
    assert (found.resolve(["amd64"]).uri, found.resolve(["amd64"]).suite) == (
        "file:///srv/amd64",
        "amd64/",
    )


DEB822 = f"""\
# a comment
Types: deb deb-src
URIs: https://apt.example.org/debian/
  file:///srv/repo
Suites: bookworm bookworm-updates
# within
Components: main
Architectures: amd64
Signed-By:
 {KEY}
 .
 mQINB=
Trusted: no

Types: deb
URIs: https://apt.example.org
Suites: x
Components: main
Enabled: no

Types: deb-src
URIs: https://apt.example.org
Suites: x
Components: main

Types: deb
URIs: copy:/srv/flat
Suites: ./
Trusted: yes
Check-Valid-Until: no
Signed-By: 4D64FEC119C2029067D6E791F8D2585B8783D481, /k.gpg
"""


def test_deb822() -> None:
    sources, problems = parse_sources({PARTS + "x.sources": DEB822.encode()})
    assert problems == ()
    assert [(source.uri, source.suite) for source in sources] == [
        ("https://apt.example.org/debian", "bookworm"),
        ("https://apt.example.org/debian", "bookworm-updates"),
        ("file:///srv/repo", "bookworm"),
        ("file:///srv/repo", "bookworm-updates"),
        ("copy:/srv/flat", "./"),
    ]
    assert sources[0].signed_by == (f"{KEY}\n\nmQINB=\n",)
    assert sources[0].architectures == ("amd64",)
    assert (sources[0].trusted, sources[4].trusted, sources[4].check_valid_until) == (
        False,
        True,
        False,
    )
    assert sources[4].signed_by == ("4D64FEC119C2029067D6E791F8D2585B8783D481", "/k.gpg")


@pytest.mark.parametrize(
    "line",
    [
        "foo bar",
        "deb",
        "deb https://apt.example.org",
        "deb https://apt.example.org bookworm",
        "deb https://apt.example.org ./ main",
        "deb cdrom:[Disc 1] bookworm main",
        "deb mirror+file:/etc/m bookworm main",
        "deb nonsense bookworm main",
        "deb [arch] https://apt.example.org bookworm main",
        "deb [signed-by=relative.gpg] https://apt.example.org bookworm main",
        "deb [snapshot=20260101T000000Z] https://apt.example.org bookworm main",
    ],
)
def test_what_cannot_be_read_is_named_with_file_and_line(line: str) -> None:
    text = f"# first\n{line}\ndeb https://apt.example.org good main\n"
    sources, problems = parse_sources({LIST: text.encode()})
    assert [source.suite for source in sources] == ["good"]
    assert len(problems) == 1
    assert problems[0].startswith(f"{LIST}: line 2: ")


def test_parts_are_read_by_apts_rules_on_names() -> None:
    line = "deb https://apt.example.org {} main\n"
    names = ["b.list", "a.list", "c.list.save", "d", ".e.list", "f g.list", "Z.list"]
    files = {PARTS + name: line.format(name[0]).encode() for name in names}
    files[LIST] = line.format("first").encode()
    sources, problems = parse_sources(files)
    assert [source.suite for source in sources] == ["first", "Z", "a", "b"]
    assert problems == ()


@given(st.binary(max_size=300))
def test_never_raises(data: bytes) -> None:
    parse_sources({LIST: b"deb " + data, PARTS + "x.sources": b"Types: deb\nURIs:" + data})


WORD = st.text("abcdefgh0123456789-", min_size=1, max_size=8)


@given(
    st.builds(
        AptSource,
        uri=st.builds("https://apt.example.org/{}".format, WORD),
        suite=WORD,
        components=st.lists(WORD, min_size=1, max_size=3, unique=True).map(tuple),
        architectures=st.none() | st.lists(WORD, min_size=1, max_size=2, unique=True).map(tuple),
        trusted=st.booleans(),
        signed_by=st.lists(st.builds("/{}".format, WORD), max_size=2, unique=True).map(tuple),
        check_valid_until=st.booleans(),
        added=st.lists(WORD, max_size=2, unique=True).map(tuple),
        removed=st.lists(WORD, max_size=2, unique=True).map(tuple),
    )
)
def test_a_line_written_is_read_back(source: AptSource) -> None:
    assert read_one(format_source(source)) == source


ASKED = """\
deb [arch=amd64,i386] https://apt.example.org/deb/ bookworm main contrib # x
deb-src https://apt.example.org/deb bookworm main
deb\t[ arch-=i386 ]\tfile:/srv/repo\ttrixie\tmain
deb "https://apt.example.org/%7Equoted" $(ARCH)/sub/
"""


@pytest.mark.real
def test_apt_makes_the_same_of_them(tmp_path: Path) -> None:
    """The addresses of the Packages files that apt would ask for are those that we would."""
    files = {LIST: ASKED, PARTS + "x.sources": "\n".join(DEB822.split("\n")[19:])}
    files[PARTS + "x.sources"] += "\nTypes: deb\nURIs: https://apt.example.org/822\n"
    files[PARTS + "x.sources"] += "Suites: one two\nComponents: a b\nArchitectures-Add: arm64\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "apt.conf").write_text(
        f'Dir "{tmp_path}";\nDir::Etc::parts "/dev/null";\nAPT::Architecture "amd64";\n'
        'APT::Architectures { "amd64"; "i386"; };\n'
    )
    form = "$(ARCHITECTURE) $(URI)"
    said = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", form, "Created-By: Packages"],
        env={**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    sources, problems = parse_sources({name: text.encode() for name, text in files.items()})
    assert problems == ()
    ours = set()
    for source in (source.resolve(["amd64", "i386"]) for source in sources):
        if source.suite.endswith("/"):
            # apt leaves unset what a flat archive has not.
            ours.add(f"$(ARCHITECTURE) {source.uri}/{source.suite}Packages")
        for component in source.components:
            for arch in source.architectures or ():
                address = f"{source.uri}/dists/{source.suite}/{component}/binary-{arch}/Packages"
                ours.add(f"{arch} {address}")
    mine = {line for line in said if line and not line.startswith("all ")}
    assert ours == mine
