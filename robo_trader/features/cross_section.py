"""A symbol beside the others: the market, its sector, and its rank among all that are watched.

What others did counts only once their bar has closed *before* the symbol's own: bars of one minute come in any order,
and none may see another. So every number here is one bar older than the symbol's newest. Of a symbol that has no bar
since this one's own bar before, nothing is known: its columns are NaN, and it is not counted.
"""

from __future__ import annotations

import math

import numpy as np

from robo_trader.features.base import Feature, Floats, Group, Ints, Unit
from robo_trader.features.kernels import (
    SHORT,
    TIE,
    Array,
    Now,
    excess,
    is_possible,
    kernel,
    put,
    ratio,
    slide,
    sliding,
)

# A row of the panel: what others may see of a symbol, of its newest bar (NEW) and of the one before (OLD).
TIME, SINCE, RETURN, ABOVE, MOVED, LABEL, FACTS = 0, 1, 2, 3, 4, 5, 6
NEW, OLD = 0, FACTS
COUNT, VALUE, SHARES, LOGS = 2 * FACTS, 2 * FACTS + 1, 2 * FACTS + 2, 2 * FACTS + 3
PANEL = LOGS + 2 * SHORT
PERIOD = 20  # bars of the returns that are ranked

# What `look` tells a symbol, in `context`.
MARKET_TIME, MARKET_SINCE, MARKET_RETURN, SECTOR_TIME, SECTOR_SINCE, SECTOR_RETURN, BREADTH, RANK = range(8)
CONTEXT = 8

# What a symbol keeps of its pairs: of its last bar the time, the time since which it returned, and the return; how many
# pairs, their moments about the means, both returns of the last few, and the windows of five sums over all.
PAIRS, FEW = 60, 32
LAST, BEFORE_LAST, RETURNED, PAIRED, TOGETHER, MY_SQUARE, THEIR_SQUARE = range(7)
MINE, THEIRS = 7, 7 + 2 * FEW
SUMS = THEIRS + 2 * FEW
SUM = sliding(PAIRS)
ALIKE = 1e-5  # of the mean square: returns that vary by less are all but equal, and what is left is rounding


def new_panel(symbols: int) -> Floats:
    """Return the panel of symbols of which nothing is known yet."""
    panel = np.zeros((symbols, PANEL))
    panel[:, :COUNT] = np.nan
    return panel


@kernel
def _seen(panel: Array, i: int, seconds: float) -> int:
    """Return where a symbol's newest facts from before `seconds` stand."""
    return NEW if panel[i, NEW + TIME] < seconds else OLD


@kernel
def _side(difference: float, rounding: float) -> float:
    """Return 1 above, -1 below, 0 where no more than rounding differs."""
    return math.copysign(1.0, difference) if abs(difference) > rounding else 0.0


@kernel
def _note(
    panel: Array, i: int, seconds: float, close: float, typical: float, volume: float, label: float
) -> None:
    """Take a symbol's bar, for others to see when time has moved on."""
    row = panel[i]
    if row[NEW + LABEL] != label:
        row[VALUE] = row[SHARES] = 0.0
    for fact in range(FACTS):
        row[OLD + fact] = row[NEW + fact]
    n = int(row[COUNT]) + 1
    at = (n & (SHORT - 1)) + SHORT
    put(row, LOGS, SHORT, at, math.log(close))
    row[COUNT] = n
    row[VALUE] += typical * volume
    row[SHARES] += volume
    row[NEW + TIME] = seconds
    row[NEW + SINCE] = row[OLD + TIME]
    row[NEW + RETURN] = row[LOGS + at] - row[LOGS + at - 1] if n > 1 else np.nan
    row[NEW + ABOVE] = _side(close - ratio(row[VALUE], row[SHARES], typical), TIE * close)
    row[NEW + MOVED] = row[LOGS + at] - row[LOGS + at - PERIOD] if n > PERIOD else np.nan
    row[NEW + LABEL] = label


@kernel
def _is_silent(panel: Array, i: int, seen: int, since: float) -> bool:
    """Whether what is seen of a symbol is older than `since`: it has stopped, and nobody knows where it stands."""
    return not panel[i, seen + TIME] >= since


