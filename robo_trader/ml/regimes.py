"""What kind of market it is, day by day: rules that look back only, and a filter for bull and bear."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import DAY_NS
from robo_trader.core.protocols import Reading
from robo_trader.core.steps import Regime

Floats = NDArray[np.float64]

MONTH = 20  # days of the shorter windows
YEAR = 252  # days that volatility is ranked among ...
HALF_YEAR = 126  # ... or as many as there are, from here on
SETTLED = 60  # days after which the filter's beginning weighs at most a tenth (0.9643^60)
LONGEST_GAP_NS = 10 * DAY_NS  # between two days of one series; the exchange closes for a few days at most


@dataclass(frozen=True)
class RegimeOptions:
    """When a regime begins and ends; fractions of price, of a rank or of probability, and days.

    A crash begins at a `drawdown` from the highest of 20 closes and ends above `recovered`; a `fall` within 30 minutes, or a
    `range` so many times the median of 20 days and most of it down, makes one for `shock_days`. Volatility begins at the
    rank `loud` and ends below `calm`. A break counts within `release_days` of a squeeze and holds `breakout_days`. Bull and
    bear begin where the filter is `sure`, and expire where it has been so of neither for `doubt_days`.

    Source of the numbers: Gaussian model of two states on SPY, 1998 to 2018 (see `Weather`); Carter's squeeze.
    """

    drawdown: float = 0.10
    recovered: float = 0.07
    fall: float = 0.05
    range: float = 5.0
    shock_days: int = 3
    loud: float = 0.90
    calm: float = 0.75
    release_days: int = 10
    breakout_days: int = 5
    sure: float = 0.8
    doubt_days: int = 10


@dataclass(frozen=True)
class Weather:
    """Daily log returns of an index in percent, as drawn from two states, bull first: their means, deviations and how often
    each gives way to the other. Fitted to SPY, 1998 to 2018 (log-likelihood -7494.27).
    """

    mean: tuple[float, float] = (0.0845, -0.0582)
    deviation: tuple[float, float] = (0.678, 1.750)
    leave: tuple[float, float] = (0.0130, 0.0227)

    @property
    def transition(self) -> Floats:
        """P(next state | state), (2, 2): rows sum to 1."""
        stay, turn = self.leave
        return np.array([[1 - stay, stay], [turn, 1 - turn]])

    def density(self, percent: float) -> Floats:
        """Return how likely a return is in each state, (2,)."""
        mean, deviation = np.array(self.mean), np.array(self.deviation)
        return np.asarray(
            np.exp(-0.5 * ((percent - mean) / deviation) ** 2) / deviation / math.sqrt(2 * math.pi)
        )


SPY = Weather()


def stationary(transition: Floats) -> Floats:
    """Return how often a chain is in each state in the long run, (k,), of P(next | state), (k, k).

    >>> stationary(np.array([[0.9, 0.1], [0.3, 0.7]])).round(4).tolist()
    [0.75, 0.25]
    """
    k = len(transition)
    equations = np.vstack([transition.T - np.eye(k), np.ones(k)])
    found: Floats = np.linalg.lstsq(equations, np.append(np.zeros(k), 1.0), rcond=None)[0]
    return found


def filter_step(before: Floats, density: Floats, transition: Floats) -> tuple[Floats, float]:
    """Return P(state | all returns so far), (k,), and the likelihood of this one, from P of the day before.

    Filtered, never smoothed: what comes later changes nothing. Source: Hamilton (1989), Econometrica 57.
    """
    joint = (before @ transition) * density
    likelihood = float(joint.sum())
    if not likelihood > 0:  # further out than a float can say: as likely in each state as in the other
        return before @ transition, 0.0
    return joint / likelihood, likelihood


def filtered(density: Floats, transition: Floats) -> tuple[Floats, float]:
    """Return P(state | returns up to each), (n, k), and the log-likelihood of all, of densities (n, k)."""
    now, said, total = stationary(transition), np.empty_like(density), 0.0
    for i, one in enumerate(density):
        now, likelihood = filter_step(now, one, transition)
        said[i] = now
        total += math.log(likelihood) if likelihood else -math.inf
    return said, total


class Day(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session of one symbol: its close (UTC ns), prices in USD, and the deepest fall within 30 minutes where known."""

    ts: int
    high: float
    low: float
    close: float
    fall: float = 0.0


