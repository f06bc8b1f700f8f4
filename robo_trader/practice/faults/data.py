"""Faults of live market data: prices, streams, permissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from robo_trader.practice.faults.kinds import STREAMS, Act, Fault, Message, option
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.ticks import DELAYED, LIVE
from robo_trader.practice.protocol.wire import UNSET_DOUBLE

_PRICE, _SIZE, _TEXT, _BAR, _TYPE, _TICK = 1, 2, 46, 50, 58, 99
_BID, _ASK = "1", "2"
_REQUESTS = frozenset({1, 10, 20, 50, 97})
_DELAYED = {str(live): delayed for live, delayed in zip(LIVE, DELAYED, strict=True)}
_LAST_TIMES = ("45", "88")


@dataclass(eq=False)
class Spike(Fault):
    """Multiply the price of a tick, a real-time bar or a tick-by-tick trade.

    A stop or a filter that trusts one print acts on a price at which nothing traded.
    """

    factor: float = option(1.1, "the price is multiplied by this")
    tells = frozenset({_PRICE, _BAR, _TICK})
    times = 1

    def sees(self, message: Message) -> bool:
        kind, fields = message.kind, message.fields
        return kind == _BAR or (kind == _PRICE and fields[3] == "4") or (kind == _TICK and fields[2] in "12")

    def told(self, client: Client, message: Message) -> list[Message]:
        places = (4, 5, 6, 7, 9) if message.kind == _BAR else (4,)
        return [message.but({p: round(float(message.fields[p]) * self.factor, 2) for p in places})]


@dataclass(eq=False)
class Stale(Fault):
    """Stop a stream without a word.

    The ticker keeps its last values: only their age shows that nothing comes any more.
    """

    tells = STREAMS

    def told(self, client: Client, message: Message) -> list[Message]:
        return []


@dataclass(eq=False)
class StaleStamps(Fault):
    """Date the last trade back.

    Prices flow and look alive while they are old.
    """

    seconds: int = option(1800, "too early")
    tells = frozenset({_TEXT})

    def sees(self, message: Message) -> bool:
        return message.fields[3] in _LAST_TIMES

    def told(self, client: Client, message: Message) -> list[Message]:
        return [message.but({4: str(int(message.fields[4]) - self.seconds)})]


@dataclass(eq=False)
class Crossed(Fault):
    """Show a bid above the ask, or equal to it.

    A spread of nothing or less: midpoints, costs and marketable prices made of it are wrong.
    """

    by: float = option(0.05, "USD the bid stands above the ask, 0 for a locked quote")
    asks: dict[tuple[Client, str], float] = field(default_factory=dict, init=False, repr=False)
    tells = frozenset({_PRICE})

    def sees(self, message: Message) -> bool:
        return message.fields[3] in (_BID, _ASK) and float(message.fields[4]) > 0

    def told(self, client: Client, told: Message) -> list[Message]:
        """Hold the bid against the ask: told again after each ask, whichever of the two moved."""
        line, price = (client, told.fields[2]), float(told.fields[4])
        if told.fields[3] == _BID:
            ask = self.asks.get(line, price)
            return [told.but({4: round(ask + self.by, 2)})]
        if len(self.asks) < 10_000:
            self.asks[line] = price
        return [told, told.but({3: _BID, 4: round(price + self.by, 2)})]

    def drop(self, client: Client) -> None:
        self.asks = {line: ask for line, ask in self.asks.items() if line[0] is not client}


@dataclass(eq=False)
class NoQuote(Fault):
    """Show no bid and no ask: a price of -1 with a size of 0.

    -1 taken for a price buys at any and values a holding at less than nothing.
    """

    tells = frozenset({_PRICE, _SIZE})

    def sees(self, message: Message) -> bool:
        return message.fields[3] in ((_BID, _ASK) if message.kind == _PRICE else ("0", "3"))

    def told(self, client: Client, message: Message) -> list[Message]:
        return [message.but({4: -1.0, 5: 0} if message.kind == _PRICE else {4: 0})]


@dataclass(eq=False)
class DelayedType(Fault):
    """Grant delayed data (type 3) where live data was asked for.

    10167 is only a warning: prices arrive as other ticks, fifteen minutes old, and look like any others.
    """

    tells = frozenset({_PRICE, _SIZE, _TEXT, _TYPE})

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind == _TYPE:
            text = "Requested market data is not subscribed. Displaying delayed market data."
            client.error(int(told.fields[2]), 10167, text)
            return [told.but({3: 3})]
        return [told.but({3: _DELAYED.get(told.fields[3], told.fields[3])})]


@dataclass(eq=False)
class CompetingSession(Fault):
    """Say that another session uses the live data (10197) and send none.

    An error of the request: nothing more comes, and no other sign of it.
    """

    lines: set[tuple[Client, str]] = field(default_factory=set, init=False, repr=False)
    tells = STREAMS

    def told(self, client: Client, message: Message) -> list[Message]:
        request = message.fields[1 if message.kind in (90, 99) else 2]
        if (client, request) not in self.lines and len(self.lines) < 10_000:
            self.lines.add((client, request))
            client.error(int(request), 10197, "No market data during competing live session")
        return []

    def drop(self, client: Client) -> None:
        self.lines = {line for line in self.lines if line[0] is not client}


@dataclass(eq=False)
class DataRefused(Fault):
    """Refuse requests for data with an error of choice: pacing, too many lines, no permission.

    ib_async logs it: a list stays empty, a ticker stays silent, and nothing is raised.
    """

    code: int = option(162, "162, 420, 100, 101, 322, 354, 10089, 10197 or any other")
    hears = _REQUESTS

    def minds(self, fields: Sequence[str]) -> bool:
        return {162: "20", 420: "50"}.get(self.code, fields[0]) == fields[0]

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        request = int(fields[1 if kind in (20, 97) else 2])
        client.error(request, self.code, _REFUSALS.get(self.code, f"Refused ({self.code})"))
        return True


_REFUSALS = {
    100: "Max rate of messages per second has been exceeded",
    101: "Max number of tickers has been reached",
    162: "Historical Market Data Service error message:Historical data request pacing violation",
    322: "Error processing request:-'bO' : cause - Duplicate ticker id",
    354: "Requested market data is not subscribed.",
    420: "Invalid Real-time Query:Historical data request pacing violation",
    10089: "Requested market data requires additional subscription for API.",
    10197: "No market data during competing live session",
}


@dataclass(eq=False)
class Halt(Fault):
    """Halt a share, or the whole market where no symbol is given, until it is lifted.

    No trades and no quotes: market orders wait, and stops with them.
    """

    reason: str = option("news", "why, as it is recorded")
    times = 1
    acts = True
    lasts_s = 300.0

    def act(self, clients: Sequence[Client]) -> None:
        self.ground.halt(self.symbol, self.reason)

    def end(self) -> None:
        self.ground.resume(self.symbol)


@dataclass(eq=False)
class CircuitBreaker(Act):
    """Stop the whole market as its circuit breaker does: at levels 1 and 2 for a quarter of an hour, at 3 for the day.

    No trades and no quotes of anything: what was to be sold first cannot be sold at all, and hedges stop as well.
    """

    level: int = option(1, "1, 2 or 3; 1 and 2 do not happen in the last 35 minutes of a session", 1, 3)

    def act(self, clients: Sequence[Client]) -> None:
        if self.ground.exchange.break_circuit(self.level) is None:
            raise ValueError(f"it is too late in the day for level {self.level}")
        self.ground.deliver(self.ground.orders.commit())


@dataclass(eq=False)
class LinesLost(Act):
    """Forget every market data subscription and say nothing.

    As stale, but for good: only asking again brings the stream back.
    """

    def act(self, clients: Sequence[Client]) -> None:
        for client in clients:
            self.ground.lose_lines(client)


@dataclass(eq=False)
class UnsetFields(Fault):
    """Fill figures of positions, profits and averages with the largest double there is.

    1.7976931348623157E308 means unset; taken for a figure it makes an account infinitely rich.
    """

    tells = frozenset({3, 7, 94, 95})

    def told(self, client: Client, told: Message) -> list[Message]:
        return [told.but(dict.fromkeys(_FIGURES[told.kind], UNSET_DOUBLE))]


# Average and last fill price; market price, value and profits; daily, unrealised and realised profit.
_FIGURES = {3: (5, 8), 7: (14, 15, 17, 18), 94: (2, 3, 4), 95: (3, 4, 5, 6)}


FAULTS: tuple[type[Fault], ...] = (
    Spike, Stale, StaleStamps, Crossed, NoQuote, DelayedType, CompetingSession, DataRefused, Halt,
    CircuitBreaker, LinesLost, UnsetFields,
)  # fmt: skip
