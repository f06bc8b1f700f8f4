"""One compiled step a bar: every feature of one symbol from its last 64 bars and a few running averages.

The live desk calls `step` once a bar, the training matrix calls `scan`, which is a loop over the same `step`: the two
agree bit for bit. Windows are summed afresh each bar, as differences from the newest value, so nothing drifts,
a flat price gives an exact zero and the price level costs no digits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Raise when the arithmetic changes: models are bound to it through the schema version.
REVISION = 1

# State of one symbol, one flat array. Running values first.
COUNT, SESSION, SESSION_OPEN, SESSION_VALUE, SESSION_VOLUME, YEAR = 0, 1, 2, 3, 4, 5
LAST_HIGH, LAST_LOW, LAST_CLOSE, LAST_TYPICAL = 6, 7, 8, 9
TRUE_RANGE, GAIN, LOSS, PLUS, MINUS, DIRECTION, SIGNAL_LINE, BALANCE, K_1, K_2 = (
    10,
    11,
    12,
    13,
    14,
    15,
    16,
    17,
    18,
    19,
)
AVERAGES = 20  # six exponential averages
WARMEST = 26  # bars until the slowest feature has a value
# Then rings of 64, each kept twice over so that a window never wraps.
SIZE = 64
CLOSES, LOGS, HIGHS, LOWS, TYPICALS, VOLUMES, FLOWS, SIGNED = 32, 160, 288, 416, 544, 672, 800, 928
# Last, how many bars each feature needs.
WARMUPS = 1056

# Where each feature stands in the vector (the order of technical_indicators.CATALOGUE).
SMA, EMA, MACD, MACD_SIGNAL, MACD_HIST, ADX = 0, 4, 8, 9, 10, 11
RSI, STOCH_K, STOCH_D, WILLIAMS, ROC, CCI = 12, 13, 14, 15, 16, 17
ATR, BB_UPPER, BB_MIDDLE, BB_LOWER, STD, HIST_VOL = 18, 19, 20, 21, 22, 23
OBV, VWAP, MFI, VOLUME_SMA, VOLUME_RATE = 24, 25, 26, 27, 28
RETURNS, VS_SMA, VS_EMA, ZSCORE, BB_WIDTH, MACD_ATR, HIST_ATR = 29, 33, 37, 41, 42, 43, 44
ATR_CLOSE, OBV_CHANGE, VWAP_DISTANCE, OPEN_DISTANCE, LOCATION, RANGE_ATR = 45, 46, 47, 48, 49, 50
SESSION_SIN, SESSION_COS = 51, 52

EMA_PERIODS = (5, 10, 20, 50, 12, 26)
RETURN_PERIODS = (1, 5, 15, 30)
RETURN_LIMIT = 8.0  # sigmas; beyond it the size says nothing more
TIE = 1e-12  # of the price; what differs by less differs by rounding only

STEP_SIGNATURE = (
    "int64(float64[::1], float64, float64, float64, float64, float64, float64, float64, float64[::1])"
)
SCAN_SIGNATURE = (
    "void(float64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[::1], float64[::1], float64[:, ::1])"
)

# numpy's error model: a division by zero is caught by `ratio`, not by a raise that every bar would pay for.


@njit(cache=True, error_model="numpy")
def ratio(part: float, whole: float, otherwise: float) -> float:
    """Divide, or say `otherwise` where the whole is zero."""
    return part / whole if whole > 0.0 else otherwise


@njit(cache=True, error_model="numpy")
def smooth(last: float, value: float, n: int, period: int, weight: float) -> float:
    """Average exponentially from the mean of the first `period` values; before that, hold their sum."""
    if n < period:
        return last + value if n > 0 else 0.0
    return (last + value) / period if n == period else last + weight * (value - last)


@njit(cache=True, error_model="numpy")
def excess(x: Array, newest: int, first: int, stop: int, reference: float) -> float:
    """Sum x - reference over the values `first` to `stop` (exclusive) bars ago."""
    total = 0.0
    for i in range(first, stop):
        total += x[newest - i] - reference
    return total


@njit(cache=True, error_model="numpy")
def highest(x: Array, newest: int, period: int) -> float:
    """Return the largest of the last `period` values."""
    top: float = x[newest]
    for i in range(1, period):
        top = max(top, x[newest - i])
    return top


@njit(cache=True, error_model="numpy")
def lowest(x: Array, newest: int, period: int) -> float:
    """Return the smallest of the last `period` values."""
    bottom: float = x[newest]
    for i in range(1, period):
        bottom = min(bottom, x[newest - i])
    return bottom


@njit(cache=True, error_model="numpy")
def deviation(x: Array, newest: int, period: int, mean_excess: float) -> float:
    """Return the population standard deviation of the last `period` values, given their mean less the newest."""
    reference = x[newest]
    total = 0.0
    for i in range(period):
        d = x[newest - i] - reference - mean_excess
        total += d * d
    return math.sqrt(total / period)


@njit(cache=True, error_model="numpy")
def channel_index(typical: Array, newest: int, period: int) -> float:
    """Return Lambert's CCI: distance from the mean in 0.015 mean absolute deviations, 0 where nothing moved."""
    now = typical[newest]
    mean = excess(typical, newest, 0, period, now) / period
    total = 0.0
    for i in range(period):
        total += abs(typical[newest - i] - now - mean)
    return -mean / (0.015 * total / period) if total > TIE * now * period else 0.0


