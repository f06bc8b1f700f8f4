"""The desk and the training matrix see the same numbers of real bars, bit for bit, a restart in their midst."""

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import NAMES
from tests.features.conftest import SHARED_GOLDEN

SHARED_DATA = SHARED_GOLDEN.parent / "data"
SECTORS = {"NVDA": "XLK", "ORCL": "XLK", "PANW": "XLK", "GS": "XLF", "MRNA": "XLV"}


def real_bars(name, minutes, symbols):
    """Return real bars by symbol, `symbols` of them (SPY among them), stamped by their close as ours are."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"the real bars {name} are not beside this checkout (../shared/data)")
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pandas().sort_values("ts", kind="stable")
    chosen = sorted(table["symbol"].unique(), key=lambda s: (s not in ("SPY", "XLK", "XLF"), s))[:symbols]
    return {symbol: columns(table[table["symbol"] == symbol], minutes) for symbol in chosen}


def columns(frame, minutes):
    ts = frame["ts"].astype("datetime64[ns, UTC]").astype("int64").to_numpy() + minutes * MINUTE_NS
    names = ("open", "high", "low", "close", "volume")
    return Bars(ts, *(frame[name].to_numpy(dtype=float, na_value=0.0) for name in names))


def told(engine, bars, interval_ns):
    """Tell an engine all bars in order of time, in its midst saved and restored; return each symbol's matrix."""
    rows = {symbol: np.full((len(one.ts), len(NAMES)), np.nan) for symbol, one in bars.items()}
    ts = np.concatenate([one.ts for one in bars.values()])
    whose = np.repeat(np.arange(len(bars)), [len(one.ts) for one in bars.values()])
    which = np.concatenate([np.arange(len(one.ts)) for one in bars.values()])
    order, symbols = np.argsort(ts, kind="stable"), list(bars)
    for n, i in enumerate(order):
        if n == len(order) // 2:
            engine = restarted(engine)
        symbol, k = symbols[whose[i]], which[i]
        one = bars[symbol]
        prices = (float(x[k]) for x in (one.open, one.high, one.low, one.close, one.volume))
        vector = engine.update(Bar(symbol, int(one.ts[k]), *prices, interval_ns))
        if vector is not None:
            rows[symbol][k] = vector
    return rows


def restarted(engine):
    fresh = FeatureEngine(XnysCalendar(), engine.interval_ns, "SPY", SECTORS)
    fresh.restore(engine.saved())
    return fresh


REAL = {
    "twenty symbols over a month of minutes": ("bars_1min_ibkr_2026q1.parquet", 1, 20, 150_000),
    "six symbols over ten months of five minutes, a clock change and three half days among them": (
        "bars_5min_ibkr_2025_2026.parquet", 5, 6, 85_000,
    ),
    "five symbols with missing minutes and bars after early closes": (
        "bars_1min_iex_2025h2.parquet", 1, 5, 50_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "minutes", "symbols", "least"), REAL.values(), ids=REAL)
def test_the_desk_and_the_matrix_agree_bit_for_bit(name, minutes, symbols, least):
    bars = real_bars(name, minutes, symbols)
    assert sum(len(one.ts) for one in bars.values()) > least
    engine = FeatureEngine(XnysCalendar(), minutes * MINUTE_NS, "SPY", SECTORS)
    scanned = engine.matrices(bars)
    live = told(engine, bars, minutes * MINUTE_NS)
    for symbol in bars:
        assert live[symbol].tobytes() == scanned[symbol].tobytes(), symbol
        assert np.isfinite(scanned[symbol]).any()
        assert not np.isinf(scanned[symbol]).any()
