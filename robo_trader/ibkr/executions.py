"""The executions TWS has told us of: each as its latest version, with its commission."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import structlog
from ib_async.contract import Contract
from ib_async.objects import CommissionReport, Execution

from robo_trader.core.events import Fill, Side
from robo_trader.core.executions import stem, version
from robo_trader.ibkr.tickets import symbol_of
from robo_trader.ibkr.values import exact_shares, owned_amount, owned_price, utc_ns

log = structlog.get_logger()
SIDES = {"BOT": Side.BUY, "SLD": Side.SELL}
MAX_EARLY = 10_000  # commissions kept of executions not told yet


class Executions:
    """Keeps one fill for each execution, the version that stands, whoever's order it was of."""

    def __init__(self) -> None:
        self.latest_ts = 0  # of the latest execution, UTC ns
        self._standing: dict[str, Fill] = {}  # by what all versions of an execution share
        self._early: dict[str, Decimal] = {}  # commissions that came before their execution, by its id

    def take(self, contract: Contract, execution: Execution, order_id: str) -> tuple[Fill, int] | None:
        """Take over an execution, or a correction of one that was told before.

        Returns it with the shares by which it changes what its order has traded; None where it says nothing new or
        is none of whole shares at a price, which the comparison of positions has to find.
        """
        key = stem(execution.execId)
        known = self._standing.get(key)
        if known is not None and version(execution.execId) <= version(known.exec_id):
            return None
        fill = _fill_of(contract, execution, order_id, known)
        if fill is None:
            self._ignore(contract, execution)
            return None
        if known is not None:
            log.warning(
                "execution_corrected",
                was=f"{known.quantity} at {known.price} ({known.exec_id})",
                now=f"{fill.quantity} at {fill.price} ({fill.exec_id})",
            )
        fill = msgspec.structs.replace(fill, commission=self._early.pop(fill.exec_id, None))
        self._standing[key] = fill
        self.latest_ts = max(self.latest_ts, fill.ts)
        return fill, fill.quantity - (known.quantity if known is not None else 0)

    def charge(self, report: CommissionReport) -> Fill | None:
        """Take over what an execution cost; return its fill where that is news."""
        commission = owned_amount(report.commission)
        if commission is None:
            return None
        key = stem(report.execId)
        fill = self._standing.get(key)
        if fill is None or version(fill.exec_id) < version(report.execId):
            self._early[report.execId] = commission
            if len(self._early) > MAX_EARLY:
                del self._early[next(iter(self._early))]
            return None
        if fill.exec_id != report.execId or fill.commission == commission:
            return None
        fill = self._standing[key] = msgspec.structs.replace(fill, commission=commission)
        return fill

    def shares_of(self, order_id: str) -> int:
        """Return how many shares of an order have traded, as far as TWS told."""
        return sum(fill.quantity for fill in self._standing.values() if fill.order_id == order_id)

    def all(self) -> tuple[Fill, ...]:
        """Return every execution as it stands, oldest first."""
        return tuple(sorted(self._standing.values(), key=lambda fill: (fill.ts, fill.exec_id)))

    def forget_before(self, ts: int) -> None:
        """Drop what was traded before `ts` (UTC ns)."""
        self._standing = {key: fill for key, fill in self._standing.items() if fill.ts >= ts}

    def _ignore(self, contract: Contract, execution: Execution) -> None:
        log.warning(
            "execution_ignored",
            execution=execution.execId,
            what=f"{execution.side} {execution.shares:g} {contract.symbol} ({contract.secType}) at {execution.price:g}",
            why="not whole shares of a stock at a price: the books cannot hold it, positions will differ",
        )


def _fill_of(contract: Contract, execution: Execution, order_id: str, known: Fill | None) -> Fill | None:
    """Return an execution as the desk knows it, None for what it does not: other than whole shares at a price."""
    price, shares = owned_price(execution.price), exact_shares(execution.shares)
    side = SIDES.get(execution.side)
    if shares == 0:
        # A trade that is taken back needs no price, and keeps the one it had.
        price = price or (known.price if known is not None else Decimal(0))
    if price is None or shares is None or shares < 0 or side is None or contract.secType != "STK":
        return None
    order_id = known.order_id if known is not None else order_id
    return Fill(utc_ns(execution.time), order_id, execution.execId, symbol_of(contract), side, shares, price)
