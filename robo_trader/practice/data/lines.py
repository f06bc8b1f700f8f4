"""Who listens to what: the open lines of the clients, in groups that hear the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, get_args

from robo_trader.core.errors import ConfigurationError
from robo_trader.practice.market.contracts import Directory
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.ticks import Strip, Tick
from robo_trader.practice.protocol.wire import Cursor

Key = TypeVar("Key", bound=Hashable)  # what a group listens to
State = TypeVar("State")  # what a group keeps of it
Wish = TypeVar("Wish")  # what else a line asked for

Grade = Literal["live", "delayed", "none"]  # what market data an account pays for

NOT_SUBSCRIBED = "Requested market data requires additional subscription for API. "
FULL = 101, "Max number of tickers has been reached"
UNKNOWN = 300, "Can't find EId with tickerId:"


@dataclass(frozen=True)
class DataOptions:
    """What market data the account pays for, and how many lines a client may have open, as TWS without boosters."""

    grade: Grade = "live"
    market_data: int = 100  # and as many real-time bars
    tick_by_tick: int = 5
    depth: int = 3

    def __post_init__(self) -> None:
        if self.grade not in get_args(Grade):
            raise ConfigurationError(f"market data is {', '.join(get_args(Grade))}, not {self.grade!r}")
        if min(self.market_data, self.tick_by_tick, self.depth) < 0:
            raise ConfigurationError("a client cannot have fewer than no lines open")


@dataclass(frozen=True)
class Supply:
    """What lines are opened on: a market, its shares, and the data that is paid for there.

    `listened` is called when somebody asks for live data: the clock begins with the first one who listens.
    """

    exchange: Exchange
    directory: Directory
    listened: Callable[[], None]
    options: DataOptions

    @property
    def is_live(self) -> bool:
        """Whether live data is paid for."""
        return self.options.grade == "live"


@dataclass(eq=False, slots=True)
class Line(Generic[Wish]):
    """A request for data that goes on until it is cancelled; `stamp` is its id in digits."""

    client: Client
    request: int
    wish: Wish
    stamp: bytes


@dataclass(eq=False, slots=True)
class Group(Generic[State, Wish]):
    """The lines that hear the same, and what they have been told."""

    state: State
    lines: dict[Line[Wish], None] = field(default_factory=dict)

    def tell(self, ticks: Sequence[Tick]) -> None:
        """Send the same ticks to every line."""
        strip = Strip(ticks)
        for line in self.lines if strip else ():
            line.client.send(strip.stamped(line.stamp))


class Lines(Generic[Key, State, Wish]):
    """The open lines of one kind of data. A group is made with its first line and goes with its last."""

    def __init__(
        self,
        most: int,
        full: tuple[int, str],
        make: Callable[[Key], State],
        unknown: tuple[int, str] = UNKNOWN,
    ) -> None:
        """Allow each client `most` lines; `full` and `unknown` are the errors for one too many and one not there."""
        self.groups: dict[Key, Group[State, Wish]] = {}
        self._most, self._full, self._make, self._unknown = most, full, make, unknown
        self._of: dict[Client, dict[int, tuple[Key, Line[Wish]]]] = {}

    def admits(self, client: Client, request: int) -> bool:
        """Say whether a client may open a line under this id; where it may not, tell it why."""
        held = self._of.get(client, {})
        if request in held:
            client.error(request, 322, "Error processing request.-'bW' : cause - Duplicate ticker id")
            return False
        if len(held) >= self._most:
            client.error(request, *self._full)
            return False
        return True

    def open(self, client: Client, request: int, key: Key, wish: Wish) -> tuple[State, Line[Wish]]:
        """Open a line; return what its group has been told so far, and the line."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self._make(key))
        line = Line(client, request, wish, str(request).encode())
        group.lines[line] = None
        self._of.setdefault(client, {})[request] = key, line
        return group.state, line

    def on_cancel(self, client: Client, cursor: Cursor) -> None:
        """Take a cancellation: its version, then the request id of the line to close."""
        cursor.skip(1)
        self.cancel(client, cursor.integer())

    def cancel(self, client: Client, request: int) -> None:
        """Close a line of a client; one that is not there is said so."""
        if request in self._of.get(client, {}):
            self.close(client, request)
        else:
            code, text = self._unknown
            client.error(request, code, f"{text}{request}")

    def close(self, client: Client, request: int) -> None:
        """Close a line that is open."""
        key, line = self._of[client].pop(request)
        if not self._of[client]:
            del self._of[client]
        group = self.groups[key]
        del group.lines[line]
        if not group.lines:
            del self.groups[key]

    def drop(self, client: Client) -> None:
        """Close all lines of a client that has gone."""
        for request in list(self._of.get(client, ())):
            self.close(client, request)
