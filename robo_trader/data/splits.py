"""Tells splits from crashes, bad prints and distributions by the daily bars of a share and of its market."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from robo_trader.core.events import DAY_NS
from robo_trader.data.bars import Bars, Floats

COMMON = (2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 1.5)
RARE = (6.0, 7.0, 8.0, 12.0, 15.0, 25.0, 30.0, 40.0, 50.0, 100.0, 4 / 3, 5 / 4)
# A share is never split backwards by a fraction.
RATIOS = (*COMMON, *RARE, *(1 / k for k in (*COMMON, *RARE) if k >= 2))

_LOOK = math.log(1.18)  # below this a move is no candidate: the smallest ratio is 5 for 4
_RARITY = 4.0  # nats by which a rare ratio is less likely than a common one
_WHOLE = math.log(1.9)  # a ratio smaller than this is also a bad day's, so it must stand out further
_BARE = 0.06  # how far from a small ratio the open may be with the market's move in it
_FLOOR, _UNKNOWN = 0.01, 0.03  # daily sigma: the least believed, and that of a share seen for a few days only
_FEW_DAYS, _SIGMA_DAYS, _VOLUME_DAYS = 5, 60, 20
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Jump:
    """A night's move as large as a split, and what it was.

    `ratio` is new shares for one old one (0.05: one for twenty), 1 for no split; `settled` says whether the day after was
    there to confirm it. `ts` is the close of the first day at the new price in UTC ns, moves are log returns beyond the
    market's, `sigmas` the distance of the open from the ratio in daily standard deviations, `surge` the log of volume
    over its median, in dollars or in shares, whichever rose less.
    """

    ts: int
    ratio: float
    settled: bool
    why: str
    night: float
    sigmas: float
    surge: float

    @property
    def is_split(self) -> bool:
        """Whether it was a split."""
        return self.ratio != 1.0


def jumps(daily: Bars, market: Bars | None = None, dividends: Floats | None = None) -> list[Jump]:
    """Judge every night with a move of 18% or more beyond the market's, oldest first.

    `dividends` (n,) in USD by ex-date are added back, so that a special one is not taken for a split. A split has a ratio
    that was ever used, an open near it, a close and a next day that stay there, no surge of volume: trading in dollars
    stays as it was, or in shares where the vendor adjusts volumes and not prices. Limits were set on 101 splits and 140
    other jumps of 100 shares, 1999 to 2021; a share's spin-off worth just a third or a fifth of it is not to be told apart.
    """
    return list(_judged(daily, market, dividends))


def splits(daily: Bars, market: Bars | None = None, dividends: Floats | None = None) -> list[Jump]:
    """Return those of `jumps` that are splits, the last of them perhaps not settled yet."""
    return [jump for jump in _judged(daily, market, dividends) if jump.is_split]


@dataclass(frozen=True)
class _Night:
    """What is known of one night: log moves beyond the market's, from the close before."""

    ts: int
    bare: float  # to the open, the market's move still in it
    to_open: float
    to_close: float
    to_next: float  # NaN where there is no next day
    before: float  # of the day before
    sigma: float
    days: int
    surge: float
    unrest: float  # log of the day's range over its median


def _judged(daily: Bars, market: Bars | None, dividends: Floats | None) -> Iterator[Jump]:
    if len(daily) < 2:
        return
    paid = np.zeros(len(daily)) if dividends is None else dividends
    night, day = _moves(daily, paid)
    market_night, market_day = np.zeros(len(daily)), np.zeros(len(daily))
    if market is not None:
        market_night, market_day = _moves_of_market(daily, market)
    for i in map(int, np.flatnonzero(np.abs(night - market_night) >= _LOOK)):
        past = slice(max(1, i - _SIGMA_DAYS), i)
        beta = _beta(day[past], market_day[past])
        own_night, own_day = night - beta * market_night, day - beta * market_day
        yield _judge(_night(daily, float(night[i]), own_night, own_day, i))


def _beta(own: Floats, market: Floats) -> float:
    """Return how far the share goes with the market, 1 where too little is known of it."""
    variance = float(np.var(market)) if len(market) >= _VOLUME_DAYS else 0.0
    if not variance:
        return 1.0
    return float(np.clip(np.mean((own - own.mean()) * (market - market.mean())) / variance, -5.0, 5.0))


def _moves(daily: Bars, paid: Floats) -> tuple[Floats, Floats]:
    before = daily.close[:-1]
    night, day = np.zeros(len(daily)), np.zeros(len(daily))
    night[1:] = np.log((daily.open[1:] + paid[1:]) / before)
    day[1:] = np.log((daily.close[1:] + paid[1:]) / before)
    return night, day


