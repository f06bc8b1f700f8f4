"""Every message by version, against the field counts of recorded ones and the decoder of the real client."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from ib_async import LimitOrder, MarketOrder, Order, Stock, TagValue
from ib_async.client import Client
from ib_async.decoder import Decoder

from robo_trader.core.events import OrderType, Side
from robo_trader.practice import messages, tickets, wire
from robo_trader.practice.books import Position
from robo_trader.practice.contracts import con_id_of, details_fields
from robo_trader.practice.orders import live_execution
from robo_trader.practice.requests import PlaceOrder, read_place_order
from robo_trader.practice.tickets import Execution, Ticket
from robo_trader.practice.wire import Cursor, frame

VERSIONS = [157, 159, 160, 162, 163, 164, 166, 169, 170, 173, 174, 176, 177, 178]
TICKET = Ticket(
    901, 3, 12, "AAPL", Side.SELL, 300, OrderType.LIMIT, Decimal("180.10"), "GTC", "run-7.2", "DUP123456",
    "Submitted", 100, Decimal("18011.00"), Decimal("1.00"), Decimal("180.11"), 1,
)  # fmt: skip
FILL = Execution(
    "0000cc49.00000385.01.01", 901, 3, 12, "AAPL", Side.SELL, 100, Decimal("180.11"), Decimal("1.005"),
    Decimal("-3.25"), 100, Decimal("180.11"), "run-7.2", "DUP123456", 1_767_623_400_000_000_000,
)  # fmt: skip


def fields(message: bytes) -> list[str]:
    return message[4:-1].decode().split("\0")


class Heard:
    """Stands where ib_async's wrapper stands and keeps what the decoder read."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.ib = SimpleNamespace(TimezoneTWS="")
        self.defaultTimezone = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, arguments))


def decode(message: bytes, version: int) -> tuple[Any, ...]:
    heard = Heard()
    Decoder(heard, version).interpret(fields(message))
    ((_, arguments),) = heard.calls
    return arguments


@pytest.mark.parametrize(
    ("version", "count"), [(157, 128), (170, 136), (173, 136), (176, 136), (177, 135), (178, 135)]
)
def test_open_order_has_the_fields_of_a_recorded_one(version: int, count: int) -> None:
    assert len(fields(tickets.open_order(version, TICKET))) == count


@pytest.mark.parametrize(("version", "count"), [(170, 101), (176, 101), (177, 100), (178, 100)])
def test_completed_order_has_the_fields_of_a_recorded_one(version: int, count: int) -> None:
    assert (
        len(fields(tickets.completed_order(version, TICKET, "20260105 09:30:00 America/New_York"))) == count
    )


@pytest.mark.parametrize(("version", "count"), [(164, 40), (170, 40), (178, 40)])
def test_contract_details_have_the_fields_of_recorded_ones(version: int, count: int) -> None:
    assert len(details_fields(version, 1, "AAPL", "")) == count


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_an_order_back_in_every_version(version: int) -> None:
    order_id, contract, order, state = decode(tickets.open_order(version, TICKET), version)
    assert (order_id, order.clientId, order.permId, order.orderRef) == (12, 3, 901, "run-7.2")
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("SELL", 300, "LMT", 180.1)
    assert (order.tif, order.account, state.status) == ("GTC", "DUP123456", "Submitted")
    assert (contract.symbol, contract.conId, contract.exchange) == ("AAPL", con_id_of("AAPL"), "SMART")
    assert order.usePriceMgmtAlgo == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_a_finished_order_back_in_every_version(version: int) -> None:
    contract, order, state = decode(tickets.completed_order(version, TICKET, "20260105 09:31:00 X"), version)
    assert (contract.symbol, order.permId, order.orderRef, order.filledQuantity) == (
        "AAPL",
        901,
        "run-7.2",
        100,
    )
    assert (state.status, state.completedTime) == ("Submitted", "20260105 09:31:00 X")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_contract_details_back_in_every_version(version: int) -> None:
    request, details = decode(
        frame(*details_fields(version, 8, "AAPL", "20260105:0930-20260105:1600")), version
    )
    assert (request, details.contract.symbol, details.minTick) == (8, "AAPL", 0.01)
    assert (details.liquidHours, details.stockType) == ("20260105:0930-20260105:1600", "COMMON")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_an_execution_back_in_every_version(version: int) -> None:
    request, contract, execution = decode(live_execution(version, FILL), version)
    assert (request, contract.symbol, execution.side, execution.shares) == (-1, "AAPL", "SLD", 100)
    assert (execution.price, execution.permId, execution.orderRef) == (180.11, 901, "run-7.2")
    assert execution.execId == "0000cc49.00000385.01.01"


