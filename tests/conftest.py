"""Keeps tests away from everything real: the working directory, settings, databases, models and fixed ports."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Two threads on two cores are slower than one; must be set before numpy loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
# Where a user's books, bars and models live. A test once closed a live database.
PRECIOUS = (f"{ROOT / 'data'}{os.sep}", f"{ROOT / 'trained_models'}{os.sep}")
HARMLESS = str(ROOT / "trained_models" / "README.md")
# TWS, IB Gateway, the page and the hub: something real may answer there.
REAL_PORTS = frozenset({7496, 7497, 4001, 4002, 5555, 8765})
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", ""})
# The prefixes of every setting in config.py; test_house.py compares.
SETTINGS = (
    "IBKR_",
    "EXECUTION_",
    "RISK_",
    "STRATEGY_",
    "ML_",
    "FEATURES_",
    "MARKET_DATA_",
    "PRACTICE_",
    "DASHBOARD_",
    "HUB_",
)
SETTINGS += ("MONITORING_", "ALERT_", "ROBO_")

# The same examples on every run, and none kept on disk.
settings.register_profile("house", derandomize=True, database=None, deadline=None)
settings.load_profile("house")


class TouchedTheRealThing(AssertionError):
    """A test reached for something that is not temporary."""


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "sqlite3.connect", "os.mkdir", "os.remove", "os.rename", "os.truncate"):
        _check_path(arguments[0])
    elif event in ("socket.connect", "socket.bind"):
        _check_address(arguments[1])


def _check_path(path: object) -> None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    text = os.fsdecode(path).removeprefix("file:").partition("?")[0]
    # Relative paths start in the test's own directory, or are names within an open directory being cleaned up.
    if f"{text}{os.sep}".startswith(PRECIOUS) and text != HARMLESS:
        raise TouchedTheRealThing(f"a test touched {text}; use tmp_path")


def _check_address(address: object) -> None:
    if not isinstance(address, tuple):
        return
    host, port = address[:2]
    if host not in LOOPBACK or port in REAL_PORTS:
        raise TouchedTheRealThing(f"a test used {host}:{port}; use loopback and port 0")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def _nothing_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a directory of its own, without the settings of the user who runs it."""
    for name in list(os.environ):
        if name.upper().startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
