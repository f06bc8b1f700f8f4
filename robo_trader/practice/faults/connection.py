"""Faults of the connection itself: greetings, ids, bytes, sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from robo_trader.practice.faults.kinds import EVERY, HELLO, SPOILT, Act, Fault, Message, message, option
from robo_trader.practice.protocol.clients import ID_IN_USE, MAX_UNREAD, Client
from robo_trader.practice.protocol.wire import error

_ENDS = {
    "positions": 62, "open-orders": 53, "completed-orders": 102, "account": 54, "account-values": 74, "executions": 55,
}  # fmt: skip
_SPOKEN = EVERY - frozenset(HELLO)


@dataclass(eq=False)
class MuteHandshake(Fault):
    """Accept connections and never answer the greeting.

    connectAsync waits its full timeout and raises TimeoutError; the same IB object does recover from that.
    """

    tells = frozenset(HELLO)

    def told(self, client: Client, message: Message) -> list[Message]:
        client.be_patient()
        return []


@dataclass(eq=False)
class NoAccounts(Fault):
    """Name no account, as a gateway that is up and not logged in.

    The client is never ready: connectAsync raises TimeoutError, as if nobody answered.
    """

    tells = frozenset({15})

    def told(self, client: Client, message: Message) -> list[Message]:
        client.be_patient()
        return [message.but({2: ""})]


@dataclass(eq=False)
class WithholdEnd(Fault):
    """Never send the message that ends an answer of the start-up burst.

    connectAsync returns connected with what it has, often nothing, and only logs; raiseSyncErrors=True raises.
    """

    of: Literal[
        "all", "positions", "open-orders", "completed-orders", "account", "account-values", "executions"
    ] = option("all", "which answer is left without its end")
    tells = frozenset(_ENDS.values())

    def told(self, client: Client, message: Message) -> list[Message]:
        return [] if self.of == "all" or _ENDS[self.of] == message.kind else [message]


@dataclass(eq=False)
class ClientIdInUse(Fault):
    """Say 326 to whoever connects, and hang up.

    connectAsync does not see it: it waits its full timeout and raises TimeoutError.
    """

    tells = frozenset({15})

    def told(self, client: Client, message: Message) -> list[Message]:
        client.write(error(client.version, -1, *ID_IN_USE))
        client.hang_up()
        return []


@dataclass(eq=False)
class DropFin(Act):
    """Close the connection politely.

    All local state is wiped, pending requests get ConnectionError, subscriptions never resume by themselves.
    """

    def act(self, clients: Sequence[Client]) -> None:
        for client in clients:
            client.hang_up()


@dataclass(eq=False)
class DropRst(Act):
    """Reset the connection without a farewell.

    As a polite close, but what was on its way is lost in both directions.
    """

    def act(self, clients: Sequence[Client]) -> None:
        for client in clients:
            client.reset()


@dataclass(eq=False)
class RefuseConnections(Fault):
    """Close the port: who connects is refused; those inside stay.

    ConnectionRefusedError at once: a loop without a pause between its attempts burns the processor.
    """

    times = 1
    acts = True

    def act(self, clients: Sequence[Client]) -> None:
        self.ground.refuse()

    def end(self) -> None:
        self.ground.listen_again()


@dataclass(eq=False)
class Dam(Fault):
    """A fault that keeps the bytes of each client back."""

    kept: dict[Client, bytearray] = field(default_factory=dict, init=False, repr=False)
    times = 1
    acts = True

    def end(self) -> None:
        for client, kept in self.kept.items():
            client.write(bytes(kept))
        self.kept.clear()

    def drop(self, client: Client) -> None:
        self.kept.pop(client, None)


@dataclass(eq=False)
class Freeze(Dam):
    """Keep every socket open and neither read nor write, as a stopped process does.

    isConnected() stays True and no event fires; an IB object with unsent bytes can never reconnect.
    """

    def act(self, clients: Sequence[Client]) -> None:
        for client in clients:
            client.listen(False)

    def pour(self, client: Client, data: bytes) -> bytes:
        client.be_patient()
        kept = self.kept.setdefault(client, bytearray())
        if len(kept) + len(data) <= MAX_UNREAD:  # whole messages beyond that are lost
            kept += data
        return b""

    def end(self) -> None:
        super().end()
        for client in self.ground.clients():
            client.listen(True)


@dataclass(eq=False)
class BadLength(Fault):
    """Announce a message as longer than it is.

    The client waits for the rest for ever: no event, isConnected() True, bytes pile up.
    """

    by: int = option(1_000_000, "bytes too many", 1)
    tells = EVERY
    times = 1

    def told(self, client: Client, message: Message) -> list[Message]:
        length = len(message.data) - 4 + self.by
        return [Message(SPOILT, message.fields, length.to_bytes(4, "big") + message.data[4:])]


@dataclass(eq=False)
class BadBody(Fault):
    """Send a message whose fields after the second are one word of rubbish.

    The decoder logs and drops it: what it said is lost. In the handshake it shows as TimeoutError alone.
    """

    tells = _SPOKEN
    times = 1

    def told(self, client: Client, told: Message) -> list[Message]:
        return [Message(SPOILT, told.fields, message(*told.fields[:2], "rubbish").data)]


@dataclass(eq=False)
class UnknownMessage(Fault):
    """Send a message with an id that no client knows before a real one.

    The decoder logs it and goes on; nothing else may break.
    """

    id: int = option(299, "its message id", 0)
    tells = _SPOKEN
    times = 1

    def told(self, client: Client, told: Message) -> list[Message]:
        return [message(self.id, 1, "what"), told]


@dataclass(eq=False)
class SlowDrip(Dam):
    """Send in segments of a few bytes, each in a turn of its own.

    A reader that takes a read for a message breaks; the real client only gets slower.
    """

    size: int = option(1, "bytes in a segment", 1)

    def pour(self, client: Client, data: bytes) -> bytes:
        kept = self.kept.setdefault(client, bytearray())
        if data and not kept:
            asyncio.get_running_loop().call_soon(self._drip, client)
        kept += data
        if len(kept) > MAX_UNREAD:
            client.reset()
        return b""

    def _drip(self, client: Client) -> None:
        kept = self.kept.get(client)
        if not kept:
            return
        client.write(bytes(kept[: self.size]))
        del kept[: self.size]
        if kept:
            asyncio.get_running_loop().call_soon(self._drip, client)
        else:
            del self.kept[client]


@dataclass(eq=False)
class Coalesce(Dam):
    """Keep back what is sent and send it in one large piece.

    Thousands of ticks arrive as one packet: one updateEvent for all of them.
    """

    size: int = option(262_144, "bytes in a piece", 1)
    seconds: float = option(5.0, "market seconds after which a smaller piece goes out too", 0)
    since: int = field(default=0, init=False, repr=False)

    def act(self, clients: Sequence[Client]) -> None:
        self.since = self.ground.now()

    def pour(self, client: Client, data: bytes) -> bytes:
        kept = self.kept.setdefault(client, bytearray())
        kept += data
        if len(kept) < self.size:
            return b""
        del self.kept[client]
        return bytes(kept)

    def beat(self, now: int) -> None:
        if now - self.since >= self.seconds * 1e9:
            self.end()
            self.since = now


FAULTS: tuple[type[Fault], ...] = (
    MuteHandshake, NoAccounts, WithholdEnd, ClientIdInUse, DropFin, DropRst, RefuseConnections, Freeze, BadLength,
    BadBody, UnknownMessage, SlowDrip, Coalesce,
)  # fmt: skip
