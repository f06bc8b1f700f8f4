"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import doctest
import functools
import importlib
import re
import statistics
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from robo_trader import config
from tests import conftest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "robo_trader"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# The two borders that translate foreign errors.
BORDERS = frozenset(MODULES) & {PACKAGE / "websocket_server.py", *(PACKAGE / "ibkr").glob("*.py")}
# The page's process serves HTTP and nothing else, so it may load its server at once.
PAGE = PACKAGE / "dashboard"
ABOVE_SETTINGS = (PACKAGE, PACKAGE / "bootstrap", PAGE)
HEAVY = {
    "pandas",
    "sklearn",
    "lightgbm",
    "xgboost",
    "exchange_calendars",
    "pyarrow",
    "fastapi",
    "scipy",
    "optuna",
    "distributed",
}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
GENERATED = PACKAGE / "features" / "step.py"
NUMBA = re.compile(r"^\s*(import numba\b|from numba import)", re.MULTILINE)
VAGUE = re.compile(r"(Manager|Handler|Helper|Util|Utils|Impl)$|^Base[A-Z]")
SEED_NAMES = {"PortfolioManager"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, Function))


def names(paths: Iterable[Path]) -> list[str]:
    """Name the offenders, so that a failure says where to look."""
    return [str(path.relative_to(ROOT)) for path in paths]


def length(function: Function) -> int:
    """Count the lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def imported(path: Path) -> set[str]:
    """Name the packages a module imports as soon as it is imported."""
    packages: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages.add(node.module.partition(".")[0])
    return packages


def swallows(catch: ast.ExceptHandler) -> bool:
    """Whether this catches everything; BaseException may be caught to clean up, if it climbs on."""
    if catch.type is None or ast.unparse(catch.type) == "Exception":
        return True
    return ast.unparse(catch.type) == "BaseException" and not isinstance(catch.body[-1], ast.Raise)


def plain(requirement: str) -> str:
    """Return a requirement's package name as an index would write it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return name.group().lower().replace("_", "-")


def test_files_stay_under_400_lines() -> None:
    written = [path for path in MODULES if path != GENERATED]
    assert names(p for p in [*written, *TESTS] if len(text_of(p).splitlines()) >= 400) == []


def test_package_files_stay_empty() -> None:
    assert names(path for path in MODULES if path.name == "__init__.py" and text_of(path)) == []


def test_every_module_starts_with_a_sentence() -> None:
    spoken = [path for path in MODULES if path.name != "__init__.py"]
    first = {path: (ast.get_docstring(tree_of(path)) or " ").partition("\n\n")[0] for path in spoken}
    assert names(path for path, sentence in first.items() if sentence[-1] not in ".;:!?") == []


def test_functions_are_small_enough_to_read_aloud() -> None:
    lengths = [length(function) for path in MODULES for function in functions(path)]
    assert statistics.median(lengths) <= 8
    assert sum(n > 40 for n in lengths) <= 0.02 * len(lengths)


def test_only_the_borders_catch_everything() -> None:
    inside = [path for path in MODULES if path not in BORDERS]
    catches = {p: [n for n in ast.walk(tree_of(p)) if isinstance(n, ast.ExceptHandler)] for p in inside}
    assert names(path for path, found in catches.items() if any(swallows(catch) for catch in found)) == []


def test_nothing_is_left_unfinished() -> None:
    for path in MODULES:
        with tokenize.open(path) as lines:
            tokens = [t for t in tokenize.generate_tokens(lines.readline) if t.type == tokenize.COMMENT]
        assert [t.string for t in tokens if UNFINISHED.search(t.string)] == [], path
        unwritten = [
            f.name for f in functions(path) if ast.unparse(f.body[-1]) == "raise NotImplementedError"
        ]
        assert unwritten == [], path


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    assert names(path for path in MODULES if imported(path) & HEAVY and path.parent != PAGE) == []


def test_numba_lives_in_kernels_only() -> None:
    kernels = [path for path in MODULES if path.name == "kernels.py"]
    assert names(path for path in MODULES if NUMBA.search(text_of(path)) and path not in kernels) == []
    assert names(path for path in kernels if "fastmath" in text_of(path)) == []
    uncached = [p for p in kernels if text_of(p).count("@njit") != text_of(p).count("@njit(cache=True")]
    assert names(uncached) == []


def test_classes_are_named_after_things() -> None:
    classes = [n.name for p in MODULES for n in ast.walk(tree_of(p)) if isinstance(n, ast.ClassDef)]
    assert [name for name in classes if VAGUE.search(name) and name not in SEED_NAMES] == []


def test_parts_take_options_and_never_settings() -> None:
    parts = [path for path in MODULES if path.parent not in ABOVE_SETTINGS]
    assert names(path for path in parts if "robo_trader.config" in text_of(path)) == []


def test_every_module_is_named_by_a_test_or_imported_by_another() -> None:
    lonely = []
    for path in (p for p in MODULES if p.name not in ("__init__.py", "__main__.py")):
        package, _, stem = dotted(path).rpartition(".")
        use = re.compile(rf"{re.escape(dotted(path))}\b|from {re.escape(package)} import [^#\n]*\b{stem}\b")
        if not any(use.search(text_of(other)) for other in [*MODULES, *TESTS] if other != path):
            lonely.append(path)
    assert names(lonely) == []


def test_examples_in_docstrings_are_true() -> None:
    shown = [path for path in MODULES if ">>>" in text_of(path)]
    wrong = [path for path in shown if doctest.testmod(importlib.import_module(dotted(path))).failed]
    assert names(wrong) == []


def test_test_names_are_sentences_and_none_hides_another() -> None:
    for path in (p for p in TESTS if p.name.startswith("test_")):
        found = [f.name for f in tree_of(path).body if isinstance(f, Function) and f.name.startswith("test_")]
        assert [name for name in found if name.count("_") < 3] == [], path
        assert len(found) == len(set(found)), path


def test_every_module_has_a_floor() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lock_pins_everything_with_hashes_and_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "://" in line]
    assert not [
        line for line in lines if line.startswith(("--index", "--extra-index", "--find-links", "-i "))
    ]
    pins = [line for line in lines if line[:1].isalpha()]
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {plain(need) for need in project["dependencies"] + project["optional-dependencies"]["dev"]}
    assert wanted - {plain(pin) for pin in pins} == set()


def test_tests_forget_every_setting_of_the_user_who_runs_them() -> None:
    assert set(config.PREFIXES) == set(conftest.SETTINGS)


@pytest.mark.parametrize("path", conftest.PRECIOUS)
def test_a_test_that_touches_what_is_precious_fails(path: str) -> None:
    with pytest.raises(conftest.TouchedTheRealThing):
        Path(path, "books.db").read_bytes()


def test_a_test_that_calls_a_real_port_fails() -> None:
    import socket

    with socket.socket() as plug, pytest.raises(conftest.TouchedTheRealThing):
        plug.connect(("127.0.0.1", 7497))
