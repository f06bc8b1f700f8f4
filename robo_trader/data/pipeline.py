"""Carries raw data to the inbox: validate, aggregate, keep the order, and fill what was missed from history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from robo_trader.core.events import MINUTE_NS, NOT_FILLED, SECOND_NS, Bar, Feed, FeedStatus, Quote, Trade
from robo_trader.core.protocols import Inbox
from robo_trader.data.aggregation import Aggregator, Gap, bucket, closes
from robo_trader.data.history import merge
from robo_trader.data.quality import Quality
from robo_trader.data.sessions import XnysCalendar
from robo_trader.data.validation import OUTSIDE_HOURS, Rejected, ValidationOptions, Validator


@dataclass(frozen=True)
class PipelineOptions:
    """Which bars the desk wants, and how patient it is. Times in ns of market time."""

    interval_ns: int = MINUTE_NS
    # Closed bars that may wait for an older gap to be filled; then the gap is given up and said to be.
    patience: int = 5
    # One symbol's refusals for one reason are told at most this often, with how many there were.
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
    # Bars that needed nothing, that came from history instead, and that were given up.
    whole: int = 0
    filled: int = 0
    lost: int = 0

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
        self._silent_until: dict[tuple[str, str], int] = {}

    def on_bar(self, bar: Bar) -> None:
        """Take one raw bar of the stream (TWS: 5 seconds, one every 5 seconds, also without trades)."""
        verdict = self._validator.bar(bar)
        for part in verdict.accepted:
            self._now = max(self._now, part.ts)
            for settled in self._aggregator.add(part):
                if isinstance(settled, Gap):
                    self._lost(self._track(settled.symbol), settled)
                else:
                    self._closed(self._track(settled.symbol), settled)
        self._refuse(verdict.rejected)

    def on_quote(self, quote: Quote) -> None:
        """Take one quote."""
        self._on_tick(quote, self._validator.quote(quote))

    def on_trade(self, trade: Trade) -> None:
        """Take one print."""
        self._on_tick(trade, self._validator.trade(trade))

    def on_status(self, status: FeedStatus) -> None:
        """Pass on what the feed says of itself."""
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
        if gap is not None:
            track.filled += sum(gap[0] < bar.ts <= gap[1] for bar in fresh)
        track.waiting = merge(fresh, track.waiting)
        self._tell_through(track, fresh[-1].ts)
        if gap is not None and track.gap() is None:
            self._say(Feed.GAP, symbol, f"missed bars filled in from history: {len(fresh)}, {_stretch(*gap)}")
        return len(fresh)

    def take_past(self, symbol: str, bars: Sequence[Bar], fetched: Collection[int]) -> list[Bar]:
        """Take a symbol's closed bars of before its first live one, oldest first; return those that are believed.

        Only those that were `fetched` (closes, ns UTC) are judged: what is stored was believed before. None is told: who
        warms features with them knows them, and what follows is told from there on. Nor do refusals count: `quality` is
        of live data.
        """
        track = self._track(symbol)
        verdict = self._validator.history(symbol, bars, counts=False)
        self._refuse(refusal for refusal in verdict.rejected if refusal.ts in fetched)
        believed = {bar.ts for bar in verdict.accepted}
        past = [bar for bar in bars if bar.ts in believed or bar.ts not in fetched]
        if past:
            track.told = past[-1].ts
        return past

    def split(self, symbol: str, ratio: float, since: int) -> None:
        """Expect a share's next prices in new shares, `ratio` for an old one; those after `since` (UTC ns) were already."""
        self._validator.split(symbol, ratio, since)

    def gaps(self) -> list[tuple[str, int, int]]:
        """Return what history should bring now: symbol, start and end in UTC ns; bars with start < ts <= end."""
        return [(symbol, *gap) for symbol, track in self._tracks.items() if (gap := track.gap()) is not None]

    def quality(self) -> list[Quality]:
        """Return how good the live data of each symbol were since the start; the warm-up counts for nothing."""
        return [self._quality(symbol, track) for symbol, track in sorted(self._tracks.items())]

    def _quality(self, symbol: str, track: _Track) -> Quality:
        refused = self._validator.rejections(symbol)
        refused.pop(OUTSIDE_HOURS, None)
        return Quality(symbol, track.whole, track.filled, track.lost, refused)

    def _track(self, symbol: str) -> _Track:
        return self._tracks.setdefault(symbol, _Track())

    def _on_tick(self, tick: Quote | Trade, refusal: Rejected | None) -> None:
        if refusal is not None:
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
            track.lost += sum(ts not in waiting for ts in self._due_within(*gap))
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
        track.whole += not bar.history
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

    def _refuse(self, refusals: Iterable[Rejected]) -> None:
        for refusal in refusals:
            key = (refusal.symbol, refusal.reason)
            now = self._now or refusal.ts
            if refusal.reason == OUTSIDE_HOURS or now < self._silent_until.get(key, 0):
                continue
            self._silent_until[key] = now + self._options.rejection_interval_ns
            count = self._validator.rejections(refusal.symbol).get(refusal.reason, 0)
            so_far = f", {count} times so far" if count > 1 else ""
            self._say(Feed.REJECTED, refusal.symbol, refusal.detail + so_far)

    def _say(self, state: Feed, symbol: str, detail: str) -> None:
        told = self._track(symbol).told or 0
        self._inbox.put(FeedStatus(ts=max(self._now, told), symbol=symbol, state=state, detail=detail))


def _stretch(start: int, end: int) -> str:
    first, last = (datetime.fromtimestamp(ts // SECOND_NS, UTC) for ts in (start, end))
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
