"""Market depth: the ladder of a symbol's book, and every change that keeps a client's copy of it exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from robo_trader.core.events import Side
from robo_trader.practice.data.lines import NOT_SUBSCRIBED, Lines, Supply
from robo_trader.practice.market.exchange import Exchange, Level
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.ticks import Strip, Tick, depth, smart_depth
from robo_trader.practice.protocol.wire import INVALID, Cursor, frame
from robo_trader.simulation.flow import PRIMARY, VENUES

MOST_ROWS = 10
_INSERT, _UPDATE, _DELETE = 0, 1, 2
_SIDES = (Side.SELL, Side.BUY)  # by the number that depth messages give them
_RESET = (
    317,
    "Market depth data has been RESET. Please empty deep book contents before applying any new entries.",
)
_LETTERS = dict(zip(VENUES, "QPNZKV", strict=True))

Ladder = tuple[Sequence[Level], Sequence[Level]]  # asks, bids
_EMPTY: Ladder = ((), ())


class Row(NamedTuple):
    """One change of a ladder: side 0 ask or 1 bid, a position from 0, and what stands there now."""

    position: int
    operation: int
    side: int
    price: float
    size: int


class Wish(NamedTuple):
    """How many rows a side a line shows, and whether it tells the exchange of each."""

    rows: int
    is_smart: bool


def changes(before: Ladder, after: Ladder) -> list[Row]:
    """Return the rows that turn one ladder into another.

    They work by position, as TWS does: levels come at the end and go from the end, all else is an update in place. So
    a client may take an insert for an overwrite or for a shift; both end with the same ladder.
    """
    rows: list[Row] = []
    for side, (old, new) in enumerate(zip(before, after, strict=True)):
        rows += [Row(at, _DELETE, side, 0.0, 0) for at in reversed(range(len(new), len(old)))]
        for at, level in enumerate(new):
            if at >= len(old):
                rows.append(Row(at, _INSERT, side, level.price, level.size))
            elif level != old[at]:
                rows.append(Row(at, _UPDATE, side, level.price, level.size))
    return rows


def venue_at(price: float) -> str:
    """Return the exchange whose orders stand at a price: always the same one, for the book knows of none.

    >>> venue_at(200.01) == venue_at(200.01)
    True
    """
    return VENUES[round(price * 100) * 7 % 31 % len(VENUES)]


class Shown:
    """The ladder of a symbol as its lines have been told it."""

    def __init__(self, exchange: Exchange, symbol: str) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self.ladder = self._look()

    def turn(self) -> tuple[list[Row], bool]:
        """Return what changed with the beat just made, and whether the ladder was taken away."""
        before, self.ladder = self.ladder, self._look()
        if self.ladder == before:
            return [], False
        return changes(before, self.ladder), before != _EMPTY and self.ladder == _EMPTY

    def _look(self) -> Ladder:
        book = self._exchange.book(self._symbol)
        if book is None:
            return _EMPTY
        asks, bids = (book.levels(side)[:MOST_ROWS] for side in _SIDES)
        return asks, bids


class DepthAnswers:
    """Opens and closes depth lines, and tells which exchanges there are.

    When trading stops the rows are deleted one by one and error 317 follows, as TWS sends it.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        most = supply.options.depth
        full = 309, f"Max number ({most}) of market depth requests has been reached"
        unknown = 310, "Can't find the subscribed market depth with tickerId:"
        self._lines: Lines[str, Shown, Wish] = Lines(
            most, full, lambda symbol: Shown(supply.exchange, symbol), unknown
        )
        self.answers: dict[int, Answer] = {
            10: self._open,
            11: self._lines.on_cancel,
            82: self._exchanges,
            83: self._components,
        }

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._lines.drop(client)

    def beat(self) -> None:
        """Tell what the beat just made changed in the books."""
        for group in self._lines.groups.values():
            rows, is_reset = group.state.turn()
            strips: dict[Wish, Strip] = {}
            for line in group.lines if rows else ():
                strip = strips.get(line.wish)
                if strip is None:
                    strip = strips[line.wish] = _strip(rows, line.wish)
                line.client.send(strip.stamped(line.stamp))
                if is_reset:
                    line.client.error(line.request, *_RESET)

    def _open(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._supply.directory.read(client, request, cursor)
        if symbol is None:
            return None
        wish = Wish(min(cursor.integer(), MOST_ROWS), cursor.flag())
        if wish.rows < 1:
            text = f"{INVALID}The number of rows must be positive"
            return client.error(request, 321, text)
        if not self._supply.is_live:
            return client.error(request, 10089, f"{NOT_SUBSCRIBED}{symbol} {PRIMARY}.NMS/DEPTH/ALL")
        if not self._lines.admits(client, request):
            return None
        shown, line = self._lines.open(client, request, symbol, wish)
        client.send(_strip(changes(_EMPTY, shown.ladder), wish).stamped(line.stamp))
        return self._supply.listened()

    def _exchanges(self, client: Client, _cursor: Cursor) -> None:
        fields = [(venue, "STK", "", "Deep" if venue == PRIMARY else "Deep2", 1) for venue in VENUES]
        client.send(frame(80, len(fields), *[field for row in fields for field in row]))

    def _components(self, client: Client, cursor: Cursor) -> None:
        """Name the exchanges behind the map that tickReqParams gives (smartComponents, 82)."""
        fields = [field for bit, venue in enumerate(VENUES) for field in (bit, venue, _LETTERS[venue])]
        client.send(frame(82, cursor.integer(), len(VENUES), *fields))


def _strip(rows: Sequence[Row], wish: Wish) -> Strip:
    return Strip([_tick(row, wish.is_smart) for row in rows if row.position < wish.rows])


def _tick(row: Row, is_smart: bool) -> Tick:
    if is_smart:
        return smart_depth(*row, venue_at(row.price) if row.operation != _DELETE else "")
    return depth(*row)
