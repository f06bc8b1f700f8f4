"""Everything between the desk and TWS: feed, history and broker over one connection, kept up by `Upkeep`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import structlog

from robo_trader.bootstrap.days import read_days
from robo_trader.bootstrap.link_state import LinkState
from robo_trader.bootstrap.past import History, HistoryReader, sessions_to_warm
from robo_trader.bootstrap.reach import Approach
from robo_trader.bootstrap.reopening import Reopening
from robo_trader.bootstrap.upkeep import Upkeep
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, ConnectionLost
from robo_trader.core.events import SECOND_NS, AccountSnapshot, Bar, Event, Fill
from robo_trader.core.inbox import Inbox
from robo_trader.core.orders import OrderBook
from robo_trader.core.protocols import Broker
from robo_trader.core.steps import SplitBooked, Step
from robo_trader.data.pipeline import Pipeline, PipelineOptions
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.broker import IbBroker
from robo_trader.ibkr.contracts import ContractRecord, Contracts
from robo_trader.ibkr.depth import DepthOptions
from robo_trader.ibkr.feed import FeedOptions, IbFeed
from robo_trader.ibkr.pacing import Pacer, PacingOptions
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.ibkr.restart_window import RestartWindow, parse_window
from robo_trader.processes import Child
from robo_trader.simulation.matching import Matching
from robo_trader.simulation.simulated_broker import SimulatedBroker
from robo_trader.storage.database import Database

log = structlog.get_logger()


def pacing_with(gateway: Child) -> PacingOptions:
    """Return TWS's limits; our own gateway has none on history, and with them many shares take half an hour to learn."""
    return PacingOptions(history_per_10_min=100_000) if gateway.started else PacingOptions()


@dataclass(frozen=True)
class LinkOptions:
    """When TWS is expected to restart, how long before that nothing new is opened, and when silence is a failure.

    The last two in seconds of the wall: a stream that is silent so long is stale, and one that is stale is asked for anew.
    """

    window: RestartWindow | None = None
    lead_s: float = 300.0
    stale_after_s: float = 20.0
    resubscribe_after_s: float = 60.0
    beside: tuple[str, ...] = ()  # watched to compare shares with, and never traded
    depth: tuple[str, ...] = ()  # whose order book is watched


def link_options(settings: Settings, traded: Collection[str]) -> LinkOptions:
    """Say when TWS restarts, and what is watched beside the shares that are traded: the market and their sectors."""
    sectors = (sector for share, sector in settings.sectors().items() if share in traded)
    beside = dict.fromkeys((settings.features_market, *sectors))
    return LinkOptions(
        parse_window(settings.ibkr_restart_window),
        settings.ibkr_restart_lead_s,
        beside=tuple(symbol for symbol in beside if symbol),
        depth=settings.depth(),
    )


