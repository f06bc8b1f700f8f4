"""Holds the conversation with the official ibapi, by callbacks from its thread, and prints what it heard as JSON."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

DEADLINE = 30  # seconds for any one answer
TAGS = "AccountType,NetLiquidation,TotalCashValue,BuyingPower"
NOPE, DETAILS, SUMMARY, HISTORY, QUOTE, BARS, DEPTH, EXECUTIONS = range(9001, 9009)
BID, ASK, LAST, CLOSE, BID_SIZE, ASK_SIZE = 1, 2, 4, 9, 0, 3


def share(symbol: str) -> Contract:
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, "STK", "SMART", "USD"
    return contract


def order(action: str, quantity: int, kind: str, **also: Any) -> Order:
    made = Order()
    made.action, made.totalQuantity, made.orderType = action, quantity, kind
    # This version's defaults for both are refused by any gateway younger than itself.
    made.eTradeOnly = made.firmQuoteOnly = False
    for name, value in also.items():
        setattr(made, name, value)
    return made


class Listener(EWrapper):
    """What the reader's thread was told; `condition` guards all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = threading.Condition()
        self.ended: set[str | int] = set()
        self.names: dict[int, str] = {}
        self.statuses: dict[str, list[str]] = {}
        self.errors: dict[str, list[int]] = {}
        self.accounts: list[str] = []
        self.next_id = self.time = 0
        self.details: list[Any] = []
        self.summary: dict[str, list[str]] = {}
        self.history: list[list[Any]] = []
        self.data_type = 0
        self.ticks: dict[int, float] = {}
        self.bars: list[list[Any]] = []
        self.ladder: dict[int, list[list[float]]] = {0: [], 1: []}
        self.open: list[list[Any]] = []
        self.listing = False
        self.fills: dict[str, dict[str, Any]] = {}
        self.paid: dict[str, dict[str, Any]] = {}
        self.executed: list[str] = []
        self.completed: list[list[Any]] = []
        self.endings: list[list[str]] = []
        self.positions: list[list[Any]] = []

    def until(self, holds: Callable[[], Any]) -> None:
        with self.condition:
            if not self.condition.wait_for(holds, DEADLINE):
                raise TimeoutError("the gateway has fallen silent")

    def end(self, what: str | int) -> None:
        self.ended.add(what)

    def error(self, about: int, code: int, text: str) -> None:
        if about >= 0:
            self.errors.setdefault(self.names.get(about, "request"), []).append(code)
            self.end(about)

    def managedAccounts(self, accounts: str) -> None:
        self.accounts = [account for account in accounts.split(",") if account]

    def nextValidId(self, order_id: int) -> None:
        self.next_id = order_id

    def currentTime(self, time: int) -> None:
        self.time = time

    def contractDetails(self, request: int, details: Any) -> None:
        self.details.append(details)

    def contractDetailsEnd(self, request: int) -> None:
        self.end(request)

    def accountSummary(self, request: int, account: str, tag: str, value: str, currency: str) -> None:
        self.summary[tag] = [value, currency]

    def accountSummaryEnd(self, request: int) -> None:
        self.end(request)

    def historicalData(self, request: int, bar: Any) -> None:
        self.history.append(
            [int(bar.date), bar.open, bar.high, bar.low, bar.close, bar.volume, bar.average, bar.barCount]
        )

    def historicalDataEnd(self, request: int, start: str, end: str) -> None:
        self.end(request)

    def marketDataType(self, request: int, kind: int) -> None:
        self.data_type = kind

    def tickPrice(self, request: int, kind: int, price: float, attributes: Any) -> None:
        self.ticks[kind] = price

    def tickSize(self, request: int, kind: int, size: int) -> None:
        self.ticks[kind] = size

    def realtimeBar(self, request: int, *bar: Any) -> None:
        self.bars.append(list(bar))

    def updateMktDepth(
        self, request: int, position: int, operation: int, side: int, price: float, size: int
    ) -> None:
        rows = self.ladder[side]
        if operation == 0:
            rows.insert(position, [price, size])
        elif operation == 1:
            rows[position] = [price, size]
        else:
            del rows[position]

    def updateMktDepthL2(
        self,
        request: int,
        position: int,
        maker: str,
        operation: int,
        side: int,
        price: float,
        size: int,
        smart: bool,
    ) -> None:
        self.updateMktDepth(request, position, operation, side, price, size)

    def orderStatus(self, about: int, status: str, *figures: Any) -> None:
        said = self.statuses.setdefault(self.names.get(about, "?"), [])
        if said[-1:] != [status]:
            said.append(status)

    def openOrder(self, about: int, contract: Contract, told: Order, state: Any) -> None:
        if self.listing:
            self.open.append([told.orderType, told.lmtPrice, told.totalQuantity, told.tif, told.orderRef])

    def openOrderEnd(self) -> None:
        self.end("open")

    def execDetails(self, request: int, contract: Contract, fill: Any) -> None:
        if request == EXECUTIONS:
            self.executed.append(fill.execId)
            return
        self.fills[fill.execId] = {
            "order": self.names[fill.orderId],
            "execId": fill.execId,
            "side": fill.side,
            "shares": fill.shares,
            "price": fill.price,
            "cumulative": fill.cumQty,
            "account": fill.acctNumber,
            "time": fill.time,
        }

    def execDetailsEnd(self, request: int) -> None:
        self.end(request)

    def commissionReport(self, report: Any) -> None:
        self.paid[report.execId] = {
            "commission": report.commission,
            "currency": report.currency,
            "realized": report.realizedPNL,
        }

    def completedOrder(self, contract: Contract, done: Order, state: Any) -> None:
        self.completed.append(
            [done.action, done.orderType, done.totalQuantity, done.filledQuantity, state.status]
        )
        self.endings.append([state.completedTime, state.completedStatus])

    def completedOrdersEnd(self) -> None:
        self.end("completed")

    def position(self, account: str, contract: Contract, shares: float, average: float) -> None:
        self.positions.append([contract.symbol, shares, average])

    def positionEnd(self) -> None:
        self.end("positions")


