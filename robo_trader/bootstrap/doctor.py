"""Examines the machine before money is at stake: each check says what it saw and, where it fails, what to do."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

from robo_trader.alerts import ways
from robo_trader.bootstrap import places
from robo_trader.bootstrap.reach import connection_options
from robo_trader.bootstrap.watch import ONLY_THE_LOG, alert_options
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, RoboTraderError
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.compiled import kernels_cached
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.refusals import NothingListening
from robo_trader.ml import registry
from robo_trader.storage import lock, queries

PACKAGES = ("ib_async", "numba", "numpy", "lightgbm", "scikit-learn", "aiosqlite", "websockets", "fastapi")
Finding = tuple[bool, str]


def examine(settings: Settings) -> int:
    """Run every check and print what each found; return 0 where all pass, 1 where one fails."""
    checks: dict[str, Callable[[Settings], Iterator[Finding]]] = {
        "python": _python,
        "settings": _settings,
        "packages": _packages,
        "data": _data,
        "ports": _ports,
        "kernels": _kernels,
        "models": _models,
        "alerts": _alerts,
        "tws": _tws,
    }
    failed = False
    for name, check in checks.items():
        for good, what in check(settings):
            failed |= not good
            sys.stdout.write(f"{'ok  ' if good else 'FAIL'}  {name:<9} {what}\n")
    return 1 if failed else 0


def _python(settings: Settings) -> Iterator[Finding]:
    yield (
        sys.version_info[:2] in ((3, 11), (3, 12), (3, 13)),
        f"{sys.version.split()[0]}, 3.11 to 3.13 are tested",
    )


def _settings(settings: Settings) -> Iterator[Finding]:
    yield True, f"configuration {settings.fingerprint()}; `robo-trader config` prints it"


def _packages(settings: Settings) -> Iterator[Finding]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            yield False, f"{package} is missing: install the project again"
    yield True, ", ".join(found)


def _data(settings: Settings) -> Iterator[Finding]:
    home = settings.robo_data_dir
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            yield True, f"{home.resolve()} can be written"
    except OSError as error:
        yield False, f"{home.resolve()} cannot be written: {error.strerror}; set ROBO_DATA_DIR"
    for path in sorted(home.glob("*.db")):
        try:
            with closing(queries.connect_readonly(path)) as connection:
                sound = connection.execute("PRAGMA quick_check").fetchone()[0]
            yield sound == "ok", f"{path.name}: {sound}"
        except (RoboTraderError, OSError) as error:
            yield False, str(error)


def _ports(settings: Settings) -> Iterator[Finding]:
    daemon = lock.holder(
        places.lock_path(f"{settings.ibkr_host}-{settings.ibkr_port}-{settings.ibkr_client_id}")
    )
    for name, setting, port in (
        ("page", "DASHBOARD_PORT", settings.dashboard_port),
        ("hub", "HUB_PORT", settings.hub_port),
    ):
        try:
            socket.create_server(("127.0.0.1", port)).close()
            yield True, f"{port} is free for the {name}"
        except OSError as error:
            why = os.strerror(error.errno or 0)
            if daemon:
                yield True, f"{port} is in use while the daemon runs (process {daemon.pid})"
            else:
                yield (
                    False,
                    f"{port} is not free for the {name} ({why}): stop what listens there, or set {setting}",
                )


def _kernels(settings: Settings) -> Iterator[Finding]:
    yield (
        True,
        "compiled" if kernels_cached() else "not compiled yet: the first start takes some seconds longer",
    )


def _models(settings: Settings) -> Iterator[Finding]:
    names = sorted(path.name for path in settings.ml_models_dir.glob("*/") if path.is_dir())
    version_now = FeatureEngine(XnysCalendar()).version
    for name in names:
        found = registry.latest(settings.ml_models_dir, name)
        try:
            card = registry.load(found, version_now).card if found else None
            yield True, f"{name}: {card.version + ', ' + card.reason if card else 'none yet'}"
        except RoboTraderError as error:
            yield False, str(error)
    if not names:
        yield True, "none yet: --use-ml trains one from the history of its market"


def _alerts(settings: Settings) -> Iterator[Finding]:
    try:
        named = [way.name for way in ways(alert_options(settings))]
    except ConfigurationError as error:
        yield False, str(error)
    else:
        told = f"log, {', '.join(named)}; `robo-trader alert test` tries them"
        yield True, told if named else ONLY_THE_LOG


def _tws(settings: Settings) -> Iterator[Finding]:
    try:
        account = asyncio.run(_shake_hands(settings))
        yield True, f"port {settings.ibkr_port} answers: account {account} ({places.kind_of(account)})"
    except NothingListening as error:
        practice = settings.practice_mode == "always" or (
            settings.practice_mode == "auto" and not settings.names_a_broker
        )
        yield practice, f"{error}{'; the daemon will start its practice gateway' if practice else ''}"
    except RoboTraderError as error:
        yield False, str(error)


async def _shake_hands(settings: Settings) -> str:
    # A client id of its own: a daemon may be using the configured one.
    other = settings.model_copy(update={"ibkr_client_id": 900 + os.getpid() % 90})
    connection = Connection(connection_options(other, settings.ibkr_port))
    try:
        return (await connection.connect()).id
    finally:
        await connection.close()
