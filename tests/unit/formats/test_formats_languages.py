"""What languages installed: each file's package, and what hostile files may not do."""

import io
import struct
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagecatalog.formats import jar
from imagecatalog.formats.gemspec import parse_gemspec
from imagecatalog.formats.go_binary import read_program
from imagecatalog.formats.installed import find_language
from imagecatalog.formats.jar import parse_jar
from imagecatalog.formats.language_files import hides_packages, is_dull
from imagecatalog.formats.node_modules import parse_package
from imagecatalog.formats.python_dist import parse_metadata


def told(database) -> list[tuple[str, str]]:
    return [(one.name, one.version) for one in database.packages]


@pytest.mark.parametrize(
    ("path", "parse"),
    [
        ("usr/lib/python3/dist-packages/PyYAML-6.0.egg-info", parse_metadata),
        ("usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO", parse_metadata),
        ("venv/lib/python3.11/site-packages/pip-24.0.dist-info/METADATA", parse_metadata),
        ("srv/x.egg/EGG-INFO/PKG-INFO", parse_metadata),
        ("app/node_modules/a/package.json", parse_package),
        ("app/node_modules/@s/a/package.json", parse_package),
        ("app/node_modules/.pnpm/a@1/node_modules/a/package.json", parse_package),
        ("var/lib/gems/3.1.0/specifications/rake-13.gemspec", parse_gemspec),
        ("usr/lib/ruby/gems/3.1.0/specifications/default/json-2.gemspec", parse_gemspec),
        ("var/lib/gems/3.1.0/specifications/nokogiri-1.15.4-x86_64-linux.gemspec", parse_gemspec),
        ("var/lib/jenkins/plugins/git.jpi", parse_jar),
        ("app/lib/log4j.jar", parse_jar),
        ("app.war", parse_jar),
        ("app/METADATA", None),
        ("app/package.json", None),
        ("app/node_modules/a/dist/package.json", None),
        ("app/node_modules/package.json", None),
        ("app/rake.gemspec", None),
        ("package.json", None),
    ],
)
def test_which_files_tell(path, parse):
    language = find_language(path)
    assert (language and language.parse) == parse


def test_paths_that_hide_packages_and_dull_ones():
    assert hides_packages("usr/lib/python3/dist-packages")
    assert hides_packages("a/x.dist-info")
    assert not hides_packages("usr/lib/libc.so")
    assert is_dull("usr/share/doc/x")
    assert not is_dull("usr/share/doc-base/x")


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        (
            "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0.1\n\nName: no\n",
            [("pyyaml", "6.0.1")],
        ),
        ("name: zope.interface_X\r\nVERSION:1\r\n", [("zope-interface-x", "1")]),
        ("Name: a\n Version: 2\nVersion: 1\nVersion: 3\n", [("a", "1")]),
    ],
)
def test_python(text, packages):
    database = parse_metadata(text.encode(), "METADATA")
    assert told(database) == packages
    assert database.problem is None


@pytest.mark.parametrize("text", [b"", b"Name: a\n", b"Version: 1\n", b"Name: a\0\nVersion: 1\n"])
def test_python_without_name_or_version_is_told(text):
    database = parse_metadata(text, "METADATA")
    assert not database.packages
    assert database.problem.startswith("METADATA: ")


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ('{"name": "@types/node", "version": "20.1.0", "x": {}}', [("@types/node", "20.1.0")]),
        ('\ufeff{"name": "a", "version": "v1.0.0"}', [("a", "1.0.0")]),
        ('{"type": "module"}', []),
        ('{"name": "a"}', []),
        ('{"name": ["a"], "version": 1}', []),
        ("[]", []),
        ("{", []),
        ("", []),
        ("[" * 100_000, []),
    ],
)
def test_node(text, packages):
    database = parse_package(text.encode(), "package.json")
    assert told(database) == packages
    assert database.problem is None


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        (
            "# -*- encoding: utf-8 -*-\n# stub: rake 13.0.6 ruby lib\n\nGem::Specification.new",
            [("rake", "13.0.6")],
        ),
        (
            'X.new do |s|\n  s.name = "json".freeze\n  s.version = Gem::Version.new("2.6.1")\nend\n',
            [("json", "2.6.1")],
        ),
        ("# stub: nokogiri 1.15.4 x86_64-linux lib\n", [("nokogiri", "1.15.4")]),
        ("  s.name = 'a'\n  s.version = '1'\n", [("a", "1")]),
    ],
)
def test_ruby(text, packages):
    database = parse_gemspec(text.encode(), "a.gemspec")
    assert told(database) == packages
    assert database.problem is None


def test_a_computed_version_is_told():
    database = parse_gemspec(b's.name = "a"\ns.version = A::VERSION\n', "a.gemspec")
    assert database.problem == "a.gemspec: 'a' has no version"


