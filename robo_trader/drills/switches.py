"""The ways in which a person stops the desk, and the bad nights in which they must work."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from robo_trader.core.command_socket import ask
from robo_trader.core.errors import RoboTraderError
from robo_trader.drills.daemon import DaemonProcess
from robo_trader.drills.report import note
from robo_trader.drills.stage import Stage

REASON = "drill"
ROOM_BYTES = 20_000  # that a full disk still has
ANSWER_S = 10.0


class Broken:
    """What was broken for a night, and how it is put right again."""

    def __init__(self) -> None:
        self.mend: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Night:
    """A state of the daemon in which it is stopped. `ends` where it may end of it, rather than go on."""

    name: str
    what: str
    begin: Callable[[Stage, Broken], None]
    settings: Mapping[str, object] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    pages: bool = True  # whether a page can be asked
    ends: bool = False
    slices: bool = False  # whether its orders go out in slices that trade at once
    opens: bool = True  # whether it trades often enough to be caught with an order that opens


@dataclass(frozen=True)
class Way:
    """How the desk is stopped. `lasts` where a daemon that starts later is stopped as well."""

    name: str
    what: str
    pull: Callable[[Stage], Coroutine[Any, Any, None]]
    by_page: bool = False
    lasts: bool = False


# ------------------------------------------------------------------------------------------------------- the ways


def socket_of(stage: Stage) -> Path:
    """Return the control socket of the stage's daemon."""
    return stage.home.path / f"robo-trader-{os.getuid()}" / f"{stage.market.gateway.account}.sock"


async def tell(stage: Stage, command: Mapping[str, object]) -> dict[str, object]:
    """Give the stage's daemon a command by its socket. Raises RoboTraderError where it refuses or does not answer."""
    return await asyncio.to_thread(ask, socket_of(stage), dict(command), ANSWER_S)


async def say(stage: Stage, *words: str) -> int | None:
    """Run a command line beside the daemon; return its exit code."""
    process = await DaemonProcess.start(stage.home, words, {})
    return await process.ended(2 * ANSWER_S)


async def _by_halt(stage: Stage) -> None:
    await say(stage, "halt", "--reason", REASON)


async def _by_kill(stage: Stage) -> None:
    await say(stage, "kill", "--reason", REASON)


async def _by_socket(stage: Stage) -> None:
    with suppress(RoboTraderError):  # whether it was stopped is seen at the broker
        await tell(stage, {"do": "halt", "reason": REASON})


async def _by_signal(stage: Stage) -> None:
    assert stage.daemon is not None, "it runs"
    stage.daemon.signal(signal.SIGUSR1)


async def _by_file(stage: Stage) -> None:
    (stage.home.path / "data" / "KILL").write_text(f"{REASON}\n")


async def _by_page(stage: Stage) -> None:
    await asyncio.to_thread(_post, int(str(stage.settings["dashboard_port"])))


def _post(port: int) -> None:
    """Press the page's button: fetch the page, and send what its script would send."""
    origin = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(origin, timeout=ANSWER_S) as answer:
        token = re.search(r'name="token" content="([^"]+)"', answer.read().decode())
    assert token is not None, "every page carries one"
    headers = {"Content-Type": "application/json", "Origin": origin, "X-RoboTrader-Token": token.group(1)}
    body = msgspec.json.encode({"do": "halt", "reason": REASON})
    asked = urllib.request.Request(f"{origin}/api/v1/commands", body, headers)
    try:
        urllib.request.urlopen(asked, timeout=ANSWER_S).close()
    except urllib.error.HTTPError as error:
        with error:
            note(f"  the page refused: {error.code} {error.read().decode()}")


WAYS = (
    Way("halt", "`robo-trader halt`", _by_halt),
    Way("kill", "`robo-trader kill`", _by_kill, lasts=True),
    Way("socket", "the control socket itself", _by_socket),
    Way("SIGUSR1", "a signal to the process", _by_signal),
    Way("KILL file", "a file in the data directory", _by_file, lasts=True),
    Way("page", "the page's button", _by_page, by_page=True),
)

# ----------------------------------------------------------------------------------------------------- the nights


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def child_of(pid: int, module: str) -> int:
    """Return the process id of a child that runs a module. Raises RoboTraderError where there is none."""
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listing.read_text().split():
            if module in Path(f"/proc/{child}/cmdline").read_bytes().decode():
                return int(child)
    raise RoboTraderError(f"process {pid} has no child that runs {module}")


def _nothing(stage: Stage, broken: Broken) -> None:
    pass


def _freeze(module: str) -> Callable[[Stage, Broken], None]:
    def begin(stage: Stage, broken: Broken) -> None:
        assert stage.daemon is not None, "it runs"
        pid = child_of(stage.daemon.pid, module)
        os.kill(pid, signal.SIGSTOP)
        broken.mend = lambda: _thaw(pid)

    return begin


def _thaw(pid: int) -> None:
    if Path(f"/proc/{pid}").exists():
        os.kill(pid, signal.SIGCONT)


def _lock_database(stage: Stage, broken: Broken) -> None:
    assert stage.home.database is not None, "the daemon made it"
    connection = sqlite3.connect(stage.home.database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    broken.mend = connection.close


def _fill_disk(stage: Stage, broken: Broken) -> None:
    assert stage.daemon is not None, "it runs"
    assert stage.home.database is not None, "the daemon made it"
    limit = stage.home.database.stat().st_size + ROOM_BYTES
    resource.prlimit(stage.daemon.pid, resource.RLIMIT_FSIZE, (limit, limit))


def _lose_models(stage: Stage, broken: Broken) -> None:
    shutil.rmtree(stage.home.path / "trained_models", ignore_errors=True)


def _lose_link(stage: Stage, broken: Broken) -> None:
    gateway = stage.market.gateway
    gateway.refuse()
    for client in gateway.clients():
        client.abort()
    broken.mend = gateway.listen_again


_PLAIN = {"execution_algorithm": "market"}
NIGHTS = (
    Night("trading", "orders at work", _nothing, _PLAIN),
    Night(
        "schedule", "a TWAP has slices still to come", _nothing,
        {"execution_algorithm": "twap", "execution_twap_duration_s": 900}, slices=True,
    ),
    Night("hub dead", "the hub answers nobody", _freeze("robo_trader.websocket_server"), _PLAIN),
    Night("page dead", "the page answers nobody", _freeze("robo_trader.dashboard"), _PLAIN, pages=False),
    Night("database locked", "another program holds the database", _lock_database, _PLAIN, ends=True),
    Night("disk full", "the database cannot grow", _fill_disk, _PLAIN, ends=True),
    Night(
        "model missing", "the models were deleted", _lose_models, {"ml_history_days": 10}, ("--use-ml",), opens=False
    ),
    Night("link lost", "TWS refuses every session", _lose_link, _PLAIN),
)  # fmt: skip
