"""The gateway as a process: what it prints, how it ends, and that it outlives nobody."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from ib_async import IB, Contract, MarketOrder, Stock

PRACTICE = (sys.executable, "-m", "robo_trader.practice")
COMMAND = (sys.executable, "-m", "robo_trader", "practice")


@pytest.fixture(autouse=True)
def _private_temporary_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the control socket goes


async def start(*arguments: str, program: tuple[str, ...] = PRACTICE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def said(*words: str) -> tuple[int | None, str]:
    """Run `robo-trader practice ...` and return its exit code and all it said."""
    process = await start(*words, program=COMMAND)
    output, errors = await process.communicate()
    return process.returncode, (output + errors).decode()


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def connected(line: str) -> tuple[IB, Contract]:
    """Connect to the gateway that printed this line, and look AAPL up."""
    ib = IB()
    await ib.connectAsync("127.0.0.1", int(line.split()[4].split(":")[1]), clientId=1, raiseSyncErrors=True)
    (share,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", "USD"))
    assert isinstance(share, Contract)
    return ib, share


async def test_it_says_where_it_listens_serves_a_fast_market_and_ends_at_once_when_told(
    tmp_path: Path,
) -> None:
    process = await start("--port", "0", "--speed", "600", "--symbols", "aapl", "--state", str(tmp_path))
    line = await first_line(process)
    assert line.startswith("practice gateway listening on 127.0.0.1:")
    assert line.endswith(" clock 20260105 09:29:55 America/New_York speed 600 edge on\n")
    ib, share = await connected(line)
    assert await ib.reqContractDetailsAsync(Stock("MSFT", "SMART", "USD")) == []
    bars = ib.reqRealTimeBars(share, 5, "TRADES", True)
    async with asyncio.timeout(10):
        while len(bars) < 30:
            await bars.updateEvent
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert time.monotonic() - began < 1
    ib.disconnect()
    assert list(tmp_path.glob("DUP*.db"))


async def test_a_killed_gateway_remembers_what_it_told(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--speed", "60", "--state", str(tmp_path))
    process = await start(*arguments)
    ib, share = await connected(await first_line(process))
    told = asyncio.get_running_loop().create_future()
    ib.commissionReportEvent += lambda _trade, fill, _report: told.done() or told.set_result(fill)
    ib.reqRealTimeBars(share, 5, "TRADES", True)
    ib.placeOrder(share, MarketOrder("BUY", 3, orderRef="run-1.1"))
    async with asyncio.timeout(10):
        fill = await told
    process.kill()
    await process.wait()
    ib.disconnect()
    process = await start(*arguments)
    line = await first_line(process)
    assert "clock 20260105 09:3" in line  # not 09:29:55: it goes on where it was
    ib, _ = await connected(line)
    assert [f.execution.execId for f in ib.fills()] == [fill.execution.execId]
    assert [(p.contract.symbol, p.position) for p in ib.positions()] == [("AAPL", 3)]
    ib.disconnect()
    process.terminate()
    assert await process.wait() == 0


async def test_a_taken_port_is_said_clearly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await start("--port", str(taken.getsockname()[1]))
        _, error = await process.communicate()
    assert process.returncode == 2
    assert b"cannot be had" in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--host", "0.0.0.0"), 2, b"--allow-remote"),
        (("--beats", "7"), 2, b"whole milliseconds"),
        (("--prints", "25"), 2, b"25.0 prints"),
        (("--flickers", "-1"), 2, b"-1.0 flickers"),
        (("--faults", "missing.toml"), 2, b"missing.toml"),
        (("--pacing", "hasty"), 2, b"strict"),
        (("--tape", "missing.csv"), 5, b"no such tape file"),
        (("--start", "2001-01-01"), 2, b"--start"),
        (("--cash", "much"), 2, b"not an amount"),
        (("--cash", "nan"), 2, b"not an amount"),
        (("--cash", "inf"), 2, b"not an amount"),
        (("--cash", "-1"), 2, b"makes no sense"),
        (("--port", "70000"), 2, b"not a port"),
        (("--speed", "nan"), 2, b"must move"),
        (("--speed", "inf"), 2, b"must move"),
        (("--speed", "fast"), 2, b"not a number"),
        (("--port", "tws"), 2, b"tws is not a port"),
        (("--cash", "1e30"), 2, b"makes no sense"),
        (("--symbols", "AAPL,TOOLONG"), 2, b"TOOLONG"),
        (("--symbols", ","), 2, b"names no share"),
        (("--speed", "0"), 2, b"must move"),
    ],
)
async def test_what_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, ...], code: int, words: bytes
) -> None:
    process = await start("--port", "0", *arguments)
    _, error = await process.communicate()
    assert process.returncode == code
    assert words in error
    assert b"Traceback" not in error


async def test_it_ends_when_its_parent_is_gone(tape_file: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'robo_trader.practice', '--port', '0', '--tape', {str(tape_file)!r},"
        " '--parent-pid', str(os.getpid())])\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert "tape tape.csv" in await first_line(parent)
    parent.kill()
    assert parent.stdout is not None
    async with asyncio.timeout(5):
        assert await parent.stdout.read() == b""  # the gateway held the other end, until it ended
    await parent.wait()


async def test_a_running_gateway_is_commanded_from_another_process(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nname = "spike"\nsymbol = "AAPL"\n')
    process = await start("run", "--port", "0", "--faults", str(faults), program=COMMAND)
    port = (await first_line(process)).split()[4].split(":")[1]
    code, text = await said("status", "--port", port)
    assert code == 0
    (fault,) = json.loads(text)["faults"]
    assert (fault["name"], fault["symbol"], fault["factor"]) == ("spike", "AAPL", 1.1)
    asked = [
        ("fault", "stale", "symbol=AAPL", "for=60", "--port", port),
        ("fault", "stail", "--port", port),
        ("lift", "stale", "--port", port),
        ("order", "buy", "5", "AAPL", "100.25", "--port", port),
        ("halt", "market", "--port", port),
        ("resume", "market", "--port", port),
        ("split", "AAPL", "2", "--port", port),
        ("dividend", "MSFT", "0.5", "--port", port),
    ]
    answers = [await said(*words) for words in asked]
    assert [code for code, _ in answers] == [0, 2, 0, 0, 0, 0, 0, 0]
    assert "did you mean 'stale'" in answers[1][1]
    assert json.loads((await said("status", "--port", port))[1])["working"] == 1
    process.terminate()
    assert await process.wait() == 0
    code, text = await said("status", "--port", port)
    assert (code, "no practice gateway on port" in text) == (3, True)


async def test_the_catalogue_is_printed_as_text_and_as_tables() -> None:
    for words in (("faults",), ("faults", "--markdown")):
        code, text = await said(*words)
        assert code == 0
        assert all(name in text for name in ("mute-handshake", "cancel-fill-race", "late-bars"))


async def test_a_gateway_that_others_can_reach_says_so_aloud() -> None:
    process = await start("--port", "0", "--host", "127.0.0.2", "--allow-remote")
    assert "127.0.0.2" in await first_line(process)
    process.terminate()
    _, errors = await process.communicate()
    assert b"WARNING" in errors
