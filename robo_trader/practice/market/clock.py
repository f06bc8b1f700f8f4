"""The clock of the practice market: at a speed of its own, or moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.stamps import stamp
from robo_trader.simulation.tape import SLICE_NS

_FALLEN_BEHIND = 1.0  # seconds of wall time after which the clock stops trying to catch up
_log = structlog.get_logger()


class MarketClock:
    """Makes the market's beats. It stands still until `begin`; with speed 0 only `advance` moves it."""

    def __init__(
        self,
        exchange: Exchange,
        beat_ns: int,
        speed: float,
        step: Callable[[], bool],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`step` makes one beat, False where the market has ended; `fail` is told what a running clock stopped of."""
        self._exchange = exchange
        self._beat_ns = beat_ns
        self._speed = speed
        self._step = step
        self._fail = fail
        self._running: asyncio.Task[None] | None = None
        self._stepped = 0.0  # loop time of the last step

    def now(self) -> int:
        """Return the market's time, UTC ns; between two beats it moves with the wall."""
        if self._running is None or self._running.done():
            return self._exchange.now
        since = (asyncio.get_running_loop().time() - self._stepped) * self._speed
        return self._exchange.now + min(max(0, int(since * SECOND_NS)), self._beat_ns - 1)

    def begin(self) -> None:
        """Let it run, if it is one that runs."""
        if self._running is None and self._speed > 0:
            loop = asyncio.get_running_loop()
            self._stepped = loop.time()
            self._running = loop.create_task(self._run())
            self._running.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Stop for good."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def advance(self, seconds: float) -> int:
        """Move by that much market time, a night counted as five seconds. Return the new time, UTC ns."""
        left = round(seconds * SECOND_NS)
        while left >= self._beat_ns:
            today = self._exchange.session
            self._step()
            await asyncio.sleep(0)
            left -= self._beat_ns if self._exchange.session is today else SLICE_NS
        return self._exchange.now

    async def advance_to(self, ts: int) -> int:
        """Move to the first beat at or after `ts`, UTC ns. Return the new time."""
        while self._exchange.now < ts:
            if not self._step():
                break
            await asyncio.sleep(0)
        return self._exchange.now

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        interval = self._beat_ns / SECOND_NS / self._speed
        due = loop.time() + interval
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._stepped = loop.time()
            if not self._step():
                _log.info("the practice market has come to its end", clock=stamp(178, self._exchange.now))
                return
            due = max(due + interval, loop.time() - _FALLEN_BEHIND)

    def _ended(self, run: asyncio.Task[None]) -> None:
        error = None if run.cancelled() else run.exception()
        if error is not None:
            self._fail(error)
