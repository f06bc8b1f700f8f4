"""Bars of every size and kind, against the minutes they are made of, added up here in plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import NEW_YORK, XnysCalendar
from robo_trader.practice.data.history import SHOWN, History, PastBar
from robo_trader.practice.data.periods import BAR_SIZES, DAY_NS, HOUR_NS, MONTH_NS, WEEK_NS, NoAnswer
from robo_trader.practice.market.exchange import Exchange
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import TapeMarket, standing_quote

CALENDAR = XnysCalendar()
SHARES = Path(__file__).parents[2] / ".." / "shared" / "data" / "shippable"


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    """A drawn market whose past holds the change of clocks of 2 November and the half-days of 28 and 24."""
    return Exchange(SyntheticMarket(7), CALENDAR, "2025-12-29")


def local(ts: int) -> datetime:
    return datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK)


def minutes_of(exchange: Exchange, symbol: str, sessions: Iterable[Session]) -> list[tuple[Any, ...]]:
    rows = []
    for session in sessions:
        day = exchange.minutes(symbol, session)
        columns = (day.start, day.open, day.high, day.low, day.close, day.volume)
        rows += list(zip(*(column.tolist() for column in columns), strict=True))
    return rows


def bucket(ts: int, interval: int) -> tuple[int, ...]:
    """Return what tells a bar from the others, by New York's clock and calendar."""
    at = local(ts)
    if interval == MONTH_NS:
        return at.year, at.month
    if interval == WEEK_NS:
        return at.isocalendar()[:2]
    if interval == DAY_NS:
        return (at.toordinal(),)
    minute = at.hour * 60 + at.minute
    return at.toordinal(), minute // (interval // MINUTE_NS)


def added(rows: list[tuple[Any, ...]], interval: int) -> list[tuple[Any, ...]]:
    bars = []
    for _, group in groupby(rows, key=lambda row: bucket(row[0], interval)):
        part = list(group)
        _, opens, highs, lows, closes, volumes = zip(*part, strict=True)
        bars.append((opens[0], max(highs), min(lows), closes[-1], sum(volumes)))
    return bars


def figures(bars: Iterable[PastBar]) -> list[tuple[Any, ...]]:
    return [bar[1:6] for bar in bars]


