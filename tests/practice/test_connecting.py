"""Getting in: the start-up burst, ids, strangers, and bytes that are no message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import UTC, datetime

import pytest
from ib_async import IB, Contract, Forex, LimitOrder, MarketOrder, ScannerSubscription, Stock

from robo_trader.core.errors import ConfigurationError
from robo_trader.practice import gateway
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.protocol import clients
from robo_trader.practice.protocol.wire import frame
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of


async def test_the_real_client_connects_fully_synchronised(desk: Desk) -> None:
    ib = await desk.connect()
    assert ib.client.serverVersion() == 178
    assert ib.managedAccounts() == [desk.gateway.account]
    assert desk.gateway.account.startswith("DUP")
    assert len(desk.gateway.account) == 9
    values = {value.tag: value.value for value in ib.accountValues() if value.currency == "USD"}
    assert values["NetLiquidation"] == values["TotalCashValue"] == "100000"
    assert (ib.positions(), ib.openTrades(), ib.fills()) == ([], [], [])


async def test_client_zero_connects_too(desk: Desk) -> None:
    assert (await desk.connect(0)).isConnected()


async def test_the_farms_report_themselves(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await desk.connect()
    for code in ("2104", "2106", "2158"):
        assert f"Warning {code}, reqId -1" in caplog.text


async def test_the_clock_stands_just_before_the_open_until_somebody_moves_it(desk: Desk) -> None:
    ib = await desk.connect()
    assert await ib.reqCurrentTimeAsync() == datetime(2026, 1, 13, 14, 29, 55, tzinfo=UTC)
    await desk.advance(65)
    assert await ib.reqCurrentTimeAsync() == datetime(2026, 1, 13, 14, 31, tzinfo=UTC)


async def test_a_client_id_in_use_is_refused_with_326_and_the_first_stays(desk: Desk) -> None:
    first = await desk.connect(5)
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(b"API\0" + b"\0\0\0\x09v157..178" + frame(71, 2, 5, ""))
    told = await reader.read()
    assert b"4\x002\x00-1\x00326\0" in told
    writer.close()
    assert await first.reqCurrentTimeAsync()
    first.disconnect()
    while True:
        try:
            again = await desk.connect(5)
        except ConnectionError:
            continue
        break
    assert again.isConnected()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"API\0\x7f\xff\xff\xff",
        b"API\0\0\0\0\x09v213..225",
        b"API\0\0\0\0\x09v157..178" + frame(3, "not the first message"),
        b"API\0\0\0\0\x09v157..178" + frame(71, 2, 9, "") + b"\xff\xff\xff\xff",
    ],
)
async def test_garbage_closes_that_client_and_no_other(desk: Desk, garbage: bytes) -> None:
    ib = await desk.connect()
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(garbage)
    await reader.read()  # to the end: the gateway hung up
    writer.close()
    assert await ib.reqCurrentTimeAsync()


async def test_no_message_whatever_is_in_it_is_too_much(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    ib = await desk.connect()
    dice = random.Random(1)
    words = [
        "",
        "0",
        "1",
        "-1",
        "7",
        "2.5",
        "nan",
        "inf",
        "1e400",
        "2147483647",
        "x",
        "AAPL",
        "STK",
        "USD",
        "BUY",
    ]
    words += [
        "LMT",
        "MKT",
        "DAY",
        "TRADES",
        "1 min",
        "1 D",
        "1 day",
        "99999999 00:00:00",
        "20260112 16:00:00 Nowhere",
    ]
    words += ["99999 Y", "\udcff", "é" * 50]
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(b"API\0" + b"\0\0\0\x09v157..178" + frame(71, 2, 9, ""))
    share = ["0", "AAPL", "STK", "", "0", "", "", "SMART", "", "USD", "", ""]
    sound = [
        ["20", "7", *share, "0", "", "1 hour", "2 D", "1", "TRADES", "2", "0", ""],
        ["7", "3", "8", "0", "", "", "", "", "", ""],
        ["1", "11", "9", *share, "0", "", "0", "0", ""],
        ["50", "3", "10", *share, "5", "TRADES", "1", ""],
        [
            "3",
            "5",
            *share,
            "",
            "",
            "BUY",
            "1",
            "LMT",
            "100",
            "",
            "DAY",
            "",
            "",
            "O",
            "0",
            "r",
            "1",
            *[""] * 90,
        ],
        ["4", "1", "5", ""],
    ]
    for i in range(4_000):
        if i % 2:
            words_now = [str(dice.randint(1, 105)), *dice.choices(words, k=dice.randint(0, 40))]
        else:
            words_now = list(dice.choice(sound))
            words_now[dice.randrange(1, len(words_now))] = dice.choice(words)
        body = b"\0".join(word.encode(errors="surrogateescape") for word in (*words_now, ""))
        writer.write(len(body).to_bytes(4, "big") + body)
    writer.write(frame(49, 1))
    writer.write_eof()
    async with asyncio.timeout(20):
        heard = await reader.read()
    assert b"49\0" + b"1\0" in heard[-60:]
    writer.close()
    assert await ib.reqCurrentTimeAsync()
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_a_readable_frame_with_unreadable_fields_is_answered(desk: Desk) -> None:
    ib = await desk.connect()
    heard: list[tuple[int, int]] = []
    ib.errorEvent += lambda about, code, *_: heard.append((about, code))
    ib.client.send(3, "x", "y")
    ib.client.send(20, 4)
    ib.client.send(4711)
    await desk.settle()
    assert heard == [(-1, 320), (-1, 320), (-1, 505)]


@pytest.mark.parametrize("version", [157, 162, 164, 169, 173, 175, 176, 177])
async def test_clients_of_older_versions_trade_as_well(desk: Desk, stock: Contract, version: int) -> None:
    ib = IB()
    ib.client.MaxClientVersion = version
    ib.TimezoneTWS = "America/New_York"
    await ib.connectAsync("127.0.0.1", desk.port, clientId=1, raiseSyncErrors=True)
    assert ib.client.serverVersion() == version
    (details,) = await ib.reqContractDetailsAsync(stock)
    await desk.gateway.advance(5)
    trade = ib.placeOrder(stock, MarketOrder("BUY", 3, orderRef="run-1.1"))
    resting = ib.placeOrder(details.contract, LimitOrder("BUY", 3, 100.0))
    await ib.reqCurrentTimeAsync()
    assert (trade.orderStatus.status, resting.orderStatus.status) == ("Filled", "Submitted")
    assert trade.fills[0].execution.time == datetime(2026, 1, 13, 14, 30, tzinfo=UTC)
    ib.cancelOrder(resting.order)
    completed = await ib.reqCompletedOrdersAsync(False)
    assert [t.order.permId for t in completed] == [trade.order.permId, resting.order.permId]
    bars = await ib.reqHistoricalDataAsync(stock, "", "1 D", "5 mins", "TRADES", True, 2)
    assert len(bars) == 78
    ib.disconnect()


async def test_what_the_practice_market_has_not_is_refused_not_left_waiting(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    async with asyncio.timeout(5):
        assert not await ib.reqFundamentalDataAsync(stock, "ReportSnapshot")
        assert not await ib.reqScannerDataAsync(ScannerSubscription(scanCode="TOP_PERC_GAIN"))
        assert not await ib.reqNewsArticleAsync("BRFG", "1")
        assert not await ib.reqHistoricalNewsAsync(stock.conId, "BRFG", "", "", 10)
        assert not await ib.calculateImpliedVolatilityAsync(stock, 1.0, 200.0)
        assert not await ib.calculateOptionPriceAsync(stock, 0.2, 200.0)
    assert codes == [354] * 6


async def test_a_question_without_a_request_id_for_what_is_not_here_is_answered_with_nothing(
    desk: Desk,
) -> None:
    ib = await desk.connect()
    async with asyncio.timeout(5):
        assert await ib.reqNewsProvidersAsync() == []
        assert "ScanParameterResponse" in await ib.reqScannerParametersAsync()
        assert not await ib.reqUserInfoAsync()


async def test_too_many_sockets_are_turned_away_and_those_inside_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib = await desk.connect()
    monkeypatch.setattr(gateway, "MAX_SOCKETS", 3)
    inside = [await asyncio.open_connection("127.0.0.1", desk.port) for _ in range(2)]
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert await ib.reqCurrentTimeAsync()
    for _, other in (*inside, (reader, writer)):
        other.close()


async def test_half_a_message_for_ever_costs_no_more_than_one_message(desk: Desk) -> None:
    ib = await desk.connect()
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    writer.write(b"API\0" + b"\0\0\0\x09v157..178" + frame(71, 2, 9, "") + (1 << 20).to_bytes(4, "big"))
    for _ in range(8):
        writer.write(b"x" * (1 << 17))
        await writer.drain()
    writer.write(b"x" * (1 << 17))  # the message is full and no message
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert await ib.reqCurrentTimeAsync()


def test_other_machines_are_let_in_only_where_that_was_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="allow-remote"):
        PracticeOptions(host="0.0.0.0")
    assert PracticeOptions(host="0.0.0.0", allow_remote=True).host == "0.0.0.0"


async def test_a_master_client_hears_of_the_orders_of_all(tape: TapeMarket, stock: Contract) -> None:
    async with desk_of(PracticeOptions(speed=0, master_client=7), tape) as desk:
        master, other = await desk.connect(7), await desk.connect(1)
        await desk.advance(5)
        other.placeOrder(stock, MarketOrder("BUY", 3))
        await desk.advance(5)
        assert [(t.order.clientId, t.orderStatus.status) for t in master.trades()] == [(1, "Filled")]


@pytest.mark.parametrize("beats", [1, 5, 50])
async def test_the_clock_moves_in_beats_and_bars_stay_the_same(
    tape: TapeMarket, stock: Contract, beats: int
) -> None:
    async with desk_of(PracticeOptions(speed=0, beats=beats), tape) as desk:
        ib = await desk.connect()
        bars = ib.reqRealTimeBars(stock, 5, "TRADES", True)
        await desk.advance(15)
        assert [(bar.open_, bar.volume) for bar in bars] == [(200.0, 1000), (199.97, 1000)]
        assert desk.gateway.now() % 5_000_000_000 == 0
        await desk.gateway.advance(5 / beats)
        assert desk.gateway.now() % 5_000_000_000 == (5_000_000_000 // beats) % 5_000_000_000


def test_five_seconds_are_cut_into_whole_beats(tape: TapeMarket) -> None:
    with pytest.raises(ConfigurationError, match="beats"):
        PracticeGateway(PracticeOptions(beats=7), tape)


async def test_a_client_that_does_not_read_is_dropped_and_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ib = await desk.connect()
    monkeypatch.setattr(clients, "MAX_UNREAD", 1 << 20)
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port, limit=1 << 10)
    writer.write(b"API\0" + b"\0\0\0\x09v157..178" + frame(71, 2, 9, ""))
    share = (0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "")
    question = frame(20, 7, *share, False, "", "5 secs", "3 D", True, "TRADES", 2, False, "")
    for _ in range(12):  # about 1 MB each
        writer.write(question)
    await desk.settle()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):  # without a drop the end would never come
            while await reader.read(1 << 16):
                pass
    writer.close()
    assert await ib.reqCurrentTimeAsync()


async def test_contract_details_name_the_share_and_its_hours(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    (details,) = await ib.reqContractDetailsAsync(stock)
    assert details.contract.conId > 0
    assert (details.contract.primaryExchange, details.minTick) == ("NASDAQ", 0.01)
    assert details.liquidHours.startswith("20260113:0930-20260113:1600;")
    opens = details.liquidSessions()[0].start
    assert opens.astimezone(UTC) == datetime(2026, 1, 13, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "unknown",
    [
        Stock("GONE", "SMART", "USD"),
        Stock("AAPL", "SMART", "EUR"),
        Forex("EURUSD"),
        Contract(symbol="AAPL"),
        Contract(conId=1),
    ],
)
async def test_what_does_not_trade_here_is_unknown(desk: Desk, unknown: Contract) -> None:
    ib = await desk.connect()
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    assert await ib.reqContractDetailsAsync(unknown) == []
    assert codes == [200]


async def test_a_contract_found_once_is_found_by_its_number(desk: Desk, stock: Contract) -> None:
    ib = await desk.connect()
    (qualified,) = await ib.qualifyContractsAsync(stock)
    assert qualified is not None
    (details,) = await ib.reqContractDetailsAsync(Contract(conId=qualified.conId))
    assert details.contract.symbol == "AAPL"


async def test_an_order_for_an_unknown_share_is_refused_with_200(desk: Desk) -> None:
    ib = await desk.connect()
    trade = ib.placeOrder(Stock("GONE", "SMART", "USD"), MarketOrder("BUY", 1))
    await desk.settle()
    assert trade.orderStatus.status == "Cancelled"
    assert trade.log[-1].errorCode == 200


async def test_what_gives_up_a_refused_question_is_no_unknown_message(desk: Desk) -> None:
    ib = await desk.connect()
    codes: list[int] = []
    ib.errorEvent += lambda _about, code, *_: codes.append(code)
    ib.reqNewsBulletins(True)
    ib.cancelNewsBulletins()
    for number in (23, 53, 56, 57):
        ib.client.send(number, 1, 900)
    ib.client.cancelWshMetaData(900)
    ib.client.cancelWshEventData(900)
    await desk.settle()
    assert codes == []
