"""The account as clients hear of it: values, summaries, positions and profit and loss."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Order

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.order_desk import codes, opened

SUMMARY_TAGS = (
    "AccountType,NetLiquidation,TotalCashValue,SettledCash,AccruedCash,BuyingPower,EquityWithLoanValue,"
    "PreviousDayEquityWithLoanValue,GrossPositionValue,RegTEquity,RegTMargin,SMA,InitMarginReq,MaintMarginReq,"
    "AvailableFunds,ExcessLiquidity,Cushion,FullInitMarginReq,FullMaintMarginReq,FullAvailableFunds,"
    "FullExcessLiquidity,LookAheadNextChange,LookAheadInitMarginReq,LookAheadMaintMarginReq,LookAheadAvailableFunds,"
    "LookAheadExcessLiquidity,HighestSeverity,DayTradesRemaining,DayTradesRemainingT+1,DayTradesRemainingT+2,"
    "DayTradesRemainingT+3,DayTradesRemainingT+4,Leverage"
)


def late(desk: Desk) -> None:
    """Move the clock to two minutes before the close."""
    exchange = desk.gateway.exchange
    exchange.seek(exchange.session.close - 120 * SECOND_NS)


def hears(ib: IB, *kinds: str) -> list[tuple[str, tuple[object, ...]]]:
    """Return a list that the client's messages of these kinds are put into."""
    heard: list[tuple[str, tuple[object, ...]]] = []
    for kind in kinds:
        setattr(ib.wrapper, kind, lambda *fields, kind=kind: heard.append((kind, fields)))
    return heard


async def trade(desk: Desk, ib: IB, contract: Contract, order: Order) -> Decimal:
    """Place an order that fills at once; return its price."""
    placed = ib.placeOrder(contract, order)
    await desk.advance(5)
    assert placed.orderStatus.status == "Filled", placed.log
    return Decimal(repr(placed.fills[0].execution.price))


# ---------------------------------------------------------------------------------------------------- values


async def test_the_summary_has_every_tag_tws_documents(desk: Desk) -> None:
    ib = await opened(desk)
    rows = await ib.accountSummaryAsync()
    plain = {row.tag for row in rows if row.tag != "CashBalance" and row.currency != "BASE"}
    assert set(SUMMARY_TAGS.split(",")) <= plain
    ledger = {row.currency: row.value for row in rows if row.tag == "CashBalance"}
    assert ledger == {"BASE": "100000", "USD": "100000"}


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ("NetLiquidation", {("NetLiquidation", "USD")}),
        ("Leverage,AccountType", {("Leverage", ""), ("AccountType", "")}),
        (
            "ReqTMargin, PreviousEquityWithLoanValue",
            {("RegTMargin", "USD"), ("PreviousDayEquityWithLoanValue", "USD")},
        ),
        ("NoSuchTag", set()),
    ],
)
async def test_a_summary_tells_what_was_asked(desk: Desk, tags: str, told: set[tuple[str, str]]) -> None:
    ib = await desk.connect()
    heard = hears(ib, "accountSummary", "accountSummaryEnd")
    ib.client.reqAccountSummary(900, "All", tags)
    await desk.settle()
    assert {(fields[2], fields[4]) for kind, fields in heard if kind == "accountSummary"} == told
    assert heard[-1] == ("accountSummaryEnd", (900,))


@pytest.mark.parametrize(
    ("tags", "currencies"),
    [("$LEDGER", {"BASE"}), ("$LEDGER:USD", {"USD"}), ("$LEDGER:ALL", {"USD", "BASE"})],
)
async def test_the_ledger_comes_in_the_currency_asked_for(
    desk: Desk, tags: str, currencies: set[str]
) -> None:
    ib = await desk.connect()
    heard = hears(ib, "accountSummary")
    ib.client.reqAccountSummary(900, "All", tags)
    await desk.settle()
    assert {fields[4] for _, fields in heard} == currencies
    assert {"CashBalance", "RealizedPnL", "UnrealizedPnL", "ExchangeRate"} <= {
        fields[2] for _, fields in heard
    }


