"""Messages of TWS in every order it sends them: what they say of an order is told once, and errors end nothing."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from ib_async.contract import Stock
from ib_async.objects import CommissionReport, Execution
from ib_async.order import Order as IbOrder
from ib_async.order import OrderState
from structlog.testing import capture_logs

from robo_trader.core.events import DAY_NS, OrderStatus, OrderType
from tests.ibkr.conftest import buy
from tests.ibkr.test_broker import statuses, trading

S = OrderStatus
LIMIT = OrderType.LIMIT


class Told:
    """Speaks to the broker as TWS would, about one order of 10 shares that rests in the market."""

    def __init__(self, desk):
        self.desk, self.broker = desk, desk.broker
        ticket = self.broker._orders.get("s-1.1")
        self.tws_id, self.perm_id = ticket.tws_id, ticket.perm_id

    def status(self, word, filled=0.0):
        self.broker.on_order_status(self.tws_id, word, filled, 10 - filled, self.perm_id, 1)

    def error(self, code, text="a reason"):
        self.broker.on_order_error(self.tws_id, code, text)

    def open_order(self, word, ref="s-1.1", order_id=None, quantity=10, price=50.01, **more):
        ib_order = IbOrder(
            orderId=order_id or self.tws_id,
            clientId=1,
            permId=self.perm_id if order_id is None else order_id,
            orderRef=ref,
            action="BUY",
            totalQuantity=quantity,
            orderType="LMT",
            lmtPrice=price,
            **more,
        )
        self.broker.on_open_order(Stock("AAPL", "SMART", "USD"), ib_order, OrderState(status=word))

    def execution(self, exec_id, shares=10.0, ref="s-1.1", price=129.75, live=True, perm_id=None, **more):
        execution = Execution(
            execId=exec_id,
            time=datetime(2026, 1, 5, 14, 32, tzinfo=UTC),
            side="BOT",
            shares=shares,
            price=price,
            permId=self.perm_id if perm_id is None else perm_id,
            orderRef=ref,
            **more,
        )
        self.broker.on_execution(Stock("AAPL", "SMART", "USD"), execution, live)


@pytest.fixture
async def told(gateway, desks, order):
    desk = await trading(gateway, desks())
    await desk.broker.submit(order("s-1.1", 10, type=LIMIT, limit_price=Decimal("50.01")))
    await desk.settle()
    assert statuses(desk) == [S.WORKING]
    return Told(desk)


async def test_an_error_alone_does_not_end_a_live_order(told):
    told.error(10148)
    told.error(321)
    await told.desk.until(lambda: not told.broker._orders.get("s-1.1").confirming)
    assert set(statuses(told.desk)) == {S.WORKING}
    assert (await told.broker.snapshot()).orders


@pytest.mark.parametrize("code", [399, 404, 10349, 2109])
async def test_a_notice_is_told_and_nothing_else(told, code):
    told.error(code, "by the way")
    assert statuses(told.desk) == [S.WORKING, S.WORKING]
    assert told.desk.inbox.updates[-1].reason == f"by the way ({code})"


@pytest.mark.parametrize("word", ["Inactive", "Cancelled"])
async def test_a_reject_before_its_status(told, word):
    told.error(201, "no margin")
    told.status(word)
    assert statuses(told.desk)[-1] is S.REJECTED
    assert told.desk.inbox.updates[-1].reason == "no margin (201)"


async def test_a_reject_after_its_status(told):
    told.status("Inactive")
    assert statuses(told.desk)[-1] is S.UNKNOWN
    told.error(201, "no margin")
    assert statuses(told.desk)[-1] is S.REJECTED


async def test_cancelled_with_its_reason_after_it(told):
    told.status("Cancelled")
    told.error(202, "Order Canceled - reason:")
    assert set(statuses(told.desk)) == {S.WORKING, S.CANCELLED}


async def test_a_rejected_change_leaves_the_order_alive(told):
    told.error(201, "the change was refused")
    told.open_order("Submitted")
    await told.desk.until(lambda: not told.broker._orders.get("s-1.1").confirming)
    assert set(statuses(told.desk)) == {S.WORKING}


async def test_after_a_refused_change_the_quantity_is_what_tws_works(told, order):
    told.broker._orders.get("s-1.1").order = order("s-1.1", 500)
    told.open_order("Submitted")
    told.execution("e.1.01", 10.0)
    assert statuses(told.desk)[-1] is S.FILLED


async def test_an_order_that_died_of_an_error_without_a_word_is_found_out(told):
    ib = told.desk.connection.ib
    ib.client.cancelOrder(told.tws_id, "")
    told.broker._orders._by_perm_id.clear()  # the word of its end gets lost
    told.broker._orders._by_tws_id.clear()
    await told.desk.settle()
    told.broker._orders._by_tws_id[1, told.tws_id] = told.broker._orders.get("s-1.1")
    told.error(110, "the price does not conform")
    await told.desk.until(lambda: S.REJECTED in statuses(told.desk))


async def test_a_partial_fill_then_a_cancel(told):
    told.execution("e.1.01", 4.0)
    told.status("Submitted", 4.0)
    told.status("Cancelled", 4.0)
    assert statuses(told.desk) == [S.WORKING, S.PARTIAL, S.CANCELLED]
    assert (told.desk.inbox.updates[-1].filled, told.desk.inbox.updates[-1].remaining) == (4, 6)


async def test_filled_waits_for_the_executions(told):
    told.status("Filled", 10.0)
    assert S.FILLED not in statuses(told.desk)
    told.execution("e.1.01")
    assert statuses(told.desk)[-1] is S.FILLED


async def test_executions_alone_end_an_order(told):
    told.execution("e.1.01", 4.0)
    told.execution("e.2.01", 6.0)
    assert statuses(told.desk) == [S.WORKING, S.PARTIAL, S.FILLED]


async def test_the_same_execution_twice_is_one_fill(told):
    told.execution("e.1.01")
    told.execution("e.1.01", live=False)
    assert len(told.desk.inbox.fills) == 1


async def test_a_correction_is_told_under_its_own_id_and_the_order_stays_full(told):
    told.execution("e.1.01")
    told.execution("e.1.02", price=129.80)
    told.execution("e.1.02", price=129.80, live=False)
    assert [fill.exec_id for fill in told.desk.inbox.fills] == ["e.1.01", "e.1.02"]
    assert told.desk.inbox.fills[-1].price == Decimal("129.8")
    assert statuses(told.desk) == [S.WORKING, S.FILLED]


async def test_an_older_version_of_an_execution_says_nothing_new(told):
    told.execution("e.1.02", 4.0, price=129.80)
    told.execution("e.1.01", 6.0)
    assert [(fill.exec_id, fill.quantity) for fill in told.desk.inbox.fills] == [("e.1.02", 4)]
    assert told.desk.inbox.updates[-1].filled == 4


async def test_a_correction_of_the_quantity_changes_what_is_left(told):
    told.execution("e.1.01", 4.0)
    told.execution("e.1.02", 3.0)
    last = told.desk.inbox.updates[-1]
    assert (last.status, last.filled, last.remaining) == (S.PARTIAL, 3, 7)
    told.execution("e.2.01", 7.0)
    assert statuses(told.desk)[-1] is S.FILLED


@pytest.mark.parametrize("price", [129.75, 0.0, 1.7976931348623157e308])
async def test_a_bust_is_a_fill_of_no_shares_and_revives_no_order(told, price):
    told.execution("e.1.01")
    told.execution("e.1.02", 0.0, price=price)
    bust = told.desk.inbox.fills[-1]
    assert (bust.exec_id, bust.order_id, bust.quantity) == ("e.1.02", "s-1.1", 0)
    assert bust.price == Decimal("129.75")
    assert statuses(told.desk) == [S.WORKING, S.FILLED]
    assert told.broker._orders.get("s-1.1").executed == 0


async def test_each_version_has_its_own_commission(told):
    told.execution("e.1.01")
    told.broker.on_commission(CommissionReport("e.1.01", 1.05, "USD"))
    told.broker.on_commission(CommissionReport("e.1.02", 0.0, "USD"))
    told.execution("e.1.02", 0.0)
    told.broker.on_commission(CommissionReport("e.1.01", 2.0, "USD"))  # of what stands no more
    fills = told.desk.inbox.fills
    assert [(fill.exec_id, fill.commission) for fill in fills] == [
        ("e.1.01", None),
        ("e.1.01", Decimal("1.05")),
        ("e.1.02", Decimal("0.0")),
    ]


async def test_a_cancel_told_before_its_executions_waits_for_them(told):
    told.status("Cancelled", 4.0)
    assert S.CANCELLED not in statuses(told.desk)
    told.execution("e.1.01", 4.0)
    assert statuses(told.desk)[-1] is S.CANCELLED
    assert told.desk.inbox.updates[-1].filled == 4


async def test_a_commission_before_its_execution_is_kept(told):
    told.broker.on_commission(CommissionReport("e.1.01", 1.05, "USD"))
    told.execution("e.1.01")
    assert [fill.commission for fill in told.desk.inbox.fills] == [Decimal("1.05")]


async def test_a_commission_not_yet_known_is_no_commission(told):
    told.execution("e.1.01")
    told.broker.on_commission(CommissionReport("e.1.01", 1.7976931348623157e308, "USD"))
    assert [fill.commission for fill in told.desk.inbox.fills] == [None]


@pytest.mark.parametrize("ref", ["", "somebody else's"])
@pytest.mark.parametrize(("client", "origin"), [(0, "manual:77"), (9, "client-9:77")])
async def test_a_trade_that_is_not_ours_is_told_with_where_it_came_from(told, ref, client, origin):
    told.execution("e.1.01", ref=ref, perm_id=77, clientId=client)
    assert told.desk.inbox.fills[0].order_id == origin
    assert statuses(told.desk) == [S.WORKING]


async def test_a_trade_of_ours_is_known_by_its_permanent_id_alone(told):
    told.execution("e.1.01", ref="", clientId=9)
    assert told.desk.inbox.fills[0].order_id == "s-1.1"
    assert statuses(told.desk)[-1] is S.FILLED


async def test_another_account_of_the_same_login_is_not_ours(told):
    told.execution("e.1.01", acctNumber="DUX1")
    told.open_order("Submitted", ref="s-9.1", account="DUX1", order_id=900)
    assert not told.desk.inbox.fills
    assert not told.broker.was_given("s-9.1")


@pytest.mark.parametrize("shares", [0.5, 10.5, float("nan"), -3.0])
async def test_a_trade_of_no_whole_shares_is_not_booked_and_not_kept_quiet(told, shares):
    with capture_logs() as logs:
        told.execution("e.1.01", shares, ref="", perm_id=77)
    assert not told.desk.inbox.fills
    assert [entry["execution"] for entry in logs if entry["event"] == "execution_ignored"] == ["e.1.01"]


async def test_an_execution_of_unset_values_is_no_fill(told):
    told.execution("e.1.01", price=-1.0)
    told.execution("e.2.01", shares=2147483647.0)
    assert not told.desk.inbox.fills


async def test_a_word_of_an_order_thought_never_sent_is_believed(told):
    ticket = told.broker._orders.get("s-1.1")
    ticket.status = S.NEVER_SENT
    told.open_order("Submitted")
    assert statuses(told.desk)[-1] is S.WORKING


async def test_an_order_tws_made_smaller_down_to_what_had_traded_is_full(told):
    told.execution("e.1.01", 4.0)
    told.open_order("Filled", quantity=4)
    last = told.desk.inbox.updates[-1]
    assert (last.status, last.filled, last.remaining) == (S.FILLED, 4, 0)


async def test_an_end_is_not_taken_back_by_a_late_word(told):
    told.status("Cancelled")
    for word in ("Submitted", "Inactive", "Filled"):
        told.status(word)
        told.open_order(word)
    assert statuses(told.desk) == [S.WORKING, S.CANCELLED]


async def test_what_ended_and_traded_long_ago_is_forgotten_and_what_lives_is_not(told):
    told.execution("e.1.01")
    told.desk.now = told.desk.inbox.fills[-1].ts + 6 * DAY_NS
    told.broker.on_connecting()
    assert told.broker.was_given("s-1.1")
    await told.desk.open()
    await told.broker.submit(buy("s-2.1", type=LIMIT, limit_price=Decimal("50.01")))
    await told.desk.settle()
    told.desk.now += 2 * DAY_NS
    told.broker.on_connecting()
    assert (told.broker.was_given("s-1.1"), told.broker.was_given("s-2.1")) == (False, True)
    assert told.broker._executions.all() == ()
