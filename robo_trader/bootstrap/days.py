"""The days that regimes are told by: as TWS has them, and from there on as the minutes tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from robo_trader.core.events import Bar
from robo_trader.ibkr.feed import IbFeed
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.strategies.regime_detector import DAYS, RegimeDetector

log = structlog.get_logger()
PATIENCE_S = 20.0  # no start waits longer for days than that


async def read_days(feed: IbFeed, symbols: Sequence[str]) -> dict[str, list[Bar]]:
    """Return each symbol's past sessions as bars of a day; none of those TWS does not tell in time.

    They are asked for anew at each start: a split restates them all. Raises ConnectionLost.
    """
    found: dict[str, list[Bar]] = {}

    async def of(symbol: str) -> None:
        try:
            found[symbol] = await feed.days(symbol, DAYS)
        except (RequestRefused, Unanswered) as error:
            log.warning("no_days", what=symbol, why=f"{error}; its regime is told from minutes alone")

    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(of(symbol) for symbol in symbols))
    except TimeoutError:
        told = f"{len(found)} of {len(symbols)}"
        log.warning("no_days", what=told, why="TWS takes its time; other regimes are told from minutes alone")
    return found


def warm_regimes(
    detector: RegimeDetector, days: Mapping[str, Sequence[Bar]], past: Mapping[str, Sequence[Bar]]
) -> bytes:
    """Return what is known of regimes after these days and the later ones of these minutes; see `RegimeDetector.saved`."""
    detector.recall(days)
    for symbol, bars in past.items():
        since = days[symbol][-1].ts if days.get(symbol) else -1
        for bar in bars:
            if bar.ts > since:  # the others it would pass over, each by itself
                detector.on_bar(bar)
    return detector.saved()
