"""What the account is worth and may still carry, by the names TWS uses."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.account import margin
from robo_trader.practice.account.books import Books, Mark
from robo_trader.practice.market.exchange import Exchange
from robo_trader.practice.protocol.wire import plain

LEDGER = (
    "CashBalance", "TotalCashBalance", "AccruedCash", "StockMarketValue", "NetLiquidationByCurrency",
    "UnrealizedPnL", "RealizedPnL", "ExchangeRate", "NetDividend",
)  # fmt: skip
_BASE, _USD = "BASE", "USD"
_ALSO_CALLED = {
    "PreviousEquityWithLoanValue": "PreviousDayEquityWithLoanValue", "ReqTEquity": "RegTEquity",
    "ReqTMargin": "RegTMargin",
}  # fmt: skip
_RATIO = Decimal("0.000001")
_NONE = Decimal(0)


class Row(NamedTuple):
    """One account value as TWS tells it; the currency is empty where the value is not money."""

    tag: str
    value: str
    currency: str


def account_values(books: Books, exchange: Exchange) -> list[Row]:
    """Return every value of the account as it stands now: words and counts, money, then the ledger twice.

    Money is exact where TWS rounds to cents. Margins are those of `margin`: what is in force now, and under `LookAhead`
    what will be from the next close or open on. SMA is equity less Reg T margin, without TWS's memory of better days.
    """
    mark, is_open = exchange.last, exchange.is_open
    worth = {symbol: books.value(symbol, mark) for symbol in books.held()}
    stocks, gross = sum(worth.values(), _NONE), sum(map(abs, worth.values()), _NONE)
    equity = books.cash + stocks
    kept = margin.required(books, mark, margin.maintenance)
    night = margin.required(books, mark, margin.overnight)
    now, ahead = (kept, night) if is_open else (night, kept)
    free, excess = equity - now, equity - kept
    money = {
        "NetLiquidation": equity, "TotalCashValue": books.cash, "SettledCash": books.cash, "AccruedDividend": _NONE,
        "BuyingPower": max(free, _NONE) * margin.leverage(is_open), "EquityWithLoanValue": equity,
        "PreviousDayEquityWithLoanValue": books.equity_before(exchange.close_before), "GrossPositionValue": gross,
        "RegTEquity": equity, "RegTMargin": night, "SMA": equity - night,
        "InitMarginReq": now, "MaintMarginReq": kept, "AvailableFunds": free, "ExcessLiquidity": excess,
        "FullInitMarginReq": now, "FullMaintMarginReq": kept, "FullAvailableFunds": free,
        "FullExcessLiquidity": excess, "LookAheadInitMarginReq": ahead, "LookAheadMaintMarginReq": kept,
        "LookAheadAvailableFunds": equity - ahead, "LookAheadExcessLiquidity": excess,
    }  # fmt: skip
    plain = {
        "AccountType": "INDIVIDUAL", "AccountReady": "true", "HighestSeverity": "0",
        "Cushion": _ratio(excess, equity), "Leverage": _ratio(gross, equity),
        "LookAheadNextChange": str(_next_change(exchange) // SECOND_NS), "DayTradesRemaining": "-1",
        **{f"DayTradesRemainingT+{day}": "-1" for day in range(1, 5)},
    }  # fmt: skip
    rows = [Row(tag, text, "") for tag, text in plain.items()]
    rows += [Row(tag, format(usd, "f"), _USD) for tag, usd in money.items()]
    ledger = _ledger(books, mark, stocks)
    return [*rows, *(Row(tag, text, currency) for currency in (_USD, _BASE) for tag, text in ledger.items())]


def _ledger(books: Books, mark: Mark, stocks: Decimal) -> dict[str, str]:
    unrealised = sum((books.unrealised(symbol, mark) for symbol in books.held()), _NONE)
    realised = sum((books.positions[symbol].realised for symbol in books.touched()), _NONE)
    cash = books.cash
    told = (cash, cash, _NONE, stocks, cash + stocks, unrealised, realised, Decimal(1), _NONE)
    return {tag: plain(round(value, 8)) for tag, value in zip(LEDGER, told, strict=True)}


def summary_of(rows: Iterable[Row], tags: Iterable[str]) -> list[Row]:
    """Return the rows reqAccountSummary asks for by its tags; `$LEDGER` is the ledger in the base currency.

    `$LEDGER:USD` is the ledger in dollars, `$LEDGER:ALL` in both. A tag that TWS does not know brings nothing.
    """
    wanted = {_ALSO_CALLED.get(tag, tag) for tag in tags}
    currencies = {tag.partition(":")[2] or _BASE for tag in wanted if tag.partition(":")[0] == "$LEDGER"}
    if "ALL" in currencies:
        currencies = {_USD, _BASE}
    return [
        row
        for row in rows
        if (row.tag in LEDGER and row.currency in currencies) or (row.tag in wanted and row.currency != _BASE)
    ]


def light_of(rows: Iterable[Row]) -> list[Row]:
    """Return the ledger and the net liquidation value: what `ledgerAndNLV` asks for."""
    return [row for row in rows if row.tag in LEDGER or row.tag == "NetLiquidation"]


def _next_change(exchange: Exchange) -> int:
    """Return when other margins will be in force, UTC ns: at the close, or at the next open."""
    session = exchange.session
    if exchange.now < session.open:
        return session.open
    return session.close if exchange.now < session.close else exchange.calendar.after(session.label).open


def _ratio(part: Decimal, whole: Decimal) -> str:
    return plain((part / whole).quantize(_RATIO)) if whole > 0 else "0"
