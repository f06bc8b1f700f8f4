"""Watches the night before each session: whether the price came to where it opened as by a split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from robo_trader.core.events import SECOND_NS, Bar
from robo_trader.core.protocols import Calendar, Suspicion
from robo_trader.data.bars import Bars, Floats
from robo_trader.data.splits import RATIOS, jumps, said

DAY = 7  # numbers of a day, in the order of `_Day`
MOST_DAYS = 61  # what a judgement looks back on
CANDIDATE = math.log(1.18)  # of a night's move; the smallest ratio is 5 for 4
NEAR = math.log(1.2)  # the open from the ratio, where positions agree with that


@dataclass(slots=True)
class _Day:
    """One session as far as it has gone; `ts` is its newest bar (UTC ns), `close_ts` when it ends."""

    ts: int
    close_ts: int
    opened: float
    high: float
    low: float
    close: float
    volume: float

    def add(self, bar: Bar) -> None:
        self.ts = bar.ts
        self.high, self.low, self.close = max(self.high, bar.high), min(self.low, bar.low), bar.close
        self.volume += bar.volume


class Nights:
    """Implements `core.protocols.Nights` for every symbol whose bars it is told, past ones first."""

    def __init__(
        self, calendar: Calendar, market: str = "", days: Mapping[str, Floats] | None = None
    ) -> None:
        """`market` is what shares move with; `days` are what `told` returned of an earlier one."""
        self._calendar = calendar
        self._market = market
        self._days: dict[str, list[_Day]] = {
            symbol: [
                _Day(int(row[0]) * SECOND_NS, int(row[1]) * SECOND_NS, *map(float, row[2:])) for row in rows
            ]
            for symbol, rows in (days or {}).items()
        }

    def told(self) -> dict[str, Floats]:
        """Return the days of each symbol, (n, DAY), times in seconds, for another one to go on from."""
        return {
            symbol: np.array(
                [
                    [d.ts // SECOND_NS, d.close_ts // SECOND_NS, d.opened, d.high, d.low, d.close, d.volume]
                    for d in days
                ]
            )
            for symbol, days in self._days.items()
        }

    def learn(self, bars: Iterable[Bar]) -> None:
        """Take bars of the past, oldest first."""
        for bar in bars:
            self._take(bar)

    def on_bar(self, bar: Bar) -> Suspicion | None:
        """Take one closed bar; the first of a session that opened as by a split says so."""
        return self._judged(bar.symbol) if self._take(bar) else None

    def between(self, symbol: str, ours: int, theirs: int) -> Suspicion | None:
        """Say by which split our shares may have become the broker's, None where the night's prices do not agree."""
        night = self._night(symbol)
        if night is None or ours * theirs <= 0:
            return None
        able = [ratio for ratio in RATIOS if abs(ours * ratio - theirs) < 1]
        ratio = min(able, key=lambda ratio: abs(night + math.log(ratio)), default=1.0)
        if ratio == 1.0 or abs(night + math.log(ratio)) > NEAR:
            return None
        return self._suspicion(symbol, ratio, f"and of our {ours} shares the broker has made {theirs}")

    def forget(self, symbol: str) -> None:
        """What was seen before this session was told in other shares."""
        del self._days.get(symbol, [])[:-1]

    def _take(self, bar: Bar) -> bool:
        """Add a bar to its day; return whether it began one."""
        days = self._days.setdefault(bar.symbol, [])
        if days and bar.ts <= days[-1].close_ts:
            if bar.ts > days[-1].ts:
                days[-1].add(bar)
            return False
        session = self._calendar.session(bar.ts)
        if session is None:
            return False
        days.append(_Day(bar.ts, session.close, bar.open, bar.high, bar.low, bar.close, bar.volume))
        del days[:-MOST_DAYS]
        return True

    def _night(self, symbol: str) -> float | None:
        """Return the log move from the last close to the open of the newest session."""
        days = self._days.get(symbol, ())
        return math.log(days[-1].opened / days[-2].close) if len(days) > 1 else None

    def _judged(self, symbol: str) -> Suspicion | None:
        night = self._night(symbol)
        if night is None or abs(night) < CANDIDATE:
            return None
        daily = _bars(self._days[symbol])
        # Of today no more is known than its first price: nothing else may speak for or against.
        for column in (daily.high, daily.low, daily.close):
            column[-1] = daily.open[-1]
        daily.volume[-1] = np.median(daily.volume[:-1])
        market = self._days.get(self._market) if symbol != self._market else None
        found = jumps(daily, _bars(market) if market else None)
        last = found[-1] if found and found[-1].ts == daily.ts[-1] else None
        return self._suspicion(symbol, last.ratio, last.why) if last is not None and last.is_split else None

    def _suspicion(self, symbol: str, ratio: float, why: str) -> Suspicion:
        before, today = self._days[symbol][-2:]
        exact = Fraction(ratio).limit_denominator(100)
        opened = f"opened at {today.opened:g} after a close at {before.close:g}"
        return Suspicion(exact.numerator, exact.denominator, f"{said(ratio)}: {opened}; {why}")


def _bars(days: list[_Day]) -> Bars:
    columns = ("opened", "high", "low", "close", "volume")
    return Bars(
        np.array([day.ts for day in days]),
        *(np.array([getattr(day, column) for day in days]) for column in columns),
    )
