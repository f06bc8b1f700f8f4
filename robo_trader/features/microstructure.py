"""What the book and the tape say between two bars.

Quotes, trades and depth (`market_depth`) count for the bar in whose time they fall, by their own `ts`, whether or not it
has come yet: bars come a moment after their end, and a quote of that moment belongs to the next one. What comes after its
bar was told counts as if it had come with that bar, so for the next one. Bars are counted from the session's open; each
session starts with an empty book. The broker samples quotes and trades, so these are measures of a sample.
"""

from __future__ import annotations

import math

import numpy as np

from robo_trader.features.base import Feature, Floats, Group, Unit
from robo_trader.features.cross_section import CONTEXT as FIRST
from robo_trader.features.kernels import TIE, Array, kernel, ratio, smooth
from robo_trader.features.market_depth import BIDS, LADDER, is_ladder, measure, tell
from robo_trader.features.market_depth import CONTEXT as BEFORE
from robo_trader.features.market_depth import FIELDS as BEHIND

# What `sample` tells of a bar, in `context`, behind what `market_depth.tell` says.
SPREAD, QUEUE, FLOW, MICRO, SIGN, REALISED = range(BEFORE, BEFORE + 6)
CONTEXT = BEFORE + 6

# The book of one symbol is one flat array. The session, the time and the standing quote first.
INTERVAL, OPEN, CLOSE, CLOCK = 0, 1, 2, 3
BID, ASK, BID_SIZE, ASK_SIZE, MID, PRICE, TICK = 4, 5, 6, 7, 8, 9, 10
# Then the sums of the bar in the making, and those of the bar before it until that is told.
END, QUOTES, SPREADS, IMBALANCES, FLOWS, DEPTHS, IMBALANCE, SIGNED, TRADED, EARNED, RIPE = range(11)
LEVELS = 11  # where the sums of depth begin
FIELDS = LEVELS + BEHIND
MAKING, DONE = 11, 11 + FIELDS
# Then trades that wait for the mid of five minutes later, summed over a few seconds each.
DUE, OLDEST = DONE + FIELDS, DONE + FIELDS + 1
WAITING = OLDEST + 1
SLOT_S, LATER_S, SLOTS = 5.0, 300.0, 64
VALUES, SHARES, SIZES = WAITING, WAITING + SLOTS, WAITING + 2 * SLOTS
STANDING = WAITING + 3 * SLOTS  # last, the levels that stand
SIZE = STANDING + LADDER


def new_book(interval_s: float) -> Floats:
    """Return the book of a symbol with bars of `interval_s` seconds before its first quote."""
    book = np.zeros(SIZE)
    book[INTERVAL] = interval_s
    return book


OPEN_BOOK_SIGNATURE = "void(float64[::1], float64, float64)"


@kernel
def open_book(b: Array, opens: float, closes: float) -> None:
    """Begin a session, from `opens` to `closes` (UTC seconds), with an empty book."""
    for i in range(OPEN, SIZE):
        b[i] = 0.0
    b[OPEN], b[CLOSE], b[CLOCK] = opens, closes, opens
    b[OLDEST] = math.floor(opens / SLOT_S)
    b[DUE] = (b[OLDEST] + 1.0) * SLOT_S + LATER_S


@kernel
def _ripen(b: Array, until: float) -> None:
    """Measure the trades whose five minutes are over at `until` by the standing mid."""
    if until < b[DUE]:
        return
    after = math.floor((until - LATER_S) / SLOT_S)  # the first slot that still waits
    mid = b[MID]
    for i in range(int(min(after - b[OLDEST], SLOTS))):
        k = (int(b[OLDEST]) + i) & (SLOTS - 1)
        if mid > 0.0 and b[SIZES + k] > 0.0:
            b[MAKING + EARNED] += 2.0 * (b[VALUES + k] - mid * b[SHARES + k]) / mid
            b[MAKING + RIPE] += b[SIZES + k]
        b[VALUES + k] = b[SHARES + k] = b[SIZES + k] = 0.0
    b[OLDEST] = after
    b[DUE] = (after + 1.0) * SLOT_S + LATER_S


