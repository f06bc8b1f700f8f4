"""One session with TWS: made fresh for every attempt, watched by a heartbeat, closed for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from ib_async import IB
from ib_async.client import Client
from ib_async.ib import StartupFetch
from ib_async.ticker import Ticker
from ib_async.wrapper import RequestError

from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, ConnectionLost
from robo_trader.core.events import SECOND_NS
from robo_trader.ibkr import refusals
from robo_trader.ibkr.clock import MarketClock
from robo_trader.ibkr.refusals import ClientIdInUse, RequestRefused, Unanswered
from robo_trader.ibkr.sockets import Sockets
from robo_trader.ibkr.tap import MarketListener, OrderListener, Tap, Unread

T = TypeVar("T")
log = structlog.get_logger()

CLIENT_ID_IN_USE = 326
# An order's own line tells of its end; a stream we end is gone already; data farms are well.
_ROUTINE = frozenset({202, 300, 2104, 2106, 2158})
LINK_CODES = frozenset({1100, 1101, 1102, 2104, 2110})
_NOTICES = frozenset({*range(2100, 2170), 10167})
_STARTUP = (
    StartupFetch.ORDERS_OPEN
    | StartupFetch.ORDERS_COMPLETE
    | StartupFetch.ACCOUNT_UPDATES
    | StartupFetch.EXECUTIONS
)


@dataclass(frozen=True)
class ConnectionOptions:
    """Where TWS is and how long we wait for it. `account` picks one where the login manages several."""

    host: str = "127.0.0.1"
    port: int = 7497
    client_id: int = 1
    account: str = ""
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 60.0
    heartbeat_s: float = 5.0
    heartbeat_timeout_s: float = 5.0


@dataclass(frozen=True)
class Account:
    """Whose account the session trades, and whether it is one of our practice market's."""

    id: str
    is_practice: bool
    server_version: int


async def _end(task: asyncio.Future[Any]) -> None:
    # Before Python 3.12 `wait_for` may swallow a cancel that arrives just as it gets its result.
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    await asyncio.gather(task, return_exceptions=True)


