"""Real bars from a file, and minutes cut into slices."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import (
    SLICE_NS,
    Minutes,
    TapeMarket,
    slice_session,
    standing_quote,
)

CALENDAR = XnysCalendar()
MONDAY, TUESDAY = CALENDAR.sessions(date(2026, 1, 5), date(2026, 1, 6))
SHARED = Path(__file__).parents[3] / "shared" / "data"


@st.composite
def minute_bars(draw):
    low = draw(st.integers(1, 60_000))
    high = low + draw(st.sampled_from([0, 1, 2, 3, 17, 400]))
    inside = st.integers(low, high)
    volume = draw(st.one_of(st.integers(0, 15), st.integers(0, 3_000_000)))
    return draw(inside), high, low, draw(inside), volume


def minutes_of(bars, session=MONDAY):
    o, h, low, c = (np.array([bar[k] for bar in bars]) / 100 for k in range(4))
    start = session.open + np.arange(len(bars), dtype=np.int64) * MINUTE_NS
    return Minutes(start, o, h, low, c, np.array([bar[4] for bar in bars], dtype=np.float64))


@given(st.lists(minute_bars(), min_size=1, max_size=5))
def test_slices_add_up_to_their_minutes_exactly(bars):
    minutes = minutes_of(bars)
    cut = slice_session(minutes)
    rows = [getattr(cut, name).reshape(-1, 12) for name in ("open", "high", "low", "close", "volume")]
    o, h, low, c, volume = rows
    assert np.array_equal(cut.start.reshape(-1, 12), minutes.start[:, None] + np.arange(12) * SLICE_NS)
    assert np.array_equal(o[:, 0], minutes.open)
    assert np.array_equal(c[:, -1], minutes.close)
    assert np.array_equal(h.max(axis=1), minutes.high)
    assert np.array_equal(low.min(axis=1), minutes.low)
    assert np.array_equal(volume.sum(axis=1), minutes.volume)


@given(minute_bars())
def test_every_slice_is_a_sound_bar_on_the_cent(bar):
    part = slice_session(minutes_of([bar]))
    for column in (part.open, part.high, part.low, part.close):
        assert np.array_equal(np.rint(column * 100) / 100, column)
    assert (part.high >= np.maximum(part.open, part.close)).all()
    assert (part.low <= np.minimum(part.open, part.close)).all()
    assert np.array_equal(part.open[1:], part.close[:-1])
    assert np.array_equal(np.floor(part.volume), part.volume)


@given(minute_bars())
def test_without_a_trade_the_price_stands_still(bar):
    part = slice_session(minutes_of([bar]))
    idle = part.volume == 0
    idle[0] = False  # a minute without volume shows its range in its first slice
    assert np.array_equal(part.high[idle], part.low[idle])


@given(st.lists(minute_bars(), min_size=1, max_size=4))
def test_a_session_is_cut_as_its_minutes_are(bars):
    whole = slice_session(minutes_of(bars))
    alone = [slice_session(minutes_of([bar])) for bar in bars]
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(one, name) for one in alone]))


def test_a_rising_minute_dips_first_and_a_falling_one_peaks_first():
    rising, falling = (slice_session(minutes_of([(o, 120, 80, c, 1200)])) for o, c in ((100, 110), (100, 90)))
    assert rising.low.argmin() < rising.high.argmax()
    assert falling.high.argmax() < falling.low.argmin()


@given(st.integers(1, 100_000), st.integers(1, 50))
def test_a_standing_quote_is_on_the_cent_and_around_the_price(cents, wide):
    bid, ask = standing_quote(cents / 100, wide / 100)
    assert round(ask * 100) - round(bid * 100) == wide
    assert bid > 0
    assert cents == 1 or bid <= cents / 100 <= ask or cents <= wide


# ------------------------------------------------------------------------------------------------------ files


def rows(session=MONDAY, symbol="AAPL", n=3, cents=10_000):
    return [
        {
            "ts": session.open + k * MINUTE_NS,
            "symbol": symbol,
            "open": (cents + k) / 100,
            "high": (cents + k + 5) / 100,
            "low": (cents + k - 5) / 100,
            "close": (cents + k + 1) / 100,
            "volume": 1000 + k,
        }
        for k in range(n)
    ]


def table_of(bars, kind=None):
    kind = kind or pa.timestamp("us", "UTC")
    columns = {name: [bar.get(name) for bar in bars] for name in bars[0]}
    if pa.types.is_timestamp(kind):
        columns["ts"] = pa.array([ts // 1000 for ts in columns["ts"]], pa.int64()).cast(kind)
    return pa.table(columns)


@pytest.fixture(params=["parquet", "csv"])
def write(request, tmp_path):
    def writer(bars, **kind):
        path = tmp_path / f"tape.{request.param}"
        if request.param == "csv":
            pyarrow.csv.write_csv(table_of(bars, **kind), path)
        else:
            pyarrow.parquet.write_table(table_of(bars, **kind), path)
        return path

    return writer


def test_a_tape_gives_back_what_is_on_it(write):
    bars = rows() + rows(TUESDAY, cents=10_100) + rows(symbol="NVDA", n=2)
    tape = TapeMarket(write(bars), None)
    assert tape.symbols == ("AAPL", "NVDA")
    assert (tape.first, tape.last) == (MONDAY.label, TUESDAY.label)
    tuesday = tape.minutes("AAPL", TUESDAY)
    assert list(tuesday.start) == [TUESDAY.open + k * MINUTE_NS for k in range(3)]
    assert list(tuesday.close) == [101.01, 101.02, 101.03]
    assert list(tuesday.volume) == [1000.0, 1001.0, 1002.0]
    assert len(tape.minutes("NVDA", TUESDAY)) == 0
    assert len(tape.minutes("ZZZZ", TUESDAY)) == 0


def test_only_the_symbols_asked_for_are_known(write):
    tape = TapeMarket(write(rows() + rows(symbol="NVDA")), ["NVDA"])
    assert tape.knows("NVDA")
    assert not tape.knows("AAPL")


def test_an_absent_symbol_is_refused_by_name(write):
    with pytest.raises(DataError, match="no bars of MSFT; it has AAPL"):
        TapeMarket(write(rows()), ["MSFT"])


def test_rows_outside_regular_hours_and_extra_columns_are_ignored(write):
    bars = [{**bar, "feed": "x"} for bar in rows()]
    early = [{**bar, "ts": bar["ts"] - 30 * MINUTE_NS} for bar in bars]
    tape = TapeMarket(write(early + bars), None)
    assert len(tape.minutes("AAPL", MONDAY)) == 3


def test_equal_files_are_the_same_market_and_others_are_not(write):
    first = TapeMarket(write(rows()), None).identity
    assert TapeMarket(write(rows()), None).identity == first
    assert TapeMarket(write(rows(n=2)), None).identity != first


@pytest.mark.parametrize(
    ("row", "change", "complaint"),
    [
        (1, {"close": None}, "row 2 .*missing or not finite; drop"),
        (1, {"open": -1.0}, "row 2 .*below one cent"),
        (1, {"high": 1e300}, "row 2 .*a price is 10,000,000 USD or more"),
        (1, {"volume": 1e12}, "row 2 .*volume is above 1,000,000,000"),
        (2, {"volume": None}, "row 3 .*volume"),
        (2, {"volume": -1}, "row 3 .*volume"),
        (1, {"high": 99.0, "low": 101.0}, "row 2 .*high is below low"),
        (1, {"high": 100.01, "close": 100.02}, "row 2 .*outside low..high"),
        (1, {"ts": MONDAY.open}, "row 2 .*twice"),
        (2, {"ts": MONDAY.open - 5 * MINUTE_NS}, "row 3 .*older.*sort"),
        (1, {"ts": MONDAY.open + MINUTE_NS + 1_000_000_000}, "row 2 .*not on the minute"),
    ],
)
def test_a_defect_is_named_by_row_reason_and_cure(write, row, change, complaint):
    bars = rows()
    bars[row] = {**bars[row], **change}
    with pytest.raises(DataError, match=complaint):
        TapeMarket(write(bars), None)


def test_times_without_a_zone_are_refused(write):
    with pytest.raises(DataError, match="zone"):
        TapeMarket(write(rows(), kind=pa.timestamp("us")), None)


def test_a_column_that_is_missing_is_named(write):
    bars = [{name: value for name, value in bar.items() if name != "volume"} for bar in rows()]
    with pytest.raises(DataError, match="column volume is missing"):
        TapeMarket(write(bars), None)


def test_a_tape_of_nights_only_is_refused(write):
    night = [{**bar, "ts": bar["ts"] + 8 * 60 * MINUTE_NS} for bar in rows()]
    with pytest.raises(DataError, match="regular trading hours"):
        TapeMarket(write(night), None)


def test_new_york_time_labelled_as_utc_is_noticed(write):
    bars = [{**bar, "ts": bar["ts"] - 5 * 60 * MINUTE_NS} for bar in rows(n=389)]
    with pytest.raises(DataError, match="New York wall time"):
        TapeMarket(write(bars), None)


@pytest.mark.parametrize("content", [None, b"", b"not,a\ntape"])
def test_a_file_that_is_no_tape_is_refused(tmp_path, content):
    for name in ("x.parquet", "x.csv"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=name):
            TapeMarket(path, None)


def test_real_bars_of_ibkr_are_read_whole():
    path = SHARED / "bars_1min_ibkr_aapl_2026_03.parquet"
    if not path.exists():
        pytest.skip("the shared market data is not here")
    tape = TapeMarket(path, None)
    assert (tape.first, tape.last) == ("2026-03-06", "2026-04-02")
    sessions = CALENDAR.sessions(date(2026, 3, 6), date(2026, 4, 2))
    assert sum(len(tape.minutes("AAPL", session)) for session in sessions) == 7800


def test_real_bars_with_a_wrong_zone_are_refused():
    path = SHARED / "dirty" / "bars_1min_mislabelled_utc_nvda.parquet"
    if not path.exists():
        pytest.skip("the shared market data is not here")
    with pytest.raises(DataError):
        TapeMarket(path, None)
