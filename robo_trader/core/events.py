"""What the desk hears, says and remembers: frozen messages, time in UTC nanoseconds.

`ts` is when a thing became known: a bar's `ts` is its close. What we observe is float, what we own is Decimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1_440 * MINUTE_NS


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order is priced; the values are TWS's own."""

    MARKET = "MKT"
    LIMIT = "LMT"


class OrderStatus(StrEnum):
    """Where an order is in its life; `core/orders.py` says which steps are legal."""

    INTENT = "intent"  # committed here, not yet known to the broker
    WORKING = "working"  # the broker has it
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # we cannot tell; resolved by asking, never by sending again
    NEVER_SENT = "never_sent"  # the broker does not know it after a restart


class Feed(StrEnum):
    """What a `FeedStatus` says of a stream."""

    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    GAP = "gap"  # bars were missed and have been back-filled
    REJECTED = "rejected"  # a bar or tick failed validation and was dropped


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="kind", gc=False):
    """The root of all messages: immutable, the same thing in memory, in the journal and on the wire."""


# --------------------------------------------------------------------------------------------------- events


class Bar(Message, frozen=True, tag=True, gc=False):
    """A closed bar of trades. Prices in USD, volume in shares, `ts` its close; `history` bars only warm features."""

    symbol: str
    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    interval_ns: int = MINUTE_NS
    history: bool = False


class Quote(Message, frozen=True, tag=True, gc=False):
    """The best bid and ask with sizes in shares, both sides positive and uncrossed."""

    symbol: str
    ts: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float


class Trade(Message, frozen=True, tag=True, gc=False):
    """One print of the tape, sampled as the broker samples it."""

    symbol: str
    ts: int
    price: float
    size: float


class FeedStatus(Message, frozen=True, tag=True, gc=False):
    """A stream changed state; `symbol` is empty when it concerns the whole session."""

    ts: int
    symbol: str
    state: Feed
    detail: str = ""


class OrderUpdate(Message, frozen=True, tag=True, gc=False):
    """What the broker says of one of our orders. `broker_id` is its permanent id (0 while unknown)."""

    ts: int
    order_id: str
    status: OrderStatus
    filled: int = 0
    remaining: int = 0
    broker_id: int = 0
    reason: str = ""


class Fill(Message, frozen=True, tag=True, gc=False):
    """An execution. Told again with its commission once that is known: `exec_id` makes booking idempotent."""

    ts: int
    order_id: str
    exec_id: str
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    commission: Decimal | None = None


class Lot(Message, frozen=True, tag=True, gc=False):
    """Shares bought (or, negative, sold short) at one price."""

    quantity: int
    price: Decimal


class Holding(Message, frozen=True, tag=True, gc=False):
    """A position as lots, oldest first; `broker_quantity` is what the broker says (equal unless quarantined)."""

    symbol: str
    quantity: int
    lots: tuple[Lot, ...] = ()
    broker_quantity: int = 0


class Order(Message, frozen=True, tag=True, gc=False):
    """A wish to trade. A parent (`parent_id == id`) is worked by an algorithm as children; only children are sent."""

    id: str
    parent_id: str
    symbol: str
    side: Side
    quantity: int
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    algorithm: str = "market"
    reason: str = ""


class OpenOrder(Message, frozen=True, tag=True, gc=False):
    """An order of ours from before, by `order.id`: alive at the broker, or one whose end we have yet to book."""

    order: Order
    filled: int = 0
    broker_id: int = 0
    status: OrderStatus = OrderStatus.WORKING
    alive: bool = True


class AccountSnapshot(Message, frozen=True, tag=True, gc=False):
    """The account as agreed at start or as the broker sees it now; the first of a session opens the books."""

    ts: int
    account: str
    cash: Decimal
    net_liquidation: Decimal
    holdings: tuple[Holding, ...] = ()
    orders: tuple[OpenOrder, ...] = ()
    # Executions the broker knows of; at the opening, those that holdings and cash contain already.
    fills: tuple[Fill, ...] = ()
    # The daily-loss counter must survive a restart: the session it counts, and the equity that session began with.
    day: str = ""
    day_start: Decimal | None = None


class Timer(Message, frozen=True, tag=True, gc=False):
    """A time that was asked for has come; `key` says who asked."""

    ts: int
    key: str


class Halt(Message, frozen=True, tag=True, gc=False):
    """Somebody stops new exposure; cancels and reductions still pass."""

    ts: int
    reason: str
    by: str


class Resume(Message, frozen=True, tag=True, gc=False):
    """Somebody allows new exposure again."""

    ts: int
    reason: str
    by: str


