"""Market data lines: quotes, trades and what else a client asked to be told of a symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.data.board import Board, News
from robo_trader.practice.data.generic_ticks import (
    Facts,
    GenericTicks,
    UnknownGenericTick,
    read_generic_ticks,
)
from robo_trader.practice.data.lines import FULL, Group, Line, Lines, Supply
from robo_trader.practice.data.views import DelayedView, LiveView
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.ticks import Strip, Tick, data_type, parameters, snapshot_end
from robo_trader.practice.protocol.wire import INVALID, Cursor

SMART_MAP = "9c0001"  # names the exchanges behind SMART, see smartComponents
_SNAPSHOT_NS = 11 * SECOND_NS
_MIN_TICK = 0.01
_SNAPSHOTS_ALLOWED = 3
_LIVE, _FROZEN, _DELAYED, _DELAYED_FROZEN = 1, 2, 3, 4


class Wish(NamedTuple):
    """What a line asked for besides its symbol; a snapshot ends by the time `until`, UTC ns, a stream never."""

    generics: frozenset[int]
    is_frozen: bool
    until: int | None


@dataclass(frozen=True)
class Shown:
    """What the lines of a group have been told."""

    board: Board
    generics: GenericTicks


class MarketAnswers:
    """Opens and closes lines of market data, and tells each line what happens.

    Lines are told once a beat what has changed with it, as TWS gathers changes over fractions of a second; trade for
    trade is what tick-by-tick data is for.
    """

    def __init__(self, supply: Supply, facts: Facts) -> None:
        self._supply = supply
        self._exchange = supply.exchange
        self._facts = facts
        self._grade = supply.options.grade
        self._view = LiveView(self._exchange) if self._grade == "live" else DelayedView(self._exchange)
        self._lines: Lines[str, Shown, Wish] = Lines(supply.options.market_data, FULL, self._show)
        self._wanted: dict[Client, int] = {}
        self.answers: dict[int, Answer] = {
            1: self._market_data,
            2: self._lines.on_cancel,
            59: self._data_type,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._lines.drop(client)
        self._wanted.pop(client, None)

    def beat(self) -> None:
        """Tell every line what the beat just made has changed."""
        self._facts.ranges.beat()
        for group in list(self._lines.groups.values()):
            self._tell(group)

    # ------------------------------------------------------------------------------------------------ requests

    def _market_data(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._supply.directory.read(client, request, cursor)
        if symbol is None:
            return None
        if cursor.flag():
            return client.error(request, 321, "Delta neutral contracts are not traded here")
        try:
            generics = read_generic_ticks(cursor.text())
        except UnknownGenericTick as unknown:
            return client.error(request, 321, f"{INVALID}{unknown}")
        once = cursor.flag()
        once = cursor.flag() or once  # regulatory snapshots cost money there and nothing here
        if once and generics:
            text = "Snapshot market data subscription is not applicable to generic ticks"
            return client.error(request, 321, f"{INVALID}{text}")
        if self._lines.admits(client, request):
            self._open(client, request, symbol, generics, once)
        return None

    def _data_type(self, client: Client, cursor: Cursor) -> None:
        """Take note of the data a client wants; its lines from now on are of that kind where it may be had."""
        cursor.skip(1)
        kind = cursor.integer()
        if kind not in (_LIVE, _FROZEN, _DELAYED, _DELAYED_FROZEN):
            return client.error(-1, 321, f"{INVALID}Invalid market data type")
        self._wanted[client] = kind
        return None

    # ------------------------------------------------------------------------------------------------- lines

    def _open(self, client: Client, request: int, symbol: str, generics: frozenset[int], once: bool) -> None:
        wanted = self._wanted.get(client, _LIVE)
        if not self._may_have(client, request, symbol, wanted):
            return
        wish = Wish(
            generics,
            wanted in (_FROZEN, _DELAYED_FROZEN),
            self._exchange.now + _SNAPSHOT_NS if once else None,
        )
        shown, line = self._lines.open(client, request, symbol, wish)
        board, stands = shown.board, wish.is_frozen and not shown.board.is_open
        told = [parameters(_MIN_TICK, SMART_MAP, _SNAPSHOTS_ALLOWED), self._data_kind(stands)]
        told += board.image() + board.quote(board.closing if stands else board.touch)
        told += shown.generics.image(generics)
        if once and (board.is_complete or not self._is_awake()):
            told.append(snapshot_end())
            self._lines.close(client, request)
        else:
            self._supply.listened()
        client.send(Strip(told).stamped(line.stamp))

    def _data_kind(self, frozen: bool) -> Tick:
        return data_type((_LIVE if self._grade == "live" else _DELAYED) + frozen)

    def _may_have(self, client: Client, request: int, symbol: str, wanted: int) -> bool:
        """Say whether a client has the right to a line; tell it where it has not, or only to delayed data."""
        if self._grade == "live":
            return True
        delayed = wanted in (_DELAYED, _DELAYED_FROZEN)
        text = "Requested market data is not subscribed."
        if self._grade == "delayed" and delayed:
            client.error(request, 10167, f"{text} Displaying delayed market data.")
            return True
        if self._grade == "none" and not delayed:
            client.error(request, 10168, f"{text} Delayed market data is not enabled.")
        else:
            known = "is" if self._grade == "delayed" else "is not"
            client.error(
                request, 354, f"{text} Delayed market data {known} available.{symbol} NASDAQ.NMS/TOP/ALL"
            )
        return False

    def _is_awake(self) -> bool:
        """Say whether something may still come while a snapshot waits."""
        return self._exchange.is_open or 0 < self._exchange.session.open - self._exchange.now <= _SNAPSHOT_NS

    def _show(self, symbol: str) -> Shown:
        board = Board(symbol, self._view)
        return Shown(board, GenericTicks(board, self._facts))

    def _tell(self, group: Group[Shown, Wish]) -> None:
        shown = group.state
        news, more = shown.board.turn(), shown.generics.turn()
        turned = news.closed or news.opened
        plain = Strip(news.trades + news.quotes)
        strips: dict[tuple[frozenset[int], bool], Strip] = {}
        for line in list(group.lines):
            wish, strip = line.wish, plain
            if more or turned:
                key = wish.generics, turned and wish.is_frozen
                if key not in strips:
                    strips[key] = Strip(self._for(news, more, *key))
                strip = strips[key]
            if strip:
                line.client.send(strip.stamped(line.stamp))
            if wish.until is not None:
                self._end_snapshot(line, shown.board)

    def _for(
        self, news: News, more: dict[int, list[Tick]], generics: frozenset[int], stands: bool
    ) -> list[Tick]:
        told = list(news.trades)
        if stands:
            told.append(self._data_kind(news.closed))
        if not (stands and news.closed):
            told += news.quotes
        return told + [tick for number in sorted(generics & more.keys()) for tick in more[number]]

    def _end_snapshot(self, line: Line[Wish], board: Board) -> None:
        until = line.wish.until
        if board.is_complete or (until is not None and self._exchange.now >= until) or not self._is_awake():
            line.client.send(Strip([snapshot_end()]).stamped(line.stamp))
            self._lines.close(line.client, line.request)
