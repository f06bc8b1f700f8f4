"""What every feature is made of: the state of one symbol, its windows, and the averages over them.

The live desk and the training matrix call `step.run`, which is a loop over one and the same step: the two agree bit for
bit. Windows are summed afresh each bar, as differences from the newest value, so nothing drifts,
a flat price gives an exact zero and the price level costs no digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from llvmlite.binding import set_option  # type: ignore[import-untyped]
from numba import njit
from numpy.typing import NDArray

from robo_trader.features.base import Unit

Array = NDArray[np.float64]
F = TypeVar("F", bound=Callable[..., object])

# The state of one symbol is one flat array. Running values first.
COUNT, SESSIONS, SESSION, SESSION_OPEN, YEAR = 0, 1, 2, 3, 4
LAST_HIGH, LAST_LOW, LAST_CLOSE, LAST_TYPICAL, PRIOR_CLOSE = 5, 6, 7, 8, 9
# Then rings, each kept twice over so that a window never wraps: long ones and short ones.
LONG, SHORT = 256, 64
CLOSES, LOGS = 16, 16 + 2 * LONG
OPENS, HIGHS, LOWS, TYPICALS, VOLUMES, FLOWS, SIGNED, RANGES = (
    16 + 4 * LONG + 2 * SHORT * ring for ring in range(8)
)
OWN = RANGES + 2 * SHORT  # from here on, what single features keep

UNITS: dict[int, tuple[int, Unit]] = {  # where numbers of a unit begin -> how many
    SESSION_OPEN: (1, Unit.PRICE),
    LAST_HIGH: (5, Unit.PRICE),
    CLOSES: (2 * LONG, Unit.PRICE),
    LOGS: (2 * LONG, Unit.LOG_PRICE),
    OPENS: (8 * SHORT, Unit.PRICE),  # opens, highs, lows, typicals
    VOLUMES: (2 * SHORT, Unit.SHARES),
    SIGNED: (2 * SHORT, Unit.SHARES),
    RANGES: (2 * SHORT, Unit.PRICE),
}

# numpy's error model: a division by zero is caught by `ratio`, not by a raise that every bar would pay for. Nothing here
# makes an array, and counting references to those that are given would cost a third of the time.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
INLINED: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True}

# Run through once a bar, the step fits no processor's cache of instructions: unrolled loops cost more than they save.
set_option("", "-unroll-threshold=60")

TIE = 1e-12  # of the price; what differs by less differs by rounding only


class Now(NamedTuple):
    """The newest bar. `n` bars and `sessions` whole sessions before this one were seen; `at` and `far` are where the
    newest value of a short and of a long ring stands, behind the ring's beginning; it closed at `seconds` (UTC), when
    `elapsed` of `length` minutes of the session were gone; `change` and `log_return` are 0 for the very first bar.
    """

    n: int
    sessions: int
    at: int
    far: int
    first: bool  # of its session
    open: float
    high: float
    low: float
    close: float
    volume: float
    typical: float
    change: float
    log_return: float
    true_range: float
    seconds: float
    elapsed: float
    length: float


def kernel(function: F) -> F:
    """Compile a function into the step that calls it: a call would cost more than most of them.

    Python cannot call it: to make that possible for each took a third of the time to compile.
    """
    compiled: F = njit(**INLINED, **OPTIONS)(function)
    return compiled


def cached(function: F) -> F:
    """Compile a function once a machine; `compile` it for the one signature it is used with."""
    compiled: F = njit(cache=True, nogil=True, **OPTIONS)(function)
    return compiled


def entry(function: F, signature: str) -> F:
    """Return a compiled function without its check of what it is given, which costs as much as the call."""
    found: F = cast(Any, function).get_overload(signature)
    return found


@kernel
def ratio(part: float, whole: float, otherwise: float) -> float:
    """Divide, or say `otherwise` where the whole is zero."""
    return part / whole if whole > 0.0 else otherwise


@kernel
def smooth(last: float, value: float, n: int, period: int, weight: float) -> float:
    """Average exponentially from the mean of the first `period` values; before that, hold their sum."""
    if n < period:
        return last + value if n > 0 else 0.0
    return (last + value) / period if n == period else last + weight * (value - last)


@kernel
def excess(x: Array, newest: int, first: int, stop: int, reference: float) -> float:
    """Sum x - reference over the values `first` to `stop` (exclusive) bars ago."""
    # Four sums, so that no addition waits for the one before.
    a = b = c = d = 0.0
    i = first
    while i + 4 <= stop:
        a += x[newest - i] - reference
        b += x[newest - i - 1] - reference
        c += x[newest - i - 2] - reference
        d += x[newest - i - 3] - reference
        i += 4
    while i < stop:
        a += x[newest - i] - reference
        i += 1
    return (a + b) + (c + d)


@kernel
def slide(s: Array, own: int, n: int, period: int, value: float) -> float:
    """Sum the last `period` values, of which this is the n-th; its cost does not grow with the period.

    It keeps `sliding(period)` numbers from `own`. Nothing is ever taken off a sum, so nothing drifts, and the largest
    value leaves no trace when it leaves the window.
    """
    # Every `period` values the sums from each of them to the last are written over them; between, the window is what
    # is left of those and the values since.
    # Where it stands (`own`) says when, so that not all windows do so with one bar.
    k = (own + n) % period
    if k == 0:
        s[own] = 0.0
    s[own] += value
    rest: float = s[own + 2 + k]
    s[own + 1 + k] = value
    if k == period - 1:
        for i in range(own + period - 1, own, -1):
            s[i] += s[i + 1]
    return s[own] + rest


def sliding(period: int) -> int:
    """Return how many numbers `slide` keeps; the last is always zero."""
    return period + 2


@kernel
def log_quotient(a: float, b: float) -> float:
    """Return ln(a / b) of two prices; exactly 0 where they are the same, and to the last digits where they are near."""
    z = (a - b) / (a + b)
    if abs(z) > 0.01:
        return math.log(a / b)
    # Within a bar prices are near: five terms of 2 artanh(z) are all that a float holds.
    q = z * z
    return 2.0 * z * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0)))))


@kernel
def log_ratio(part: float, whole: float) -> float:
    """Return ln(part / whole), between -5 and 5; 0 where both are nothing."""
    if part <= 0.0 or whole <= 0.0:
        return 0.0 if part == whole else (5.0 if part > whole else -5.0)
    return min(max(math.log(part / whole), -5.0), 5.0)


@kernel
def highest(x: Array, newest: int, period: int) -> float:
    """Return the largest of the last `period` values."""
    top: float = x[newest]
    for i in range(1, period):
        top = max(top, x[newest - i])
    return top


@kernel
def lowest(x: Array, newest: int, period: int) -> float:
    """Return the smallest of the last `period` values."""
    bottom: float = x[newest]
    for i in range(1, period):
        bottom = min(bottom, x[newest - i])
    return bottom


@kernel
def deviation(x: Array, newest: int, period: int, mean: float) -> float:
    """Return the population standard deviation of the last `period` values, given their mean."""
    a = b = c = d = 0.0
    for i in range(0, period - 3, 4):
        a += (x[newest - i] - mean) ** 2
        b += (x[newest - i - 1] - mean) ** 2
        c += (x[newest - i - 2] - mean) ** 2
        d += (x[newest - i - 3] - mean) ** 2
    for i in range(period // 4 * 4, period):
        a += (x[newest - i] - mean) ** 2
    return math.sqrt(((a + b) + (c + d)) / period)


@kernel
def return_deviation(logs: Array, newest: int, period: int) -> float:
    """Return the sample standard deviation of the last `period` log returns."""
    mean = (logs[newest] - logs[newest - period]) / period
    a = b = 0.0
    for i in range(0, period - 1, 2):
        a += (logs[newest - i] - logs[newest - i - 1] - mean) ** 2
        b += (logs[newest - i - 1] - logs[newest - i - 2] - mean) ** 2
    if period % 2:
        a += (logs[newest - period + 1] - logs[newest - period] - mean) ** 2
    return math.sqrt((a + b) / (period - 1))


@kernel
def put(s: Array, ring: int, size: int, at: int, value: float) -> None:
    """Write the newest value of a ring of `size`; `at` is between `size` and twice that."""
    s[ring + at] = value
    s[ring + at - size] = value


@kernel
def flow_of(typical: float, last: float, volume: float) -> float:
    """Sign a bar's dollar volume by its typical price; a tie up to rounding is no flow."""
    change = typical - last
    return math.copysign(typical * volume, change) if abs(change) > TIE * last else 0.0