class Link:
    """The desk's link to its market, over the session that `approach` gets and gets again."""

    def __init__(
        self,
        approach: Approach,
        inbox: Inbox,
        symbols: Sequence[str],
        bar_s: int,
        options: LinkOptions = LinkOptions(),
    ) -> None:
        self.connection = connection = approach.connection
        self.state: LinkState = approach.state
        self.inbox = inbox
        self._gateway = approach.gateway
        self._symbols = tuple(symbols)
        self._depth = options.depth
        self._interval_ns = bar_s * SECOND_NS
        self._calendar = XnysCalendar()
        pacer = Pacer(pacing_with(self._gateway))
        self._contracts = Contracts(connection, pacer)
        pipeline_options = PipelineOptions(interval_ns=self._interval_ns)
        self.pipeline = Pipeline(inbox, self._calendar, pipeline_options, lambda gap: self._feed.on_gap(gap))
        self._feed = IbFeed(
            connection,
            self._contracts,
            pacer,
            self.pipeline,
            self._calendar,
            FeedOptions(
                self._interval_ns,
                stale_after_s=options.stale_after_s,
                resubscribe_after_s=options.resubscribe_after_s,
                depth=DepthOptions(options.depth, silent_again_after_s=options.resubscribe_after_s),
            ),
            on_stream=self._on_stream,
        )
        # By the desk's own time a word would overtake what still waits of the market, and old prices be news to it.
        self._ib_broker = IbBroker(
            connection, self._contracts, inbox, pacer, lambda: max(inbox.latest, self._feed.told_time)
        )
        self.broker: Broker = self._ib_broker
        self._reader = HistoryReader(self._feed, self._calendar, self._interval_ns)
        self.beside = frozenset(options.beside) - {*symbols}  # watched to compare with, not traded
        self._upkeep = Upkeep(
            approach,
            self._feed,
            self.pipeline,
            self._ib_broker,
            inbox,
            self._calendar,
            Reopening(options.window, options.lead_s),
            traded=self._symbols,
        )

    @property
    def practising(self) -> bool:
        """Whether the market is a practice gateway that we started."""
        return self._gateway.started

    async def ticks(self) -> dict[str, Decimal]:
        """Look up what is traded, held and compared with; return their price steps. What is held is always watched.

        Raises ConfigurationError for a symbol to trade that is not a US share.
        """
        records = [await self._contracts.qualify(symbol) for symbol in self._symbols]
        records += await self._held_besides()
        self.beside -= {record.instrument.symbol for record in records}
        records += await self._compared_with()
        self._symbols = tuple(record.instrument.symbol for record in records)
        self._upkeep.watched = list(self._symbols)
        for symbol in self._depth:
            if symbol not in self._symbols:
                log.warning("no_depth", what=symbol, why="MARKET_DATA_DEPTH names it, but it is not watched")
        return {record.instrument.symbol: record.instrument.tick for record in records}

    async def _held_besides(self) -> list[ContractRecord]:
        """Return the shares the account holds that nobody asked to trade: without their prices equity is unknown."""
        records = []
        for symbol in sorted(self._ib_broker.positions()):
            if symbol not in self._symbols:
                try:
                    records.append(await self._contracts.qualify(symbol))
                    log.info("watching", what=symbol, why="held, not traded")
                except ConfigurationError as error:
                    log.warning(
                        "held_unpriced", what=symbol, why=f"{error}; no new exposure while it is held"
                    )
        return records

    async def _compared_with(self) -> list[ContractRecord]:
        """Return what shares are compared with; without one of them those features are empty, and no more."""
        records = []
        for symbol in sorted(self.beside):
            try:
                records.append(await self._contracts.qualify(symbol))
                log.info("watching", what=symbol, why="to compare shares with, not traded")
            except (ConfigurationError, RequestRefused) as error:
                log.warning("not_compared", what=symbol, why=f"{error}; the features that need it stay empty")
        return records

    async def history(self, database: Database, sessions: int = 0) -> History:
        """Return each symbol's closed bars of the last sessions (0: what features need) and of today, disk and TWS."""
        now = await self.connection.ask_time()
        wanted = sessions_to_warm(self._interval_ns, sessions)
        return await self._reader.read(database, self._symbols, now, wanted, self.beside)

    async def days(self) -> dict[str, list[Bar]]:
        """Return each symbol's past sessions as bars of a day, as far as TWS tells them."""
        return await read_days(self._feed, self._symbols)

    def account_name(self, dry_run: bool) -> str:
        """Return the account whose books are kept: TWS's own, or the simulated one of a dry run."""
        return f"SIM-{self.connection.account}" if dry_run else self.connection.account

    async def opening_account(self, dry_run: bool) -> AccountSnapshot:
        """Return the account to trade; in a dry run a simulated one of the same worth takes the broker's place."""
        snapshot = await self._ib_broker.snapshot()
        if not dry_run:
            return snapshot
        self._ib_broker.mute()
        self._upkeep.simulated = True
        account, cash = self.account_name(dry_run), snapshot.net_liquidation
        simulated = SimulatedBroker(self.inbox, Matching(), self._calendar, account, cash)
        self.inbox.tap = simulated.on_event
        self.broker = simulated
        return msgspec.structs.replace(await simulated.snapshot(), ts=snapshot.ts)

    def _on_stream(self, symbol: str, trouble: str) -> None:
        if symbol in self.beside:
            if trouble:
                log.warning("not_compared", what=symbol, why=f"{trouble}; the features that need it wait")
            return
        self.state.stream(symbol, trouble)
        self._upkeep.look()

    def positions(self) -> dict[str, int]:
        """Return the account's positions as TWS tells them in passing. Raises ConnectionLost without a session."""
        return self._ib_broker.positions()

    @property
    def lost(self) -> str:
        """Why there is no session whose account the desk has heard, empty where there is one."""
        return self._upkeep.lost

    async def compare(self) -> None:
        """Put the broker's account in the inbox, for the desk to compare with its books.

        Nothing is compared between two sessions: the next one begins with two looks of its own. Raises ConnectionLost
        then, and where TWS does not answer, RequestRefused where it says no.
        """
        if self.lost:
            raise ConnectionLost(self.lost)
        snapshot = await self.broker.snapshot()
        self.inbox.put(msgspec.structs.replace(snapshot, fills=()))
        for holding in snapshot.holdings:
            await self.watch(holding.symbol)

    async def resolve_doubts(self, orders: OrderBook) -> None:
        """Ask TWS again about orders it has been silent about for some seconds; costs nothing where there are none."""
        await self._upkeep.resolve_doubts(orders)

    async def watch(self, symbol: str) -> None:
        """Watch a share that turned up in the account, so that its worth is known; one watched already is no news."""
        self.beside -= {symbol}  # what is held matters to more than a few features
        await self._upkeep.watch(symbol)

    async def record(self, event: Event, step: Step) -> None:
        """Watch what was traded by somebody else, and expect prices in new shares: a listener of the desk."""
        if isinstance(event, Fill):
            self._upkeep.meet((event.symbol,))
        for fact in step.facts:
            if isinstance(fact, SplitBooked):
                self.pipeline.split(fact.symbol, fact.new / fact.old, fact.since)

    def market_now(self) -> int:
        """Return the market's time, UTC ns: the wall's, for a practice market the last it told of its own."""
        return self._feed.market_now()

    def stop_listening(self) -> None:
        """Hear no more of the market, but still what becomes of our orders."""
        self.connection.market = None
        self.pipeline.settle()

    async def keep(self, orders: OrderBook) -> None:
        """Stream until cancelled; a session that is lost is replaced, and what was missed is caught up with."""
        await self._upkeep.keep(orders)
