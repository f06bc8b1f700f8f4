"""What a year of sessions says of a share: its range over 13, 26 and 52 weeks, its volume, its volatility."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import numpy as np

from robo_trader.core.protocols import Session
from robo_trader.practice.market.exchange import Exchange

_WEEKS = (13, 26, 52)
_VOLUME_SESSIONS = 63  # a quarter
_VOLATILITY_SESSIONS = 30
_SESSIONS_A_YEAR = 252
_SESSIONS_A_BEAT = 10


class Range(NamedTuple):
    """Lows and highs (USD) of the last 13, 26 and 52 weeks, mean daily volume (shares), annual volatility (1 = 100 %).

    All are of whole sessions before today.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    average_volume: int
    volatility: float


class _Past(NamedTuple):
    age: int  # days
    high: float
    low: float
    close: float
    volume: float


class Ranges:
    """Gathers ranges a few sessions a beat, so that nobody has to wait while a year is read."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._label = ""
        self._found: dict[str, Range | None] = {}
        self._waiting: dict[str, Iterator[_Past]] = {}
        self._past: list[_Past] = []

    def find(self, symbol: str) -> Range | None:
        """Return a share's range, None while it is being gathered and where there is no session before today."""
        self._renew()
        if symbol not in self._found and symbol not in self._waiting:
            self._waiting[symbol] = self._sessions(symbol)
        return self._found.get(symbol)

    def beat(self) -> None:
        """Read on a little."""
        self._renew()
        for _ in range(_SESSIONS_A_BEAT):
            symbol = next(iter(self._waiting), None)
            if symbol is None:
                return
            past = next(self._waiting[symbol], None)
            if past is not None:
                self._past.append(past)
            else:
                del self._waiting[symbol]
                self._found[symbol] = _range(self._past)
                self._past = []

    def _renew(self) -> None:
        if self._label != self._exchange.session.label:
            self._label = self._exchange.session.label
            self._found.clear()
            self._waiting.clear()
            self._past = []

    def _sessions(self, symbol: str) -> Iterator[_Past]:
        exchange, today = self._exchange, date.fromisoformat(self._label)
        label = self._label
        while label > exchange.source.first:
            (session,) = exchange.calendar.before(label, 1)
            label = session.label
            age = (today - date.fromisoformat(label)).days
            if age > 7 * _WEEKS[-1] or label < exchange.source.first:
                return
            past = self._read(symbol, session, age)
            if past is not None:
                yield past

    def _read(self, symbol: str, session: Session, age: int) -> _Past | None:
        minutes = self._exchange.minutes(symbol, session)
        if not len(minutes):
            return None
        high, low = float(minutes.high.max()), float(minutes.low.min())
        return _Past(age, high, low, float(minutes.close[-1]), float(minutes.volume.sum()))


def _range(past: list[_Past]) -> Range | None:
    """Sum up sessions, the latest first."""
    if not past:
        return None
    within = [[one for one in past if one.age <= 7 * weeks] or past[:1] for weeks in _WEEKS]
    volumes = [one.volume for one in past[:_VOLUME_SESSIONS]]
    closes = np.array([one.close for one in past[: _VOLATILITY_SESSIONS + 1]])
    volatility = (
        float(np.diff(np.log(closes)).std()) * math.sqrt(_SESSIONS_A_YEAR) if len(closes) > 2 else 0.0
    )
    return Range(
        tuple(min(one.low for one in some) for some in within),
        tuple(max(one.high for one in some) for some in within),
        round(sum(volumes) / len(volumes)),
        round(volatility, 6),
    )
