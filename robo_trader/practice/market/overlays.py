"""What is laid over a market on command or by rule: trading halts, splits and dividends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.simulation.rows import Slice
from robo_trader.simulation.tape import SLICE_NS, Minutes

PAUSE_NS = 5 * MINUTE_NS
_BAND = 0.05
_CHEAP_BAND = 0.20
_CHEAP = 3.0  # USD
_WINDOW = PAUSE_NS // SLICE_NS
_MORNING = 15 * MINUTE_NS // SLICE_NS
_EVENING = 25 * MINUTE_NS // SLICE_NS


class Halt(msgspec.Struct, frozen=True):
    """No trading of `symbol`, of everything where that is empty, at since <= ts < until (UTC ns); 0: not ended yet."""

    symbol: str
    since: int
    until: int
    reason: str

    def covers(self, symbol: str, ts: int) -> bool:
        return self.symbol in ("", symbol) and self.since <= ts and (not self.until or ts < self.until)

    def touches(self, symbol: str, session: Session) -> bool:
        began = self.since < session.close and (not self.until or self.until > session.open)
        return began and self.symbol in ("", symbol)


class Split(msgspec.Struct, frozen=True, tag="split"):
    """`ratio` new shares for one, from the session of that label on; all history is told in new shares from then."""

    symbol: str
    session: str
    ratio: Decimal


class Dividend(msgspec.Struct, frozen=True, tag="dividend"):
    """USD a share to whoever held it at the close before the session of that label, its ex-date; price falls by it."""

    symbol: str
    session: str
    usd: Decimal


Action = Split | Dividend


class Overlays(msgspec.Struct, frozen=True):
    """Everything laid over a market, to be saved; actions up to the session `told` have been reported."""

    halts: tuple[Halt, ...] = ()
    actions: tuple[Action, ...] = ()
    told: str = ""


def adjust(minutes: Minutes, actions: Iterable[Action], session: str, today: str) -> Minutes:
    """Return a session's bars as they are told `today`: splits apply to all history, dividends from their ex-date on.

    `actions` are one symbol's, oldest first. Prices stay on the cent and at one cent or more, volumes whole.
    """
    prices = np.stack([minutes.open, minutes.high, minutes.low, minutes.close])
    volume = minutes.volume
    for action in actions:
        if isinstance(action, Split) and action.session <= today:
            prices = prices / float(action.ratio)
            volume = volume * float(action.ratio)
        elif isinstance(action, Dividend) and action.session <= session:
            prices = prices - float(action.usd)
    o, h, low, c = np.maximum(np.rint(prices * 100), 1) / 100
    volume = np.where(minutes.volume > 0, np.maximum(np.rint(volume), 1), 0)
    return Minutes(minutes.start, o, h, low, c, volume)


def pauses(symbol: str, rows: Iterable[Slice]) -> list[Halt]:
    """Return the limit up - limit down pauses of a session (all its slices), five minutes each.

    A slice that would print outside the band around the mean of the closes of the five minutes before does not trade,
    and nothing does for five minutes from its start. Band: 5 %, at 3 USD or less 20 %; doubled in the first 15 and the
    last 25 minutes. After five minutes without a trade, and after a pause, the first price is the reference. (After
    the plan of 2012 for tier 1 shares, without its limit states.)
    """
    every = list(rows)
    found: list[Halt] = []
    recent: deque[tuple[int, float]] = deque()
    for k, row in enumerate(every):
        while recent and recent[0][0] < k - _WINDOW:
            recent.popleft()
        if not row.volume or (found and row.start < found[-1].until):
            continue
        mean = sum(close for _, close in recent) / len(recent) if recent else row.open
        width = mean * _band(mean) * (2 if k < _MORNING or k >= len(every) - _EVENING else 1)
        if mean - width <= row.low and row.high <= mean + width:
            recent.append((k, row.close))
        else:
            found.append(Halt(symbol, row.start, row.start + PAUSE_NS, "limit up - limit down pause"))
    return found


def may_pause(minutes: Minutes) -> bool:
    """Say whether any six bars in a row reach further than the narrowest band."""
    if not len(minutes):
        return False
    high, low = minutes.high, minutes.low
    if high.max() <= low.min() * (1 + _BAND):
        return False
    n = len(minutes)
    for lag in range(min(n, _WINDOW * SLICE_NS // MINUTE_NS + 1)):
        later, earlier = slice(lag, n), slice(0, n - lag)
        if (high[later] > low[earlier] * (1 + _BAND)).any() or (
            low[later] < high[earlier] * (1 - _BAND)
        ).any():
            return True
    return False


def _band(price: float) -> float:
    return _BAND if price > _CHEAP else _CHEAP_BAND


def market_wide(level: int, now: int, session: Session) -> Halt | None:
    """Return the market-wide halt of a level (1, 2: 15 minutes, none in the last 35; 3: the rest of the day)."""
    if level not in (1, 2, 3):
        raise ValueError(f"there is no level {level}")
    if level < 3 and now >= session.close - 35 * MINUTE_NS:
        return None
    until = session.close if level == 3 else now + 15 * MINUTE_NS
    return Halt("", now, until, f"market-wide circuit breaker level {level}")


def halted_at(halts: Sequence[Halt], symbol: str, ts: int) -> Halt | None:
    """Return a halt of a symbol at a time."""
    return next((halt for halt in halts if halt.covers(symbol, ts)), None)