def archive(files, **how) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", how.pop("compression", zipfile.ZIP_DEFLATED)) as out:
        for name, content in files.items():
            out.writestr(name, content)
    return body.getvalue()


def pom(group, artifact, version) -> dict[str, str]:
    text = f"#Created\ngroupId={group}\nartifactId = {artifact}\nversion={version}\n"
    return {f"META-INF/maven/{group}/{artifact}/pom.properties": text}


INNER = archive(pom("org.x", "inner", "1.0"))


@pytest.mark.parametrize(
    ("name", "files", "packages"),
    [
        ("a.jar", pom("org.x", "a", "2"), [("org.x:a", "2")]),
        ("a.jar", pom("o", "a", "2") | pom("o", "b", "3"), [("o:a", "2"), ("o:b", "3")]),
        ("log4j-core-2.17.1.jar", {"META-INF/MANIFEST.MF": "A: b\n"}, [("log4j-core", "2.17.1")]),
        (
            "b.jar",
            {
                "META-INF/MANIFEST.MF": "Bundle-SymbolicName: org.y.lo\r\n ng;x:=1\r\nBundle-Version: 4\r\n"
            },
            [("org.y.long", "4")],
        ),
        ("b.jar", {"META-INF/MANIFEST.MF": "Created-By: x\n"}, []),
        (
            "app.war",
            {"WEB-INF/lib/inner.jar": INNER, "WEB-INF/lib/two.jar": archive({"x.jar": INNER})},
            [("org.x:inner", "1.0")],
        ),
        (
            "app.ear",
            {
                "a.war": archive(
                    {"lib/b.jar": archive({"c.jar": INNER}), "d.hpi": archive(pom("o", "d", "4"))}
                )
            },
            [("o:d", "4"), ("org.x:inner", "1.0")],
        ),
        (
            "app.jar",
            {"1.jar": archive({"2.jar": archive({"3.jar": archive({"4.jar": INNER})})})},
            [],
        ),
        (
            "lib-2.5.jar",
            {"META-INF/MANIFEST.MF": "A: b\n", "META-INF/maven/org.z/lib/pom.xml": "<project/>"},
            [("org.z:lib", "2.5")],
        ),
        (
            "fat-2.5.jar",
            {
                "META-INF/MANIFEST.MF": "A: b\n",
                "META-INF/maven/org.z/lib/pom.xml": "",
                "META-INF/maven/org.z/other/pom.xml": "",
            },
            [("fat", "2.5")],
        ),
    ],
)
def test_java(name, files, packages):
    database = parse_jar(archive(files), f"srv/{name}")
    assert told(database) == packages
    assert database.problem is None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is no archive"),
        (b"PK\x03\x04" * 100, "is no archive"),
        (INNER[:-30], "is no archive"),
        (archive({"a": b"x"} | {"b.jar": bytes(65 << 20)}), "b.jar: is too large"),
        (archive(pom("a", "b", "1"), compression=zipfile.ZIP_LZMA), "as Java does not pack"),
        (archive({"bad.jar": b"nothing"}), "bad.jar: is no archive"),
        (b"PK\5\6" + bytes(6) + struct.pack("<HIIH", 65535, 0, 0, 0), "65535 entries"),
    ],
)
def test_bombs_and_broken_archives_are_told(data, sentence):
    database = parse_jar(data, "srv/a.jar")
    assert sentence in database.problem


def test_many_archives_in_one_are_read_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(jar, "_TOTAL", 1 << 20)
    inner = {
        f"{n}.jar": archive({"x": bytes(1000)}, compression=zipfile.ZIP_STORED) for n in range(3)
    }
    assert parse_jar(archive(inner | pom("o", "a", "1")), "a.jar").problem is None
    database = parse_jar(archive(inner | {"z.jar": bytes(2 << 20)} | pom("o", "a", "1")), "a.jar")
    assert database.problem == "a.jar: z.jar: unpacks to too much"
    assert told(database) == [("o:a", "1")]


def test_entries_of_all_archives_in_one_are_bounded():
    many = archive({f"{n}": b"" for n in range(60_000)}, compression=zipfile.ZIP_STORED)
    data = archive({f"{n}.jar": many for n in range(40)} | pom("o", "a", "1"))
    began = time.process_time()
    database = parse_jar(data, "srv/a.jar")
    assert time.process_time() - began < 20
    assert "there are over 200000 entries" in database.problem
    assert told(database) == [("o:a", "1")]


