"""Bars and calendars for the tests of features."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine

DAY_NS = 24 * 60 * MINUTE_NS
FRIDAY = 4
OPEN_NS = 20_000 * DAY_NS + 14 * 60 * MINUTE_NS + 30 * MINUTE_NS  # a Friday
GOLDEN = Path(__file__).parents[1] / "golden"
SHARED_GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"


def label_of(ts):
    """Return the date of `ts`, as the label of a session has it."""
    return str(np.datetime64(ts, "ns"))[:10]


@dataclass(frozen=True)
class EveryDay:
    """A calendar whose sessions last `minutes` from the same time each day."""

    minutes: int = 390

    def session(self, ts):
        open_ = OPEN_NS + (ts - OPEN_NS) // DAY_NS * DAY_NS
        close = open_ + self.minutes * MINUTE_NS
        return Session(label_of(open_), open_, close) if open_ < ts <= close else None


@dataclass(frozen=True)
class Weekdays:
    """A calendar of sessions from Monday to Friday, every eighth as much shorter as the exchange's half days."""

    minutes: int = 390

    def session(self, ts):
        day = (ts - OPEN_NS) // DAY_NS
        weekday = (FRIDAY + day) % 7
        length = self.minutes * 7 // 13 if day % 8 == 5 else self.minutes
        open_ = OPEN_NS + day * DAY_NS
        close = open_ + length * MINUTE_NS
        return Session(label_of(open_), open_, close) if weekday < 5 and open_ < ts <= close else None

    def closes(self, sessions, every=1):
        """Return the closing times of all bars of `every` minutes in the first `sessions` sessions."""
        days = range(OPEN_NS + MINUTE_NS, OPEN_NS + 2 * sessions * DAY_NS, DAY_NS)
        found = [x for x in map(self.session, days) if x is not None][:sessions]
        step = every * MINUTE_NS
        return np.concatenate([np.arange(x.open + step, x.close + 1, step) for x in found])


def closes_of_minutes(n, minutes=390):
    """Return the closing times of n bars over as many sessions as they need."""
    day, minute = np.divmod(np.arange(n), minutes)
    return OPEN_NS + day * DAY_NS + (minute + 1) * MINUTE_NS


def random_bars(n, seed=7, offset=0.0, tick=0.01):
    """Return n minute bars of a random walk in ticks, with bars of no volume and bars of no range among them."""
    return walk(closes_of_minutes(n), seed, offset, tick)


def walk(ts, seed=7, offset=0.0, tick=0.01):
    """Return bars that close at `ts`, see `random_bars`."""
    n = len(ts)
    rng = np.random.default_rng(seed)
    close = np.round(100 / tick * np.exp(np.cumsum(rng.normal(0, 8e-4, n))))
    open_ = np.concatenate(([100 / tick], close[:-1]))
    high = np.maximum(open_, close) + rng.integers(0, 4, n)
    low = np.minimum(open_, close) - rng.integers(0, 4, n)
    volume = np.round(rng.lognormal(6, 0.7, n)) * (rng.random(n) > 0.05)
    prices = (np.round(x * tick, 6) + offset for x in (open_, high, low, close))
    return Bars(ts, *prices, volume)


SECTORS = {"NVDA": "XLK", "AAPL": "XLK"}
# One share of bars that never came for each: the market has all, a late starter begins in mid-session.
WATCHED = {"SPY": 0.0, "XLK": 0.02, "NVDA": 0.01, "AAPL": 0.1, "KO": 0.3}


