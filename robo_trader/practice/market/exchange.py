"""The market behind the gateway: its clock in beats, what happens in each, and the books that stand after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.market.beats import Beat, Beats
from robo_trader.practice.market.days import Days
from robo_trader.practice.market.overlays import (
    Action,
    Dividend,
    Halt,
    Overlays,
    Split,
    halted_at,
    market_wide,
)
from robo_trader.practice.market.quotes import (
    Auction,
    QuoteAt,
    aggressor,
    auction_in,
    changes,
    no_quote,
    quote_of,
)
from robo_trader.simulation.flow import DrawnFlow, Flow, FlowOptions, Print, TouchAt
from robo_trader.simulation.limit_book import Filled, Ladder, Level, LimitBook
from robo_trader.simulation.rows import Rows, Slice
from robo_trader.simulation.tape import SLICE_NS, Minutes, MinuteSource, Slices
from robo_trader.simulation.tick_tape import TickTape

__all__ = [
    "Action", "Auction", "Dividend", "Exchange", "Filled", "Halt", "Level", "LimitBook", "Overlays", "Print",
    "QuoteAt", "Slice", "Split", "first_session",
]  # fmt: skip

SYNTHETIC_START = "2026-01-05"
_MOST_OVERLAYS = 10_000

_A = TypeVar("_A", bound=Action)


class Exchange:
    """Steps through the sessions of a market in beats. Time is `now` (UTC ns), always between two beats.

    It begins five seconds before the open of the first session and skips the nights: from a close it steps to five
    seconds before the next open. A beat holds what happened at `previous` now <= ts < `now`. A 5-second slice is known
    once it has ended. Nothing our orders do changes a print, a quote or a bar; nothing is drawn for symbols nobody
    asks about.
    """

    def __init__(
        self,
        source: MinuteSource,
        calendar: XnysCalendar,
        start: str | None,
        beats: int = 1,
        flow: FlowOptions | None = None,
    ) -> None:
        """Stand before the open of `start`, by default where `first_session` says; make `beats` beats a slice.

        `flow` says how busy a drawn market is; a tape of ticks is as busy as it was. Raises ConfigurationError,
        also where five seconds do not make that many whole beats of milliseconds.
        """
        if beats < 1 or SLICE_NS % (beats * 1_000_000):
            raise ConfigurationError(f"5 seconds cannot be cut into {beats} beats of whole milliseconds")
        self.source = source
        self.calendar = calendar
        self.fills: list[Filled] = []
        self.session = first_session(source, calendar, start)
        self.now = self.session.open - SLICE_NS
        self._beat = SLICE_NS // beats
        self._flow: Flow = source if isinstance(source, TickTape) else DrawnFlow(source, flow)
        self._days = Days(source, calendar, self._flow)
        self._halts: tuple[Halt, ...] = ()
        # Halts as they were after the step before this one, and after this one: commands come between two steps.
        self._told_halts: tuple[Halt, ...] = ()
        self._seen_halts: tuple[Halt, ...] = ()
        self._actions: tuple[Action, ...] = ()
        self._reported = self.session.label  # actions up to here have been handed out
        self._books: dict[str, LimitBook] = {}
        self._beats = Beats(self._days, self.session, self.now)

    # ----------------------------------------------------------------------------------------------- the clock

    @property
    def is_open(self) -> bool:
        return self.session.open <= self.now < self.session.close

    @property
    def slice_ended(self) -> bool:
        """Whether the beat just made closed a 5-second slice of the session."""
        return self.now > self.session.open and (self.now - self.session.open) % SLICE_NS == 0

    def step(self) -> bool:
        """Move by one beat, and work the books. Return False, and stay, where the market ends."""
        self.fills = []
        if self.now >= self.session.close:
            following = self.calendar.after(self.session.label)
            if self.source.last is not None and following.label > self.source.last:
                return False
            self._enter(following, following.open - SLICE_NS)
            return True
        self._told_halts, self._seen_halts = self._seen_halts, self._halts
        self._beats.step(self._beat)
        self.now = self._beats.now
        self._work_books()
        return True

    def seek(self, ts: int) -> None:
        """Stand at `ts`, as a saved clock said, with empty books; between two beats it falls back to the earlier."""
        label = self.calendar.label_of(ts)
        (session,) = self.calendar.sessions(date.fromisoformat(label), date.fromisoformat(label))
        self._enter(session, ts - (ts - session.open) % self._beat)

    def _enter(self, session: Session, ts: int) -> None:
        self.session, self.now = session, ts
        self._told_halts = self._seen_halts = self._halts
        self._books.clear()
        self._beats.enter(session, ts)
        self._days.act(self._actions, session.label)

    # ------------------------------------------------------------------------------------------ what happened

    def beat(self, symbol: str) -> Beat:
        """Return all that the beat that ended now did to a symbol."""
        return self._beats.of(symbol)

    def prints(self, symbol: str) -> Sequence[Print]:
        """Return the trades of the beat that ended now, oldest first."""
        return self._beats.of(symbol).prints

    def quotes(self, symbol: str) -> Sequence[QuoteAt]:
        """Return the changes of the best bid and offer within the beat that ended now; the last one stands.

        No quote at all, in a halt or after the close, is told as one of -1 and 0.
        """
        beat = self._beats.of(symbol)
        last = self._quote(symbol, beat.before, self._beats.began, self._told_halts)
        told = list(changes(beat.events, last))
        stands = self._quote(symbol, beat.stands, self.now, self._halts)
        if stands[1:] != (told[-1] if told else last)[1:]:
            told.append(stands._replace(ts=self.now))
        return told

    def quote(self, symbol: str) -> QuoteAt:
        """Return the best bid and offer that stand now; -1 and 0 where none does."""
        return self._beats.of(symbol).quote

    def is_touched(self, symbol: str) -> bool:
        """Whether orders of ours make the standing book another one than the market tells."""
        book = self._books.get(symbol)
        return book is not None and book.busy

    def book(self, symbol: str) -> LimitBook | None:
        """Return the standing book; None while closed, halted, or for a share that never traded.

        The same book comes back as long as an order of ours rests in it or it lacks what we took; ask anew each beat.
        Books last until the close: next day's orders rest anew. In a halt orders keep their places.
        """
        if self.halt(symbol) is not None:
            return None
        book = self._books.get(symbol)
        if book is None and (stands := self._beats.of(symbol).stands) is not None:
            book = self._books[symbol] = LimitBook(*self._levels(symbol, stands))
        return book if self.is_open else None

    def auction(self, symbol: str) -> Auction | None:
        """Return the opening or closing auction in the beat that ended now, None in all other beats.

        A share opens with its first trade of the day, whenever that is; without a trade in the last five seconds of
        the session there is no closing auction.
        """
        return auction_in(self.prints(symbol))

    def prints_between(self, symbol: str, begin: int, end: int) -> Iterator[Print]:
        """Return the trades of any time at begin <= ts < end (UTC ns, not after `now`), oldest first."""
        happened = self._past(symbol, begin, end)
        return (event for event in happened if isinstance(event, Print))

    def quotes_between(self, symbol: str, begin: int, end: int) -> Iterator[QuoteAt]:
        """Return the changes of the best bid and offer of any time at begin <= ts < end, oldest first."""
        return changes(self._past(symbol, begin, end), no_quote(begin))

    def closed(self, symbol: str) -> Slice | None:
        """Return the slice that ends now, None where none does or nothing has traded yet."""
        rows = self._rows(symbol) if self.slice_ended else None
        return rows[(self.now - self.session.open) // SLICE_NS - 1] if rows else None

    def last(self, symbol: str) -> float | None:
        """Return the price of the last trade up to now, None where there has been none.

        At the bell that is already the first price of the day.
        """
        rows = self._rows(symbol)
        if rows is None or self.now < self.session.open:
            return self.close_before(symbol)
        if self.now >= self.session.close:
            return rows[-1].close
        k, into = divmod(self.now - self.session.open, SLICE_NS)
        if into:
            passage = self._beats.of(symbol).passage
            happened = passage.since(self.now - into, self.now) if passage is not None else ()
            halts = self._beats.halts(symbol)
            for event in reversed(happened):
                if isinstance(event, Print) and not halted_at(halts, symbol, event.ts):
                    return event.price
        return rows[k - 1].close if k else rows[0].open

    def close_before(self, symbol: str) -> float | None:
        """Return the last close before today, None where there was no trade in the ten sessions before."""
        return self._days.close_before(symbol, self.session)

    def so_far(self, symbol: str) -> list[Slice]:
        """Return today's slices that have ended, the silent ones included."""
        rows = self._rows(symbol)
        return rows[: max(0, (self.now - self.session.open) // SLICE_NS)] if rows else []

    def minutes(self, symbol: str, session: Session) -> Minutes:
        """Return a whole session's minutes."""
        return self._days.minutes(symbol, session)

    def slices(self, symbol: str, session: Session) -> Slices:
        """Return a whole session's 5-second slices around its trades; they add up to its minutes."""
        return self._days.slices(symbol, session)

    def rows(self, symbol: str, session: Session) -> Rows | None:
        """Return all 5-second slices of a session, the silent ones too; None for a share that never traded."""
        return self._days.rows(symbol, session)

    # ------------------------------------------------------------------------------------------- on command

    def halt(self, symbol: str) -> Halt | None:
        """Return what keeps a symbol from trading now, None where it trades; an empty symbol asks for the market."""
        if not symbol:
            return halted_at(self._halts, "", self.now)
        halts = self._beats.halts(symbol)
        return halted_at(halts, symbol, self.now) if halts else None

    def begin_halt(self, symbol: str, reason: str, until: int = 0) -> Halt:
        """Stop trading of a symbol now, of everything where it is empty, until a time (UTC ns) or until `end_halt`."""
        halt = Halt(symbol, self.now, until, reason)
        self._require_room(self._halts)
        self._lay((*self._halts, halt))
        return halt

    def end_halt(self, symbol: str) -> bool:
        """Let trade what `begin_halt` of this symbol stopped. Return False where it was not stopped."""
        ended = [halt for halt in self._halts if halt.symbol == symbol and halt.covers(symbol, self.now)]
        self._lay(
            tuple(Halt(h.symbol, h.since, self.now, h.reason) if h in ended else h for h in self._halts)
        )
        return bool(ended)

    def break_circuit(self, level: int) -> Halt | None:
        """Stop the whole market as its circuit breaker of level 1, 2 or 3 does; None where that level is too late."""
        halt = market_wide(level, self.now, self.session)
        if halt is not None:
            self.begin_halt("", halt.reason, halt.until)
        return halt

    def split(self, symbol: str, ratio: Decimal) -> Split:
        """Split a share before the next session: `ratio` new ones for one. Raises ConfigurationError below 0."""
        return self._announce(Split(symbol, self._tomorrow(), ratio), ratio)

    def dividend(self, symbol: str, usd: Decimal) -> Dividend:
        """Pay a dividend, ex the next session. Raises ConfigurationError where it is not positive."""
        return self._announce(Dividend(symbol, self._tomorrow(), usd), usd)

    def take_actions(self) -> list[Action]:
        """Return the splits and dividends that took effect with the sessions since this was last asked."""
        label = self.session.label
        due = [action for action in self._actions if self._reported < action.session <= label]
        self._reported = max(self._reported, label)
        return due

    def overlays(self) -> Overlays:
        """Return all halts and actions, to be saved."""
        return Overlays(self._halts, self._actions, self._reported)

    def restore_overlays(self, overlays: Overlays) -> None:
        """Take over what was saved."""
        self._actions, self._reported = overlays.actions, overlays.told
        self._days.act(self._actions, self.session.label)
        self._lay(overlays.halts)
        self._told_halts = self._seen_halts = self._halts

    # --------------------------------------------------------------------------------------------------- inside

    def _lay(self, halts: tuple[Halt, ...]) -> None:
        self._halts = halts
        self._days.halt(halts)
        self._beats.forget()

    def _require_room(self, overlays: Sequence[object]) -> None:
        if len(overlays) >= _MOST_OVERLAYS:
            raise ConfigurationError(f"there are {_MOST_OVERLAYS} of these already")

    def _announce(self, action: _A, figure: Decimal) -> _A:
        if self._flow.real:
            raise ConfigurationError("a tape of ticks is replayed as it was; only bars can be split")
        if not (figure.is_finite() and figure > 0):
            raise ConfigurationError(f"a {type(action).__name__.lower()} of {figure} makes no sense")
        self._require_room(self._actions)
        self._actions = (*self._actions, action)
        return action

    def _tomorrow(self) -> str:
        return self.calendar.after(self.session.label).label

    def _rows(self, symbol: str) -> Rows | None:
        return self._days.rows(symbol, self.session)

    def _levels(self, symbol: str, touch: TouchAt) -> tuple[Ladder, Ladder]:
        return self._days.levels(symbol, self.session, touch)

    def _past(self, symbol: str, begin: int, end: int) -> Iterator[Print | TouchAt]:
        label_of = self.calendar.label_of
        first, last = (date.fromisoformat(label_of(ts)) for ts in (begin, min(end, self.now)))
        for session in self.calendar.sessions(first, last):
            halts = self._days.halts(symbol, session)
            since, until = max(begin, session.open), min(end, session.close, self.now)
            for k in range((since - session.open) // SLICE_NS, -(-(until - session.open) // SLICE_NS)):
                passage = self._days.passage(symbol, session, k)
                for event in passage.since(since, until) if passage is not None else ():
                    if not halted_at(halts, symbol, event.ts):
                        yield event

    def _quote(self, symbol: str, stands: TouchAt | None, ts: int, commanded: Sequence[Halt]) -> QuoteAt:
        """Return the quote of a touch that stands at a time of today, under these halts on command."""
        if stands is None or halted_at([*self._days.pauses(symbol, self.session), *commanded], symbol, ts):
            return no_quote(ts)
        return quote_of(stands)

    def _work_books(self) -> None:
        for symbol, book in list(self._books.items()):
            stands = self._beats.of(symbol).stands
            if not book.busy:
                del self._books[symbol]
            elif self.halt(symbol) is None:
                self.fills += self._work(symbol, book)
                if stands is not None:  # else the market has closed
                    self.fills += book.on_levels(*self._levels(symbol, stands))
            elif stands is not None:
                book.show(*self._levels(symbol, stands))

    def _work(self, symbol: str, book: LimitBook) -> list[Filled]:
        """Lead a book through what happened in the beat that ended now."""
        beat = self._beats.of(symbol)
        standing = beat.before
        filled: list[Filled] = []
        for event in beat.events:
            if isinstance(event, Print):
                side = aggressor(event.price, standing) if standing is not None else None
                filled += book.on_print(event.price, event.size, side)
            else:
                standing = event
                filled += book.on_levels(*self._levels(symbol, event))
        return filled


def first_session(source: MinuteSource, calendar: XnysCalendar, start: str | None) -> Session:
    """Return the session the market opens with: `start`, or the first one on or after that date.

    By default a market without end opens on 2026-01-05; of a tape the first three quarters are history.
    Raises ConfigurationError where the market has no such session.
    """
    if start is None and source.last is not None:
        held = calendar.sessions(date.fromisoformat(source.first), date.fromisoformat(source.last))
        return held[min(max(1, len(held) * 3 // 4), len(held) - 1)]
    try:
        wanted = date.fromisoformat(start or SYNTHETIC_START).isoformat()
    except ValueError:
        raise ConfigurationError(f"--start {start}: not a date; write it as 2026-01-05") from None
    if wanted < source.first or (source.last is not None and wanted > source.last):
        reach = f"{source.first} to {source.last or 'any later day'}"
        raise ConfigurationError(f"--start {start}: this market has sessions from {reach}")
    day = calendar.sessions(date.fromisoformat(wanted), date.fromisoformat(wanted))
    return day[0] if day else calendar.after(wanted)
