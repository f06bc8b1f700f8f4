"""What the desk hears and what it orders: frozen messages, time in UTC nanoseconds.

`ts` is when a thing became known: a bar's `ts` is its close. What we observe is float, what we own is Decimal.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

import msgspec

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1_440 * MINUTE_NS
Level = tuple[float, float]  # of the book: a price in USD and the shares there
OPERATOR = "operator"  # `by` of what a person wants, who alone lifts a halt, whoever called it


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is Side.BUY else -1

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """How an order is priced; the values are TWS's own."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"  # what protects a position


class TradingState(StrEnum):
    """What the desk may do; cancels, reductions and protective stops pass in each of them."""

    ACTIVE = "active"
    REDUCING = "reducing"  # nothing new is opened; lifted by whoever asked for it
    HALTED = "halted"  # what works and would open is taken back as well; only a person lifts it

    @staticmethod
    def furthest(states: Iterable[TradingState]) -> TradingState:
        """Return the one that stops most, ACTIVE for none."""
        return max(states, key=list(TradingState).index, default=TradingState.ACTIVE)


class Remedy(StrEnum):
    """What a person does about a position that differs from the broker's."""

    ADOPT = "adopt"  # the broker is right: our books follow
    FLATTEN = "flatten"  # adopt, then close what is there
    IGNORE = "ignore"  # the difference is not ours to trade: leave it out of account until a time


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


NOT_FILLED = "not filled"


class Feed(StrEnum):
    """What a `FeedStatus` says of a stream."""

    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    GAP = "gap"  # bars were missed and have been back-filled, or were given up: the detail begins with NOT_FILLED
    REJECTED = "rejected"  # a bar or tick failed validation and was dropped
    DOUBTED = "doubted"  # what was fetched of the past lacks bars, or steps as no market does; nothing was done about it


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


class Depth(Message, frozen=True, tag=True, gc=False):
    """The best levels of the book, best first, each a price in USD and shares; of neither side where it was taken away."""

    symbol: str
    ts: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


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
    """An execution, booked once by `exec_id`. Told again with its commission once that is known, and with a higher last
    number of its id where the exchange corrected it; one of no shares takes it back.
    """

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
    exec_id: str = ""  # of the execution it came by, as first told; empty for what was there before us


class Holding(Message, frozen=True, tag=True, gc=False):
    """A position as lots, oldest first; `broker_quantity` is what the broker says (equal unless quarantined)."""

    symbol: str
    quantity: int
    lots: tuple[Lot, ...] = ()
    broker_quantity: int = 0
    stop_price: Decimal | None = None  # where it was last protected
    not_ours: int = 0  # of the broker's shares, those that a person told us to leave alone ...
    not_ours_until: int = 0  # ... and until when


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
    stop_price: Decimal | None = None
    tif: str = "DAY"  # or GTC
    attached_to: str = (
        ""  # the order whose fills this one protects: the broker works it as far as that one trades
    )

    @property
    def protects(self) -> bool:
        """Whether it is a protective stop: no decision of a strategy, and left standing when the desk stops."""
        return self.type is OrderType.STOP


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
    """Somebody stops new exposure: `state` is REDUCING or HALTED."""

    ts: int
    reason: str
    by: str
    state: TradingState = TradingState.HALTED


class Resume(Message, frozen=True, tag=True, gc=False):
    """Somebody allows new exposure again: lifts what the same `by` stopped, and an operator a halt of anybody."""

    ts: int
    reason: str
    by: str


class Flatten(Message, frozen=True, tag=True, gc=False):
    """A person wants a position closed, all of them where `symbol` is empty."""

    ts: int
    symbol: str
    reason: str
    by: str


class Resolve(Message, frozen=True, tag=True, gc=False):
    """A person says what to do about a quarantined symbol; `until` (ns UTC) bounds IGNORE."""

    ts: int
    symbol: str
    how: Remedy
    reason: str
    by: str
    until: int = 0


class Split(Message, frozen=True, tag=True, gc=False):
    """A person says that a share was split: `new` shares for `old` ones; prices told after `since` (ns UTC) are new.

    `broker` is the position the broker was seen to hold then. `again`: also where this night's split is booked already.
    """

    ts: int
    symbol: str
    new: int
    old: int
    since: int
    broker: int
    reason: str
    by: str
    again: bool = False


Event = (
    Bar | Quote | Depth | Trade | FeedStatus | OrderUpdate | Fill | AccountSnapshot | Timer
    | Halt | Resume | Flatten | Resolve | Split
)  # fmt: skip
# ------------------------------------------------------------------------------------------------- commands


class Submit(Message, frozen=True, tag=True, gc=False):
    """Send this order, and with it, as one, the stop attached to it; it has passed every gate."""

    order: Order
    stop: Order | None = None


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
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
encode = msgspec.json.Encoder(decimal_format="string").encode


def decode_event(data: bytes) -> Event:
    """Read one event back from the journal's JSON. Raises msgspec.ValidationError on anything else."""
    return _event_decoder.decode(data)
