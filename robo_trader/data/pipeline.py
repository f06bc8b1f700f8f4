"""Carries raw data to the inbox: validate, aggregate, keep the order, and fill what was missed from history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from robo_trader.core.events import (
    MINUTE_NS,
    NOT_FILLED,
    SECOND_NS,
    Bar,
    Depth,
    Feed,
    FeedStatus,
    Quote,
    Trade,
)
from robo_trader.core.protocols import Inbox
from robo_trader.data import inspection
from robo_trader.data.aggregation import Aggregator, Gap, bucket, closes
from robo_trader.data.bars import columns
from robo_trader.data.findings import Defect
from robo_trader.data.history import merge
from robo_trader.data.quality import Quality, Tally
from robo_trader.data.refusals import Refusals
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.validation import OUTSIDE_HOURS, Rejected, ValidationOptions, Validator

_DAYS = 5  # of a symbol that are counted; older ones are in the database


@dataclass(frozen=True)
class PipelineOptions:
    """Which bars the desk wants, and how patient it is. Times in ns of market time."""

    interval_ns: int = MINUTE_NS
    # Closed bars that may wait for an older gap to be filled; then the gap is given up and said to be.
    patience: int = 5
    # One symbol's refusals for one reason are told at most this often, and how many there were in between.
    rejection_interval_ns: int = 5 * MINUTE_NS
    validation: ValidationOptions = field(default_factory=ValidationOptions)


@dataclass
class _Track:
    """How far one symbol's closed bars have been told, and what waits behind a gap."""

    told: int | None = None
    # Bars are known to lack up to here; a gap is open while this lies behind `told`.
    lacking_until: int = 0
    newest: int = 0
    waiting: list[Bar] = field(default_factory=list)
    # When the stream began: what was due before is no fault of its.
    since: int | None = None
    days: dict[str, Tally] = field(default_factory=dict)
    doubted: set[tuple[Defect, tuple[int, ...]]] = field(default_factory=set)

    def gap(self) -> tuple[int, int] | None:
        """Return what history should bring, start < ts <= end, None while nothing lacks."""
        if self.told is None or self.lacking_until <= self.told:
            return None
        return self.told, self.lacking_until


