"""Bars and calendars for the tests of features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine

DAY_NS = 24 * 60 * MINUTE_NS
OPEN_NS = 20_000 * DAY_NS + 14 * 60 * MINUTE_NS + 30 * MINUTE_NS
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


def closes_of_minutes(n, minutes=390):
    """Return the closing times of n bars over as many sessions as they need."""
    day, minute = np.divmod(np.arange(n), minutes)
    return OPEN_NS + day * DAY_NS + (minute + 1) * MINUTE_NS


def random_bars(n, seed=7, offset=0.0, tick=0.01):
    """Return n minute bars of a random walk in ticks, with bars of no volume and bars of no range among them."""
    rng = np.random.default_rng(seed)
    close = np.round(100 / tick * np.exp(np.cumsum(rng.normal(0, 8e-4, n))))
    open_ = np.concatenate(([100 / tick], close[:-1]))
    high = np.maximum(open_, close) + rng.integers(0, 4, n)
    low = np.minimum(open_, close) - rng.integers(0, 4, n)
    volume = np.round(rng.lognormal(6, 0.7, n)) * (rng.random(n) > 0.05)
    prices = (np.round(x * tick, 6) + offset for x in (open_, high, low, close))
    return Bars(closes_of_minutes(n), *prices, volume)


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


def messages(bars, symbol="NVDA"):
    """Return the bars as the desk receives them."""
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = zip(bars.ts.tolist(), *(x.tolist() for x in columns), strict=True)
    return [Bar(symbol, ts, o, h, low, c, v) for ts, o, h, low, c, v in rows]


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
