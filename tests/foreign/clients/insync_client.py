"""Holds the conversation with ib_insync, by its blocking calls, and prints what it heard as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from ib_insync import IB, ExecutionFilter, LimitOrder, MarketOrder, Order, Stock, Trade

DEADLINE = 30  # seconds for any one answer
TAGS = ("AccountType", "NetLiquidation", "TotalCashValue", "BuyingPower")
STOCK = Stock("AAPL", "SMART", "USD")


class Heard:
    """Statuses and errors of each order, by the order's name."""

    def __init__(self, ib: IB) -> None:
        self.names: dict[int, str] = {}
        self.statuses: dict[str, list[str]] = {}
        self.errors: dict[str, list[int]] = {}
        ib.orderStatusEvent += self.on_status
        ib.errorEvent += self.on_error

    def on_status(self, trade: Trade) -> None:
        said = self.statuses.setdefault(self.names.get(trade.order.orderId, "?"), [])
        status = trade.orderStatus.status
        # The library's own words for what it has sent and not yet heard about.
        if not status.startswith("Pending") and said[-1:] != [status]:
            said.append(status)

    def on_error(self, about: int, code: int, *_text_and_contract: Any) -> None:
        if about >= 0:
            self.errors.setdefault(self.names.get(about, "request"), []).append(code)


