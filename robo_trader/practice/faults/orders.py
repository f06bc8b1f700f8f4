"""Faults of orders on their way: lost, late, doubled, contradicted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from robo_trader.practice.faults.kinds import Fault, Holding, Message, option
from robo_trader.practice.protocol.clients import Client

_STATUS, _OPEN, _EXECUTION, _COMMISSION = 3, 5, 11, 59
_NEWS = frozenset({_STATUS, _OPEN, _EXECUTION, _COMMISSION})
_PLACE = 3  # the request
_EXEC_ID, _SHARES, _CUMULATIVE = 14, 19, 24  # in execDetails
_LIVE = "-1"  # in place of a request
_MAX_CUTS = 100_000  # executions whose pieces are remembered
_MONEY = (3, 5)  # commission and realised profit in commissionReport


@dataclass(eq=False)
class LoseBeforeAccept(Fault):
    """Lose an order and the connection before the order is read.

    The order does not exist, and the client cannot know: sending it again is right here and wrong elsewhere.
    """

    hears = frozenset({_PLACE})
    times = 1

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        client.reset()
        return True


@dataclass(eq=False)
class AcceptThenDrop(Fault):
    """Accept an order and drop the connection before a word is said of it.

    The order lives and fills: sending it again buys twice. Only asking for open orders and executions tells.
    """

    hears = frozenset({_PLACE})
    times = 1

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        asyncio.get_running_loop().call_soon(client.reset)  # before anything is flushed
        return False


@dataclass(eq=False)
class DelayAck(Holding):
    """Hold everything that is said of orders back for some market seconds.

    PendingSubmit for long: who gives up waiting and sends again has two orders.
    """

    seconds: float = option(5.0, "market seconds", 0)
    tells = _NEWS

    def told(self, client: Client, told: Message) -> list[Message]:
        self.hold(client, told.data, self.ground.now() + int(self.seconds * 1e9))
        return []


@dataclass(eq=False)
class CommissionLate(DelayAck):
    """Hold commission reports back for some market seconds.

    The fill stands with a commission of zero until then.
    """

    seconds: float = option(60.0, "market seconds", 0)
    tells = frozenset({_COMMISSION})


@dataclass(eq=False)
class _Gathering(Fault):
    """A fault that sends its messages after all others of a turn."""

    kept: list[Message] = field(default_factory=list, init=False, repr=False)

    def told(self, client: Client, told: Message) -> list[Message]:
        self.kept.append(told)
        return []

    def flushed(self, client: Client) -> list[Message]:
        kept, self.kept = self.kept, []
        return kept


@dataclass(eq=False)
class CommissionFirst(_Gathering):
    """Send the commission report before the execution it is about.

    ib_async drops the report of a fill it does not know: the commission never arrives.
    """

    tells = frozenset({_EXECUTION})


@dataclass(eq=False)
class Duplicate(Fault):
    """Send everything that is said of orders twice.

    The same execution id again must not be booked again.
    """

    tells = _NEWS

    def told(self, client: Client, told: Message) -> list[Message]:
        return [told, told]


@dataclass(eq=False)
class Reorder(_Gathering):
    """Send what is said of orders in one turn in the opposite order.

    Filled comes before the execution, the execution before the acknowledgement.
    """

    tells = _NEWS

    def flushed(self, client: Client) -> list[Message]:
        return super().flushed(client)[::-1]


@dataclass(eq=False)
class MissingStatus(Fault):
    """Leave out orderStatus messages.

    TWS does not promise one for each change: an order can be full while its status says Submitted.
    """

    status: str = option("", "only this status, empty for any")
    tells = frozenset({_STATUS})

    def sees(self, message: Message) -> bool:
        return self.status in ("", message.fields[2])

    def told(self, client: Client, told: Message) -> list[Message]:
        return []


@dataclass(eq=False)
class MissingOpenOrder(Fault):
    """Leave out openOrder messages.

    ib_async learns the permanent id from them: without one commissionReportEvent never fires.
    """

    tells = frozenset({_OPEN})

    def told(self, client: Client, told: Message) -> list[Message]:
        return []


@dataclass(eq=False)
class PartialFills(Fault):
    """Tell each execution as several smaller ones, each with its share of the commission.

    Many executions for one order: averages, cumulated figures and "the first fill is the whole" are tested.
    """

    pieces: int = option(3, "executions in place of one", 1, 1000)
    cuts: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)
    tells = frozenset({_EXECUTION})
    follows = frozenset({_COMMISSION})
    lingers = True

    @property
    def holds(self) -> bool:
        return bool(self.cuts)

    def sees(self, message: Message) -> bool:
        return message.fields[1] == _LIVE or self.follows_up(message)

    def follows_up(self, message: Message) -> bool:
        """Asked for again, an execution that was cut up is told in the same pieces, and any other one whole."""
        if message.kind != _EXECUTION:
            return message.kind == _COMMISSION
        return message.fields[1] != _LIVE and message.fields[_EXEC_ID] in self.cuts

    def told(self, client: Client, told: Message) -> list[Message]:
        return self._executions(told) if told.kind == _EXECUTION else self._commissions(told)

    def _executions(self, told: Message) -> list[Message]:
        shares = int(float(told.fields[_SHARES]))
        before, each = int(float(told.fields[_CUMULATIVE])) - shares, shares // self.pieces
        exec_id = told.fields[_EXEC_ID]
        if not each or (len(self.cuts) >= _MAX_CUTS and exec_id not in self.cuts):
            return [told]
        sizes = [each] * (self.pieces - 1) + [shares - each * (self.pieces - 1)]
        self.cuts[exec_id] = sizes
        sent = []
        for number, size in enumerate(sizes, 1):
            before += size
            sent.append(told.but({_EXEC_ID: _piece(exec_id, number), _SHARES: size, _CUMULATIVE: before}))
        return sent

    def _commissions(self, told: Message) -> list[Message]:
        sizes = self.cuts.get(told.fields[2])
        if sizes is None:
            return [told]
        shared = {place: _shared(told.fields[place], sizes) for place in _MONEY}
        return [
            told.but(
                {2: _piece(told.fields[2], number), **{place: shared[place][number - 1] for place in _MONEY}}
            )
            for number in range(1, len(sizes) + 1)
        ]


def _piece(exec_id: str, number: int) -> str:
    """Return the id of a part of an execution: the same before its revision, which stays what follows the last dot."""
    head, _, revision = exec_id.rpartition(".")
    return f"{head}{number:02d}.{revision}"


def _shared(figure: str, sizes: Sequence[int]) -> list[str]:
    """Return a figure of commissionReport in parts of these sizes that add up to it exactly; unset stays unset."""
    whole = Decimal(figure)
    if whole > Decimal("1e300"):
        return [figure] * len(sizes)
    parts = [(whole * size / sum(sizes)).quantize(Decimal("0.000001")) for size in sizes[1:]]
    return [format(part, "f") for part in (whole - sum(parts), *parts)]


FAULTS: tuple[type[Fault], ...] = (
    LoseBeforeAccept, AcceptThenDrop, DelayAck, CommissionLate, CommissionFirst, Duplicate, Reorder, MissingStatus,
    MissingOpenOrder, PartialFills,
)  # fmt: skip
