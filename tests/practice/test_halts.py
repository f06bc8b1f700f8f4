"""Trading halts on command, by circuit breaker and by limit up - limit down."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.market.days import Days
from robo_trader.practice.market.exchange import Filled
from robo_trader.simulation.flow import DrawnFlow
from robo_trader.simulation.tape import SLICE_NS, TapeMarket
from tests.practice.exchanges import (
    CALENDAR,
    MONDAY,
    TUESDAY,
    book_of,
    exchange_of,
    forward,
    open_exchange,
    top_of,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_a_halt_stops_prints_and_quotes_and_empties_the_book() -> None:
    exchange, free = open_exchange(), open_exchange()
    for one in (exchange, free):
        forward(one, 7)
    halt = exchange.begin_halt("AAPL", "news pending")
    assert exchange.halt("AAPL") == halt
    assert exchange.halt("MSFT") is exchange.halt("") is None
    assert exchange.book("AAPL") is None
    exchange.step()
    assert [quote[1:] for quote in exchange.quotes("AAPL")] == [(-1.0, -1.0, 0, 0)]
    price = exchange.last("AAPL")
    for _ in range(22):
        exchange.step()
        assert list(exchange.prints("AAPL")) == list(exchange.quotes("AAPL")) == []
        assert exchange.last("AAPL") == price
    assert exchange.end_halt("AAPL")
    assert not exchange.end_halt("AAPL")
    forward(free, 23)
    assert exchange.quote("AAPL") == free.quote("AAPL")
    exchange.step()
    free.step()
    assert exchange.quotes("AAPL")[-1][1:] == free.quote("AAPL")[1:]
    assert exchange.prints("AAPL") == free.prints("AAPL")


def test_history_of_a_halt_agrees_with_what_was_streamed() -> None:
    exchange = open_exchange()
    bars, prints = [], []
    for second in range(1, 301):
        exchange.step()
        prints += exchange.prints("AAPL")
        if exchange.slice_ended:
            bars.append(exchange.closed("AAPL"))
        if second == 7:
            exchange.begin_halt("AAPL", "regulatory")
        if second == 193:
            exchange.end_halt("AAPL")
    assert exchange.so_far("AAPL") == bars
    halted = [bar for bar in bars if bar is not None and not bar.volume]
    assert len(halted) == 36
    assert {bar[1:5] for bar in halted} == {(halted[0].close,) * 4}
    minutes, slices = (of("AAPL", exchange.session) for of in (exchange.minutes, exchange.slices))
    assert [start - exchange.session.open for start in minutes.start[:3]] == [0, 3 * MINUTE_NS, 4 * MINUTE_NS]
    for i in range(3):
        inside = [p for p in prints if minutes.start[i] <= p.ts < minutes.start[i] + MINUTE_NS]
        prices = [done.price for done in inside]
        assert (prices[0], max(prices), min(prices), prices[-1]) == (
            minutes.open[i], minutes.high[i], minutes.low[i], minutes.close[i],
        )  # fmt: skip
        assert sum(done.size for done in inside) == minutes.volume[i]
    k = [int(start - exchange.session.open) // SLICE_NS for start in slices.start]
    assert k[:4] == [0, 1, 38, 39]
    assert slices.volume.sum() == minutes.volume.sum()
    exchange.seek(exchange.now)
    assert exchange.so_far("AAPL") == bars


def test_a_market_wide_halt_stops_everything_for_a_quarter_of_an_hour() -> None:
    exchange = open_exchange()
    halt = exchange.break_circuit(1)
    assert halt is not None
    assert exchange.halt("") == exchange.halt("AAPL") == exchange.halt("MSFT") == halt
    assert halt.until - halt.since == 15 * MINUTE_NS
    forward(exchange, 15 * 60)
    assert exchange.halt("") is None
    exchange.seek(exchange.session.close - 30 * MINUTE_NS)
    assert exchange.break_circuit(2) is None
    last = exchange.break_circuit(3)
    assert last is not None
    assert last.until == exchange.session.close
    with pytest.raises(ValueError, match="level"):
        exchange.break_circuit(4)


def test_orders_keep_their_places_in_a_halt() -> None:
    exchange = open_exchange()
    price = Decimal(str(exchange.quote("AAPL").bid)) - 2
    book_of(exchange).rest(1, Side.BUY, price, 10)
    ahead = book_of(exchange).ahead(1)
    exchange.begin_halt("", "drill", exchange.now + MINUTE_NS)
    for _ in range(59):
        exchange.step()
        assert exchange.fills == []
        assert exchange.book("AAPL") is None
    exchange.step()
    book = book_of(exchange)
    assert 0 < book.ahead(1) <= ahead
    assert top_of(book) == exchange.quote("AAPL")[1:]


def test_a_book_reopens_at_the_present_quote_when_a_halt_is_ended() -> None:
    exchange = open_exchange()
    book_of(exchange).rest(1, Side.BUY, Decimal("1.00"), 10)
    exchange.begin_halt("AAPL", "news")
    forward(exchange, 33)
    exchange.end_halt("AAPL")
    assert top_of(book_of(exchange)) == exchange.quote("AAPL")[1:]


def test_a_market_that_comes_to_our_order_in_a_halt_serves_it_when_it_reopens() -> None:
    exchange, free = open_exchange(), open_exchange()
    forward(free, 3_600)
    rising = free.quote("AAPL").bid > exchange.quote("AAPL").ask
    price, side = (free.quote("AAPL").bid, Side.SELL) if rising else (free.quote("AAPL").ask, Side.BUY)
    book_of(exchange).rest(1, side, Decimal(str(price)), 10)
    exchange.begin_halt("AAPL", "news", exchange.now + 3_600 * SECOND_NS)
    forward(exchange, 3_600)
    assert exchange.fills == [Filled(1, 10, Decimal(str(price)))]


@pytest.fixture
def jumpy(tmp_path: Path) -> TapeMarket:
    """JUMP rises by 12 % in the 31st minute and stays; CALM by a cent; both trade 6,000 shares a minute."""
    rows = ["ts,symbol,open,high,low,close,volume"]
    for session in (MONDAY, TUESDAY):
        label = session.label
        for i in range(390):
            ts = f"{label}T{14 + (30 + i) // 60:02d}:{(30 + i) % 60:02d}:00Z"
            rows.append(f"{ts},CALM,50.00,50.01,49.99,50.00,6000")
            o, c = (100.0, 100.0) if i < 30 else (100.0, 112.0) if i == 30 else (112.0, 112.0)
            rows.append(f"{ts},JUMP,{o:.2f},{c:.2f},{o:.2f},{c:.2f},6000")
    path = tmp_path / "jump.csv"
    path.write_text("\n".join(rows) + "\n")
    return TapeMarket(path)


def test_a_price_that_runs_away_pauses_for_five_minutes(jumpy: TapeMarket) -> None:
    exchange = exchange_of(jumpy, "2026-01-12", 1)
    exchange.seek(MONDAY.open + 30 * MINUTE_NS)
    while exchange.halt("JUMP") is None:
        exchange.step()
    halt = exchange.halt("JUMP")
    assert halt is not None
    assert "limit up" in halt.reason
    assert halt.since == exchange.now
    assert exchange.halt("CALM") is None
    last = exchange.last("JUMP")
    assert last is not None
    assert last <= 105.5
    forward(exchange, 300)
    assert exchange.halt("JUMP") is None
    assert exchange.book("JUMP") is not None
    forward(exchange, 5)
    assert exchange.last("JUMP") == 112.0
    assert exchange.halt("JUMP") is None, "the price it reopens at is the new reference"
    minutes = exchange.minutes("JUMP", MONDAY)
    assert len(minutes) == 386
    assert minutes.high[30] == last
    assert exchange.halt("CALM") is None
    assert len(exchange.minutes("CALM", MONDAY)) == 390


def test_the_bands_are_wider_in_the_morning(jumpy: TapeMarket, tmp_path: Path) -> None:
    text = jumpy_text(0.07)
    path = tmp_path / "seven.csv"
    path.write_text(text)
    minutes = exchange_of(TapeMarket(path), "2026-01-12").minutes
    assert len(minutes("MORN", MONDAY)) == 390
    assert len(minutes("NOON", MONDAY)) < 390
    assert len(minutes("SLOW", MONDAY)) == 390, "a rise of a third in a day is no run"


def jumpy_text(jump: float) -> str:
    rows = ["ts,symbol,open,high,low,close,volume"]
    for symbol, at, drift in (("MORN", 5, 0.0), ("NOON", 200, 0.0), ("SLOW", 5, 0.0008)):
        for i in range(390):
            ts = f"2026-01-12T{14 + (30 + i) // 60:02d}:{(30 + i) % 60:02d}:00Z"
            price = 100.0 * (1 + jump * (i >= at)) * (1 + drift * i)
            rows.append(f"{ts},{symbol},{price:.2f},{price:.2f},{price:.2f},{price:.2f},6000")
    return "\n".join(rows) + "\n"


def test_the_pause_of_sprint_in_april_2018_is_found() -> None:
    path = DATA / "anomaly_luld_halts_sprint_2018.parquet"
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    market = TapeMarket(path)
    days = Days(market, CALENDAR, DrawnFlow(market))
    sessions = CALENDAR.sessions(date.fromisoformat(market.first), date.fromisoformat(market.last))
    found = [halt for session in sessions for halt in days.pauses("S", session)]
    assert [str(datetime.fromtimestamp(halt.since // SECOND_NS, NEW_YORK))[:16] for halt in found] == [
        "2018-04-10 12:37"
    ]
