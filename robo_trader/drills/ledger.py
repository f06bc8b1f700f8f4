"""Two sets of books side by side: what the broker did, what we wrote down, and a count of every way they can differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec

from robo_trader.core.events import OrderStatus, Side
from robo_trader.core.executions import stem

SENT_TWICE, FILLS_LOST, FILLS_DOUBLED = "sent_twice", "fills_lost", "fills_doubled"
STOPS_MISSING, BOOKS_DIFFER, ORDERS_LOST = "stops_missing", "books_differ", "orders_lost"
EXITS_FLIPPED, QUARANTINED, REPLAYS_FAILED = "exits_flipped", "quarantined", "replays_failed"
NOT_READY, ANOMALIES = "not_ready", "anomalies"
# What each of them counts, in the order of the table; all of them must be 0.
COUNTERS: Mapping[str, str] = {
    SENT_TWICE: "an orderRef in more than one broker order, or more shares traded than were decided",
    FILLS_LOST: "an execution at the broker that our books lack",
    FILLS_DOUBLED: "an execution in our books twice, or one that the broker does not know",
    STOPS_MISSING: "a position whose live stops at the broker are not of its size",
    BOOKS_DIFFER: "a position, its lots, the sum of its fills, a commission or the cash that is not the broker's",
    ORDERS_LOST: "an order at the broker that we do not know, or one we believe alive that is not",
    EXITS_FLIPPED: "a position that an exit or a stop opened or turned round, or that both together may",
    QUARANTINED: "a symbol in quarantine although both sides agree",
    NOT_READY: "a start that did not get ready, or a desk that did not come to rest",
    ANOMALIES: "something the desk itself calls impossible, in a drill in which nobody lies to it",
    REPLAYS_FAILED: "a recorded session that replays differently",
}
_OPEN = frozenset({OrderStatus.INTENT, OrderStatus.WORKING, OrderStatus.PARTIAL, OrderStatus.UNKNOWN})


class BrokerOrder(msgspec.Struct, frozen=True):
    """An order as the broker keeps it. `workable` shares may trade now, `held` were held when it was first seen."""

    perm_id: int
    ref: str
    symbol: str
    side: Side
    quantity: int
    filled: int = 0
    workable: int = 0
    live: bool = False
    stop: bool = False
    parent: int = 0  # permanent id of the order it is attached to
    held: int = 0

    @property
    def sign(self) -> int:
        return self.side.sign


class BrokerFill(msgspec.Struct, frozen=True):
    """An execution as it stands after corrections; one of no shares was busted."""

    exec_id: str
    perm_id: int
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal


class Truth(msgspec.Struct, frozen=True):
    """All that the broker ever did on the account: orders by permanent id, executions oldest first, what is held now."""

    orders: Mapping[int, BrokerOrder]
    fills: tuple[BrokerFill, ...]
    positions: Mapping[str, int]
    cash: Decimal


class OurOrder(msgspec.Struct, frozen=True):
    """An order as our database has it."""

    id: str
    parent_id: str
    symbol: str
    quantity: int
    status: OrderStatus


class OurFill(msgspec.Struct, frozen=True):
    """A booked execution; `standing` where no later version of it has replaced it."""

    exec_id: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal | None
    standing: bool = True


class Books(msgspec.Struct, frozen=True):
    """All that our database says of the account; `decided` maps parents to the shares decided on.

    `seq` grows with every event.
    """

    orders: Mapping[str, OurOrder] = {}
    fills: tuple[OurFill, ...] = ()
    positions: Mapping[str, tuple[int, int]] = {}  # the quantity, and the sum of the lots
    cash: Decimal | None = None
    quarantined: frozenset[str] = frozenset()
    decided: Mapping[str, int] = {}
    seq: int = 0


class Finding(NamedTuple):
    """One thing that is wrong. The same `key` is the same wrong, however often it is looked at."""

    counter: str
    key: str
    what: str


class Ledger:
    """Counts each wrong once, over all comparisons."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Finding] = {}

    def add(self, findings: Iterable[Finding]) -> list[Finding]:
        """Take findings; return those that are new."""
        new = [finding for finding in findings if finding[:2] not in self.found]
        self.found |= {(finding.counter, finding.key): finding for finding in new}
        return new

    @property
    def counts(self) -> dict[str, int]:
        """How often each counter was hit, all counters named."""
        counted = Counter(counter for counter, _ in self.found)
        return {name: counted[name] for name in COUNTERS}

    @property
    def is_clean(self) -> bool:
        return not self.found


def compare(truth: Truth, books: Books) -> list[Finding]:
    """Return all that differs. Take both while nothing moves: a fill on its way to us would count as lost."""
    return [
        *_sent_twice(truth, books),
        *_fills(truth, books),
        *_positions(truth, books),
        *_money(truth, books),
        *_orders(truth, books),
        *_stops(truth),
        *_flips(truth),
    ]


def _sent_twice(truth: Truth, books: Books) -> Iterator[Finding]:
    by_ref: dict[str, list[BrokerOrder]] = defaultdict(list)
    traded: Counter[str] = Counter()
    for order in truth.orders.values():
        if order.ref:
            by_ref[order.ref].append(order)
            traded[order.ref.rpartition(".")[0]] += order.filled + order.workable
    for ref, orders in by_ref.items():
        if len(orders) > 1:
            ids = ", ".join(str(order.perm_id) for order in orders)
            yield Finding(SENT_TWICE, ref, f"{ref} is {len(orders)} orders at the broker: {ids}")
    for parent, shares in traded.items():
        decided = books.decided.get(parent)
        if decided is not None and shares > decided:
            yield Finding(SENT_TWICE, parent, f"{parent} decided on {decided} shares, {shares} went out")