Event = Bar | Quote | Trade | FeedStatus | OrderUpdate | Fill | AccountSnapshot | Timer | Halt | Resume
# ------------------------------------------------------------------------------------------------- commands


class Submit(Message, frozen=True, tag=True, gc=False):
    """Send this order; it has passed every gate."""

    order: Order


class Modify(Message, frozen=True, tag=True, gc=False):
    """Replace a working order's quantity or limit."""

    order: Order


class Cancel(Message, frozen=True, tag=True, gc=False):
    """Take back what is left of a working order."""

    order_id: str


class SetTimer(Message, frozen=True, tag=True, gc=False):
    """Wake me with `Timer(key)` at market time `ts` or later."""

    ts: int
    key: str


Command = Submit | Modify | Cancel | SetTimer
# ---------------------------------------------------------------------------------------------------- facts


class Signal(Message, frozen=True, tag=True, gc=False):
    """What a strategy wants to hold: `direction` +1 long, 0 flat, -1 short; `strength` in [0, 1]; and why."""

    ts: int
    symbol: str
    strategy: str
    direction: int
    strength: float
    reason: str
    probability: float | None = None
    model: str = ""


class Abstained(Message, frozen=True, tag=True, gc=False):
    """A strategy declined to speak, and why; told once per reason and symbol, not on every bar."""

    ts: int
    symbol: str
    strategy: str
    reason: str
    probability: float | None = None


class Decision(Message, frozen=True, tag=True, gc=False):
    """How a signal became an order, or why it did not (`order_id` empty): sizing steps by name."""

    ts: int
    symbol: str
    strategy: str
    order_id: str
    side: Side
    quantity: int
    algorithm: str
    reason: str
    steps: dict[str, float] = {}


class Denied(Message, frozen=True, tag=True, gc=False):
    """A gate refused an order: which, why, the value and the limit (None where it was unknown)."""

    ts: int
    order_id: str
    symbol: str
    gate: str
    reason: str
    value: float | None = None
    limit: float | None = None


class FeatureRow(Message, frozen=True, tag=True, gc=False):
    """The feature vector of one bar as little-endian float64 bytes, in the order of schema `version`."""

    ts: int
    symbol: str
    version: str
    values: bytes


class Equity(Message, frozen=True, tag=True, gc=False):
    """The books at a moment: cash + value == start + realised + unrealised, realised net of commission."""

    ts: int
    cash: Decimal
    value: Decimal
    start: Decimal
    realised: Decimal
    unrealised: Decimal


class PositionChanged(Message, frozen=True, tag=True, gc=False):
    """A position after a fill, whole: signed quantity, lots oldest first, realised P&L so far (net)."""

    ts: int
    symbol: str
    quantity: int
    lots: tuple[Lot, ...]
    realised: Decimal


class OrderChanged(Message, frozen=True, tag=True, gc=False):
    """An order moved in its state table."""

    ts: int
    order_id: str
    status: OrderStatus
    filled: int
    broker_id: int = 0
    reason: str = ""


class Halted(Message, frozen=True, tag=True, gc=False):
    """New exposure is refused from here on."""

    ts: int
    reason: str
    by: str


class Resumed(Message, frozen=True, tag=True, gc=False):
    """New exposure is allowed again."""

    ts: int
    reason: str
    by: str


class Anomaly(Message, frozen=True, tag=True, gc=False):
    """Something that should not happen did, was survived, and is worth a look (an illegal order step, a foreign fill)."""

    ts: int
    symbol: str
    what: str


class Mismatch(Message, frozen=True, tag=True, gc=False):
    """Our position and the broker's differ; the symbol is quarantined until they agree."""

    ts: int
    symbol: str
    ours: int
    broker: int


Fact = (
    Signal | Abstained | Decision | Denied | FeatureRow | Equity | PositionChanged | OrderChanged
    | Halted | Resumed | Anomaly | Mismatch
)  # fmt: skip


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one event made the desk do and say."""

    commands: Sequence[Command] = ()
    facts: Sequence[Fact] = ()


NOTHING = Step()

_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_step_decoder: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)
encode = msgspec.json.Encoder(decimal_format="string").encode


def decode_event(data: bytes) -> Event:
    """Read one event back from the journal's JSON. Raises msgspec.ValidationError on anything else."""
    return _event_decoder.decode(data)


def decode_step(data: bytes) -> Step:
    """Read one step back from the journal's JSON. Raises msgspec.ValidationError on anything else."""
    return _step_decoder.decode(data)
