"""The longer view: 5 minutes, half an hour and the day, by the last bar of each that has closed.

Frames are counted from the session's open and the last one ends with the session, as in `data/aggregation.py`. A bar of
a frame closes with the bar that reaches its end or, where that one is missing, when a later bar comes and before that
one counts; until then nothing of it is seen. Bars as long as a frame or longer are that frame themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import TIE, YEAR, Array, Now, excess, kernel, put, ratio, smooth

TRADING_MINUTES = 252.0 * 390.0  # of a year
STRENGTH = 14  # bars of the RSI


class Frame(NamedTuple):
    """A longer bar: `minutes` long, or as long as the session if that is shorter, so `full` bars in a session and `half`
    in a half day; and the periods, in bars, of what is shown of it. A day takes shorter ones: history is dear.
    """

    name: str
    words: str
    minutes: float
    full: int
    half: int
    quick: int = 8
    calm: int = 21
    window: int = 20  # returns in a volatility
    ranked: int = 60  # volatilities that are compared

    def sessions(self, bars: int) -> int:
        """Return how many sessions hold so many bars, where the first was joined at its end and one was a half day."""
        return max(2, 2 + math.ceil((bars - 1 - self.half) / self.full))


FRAMES = (
    Frame("5m", "5-minute", 5.0, 78, 42),
    Frame("30m", "30-minute", 30.0, 13, 7),
    Frame("1d", "daily", 1440.0, 1, 1, quick=5, calm=20, window=10, ranked=20),
)

# What a frame keeps: the bar in the making first.
END, MAKING, CLOSE, FROM = 0, 1, 2, 3
COUNT, LAST, QUICK, CALM, UP, DOWN = 4, 5, 6, 7, 8, 9
TREND, RSI, RETURN, RANK = 10, 11, 12, 13  # what is shown
SQUARES, VARIANCES = 14, 14 + 2 * 32
SIZE = VARIANCES + 2 * 64
PRICES = {CLOSE, FROM, LAST, QUICK, CALM, UP, DOWN}
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
def _close(s: Array, f: int, quick: int, calm: int, window: int, ranked: int) -> None:
    """Close the bar in the making of the frame at `f`, and show it."""
    n = int(s[f + COUNT]) + 1
    close = s[f + CLOSE]
    change = close - s[f + LAST] if n > 1 else 0.0
    moved = math.log(close / s[f + FROM])
    s[f + QUICK] = smooth(s[f + QUICK], close, n, quick, 2.0 / (quick + 1.0))
    s[f + CALM] = smooth(s[f + CALM], close, n, calm, 2.0 / (calm + 1.0))
    s[f + UP] = smooth(s[f + UP], max(change, 0.0), n - 1, STRENGTH, 1.0 / STRENGTH)
    s[f + DOWN] = smooth(s[f + DOWN], max(-change, 0.0), n - 1, STRENGTH, 1.0 / STRENGTH)
    square, variance = f + SQUARES + (n & 31) + 32, f + VARIANCES + (n & 63) + 64
    put(s, f + SQUARES, 32, square - f - SQUARES, moved * moved)
    put(s, f + VARIANCES, 64, variance - f - VARIANCES, excess(s, square, 0, window, 0.0) / window)
    spread = s[f + QUICK] - s[f + CALM]
    trend = math.copysign(1.0, spread) if abs(spread) > TIE * close else 0.0
    s[f + TREND] = trend if n >= calm else math.nan
    s[f + RSI] = ratio(100.0 * s[f + UP], s[f + UP] + s[f + DOWN], 50.0) if n > STRENGTH else math.nan
    # The first bar was perhaps joined midway: its return counts nowhere.
    s[f + RETURN] = ratio(moved, math.sqrt(s[variance]), 0.0) if n > window else math.nan
    s[f + RANK] = _rank(s, variance, ranked) if n >= window + ranked else math.nan
    s[f + MAKING], s[f + COUNT], s[f + LAST], s[f + FROM] = 0.0, n, close, close


@kernel
def _follow(
    s: Array, f: int, now: Now, minutes: float, quick: int, calm: int, window: int, ranked: int
) -> None:
    """Take the newest bar into the frame at `f`."""
    if now.seconds > s[f + END]:
        if s[f + MAKING] > 0.0:
            _close(s, f, quick, calm, window, ranked)
        if s[f + COUNT] == 0.0 or (now.first and minutes < now.length):
            s[f + FROM] = now.open  # the night is the day's alone
        end = min(math.ceil(now.elapsed / minutes) * minutes, now.length)
        s[f + END] = now.seconds + (end - now.elapsed) * 60.0
    s[f + MAKING] = 1.0
    s[f + CLOSE] = now.close
    if now.seconds >= s[f + END] or minutes * s[YEAR] * s[YEAR] < TRADING_MINUTES:
        _close(s, f, quick, calm, window, ranked)


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
        self.minutes, self.quick, self.calm = frame.minutes, frame.quick, frame.calm
        self.window, self.ranked = frame.window, frame.ranked


class FrameTrend(OfFrame):
    """Sign of the {quick}-bar less the {calm}-bar exponential mean of the closes of {words} bars; 0 where they are one.

    Source: Appel 2005, Technical Analysis: Power Tools.
    """

    def __init__(self, frame: Frame) -> None:
        super().__init__("trend", frame, frame.calm, is_first=True)

    @staticmethod
    @kernel
    def step(
        s: Array, own: int, now: Now, minutes: float, quick: int, calm: int, window: int, ranked: int
    ) -> float:
        _follow(s, own, now, minutes, quick, calm, window, ranked)
        return float(s[own + TREND])


class FrameRsi(OfFrame):
    """rsi_14 of the closes of {words} bars; 50 where nothing moved.

    Source: Wilder 1978, New Concepts in Technical Trading Systems.
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
