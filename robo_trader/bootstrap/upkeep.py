"""Keeps the link up: streams while there is a session, gets the next one, catches up, and says when trading may begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

import msgspec
import structlog

from robo_trader.bootstrap.reach import Approach
from robo_trader.bootstrap.reopening import Reopening, Sight
from robo_trader.core.errors import ConfigurationError, ConnectionLost
from robo_trader.core.events import Event, Feed, FeedStatus, OrderStatus
from robo_trader.core.inbox import Inbox
from robo_trader.core.orders import OrderBook, OrderState
from robo_trader.data.pipeline import Pipeline
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.broker import IbBroker
from robo_trader.ibkr.feed import IbFeed
from robo_trader.ibkr.refusals import RequestRefused

log = structlog.get_logger()
LOOK_S = 0.1
DOUBT_S = 5.0  # of silence about an order, after which TWS is asked
_DOUBTFUL = frozenset({OrderStatus.INTENT, OrderStatus.UNKNOWN})


class Upkeep:
    """The life of a link after its first session. `watched` are the symbols streamed, `traded` those it trades on."""

    def __init__(
        self,
        approach: Approach,
        feed: IbFeed,
        pipeline: Pipeline,
        broker: IbBroker,
        inbox: Inbox,
        calendar: XnysCalendar,
        reopening: Reopening,
        traded: Sequence[str],
    ) -> None:
        self._approach = approach
        self._connection = approach.connection
        self._state = approach.state
        self._feed = feed
        self._pipeline = pipeline
        self._broker = broker
        self._inbox = inbox
        self._calendar = calendar
        self._reopening = reopening
        self._traded = frozenset(traded)
        self.lost = ""  # why there is no session that agrees with our books
        self._streaming = False
        self._asked: dict[str, float] = {}  # since when nothing was said of an order
        self._refused: set[str] = set()  # shares that cannot be watched
        self._strangers: set[str] = set()
        self._met = asyncio.Event()
        self.watched: list[str] = list(traded)
        self.simulated = False  # whether orders go to a broker of our own

    async def keep(self, orders: OrderBook) -> None:
        """Stream until cancelled, over as many sessions as it takes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._meet_strangers())
            while True:
                reason = await self._stream()
                self._streaming = False
                self._state.lost(reason)
                self.lost = f"the session with TWS is lost: {reason}"
                self.look()  # before anything else: a quick reconnect must not hide that there was a gap
                self._say(Feed.LOST, reason)
                await self._reconnect(orders)

    async def _stream(self) -> str:
        """Stream while the session lasts; return why it ended."""
        try:
            self._state.watch(self._traded)
            await self._feed.subscribe(self.watched)
            self._streaming = True
            self._say(Feed.LIVE, "streaming")
            return await self._connection.wait_lost()
        except ConnectionLost as error:
            return str(error)

    async def _reconnect(self, orders: OrderBook) -> None:
        while True:
            await self._connection.close()
            await self._approach.connect()
            try:
                await self._catch_up(orders)
            except (ConnectionLost, RequestRefused) as error:
                self._state.lost(str(error))
            else:
                self.lost = ""
                return

    async def _catch_up(self, orders: OrderBook) -> None:
        """Tell the desk what happened to its orders meanwhile; telling it twice does no harm."""
        if self.simulated:
            return
        snapshot = await self._broker.snapshot()
        given = [order.id for order in orders.live() if self._broker.was_given(order.id)]
        outcomes = await self._broker.resolve(given)
        # The desk believes two looks that differ from its books, lest a trade fell into one: it shall not wait for the
        # second while it trades on what it no longer holds.
        again = msgspec.structs.replace(await self._broker.snapshot(), fills=())
        events: list[Event] = [*snapshot.fills, *outcomes, snapshot, again]
        for event in events:
            self._inbox.put(event)
        self.meet(holding.symbol for holding in again.holdings)

    # --------------------------------------------------------------------------------------- what TWS is silent about

    async def resolve_doubts(self, orders: OrderBook) -> None:
        """Ask what became of orders that have been in doubt for DOUBT_S; at most that often for one order."""
        if self.simulated:
            return
        now = time.monotonic()
        doubted = [
            o.id for o in orders.live() if _is_doubtful(orders.state(o.id)) and self._broker.was_given(o.id)
        ]
        self._asked = {order_id: self._asked.get(order_id, now) for order_id in doubted}
        due = [order_id for order_id, since in self._asked.items() if now - since >= DOUBT_S]
        if not due or self.lost:
            return
        self._asked |= dict.fromkeys(due, now)
        snapshot = await self._broker.snapshot()
        outcomes = await self._broker.resolve(due)
        found: list[Event] = [fill for fill in snapshot.fills if fill.order_id in due]
        for event in [*found, *outcomes]:
            self._inbox.put(event)

    # ------------------------------------------------------------------------------------------------ other's shares

    async def watch(self, symbol: str) -> None:
        """Stream a share that somebody else traded; one that cannot be is said so, once."""
        if symbol in self.watched or symbol in self._refused:
            return
        try:
            await self._feed.subscribe([symbol])
        except ConnectionLost:
            return  # the next session's account names it again
        except (ConfigurationError, RequestRefused) as error:
            self._refused.add(symbol)
            log.warning("held_unpriced", what=symbol, why=f"{error}; no new exposure while it is held")
        else:
            if symbol in self.watched:
                return  # somebody else met it meanwhile
            self.watched.append(symbol)
            log.info("watching", what=symbol, why="traded or held in the account by others")

    def meet(self, symbols: Iterable[str]) -> None:
        """Watch these from now on, as soon as may be."""
        self._strangers |= set(symbols) - set(self.watched) - self._refused
        if self._strangers:
            self._met.set()

    async def _meet_strangers(self) -> None:
        while True:
            await self._met.wait()
            self._met.clear()
            while self._strangers:
                await self.watch(self._strangers.pop())

    # ------------------------------------------------------------------------------------- when trading may begin

    async def _look(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """See how things are, and tell the desk where that changes what it may do."""
        sight = self._sight()
        restart = self._reopening.restart(sight.now)
        self._state.expect(restart and (restart[0], self._on_the_wall(restart[1])))
        for event in self._reopening.look(sight, self._told_time()):
            self._inbox.put(event)
        if sight.is_clear:
            self._state.ready()
        elif sight.dark:
            self._state.darken()
        elif not sight.lost and self._reopening.is_shut:
            self._state.synchronising(sight.wanted)

    def _sight(self) -> Sight:
        now = self._now()
        is_open = self._calendar.session(now) is not None
        return Sight(now, self.lost, self._state.dark if is_open else "", self._wanted(is_open))

    def _wanted(self, is_open: bool) -> str:
        """Say what is still to come: prices only while the market is open, the rest of the night needs none."""
        if not self._streaming:
            return "the streams"
        unheard = self._traded & set(self._feed.pending) if is_open else ()
        missed = self._traded & {symbol for symbol, _, _ in self._pipeline.gaps()}
        wanted = {"the first prices of": unheard, "missed bars of": missed}
        return ", ".join(f"{what} {','.join(sorted(which))}" for what, which in wanted.items() if which)

    def _now(self) -> int:
        """Return the market's time; a practice market's is guessed while it is silent."""
        now = self._feed.market_now()
        return max(now, self._connection.clock.now()) if self._connection.is_practice else now

    def _on_the_wall(self, ts: int) -> int:
        """Return the wall's time at which the market's will be `ts`."""
        if not self._connection.is_practice:
            return ts
        return time.time_ns() + int((ts - self._now()) / (self._connection.clock.pace or 1.0))

    def _told_time(self) -> int:
        """Return the market's latest time that was told, not guessed: events must not run ahead of the bars."""
        return max(self._inbox.now, self._connection.server_time)

    def _say(self, state: Feed, detail: str) -> None:
        self._inbox.put(FeedStatus(self._told_time(), "", state, detail))


def _is_doubtful(state: OrderState | None) -> bool:
    """Whether the broker owes us a word: on the order itself, or on a change or cancel of it."""
    return state is not None and (state.status in _DOUBTFUL or state.wanted is not None)