@kernel
def _begin_bar(b: Array, start: float) -> None:
    """Begin the sums of the bar that starts at `start`."""
    for i in range(FIELDS):
        b[MAKING + i] = 0.0
    b[MAKING + END] = min(start + b[INTERVAL], b[CLOSE])


@kernel
def _reach(b: Array, seconds: float) -> float:
    """Move on to an event's moment, never back, and to the bar it belongs to; return the moment."""
    moment = max(seconds, float(b[CLOCK]))
    b[CLOCK] = moment
    if moment > b[MAKING + END]:
        _ripen(b, b[MAKING + END])
        for i in range(FIELDS):
            b[DONE + i] = b[MAKING + i]
        start = b[OPEN] + (math.ceil((moment - b[OPEN]) / b[INTERVAL]) - 1.0) * b[INTERVAL]
        _ripen(b, start)
        _begin_bar(b, start)
    _ripen(b, moment)
    return moment


@kernel
def _order_flow(b: Array, bid: float, ask: float, bid_size: float, ask_size: float) -> float:
    """Return what the book gained at the bid and lost at the ask since the standing quote, in shares."""
    flow = 0.0
    if bid >= b[BID]:
        flow += bid_size
    if bid <= b[BID]:
        flow -= b[BID_SIZE]
    if ask <= b[ASK]:
        flow -= ask_size
    if ask >= b[ASK]:
        flow += b[ASK_SIZE]
    return flow


@kernel
def _side(b: Array, price: float) -> float:
    """Sign a trade by Lee and Ready: by the standing mid, at the mid by the last change of price, else 0."""
    if b[PRICE] > 0.0 and abs(price - b[PRICE]) > TIE * price:
        b[TICK] = math.copysign(1.0, price - b[PRICE])
    b[PRICE] = price
    if b[MID] > 0.0 and abs(price - b[MID]) > TIE * price:
        return math.copysign(1.0, price - b[MID])
    return float(b[TICK])


ON_QUOTE_SIGNATURE = "boolean(float64[::1], float64, float64, float64, float64, float64)"


@kernel
def on_quote(b: Array, seconds: float, bid: float, ask: float, bid_size: float, ask_size: float) -> bool:
    """Take a quote at `seconds` (UTC), sizes in shares; return False, and take nothing, outside the book's session.

    A quote that cannot be, crossed or not above zero or not finite, is passed over.
    """
    if not b[OPEN] < seconds <= b[CLOSE]:
        return False
    if not (0.0 < bid <= ask < np.inf and 0.0 <= bid_size < np.inf and 0.0 <= ask_size < np.inf):
        return True
    _reach(b, seconds)
    if b[MID] > 0.0:
        b[MAKING + FLOWS] += _order_flow(b, bid, ask, bid_size, ask_size)
    b[BID], b[ASK], b[BID_SIZE], b[ASK_SIZE], b[MID] = bid, ask, bid_size, ask_size, (bid + ask) / 2.0
    b[MAKING + IMBALANCE] = ratio(bid_size - ask_size, bid_size + ask_size, 0.0)
    b[MAKING + QUOTES] += 1.0
    b[MAKING + SPREADS] += (ask - bid) / b[MID]
    b[MAKING + IMBALANCES] += b[MAKING + IMBALANCE]
    b[MAKING + DEPTHS] += (bid_size + ask_size) / 2.0
    return True


ON_TRADE_SIGNATURE = "boolean(float64[::1], float64, float64, float64)"


