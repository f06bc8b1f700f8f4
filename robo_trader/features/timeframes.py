"""The longer view: 5 minutes, half an hour and the day, by the last bar of each that has closed.

Frames are counted from the session's open and the last one ends with the session, as in `data/aggregation.py`. A bar of
a frame closes with the bar that reaches its end or, where that one is missing, when a later bar comes and before that
one counts; until then nothing of it is seen. Bars as long as a frame or longer are that frame themselves.

All means are plain ones over windows: an exponential one of days would still tell, months later, when history began.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import TIE, YEAR, Array, Now, excess, kernel, put, ratio

TRADING_MINUTES = 252.0 * 390.0  # of a year
STRENGTH = 14  # changes in the RSI
QUICK, CALM = 5, 20  # closes in the means of the trend


class Frame(NamedTuple):
    """A longer bar: `minutes` long, or as long as the session if that is shorter, so `full` bars in a session and `half`
    in a half day; and the periods, in bars, of what is shown of it. A day takes shorter ones: history is dear.
    """

    name: str
    words: str
    minutes: float
    full: int
    half: int
    window: int = 20  # returns in a volatility
    ranked: int = 60  # volatilities that are compared

    def sessions(self, bars: int) -> int:
        """Return how many sessions hold so many bars, where the first was joined at its end and one was a half day."""
        return max(2, 2 + math.ceil((bars - 1 - self.half) / self.full))


FRAMES = (
    Frame("5m", "5-minute", 5.0, 78, 42),
    Frame("30m", "30-minute", 30.0, 13, 7),
    Frame("1d", "daily", 1440.0, 1, 1, window=10, ranked=20),
)

# What a frame keeps: the bar in the making first.
END, MAKING, CLOSE, FROM = 0, 1, 2, 3
COUNT = 4
TREND, RSI, RETURN, RANK = 5, 6, 7, 8  # what is shown
CLOSES, SQUARES, VARIANCES = 9, 9 + 2 * 32, 9 + 4 * 32
SIZE = VARIANCES + 2 * 64
PRICES = {CLOSE, FROM, *range(CLOSES, SQUARES)}
UNITS = [Unit.PRICE if i in PRICES else Unit.PURE for i in range(SIZE)]


@kernel
def _rank(s: Array, newest: int, period: int) -> float:
    """Return the share of the last `period` values below the newest; a value that equals it counts half."""
    tie = TIE * s[newest]
    halves = 0
    for i in range(period):
        less = s[newest] - s[newest - i]
        halves += int(less > tie) + int(less >= -tie)
    return halves / (2.0 * period)


@kernel
def _trend(s: Array, newest: int) -> float:
    """Return the sign of the quick mean of the closes less the calm one."""
    close = s[newest]
    spread = excess(s, newest, 0, QUICK, close) / QUICK - excess(s, newest, 0, CALM, close) / CALM
    return math.copysign(1.0, spread) if abs(spread) > TIE * close else 0.0


@kernel
def _strength(s: Array, newest: int) -> float:
    """Return the share of the rises in the last changes of the closes, in percent."""
    up = down = 0.0
    for i in range(STRENGTH):
        change = s[newest - i] - s[newest - i - 1]
        up += max(change, 0.0)
        down += max(-change, 0.0)
    return ratio(100.0 * up, up + down, 50.0)


@kernel
def _close(s: Array, f: int, window: int, ranked: int) -> None:
    """Close the bar in the making of the frame at `f`, and show it."""
    n = int(s[f + COUNT]) + 1
    close = s[f + CLOSE]
    moved = math.log(close / s[f + FROM])
    at, far = (n & 31) + 32, (n & 63) + 64
    newest, square, variance = f + CLOSES + at, f + SQUARES + at, f + VARIANCES + far
    put(s, f + CLOSES, 32, at, close)
    put(s, f + SQUARES, 32, at, moved * moved)
    put(s, f + VARIANCES, 64, far, excess(s, square, 0, window, 0.0) / window)
    s[f + TREND] = _trend(s, newest) if n >= CALM else math.nan
    s[f + RSI] = _strength(s, newest) if n > STRENGTH else math.nan
    # The first bar was perhaps joined midway: its return counts nowhere.
    s[f + RETURN] = ratio(moved, math.sqrt(s[variance]), 0.0) if n > window else math.nan
    s[f + RANK] = _rank(s, variance, ranked) if n >= window + ranked else math.nan
    s[f + MAKING], s[f + COUNT], s[f + FROM] = 0.0, n, close


@kernel
def _follow(s: Array, f: int, now: Now, minutes: float, window: int, ranked: int) -> None:
    """Take the newest bar into the frame at `f`."""
    if now.seconds > s[f + END]:
        if s[f + MAKING] > 0.0:
            _close(s, f, window, ranked)
        if s[f + COUNT] == 0.0 or (now.first and minutes < now.length):
            s[f + FROM] = now.open  # the night is the day's alone
        end = min(math.ceil(now.elapsed / minutes) * minutes, now.length)
        s[f + END] = now.seconds + (end - now.elapsed) * 60.0
    s[f + MAKING] = 1.0
    s[f + CLOSE] = now.close
    if now.seconds >= s[f + END] or minutes * s[YEAR] * s[YEAR] < TRADING_MINUTES:
        _close(s, f, window, ranked)


class OfFrame(Feature):
    """A feature of this room: it needs `bars` closed bars of its frame."""

    group = Group.TIMEFRAMES

    def __init__(self, what: str, frame: Frame, bars: int, *, is_first: bool = False) -> None:
        super().__init__(
            f"{what}_{frame.name}",
            bars,
            bars,
            sessions=frame.sessions(bars),
            own_units=UNITS if is_first else (),
            needs={"frame": f"own of trend_{frame.name}"},
        )
        self.words = frame.words
        self.minutes, self.window, self.ranked = frame.minutes, frame.window, frame.ranked


class FrameTrend(OfFrame):
    """Sign of the plain mean of the last 5 closes of {words} bars less that of the last 20; 0 where they are one.

    Source: Brock, Lakonishok and LeBaron 1992, Journal of Finance 47:5.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__("trend", frame, CALM, is_first=True)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, minutes: float, window: int, ranked: int) -> float:
        _follow(s, own, now, minutes, window, ranked)
        return float(s[own + TREND])


