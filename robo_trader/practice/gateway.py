"""The practice gateway: a TWS of our own, with a market, an account and a clock that may run fast."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import structlog

from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.account_answers import ACCOUNT_NS, AccountAnswers
from robo_trader.practice.answers import Answers
from robo_trader.practice.books import Books
from robo_trader.practice.clients import Client
from robo_trader.practice.contracts import Directory
from robo_trader.practice.exchange import Exchange
from robo_trader.practice.history_answers import HistoryAnswers
from robo_trader.practice.market_answers import MarketAnswers
from robo_trader.practice.messages import stamp
from robo_trader.practice.order_answers import OrderAnswers
from robo_trader.practice.orders import OrderBook, Told
from robo_trader.practice.reference_answers import ReferenceAnswers
from robo_trader.practice.state import State
from robo_trader.practice.wire import Cursor, frame
from robo_trader.simulation.matching import Matching, MatchingOptions
from robo_trader.simulation.tape import SLICE_NS, MinuteSource

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FALLEN_BEHIND = 1.0  # seconds of wall time after which the clock stops trying to catch up
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
    participation: float = 0.1  # share of a 5-second slice's volume that orders may take
    start: str | None = None  # first live session, YYYY-MM-DD
    symbols: tuple[str, ...] | None = None  # None: whatever the market has
    state: Path | None = None  # directory that survives a restart, None keeps all in memory

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK:
            raise ConfigurationError(f"the practice gateway listens on this machine only, not on {self.host}")
        if not 0 <= self.speed <= 100_000 or not (math.isfinite(self.cash) and self.cash > 0):
            raise ConfigurationError(f"speed {self.speed} or cash {self.cash} makes no sense")


def account_of(source: MinuteSource) -> str:
    """Return the account of a market: DUP and six digits, the same for the same bars at any speed."""
    digest = hashlib.sha256(source.identity.encode()).digest()
    return f"DUP{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


class PracticeGateway:
    """Serves a market over the TWS protocol on a loopback socket.

    The clock stands before the open of the first session until a client asks for live data.
    """

    def __init__(self, options: PracticeOptions, source: MinuteSource) -> None:
        """Set up market and account, from saved state where there is some. Raises Configuration- and DataError."""
        self.account = account_of(source)
        self._options = options
        matching = Matching(MatchingOptions(options.participation))
        self._exchange = Exchange(source, XnysCalendar(), options.start, matching.available)
        self._state = State(options.state, self.account) if options.state is not None else None
        saved = self._state.load() if self._state is not None else None
        books = saved.books if saved is not None else Books(options.cash)
        # Never the same ids twice: a client that remembers an earlier run must not take our trades for those.
        first_perm_id = saved.next_perm_id if saved is not None else int(time.time() * 20) & 0x3FFFFFFF
        directory = Directory(lambda s: source.knows(s) and (options.symbols is None or s in options.symbols))
        self._orders = OrderBook(
            self.account, self._exchange, directory, books, matching, self._state, first_perm_id
        )
        if saved is not None:
            self._exchange.seek(saved.clock)
            self._orders.restore(saved.tickets, saved.executions)
        self._orders.commit()
        self._accounts = AccountAnswers(self.account, self._exchange, books)
        self._market_data = MarketAnswers(self._exchange, directory, self._begin)
        self._history = HistoryAnswers(self._exchange, directory, self._begin)
        order_answers = OrderAnswers(self._orders, self.now, self._deliver)
        reference = ReferenceAnswers(self._exchange, directory)
        self._answers = Answers(
            self.now, (order_answers, self._accounts, self._market_data, self._history, reference)
        )
        self._clients: dict[int, Client] = {}
        self._sockets: set[Client] = set()
        self._server: asyncio.Server | None = None
        self._pacing: asyncio.Task[None] | None = None
        self._stepped = 0.0  # loop time of the last step
        self._broken = asyncio.Event()
        self._why: DataError | None = None

    # -------------------------------------------------------------------------------------------- running it

    async def start(self) -> int:
        """Listen, and return the port. Raises ConfigurationError where the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, self._options.host, self._options.port)
        except OSError as error:
            raise ConfigurationError(
                f"port {self._options.port} cannot be had ({error.strerror}); choose another one with --port"
            ) from error
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def failed(self) -> None:
        """Wait until the state can no longer be saved, if ever, and raise that DataError."""
        await self._broken.wait()
        if self._why is not None:
            raise self._why

    async def stop(self) -> None:
        """Hang up on everybody and save."""
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.gather(self._pacing, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for client in list(self._sockets):
            client.abort()
        if self._state is not None:
            self._state.close()

    def now(self) -> int:
        """Return the market's time, UTC ns; between two slices it moves with the wall."""
        if self._pacing is None or self._pacing.done():
            return self._exchange.now
        since = (asyncio.get_running_loop().time() - self._stepped) * self._options.speed
        return self._exchange.now + min(max(0, int(since * SECOND_NS)), SLICE_NS - 1)

    async def advance(self, seconds: float) -> int:
        """Move a clock of speed 0 by that much market time, nights not counted. Return the new time, UTC ns."""
        for _ in range(round(seconds * SECOND_NS) // SLICE_NS):
            self._step()
            await asyncio.sleep(0)
        return self._exchange.now

    async def advance_to(self, ts: int) -> int:
        """Move a clock of speed 0 to the first border between slices at or after `ts`. Return the new time."""
        while self._exchange.now < ts:
            if not self._step():
                break
            await asyncio.sleep(0)
        return self._exchange.now

    # ----------------------------------------------------------------------------------------------- its clock

    def _begin(self) -> None:
        if self._pacing is None and self._options.speed > 0:
            loop = asyncio.get_running_loop()
            self._stepped = loop.time()
            self._pacing = loop.create_task(self._pace())

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        interval = SLICE_NS / SECOND_NS / self._options.speed
        due = loop.time() + interval
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._stepped = loop.time()
            try:
                moved = self._step()
            except DataError as error:
                return self._break(error)
            if not moved:
                _log.info("the practice market has come to its end", clock=stamp(178, self._exchange.now))
                return None
            due = max(due + interval, loop.time() - _FALLEN_BEHIND)

    def _step(self) -> bool:
        """Move on by one slice: first what has ended is told, then what stands now, then orders are worked."""
        exchange = self._exchange
        if not exchange.step():
            return False
        if self._state is not None:
            self._state.save_clock(exchange.now)
        if exchange.now < exchange.session.open:
            self._orders.forget_past()
        else:
            self._market_data.closed_slice()
            self._history.closed_slice()
            self._market_data.standing_quotes()
        self._deliver(self._orders.on_quotes(exchange.now))
        if exchange.now % ACCOUNT_NS == 0:
            self._accounts.tell_values()
        return True

    # ------------------------------------------------------------------------------------------------- clients

    def _connect(self) -> Client:
        client = Client(self)
        self._sockets.add(client)
        return client

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
            self._answers(client, kind, cursor)
        except DataError as error:
            self._break(error)

    def _break(self, error: DataError) -> None:
        """Hang up on everybody: what cannot be saved must not be told."""
        self._why = error
        self._broken.set()
        for client in list(self._sockets):
            client.abort()

    def on_gone(self, client: Client) -> None:
        self._sockets.discard(client)
        self._answers.drop(client)
        if client.id is not None:
            self._clients.pop(client.id, None)

    def _deliver(self, told: list[Told]) -> None:
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
