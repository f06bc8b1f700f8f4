"""The peer on the other end: ib_async listening to many symbols, counting ticks: `... listener PORT SYMBOLS SECONDS`."""

from __future__ import annotations

import asyncio
import sys
import time

from ib_async import IB, Stock

from robo_trader.practice.market.contracts import con_id_of


async def main(port: int, symbols: list[str], seconds: float) -> None:
    """Print how many ticks came, and the seconds of the wall and of this process they took."""
    ib, count = IB(), 0
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", port, clientId=1, readonly=True)
    taken = ib.wrapper.tickSize, ib.wrapper.priceSizeTick

    def tick_size(*fields: object) -> None:
        nonlocal count
        count += 1
        taken[0](*fields)  # type: ignore[arg-type]

    def price_size_tick(*fields: object) -> None:
        nonlocal count
        count += 1
        taken[1](*fields)  # type: ignore[arg-type]

    ib.wrapper.tickSize, ib.wrapper.priceSizeTick = tick_size, price_size_tick  # type: ignore[method-assign,assignment]
    for symbol in symbols:
        ib.reqMktData(Stock(symbol, "SMART", "USD", conId=con_id_of(symbol)))
    await ib.reqCurrentTimeAsync()
    await asyncio.sleep(0.5)
    count, began, busy = 0, time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    print(count, time.perf_counter() - began, time.process_time() - busy, flush=True)
    ib.disconnect()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2].split(","), float(sys.argv[3])))