async def test_only_values_that_changed_are_told_again(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    await desk.advance(180 - 5)
    heard = hears(ib, "updateAccountValue", "updatePortfolio", "updateAccountTime")
    await desk.advance(180)
    assert [kind for kind, _ in heard] == ["updateAccountTime"]
    await trade(desk, ib, stock, MarketOrder("BUY", 1))
    tags = {fields[0] for kind, fields in heard if kind == "updateAccountValue"}
    assert {"TotalCashValue", "NetLiquidation", "InitMarginReq"} <= tags
    assert not tags & {"AccountType", "AccruedDividend", "PreviousDayEquityWithLoanValue", "ExchangeRate"}
    assert "updatePortfolio" in {kind for kind, _ in heard}


async def test_values_move_with_prices_every_three_minutes_and_not_between(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    await trade(desk, ib, stock, MarketOrder("BUY", 10))
    heard = hears(ib, "updateAccountValue", "updatePortfolio")
    await desk.advance(165)
    assert not heard
    await desk.advance(10)
    assert {kind for kind, _ in heard} == {"updateAccountValue", "updatePortfolio"}


async def test_margins_and_buying_power_change_at_the_close(desk: Desk, stock: Contract) -> None:
    late(desk)
    ib = await desk.connect()
    price = await trade(desk, ib, stock, LimitOrder("BUY", 10, 250.0))

    async def values() -> dict[str, Decimal]:
        rows = await ib.accountSummaryAsync()
        ib.client.cancelAccountSummary(ib.client._reqIdSeq - 1)
        ib.wrapper.acctSummary.clear()
        return {row.tag: Decimal(row.value) for row in rows if row.currency == "USD"}

    by_day = await values()
    worth = by_day["GrossPositionValue"]
    assert abs(worth - 10 * price) < 10
    assert by_day["InitMarginReq"] == by_day["MaintMarginReq"] == worth / 4
    assert by_day["LookAheadInitMarginReq"] == by_day["RegTMargin"] == worth / 2
    assert by_day["BuyingPower"] == 4 * by_day["AvailableFunds"]
    await desk.gateway.advance_to(desk.gateway.exchange.session.close)
    by_night = await values()
    assert by_night["InitMarginReq"] == by_night["GrossPositionValue"] / 2
    assert by_night["BuyingPower"] == 2 * by_night["AvailableFunds"]
    assert by_night["LookAheadInitMarginReq"] == by_night["GrossPositionValue"] / 4


async def test_a_third_summary_is_one_too_many_until_one_is_cancelled(desk: Desk) -> None:
    ib = await desk.connect()
    heard = codes(ib)
    for request in (900, 901, 902):
        ib.client.reqAccountSummary(request, "All", "NetLiquidation")
    await desk.settle()
    assert heard == [322]
    ib.client.cancelAccountSummary(900)
    ib.client.reqAccountSummary(903, "All", "NetLiquidation")
    await desk.settle()
    assert heard == [322]


async def test_the_light_account_update_is_ledger_and_net_liquidation(desk: Desk) -> None:
    ib = await desk.connect()
    heard = hears(ib, "accountUpdateMulti", "accountUpdateMultiEnd")
    ib.client.reqAccountUpdatesMulti(900, desk.gateway.account, "", True)
    await desk.settle()
    assert heard[-1] == ("accountUpdateMultiEnd", (900,))
    tags = {fields[3] for kind, fields in heard if kind == "accountUpdateMulti"}
    assert {"NetLiquidation", "CashBalance"} <= tags
    assert not tags & {"BuyingPower", "Leverage"}


@pytest.mark.parametrize("subscribe", ["updates", "multi", "positions", "pnl", "single", "model", "group"])
async def test_an_account_or_model_that_is_none_here_is_refused(desk: Desk, subscribe: str) -> None:
    ib = await desk.connect()
    errors: list[tuple[int, int, str]] = []
    ib.errorEvent += lambda about, code, text, _contract: errors.append((about, code, text))
    client, ours = ib.client, desk.gateway.account
    match subscribe:
        case "updates":
            client.reqAccountUpdates(True, "DU1")
        case "multi":
            client.reqAccountUpdatesMulti(900, "DU1", "", False)
        case "positions":
            client.reqPositionsMulti(900, "DU1", "")
        case "pnl":
            client.reqPnL(900, "DU1", "")
        case "single":
            client.reqPnLSingle(900, "DU1", "", 1)
        case "model":
            client.reqPnL(900, ours, "growth")
        case "group":
            client.reqAccountSummary(900, "Family", "NetLiquidation")
    await desk.settle()
    ((about, code, text),) = errors
    assert (about, code) == (-1 if subscribe == "updates" else 900, 321)
    assert text.startswith("Error validating request.-'bW' : cause - Invalid ")


async def test_cancelling_what_was_never_asked_is_harmless_and_of_pnl_is_said(desk: Desk) -> None:
    ib = await desk.connect()
    heard = codes(ib)
    ib.client.cancelAccountSummary(1)
    ib.client.cancelPositionsMulti(2)
    ib.client.cancelAccountUpdatesMulti(3)
    ib.client.cancelPnL(4)
    ib.client.cancelPnLSingle(5)
    await desk.settle()
    assert heard == [10185, 10186]


# ------------------------------------------------------------------------------------------------- positions


async def test_positions_of_one_request_are_told_on_every_change_until_cancelled(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    await trade(desk, ib, stock, MarketOrder("BUY", 5))
    heard = hears(ib, "positionMulti", "positionMultiEnd")
    ib.client.reqPositionsMulti(900, desk.gateway.account, "")
    await desk.settle()
    assert [kind for kind, _ in heard] == ["positionMulti", "positionMultiEnd"]
    assert heard[0][1][4] == 5
    await trade(desk, ib, stock, MarketOrder("SELL", 5))
    assert heard[-1][1][4] == 0
    ib.client.cancelPositionsMulti(900)
    count = len(heard)
    await trade(desk, ib, stock, MarketOrder("BUY", 1))
    assert len(heard) == count


async def test_a_position_closed_is_told_as_nought_once(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    await trade(desk, ib, stock, MarketOrder("BUY", 5))
    await trade(desk, ib, stock, MarketOrder("SELL", 5))
    assert not ib.portfolio()
    heard = hears(ib, "updatePortfolio")
    await desk.advance(360)
    assert not heard


# ------------------------------------------------------------------------------------------- profit and loss


async def test_daily_pnl_is_the_change_of_value_since_the_close_with_commissions(
    desk: Desk, stock: Contract
) -> None:
    ib = await opened(desk)
    pnl, single = (
        ib.reqPnL(desk.gateway.account),
        ib.reqPnLSingle(desk.gateway.account, "", con_id_of("AAPL")),
    )
    bought = await trade(desk, ib, stock, MarketOrder("BUY", 10))
    sold = await trade(desk, ib, stock, MarketOrder("SELL", 4))
    last = Decimal(repr(desk.gateway.exchange.last("AAPL")))
    daily = 6 * last - 10 * bought + 4 * sold - 2  # two commissions of a dollar
    realised = 4 * (sold - bought) - Decimal("0.4") - 1
    assert single.position == 6
    assert pnl.dailyPnL == single.dailyPnL == pytest.approx(float(daily), abs=0.006)
    assert pnl.realizedPnL == single.realizedPnL == pytest.approx(float(realised), abs=0.006)
    assert pnl.unrealizedPnL == single.unrealizedPnL == pytest.approx(float(daily - realised), abs=0.011)
    assert single.value == pytest.approx(float(6 * last))


async def test_pnl_follows_the_price_and_is_silent_while_nothing_changes(desk: Desk, stock: Contract) -> None:
    ib = await opened(desk)
    heard: list[float] = []
    ib.pnlEvent += lambda pnl: heard.append(pnl.dailyPnL)
    ib.reqPnL(desk.gateway.account)
    await desk.advance(60)
    assert heard == [0.0]
    await trade(desk, ib, stock, MarketOrder("BUY", 10))
    heard.clear()
    await desk.advance(60)
    assert len(heard) > 5
    assert all(a != b for a, b in pairwise(heard))
    ib.cancelPnL(desk.gateway.account)
    await desk.settle()
    heard.clear()
    await desk.advance(60)
    assert not heard


async def test_what_was_never_held_has_unknown_pnl(desk: Desk) -> None:
    ib = await opened(desk)
    heard = hears(ib, "pnlSingle")
    ib.client.reqPnLSingle(900, desk.gateway.account, "", 12345)
    await desk.settle()
    ((_, (request, position, *unknown)),) = heard
    assert (request, position) == (900, 0)
    assert all(math.isclose(float(str(value)), 1.7976931348623157e308) for value in unknown)


# ------------------------------------------------------------------------------------------------- overnight


@pytest.fixture
async def two_days(tape: TapeMarket) -> AsyncIterator[Desk]:
    """The last minutes of the last day but one."""
    async with desk_of(PracticeOptions(speed=0, start="2026-01-12"), tape) as desk:
        late(desk)
        yield desk


def moved(desk: Desk, symbol: str) -> float:
    """Return how far a price is from its previous close."""
    last, close = desk.gateway.exchange.last(symbol), desk.gateway.exchange.close_before(symbol)
    assert last is not None
    assert close is not None
    return last - close


async def to_next_day(desk: Desk) -> None:
    await desk.gateway.advance_to(desk.gateway.exchange.session.close)
    await desk.gateway.advance(5)
    await desk.settle()


async def test_a_night_makes_the_close_the_base_of_daily_pnl_and_forgets_what_was_realised(
    two_days: Desk, stock: Contract
) -> None:
    desk, exchange = two_days, two_days.gateway.exchange
    ib = await desk.connect()
    await trade(desk, ib, stock, MarketOrder("BUY", 10))
    await trade(desk, ib, stock, MarketOrder("SELL", 4))
    pnl = ib.reqPnL(desk.gateway.account)
    await desk.settle()
    assert pnl.realizedPnL != 0
    await to_next_day(desk)
    assert (pnl.dailyPnL, pnl.realizedPnL) == (0, 0)
    close = exchange.close_before("AAPL")
    assert close is not None
    rows = await ib.accountSummaryAsync()
    (before,) = [Decimal(row.value) for row in rows if row.tag == "PreviousDayEquityWithLoanValue"]
    assert before == desk.gateway.books.cash + 6 * Decimal(repr(close))
    await desk.advance(65)
    last = exchange.last("AAPL")
    assert last is not None
    assert pnl.dailyPnL == pytest.approx(6 * (last - close), abs=0.006)


async def test_a_dividend_is_paid_for_shares_held_and_owed_for_shares_sold_short(
    two_days: Desk, stock: Contract, thin: Contract
) -> None:
    desk = two_days
    ib = await desk.connect()
    await trade(desk, ib, stock, MarketOrder("BUY", 10))
    short = ib.placeOrder(thin, MarketOrder("SELL", 1))
    await desk.advance(30)
    assert short.orderStatus.status == "Filled"
    before, pnl = desk.gateway.books.cash, ib.reqPnL(desk.gateway.account)
    desk.gateway.exchange.dividend("AAPL", Decimal("1.50"))
    desk.gateway.exchange.dividend("THIN", Decimal(2))
    await to_next_day(desk)
    assert desk.gateway.books.cash == before + 15 - 2
    assert {v.value for v in ib.accountValues() if v.tag == "TotalCashValue"} == {str(before + 13)}
    await desk.advance(5)
    expected = 10 * (moved(desk, "AAPL") + 1.5) - (moved(desk, "THIN") + 2)
    assert pnl.dailyPnL == pytest.approx(expected, abs=0.006)


async def test_a_split_changes_the_shares_not_the_cost_and_ends_orders(
    two_days: Desk, stock: Contract
) -> None:
    desk = two_days
    ib = await desk.connect()
    await trade(desk, ib, stock, MarketOrder("BUY", 15))
    resting = ib.placeOrder(stock, LimitOrder("BUY", 1, 150.0, tif="GTC"))
    await desk.settle()
    (before,) = ib.positions()
    cash, equity = desk.gateway.books.cash, desk.gateway.books.net_liquidation(desk.gateway.exchange.last)
    heard: list[str] = []
    ib.errorEvent += lambda _about, _code, text, _contract: heard.append(text)
    desk.gateway.exchange.split("AAPL", Decimal("0.5"))
    await to_next_day(desk)
    (after,) = ib.positions()
    assert after.position == 7
    assert after.avgCost == pytest.approx(2 * before.avgCost)
    assert [item.position for item in ib.portfolio()] == [7]
    assert desk.gateway.books.cash - cash == pytest.approx(200, abs=10)  # for half a share of 400 USD
    assert desk.gateway.books.net_liquidation(desk.gateway.exchange.last) == pytest.approx(equity, abs=30)
    assert resting.orderStatus.status == "Cancelled"
    assert heard == ["Order Canceled - reason:Corporate action"]