class Pipeline:
    """Every closed bar of a symbol reaches the inbox once and in order, or is reported as a gap.

    Call `backfill` with the warm-up of a symbol before its first live bar. After a gap the live bars wait until
    `backfill` brings the missing ones or patience ends, because features must not see time run backwards; all that
    waited but the newest then count as history, which warms features and never trades.
    """

    def __init__(
        self,
        inbox: Inbox,
        calendar: XnysCalendar,
        options: PipelineOptions | None = None,
        on_gap: Callable[[Gap], None] | None = None,
    ) -> None:
        """Take where events go and, as `on_gap`, whom to ask for history as soon as a gap can be fetched."""
        self._inbox = inbox
        self._calendar = calendar
        self._options = options or PipelineOptions()
        self._on_gap = on_gap
        self._validator = Validator(calendar, self._options.validation)
        self._aggregator = Aggregator(self._options.interval_ns, calendar)
        self._tracks: dict[str, _Track] = {}
        self._now = 0
        self._refusals = Refusals(self._options.rejection_interval_ns)

    def on_bar(self, bar: Bar) -> None:
        """Take one raw bar of the stream (TWS: 5 seconds, one every 5 seconds, also without trades)."""
        track = self._track(bar.symbol)
        if track.since is None and self._calendar.session(bar.ts) is not None:
            track.since = bar.ts - bar.interval_ns
        verdict = self._validator.bar(bar)
        for part in verdict.accepted:
            self._now = max(self._now, part.ts)
            for settled in self._aggregator.add(part):
                if isinstance(settled, Gap):
                    self._lost(self._track(settled.symbol), settled)
                else:
                    self._closed(self._track(settled.symbol), settled)
        self._refuse(verdict.rejected)
        self._tell_refused(self._refusals.due(self._now))

    def on_quote(self, quote: Quote) -> None:
        """Take one quote."""
        self._on_tick(quote, self._validator.quote(quote))

    def on_trade(self, trade: Trade) -> None:
        """Take one print."""
        self._on_tick(trade, self._validator.trade(trade))

    def on_depth(self, depth: Depth) -> None:
        """Take the levels of one book."""
        self._on_tick(depth, self._validator.depth(depth))

    def on_status(self, status: FeedStatus) -> None:
        """Pass on what the feed says of itself; what it refused is counted and told as what is refused here."""
        if status.state is Feed.REJECTED:
            self._refuse((Rejected(status.symbol, status.ts, status.detail),))
        else:
            self._inbox.put(status)

    def backfill(self, symbol: str, bars: Iterable[Bar]) -> int:
        """Tell closed bars from history, oldest first, that were not told yet; return how many.

        Bars already told, already waiting, or of the interval in the making are left out, so asking for more than
        was missing does no harm. The gap stays open where the bars do not reach its end.
        """
        track = self._track(symbol)
        gap = track.gap()
        verdict = self._validator.history(symbol, bars)
        self._refuse(verdict.rejected)
        fresh = self._fresh(symbol, track, verdict.accepted)
        if not fresh:
            return 0
        missed = [
            bar.ts for bar in fresh if gap and gap[0] < bar.ts <= gap[1] and self._counts(track, bar.ts)
        ]
        for ts in missed:
            self._tally(symbol, ts).filled += 1
        track.waiting = merge(fresh, track.waiting)
        self._tell_through(track, fresh[-1].ts)
        if gap is not None and missed and track.gap() is None:
            self._say(Feed.GAP, symbol, f"missed bars filled in from history: {len(fresh)}, {_stretch(*gap)}")
        return len(fresh)

    def take_past(self, symbol: str, bars: Sequence[Bar], fetched: Collection[int]) -> list[Bar]:
        """Take a symbol's closed bars of before its first live one, oldest first; return those that are believed.

        Only those that were `fetched` (closes, ns UTC) are judged: what is stored was believed before. None is told: who
        warms features with them knows them, and what follows is told from there on. Nor do refusals count: `quality` is
        of live data.
        """
        track = self._track(symbol)
        verdict = self._validator.history(symbol, bars)
        fresh = [refusal for refusal in verdict.rejected if refusal.ts in fetched]
        self._tell_refused(self._refusals.new(fresh, self._now))
        believed = {bar.ts for bar in verdict.accepted}
        past = [bar for bar in bars if bar.ts in believed or bar.ts not in fetched]
        if past:
            track.told = past[-1].ts
        if past and fetched:
            self._doubt(track, symbol, past)
        return past

    def _doubt(self, track: _Track, symbol: str, past: Sequence[Bar]) -> None:
        """Tell what no single bar of the past shows, once."""
        for found in inspection.doubts(columns(past), self._options.interval_ns, self._calendar)[0]:
            if (found.what, found.at) not in track.doubted:
                track.doubted.add((found.what, found.at))
                self._say(Feed.DOUBTED, symbol, found.in_words())

    def split(self, symbol: str, ratio: float, since: int) -> None:
        """Expect a share's next prices in new shares, `ratio` for an old one; those after `since` (UTC ns) were already."""
        self._validator.split(symbol, ratio, since)

    def gaps(self) -> list[tuple[str, int, int]]:
        """Return what history should bring now: symbol, start and end in UTC ns; bars with start < ts <= end."""
        return [(symbol, *gap) for symbol, track in self._tracks.items() if (gap := track.gap()) is not None]

    def quality(self) -> list[Quality]:
        """Return how good the live data of each symbol and day were; neither the warm-up counts nor what was before."""
        tracks = sorted(self._tracks.items())
        return [tally.of(symbol, day) for symbol, track in tracks for day, tally in track.days.items()]

    def settle(self) -> None:
        """Tell how many refusals have not been told yet: nothing more will come."""
        self._tell_refused(self._refusals.rest())

    def _track(self, symbol: str) -> _Track:
        return self._tracks.setdefault(symbol, _Track())

    def _tally(self, symbol: str, ts: int) -> Tally:
        """Return where the day of `ts` is counted; days that are over for long are forgotten."""
        days = self._track(symbol).days
        tally = days.setdefault(self._calendar.label_of(ts), Tally())
        if len(days) > _DAYS:
            del days[min(days)]
        return tally

    def _counts(self, track: _Track, ts: int) -> bool:
        """Whether the bar that closes at `ts` began when the stream had begun."""
        return track.since is not None and self._start(ts) >= track.since

    def _on_tick(self, tick: Quote | Trade | Depth, refusal: Rejected | None) -> None:
        if refusal is not None:
            # Quotes go on all night; a bar from outside hours has a wrong time.
            if refusal.reason != OUTSIDE_HOURS:
                self._refuse((refusal,))
            return
        self._now = max(self._now, tick.ts)
        self._inbox.put(tick)

    def _closed(self, track: _Track, bar: Bar) -> None:
        """Queue a live bar and tell what can be told; a hole before it is a gap."""
        start = self._start(bar.ts)
        if track.told is None:
            track.told = start
        if bar.ts <= track.told:
            return
        track.waiting.append(bar)
        track.newest = bar.ts
        before = track.waiting[-2].ts if len(track.waiting) > 1 else track.told
        due = self._due(start)
        if before < due:
            track.lacking_until = max(track.lacking_until, due)
        self._drain(track)
        if len(track.waiting) > self._options.patience:
            self._give_up(track, bar.symbol)
        self._ask(track, bar.symbol)

    def _lost(self, track: _Track, lost: Gap) -> None:
        if track.told is None:
            track.told = lost.start
        track.lacking_until = max(track.lacking_until, lost.end)
        self._ask(track, lost.symbol)

    def _ask(self, track: _Track, symbol: str) -> None:
        """Ask for the gap, and again with each bar while it is open: history may lag behind the stream."""
        gap = track.gap()
        if gap is not None and self._on_gap is not None:
            self._on_gap(Gap(symbol, *gap))

    def _give_up(self, track: _Track, symbol: str) -> None:
        gap = track.gap()
        if gap is not None:
            waiting = {bar.ts for bar in track.waiting}
            for ts in self._due_within(*gap):
                self._tally(symbol, ts).lost += ts not in waiting and self._counts(track, ts)
        self._tell_through(track, track.newest)
        if gap is not None:
            self._say(Feed.GAP, symbol, f"{NOT_FILLED}: {_stretch(*gap)}")

    def _due_within(self, start: int, end: int) -> Iterator[int]:
        """Yield when bars should have closed, start < ts <= end."""
        first, last = (datetime.fromtimestamp(ts // SECOND_NS, UTC).date() for ts in (start, end))
        for session in self._calendar.sessions(first, last):
            yield from (ts for ts in closes(session, self._options.interval_ns) if start < ts <= end)

    def _tell_through(self, track: _Track, until: int) -> None:
        """Tell what waits up to `until`, holes or not, and then whatever follows without one."""
        while track.waiting and track.waiting[0].ts <= until:
            self._tell(track)
        self._drain(track)

    def _drain(self, track: _Track) -> None:
        while track.waiting and (track.told or 0) >= self._due(self._start(track.waiting[0].ts)):
            self._tell(track)

    def _tell(self, track: _Track) -> None:
        bar = track.waiting.pop(0)
        track.told = bar.ts
        # Who trades on a bar must not be told later that there was a newer one.
        outdated = bar.ts < track.newest and not bar.history
        if not bar.history:
            self._tally(bar.symbol, bar.ts).whole += 1
        self._inbox.put(msgspec.structs.replace(bar, history=True) if outdated else bar)

    def _fresh(self, symbol: str, track: _Track, bars: Iterable[Bar]) -> list[Bar]:
        told = -1 if track.told is None else track.told
        making = self._aggregator.open_since(symbol)
        waiting = {bar.ts for bar in track.waiting}
        return [
            msgspec.structs.replace(bar, history=True)
            for bar in bars
            if bar.ts > told and bar.ts not in waiting and (making is None or bar.ts <= making)
        ]

    def _start(self, ts: int) -> int:
        session = self._calendar.session(ts)
        return ts if session is None else bucket(session, ts, self._options.interval_ns)[0]

    def _due(self, start: int) -> int:
        """Return the close of the bar before one that starts at `start`: the evening before where that is an open."""
        session = self._calendar.session(start + 1)
        if session is None or start > session.open:
            return start
        return self._calendar.before(session.label, 1)[0].close

    def _refuse(self, refusals: Sequence[Rejected]) -> None:
        """Count refusals, and tell them: now, or with those that follow."""
        for refusal in refusals:
            if refusal.reason != OUTSIDE_HOURS:
                self._tally(refusal.symbol, self._now or refusal.ts).refused[refusal.reason] += 1
        self._tell_refused(self._refusals.new(refusals, self._now))

    def _tell_refused(self, told: Iterable[tuple[str, str]]) -> None:
        for symbol, detail in told:
            self._say(Feed.REJECTED, symbol, detail)

    def _say(self, state: Feed, symbol: str, detail: str) -> None:
        told = self._track(symbol).told or 0
        self._inbox.put(FeedStatus(ts=max(self._now, told), symbol=symbol, state=state, detail=detail))


def _stretch(start: int, end: int) -> str:
    first, last = (datetime.fromtimestamp(ts // SECOND_NS, UTC) for ts in (start, end))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
