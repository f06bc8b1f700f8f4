"""Statistics by which markets are known: tails, clusters, the shape of a day, volume, correlation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Figures = dict[str, Floats]

MONTH, QUARTER = 20, 60  # sessions that one figure is computed over
HALF_HOURS = [f"{9 + i // 2:02d}:{i % 2 * 30:02d}" for i in range(1, 14)]
# Shares of a day's volume by half hour: SPY, mean of seven days of 2013 and 2023.
VOLUME_CURVE = np.array(
    [0.1294, 0.0948, 0.0804, 0.0747, 0.0746, 0.0571, 0.0432, 0.055, 0.0487, 0.0572, 0.0434, 0.0705, 0.1711]
)


@dataclass(frozen=True, eq=False)
class Panel:
    """Whole sessions of several symbols in bars of `step` minutes.

    `open` is that of the session, (symbols, sessions); closes, `reach` (log of high over low) and volume are
    (symbols, sessions, bars).
    """

    step: int
    open: Floats
    close: Floats
    reach: Floats
    volume: Floats

    def windows(self, sessions: int) -> Iterator[Panel]:
        """Yield consecutive parts of about that many sessions."""
        parts = max(1, round(self.open.shape[1] / sessions))
        for days in np.array_split(np.arange(self.open.shape[1]), parts):
            bars = (self.close[:, days], self.reach[:, days], self.volume[:, days])
            yield Panel(self.step, self.open[:, days], *bars)

    def coarser(self, times: int) -> Panel:
        """Return the same sessions in bars `times` as long; their reach is the widest of the bars in them."""
        symbols, days, n = self.close.shape
        inside = (symbols, days, n // times, times)
        return Panel(
            self.step * times,
            self.open,
            self.close[:, :, times - 1 :: times],
            self.reach.reshape(inside).max(axis=3),
            self.volume.reshape(inside).sum(axis=3),
        )

    def returns(self) -> Floats:
        """Return the log returns of all bars of a session, the first from its open."""
        path = np.concatenate([self.open[:, :, None], self.close], axis=2)
        return np.diff(np.log(path), axis=2)


def kurtosis(x: Floats) -> Floats:
    """Return the kurtosis of each row; 3 is the normal distribution's."""
    centred = x - x.mean(axis=1, keepdims=True)
    ratio: Floats = (centred**4).mean(axis=1) / (centred**2).mean(axis=1) ** 2
    return ratio


def autocorrelation(x: Floats, lag: int) -> Floats:
    """Return each symbol's autocorrelation of x (symbols, sessions, bars) over pairs within a session."""
    centred = x - x.mean(axis=(1, 2), keepdims=True)
    pairs: Floats = (centred[:, :, lag:] * centred[:, :, :-lag]).mean(axis=(1, 2))
    variance: Floats = (centred**2).mean(axis=(1, 2))
    return pairs / variance


def autocorrelation_of_days(x: Floats, lags: Sequence[int]) -> Floats:
    """Return each symbol's autocorrelation of x (symbols, sessions), the mean over the lags."""
    return np.asarray(np.mean([autocorrelation(x[:, None, :], lag) for lag in lags], axis=0))


def correlation_with_others(x: Floats) -> Floats:
    """Return each symbol's mean correlation with all other symbols."""
    total: Floats = np.asarray(np.corrcoef(x)).sum(axis=1)
    return (total - 1) / (len(x) - 1)


def over_its_minute(x: Floats) -> Floats:
    """Return x over what is usual at that time of day."""
    usual: Floats = np.maximum(x.mean(axis=1, keepdims=True), 1e-12)
    return x / usual


