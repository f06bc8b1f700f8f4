"""What the daemon tells the people who watch its terminal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from robo_trader.core.events import (
    MINUTE_NS,
    NOT_FILLED,
    Bar,
    Feed,
    FeedStatus,
    Fill,
    Modify,
    Order,
    OrderStatus,
    OrderType,
    Side,
    Submit,
    Timer,
    TradingState,
)
from robo_trader.core.steps import (
    NOTHING,
    Agreed,
    Anomaly,
    CashMoved,
    Corrected,
    Decision,
    Denied,
    Drifted,
    DriftSummary,
    Equity,
    Fact,
    Halted,
    Ignored,
    Mismatch,
    OrderChanged,
    Resumed,
    Signal,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.logger import ConsoleLine, DeskLog, mask_secrets

NINE_THIRTY_ONE = 1_767_623_460_000_000_000  # 2026-01-05 09:31 New York
EQUITY = Equity(
    NINE_THIRTY_ONE, Decimal(99_000), Decimal("1002.5"), Decimal(100_000), Decimal(0), Decimal("2.5")
)


def bar(symbol: str, close: float, ts: int = NINE_THIRTY_ONE, history: bool = False) -> Bar:
    return Bar(symbol, ts, close, close, close, close, 100.0, history=history)


def step(*facts: Fact) -> Step:
    return Step([], list(facts))


@pytest.fixture
def told() -> Iterator[list[dict[str, object]]]:
    with capture_logs() as entries:
        yield entries  # type: ignore[misc]


async def test_the_bars_of_a_minute_are_one_line_as_soon_as_all_are_here(told):
    log = DeskLog()
    for symbol in ("AAPL", "NVDA"):
        await log.record(bar(symbol, 1.0, history=True), NOTHING)
    await log.record(bar("AAPL", 129.8), step(EQUITY))
    assert told == []
    await log.record(bar("NVDA", 102.375), NOTHING)
    (line,) = told
    assert line["what"] == "Mon 09:31  AAPL 129.80  NVDA 102.38"
    assert (line["equity"], line["unrealised"]) == ("100,002.50", "+2.50")


async def test_a_missing_bar_does_not_hold_back_the_others_for_long(told):
    log = DeskLog()
    for symbol in ("AAPL", "NVDA"):
        await log.record(bar(symbol, 1.0, history=True), NOTHING)
    await log.record(bar("AAPL", 129.8), NOTHING)
    await log.record(FeedStatus(NINE_THIRTY_ONE + 1, "NVDA", Feed.LOST, "halted"), NOTHING)
    assert [entry["event"] for entry in told] == ["bar", "feed"]


async def test_many_symbols_do_not_flood_the_terminal(told):
    log = DeskLog()
    for number in range(50):
        await log.record(bar(f"S{number}", 1.0), NOTHING)
    await log.record(bar("S0", 1.0, NINE_THIRTY_ONE + MINUTE_NS), NOTHING)
    assert all(len(str(entry["what"])) < 120 for entry in told)


async def test_an_order_is_told_from_signal_to_fill(told):
    log = DeskLog()
    fill = Fill(NINE_THIRTY_ONE, "s-1.1", "e1", "AAPL", Side.BUY, 10, Decimal("129.8"))
    await log.record(
        bar("AAPL", 129.8),
        step(
            Signal(NINE_THIRTY_ONE, "AAPL", "ml", 1, 0.3, "P=0.67"),
            Decision(NINE_THIRTY_ONE, "AAPL", "ml", "s-1", Side.BUY, 10, "twap", "P=0.67"),
            OrderChanged(NINE_THIRTY_ONE, "s-1.1", OrderStatus.INTENT, 0),
            OrderChanged(NINE_THIRTY_ONE, "s-1.1", OrderStatus.WORKING, 0),
        ),
    )
    await log.record(fill, step(OrderChanged(NINE_THIRTY_ONE, "s-1.1", OrderStatus.FILLED, 10)))
    shown = [entry for entry in told if entry["log_level"] != "debug"]
    assert [entry["event"] for entry in shown] == ["bar", "signal", "decision", "order", "fill", "order"]
    assert [entry["what"] for entry in shown][1:] == [
        "AAPL long", "BUY 10 AAPL", "s-1.1", "BUY 10 AAPL @ 129.8", "s-1.1",
    ]  # fmt: skip


async def test_a_stop_is_told_after_the_decision_it_follows_from_and_its_fill_as_its_own(told):
    desk = DeskLog()
    entry = Order("s-1.1", "s-1", "AAPL", Side.BUY, 10)
    stop = Order("s-2.1", "s-2", "AAPL", Side.SELL, 10, OrderType.STOP, stop_price=Decimal("95.5"))
    decided = Decision(NINE_THIRTY_ONE, "AAPL", "ml", "s-1", Side.BUY, 10, "market", "P=0.67")
    await desk.record(Timer(NINE_THIRTY_ONE, "t"), Step([Submit(entry, stop)], [decided]))
    for order in (entry, stop):
        fill = Fill(NINE_THIRTY_ONE, order.id, f"e-{order.id}", "AAPL", order.side, 10, Decimal(95))
        await desk.record(fill, step(OrderChanged(NINE_THIRTY_ONE, order.id, OrderStatus.FILLED, 10)))
    fills = [entry["why"] for entry in told if entry["event"] == "fill"]
    assert [entry["event"] for entry in told][:2] == ["decision", "stop"]
    assert fills == ["", "its protective stop"]


@pytest.mark.parametrize(
    ("detail", "level"),
    [("missed bars filled in from history: 1", "info"), (f"{NOT_FILLED}: 09:30", "warning")],
)
async def test_a_gap_is_a_warning_only_where_it_stays(told, detail, level):
    await DeskLog().record(FeedStatus(NINE_THIRTY_ONE, "AAPL", Feed.GAP, detail), NOTHING)
    assert [entry["log_level"] for entry in told] == [level]


async def test_a_commission_told_later_is_not_told_as_a_second_fill(told):
    log = DeskLog()
    again = Fill(NINE_THIRTY_ONE, "s-1.1", "e1", "AAPL", Side.BUY, 10, Decimal("129.8"), Decimal(1))
    await log.record(again, step(EQUITY))
    assert told == []


async def test_a_refusal_names_its_gate_and_limit_aloud(told):
    denied = Denied(NINE_THIRTY_ONE, "s-1.1", "AAPL", "heat", "7.1% of equity", 0.071, 0.06)
    await DeskLog().record(bar("AAPL", 1.0), step(denied))
    assert {"gate": "heat", "value": 0.071, "limit": 0.06, "log_level": "warning"}.items() <= told[-1].items()


def test_a_console_line_quotes_what_has_spaces_and_leaves_out_what_is_empty():
    entry = {
        "timestamp": "09:31:00",
        "level": "info",
        "event": "no_model_yet",
        "name": "a b",
        "page": "",
        "n": 1e6,
    }
    assert ConsoleLine(colours=False)(None, "info", entry) == "09:31:00   no model yet name='a b' n=1000000"


def test_colours_are_for_terminals_only():
    entry = {"timestamp": "09:31:00", "level": "error", "event": "ended"}
    assert "\x1b[31m" in ConsoleLine(colours=True)(None, "error", dict(entry))
    assert "\x1b" not in ConsoleLine(colours=False)(None, "error", dict(entry))


def test_secrets_are_masked():
    assert mask_secrets(None, "info", {"hub_token": "abc", "port": 1}) == {"hub_token": "***", "port": 1}


async def test_a_stop_is_told_when_it_is_sent_and_when_it_is_changed(told):
    entry = Order("s-1.1", "s-1", "AAPL", Side.BUY, 10)
    stop = Order(
        "s-2.1",
        "s-2",
        "AAPL",
        Side.SELL,
        10,
        OrderType.STOP,
        reason="protects 10",
        stop_price=Decimal("95.5"),
    )
    for commands in (
        (Submit(entry, stop),),
        (Submit(stop),),
        (Modify(stop),),
        (Submit(entry), Modify(entry)),
    ):
        await DeskLog().record(Timer(NINE_THIRTY_ONE, "t"), Step(commands))
    assert [(line["event"], line["what"], line["order"]) for line in told] == [
        ("stop", "SELL 10 AAPL @ 95.5", "s-2.1")
    ] * 3


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        (Halted(NINE_THIRTY_ONE, "enough", "operator"), "! halted     Mon 09:31 by=operator  enough"),
        (
            Halted(NINE_THIRTY_ONE, "soon", "restart window", TradingState.REDUCING),
            "! reducing   Mon 09:31 by='restart window'  soon",
        ),
        (
            Resumed(NINE_THIRTY_ONE, "fine", "operator", ("operator", "a gate")),
            "! resumed    Mon 09:31 by=operator lifted='operator, a gate' state=active  fine",
        ),
        (Anomaly(NINE_THIRTY_ONE, "AAPL", "over-fill"), "! anomaly    AAPL at='Mon 09:31'  over-fill"),
        (Mismatch(NINE_THIRTY_ONE, "AAPL", 10, 8), "! mismatch   AAPL ours=10 broker=8"),
        (
            SplitBooked(NINE_THIRTY_ONE, "AAPL", 4, 1, 0, Decimal("26.98"), "announced"),
            "! split      AAPL ratio=4:1 stop=26.98  announced",
        ),
        (
            SplitSuspected(NINE_THIRTY_ONE, "AAPL", 4, 1, "opened so"),
            "! looks like split AAPL ratio=4:1  opened so",
        ),
        (SplitSuspected(NINE_THIRTY_ONE, "AAPL", 1, 1, "both agree"), "  no split   AAPL  both agree"),
        (Agreed(NINE_THIRTY_ONE, "AAPL", 8, "adopted"), "! agreed     AAPL quantity=8  adopted"),
        (
            Ignored(NINE_THIRTY_ONE, "AAPL", 2, NINE_THIRTY_ONE, "mine"),
            "! ignored    AAPL shares=2 until='Mon 09:31'  mine",
        ),
        (
            CashMoved(NINE_THIRTY_ONE, Decimal("-1.25"), Decimal(1000), "a fee"),
            "! cash       -1.25 now=1,000.00  a fee",
        ),
        (
            Corrected(NINE_THIRTY_ONE, "AAPL", "e.02", "e.01", 0, Decimal(1), 10, Decimal(2)),
            "! corrected  AAPL was='10 @ 2' now='0 @ 1' execution=e.02",
        ),
        (Unprotected(NINE_THIRTY_ONE, "AAPL", 10, "no price"), "E UNPROTECTED AAPL shares=10  no price"),
        (Unprotected(NINE_THIRTY_ONE, "AAPL", 0, "a stop works"), "! protected  AAPL  a stop works"),
    ],
)
async def test_what_a_person_has_to_know_is_told_aloud(told, fact, line):
    await DeskLog().record(Timer(NINE_THIRTY_ONE, "t"), step(fact))
    (entry,) = told
    entry = {"timestamp": "09:31:00", "level": entry.pop("log_level"), **entry}
    assert ConsoleLine(colours=False)(None, "", entry) == f"09:31:00 {line}"


async def test_drift_is_told_as_it_comes_and_goes_and_an_alarm_is_a_warning(told):
    log, at = DeskLog(), NINE_THIRTY_ONE
    names = ("rsi_14", "adx_14", "obv", "gap", "vwap")
    await log.record(Timer(at, "t"), step(*(Drifted(at, name, "psi", 0.3, 0.25) for name in names)))
    await log.record(Timer(at, "t"), step(Drifted(at, "rsi_14", "psi", 0.1, 0.25)))
    for alarm in (False, True):
        await log.record(Timer(at, "t"), step(DriftSummary(at, "2026-01-05", 720, 34, 3, alarm, ())))
    assert [(entry["event"], entry["log_level"]) for entry in told] == [
        ("drifted", "info"), ("drifted_back", "info"), ("drift", "info"), ("drift", "warning")
    ]  # fmt: skip
    assert told[0]["what"].startswith("rsi_14 psi 0.3 (limit 0.25), adx_14")
    assert told[0]["what"].endswith(", and 2 more")
    both = Drifted(at, "obv", "ks", 0.5, 0.2), Drifted(at, "gap", "ks", 0.1, 0.2)
    await log.record(Timer(at, "t"), step(*both))
    assert (told.pop()["back"], len(told)) == ("gap ks 0.1 (limit 0.2)", 4)
    assert told[-1]["drifting"] == "3 of 34 features"
