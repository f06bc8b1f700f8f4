"""Tapes of real ticks: read, checked, and replayed print by print."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.market.exchange import Auction, Exchange, Filled
from robo_trader.simulation.flow import Print, TouchAt
from robo_trader.simulation.limit_book import Level
from robo_trader.simulation.rows import fill_session
from robo_trader.simulation.tape import TapeMarket
from robo_trader.simulation.tick_tape import TickTape, open_tape

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 12), date(2026, 1, 13))
Write = Callable[..., Path]

QUOTES = """\
ts,symbol,kind,price,size,exchange,conditions,bid,bid_size,ask,ask_size
2026-01-12T14:20:00Z,IBM,quote,,,,,99.90,100,100.10,100
2026-01-12T14:29:59.9Z,IBM,trade,98.00,5,ARCA,T,,,,
2026-01-12T14:30:00.25Z,IBM,trade,100.00,5000,NYSE,O,,,,
2026-01-12T14:30:00.25Z,IBM,quote,,,,,100.00,300,100.02,200
2026-01-12T14:30:01Z,IBM,trade,100.02,200,NASDAQ,,,,,
2026-01-12T14:30:01Z,IBM,quote,,,,,,,100.03,400
2026-01-12T14:30:02.5Z,IBM,trade,100.015,37,FINRA,I,,,,
2026-01-12T14:30:04.999999999Z,IBM,trade,100.00,100,NYSE,,100.00,200,,
2026-01-12T14:30:05Z,IBM,quote,,,,,,0,,
2026-01-12T14:31:00Z,IBM,trade,99.99,60,NYSE,I,99.98,500,100.00,500
2026-01-12T14:40:00Z,IBM,trade,101.00,10,NYSE,I,,,,
2026-01-12T20:59:59Z,IBM,trade,101.50,900,NYSE,6,,,,
2026-01-12T21:00:00Z,IBM,trade,77.00,900,NYSE,,,,,
2026-01-13T14:30:07Z,IBM,trade,102.00,100,NYSE,O,101.99,100,102.01,100
"""

DEPTH = """\
ts,symbol,kind,price,size,bid1,bid1_size,ask1,ask1_size,bid2,bid2_size,ask2,ask2_size
2026-01-12T14:30:00Z,AAPL,quote,,,200.00,300,200.04,100,199.99,500,200.05,800
2026-01-12T14:30:02Z,AAPL,trade,200.00,100,200.00,200,200.04,100,199.99,500,200.05,800
2026-01-12T14:30:03Z,AAPL,quote,,,200.00,200,200.04,100,,,200.05,0
2026-01-12T14:30:04Z,AAPL,trade,200.00,250,199.98,100,200.04,100,,,,
2026-01-12T20:00:00Z,AAPL,trade,200.00,1,,,,,,,,
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "ticks.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        if path.suffix == ".parquet":
            import pyarrow.csv
            import pyarrow.parquet

            plain = path.with_suffix(".csv")
            plain.write_text(text)
            pyarrow.parquet.write_table(pyarrow.csv.read_csv(plain), path)
        return path

    return write


def replay(market: TickTape, symbol: str, session: Session, seconds: int, beats: int) -> list[Print]:
    """Return the prints of a session's first seconds as an exchange streams them."""
    exchange = Exchange(market, CALENDAR, session.label, beats)
    prints: list[Print] = []
    while exchange.now < session.open + seconds * SECOND_NS:
        exchange.step()
        prints += exchange.prints(symbol)
        if exchange.slice_ended:
            inside = [done for done in prints if done.ts >= exchange.now - 5 * SECOND_NS]
            closed = exchange.closed(symbol)
            if closed is not None:
                assert closed.volume == sum(done.size for done in inside)
            if inside:
                paid = [done.price for done in inside]
                assert closed is not None
                assert closed[1:5] == (paid[0], max(paid), min(paid), paid[-1])
    return prints


def test_a_tape_is_of_ticks_where_it_has_a_kind_and_of_bars_where_it_has_not(write: Write) -> None:
    bars = "ts,symbol,open,high,low,close,volume\n2026-01-12T14:30:00Z,IBM,1,1,1,1,1\n2026-01-12T20:00:00Z,IBM,1,1,1,1,1\n"
    assert isinstance(open_tape(write(QUOTES)), TickTape)
    assert isinstance(open_tape(write(DEPTH, "depth.parquet")), TickTape)
    assert isinstance(open_tape(write(bars, "bars.csv")), TapeMarket)
    assert isinstance(open_tape(write(bars, "bars.parquet")), TapeMarket)
    with pytest.raises(DataError, match="no such tape"):
        open_tape(Path("nowhere.parquet"))


