"""The ports of the desk: who may be plugged in, each as narrow as its caller needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Command,
    Depth,
    Event,
    Fill,
    ModelChanged,
    Order,
    OrderUpdate,
    Quote,
    SetTimer,
    Side,
    Timer,
    Trade,
)
from robo_trader.core.steps import Fact, Regime, Signal, Step

Vector = NDArray[np.float64]


class Session(msgspec.Struct, frozen=True, gc=False):
    """One trading session: its New York date as YYYY-MM-DD and its open and close in UTC nanoseconds."""

    label: str
    open: int
    close: int


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A regime and the rule it follows from; NEUTRAL and not `known` where too little is known for that rule."""

    regime: Regime
    why: str
    known: bool = True


class Calendar(Protocol):
    """Knows when the exchange trades."""

    def session(self, ts: int) -> Session | None:
        """Return the session that contains `ts` (open < ts <= close for a bar's close), None outside hours."""


class View(Protocol):
    """What strategies, sizers and gates may see of the desk. Unknown is None, and unknown means no."""

    @property
    def now(self) -> int: ...
    @property
    def stopped(self) -> str:
        """Why new exposure is refused, empty while it is allowed."""

    def position(self, symbol: str) -> int: ...
    def working(self, symbol: str) -> int:
        """Signed shares still to come from orders that work now."""

    def price(self, symbol: str) -> float | None: ...
    def price_age_ns(self, symbol: str) -> int | None: ...
    def feature(self, symbol: str, name: str) -> float | None:
        """The named feature at the last closed bar, None while warming or unknown."""

    def vector(self, symbol: str) -> Vector | None: ...
    def held(self) -> Sequence[str]:
        """Symbols with a position or a working order."""

    def equity(self) -> Decimal | None: ...
    def day_start_equity(self) -> Decimal | None: ...
    def session(self) -> Session | None: ...
    def quarantined(self, symbol: str) -> bool: ...
    def regime(self, symbol: str) -> Reading | None:
        """What kind of market the symbol is in, None where nobody looks."""


class FeatureEngine(Protocol):
    """Turns bars, and what quotes, trades and depth tell between them, into vectors, one compiled step a bar."""

    names: tuple[str, ...]
    version: str

    def update(self, bar: Bar) -> Vector | None:
        """Take one closed bar of its symbol; return its (n_features,) vector, NaN where a feature is warming."""

    def on_quote(self, quote: Quote) -> None: ...
    def on_trade(self, trade: Trade) -> None: ...
    def on_depth(self, depth: Depth) -> None: ...
    def rescale(self, symbol: str, ratio: float, since: int) -> Vector:
        """Count a share anew; return the (n, n_features) vectors of the bars after `since`, as they should have been.

        Raises DataError where that cannot be done.
        """


class Strategy(Protocol):
    """Says what it wants to hold, and why."""

    name: str

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]: ...
    def forget(self, symbol: str) -> None:
        """What was seen of a share so far was told in other shares."""


class Successor(Protocol):
    """Goes over to another model, which it gets by its version and hash: the same one in a replay."""

    def adopt(self, change: ModelChanged) -> None:
        """Give the model that role. Raises DataError where it is gone or altered."""


class Watch(Protocol):
    """Looks at every vector of features, history included, and says what is to be known of them; it decides nothing."""

    def on_bar(self, bar: Bar, vector: Vector) -> Sequence[Fact]:
        """Take one closed bar's vector; what is returned for a bar of the past is not told."""

    def correct(self, symbol: str, vectors: Vector) -> None:
        """A share's newest vectors, (n, n_features), should have been these."""


class Suspicion(msgspec.Struct, frozen=True):
    """What a night looks like: a split of `new` shares for `old`, and why."""

    new: int
    old: int
    why: str


class Nights(Protocol):
    """Knows at which price each session opened and the one before it closed."""

    def on_bar(self, bar: Bar) -> Suspicion | None:
        """Take one closed bar; the first of a session that came to its price as by a split says so."""

    def between(self, symbol: str, ours: int, theirs: int) -> Suspicion | None:
        """Say by which split our shares may have become the broker's, None where the night's prices do not agree."""

    def forget(self, symbol: str) -> None:
        """What was seen of a share so far was told in other shares."""


