"""Decides which bars and ticks may be believed; a refusal is a value with a reason, never an exception."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from robo_trader.core.events import DAY_NS, MINUTE_NS, Bar, Depth, Quote, Trade
from robo_trader.core.protocols import Session
from robo_trader.data import spikes
from robo_trader.data.ladder import flaw
from robo_trader.data.sessions import XnysCalendar

OUTSIDE_HOURS = "outside hours"

_FEW_RETURNS = 10
# USD that any price moves between bid and ask: Brownlees and Gallo's gamma is two ticks.
_FEW_TICKS = 0.025


@dataclass(frozen=True)
class ValidationOptions:
    """What is still believable. Moves are absolute log returns, distances fractions of the price."""

    # A move beyond this is never believed at once, whatever the volatility.
    max_move: float = 0.20
    # Below it, a move beyond `sigmas` robust deviations of the last `window` returns waits, if above `min_move`.
    sigmas: float = 12.0
    window: int = 30
    min_move: float = 0.01
    # A close is known better than extremes are: it waits beyond so many deviations, if above `min_close_move`.
    close_sigmas: float = 5.0
    min_close_move: float = 0.002
    # Bars of a minute or more with the very same prices and volume before the feed counts as stuck; shorter bars
    # for as many minutes.
    max_identical: int = 5
    # A print may lie this far outside the quote, or one spread, whichever is wider.
    max_trade_distance: float = 0.01
    # A quote wider than this is a stub, not a market.
    max_spread: float = 0.10


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """Why something was not believed: the value it had and the limit it broke (None where there is none)."""

    symbol: str
    ts: int
    reason: str
    value: float | None = None
    limit: float | None = None

    @property
    def detail(self) -> str:
        """The refusal as words and numbers."""
        value = "" if self.value is None else f" {self.value:.6g}"
        limit = "" if self.limit is None else f" (limit {self.limit:.6g})"
        return self.reason + value + limit


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What one bar led to: bars now believed, oldest first, and refusals. Both are empty while a bar is held."""

    accepted: tuple[Bar, ...] = ()
    rejected: tuple[Rejected, ...] = ()


@dataclass
class _Stream:
    """What was last believed of one symbol."""

    last: Bar | None = None
    held: Bar | None = None
    seen_ts: int = 0
    session: Session | None = None
    returns: deque[float] = field(default_factory=deque)
    volumes: deque[float] = field(default_factory=deque)
    identical: int = 0
    quote: Quote | None = None
    trade: Trade | None = None
    depth_ts: int = 0
    doubtful_quote: Quote | None = None
    doubtful_trade: Trade | None = None


