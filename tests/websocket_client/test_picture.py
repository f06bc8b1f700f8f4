"""What the page is told of the desk, and that none of it is made up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Event,
    Feed,
    FeedStatus,
    Fill,
    Holding,
    Lot,
    OpenOrder,
    Order,
    OrderStatus,
    Quote,
    Side,
    Submit,
    TradingState,
)
from robo_trader.core.steps import (
    Agreed,
    Anomaly,
    CashMoved,
    Corrected,
    Drifted,
    DriftSummary,
    Equity,
    Fact,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    PositionChanged,
    Resumed,
    SplitBooked,
    SplitSuspected,
    Step,
)
from robo_trader.websocket_client.picture import Picture
from robo_trader.websocket_client.wire import Board, Outbox, Row

OPEN = 1_767_623_400_000_000_000  # 2026-01-05 09:30 in New York
MINUTE = 60_000_000_000
DAY = 24 * 60 * MINUTE


class Told:
    """A picture and what it says."""

    def __init__(self) -> None:
        self.board: Board[Row] = Board()
        self.outbox = Outbox()
        self.picture = Picture(self.board, self.outbox)

    def hear(self, *events: Event) -> None:
        for event in events:
            self.picture.on_event(event)

    def say(self, *facts: Fact, order: Order | None = None) -> None:
        self.picture.on_step(Step([Submit(order)] if order else (), facts))

    def rows(self, channel: str) -> list[Any]:
        return [row.data for row in self.board.rows(channel)]

    def row(self, channel: str) -> Any:
        return self.rows(channel)[-1]


@pytest.fixture
def told() -> Told:
    return Told()


def bar(ts: int, close: float, history: bool = False) -> Bar:
    return Bar("NVDA", ts, close, close, close, close, 100.0, history=history)


def books(ts: int, cash: str) -> Equity:
    return Equity(ts, Decimal(cash), Decimal(0), Decimal(100000), Decimal(0), Decimal(0))


def test_a_position_is_valued_at_the_last_close_and_its_lots(told: Told) -> None:
    told.hear(bar(OPEN, 181.0))
    lots = (Lot(10, Decimal("180.00")), Lot(5, Decimal("183.00")))
    told.say(PositionChanged(OPEN, "NVDA", 15, lots, Decimal("-2.00")))
    row = told.row("positions")
    assert (row["average"], row["unrealised"], row["value"]) == (181, Decimal("0.00"), Decimal("2715.00"))
    told.hear(bar(OPEN + MINUTE, 182.0))
    assert told.row("positions")["unrealised"] == Decimal("15.00")
    told.hear(bar(OPEN, 150.0, history=True))  # an older bar found later changes nothing
    assert told.row("positions")["last"] == Decimal("182.00")
    told.say(PositionChanged(OPEN, "NVDA", 0, (), Decimal("13.00")))
    assert told.rows("positions") == []


def test_a_short_position_gains_when_the_price_falls(told: Told) -> None:
    told.say(PositionChanged(OPEN, "NVDA", -10, (Lot(-10, Decimal("180.00")),), Decimal(0)))
    assert "unrealised" not in told.row("positions")  # no price yet, so no value
    told.hear(bar(OPEN, 179.0))
    assert told.row("positions")["unrealised"] == Decimal("10.00")


def test_a_position_whose_lots_are_unknown_has_no_average_and_no_gain(told: Told) -> None:
    told.hear(bar(OPEN, 181.0))
    holding = Holding("NVDA", 10, (), 10)
    told.hear(AccountSnapshot(OPEN, "DU1", Decimal(1), Decimal(1), (holding,)))
    row = told.row("positions")
    assert (row["average"], row["unrealised"], row["value"]) == (None, None, Decimal("1810.00"))


def test_what_only_the_broker_holds_is_a_difference_and_not_a_position_of_ours(told: Told) -> None:
    for holdings in ((), (Holding("NVDA", 33, (), 33),)):
        told.hear(AccountSnapshot(OPEN, "DU1", Decimal(1), Decimal(1), holdings))
    assert told.rows("positions") == []


def test_the_day_is_measured_from_the_equity_it_began_with(told: Told) -> None:
    opening = AccountSnapshot(
        OPEN, "DU1", Decimal(100000), Decimal(100000), day="2026-01-05", day_start=Decimal(99000)
    )
    told.hear(opening)
    told.say(books(OPEN, "100000"))
    assert told.row("account")["day_pnl"] == 1000
    told.say(books(OPEN + DAY, "100500"))
    assert told.row("account")["day_pnl"] == 500
    # 20:30 in New York is the next day in UTC and the same day here.
    told.say(books(OPEN + DAY + 11 * 60 * MINUTE, "100700"))
    assert (told.row("account")["day"], told.row("account")["day_pnl"]) == ("2026-01-06", 700)
    assert [point["equity"] for point in told.rows("equity")] == [100000, 100500, 100700]


def test_without_an_earlier_equity_the_day_begins_with_the_first(told: Told) -> None:
    told.say(books(OPEN, "100000"), books(OPEN + MINUTE, "99990"))
    assert told.row("account")["day_pnl"] == -10


def test_an_order_is_followed_from_intent_to_its_end(told: Told) -> None:
    told.hear(Quote("NVDA", OPEN, 180.0, 180.1, 1.0, 1.0))
    order = Order("s-1.1", "s-1", "NVDA", Side.BUY, 10, reason="crossed")
    told.say(order=order)
    assert (told.row("orders")["status"], told.row("orders")["created"]) == (OrderStatus.INTENT, OPEN)
    told.say(OrderChanged(OPEN + 1, "s-1.1", OrderStatus.REJECTED, 0, 7, "201 no margin"))
    row = told.row("orders")
    assert (row["status"], row["reason"], row["message"]) == ("rejected", "crossed", "201 no margin")
    event = told.row("events")
    assert (event["severity"], event["symbol"]) == ("warn", "NVDA")
    told.say(OrderChanged(OPEN + 2, "foreign", OrderStatus.WORKING, 0))
    assert told.row("orders")["id"] == "foreign"


def test_orders_found_alive_at_the_start_are_shown(told: Told) -> None:
    order = Order("s-0.1", "s-0", "NVDA", Side.SELL, 10)
    opening = AccountSnapshot(OPEN, "DU1", Decimal(1), Decimal(1), orders=(OpenOrder(order, 4, 9),))
    told.hear(opening)
    assert (told.row("orders")["filled"], told.row("status")["account"]) == (4, "DU1")


def test_a_fill_told_again_gains_its_commission_and_never_loses_it(told: Told) -> None:
    def fill(commission: Decimal | None) -> Fill:
        return Fill(OPEN, "s-1.1", "e-1", "NVDA", Side.BUY, 10, Decimal("180.10"), commission)

    told.hear(fill(None), fill(Decimal("1.00")), fill(None))
    assert [(row["commission"], row["origin"]) for row in told.rows("fills")] == [(Decimal("1.00"), "ours")]


def test_a_foreign_fill_tells_whose_it_is_and_a_corrected_one_what_replaced_it(told: Told) -> None:
    def fill(exec_id: str, shares: int, order_id: str = "manual:77") -> Fill:
        return Fill(OPEN, order_id, exec_id, "NVDA", Side.BUY, shares, Decimal("180.10"))

    told.hear(fill("e.01", 10), fill("f.01", 5, "client-7:8"), fill("e.02", 8))
    price = Decimal("180.10")
    told.say(Corrected(OPEN, "NVDA", "e.02", "e.01", 8, price, 10, price))
    found = {row["exec_id"]: (row["origin"], row["superseded_by"]) for row in told.rows("fills")}
    assert found == {"e.01": ("manual", "e.02"), "f.01": ("client-7", ""), "e.02": ("manual", "")}
    assert "10 at 180.10 corrected to 8 at 180.10" in told.row("events")["text"]


def test_feeds_and_oddities_reach_the_status_and_the_events(told: Told) -> None:
    told.say(Anomaly(OPEN, "NVDA", "odd"), CashMoved(OPEN, Decimal("-1.50"), Decimal(99), "a fee"))
    told.hear(FeedStatus(OPEN, "", Feed.LOST, "1100"), FeedStatus(OPEN, "NVDA", Feed.STALE))
    assert told.row("status")["connection"]["state"] == "lost"
    assert (told.rows("events")[-1]["symbol"], told.rows("events")[-1]["text"]) == ("NVDA", "feed stale")
    assert [row["severity"] for row in told.rows("events")] == ["warn", "warn", "crit", "warn"]
    assert "-1.50 USD" in told.rows("events")[1]["text"]


def test_every_hold_is_told_until_it_is_lifted_and_the_hardest_is_the_state(told: Told) -> None:
    told.say(Halted(OPEN, "restart at 23:45", "restart window", TradingState.REDUCING))
    assert told.row("status")["state"] == "reducing"
    told.say(Halted(OPEN + 1, "daily loss", "gate"))
    status = told.row("status")
    assert (status["state"], [hold["by"] for hold in status["holds"]]) == (
        "halted",
        ["restart window", "gate"],
    )
    told.say(Resumed(OPEN + 2, "looked at it", "operator", ("gate",), TradingState.REDUCING))
    status = told.row("status")
    assert (status["state"], [hold["by"] for hold in status["holds"]]) == ("reducing", ["restart window"])
    told.say(Resumed(OPEN + 3, "it is over", "restart window", ("restart window",)))
    assert (told.row("status")["state"], told.row("status")["holds"]) == ("active", [])
    assert [row["severity"] for row in told.rows("events")] == ["warn", "crit", "warn", "info"]


def test_a_quarantine_is_shown_with_both_sides_until_they_agree(told: Told) -> None:
    told.say(Mismatch(OPEN, "NVDA", 5, 6), Mismatch(OPEN, "META", 1, 0))
    assert told.rows("quarantines")[0] == {"symbol": "NVDA", "since": OPEN, "ours": 5, "broker": 6}
    told.say(Agreed(OPEN + 2, "NVDA", 6, "adopted by operator"))
    assert [row["symbol"] for row in told.rows("quarantines")] == ["META"]
    assert "adopted by operator" in told.row("events")["text"]


def test_shares_left_alone_are_shown_until_their_time(told: Told) -> None:
    held = Holding("NVDA", 0, (), 7, not_ours=7, not_ours_until=OPEN + MINUTE)
    told.hear(AccountSnapshot(OPEN, "DU1", Decimal(1), Decimal(1), (held,)))  # since an earlier session
    told.say(Mismatch(OPEN, "META", 1, 0), Ignored(OPEN, "META", -1, OPEN + DAY, "lent out"))
    told.say(Agreed(OPEN, "META", 1, "ignore by operator"))
    rows = {row["symbol"]: row for row in told.rows("quarantines")}
    assert (rows["NVDA"]["ignored"], rows["META"]["ignored"], rows["META"]["since"]) == (7, -1, None)
    told.hear(bar(OPEN + MINUTE, 180.0))
    told.say(Mismatch(OPEN + MINUTE, "NVDA", 0, 7), Mismatch(OPEN + MINUTE, "META", 1, 3))
    rows = {row["symbol"]: row for row in told.rows("quarantines")}
    assert (rows["NVDA"].get("ignored"), rows["META"]["ignored"]) == (None, -1)


def test_history_sets_no_clock_and_is_told_whole(told: Told) -> None:
    told.hear(*(bar(OPEN + number * MINUTE, 180.0, history=True) for number in range(300)))
    assert told.outbox.take()[0] == ["bars:NVDA"]
    assert len(told.rows("bars:NVDA")) == 300
    assert told.rows("status") == []


def test_a_reading_of_drift_is_shown_until_it_has_come_back(told: Told) -> None:
    reading = Drifted(OPEN, "rsi_14", "psi", 0.3, 0.25)
    told.say(reading, Drifted(OPEN, "rsi_14", "ks", 0.2, 0.1))
    told.say(DriftSummary(OPEN, "2026-01-05", 720, 34, 1, True, (reading,)))
    assert [row.test for row in told.rows("drift")] == ["psi", "ks"]
    assert told.row("status")["drift"] == {"drifting": 1, "columns": 34, "alarm": True}
    assert (told.row("events")["severity"], "1 of 34" in told.row("events")["text"]) == ("warn", True)
    told.say(Drifted(OPEN + 1, "rsi_14", "psi", 0.1, 0.25))
    assert [row.test for row in told.rows("drift")] == ["ks"]


def test_a_night_that_looks_like_a_split_stands_in_the_status_until_it_is_booked_or_over(told: Told) -> None:
    told.say(SplitSuspected(OPEN, "NVDA", 4, 1, "opened so"), SplitSuspected(OPEN, "GE", 1, 8, "opened so"))
    assert told.row("status")["splits"] == [
        {"symbol": "NVDA", "ratio": "4:1"},
        {"symbol": "GE", "ratio": "1:8"},
    ]
    told.say(SplitBooked(OPEN, "NVDA", 4, 1, 0, None, "announced"), SplitSuspected(OPEN, "GE", 1, 1, "no"))
    assert told.row("status")["splits"] == []
    assert [row["text"] for row in told.rows("events")][-2:] == ["split 4 for 1: announced", "no split: no"]
