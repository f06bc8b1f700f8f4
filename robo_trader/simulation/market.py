"""A synthetic market: any symbol, any day, always the same, with a weak edge planted on purpose.

The price of a symbol is a martingale on the cent grid - a market factor shared by all symbols and noise of its own,
fat-tailed, loud at the open, calmer or wilder by the hour, the day and the week, with a night of own news each quarter -
plus, at `edge > 0`, two drifts:

* **The planted edge.** With `z = (close - mean) / deviation` over the symbol's last 20 one-minute closes, yesterday's
  included, each minute adds `tanh(z)^3` to a tension that fades by a tenth a minute, and the price drifts by
  `-edge * PULL * sigma * tension`: a stretched price tends back to its mean over the coming half hour, the more surely
  the further it is stretched. Only closes of the past go in, and a model that sees them can learn it from `close`,
  `sma_20` and `std_20`. The tension starts each day at nothing.
* In trending weeks all symbols drift by `edge * TREND` a minute, up or down: visible over days, worthless over minutes.

A market can be told to turn: from one session on, every minute moves some times as far, and volume follows, as it
does in real markets in a panic. It is there to see whether anybody notices.

With `edge = 0` nothing at all predicts a return: whoever finds a signal there has fooled himself. Volatility and volume
can be predicted, as in real markets; docs/practice-market.md compares both with real bars.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import Floats, Minutes
from robo_trader.simulation.turn import Turn

ANCHOR = "2025-06-02"  # a Monday
WINDOW = 20
PULL = 0.4  # drift at full tension, in standard deviations of one minute
FADE = 0.9  # of the tension, a minute
TREND = 1e-5  # log return a minute in trending weeks
FACTOR_SIGMA = 3.9e-4  # one minute of the market factor, in a quiet week
NIGHT = 11.0  # an overnight gap in standard deviations of one minute
REPORTS = 63  # sessions from one night of a share's own news to the next
REPORT = 4.0  # its gap in ordinary gaps
TAILS = 8  # degrees of freedom of all shocks
DAY_MEMORY, DAY_STEP = 0.7, 0.18  # of log volatility, day by day
MINUTE_MEMORY, MINUTE_STEP = 0.985, 0.045  # of log volatility, minute by minute within a day
# The variance of both: it takes back what clustering would add to the variance of returns.
CLUSTERS = DAY_STEP**2 / (1 - DAY_MEMORY**2) + MINUTE_STEP**2 / (1 - MINUTE_MEMORY**2)
REACH = 0.88  # extremes of a minute against those of a Brownian bridge
BUSY = 40  # minutes that a change of volume lasts
CHEAPEST = 100  # cents; no share falls below

# Regimes of a week: calm, wild, rising, falling; volatility factor, direction, and where the next week goes.
VOLATILITY = (0.8, 1.7, 1.0, 1.1)
DIRECTION = (0, 0, 1, -1)
NEXT = (
    (0.60, 0.15, 0.15, 0.10),
    (0.30, 0.40, 0.10, 0.20),
    (0.30, 0.10, 0.50, 0.10),
    (0.20, 0.30, 0.10, 0.40),
)

_KEPT = 1_000  # symbols whose days are remembered, a few hundred bytes a day
_TICKER = re.compile(r"[A-Z]{1,5}([ .][A-Z])?")


@dataclass(frozen=True)
class Nature:
    """What a symbol is, drawn once from its name."""

    price_cents: int
    beta: float
    sigma: float  # its own noise of one quiet minute
    shares: float  # volume of an average minute
    spread: float  # full spread as a fraction of the price
    reports: int  # the first session that opens after news of its own


@dataclass(frozen=True, slots=True)
class Evening:
    """What one day hands to the next: the last closes in cents, oldest first, and the day's own log volatility."""

    closes: array[int]
    heat: float


class _Drawn(NamedTuple):
    """A day's closes in cents after its first price, what they were drawn from, and what is left to draw from."""

    random: np.random.Generator
    first: int
    closes: Floats
    sigma: Floats
    noise: Floats
    evening: Evening


