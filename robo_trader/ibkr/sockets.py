"""Counts the sockets of one connection, and closes them for certain."""

from __future__ import annotations

import asyncio

from ib_async.connection import Connection as Socket

BITE = 16_384  # bytes


class Sockets:
    """How many were opened and how many are closed: TWS keeps a slot for each that is not."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    def count(self, socket: Socket) -> None:
        """Count this one from now on; the library makes a new object for each attempt."""

        def made(transport: asyncio.Transport) -> None:
            self.opened += 1
            # An attempt that is given up just now would leave it open: the library has yet to learn of it.
            socket.transport = transport
            # By itself the loop hands on a quarter of a megabyte at a time, and after a burst nothing else ran for
            # half a second: no order, no heartbeat.
            if hasattr(transport, "max_size"):
                transport.max_size = BITE

        def lost(_why: str) -> None:
            self.closed += 1

        socket.connection_made = made  # type: ignore[method-assign, assignment]
        socket.disconnected.connect(lost, keep_ref=True)

    async def close(self, socket: Socket) -> None:
        """Close it, unsent bytes or not; a polite close waits for the peer to read, and a frozen TWS never does."""
        transport = socket.transport
        if transport is None:
            return
        gone = asyncio.Event()
        # The library lets go of its transport just before it says so; the socket is closed in the same turn.
        socket.disconnected.connect(lambda _: gone.set(), keep_ref=True)
        transport.abort()
        await gone.wait()
