"""Faults on command: which are planted, when each strikes, and what becomes of the messages it strikes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import structlog

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS
from robo_trader.practice.faults.aim import Aim, is_about
from robo_trader.practice.faults.catalogue import CATALOGUE, Trigger, known, make, market_time, parameters
from robo_trader.practice.faults.kinds import EVERY, Fault, Ground, Message, cut, name_of
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.wire import WireError

MAX_PLANTED = 200
_Middle = Callable[[Client, bytes], bytes]
_log = structlog.get_logger()


class Planted:
    """One fault in place, with its trigger and what it has done so far."""

    def __init__(self, number: int, fault: Fault, trigger: Trigger, at: int) -> None:
        self.number = number
        self.fault = fault
        self.at = at  # UTC ns; before that it only waits
        self.strikes = 0
        self.retired = False  # lifted, and only keeps to its story
        self._trigger = trigger
        self._dice = random.Random(trigger.seed)
        self._seen = 0
        self._began: int | None = None
        self._times = fault.times if trigger.times is None else trigger.times
        lasts = fault.lasts_s if trigger.lasts is None else trigger.lasts
        self._lasts = None if lasts is None else int(lasts * SECOND_NS)
        self._on = frozenset(trigger.on) or EVERY

    @property
    def name(self) -> str:
        return name_of(type(self.fault))

    @property
    def waits_for_a_message(self) -> bool:
        """Whether it strikes at a message, not at a time."""
        chosen = self._trigger.after or self._trigger.chance < 1 or self._trigger.on
        return not self.fault.acts or bool(chosen)

    def meant(self, client: Client, share: str) -> bool:
        """Return whether a message to or from this client about this share is its business."""
        wanted = self._trigger
        if wanted.client is not None and client.id != wanted.client:
            return False
        return not wanted.symbol or is_about(share, wanted.symbol)

    def aims_at(self, client: Client) -> bool:
        """Return whether it may do something to this client."""
        return self._trigger.client in (None, client.id)

    def matches(self, kind: int) -> bool:
        """Return whether messages of this id are among those its user chose."""
        return kind in self._on

    def due(self, now: int) -> bool:
        """Count one matching event; return whether the fault strikes it."""
        if now < self.at or self.spent:
            return False
        self._seen += 1
        if self._seen <= self._trigger.after or self._dice.random() >= self._trigger.chance:
            return False
        return self.strike(now)

    def strike(self, now: int) -> bool:
        """Count a strike; return True."""
        self.strikes += 1
        if self._began is None:
            self._began = now
        return True

    @property
    def spent(self) -> bool:
        """Whether it may not strike again."""
        return self.retired or (self._times is not None and self.strikes >= self._times)

    def over(self, now: int) -> bool:
        """Return whether it is to be lifted."""
        if self._began is not None and self._lasts is not None and now >= self._began + self._lasts:
            return True
        return self.spent and not self.fault.holds and (not self.fault.acts or self._lasts == 0)

    def told(self) -> dict[str, object]:
        """Return what there is to know of it."""
        own = {name: getattr(self.fault, name) for name in parameters(type(self.fault))}
        trigger = msgspec.to_builtins(self._trigger)
        return {"number": self.number, "name": self.name, **own, **trigger, "strikes": self.strikes}


class Faults:
    """The faults that are planted, between the gateway and its clients.

    They are applied in the order of their planting. While none is planted nobody stands in between.
    """

    def __init__(self, ground: Ground, stand_between: Callable[[_Middle | None], None]) -> None:
        """`stand_between` is called with who shall see what is sent, None for nobody."""
        self.middle: _Middle | None = None
        self._ground = ground
        self._stand_between = stand_between
        self._aim = Aim()
        self._planted: list[Planted] = []
        self._next = 1

    def plant(self, name: str, parameters: Mapping[str, object]) -> int:
        """Put a fault in place and return its number. Raises ConfigurationError for what makes no sense."""
        if len(self._planted) >= MAX_PLANTED:
            raise ConfigurationError(f"{MAX_PLANTED} faults are planted; lift some first")
        fault, trigger = make(name, parameters)
        fault.ground, fault.symbol, fault.client = self._ground, trigger.symbol, trigger.client
        now = self._ground.now()
        at = market_time(trigger.at, now) if trigger.at else now
        planted = Planted(self._next, fault, trigger, at)
        self._next += 1
        self._planted.append(planted)
        self._stand()
        if trigger.at or trigger.lasts is not None or fault.lasts_s:
            self._ground.run_clock()
        if not planted.waits_for_a_message and not trigger.at:
            planted.strike(now)
            try:
                fault.act(fault.aimed())
            except ValueError as error:
                self._remove([planted])
                raise ConfigurationError(f"{name}: {error}") from None
            self._sweep(now)
        return planted.number

    def lift(self, name: str) -> int:
        """Take away the faults of that name or number, or `all`; return how many there were."""
        found = [p for p in self._planted if not p.retired and name in ("all", p.name, str(p.number))]
        if not found and name != "all" and not name.isdigit():
            known(name, CATALOGUE, "fault")
        for planted in found:
            planted.retired = planted.fault.lingers and planted.fault.holds
        self._remove([planted for planted in found if not planted.retired])
        return len(found)

    def planted(self) -> list[dict[str, object]]:
        """Return what is in place, in order of planting."""
        return [planted.told() for planted in self._planted if not planted.retired]

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._aim.drop(client)
        for planted in self._planted:
            planted.fault.drop(client)

    # ------------------------------------------------------------------------------------------------ messages

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        """Look at a request. Return whether it goes no further. Raises WireError where it cannot be read."""
        share = self._aim.note(client, kind, fields)
        if not self._planted:
            return False
        try:
            return self._struck(client, kind, fields, share)
        except (IndexError, ValueError) as error:
            raise WireError(f"{error}") from error

    def _struck(self, client: Client, kind: int, fields: Sequence[str], share: str) -> bool:
        """Show a request to every fault. Return whether it goes no further."""
        now, stopped = self._ground.now(), False
        for planted in list(self._planted):
            if not planted.matches(kind) or not planted.meant(client, share):
                continue
            if planted.fault.acts:
                if planted.waits_for_a_message and planted.due(now):
                    # What lasts strikes all it is aimed at, whoever set it off.
                    self._act(planted, [client] if planted.fault.lasts_s == 0 else planted.fault.aimed())
            elif kind in planted.fault.hears and planted.fault.minds(fields) and planted.due(now):
                stopped = planted.fault.heard(client, kind, fields) or stopped
            if stopped:
                break
        self._sweep(now)
        return stopped

    def told(self, client: Client, data: bytes) -> bytes:
        """Let every fault have its way with what is sent. Return what is to be written."""
        now, messages = self._ground.now(), cut(data)
        for planted in list(self._planted):
            if planted.strikes or not planted.fault.acts:
                messages = self._through(planted, client, messages, now)
        poured = self._poured(client, b"".join([message.data for message in messages]))
        self._sweep(now)
        return poured

    def pour(self, client: Client, data: bytes) -> None:
        """Write what a fault held back, past the faults that see messages."""
        client.write(self._poured(client, data))

    def on_beat(self, now: int) -> None:
        """Strike what was planted for this time, let go of what is over."""
        for planted in list(self._planted):
            planted.fault.beat(now)
            waits = planted.waits_for_a_message or planted.spent
            if not waits and planted.at <= now:
                planted.strike(now)
                self._act(planted, planted.fault.aimed())
        self._sweep(now)

    def _through(self, planted: Planted, client: Client, messages: list[Message], now: int) -> list[Message]:
        """Return what one fault makes of messages."""
        fault, passed = planted.fault, []
        for message in messages:
            follows = fault.follows_up(message)
            counted = not follows and message.kind in fault.tells and planted.matches(message.kind)
            wanted = (follows or counted) and fault.sees(message)
            meant = wanted and planted.meant(client, self._aim.of(client, message))
            if meant and (follows or planted.due(now)):
                passed += fault.told(client, message)
            else:
                passed.append(message)
        return passed + fault.flushed(client)

    def _poured(self, client: Client, data: bytes) -> bytes:
        for planted in list(self._planted):
            if planted.strikes and planted.aims_at(client):
                data = planted.fault.pour(client, data)
        return data

    # ------------------------------------------------------------------------------------------------- changes

    def _act(self, planted: Planted, clients: Sequence[Client]) -> None:
        """Let a fault strike by itself; one that cannot, by now, must not stop the clock or blame a request."""
        try:
            planted.fault.act(clients)
        except ValueError as error:
            _log.warning("a fault could not strike", fault=planted.name, reason=str(error))

    def _sweep(self, now: int) -> None:
        self._remove([planted for planted in self._planted if planted.over(now)])

    def _remove(self, gone: Iterable[Planted]) -> None:
        for planted in gone:
            if planted not in self._planted:
                continue  # what one fault did has lifted another
            self._planted.remove(planted)
            if planted.strikes:
                planted.fault.end()
        self._stand()

    def _stand(self) -> None:
        middle = self.told if self._planted else None
        if (middle is None) != (self.middle is None):
            self.middle = middle
            self._stand_between(middle)