@njit(cache=True, error_model="numpy")
def money_flow_index(flow: Array, newest: int, period: int) -> float:
    """Return the share of positive in all money flow, in percent, 50 where no money flowed."""
    positive = 0.0
    negative = 0.0
    for i in range(period):
        positive += max(flow[newest - i], 0.0)
        negative -= min(flow[newest - i], 0.0)
    return ratio(100.0 * positive, positive + negative, 50.0)


@njit(cache=True, error_model="numpy")
def money_flow(typical: float, last: float, volume: float) -> float:
    """Sign a bar's dollar volume by its typical price; a tie up to rounding is no flow."""
    change = typical - last
    return math.copysign(typical * volume, change) if abs(change) > TIE * last else 0.0


@njit(cache=True, error_model="numpy")
def return_deviation(logs: Array, newest: int, period: int) -> float:
    """Return the sample standard deviation of the last `period` log returns."""
    mean = (logs[newest] - logs[newest - period]) / period
    total = 0.0
    for i in range(period):
        d = logs[newest - i] - logs[newest - i - 1] - mean
        total += d * d
    return math.sqrt(total / (period - 1))


@njit(cache=True, error_model="numpy")
def _put(state: Array, at: int, value: float) -> None:
    state[at] = value
    state[at - SIZE] = value


@njit(cache=True, error_model="numpy")
def _remember(state: Array, at: int, high: float, low: float, close: float, volume: float, n: int) -> None:
    typical = (high + low + close) / 3.0
    change = close - state[LAST_CLOSE] if n > 1 else 0.0
    signed = volume if change > 0.0 else (-volume if change < 0.0 else 0.0)
    _put(state, CLOSES + at, close)
    _put(state, LOGS + at, math.log(close))
    _put(state, HIGHS + at, high)
    _put(state, LOWS + at, low)
    _put(state, TYPICALS + at, typical)
    _put(state, VOLUMES + at, volume)
    _put(state, FLOWS + at, money_flow(typical, state[LAST_TYPICAL], volume))
    _put(state, SIGNED + at, signed)
    state[BALANCE] += signed


@njit(cache=True, error_model="numpy")
def _trend(state: Array, at: int, n: int, close: float, out: Array) -> None:
    newest = CLOSES + at
    # Disjoint parts, so that the four windows cost one pass and no part waits for another.
    five = excess(state, newest, 0, 5, close)
    ten = five + excess(state, newest, 5, 10, close)
    twenty = ten + (excess(state, newest, 10, 15, close) + excess(state, newest, 15, 20, close))
    rest = excess(state, newest, 20, 30, close) + excess(state, newest, 30, 40, close)
    fifty = twenty + (rest + excess(state, newest, 40, 50, close))
    out[SMA] = close + five / 5.0
    out[SMA + 1] = close + ten / 10.0
    out[SMA + 2] = close + twenty / 20.0
    out[SMA + 3] = close + fifty / 50.0
    for i in range(6):
        period = EMA_PERIODS[i]
        state[AVERAGES + i] = smooth(state[AVERAGES + i], close, n, period, 2.0 / (period + 1.0))
    for i in range(4):
        out[EMA + i] = state[AVERAGES + i]
    macd = state[AVERAGES + 4] - state[AVERAGES + 5]
    state[SIGNAL_LINE] = smooth(state[SIGNAL_LINE], macd, n - 25, 9, 0.2)
    out[MACD] = macd
    out[MACD_SIGNAL] = state[SIGNAL_LINE]
    out[MACD_HIST] = macd - state[SIGNAL_LINE]
    _bands(state, newest, twenty / 20.0, out)


