"""How returns are spread and strung together: lopsided, fat-tailed, jumping, trending or turning.

What lies between two bars, a night too, is a return like any other, but for the jumps, which are looked for within
sessions.
"""

from __future__ import annotations

import math

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import LOGS, Array, Now, excess, kernel, slide, sliding

ALIKE = 1e-5  # of the mean square: returns that vary by less are all but equal, and what is left is rounding


class Distribution(Feature):
    """A feature of this room."""

    group = Group.VOLATILITY


class Skewness(Distribution):
    """m3 / m2^(3/2) of the last {period} log returns, m their moments about the mean; 0 where all are alike.

    Source: Joanes and Gill 1998, The Statistician 47:1 (g1).
    """

    def __init__(self, period: int = 60) -> None:
        needs = {"squares": f"own of realised_vol_{period}"}
        units = [Unit.PURE] * (2 + 2 * sliding(period))  # m2 and m4 for the kurtosis, both windows
        super().__init__(f"skew_{period}", period, period + 1, own_units=units, needs=needs)
        self.period, self.each = period, 1.0 / period
        self.cubes, self.fourths = 2, 2 + sliding(period)

    @staticmethod
    @kernel
    def step(
        s: Array, own: int, now: Now, squares: int, period: int, each: float, cubes: int, fourths: int
    ) -> float:
        r, newest = now.log_return, LOGS + now.far
        third = slide(s, own + cubes, now.n - 1, period, r * r * r) * each
        fourth = slide(s, own + fourths, now.n - 1, period, r * r * r * r) * each
        second, mean = s[squares] * each, (s[newest] - s[newest - period]) * each
        square = mean * mean
        s[own] = second - square if second - square > ALIKE * second else 0.0
        s[own + 1] = fourth - 4.0 * mean * third + 6.0 * square * second - 3.0 * square * square
        if s[own] == 0.0:
            return 0.0
        return (third - 3.0 * mean * second + 2.0 * mean * square) / (s[own] * math.sqrt(s[own]))


class Kurtosis(Distribution):
    """m4 / m2^2 - 3 of the last {period} log returns, m their moments about the mean; 0 where all are alike.

    Source: Joanes and Gill 1998, The Statistician 47:1 (g2).
    """

    def __init__(self, period: int = 60) -> None:
        super().__init__(f"kurt_{period}", period, period + 1, needs={"moments": f"own of skew_{period}"})
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, moments: int) -> float:
        second = s[moments]
        return s[moments + 1] / (second * second) - 3.0 if second > 0.0 else 0.0


class VarianceRatio(Distribution):
    """Variance of overlapping {q}-bar log returns over {q} times that of 1-bar ones in {period} bars, both unbiased.

    1 for a random walk, and where all returns are alike.

    Source: Lo and MacKinlay 1988, Review of Financial Studies 1:1.
    """

    def __init__(self, q: int, period: int = 120) -> None:
        self.q, self.period, self.many = q, period, period - q + 1
        units = [Unit.PURE] * sliding(self.many)
        needs = {"squares": f"own of realised_vol_{period}"}
        super().__init__(f"variance_ratio_{q}", period, period + 1, own_units=units, needs=needs)
        self.weight = (period - 1.0) / (q * self.many * (1.0 - q / period))

    @staticmethod
    @kernel
    def step(
        s: Array, own: int, now: Now, squares: int, q: int, period: int, many: int, weight: float
    ) -> float:
        newest, newest_log = LOGS + now.far, s[LOGS + now.far]
        moved = newest_log - s[newest - q] if now.n > q else 0.0
        long_squares = slide(s, own, now.n - q, many, moved * moved)
        mean = (newest_log - s[newest - period]) / period
        variance = s[squares] - period * mean * mean
        if variance <= ALIKE * s[squares]:
            return 1.0
        # Of the sum of q-bar returns all logs cancel but the first and the last q.
        total = excess(s, newest, 0, q, newest_log) - excess(s, newest, many, many + q, newest_log)
        return weight * (long_squares - q * mean * (2.0 * total - many * q * mean)) / variance


class Autocorrelation(Distribution):
    """Correlation of a log return with the one before it, over {period} bars; 0 where all are alike.

    Sum of (r - m)(r' - m) over the sum of (r - m)^2, m the mean.

    Source: Box and Jenkins 1970, Time Series Analysis.
    """

    def __init__(self, period: int = 20) -> None:
        self.period, self.pairs = period, period - 1
        super().__init__(
            f"autocorrelation_{period}",
            period,
            period + 1,
            own_units=[Unit.PURE] * sliding(self.pairs),
            needs={"squares": f"own of realised_vol_{period}"},
        )

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, squares: int, period: int, pairs: int) -> float:
        newest = LOGS + now.far
        before = s[newest - 1] - s[newest - 2] if now.n > 2 else 0.0
        products = slide(s, own, now.n - 2, pairs, now.log_return * before)
        whole = s[newest] - s[newest - period]
        mean = whole / period
        variance = s[squares] - mean * whole
        if variance <= ALIKE * s[squares]:
            return 0.0
        ends = now.log_return + s[newest - period + 1] - s[newest - period]
        return (products - mean * (2.0 * whole - ends - pairs * mean)) / variance


class JumpShare(Distribution):
    """1 - B / R of the last closed session, 0 at least: the part of its variance that came in jumps; 0 without moves.

    R is the sum of squared log returns of its bars, the first from the open, B = (pi / 2) n / (n - 1) times the sum of
    products of neighbours' sizes, n the number of bars.

    Source: Barndorff-Nielsen and Shephard 2004, Journal of Financial Econometrics 2:1.
    """

    def __init__(self) -> None:
        super().__init__("jump_share_day", 0, 1, sessions=1, own_units=[Unit.PURE] * 5)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now, log_body: float) -> float:
        # The sums, the last size, the bars, and what the last session came to.
        if now.first:
            s[own + 4] = jump_share(s[own], s[own + 1], s[own + 3])
            s[own] = s[own + 1] = s[own + 2] = s[own + 3] = 0.0
        size = abs(log_body if now.first else now.log_return)
        s[own] += size * size
        s[own + 1] += size * s[own + 2]
        s[own + 2] = size
        s[own + 3] += 1.0
        return s[own + 4]


@kernel
def jump_share(squares: float, products: float, bars: float) -> float:
    """Return the share of jumps in the variance; 0 of less than two bars, which tell nothing."""
    if bars < 2.0 or squares == 0.0:
        return 0.0
    return max(1.0 - 0.5 * math.pi * bars / (bars - 1.0) * products / squares, 0.0)


FEATURES: tuple[Feature, ...] = (
    Skewness(),
    Kurtosis(),
    VarianceRatio(2),
    VarianceRatio(8),
    Autocorrelation(),
    JumpShare(),
)
