"""The least that trades: ib_async, real-time bars, and a market order straight from the callback. No books, no disk.

`python -m benchmarks.live.bare PORT SYMBOLS FAST SLOW` trades the crossover of two simple means of minute closes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from ib_async import IB, MarketOrder, RealTimeBarList, Stock

QUANTITY = 10
SLICES = 12


class Crossover:
    """Buys when the fast mean of one symbol's minute closes rises above the slow one, sells when it falls below."""

    def __init__(self, ib: IB, contract: Stock, fast: int, slow: int) -> None:
        self._ib, self._contract, self._fast = ib, contract, fast
        self._closes: deque[float] = deque(maxlen=slow)
        self._above: bool | None = None

    def on_bar(self, bars: RealTimeBarList, _is_new: bool) -> None:
        """Take one 5-second bar; the twelfth closes the minute."""
        bar = bars[-1]
        if bar.time.second != 55:
            return
        self._closes.append(bar.close)
        if len(self._closes) < (self._closes.maxlen or 0):
            return
        closes = list(self._closes)
        above = sum(closes[-self._fast :]) / self._fast > sum(closes) / len(closes)
        if self._above is not None and above != self._above:
            self._ib.placeOrder(self._contract, MarketOrder("BUY" if above else "SELL", QUANTITY))
        self._above = above


async def trade(port: int, symbols: list[str], fast: int, slow: int) -> None:
    """Trade until the gateway hangs up."""
    ib, gone = IB(), asyncio.Event()
    await ib.connectAsync("127.0.0.1", port, clientId=1)
    ib.disconnectedEvent += gone.set
    for symbol in symbols:
        contract = Stock(symbol, "SMART", "USD")
        await ib.qualifyContractsAsync(contract)
        bars = ib.reqRealTimeBars(contract, 5, "TRADES", useRTH=True)
        bars.updateEvent.connect(Crossover(ib, contract, fast, slow).on_bar, keep_ref=True)
        ib.reqMktData(contract)
    await gone.wait()


if __name__ == "__main__":
    asyncio.run(trade(int(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3]), int(sys.argv[4])))
