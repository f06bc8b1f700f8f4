"""Holds the conversation with ib_async, awaiting its coroutines and events, and prints what it heard as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from ib_async import IB, Contract, Event, ExecutionFilter, LimitOrder, MarketOrder, Order, Stock, Trade

DEADLINE = 30  # seconds for any one answer
TAGS = ("AccountType", "NetLiquidation", "TotalCashValue", "BuyingPower")


async def until(event: Event, holds: Callable[[], Any]) -> None:
    """Wait for one emission after the other until the condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await event


class Conversation:
    """One client and all it heard."""

    def __init__(self) -> None:
        self.ib = IB()
        self.stock = Stock("AAPL", "SMART", "USD")
        self.names: dict[int, str] = {}
        self.statuses: dict[str, list[str]] = {}
        self.errors: dict[str, list[int]] = {}
        self.heard: dict[str, Any] = {"orders": self.statuses, "errors": self.errors}
        self.ib.orderStatusEvent += self.on_status
        self.ib.errorEvent += self.on_error

    def on_status(self, trade: Trade) -> None:
        said = self.statuses.setdefault(self.names.get(trade.order.orderId, "?"), [])
        status = trade.orderStatus.status
        # The library's own words for what it has sent and not yet heard about.
        if not status.startswith("Pending") and said[-1:] != [status]:
            said.append(status)

    def on_error(self, about: int, code: int, text: str, _contract: Contract | None) -> None:
        if about >= 0:
            self.errors.setdefault(self.names.get(about, "request"), []).append(code)

    async def hold(self, port: int) -> dict[str, Any]:
        await self.ib.connectAsync("127.0.0.1", port, clientId=7, timeout=DEADLINE, raiseSyncErrors=True)
        client = self.ib.client
        self.heard |= {"version": client.serverVersion(), "accounts": self.ib.managedAccounts()}
        self.heard["time"] = (await self.ib.reqCurrentTimeAsync()).timestamp()
        for step in (self.reference, self.history, self.quote, self.bars, self.depth, self.market,
                     self.limit, self.bracket, self.sell, self.afterwards):  # fmt: skip
            await asyncio.wait_for(step(), DEADLINE)
        self.ib.disconnect()
        return self.heard

    async def reference(self) -> None:
        await self.ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD"))
        (details,) = await self.ib.reqContractDetailsAsync(self.stock)
        assert details.contract is not None
        self.stock = details.contract
        self.heard["contract"] = {
            "conId": self.stock.conId,
            "currency": self.stock.currency,
            "primaryExchange": self.stock.primaryExchange,
            "minTick": details.minTick,
            "tradingHours": details.tradingHours,
            "timeZoneId": details.timeZoneId,
            "longName": details.longName,
        }
        values = await self.ib.accountSummaryAsync()
        self.heard["summary"] = {v.tag: [v.value, v.currency] for v in values if v.tag in TAGS}

    async def history(self) -> None:
        bars = await self.ib.reqHistoricalDataAsync(
            self.stock, "20260112-21:00:00", "1 D", "1 min", "TRADES", useRTH=True, formatDate=2
        )
        rows = [
            [b.date.timestamp(), b.open, b.high, b.low, b.close, b.volume, b.average, b.barCount]
            for b in bars
        ]
        self.heard["history"] = {"count": len(rows), "first": rows[0], "last": rows[-1]}

    async def quote(self) -> None:
        ticker = self.ib.reqMktData(self.stock)
        await until(ticker.updateEvent, lambda: ticker.bid > 0 and ticker.ask > 0 and ticker.last > 0)
        self.heard["quote"] = {
            "type": ticker.marketDataType,
            "close": ticker.close,
            "bid": ticker.bid,
            "ask": ticker.ask,
            "sizes": [ticker.bidSize, ticker.askSize],
        }
        self.ib.cancelMktData(self.stock)

    async def bars(self) -> None:
        bars = self.ib.reqRealTimeBars(self.stock, 5, "TRADES", useRTH=True)
        await until(bars.updateEvent, lambda: len(bars) >= 2)
        self.heard["bars"] = [
            [b.time.timestamp(), b.open_, b.high, b.low, b.close, b.volume, b.wap, b.count] for b in bars[:2]
        ]
        self.ib.cancelRealTimeBars(bars)

    async def depth(self) -> None:
        ticker = self.ib.reqMktDepth(self.stock, numRows=5, isSmartDepth=True)
        await until(ticker.updateEvent, lambda: len(ticker.domBids) >= 5 and len(ticker.domAsks) >= 5)
        self.heard["depth"] = {
            "bids": [[level.price, level.size] for level in ticker.domBids],
            "asks": [[level.price, level.size] for level in ticker.domAsks],
        }
        self.ib.cancelMktDepth(self.stock, isSmartDepth=True)

    def place(self, name: str, order: Order) -> Trade:
        order.orderId = order.orderId or self.ib.client.getReqId()
        self.names[order.orderId] = name
        return self.ib.placeOrder(self.stock, order)

    async def reaches(self, trade: Trade, status: str) -> None:
        await until(self.ib.orderStatusEvent, lambda: trade.orderStatus.status == status)

    async def is_paid(self, trade: Trade) -> None:
        """Wait until every share and every commission has arrived."""
        await self.reaches(trade, "Filled")
        await until(
            self.ib.commissionReportEvent,
            lambda: (
                trade.filled() == trade.order.totalQuantity
                and all(fill.commissionReport.execId for fill in trade.fills)
            ),
        )

    async def market(self) -> None:
        await self.is_paid(self.place("market", MarketOrder("BUY", 10)))

    async def limit(self) -> None:
        order = LimitOrder("BUY", 5, 100.0, tif="GTC", orderRef="low")
        trade = self.place("limit", order)
        await self.reaches(trade, "Submitted")
        order.lmtPrice, order.totalQuantity = 101.0, 7
        self.place("limit", order)
        # What the change itself makes the gateway say must not pass for the list.
        await self.ib.reqCurrentTimeAsync()
        listed = await self.ib.reqOpenOrdersAsync()
        self.heard["open"] = [
            [t.order.orderType, t.order.lmtPrice, t.order.totalQuantity, t.order.tif, t.order.orderRef]
            for t in listed
        ]
        self.ib.cancelOrder(order)
        await self.reaches(trade, "Cancelled")

    async def bracket(self) -> None:
        limit = round(self.heard["depth"]["asks"][0][0] + 5, 2)
        trades = [
            self.place(name, order)
            for name, order in zip(
                ("parent", "target", "stop"),
                self.ib.bracketOrder("BUY", 10, limit, 300.0, 100.0),
                strict=True,
            )
        ]
        parent, target, stop = trades
        await self.is_paid(parent)
        await self.reaches(target, "Submitted")
        self.ib.cancelOrder(stop.order)
        await self.reaches(stop, "Cancelled")
        await self.reaches(target, "Cancelled")

    async def held(self) -> list[list[Any]]:
        return [[p.contract.symbol, p.position, p.avgCost] for p in await self.ib.reqPositionsAsync()]

    async def sell(self) -> None:
        self.heard["positions"] = await self.held()
        await self.is_paid(self.place("sell", MarketOrder("SELL", 20)))
        self.heard["positions_after"] = [row for row in await self.held() if row[1]]

    async def afterwards(self) -> None:
        self.heard["fills"] = [
            {
                "order": self.names[fill.execution.orderId],
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
            for fill in self.ib.fills()
        ]
        executed = await self.ib.reqExecutionsAsync(ExecutionFilter())
        self.heard["executions"] = [fill.execution.execId for fill in executed]
        self.heard["completed"] = [
            [
                t.order.action,
                t.order.orderType,
                t.order.totalQuantity,
                t.order.filledQuantity,
                t.orderStatus.status,
            ]
            for t in await self.ib.reqCompletedOrdersAsync(False)
        ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(Conversation().hold(int(sys.argv[1])))))
