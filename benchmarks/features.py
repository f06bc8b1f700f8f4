"""What a bar costs in features: one symbol live, fifty at once, a long history, and two peers in the same run.

    python -m benchmarks.features [--bars 1000000]

The last line is one JSON object. Peers compute those classic indicators that they have; a peer that is not installed is
left out. Ratios are per indicator, theirs over ours. `cold_s` is the first start of a machine, which compiles, `warm_s`
any later one, both in a process of its own and without Python's own start.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

# One thread, as in the daemon; must be set before numpy loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.compiled import compile_kernels
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import WARMUP

SYMBOLS = 50
ROUNDS = 3
Row = tuple[float, float, float, float, float]
Update = Callable[[Row], object]


def make_bars(n: int, calendar: XnysCalendar, seed: int = 7) -> Bars:
    """Return n minute bars of a random walk in cents over real sessions."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 5e-4, n))), 2)
    open_ = np.concatenate(([100.0], close[:-1]))
    high = np.round(np.maximum(open_, close) + rng.integers(0, 5, n) / 100, 2)
    low = np.round(np.minimum(open_, close) - rng.integers(0, 5, n) / 100, 2)
    label, closes = "2005-01-03", [np.empty(0, np.int64)]
    while sum(map(len, closes)) < n:
        session = calendar.after(label)
        closes.append(np.arange(session.open, session.close, MINUTE_NS) + MINUTE_NS)
        label = session.label
    return Bars(np.concatenate(closes)[:n], open_, high, low, close, np.round(rng.lognormal(6, 0.7, n)))


def messages(bars: Bars, symbol: str, n: int) -> list[Bar]:
    """Return the first n bars as the desk receives them."""
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = zip(bars.ts[:n].tolist(), *(x[:n].tolist() for x in columns), strict=True)
    return [Bar(symbol, ts, o, h, low, c, v) for ts, o, h, low, c, v in rows]


def batch_ns(engine: FeatureEngine, bars: Bars) -> float:
    """Return nanoseconds a bar of one long history, in blocks as the training matrix takes it."""
    started = time.perf_counter_ns()
    (scan,) = engine.fresh().scans({"SPY": bars}).values()
    for _ in scan.blocks():
        pass
    return (time.perf_counter_ns() - started) / len(bars.ts)


def live_ns(engine: FeatureEngine, told: Sequence[Bar]) -> list[int]:
    """Return nanoseconds of each update, the clock's own cost taken off."""
    clock, update, taken = time.perf_counter_ns, engine.update, []
    own = statistics.median([-clock() + clock() for _ in range(10_000)])
    for bar in told:
        started = clock()
        update(bar)
        taken.append(clock() - started - int(own))
    return taken[WARMUP:]