def universe(calendar, sessions, every=1, seed=0):
    """Return the bars of five symbols, the market and a sector's among them, with holes and a halted session."""
    closes = calendar.closes(sessions, every)
    rng = np.random.default_rng(seed)
    bars = {}
    for i, (symbol, missing) in enumerate(WATCHED.items()):
        traded = rng.random(len(closes)) >= missing
        if symbol == "KO":
            traded[: len(closes) // sessions // 2] = False
        if symbol == "AAPL":
            halted = calendar.session(int(closes[len(closes) // 2]))
            traded &= (closes <= halted.open) | (closes > halted.close)
        bars[symbol] = gapped(walk(closes[traded], seed=100 * seed + i), seed=100 * seed + i)
    return bars


def gapped(bars, seed):
    """Return the bars with a jump of the price, in ticks, over each night; quiet weeks follow wild ones."""
    night = np.concatenate(([0], np.cumsum(np.diff(bars.ts) > DAY_NS // 4)))
    jumps = np.random.default_rng(seed).normal(0, 0.8, night[-1] + 1) * np.exp(
        np.sin(np.arange(night[-1] + 1) / 3)
    )
    lift = np.round(np.cumsum(jumps), 2)[night]
    prices = {name: np.round(getattr(bars, name) + lift, 6) for name in ("open", "high", "low", "close")}
    return replace(bars, **prices)


def watching(calendar, every=1):
    """Return a fresh engine that knows who is the market and whose sector is whose."""
    return FeatureEngine(calendar, every * MINUTE_NS, market="SPY", sectors=SECTORS)


def in_order_of_time(bars, seed=None, every=1):
    """Return the messages of all symbols by time, those of one time in random order (or in that of `bars`)."""
    rng = np.random.default_rng(seed)
    told = [bar for symbol, one in bars.items() for bar in messages(one, symbol, every)]
    ties = rng.permutation(len(told)) if seed is not None else np.arange(len(told))
    return [told[i] for i in np.lexsort((ties, [bar.ts for bar in told]))]


def live(engine, told):
    """Return the matrix of each symbol of an engine that is told one bar after the other."""
    rows = {}
    for bar in told:
        vector = engine.update(bar)
        rows.setdefault(bar.symbol, []).append(
            np.full(len(engine.names), np.nan) if vector is None else vector
        )
    return {symbol: np.array(one) for symbol, one in rows.items()}


def times(bars, ratio):
    """Return the bars at prices of `ratio` times theirs."""
    return replace(bars, **{name: ratio * getattr(bars, name) for name in ("open", "high", "low", "close")})


def adjusted(bars, ratio):
    """Return the bars as a split of `ratio` new shares for an old one restates them."""
    prices = {name: getattr(bars, name) / ratio for name in ("open", "high", "low", "close")}
    return replace(bars, **prices, volume=bars.volume * ratio)


def joined(one, other):
    """Return the bars of one and then those of the other."""
    columns = (f.name for f in fields(Bars))
    return Bars(*(np.concatenate((getattr(one, name), getattr(other, name))) for name in columns))


def features_of(close, high=None, low=None, volume=None):
    """Return every feature by name of bars with these columns, which need not hold the close."""
    high = close if high is None else np.maximum(high, close)
    low = close if low is None else np.minimum(low, close)
    volume = np.ones(len(close)) if volume is None else volume
    engine = FeatureEngine(EveryDay())
    bars = Bars(closes_of_minutes(len(close)), close, high, low, close, volume)
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))


def with_gaps(bars, seed=3, minutes=390):
    """Return the bars with a jump of the price, in ticks, at each session's open."""
    rng = np.random.default_rng(seed)
    jumps = np.round(np.cumsum(rng.normal(0, 1, len(bars.ts) // minutes + 1)), 2)
    lift = np.repeat(jumps, minutes)[: len(bars.ts)]
    prices = (np.round(x + lift, 6) for x in (bars.open, bars.high, bars.low, bars.close))
    return Bars(bars.ts, *prices, bars.volume)


def flat_bars(n, price=10.1, volume=0.0):
    """Return n bars in which nothing happens."""
    return Bars(closes_of_minutes(n), *(np.full(n, price) for _ in range(4)), np.full(n, volume))


def columns_of(bars, calendar=None, interval_ns=MINUTE_NS):
    """Return every feature of the bars of one symbol by name."""
    engine = FeatureEngine(calendar or EveryDay(), interval_ns)
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))


def windows(x, n):
    """Return all windows of n values as rows, the first of them ending at value n - 1."""
    return np.lib.stride_tricks.sliding_window_view(x, n)


def messages(bars, symbol="NVDA", every=1):
    """Return the bars as the desk receives them."""
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = zip(bars.ts.tolist(), *(x.tolist() for x in columns), strict=True)
    return [Bar(symbol, ts, o, h, low, c, v, every * MINUTE_NS) for ts, o, h, low, c, v in rows]


def part(bars, start, stop):
    """Return the bars from `start` to `stop`, exclusive."""
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(*(x[start:stop] for x in columns))


@pytest.fixture
def engine():
    return FeatureEngine(EveryDay())


@pytest.fixture(scope="session")
def bars():
    return random_bars(3 * 390 + 100)


@pytest.fixture(scope="session")
def matrix(bars):
    """Every feature of `bars` by name."""
    engine = FeatureEngine(EveryDay())
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))