@pytest.mark.parametrize("version", [157, 165, 166, 178])
def test_the_real_decoder_reads_an_error_back(version: int) -> None:
    assert decode(wire.error(version, 4, 201, "no"), version) == (4, 201, "no", "")


def test_the_real_decoder_reads_a_commission_and_a_holding_back() -> None:
    (report,) = decode(tickets.commission_report(178, FILL), 178)
    assert (report.commission, report.realizedPNL, report.currency) == (1.005, -3.25, "USD")
    held = Position(-30, Decimal("-300.00"), Decimal("12.5"))
    contract, *figures = decode(messages.portfolio("DUP1", "AAPL", held, Decimal("-330.00")), 178)
    assert (contract.symbol, *figures) == ("AAPL", -30, 11.0, -330.0, 10.0, -30.0, 12.5, "DUP1")


def sent_by_ib_async(order: Order, version: int) -> list[str]:
    """Let the real client write placeOrder for a server of that version."""
    written: list[str] = []
    client = Client(wrapper=None)
    client.connState, client._serverVersion = client.CONNECTED, version
    client.sendMsg = written.append
    client.placeOrder(41, Stock("AAPL", "SMART", "USD", conId=7), order)
    return written[0][:-1].split("\0")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_of_the_real_client_is_read_in_every_version(version: int) -> None:
    order = LimitOrder("BUY", 100, 180.1, tif="DAY", orderRef="run-7.3", account="DUP1", outsideRth=True)
    cursor = Cursor(sent_by_ib_async(order, version))
    assert cursor.integer() == 3
    read = read_place_order(cursor, version)
    assert read.contract.symbol == "AAPL"
    assert read.contract.con_id == 7
    assert read == PlaceOrder(41, read.contract, "BUY", 100.0, "LMT", 180.1, "DAY", "DUP1", "run-7.3", "")


@pytest.mark.parametrize("version", [157, 176, 177, 178])
@pytest.mark.parametrize(
    ("changes", "special"),
    [
        ({"whatIf": True}, "what-if orders"),
        ({"transmit": False}, "orders that wait to be transmitted"),
        ({"parentId": 3}, "attached orders"),
        ({"allOrNone": True}, "all-or-none orders"),
        ({"goodAfterTime": "20260105 10:00:00"}, "orders that start later"),
        ({"scalePriceIncrement": 0.1}, "scale orders"),
        ({"hedgeType": "D", "hedgeParam": "1"}, "hedged orders"),
        ({"algoStrategy": "Twap", "algoParams": [TagValue("a", "b")]}, "algorithmic orders"),
    ],
)
def test_what_is_not_done_here_is_recognised_wherever_it_stands(
    version: int, changes: dict[str, Any], special: str
) -> None:
    cursor = Cursor(sent_by_ib_async(MarketOrder("BUY", 1, **changes), version))
    cursor.skip(1)
    assert read_place_order(cursor, version).special == special


def test_an_order_as_the_official_client_spells_it_is_read_alike() -> None:
    spelt = [field or "1.7976931348623157e+308" for field in sent_by_ib_async(MarketOrder("BUY", 1), 178)]
    # Only text fields keep being empty there; the numbers are DBL_MAX.
    plain = sent_by_ib_async(MarketOrder("BUY", 1), 178)
    numbers = [18, 19]
    mixed = [spelt[i] if i in numbers else field for i, field in enumerate(plain)]
    cursor = Cursor(mixed)
    cursor.skip(1)
    read = read_place_order(cursor, 178)
    assert (read.quantity, read.limit, read.special) == (1.0, None, "")