class Connection:
    """Our one session with TWS."""

    def __init__(self, options: ConnectionOptions = ConnectionOptions()) -> None:
        self.options = options
        self.server_time = 0  # UTC ns at TWS when it was last asked
        self.clock = MarketClock()
        self.logins = 0  # handshakes that TWS finished or refused: it allows few of them
        self.orders: OrderListener | None = None
        self.market: MarketListener | None = None
        self._ib: IB | None = None
        self._sockets = Sockets()
        self._account = ""
        self._lost = asyncio.Event()
        self._reason = ""
        self._failure: Exception | None = None
        self._refusal: asyncio.Future[None] | None = None
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def opened(self) -> int:
        """How many sockets were ever opened; those whose handshake failed count."""
        return self._sockets.opened

    @property
    def closed(self) -> int:
        """How many of them are closed."""
        return self._sockets.closed

    @property
    def is_open(self) -> bool:
        """Whether there is a session now."""
        # The library forgets the session a moment before it says so, and then answers with its own errors. Where code
        # of ours failed the session is as good as before: orders can be taken back over it.
        over = self._lost.is_set() and self._failure is None
        return self._ib is not None and not over and self._ib.client.isReady()

    @property
    def ib(self) -> IB:
        """The library's session. Raises ConnectionLost while there is none."""
        if self._ib is None or not self.is_open:
            raise ConnectionLost(self._reason or "there is no session with TWS")
        return self._ib

    @property
    def account(self) -> str:
        return self._account

    @property
    def is_practice(self) -> bool:
        """Whether the account is of our own practice market; real accounts never start so."""
        return self._account.startswith("DUP")

    async def connect(self) -> Account:
        """Open a session: accounts, orders, executions and positions are in when it returns.

        Raises NothingListening, ClientIdInUse or BrokerUnreachable, and ConfigurationError where `account` is
        not one of the login's.
        """
        await self.close()
        self._lost, self._reason, self._failure = asyncio.Event(), "", None
        if self.orders:
            self.orders.on_connecting()
        self._ib = ib = self._fresh()
        try:
            await self._handshake(ib)
            await self.ask_time()
        except BaseException:
            await self.close()
            raise
        self.spawn(self._beat())
        account = Account(self._account, self.is_practice, ib.client.serverVersion())
        log.info("connected", account=account.id, practice=account.is_practice, port=self.options.port)
        return account

    async def close(self) -> None:
        """End the session and its tasks; the socket is closed when this returns, unsent bytes or not."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        await asyncio.gather(*map(_end, tasks))
        ib, self._ib = self._ib, None
        if ib is None:
            return
        self._settle("closed by us")
        ib.disconnectedEvent.clear()
        await self._sockets.close(ib.client.conn)
        ib.client.disconnect()  # type: ignore[no-untyped-call]

    async def wait_lost(self) -> str:
        """Return why the session ended once it has. Raises what one of our own callbacks raised."""
        await self._lost.wait()
        if self._failure is not None:
            raise self._failure
        return self._reason

    async def ask(self, answer: Awaitable[T], what: str) -> T:
        """Wait for one answer. Raises RequestRefused where TWS says no, Unanswered where it says nothing."""
        try:
            async with asyncio.timeout(self.options.request_timeout_s):
                return await answer
        except RequestError as error:
            raise RequestRefused(error.code, error.message) from error
        except TimeoutError as error:
            limit = self.options.request_timeout_s
            raise Unanswered(f"TWS did not answer within {limit:g} s: {what}") from error
        except ConnectionError as error:
            raise ConnectionLost(f"the session ended while waiting for {what}") from error

    async def ask_in_turn(self, request: Callable[[IB], Awaitable[T]], what: str) -> T:
        """Ask for something that carries no request id: two at a time would take each other's answer."""
        async with self._turns.setdefault(what, asyncio.Lock()):
            try:
                return await self.ask(request(self.ib), what)
            except ConnectionError as error:
                raise ConnectionLost(f"the session ended before {what}") from error

    async def ask_time(self) -> int:
        """Ask TWS for its time, in UTC ns."""
        answer = await self.ask_in_turn(lambda ib: ib.reqCurrentTimeAsync(), "its time")
        self.server_time = int(answer.timestamp()) * SECOND_NS
        self.clock.tell(self.server_time)
        return self.server_time

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that belongs to this session and ends with it; what it raises is heard by `wait_lost`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def lose(self, reason: str) -> None:
        """Declare the session unusable; whoever waits for that is told, once."""
        if self._settle(reason):
            log.warning("connection_lost", reason=reason)
            self.tell_orders(lambda orders: orders.on_lost(reason))

    def fail(self, error: BaseException) -> None:
        """Let an exception of our own code climb out of the library, which would swallow it."""
        if isinstance(error, Exception) and self._failure is None:
            self._failure = error
            self._settle(f"{type(error).__name__}: {error}")

    def tell_orders(self, message: Callable[[OrderListener], None]) -> None:
        if self.orders is not None:
            self._tell(message, self.orders)

    def tell_market(self, message: Callable[[MarketListener], None]) -> None:
        if self.market is not None:
            self._tell(message, self.market)

    def on_accounts(self, accounts: list[str]) -> None:
        """Choose the account before anything is asked about it: TWS does not answer for one it does not manage."""
        if not accounts:  # nobody is logged in
            return
        self.logins += 1
        try:
            self._account = self._choose(accounts)
        except ConfigurationError as error:
            self._refuse(error)

    def on_error(self, request: int, code: int, text: str) -> None:
        """Pass an error of TWS on to whom it concerns."""
        tell = log.debug if code in _ROUTINE else log.info if code in _NOTICES else log.warning
        tell("tws_says", code=code, request=request, text=text)
        if code == CLIENT_ID_IN_USE and request == -1:
            self.logins += 1
            self._refuse(ClientIdInUse(refusals.in_use(self._where(), self.options.client_id)))
        elif code in LINK_CODES:
            self.tell_market(lambda market: market.on_link(code, text))
        elif request != -1:
            self.tell_orders(lambda orders: orders.on_order_error(request, code, text))
            if code not in _NOTICES:
                self.tell_market(lambda market: market.on_stream_error(request, code, text))

    def _tell(self, message: Callable[[Any], None], listener: object) -> None:
        try:
            message(listener)
        except Exception as error:
            self.fail(error)

    def _settle(self, reason: str) -> bool:
        if self._lost.is_set():
            return False
        self._reason = reason
        self._lost.set()
        return True

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, ConnectionLost):
                self.lose(str(error))
            else:
                self.fail(error)

    # ------------------------------------------------------------------------------------------ the handshake

    def _fresh(self) -> IB:
        ib = IB()
        ib.wrapper = Tap(ib, self)
        ib.client = client = Client(ib.wrapper)  # type: ignore[no-untyped-call]
        self._sockets.count(client.conn)
        client.MaxRequests = 0  # our pacer stands in front, and knows orders from look-ups
        client.decoder.logger = Unread(self)
        client.apiEnd += ib.disconnectedEvent
        ib.RaiseRequestErrors = True
        # With server versions we speak, a time without a zone name is UTC; the library would take it for local.
        ib.TimezoneTWS = "UTC"
        # Strong references: the library calls a method whose owner is gone, without its owner.
        ib.disconnectedEvent.connect(self._on_disconnected, keep_ref=True)
        client.apiError.connect(self._on_api_error, keep_ref=True)
        client.conn.disconnected.connect(self._on_hang_up, keep_ref=True)
        ib.pendingTickersEvent.connect(self._on_tickers, keep_ref=True)
        for event in (ib.disconnectedEvent, client.apiError, ib.pendingTickersEvent, client.conn.hasData):
            # Without a listener here, an exception in a callback is lost without a trace.
            event.error_event.connect(self._on_event_error, keep_ref=True)
        return ib

    async def _handshake(self, ib: IB) -> None:
        at = self.options
        self._refusal = refusal = asyncio.get_running_loop().create_future()
        attempt = asyncio.ensure_future(
            ib.connectAsync(
                at.host,
                at.port,
                at.client_id,
                at.connect_timeout_s,
                account=at.account,
                raiseSyncErrors=True,
                fetchFields=_STARTUP,
            )
        )
        try:
            await asyncio.wait({attempt, refusal}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                refusal.result()
            await attempt
        except TimeoutError as error:
            raise BrokerUnreachable(refusals.mute(self._where(), at.connect_timeout_s)) from error
        except OSError as error:
            raise refusals.unreachable(self._where(), error) from error
        finally:
            self._refusal = None
            refusal.cancel()
            await _end(attempt)
            await asyncio.gather(refusal, return_exceptions=True)

    def _refuse(self, error: Exception) -> None:
        if self._refusal is not None and not self._refusal.done():
            self._refusal.set_exception(error)

    def _choose(self, accounts: list[str]) -> str:
        wanted = self.options.account or self._account  # a session later is of the same account, or none
        if wanted in accounts:
            return wanted
        if not wanted and len(accounts) == 1:
            return accounts[0]
        have = ", ".join(accounts)
        wish = f"account {wanted} is not among them" if wanted else "none was chosen"
        raise ConfigurationError(f"this TWS login manages the accounts {have}, and {wish}")

    def _where(self) -> str:
        return f"{self.options.host}:{self.options.port}"

    # --------------------------------------------------------------------------------------------- callbacks

    def _on_disconnected(self) -> None:
        self.lose("TWS closed the connection")

    def _on_api_error(self, message: str) -> None:
        if not message.startswith("API connection failed"):  # which it says of what it raises, too
            self._on_hang_up(message)

    def _on_hang_up(self, message: str) -> None:
        # Before the session is ready the library would wait on, though the peer is gone.
        why = message or "it hung up during the handshake"
        self._refuse(BrokerUnreachable(f"no session with TWS at {self._where()}: {why}"))

    def _on_tickers(self, tickers: set[Ticker]) -> None:
        self.tell_market(lambda market: market.on_tickers(tickers))

    def _on_event_error(self, _event: object, error: Exception) -> None:
        self._refuse(BrokerUnreachable(f"TWS at {self._where()} sent what cannot be read: {error!r}"))
        self.fail(error)

    async def _beat(self) -> None:
        """Ask for the time again and again: a frozen TWS keeps its socket open and says nothing."""
        missed = 0
        while True:
            await asyncio.sleep(self.options.heartbeat_s)
            heard = self._messages_heard()
            try:
                async with asyncio.timeout(self.options.heartbeat_timeout_s):
                    await self.ask_time()
                missed = 0
            except TimeoutError:
                # Where we were the ones too busy to listen, the answer is read now.
                await asyncio.sleep(0.01)
                missed += 1
                if missed > 1 or self._messages_heard() == heard:
                    limit = self.options.heartbeat_timeout_s
                    raise ConnectionLost(f"TWS did not answer the heartbeat within {limit:g} s") from None

    def _messages_heard(self) -> int:
        heard: int = self.ib.client.connectionStats().numMsgRecv
        return heard
