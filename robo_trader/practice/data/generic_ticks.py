"""Ticks that a client names in its list of generic ticks, each written from a symbol's board."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from robo_trader.practice.data.board import Board
from robo_trader.practice.market.quotes import auction_in
from robo_trader.practice.market.ranges import Ranges
from robo_trader.practice.market.stamps import trades
from robo_trader.practice.protocol.ticks import Tick, generic_tick, price_tick, size_tick, text_tick
from robo_trader.simulation.tape import SLICES

# What TWS takes for a share. Those that this market has nothing to say about are taken in silence.
LEGAL: dict[int, str] = {
    100: "Option Volume", 101: "Option Open Interest", 104: "Historical Volatility", 105: "Average Opt Volume",
    106: "impvolat", 165: "Misc. Stats", 220: "Creditman Mark Price", 221: "Mark Price", 225: "Auction",
    232: "Pl Price", 233: "RTVolume", 236: "inventory", 258: "Fundamentals", 293: "TradeCount", 294: "TradeRate",
    295: "VolumeRate", 318: "LastRTHTrade", 375: "RTTrdVolume", 411: "rthistvol", 456: "IBDividends",
    460: "Bond Factor Multiplier", 576: "EtfNavBidAsk", 577: "EtfNavLast", 578: "EtfNavClose", 586: "IPOHLMPRC",
    587: "Pl Price Delayed", 588: "Futures Open Interest", 595: "Short-Term Volume X Mins", 614: "EtfNavMisc",
    619: "Creditman Slow Mark Price", 623: "EtfFrozenNavLast",
}  # fmt: skip

_NS_PER_MS = 1_000_000


_LEGAL_WORDS = frozenset(map(str, LEGAL))
Write = Callable[["Board", "Facts"], dict[int, Tick]]


class UnknownGenericTick(Exception):
    """A list names a generic tick that a share does not have; caught where the request is answered."""


def read_generic_ticks(text: str) -> frozenset[int]:
    """Read a list such as `233,236`. Raises UnknownGenericTick, whose text is what TWS says.

    >>> sorted(read_generic_ticks("236, 233"))
    [233, 236]
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if all(word in _LEGAL_WORDS for word in words):
        return frozenset(int(word) for word in words)
    legal = ",".join(f"{number}({name})" for number, name in LEGAL.items())
    raise UnknownGenericTick(
        f"Incorrect generic tick list of {text[:200]}.  Legal ones for (STK) are: {legal}"
    )


class Facts(NamedTuple):
    """What else is known of a symbol: its past year, USD of dividends as tick 59 spells them, shares to be borrowed."""

    ranges: Ranges
    dividends: Callable[[str], str]
    borrowable: Callable[[str], int]


class GenericTicks:
    """The generic ticks of one board as its lines have been told them."""

    def __init__(self, board: Board, facts: Facts) -> None:
        self._board = board
        self._facts = facts
        self._shown: dict[int, dict[int, Tick]] = {}  # by the number asked for, then by tick type

    def image(self, wanted: frozenset[int]) -> list[Tick]:
        """Return all that is known now of some generic ticks; what changes of them `turn` tells from now on."""
        for number in sorted(wanted - self._shown.keys()):
            self._shown[number] = self._now(number)
        return [tick for number in sorted(wanted) for tick in self._shown[number].values()]

    def turn(self) -> dict[int, list[Tick]]:
        """Return what the beat just made changed, by the number asked for."""
        told: dict[int, list[Tick]] = {}
        for number, shown in self._shown.items():
            if number in _BY_SLICE and not self._board.view.slice_ended:
                continue
            if number in _BY_TRADE:
                fresh = _BY_TRADE[number](self._board)
            else:
                now = self._now(number)
                fresh = [tick for kind, tick in now.items() if shown.get(kind) != tick]
                shown |= now
            if fresh:
                told[number] = fresh
        return told

    def _now(self, number: int) -> dict[int, Tick]:
        written = _WRITTEN.get(number)
        return written(self._board, self._facts) if written is not None else {}


