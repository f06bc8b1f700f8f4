"""The practice gateway: a TWS of our own, with a market, an account and a clock that may run fast."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import structlog

from robo_trader.core.errors import ConfigurationError, DataError, RoboTraderError
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.account.answers import AccountAnswers
from robo_trader.practice.account.books import Books
from robo_trader.practice.account.shorts import Borrow
from robo_trader.practice.account.state import Market, Saved, State
from robo_trader.practice.answers import Answers
from robo_trader.practice.commands import obey
from robo_trader.practice.control import ControlSocket
from robo_trader.practice.data.history_answers import HistoryAnswers
from robo_trader.practice.data.lines import DataOptions, Supply
from robo_trader.practice.data.live_data import LiveData
from robo_trader.practice.data.reference_answers import ReferenceAnswers
from robo_trader.practice.data.tick_history_answers import TickHistoryAnswers
from robo_trader.practice.faults.catalogue import make
from robo_trader.practice.faults.engine import Faults
from robo_trader.practice.market.clock import MarketClock
from robo_trader.practice.market.contracts import Directory
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.listings import WELL_KNOWN
from robo_trader.practice.market.stamps import stamp
from robo_trader.practice.orders.answers import OrderAnswers
from robo_trader.practice.orders.order_book import OrderBook
from robo_trader.practice.orders.order_file import Told
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.door import Door
from robo_trader.practice.protocol.pacing import Pacing
from robo_trader.practice.protocol.wire import Cursor, frame
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.tape import SLICE_NS, MinuteSource

MAX_SOCKETS = 64  # TWS itself lets 32 clients in
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)
_log = structlog.get_logger()


@dataclass(frozen=True)
class PracticeOptions:
    """How the gateway is run. `speed` is market seconds in a wall second, 0 for a clock moved by `advance` alone."""

    host: str = "127.0.0.1"
    port: int = 0  # 0 picks a free one
    speed: float = 60.0
    cash: Decimal = Decimal(100_000)  # USD
    beats: int = 5  # to each 5 market seconds
    start: str | None = None  # first live session, YYYY-MM-DD
    symbols: tuple[str, ...] | None = None  # None: whatever the market has
    state: Path | None = None  # directory that survives a restart, None keeps all in memory
    flow: FlowOptions = field(default_factory=FlowOptions)  # how busy a drawn market is
    master_client: int | None = None  # the client id that hears of the orders of all
    orders_a_side: int = 15  # that may work in one share at once, as at IBKR
    allow_remote: bool = False  # listen where other machines can reach it
    data: DataOptions = field(default_factory=DataOptions)
    pacing: str = "off"  # "strict" enforces the limits TWS has on requests
    faults: Sequence[tuple[str, Mapping[str, object]]] = ()  # planted at the start: names and parameters
    control: Path | None = None  # directory of the control socket, None for none

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.allow_remote:
            raise ConfigurationError(
                f"the practice gateway listens on this machine only, not on {self.host}, unless --allow-remote is given"
            )
        if self.pacing not in ("off", "strict"):
            raise ConfigurationError(f"pacing is off or strict, not {self.pacing!r}")
        if not 0 <= self.speed <= 100_000 or not (math.isfinite(self.cash) and 0 < self.cash <= 10**12):
            raise ConfigurationError(f"speed {self.speed} or cash {self.cash} makes no sense")
        if self.orders_a_side < 1:
            raise ConfigurationError(f"orders_a_side must be 1 or more, not {self.orders_a_side}")


def account_of(source: MinuteSource) -> str:
    """Return the account of a market: DUP and six digits, the same for the same bars at any speed."""
    digest = hashlib.sha256(source.identity.encode()).digest()
    return f"DUP{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


class PracticeGateway:
    """Serves a market over the TWS protocol on a loopback socket.

    The clock stands before the open of the first session until a client asks for live data.
    """

    def __init__(
        self, options: PracticeOptions, source: MinuteSource, wall: Callable[[], float] = time.monotonic
    ) -> None:
        """Set up market and account, from saved state where there is some; `wall` is the clock requests are paced by.

        Raises ConfigurationError and DataError.
        """
        self.account = account_of(source)
        self._options = options
        self._exchange = Exchange(source, XnysCalendar(), options.start, options.beats, options.flow)
        beat_ns = SLICE_NS // options.beats
        self._clock = MarketClock(self._exchange, beat_ns, options.speed, self._step, self._break)
        self._state = State(options.state, self.account) if options.state is not None else None
        saved = self._state.load() if self._state is not None else None
        self._directory = Directory(
            lambda s: source.knows(s) and (options.symbols is None or s in options.symbols),
            options.symbols or source.symbols or WELL_KNOWN,
        )
        if saved is not None:
            self._exchange.seek(saved.clock)
            self._exchange.restore_overlays(saved.market.overlays)
        self._borrow = Borrow(saved.market.borrow if saved is not None else None)
        if self._state is not None:
            self._state.watch(lambda: Market(self._exchange.overlays(), dict(self._borrow.shares)))
        self._clients: dict[int, Client] = {}
        self._sockets: set[Client] = set()
        self._full = False  # whether sockets are being turned away
        self._lost = 0  # accounts that were forgotten
        self._set_up(saved)
        self._door = Door(options.host, options.port, self._connect)
        self._faults = Faults(self, self._stand_between)
        self.pacing = Pacing(wall) if options.pacing == "strict" else None
        self._control: ControlSocket | None = None
        self._broken = asyncio.Event()
        self._why: BaseException | None = None

    def _set_up(self, saved: Saved | None) -> None:
        """Open the account, as it was saved or a new one, and a room for each subject."""
        books = self.books = saved.books if saved is not None else Books(self._options.cash)
        # Never the same ids twice: a client that remembers an earlier run must not take our trades for those.
        fresh = int(time.time() * 20) + 10_000 * self._lost & 0x3FFFFFFF
        first_perm_id = saved.next_perm_id if saved is not None else fresh
        directory = self._directory
        self._orders = OrderBook(
            self.account, self._exchange, directory, books, self._state, first_perm_id,
            master=self._options.master_client, borrow=self._borrow, orders_a_side=self._options.orders_a_side,
        )  # fmt: skip
        if saved is not None:
            self._orders.restore(saved.tickets, saved.executions)
        self._accounts = AccountAnswers(self.account, self._exchange, books)
        supply = Supply(self._exchange, directory, self._clock.begin, self._options.data)
        self._market_data = LiveData(supply, lambda symbol: self._borrow.available(symbol, books))
        self._history = HistoryAnswers(supply)
        order_answers = OrderAnswers(self._orders, self.now, self.deliver)
        reference = ReferenceAnswers(self._exchange, directory)
        past_ticks = TickHistoryAnswers(supply)
        self._answers = Answers(
            self.now, (order_answers, self._accounts, self._market_data, self._history, reference, past_ticks)
        )
        self._turn_day()

    # -------------------------------------------------------------------------------------------- running it

    async def start(self) -> int:
        """Listen, and return the port. Raises ConfigurationError where the port is taken or a fault is no fault."""
        for name, parameters in self._options.faults:
            make(name, parameters)  # refused, if at all, before anybody can connect
        try:
            return await self._open()
        except RoboTraderError:
            await self.stop()
            raise

    async def _open(self) -> int:
        if self.pacing is not None:
            self.pacing.arrivals.begin()
        port = await self._door.open()
        for name, parameters in self._options.faults:
            self._faults.plant(name, parameters)
        if self._options.control is not None:
            self._control = ControlSocket(self._options.control, port, partial(obey, self))
            await self._control.open()
        return port

    async def failed(self) -> None:
        """Wait until the gateway can go on no longer, if ever, and raise why: DataError where it cannot save."""
        await self._broken.wait()
        if self._why is not None:
            raise self._why

    async def stop(self) -> None:
        """Hang up on everybody and save."""
        if self.pacing is not None:
            self.pacing.arrivals.end()
        await self._clock.stop()
        if self._control is not None:
            await self._control.close()
        await self._door.close()
        for client in list(self._sockets):
            client.abort()
        if self._state is not None:
            self._state.close()

    def now(self) -> int:
        """Return the market's time, UTC ns; between two beats it moves with the wall."""
        return self._clock.now()

    async def advance(self, seconds: float) -> int:
        """Move a clock of speed 0 by that much market time, a night counted as five seconds. Return the new time."""
        return await self._clock.advance(seconds)

    async def advance_to(self, ts: int) -> int:
        """Move a clock of speed 0 to the first beat at or after `ts`. Return the new time."""
        return await self._clock.advance_to(ts)

    # ----------------------------------------------------------------------------------------------- its clock

    def _step(self) -> bool:
        """Move on by one beat: first what has ended is told, then what stands now, then orders are worked."""
        exchange = self._exchange
        if not exchange.step():
            return False
        if self._faults.middle is not None:
            self._faults.on_beat(exchange.now)
        if self._state is not None:
            self._state.save_clock(exchange.now)
        self._market_data.beat()
        if exchange.now < exchange.session.open:
            self._turn_day()
        elif exchange.slice_ended:
            self._history.closed_slice()
        self.deliver(self._orders.on_beat(exchange.now))
        self._accounts.on_beat()
        return True

    def _turn_day(self) -> None:
        """Book what the night brought; orders for a share that was split end with it."""
        self._orders.forget_past()
        split = self._accounts.new_day()
        self.deliver(self._orders.end_of(split, "Corporate action", self._exchange.now))

    # ------------------------------------------------------------------------------------------------- clients

    def _connect(self) -> Client:
        return Client(self)

    def on_connect(self, client: Client) -> bool:
        """Take a new socket; False where there are too many."""
        if len(self._sockets) >= MAX_SOCKETS:
            if not self._full:
                _log.warning("practice gateway turns sockets away", open=len(self._sockets))
            self._full = True
            return False
        self._full = False
        client.middle = self._faults.middle
        self._sockets.add(client)
        return True

    def greeting_time(self) -> str:
        """Return the time of the server's hello."""
        return stamp(178, self.now())

    def on_start(self, client: Client) -> bool:
        """Let a client in under its id; False where that id is taken."""
        assert client.id is not None
        if client.id in self._clients:
            return False
        self._clients[client.id] = client
        self._welcome(client)
        return True

    def _welcome(self, client: Client) -> None:
        """Send what TWS sends unasked to a new client."""
        client.send(frame(15, 1, self.account))
        client.send(frame(9, 1, self._orders.next_id(client.key)))
        for code, text in _FARMS:
            client.error(-1, code, text)

    def on_message(self, client: Client, kind: int, cursor: Cursor) -> None:
        try:
            if self._faults.heard(client, kind, cursor.fields):
                return
            if self.pacing is None or self.pacing.allows(client, kind, cursor.fields):
                self._answers(client, kind, cursor)
        except DataError as error:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        """Hang up on everybody: what cannot be saved must not be told, and a market without a clock stands still."""
        self._why = error
        self._broken.set()
        for client in list(self._sockets):
            client.abort()

    def on_gone(self, client: Client) -> None:
        self._sockets.discard(client)
        self._answers.drop(client)
        self._faults.drop(client)
        if self.pacing is not None:
            self.pacing.drop(client)
        if client.id is not None:
            self._clients.pop(client.id, None)

    def deliver(self, told: list[Told]) -> None:
        """Send what orders made to be told to the clients that own them, then what it did to the account."""
        frames: dict[int, list[bytes]] = {}
        for client_id, message in told:
            client = self._clients.get(client_id)
            if client is not None:
                frames.setdefault(client_id, []).append(message(client.version))
        for client_id, parts in frames.items():
            self._clients[client_id].send(b"".join(parts))
        traded = self._orders.take_traded()
        if traded:
            self._accounts.changed(traded)

    # ------------------------------------------------------------------------------------- faults and commands

    def plant(self, name: str, /, **parameters: object) -> int:
        """Plant a fault, in the words of the catalogue, and return its number. Raises ConfigurationError."""
        return self._faults.plant(name, parameters)

    def lift(self, name: str = "all") -> int:
        """Lift the faults of that name or number, or all; return how many there were. Raises ConfigurationError."""
        return self._faults.lift(name)

    def planted(self) -> list[dict[str, object]]:
        """Return the faults in place, in order of planting."""
        return self._faults.planted()

    @property
    def exchange(self) -> Exchange:
        return self._exchange

    @property
    def orders(self) -> OrderBook:
        return self._orders

    def trades(self, symbol: str) -> bool:
        """Say whether there is such a share here."""
        return bool(self._directory.listings(symbol))

    def clients(self) -> list[Client]:
        """Return the clients that were let in."""
        return list(self._clients.values())

    def refuse(self) -> None:
        """Close the port: who connects is refused."""
        self._door.refuse()

    def listen_again(self) -> None:
        """Open the port again after `refuse`."""
        self._door.listen_again()

    def lose_lines(self, client: Client) -> None:
        """Forget what a client subscribed to of the market."""
        self._market_data.drop(client)
        self._history.drop(client)

    def lose_everything(self) -> None:
        """Begin a new account: no orders, no executions, no positions, ids from 1."""
        self._orders.cancel_all(self.now())  # they must not go on resting in the books
        if self._state is not None:
            self._state.forget()
        self._lost += 1
        self._set_up(None)

    def halt(self, symbol: str, reason: str) -> None:
        """Halt a share, all of them where the symbol is empty."""
        self._exchange.begin_halt(symbol, reason)
        self.deliver(self._orders.commit())

    def resume(self, symbol: str) -> bool:
        """End such a halt. Return False where there was none."""
        ended = self._exchange.end_halt(symbol)
        self.deliver(self._orders.commit())
        return ended

    def changed(self, symbols: set[str]) -> None:
        """Tell who listens that positions changed."""
        self._accounts.changed(symbols)

    def pour(self, client: Client, data: bytes) -> None:
        """Send what a fault held back."""
        self._faults.pour(client, data)

    def run_clock(self) -> None:
        """Let the clock run, if it is one that runs."""
        self._clock.begin()

    def _stand_between(self, middle: Callable[[Client, bytes], bytes] | None) -> None:
        for client in self._sockets:
            client.middle = middle
