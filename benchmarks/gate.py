"""How often the gate lets a model through, with and without an edge to find: `python -m benchmarks.gate --seeds 50`.

Each seed is another practice market of `--symbols` shares; its models learn from as many sessions as a first start does and
are judged as there. One line is printed a market, then how many passed and what stopped the others, and at last one JSON
object. With no edge at most one in twenty may pass.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the libraries are imported

import argparse
import json
from collections import Counter

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml import trainer
from robo_trader.ml.dataset import build_dataset
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.report import Report
from robo_trader.ml.trainer import TrainingOptions
from robo_trader.simulation.market import SyntheticMarket

CALENDAR = XnysCalendar()
NAMES = ("AAPL", "NVDA", "MSFT", "AMZN", "META", "TSLA")


def bars(seed: int, edge: float, symbols: int, sessions: int) -> dict[str, Bars]:
    """Draw the minute bars of a practice market."""
    market = SyntheticMarket(seed, edge)
    found = {}
    for symbol in NAMES[:symbols]:
        days = [market.minutes(symbol, session) for session in CALENDAR.before("2026-01-05", sessions)]
        columns = [
            np.concatenate([getattr(day, name) for day in days])
            for name in ("open", "high", "low", "close", "volume")
        ]
        found[symbol] = Bars(np.concatenate([day.start for day in days]) + MINUTE_NS, *columns)
    return found


def judged(seed: int, edge: float, asked: argparse.Namespace) -> Report:
    """Train on one market and return what was found out."""
    drawn = bars(seed, edge, asked.symbols, asked.sessions + WARM_SESSIONS)
    options = TrainingOptions(members=MemberOptions(forest_trees=asked.trees))
    return trainer.train(build_dataset(drawn, CALENDAR), options, trials=asked.trials).report


def line(seed: int, report: Report) -> str:
    """Tell of one market in a line."""
    failed = [one.name for one in report.criteria if not one.passed]
    made = report.record
    return (
        f"  seed {seed:>3}  {'PASSED' if not failed else 'failed'}  AUC {report.auc}  P >= {report.threshold:.3f}"
        f"  {made.trades:>5} trades  {made.net_bps or 0.0:+6.1f} bp  {'; '.join(failed)}"
    )


def main() -> None:
    """Judge the models of every market and print how many passed."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--seeds", type=int, default=2, help="Markets of each edge")
    parse.add_argument("--first", type=int, default=101, help="The first seed")
    parse.add_argument("--edges", default="0,1", help="Strengths of the planted edge, separated by commas")
    parse.add_argument("--symbols", type=int, default=2, choices=range(1, len(NAMES) + 1))
    parse.add_argument("--sessions", type=int, default=60)
    parse.add_argument("--trees", type=int, default=MemberOptions().forest_trees, help="Of the random forest")
    parse.add_argument(
        "--trials", type=int, default=1, help="Models tried until now, for the deflated Sharpe ratio"
    )
    asked = parse.parse_args()
    result = {}
    for edge in (float(one) for one in asked.edges.split(",")):
        print(f"edge {edge:g}", flush=True)
        passed, stopped = 0, Counter[str]()
        for seed in range(asked.first, asked.first + asked.seeds):
            report = judged(seed, edge, asked)
            failed = [one.name for one in report.criteria if not one.passed]
            passed += not failed
            stopped.update(failed)
            print(line(seed, report), flush=True)
        print(f"  {passed} of {asked.seeds} passed; stopped by {dict(stopped.most_common())}", flush=True)
        result[f"edge_{edge:g}"] = {"seeds": asked.seeds, "passed": passed, "stopped_by": dict(stopped)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
