"""What the desk says and remembers: facts, and the step that carries them with its commands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from robo_trader.core.events import Command, Lot, Message, OrderStatus, Side, TradingState, encode


class Regime(StrEnum):
    """What kind of market it is, the most urgent first: where several hold, the first counts."""

    CRASH = "crash"
    VOLATILE = "volatile"
    SQUEEZE = "squeeze"
    BREAKOUT = "breakout"
    BULL = "bull"
    BEAR = "bear"
    NEUTRAL = "neutral"


class Payoff(msgspec.Struct, frozen=True, gc=False):
    """What votes came to on bars nobody had seen: mean gain and loss net of cost, bps, of so many trades; both above 0."""

    win_bps: float
    loss_bps: float
    trades: int


class Signal(Message, frozen=True, tag=True, gc=False):
    """What a strategy wants to hold: `direction` +1 long, 0 flat, -1 short; `strength` in [0, 1]; and why.

    `probability` is that of a rise, calibrated; `payoff` what such votes have come to; the desk adds the regime.
    """

    ts: int
    symbol: str
    strategy: str
    direction: int
    strength: float
    reason: str
    probability: float | None = None
    model: str = ""
    payoff: Payoff | None = None
    regime: str = ""


class Abstained(Message, frozen=True, tag=True, gc=False):
    """A strategy declined to speak, and why; told once per reason and symbol, not on every bar."""

    ts: int
    symbol: str
    strategy: str
    reason: str
    probability: float | None = None
    regime: str = ""


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
    steps: dict[str, float] = {}  # noqa: RUF012 msgspec gives each its own
    regime: str = ""


class Denied(Message, frozen=True, tag=True, gc=False):
    """A gate refused an order: which, why, the value and the limit (None where it was unknown)."""

    ts: int
    order_id: str
    symbol: str
    gate: str
    reason: str
    value: float | None = None
    limit: float | None = None


class FeatureRow(Message, frozen=True, tag=True, gc=False, omit_defaults=True):
    """The feature vector of one bar as little-endian float64 bytes, in the order of schema `version`.

    In the journal `digest` stands for the `values`: see `journaled`.
    """

    ts: int
    symbol: str
    version: str
    values: bytes = b""
    digest: str = ""


class Equity(Message, frozen=True, tag=True, gc=False):
    """The books at a moment: cash + value == start + realised + unrealised, realised net of commission.

    `day_start` is the equity the exchange session began with, less what has come or gone since by no trade.
    """

    ts: int
    cash: Decimal
    value: Decimal
    start: Decimal
    realised: Decimal
    unrealised: Decimal
    day_start: Decimal | None = None


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
    """New exposure is refused from here on; `state` is REDUCING or HALTED."""

    ts: int
    reason: str
    by: str
    state: TradingState = TradingState.HALTED


class Resumed(Message, frozen=True, tag=True, gc=False):
    """What `lifted` had stopped, it stops no more; `state` is what holds now."""

    ts: int
    reason: str
    by: str
    lifted: tuple[str, ...] = ()
    state: TradingState = TradingState.ACTIVE


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


class Agreed(Message, frozen=True, tag=True, gc=False):
    """A quarantine is over, and how: by itself, or by a person's remedy."""

    ts: int
    symbol: str
    quantity: int
    how: str


class Ignored(Message, frozen=True, tag=True, gc=False):
    """A person said that `shares` of the broker's position are not ours to trade, until a time (ns UTC)."""

    ts: int
    symbol: str
    shares: int
    until: int
    why: str


class CashMoved(Message, frozen=True, tag=True, gc=False):
    """The broker's cash changed by no trade (dividend, interest, fee, transfer, a remedy) and ours followed."""

    ts: int
    amount: Decimal
    cash: Decimal
    why: str


class Corrected(Message, frozen=True, tag=True, gc=False):
    """An execution was replaced by a later version of itself, or taken back (quantity 0)."""

    ts: int
    symbol: str
    exec_id: str
    replaces: str
    quantity: int
    price: Decimal
    was_quantity: int
    was_price: Decimal


