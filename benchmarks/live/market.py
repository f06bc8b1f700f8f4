"""A practice gateway that notes when its bytes leave and when orders come back, and that never stops quoting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import cycle, islice

from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.protocol.clients import Client
from robo_trader.practice.protocol.wire import Cursor, frame
from robo_trader.simulation.market import SyntheticMarket

SLICES = 12  # of five seconds in a minute
MARKET_DATA, PLACE_ORDER, REAL_TIME_BARS = 1, 3, 50
BID, ASK = 1, 2  # tick types
_BATCH_S = 0.004


class TimedClient(Client):
    """Notes on one clock when bytes were last received, and when the next ones are handed to the socket."""

    received_at = sent_at = 0

    def data_received(self, data: bytes) -> None:
        self.received_at = time.perf_counter_ns()
        super().data_received(data)

    def write(self, data: bytes) -> None:
        if not self.sent_at:
            self.sent_at = time.perf_counter_ns()
        super().write(data)


class TimedGateway(PracticeGateway):
    """A market moved slice by slice. `latencies` are milliseconds from a minute's last bars to each order after them."""

    def __init__(self, seed: int) -> None:
        super().__init__(PracticeOptions(speed=0, beats=1), SyntheticMarket(seed))
        self.latencies: list[float] = []
        self.steps: list[float] = []  # milliseconds the gateway was busy once the bars had left
        self.ticks_per_s = 0
        self.lines: list[
            tuple[TimedClient, int, str]
        ] = []  # of market data: whose, its request id, its symbol
        self._bars = 0
        self._closed_at = 0

    def _connect(self) -> Client:
        return TimedClient(self)

    def on_message(self, client: Client, kind: int, cursor: Cursor) -> None:
        """Note orders and what is listened to, and answer as ever."""
        assert isinstance(client, TimedClient)
        if kind == PLACE_ORDER:
            self.latencies.append((client.received_at - self._closed_at) / 1e6)
        elif kind == MARKET_DATA:
            self.lines.append((client, int(cursor.fields[2]), cursor.fields[4]))
        elif kind == REAL_TIME_BARS:
            self._bars += 1
        super().on_message(client, kind, cursor)

    def hears(self, symbols: int) -> bool:
        """Say whether the bars and ticks of so many symbols are listened to."""
        return min(self._bars, len(self.lines)) >= symbols

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
        for client in clients:
            client.flush()
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
        while not self.lines or not self._exchange.is_open:  # noqa: ASYNC110 - the exchange knows no waiters
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
            for client, request, symbol in self.lines:
                stands = self._exchange.quote(symbol)
                # Around the standing quote, never inside it, and each time another size: every tick is news.
                yield client, frame(1, 6, request, BID, round(stands.bid - turn / 100, 2), 100 * turn, 1)
                yield client, frame(1, 6, request, ASK, round(stands.ask + turn / 100, 2), 100 * turn, 1)
