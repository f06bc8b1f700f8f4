"""Everything between the desk and TWS: feed, history and broker over one connection, restored when it is lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import structlog

from robo_trader.bootstrap.reach import FIRST_PAUSE_S, connect_patiently
from robo_trader.core.errors import ConfigurationError, ConnectionLost
from robo_trader.core.events import MINUTE_NS, SECOND_NS, AccountSnapshot, Bar, Event, Feed, FeedStatus, Order
from robo_trader.core.inbox import Inbox
from robo_trader.core.protocols import Broker
from robo_trader.data.history import HistoryOptions, wanted, warm
from robo_trader.data.pipeline import Pipeline, PipelineOptions
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.broker import IbBroker
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.contracts import ContractRecord, Contracts
from robo_trader.ibkr.feed import FeedOptions, IbFeed
from robo_trader.ibkr.pacing import Pacer, PacingOptions
from robo_trader.processes import Child
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker
from robo_trader.storage import queries

log = structlog.get_logger()
SESSION_MINUTES = 390
HISTORIES_AT_A_TIME = 8  # the limit on requests is per share, so others need not wait for one
WARM_BARS = 150  # three times the slowest feature's need, so that Wilder's averages have settled


def pacing_with(gateway: Child) -> PacingOptions:
    """Return TWS's limits; our own gateway has none on history, and with them many shares take half an hour to learn."""
    return PacingOptions(history_per_10_min=100_000) if gateway.started else PacingOptions()


