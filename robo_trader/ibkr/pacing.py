"""Keeps us inside what TWS allows, and orders ahead of look-ups."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger()
_LONG_S = 5.0  # a wait that is worth a word


@dataclass(frozen=True)
class PacingOptions:
    """How much we ask for: a little under TWS's 50 messages a second and its limits on historical data."""

    messages_per_s: int = 45
    # Look-ups stop this far below the limit, so an order finds room even in the middle of a burst of them.
    kept_for_orders: int = 15
    history_per_10_min: int = 60
    # TWS calls six for one contract within two seconds a violation.
    history_per_contract_2_s: int = 5
    identical_history_s: float = 15.0


class Window:
    """The times of what happened within the last `seconds`; a sliding window, so no burst ever exceeds the limit."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._times: deque[float] = deque()

    def wait(self, now: float, limit: int | None = None) -> float:
        """Return the seconds until one more may pass, 0 when it may pass now."""
        while self._times and now - self._times[0] >= self.seconds:
            self._times.popleft()
        over = len(self._times) - (self.limit if limit is None else limit)
        return 0.0 if over < 0 else self._times[over] + self.seconds - now

    def take(self, now: float) -> None:
        """Count one that passes at `now`."""
        self._times.append(now)


class Pacer:
    """Lets messages to TWS pass one by one, in the order they were asked for within each class."""

    def __init__(
        self,
        options: PacingOptions = PacingOptions(),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._clock = clock
        self._sleep = sleep
        self._messages = Window(options.messages_per_s, 1.0)
        self._history = Window(options.history_per_10_min, 600.0)
        self._of_contract: dict[str, Window] = {}
        self._asked: dict[str, float] = {}
        # asyncio's locks are fair: what came first goes first, so a cancel never overtakes its order.
        self._orders_turn = asyncio.Lock()
        self._lookups_turn = asyncio.Lock()
        self._history_turn = asyncio.Lock()

    async def order(self) -> None:
        """Wait until an order, its change or its cancel may be sent; look-ups are never ahead of it."""
        async with self._orders_turn:
            await self._pass(self._options.messages_per_s)

    async def lookup(self) -> None:
        """Wait until a request that is not an order may be sent."""
        async with self._lookups_turn:
            await self._pass(self._options.messages_per_s - self._options.kept_for_orders)

    async def history(self, contract: str, request: str) -> None:
        """Wait until this historical request may be sent; `request` is the same text for the same request."""
        of_contract = self._of_contract.setdefault(
            contract, Window(self._options.history_per_contract_2_s, 2.0)
        )
        async with self._history_turn:
            while (wait := self._history_wait(of_contract, request)) > 0:
                if wait > _LONG_S:
                    log.info("pacing", what=f"TWS limits requests for history: the next in {wait:.0f} s")
                await self._sleep(wait)
            now = self._clock()
            self._history.take(now)
            of_contract.take(now)
            self._asked[request] = now
        await self.lookup()

    def _history_wait(self, of_contract: Window, request: str) -> float:
        now = self._clock()
        identical = self._options.identical_history_s
        self._asked = {text: at for text, at in self._asked.items() if now - at < identical}
        again = self._asked[request] + identical - now if request in self._asked else 0.0
        return max(self._history.wait(now), of_contract.wait(now), again)

    async def _pass(self, limit: int) -> None:
        while (wait := self._messages.wait(self._clock(), limit)) > 0:
            await self._sleep(wait)
        self._messages.take(self._clock())
