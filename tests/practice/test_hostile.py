"""Bytes and fields that no client should send: the gateway answers or hangs up, and goes on serving the others.

The rounds here take seconds; `ROBO_FUZZ_SECONDS=300 pytest tests/practice/test_hostile.py` goes on for minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.practice.protocol.wire import frame
from robo_trader.simulation.tape import TapeMarket

SECONDS = float(os.environ.get("ROBO_FUZZ_SECONDS", "0"))
SHARE = (con_id_of("AAPL"), "AAPL", "STK", "", "", "", "", "SMART", "", "USD", "", "")
ORDER_TAIL: list[Any] = [
    *("", "", "", "", "", "O", 0, "ref", 1, 0, 0, 0, 0, 0, 0, 0, "", "", "", "", "", "", "", "", 0, "", -1),
    *(0, "", "", 0, "", "", 0, 0, "", "", "", "", "", "", "", 0),
    *[""] * 17, *(0, 0, "", "", 0, "", 0, 0, 0, 0, ""), *[""] * 8, *[0] * 4, *[""] * 9, 0, 0, 0, *[""] * 4,
]  # fmt: skip
TEMPLATES: list[list[Any]] = [
    [1, 11, 1, *SHARE, 0, "233,236", 0, 0, ""],
    [1, 11, 2, *SHARE, 0, "", 1, 0, ""],
    [2, 2, 1],
    [3, 20, *SHARE, "", "", "BUY", 10, "MKT", "", *ORDER_TAIL],
    [3, 21, *SHARE, "", "", "SELL", 10, "LMT", 210.5, *ORDER_TAIL],
    [3, 22, *SHARE, "", "", "SELL", 10, "STP", "", 190.5, *ORDER_TAIL[1:]],
    [3, 23, *SHARE, "", "", "BUY", 10, "TRAIL", "", 1.5, *ORDER_TAIL[1:]],
    [4, 1, 1, ""],
    [5, 1],
    [6, 2, 1, ""],
    [7, 3, 3, 0, "", "20260113 09:30:00 US/Eastern", "AAPL", "STK", "", "BUY"],
    [8, 1, 1],
    [9, 8, 4, *SHARE, 0, "", "", ""],
    [10, 5, 5, *SHARE, 10, 1, ""],
    [11, 1, 5, 1],
    [14, 1, 5],
    [15, 1, 1],
    [16, 1],
    [17, 1],
    [20, 6, *SHARE, 0, "", "1 min", "2 D", 1, "TRADES", 2, 1, ""],
    [20, 7, *SHARE, 0, "20260112 12:00:00 UTC", "1 day", "1 M", 0, "MIDPOINT", 1, 0, ""],
    [25, 1, 6],
    [49, 1],
    [50, 3, 8, *SHARE, 5, "TRADES", 1, ""],
    [51, 1, 8],
    [58, 1],
    [59, 1, 3],
    [61, 1],
    [62, 1, 9, "All", "NetLiquidation,$LEDGER:ALL"],
    [63, 1, 9],
    [64, 1],
    [71, 2, 1, ""],
    [74, 1, 10, "", ""],
    [75, 1, 10],
    [76, 1, 11, "", "", 1],
    [77, 1, 11],
    [78, 12, "AAPL", "", "STK", 1],
    [81, 13, "AA"],
    [82],
    [87, 14, *SHARE, 0, 1, "TRADES", 1],
    [88, 15, *SHARE, 1, "3 days"],
    [89, 15],
    [90, 14],
    [91, 26],
    [92, 16, "", ""],
    [93, 16],
    [94, 17, "", "", con_id_of("AAPL")],
    [95, 17],
    [96, 18, *SHARE, 0, "20260113 09:30:00 US/Eastern", "", 100, "TRADES", 1, 0, ""],
    [97, 19, *SHARE, "AllLast", 10, 0],
    [98, 19],
    [99, 0],
]
NUMBERS = [
    *(
        "",
        "0",
        "-1",
        "1",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1.7976931348623157E308",
        "-1.7976931348623157e+308",
    ),
    *(
        "2147483647",
        "2147483648",
        "9223372036854775808",
        "9" * 400,
        "0x10",
        "1_0",
        "٣",
        "²",
        "1e-320",
        "0.00001",
        "-0",
    ),
]
WORDS = [
    *("true", "\x7f", "é" * 50, "A" * 20_000, "%s%n", "../../etc", "'; --", "\ud800"),
    *(
        "20261399 99:99:99 Mars/Olympus",
        "00000000",
        "99999 D",
        "1 sec",
        "BUY",
        "MKT",
        "STP LMT",
        "GTD",
        "Twap",
        "AAPL",
    ),
]
NASTY = NUMBERS + WORDS


class Wild:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, client_id: int | None, version: int = 178) -> Wild:
        wild = cls(*await asyncio.open_connection("127.0.0.1", port))
        if client_id is not None:
            hello = f"v157..{version}".encode()
            wild.send(b"API\0" + len(hello).to_bytes(4, "big") + hello + frame(71, 2, client_id, ""))
            await wild.answer(b"15\0")
        return wild

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, kind: bytes) -> bytes:
        """Return the next message of that kind."""
        while True:
            head = await self.reader.readexactly(4)
            body = await self.reader.readexactly(int.from_bytes(head, "big"))
            if body.startswith(kind):
                return body

    async def is_served(self) -> bool:
        """Say whether all that was sent has been taken without losing the connection."""
        try:
            self.send(frame(49, 1))
            async with asyncio.timeout(10):
                await self.answer(b"49\0")
        except (OSError, EOFError):
            return False
        return True

    async def leave(self) -> None:
        """End what is sent, and read until the gateway has hung up too."""
        with contextlib.suppress(OSError):
            self.writer.write_eof()
            await self.reader.read()
            self.writer.close()
            await self.writer.wait_closed()


class Siege:
    """A gateway under attack, one good client of it, and what went wrong inside."""

    def __init__(self, gateway: PracticeGateway, port: int, good: Wild) -> None:
        self.gateway = gateway
        self.port = port
        self.good = good
        self.wrong: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.wrong.append(context))

    async def attack(
        self, *pieces: bytes, version: int = 178, greeted: bool = True, framed: bool = False
    ) -> None:
        """Let one client send these pieces, and see that only its own connection may suffer, and no `framed` one."""
        wild = await Wild.connect(self.port, 66 if greeted else None, version)
        for piece in pieces:
            wild.send(piece)
        assert not framed or await wild.is_served()
        await self.gateway.advance(10)
        await wild.leave()
        assert await self.good.is_served()
        assert self.wrong == []


@pytest.fixture
async def siege(tape: TapeMarket) -> AsyncIterator[Siege]:
    gateway = PracticeGateway(PracticeOptions(speed=0), tape)
    port = await gateway.start()
    running = Siege(gateway, port, await Wild.connect(port, 1))
    yield running
    await running.good.leave()
    await gateway.stop()


def encode(fields: list[Any]) -> bytes:
    """Frame fields that need not be text the gateway would write."""
    body = b"".join(str(field).encode(errors="surrogatepass") + b"\0" for field in fields)
    return len(body).to_bytes(4, "big") + body


def spoil(rng: random.Random, fields: list[Any]) -> list[Any]:
    """Return a message with a few of its fields replaced, lost, doubled or cut off."""
    spoiled = list(fields)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(spoiled)) if spoiled else 0
        match rng.randrange(6):
            case 0 if spoiled:
                del spoiled[at]
            case 1 if spoiled:
                spoiled.insert(at, spoiled[at])
            case 2:
                spoiled = spoiled[:at]
            case _ if spoiled:
                spoiled[at] = rng.choice(NASTY)
    return spoiled or [""]  # a message without any field is no message, and costs the connection


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with some flipped, lost or put in."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 2, 5, 30))):
        at = rng.randrange(len(spoiled) + 1)
        match rng.randrange(3):
            case 0:
                spoiled[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del spoiled[at : at + rng.randrange(1, 9)]
            case _:
                spoiled[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(spoiled)


async def test_every_request_is_understood_or_refused_when_well_formed(siege: Siege) -> None:
    for version in (157, 163, 176, 178):
        for template in TEMPLATES:
            await siege.attack(encode(template), version=version, framed=True)


async def test_spoilt_fields_close_no_connection(siege: Siege) -> None:
    rng, until = random.Random(1), time.monotonic() + SECONDS
    rounds = 0
    while rounds < 200 or time.monotonic() < until:
        messages = [encode(spoil(rng, rng.choice(TEMPLATES))) for _ in range(30)]
        await siege.attack(
            *messages, version=rng.choice((157, 159, 163, 166, 170, 176, 177, 178)), framed=True
        )
        rounds += 1


@pytest.mark.parametrize("nasty", ["nan", "inf", "-1", "1e999"])
async def test_no_field_of_an_order_closes_the_connection_by_what_it_holds(siege: Siege, nasty: str) -> None:
    order = next(template for template in TEMPLATES if template[0] == 3)
    spoiled = [[*order[:at], nasty, *order[at + 1 :]] for at in range(1, len(order))]
    await siege.attack(*[encode(fields) for fields in spoiled], framed=True)


async def test_a_thousand_questions_at_once_are_not_all_kept_in_memory(siege: Siege) -> None:
    wild = await Wild.connect(siege.port, 66)
    (client,) = [client for client in siege.gateway.clients() if client.id == 66]
    most = 0
    while_told = client.write

    def write(data: bytes) -> None:
        nonlocal most
        most = max(most, len(data))
        while_told(data)

    client.write = write  # type: ignore[method-assign]
    question = encode([20, 6, *SHARE, 0, "", "5 secs", "3 D", 1, "TRADES", 2, 0, ""])  # 1 MB each
    wild.send(question * 40)
    await siege.good.is_served()
    await siege.gateway.advance(10)
    assert 0 < most < 3 << 20
    await wild.leave()
    assert await siege.good.is_served()


async def test_spoilt_bytes_cost_the_sender_its_connection_at_most(siege: Siege) -> None:
    rng, until = random.Random(2), time.monotonic() + SECONDS
    rounds = 0
    while rounds < 200 or time.monotonic() < until:
        messages = b"".join(encode(rng.choice(TEMPLATES)) for _ in range(10))
        whole = spoil_bytes(rng, messages)
        cut = rng.randrange(len(whole) + 1)
        await siege.attack(whole[:cut], whole[cut:])
        rounds += 1


async def test_spoilt_greetings_cost_the_sender_its_connection_at_most(siege: Siege) -> None:
    rng = random.Random(3)
    hello = b"API\0\0\0\0\x09v157..178" + frame(71, 2, 5, "")
    for _ in range(150):
        await siege.attack(spoil_bytes(rng, hello), greeted=False)
    for data in (
        b"",
        b"API",
        b"API\0" + b"\xff" * 4,
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01" * 50,
        b"API\0\0\0\0\0",
    ):
        await siege.attack(data, greeted=False)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([t[0] for t in TEMPLATES]), st.integers(-5, 250)),
            st.lists(
                st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.integers(), st.floats()),
                max_size=40,
            ),
        ),
        max_size=12,
    )
)
def test_messages_out_of_thin_air_are_survived(messages: list[tuple[int, list[Any]]]) -> None:
    async def attack() -> None:
        from robo_trader.simulation.market import SyntheticMarket

        gateway = PracticeGateway(PracticeOptions(speed=0), SyntheticMarket(1))
        port = await gateway.start()
        siege = Siege(gateway, port, await Wild.connect(port, 1))
        await siege.attack(*[encode([kind, *fields]) for kind, fields in messages], framed=True)
        await siege.good.leave()
        await gateway.stop()

    asyncio.run(attack())


async def test_nothing_is_kept_of_clients_that_have_gone(siege: Siege) -> None:
    """Connections, their subscriptions and half-sent messages leave no trace in memory."""
    rng = random.Random(4)

    async def visit() -> None:
        wild = await Wild.connect(siege.port, 66)
        for template in TEMPLATES:
            if template[0] != 3:  # orders stay, as they should
                wild.send(encode(template))
        wild.send(rng.randbytes(3))
        await wild.leave()
        await siege.good.is_served()

    async def size_after(visits: int) -> int:
        for _ in range(visits):
            await visit()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await size_after(20)
        after = await size_after(60)
    finally:
        tracemalloc.stop()
    assert after - before < 200_000, "bytes that sixty visits left behind"