@pytest.mark.parametrize("name", ["ticks.csv", "ticks.parquet"])
@pytest.mark.parametrize("beats", [1, 5, 50])
def test_the_prints_replayed_are_those_of_the_tape(write: Write, name: str, beats: int) -> None:
    prints = replay(TickTape(write(QUOTES, name)), "IBM", MONDAY, 600, beats)
    assert [(p.ts - MONDAY.open, *p[1:]) for p in prints] == [
        (250_000_000, 100.0, 5_000, "NYSE", "O"),
        (1_000_000_000, 100.02, 200, "NASDAQ", ""),
        (2_500_000_000, 100.015, 37, "FINRA", "I"),
        (4_999_999_999, 100.0, 100, "NYSE", ""),
        (60_000_000_000, 99.99, 60, "NYSE", "I"),
    ]


def test_bars_are_made_of_the_trades_in_regular_hours(write: Write) -> None:
    market = TickTape(write(QUOTES))
    minutes = market.minutes("IBM", MONDAY)
    assert list((minutes.start - MONDAY.open) // MINUTE_NS) == [0, 1, 10, 389]
    assert [column[0] for column in (minutes.open, minutes.high, minutes.low, minutes.close)] == [
        100.0, 100.02, 100.0, 100.0,
    ]  # fmt: skip
    assert list(minutes.volume) == [5_337, 60, 10, 900]
    assert (market.first, market.last) == ("2026-01-12", "2026-01-13")
    assert len(market.minutes("MSFT", MONDAY)) == 0
    assert market.knows("IBM")
    assert not market.knows("MSFT")
    assert market.spread("IBM", 100.0) == 0.02


def test_quotes_stand_until_their_side_is_told_again(write: Write) -> None:
    market = TickTape(write(QUOTES))
    exchange = Exchange(market, CALENDAR, "2026-01-12", 5)
    while not exchange.is_open:
        exchange.step()
    stands = [exchange.quote("IBM")[1:]]
    for _ in range(6):
        exchange.step()
        stands += [quote[1:] for quote in exchange.quotes("IBM")]
    assert stands == [
        (99.9, 100.1, 100, 100),
        (100.0, 100.02, 300, 200),
        (100.0, 100.03, 300, 400),
        (100.0, 100.03, 200, 400),
        (-1.0, 100.03, 0, 400),
    ]
    exchange.seek(TUESDAY.open)
    assert exchange.quote("IBM")[1:] == (-1.0, -1.0, 0, 0), "yesterday's quote does not stand today"


def test_auctions_are_those_the_conditions_mark(write: Write) -> None:
    exchange = Exchange(TickTape(write(QUOTES)), CALENDAR, "2026-01-12", 5)
    found = []
    while exchange.now < MONDAY.close:
        exchange.step()
        if (auction := exchange.auction("IBM")) is not None:
            found.append((exchange.now, auction))
    assert found == [
        (MONDAY.open + SECOND_NS, Auction(True, 100.0, 5_000)),
        (MONDAY.close, Auction(False, 101.5, 900)),
    ]


def test_a_deep_book_is_the_tapes_and_serves_by_its_trades(write: Write) -> None:
    exchange = Exchange(TickTape(write(DEPTH)), CALENDAR, None, 5)
    exchange.seek(MONDAY.open + SECOND_NS)
    book = exchange.book("AAPL")
    assert book is not None
    assert book.levels(Side.BUY) == [Level(200.0, 300), Level(199.99, 500)]
    assert book.levels(Side.SELL) == [Level(200.04, 100), Level(200.05, 800)]
    book.rest(1, Side.BUY, Decimal("200.00"), 40)
    exchange.step()
    exchange.step()
    assert (book.ahead(1), exchange.fills) == (200, [])
    exchange.step()
    assert book.levels(Side.BUY) == [Level(200.0, 200)]
    assert book.levels(Side.SELL) == [Level(200.04, 100)]
    exchange.step()
    assert exchange.fills == [Filled(1, 40, Decimal("200.00"))]


def test_a_passage_is_in_the_order_of_the_tape(write: Write) -> None:
    market = TickTape(write(QUOTES))
    cut = market.slices("IBM", MONDAY, market.minutes("IBM", MONDAY))
    rows = fill_session(MONDAY, cut, None)
    assert rows is not None
    passage = market.passage("IBM", MONDAY, rows, 0)
    assert [type(event) for event in passage.events] == [
        Print,
        TouchAt,
        Print,
        TouchAt,
        Print,
        Print,
        TouchAt,
    ]
    last = passage.events[-1]
    assert isinstance(last, TouchAt)
    start = market.passage("IBM", MONDAY, rows, 1).start
    assert msgspec.structs.replace(start, ts=last.ts) == last
    assert market.levels("IBM", MONDAY, rows, start) == market.levels("IBM", MONDAY, rows, last)


def test_ticks_can_be_halted_but_not_split(write: Write) -> None:
    exchange = Exchange(TickTape(write(QUOTES)), CALENDAR, None, 1)
    exchange.seek(MONDAY.open)
    exchange.begin_halt("IBM", "news")
    exchange.step()
    assert exchange.prints("IBM") == []
    with pytest.raises(ConfigurationError, match="replayed as it was"):
        exchange.split("IBM", Decimal(2))


def test_real_ticks_that_run_away_do_not_pause(write: Write) -> None:
    exchange = Exchange(TickTape(write(QUOTES.replace("101.00,10,", "150.00,10,"))), CALENDAR, None, 1)
    exchange.seek(MONDAY.open + 10 * MINUTE_NS)
    exchange.step()
    assert exchange.last("IBM") == 150.0
    assert exchange.halt("IBM") is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (QUOTES.replace("IBM,trade,100.02", "IBM,deal,100.02"), "row 5 .*neither trade nor quote"),
        (QUOTES.replace("100.02,200,NASDAQ", ",200,NASDAQ"), "row 5 .*no price"),
        (QUOTES.replace("100.02,200,NASDAQ", "100.02,0.5,NASDAQ"), "row 5 .*whole number"),
        (QUOTES.replace("14:30:02.5Z", "14:20:02.5Z"), "row 7 .*older"),
        (
            "".join(
                line
                for line in QUOTES.splitlines(True)
                if "quote" not in line and "99.98" not in line and "101.99" not in line
            ),
            "lacks",
        ),
        (DEPTH.replace("bid", "b"), "add quotes"),
        (QUOTES.replace("kind", "sort"), "column open"),
        (DEPTH.replace("ask2_size", "a2"), "ask2_size is missing"),
    ],
)
def test_a_tape_with_a_defect_is_refused_and_says_where(write: Write, wrong: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        open_tape(write(wrong))


# ------------------------------------------------------------------------------------------------- real ticks


def real(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not here")
    return path


def test_a_real_hour_of_depth_replays_print_by_print(tmp_path: Path) -> None:
    import pandas as pd

    book = pd.read_parquet(real("l2_lobster_aapl_20120621_0930_1030_book10.parquet"))
    messages = pd.read_parquet(real("l3_lobster_aapl_20120621_0930_1030_messages.parquet"))
    late = messages["ts"] > messages["ts"].shift(-1)  # one message out of order
    book, messages = book[~late].reset_index(drop=True), messages[~late].reset_index(drop=True)
    traded = messages["type"].isin([4, 5])
    levels = {
        f"{side}{n}{size}": book[f"{short}{n}"]
        for side, short_price, short_size in (("bid", "bid", "bsz"), ("ask", "ask", "asz"))
        for n in range(1, 11)
        for size, short in (("", short_price), ("_size", short_size))
    }
    tape = pd.DataFrame(
        {"ts": messages["ts"], "symbol": "AAPL", "kind": traded.map({True: "trade", False: "quote"})}
        | {"price": messages["price"], "size": messages["size"]}
        | levels
    )
    tape.to_parquet(tmp_path / "depth.parquet")
    market = TickTape(tmp_path / "depth.parquet")
    (session,) = CALENDAR.sessions(date(2012, 6, 21), date(2012, 6, 21))
    until = session.open + 120 * SECOND_NS
    ns = messages["ts"].astype("int64")
    inside = messages[traded & (ns >= session.open) & (ns < until)]
    wanted = list(zip(ns[inside.index], inside["price"], inside["size"], strict=True))
    assert len(wanted) > 200
    for beats in (1, 5, 50):
        assert [done[:3] for done in replay(market, "AAPL", session, 120, beats)] == wanted
    exchange = Exchange(market, CALENDAR, None, 5)
    exchange.seek(until)
    shown = exchange.book("AAPL")
    assert shown is not None
    last = book[ns < until].iloc[-1]
    assert shown.levels(Side.BUY) == [Level(last[f"bid{n}"], last[f"bsz{n}"]) for n in range(1, 11)]


def test_a_real_day_of_quotes_and_trades_replays_print_by_print(tmp_path: Path) -> None:
    import pandas as pd

    path = real("l1_ticks_lean_2013_10.parquet")
    day = [("symbol", "==", "IBM"), ("ts", "<", pd.Timestamp("2013-10-08", tz="UTC"))]
    ticks = pd.read_parquet(path, filters=day)
    ticks = ticks[(ticks["kind"] == "trade") | (ticks["ex"] == "N")].reset_index(drop=True)
    ticks = ticks.rename(columns={"ex": "exchange", "cond": "conditions"})
    for column in ("bid", "bid_size", "ask", "ask_size"):
        ticks[column] = ticks[column].astype("float64").replace(0.0, float("nan"))
    ticks.to_parquet(tmp_path / "quotes.parquet")
    market = TickTape(tmp_path / "quotes.parquet")
    (session,) = CALENDAR.sessions(date(2013, 10, 7), date(2013, 10, 7))
    until = session.open + 300 * SECOND_NS
    ns = ticks["ts"].astype("datetime64[ns, UTC]").astype("int64")
    inside = ticks[(ticks["kind"] == "trade") & (ns >= session.open) & (ns < until)]
    wanted = list(zip(ns[inside.index], inside["price"], inside["size"], strict=True))
    assert len(wanted) > 200
    for beats in (1, 5, 50):
        assert [done[:3] for done in replay(market, "IBM", session, 300, beats)] == wanted
