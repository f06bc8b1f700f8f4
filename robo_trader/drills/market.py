"""A practice market whose clock a drill holds in its hand: it runs at a speed, and stands while books are compared."""

from __future__ import annotations

import asyncio

from robo_trader.drills.ledger import Truth
from robo_trader.drills.witness import MASTER, WatchedGateway
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.market import SyntheticMarket

MOVE_S = 1.0  # market seconds the clock is moved by at a time
BEHIND_S = 1.0  # wall seconds after which it stops trying to catch up


class HeldMarket:
    """A gateway in this process, nights skipped, that can also be stopped at each close."""

    def __init__(self, seed: int, speed: float, busy: FlowOptions) -> None:
        """Draw the market of `seed`; `speed` is market seconds a wall second while the clock is let go."""
        options = PracticeOptions(speed=0, flow=busy, master_client=MASTER)
        self.gateway = WatchedGateway(options, SyntheticMarket(seed))
        self.speed = speed
        self.port = 0
        self.days: list[str] = []  # sessions that have ended, by date
        self.stops_at_the_close = False
        self.closed = asyncio.Event()  # it stands at a close
        self._goes = asyncio.Event()
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> HeldMarket:
        self.port = await self.gateway.start()
        self._clock = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)
        await self.gateway.stop()

    @property
    def now(self) -> int:
        """The market's time, UTC ns."""
        return self.gateway.now()

    @property
    def has_failed(self) -> bool:
        """Whether the clock has stopped of an error, which `truth` raises."""
        return self._clock is not None and self._clock.done()

    def require_well(self) -> None:
        """Raise what stopped the clock, if anything did."""
        if self._clock is not None and self._clock.done():
            self._clock.result()

    def hold(self) -> None:
        """Let the clock stand: nothing trades until `let_go`."""
        self._goes.clear()

    def let_go(self) -> None:
        self._goes.set()

    def truth(self) -> Truth:
        """Return all that ever happened on the account, and what stands now. Raises what stopped the clock."""
        self.require_well()
        return self.gateway.truth()

    async def _run(self) -> None:
        loop, exchange = asyncio.get_running_loop(), self.gateway.exchange
        due = loop.time()
        while True:
            await self._goes.wait()
            due = max(due + MOVE_S / self.speed, loop.time() - BEHIND_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self.now >= exchange.session.close:
                await self._close(exchange.session.label)
            await self.gateway.advance(MOVE_S)

    async def _close(self, label: str) -> None:
        self.days.append(label)
        if self.stops_at_the_close:
            self.hold()
            self.closed.set()
            await self._goes.wait()
            self.closed.clear()
