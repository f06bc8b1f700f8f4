"""The page's answers over HTTP, on a database as the daemon leaves it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from robo_trader.core.events import AccountSnapshot, Bar, Fill, Lot, Order, OrderStatus, Side, Submit
from robo_trader.core.steps import (
    Abstained,
    Decision,
    Denied,
    Equity,
    OrderChanged,
    PositionChanged,
    Signal,
    Step,
)
from robo_trader.dashboard.app import STATIC, PageOptions, create_app
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

OPEN = 1_767_623_400_000_000_000  # 2026-01-05 09:30 in New York
MINUTE = 60_000_000_000


async def write_a_session(path: Path) -> None:
    """Leave a database behind in which one order was bought, one refused and one abstained from."""
    order = Order("s-1.1", "s-1", "NVDA", Side.BUY, 10, reason="crossed")
    fill = Fill(OPEN + MINUTE, "s-1.1", "e-1", "NVDA", Side.BUY, 10, Decimal("180.10"), Decimal("1.00"))
    facts = (
        Signal(OPEN + MINUTE, "NVDA", "sma", 1, 0.7, "5 above 20"),
        Decision(OPEN + MINUTE, "NVDA", "sma", "s-1", Side.BUY, 10, "market", "sized", {"atr": 1.5}),
        Denied(OPEN + MINUTE, "s-2.1", "META", "heat", "heat too high", 0.07, 0.06),
        Abstained(OPEN + MINUTE, "META", "ml", "no model"),
    )
    books = Equity(
        OPEN + MINUTE,
        Decimal("98198.00"),
        Decimal("1805.00"),
        Decimal(100000),
        Decimal("-1.00"),
        Decimal(4),
    )
    bought = (
        PositionChanged(OPEN + MINUTE, "NVDA", 10, (Lot(10, Decimal("180.10")),), Decimal("-1.00")),
        OrderChanged(OPEN + MINUTE, "s-1.1", OrderStatus.FILLED, 10, 77),
        books,
    )
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "practice", "DUP000007", ["NVDA", "META"], "{}")
        journal = SqliteJournal(database, "s")
        await journal.record(AccountSnapshot(OPEN, "DUP000007", Decimal(100000), Decimal(100000)), Step())
        await journal.record(
            Bar("NVDA", OPEN + MINUTE, 180.0, 181.0, 179.5, 180.5, 1000.0), Step([Submit(order)], facts)
        )
        await journal.record(fill, Step(facts=bought))
        await journal.flush()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    await write_a_session(tmp_path / "desk.db")
    app = create_app(PageOptions(tmp_path / "desk.db", hub_port=8799))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5555/api/v1") as client:
        yield client


async def test_the_answers_are_what_the_database_holds(client: httpx.AsyncClient) -> None:
    async def ask(path: str) -> list[dict[str, object]]:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        found: list[dict[str, object]] = answer.json()
        return found

    assert await ask("/symbols") == ["META", "NVDA"]
    assert (await ask("/bars?symbol=NVDA"))[0]["close"] == 180.5
    assert (await ask("/equity"))[-1]["cash"] == "98198.00"
    assert (await ask("/positions"))[0]["quantity"] == 10
    assert (await ask("/orders?status=filled&limit=5"))[0]["id"] == "s-1.1"
    assert await ask("/orders?status=working") == []
    assert (await ask("/fills"))[0]["commission"] == "1.00"
    assert {row["kind"] for row in await ask("/signals")} == {"signal", "abstained"}
    assert (await ask("/decisions"))[0]["steps"] == {"atr": 1.5}
    assert [(row["value"], row["limit"]) for row in await ask("/violations")] == [(0.07, 0.06)]
    state = (await client.get("/state")).json()
    assert (state["session"]["mode"], state["session"]["account"]) == ("practice", "DUP000007")
    assert (await client.get("/healthz")).json() == {"status": "ok", "database": "present"}


async def test_bars_and_symbols_are_those_of_the_size_the_last_session_trades_on(tmp_path: Path) -> None:
    await write_a_session(tmp_path / "desk.db")
    async with await Database.open(tmp_path / "desk.db") as database:
        await database.start_session("t", OPEN, "practice", "DUP000007", ["NVDA"], '{"bar_s":300}')
        journal = SqliteJournal(database, "t")
        close, size = OPEN + 5 * MINUTE, 5 * MINUTE
        await journal.record(Bar("AAPL", close, 180.0, 181.0, 179.5, 180.5, 1000.0, size), Step())
        await journal.flush()
    transport = httpx.ASGITransport(create_app(PageOptions(tmp_path / "desk.db")))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client:
        assert (await client.get("/symbols")).json() == ["AAPL", "NVDA"]
        assert (await client.get("/bars?symbol=NVDA")).json() == []
        answer = await client.get("/bars?symbol=AAPL")
        assert f'"ts":{close},' in answer.text  # whole nanoseconds
        (bar,) = answer.json()
        assert (bar["ts"], bar["interval_ns"]) == (close, size)


async def test_a_wrong_question_is_a_problem_with_a_reason(client: httpx.AsyncClient) -> None:
    for path, status, word in (
        ("/bars", 422, "symbol"),
        ("/fills?limit=0", 422, "limit"),
        ("/orders?status=lost", 422, "status"),
        ("/nothing", 404, "/api/v1/state"),
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert word in answer.json()["detail"]
    assert (await client.post("/orders")).status_code == 405


async def test_without_a_database_the_page_says_so_and_invents_nothing(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(create_app(PageOptions(tmp_path / "none.db")))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5555") as client:
        answer = await client.get("/api/v1/state")
        assert (answer.status_code, "none.db" in answer.json()["detail"]) == (503, True)
        assert (await client.get("/api/v1/healthz")).json()["database"] == "absent"
        assert (await client.get("/")).status_code == 200


async def test_another_host_name_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/state", headers={"Host": "rebound.example"})
    assert answer.status_code == 400


async def test_the_policy_lets_the_page_talk_to_nobody_but_its_server_and_the_hub(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("http://127.0.0.1:5555/")
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self' ws://127.0.0.1:8799 ws://localhost:8799;" in policy
    assert "unsafe" not in policy
    assert '"8799"' in page.text
    for file in STATIC.rglob("*"):
        if file.suffix in (".js", ".css", ".html"):
            assert not re.search(
                r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org|www\.tradingview\.com)", file.read_text()
            )
    script = await client.get("http://127.0.0.1:5555/static/app.js")
    again = await client.get(
        "http://127.0.0.1:5555/static/app.js", headers={"If-None-Match": script.headers["etag"]}
    )
    assert (script.status_code, again.status_code) == (200, 304)


def start(*argv: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "robo_trader.dashboard", *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_process_says_when_its_port_is_taken_and_ends_in_time_on_sigterm(tmp_path: Path) -> None:
    database = str(tmp_path / "desk.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = start("--port", str(port), "--db", database)
        _, words = busy.communicate(timeout=30)
        assert (busy.returncode, f"127.0.0.1:{port}" in words) == (2, True)
    page = start("--port", str(port), "--db", database)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert page.stdout is not None
        assert page.stdout.readline() == f"page ready on http://127.0.0.1:{port}\n"
        client.get("/api/v1/healthz")  # a connection that stays open
        page.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        _, words = page.communicate(timeout=30)
    assert (page.returncode, words) == (0, "")
    assert time.monotonic() - sent < 1


def test_the_process_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    page = start("--port", "0", "--db", str(tmp_path / "desk.db"), "--parent-pid", str(parent.pid))
    parent.communicate(b"\n", timeout=20)
    _, words = page.communicate(timeout=30)
    assert (page.returncode, words) == (0, "")
