"""What a fault is made of: the messages it sees, the levers it pulls, and the words that describe it."""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.wire import Field, frame

if TYPE_CHECKING:
    from robo_trader.practice.account.books import Books
    from robo_trader.practice.market.exchange import Exchange
    from robo_trader.practice.orders.order_book import OrderBook
    from robo_trader.practice.orders.order_file import Told

HELLO = range(157, 179)  # the server's greeting has no message id: its first field is the version
EVERY = frozenset(range(300))
SPOILT = -1  # in place of the id of a message no other fault can make sense of
MAX_HELD = 100_000  # messages one fault keeps back
STREAMS = frozenset({1, 2, 12, 13, 45, 46, 50, 90, 99})  # what market data comes in
_FAR = 10_000_000
_LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, frozen=True):
    """One message of the gateway: its id, its fields with the id first, and the bytes that would go out."""

    kind: int
    fields: tuple[str, ...]
    data: bytes

    def but(self, changes: Mapping[int, Field]) -> Message:
        """Return the message with some fields, by their place, replaced."""
        return message(*(changes.get(place, text) for place, text in enumerate(self.fields)))


def message(*fields: Field) -> Message:
    """Make a message of its fields, the id first."""
    return cut(frame(*fields))[0]


def cut(data: bytes) -> list[Message]:
    """Cut bytes that hold whole frames of the gateway into messages."""
    found, at = [], 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        end = at + 4 + length
        fields = tuple(data[at + 4 : end - 1].decode().split("\0"))
        found.append(Message(int(fields[0]), fields, data[at:end]))
        at = end
    return found


class Ground(Protocol):
    """What a fault may do to the gateway besides touching its messages."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def orders(self) -> OrderBook: ...
    @property
    def books(self) -> Books: ...

    def now(self) -> int:
        """Return the market's time, UTC ns."""

    def clients(self) -> list[Client]:
        """Return the clients that were let in."""

    def refuse(self) -> None:
        """Close the port: who connects is refused."""

    def listen_again(self) -> None:
        """Open the port again after `refuse`."""

    def lose_lines(self, client: Client) -> None:
        """Forget what a client subscribed to of the market."""

    def lose_everything(self) -> None:
        """Begin a new account: no orders, no executions, no positions, ids from 1."""

    def halt(self, symbol: str, reason: str) -> None:
        """Halt a share, all of them where the symbol is empty."""

    def resume(self, symbol: str) -> bool:
        """End such a halt. Return False where there was none."""

    def deliver(self, told: list[Told]) -> None:
        """Send what orders made to be told."""

    def changed(self, symbols: set[str]) -> None:
        """Tell who listens that positions changed."""

    def pour(self, client: Client, data: bytes) -> None:
        """Send what was held back, past the faults that see messages."""

    def run_clock(self) -> None:
        """Let the clock run, if it is one that runs: who waits for a time must not wait for ever."""


def option(default: Any, text: str, least: float = -_FAR, most: float = _FAR) -> Any:
    """Make a parameter of a fault: its default, what it means, and, of a number, its bounds."""
    return field(default=default, metadata={"text": text, "bounds": (least, most)})


@dataclass(eq=False)
class Fault:
    """One way to misbehave. Its docstring is its entry in the catalogue, its fields are its parameters.

    `hears` are the requests and `tells` the answers it strikes, by message id; what `follows` from its strikes it
    sees uncounted. One that acts strikes by itself, once. What lingers keeps to its story after it was lifted.
    """

    hears: ClassVar[frozenset[int]] = frozenset()
    tells: ClassVar[frozenset[int]] = frozenset()
    follows: ClassVar[frozenset[int]] = frozenset()
    times: ClassVar[int | None] = None  # strikes by default, None for any number
    lasts_s: ClassVar[float | None] = None  # market seconds from its first strike by default, None for ever
    acts: ClassVar[bool] = (
        False  # whether it strikes by itself, or at any request, rather than at its messages
    )
    needs_symbol: ClassVar[bool] = False
    lingers: ClassVar[bool] = False
    ground: Ground = field(init=False, repr=False)
    symbol: str = field(default="", init=False, repr=False)
    client: int | None = field(default=None, init=False, repr=False)

    def aimed(self) -> list[Client]:
        """Return the clients it is aimed at that are there."""
        return [client for client in self.ground.clients() if self.client in (None, client.id)]

    def minds(self, fields: Sequence[str]) -> bool:
        """Return whether a request is one this fault is about, besides its id."""
        return True

    def sees(self, message: Message) -> bool:
        """Return whether an answer is one this fault is about, besides its id."""
        return True

    def follows_up(self, message: Message) -> bool:
        """Return whether an answer follows from an earlier strike."""
        return message.kind in self.follows

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        """Strike a request. Return whether it goes no further."""
        return False

    def told(self, client: Client, message: Message) -> list[Message]:
        """Strike an answer. Return what is sent in its place."""
        return [message]

    def flushed(self, client: Client) -> list[Message]:
        """Return what was kept back until all that is sent in one turn has been seen."""
        return []

    def pour(self, client: Client, data: bytes) -> bytes:
        """Return what of these bytes may be written to the socket now."""
        return data

    def act(self, clients: Sequence[Client]) -> None:
        """Strike at these clients, or all there are."""

    def beat(self, now: int) -> None:
        """Note that the clock moved."""

    def end(self) -> None:
        """Let go of all that is held back."""

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""

    @property
    def holds(self) -> bool:
        """Whether something is still held back."""
        return False


@dataclass(eq=False)
class Act(Fault):
    """A fault that strikes once and is done."""

    times = 1
    lasts_s = 0.0
    acts = True


@dataclass(eq=False)
class Holding(Fault):
    """A fault that keeps messages back for some market seconds."""

    held: deque[tuple[int, Client, bytes]] = field(default_factory=deque, init=False, repr=False)

    def hold(self, client: Client, data: bytes, until: int) -> None:
        """Keep bytes back until that time, UTC ns; past the limit the oldest go out early."""
        self.held.append((until, client, data))
        if len(self.held) > MAX_HELD:
            self._release(self.held.popleft())

    def beat(self, now: int) -> None:
        while self.held and self.held[0][0] <= now:
            self._release(self.held.popleft())

    def end(self) -> None:
        while self.held:
            self._release(self.held.popleft())

    @property
    def holds(self) -> bool:
        return bool(self.held)

    def _release(self, kept: tuple[int, Client, bytes]) -> None:
        self.ground.pour(kept[1], kept[2])


def name_of(kind: type[Fault]) -> str:
    """Return a fault's name on the command line.

    >>> class DropRst(Fault): ...
    >>> name_of(DropRst)
    'drop-rst'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