class SyntheticMarket:
    """Draws every session of every symbol from (seed, symbol, date), in whatever order they are asked for.

    Prices run on from day to day, from a first price at the anchor session; a session far from it costs all days
    between once (about a quarter of a millisecond each), and asking again costs that one day again.
    """

    symbols: tuple[str, ...] | None = None
    first = ANCHOR
    last: str | None = None

    def __init__(
        self, seed: int, edge: float = 1.0, calendar: XnysCalendar | None = None, turn: Turn | None = None
    ) -> None:
        """Choose a market; `edge` scales all that is predictable in it. Raises ConfigurationError below 0."""
        if not 0 <= edge < math.inf:
            raise ConfigurationError(f"the edge must be 0 (none) or a positive number, not {edge}")
        self.seed = seed
        self.edge = edge
        self.identity = f"synthetic-2:seed={seed}:edge={edge:g}"
        if turn is not None:
            self.identity += f":turn={turn}"
        self._turn = turn
        self._calendar = calendar or XnysCalendar()
        self._sessions: list[Session] = []
        self._regimes: list[int] = [0]
        self._heats: list[float] = [0.0]
        self._factors: list[tuple[Floats, Floats]] = []
        self._evenings: OrderedDict[str, list[Evening]] = OrderedDict()
        self._nature = lru_cache(maxsize=4 * _KEPT)(self._draw_nature)

    def knows(self, symbol: str) -> bool:
        """Say whether this is spelled like a US share: one to five capitals, perhaps a class letter."""
        return _TICKER.fullmatch(symbol) is not None

    def spread(self, symbol: str, price: float) -> float:
        return max(1, round(price * 100 * self._nature(symbol).spread)) / 100

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return every minute of the session; none before the anchor session."""
        if session.label < ANCHOR:
            none = np.empty(0)
            return Minutes(np.empty(0, np.int64), none, none, none, none, none)
        day = self._day(session)
        evenings = self._evenings.setdefault(symbol, [])
        if not evenings:
            evenings.append(self._dawn(symbol))
            if len(self._evenings) > _KEPT:
                self._evenings.popitem(last=False)
        self._evenings.move_to_end(symbol)
        while len(evenings) <= day:
            evenings.append(self._close(symbol, len(evenings) - 1, evenings[-1]).evening)
        drawn = self._close(symbol, day, evenings[day])
        if len(evenings) == day + 1:
            evenings.append(drawn.evening)
        return _bars(session, self._nature(symbol), drawn)

    # ------------------------------------------------------------------------------------------- the calendar

    def _day(self, session: Session) -> int:
        """Return how many sessions this one lies after the anchor."""
        if not self._sessions or self._sessions[-1].label < session.label:
            last = date.fromisoformat(session.label)
            self._sessions = self._calendar.sessions(date.fromisoformat(ANCHOR), last)
        return bisect_left(self._sessions, session.label, key=lambda one: one.label)

    # --------------------------------------------------------------------------------------------- the market

    def _random(self, *about: object) -> np.random.Generator:
        """Return the generator that belongs to these words under this seed."""
        words = "|".join(str(word) for word in (self.seed, *about))
        return np.random.Generator(
            np.random.PCG64(int.from_bytes(blake2b(words.encode(), digest_size=16).digest()))
        )

    def _regime(self, session: Session) -> int:
        """Return the regime of the session's week."""
        week = (date.fromisoformat(session.label) - date.fromisoformat(ANCHOR)).days // 7
        while len(self._regimes) <= week:
            draw = self._random("week", len(self._regimes)).random()
            odds = np.cumsum(NEXT[self._regimes[-1]])
            self._regimes.append(min(int(np.searchsorted(odds, draw, side="right")), len(odds) - 1))
        return self._regimes[week]

    def _loudness(self, session: Session) -> float:
        return self._turn.loudness if self._turn is not None and session.label >= self._turn.since else 1.0

    def _factor(self, day: int) -> tuple[Floats, Floats]:
        """Return the market's shocks of a day, the gap before it first, and how loud each minute is."""
        while len(self._factors) <= day:
            session = self._sessions[len(self._factors)]
            random = self._random("market", session.label)
            n = _length(session)
            mood, heat = _volatility(random, n, self._heats[-1])
            self._heats.append(heat)
            loud = smile(n) * mood * VOLATILITY[self._regime(session)] * self._loudness(session)
            shocks = _shocks(random, n + 1) * FACTOR_SIGMA
            shocks[0] *= NIGHT
            shocks[1:] *= loud
            self._factors.append((shocks, loud))
        return self._factors[day]

    # --------------------------------------------------------------------------------------------- one symbol

    def _draw_nature(self, symbol: str) -> Nature:
        random = self._random("nature", symbol)
        price = 40.0 * 12.0 ** random.random()
        dollars = 4e8 * 10.0 ** random.random()  # a day
        return Nature(
            price_cents=round(price * 100),
            beta=float(random.uniform(0.6, 1.5)),
            sigma=float(random.uniform(4.2e-4, 7.0e-4)),
            shares=dollars / price / 390,
            spread=float(1.5e-4 * (4e8 / dollars) ** 0.25 * random.uniform(0.9, 1.2)),
            reports=int(random.integers(REPORTS)),
        )

    def _dawn(self, symbol: str) -> Evening:
        return Evening(array("i", [self._nature(symbol).price_cents]) * WINDOW, 0.0)

    def _close(self, symbol: str, day: int, before: Evening) -> _Drawn:
        """Draw the closes of one day of one symbol after the evening before it."""
        nature, session = self._nature(symbol), self._sessions[day]
        factor, loud = self._factor(day)
        random = self._random("symbol", symbol, session.label)
        n = _length(session)
        mood, heat = _volatility(random, n, before.heat)
        own_loud = smile(n) * mood * VOLATILITY[self._regime(session)] ** 0.7 * self._loudness(session)
        own = _shocks(random, n + 1) * nature.sigma
        own[0] *= NIGHT * (REPORT if day % REPORTS == nature.reports else 1.0)
        own[1:] *= own_loud
        noise = nature.beta * factor + own
        sigma = np.hypot(nature.beta * FACTOR_SIGMA * loud, nature.sigma * own_loud)
        trend = self.edge * TREND * DIRECTION[self._regime(session)]
        first = max(CHEAPEST, math.floor(before.closes[-1] * (1 + noise[0]) + random.random()))
        closes = walk(before.closes, first, noise[1:] + trend, self.edge * PULL * sigma, random.random(n))
        evening = Evening((before.closes + array("i", closes))[-WINDOW:], heat)
        return _Drawn(random, first, np.array(closes), sigma, noise[1:], evening)