def _auction(board: Board) -> list[Tick]:
    """Write the volume and the price of an auction, which leaves nothing unmatched here."""
    done = auction_in(board.prints)
    return [] if done is None else [size_tick(34, done.size), price_tick(35, done.price, 0), size_tick(36, 0)]


def _volume_ticks(kind: int, board: Board) -> list[Tick]:
    """Write the beat's last trade with the day's volume and average price: `price;size;ms;volume;average;single`."""
    if not board.prints:
        return []
    latest, day, single = board.prints[-1], board.day, "true" if len(board.prints) == 1 else "false"
    at = latest.ts // _NS_PER_MS
    text = f"{latest.price!r};{latest.size};{at};{day.volume};{round(day.average, 8)!r};{single}"
    return [text_tick(kind, text)]


def _past_year(board: Board, facts: Facts) -> dict[int, Tick]:
    known = facts.ranges.find(board.symbol)
    if known is None:
        return {}
    told = {21: size_tick(21, known.average_volume)}
    for kind, price in zip((15, 17, 19), known.lows, strict=True):
        told[kind] = price_tick(kind, price, 0)
    for kind, price in zip((16, 18, 20), known.highs, strict=True):
        told[kind] = price_tick(kind, price, 0)
    return told


def _volatility(kind: int) -> Write:
    def write(board: Board, facts: Facts) -> dict[int, Tick]:
        known = facts.ranges.find(board.symbol)
        return {} if known is None else {kind: generic_tick(kind, known.volatility)}

    return write


def _mark(kind: int) -> Write:
    """Write the price that positions are marked at: the last trade, or the side of the quote that it lies beyond."""

    def write(board: Board, _facts: Facts) -> dict[int, Tick]:
        if board.last is None:
            return {}
        price, touch = board.last, board.touch
        if touch.bid > 0:
            price = max(price, touch.bid)
        if touch.ask > 0:
            price = min(price, touch.ask)
        return {kind: price_tick(kind, price, 0)}

    return write


def _last_regular(board: Board, _facts: Facts) -> dict[int, Tick]:
    return {} if board.last is None else {57: price_tick(57, board.last, 0)}


def _inventory(board: Board, facts: Facts) -> dict[int, Tick]:
    """Write how easily a share is borrowed (over 2.5: at least 1,000 shares; over 1.5: on search) and how many."""
    shares = facts.borrowable(board.symbol)
    ease = 3.0 if shares >= 1_000 else 2.0 if shares else 1.0
    return {46: generic_tick(46, ease), 89: size_tick(89, shares)}


def _trades(board: Board, _facts: Facts) -> dict[int, Tick]:
    return {54: generic_tick(54, float(board.day.count))}


def _trades_a_minute(board: Board, _facts: Facts) -> dict[int, Tick]:
    minute = board.view.so_far(board.symbol)[-SLICES:]
    return {55: generic_tick(55, float(sum(trades(one.volume) for one in minute)))}


def _volume_a_minute(board: Board, _facts: Facts) -> dict[int, Tick]:
    minute = board.view.so_far(board.symbol)[-SLICES:]
    return {56: generic_tick(56, float(sum(one.volume for one in minute)))}


def _dividends(board: Board, facts: Facts) -> dict[int, Tick]:
    text = facts.dividends(board.symbol)
    return {59: text_tick(59, text)} if text else {}


_BY_TRADE: dict[int, Callable[[Board], list[Tick]]] = {
    225: _auction, 233: partial(_volume_ticks, 48), 375: partial(_volume_ticks, 77),
}  # fmt: skip
_BY_SLICE = (294, 295)
_WRITTEN: dict[int, Write] = {
    104: _volatility(23), 165: _past_year, 220: _mark(78), 221: _mark(37), 232: _mark(37), 236: _inventory,
    293: _trades, 294: _trades_a_minute, 295: _volume_a_minute, 318: _last_regular, 411: _volatility(58),
    456: _dividends, 619: _mark(79),
}  # fmt: skip
