"""All data that goes on until it is cancelled: market data, bars, ticks one by one and depth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from robo_trader.practice.data.depth_answers import DepthAnswers
from robo_trader.practice.data.generic_ticks import Facts
from robo_trader.practice.data.lines import Supply
from robo_trader.practice.data.market_answers import MarketAnswers
from robo_trader.practice.data.real_time_bars import RealTimeBars
from robo_trader.practice.data.tick_by_tick import TickByTick
from robo_trader.practice.market.exchange import Dividend, Exchange
from robo_trader.practice.market.ranges import Ranges
from robo_trader.practice.protocol.clients import Answer, Client

_YEAR = timedelta(days=365)


class LiveData:
    """The lines of all clients."""

    def __init__(self, supply: Supply, borrowable: Callable[[str], int]) -> None:
        """`borrowable` says how many shares of a symbol can be borrowed."""
        exchange = supply.exchange
        facts = Facts(Ranges(exchange), lambda symbol: dividends_of(exchange, symbol), borrowable)
        self._subjects = (
            MarketAnswers(supply, facts),
            TickByTick(supply),
            DepthAnswers(supply),
            RealTimeBars(supply),
        )
        self.answers: dict[int, Answer] = {}
        for subject in self._subjects:
            self.answers |= subject.answers

    def drop(self, client: Client) -> None:
        """Forget the lines of a client."""
        for subject in self._subjects:
            subject.drop(client)

    def beat(self) -> None:
        """Tell every line what the beat just made has changed."""
        for subject in self._subjects:
            subject.beat()


def dividends_of(exchange: Exchange, symbol: str) -> str:
    """Return the dividends of a share as tick 59 has them: `past year,next year,next date,next amount`; empty for none."""
    today = exchange.session.label
    year_ago = (date.fromisoformat(today) - _YEAR).isoformat()
    known = [a for a in exchange.overlays().actions if isinstance(a, Dividend) and a.symbol == symbol]
    past = sum((one.usd for one in known if year_ago < one.session <= today), Decimal(0))
    coming = [one for one in known if one.session > today]
    if not coming and not past:
        return ""
    ahead = sum((one.usd for one in coming), Decimal(0))
    following = f"{coming[0].session.replace('-', '')},{coming[0].usd}" if coming else ","
    return f"{past},{ahead},{following}"
