"""A practice gateway that notes when its bytes leave and when orders come back, and that never stops quoting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import cycle, islice

from robo_trader.practice.clients import Client
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.messages import ASK, BID, price_tick
from robo_trader.practice.wire import Cursor
from robo_trader.simulation.market import SyntheticMarket

SLICES = 12  # of five seconds in a minute
PLACE_ORDER = 3
_BATCH_S = 0.004


class TimedClient(Client):
    """Notes on one clock when bytes were last received, and when the next ones are handed to the socket."""

    received_at = sent_at = 0

    def data_received(self, data: bytes) -> None:
        self.received_at = time.perf_counter_ns()
        super().data_received(data)

    def send(self, data: bytes) -> None:
        if not self.sent_at:
            self.sent_at = time.perf_counter_ns()
        super().send(data)


class TimedGateway(PracticeGateway):
    """A market moved slice by slice. `latencies` are milliseconds from a minute's last bars to each order after them."""

    def __init__(self, seed: int) -> None:
        super().__init__(PracticeOptions(speed=0), SyntheticMarket(seed))
        self.latencies: list[float] = []
        self.steps: list[float] = []  # milliseconds the gateway was busy once the bars had left
        self.ticks_per_s = 0
        self._closed_at = 0

    def _connect(self) -> Client:
        client = TimedClient(self)
        self._sockets.add(client)
        return client

    def on_message(self, client: Client, kind: int, cursor: Cursor) -> None:
        """Note an order, and answer as ever."""
        if kind == PLACE_ORDER and isinstance(client, TimedClient):
            self.latencies.append((client.received_at - self._closed_at) / 1e6)
        super().on_message(client, kind, cursor)

    def lines(self) -> list[tuple[TimedClient, int, str]]:
        """Return every market data line there is: whose, its request id, its symbol."""
        return [
            (client, request, line.symbol)
            for client, heard in self._streams._listening.items()
            if isinstance(client, TimedClient)
            for request, line in heard.ticks.items()
        ]

    def hears(self, symbols: int) -> bool:
        """Say whether one client hears the bars and ticks of so many symbols."""
        heard = self._streams._listening.values()
        return any(len(one.bars) >= symbols and len(one.ticks) >= symbols for one in heard)

    async def minute(self, slice_s: float, settle_s: float) -> None:
        """Tell one minute of bars, pausing after each slice, and longer before and after the one that closes it."""
        for _ in range(SLICES - 1):
            self._step()
            await asyncio.sleep(slice_s)
        await asyncio.sleep(settle_s)
        clients = [client for client in self._clients.values() if isinstance(client, TimedClient)]
        for client in clients:
            client.sent_at = 0
        self._step()
        # The earliest bytes of the step are the bars.
        self._closed_at = min(client.sent_at for client in clients)
        self.steps.append((time.perf_counter_ns() - self._closed_at) / 1e6)
        await asyncio.sleep(settle_s)

    async def open(self) -> None:
        """Move to the open of the first session."""
        self._step()
        await asyncio.sleep(0.1)

    async def quote(self, per_s: int) -> None:
        """Once the market is open send so many bid and ask ticks a second, over all lines in turn, until cancelled."""
        while not self.lines() or not self._exchange.is_open:  # noqa: ASYNC110 - the exchange knows no waiters
            await asyncio.sleep(_BATCH_S)
        began, sent, ticks = time.perf_counter(), 0, self._ticks()
        while per_s:
            await asyncio.sleep(_BATCH_S)
            passed = time.perf_counter() - began
            batch: dict[TimedClient, list[bytes]] = {}
            for client, tick in islice(ticks, max(0, int(passed * per_s) - sent)):
                batch.setdefault(client, []).append(tick)
                sent += 1
            for client, parts in batch.items():
                client.send(b"".join(parts))
            self.ticks_per_s = round(sent / passed)

    def _ticks(self) -> Iterator[tuple[TimedClient, bytes]]:
        for turn in cycle(range(1, 5)):
            lines = [(line, self._exchange.market(line[2])) for line in self.lines()]
            if not lines:
                return
            for (client, request, _), market in lines:
                assert market is not None, "ticks are sent while the market is open"
                # Around the standing quote, never inside it, and each time another size: every tick is news.
                yield client, price_tick(request, BID, round(market.bid - turn / 100, 2), 100 * turn)
                yield client, price_tick(request, ASK, round(market.ask + turn / 100, 2), 100 * turn)