class SplitBooked(Message, frozen=True, tag=True, gc=False):
    """Books, stops and features count a share anew: `new` for `old`, from `since` (ns UTC) on; `why` says who wanted it.

    `stop_price` is where the position shall be protected, None for none.
    """

    ts: int
    symbol: str
    new: int
    old: int
    since: int
    stop_price: Decimal | None
    why: str


class SplitSuspected(Message, frozen=True, tag=True, gc=False):
    """A night looks like a split of `new` shares for `old`: strategies are not asked of the share until that is over.

    One for one says that it is.
    """

    ts: int
    symbol: str
    new: int
    old: int
    why: str

    @property
    def is_over(self) -> bool:
        """Whether it looks like none any more."""
        return self.new == self.old


class Unprotected(Message, frozen=True, tag=True, gc=False):
    """Shares are held that no stop at the broker protects, and why; told once, `shares` 0 when it is over."""

    ts: int
    symbol: str
    shares: int
    why: str


class RegimeChanged(Message, frozen=True, tag=True, gc=False):
    """A symbol's market is of another kind than before (`was` empty: told for the first time), and by which rule.

    Where it is not `known`, too little is known for that rule, and NEUTRAL stands for it.
    """

    ts: int
    symbol: str
    regime: Regime
    was: str
    why: str
    known: bool = True


class Drifted(Message, frozen=True, tag=True, gc=False):
    """A feature no longer looks as in training: a statistic (`test`) crossed its limit; below it, it has come back."""

    ts: int
    feature: str
    test: str
    value: float
    limit: float


class DriftSummary(Message, frozen=True, tag=True):
    """How the features of the last `rows` bars stand against training: told first, at each close, and with an alarm.

    `drifting` of `columns` are distributed otherwise by both tests of that; `worst` are the readings furthest beyond
    their limits, or nearest to them.
    """

    ts: int
    session: str
    rows: int
    columns: int
    drifting: int
    alarm: bool
    worst: tuple[Drifted, ...]


class Shadow(Message, frozen=True, tag=True, gc=False):
    """What champion and challenger, by their versions, said of the same bar; only the champion was listened to."""

    ts: int
    symbol: str
    champion: str
    challenger: str
    said: float
    shadow: float


Fact = (
    Signal | Abstained | Decision | Denied | FeatureRow | Equity | PositionChanged | OrderChanged
    | Halted | Resumed | Anomaly | Mismatch | Agreed | Ignored | CashMoved | Corrected | Unprotected
    | RegimeChanged | Drifted | DriftSummary | SplitBooked | SplitSuspected | Shadow
)  # fmt: skip


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one event made the desk do and say."""

    commands: Sequence[Command] = ()
    facts: Sequence[Fact] = ()


NOTHING = Step()
_DIGEST_BYTES = 16
_step_decoder: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)


def journaled(step: Step) -> bytes:
    """Write a step as the journal keeps it: of each vector the digest, for whoever replays the bars has its numbers.

    >>> journaled(Step((), (FeatureRow(1, "A", "v", bytes(8)),)))[-46:]
    b'"digest":"c804ce198ec337e3dc762bdd1a09aece"}]}'
    """
    if not any(isinstance(fact, FeatureRow) for fact in step.facts):
        return encode(step)
    return encode(Step(step.commands, [digested(fact) for fact in step.facts]))


def digested(fact: Fact) -> Fact:
    """Return the fact as the journal keeps it."""
    if not isinstance(fact, FeatureRow):
        return fact
    digest = hashlib.blake2b(fact.values, digest_size=_DIGEST_BYTES).hexdigest()
    return FeatureRow(fact.ts, fact.symbol, fact.version, digest=digest)


def decode_step(data: bytes) -> Step:
    """Read one step back from the journal's JSON. Raises msgspec.ValidationError on anything else."""
    return _step_decoder.decode(data)
