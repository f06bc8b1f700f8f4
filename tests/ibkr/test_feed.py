"""What the practice market trades arrives as messages, and silence is noticed."""

import asyncio
from datetime import date

import pytest
from ib_async.objects import TickData
from ib_async.ticker import Ticker

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Feed
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.simulation.market import SyntheticMarket

CALENDAR = XnysCalendar()
DAY = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 5))[0]


def ticked(contract, bid, ask, kind=1):
    """Return a ticker whose bid has just changed; the library sets its own defaults when one is made."""
    ticker = Ticker(contract=contract)
    ticker.bid, ticker.bidSize, ticker.ask, ticker.askSize, ticker.marketDataType = bid, 1.0, ask, 1.0, kind
    ticker.ticks = [TickData(None, 1, bid, 1.0)]
    return ticker


async def listening(desk, *symbols):
    await desk.open()
    await desk.feed.subscribe(symbols or ("AAPL",))
    await desk.settle()
    return desk


async def test_real_time_bars_add_up_to_the_market_s_minutes(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance_to(DAY.open + 3 * MINUTE_NS)
    await desk.settle()
    source = SyntheticMarket(7).minutes("AAPL", DAY)
    assert [bar.ts for bar in desk.pipeline.bars] == [DAY.open + (i + 1) * 5 * SECOND_NS for i in range(36)]
    for i in range(3):
        slices = desk.pipeline.bars[12 * i : 12 * i + 12]
        assert slices[0].open == source.open[i]
        assert max(bar.high for bar in slices) == source.high[i]
        assert min(bar.low for bar in slices) == source.low[i]
        assert slices[-1].close == source.close[i]
        assert sum(bar.volume for bar in slices) == source.volume[i]
    assert {bar.interval_ns for bar in desk.pipeline.bars} == {5 * SECOND_NS}


async def test_quotes_and_trades_carry_market_time(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance(60)
    await desk.settle()
    assert desk.pipeline.quotes
    assert desk.pipeline.trades
    for tick in [*desk.pipeline.quotes, *desk.pipeline.trades]:
        assert DAY.open - 5 * SECOND_NS <= tick.ts <= DAY.open + 60 * SECOND_NS
    assert all(0 < quote.bid < quote.ask for quote in desk.pipeline.quotes)


async def test_streams_of_two_symbols_are_not_mixed_up(gateway, desks):
    desk = await listening(desks(), "AAPL", "NVDA")
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    await desk.settle()
    for symbol in ("AAPL", "NVDA"):
        bars = [bar for bar in desk.pipeline.bars if bar.symbol == symbol]
        assert bars[0].open == SyntheticMarket(7).minutes(symbol, DAY).open[0]


async def test_after_a_new_session_the_streams_are_asked_for_again(gateway, desks, wire):
    desk = await listening(desks(wire.port))
    wire.cut()
    await desk.connection.wait_lost()
    await listening(desk)
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    await desk.settle()
    assert len(desk.pipeline.bars) == 12


async def test_quotes_are_conflated_by_market_time(desks):
    desk = await listening(desks())
    contract = (await desk.contracts.qualify("AAPL")).contract
    desk.pipeline.quotes.clear()
    desk.feed._seen_ts = DAY.open + MINUTE_NS
    for i in range(100):
        desk.feed.on_tickers([ticked(contract, 100.0 + i, 101.0 + i)])
    assert [quote.bid for quote in desk.pipeline.quotes] == [100.0]
    desk.feed._seen_ts += SECOND_NS
    await desk.until(lambda: len(desk.pipeline.quotes) == 2)  # the last one is held back, not lost
    assert desk.pipeline.quotes[-1].bid == 199.0


@pytest.mark.parametrize(("bid", "ask", "kind"), [(-1.0, 10.0, 1), (float("nan"), 10.0, 1), (9.0, 10.0, 3)])
async def test_no_quote_comes_of_missing_sides_or_delayed_data(desks, bid, ask, kind):
    desk = await listening(desks())
    desk.pipeline.quotes.clear()
    contract = (await desk.contracts.qualify("AAPL")).contract
    desk.feed._seen_ts = DAY.open + MINUTE_NS
    desk.feed.on_tickers([ticked(contract, bid, ask, kind)])
    assert not desk.pipeline.quotes


async def test_a_bar_of_unset_values_is_refused_and_told(desks):
    desk = await listening(desks())
    request = desk.feed._streams["AAPL"].bars_request
    desk.feed.on_realtime_bar(request, DAY.open // SECOND_NS, (1.7e308, -1.0, 2.0, 3.0), 5.0)
    assert not desk.pipeline.bars
    assert desk.pipeline.statuses[-1].state is Feed.REJECTED


async def test_a_silent_stream_is_told_and_asked_for_again(gateway, desks):
    desk = await listening(desks(), "AAPL")
    feed = desk.feed
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    await desk.settle()
    first = feed._streams["AAPL"].bars_request
    await gateway[0].advance(0)
    # The market moves on by TWS's clock, and no bar comes for half a minute of ours.
    desk.connection.server_time = DAY.open + 2 * MINUTE_NS
    late = asyncio.get_running_loop().time() + 1e6
    feed._monotonic = lambda: late
    await desk.until(lambda: feed._streams["AAPL"].bars_request not in (-1, first))
    assert [status.state for status in desk.pipeline.statuses] == [Feed.STALE]
    await desk.settle()
    await gateway[0].advance(10)
    await desk.settle()
    assert desk.pipeline.statuses[-1].state is Feed.LIVE


async def test_the_quiet_of_the_night_is_no_failure(gateway, desks):
    desk = await listening(desks(), "AAPL")
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    desk.connection.server_time = DAY.close + 60 * MINUTE_NS
    late = asyncio.get_running_loop().time() + 1e6
    desk.feed._monotonic = lambda: late
    desk.feed._watch(desk.feed._streams["AAPL"])
    assert not desk.pipeline.statuses


async def test_a_restored_link_makes_us_ask_again_whatever_it_says(desks):
    desk = await listening(desks())
    first = desk.feed._streams["AAPL"].bars_request
    desk.connection.on_error(-1, 1100, "Connectivity between IB and TWS has been lost")
    desk.connection.on_error(-1, 1102, "restored - data maintained")
    await desk.until(lambda: desk.feed._streams["AAPL"].bars_request not in (-1, first))
    assert [status.state for status in desk.pipeline.statuses] == [Feed.LOST, Feed.LIVE]


async def test_a_refused_stream_is_told_with_the_reason(desks):
    desk = await listening(desks())
    request = desk.feed._streams["AAPL"].bars_request
    desk.connection.on_error(request, 420, "no market data permissions")
    assert desk.pipeline.statuses[-1].state is Feed.LOST
    assert desk.pipeline.statuses[-1].detail == "no market data permissions (420)"


# ------------------------------------------------------------------------------------------------ the past


async def test_history_equals_the_market_s_minutes(desks):
    desk = desks()
    await desk.connection.connect()
    sessions = CALENDAR.before(DAY.label, 8)
    bars = await desk.feed.history("AAPL", sessions[0].open)  # more than one page
    market = SyntheticMarket(7)
    for session in sessions:
        source = market.minutes("AAPL", session)
        day = [bar for bar in bars if session.open < bar.ts <= session.close]
        assert [bar.ts for bar in day] == [int(start) + MINUTE_NS for start in source.start]
        assert [bar.close for bar in day] == list(source.close)
        assert [bar.volume for bar in day] == list(source.volume)
    assert len(bars) == len({bar.ts for bar in bars})
    assert all(bar.history for bar in bars)
    assert [bar.ts for bar in bars] == sorted(bar.ts for bar in bars)


async def test_the_bar_still_open_is_not_history(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance_to(DAY.open + 2 * MINUTE_NS + 25 * SECOND_NS)
    bars = await desk.feed.history("AAPL", DAY.open)
    assert [bar.ts for bar in bars] == [DAY.open + MINUTE_NS, DAY.open + 2 * MINUTE_NS]
    source = SyntheticMarket(7).minutes("AAPL", DAY)
    assert bars[-1].volume == source.volume[1]


async def test_history_keeps_within_since_and_until(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance_to(DAY.open + 10 * MINUTE_NS)
    since, until = DAY.open + 3 * MINUTE_NS, DAY.open + 6 * MINUTE_NS
    bars = await desk.feed.history("AAPL", since, until)
    assert [bar.ts for bar in bars] == [DAY.open + i * MINUTE_NS for i in (4, 5, 6)]


async def test_longer_bars_are_closed_bars_too(gateway, desks):
    desk = await listening(desks(interval_ns=5 * MINUTE_NS))
    await gateway[0].advance_to(DAY.open + 12 * MINUTE_NS)
    bars = await desk.feed.history("AAPL", DAY.open)
    assert [(bar.ts, bar.interval_ns) for bar in bars] == [
        (DAY.open + 5 * MINUTE_NS, 5 * MINUTE_NS),
        (DAY.open + 10 * MINUTE_NS, 5 * MINUTE_NS),
    ]


async def test_a_gap_of_the_pipeline_is_filled_at_once(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance_to(DAY.open + 5 * MINUTE_NS)
    desk.pipeline.missing = [("AAPL", DAY.open + MINUTE_NS, DAY.open + 2 * MINUTE_NS)]
    desk.feed.on_gap(None)
    await desk.until(lambda: desk.pipeline.filled)
    assert [bar.ts for bar in desk.pipeline.filled] == [DAY.open + 2 * MINUTE_NS]


async def test_the_same_gap_is_not_asked_for_again_and_again(gateway, desks):
    desk = await listening(desks())
    await gateway[0].advance_to(DAY.open + 5 * MINUTE_NS)
    asked = []

    async def refused(*question):
        asked.append(question)
        raise RequestRefused(162, "pacing violation")

    desk.feed.history = refused
    desk.pipeline.missing = [("AAPL", DAY.open, DAY.open + MINUTE_NS)]
    await desk.feed.backfill()
    await desk.feed.backfill()
    assert len(asked) == 1


async def test_bars_without_live_prices_beside_them_do_not_reach_the_desk(gateway, desks):
    desk = await listening(desks())
    told = []
    desk.feed._on_stream = lambda *change: told.append(change)
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    await desk.settle()
    assert len(desk.pipeline.bars) == 12
    stream = desk.feed._streams["AAPL"]
    stream.ticker.marketDataType = 3
    await gateway[0].advance_to(DAY.open + 2 * MINUTE_NS)
    await desk.settle()
    assert len(desk.pipeline.bars) == 12
    assert told == [("AAPL", "delayed data instead of live (type 3)")]
    stream.ticker.marketDataType = 1
    await gateway[0].advance_to(DAY.open + 3 * MINUTE_NS)
    await desk.settle()
    assert len(desk.pipeline.bars) == 24
    assert told[1:] == [("AAPL", "")]


async def test_a_flood_of_reports_about_the_link_is_one_trouble_until_a_bar_comes(gateway, desks):
    desk = await listening(desks())
    told = []
    desk.feed._on_stream = lambda *change: told.append(change)
    await gateway[0].advance_to(DAY.open + MINUTE_NS)
    await desk.settle()
    gateway[0].plant("outage-flood", count=50)
    await gateway[0].advance(5)
    await desk.settle()
    assert told[0][1].endswith("(1100)")
    await gateway[0].advance(60)
    await desk.until(lambda: told[-1] == ("AAPL", ""))
    assert len(told) <= 4


async def test_at_night_a_broken_link_stays_in_trouble_until_tws_says_it_is_over(desks):
    desk = await listening(desks())  # before the first open: no bar can come
    told = []
    desk.feed._on_stream = lambda *change: told.append(change)
    desk.connection.on_error(-1, 2110, "Connectivity between TWS and server is broken")
    stream = desk.feed._streams["AAPL"]
    await desk.feed._restart(stream)
    assert told == [("AAPL", "Connectivity between TWS and server is broken (2110)")]
    desk.connection.on_error(-1, 2104, "Market data farm connection is OK:usfarm")
    await desk.until(lambda: told[1:] == [("AAPL", "")])
