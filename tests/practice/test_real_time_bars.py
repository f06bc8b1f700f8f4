"""Five-second bars as they end, against the tape they come from."""

from __future__ import annotations

from itertools import pairwise

import pytest
from ib_async import Contract

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.practice.data.lines import DataOptions
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.wiretap import errors, market, tap, today


async def test_real_time_bars_come_every_five_seconds_and_add_up_to_the_tape(
    desk: Desk, tape: TapeMarket, stock: Contract
) -> None:
    ib = await desk.connect()
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(5 + 600)
    assert len(bars) == 120
    assert {(b.time - a.time).seconds for a, b in pairwise(bars)} == {5}
    day = tape.minutes("AAPL", today())
    for i in range(10):
        part = bars[12 * i : 12 * i + 12]
        assert part[0].time.timestamp() == day.start[i] // SECOND_NS
        assert (part[0].open_, part[-1].close) == (day.open[i], day.close[i])
        assert (max(b.high for b in part), min(b.low for b in part)) == (day.high[i], day.low[i])
        assert sum(b.volume for b in part) == day.volume[i]


@pytest.mark.parametrize("shows", ["BID", "ASK", "MIDPOINT"])
async def test_bars_of_quotes_lie_around_those_of_trades_and_count_nothing(
    desk: Desk, stock: Contract, shows: str
) -> None:
    ib = await desk.connect()
    trades, quotes = ib.reqRealTimeBars(stock, 5, "TRADES", True), ib.reqRealTimeBars(stock, 5, shows, False)
    await desk.advance(5 + 300)
    assert len(quotes) == len(trades) == 60
    assert {(b.volume, b.wap, b.count) for b in quotes} == {(-1, -1, -1)}
    sign = {"BID": -1, "ASK": 1, "MIDPOINT": 0}[shows]
    for quoted, traded in zip(quotes, trades, strict=True):
        assert quoted.time == traded.time
        for name in ("open_", "high", "low", "close"):
            away = getattr(quoted, name) - getattr(traded, name)
            assert abs(away) <= 0.04
            assert away * sign >= 0
        assert quoted.low <= min(quoted.open_, quoted.close) <= max(quoted.open_, quoted.close) <= quoted.high


async def test_silence_has_real_time_bars_at_the_last_price(desk: Desk, thin: Contract) -> None:
    ib = await desk.connect()
    bars = ib.reqRealTimeBars(thin, 5, "TRADES", True)
    await desk.advance(5 + 12 * 60)
    silent = bars[120:]
    assert [(b.open_, b.high, b.low, b.close, b.volume) for b in silent] == [
        (50.01, 50.01, 50.01, 50.01, 0.0)
    ] * 24


async def test_a_halt_has_bars_without_volume(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(65)
    market(desk).begin_halt("AAPL", "news pending")
    await desk.advance(30)
    assert [b.volume for b in bars[-6:]] == [0] * 6
    assert {b.close for b in bars[-6:]} == {bars[-7].close}


async def test_cancelled_bars_stop(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(10)
    ib.cancelRealTimeBars(bars)
    await desk.advance(60)
    assert len(bars) == 1


async def test_the_night_is_skipped_and_the_tape_ends(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.gateway.advance_to(today().close - MINUTE_NS)
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(600)
    assert len(bars) == 12
    assert (await ib.reqCurrentTimeAsync()).timestamp() == today().close / 1e9
    assert ib.isConnected()


async def test_other_bars_are_refused(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    told, heard = errors(ib), tap(ib, instead=True)
    ib.client.reqRealTimeBars(50, stock, 30, "TRADES", True, [])
    ib.client.reqRealTimeBars(51, stock, 5, "YIELD", True, [])
    ib.client.reqRealTimeBars(52, stock, 5, "BID", True, [])
    ib.client.reqRealTimeBars(52, stock, 5, "BID", True, [])
    ib.client.cancelRealTimeBars(999)
    await desk.advance(10)
    assert told == [(50, 321), (51, 321), (52, 322), (999, 300)]
    assert [m[2] for m in heard if m[0] == "50"] == ["52"]


async def test_lines_of_bars_are_limited(tape: TapeMarket, stock: Contract) -> None:
    async with desk_of(PracticeOptions(speed=0, data=DataOptions(market_data=1)), tape) as desk:
        ib = await desk.connect()
        told = errors(ib)
        for request in (50, 51):
            ib.client.reqRealTimeBars(request, stock, 5, "TRADES", True, [])
        await desk.settle()
        assert told == [(51, 101)]
