"""A share is split overnight under a running daemon: it proposes, a person says so, and both books agree again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.feature_pipeline import read_bars
from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from robo_trader.practice.gateway import PracticeGateway
from robo_trader.storage import feature_rows, queries
from tests.daemon.conftest import PATIENCE_S, Desk, Run, account_at

pytestmark = pytest.mark.daemon
SHARES = 105
LOT = "SELECT quantity FROM positions WHERE symbol = 'NVDA'"


class Night:
    """A daemon that holds NVDA with a stop, trades AAPL, and lives through a split."""

    def __init__(self, desk: Desk, gateway: PracticeGateway, port: int) -> None:
        self.desk = desk
        self.gateway = gateway
        self.port = port
        self.run: Run

    async def start(self) -> None:
        # Every entry is refused: nothing else shall be at work.
        settings = {"features_sessions": 6, "risk_max_order_notional_usd": 1}
        self.run = await self.desk.daemon(self.port, symbols="AAPL", **settings)
        await self.run.until("state=live")

    async def minutes(self, count: int) -> None:
        for _ in range(count):
            due = await self.gateway.advance(60) // MINUTE_NS * MINUTE_NS
            await self.until(
                lambda due=due: (
                    self.desk.rows(
                        "SELECT min(newest) FROM (SELECT max(ts) AS newest FROM bars GROUP BY symbol)"
                    )
                    >= [(due,)]
                )
            )

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not done():
                assert self.run.process.returncode is None, self.run.text
                await asyncio.sleep(0.02)

    async def command(self, *words: str) -> tuple[int, str]:
        done = await self.desk.command(*words, ibkr_port=self.port)
        return await done.end(), done.text

    def stops(self) -> list[tuple[int, Decimal]]:
        """What protects NVDA at the broker."""
        found = [t for t in self.gateway.orders.working() if t.type == "STP" and t.symbol == "NVDA"]
        return [(int(t.quantity), Decimal(str(t.stop))) for t in found]

    async def split(self, ratio: str) -> Decimal:
        """Split NVDA overnight; return where its stop was."""
        ((_, stop),) = self.stops()
        self.gateway.exchange.split("NVDA", Decimal(ratio))
        await self.gateway.advance_to(self.gateway.exchange.session.close - MINUTE_NS)
        await self.minutes(1)  # the desk has heard all of the day before the night comes
        await self.gateway.advance(60)
        await self.minutes(2)
        return stop


@pytest.fixture
async def night(desk: Desk) -> Night:
    gateway, port = await desk.gateway(speed=0)
    await gateway.advance(60)
    gateway.deliver(gateway.orders.manual("NVDA", Side.BUY, SHARES, "MKT", None, gateway.now()))
    await gateway.advance(60)
    assert gateway.books.quantity("NVDA") == SHARES
    night = Night(desk, gateway, port)
    await night.start()
    await night.minutes(3)
    await night.until(night.stops)
    return night


async def test_a_split_is_proposed_booked_on_command_and_both_books_agree(night: Night) -> None:
    stop = await night.split("4")
    await night.run.until("looks like split")
    await night.run.until("mismatch")
    _, said = await night.command("status")
    assert "NVDA looks like a 4:1 split: `robo-trader split NVDA 4 --reason …`" in said
    code, said = await night.command("split", "NVDA", "5", "--reason", "misread")
    assert (code, "105 shares would become 525, and the broker holds 420" in said) == (2, True), said
    code, said = await night.command("split", "nvda", "4:1", "--reason", "announced")
    assert code == 0, said
    assert "NVDA is split 4 for 1" in said
    assert "out of quarantine" in said
    assert night.desk.rows(LOT) == [(420,)]
    await night.until(lambda: night.stops() and sum(n for n, _ in night.stops()) == 420)
    assert night.stops() == [(420, (stop / 4).quantize(Decimal("0.01"), "ROUND_CEILING"))]
    code, said = await night.command("split", "NVDA", "4", "--since", "2026-01-06", "--reason", "again")
    assert (code, "1680" in said or "--again" in said) == (2, True), said
    await night.minutes(3)
    assert (await account_at(night.port)).positions["NVDA"] == 420
    assert night.desk.rows("SELECT count(*) FROM quarantines WHERE ended IS NULL") == [(0,)]
    check_features(night.desk)
    night.run.signal(signal.SIGTERM)
    assert await night.run.end() == 0, night.run.text
    code, said = await night.command("replay")
    assert (code, "PASS" in said) == (0, True), said


def check_features(desk: Desk) -> None:
    """What the session said last of NVDA is what an engine says that has seen all bars in new shares."""
    bars = read_bars(desk.database())
    with closing(queries.connect_readonly(desk.database())) as connection:
        told = feature_rows.last_vector(connection, "NVDA")
    assert told is not None
    nvda = bars["NVDA"]
    until = {s: Bars(*(getattr(b, n)[b.ts <= told.ts] for n in ("ts", "open", "high", "low", "close", "volume")))
             for s, b in bars.items()}  # fmt: skip
    jumps = np.abs(np.diff(np.log(nvda.close)))
    assert jumps.max() < 0.1, "the stored bars are all in new shares"
    expected = FeatureEngine(XnysCalendar()).matrices(until)["NVDA"][-1]
    # Some add up from the first bar they see, and a restart sees fewer.
    columns = [i for i in range(len(NAMES)) if np.isfinite(expected[i]) and CATALOGUE[i].stationary]
    assert len(columns) > 100
    np.testing.assert_allclose(told.values[columns], expected[columns], rtol=1e-6, atol=1e-6)


async def test_a_kill_right_after_the_command_loses_nothing_and_books_nothing_twice(night: Night) -> None:
    stop = await night.split("4")
    await night.run.until("mismatch")
    code, said = await night.command("split", "NVDA", "4", "--reason", "announced")
    night.run.signal(signal.SIGKILL)
    assert code == 0, said
    await night.run.end()
    await night.start()
    await night.minutes(2)
    assert night.desk.rows(LOT) == [(420,)]
    await night.until(lambda: sum(n for n, _ in night.stops()) == 420)
    assert all(price >= stop / 4 for _, price in night.stops())
    code, said = await night.command(
        "split", "NVDA", "4", "--since", "2026-01-06", "--reason", "was it done?"
    )
    assert (code, "of this night is in the books" in said) == (2, True), said
    assert night.desk.rows("SELECT count(*) FROM quarantines WHERE ended IS NULL") == [(0,)]
    check_features(night.desk)


async def test_a_reverse_split_leaves_a_remainder_to_the_broker(night: Night) -> None:
    stop = await night.split("0.05")
    await night.run.until("mismatch")
    code, said = await night.command("split", "NVDA", "1:20", "--reason", "announced")
    assert code == 0, said
    assert night.desk.rows(LOT) == [(5,)] == [(night.gateway.books.quantity("NVDA"),)]
    await night.until(lambda: night.stops() == [(5, stop * 20)])
    for _ in range(6):
        await night.minutes(1)
        assert (await night.command("reconcile"))[0] == 0
    assert night.desk.rows("SELECT count(*) FROM quarantines WHERE ended IS NULL") == [(0,)]
    await night.minutes(1)
    assert len(night.desk.rows("SELECT * FROM cash_moves")) == 1  # for a quarter of a share
    ((cash,),) = night.desk.rows("SELECT cash FROM equity ORDER BY id DESC LIMIT 1")
    assert Decimal(cash) == (await account_at(night.port)).cash