def minute_figures(panel: Panel) -> Figures:
    """Compute what one-minute bars tell, a value for each symbol."""
    returns = panel.returns()
    symbols = len(returns)
    loud = np.abs(returns)
    flat = returns.reshape(symbols, -1)
    found = {"kurtosis of r, 1 min": kurtosis(flat)}
    found |= {f"autocorrelation of abs r, {lag} min": autocorrelation(loud, lag) for lag in (1, 5, 20, 60)}
    found["autocorrelation of r, 1 min"] = autocorrelation(returns, 1)
    usual = loud.mean(axis=1) / loud.mean(axis=(1, 2))[:, None]
    found |= {
        "abs r in the first half hour, over its mean": usual[:, :30].mean(axis=1),
        "abs r from 12:00 to 13:30, over its mean": usual[:, 150:240].mean(axis=1),
        "abs r in the last half hour, over its mean": usual[:, -30:].mean(axis=1),
        "high - low over abs r, 1 min": panel.reach.mean(axis=(1, 2)) / loud.mean(axis=(1, 2)),
        "correlation with other symbols, 1 min": correlation_with_others(flat),
    }
    volume, busy = over_its_minute(panel.volume), over_its_minute(loud)
    found["correlation of volume and abs r, 1 min"] = np.array(
        [np.corrcoef(v.ravel(), b.ravel())[0, 1] for v, b in zip(volume, busy, strict=True)]
    )
    found["autocorrelation of volume, 1 min"] = autocorrelation(volume, 1)
    found["deviation of volume over its mean, 1 min"] = volume.std(axis=(1, 2))
    shares = panel.volume / panel.volume.sum(axis=2, keepdims=True)
    halves = shares.reshape(symbols, shares.shape[1], 13, -1).sum(axis=3).mean(axis=1)
    distance = np.abs(halves - VOLUME_CURVE).mean(axis=1) * 100
    found["distance of half hours from SPY's volume curve, % points"] = distance
    return found | {
        f"volume of the half hour from {at}, %": halves[:, i] * 100 for i, at in enumerate(HALF_HOURS)
    }


def five_minute_figures(panel: Panel) -> Figures:
    """Compute what five-minute bars tell."""
    returns = panel.returns()
    flat = returns.reshape(len(returns), -1)
    return {
        "kurtosis of r, 5 min": kurtosis(flat),
        "autocorrelation of r, 5 min": autocorrelation(returns, 1),
        "correlation with other symbols, 5 min": correlation_with_others(flat),
    }


def day_figures(panel: Panel) -> Figures:
    """Compute what whole days tell."""
    returns, close = panel.returns(), np.log(panel.close[:, :, -1])
    daily, nights = np.diff(close, axis=1), np.log(panel.open[:, 1:]) - close[:, :-1]
    realised = np.log(np.sqrt((returns**2).sum(axis=2)))
    return {
        "kurtosis of r, 1 day": kurtosis(daily),
        "autocorrelation of abs r, mean of 1 to 5 days": autocorrelation_of_days(np.abs(daily), range(1, 6)),
        "autocorrelation of daily volatility, 1 day": autocorrelation_of_days(realised, (1,)),
        "autocorrelation of daily volatility, 5 days": autocorrelation_of_days(realised, (5,)),
        "deviation of daily log volatility": realised.std(axis=1),
        "deviation of daily log volume": np.log(panel.volume.sum(axis=2)).std(axis=1),
        "volatility, % a year": daily.std(axis=1) * np.sqrt(252) * 100,
        "variance overnight over variance in the day": nights.var(axis=1) / returns.sum(axis=2).var(axis=1),
        "correlation with other symbols, 1 day": correlation_with_others(daily),
    }


def pooled(parts: Sequence[Figures]) -> Figures:
    """Put the values of several windows or seeds together."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def short_figures(panel: Panel) -> Figures:
    """Compute both short figures over months."""
    both = [minute_figures(part) | five_minute_figures(part.coarser(5)) for part in panel.windows(MONTH)]
    return pooled(both)


def day_figures_by_quarter(panel: Panel) -> Figures:
    """Compute the figures of whole days over quarters."""
    return pooled([day_figures(part) for part in panel.windows(QUARTER)])