START, END = (
    b"0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6",
    b"\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2",
)
MODULES = (
    "path\texample.org/app\nmod\texample.org/app\tv1.2.3\th1:x=\n"
    "dep\tgolang.org/x/net\tv0.17.0\th1:y=\ndep\texample.org/old\tv1.0.0\n"
    "=>\texample.org/new\tv1.0.1\th1:z=\nbuild\tCGO_ENABLED=0\n"
)


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def go_info(version="go1.22.1 X:boring", modules=MODULES) -> bytes:
    texts = (version.encode(), START + modules.encode() + END)
    header = b"\xff Go buildinf:\x08\x02".ljust(32, b"\0")
    return header + b"".join(varint(len(text)) + text for text in texts)


def program(info: bytes, before: int = 4096, after: int = 100) -> bytes:
    return b"\x7fELF".ljust(before, b"\x90") + info + bytes(after)


def old_program(order: str) -> bytes:
    """As Go 1.17 linked it: a loaded segment at 0x400000, pointers to texts in it."""
    version, modules = b"go1.17.2", START + MODULES.encode() + END
    texts = {0x300: version, 0x400: modules}
    data = bytearray(0x400 + len(modules))
    data[:4] = b"\x7fELF"
    struct.pack_into(f"{order}Q", data, 32, 64)
    struct.pack_into(f"{order}HH", data, 54, 56, 1)
    struct.pack_into(f"{order}IIQQQQ", data, 64, 1, 0, 0, 0x400000, 0, len(data))
    data[0x200 : 0x200 + 16] = b"\xff Go buildinf:" + bytes([8, order == ">"])
    struct.pack_into(f"{order}QQ", data, 0x210, 0x400240, 0x400250)
    for place, (at, text) in zip((0x240, 0x250), texts.items(), strict=True):
        struct.pack_into(f"{order}QQ", data, place, 0x400000 + at, len(text))
        data[at : at + len(text)] = text
    return bytes(data)


def run(data: bytes):
    return read_program(io.BytesIO(data).read, len(data), "usr/bin/app")


BUILT = [
    ("example.org/app", "v1.2.3"),
    ("example.org/new", "v1.0.1"),
    ("golang.org/x/net", "v0.17.0"),
]


@pytest.mark.parametrize("before", [64, 4096, (1 << 20) - 16, (1 << 20), 70 << 20])
def test_go(before):
    database = run(program(go_info(), before))
    assert told(database) == [*BUILT, ("stdlib", "1.22.1")]
    assert {one.type for one in database.packages} == {"golang"}


@pytest.mark.parametrize("order", "<>")
def test_go_before_1_18(order):
    assert told(run(old_program(order))) == [*BUILT, ("stdlib", "1.17.2")]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("place", [64 + 8, 64 + 16, 64 + 32, 0x210, 0x240, 0x248, 32])
def test_an_old_program_that_points_beyond_all_files(order, place):
    data = bytearray(old_program(order))
    struct.pack_into(f"{order}Q", data, place, (1 << 64) - 1)
    database = run(bytes(data))
    assert database is None or told(database)


def test_an_old_program_too_large_to_be_held_is_told():
    data = old_program("<")
    assert "too large" in run(data + bytes(65 << 20)).problem


def test_programs_without_build_information():
    assert run(program(b"")) is None
    assert run(program(b"\xff Go buildinf: in a text")) is None
    assert run(program(go_info(version="gopher"), 4096)) is not None
    assert run(program(go_info(version="no"), 4096)) is None
    assert told(run(program(go_info(modules="")))) == [("stdlib", "1.22.1")]
    assert told(run(program(b"\xff Go buildinf:\x09\x09".ljust(64) + go_info())))[0] == BUILT[0]
    assert "too many places" in run(program(b"\xff Go buildinf:  " * 100)).problem


def mutate(data: bytes, edits) -> bytes:
    changed = bytearray(data)
    for at, value in edits:
        changed[at % len(changed)] = value
    return bytes(changed)


SEEDS = [
    INNER,
    archive({"x.jar": INNER} | pom("a", "b", "1")),
    program(go_info(), 64),
    old_program("<"),
    old_program(">"),
    b'{"name": "a", "version": "1"}',
    b"Name: a\nVersion: 1\n\n",
    b"# stub: rake 13.0.6 ruby lib\n",
]


@settings(max_examples=200)
@given(
    st.builds(
        mutate,
        st.sampled_from(SEEDS),
        st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), max_size=6),
    )
    | st.builds(lambda seed, end: seed[: end % len(seed)], st.sampled_from(SEEDS), st.integers(0))
    | st.binary(max_size=200)
)
def test_any_bytes_give_packages_or_a_problem(data):
    for parse in (parse_jar, parse_gemspec, parse_metadata, parse_package):
        assert all(one.name and one.version for one in parse(data, "a.jar").packages)
    database = run(data)
    assert database is None or all(one.version for one in database.packages)
