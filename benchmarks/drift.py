"""How often the watch over drift cries wolf, and how soon it sees a market change: `python -m benchmarks.drift`.

Offline, on the practice market: the watch learns `--sessions` of four shares and is then told `--calm` more of them bar by
bar, by the code that the daemon runs. Every alarm there is a false one. Then the market changes on each of `--turns` days
of that time, each change by itself, and it is counted in how many of those the alarm came within one, two and three
sessions; days on which an alarm stood already are left out. Each of `--runs` is a market of its own. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Session
from robo_trader.core.steps import DriftSummary
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.feature_pipeline import MatrixOptions
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml.dataset import build_dataset
from robo_trader.ml.drift import Reference
from robo_trader.ml.drift_watch import DriftWatch
from robo_trader.ml.trainer import remember
from robo_trader.simulation.market import ANCHOR, SyntheticMarket
from robo_trader.simulation.turn import Turn

SHARES, MARKET = ("AAPL", "JPM", "KO", "NVDA"), "SPY"
CALENDAR, HORIZON = XnysCalendar(), 30
AFTER = 3  # sessions within which a change may be noticed
LOUDNESS = {"3 times as loud": 3.0, "twice as loud": 2.0, "a third as loud": 1 / 3}
TREND = {"trend of 0.4 % a session turned": 0.004, "trend of 1 % a session turned": 0.01}
CHANGES = (*LOUDNESS, "volume halved", *TREND)
Told = list[tuple[int, bool]]  # when (ns UTC) an alarm began, or was over


def bars_of(market: SyntheticMarket, sessions: Sequence[Session]) -> dict[str, Bars]:
    """Return the minutes of the shares and the market."""
    found = {}
    for symbol in (*SHARES, MARKET):
        days = [market.minutes(symbol, session) for session in sessions]
        columns = (
            np.concatenate([getattr(day, name) for day in days])
            for name in ("start", "open", "high", "low", "close", "volume")
        )
        start, *prices = columns
        found[symbol] = Bars(start + MINUTE_NS, *prices)
    return found


def trending(bars: Bars, daily: float, until: int) -> Bars:
    """Return the bars with a trend of so much a session, which turns round after `until` (ns UTC)."""
    steps = np.where(bars.ts > until, -daily, daily) / 390
    lift = np.exp(np.cumsum(steps))
    before = np.concatenate(([1.0], lift[:-1]))
    open_, close = bars.open * before, bars.close * lift
    high = np.maximum(bars.high * lift, np.maximum(open_, close))
    low = np.minimum(bars.low * lift, np.minimum(open_, close))
    return Bars(bars.ts, *(np.round(price, 2) for price in (open_, high, low, close)), bars.volume)


def changed(seed: int, change: str, sessions: Sequence[Session], turn: Session | None) -> dict[str, Bars]:
    """Return the bars of a market that changes with the session `turn`, in the end, or never."""
    loud = Turn(turn.label, LOUDNESS[change]) if turn is not None and change in LOUDNESS else None
    bars = bars_of(SyntheticMarket(seed, turn=loud), sessions)
    until = turn.open if turn is not None else sessions[-1].close
    if change == "volume halved":
        return {
            symbol: replace(one, volume=np.where(one.ts > until, np.rint(one.volume / 2), one.volume))
            for symbol, one in bars.items()
        }
    if change in TREND:
        return {symbol: trending(one, TREND[change], until) for symbol, one in bars.items()}
    return bars


def reference_of(bars: Mapping[str, Bars], since: int) -> Reference:
    """Return what these bars looked like to a model from `since` (ns UTC) on."""
    options = MatrixOptions(MARKET, None, SHARES, np.float32, since=since)
    return remember(build_dataset(bars, CALENDAR, matrix_options=options))


def told(reference: Reference, bars: Mapping[str, Bars], since: int, live: int) -> Told:
    """Return what the watch tells of bars from `live` (ns UTC) on; those from `since` are the past that fills it."""
    engine = FeatureEngine(CALENDAR, market=MARKET)
    columns = np.array([engine.names.index(name) for name in reference.names], dtype=np.intp)
    watch = DriftWatch(reference, columns, SHARES, CALENDAR, HORIZON)
    changes: Told = []
    for bar, vector in _vectors(engine, bars, since, live):
        for fact in watch.on_bar(bar, vector):
            if isinstance(fact, DriftSummary) and fact.alarm != (bool(changes) and changes[-1][1]):
                changes.append((fact.ts, fact.alarm))
    return changes


def _vectors(
    engine: FeatureEngine, bars: Mapping[str, Bars], since: int, live: int
) -> Iterator[tuple[Bar, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    scans = engine.scans(bars)
    rows = {symbol: scans[symbol].matrix() for symbol in SHARES}
    for i in np.flatnonzero(bars[MARKET].ts > since):  # no minute of the practice market is without a trade
        for symbol in SHARES:
            ts = int(bars[symbol].ts[i])
            yield Bar(symbol, ts, 1, 1, 1, 1, 1, history=ts <= live), rows[symbol][i]


class Counts:
    """What was found of all runs."""

    def __init__(self) -> None:
        self.sessions = self.false_alarms = 0
        self.noticed = {change: [0] * AFTER for change in CHANGES}
        self.tried = dict.fromkeys(CHANGES, 0)

    def calm(self, alarms: Told, sessions: int) -> None:
        """Count the alarms of sessions without any change."""
        self.sessions += sessions
        self.false_alarms += sum(begins for _, begins in alarms)

    def turned(self, change: str, alarms: Told, after: Sequence[Session]) -> None:
        """Count within how many of the sessions `after` a change the alarm came; none where it stood before."""
        before = [begins for ts, begins in alarms if ts <= after[0].open]
        if before and before[-1]:
            return
        self.tried[change] += 1
        first = min((ts for ts, begins in alarms if begins and ts > after[0].open), default=None)
        for i, session in enumerate(after):
            self.noticed[change][i] += first is not None and first <= session.close

    def table(self) -> str:
        """Write it for people."""
        share = self.false_alarms / self.sessions
        lines = [f"no change: {self.false_alarms} alarms in {self.sessions} sessions, {share:.1%} a session"]
        lines += [
            f"{change}: within 1, 2, 3 sessions {', '.join(map(str, found))} of {self.tried[change]}"
            for change, found in self.noticed.items()
        ]
        return "\n".join(lines)

    def result(self) -> dict[str, object]:
        """Write it for programs."""
        return {
            "calm_sessions": self.sessions, "false_alarms": self.false_alarms, "noticed": self.noticed,
            "tried": self.tried,
        }  # fmt: skip


def run(seed: int, asked: argparse.Namespace, counts: Counts) -> None:
    """Watch one market, calm and changed."""
    first = date.fromisoformat(ANCHOR)
    sessions = CALENDAR.sessions(first, date(first.year + 2, 1, 1))
    begin = WARM_SESSIONS + asked.sessions
    since = sessions[WARM_SESSIONS].open
    calm = sessions[: begin + asked.calm]
    last = sessions[begin - 1]
    plain = reference_of(changed(seed, "", sessions[:begin], None), since)
    bars = changed(seed, "", calm, None)
    counts.calm(told(plain, bars, last.open, last.close), asked.calm)
    for change in CHANGES:
        past = plain
        if change in TREND:
            past = reference_of(changed(seed, change, sessions[:begin], None), since)
        for at in np.linspace(begin + 2, begin + asked.calm - AFTER, asked.turns).astype(int):
            yesterday, after = sessions[at - 2], sessions[at : at + AFTER]
            bars = changed(seed, change, sessions[: at + AFTER], after[0])
            counts.turned(change, told(past, bars, yesterday.open, yesterday.close), after)


def main() -> None:
    """Print the table, and one line of JSON."""
    parser = argparse.ArgumentParser(description="False alarms of drift, and how soon a change is noticed.")
    parser.add_argument("--runs", type=int, default=6, help="markets")
    parser.add_argument("--seed", type=int, default=101, help="of the first market")
    parser.add_argument("--sessions", type=int, default=60, help="to learn from")
    parser.add_argument("--calm", type=int, default=60, help="sessions to watch after those")
    parser.add_argument("--turns", type=int, default=6, help="days on which the market changes")
    asked = parser.parse_args()
    counts, began = Counts(), time.monotonic()
    for seed in range(asked.seed, asked.seed + asked.runs):
        run(seed, asked, counts)
    print(counts.table())
    print(json.dumps(counts.result() | {"seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
