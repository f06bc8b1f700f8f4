"""Measures how far a bar jumps, whether the next one stays there, and how far its volume lets it go."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable

from robo_trader.core.events import Bar

# Scales the median absolute deviation to a standard deviation of normal returns.
_MAD_TO_SIGMA = 1.4826
# A jump is confirmed where the next bar lies nearer to it than this fraction of the way back.
_HALF_WAY = 0.5
# So many bars of a session before their volume says what is usual; so many times that is much, beyond so many deviations.
_FEW_BARS, _TIMES, _SIGMAS = 6, 3.0, 3.0


def move(bar: Bar, reference: float) -> float:
    """Return the largest absolute log return from `reference` to the bar's extremes."""
    return max(abs(math.log(bar.high / reference)), abs(math.log(bar.low / reference)))


def close_move(bar: Bar, reference: float) -> float:
    """Return the absolute log return from `reference` to the bar's close."""
    return abs(math.log(bar.close / reference))


def opens_there(bar: Bar, held: Bar, reference: float) -> bool:
    """Whether `bar` opens nearer to the held bar's close than to `reference`, from where that jumped."""
    return abs(math.log(bar.open / held.close)) <= _HALF_WAY * close_move(held, reference)


def reaches(bar: Bar, held: Bar, reference: float) -> bool:
    """Whether `bar` stays near the extreme to which the held bar jumped from `reference`."""
    up, down = math.log(held.high / reference), math.log(reference / held.low)
    way_back = math.log(held.high / bar.high) if up >= down else math.log(bar.low / held.low)
    return way_back <= _HALF_WAY * max(up, down)


def nearest(price: float, known: list[float]) -> float:
    """Return the smallest absolute log return from any known price; infinite where none is known."""
    return min((abs(math.log(price / other)) for other in known), default=math.inf)


def robust_sigma(returns: Iterable[float]) -> float:
    """Return 1.4826 times the median absolute return.

    Not the deviation from the median: where prices only bounce between bid and ask, one half of the returns is the median.
    """
    return _MAD_TO_SIGMA * statistics.median(abs(value) for value in returns)


def room(volume: float, before: Collection[float], at_close: bool) -> float:
    """Return by how much further than usual a bar may go that traded much more than usual, 1 where it did not.

    Variance grows as volume does (Clark 1973, Econometrica 41), and a bad print adds hardly any. `before` are volumes of
    the session's bars before it, all above 0. Short bars come and go by more than long ones, so a volume has to stand out
    of their spread as well; not so `at_close`, where the auction is known to be.

    >>> room(900.0, [100.0, 90.0, 110.0, 100.0, 105.0, 95.0], at_close=False)
    3.0
    >>> room(900.0, [100.0, 10.0, 1000.0, 30.0, 300.0, 100.0], at_close=False)
    1.0
    """
    if len(before) < _FEW_BARS or volume <= 0:
        return 1.0
    usual = statistics.median(before)
    above = math.log(volume / usual)
    spread = robust_sigma(math.log(one / usual) for one in before)
    is_busy = above >= math.log(_TIMES) and (at_close or above >= _SIGMAS * spread)
    return math.sqrt(volume / usual) if is_busy else 1.0
