"""Keeps the books that TWS sends row by row, and passes on what changed in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from robo_trader.core.events import SECOND_NS, Depth, Feed, FeedStatus, Level
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.contracts import ContractRecord
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.values import observed_price, observed_size

log = structlog.get_logger()

LEVELS = 5
# SMART depth has a row for each exchange at a price, so that five prices take many.
_ROWS = 50
_INSERT, _UPDATE, _DELETE = 0, 1, 2
_EMPTIED = frozenset(
    {316, 317}
)  # trading halted, and reset: the line may go on, and is asked for again where it does not

Side = tuple[Level, ...]


class Intake(Protocol):
    """Where what is heard of books goes."""

    def on_depth(self, depth: Depth) -> None: ...
    def on_status(self, status: FeedStatus) -> None: ...


@dataclass(frozen=True)
class DepthOptions:
    """Whose books are asked for, how often one is told (market time), and when one is asked for again (wall time)."""

    symbols: tuple[str, ...] = ()
    interval_s: float = 1.0
    silent_again_after_s: float = 60.0
    refused_again_after_s: float = 600.0


class Ladder:
    """One side of a book as rows, which TWS inserts, replaces and deletes by position.

    >>> asks = Ladder()
    >>> for row in (0, 0, 10.02, 300), (0, 0, 10.01, 100), (1, 1, 10.01, 50), (2, 0, 10.03, 10): asks.change(*row)
    >>> asks.levels()
    ((10.01, 150), (10.03, 10))
    """

    def __init__(self) -> None:
        self._rows: list[Level] = []

    def change(self, position: int, operation: int, price: float, size: float) -> None:
        """Carry out one operation. An inserted row moves those behind it on, a deleted one lets them move up."""
        if operation == _DELETE:
            del self._rows[position : position + 1]
        elif operation == _INSERT or position >= len(self._rows):
            self._rows.insert(position, (price, size))
            del self._rows[_ROWS:]
        else:
            self._rows[position] = price, size

    def __len__(self) -> int:
        return len(self._rows)

    def levels(self) -> Side:
        """Return the best levels, the sizes of neighbouring rows at one price taken together; none of unset values."""
        found: list[Level] = []
        for price, size in self._rows:
            if observed_price(price) is None or not observed_size(size):
                continue
            if found and found[-1][0] == price:
                found[-1] = price, found[-1][1] + size
            elif len(found) == LEVELS:
                break
            else:
                found.append((price, size))
        return tuple(found)


@dataclass
class _Line:
    """One subscription: its book, what was last told of it, and why it is silent."""

    record: ContractRecord
    asked_at: float
    request: int = -1
    asks: Ladder = field(default_factory=Ladder)
    bids: Ladder = field(default_factory=Ladder)
    changed: bool = False
    heard_at: float = 0.0
    told: tuple[Side, Side] = ((), ())
    told_ts: int = 0
    trouble: str = ""

    @property
    def symbol(self) -> str:
        return self.record.instrument.symbol


class DepthLines:
    """The books of a few symbols; what goes wrong with one is told, and stops nothing else."""

    def __init__(
        self,
        connection: Connection,
        pacer: Pacer,
        pipeline: Intake,
        now: Callable[[], int],
        options: DepthOptions = DepthOptions(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tell `pipeline` of the books; `now` is the market's time, UTC ns."""
        self._connection = connection
        self._pacer = pacer
        self._pipeline = pipeline
        self._now = now
        self._options = options
        self._monotonic = monotonic
        self._interval_ns = int(options.interval_s * SECOND_NS)
        self._lines: dict[str, _Line] = {}
        self._by_request: dict[int, _Line] = {}

    def forget(self) -> None:
        """Begin anew: the session that all lines belonged to has ended."""
        for line in self._lines.values():
            self._empty(line)
        self._lines, self._by_request = {}, {}

    async def open(self, record: ContractRecord) -> None:
        """Ask for the book of a symbol where it is wanted; its copy here begins empty."""
        symbol = record.instrument.symbol
        if symbol not in self._options.symbols:
            return
        before = self._lines.get(symbol)
        line = self._lines[symbol] = _Line(record, self._monotonic())
        if before is not None:
            line.told, line.told_ts, line.trouble = before.told, before.told_ts, before.trouble
        await self._pacer.lookup()
        ib = self._connection.ib
        ticker = ib.reqMktDepth(record.contract, _ROWS, isSmartDepth=True)
        line.request = ib.wrapper.ticker2ReqId["mktDepth"][ticker]
        self._by_request[line.request] = line

    async def close(self, symbol: str) -> None:
        """Take the line of a symbol back; one that was refused is gone already."""
        line = self._lines.get(symbol)
        if line is None or self._by_request.pop(line.request, None) is None or line.trouble:
            return
        await self._pacer.lookup()
        self._connection.ib.cancelMktDepth(line.record.contract, isSmartDepth=True)

    async def tend(self, is_open: bool) -> None:
        """Let held books go, and while the market is open ask again for those that are silent or were refused."""
        for line in list(self._lines.values()):
            self._look(line)
            if is_open and self._is_due(line):
                log.info("asking again", what=f"the depth of {line.symbol}")
                await self.close(line.symbol)
                await self.open(line.record)

    def _is_due(self, line: _Line) -> bool:
        silence = self._monotonic() - max(line.asked_at, line.heard_at)
        at = self._options
        return silence >= (at.refused_again_after_s if line.trouble else at.silent_again_after_s)

    def on_row(
        self, request: int, position: int, operation: int, side: int, price: float, size: float
    ) -> None:
        """A row of a book has changed; side 0 is the asks', 1 the bids'."""
        line = self._by_request.get(request)
        if line is None:
            return  # what was on its way when the line was closed
        (line.bids if side else line.asks).change(position, operation, price, size)
        line.changed, line.heard_at = True, self._monotonic()
        if line.trouble:
            line.trouble = ""
            self._say(Feed.LIVE, line, "its depth comes again")

    def on_changes(self, symbol: str) -> None:
        """All rows of one packet are in: the book of this symbol is whole."""
        line = self._lines.get(symbol)
        if line is not None:
            self._look(line)

    def on_error(self, request: int, code: int, text: str) -> bool:
        """Hear what TWS says of a line; return whether it is one."""
        line = self._by_request.get(request)
        if line is None:
            return False
        self._empty(line)
        if code in _EMPTIED:
            log.info("depth emptied", what=line.symbol, why=f"{text} ({code})")
        elif line.trouble != (trouble := f"no depth: {text} ({code})"):
            line.trouble = trouble
            self._say(Feed.REJECTED, line, trouble)
        return True

    def _empty(self, line: _Line) -> None:
        line.asks, line.bids, line.changed = Ladder(), Ladder(), True
        self._look(line)

    def _look(self, line: _Line) -> None:
        """Tell a book that changed, where the last one is old enough; that it was taken away is told at once."""
        ts = self._now()
        is_fresh = ts - line.told_ts < self._interval_ns and line.bids and line.asks
        if is_fresh or not line.changed:
            return
        line.changed = False
        book = line.bids.levels(), line.asks.levels()
        if not all(book):
            book = (), ()
        if book != line.told:
            line.told, line.told_ts = book, ts
            self._pipeline.on_depth(Depth(line.symbol, ts, *book))

    def _say(self, state: Feed, line: _Line, detail: str) -> None:
        self._pipeline.on_status(FeedStatus(self._now(), line.symbol, state, detail))
