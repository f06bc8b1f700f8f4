"""Market data lines with generic ticks, and snapshots."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from ib_async import Contract

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk
from tests.practice.wiretap import errors, market, tap, ticks, today


async def test_the_volume_line_adds_up_and_knows_the_average_price(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib)
    ticker = ib.reqMktData(stock, "233,375")
    await desk.advance(5 + 60)
    assert ticker.rtVolume == ticker.rtTradeVolume == ticker.volume == 12_000
    prints = list(market(desk).prints_between("AAPL", today().open, today().open + MINUTE_NS))
    assert ticker.vwap == pytest.approx(sum(p.price * p.size for p in prints) / 12_000)
    last = [fields[0] for _, kind, fields in ticks(heard) if kind == 48][-1].split(";")
    assert last[:4] == [
        repr(prints[-1].price),
        str(prints[-1].size),
        str(prints[-1].ts // 1_000_000),
        "12000",
    ]
    assert last[5] in ("true", "false")


async def test_other_generic_ticks_tell_what_they_are_for(
    desk: Desk, tape: TapeMarket, stock: Contract, caplog: pytest.LogCaptureFixture
) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock, "104,106,165,220,221,236,293,294,295,318,411,456,619")
    await desk.advance(5 + 120)
    past = [tape.minutes("AAPL", s) for s in XnysCalendar().before("2026-01-13", 3)]
    assert ticker.high13week == ticker.high52week == max(day.high.max() for day in past)
    assert ticker.low26week == min(day.low.min() for day in past)
    assert ticker.avVolume == 390 * 12_000
    assert ticker.histVolatility == ticker.rtHistVolatility
    assert ticker.bid <= ticker.markPrice <= ticker.ask
    assert ticker.creditmanMarkPrice == ticker.creditmanSlowMarkPrice == ticker.markPrice
    assert ticker.lastRthTrade == ticker.last
    assert (ticker.shortable, ticker.shortableShares) == (3.0, 10_000_000)
    assert ticker.tradeCount == len(list(market(desk).prints_between("AAPL", today().open, market(desk).now)))
    assert (ticker.tradeRate, ticker.volumeRate) == (120, 12_000)
    assert ticker.dividends is None
    assert [r for r in caplog.records if r.levelname == "ERROR"] == []


async def test_the_auctions_are_told(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock, "225")
    await desk.advance(6)
    (first, *_) = market(desk).prints("AAPL")
    assert (ticker.auctionPrice, ticker.auctionVolume) == (first.price, first.size)
    await desk.gateway.advance_to(today().close)
    await desk.settle()
    last = market(desk).prints("AAPL")[-1]
    assert (ticker.auctionPrice, ticker.auctionVolume) == (last.price, last.size)


async def test_a_dividend_to_come_is_told(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    ticker = ib.reqMktData(stock, "456")
    await desk.advance(5)
    market(desk).dividend("AAPL", Decimal("0.25"))
    await desk.advance(1)
    assert ticker.dividends is not None
    assert (ticker.dividends.next12Months, ticker.dividends.nextAmount) == (0.25, 0.25)
    assert ticker.dividends.nextDate == date(2026, 1, 14)


@pytest.mark.parametrize("wanted", ["999", "9" * 5000, "abc", "233,", "100,101,104,105,106,258,460,588,595"])
async def test_a_list_of_generic_ticks_is_legal_or_refused(desk: Desk, stock: Contract, wanted: str) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ticker = ib.reqMktData(stock, wanted)
    await desk.advance(5)
    refused = wanted.startswith("999") or wanted == "abc"
    assert [code for _, code in told] == ([321] if refused else [])
    assert (ticker.bid > 0) is not refused


async def test_a_snapshot_ends_by_itself_and_no_stream_follows(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(10)
    heard = tap(ib)
    (ticker,) = await ib.reqTickersAsync(stock)
    assert 0 < ticker.bid < ticker.ask
    assert ticker.last > 0
    assert heard[-1][0] == "57"
    await desk.advance(10)
    assert not [
        m for m in heard[heard.index(next(m for m in heard if m[0] == "57")) + 1 :] if m[0] in ("1", "2")
    ]


async def test_a_snapshot_of_the_night_has_no_quote_and_does_not_wait(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.gateway.advance_to(today().close)
    (ticker,) = await ib.reqTickersAsync(stock, regulatorySnapshot=True)
    assert (ticker.bid, ticker.ask) == (-1, -1)
    assert ticker.last == market(desk).last("AAPL")


async def test_a_snapshot_before_the_bell_waits_for_the_first_quote(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    heard = tap(ib, instead=True)
    ib.client.reqMktData(50, stock, "", True, False, [])
    await desk.advance(4)
    assert not [m for m in heard if m[0] == "57"]
    await desk.advance(1)
    assert [m[0] for m in heard if m[0] in ("1", "57")][-1] == "57"


async def test_a_snapshot_in_a_halt_ends_after_eleven_seconds(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    await desk.advance(65)
    market(desk).begin_halt("AAPL", "news pending")
    await desk.advance(1)
    heard = tap(ib, instead=True)
    ib.client.reqMktData(50, stock, "", True, False, [])
    await desk.advance(10)
    assert not [m for m in heard if m[0] == "57"]
    await desk.advance(1)
    assert [m[2] for m in heard if m[0] == "57"] == ["50"]


async def test_a_snapshot_takes_no_generic_ticks(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    told = errors(ib)
    ib.reqMktData(stock, "233", snapshot=True)
    await desk.settle()
    assert [code for _, code in told] == [321]
