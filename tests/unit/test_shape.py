"""The shape of the code, so that it does not drift: sizes, names, who may do what."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "imagecatalog"
MIGRATIONS = PACKAGE / "store" / "migrations"
CORE = ("domain", "versions", "formats", "catalog", "matching", "planning", "store")
MAX_MODULE_LINES = 600
MAX_FUNCTION_LINES = 50
MAX_FILE_BYTES = 1_000_000
MAX_SAMPLE_BYTES = 4_000_000
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


@cache
def _tracked() -> tuple[Path, ...]:
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file())


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = sorted(PACKAGE.rglob("*.py"))
PROGRAMS = sorted(
    [*SOURCES, *(ROOT / "scripts").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
)
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _dotted(node: ast.expr) -> str:
    """``a.b.c`` of an attribute or a name; a call or subscript in between is left out."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _calls(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, _dotted(node.func)


@pytest.mark.parametrize("path", PROGRAMS, ids=_name)
def test_module_is_short_and_named_after_a_thing(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_MODULE_LINES, f"{lines} lines: split it by what it knows"
    assert path.stem.strip("_") not in VAGUE_NAMES, "name it after what it holds"


@pytest.mark.parametrize("path", PROGRAMS, ids=_name)
def test_functions_are_short(path: Path) -> None:
    if path.is_relative_to(MIGRATIONS / "versions"):
        return
    long = []
    for node in ast.walk(_parsed(path)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        body = node.body[1:] if ast.get_docstring(node) else node.body
        lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
        if lines > MAX_FUNCTION_LINES:
            long.append(f"{node.name}: {lines} lines")
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_only_the_engine_ends_transactions(path: Path) -> None:
    if path == PACKAGE / "store" / "engine.py" or path.is_relative_to(MIGRATIONS):
        return
    ends = [(line, name) for line, name in _calls(path) if name.endswith((".commit", ".rollback"))]
    assert not ends, "the caller owns the transaction"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_the_core_has_no_clock(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] not in CORE:
        return
    clocks = ("datetime.now", "datetime.utcnow", "date.today", "time.time", "time.time_ns")
    read = [(line, name) for line, name in _calls(path) if name.endswith(clocks)]
    assert not read, "`now` is a parameter"


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_only_the_command_line_prints(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] == "cli":
        return
    assert "print" not in [name for _, name in _calls(path)]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_exported_names_exist_once(path: Path) -> None:
    # Their order is RUF022's to check.
    if "__all__" not in path.read_text(encoding="utf-8"):
        return
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(p for p in parts if p != "__init__"))
    exported = list(getattr(module, "__all__", ()))
    assert len(exported) == len(set(exported))
    assert [name for name in exported if not hasattr(module, name)] == []


def test_every_table_and_column_says_what_it_holds() -> None:
    from imagecatalog.store.schema import metadata

    assert metadata.tables
    silent = [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not column.comment
    ]
    silent += [table.name for table in metadata.tables.values() if not table.comment]
    assert silent == []


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    last = _dotted(node.func).rpartition(".")[2]
    return last in ("raises", "warns", "expect", "fail") or last.lstrip("_").startswith("assert")


@pytest.mark.parametrize("path", TEST_FILES, ids=_name)
def test_test_files_can_fail(path: Path) -> None:
    tree = _parsed(path)
    names = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    assert any(name.startswith("test") for name in names), "it holds no test"
    assert any(_asserts(node) for node in ast.walk(tree)), "it asserts nothing"


def test_test_files_have_names_of_their_own() -> None:
    # Test folders are no packages, so two files of one name would be one module.
    seen: dict[str, Path] = {}
    for path in TEST_FILES:
        assert seen.setdefault(path.name, path) == path


# --- what the repository may hold -----------------------------------------------------------------

# Written in parts, so that this file does not hold what it looks for.
_DOT = r"\."
FOREIGN = {
    "a mirror or registry of packages": _DOT.join(
        [
            r"\b(?:deb|security|ftp|archive|snapshot|ports|mirrors?|cdn-fastly|pypi|files|registry|"
            r"proxy|sum|static|index|repo1?|(?:[a-z]{2}_)?dl-cdn)(?:" + _DOT + r"[a-z]{2})?",
            r"(?:debian|ubuntu|pythonhosted|python|npmjs|yarnpkg|golang|crates|rubygems|alpinelinux|maven)",
            r"(?:org|com|net|io)\b",
        ]
    )
    + r"|\bpypi"
    + _DOT
    + r"org\b",
    "a path of somebody's machine": r"(?<![\w.}/-])/(?:wor" + r"k|roo" + r"t)/\w",
}


def test_nothing_names_a_mirror_or_a_machine() -> None:
    found = []
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" in content[:4096]:
            continue
        text = content.decode("utf-8", errors="replace")
        for what, pattern in FOREIGN.items():
            found += [
                f"{_name(path)}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0]}"
                for match in re.finditer(pattern, text)
            ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "https://" + "deb.debian" + ".org/debian",
        "de." + "archive.ubuntu" + ".com",
        "files." + "pythonhosted.org",
        "pypi" + ".org/simple",
        "registry." + "npmjs.org",
        "cd /wor" + "k/tree",
        "'/roo" + "t/x'",
    ],
)
def test_such_names_would_be_found(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in FOREIGN.values())


def test_tracked_files_are_small() -> None:
    sizes = {path: path.stat().st_size for path in _tracked()}
    shipped = {p: n for p, n in sizes.items() if p.is_relative_to(PACKAGE) and p.suffix != ".py"}
    assert sum(shipped.values()) < MAX_SAMPLE_BYTES, "what the wheel carries beside code"
    assert [_name(p) for p, n in sizes.items() if n > MAX_FILE_BYTES and p not in shipped] == []


# --- what is installed ----------------------------------------------------------------------------

LOCKS = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")


def _lock(name: str) -> dict[str, Requirement]:
    """The pins of a lock file; asserts that each has a hash."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        spec, *hashes = line.split(" --hash=")
        assert hashes, f"{name}: {spec} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h.strip()) for h in hashes)
        pin = Requirement(spec.strip())
        pins[_normal(pin.name)] = pin
    return pins


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_files_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE), "an option of pip"
    assert _lock(name)


def test_lock_files_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [r for group in project["project"]["optional-dependencies"].values() for r in group]
    groups = project["dependency-groups"]
    wanted = {
        "requirements.txt": project["project"]["dependencies"] + extras,
        "requirements-build.txt": groups["build"],
        "requirements-dev.txt": [r for group in groups.values() for r in group],
    }
    for name, requirements in wanted.items():
        pins = _lock(name)
        for text in requirements:
            asked = Requirement(text)
            pin = pins[_normal(asked.name)]
            version = str(pin.specifier).removeprefix("==")
            assert asked.specifier.contains(version), f"{name}: {text}: run make lock"


def test_lock_files_agree() -> None:
    everything = _lock("requirements-dev.txt")
    for name in LOCKS[:2]:
        differing = [str(p) for key, p in _lock(name).items() if everything.get(key) != p]
        assert differing == [], f"{name} and requirements-dev.txt differ: run make lock"


def test_this_python_is_one_we_promise() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