class Validator:
    """Checks bars, quotes, trades and depth of any number of symbols, one after the other.

    A bar that jumps is held until the next bar: if that stays at the new level both pass, otherwise the held one
    is refused. This is the one-sided form of Brownlees and Gallo (2006, CSDA 51), which looks at both sides: who stays
    is told by the next bar's open, so that a real move that turns back a minute later is kept. A bar with many times
    the usual volume, as an auction's, may go further. The last bar of a session is judged at once: nothing follows it.
    """

    def __init__(self, calendar: XnysCalendar, options: ValidationOptions | None = None) -> None:
        self._calendar = calendar
        self._options = options or ValidationOptions()
        self._streams: dict[str, _Stream] = {}

    def bar(self, bar: Bar) -> Verdict:
        """Judge one raw bar; the verdict may also settle the bar held before it."""
        stream = self._stream(bar.symbol)
        bar = _with_price(bar, stream.last)
        refusal = _shape(bar) or self._order(bar, stream) or self._hours(bar)
        if refusal is not None:
            return Verdict(rejected=(refusal,))
        stream.seen_ts = bar.ts
        session = self._calendar.session(bar.ts)
        # Of bars that are days each is judged by those before it, as minutes are within their day.
        same_day = session is stream.session or bar.interval_ns >= DAY_NS
        before = self._settle(stream, bar, same_day)
        stream.session = session
        stuck = self._stuck(bar, stream)
        if stuck is not None:
            return Verdict(before.accepted, (*before.rejected, stuck))
        if not self._jumps(bar, stream, same_day):
            return Verdict((*before.accepted, self._believe(stream, bar, same_day)), before.rejected)
        if stream.last is not None and _is_last(bar, session):
            return Verdict(before.accepted, (*before.rejected, self._spike(stream, bar, stream.last)))
        stream.held = bar
        return before

    def history(self, symbol: str, bars: Iterable[Bar]) -> Verdict:
        """Judge a finished series of one symbol apart from its live stream, oldest first.

        The last bar has no follower: a jump within `max_move` is believed there.
        """
        apart = Validator(self._calendar, self._options)
        verdicts = [apart.bar(bar) for bar in bars]
        verdicts.append(apart._finish(symbol))
        accepted = tuple(bar for verdict in verdicts for bar in verdict.accepted)
        rejected = tuple(refusal for verdict in verdicts for refusal in verdict.rejected)
        stream = self._stream(symbol)
        if not stream.seen_ts and accepted:
            # The first live bar is compared with the last close, as after a night.
            stream.last = accepted[-1]
        return Verdict(accepted, rejected)

    def quote(self, quote: Quote) -> Rejected | None:
        """Judge one quote; None means it is believed."""
        stream = self._stream(quote.symbol)
        refusal = self._quote_refusal(quote, stream)
        if refusal is not None:
            return refusal
        stream.quote, stream.doubtful_quote = quote, None
        return None

    def trade(self, trade: Trade) -> Rejected | None:
        """Judge one print; None means it is believed."""
        stream = self._stream(trade.symbol)
        refusal = self._trade_refusal(trade, stream)
        if refusal is not None:
            return refusal
        stream.trade, stream.doubtful_trade = trade, None
        return None

    def depth(self, depth: Depth) -> Rejected | None:
        """Judge the levels of one book; None means they are believed."""
        stream = self._stream(depth.symbol)
        refusal = self._depth_refusal(depth, stream)
        if refusal is not None:
            return refusal
        stream.depth_ts = depth.ts
        return None

    def split(self, symbol: str, ratio: float, since: int) -> None:
        """Compare what comes next with the last bar in new shares, `ratio` for an old one, unless that is of after `since`.

        The first quote and the first print are compared with none.
        """
        stream = self._stream(symbol)
        last = stream.last
        if last is None or last.ts > since:
            return
        prices = {name: getattr(last, name) / ratio for name in ("open", "high", "low", "close")}
        stream.last = msgspec.structs.replace(last, **prices, volume=last.volume * ratio)
        stream.quote = stream.trade = stream.doubtful_quote = stream.doubtful_trade = None

    def _stream(self, symbol: str) -> _Stream:
        stream = self._streams.get(symbol)
        if stream is None:
            window = self._options.window
            stream = self._streams[symbol] = _Stream(
                returns=deque(maxlen=window), volumes=deque(maxlen=window)
            )
        return stream

    def _order(self, bar: Bar, stream: _Stream) -> Rejected | None:
        if bar.ts > stream.seen_ts:
            return None
        reason = "duplicate" if bar.ts == stream.seen_ts else "out of order"
        return Rejected(bar.symbol, bar.ts, reason)

    def _hours(self, item: Bar | Quote | Trade | Depth) -> Rejected | None:
        session = self._calendar.session(item.ts)
        if session is None:
            return Rejected(item.symbol, item.ts, OUTSIDE_HOURS)
        if isinstance(item, Bar):
            # A daily bar is as long as its day, which is shorter than its nominal interval.
            start = item.ts - min(item.interval_ns, session.close - session.open)
            if start < session.open:
                return Rejected(item.symbol, item.ts, OUTSIDE_HOURS)
        return None

    def _settle(self, stream: _Stream, bar: Bar, same_day: bool) -> Verdict:
        """Believe or refuse the held bar, now that `bar` follows it."""
        held, last = stream.held, stream.last
        if held is None or last is None:
            return Verdict()
        stream.held = None
        if same_day and self._confirms(bar, held, stream, last.close):
            return Verdict(accepted=(self._believe(stream, held, same_day),))
        return Verdict(rejected=(self._spike(stream, held, last),))

    def _confirms(self, bar: Bar, held: Bar, stream: _Stream, reference: float) -> bool:
        if spikes.move(held, reference) > self._limit(held, stream):
            return spikes.reaches(bar, held, reference)
        return spikes.opens_there(bar, held, reference)

    def _finish(self, symbol: str) -> Verdict:
        """Settle the held bar of a series that has ended."""
        stream = self._stream(symbol)
        held, last = stream.held, stream.last
        if held is None or last is None:
            return Verdict()
        if spikes.move(held, last.close) <= self._options.max_move:
            return Verdict(accepted=(self._believe(stream, held, same_day=True),))
        return Verdict(rejected=(self._spike(stream, held, last),))

    def _spike(self, stream: _Stream, bar: Bar, last: Bar) -> Rejected:
        move, limit = spikes.move(bar, last.close), self._limit(bar, stream)
        if move <= limit:
            move, limit = spikes.close_move(bar, last.close), self._close_limit(bar, stream)
        return Rejected(bar.symbol, bar.ts, "spike", move, limit)

    def _jumps(self, bar: Bar, stream: _Stream, same_day: bool) -> bool:
        """Whether the bar's extremes or its close lie too far from the last close to be believed at once."""
        if stream.last is None:
            return False
        move = spikes.move(bar, stream.last.close)
        if not same_day:
            # Overnight gaps are no measure of a spike: there only the wide limit holds.
            return move > self._options.max_move
        if move > self._options.min_move and move > self._limit(bar, stream):
            return True
        close = spikes.close_move(bar, stream.last.close)
        if close <= self._options.min_close_move or stream.session is None:
            return False
        # Nothing follows the last bar of a day, and its auction may well move it.
        return bar.ts < stream.session.close and close > self._close_limit(bar, stream)

    def _limit(self, bar: Bar, stream: _Stream) -> float:
        return self._wide(bar, stream, self._options.min_move, self._options.sigmas)

    def _close_limit(self, bar: Bar, stream: _Stream) -> float:
        return self._wide(bar, stream, self._options.min_close_move, self._options.close_sigmas)

    def _wide(self, bar: Bar, stream: _Stream, least: float, sigmas: float) -> float:
        if len(stream.returns) < _FEW_RETURNS:
            return self._options.max_move
        few_ticks = 0.0 if stream.last is None else _FEW_TICKS / stream.last.close
        usual = max(least, few_ticks, sigmas * spikes.robust_sigma(stream.returns))
        room = spikes.room(bar.volume, stream.volumes, _is_last(bar, stream.session))
        return min(self._options.max_move, usual * room)

    def _stuck(self, bar: Bar, stream: _Stream) -> Rejected | None:
        # Without trades the same prices must repeat, so only a repeated volume betrays a stuck feed.
        if stream.last is None or not bar.volume or not _identical(bar, stream.last):
            stream.identical = 0
            return None
        stream.identical += 1
        limit = self._options.max_identical * max(1, MINUTE_NS // bar.interval_ns)
        if stream.identical < limit:
            return None
        return Rejected(bar.symbol, bar.ts, "stale", stream.identical + 1, limit)

    def _believe(self, stream: _Stream, bar: Bar, same_day: bool) -> Bar:
        # A bar without trades repeats the last price and says nothing of how far prices go.
        if stream.last is not None and same_day and bar.volume:
            stream.returns.append(math.log(bar.close / stream.last.close))
        if not same_day:
            stream.volumes.clear()  # a session begins and ends busier than it is in between
        if bar.volume:
            stream.volumes.append(bar.volume)
        stream.last = bar
        return bar

    def _quote_refusal(self, quote: Quote, stream: _Stream) -> Rejected | None:
        if not (_positive(quote.bid) and _positive(quote.ask)):
            return Rejected(quote.symbol, quote.ts, "price", min(quote.bid, quote.ask), 0.0)
        if not (_amount(quote.bid_size) and _amount(quote.ask_size)):
            return Rejected(quote.symbol, quote.ts, "size", min(quote.bid_size, quote.ask_size), 0.0)
        if quote.bid > quote.ask:
            return Rejected(quote.symbol, quote.ts, "crossed", quote.bid, quote.ask)
        if (spread := math.log(quote.ask / quote.bid)) > self._options.max_spread:
            return Rejected(quote.symbol, quote.ts, "wide", spread, self._options.max_spread)
        if stream.quote is not None and quote.ts < stream.quote.ts:
            return Rejected(quote.symbol, quote.ts, "out of order")
        return self._hours(quote) or self._quote_jump(quote, stream)

    def _quote_jump(self, quote: Quote, stream: _Stream) -> Rejected | None:
        known = [q.bid + q.ask for q in (stream.quote, stream.doubtful_quote) if q is not None]
        move = spikes.nearest(quote.bid + quote.ask, known)
        if stream.quote is None or move <= self._options.max_move:
            return None
        stream.doubtful_quote = quote
        return Rejected(quote.symbol, quote.ts, "spike", move, self._options.max_move)

    def _trade_refusal(self, trade: Trade, stream: _Stream) -> Rejected | None:
        if not _positive(trade.price):
            return Rejected(trade.symbol, trade.ts, "price", trade.price, 0.0)
        if not _positive(trade.size):
            return Rejected(trade.symbol, trade.ts, "size", trade.size, 0.0)
        if stream.trade is not None and trade.ts < stream.trade.ts:
            return Rejected(trade.symbol, trade.ts, "out of order")
        return self._hours(trade) or self._outside_quote(trade, stream) or self._trade_jump(trade, stream)

    def _outside_quote(self, trade: Trade, stream: _Stream) -> Rejected | None:
        """Refuse prints far outside the quote (rule T4 of Barndorff-Nielsen et al. 2009, with a floor)."""
        quote = stream.quote
        if quote is None:
            return None
        room = max(quote.ask - quote.bid, self._options.max_trade_distance * trade.price)
        if trade.price > quote.ask + room:
            return Rejected(trade.symbol, trade.ts, "outside quote", trade.price, quote.ask + room)
        if trade.price < quote.bid - room:
            return Rejected(trade.symbol, trade.ts, "outside quote", trade.price, quote.bid - room)
        return None

    def _trade_jump(self, trade: Trade, stream: _Stream) -> Rejected | None:
        known = [t.price for t in (stream.trade, stream.doubtful_trade) if t is not None]
        move = spikes.nearest(trade.price, known)
        if stream.trade is None or move <= self._options.max_move:
            return None
        stream.doubtful_trade = trade
        return Rejected(trade.symbol, trade.ts, "spike", move, self._options.max_move)

    def _depth_refusal(self, depth: Depth, stream: _Stream) -> Rejected | None:
        if reason := "depth out of order" if depth.ts < stream.depth_ts else flaw(depth):
            return Rejected(depth.symbol, depth.ts, reason)
        if depth.bids and stream.quote is not None:
            mids = depth.bids[0][0] + depth.asks[0][0], [stream.quote.bid + stream.quote.ask]
            if (move := spikes.nearest(*mids)) > self._options.max_move:
                return Rejected(depth.symbol, depth.ts, "depth far from quote", move, self._options.max_move)
        return self._hours(depth)


def _shape(bar: Bar) -> Rejected | None:
    """Refuse prices that are no prices, and extremes that do not enclose open and close."""
    for price in (bar.open, bar.high, bar.low, bar.close):
        if not _positive(price):
            return Rejected(bar.symbol, bar.ts, "price", price, 0.0)
    if not _amount(bar.volume):
        return Rejected(bar.symbol, bar.ts, "volume", bar.volume, 0.0)
    if bar.high < max(bar.open, bar.close, bar.low):
        return Rejected(bar.symbol, bar.ts, "high", bar.high, max(bar.open, bar.close, bar.low))
    if bar.low > min(bar.open, bar.close):
        return Rejected(bar.symbol, bar.ts, "low", bar.low, min(bar.open, bar.close))
    return None


def _with_price(bar: Bar, last: Bar | None) -> Bar:
    """Give a bar without trades and without a price the close before it."""
    if bar.volume != 0 or _positive(bar.close) or last is None:
        return bar
    price = last.close
    return msgspec.structs.replace(bar, open=price, high=price, low=price, close=price)


def _positive(price: float) -> bool:
    return math.isfinite(price) and price > 0


def _amount(size: float) -> bool:
    return math.isfinite(size) and size >= 0


def _is_last(bar: Bar, session: Session | None) -> bool:
    """Whether it is the last of the bars of its session; of a day's only one nothing can be said."""
    return session is not None and bar.ts == session.close and bar.interval_ns < DAY_NS


def _identical(a: Bar, b: Bar) -> bool:
    return (a.open, a.high, a.low, a.close, a.volume) == (b.open, b.high, b.low, b.close, b.volume)