class Regimes(Protocol):
    """Knows what kind of market each symbol is in, by its bars alone, history included."""

    def on_bar(self, bar: Bar) -> Sequence[Fact]:
        """Take one closed bar; return the change it makes, none for a bar of the past."""

    def reading(self, symbol: str) -> Reading: ...
    def forget(self, symbol: str) -> None:
        """Know nothing of a symbol any more: its past is counted in other shares."""


class Sizing(msgspec.Struct, frozen=True):
    """How many signed shares to hold, and the steps that led there by name (USD, shares or fractions)."""

    shares: int
    steps: dict[str, float] = {}
    reason: str = ""


class Sizer(Protocol):
    """Turns a signal into a target position: signed shares, floored, never rounded up."""

    def size(self, signal: Signal, view: View) -> Sizing: ...


class Refusal(msgspec.Struct, frozen=True):
    """Why a gate said no, with the value it saw and the limit it holds."""

    gate: str
    reason: str
    value: float | None = None
    limit: float | None = None


class StopRule(Protocol):
    """Says where a position is wrong."""

    def price(self, symbol: str, side: Side, view: View) -> float | None:
        """Return the stop price in USD of a position entered by `side` now, None where it cannot be known."""


class RiskGate(Protocol):
    """Stands on the way out. Pure; unknown denies; never asked about cancels or reductions."""

    name: str

    def check(self, order: Order, view: View) -> Refusal | None: ...


class Executor(Protocol):
    """Works parent orders as children. Children go out as Submit, schedules as SetTimer."""

    def start(self, order: Order, view: View) -> Sequence[Command]: ...
    def on_timer(self, timer: Timer, view: View) -> Sequence[Command]: ...
    def on_fill(self, fill: Fill) -> None: ...
    def on_cut(self, child: Order) -> None:
        """A child went out with fewer shares than planned: there was no more to close."""

    def on_update(self, update: OrderUpdate) -> Sequence[Command]:
        """A child was cancelled or rejected or refused by a gate: its parent must not wait for it."""

    def stop(self, parent_id: str) -> Sequence[Command]:
        """Give up what is left of a parent: its timers mean nothing any more, its working children are cancelled."""

    def choose(self, order: Order, view: View) -> str:
        """Name the algorithm that suits this parent."""

    def working(self, symbol: str) -> Sequence[tuple[Order, int]]:
        """Parents still being worked (not those given up), each with the signed shares still to come."""


class Broker(Protocol):
    """Carries orders out; what becomes of them returns through the inbox as OrderUpdate and Fill."""

    async def submit(self, order: Order, stop: Order | None = None) -> None:
        """Send an order and, as one with it, the stop attached to it: it protects what the order trades at once."""

    async def modify(self, order: Order) -> None:
        """Change quantity or prices of a live order; an OrderUpdate tells with filled + remaining what stands now."""

    async def cancel(self, order_id: str) -> None: ...
    async def snapshot(self) -> AccountSnapshot: ...


class Inbox(Protocol):
    """Where events wait: by time, ties by arrival; full is loud for orders and thins market data."""

    def put(self, event: Event) -> None: ...
    def set_timer(self, timer: SetTimer) -> None: ...
    def of_this_moment(self) -> Event | None:
        """The next event if it is no later than the last one, without waiting."""

    def __aiter__(self) -> AsyncIterator[Event]: ...


class Journal(Protocol):
    """Remembers what happened: what was added is on disk once `commit` returns."""

    def add(self, event: Event, step: Step) -> bool:
        """Take one event and its step; return whether it must be on disk before anything of it is sent."""

    async def commit(self) -> None: ...


class Listener(Protocol):
    """Hears of each step once it is on disk and on its way."""

    async def record(self, event: Event, step: Step) -> None: ...


class Execution(msgspec.Struct, frozen=True, gc=False):
    """Shares exchanged at a price, before it has an id and a commission."""

    quantity: int
    price: Decimal


class Market(msgspec.Struct, frozen=True, gc=False):
    """What an order can trade against now: the standing quote and the shares it may take before the next one."""

    ts: int
    bid: float
    ask: float
    available: int


class FillModel(Protocol):
    """Decides what part of an order trades, and at what price."""

    def fill(self, order: Order, remaining: int, market: Market) -> Execution | None: ...