@kernel
def on_trade(b: Array, seconds: float, price: float, size: float) -> bool:
    """Take a trade at `seconds` (UTC), `size` in shares; return False, and take nothing, outside the book's session.

    A trade that cannot be is passed over.
    """
    if not b[OPEN] < seconds <= b[CLOSE]:
        return False
    if not (0.0 < price < np.inf and 0.0 <= size < np.inf):
        return True
    moment = _reach(b, seconds)
    signed = _side(b, price) * size
    b[MAKING + SIGNED] += signed
    b[MAKING + TRADED] += size
    k = int(moment / SLOT_S) & (SLOTS - 1)
    b[VALUES + k] += signed * price
    b[SHARES + k] += signed
    b[SIZES + k] += abs(signed)
    return True


ON_DEPTH_SIGNATURE = "boolean(float64[::1], float64, float64[::1])"


@kernel
def on_depth(b: Array, seconds: float, row: Array) -> bool:
    """Take levels (`market_depth.ladder`) at `seconds` (UTC); return False, and take nothing, outside the book's session.

    A row of no levels says that the last ones are gone; one that cannot be is passed over.
    """
    if not b[OPEN] < seconds <= b[CLOSE]:
        return False
    if row[BIDS] == 0.0:
        b[STANDING] = 0.0
    elif is_ladder(row):
        _reach(b, seconds)
        measure(row, b, MAKING + LEVELS, STANDING)
    return True


@kernel
def _tell(b: Array, bar: int, context: Array) -> None:
    """Write what is known of a bar: of quotes nothing where it saw none."""
    tell(b, bar + LEVELS, context)
    quotes = b[bar + QUOTES]
    if quotes == 0.0:
        return
    context[SPREAD] = 1e4 * b[bar + SPREADS] / quotes
    context[QUEUE] = b[bar + IMBALANCES] / quotes
    context[FLOW] = ratio(b[bar + FLOWS] * quotes, b[bar + DEPTHS], 0.0)
    context[MICRO] = b[bar + IMBALANCE] / 2.0
    context[SIGN] = ratio(b[bar + SIGNED], b[bar + TRADED], 0.0)
    context[REALISED] = 1e4 * b[bar + EARNED] / b[bar + RIPE] if b[bar + RIPE] > 0.0 else np.nan


@kernel
def sample(b: Array, seconds: float, context: Array) -> None:
    """Tell in `context` what was seen during the bar that closed at `seconds` (UTC), NaN for nothing."""
    for i in range(FIRST, CONTEXT):
        context[i] = np.nan
    if not b[OPEN] < seconds <= b[CLOSE]:
        return
    if b[DONE + END] == seconds:
        _tell(b, DONE, context)
    if b[MAKING + END] <= seconds:
        _ripen(b, seconds)
        if b[MAKING + END] == seconds:
            _tell(b, MAKING, context)
        _begin_bar(b, seconds)
        b[CLOCK] = max(b[CLOCK], seconds)


REPLAY_SIGNATURE = (
    "void(float64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[::1],"
    " float64[:, ::1])"
)


@kernel
def replay(
    b: Array, quotes: Array, trades: Array, depths: Array, sessions: Array, seconds: Array, context: Array
) -> None:
    """Go through what was told of a symbol in order of time, at one time quotes first, then trades, and sample its bars.

    `quotes` is (n, 5): time (UTC seconds), bid, ask and their sizes; `trades` (n, 3): time, price, size; `depths`
    (n, 1 + LADDER): time and levels; all of `sessions` only, (n, 2): open and close. Bars close at `seconds`, NaN to pass
    one over; `context` takes a row each.
    """
    i = j = d = day = 0
    for k in range(seconds.shape[0]):
        while True:
            quoted = quotes[i, 0] if i < quotes.shape[0] else np.inf
            traded = trades[j, 0] if j < trades.shape[0] else np.inf
            seen = depths[d, 0] if d < depths.shape[0] else np.inf
            moment = min(quoted, traded, seen)
            if not moment <= seconds[k]:
                break
            while sessions[day, 1] < moment:
                day += 1
            if b[OPEN] != sessions[day, 0]:
                open_book(b, sessions[day, 0], sessions[day, 1])
            if quoted == moment:
                on_quote(b, quoted, quotes[i, 1], quotes[i, 2], quotes[i, 3], quotes[i, 4])
                i += 1
            elif traded == moment:
                on_trade(b, traded, trades[j, 1], trades[j, 2])
                j += 1
            else:
                on_depth(b, seen, depths[d, 1:])
                d += 1
        if not np.isnan(seconds[k]):
            sample(b, seconds[k], context[k])


