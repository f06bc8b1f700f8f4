"""Every trade, quote or midpoint of a symbol, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.data import past_ticks
from robo_trader.practice.data.board import Day
from robo_trader.practice.data.lines import NOT_SUBSCRIBED, Lines, Supply
from robo_trader.practice.data.past_ticks import (
    MOST_TICKS,
    PastTicks,
    midpoint,
    prices_of,
    trade_mask,
    without_repeats,
)
from robo_trader.practice.data.views import LiveView
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.market.quotes import QuoteAt
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.ticks import Strip, Tick, bid_ask, mid_point, trade
from robo_trader.practice.protocol.wire import INVALID, Cursor
from robo_trader.simulation.flow import Print

LAST, ALL_LAST, BID_ASK, MID_POINT = "Last", "AllLast", "BidAsk", "MidPoint"
KINDS = {LAST: 1, ALL_LAST: 2, BID_ASK: 3, MID_POINT: 4}
_PAST = {
    LAST: past_ticks.TRADES, ALL_LAST: past_ticks.TRADES, BID_ASK: past_ticks.BID_ASK, MID_POINT: past_ticks.MIDPOINT,
}  # fmt: skip
_BID_PAST_LOW, _ASK_PAST_HIGH = 1, 2  # bits of a quote's mask


class What(NamedTuple):
    """What a group of lines hears."""

    symbol: str
    kind: str
    without_sizes: bool  # quotes that differ in size only are left out


class Told:
    """What a group has been told, as far as the next tick depends on it."""

    def __init__(self, exchange: Exchange, what: What) -> None:
        self._exchange = exchange
        self._what = what
        quote = exchange.quote(what.symbol)
        self._before: object = prices_of(quote) if what.kind == BID_ASK else midpoint(quote)
        self._session, self._day = "", Day()
        if what.kind == BID_ASK:
            self._begin_day()

    def first(self) -> list[Tick]:
        """Return the quote a new line begins with; trades begin with the next one."""
        quote = self._exchange.quote(self._what.symbol)
        if self._what.kind == BID_ASK:
            return [self._bid_ask(quote)]
        return _mid_points([quote]) if self._what.kind == MID_POINT else []

    def turn(self) -> list[Tick]:
        """Return what happened in the beat just made."""
        what, exchange = self._what, self._exchange
        if what.kind in (LAST, ALL_LAST):
            return [_trade(KINDS[what.kind], done) for done in exchange.prints(what.symbol)]
        quotes = exchange.quotes(what.symbol)
        if what.kind == MID_POINT:
            fresh = list(without_repeats(quotes, self._before, midpoint))
            self._before = midpoint(fresh[-1]) if fresh else self._before
            return _mid_points(fresh)
        if exchange.session.label != self._session:
            self._begin_day()
        if what.without_sizes:
            quotes = list(without_repeats(quotes, self._before, prices_of))
            self._before = prices_of(quotes[-1]) if quotes else self._before
        return self._by_time(quotes, exchange.prints(what.symbol))

    def _by_time(self, quotes: Sequence[QuoteAt], prints: Sequence[Print]) -> list[Tick]:
        """Write quotes, each against the day's range at its time."""
        told: list[Tick] = []
        at = 0
        for quote in quotes:
            while at < len(prints) and prints[at].ts <= quote.ts:
                self._day.add(prints[at].price, prints[at].size)
                at += 1
            told.append(self._bid_ask(quote))
        for done in prints[at:]:
            self._day.add(done.price, done.size)
        return told

    def _begin_day(self) -> None:
        view, symbol = LiveView(self._exchange), self._what.symbol
        self._session, self._day = view.session, Day(view.so_far(symbol))
        for done in view.part(symbol):
            self._day.add(done.price, done.size)

    def _bid_ask(self, quote: QuoteAt) -> Tick:
        ts, bid, ask, bid_size, ask_size = quote
        low, high = self._day.low, self._day.high
        mask = _BID_PAST_LOW * (0 < bid < low) + _ASK_PAST_HIGH * (ask > high > 0)
        return bid_ask(ts // SECOND_NS, bid, ask, bid_size, ask_size, mask)


def _trade(kind: int, done: Print) -> Tick:
    return trade(
        kind, done.ts // SECOND_NS, done.price, done.size, trade_mask(done), done.exchange, done.conditions
    )


def _mid_points(quotes: Iterable[QuoteAt]) -> list[Tick]:
    told = [(quote.ts // SECOND_NS, midpoint(quote)) for quote in quotes]
    return [mid_point(second, price) for second, price in told if price is not None]


class TickByTick:
    """Opens and closes tick-by-tick lines."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        full = 10190, "Max number of tick-by-tick requests has been reached."
        self._lines: Lines[What, Told, None] = Lines(
            supply.options.tick_by_tick, full, lambda what: Told(supply.exchange, what)
        )
        self.answers: dict[int, Answer] = {97: self._open, 98: self._cancel}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._lines.drop(client)

    def beat(self) -> None:
        """Tell what happened in the beat just made."""
        for group in self._lines.groups.values():
            group.tell(group.state.turn())

    def _open(self, client: Client, cursor: Cursor) -> None:
        request = cursor.integer()
        symbol = self._supply.directory.read(client, request, cursor)
        if symbol is None:
            return None
        kind, past, without_sizes = cursor.text(), cursor.integer(), cursor.flag()
        if kind not in KINDS:
            text = f"Failed to request tick-by-tick data:{kind[:50]} tick-by-tick requests are not supported for {symbol}"
            return client.error(request, 10189, text)
        if not 0 <= past <= MOST_TICKS:
            return client.error(request, 321, f"{INVALID}{past} past ticks")
        if not self._supply.is_live:
            return client.error(request, 10089, NOT_SUBSCRIBED + f"{symbol} NASDAQ.NMS/TOP/ALL")
        if not self._lines.admits(client, request):
            return None
        if past:
            exchange = self._supply.exchange
            found = PastTicks(exchange, symbol, _PAST[kind], without_sizes)
            rows = found.latest(exchange.now, past)[-past:]
            client.send(past_ticks.encode(_PAST[kind], request, rows))
        told, line = self._lines.open(
            client, request, What(symbol, kind, without_sizes and kind == BID_ASK), None
        )
        client.send(Strip(told.first()).stamped(line.stamp))
        return self._supply.listened()

    def _cancel(self, client: Client, cursor: Cursor) -> None:
        self._lines.cancel(client, cursor.integer())
