"""Faults of what lies behind the gateway: its links, its restarts, its ids and its clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from robo_trader.data.sessions import NEW_YORK
from robo_trader.practice.faults.kinds import HELLO, STREAMS, Act, Fault, Message, option
from robo_trader.practice.protocol.clients import Client

LOST = "Connectivity between IBKR and Trader Workstation has been lost."
_KEPT = "Connectivity between IBKR and Trader Workstation has been restored - data maintained."
_GONE = "Connectivity between IBKR and Trader Workstation has been restored - data lost."
_FARM_OK = 2104, "Market data farm connection is OK:usfarm"
_STAMP = re.compile(r"(\d{8})  ?(\d\d:\d\d:\d\d)(?: \S+)?")
_STAMPED = frozenset({11, 17, 88, 90, 101, *HELLO})


def notify(clients: Sequence[Client], code: int, text: str) -> None:
    """Tell clients something about the gateway itself."""
    for client in clients:
        client.error(-1, code, text)


@dataclass(eq=False)
class OutageKept(Fault):
    """Lose the link to IBKR (1100), be silent, and come back with data maintained (1102).

    The socket stays up all the time; whether data really flows again only its age can tell.
    """

    follows = STREAMS
    times = 1
    acts = True
    lasts_s = 30.0

    def act(self, clients: Sequence[Client]) -> None:
        notify(clients, 1100, LOST)

    def told(self, client: Client, message: Message) -> list[Message]:
        return []

    def end(self) -> None:
        notify(self.aimed(), 1102, _KEPT)


@dataclass(eq=False)
class OutageLost(OutageKept):
    """Lose the link to IBKR (1100) and come back with every market data subscription lost (1101).

    Nothing resumes by itself: each stream has to be asked for again.
    """

    def end(self) -> None:
        for client in self.aimed():
            self.ground.lose_lines(client)
        notify(self.aimed(), 1101, _GONE)


@dataclass(eq=False)
class OutageFlood(Act):
    """Report the link as lost and restored (1100, 1102) many times at once.

    Who tears down and reconnects on each 1100 does so again and again.
    """

    count: int = option(50, "times", 1, 10_000)

    def act(self, clients: Sequence[Client]) -> None:
        for _ in range(self.count):
            notify(clients, 1100, LOST)
            notify(clients, 1102, _KEPT)


@dataclass(eq=False)
class FarmBroken(Fault):
    """Lose the market data farm (2103) and report it well again (2104) while the streams stay dead.

    2104 proves nothing: a feed can be dead for hours after it. Taking 2103 for a total loss is wrong too.
    """

    revive: bool = option(False, "let the streams flow again after 2104")
    follows = STREAMS
    times = 1
    acts = True
    lasts_s = 30.0

    def act(self, clients: Sequence[Client]) -> None:
        notify(clients, 2103, "Market data farm connection is broken:usfarm")
        if not self.revive:
            for client in clients:
                self.ground.lose_lines(client)

    def told(self, client: Client, message: Message) -> list[Message]:
        return [] if self.revive else [message]

    def end(self) -> None:
        notify(self.aimed(), *_FARM_OK)


@dataclass(eq=False)
class ServerBroken(OutageKept):
    """Lose the link between TWS and its server (2110), be silent, and report the farms well again (2104, 2106).

    A warning by its number, a dead feed in fact.
    """

    def act(self, clients: Sequence[Client]) -> None:
        text = (
            "Connectivity between Trader Workstation and server is broken. It will be restored automatically."
        )
        notify(clients, 2110, text)

    def end(self) -> None:
        notify(self.aimed(), *_FARM_OK)
        notify(self.aimed(), 2106, "HMDS data farm connection is OK:ushmds")


@dataclass(eq=False)
class PortReset(Act):
    """Say that the API port was reset (1300) and drop the connection.

    The connection ends; the text names a new port that may not exist.
    """

    def act(self, clients: Sequence[Client]) -> None:
        text = "TWS socket port has been reset and this connection is being dropped. Please reconnect on the new port"
        notify(clients, 1300, text)
        for client in clients:
            client.hang_up()


@dataclass(eq=False)
class RestartKeep(Fault):
    """Restart: hang up on everybody, refuse connections for a while, come back with all transmitted orders and the account.

    Fills do not fire execDetailsEvent again; finished orders come back without order id and client id.
    """

    times = 1
    acts = True
    lasts_s = 30.0

    def act(self, clients: Sequence[Client]) -> None:
        self.ground.refuse()
        for client in self.ground.clients():
            client.hang_up()

    def end(self) -> None:
        self.ground.deliver(self.ground.orders.restart(self.ground.now()))
        self.ground.listen_again()


@dataclass(eq=False)
class RestartLose(RestartKeep):
    """Restart and forget everything: no orders, executions or positions, order ids from 1 again.

    Ids of lost orders are used again, and what is told of the new ones is taken for news of the old.
    """

    def end(self) -> None:
        self.ground.lose_everything()
        self.ground.listen_again()


@dataclass(eq=False)
class NextIdBackwards(Fault):
    """Offer a next order id that was used before.

    A client that trusts it has its orders refused as duplicates (103), or changes a live order by placing a new one.
    """

    by: int = option(10, "ids too low")
    tells = frozenset({9})

    def told(self, client: Client, message: Message) -> list[Message]:
        return [message.but({2: max(1, int(message.fields[2]) - self.by)})]


@dataclass(eq=False)
class ClockSkew(Fault):
    """Let the gateway's clock be wrong: the time it tells, its greeting and the times of executions.

    Who compares its times with the own clock takes fresh data for stale, or yesterday's for today's.
    """

    seconds: int = option(300, "fast, or slow where negative")
    tells = frozenset({11, 49, *HELLO})

    def told(self, client: Client, message: Message) -> list[Message]:
        if message.kind == 49:
            return [message.but({2: int(message.fields[2]) + self.seconds})]
        return [_restamped(message, self._moved)]

    def _moved(self, at: datetime) -> str:
        return f"{at + timedelta(seconds=self.seconds):%Y%m%d %H:%M:%S} {NEW_YORK.key}"


@dataclass(eq=False)
class Dst(ClockSkew):
    """Write all times one hour off, as a host does that missed the change to or from summer time.

    Bars and executions fall an hour beside the session, and sorting by time mixes two sources up.
    """

    seconds: int = option(3600, "off")
    tells = _STAMPED


@dataclass(eq=False)
class TimeFormat(Fault):
    """Write times in another of the forms TWS has.

    Times without a zone are read as the host's own; UTC with a dash is taken for the zone of the TWS.
    """

    form: Literal["utc-dash", "zoneless", "zone"] = option("utc-dash", "how times are written")
    zone: str = option("US/Eastern", "the name of the zone, one that does not exist if you like")
    tells = _STAMPED

    def told(self, client: Client, message: Message) -> list[Message]:
        return [_restamped(message, self._written)]

    def _written(self, at: datetime) -> str:
        if self.form == "utc-dash":
            return f"{at.astimezone(UTC):%Y%m%d-%H:%M:%S}"
        if self.form == "zoneless":
            return f"{at:%Y%m%d  %H:%M:%S}"
        try:
            return f"{at.astimezone(ZoneInfo(self.zone)):%Y%m%d %H:%M:%S} {self.zone}"
        except (KeyError, ValueError, OSError):  # what ZoneInfo raises
            return f"{at:%Y%m%d %H:%M:%S} {self.zone}"


def _restamped(message: Message, write: Callable[[datetime], str]) -> Message:
    """Return a message with every time of day in it written anew."""
    times = {}
    for place, text in enumerate(message.fields):
        found = _STAMP.fullmatch(text)
        if found is not None:
            at = datetime.strptime(f"{found[1]} {found[2]}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007
            times[place] = write(at.replace(tzinfo=NEW_YORK))
    return message.but(times)


FAULTS: tuple[type[Fault], ...] = (
    OutageKept, OutageLost, OutageFlood, FarmBroken, ServerBroken, PortReset, RestartKeep, RestartLose,
    NextIdBackwards, ClockSkew, Dst, TimeFormat,
)  # fmt: skip
