"""The training matrix from bars on disk, in threads, for some of the symbols, in the precision asked for."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS
from robo_trader.features.feature_pipeline import MatrixOptions, build_matrix, read_bars
from robo_trader.features.technical_indicators import WARM_SESSIONS, WARMUP
from tests.features.conftest import EveryDay, random_bars

MINUTES = 30  # of a session
BARS = max(WARMUP, MINUTES * WARM_SESSIONS) + 200
COLUMNS = ("ts", "open", "high", "low", "close", "volume")


def short_sessions(n, seed):
    """Return n bars in sessions of half an hour, so that many sessions are few bars."""
    from tests.features.conftest import closes_of_minutes

    bars = random_bars(n, seed)
    return type(bars)(closes_of_minutes(n, MINUTES), *(getattr(bars, name) for name in COLUMNS[1:]))


@pytest.fixture(scope="module")
def universe():
    return {symbol: short_sessions(BARS, seed) for seed, symbol in enumerate(("NVDA", "AAPL", "SPY"))}


def built(universe, **options):
    return build_matrix(universe, EveryDay(MINUTES), options=MatrixOptions(**options))


def test_threads_change_no_bit(universe):
    one, many = built(universe, workers=1), built(universe, workers=3)
    assert len(one.ts) > 300
    for name in ("x", "ts", "symbol", "bar"):
        assert getattr(one, name).tobytes() == getattr(many, name).tobytes(), name


def test_single_precision_is_the_double_one_rounded(universe):
    x = built(universe).x
    assert built(universe, dtype=np.float32).x.tobytes() == x.astype(np.float32).tobytes()


def test_rows_of_some_symbols_are_those_they_have_beside_all_others(universe):
    every, some = built(universe), built(universe, of=("NVDA", "AAPL"))
    shares = every.symbol != list(universe).index("SPY")
    assert some.symbols == every.symbols
    assert some.x.tobytes() == every.x[shares].tobytes()
    assert some.bar.tolist() == every.bar[shares].tolist()
    assert "market_beta_60" in some.names


def test_bars_before_the_wanted_ones_warm_the_features_and_give_no_rows(universe):
    every = built(universe)
    since = int(every.ts[len(every.ts) // 2])
    late = built(universe, since=since)
    assert late.ts[0] >= since
    assert len(late.ts) > 100
    shared = [name for name in late.names if name in every.names]
    same = [
        np.flatnonzero((every.ts == ts) & (every.symbol == s))
        for ts, s in zip(late.ts, late.symbol, strict=True)
    ]
    columns = ([rows.names.index(name) for name in shared] for rows in (late, every))
    mine, theirs = next(columns), next(columns)
    assert late.x[:, mine].tobytes() == every.x[np.concatenate(same)][:, theirs].tobytes()


def test_each_symbol_that_is_done_is_told(universe):
    told = []
    build_matrix(universe, EveryDay(MINUTES), progress=told.append)
    assert told == ["features of NVDA", "features of AAPL", "features of SPY"]


def test_bars_come_back_from_a_database_as_they_were_stored(tmp_path, universe):
    path = tmp_path / "desk.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bars (symbol, interval_ns, ts, open, high, low, close, volume)")
        for symbol, bars in universe.items():
            rows = zip(*(getattr(bars, name).tolist() for name in COLUMNS), strict=True)
            connection.executemany(
                f"INSERT INTO bars VALUES ('{symbol}', {MINUTE_NS}, ?, ?, ?, ?, ?, ?)",
                sorted(rows, reverse=True),
            )
        connection.commit()
    found = read_bars(path)
    assert sorted(found) == sorted(universe)
    for symbol, bars in universe.items():
        for name in COLUMNS:
            assert np.array_equal(getattr(found[symbol], name), getattr(bars, name)), (symbol, name)
    assert list(read_bars(path, ["SPY"])) == ["SPY"]
    with pytest.raises(DataError, match="300-second bars"):
        read_bars(path, interval_ns=5 * MINUTE_NS)
    with pytest.raises(DataError, match="XX"):
        read_bars(path, ["SPY", "XX"])


def test_a_file_without_volumes_is_told_for_what_it_is(tmp_path):
    rows = [f"2026-01-05T{14 + n // 60:02d}:{n % 60:02d}:00Z,100,101,99,100.{n}" for n in range(30, 90)]
    path = tmp_path / "NVDA.csv"
    path.write_text("\n".join(["ts,open,high,low,close", *rows]) + "\n")
    with pytest.raises(DataError, match="the bars of NVDA have no volume, and features need it"):
        read_bars(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_bars_of_a_file_give_the_matrix_of_the_same_bars_in_memory(tmp_path, kind):
    import pandas as pd

    from robo_trader.data.sessions import XnysCalendar

    days = XnysCalendar().before("2026-01-20", 2)
    closes = np.concatenate([np.arange(day.open + MINUTE_NS, day.close + 1, MINUTE_NS) for day in days])
    universe = {symbol: random_bars(len(closes), seed) for seed, symbol in enumerate(("NVDA", "SPY"))}
    tables = [
        pd.DataFrame({"symbol": symbol, "ts": pd.to_datetime(closes, utc=True)}
                     | {name: getattr(bars, name) for name in COLUMNS[1:]})
        for symbol, bars in universe.items()
    ]  # fmt: skip
    path = tmp_path / f"bars.{kind}"
    table = pd.concat(tables)
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    found = read_bars(path)
    assert sorted(found) == ["NVDA", "SPY"]
    for symbol, bars in universe.items():
        assert found[symbol].ts.tolist() == closes.tolist()
        assert np.array_equal(found[symbol].close, bars.close)
    with pytest.raises(DataError, match="not of 300"):
        read_bars(path, interval_ns=5 * MINUTE_NS)
