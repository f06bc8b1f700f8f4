"""The hand on the switch of a running daemon, also where the hub, the page, the database or the daemon itself hangs."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from robo_trader.practice.gateway import PracticeGateway
from tests.daemon.conftest import PATIENCE_S, Desk, Run
from tests.daemon.test_screens import answered, free_port

pytestmark = pytest.mark.daemon


class Trading:
    """A daemon in the midst of a TWAP, and the gateway as witness."""

    def __init__(self, desk: Desk, gateway: PracticeGateway, port: int, run: Run) -> None:
        self.desk = desk
        self.gateway = gateway
        self.port = port
        self.run = run

    async def command(self, *words: str) -> tuple[int, str]:
        done = await self.desk.command(*words, ibkr_port=self.port)
        return await done.end(), done.text

    async def ended(self, code: int = 0) -> None:
        self.run.signal(signal.SIGTERM)
        assert await self.run.end() == code, self.run.text

    async def restarted(self) -> None:
        """Kill the process, however it is, and start the next one."""
        if self.run.process.returncode is None:
            self.run.signal(signal.SIGKILL)
        await self.run.end()
        self.run = await self.desk.daemon(self.port)
        await self.run.until("ready")

    def opening(self) -> list[str]:
        """Orders at the broker that would open a position or add to one."""
        held = self.gateway.books.quantity
        return [
            ticket.ref
            for ticket in self.gateway.orders.working()
            if ticket.type != "STP" and held(ticket.symbol) * ticket.side.sign >= 0
        ]

    def held(self) -> dict[str, int]:
        return {symbol: self.gateway.books.quantity(symbol) for symbol in self.gateway.books.held()}

    async def opens_nothing(self, bars: int = 12) -> None:
        """Soon no opening order works, and over the next bars none comes and no position grows."""
        async with asyncio.timeout(5):
            while self.opening():
                await asyncio.sleep(0.01)
        before, seen = self.held(), self.run.text.count(" bar ")
        await self.run.until(" bar ", times=seen + bars)
        assert self.opening() == []
        assert all(abs(shares) <= abs(before.get(symbol, 0)) for symbol, shares in self.held().items())

    async def protects_all(self) -> None:
        """Whatever is held has stops at the broker for exactly as many shares."""
        async with asyncio.timeout(5):
            while self.held() != self.stopped():
                await asyncio.sleep(0.01)

    def stopped(self) -> dict[str, int]:
        covered: dict[str, int] = {}
        for ticket in self.gateway.orders.working():
            if ticket.type == "STP":
                left = -ticket.side.sign * (ticket.quantity - ticket.filled)
                covered[ticket.symbol] = covered.get(ticket.symbol, 0) + left
        return covered


@asynccontextmanager
async def trading(desk: Desk, *words: str, **settings: object) -> AsyncIterator[Trading]:
    gateway, port = await desk.gateway(speed=240)  # slow enough that a position outlives a command
    slow = {"execution_algorithm": "twap", "execution_twap_duration_s": 300} | settings
    run = await desk.command("run", "--symbols", "AAPL,NVDA", *words, ibkr_port=port, **slow)
    await run.until("fill ")
    yield Trading(desk, gateway, port, run)


@pytest.fixture
async def at_work(desk: Desk) -> AsyncIterator[Trading]:
    async with trading(desk, "--no-dashboard") as found:
        yield found


async def test_a_halt_takes_back_the_slices_at_work_and_leaves_the_stops(at_work: Trading) -> None:
    code, said = await at_work.command("halt", "--reason", "looked odd")
    assert code == 0, said
    assert "trading halted: looked odd (command line) (operator)" in said
    await at_work.opens_nothing()
    await at_work.protects_all()
    code, said = await at_work.command("status")
    assert (code, "HALTED since" in said, "link ready since" in said) == (0, True, True), said
    code, said = await at_work.command("resume", "--reason", "it was a drill")
    assert (code, "trading active" in said) == (0, True), said
    await at_work.run.until("fill ", times=at_work.run.text.count("fill ") + 1)
    await at_work.ended()


async def test_one_position_and_then_all_are_flattened_with_their_stops(at_work: Trading) -> None:
    symbol = next(iter(at_work.held()))
    await at_work.command("halt", "--reason", "to see it closed")
    code, said = await at_work.command("flatten", symbol.lower(), "--reason", "enough", "--json")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["done"]
    code, said = await at_work.command("flatten", "--all", "--reason", "enough")
    assert code == 0 or "nothing is held" in said, said  # where that was the only one
    async with asyncio.timeout(PATIENCE_S):
        while at_work.held() or at_work.gateway.orders.working():
            await asyncio.sleep(0.01)
    code, said = await at_work.command("flatten", symbol)
    assert (code, "nothing to flatten" in said) == (2, True)
    code, said = await at_work.command("reconcile")
    assert (code, "agree" in said) == (0, True), said
    await at_work.ended()


async def test_status_is_told_by_the_daemon_where_its_database_cannot_be_read(at_work: Trading) -> None:
    broken = at_work.desk.home / at_work.desk.database().name
    broken.write_bytes(b"no database at all" * 100)
    code, said = await at_work.command("status", "--db", str(broken))
    assert (code, "the daemon says" in said, "state: active" in said) == (0, True, True), said
    await at_work.ended()


async def test_a_kill_holds_over_a_restart_until_somebody_resumes(at_work: Trading) -> None:
    code, said = await at_work.command("kill", "--reason", "enough")
    assert code == 0, said
    await at_work.opens_nothing()
    await at_work.restarted()
    await at_work.opens_nothing()
    code, said = await at_work.command("resume", "--reason", "looked into it")
    assert (code, "trading active" in said) == (0, True), said
    assert not (at_work.desk.home / "data" / "KILL").exists()
    await at_work.run.until("fill ")
    await at_work.ended()


async def test_a_file_written_by_hand_halts_within_seconds(at_work: Trading) -> None:
    (at_work.desk.home / "data" / "KILL").touch()
    await at_work.run.until("no reason given (file KILL)")
    await at_work.opens_nothing()
    await at_work.ended()


async def test_a_file_left_again_at_once_after_a_resume_halts_again(at_work: Trading) -> None:
    file = at_work.desk.home / "data" / "KILL"
    file.touch()
    await at_work.run.until("by='KILL file'")
    # Within a second of the command, and with the same words: the daemon never sees that it was gone.
    resumed = asyncio.create_task(at_work.command("resume", "--reason", "looked into it"))
    while file.exists():
        await asyncio.sleep(0.001)
    file.touch()
    assert (await resumed)[0] == 0
    await at_work.run.until("by='KILL file'", times=2)
    await at_work.opens_nothing()
    await at_work.ended()


async def test_an_end_between_the_stop_and_the_exit_it_makes_room_for_leaves_no_position_bare(
    at_work: Trading,
) -> None:
    await at_work.command("reduce", "--reason", "to keep still")
    await at_work.protects_all()
    assert at_work.held()
    at_work.gateway.plant("delay-ack", seconds=60)  # a quarter of a second
    code, said = await at_work.command("flatten", "--all", "--reason", "enough")
    assert (code, "cancelling" in said) == (0, True), said
    await at_work.ended()
    await at_work.protects_all()


async def test_a_daemon_that_hangs_is_signalled_and_halts_when_it_moves(at_work: Trading) -> None:
    at_work.run.signal(signal.SIGSTOP)
    code, said = await at_work.command("kill", "--reason", "it hangs")
    assert (code, "no answer" in said, "SIGUSR1" in said) == (0, True, True), said
    at_work.run.signal(signal.SIGCONT)
    await at_work.run.until("it hangs")
    await at_work.opens_nothing()
    await at_work.ended()


@contextmanager
def locked(at_work: Trading) -> Iterator[None]:
    """Another program holds the database for writing."""
    with closing(sqlite3.connect(at_work.desk.database(), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(at_work: Trading) -> Iterator[None]:
    """No file of the daemon can grow any more."""
    resource.prlimit(at_work.run.process.pid, resource.RLIMIT_FSIZE, (4096, 4096))
    yield


@pytest.mark.parametrize("broken", [locked, full])
async def test_a_kill_while_the_database_cannot_be_written_opens_nothing(at_work: Trading, broken) -> None:
    with broken(at_work):
        code, said = await at_work.command("kill", "--reason", "the disk hangs")
        assert code == 0, said
        before = at_work.held()
    # What it could not write down it did not send; whether it lived to see the end of it or not, it does not go on.
    async with asyncio.timeout(PATIENCE_S):
        while at_work.opening():
            await asyncio.sleep(0.01)
    assert all(abs(shares) <= abs(before.get(symbol, 0)) for symbol, shares in at_work.held().items())
    await at_work.restarted()
    await at_work.opens_nothing()
    await at_work.ended()


async def test_a_kill_works_where_hub_page_and_models_are_gone(desk: Desk) -> None:
    page, hub = free_port(), free_port()
    async with trading(desk, dashboard_port=page, hub_port=hub) as at_work:
        children = Path(f"/proc/{at_work.run.process.pid}/task/{at_work.run.process.pid}/children")
        for child in children.read_text().split():
            Path(f"/proc/{child}/oom_score_adj").write_text("0")
            await (await asyncio.create_subprocess_exec("kill", "-9", child)).wait()
        assert not (desk.home / "trained_models").exists()
        code, said = await at_work.command("kill", "--reason", "enough")
        assert code == 0, said
        await at_work.opens_nothing()
        await at_work.ended()


async def test_the_page_halts_the_daemon_and_shows_that_it_did(desk: Desk) -> None:
    page, hub = free_port(), free_port()
    url = f"http://127.0.0.1:{page}"
    async with (
        trading(desk, dashboard_port=page, hub_port=hub) as at_work,
        httpx.AsyncClient(base_url=url) as client,
    ):
        found = re.search(r'name="token" content="([^"]+)"', (await answered(client, "/")).text)
        assert found is not None
        sent = {"X-RoboTrader-Token": found[1], "Origin": url}
        answer = await client.post("/api/v1/commands", headers=sent, json={"do": "halt", "reason": "odd"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["state"] == "halted"
        (hold,) = (await client.get("/api/v1/state")).json()["halt"]["standing"]
        assert (hold["by"], hold["reason"]) == ("operator", "odd (page)")
        await at_work.opens_nothing()
        await at_work.ended()


async def test_a_foreign_trade_is_quarantined_and_adopted_by_command(at_work: Trading) -> None:
    await at_work.command("halt", "--reason", "to keep still")
    await at_work.opens_nothing(0)
    at_work.gateway.plant("position-change", symbol="AAPL", shares="7")
    async with asyncio.timeout(PATIENCE_S):
        code, said = 0, ""
        while code != 7 or "QUARANTINED" not in said:
            code, said = await at_work.command("reconcile")
    code, said = await at_work.command("reconcile", "AAPL", "--adopt", "--reason", "bought by hand")
    assert (code, "out of quarantine" in said) == (0, True), said
    code, said = await at_work.command("reconcile")
    assert code == 0, said
    await at_work.protects_all()
    await at_work.ended()
