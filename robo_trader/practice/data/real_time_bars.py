"""Five-second bars of trades or quotes, told as they end."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.data.lines import FULL, Lines, Supply
from robo_trader.practice.market.quote_bars import quote_bar
from robo_trader.practice.market.stamps import trades, typical
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.ticks import Tick, bar
from robo_trader.practice.protocol.wire import INVALID, Cursor
from robo_trader.simulation.tape import SLICE_NS

SHOWN = ("TRADES", "MIDPOINT", "BID", "ASK")

_SECONDS = SLICE_NS // SECOND_NS


class What(NamedTuple):
    """What a group of lines hears."""

    symbol: str
    shows: str


class RealTimeBars:
    """Opens and closes lines of 5-second bars.

    Only regular trading hours exist here, so asking for the others too changes nothing.
    """

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._exchange = supply.exchange
        self._lines: Lines[What, None, None] = Lines(supply.options.market_data, FULL, lambda _: None)
        self.answers: dict[int, Answer] = {50: self._open, 51: self._lines.on_cancel}

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._lines.drop(client)

    def beat(self) -> None:
        """Tell the bars that have just ended."""
        if not self._exchange.slice_ended:
            return
        for what, group in self._lines.groups.items():
            tick = self._bar(what)
            group.tell([] if tick is None else [tick])

    def _bar(self, what: What) -> Tick | None:
        traded = self._exchange.closed(what.symbol)
        if traded is None:
            return None
        start, prices = traded.start // SECOND_NS, (traded.open, traded.high, traded.low, traded.close)
        if what.shows == "TRADES":
            return bar(start, prices, traded.volume, typical(traded), trades(traded.volume))
        spread = partial(self._exchange.source.spread, what.symbol)
        return bar(start, quote_bar(prices, spread, what.shows), -1, -1.0, -1)

    def _open(self, client: Client, cursor: Cursor) -> None:
        cursor.skip(1)
        request = cursor.integer()
        symbol = self._supply.directory.read(client, request, cursor)
        if symbol is None:
            return None
        seconds, shows = cursor.integer(default=_SECONDS), cursor.text()
        if seconds not in (0, _SECONDS):
            text = f"{INVALID}Only {_SECONDS} second bars are supported"
            return client.error(request, 321, text)
        if shows not in SHOWN:
            text = f"{INVALID}What to show: {shows[:50]} is none of {','.join(SHOWN)}"
            return client.error(request, 321, text)
        if not self._supply.is_live:
            return client.error(
                request, 420, "Invalid Real-time Query:No market data permissions for NASDAQ STK"
            )
        if self._lines.admits(client, request):
            self._lines.open(client, request, What(symbol, shows), None)
            self._supply.listened()
        return None