class Conversation(EClient):
    """Asks from the main thread; the library's own thread tells the listener."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.listener = listener

    def listen(self, port: int) -> None:
        """Connect, and let the library's thread tell one message at a time while nobody looks."""
        self.connect("127.0.0.1", port, 7)
        interpret = self.decoder.interpret

        def tell(fields: Any) -> None:
            with self.listener.condition:
                interpret(fields)
                self.listener.condition.notify_all()

        self.decoder.interpret = tell
        threading.Thread(target=self.run, daemon=True).start()

    def answered(self, what: str | int) -> None:
        self.listener.until(lambda: what in self.listener.ended)
        self.listener.ended.discard(what)

    def hold(self, port: int) -> dict[str, Any]:
        heard = self.listener
        self.listen(port)
        heard.until(lambda: heard.next_id and heard.accounts)
        told: dict[str, Any] = {"version": self.serverVersion(), "accounts": heard.accounts}
        self.reqCurrentTime()
        heard.until(lambda: heard.time)
        told |= {"time": heard.time, "orders": heard.statuses, "errors": heard.errors}
        told |= self.reference() | self.history() | self.quote() | self.bars() | self.depth()
        self.until_paid("market", order("BUY", 10, "MKT"))
        self.limit()
        self.bracket(told["depth"]["asks"][0][0])
        told["positions"] = self.held()
        self.until_paid("sell", order("SELL", 20, "MKT"))
        told["positions_after"] = [row for row in self.held() if row[1]]
        told |= self.afterwards()
        self.disconnect()
        return told

    def reference(self) -> dict[str, Any]:
        self.reqContractDetails(NOPE, share("NOPE"))
        self.answered(NOPE)
        self.reqContractDetails(DETAILS, share("AAPL"))
        self.answered(DETAILS)
        (details,) = self.listener.details
        self.stock = details.contract
        self.reqAccountSummary(SUMMARY, "All", TAGS)
        self.answered(SUMMARY)
        self.cancelAccountSummary(SUMMARY)
        return {
            "contract": {
                "conId": self.stock.conId,
                "currency": self.stock.currency,
                "primaryExchange": self.stock.primaryExchange,
                "minTick": details.minTick,
                "tradingHours": details.tradingHours,
                "timeZoneId": details.timeZoneId,
                "longName": details.longName,
            },
            "summary": dict(self.listener.summary),
        }

    def history(self) -> dict[str, Any]:
        self.reqHistoricalData(
            HISTORY, self.stock, "20260112-21:00:00", "1 D", "1 min", "TRADES", 1, 2, False, []
        )
        self.answered(HISTORY)
        rows = self.listener.history
        return {"history": {"count": len(rows), "first": rows[0], "last": rows[-1]}}

    def quote(self) -> dict[str, Any]:
        ticks = self.listener.ticks
        self.reqMktData(QUOTE, self.stock, "", False, False, [])
        self.listener.until(lambda: all(ticks.get(kind, 0) > 0 for kind in (BID, ASK, LAST)))
        with self.listener.condition:
            seen = dict(ticks)
        self.cancelMktData(QUOTE)
        return {
            "quote": {
                "type": self.listener.data_type,
                "close": seen[CLOSE],
                "bid": seen[BID],
                "ask": seen[ASK],
                "sizes": [seen[BID_SIZE], seen[ASK_SIZE]],
            }
        }

    def bars(self) -> dict[str, Any]:
        self.reqRealTimeBars(BARS, self.stock, 5, "TRADES", True, [])
        self.listener.until(lambda: len(self.listener.bars) >= 2)
        self.cancelRealTimeBars(BARS)
        return {"bars": self.listener.bars[:2]}

    def depth(self) -> dict[str, Any]:
        asks, bids = self.listener.ladder[0], self.listener.ladder[1]
        self.reqMktDepth(DEPTH, self.stock, 5, True, [])
        self.listener.until(lambda: len(bids) >= 5 and len(asks) >= 5)
        with self.listener.condition:
            seen = {"bids": list(bids), "asks": list(asks)}
        self.cancelMktDepth(DEPTH, True)
        return {"depth": seen}

    def place(self, name: str, wanted: Order) -> int:
        heard = self.listener
        order_id = heard.next_id
        heard.next_id += 1
        heard.names[order_id] = name
        self.placeOrder(order_id, self.stock, wanted)
        return order_id

    def reaches(self, name: str, status: str) -> None:
        self.listener.until(lambda: self.listener.statuses.get(name, [""])[-1] == status)

    def until_paid(self, name: str, wanted: Order) -> None:
        """Place an order and wait until every share and every commission has arrived."""
        self.place(name, wanted)
        self.is_paid(name, wanted)

    def is_paid(self, name: str, wanted: Order) -> None:
        heard = self.listener
        self.reaches(name, "Filled")
        heard.until(
            lambda: (
                sum(f["shares"] for f in heard.fills.values() if f["order"] == name) == wanted.totalQuantity
                and heard.fills.keys() <= heard.paid.keys()
            )
        )

    def limit(self) -> None:
        wanted = order("BUY", 5, "LMT", lmtPrice=100.0, tif="GTC", orderRef="low")
        order_id = self.place("limit", wanted)
        self.reaches("limit", "Submitted")
        wanted.lmtPrice, wanted.totalQuantity = 101.0, 7
        self.placeOrder(order_id, self.stock, wanted)
        # What the change itself makes the gateway say must not pass for the list.
        self.listener.time = 0
        self.reqCurrentTime()
        self.listener.until(lambda: self.listener.time)
        self.listener.listing = True
        self.reqOpenOrders()
        self.answered("open")
        self.listener.listing = False
        self.cancelOrder(order_id)
        self.reaches("limit", "Cancelled")

    def bracket(self, around: float) -> None:
        parent = order("BUY", 10, "LMT", lmtPrice=round(around + 5, 2), transmit=False)
        parent_id = self.place("parent", parent)
        target = order("SELL", 10, "LMT", lmtPrice=300.0, parentId=parent_id, transmit=False)
        stop = order("SELL", 10, "STP", auxPrice=100.0, parentId=parent_id)
        self.place("target", target)
        stop_id = self.place("stop", stop)
        self.is_paid("parent", parent)
        self.reaches("target", "Submitted")
        self.cancelOrder(stop_id)
        self.reaches("stop", "Cancelled")
        self.reaches("target", "Cancelled")

    def held(self) -> list[list[Any]]:
        self.listener.positions = []
        self.reqPositions()
        self.answered("positions")
        self.cancelPositions()
        return self.listener.positions

    def afterwards(self) -> dict[str, Any]:
        heard = self.listener
        self.reqExecutions(EXECUTIONS, ExecutionFilter())
        self.answered(EXECUTIONS)
        self.reqCompletedOrders(False)
        self.answered("completed")
        fills = [fill | heard.paid[fill["execId"]] for fill in heard.fills.values()]
        return {
            "open": heard.open,
            "fills": fills,
            "executions": heard.executed,
            "completed": heard.completed,
            "endings": heard.endings,
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(Conversation(Listener()).hold(int(sys.argv[1]))))