@njit(cache=True, error_model="numpy")
def _bands(state: Array, newest: int, mean_excess: float, out: Array) -> None:
    middle = state[newest] + mean_excess
    std = deviation(state, newest, 20, mean_excess)
    out[STD] = std
    out[BB_UPPER] = middle + 2.0 * std
    out[BB_MIDDLE] = middle
    out[BB_LOWER] = middle - 2.0 * std
    out[ZSCORE] = ratio(-mean_excess, std, 0.0)
    out[BB_WIDTH] = 4.0 * std / middle


@njit(cache=True, error_model="numpy")
def _momentum(state: Array, at: int, n: int, close: float, out: Array) -> None:
    change = close - state[LAST_CLOSE]
    gain = smooth(state[GAIN], max(change, 0.0), n - 1, 14, 1.0 / 14.0)
    loss = smooth(state[LOSS], max(-change, 0.0), n - 1, 14, 1.0 / 14.0)
    state[GAIN] = gain
    state[LOSS] = loss
    out[RSI] = ratio(100.0 * gain, gain + loss, 50.0)
    low = lowest(state, LOWS + at, 14)
    k = ratio(100.0 * (close - low), highest(state, HIGHS + at, 14) - low, 50.0)
    out[STOCH_K] = k
    out[STOCH_D] = (k + state[K_1] + state[K_2]) / 3.0
    state[K_2] = state[K_1]
    state[K_1] = k
    out[WILLIAMS] = k - 100.0
    out[ROC] = 100.0 * (close / state[CLOSES + at - 10] - 1.0)
    out[CCI] = channel_index(state, TYPICALS + at, 20)


@njit(cache=True, error_model="numpy")
def _movement(state: Array, n: int, high: float, low: float, out: Array) -> None:
    last = state[LAST_CLOSE]
    true_range = max(high, last) - min(low, last) if n > 1 else high - low
    state[TRUE_RANGE] = smooth(state[TRUE_RANGE], true_range, n, 14, 1.0 / 14.0)
    out[ATR] = state[TRUE_RANGE]
    up = high - state[LAST_HIGH]
    down = state[LAST_LOW] - low
    # Wilder: the larger movement counts, of two equal ones neither.
    tie = TIE * high
    plus = smooth(state[PLUS], up if up > max(down, 0.0) + tie else 0.0, n - 1, 14, 1.0 / 14.0)
    minus = smooth(state[MINUS], down if down > max(up, 0.0) + tie else 0.0, n - 1, 14, 1.0 / 14.0)
    # +DI and -DI share their true range, so it cancels out of DX.
    dx = ratio(100.0 * abs(plus - minus), plus + minus, 0.0)
    state[DIRECTION] = smooth(state[DIRECTION], dx, n - 14, 14, 1.0 / 14.0)
    state[PLUS] = plus
    state[MINUS] = minus
    out[ADX] = state[DIRECTION]


@njit(cache=True, error_model="numpy")
def _volume(state: Array, at: int, volume: float, out: Array) -> None:
    typical = state[TYPICALS + at]
    state[SESSION_VALUE] += typical * volume
    state[SESSION_VOLUME] += volume
    traded = excess(state, VOLUMES + at, 0, 20, 0.0)
    out[OBV] = state[BALANCE]
    out[VWAP] = ratio(state[SESSION_VALUE], state[SESSION_VOLUME], typical)
    out[MFI] = money_flow_index(state, FLOWS + at, 14)
    out[VOLUME_SMA] = traded / 20.0
    out[VOLUME_RATE] = ratio(20.0 * volume, traded, 1.0)
    out[OBV_CHANGE] = ratio(excess(state, SIGNED + at, 0, 20, 0.0), traded, 0.0)


