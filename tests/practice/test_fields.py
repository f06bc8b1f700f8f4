"""Every message by version, against the field counts of recorded ones and the decoder of the real client."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from ib_async import (
    ExecutionCondition,
    LimitOrder,
    MarginCondition,
    MarketOrder,
    Order,
    PercentChangeCondition,
    PriceCondition,
    SoftDollarTier,
    Stock,
    TagValue,
    TimeCondition,
    VolumeCondition,
)
from ib_async.client import Client
from ib_async.decoder import Decoder
from ib_async.util import UNSET_INTEGER

from robo_trader.core.events import Side
from robo_trader.practice.account import messages as account_messages
from robo_trader.practice.account.books import Position
from robo_trader.practice.account.margin import Impact
from robo_trader.practice.account.tickets import Execution, Terms, Ticket
from robo_trader.practice.market.contracts import con_id_of, details_fields
from robo_trader.practice.market.listings import american
from robo_trader.practice.market.stamps import stamp
from robo_trader.practice.orders.messages import (
    commission_report,
    completed_order,
    execution,
    open_order,
    order_bound,
    order_status,
)
from robo_trader.practice.orders.requests import PlaceOrder, read_place_order
from robo_trader.practice.protocol import wire
from robo_trader.practice.protocol.wire import Cursor, frame

RICH = Terms(
    aux=Decimal("0.25"), trailing_percent=Decimal("1.5"), limit_offset=Decimal("0.05"), trigger_method=4,
    parent_id=11, good_after="20260105 10:00:00", good_till="20260105 15:00:00", display_size=100, all_or_none=True,
    outside_rth=True, hidden=True, algo="Twap", algo_params=(("strategyType", "Marketable"),), open_close="C",
    rule_80a="I", clearing_account="clear", sweep=True, solicited=True, not_held=True, soft_dollar_name="tier",
    duration=60, auto_cancel_parent=True,
)  # fmt: skip
VERSIONS = [157, 159, 160, 162, 163, 164, 166, 169, 170, 173, 174, 176, 177, 178]
TICKET = Ticket(
    901, 3, 12, "AAPL", Side.SELL, 300, "LMT", Decimal("180.10"), "GTC", "run-7.2", "DUP123456",
    "Submitted", 100, Decimal("18011.00"), Decimal("1.00"), Decimal("180.11"), 1,
)  # fmt: skip
DONE = msgspec.structs.replace(TICKET, status="Cancelled", done_ts=1_767_623_460_000_000_000)
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


COUNTS = {  # fields of openOrder, completedOrder and execDetails
    157: (128, 96, 31), 159: (129, 96, 31), 160: (130, 96, 31), 162: (131, 96, 31), 163: (131, 96, 31),
    164: (131, 96, 31), 166: (131, 96, 31), 169: (131, 96, 31), 170: (136, 101, 31), 173: (136, 101, 31),
    174: (136, 101, 31), 176: (136, 101, 31), 177: (135, 100, 31), 178: (135, 100, 32),
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_orders_and_executions_have_the_fields_of_recorded_ones(version: int) -> None:
    messages_of = open_order(version, TICKET), completed_order(version, TICKET), execution(version, FILL)
    assert tuple(len(fields(message)) for message in messages_of) == COUNTS[version]


def test_an_algo_adds_its_parameters_to_the_fields() -> None:
    algo = msgspec.structs.replace(TICKET, terms=RICH)
    assert len(fields(open_order(178, algo))) == 135 + 3
    assert len(fields(completed_order(178, algo))) == 100 + 3


@pytest.mark.parametrize("version", VERSIONS)
def test_all_an_order_says_is_told_back(version: int) -> None:
    stop = {"stop": Decimal("181.5"), "type": "TRAIL LIMIT", "oca": "exits", "oca_type": 2}
    _, _, order, _ = decode(open_order(version, msgspec.structs.replace(TICKET, terms=RICH, **stop)), version)
    assert (order.auxPrice, order.trailStopPrice, order.trailingPercent) == (0.25, 181.5, 1.5)
    assert (order.lmtPriceOffset, order.triggerMethod, order.parentId) == (0.05, 4, 11)
    assert (order.ocaGroup, order.ocaType, order.displaySize) == ("exits", 2, 100)
    assert (order.goodAfterTime, order.goodTillDate) == ("20260105 10:00:00", "20260105 15:00:00")
    assert (order.allOrNone, order.outsideRth, order.hidden) == (True, True, True)
    assert (order.algoStrategy, order.algoParams) == ("Twap", [TagValue("strategyType", "Marketable")])
    assert (order.openClose, order.rule80A, order.clearingAccount) == ("C", "I", "clear")
    assert (order.sweepToFill, order.solicited, order.notHeld) == (True, True, True)
    assert order.softDollarTier.name == "tier"
    assert order.duration == (60 if version >= 159 else UNSET_INTEGER)
    assert order.autoCancelParent == (version >= 162)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_a_finished_order_said_is_told_back(version: int) -> None:
    ended = msgspec.structs.replace(TICKET, terms=RICH, type="TRAIL", stop=Decimal(180), parent=900)
    _, order, _ = decode(completed_order(version, ended), version)
    assert (order.auxPrice, order.trailStopPrice, order.trailingPercent) == (0.25, 180.0, 1.5)
    assert (order.algoStrategy, order.algoParams) == ("Twap", [TagValue("strategyType", "Marketable")])
    assert (order.goodTillDate, order.displaySize, order.allOrNone) == ("20260105 15:00:00", 100, True)
    assert (order.autoCancelParent, order.parentPermId) == (True, 900)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_what_if_answer_tells_margins_and_commission_and_is_no_order(version: int) -> None:
    effect = Impact(*(Decimal(i) for i in range(1, 11)))
    _, _, order, state = decode(open_order(version, TICKET, impact=effect), version)
    told = (state.initMarginBefore, state.maintMarginBefore, state.equityWithLoanBefore)
    told += (state.initMarginChange, state.maintMarginChange, state.equityWithLoanChange)
    told += (state.initMarginAfter, state.maintMarginAfter, state.equityWithLoanAfter)
    assert (order.whatIf, [float(figure) for figure in told]) == (True, [float(i) for i in range(1, 10)])
    assert (state.commission, state.commissionCurrency) == (10.0, "USD")


def test_the_real_decoder_reads_a_status_and_a_binding_back() -> None:
    child = msgspec.structs.replace(
        TICKET, status="PreSubmitted", parent=5, released=0, type="STP", terms=RICH
    )
    order_id, status, filled, remaining, average, perm, parent, last, client, why, _ = decode(
        order_status(178, child), 178
    )
    assert (order_id, status, filled, remaining, perm, parent) == (12, "PreSubmitted", 100, 200, 901, 11)
    assert (average, last, client, why) == (180.11, 180.11, 3, "child,trigger")
    assert decode(order_bound(178, TICKET), 178) == (901, 3, 12)


@pytest.mark.parametrize(("version", "count"), [(164, 42), (170, 42), (178, 42)])  # two of them for its ISIN
def test_contract_details_have_the_fields_of_recorded_ones(version: int, count: int) -> None:
    assert len(details_fields(version, 1, american("AAPL"), "", "")) == count


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_an_order_back_in_every_version(version: int) -> None:
    order_id, contract, order, state = decode(open_order(version, TICKET), version)
    assert (order_id, order.clientId, order.permId, order.orderRef) == (12, 3, 901, "run-7.2")
    assert (order.action, order.totalQuantity, order.orderType, order.lmtPrice) == ("SELL", 300, "LMT", 180.1)
    assert (order.tif, order.account, state.status) == ("GTC", "DUP123456", "Submitted")
    assert (contract.symbol, contract.conId, contract.exchange) == ("AAPL", con_id_of("AAPL"), "SMART")
    assert order.usePriceMgmtAlgo == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_a_finished_order_back_in_every_version(version: int) -> None:
    contract, order, state = decode(completed_order(version, DONE), version)
    assert (contract.symbol, order.permId, order.orderRef, order.filledQuantity) == (
        "AAPL",
        901,
        "run-7.2",
        100,
    )
    assert (state.status, state.completedTime) == (
        "Cancelled",
        stamp(version, 1_767_623_460_000_000_000),
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_contract_details_back_in_every_version(version: int) -> None:
    request, details = decode(
        frame(*details_fields(version, 8, american("AAPL"), "", "20260105:0930-20260105:1600")), version
    )
    assert (request, details.contract.symbol, details.minTick) == (8, "AAPL", 0.01)
    assert (details.liquidHours, details.stockType) == ("20260105:0930-20260105:1600", "COMMON")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_decoder_reads_an_execution_back_in_every_version(version: int) -> None:
    request, contract, told = decode(execution(version, FILL), version)
    assert (request, contract.symbol, told.side, told.shares) == (-1, "AAPL", "SLD", 100)
    assert (told.price, told.permId, told.orderRef) == (180.11, 901, "run-7.2")
    assert told.execId == "0000cc49.00000385.01.01"


@pytest.mark.parametrize("version", [157, 165, 166, 178])
def test_the_real_decoder_reads_an_error_back(version: int) -> None:
    assert decode(wire.error(version, 4, 201, "no"), version) == (4, 201, "no", "")


def test_the_real_decoder_reads_a_commission_and_a_holding_back() -> None:
    (report,) = decode(commission_report(178, FILL), 178)
    assert (report.commission, report.realizedPNL, report.currency) == (1.005, -3.25, "USD")
    held = Position(-30, Decimal("-300.00"), Decimal("12.5"))
    contract, *figures = decode(account_messages.portfolio("DUP1", "AAPL", held, Decimal("-330.00")), 178)
    assert (contract.symbol, *figures) == ("AAPL", -30, 11.0, -330.0, 10.0, -30.0, 12.5, "DUP1")


def sent_by_ib_async(order: Order, version: int) -> list[str]:
    """Let the real client write placeOrder for a server of that version."""
    written: list[str] = []
    client = Client(wrapper=None)
    client.connState, client._serverVersion = client.CONNECTED, version
    client.sendMsg = written.append
    client.placeOrder(41, Stock("AAPL", "SMART", "USD", conId=7), order)
    return written[0][:-1].split("\0")


def read_back(order: Order, version: int) -> PlaceOrder:
    cursor = Cursor(sent_by_ib_async(order, version))
    assert cursor.integer() == 3
    read = read_place_order(cursor, version)
    with pytest.raises(wire.WireError):  # nothing is left unread
        cursor.text()
    return read


@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_of_the_real_client_is_read_in_every_version(version: int) -> None:
    order = LimitOrder("BUY", 100, 180.1, tif="DAY", orderRef="run-7.3", account="DUP1", outsideRth=True)
    read = read_back(order, version)
    assert (read.contract.symbol, read.contract.con_id) == ("AAPL", 7)
    assert read == PlaceOrder(
        41, read.contract, "BUY", 100.0, "LMT", Decimal("180.1"), "DAY", "DUP1", "run-7.3",
        terms=Terms(outside_rth=True, open_close="O"),
    )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_of_an_order_that_matters_is_read_in_every_version(version: int) -> None:
    order = Order(
        action="SELL", totalQuantity=300, orderType="TRAIL LIMIT", auxPrice=0.25, trailingPercent=1.5,
        lmtPriceOffset=0.05, triggerMethod=4, parentId=11, goodAfterTime="20260105 10:00:00",
        goodTillDate="20260105 15:00:00", displaySize=100, allOrNone=True, outsideRth=True, hidden=True,
        algoStrategy="Twap", algoParams=[TagValue("strategyType", "Marketable")], openClose="C", rule80A="I",
        clearingAccount="clear", sweepToFill=True, solicited=True, notHeld=True, duration=60, autoCancelParent=True,
        softDollarTier=SoftDollarTier("tier"), transmit=False, ocaGroup="exits", ocaType=2, whatIf=True,
    )  # fmt: skip
    read = read_back(order, version)
    expected = msgspec.structs.replace(
        RICH, oca_group="exits", oca_type=2, duration=60 if version >= 158 else None,
        auto_cancel_parent=version >= 162,
    )  # fmt: skip
    assert (read.terms, read.special) == (expected, "")
    assert (read.transmit, read.what_if, read.limit) == (False, True, None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("changes", "special"),
    [
        ({"scalePriceIncrement": 0.1}, "scale orders"),
        ({"hedgeType": "D", "hedgeParam": "1"}, "hedged orders"),
        ({"deltaNeutralOrderType": "LMT"}, "delta neutral orders"),
        ({"discretionaryAmt": 0.1}, "discretionary amounts"),
        ({"minQty": 10}, "minimum quantities"),
        ({"cashQty": 1000.0}, "orders for an amount of cash"),
        ({"faGroup": "all"}, "allocations to groups of accounts"),
        ({"modelCode": "m"}, "model portfolios"),
        ({"adjustedOrderType": "TRAIL"}, "adjusted orders"),
        ({"conditions": [PriceCondition(1, "a", True, 180.0, 7, "SMART")]}, "conditional orders"),
        ({"conditions": [TimeCondition(), MarginCondition(), ExecutionCondition()]}, "conditional orders"),
        ({"conditions": [VolumeCondition(), PercentChangeCondition()]}, "conditional orders"),
        ({"deltaNeutralOrderType": "None", "adjustedOrderType": "None"}, ""),  # as TWS itself tells them back
    ],
)
def test_what_is_not_done_here_is_recognised_wherever_it_stands(
    version: int, changes: dict[str, Any], special: str
) -> None:
    assert read_back(MarketOrder("BUY", 1, **changes), version).special == special


@pytest.mark.parametrize("unset", ["", "1.7976931348623157e+308", "1.7976931348623157E308"])
def test_unset_prices_are_read_alike_however_they_are_spelt(unset: str) -> None:
    spelt = sent_by_ib_async(MarketOrder("BUY", 1), 178)
    spelt[19] = spelt[20] = unset
    cursor = Cursor(spelt)
    cursor.skip(1)
    read = read_place_order(cursor, 178)
    assert (read.quantity, read.limit, read.terms.aux, read.special) == (1.0, None, None, "")


@pytest.mark.parametrize("rows", ["-1", "101", "99999999"])
def test_an_order_with_an_absurd_number_of_rows_is_no_order(rows: str) -> None:
    spelt = sent_by_ib_async(Order(action="BUY", orderType="MKT", algoStrategy="Twap"), 178)
    spelt[spelt.index("Twap") + 1] = rows
    cursor = Cursor(spelt)
    cursor.skip(1)
    with pytest.raises(wire.WireError):
        read_place_order(cursor, 178)


def test_an_order_saved_by_the_first_version_is_still_read() -> None:
    saved = (
        b'{"perm_id":901,"client_id":3,"order_id":12,"symbol":"AAPL","side":"SELL","quantity":300,"type":"LMT",'
        b'"limit":"180.10","tif":"GTC","ref":"run-7.2","account":"DUP123456","status":"Submitted","filled":100,'
        b'"notional":"18011.00","commission":"1.00","last_price":"180.11","fills":1,"reason":"","done_ts":0}'
    )
    assert msgspec.json.decode(saved, type=Ticket) == TICKET
