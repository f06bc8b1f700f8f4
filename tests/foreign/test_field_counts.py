"""What comes over the socket in each version, counted field by field by a client that knows nothing but frames."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ib_async import Contract, LimitOrder, MarketOrder, Order
from ib_async.client import Client

from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.simulation.tape import TapeMarket

VERSIONS = (157, 163, 164, 170, 176, 177, 178)
# Fields of a message with its id, as recorded from real gateways or as the clients of that version read it.
OPEN_ORDER = {157: 128, 163: 131, 164: 131, 170: 136, 176: 136, 177: 135, 178: 135}
COMPLETED_ORDER = {157: 96, 163: 96, 164: 96, 170: 101, 176: 101, 177: 100, 178: 100}
CONTRACT_DETAILS = {157: 41, 163: 42, 164: 42, 170: 42, 176: 42, 177: 42, 178: 42}  # two of them for the ISIN
EXECUTION = {version: 32 if version >= 178 else 31 for version in VERSIONS}
ERROR = {version: 6 if version >= 166 else 5 for version in VERSIONS}
# Those that are the same in every version.
FIXED = {
    1: ("tickPrice", 7),
    3: ("orderStatus", 12),
    6: ("accountValue", 6),
    7: ("portfolioValue", 20),
    9: ("nextValidId", 3),
    15: ("managedAccounts", 3),
    49: ("currentTime", 3),
    50: ("realtimeBar", 11),
    52: ("contractDetailsEnd", 3),
    53: ("openOrderEnd", 2),
    54: ("accountDownloadEnd", 3),
    55: ("execDetailsEnd", 3),
    58: ("marketDataType", 4),
    59: ("commissionReport", 8),
    61: ("position", 16),
    62: ("positionEnd", 2),
    63: ("accountSummary", 7),
    64: ("accountSummaryEnd", 3),
    81: ("tickReqParams", 5),
    102: ("completedOrdersEnd", 1),
}
# Messages with rows: the index of the number of rows, the fields besides the rows, the fields of a row.
ROWS = {
    17: ("historicalData", 4, 5, 8),
    80: ("mktDepthExchanges", 1, 2, 5),
    93: ("marketRule", 2, 3, 2),
    96: ("historicalTicks", 2, 4, 4),
    97: ("historicalTicksBidAsk", 2, 4, 6),
    98: ("historicalTicksLast", 2, 4, 6),
    106: ("historicalSchedule", 5, 6, 3),
}
STREAMS = {
    12: ("mktDepth", 8),
    13: ("mktDepthL2", 10),
    71: ("positionMulti", 18),
    72: ("positionMultiEnd", 3),
    73: ("accountUpdateMulti", 8),
    74: ("accountUpdateMultiEnd", 3),
    88: ("headTimestamp", 3),
    90: ("historicalDataUpdate", 10),
    94: ("pnl", 5),
    95: ("pnlSingle", 7),
}
TICK_BY_TICK = {"1": 9, "2": 9, "3": 9, "4": 5}  # Last, AllLast, BidAsk, MidPoint
SHARE = ("AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")
PLACE_ORDER = {157: 110, 163: 113, 164: 113, 170: 115, 176: 115, 177: 114, 178: 114}


class Bare:
    """A client of one version that keeps what it gets."""

    def __init__(self, version: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.version = version
        self.heard: dict[int, list[list[str]]] = defaultdict(list)
        self._reader, self._writer = reader, writer

    async def greet(self) -> list[str]:
        hello = f"v{self.version}".encode()
        self._writer.write(b"API\0" + struct.pack(">I", len(hello)) + hello)
        answer = await self._frame()
        self.send(71, 2, 3, "")
        return answer

    def send(self, *fields: object) -> None:
        self._write("".join(f"{field}\0" for field in fields))

    def place(self, order_id: int, order: Order) -> int:
        """Send an order in ib_async's words for this version, and return of how many fields it was."""
        written: list[str] = []
        words = Client(wrapper=None)
        words.connState, words._serverVersion = words.CONNECTED, self.version
        words.sendMsg = written.append
        words.placeOrder(
            order_id, Contract("STK", con_id_of("AAPL"), "AAPL", exchange="SMART", currency="USD"), order
        )
        (message,) = written
        self._write(message)
        return message.count("\0")

    async def listen(self) -> None:
        """Keep all that comes until the gateway has answered everything so far."""
        self.send(49, 1)
        kind = 0
        while kind != 49:
            fields = await self._frame()
            kind = int(fields[0])
            self.heard[kind].append(fields)

    def counts(self, kind: int) -> set[int]:
        """Return how many fields the messages of a kind had, the id included."""
        return {len(fields) for fields in self.heard[kind]}

    def _write(self, text: str) -> None:
        body = text.encode()
        self._writer.write(struct.pack(">I", len(body)) + body)

    async def _frame(self) -> list[str]:
        (length,) = struct.unpack(">I", await self._reader.readexactly(4))
        return (await self._reader.readexactly(length)).decode()[:-1].split("\0")