def walk(window: Sequence[int], price: int, noise: Floats, pull: Floats, luck: Floats) -> list[int]:
    """Return the closes in cents of a price that starts at `price` after the closes in `window`.

    Each minute moves by `noise - pull * tension` as a fraction of the price and lands on a whole cent by `luck`
    (uniform in [0, 1)), so that rounding too is fair.
    """
    recent, tension = list(window), 0.0
    # Whole cents keep the running sums exact.
    total, squares = sum(recent), sum(cents * cents for cents in recent)
    tanh, sqrt, append = math.tanh, math.sqrt, recent.append
    # `recent` grows while it is read: each minute drops the close of twenty minutes before.
    for old, shock, draw, chance in zip(recent, noise.tolist(), pull.tolist(), luck.tolist(), strict=False):
        price = int(price * (1.0 + shock - draw * tension) + chance)
        if price < CHEAPEST:
            price = CHEAPEST
        append(price)
        total += price - old
        squares += price * price - old * old
        scatter = WINDOW * squares - total * total
        stretch = tanh((WINDOW * price - total) / sqrt(scatter)) ** 3 if scatter else 0.0
        tension = FADE * tension + (1.0 - FADE) * stretch
    return recent[len(window) :]


def _length(session: Session) -> int:
    return (session.close - session.open) // MINUTE_NS


