"""Turns the streams of TWS into messages, and notices when one has gone silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from ib_async import IB
from ib_async.ticker import Ticker

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar, Depth, Feed, FeedStatus, Quote, Trade
from robo_trader.core.protocols import Calendar
from robo_trader.ibkr.connection import Connection
from robo_trader.ibkr.contracts import ContractRecord, Contracts
from robo_trader.ibkr.depth import DepthLines, DepthOptions
from robo_trader.ibkr.history import History
from robo_trader.ibkr.pacing import Pacer
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.ibkr.values import observed_price, observed_size

log = structlog.get_logger()

BAR_S = 5
_BAR_NS = BAR_S * SECOND_NS
_LIVE = 1  # of TWS's market data types; delayed and frozen prices are not for trading
_KINDS = {2: "frozen", 3: "delayed", 4: "delayed, frozen"}
_QUOTE_TICKS = frozenset({0, 1, 2, 3})
_LAST_TICK = 4
_BUST = 10225
_SERVER_BROKEN = 2110
_LINK_BROKEN = frozenset({1100, _SERVER_BROKEN})
_FARM_WELL = 2104


class Intake(Protocol):
    """Where what the feed hears goes: `data.pipeline.Pipeline`."""

    def on_bar(self, bar: Bar) -> None: ...
    def on_quote(self, quote: Quote) -> None: ...
    def on_trade(self, trade: Trade) -> None: ...
    def on_depth(self, depth: Depth) -> None: ...
    def on_status(self, status: FeedStatus) -> None: ...
    def backfill(self, symbol: str, bars: Iterable[Bar]) -> int: ...
    def gaps(self) -> list[tuple[str, int, int]]: ...


@dataclass(frozen=True)
class FeedOptions:
    """How often quotes pass (market time), and when silence is taken for failure (wall time).

    `interval_ns` is the bar the pipeline makes, and so the bar its gaps are filled with: a key of history.BAR_SIZES.
    """

    interval_ns: int = MINUTE_NS
    quote_interval_s: float = 0.25
    stale_after_s: float = 20.0
    resubscribe_after_s: float = 60.0
    # The same gap is asked for at most this often.
    backfill_interval_s: float = 15.0
    days_per_request: int = 10
    depth: DepthOptions = field(default_factory=DepthOptions)


class _Stream:
    """One symbol's subscriptions in this session, and when it was last heard; `trouble` says why it is not fresh."""

    def __init__(self, record: ContractRecord, now: float) -> None:
        self.record = record
        self.symbol = record.instrument.symbol
        self.bars_request = -1
        self.ticks_request = -1
        self.ticker: Ticker | None = None
        self.asked_at = now
        self.heard_at = now
        self.heard_ts = 0
        self.trouble = ""
        self.quoted_ts = 0
        self.traded_ts = 0
        self.quote: Quote | None = None  # held back, to go out when its time has come

    @property
    def is_pending(self) -> bool:
        """Whether it has been asked for and neither heard nor found wanting."""
        return not self.trouble and not self.heard_ts