def start_s(cache: str) -> float:
    """Return seconds until the step is there, in a new process with this cache of compiled functions."""
    program = (
        "import time; began = time.perf_counter();"
        "from robo_trader.features.compiled import compile_kernels; compile_kernels();"
        "print(time.perf_counter() - began)"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    words = [sys.executable, "-c", program]
    return float(subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout)


def fifty_ns(calendar: XnysCalendar, bars: Bars, n: int) -> list[int]:
    """Return nanoseconds of each minute in which 50 symbols close a bar."""
    engine, clock = FeatureEngine(calendar, market="S0"), time.perf_counter_ns
    minutes = list(zip(*(messages(bars, f"S{i}", n) for i in range(SYMBOLS)), strict=True))
    taken = []
    for minute in minutes:
        started = clock()
        for bar in minute:
            engine.update(bar)
        taken.append(clock() - started)
    return taken[WARMUP:]


def talipp_update(_: Sequence[Row]) -> Update:
    """Return one bar's work of 18 talipp indicators (macd and bands count three, the stochastic two)."""
    import talipp.indicators as t  # type: ignore[import-untyped]
    from talipp.ohlcv import OHLCV  # type: ignore[import-untyped]

    closes = [*(t.SMA(n) for n in (5, 10, 20, 50)), *(t.EMA(n) for n in (5, 10, 20, 50)), t.MACD(12, 26, 9)]
    closes += [t.RSI(14), t.ROC(10), t.BB(20, 2), t.StdDev(20)]
    whole = [t.ADX(14, 14), t.Stoch(14, 3), t.Williams(14), t.CCI(20), t.ATR(14), t.OBV(), t.VWAP()]

    def update(row: Row) -> None:
        bar = OHLCV(*row)
        for indicator in closes:
            indicator.add(row[3])
        for indicator in whole:
            indicator.add(bar)

    return update


def talib_update(history: Sequence[Row]) -> Update:
    """Return one bar's work of 22 TA-Lib streaming handles (macd and bands count three, the stochastic two)."""
    from talib import stream as s

    _, high, low, close, volume = (np.array(x) for x in zip(*history, strict=True))
    ends: list[Callable[[float], object]] = [s.SMA(close, timeperiod=n).update for n in (5, 10, 20, 50)]
    ends += [s.EMA(close, timeperiod=n).update for n in (5, 10, 20, 50)]
    ends += [s.MACD(close).update, s.RSI(close, timeperiod=14).update, s.ROC(close, timeperiod=10).update]
    ends += [s.BBANDS(close, timeperiod=20).update, s.STDDEV(close, timeperiod=20).update]
    prices = (high, low, close)
    ranges: list[Callable[[float, float, float], object]] = [
        kind(*prices, timeperiod=14).update for kind in (s.ADX, s.WILLR, s.ATR)
    ]
    ranges += [
        s.CCI(*prices, timeperiod=20).update,
        s.STOCHF(*prices, fastk_period=14, fastd_period=3).update,
    ]
    flows = [s.VWAP(*prices, volume).update, s.MFI(*prices, volume, timeperiod=14).update]
    balance, mean_volume = s.OBV(close, volume).update, s.SMA(volume, timeperiod=20).update

    def update(row: Row) -> None:
        _, h, low, c, v = row
        for end in ends:
            end(c)
        for each in ranges:
            each(h, low, c)
        for flow in flows:
            flow(h, low, c, v)
        balance(c, v)
        mean_volume(v)

    return update


# Of the classic ones, those the library has.
PEERS = {"talipp": (talipp_update, 25), "talib": (talib_update, 27)}


def peer_ns(name: str, rows: Sequence[Row]) -> float:
    """Return nanoseconds a bar of all the peer's indicators together."""
    update = PEERS[name][0](rows[:300])
    started = time.perf_counter_ns()
    for row in rows[300:]:
        update(row)
    return (time.perf_counter_ns() - started) / len(rows[300:])


def measure(n: int) -> dict[str, float]:
    """Measure us and the peers in turns; keep the median of each, and the best of the noisy p99."""
    calendar = XnysCalendar()
    compile_kernels()
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = start_s(cache), start_s(cache)
    bars = make_bars(n, calendar)
    told = messages(bars, "NVDA", min(n, 20_000))
    rows: list[Row] = [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in told]
    peers = [name for name in PEERS if importlib.util.find_spec(name)]
    batch, live, fifty = [], [], []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(ROUNDS):
        engine = FeatureEngine(calendar)
        gc.collect()
        gc.disable()
        batch.append(batch_ns(engine, bars))
        live.append(np.percentile(live_ns(engine, told), (50, 99)))
        fifty.append(np.percentile(fifty_ns(calendar, bars, 1_000), 99))
        for name in peers:
            theirs[name].append(peer_ns(name, rows))
        gc.enable()
    ours = statistics.median(x[0] for x in live)
    result = {
        "n_features": len(engine.names),
        "batch_ns_per_bar": round(statistics.median(batch), 1),
        "live_us_p50": round(ours / 1e3, 3),
        "live_us_p99": round(min(x[1] for x in live) / 1e3, 3),
        "bytes_per_symbol": engine.bytes_per_symbol(),
        "fifty_symbols_us_p99": round(min(fifty) / 1e3, 1),
        "cold_s": round(cold, 2),
        "warm_s": round(warm, 2),
    }
    for name, taken in theirs.items():
        each = statistics.median(taken) / PEERS[name][1]
        result[f"{name}_ns_per_bar"] = round(statistics.median(taken), 1)
        result[f"{name}_n"] = PEERS[name][1]
        result[f"{name}_ratio_per_indicator"] = round(each / (ours / len(engine.names)), 1)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bars", type=int, default=200_000, help="bars of the long history (at least 1,000)")
    options = parser.parse_args(arguments)
    if options.bars < 1_000:
        parser.error("--bars must be at least 1000")
    print(json.dumps(measure(options.bars)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
