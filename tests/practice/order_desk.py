"""What the tests of orders share: an open market, what its book shows, and what a client is told."""

from __future__ import annotations

from decimal import Decimal

from ib_async import IB, Trade

from robo_trader.core.events import Side
from robo_trader.simulation.limit_book import Level
from tests.practice.conftest import Desk

OPEN = 5  # seconds from the start of the clock


async def opened(desk: Desk, client_id: int = 1) -> IB:
    """Connect, and let the market open: AAPL stands near 200 USD, some dozens of shares a level."""
    ib = await desk.connect(client_id)
    await desk.advance(OPEN)
    return ib


def offers(desk: Desk, symbol: str = "AAPL") -> list[Level]:
    """Return what of the market's own offers can be had now, best first."""
    book = desk.gateway.exchange.book(symbol)
    assert book is not None
    return list(book.levels(Side.SELL))


def bids(desk: Desk, symbol: str = "AAPL") -> list[Level]:
    book = desk.gateway.exchange.book(symbol)
    assert book is not None
    return list(book.levels(Side.BUY))


def codes(ib: IB) -> list[int]:
    """Return a list that the codes of errors to come are put into."""
    heard: list[int] = []
    ib.errorEvent += lambda _about, code, *_: heard.append(code)
    return heard


def statuses(trade: Trade) -> list[str]:
    """Return the statuses an order went through, each once in a row."""
    seen = [entry.status for entry in trade.log]
    return [status for i, status in enumerate(seen) if i == 0 or status != seen[i - 1]]


def cash(ib: IB) -> Decimal:
    (value,) = (v.value for v in ib.accountValues() if v.tag == "TotalCashValue" and v.currency == "USD")
    return Decimal(value)


def traded(trade: Trade) -> int:
    return int(sum(fill.execution.shares for fill in trade.fills))