class Track(msgspec.Struct):
    """What the days of one symbol have come to, one day after the other; plain values that can be written down."""

    options: RegimeOptions
    days: list[Day] = []
    ranges: list[float] = []  # true ranges, the last MONTH
    spreads: list[float] = []  # deviation of MONTH log returns, the last YEAR
    middle: float = math.nan  # the exponential mean of typical prices that Keltner's channel is drawn around
    count: int = 0
    rank: float = math.nan
    deep: bool = False
    shock: int = 0
    alarm: str = ""
    loud: bool = False
    usual: float = (
        0.0  # the median range of the last MONTH days as a fraction of price, 0 where it is not known
    )
    peak: float = 0.0  # the highest of the last MONTH - 1 closes, 0 where it is not known
    squeezed: bool = False
    since_release: int = 10**6
    breakout: int = 0
    bear: float = math.nan  # P(bear), filtered
    trend: Regime = Regime.NEUTRAL
    doubt: int = 0

    def add(self, day: Day) -> None:
        """Take the next day. After a long gap all begins anew."""
        if self.days and day.ts - self.days[-1].ts > LONGEST_GAP_NS:
            fresh = Track(self.options)
            for name in self.__struct_fields__:
                setattr(self, name, getattr(fresh, name))
        self._judge_crash(day)
        self._judge_squeeze(day)
        self._judge_breakout(day)
        self.days = [*self.days[-MONTH:], day]
        self.count += 1
        self._remember()
        self._judge_volatility()
        self._judge_trend()

    def crash(self, day: Day) -> str:
        """Say why the day to come, finished or not, is one of a crash; empty where it is none."""
        if day.fall >= self.options.fall:
            return f"fell {day.fall:.1%} within 30 minutes"
        if self._below(day) >= self.options.drawdown:
            return f"{self._below(day):.1%} below the highest of {MONTH} closes"
        if self._is_torn(day):
            return f"a range {_range(day) / self.usual:.1f} times that of other days"
        return ""

    def reading(self, market: Track | None, name: str = "the market") -> Reading:
        """Return the regime after the last day; bull and bear, and crashes of all, are those of the `market`."""
        if self.is_crash:
            return Reading(Regime.CRASH, self.alarm)
        if market is not None and market.is_crash:
            return Reading(Regime.CRASH, f"{name}: {market.alarm}")
        if math.isnan(self.rank):
            return _unknown(f"volatility is ranked from {HALF_YEAR + MONTH} days on, {self.count} are known")
        if self.loud:
            return Reading(Regime.VOLATILE, f"{MONTH}-day volatility at rank {self.rank:.2f} of its year")
        if self.squeezed:
            return Reading(Regime.SQUEEZE, "Bollinger's bands lie within Keltner's channel")
        if self.breakout:
            return Reading(Regime.BREAKOUT, f"closed above {MONTH} days' highs after a squeeze")
        if market is None or market.count <= SETTLED:
            known = 0 if market is None else market.count
            return _unknown(f"bull and bear take {SETTLED} days of {name}, {known} are known")
        return Reading(market.trend, f"P(bear) {market.bear:.2f} by {name}")

    @property
    def is_crash(self) -> bool:
        """Whether the last day was one of a crash, or has one behind it that is not over."""
        return self.deep or self.shock > 0

    def _is_torn(self, day: Day) -> bool:
        """Whether a day is so much wider than others, and most of it below the last close: a leap up is no crash."""
        wide = self.usual > 0 and _range(day) >= self.options.range * self.usual
        return wide and self.days[-1].close - day.low >= (day.high - day.low) / 2

    def _below(self, day: Day) -> float:
        """Return how far a close is below the highest of MONTH closes, as a fraction; 0 where that is not known."""
        return 1 - day.close / max(day.close, self.peak)

    def _judge_crash(self, day: Day) -> None:
        options = self.options
        self.alarm = self.crash(day) or self.alarm
        self.shock = (
            options.shock_days if day.fall >= options.fall or self._is_torn(day) else max(0, self.shock - 1)
        )
        self.deep = self._below(day) >= (options.recovered if self.deep else options.drawdown)

    def _remember(self) -> None:
        """Note what the next day is measured by."""
        if self.count >= MONTH - 1:
            self.peak = max(one.close for one in self.days[-MONTH + 1 :])
        if self.count >= MONTH:
            self.usual = float(np.median([_range(one) for one in self.days[-MONTH:]]))

    def _judge_squeeze(self, day: Day) -> None:
        """Compare Bollinger's bands (20, 2) with Keltner's channel (20, 1.5 x mean true range). Source: Carter (2005)."""
        typical = [(one.high + one.low + one.close) / 3 for one in (*self.days[-MONTH + 1 :], day)]
        before = self.days[-1].close if self.days else day.close
        true_range = max(day.high, before) - min(day.low, before) if self.days else day.high - day.low
        self.ranges = [*self.ranges[-MONTH + 1 :], true_range]
        if len(typical) < MONTH:
            return
        if math.isnan(self.middle):
            self.middle = sum(typical) / MONTH
        else:
            self.middle += 2 / (MONTH + 1) * (typical[-1] - self.middle)
        closes = np.array([*(one.close for one in self.days[-MONTH + 1 :]), day.close])
        mean, band = float(closes.mean()), 2 * float(closes.std())
        channel = 1.5 * sum(self.ranges) / MONTH
        was = self.squeezed
        self.squeezed = mean + band < self.middle + channel and mean - band > self.middle - channel
        self.since_release = 0 if was and not self.squeezed else self.since_release + 1

    def _judge_breakout(self, day: Day) -> None:
        highs, options = [one.high for one in self.days[-MONTH:]], self.options
        released = not self.squeezed and self.since_release < options.release_days
        broke = len(highs) == MONTH and day.close > max(highs) and released
        self.breakout = options.breakout_days if broke else max(0, self.breakout - 1)

    def _judge_volatility(self) -> None:
        if len(self.days) <= MONTH:
            return
        spread = float(np.diff(np.log([day.close for day in self.days])).std(ddof=1))
        self.spreads = [*self.spreads[-YEAR + 1 :], spread]
        if len(self.spreads) >= HALF_YEAR:
            self.rank = sum(one <= spread for one in self.spreads) / len(self.spreads)
            self.loud = self.rank >= (self.options.calm if self.loud else self.options.loud)

    def _judge_trend(self) -> None:
        if len(self.days) < 2:
            return
        percent = 100 * math.log(self.days[-1].close / self.days[-2].close)
        before = stationary(SPY.transition) if math.isnan(self.bear) else np.array([1 - self.bear, self.bear])
        now, _ = filter_step(before, SPY.density(percent), SPY.transition)
        self.bear, sure = float(now[1]), self.options.sure
        decided = Regime.BEAR if self.bear >= sure else Regime.BULL if self.bear <= 1 - sure else None
        self.doubt = 0 if decided else self.doubt + 1
        if decided:
            self.trend = decided
        elif self.doubt > self.options.doubt_days:
            self.trend = Regime.NEUTRAL


def _range(day: Day) -> float:
    return day.high / day.low - 1


def _unknown(why: str) -> Reading:
    return Reading(Regime.NEUTRAL, f"not known: {why}", known=False)
