"""Hears what TWS says before the library draws its own conclusions from it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog
from ib_async import IB
from ib_async.contract import Contract
from ib_async.objects import CommissionReport, Execution
from ib_async.order import Order, OrderState
from ib_async.ticker import Ticker
from ib_async.wrapper import RequestError, Wrapper

log = structlog.get_logger()
_NOT_VALID = 321
_COMPLETED = "completedOrders"  # the library's name of that question
_ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled"})

# What we must not have misread: statuses, errors, orders, executions, commissions, positions.
_MUST_READ = ("Error for orderStatus", *(f"Error handling fields: ['{i}'" for i in (3, 4, 5, 11, 59, 61)))


class OrderListener(Protocol):
    """Hears what TWS says of orders, as it was said and not as the library understands it."""

    def on_connecting(self) -> None: ...
    def on_open_order(self, contract: Contract, order: Order, state: OrderState) -> None: ...
    def on_order_status(
        self, order_id: int, status: str, filled: float, remaining: float, perm_id: int, client_id: int
    ) -> None: ...
    def on_execution(self, contract: Contract, execution: Execution, live: bool) -> None: ...
    def on_commission(self, report: CommissionReport) -> None: ...
    def on_order_error(self, order_id: int, code: int, text: str) -> None: ...
    def on_lost(self, reason: str) -> None: ...


class MarketListener(Protocol):
    """Hears the streams."""

    def on_realtime_bar(self, request: int, start_s: int, ohlc: tuple[float, ...], volume: float) -> None: ...
    def on_tickers(self, tickers: Iterable[Ticker]) -> None: ...
    def on_depth_row(
        self, request: int, position: int, operation: int, side: int, price: float, size: float
    ) -> None: ...
    def on_stream_error(self, request: int, code: int, text: str) -> None: ...
    def on_link(self, code: int, text: str) -> None: ...


class Owner(Protocol):
    """The session the messages belong to."""

    def tell_orders(self, message: Callable[[OrderListener], None]) -> None: ...
    def tell_market(self, message: Callable[[MarketListener], None]) -> None: ...
    def on_accounts(self, accounts: list[str]) -> None: ...
    def on_error(self, request: int, code: int, text: str) -> None: ...
    def lose(self, reason: str) -> None: ...


class Tap(Wrapper):
    """Passes messages on before the library draws its own conclusions: it cancels live orders on mere errors."""

    def __init__(self, ib: IB, owner: Owner) -> None:
        self._owner = owner
        super().__init__(ib)

    def managedAccounts(self, accountsList: str) -> None:
        super().managedAccounts(accountsList)
        self._owner.on_accounts(self.accounts)

    def openOrder(self, orderId: int, contract: Contract, order: Order, orderState: OrderState) -> None:
        self._owner.tell_orders(lambda o: o.on_open_order(contract, order, orderState))
        super().openOrder(orderId, contract, order, orderState)
        if orderState.status in _ENDED:
            self._forget(self.orderKey(order.clientId, order.orderId, order.permId), order.permId)

    def orderStatus(self, orderId: int, status: str, filled: float, remaining: float, *rest: Any) -> None:
        perm_id, client_id = rest[1], rest[4]
        self._owner.tell_orders(
            lambda o: o.on_order_status(orderId, status, filled, remaining, perm_id, client_id)
        )
        super().orderStatus(orderId, status, filled, remaining, *rest)
        if status in _ENDED:
            self._forget(self.orderKey(client_id, orderId, perm_id), perm_id)

    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        live = reqId not in self._futures
        self._owner.tell_orders(lambda o: o.on_execution(contract, execution, live))
        super().execDetails(reqId, contract, execution)
        self.fills.pop(execution.execId, None)

    def completedOrder(self, contract: Contract, order: Order, orderState: OrderState) -> None:
        # Pushed without a question, the library has no list to put it in, and each would be logged as unreadable.
        if _COMPLETED in self._results:
            super().completedOrder(contract, order, orderState)
            self._forget(order.permId, order.permId)

    def commissionReport(self, commissionReport: CommissionReport) -> None:
        self._owner.tell_orders(lambda o: o.on_commission(commissionReport))
        super().commissionReport(commissionReport)

    def _forget(self, key: Any, perm_id: int) -> None:
        # The library keeps a hundred objects of every order for as long as the session lasts, and nobody asks for them:
        # with a few thousand of them each search for garbage stops the loop for a tenth of a second.
        self.trades.pop(key, None)
        self.permId2Trade.pop(perm_id, None)

    def realtimeBar(
        self,
        reqId: int,
        time: int,
        open_: float,
        high: float,
        low: float,
        close: float,
        volume: float,
        *rest: Any,
    ) -> None:
        # The library would keep every bar of the day.
        self._owner.tell_market(lambda m: m.on_realtime_bar(reqId, time, (open_, high, low, close), volume))

    def updateMktDepthL2(
        self,
        reqId: int,
        position: int,
        marketMaker: str,
        operation: int,
        side: int,
        price: float,
        size: float,
        *rest: Any,
    ) -> None:
        # The library writes an inserted row over the one that should move on; its ticker still ends the packet.
        self._owner.tell_market(lambda m: m.on_depth_row(reqId, position, operation, side, price, size))
        super().updateMktDepthL2(reqId, position, marketMaker, operation, side, price, size, *rest)

    def error(self, reqId: int, errorCode: int, errorString: str, *rest: Any) -> None:
        self._owner.on_error(reqId, errorCode, errorString)
        if errorCode == _NOT_VALID and reqId in self._futures:
            # To the library a mere warning; but the request is over, and would wait for ever.
            refusal = RequestError(reqId, errorCode, errorString)
            self._endReq(reqId, refusal, success=False)  # type: ignore[no-untyped-call]
        super().error(reqId, errorCode, errorString, *rest)


class Unread(logging.Logger):
    """Stands where the decoder logs its exceptions, which nobody would hear."""

    def __init__(self, owner: Owner) -> None:
        super().__init__("ib_async.Decoder")
        self._owner = owner

    def exception(self, msg: object, *_args: object, **_options: object) -> None:
        message = str(msg)
        log.warning("unreadable_message", message=message[:500], error=repr(sys.exc_info()[1]))
        if message.startswith(_MUST_READ):
            self._owner.lose(f"a message about orders could not be read: {message[:200]}")