@pytest.mark.parametrize("size", [size for size, interval in BAR_SIZES.items() if interval >= MINUTE_NS])
def test_bars_of_every_size_add_up_the_minutes_over_clock_changes_and_half_days(
    exchange: Exchange, size: str
) -> None:
    interval = BAR_SIZES[size]
    bars = History(exchange).bars("SPY", "TRADES", "", "3 M", interval)
    begin = {WEEK_NS: date(2025, 9, 29), MONTH_NS: date(2025, 9, 1)}.get(interval, date(2025, 9, 30))
    sessions = CALENDAR.sessions(begin, date(2025, 12, 26))
    assert figures(bars) == added(minutes_of(exchange, "SPY", sessions), interval)
    if interval < DAY_NS:
        starts = [local(bar.start) for bar in bars]
        assert {(at.hour, at.minute) for at in starts if at.hour == 9} >= {(9, 30)}
        assert all(
            (at.hour * 60 + at.minute) % (interval // MINUTE_NS) == 0 or (at.hour, at.minute) == (9, 30)
            for at in starts
        )
    assert [bar.start for bar in bars] == sorted({bar.start for bar in bars})


@pytest.mark.parametrize("size", ["1 secs", "5 secs", "10 secs", "15 secs", "30 secs"])
def test_bars_of_seconds_add_up_to_the_minutes(exchange: Exchange, size: str) -> None:
    bars = History(exchange).bars("SPY", "TRADES", "20251128 18:00:00 UTC", "1800 S", BAR_SIZES[size])
    (half_day,) = CALENDAR.sessions(date(2025, 11, 28), date(2025, 11, 28))
    rows = [(bar.start, *bar[1:6]) for bar in bars]
    assert added(rows, MINUTE_NS) == added(minutes_of(exchange, "SPY", [half_day])[-30:], MINUTE_NS)


@pytest.mark.parametrize(("size", "count"), [("5 secs", 12), ("30 secs", 2), ("1 min", 1)])
def test_bars_of_seconds_add_up_to_each_other(exchange: Exchange, size: str, count: int) -> None:
    history = History(exchange)
    seconds = history.bars("SPY", "TRADES", "", "300 S", SECOND_NS)
    bars = history.bars("SPY", "TRADES", "", "300 S", BAR_SIZES[size])
    assert len(bars) == 5 * count
    rows = [(bar.start, *bar[1:6]) for bar in seconds]
    by_start = [
        added([row for row in rows if bar.start <= row[0] < bar.start + BAR_SIZES[size]], DAY_NS)[0]
        for bar in bars
    ]
    assert by_start == figures(bars)


@pytest.mark.parametrize("what", ["BID", "ASK", "MIDPOINT"])
def test_quotes_stand_around_the_trades(exchange: Exchange, what: str) -> None:
    history = History(exchange)
    trades = history.bars("SPY", "TRADES", "", "600 S", 5 * SECOND_NS)
    quotes = history.bars("SPY", what, "", "600 S", 5 * SECOND_NS)
    assert [bar.start for bar in quotes] == [bar.start for bar in trades]

    def shown(price: float) -> float:
        bid, ask = standing_quote(price, exchange.source.spread("SPY", price))
        return {"BID": bid, "ASK": ask, "MIDPOINT": round((bid + ask) / 2, 4)}[what]

    for traded, quoted in zip(trades, quotes, strict=True):
        around = [shown(price) for price in traded[1:5]]
        assert quoted[1:5] == (around[0], max(around), min(around), around[3])
        assert quoted[5:] == (-1, -1.0)


@pytest.mark.parametrize("what", ["BID", "ASK", "MIDPOINT"])
@pytest.mark.parametrize(
    ("size", "smaller", "duration"),
    [
        ("1 min", "5 secs", "2 D"),
        ("4 hours", "1 min", "2 W"),
        ("1 day", "1 min", "2 W"),
        ("1 week", "1 min", "5 W"),
        ("1 month", "1 min", "5 W"),
    ],
)
def test_larger_bars_of_quotes_add_up_smaller_ones(
    exchange: Exchange, what: str, size: str, smaller: str, duration: str
) -> None:
    history = History(exchange)
    small = history.bars("SPY", what, "", duration, BAR_SIZES[smaller])
    large = history.bars("SPY", what, "", "1 W" if duration == "5 W" else duration, BAR_SIZES[size])
    expected = added([(bar.start, *bar[1:6]) for bar in small], BAR_SIZES[size])
    assert [bar[1:5] for bar in large] == [bar[:4] for bar in expected][-len(large) :]


def test_bars_of_both_quotes_hold_their_means_and_extremes(exchange: Exchange) -> None:
    history = History(exchange)
    both, bid, ask = (history.bars("SPY", what, "", "1 D", HOUR_NS) for what in ("BID_ASK", "BID", "ASK"))
    assert [bar.high for bar in both] == [bar.high for bar in ask]
    assert [bar.low for bar in both] == [bar.low for bar in bid]
    for pair, low, high in zip(both, bid, ask, strict=True):
        assert low.low <= pair.open <= low.high < high.high
        assert high.low <= pair.close <= high.high
        assert pair.open < pair.close


def test_quotes_stand_where_nothing_trades(tape: TapeMarket) -> None:
    exchange = Exchange(tape, CALENDAR, None)
    history = History(exchange)
    assert len(history.bars("THIN", "TRADES", "", "1 D", MINUTE_NS)) == 385
    quotes = history.bars("THIN", "MIDPOINT", "", "1 D", MINUTE_NS)
    assert len(quotes) == 390
    silent = quotes[11:15]
    assert {bar[1:5] for bar in silent} == {(silent[0].open,) * 4}


@pytest.mark.parametrize("what", SHOWN)
@pytest.mark.parametrize("size", ["1 secs", "5 secs", "1 min", "1 hour", "1 day", "1 week"])
def test_nothing_later_than_now_is_told(what: str, size: str) -> None:
    market = SyntheticMarket(7)
    early, late = (Exchange(market, CALENDAR, "2025-12-29") for _ in range(2))
    now = early.session.open + 95 * MINUTE_NS + 35 * SECOND_NS
    for exchange, ts in ((early, now), (late, early.session.close)):
        while exchange.now < ts:
            exchange.step()
    duration = "600 S" if size == "1 secs" else "2 D"
    told = History(early).bars("SPY", what, "", duration, BAR_SIZES[size])
    end = datetime.fromtimestamp(now // SECOND_NS, UTC)
    asked = History(late).bars("SPY", what, f"{end:%Y%m%d-%H:%M:%S}", duration, BAR_SIZES[size])
    assert told == asked
    assert told[-1].start <= now or BAR_SIZES[size] > DAY_NS


def test_the_bar_in_the_making_is_the_last_one_of_history() -> None:
    exchange = Exchange(SyntheticMarket(7), CALENDAR, "2025-12-29")
    history = History(exchange)
    for _ in range(40):
        exchange.step()
    for what in SHOWN:
        for size, interval in BAR_SIZES.items():
            if interval > SECOND_NS:
                assert (
                    history.newest("SPY", what, interval)
                    == history.bars("SPY", what, "", "1 D", interval)[-1]
                ), (
                    what,
                    size,
                )


def test_a_split_divides_and_a_dividend_lowers_what_was_before() -> None:
    exchange = Exchange(SyntheticMarket(7), CALENDAR, "2025-12-29")
    history = History(exchange)
    before = history.bars("SPY", "TRADES", "", "1 W", DAY_NS)
    exchange.split("SPY", Decimal(2))
    exchange.dividend("SPY", Decimal(1))
    while exchange.session.label != "2025-12-30":
        exchange.step()
    halved = history.bars("SPY", "TRADES", "20251229 00:00:00", "1 W", DAY_NS)
    assert [bar.volume for bar in halved] == [2 * bar.volume for bar in before[-len(halved) :]]
    assert halved[-1].close == pytest.approx(before[-1].close / 2, abs=0.011)
    adjusted = history.bars("SPY", "ADJUSTED_LAST", "", "2 W", DAY_NS)
    raw = history.bars("SPY", "TRADES", "", "2 W", DAY_NS)
    ex = next(i for i, bar in enumerate(raw) if local(bar.start).date() == date(2025, 12, 29))
    factor = 1 - 1 / raw[ex].close
    assert [bar.close for bar in adjusted[: ex + 1]] == pytest.approx(
        [b.close * factor for b in raw[: ex + 1]], abs=0.006
    )
    assert [bar.volume for bar in adjusted] == [bar.volume for bar in raw]


def test_more_bars_than_an_answer_holds_are_refused(exchange: Exchange) -> None:
    with pytest.raises(NoAnswer, match="Time length exceed max"):
        History(exchange).bars("SPY", "TRADES", "", "52 W", 5 * SECOND_NS)


def test_real_minutes_come_back_as_they_are() -> None:
    file = SHARES / "bars_1min_spy_2020_12_Apache2.parquet"
    if not file.is_file():
        pytest.skip(f"{file.name} is not on this machine")
    tape = TapeMarket(file)
    exchange = Exchange(tape, CALENDAR, tape.last)
    while exchange.now < exchange.session.close:
        exchange.step()
    (symbol,) = tape.symbols
    sessions = CALENDAR.sessions(date.fromisoformat(tape.first), date.fromisoformat(tape.last))
    rows = minutes_of(exchange, symbol, sessions)
    history = History(exchange)
    for interval in (MINUTE_NS, 5 * MINUTE_NS, HOUR_NS, DAY_NS):
        assert figures(history.bars(symbol, "TRADES", "", "2 M", interval)) == added(rows, interval)
