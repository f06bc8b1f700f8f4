"""A synthetic market: any symbol, any day, always the same, with a weak edge planted on purpose.

The price of a symbol is a martingale on the cent grid - a market factor shared by all symbols and noise of its own,
fat-tailed, clustered, loud at the open and close, calmer or wilder by the week - plus, at `edge > 0`, two drifts:

* **The planted edge.** With `z = (close - mean) / deviation` over the symbol's last 20 one-minute closes, yesterday's
  included, each minute adds `tanh(z)^3` to a tension that fades by a tenth a minute, and the price drifts by
  `-edge * PULL * sigma * tension`: a stretched price tends back to its mean over the coming half hour, the more surely
  the further it is stretched. Only closes of the past go in, and a model that sees them can learn it from `close`,
  `sma_20` and `std_20`. The tension starts each day at nothing.
* In trending weeks all symbols drift by `edge * TREND` a minute, up or down: visible over days, worthless over minutes.

With `edge = 0` nothing at all predicts a return: whoever finds a signal there has fooled himself.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate

import numpy as np

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import Floats, Minutes

ANCHOR = "2025-06-02"  # a Monday
WINDOW = 20
PULL = 0.4  # drift at full tension, in standard deviations of one minute
FADE = 0.9  # of the tension, a minute
TREND = 1e-5  # log return a minute in trending weeks
FACTOR_SIGMA = 3.5e-4  # one minute of the market factor, in a quiet week
NIGHT = 8.0  # an overnight gap in standard deviations of one minute
TAILS = 5  # degrees of freedom of all shocks
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

_TICKER = re.compile(r"[A-Z]{1,5}([ .][A-Z])?")


@dataclass(frozen=True)
class Nature:
    """What a symbol is, drawn once from its name."""

    price_cents: int
    beta: float
    sigma: float  # its own noise of one quiet minute
    shares: float  # volume of an average minute
    spread: float  # full spread as a fraction of the price


@dataclass(frozen=True)
class Evening:
    """What one day hands to the next: the last closes in cents, oldest first, and the noise's log volatility."""

    closes: tuple[int, ...]
    heat: float


class SyntheticMarket:
    """Draws every session of every symbol from (seed, symbol, date), in whatever order they are asked for.

    Prices run on from day to day, from a first price at the anchor session; a session far from it costs all days
    between once (about a third of a millisecond each), and asking again costs that one day again.
    """

    symbols: tuple[str, ...] | None = None
    first = ANCHOR
    last: str | None = None

    def __init__(self, seed: int, edge: float = 1.0, calendar: XnysCalendar | None = None) -> None:
        """Choose a market; `edge` scales all that is predictable in it. Raises ConfigurationError below 0."""
        if not 0 <= edge < math.inf:
            raise ConfigurationError(f"the edge must be 0 (none) or a positive number, not {edge}")
        self.seed = seed
        self.edge = edge
        self.identity = f"synthetic-1:seed={seed}:edge={edge:g}"
        self._calendar = calendar or XnysCalendar()
        self._sessions: list[Session] = []
        self._regimes: list[int] = [0]
        self._heats: list[float] = [0.0]
        self._factors: list[tuple[Floats, Floats]] = []
        self._evenings: dict[str, list[Evening]] = {}
        self._nature = lru_cache(maxsize=None)(self._draw_nature)

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
        evenings = self._evenings.setdefault(symbol, [self._dawn(symbol)])
        while len(evenings) <= day:
            evenings.append(self._trade(symbol, len(evenings) - 1, evenings[-1])[1])
        minutes, evening = self._trade(symbol, day, evenings[day])
        if len(evenings) == day + 1:
            evenings.append(evening)
        return minutes

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

    def _factor(self, day: int) -> tuple[Floats, Floats]:
        """Return the market's shocks of a day, the gap before it first, and how loud each minute is."""
        while len(self._factors) <= day:
            session = self._sessions[len(self._factors)]
            random = self._random("market", session.label)
            n = _length(session)
            loud, heat = _volatility(random, n, self._heats[-1])
            self._heats.append(heat)
            loud = loud * VOLATILITY[self._regime(session)]
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
            sigma=float(random.uniform(5.2e-4, 8.0e-4)),
            shares=dollars / price / 390,
            spread=float(1.0e-4 * (4e8 / dollars) ** 0.25 * random.uniform(0.9, 1.2)),
        )

    def _dawn(self, symbol: str) -> Evening:
        return Evening((self._nature(symbol).price_cents,) * WINDOW, 0.0)

    def _trade(self, symbol: str, day: int, before: Evening) -> tuple[Minutes, Evening]:
        """Draw one day of one symbol after the evening before it."""
        nature, session = self._nature(symbol), self._sessions[day]
        factor, loud = self._factor(day)
        random = self._random("symbol", symbol, session.label)
        n = _length(session)
        own_loud, heat = _volatility(random, n, before.heat)
        own_loud *= VOLATILITY[self._regime(session)] ** 0.7
        own = _shocks(random, n + 1) * nature.sigma
        own[0] *= NIGHT
        own[1:] *= own_loud
        noise = nature.beta * factor + own
        sigma = np.hypot(nature.beta * FACTOR_SIGMA * loud, nature.sigma * own_loud)
        trend = self.edge * TREND * DIRECTION[self._regime(session)]
        first = max(CHEAPEST, math.floor(before.closes[-1] * (1 + noise[0]) + random.random()))
        closes = walk(before.closes, first, noise[1:] + trend, self.edge * PULL * sigma, random.random(n))
        minutes = _bars(session, nature, random, first, np.array(closes), sigma, noise[1:])
        return minutes, Evening((before.closes + tuple(closes))[-WINDOW:], heat)


