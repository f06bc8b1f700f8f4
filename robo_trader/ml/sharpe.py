"""How much of a Sharpe ratio is skill: what it proves, what luck would show after many tries, what it takes to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NORMAL = NormalDist()
EULER = 0.5772156649015329


@dataclass(frozen=True)
class Returns:
    """What a Sharpe ratio per period is judged by: it, how many periods it saw, and the shape of their returns."""

    sharpe: float
    periods: int
    skew: float = 0.0
    kurtosis: float = 3.0  # 3 is normal

    @property
    def variance(self) -> float:
        """How much the ratio varies from sample to sample, times the periods less one."""
        return 1 - self.skew * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2


def returns(earned: Floats) -> Returns:
    """Describe what was earned in each period, (n,); nothing ever earned has a ratio of 0."""
    spread = float(earned.std(ddof=1)) if len(earned) > 1 else 0.0
    if spread == 0:
        return Returns(0.0, len(earned))
    z = (earned - earned.mean()) / earned.std()
    return Returns(float(earned.mean()) / spread, len(earned), float((z**3).mean()), float((z**4).mean()))


def probabilistic(seen: Returns, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`, both per period.

    Source: Bailey & López de Prado, The Sharpe Ratio Efficient Frontier (2012).

    >>> round(probabilistic(Returns(0.458, 24, -2.448, 10.164)), 3)
    0.913
    """
    z = (seen.sharpe - benchmark) * math.sqrt(max(seen.periods - 1, 0) / max(seen.variance, 1e-12))
    return NORMAL.cdf(z)


def expected_best(trials: int) -> float:
    """Return the largest of `trials` independent standard normal draws, in expectation; 0 for one.

    Source: Bailey & López de Prado, The Deflated Sharpe Ratio (2014).

    >>> round(expected_best(100), 4)
    2.5306
    """
    if trials <= 1:
        return 0.0
    ordinary, rare = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return (1 - EULER) * ordinary + EULER * rare


def deflated(seen: Returns, trials: int, variance: float | None = None) -> float:
    """Return the probability that the true Sharpe ratio is above what luck shows as the best of `trials`.

    `variance` is that of the trials' ratios per period; unknown, it is what ratios without skill vary by, 1 / (n - 1).
    Source: Bailey & López de Prado, The Deflated Sharpe Ratio (2014).
    """
    spread = 1 / max(seen.periods - 1, 1) if variance is None else variance
    return probabilistic(seen, math.sqrt(spread) * expected_best(trials))


def least_record(seen: Returns, benchmark: float = 0.0, level: float = 0.95) -> float:
    """Return how many periods such a ratio would have to last to be believed at `level`; infinite at or below `benchmark`.

    Source: Bailey & López de Prado, The Sharpe Ratio Efficient Frontier (2012), minimum track record length.
    """
    if seen.sharpe <= benchmark:
        return math.inf
    return 1 + seen.variance * (NORMAL.inv_cdf(level) / (seen.sharpe - benchmark)) ** 2


def least_backtest(trials: int, sharpe: float = 1.0) -> float:
    """Return the years of which the best of `trials` without skill shows an annual ratio of `sharpe`.

    Source: Bailey, Borwein, López de Prado & Zhu, Pseudo-Mathematics and Financial Charlatanism (2014).

    >>> round(least_backtest(45), 3), round(least_backtest(46), 3)
    (4.998, 5.036)
    """
    return (expected_best(trials) / sharpe) ** 2


def precision_for(gain: float, loss: float, bets: float = 1.0, sharpe: float = 0.0) -> float:
    """Return how often bets that win `gain` or lose `loss` must win for `sharpe` over `bets` of them; 0 is break-even.

    Source: López de Prado, Advances in Financial Machine Learning, 15.4.

    >>> round(precision_for(0.01, 0.02, 260, 2.0), 4), round(precision_for(20.0, 28.0), 4)
    (0.7222, 0.5833)
    """
    span, square = gain + loss, sharpe**2 / bets
    a, b, c = (1 + square) * span**2, 2 * -loss * span - square * span**2, loss**2
    return (-b + math.sqrt(max(b**2 - 4 * a * c, 0.0))) / (2 * a)


def selective(accuracy: float, threshold: float) -> tuple[float, float]:
    """Return how often an honest forecaster, right in `accuracy` of all rows, is sure by `threshold`, and right then.

    Signal and return are taken as jointly normal, and what it says as calibrated. Source: Sheppard (1899).

    >>> coverage, precision = selective(0.54, 0.65)
    >>> round(coverage, 6), round(precision, 4)
    (0.002287, 0.6629)
    """
    if accuracy <= 0.5:
        return 0.0, threshold
    rho = math.sin(math.pi * (accuracy - 0.5))
    slope = rho / math.sqrt(1 - rho**2)
    needed = NORMAL.inv_cdf(threshold) / slope
    points, share = np.polynomial.legendre.leggauss(200)
    z = needed + 5 * (points + 1)  # ten deviations hold all there is
    density = share * np.exp(-(z**2 - needed**2) / 2)
    right = np.array([NORMAL.cdf(slope * one) for one in z.tolist()])
    return math.erfc(needed / math.sqrt(2)), float(density @ right / density.sum())


def overfitting(earned: Floats, blocks: int = 8) -> float:
    """Return the probability that the best of n configurations in half of the time is no better than the median in the rest.

    `earned` (t, n) is what each earned in each period; every half of `blocks` (even) stretches of time is taken once. Ties
    count half. Source: Bailey, Borwein, López de Prado & Zhu, The Probability of Backtest Overfitting (2015), by CSCV.
    """
    parts = np.array_split(earned, blocks)
    count = np.array([len(part) for part in parts], dtype=np.float64)
    total = np.array([part.sum(axis=0) for part in parts])
    square = np.array([(part**2).sum(axis=0) for part in parts])
    fails = 0
    halves = list(combinations(range(blocks), blocks // 2))
    for half in halves:
        chosen = np.isin(np.arange(blocks), half)
        best = int(_ratios(count[chosen], total[chosen], square[chosen]).argmax())
        other = _ratios(count[~chosen], total[~chosen], square[~chosen])
        rank = (other < other[best]).sum() + ((other == other[best]).sum() + 1) / 2
        fails += bool(rank / (len(other) + 1) <= 0.5)
    return fails / len(halves)


def _ratios(count: Floats, total: Floats, square: Floats) -> Floats:
    n, mean = count.sum(), total.sum(axis=0) / count.sum()
    spread = np.sqrt(np.maximum(square.sum(axis=0) - n * mean**2, 0.0) / max(n - 1, 1.0))
    return np.asarray(np.divide(mean, spread, out=np.zeros(len(mean)), where=spread > 0), dtype=np.float64)
