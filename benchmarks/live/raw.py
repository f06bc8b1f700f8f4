"""The cheapest client there is: speaks the protocol's first words by hand, and then only counts what comes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

from robo_trader.practice.protocol.wire import frame

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 20
_SAMPLE = 1 << 18  # bytes whose messages are counted one by one


class RawClient:
    """A socket that asks for market data of many symbols."""

    def __init__(self, port: int, client_id: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        hello = b"v157..178"
        self._socket.sendall(b"API\0" + _LENGTH.pack(len(hello)) + hello + frame(71, 2, client_id, ""))
        self.until(b"15\0")

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for the market data of these shares, and return once the gateway has taken it all."""
        for request, symbol in enumerate(symbols, 1):
            contract = (0, symbol, "STK", "", 0, "", "", "SMART", "", "USD", "", "")
            self._socket.sendall(frame(1, 11, request, *contract, 0, "", 0, 0, ""))
        self.round_trip()

    def round_trip(self) -> float:
        """Ask for the time; return the seconds until the answer, reading all that comes before it."""
        began = time.perf_counter()
        self._socket.sendall(frame(49, 1))
        self.until(b"49\0")
        return time.perf_counter() - began

    def until(self, kind: bytes) -> int:
        """Read up to a message of this kind; return how many came before it."""
        count = 0
        while True:
            at = 0
            while at + 4 <= len(self._data):
                end = at + 4 + _LENGTH.unpack_from(self._data, at)[0]
                if end > len(self._data):
                    break
                body, at = self._data[at + 4 : end], end
                if body.startswith(kind):
                    self._data = self._data[at:]
                    return count
                count += 1
            self._data = self._data[at:] + self._receive()

    def swallow(self, seconds: float) -> int:
        """Read for so long; return the bytes."""
        total, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            total += len(self._receive())
        return total

    def mean_message(self) -> float:
        """Return the mean length of the next messages in bytes, their lengths included."""
        data = self._data
        while len(data) < _SAMPLE:
            data += self._receive()
        at = count = 0
        while at + 4 <= len(data) and (end := at + 4 + _LENGTH.unpack_from(data, at)[0]) <= len(data):
            at, count = end, count + 1
        self._data = data[at:]
        return at / count

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise EOFError("the gateway has hung up")
        return data