@kernel
def _tell(panel: Array, i: int, seconds: float, since: float, context: Array, told: int) -> None:
    """Tell the time, the time before and the return of a symbol's last bar from before `seconds`, NaN if silent."""
    context[told] = context[told + 1] = context[told + 2] = np.nan
    if i < 0:
        return
    seen = _seen(panel, i, seconds)
    if not _is_silent(panel, i, seen, since):
        for k in range(3):
            context[told + k] = panel[i, seen + TIME + k]


@kernel
def look(
    panel: Array,
    i: int,
    market: int,
    sector: int,
    seconds: float,
    close: float,
    typical: float,
    volume: float,
    label: float,
    context: Array,
) -> None:
    """Note the bar of symbol `i` in the panel, and tell in `context` what was known of all others before it.

    `seconds` is the bar's close (UTC), `label` names its session, `market` and `sector` are rows, -1 for none.
    """
    _note(panel, i, seconds, close, typical, volume, label)
    since = 0.0 if np.isnan(panel[i, OLD + TIME]) else panel[i, OLD + TIME]  # its own bar before this one
    _tell(panel, market, seconds, since, context, MARKET_TIME)
    _tell(panel, sector, seconds, since, context, SECTOR_TIME)
    own = panel[i, OLD + MOVED]
    above = sharing = ahead = ranked = 0.0
    for j in range(panel.shape[0]):
        seen = _seen(panel, j, seconds)
        if _is_silent(panel, j, seen, since):
            continue
        if panel[j, seen + LABEL] == label:
            above += panel[j, seen + ABOVE]
            sharing += 1.0
        moved = panel[j, seen + MOVED]
        if j != i and not np.isnan(moved):
            ahead += _side(own - moved, TIE)
            ranked += 1.0
    context[BREADTH] = ratio(above, sharing, 0.0)
    context[RANK] = np.nan if np.isnan(own) or ranked == 0.0 else ahead / ranked


@kernel
def _pair(s: Array, own: int, mine: float, theirs: float) -> None:
    """Take a pair of returns, and say the sums of products of the last ones, each less its mean."""
    n = int(s[own + PAIRED]) + 1
    s[own + PAIRED] = n
    put(s, own + MINE, FEW, (n & (FEW - 1)) + FEW, mine)
    put(s, own + THEIRS, FEW, (n & (FEW - 1)) + FEW, theirs)
    windows = own + SUMS
    my_sum = slide(s, windows, n, PAIRS, mine)
    their_sum = slide(s, windows + SUM, n, PAIRS, theirs)
    together = slide(s, windows + 2 * SUM, n, PAIRS, mine * theirs)
    my_square = slide(s, windows + 3 * SUM, n, PAIRS, mine * mine)
    their_square = slide(s, windows + 4 * SUM, n, PAIRS, theirs * theirs)
    s[own + TOGETHER] = together - my_sum * their_sum / PAIRS
    s[own + MY_SQUARE] = _about_mean(my_square, my_sum)
    s[own + THEIR_SQUARE] = _about_mean(their_square, their_sum)


@kernel
def _about_mean(squares: float, total: float) -> float:
    left = squares - total * total / PAIRS
    return left if left > ALIKE * squares else 0.0


SURVEY_SIGNATURE = (
    "void(float64[:, ::1], int64[::1], int64[::1], int64, int64[::1], float64[:, ::1], float64[::1],"
    " float64[:, ::1])"
)


@kernel
def survey(
    panel: Array,
    order: Ints,
    symbol: Ints,
    market: int,
    sectors: Ints,
    bars: Array,
    labels: Array,
    context: Array,
) -> None:
    """Look at bars of all symbols, (n, 6) as the step takes them, into `context`, (n, CONTEXT).

    `order` is that of time; bars that are to be passed over, whose seconds are NaN, come last.
    """
    for k in order:
        seconds, open_, high, low, close, volume = bars[k]
        if np.isnan(seconds):
            break
        if is_possible(open_, high, low, close, volume):
            i = symbol[k]
            typical = (high + low + close) / 3.0
            look(panel, i, market, sectors[i], seconds, close, typical, volume, labels[k], context[k])


class CrossSection(Feature):
    """A feature of this room; it needs the bars of other symbols."""

    group = Group.CROSS_SECTION
    optional = True