def walk(window: tuple[int, ...], price: int, noise: Floats, pull: Floats, luck: Floats) -> list[int]:
    """Return the closes in cents of a price that starts at `price` after the closes in `window`.

    Each minute moves by `noise - pull * tension` as a fraction of the price and lands on a whole cent by `luck`
    (uniform in [0, 1)), so that rounding too is fair.
    """
    recent, closes, tension = list(window), [], 0.0
    # Whole cents keep the running sums exact.
    total, squares = sum(recent), sum(cents * cents for cents in recent)
    tanh, sqrt = math.tanh, math.sqrt
    for i, (shock, draw, chance) in enumerate(zip(noise.tolist(), pull.tolist(), luck.tolist(), strict=True)):
        price = max(CHEAPEST, int(price * (1.0 + shock - draw * tension) + chance))
        old = recent[i]
        recent.append(price)
        closes.append(price)
        total += price - old
        squares += price * price - old * old
        scatter = WINDOW * squares - total * total
        stretch = tanh((WINDOW * price - total) / sqrt(scatter)) ** 3 if scatter else 0.0
        tension = FADE * tension + (1.0 - FADE) * stretch
    return closes


def _length(session: Session) -> int:
    return (session.close - session.open) // MINUTE_NS


def _shocks(random: np.random.Generator, n: int) -> Floats:
    """Return n fat-tailed shocks of mean 0 and variance 1."""
    return np.clip(random.standard_t(TAILS, n) * math.sqrt((TAILS - 2) / TAILS), -8.0, 8.0)


def _volatility(random: np.random.Generator, n: int, heat: float) -> tuple[Floats, float]:
    """Return the day's volatility by minute (1 on average) and the log volatility it ends with."""
    steps = (0.04 * random.standard_normal(n)).tolist()
    path = list(accumulate(steps, lambda now, step: 0.985 * now + step, initial=heat))
    return smile(n) * np.exp(np.array(path[1:]) - 0.05), path[-1]


@lru_cache(maxsize=4)
def smile(n: int) -> Floats:
    """Return the U shape of a trading day of n minutes, 1 on average: highest at the open, high at the close."""
    minute = np.arange(n) + 0.5
    shape = 0.75 + 1.3 * np.exp(-minute / 25) + 0.5 * np.exp(-(n - minute) / 20)
    return np.asarray(shape / shape.mean(), dtype=np.float64)


def _bars(
    session: Session,
    nature: Nature,
    random: np.random.Generator,
    first: int,
    closes: Floats,
    sigma: Floats,
    noise: Floats,
) -> Minutes:
    """Dress the closes (cents) as bars: each opens at the close before it; extremes as of a Brownian bridge."""
    n = len(closes)
    opens = np.concatenate([[first], closes[:-1]])
    move, scale = closes - opens, opens * sigma
    reach = np.sqrt(move**2 - 2 * scale**2 * np.log(1 - random.random((2, n))))
    middle = (opens + closes) / 2
    high = np.maximum(np.floor(middle + reach[0] / 2), np.maximum(opens, closes))
    low = np.minimum(np.ceil(middle - reach[1] / 2), np.minimum(opens, closes))
    excited = 0.6 + 0.5 * np.abs(noise) / sigma
    volume = np.rint(nature.shares * smile(n) * excited * np.exp(0.35 * random.standard_normal(n) - 0.06))
    start = session.open + np.arange(n, dtype=np.int64) * MINUTE_NS
    return Minutes(
        start, opens / 100, np.maximum(high, 1) / 100, np.maximum(low, 1) / 100, closes / 100, volume
    )
