"""A small desk for tests: the real engine, gates and executor; features and strategy told what to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from robo_trader.core.engine import Engine
from robo_trader.core.events import MINUTE_NS, AccountSnapshot, Bar, Depth, Event, Quote, Trade
from robo_trader.core.instrument import Instrument
from robo_trader.core.parts import Parts
from robo_trader.core.protocols import RiskGate, Session, Sizing, StopRule, Vector, View
from robo_trader.core.steps import Fact, Signal, Step
from robo_trader.execution.algorithms import MarketAlgorithm, TwapAlgorithm, TwapOptions
from robo_trader.execution.smart_executor import ExecutorOptions, SmartExecutor

OPEN = 1_767_623_400_000_000_000  # 2026-01-05 09:30 New York
CLOSE = OPEN + 390 * MINUTE_NS


class OneSession:
    """A calendar of a single day."""

    def session(self, ts: int) -> Session | None:
        return Session("2026-01-05", OPEN, CLOSE) if OPEN < ts <= CLOSE else None


class PlainFeatures:
    """An ATR of 0.50 and a usual volume of 10,000 for every bar."""

    names = ("atr_14", "volume_sma_20", "sma_10", "sma_20")
    version = "test"

    def __init__(self, **values: float) -> None:
        self.values = {"atr_14": 0.5, "volume_sma_20": 10_000.0, "sma_10": 1.0, "sma_20": 1.0} | values

    def update(self, bar: Bar) -> Vector | None:
        row = np.array([self.values[name] for name in self.names])
        return None if np.isnan(row).any() else row

    def on_quote(self, quote: Quote) -> None:
        """A quote changes nothing here."""

    def on_trade(self, trade: Trade) -> None:
        """Nor does a trade."""

    def on_depth(self, depth: Depth) -> None:
        """Nor does the book."""

    def rescale(self, symbol: str, ratio: float, since: int) -> Vector:
        """Nor does a split."""
        return np.empty((0, len(self.names)))


@dataclass
class Scripted:
    """Wants what it is told, once, on the next bar of the symbol."""

    name: str = "scripted"
    wants: list[tuple[str, int]] = field(default_factory=list)

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        said = [Signal(bar.ts, s, self.name, d, 1.0, "told to") for s, d in self.wants if s == bar.symbol]
        self.wants = [(s, d) for s, d in self.wants if s != bar.symbol]
        return said

    def forget(self, symbol: str) -> None:
        """It remembers nothing."""


@dataclass
class Shares:
    """Sizes every signal to a fixed number of shares."""

    shares: int = 100

    def size(self, signal: Signal, view: View) -> Sizing:
        return Sizing(signal.direction * self.shares)


def desk(
    strategy: Scripted,
    gates: Sequence[RiskGate] = (),
    shares: int = 100,
    algorithm: str = "market",
    features: PlainFeatures | None = None,
    stops: StopRule | None = None,
    slices: int = 5,
) -> Engine:
    executor = SmartExecutor(
        {"market": MarketAlgorithm(), "twap": TwapAlgorithm(TwapOptions(slices, 300, 60))},
        ExecutorOptions(algorithm),
    )
    parts = Parts(
        "s",
        frozenset({"NVDA"}),
        {"NVDA": Instrument("NVDA")},
        OneSession(),
        features or PlainFeatures(),
        strategy,
        Shares(shares),
        gates,
        executor,
        stops,
    )
    return Engine(parts)


def opening(cash: str = "100000", **more: object) -> AccountSnapshot:
    return AccountSnapshot(OPEN, "DU1", Decimal(cash), Decimal(cash), **more)


def bar(minute: int, close: float = 100.0, symbol: str = "NVDA", history: bool = False) -> Bar:
    return Bar(symbol, OPEN + minute * MINUTE_NS, close, close, close, close, 1000.0, history=history)


def quote(minute: float, mid: float = 100.0, symbol: str = "NVDA") -> Quote:
    return Quote(symbol, OPEN + math.floor(minute * MINUTE_NS), mid - 0.01, mid + 0.01, 500, 500)


def play(engine: Engine, *events: Event) -> Step:
    """Feed events; return the last step."""
    step = Step()
    for event in events:
        step = engine.on_event(event)
    return step