def _moves_of_market(daily: Bars, market: Bars) -> tuple[Floats, Floats]:
    """Return the market's moves over the same nights, 0 where it lacks a day."""
    days, wanted = market.ts // DAY_NS, daily.ts // DAY_NS
    at = np.minimum(np.searchsorted(days, wanted), len(days) - 1) if len(days) else np.zeros(0, np.int64)
    if not len(at):
        return np.zeros(len(daily)), np.zeros(len(daily))
    known = days[at] == wanted
    opened, closed = np.where(known, market.open[at], np.nan), np.where(known, market.close[at], np.nan)
    night, day = np.zeros(len(daily)), np.zeros(len(daily))
    night[1:], day[1:] = np.log(opened[1:] / closed[:-1]), np.log(closed[1:] / closed[:-1])
    return np.nan_to_num(night), np.nan_to_num(day)


def _night(daily: Bars, bare: float, night: Floats, day: Floats, i: int) -> _Night:
    last = slice(max(0, i - _VOLUME_DAYS), i)
    past = day[max(1, i - _SIGMA_DAYS) : i]
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(past))) if len(past) >= _FEW_DAYS else _UNKNOWN
    shares = _rise(daily.volume[i], daily.volume[last])
    dollars = _rise(daily.volume[i] * daily.close[i], daily.volume[last] * daily.close[last])
    width = np.log(daily.high / daily.low)
    return _Night(
        ts=int(daily.ts[i]),
        bare=bare,
        to_open=float(night[i]),
        to_close=float(day[i]),
        to_next=float(day[i] + day[i + 1]) if i + 1 < len(daily) else math.nan,
        before=float(day[i - 1]),
        sigma=max(sigma, _FLOOR),
        days=len(past),
        surge=min(shares, dollars),
        unrest=_rise(width[i], width[last]),
    )


def _rise(value: float, past: Floats) -> float:
    usual = float(np.median(past))
    return math.log(value / usual) if value > 0 and usual > 0 else 0.0


def _judge(night: _Night) -> Jump:
    ratio = min(RATIOS, key=lambda ratio: _unlikelihood(night, ratio))
    away = abs(night.to_open + math.log(ratio))
    why = _objection(night, ratio, away)
    settled = not math.isnan(night.to_next)
    words = why or f"the open is {said(ratio)}, {away / night.sigma:.1f} sigma off, and volume as before"
    if not why and not settled:
        words += "; the next day has yet to confirm it"
    kind = 1.0 if why else ratio
    return Jump(night.ts, kind, settled, words, night.to_open, away / night.sigma, night.surge)


def _unlikelihood(night: _Night, ratio: float) -> float:
    away = night.to_open + math.log(ratio)
    return 0.5 * (away / night.sigma) ** 2 + (0.0 if ratio in COMMON or 1 / ratio in COMMON else _RARITY)


def _objection(night: _Night, ratio: float, away: float) -> str:
    """Say why it is no split by this ratio, empty where nothing speaks against it."""
    size = abs(math.log(ratio))
    whole = size > _WHOLE
    near = (2 + size) * night.sigma
    if away > (min(near, 0.2) if whole else min(near, 0.025)):
        return f"no ratio is near: {said(ratio)} is {away / night.sigma:.1f} sigma off"
    if not whole and abs(night.bare + math.log(ratio)) > _BARE:
        return f"{said(ratio)} only once the market's move is taken out"
    if abs(night.to_close + math.log(ratio)) > (size / 2 if whole else 3 * night.sigma):
        return "the day did not stay at the new price: a bad print"
    if abs(night.to_close + night.before) < size / 2:
        return "back to the price of two days before: a bad day there"
    if abs(night.to_next + math.log(ratio)) > size / 2:
        return "the next day did not stay at the new price"
    if not whole and (night.days < _VOLUME_DAYS or size < 10 * night.sigma):
        return f"a move of {size / night.sigma:.0f} sigma is a bad day's as well"
    if night.surge > (1.0 + size - math.log(2) if whole else 0.6):
        return f"volume {math.exp(night.surge):.1f} times the usual: news"
    if not whole and night.unrest > 1.0:
        return f"a range {math.exp(night.unrest):.1f} times the usual: news"
    return ""


def said(ratio: float) -> str:
    """Say a ratio as it is announced.

    >>> said(1.5), said(0.05)
    ('3 for 2', '1 for 20')
    """
    new, old = (ratio, 1.0) if ratio >= 1 else (1.0, 1 / ratio)
    for times in (1, 2, 3, 4):
        if abs(new * times - round(new * times)) < 1e-9:
            return f"{round(new * times)} for {round(old * times)}"
    return f"{ratio:g} for 1"
