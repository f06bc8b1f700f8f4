"""The whole desk over the past: features, crossover, sizing, gates, executor, simulated broker, ledger, journal.

`python -m benchmarks.engine [bars]` prints one JSON object of bars per CPU second, each the median of three rounds:

* `bars_per_s`: as shipped. Sized by volatility, larger than a bar can take, so most orders go out in slices.
* `bars_per_s_as_peer`: as the peer trades, about ten shares a cross and whole at the next open.
* `bars_per_s_no_orders`: all the same work, but every position is too small to be worth opening.

Each is run over all bars and over a tenth of them (`_at_a_tenth`): a desk that slows down as orders gather would show.
Where backtesting.py is installed (extra `bench`) it runs the same crossover on the same bars in turns with the desk.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import statistics
import sys
import time
import warnings
from datetime import date
from decimal import Decimal

import numpy as np

from robo_trader.bootstrap.plan import build_engine, build_plan
from robo_trader.config import load
from robo_trader.core.events import MINUTE_NS, AccountSnapshot, Bar, Event, Fill, Submit
from robo_trader.core.inbox import Inbox
from robo_trader.core.running import run
from robo_trader.core.steps import Step
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker

CASH = Decimal(100_000)
ROUNDS = 3
# What each case changes in the settings as shipped; the daily loss would end the trading of a random walk early.
CASES: dict[str, dict[str, object]] = {
    "": {},
    "_as_peer": {
        "execution_algorithm": "market",
        "risk_position_sizing": "fixed",
        "risk_target_fraction": 0.01,
        "risk_min_notional_usd": 0.0,
    },
    "_no_orders": {"risk_min_notional_usd": 1e9},
}


class Memory:
    """A journal that only counts."""

    def __init__(self) -> None:
        self.events = self.orders = self.fills = 0

    def add(self, event: Event, step: Step) -> bool:
        """Count orders and fills."""
        self.events += 1
        for command in step.commands:
            self.orders += isinstance(command, Submit)
        if isinstance(event, Fill):
            self.fills += 1
        return bool(step.commands)

    async def commit(self) -> None:
        """Keep nothing."""


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


async def desk(tape: list[Bar], changed: dict[str, object]) -> tuple[float, Memory]:
    """Run the desk over a tape; return its bars per second and what it did."""
    settings = load(risk_max_daily_loss_fraction=1.0, **changed)
    plan = build_plan(
        settings, session_id="bench", account="SIM", traded=(tape[0].symbol,),
        ticks={tape[0].symbol: Decimal("0.01")},
        bar_s=60, interval_s=60, use_ml=False, model=None,
    )  # fmt: skip
    engine, inbox, journal = build_engine(plan), Inbox(capacity=len(tape) + 1_000), Memory()
    broker = SimulatedBroker(inbox, Matching(), XnysCalendar(), "SIM", CASH)
    inbox.tap = broker.on_event
    inbox.put(AccountSnapshot(0, "SIM", CASH, CASH))
    began = time.process_time()
    for bar in tape:
        inbox.put(bar)
    inbox.close()
    await run(engine, inbox, broker, journal)
    return len(tape) / (time.process_time() - began), journal


def peer(n: int) -> tuple[float, int] | None:
    """Run backtesting.py on the same bars; return bars per second and its orders, None where it is not installed."""
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
            self.above, self.crossed = False, 0

        def next(self) -> None:
            above = self.fast[-1] > self.slow[-1]
            if above != self.above:
                self.above = above
                self.crossed += 1
                self.buy(size=10) if above else self.position.close()

    columns = dict(zip(("Open", "High", "Low", "Close", "Volume"), walk(n, 0), strict=True))
    frame = pd.DataFrame(columns, index=pd.date_range("2010-01-04", periods=n, freq="min"))
    test = Backtest(frame, Crossover, cash=1e7, finalize_trades=True)
    began = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        stats = test.run()
    return n / (time.process_time() - began), stats["_strategy"].crossed


def measure(n: int) -> dict[str, float]:
    """Run every case and the peer in turns; return the median speeds, what was done, and the ratios to the peer."""
    asyncio.run(desk(bars("WARM", 2_000, 1), {}))
    tape = bars("NVDA", n, 0)
    speeds: dict[str, list[float]] = {}
    done: dict[str, float] = {}
    for _ in range(ROUNDS):
        for case, changed in CASES.items():
            tenth, _ = asyncio.run(desk(tape[: n // 10], changed))
            whole, journal = asyncio.run(desk(tape, changed))
            speeds.setdefault(f"bars_per_s{case}", []).append(whole)
            speeds.setdefault(f"bars_per_s{case}_at_a_tenth", []).append(tenth)
            done |= {f"orders{case}": journal.orders, f"fills{case}": journal.fills}
        other = peer(n)
        if other is not None:
            speed, done["backtesting_py_orders"] = other
            speeds.setdefault("backtesting_py_bars_per_s", []).append(speed)
    result: dict[str, float] = {name: round(statistics.median(taken)) for name, taken in speeds.items()}
    if "backtesting_py_bars_per_s" in result:
        for case in CASES:
            ratio = result[f"bars_per_s{case}"] / result["backtesting_py_bars_per_s"]
            result[f"times_backtesting_py{case}"] = round(ratio, 2)
    return result | done


def main() -> None:
    """Print one JSON object."""
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)))


if __name__ == "__main__":
    main()