class Microstructure(Feature):
    """A feature of this room; it needs quotes, and is NaN for a bar without one."""

    group = Group.MICROSTRUCTURE
    optional = True


class QuotedSpread(Microstructure):
    """ln of the mean of (ask - bid) / mid over the bar's quotes, in basis points and not below 0.01.

    Source: Huang and Stoll 1996, Journal of Financial Economics 41:3.
    """

    def __init__(self) -> None:
        super().__init__("spread_log", 1, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return math.log(max(context[SPREAD], 0.01)) if not np.isnan(context[SPREAD]) else np.nan


class QueueImbalance(Microstructure):
    """Exponential mean, 2/({period} + 1), of the mean of (bid size - ask size) / (bid size + ask size) over a bar's quotes,
    from the mean of the first {period} bars with quotes; bars without are passed over.

    Source: Gould and Bonart 2016, Market Microstructure and Liquidity 2:2.
    """

    def __init__(self, period: int = 20) -> None:
        super().__init__(f"queue_imbalance_{period}", period, period, own_units=[Unit.PURE] * 2)
        self.period = period

    @staticmethod
    @kernel
    def step(s: Array, own: int, context: Array, period: int) -> float:
        if np.isnan(context[QUEUE]):
            return np.nan
        s[own + 1] += 1.0
        s[own] = smooth(s[own], context[QUEUE], int(s[own + 1]), period, 2.0 / (period + 1.0))
        return float(s[own]) if s[own + 1] >= period else np.nan


class OrderFlow(Microstructure):
    """Sum of e over the bar's quotes, over their mean depth (bid size + ask size) / 2; e of a quote: its bid size if the
    bid did not fall, less the last bid size if it did not rise, less its ask size if the ask did not rise, and the last
    ask size if it did not fall.

    Source: Cont, Kukanov and Stoikov 2014, Journal of Financial Econometrics 12:1.
    """

    def __init__(self) -> None:
        super().__init__("order_flow", 1, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[FLOW])


class MicroPrice(Microstructure):
    """(micro-price - mid) / (ask - bid) of the bar's last quote, the micro-price each side weighted by the other's size:
    so half of (bid size - ask size) / (bid size + ask size).

    Source: Gatheral and Oomen 2010, Finance and Stochastics 14:2.
    """

    def __init__(self) -> None:
        super().__init__("micro_price", 1, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[MICRO])


class TradeSign(Microstructure):
    """Shares bought less shares sold over all shares of the bar's trades, 0 without trades; a trade above the standing
    mid is bought, one below sold, one at the mid as the price last changed.

    Source: Lee and Ready 1991, Journal of Finance 46:2.
    """

    def __init__(self) -> None:
        super().__init__("trade_sign", 1, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[SIGN])


class RealisedSpread(Microstructure):
    """Mean by shares of 2 sign (price - mid) / mid in basis points, mid that of 300 to 305 seconds after the trade, over
    the trades whose time was up during the bar, signed as in trade_sign; NaN where there were none.

    Source: Huang and Stoll 1996, Journal of Financial Economics 41:3.
    """

    def __init__(self) -> None:
        super().__init__("realised_spread", 0, 1)

    @staticmethod
    @kernel
    def step(context: Array) -> float:
        return float(context[REALISED])


FEATURES: tuple[Feature, ...] = (
    QuotedSpread(),
    QueueImbalance(),
    OrderFlow(),
    MicroPrice(),
    TradeSign(),
    RealisedSpread(),
)