def until(ib: IB, holds: Callable[[], Any]) -> None:
    """Let the client work until the condition holds."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the gateway has fallen silent")
        ib.waitOnUpdate(timeout=0.1)  # it misses what arrives while it begins to wait


def reference(ib: IB) -> dict[str, Any]:
    ib.reqContractDetails(Stock("NOPE", "SMART", "USD"))
    (details,) = ib.reqContractDetails(STOCK)
    contract = details.contract
    ib.qualifyContracts(STOCK)
    return {
        "contract": {
            "conId": contract.conId,
            "currency": contract.currency,
            "primaryExchange": contract.primaryExchange,
            "minTick": details.minTick,
            "tradingHours": details.tradingHours,
            "timeZoneId": details.timeZoneId,
            "longName": details.longName,
        },
        "summary": {v.tag: [v.value, v.currency] for v in ib.accountSummary() if v.tag in TAGS},
    }


def history(ib: IB) -> dict[str, Any]:
    bars = ib.reqHistoricalData(
        STOCK, "20260112-21:00:00", "1 D", "1 min", "TRADES", useRTH=True, formatDate=2
    )
    rows = [
        [b.date.timestamp(), b.open, b.high, b.low, b.close, b.volume, b.average, b.barCount] for b in bars
    ]
    return {"history": {"count": len(rows), "first": rows[0], "last": rows[-1]}}


def market_data(ib: IB) -> dict[str, Any]:
    ticker = ib.reqMktData(STOCK)
    until(ib, lambda: ticker.bid > 0 and ticker.ask > 0 and ticker.last > 0)
    quote = {
        "type": ticker.marketDataType,
        "close": ticker.close,
        "bid": ticker.bid,
        "ask": ticker.ask,
        "sizes": [ticker.bidSize, ticker.askSize],
    }
    ib.cancelMktData(STOCK)
    bars = ib.reqRealTimeBars(STOCK, 5, "TRADES", useRTH=True)
    until(ib, lambda: len(bars) >= 2)
    rows = [[b.time.timestamp(), b.open_, b.high, b.low, b.close, b.volume, b.wap, b.count] for b in bars[:2]]
    ib.cancelRealTimeBars(bars)
    ticker = ib.reqMktDepth(STOCK, numRows=5, isSmartDepth=True)
    until(ib, lambda: len(ticker.domBids) >= 5 and len(ticker.domAsks) >= 5)
    depth = {
        "bids": [[level.price, level.size] for level in ticker.domBids],
        "asks": [[level.price, level.size] for level in ticker.domAsks],
    }
    ib.cancelMktDepth(STOCK, isSmartDepth=True)
    return {"quote": quote, "bars": rows, "depth": depth}


def place(ib: IB, heard: Heard, name: str, order: Order) -> Trade:
    order.orderId = order.orderId or ib.client.getReqId()
    heard.names[order.orderId] = name
    return ib.placeOrder(STOCK, order)


def until_paid(ib: IB, trade: Trade) -> None:
    """Wait until every share and every commission has arrived."""
    until(
        ib,
        lambda: (
            trade.orderStatus.status == "Filled"
            and trade.filled() == trade.order.totalQuantity
            and all(fill.commissionReport.execId for fill in trade.fills)
        ),
    )


def limit(ib: IB, heard: Heard) -> dict[str, Any]:
    order = LimitOrder("BUY", 5, 100.0, tif="GTC", orderRef="low")
    trade = place(ib, heard, "limit", order)
    until(ib, lambda: trade.orderStatus.status == "Submitted")
    order.lmtPrice, order.totalQuantity = 101.0, 7
    place(ib, heard, "limit", order)
    ib.reqCurrentTime()  # what the change itself makes the gateway say must not pass for the list
    rows = [
        [t.order.orderType, t.order.lmtPrice, t.order.totalQuantity, t.order.tif, t.order.orderRef]
        for t in ib.reqOpenOrders()
    ]
    ib.cancelOrder(order)
    until(ib, lambda: trade.orderStatus.status == "Cancelled")
    return {"open": rows}


def bracket(ib: IB, heard: Heard, around: float) -> None:
    orders = ib.bracketOrder("BUY", 10, round(around + 5, 2), 300.0, 100.0)
    parent, target, stop = (
        place(ib, heard, name, order)
        for name, order in zip(("parent", "target", "stop"), orders, strict=True)
    )
    until_paid(ib, parent)
    until(ib, lambda: target.orderStatus.status == "Submitted")
    ib.cancelOrder(stop.order)
    until(ib, lambda: stop.orderStatus.status == "Cancelled")
    until(ib, lambda: target.orderStatus.status == "Cancelled")


def held(ib: IB) -> list[list[Any]]:
    return [[p.contract.symbol, p.position, p.avgCost] for p in ib.reqPositions()]


def afterwards(ib: IB, heard: Heard) -> dict[str, Any]:
    fills = [
        {
            "order": heard.names[fill.execution.orderId],
            "execId": fill.execution.execId,
            "side": fill.execution.side,
            "shares": fill.execution.shares,
            "price": fill.execution.price,
            "cumulative": fill.execution.cumQty,
            "account": fill.execution.acctNumber,
            "time": fill.execution.time.isoformat(),
            "commission": fill.commissionReport.commission,
            "currency": fill.commissionReport.currency,
            "realized": fill.commissionReport.realizedPNL,
        }
        for fill in ib.fills()
    ]
    executed = ib.reqExecutions(ExecutionFilter())
    completed = [
        [
            t.order.action,
            t.order.orderType,
            t.order.totalQuantity,
            t.order.filledQuantity,
            t.orderStatus.status,
        ]
        for t in ib.reqCompletedOrders(False)
    ]
    return {"fills": fills, "executions": [f.execution.execId for f in executed], "completed": completed}


def hold(port: int) -> dict[str, Any]:
    ib = IB()
    heard = Heard(ib)
    ib.RequestTimeout = DEADLINE
    ib.connect("127.0.0.1", port, clientId=7, timeout=DEADLINE)
    told: dict[str, Any] = {"version": ib.client.serverVersion(), "accounts": ib.managedAccounts()}
    told |= {"orders": heard.statuses, "errors": heard.errors}
    told["time"] = ib.reqCurrentTime().timestamp()
    told |= reference(ib) | history(ib) | market_data(ib)
    until_paid(ib, place(ib, heard, "market", MarketOrder("BUY", 10)))
    told |= limit(ib, heard)
    bracket(ib, heard, told["depth"]["asks"][0][0])
    told["positions"] = held(ib)
    until_paid(ib, place(ib, heard, "sell", MarketOrder("SELL", 20)))
    told["positions_after"] = [row for row in held(ib) if row[1]]
    told |= afterwards(ib, heard)
    ib.disconnect()
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(hold(int(sys.argv[1]))))