def _shocks(random: np.random.Generator, n: int) -> Floats:
    """Return n fat-tailed shocks of mean 0 and variance 1."""
    return np.clip(random.standard_t(TAILS, n) * math.sqrt((TAILS - 2) / TAILS), -8.0, 8.0)


def _volatility(random: np.random.Generator, n: int, heat: float) -> tuple[Floats, float]:
    """Return how much louder than usual each minute of the day after one of log volatility `heat` is, and its own."""
    heat = DAY_MEMORY * heat + DAY_STEP * float(random.standard_normal())
    steps = MINUTE_STEP * random.standard_normal(n + 1)
    steps[0] /= math.sqrt(1 - MINUTE_MEMORY**2)
    now, *changes = steps.tolist()
    path = []
    for step in changes:
        now = MINUTE_MEMORY * now + step
        path.append(now)
    return np.exp(np.array(path) + heat - CLUSTERS), heat


@lru_cache(maxsize=4)
def smile(n: int) -> Floats:
    """Return how loud each minute of a day of n is, 1 on average: loudest at the open, hardly louder at the close."""
    after, before = _from_both_ends(n)
    shape = 0.7 + 0.75 * np.exp(-after / 60) + 0.6 * np.exp(-after / 15) + 1.9 * np.exp(-after / 3)
    shape += 0.15 * np.exp(-before / 15)
    return np.asarray(shape / shape.mean(), dtype=np.float64)


@lru_cache(maxsize=4)
def crowd(n: int) -> Floats:
    """Return the volume of each minute of a day of n, 1 on average: the two auctions, a busy hour after and before."""
    after, before = _from_both_ends(n)
    shape = 0.52 + 0.9 * np.exp(-after / 60) + 1.2 * np.exp(-after / 6)
    shape += 0.8 * np.exp(-before / 30) + 3.5 * np.exp(-before / 5)
    shape[0] += 6.5
    shape[-1] += 8.0
    return np.asarray(shape / shape.mean(), dtype=np.float64)


def _from_both_ends(n: int) -> tuple[Floats, Floats]:
    """Return how many minutes of n lie before each, and how many after it."""
    minute = np.arange(n, dtype=np.float64)
    return minute, n - 1 - minute


def _bars(session: Session, nature: Nature, drawn: _Drawn) -> Minutes:
    """Dress the closes as bars: each opens at the close before it; extremes as of a Brownian bridge."""
    random, first, closes, sigma, noise, _ = drawn
    n = len(closes)
    opens = np.concatenate([[first], closes[:-1]])
    move, scale = closes - opens, opens * sigma * REACH
    reach = np.sqrt(move**2 - 2 * scale**2 * np.log(1 - random.random((2, n))))
    middle = (opens + closes) / 2
    high = np.maximum(np.floor(middle + reach[0] / 2), np.maximum(opens, closes))
    low = np.minimum(np.ceil(middle - reach[1] / 2), np.minimum(opens, closes))
    volume = np.rint(nature.shares * _volume(nature, random, sigma, np.abs(noise) / sigma))
    start = session.open + np.arange(n, dtype=np.int64) * MINUTE_NS
    return Minutes(
        start, opens / 100, np.maximum(high, 1) / 100, np.maximum(low, 1) / 100, closes / 100, volume
    )


def _volume(nature: Nature, random: np.random.Generator, sigma: Floats, moved: Floats) -> Floats:
    """Return each minute's volume in ordinary minutes: crowds come with loud weeks, days, hours and moves."""
    n = len(sigma)
    mood = sigma / (smile(n) * math.hypot(nature.beta * FACTOR_SIGMA, nature.sigma))
    news = np.cumsum(random.standard_normal(n + BUSY))
    held = 0.35 / math.sqrt(BUSY) * (news[BUSY:] - news[:-BUSY])
    own = 0.15 * float(random.standard_normal()) + held + 0.4 * random.standard_normal(n)
    return crowd(n) * mood**0.8 * (0.75 + 0.3 * moved) * np.exp(own - 0.15)