class LastReturn(CrossSection):
    """Log return of the {other}'s last bar before this one, in sigma_20 of this symbol, between -8 and 8.

    Source: scaled for the models.
    """

    def __init__(self, other: str) -> None:
        super().__init__(f"{other}_return_1", 20, 21)
        self.other, self.told = other, MARKET_RETURN if other == "market" else SECTOR_RETURN

    @staticmethod
    @kernel
    def step(context: Array, sigma_20: float, told: int) -> float:
        moved = context[told]
        return np.nan if np.isnan(moved) else min(max(ratio(moved, sigma_20, 0.0), -8.0), 8.0)


class Beta(CrossSection):
    """Slope of this symbol's returns on the {other}'s over the last 60 pairs; 0 where that never moved.

    A pair is of two bars that closed at one time and whose bars before closed at one time; it is known one bar late.

    Source: Sharpe 1963, Management Science 9:2.
    """

    def __init__(self, other: str) -> None:
        units = [Unit.PURE] * (SUMS + 5 * SUM)
        super().__init__(f"{other}_beta_60", PAIRS, PAIRS + 2, own_units=units)
        self.other, self.told = other, MARKET_TIME if other == "market" else SECTOR_TIME

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, context: Array, told: int) -> float:
        # A pair is complete one bar late: of this bar only the own return is known, for the next time.
        if context[told] == s[own + LAST] and context[told + 1] == s[own + BEFORE_LAST]:
            _pair(s, own, s[own + RETURNED], context[told + 2])
        s[own + BEFORE_LAST] = s[own + LAST]
        s[own + LAST] = now.seconds
        s[own + RETURNED] = now.log_return
        if s[own + PAIRED] < PAIRS or np.isnan(context[told]):
            return np.nan
        return ratio(s[own + TOGETHER], s[own + THEIR_SQUARE], 0.0)


class Correlation(CrossSection):
    """Correlation of this symbol's returns with the {other}'s over the last 60 pairs of {other}_beta_60; 0 without movement.

    Source: Pearson 1895, Proceedings of the Royal Society 58.
    """

    def __init__(self, other: str) -> None:
        super().__init__(
            f"{other}_correlation_60",
            PAIRS,
            PAIRS + 2,
            needs={"pairs": f"own of {other}_beta_60", "beta": f"{other}_beta_60"},
        )
        self.other = other

    @staticmethod
    @kernel
    def step(s: Array, pairs: int, beta: float) -> float:
        if np.isnan(beta):
            return np.nan
        together, squares = s[pairs + TOGETHER], s[pairs + MY_SQUARE] * s[pairs + THEIR_SQUARE]
        return min(max(ratio(together, math.sqrt(squares), 0.0), -1.0), 1.0)


class Residual(CrossSection):
    """Sum over the last {period} pairs of return less {other}_beta_60 times the {other}'s, over sigma_20 sqrt({period}),
    between -8 and 8.

    Source: scaled for the models.
    """

    def __init__(self, other: str, period: int) -> None:
        super().__init__(
            f"{other}_residual_{period}",
            PAIRS,
            PAIRS + 2,
            needs={"pairs": f"own of {other}_beta_60", "beta": f"{other}_beta_60"},
        )
        self.other, self.period, self.root = other, period, period**0.5

    @staticmethod
    @kernel
    def step(s: Array, pairs: int, beta: float, sigma_20: float, period: int, root: float) -> float:
        if np.isnan(beta):
            return np.nan
        at = (int(s[pairs + PAIRED]) & (FEW - 1)) + FEW
        left = excess(s, pairs + MINE + at, 0, period, 0.0) - beta * excess(
            s, pairs + THEIRS + at, 0, period, 0.0
        )
        return min(max(ratio(left, sigma_20 * root, 0.0), -8.0), 8.0)


class Breadth(CrossSection):
    """Share of all watched symbols above their session's VWAP less the share below, of their last bars before this one.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        super().__init__("breadth", 0, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return context[BREADTH]


class Rank(CrossSection):
    """Share of the other symbols whose last 20-bar return is below this one's less the share above; all one bar late.

    Source: Jegadeesh and Titman 1993, Journal of Finance 48:1, within a session.
    """

    def __init__(self) -> None:
        super().__init__("relative_strength_20", PERIOD, PERIOD + 2)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return context[RANK]


FEATURES: tuple[Feature, ...] = (
    *(LastReturn(other) for other in ("market", "sector")),
    *(Beta(other) for other in ("market", "sector")),
    Correlation("market"),
    Residual("market", 5),
    Residual("market", 20),
    Residual("sector", 20),
    Breadth(),
    Rank(),
)