class IbFeed:
    """The market behind TWS: 5-second bars, quotes, sampled trades and, of a few, depth of the symbols subscribed to."""

    def __init__(
        self,
        connection: Connection,
        contracts: Contracts,
        pacer: Pacer,
        pipeline: Intake,
        calendar: Calendar,
        options: FeedOptions = FeedOptions(),
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        on_stream: Callable[[str, str], None] = lambda _symbol, _trouble: None,
    ) -> None:
        """Listen to `connection` and hand everything to `pipeline`.

        `on_stream` is told when a symbol's stream gets into trouble, and why, and with an empty text when it is fresh.
        """
        self._connection = connection
        self._contracts = contracts
        self._pacer = pacer
        self._pipeline = pipeline
        self._calendar = calendar
        self._options = options
        self._wall_ns = wall_ns
        self._monotonic = monotonic
        self._on_stream = on_stream
        self._past = History(connection, contracts, pacer, calendar, options.days_per_request)
        self._depth = DepthLines(
            connection, pacer, pipeline, self.market_now, options.depth, lambda: self._monotonic()
        )
        self._quote_interval_ns = int(options.quote_interval_s * SECOND_NS)
        self._session: IB | None = None
        self._streams: dict[str, _Stream] = {}
        self._by_request: dict[int, _Stream] = {}
        self._by_con_id: dict[int, _Stream] = {}
        self._seen_ts = 0
        self._broken = 0  # the code by which TWS said that it lost its servers
        self._asked: dict[tuple[str, int, int], float] = {}
        self._missing = asyncio.Event()
        connection.market = self

    # -------------------------------------------------------------------------------------------- subscriptions

    async def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for the streams of these symbols; after a new session, again. Watches over them while it lasts."""
        records = [await self._contracts.qualify(symbol) for symbol in symbols]
        if self._session is not self._connection.ib:
            self._session = self._connection.ib
            self._streams, self._by_request, self._by_con_id, self._broken = {}, {}, {}, 0
            self._depth.forget()
            self._connection.spawn(self._tend())
            self._connection.spawn(self._fill())
        for record in records:
            if record.instrument.symbol not in self._streams:
                await self._start(_Stream(record, self._monotonic()))

    @property
    def pending(self) -> list[str]:
        """The symbols whose streams have been asked for and neither heard nor found wanting."""
        return [symbol for symbol, stream in self._streams.items() if stream.is_pending]

    def market_now(self) -> int:
        """Return the market's time, UTC ns: the wall's, for a practice market the last it told of its own."""
        return self.told_time if self._connection.is_practice else self._wall_ns()

    @property
    def told_time(self) -> int:
        """The market's latest time that was told, not guessed, UTC ns; bars in the making tell it before their minute."""
        return max(self._seen_ts, self._connection.server_time)

    async def _start(self, stream: _Stream) -> None:
        contract = stream.record.contract
        self._streams[stream.symbol] = self._by_con_id[contract.conId] = stream
        await self._pacer.lookup()
        ib = self._connection.ib
        # Ticks first: their answer says whether prices are live, and must be here before the first bar.
        stream.ticker = ib.reqMktData(contract)
        stream.ticks_request = ib.wrapper.ticker2ReqId["mktData"][stream.ticker]
        self._by_request[stream.ticks_request] = stream
        await self._pacer.lookup()
        ib = self._connection.ib  # may have gone while we waited for our turn
        stream.bars_request = ib.client.getReqId()
        self._by_request[stream.bars_request] = stream
        ib.client.reqRealTimeBars(  # type: ignore[no-untyped-call]
            stream.bars_request, contract, BAR_S, "TRADES", True, None
        )
        await self._depth.open(stream.record)

    async def _stop(self, stream: _Stream) -> None:
        self._by_request.pop(stream.bars_request, None)
        self._by_request.pop(stream.ticks_request, None)
        await self._pacer.lookup()
        self._connection.ib.client.cancelRealTimeBars(stream.bars_request)  # type: ignore[no-untyped-call]
        await self._pacer.lookup()
        self._connection.ib.cancelMktData(stream.record.contract)
        await self._depth.close(stream.symbol)

    async def _restart(self, stream: _Stream) -> None:
        log.info("asking again", what=stream.symbol)
        stream.asked_at = self._monotonic()
        await self._stop(stream)
        await self._start(stream)
        if not self._broken and self._calendar.session(self.market_now()) is None:
            self._trouble(
                stream, ""
            )  # nothing can be heard now; its silence is judged when the market is open

    # ---------------------------------------------------------------------------------------------- the past

    async def history(
        self, symbol: str, since_ns: int, until_ns: int | None = None, interval_ns: int | None = None
    ) -> list[Bar]:
        """Return closed bars with since_ns < ts <= until_ns (None: now), oldest first; see `History.bars`.

        `interval_ns` None takes the options'.
        """
        return await self._past.bars(symbol, since_ns, until_ns, interval_ns or self._options.interval_ns)

    async def days(self, symbol: str, sessions: int) -> list[Bar]:
        """Return the last whole sessions as bars of a day, oldest first; see `History.days`."""
        return await self._past.days(symbol, sessions)

    async def backfill(self) -> None:
        """Fetch what the pipeline misses. What TWS refuses or does not answer stays missing until the next call."""
        gaps = self._pipeline.gaps()
        self._asked = {gap: at for gap, at in self._asked.items() if gap in gaps}
        for symbol, start, end in gaps:
            now = self._monotonic()
            if now - self._asked.get((symbol, start, end), -1e9) < self._options.backfill_interval_s:
                continue
            self._asked[symbol, start, end] = now
            try:
                bars = await self.history(symbol, start, end)
            except (RequestRefused, Unanswered) as error:
                log.warning("backfill_failed", symbol=symbol, reason=str(error))
                continue
            self._pipeline.backfill(symbol, bars)

    def on_gap(self, _gap: object) -> None:
        """The pipeline misses bars: fetch them at once."""
        self._missing.set()

    async def _fill(self) -> None:
        while True:
            await self._missing.wait()
            self._missing.clear()
            await self.backfill()

    # ---------------------------------------------------------------------------------------------- callbacks

    def on_realtime_bar(self, request: int, start_s: int, ohlc: tuple[float, ...], volume: float) -> None:
        """A 5-second bar has closed; TWS names it by its start."""
        stream = self._by_request.get(request)
        if stream is None:
            return
        ts = (start_s + BAR_S) * SECOND_NS
        self._seen_ts = max(self._seen_ts, ts)
        if self._is_delayed(stream):
            return
        open_, high, low, close = map(observed_price, ohlc)
        size = observed_size(volume)
        if open_ is None or high is None or low is None or close is None or size is None:
            self._say(Feed.REJECTED, stream.symbol, "a bar without prices")
            return  # it counts for silence
        stream.heard_at, stream.heard_ts = self._monotonic(), ts
        self._broken = 0
        if stream.trouble:
            self._trouble(stream, "")
            self._say(Feed.LIVE, stream.symbol, "bars come again")
        self._pipeline.on_bar(Bar(stream.symbol, ts, open_, high, low, close, size, _BAR_NS))

    def on_tickers(self, tickers: Iterable[Ticker]) -> None:
        """Quotes or prints have changed; the library gathers what one packet brought."""
        for ticker in tickers:
            stream = self._by_con_id.get(ticker.contract.conId) if ticker.contract else None
            if stream is not None and not self._is_delayed(stream, ticker):
                self._on_ticks(stream, ticker)
                self._depth.on_changes(stream.symbol)

    def on_depth_row(
        self, request: int, position: int, operation: int, side: int, price: float, size: float
    ) -> None:
        """A row of a book has changed; its packet may hold more of them."""
        self._depth.on_row(request, position, operation, side, price, size)

    def on_stream_error(self, request: int, code: int, text: str) -> None:
        """TWS ends or refuses a stream; it is asked for again later, at once after a bust."""
        stream = self._by_request.get(request)
        if self._depth.on_error(request, code, text) or stream is None:
            return
        if code == _BUST:
            stream.asked_at = -1e9
        self._mark(stream, Feed.LOST, f"{text} ({code})")

    def on_link(self, code: int, text: str) -> None:
        """TWS lost or regained its own servers. "Data maintained" is not to be trusted: ask for everything again."""
        if code == _FARM_WELL and self._broken != _SERVER_BROKEN:
            return  # the end of that is told by nothing else; elsewhere it proves nothing
        self._broken = code if code in _LINK_BROKEN else 0
        self._say(Feed.LOST if self._broken else Feed.LIVE, "", text)
        for stream in self._streams.values():
            self._trouble(stream, stream.trouble or f"{text} ({code})")
            stream.asked_at = self._monotonic() if self._broken else -1e9

    def _on_ticks(self, stream: _Stream, ticker: Ticker) -> None:
        kinds = {tick.tickType for tick in ticker.ticks}
        ts = self.market_now()
        if kinds & _QUOTE_TICKS:
            stream.quote = self._quote(stream, ticker, ts)
            self._pass_quote(stream, ts)
        if _LAST_TICK in kinds and ts - stream.traded_ts >= self._quote_interval_ns:
            price, size = observed_price(ticker.last), observed_size(ticker.lastSize)
            if price is not None and size:
                stream.traded_ts = ts
                self._pipeline.on_trade(Trade(stream.symbol, ts, price, size))

    def _quote(self, stream: _Stream, ticker: Ticker, ts: int) -> Quote | None:
        bid, ask = observed_price(ticker.bid), observed_price(ticker.ask)
        bid_size, ask_size = observed_size(ticker.bidSize), observed_size(ticker.askSize)
        if bid is None or ask is None or bid_size is None or ask_size is None:
            return None
        return Quote(stream.symbol, ts, bid, ask, bid_size, ask_size)

    def _pass_quote(self, stream: _Stream, ts: int) -> None:
        if stream.quote is not None and ts - stream.quoted_ts >= self._quote_interval_ns:
            quote, stream.quote, stream.quoted_ts = stream.quote, None, ts
            self._pipeline.on_quote(quote)

    # ------------------------------------------------------------------------------------------ watching over it

    async def _tend(self) -> None:
        """Let held quotes go, notice silence, and ask again for what has stopped."""
        while True:
            await asyncio.sleep(self._options.quote_interval_s)
            ts = self.market_now()
            for stream in list(self._streams.values()):
                self._pass_quote(stream, ts)
                self._watch(stream)
                if stream.trouble and self._due(stream):
                    await self._restart(stream)
            await self._depth.tend(self._calendar.session(ts) is not None)

    def _due(self, stream: _Stream) -> bool:
        return self._monotonic() - stream.asked_at >= self._options.resubscribe_after_s

    def _watch(self, stream: _Stream) -> None:
        silence = self._monotonic() - max(stream.heard_at, stream.asked_at)
        if stream.trouble or silence < self._options.stale_after_s or not self._is_due_a_bar(stream):
            return
        self._mark(stream, Feed.STALE, f"no bar for {silence:.0f} s while the market is open")
        stream.asked_at = -1e9

    def _is_due_a_bar(self, stream: _Stream) -> bool:
        now = self.market_now()
        before = max(stream.heard_ts, now - 4 * _BAR_NS)
        return now - before > 3 * _BAR_NS and None not in (
            self._calendar.session(before + _BAR_NS),
            self._calendar.session(now),
        )

    def _is_delayed(self, stream: _Stream, ticker: Ticker | None = None) -> bool:
        """Whether TWS grants no live prices, and so none to trade on; bars name no kind, the ticks beside them do."""
        ticker = ticker or stream.ticker
        kind = ticker.marketDataType if ticker is not None else _LIVE
        if kind != _LIVE and not stream.trouble:
            self._mark(
                stream, Feed.STALE, f"{_KINDS.get(kind, 'unknown')} data instead of live (type {kind})"
            )
        return kind != _LIVE

    def _mark(self, stream: _Stream, state: Feed, detail: str) -> None:
        self._trouble(stream, detail)
        self._say(state, stream.symbol, detail)

    def _trouble(self, stream: _Stream, why: str) -> None:
        if stream.trouble != why:
            stream.trouble = why
            self._on_stream(stream.symbol, why)

    def _say(self, state: Feed, symbol: str, detail: str) -> None:
        self._pipeline.on_status(FeedStatus(self.market_now(), symbol, state, detail))
