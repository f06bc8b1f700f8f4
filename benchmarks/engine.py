"""The whole desk over the past: features, crossover, sizing, gates, executor, simulated broker, ledger, journal in memory.

`python -m benchmarks.engine [bars]` prints bars per second; the last line is one JSON object. Where backtesting.py is
installed (extra `bench`) it runs the same crossover on the same bars in the same process, for the ratio.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
import time
import warnings
from datetime import date
from decimal import Decimal

import numpy as np

from robo_trader.bootstrap.plan import build_engine, build_plan
from robo_trader.config import load
from robo_trader.core.engine import run
from robo_trader.core.events import MINUTE_NS, AccountSnapshot, Bar, Event, Fill, Step
from robo_trader.core.inbox import Inbox
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker

CHUNK = 2_000
CASH = Decimal(100_000)


class Memory:
    """A journal that only counts."""

    def __init__(self) -> None:
        self.events = self.orders = self.fills = 0

    async def record(self, event: Event, step: Step) -> None:
        """Count orders and fills."""
        self.events += 1
        self.orders += sum(type(command).__name__ == "Submit" for command in step.commands)
        self.fills += isinstance(event, Fill)


def walk(n: int, seed: int) -> list[np.ndarray]:
    """Return open, high, low, close, volume of a random walk in cents, sigma 5e-4 a bar: the peers' own data."""
    r = np.random.default_rng(seed)
    c = 100 * np.exp(np.cumsum(r.normal(0, 5e-4, n)))
    o = np.r_[100.0, c[:-1]]
    h, low = np.maximum(o, c) * 1.0002, np.minimum(o, c) * 0.9998
    return [np.round(x, 2) for x in (o, h, low, c)] + [np.round(r.lognormal(6, 0.7, n)) + 1]


def bars(symbol: str, n: int, seed: int) -> list[Bar]:
    """Lay a random walk on the minutes of real sessions."""
    sessions = XnysCalendar().sessions(date(2010, 1, 4), date(2029, 12, 31))
    closes = np.concatenate([np.arange(s.open + MINUTE_NS, s.close + 1, MINUTE_NS) for s in sessions])[:n]
    columns = [column.tolist() for column in (closes, *walk(n, seed))]
    return [Bar(symbol, *row) for row in zip(*columns, strict=True)]


async def desk(tape: list[Bar]) -> dict[str, float]:
    """Run the desk over a tape; return its speed and what it did."""
    settings = load(risk_max_daily_loss_fraction=1.0)
    plan = build_plan(
        settings, session_id="bench", account="SIM", ticks={tape[0].symbol: Decimal("0.01")},
        bar_s=60, interval_s=60, use_ml=False, model=None,
    )  # fmt: skip
    engine, inbox, journal = build_engine(plan), Inbox(), Memory()
    broker = SimulatedBroker(inbox, Matching(), XnysCalendar(), "SIM", CASH)
    inbox.tap = broker.on_event
    inbox.put(AccountSnapshot(0, "SIM", CASH, CASH))

    async def feed() -> None:
        for i in range(0, len(tape), CHUNK):
            for bar in tape[i : i + CHUNK]:
                inbox.put(bar)
            while inbox:
                await asyncio.sleep(0)
        inbox.close()

    async def in_chunks() -> None:
        feeding = asyncio.create_task(feed())
        await run(engine, inbox, broker, [journal])
        await feeding

    began = time.perf_counter()
    await in_chunks()
    took = time.perf_counter() - began
    return {"bars_per_s": round(len(tape) / took), "orders": journal.orders, "fills": journal.fills}


def peer(n: int) -> float | None:
    """Run backtesting.py on the same bars; return bars per second, None where it is not installed."""
    warnings.simplefilter("ignore")
    try:
        import pandas as pd
        from backtesting import Backtest, Strategy
    except ImportError:
        return None

    class Crossover(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            mean = lambda x, p: pd.Series(x).rolling(p).mean()  # noqa: E731
            self.fast, self.slow = self.I(mean, self.data.Close, 10), self.I(mean, self.data.Close, 20)
            self.above = False

        def next(self) -> None:
            above = self.fast[-1] > self.slow[-1]
            if above != self.above:
                self.above = above
                self.buy(size=10) if above else self.position.close()

    columns = dict(zip(("Open", "High", "Low", "Close", "Volume"), walk(n, 0), strict=True))
    frame = pd.DataFrame(columns, index=pd.date_range("2010-01-04", periods=n, freq="min"))
    test = Backtest(frame, Crossover, cash=1e7, finalize_trades=True)
    began = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()):
        test.run()
    return n / (time.perf_counter() - began)


def main() -> None:
    """Print the desk's speed at two lengths, and the peer's."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    asyncio.run(desk(bars("WARM", 2_000, 1)))
    tape = bars("NVDA", n, 0)
    short = asyncio.run(desk(tape[: n // 10]))
    result: dict[str, object] = dict(asyncio.run(desk(tape)))
    result["bars_per_s_at_a_tenth"] = short["bars_per_s"]
    other = peer(n)
    if other is not None:
        result["backtesting_py_bars_per_s"] = round(other)
        result["times_backtesting_py"] = round(float(result["bars_per_s"]) / other, 2)  # type: ignore[arg-type]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
