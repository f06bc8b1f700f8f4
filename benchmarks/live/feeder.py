"""A practice gateway that moves as fast as its clients read: `python -m benchmarks.live.feeder CLIENTS`.

It says where it listens, waits until so many clients have asked for data, and then steps its market on and on; while a
client has more than a little unread it waits for that client. Every second it says what it has cost so far.
"""

from __future__ import annotations

import asyncio
import sys
import time

from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.protocol.clients import Client
from robo_trader.simulation.market import SyntheticMarket

UNREAD = 1 << 20  # bytes a client may have before it
SEED = 7


class FlatOut(PracticeGateway):
    """Counts the clients that listen, and moves its clock for them."""

    def __init__(self) -> None:
        super().__init__(PracticeOptions(speed=0), SyntheticMarket(SEED))
        self.listening: set[Client] = set()

    def on_message(self, client: Client, kind: int, cursor: object) -> None:
        """Note who asks for market data, and answer as ever."""
        super().on_message(client, kind, cursor)  # type: ignore[arg-type]
        if kind == 49:  # the client has asked for all it wants, and checks that it is there
            self.listening.add(client)

    def _unread(self) -> int:
        transports = [client._transport for client in self._sockets]
        return max((t.get_write_buffer_size() for t in transports if t is not None), default=0)

    async def feed(self) -> None:
        """Move until the last client has gone."""
        said = time.perf_counter()
        while self.listening & self._sockets:
            if self._unread() > UNREAD:
                await asyncio.sleep(0.0005)
            else:
                await self.advance(5)
            if time.perf_counter() - said > 1:
                said = time.perf_counter()
                print(f"cpu {time.process_time():.2f}", flush=True)


async def main(clients: int) -> None:
    """Serve so many clients once."""
    gateway = FlatOut()
    print(f"listening on {await gateway.start()}", flush=True)
    while len(gateway.listening) < clients:  # noqa: ASYNC110 - nobody tells when a client asks
        await asyncio.sleep(0.01)
    print("feeding", flush=True)
    await gateway.feed()
    await gateway.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
