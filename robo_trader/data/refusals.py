"""Tells refusals without flooding: the first of a kind at once, those that follow as a count, and none in silence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robo_trader.data.validation import Rejected


@dataclass
class _Hush:
    """Until when one kind is only counted, and what came meanwhile."""

    until: int
    count: int = 0
    last: Rejected | None = None


class Refusals:
    """Says what is to be told of refusals, as (symbol, detail); every refusal is in one of the texts, or counted in it."""

    def __init__(self, interval_ns: int) -> None:
        """Tell one symbol's refusals for one reason at most once in `interval_ns` of market time."""
        self._interval_ns = interval_ns
        self._hushed: dict[tuple[str, str], _Hush] = {}

    def new(self, refusals: Iterable[Rejected], now: int) -> list[tuple[str, str]]:
        """Take refusals at `now` (UTC ns, 0: their own time); return what is told of them at once."""
        told = []
        for refusal in refusals:
            key, at = (refusal.symbol, refusal.reason), now or refusal.ts
            told += self._over(key, at)
            hush = self._hushed.get(key)
            if hush is None:
                self._hushed[key] = _Hush(at + self._interval_ns)
                told.append((refusal.symbol, refusal.detail))
            else:
                hush.count, hush.last = hush.count + 1, refusal
        return told

    def due(self, now: int) -> list[tuple[str, str]]:
        """Return what is to be told of those that were only counted, as their time is over at `now` (UTC ns)."""
        return [told for key in list(self._hushed) for told in self._over(key, now)]

    def rest(self) -> list[tuple[str, str]]:
        """Return what is to be told of all that were only counted."""
        hushed, self._hushed = self._hushed, {}
        return [told for (symbol, _), hush in hushed.items() for told in _words(symbol, hush)]

    def _over(self, key: tuple[str, str], now: int) -> list[tuple[str, str]]:
        hush = self._hushed.get(key)
        if hush is None or now < hush.until:
            return []
        del self._hushed[key]
        if hush.count:
            self._hushed[key] = _Hush(now + self._interval_ns)
        return _words(key[0], hush)


def _words(symbol: str, hush: _Hush) -> list[tuple[str, str]]:
    if hush.last is None:
        return []
    return [(symbol, f"{hush.count} more refused since, the last: {hush.last.detail}")]