class Link:
    """The desk's link to its market. `gateway` is our practice child, where there is one; it is kept running."""

    def __init__(
        self, connection: Connection, gateway: Child, inbox: Inbox, symbols: Sequence[str], bar_s: int
    ) -> None:
        self.connection = connection
        self._gateway = gateway
        self.inbox = inbox
        self._symbols = tuple(symbols)
        self._interval_ns = bar_s * SECOND_NS
        self._calendar = XnysCalendar()
        pacer = Pacer(pacing_with(gateway))
        self._contracts = Contracts(connection, pacer)
        options = PipelineOptions(interval_ns=self._interval_ns)
        self.pipeline = Pipeline(inbox, self._calendar, options, lambda gap: self._feed.on_gap(gap))
        self._feed = IbFeed(
            connection, self._contracts, pacer, self.pipeline, self._calendar, FeedOptions(self._interval_ns)
        )
        self._ib_broker = IbBroker(connection, self._contracts, inbox, pacer, lambda: inbox.now)
        self.broker: Broker = self._ib_broker

    @property
    def practising(self) -> bool:
        """Whether the market is a practice gateway that we started."""
        return self._gateway.started

    async def ticks(self) -> dict[str, Decimal]:
        """Look up what is traded and what is held; return their price steps. What is held is always watched.

        Raises ConfigurationError for a symbol to trade that is not a US share.
        """
        records = [await self._contracts.qualify(symbol) for symbol in self._symbols]
        records += await self._held_besides()
        self._symbols = tuple(record.instrument.symbol for record in records)
        return {record.instrument.symbol: record.instrument.tick for record in records}

    async def _held_besides(self) -> list[ContractRecord]:
        """Return the shares the account holds that nobody asked to trade: without their prices equity is unknown."""
        records = []
        for symbol in self._ib_broker.held():
            if symbol not in self._symbols:
                try:
                    records.append(await self._contracts.qualify(symbol))
                    log.info("watching", what=symbol, why="held, not traded")
                except ConfigurationError as error:
                    log.warning(
                        "held_unpriced", what=symbol, why=f"{error}; no new exposure while it is held"
                    )
        return records

    async def history(self, database: Path, sessions: int = 0) -> dict[str, list[Bar]]:
        """Return each symbol's closed bars of the last sessions (0: enough to warm the features), from disk and TWS."""
        now = await self.connection.ask_time()
        per_session = SESSION_MINUTES * MINUTE_NS // self._interval_ns
        options = HistoryOptions(sessions or math.ceil(WARM_BARS / per_session) + 1, self._interval_ns)
        past = wanted(self._calendar, now, options)
        since = past[0].open if past else now  # a year of stored bars need not be read to warm the features
        at_a_time = asyncio.Semaphore(HISTORIES_AT_A_TIME)

        async def of(symbol: str) -> list[Bar]:
            async with at_a_time:
                stored = self._stored(database, symbol, since)
                return await warm(symbol, self._fetch, stored, self._calendar, now, options)

        bars = await asyncio.gather(*(of(symbol) for symbol in self._symbols))
        return dict(zip(self._symbols, bars, strict=True))

    async def _fetch(self, symbol: str, since_ns: int) -> list[Bar]:
        return await self._feed.history(symbol, since_ns)

    def _stored(self, database: Path, symbol: str, since: int) -> list[Bar]:
        with closing(queries.connect_readonly(database)) as connection:
            b = queries.bars(connection, symbol, self._interval_ns, since)
        columns = (column.tolist() for column in (b.ts, b.open, b.high, b.low, b.close, b.volume))
        return [
            Bar(symbol, ts, open_, high, low, close, volume, self._interval_ns)
            for ts, open_, high, low, close, volume in zip(*columns, strict=True)
        ]

    def account_name(self, dry_run: bool) -> str:
        """Return the account whose books are kept: TWS's own, or the simulated one of a dry run."""
        return f"SIM-{self.connection.account}" if dry_run else self.connection.account

    async def opening_account(self, dry_run: bool) -> AccountSnapshot:
        """Return the account to trade; in a dry run a simulated one of the same worth takes the broker's place."""
        snapshot = await self._ib_broker.snapshot()
        if not dry_run:
            return snapshot
        self._ib_broker.mute()
        account, cash = self.account_name(dry_run), snapshot.net_liquidation
        simulated = SimulatedBroker(self.inbox, Matching(), self._calendar, account, cash)
        self.inbox.tap = simulated.on_event
        self.broker = simulated
        return msgspec.structs.replace(await simulated.snapshot(), ts=snapshot.ts)

    async def compare(self) -> None:
        """Put the broker's account in the inbox, for the desk to compare with its books."""
        snapshot = await self.broker.snapshot()
        self.inbox.put(msgspec.structs.replace(snapshot, fills=()))

    def stop_listening(self) -> None:
        """Hear no more of the market, but still what becomes of our orders."""
        self.connection.market = None

    async def keep(self, live_orders: Callable[[], list[Order]]) -> None:
        """Stream until cancelled; when the session is lost, say so, get a new one, and catch up on what was missed."""
        while True:
            try:
                await self._feed.subscribe(self._symbols)
                self._say(Feed.LIVE, "streaming")
                reason = await self.connection.wait_lost()
            except ConnectionLost as error:
                reason = str(error)
            self._say(Feed.LOST, reason)
            await self._reconnect(live_orders)

    async def _reconnect(self, live_orders: Callable[[], list[Order]]) -> None:
        while True:
            await self.connection.close()
            try:
                await connect_patiently(self.connection, self._gateway, math.inf)
                await self._catch_up(live_orders)
            except ConnectionLost as error:
                log.warning("session_lost_again", reason=str(error))
                await asyncio.sleep(FIRST_PAUSE_S)
            else:
                log.info("session_restored")
                return

    async def _catch_up(self, live_orders: Callable[[], list[Order]]) -> None:
        """Tell the desk what happened to its orders meanwhile; telling it twice does no harm."""
        if self.broker is not self._ib_broker:
            return
        snapshot = await self._ib_broker.snapshot()
        given = [order.id for order in live_orders() if self._ib_broker.was_given(order.id)]
        outcomes = await self._ib_broker.resolve(given)
        # The desk believes two looks that differ from its books, lest a trade fell into one: it shall not wait for the
        # second while it trades on what it no longer holds.
        again = msgspec.structs.replace(await self._ib_broker.snapshot(), fills=())
        events: list[Event] = [*snapshot.fills, *outcomes, snapshot, again]
        for event in events:
            self.inbox.put(event)

    def _say(self, state: Feed, detail: str) -> None:
        now = max(self.inbox.now, self.connection.server_time)
        self.inbox.put(FeedStatus(now, "", state, detail))