@asynccontextmanager
async def bare_client(version: int, tape: TapeMarket) -> AsyncIterator[tuple[Bare, PracticeGateway]]:
    gateway = PracticeGateway(PracticeOptions(speed=0), tape)
    reader, writer = await asyncio.open_connection("127.0.0.1", await gateway.start())
    try:
        yield Bare(version, reader, writer), gateway
    finally:
        writer.close()
        await writer.wait_closed()
        await gateway.stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_message_has_the_fields_of_its_version(version: int, tape: TapeMarket) -> None:
    async with asyncio.timeout(20), bare_client(version, tape) as (bare, gateway):
        assert (await bare.greet())[0] == str(version)
        bare.send(9, 8, 1, 0, *SHARE, False, "", "", *([""] if version >= 176 else []))
        bare.send(61, 1)
        bare.send(6, 2, 1, "")
        bare.send(62, 1, 2, "All", "NetLiquidation,BuyingPower")
        bare.send(1, 11, 3, 0, *SHARE, 0, "", 0, 0, "")
        bare.send(50, 3, 4, 0, *SHARE, 5, "TRADES", 1, "")
        await bare.listen()
        await gateway.advance(15)
        limit = bare.place(1, LimitOrder("BUY", 5, 100.0))
        bare.place(2, MarketOrder("BUY", 10))
        bare.send(5, 1)
        bare.send(4, 1, 1, *([""] if version >= 169 else []))
        await bare.listen()
        await gateway.advance(10)
        bare.send(7, 3, 5, 0, "", "", "", "", "", "")
        bare.send(99, 0)
        bare.send(61, 1)
        await bare.listen()
    assert limit == PLACE_ORDER[version]
    changing = {5: OPEN_ORDER, 101: COMPLETED_ORDER, 10: CONTRACT_DETAILS, 11: EXECUTION, 4: ERROR}
    assert {kind: bare.counts(kind) for kind in changing} == {
        kind: {table[version]} for kind, table in changing.items()
    }
    assert {name: bare.counts(kind) for kind, (name, _) in FIXED.items()} == {
        name: {count} for name, count in FIXED.values()
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_stream_and_every_list_has_its_fields(version: int, tape: TapeMarket) -> None:
    share = (0, *SHARE)
    async with asyncio.timeout(20), bare_client(version, tape) as (bare, gateway):
        await bare.greet()
        await gateway.advance(15)
        bare.place(1, MarketOrder("BUY", 10))
        for request, (size, what, keep) in enumerate(
            [("1 min", "TRADES", 1), ("1 min", "BID_ASK", 0), ("1 day", "SCHEDULE", 0)], start=11
        ):
            bare.send(20, request, *share, 0, "", size, "1 D", 1, what, 1, keep, "")
        for request, what in enumerate(("TRADES", "BID_ASK", "MIDPOINT"), start=21):
            bare.send(96, request, *share, 0, "20260112 10:00:00", "", 10, what, 1, 0, "")
        for request, what in enumerate(("Last", "AllLast", "BidAsk", "MidPoint"), start=31):
            bare.send(97, request, *share, what, 0, 0)
        bare.send(10, 5, 41, *share, 5, 1, "")
        bare.send(10, 5, 42, 0, *("NASDAQ" if field == "SMART" else field for field in SHARE), 5, 0, "")
        bare.send(87, 43, *share, 0, 1, "TRADES", 1)
        bare.send(81, 44, "AAP")
        bare.send(82)
        bare.send(91, 26)
        bare.send(92, 45, "", "")
        bare.send(94, 46, "", "", con_id_of("AAPL"))
        bare.send(74, 1, 47, "", "")
        bare.send(76, 1, 48, "", "", 0)
        await bare.listen()
        await gateway.advance(15)
        await bare.listen()
    assert {name: bare.counts(kind) for kind, (name, _) in STREAMS.items()} == {
        name: {count} for name, count in STREAMS.values()
    }
    for kind, (name, at, besides, row) in ROWS.items():
        assert bare.heard[kind], name
        for fields in bare.heard[kind]:
            assert int(fields[at]) > 0, name
            assert len(fields) == besides + int(fields[at]) * row, name
    assert {(fields[2], len(fields)) for fields in bare.heard[99]} == set(TICK_BY_TICK.items())
    (samples,) = bare.heard[79]
    assert len(samples) == 3 + int(samples[2]) * (8 if version >= 176 else 6)