def _fills(truth: Truth, books: Books) -> Iterator[Finding]:
    theirs = {stem(fill.exec_id): fill for fill in truth.fills}
    ours: dict[str, OurFill] = {}
    for fill in books.fills:
        if not fill.standing:
            continue
        key = stem(fill.exec_id)
        if key in ours:
            yield Finding(
                FILLS_DOUBLED, fill.exec_id, f"{key} is booked as {ours[key].exec_id} and {fill.exec_id}"
            )
        ours[key] = fill
        if key not in theirs:
            yield Finding(
                FILLS_DOUBLED, fill.exec_id, f"we booked {fill.exec_id}, which the broker does not know"
            )
    for key, done in theirs.items():
        booked = ours.get(key)
        if booked is None or (booked.quantity, booked.price) != (done.quantity, done.price):
            if booked is not None or done.quantity:
                yield Finding(FILLS_LOST, done.exec_id, f"{_worded(done)}; we booked {_worded(booked)}")
        elif booked.commission != done.commission and done.quantity:
            text = f"{done.exec_id} cost {done.commission}, we booked {booked.commission}"
            yield Finding(BOOKS_DIFFER, f"commission of {done.exec_id}", text)


def _worded(fill: BrokerFill | OurFill | None) -> str:
    if fill is None:
        return "nothing"
    return f"{fill.exec_id} {fill.side} {fill.quantity} {fill.symbol} at {fill.price}"


def _positions(truth: Truth, books: Books) -> Iterator[Finding]:
    summed: Counter[str] = Counter()
    for fill in books.fills:
        summed[fill.symbol] += fill.side.sign * fill.quantity * fill.standing
    for symbol in sorted({*truth.positions, *books.positions, *summed}):
        held, (ours, lots) = truth.positions.get(symbol, 0), books.positions.get(symbol, (0, 0))
        if not held == ours == lots == summed[symbol]:
            text = f"{symbol}: the broker holds {held}, we {ours} in lots of {lots}, our fills sum to {summed[symbol]}"
            yield Finding(BOOKS_DIFFER, f"{symbol} {held - ours} {ours - lots} {ours - summed[symbol]}", text)
        elif symbol in books.quarantined:
            yield Finding(QUARANTINED, symbol, f"{symbol} is quarantined, and both sides hold {held}")


def _money(truth: Truth, books: Books) -> Iterator[Finding]:
    if books.cash is not None and books.cash != truth.cash:
        text = f"the broker has {truth.cash} USD, we have {books.cash}"
        yield Finding(BOOKS_DIFFER, f"cash {truth.cash - books.cash}", text)


def _orders(truth: Truth, books: Books) -> Iterator[Finding]:
    """Every order with a ref was ours and written down before it went; and alive on both sides or on none."""
    live = {order.ref for order in truth.orders.values() if order.live and order.ref}
    for order in truth.orders.values():
        if order.ref and order.ref not in books.orders:
            yield Finding(ORDERS_LOST, order.ref, f"{order.ref} is at the broker and not in our journal")
    for known in books.orders.values():
        if (known.status in _OPEN) != (known.id in live):
            where = "alive" if known.id in live else "not alive"
            yield Finding(ORDERS_LOST, known.id, f"{known.id} is {known.status} to us, {where} at the broker")


def _stops(truth: Truth) -> Iterator[Finding]:
    """What is held must be covered by stops, less what exits at work may sell; never more than all of it."""
    for symbol in sorted({*truth.positions, *(o.symbol for o in truth.orders.values() if o.live)}):
        held = truth.positions.get(symbol, 0)
        at_work = [o for o in truth.orders.values() if o.live and o.symbol == symbol]
        stops = [o for o in at_work if o.stop and o.workable]
        cover = sum(o.workable for o in stops if o.sign * held < 0)
        wrong = sum(o.workable for o in stops if o.sign * held >= 0)
        leaving = sum(o.workable for o in at_work if not o.stop and o.sign * held < 0)
        if cover < abs(held) - leaving:
            text = f"{symbol}: {held} held, stops of {cover}, exits of {leaving}"
            yield Finding(STOPS_MISSING, f"{symbol} {held} {cover}", text)
        if wrong or (held and cover and cover + leaving > abs(held)):
            text = (
                f"{symbol}: {held} held, stops of {cover} and {wrong} on the wrong side, exits of {leaving}"
            )
            yield Finding(EXITS_FLIPPED, f"{symbol} {held} {cover} {wrong}", text)


def _flips(truth: Truth) -> Iterator[Finding]:
    """Walk through the executions: a stop, or an order that went out to reduce, may only ever reduce."""
    covered = {order.parent for order in truth.orders.values() if order.stop and order.parent}
    held: Counter[str] = Counter()
    for fill in truth.fills:
        before, shares = held[fill.symbol], fill.side.sign * fill.quantity
        held[fill.symbol] += shares
        order = truth.orders.get(fill.perm_id)
        if order is None or not order.ref or not shares or order.perm_id in covered:
            continue  # an entry, known by the stop attached to it
        leaves = order.held * order.sign < 0 and order.quantity <= abs(order.held)
        if (order.stop or leaves) and (before * shares >= 0 or abs(shares) > abs(before)):
            text = f"{order.ref} {_worded(fill)}: {fill.symbol} went from {before} to {held[fill.symbol]}"
            yield Finding(EXITS_FLIPPED, fill.exec_id, text)
