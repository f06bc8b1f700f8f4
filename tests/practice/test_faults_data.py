"""Faults of market data and bars, and what the real client suffers from each."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise

import pytest
from ib_async import IB, Contract, MarketOrder, RealTimeBarList, Ticker

from tests.practice.conftest import Desk
from tests.practice.test_faults_connection import SHORT, codes_of

HOUR = ("", "1 D", "1 hour", "TRADES", True, 2)


async def quoted(desk: Desk, stock: Contract) -> tuple[IB, Ticker]:
    ib = await desk.connect()
    await desk.advance(10)
    ticker = ib.reqMktData(stock)
    await desk.advance(10)
    assert ticker.bid > 0
    return ib, ticker


async def streamed(desk: Desk, stock: Contract) -> tuple[IB, RealTimeBarList]:
    ib = await desk.connect()
    await desk.advance(5)
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.settle()
    return ib, bars


async def test_a_spike_is_one_price_at_which_nothing_traded(desk: Desk, stock: Contract) -> None:
    ib, ticker = await quoted(desk, stock)
    seen: list[float] = []
    ticker.updateEvent += lambda t: seen.append(t.last)
    before = ticker.last
    desk.gateway.plant("spike", factor=1.5)
    for _ in range(4):
        await desk.advance(5)
    assert max(seen) > before * 1.4
    assert ticker.last < before * 1.1
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    desk.gateway.plant("spike", factor=0.5, on=50)
    await desk.advance(10)
    assert bars[0].close < before * 0.6 < bars[1].close


async def test_a_stale_stream_keeps_its_last_values_without_an_error(
    desk: Desk, stock: Contract, thin: Contract
) -> None:
    ib, ticker = await quoted(desk, stock)
    other = ib.reqRealTimeBars(thin, 5, "TRADES", True)
    codes, last, seen = codes_of(ib), ticker.last, ticker.time
    desk.gateway.plant("stale", symbol="AAPL")
    await desk.advance(60)
    assert (ticker.last, ticker.time, codes, ib.isConnected()) == (last, seen, [], True)
    assert len(other) == 12


async def test_stale_stamps_date_a_live_price_back(desk: Desk, stock: Contract) -> None:
    _, ticker = await quoted(desk, stock)
    true = ticker.lastTimestamp
    desk.gateway.plant("stale-stamps", seconds=1800)
    await desk.advance(10)
    assert ticker.lastTimestamp < true - timedelta(minutes=29)


@pytest.mark.parametrize("by", [0, 0.25])
async def test_a_crossed_quote_has_no_spread_or_less(desk: Desk, stock: Contract, by: float) -> None:
    _, ticker = await quoted(desk, stock)
    desk.gateway.plant("crossed", by=by)
    await desk.advance(30)
    assert ticker.bid - ticker.ask == pytest.approx(by)


async def test_no_quote_is_minus_one(desk: Desk, stock: Contract) -> None:
    _, ticker = await quoted(desk, stock)
    desk.gateway.plant("no-quote")
    await desk.advance(30)
    assert (ticker.bid, ticker.ask, ticker.bidSize, ticker.askSize) == (-1, -1, 0, 0)
    assert ticker.last > 0


async def test_delayed_data_was_granted_where_live_data_was_asked_for(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    await desk.advance(5)
    desk.gateway.plant("delayed-type")
    ticker = ib.reqMktData(stock)
    await desk.advance(10)
    assert ticker.marketDataType == 3
    assert codes == [10167]
    assert ticker.bid > 0
    assert {tick.tickType for tick in ticker.ticks} <= {66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76}


async def test_a_competing_session_takes_the_stream_away(desk: Desk, stock: Contract) -> None:
    ib, ticker = await quoted(desk, stock)
    codes, last = codes_of(ib), ticker.last
    desk.gateway.plant("competing-session")
    await desk.advance(30)
    assert codes == [10197]
    assert ticker.last == last


@pytest.mark.parametrize("code", [162, 420, 100, 101])
async def test_data_refused_leaves_lists_empty_and_raises_nothing(
    desk: Desk, stock: Contract, code: int
) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    codes = codes_of(ib)
    desk.gateway.plant("data-refused", code=code)
    if code in (162, 100):
        assert list(await ib.reqHistoricalDataAsync(stock, *HOUR)) == []
    bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    ticker = ib.reqMktData(stock)
    await desk.advance(10)
    assert set(codes) == {code}
    assert len(bars) == (2 if code == 162 else 0)
    assert math.isnan(ticker.bid) == (code in (100, 101))


async def test_lines_lost_are_forgotten_for_good(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    desk.gateway.plant("lines-lost")
    await desk.advance(30)
    assert len(bars) == 0
    ib.cancelRealTimeBars(bars)
    again = ib.reqRealTimeBars(stock, 5, "TRADES", True)
    await desk.advance(5)
    assert len(again) == 1


async def test_unset_fields_reach_the_application(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    desk.gateway.plant("unset-fields")
    trade = ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.advance(5)
    assert trade.orderStatus.avgFillPrice > 1e308
    (held,) = ib.portfolio()
    assert held.marketPrice > 1e308
    assert held.marketValue > 1e308


async def test_a_gap_is_not_told(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    whole = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    desk.gateway.plant("gap", bars=2, on=17)
    holed = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    assert len(holed) == len(whole) - 2
    assert (holed[0], holed[-1]) == (whole[0], whole[-1])
    desk.gateway.lift()
    desk.gateway.plant("gap", on=50, after=1, times=2)
    await desk.advance(25)
    steps = [(b.time - a.time).seconds for a, b in pairwise(bars)]
    assert steps == [15, 5]


async def test_duplicate_bars_count_volume_twice(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    whole = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    desk.gateway.plant("duplicate-bars")
    twice = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    assert sum(bar.volume for bar in twice) == 2 * sum(bar.volume for bar in whole)
    await desk.advance(10)
    assert len(bars) == 4
    assert bars[0].time == bars[1].time


async def test_late_bars_arrive_in_the_wrong_order(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    growing = await ib.reqHistoricalDataAsync(stock, *HOUR, keepUpToDate=True)
    whole = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    desk.gateway.plant("late-bars")
    mixed = list(await ib.reqHistoricalDataAsync(stock, *HOUR))
    assert mixed != whole
    assert sorted(mixed, key=lambda bar: bar.date) == whole
    await desk.advance(20)
    times = [bar.time for bar in bars]
    assert times != sorted(times)
    assert len(times) == 4
    dates = [bar.date for bar in growing]
    assert dates == sorted(dates)  # the library drops what is older than its last bar


async def test_silent_keep_up_to_date_never_updates(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    desk.gateway.plant("silent-keep-up-to-date")
    growing = await ib.reqHistoricalDataAsync(stock, *HOUR, keepUpToDate=True)
    updates: list[bool] = []
    growing.updateEvent += lambda _bars, new: updates.append(new)
    await desk.advance(60)
    assert growing
    assert updates == []


async def test_an_empty_history_is_no_error_and_never_grows(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(5)
    codes = codes_of(ib)
    desk.gateway.plant("empty-history", times=1)
    growing = await ib.reqHistoricalDataAsync(stock, *HOUR, keepUpToDate=True)
    await desk.advance(60)
    assert (list(growing), codes) == ([], [])


async def test_a_history_timeout_is_an_empty_list(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    desk.gateway.plant("history-timeout")
    assert list(await ib.reqHistoricalDataAsync(stock, *HOUR, timeout=SHORT)) == []
    desk.gateway.lift()
    assert list(await ib.reqHistoricalDataAsync(stock, *HOUR))


async def test_nan_bars_are_handed_on(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    desk.gateway.plant("nan-bars")
    past = await ib.reqHistoricalDataAsync(stock, *HOUR)
    await desk.advance(5)
    assert all(math.isnan(bar.close) and bar.volume > 0 for bar in past)
    assert math.isnan(bars[0].high)


async def test_busted_bars_make_the_library_ask_again(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    codes = codes_of(ib)
    desk.gateway.plant("bars-busted", after=1)
    await desk.advance(30)
    assert codes == [10225]
    assert len(bars) == 5  # the busted one is missing


async def test_chance_is_the_same_for_the_same_seed(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    kept = []
    for seed in (1, 1, 2):
        bars.clear()
        desk.gateway.plant("gap", chance=0.5, seed=seed, on=50)
        await desk.advance(100)
        kept.append([(bar.time.second + bar.time.minute * 60) % 100 for bar in bars])
        desk.gateway.lift()
    assert kept[0] != kept[2]
    assert len(kept[0]) == len(kept[1])
    assert 4 < len(kept[0]) < 16
    assert ib.isConnected()


async def test_faults_compose_in_the_order_of_planting(desk: Desk, stock: Contract) -> None:
    ib, bars = await streamed(desk, stock)
    desk.gateway.plant("duplicate-bars", on=50)
    desk.gateway.plant("gap", on=50, times=1)
    await desk.advance(5)
    assert len(bars) == 1
    await desk.advance(5)
    assert len(bars) == 3
    assert [fault["strikes"] for fault in desk.gateway.planted()] == [2]
    assert ib.isConnected()