class FrameRsi(OfFrame):
    """Cutler's RSI: 100 u / (u + d), u and d the plain means of the rises and of the falls in the last 14 changes of the
    close of {words} bars; 50 where nothing moved. Wilder's own means would depend on where the data begin.

    Source: Cutler, of Wilder 1978, New Concepts in Technical Trading Systems.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__(f"rsi_{STRENGTH}", frame, STRENGTH + 1)

    @staticmethod
    @kernel
    def step(s: Array, frame: int) -> float:
        return float(s[frame + RSI])


class FrameReturn(OfFrame):
    """Log return of the last closed {words} bar over the root of the mean square of the last {window}; 0 where nothing
    moved. Frames shorter than a session leave the night out: the first of a session counts from its open.

    Source: Andersen and others 2003, Econometrica 71:2.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__("return", frame, frame.window + 1)

    @staticmethod
    @kernel
    def step(s: Array, frame: int) -> float:
        return float(s[frame + RETURN])


class FrameVolatility(OfFrame):
    """Share of the last {ranked} realised volatilities, root mean squares of {window} returns of {words} bars, that are
    below the newest, equal ones counting half; 0.5 where nothing moved.

    Source: Andersen and others 2003, Econometrica 71:2.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__("rv_rank", frame, frame.window + frame.ranked)

    @staticmethod
    @kernel
    def step(s: Array, frame: int) -> float:
        return float(s[frame + RANK])


FEATURES: tuple[Feature, ...] = tuple(
    kind(frame) for frame in FRAMES for kind in (FrameTrend, FrameRsi, FrameReturn, FrameVolatility)
)