@kernel
def begin(
    s: Array,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    seconds: float,
    session: float,
    length: float,
) -> Now:
    """Take a bar into the windows and return it with all that many features ask of it; `session` is its open (UTC s)."""
    n = int(s[COUNT]) + 1
    first = n == 1 or s[SESSION] != session
    if first:
        s[SESSIONS] += 0.0 if n == 1 else 1.0
        s[SESSION] = session
        s[SESSION_OPEN] = open_
        s[PRIOR_CLOSE] = s[LAST_CLOSE] if n > 1 else open_
    last = s[LAST_CLOSE] if n > 1 else close
    typical = (high + low + close) / 3.0
    change = close - last
    true_range = max(high, last) - min(low, last) if n > 1 else high - low
    at, far = (n & (SHORT - 1)) + SHORT, (n & (LONG - 1)) + LONG
    log_close = math.log(close)
    log_return = log_close - s[LOGS + far - 1] if n > 1 else 0.0
    put(s, CLOSES, LONG, far, close)
    put(s, LOGS, LONG, far, log_close)
    put(s, OPENS, SHORT, at, open_)
    put(s, HIGHS, SHORT, at, high)
    put(s, LOWS, SHORT, at, low)
    put(s, TYPICALS, SHORT, at, typical)
    put(s, VOLUMES, SHORT, at, volume)
    put(s, FLOWS, SHORT, at, flow_of(typical, s[LAST_TYPICAL], volume))
    put(s, SIGNED, SHORT, at, volume if change > 0.0 else (-volume if change < 0.0 else 0.0))
    put(s, RANGES, SHORT, at, true_range)
    return Now(
        n, int(s[SESSIONS]), at, far, first, open_, high, low, close, volume, typical, change, log_return, true_range,
        seconds, (seconds - session) / 60.0, length,
    )  # fmt: skip


@kernel
def end(s: Array, now: Now) -> None:
    """Remember the bar for the next one."""
    s[COUNT] = now.n
    s[LAST_HIGH] = now.high
    s[LAST_LOW] = now.low
    s[LAST_CLOSE] = now.close
    s[LAST_TYPICAL] = now.typical


@kernel
def is_possible(open_: float, high: float, low: float, close: float, volume: float) -> bool:
    """Tell whether a bar can be: prices above zero, the low below, the high above, volume not negative, all finite."""
    return 0.0 < low <= open_ <= high and low <= close <= high < np.inf and 0.0 <= volume < np.inf