@njit(cache=True, error_model="numpy")
def _relative(state: Array, high: float, low: float, close: float, phase: float, out: Array) -> None:
    atr = out[ATR]
    for i in range(4):
        out[VS_SMA + i] = ratio(close - out[SMA + i], atr, 0.0)
        out[VS_EMA + i] = ratio(close - out[EMA + i], atr, 0.0)
    out[MACD_ATR] = ratio(out[MACD], atr, 0.0)
    out[HIST_ATR] = ratio(out[MACD_HIST], atr, 0.0)
    out[ATR_CLOSE] = atr / close
    out[VWAP_DISTANCE] = ratio(close - out[VWAP], atr, 0.0)
    out[OPEN_DISTANCE] = ratio(close - state[SESSION_OPEN], atr, 0.0)
    out[LOCATION] = ratio((close - low) - (high - close), high - low, 0.0)
    out[RANGE_ATR] = ratio(high - low, atr, 1.0)
    # Half a circle a session: a whole one would make the open and the close the same moment.
    out[SESSION_SIN] = math.sin(math.pi * phase)
    out[SESSION_COS] = math.cos(math.pi * phase)


@njit(cache=True, error_model="numpy")
def _returns(state: Array, newest: int, out: Array) -> None:
    sigma = return_deviation(state, newest, 20)
    out[HIST_VOL] = sigma * state[YEAR]
    for i in range(4):
        period = RETURN_PERIODS[i]
        moved = state[newest] - state[newest - period]
        units = ratio(moved, sigma * math.sqrt(period), 0.0)
        out[RETURNS + i] = min(max(units, -RETURN_LIMIT), RETURN_LIMIT)


@njit(cache=True, error_model="numpy")
def step(
    state: Array,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    session: float,
    phase: float,
    out: Array,
) -> int:
    """Take one bar into `state` and write its features to `out`; return the bars seen, 0 for an impossible bar.

    Prices in USD above zero, volume in shares; `session` is any number that names the session, `phase` the part of it
    gone at the bar's close, 0 to 1. `out` is NaN where a feature is still warming, untouched for an impossible bar.
    """
    if not (0.0 < low <= open_ <= high and low <= close <= high < np.inf and 0.0 <= volume < np.inf):
        return 0
    n = int(state[COUNT]) + 1
    at = (n & (SIZE - 1)) + SIZE
    if n == 1 or state[SESSION] != session:
        state[SESSION] = session
        state[SESSION_OPEN] = open_
        state[SESSION_VALUE] = 0.0
        state[SESSION_VOLUME] = 0.0
    _remember(state, at, high, low, close, volume, n)
    _trend(state, at, n, close, out)
    _momentum(state, at, n, close, out)
    _movement(state, n, high, low, out)
    _volume(state, at, volume, out)
    _returns(state, LOGS + at, out)
    _relative(state, high, low, close, phase, out)
    state[COUNT] = n
    state[LAST_HIGH] = high
    state[LAST_LOW] = low
    state[LAST_CLOSE] = close
    state[LAST_TYPICAL] = state[TYPICALS + at]
    if n < state[WARMEST]:
        for i in range(out.shape[0]):
            if n < state[WARMUPS + i]:
                out[i] = np.nan
    return n


@njit(cache=True, error_model="numpy")
def scan(
    state: Array,
    opens: Array,
    highs: Array,
    lows: Array,
    closes: Array,
    volumes: Array,
    sessions: Array,
    phases: Array,
    out: Array,
) -> None:
    """Step over (n,) arrays of bars into the rows of `out`, (n, n_features); a bar with a NaN phase is passed over."""
    for i in range(out.shape[0]):
        n = 0
        if not np.isnan(phases[i]):
            n = step(
                state, opens[i], highs[i], lows[i], closes[i], volumes[i], sessions[i], phases[i], out[i]
            )
        if n == 0:
            out[i] = np.nan
