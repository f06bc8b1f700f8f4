"""Times in orders, triggers of stops and stances of algos, one by one."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Side
from robo_trader.core.protocols import Session
from robo_trader.practice.account.tickets import Terms, Ticket
from robo_trader.practice.orders.algos import Sight, stance
from robo_trader.practice.orders.triggers import Prices, first_stop, watch
from robo_trader.practice.protocol.moments import moment

NOW = 1_768_314_600 * SECOND_NS  # 2026-01-13 09:30 in New York
SESSION = Session("2026-01-13", NOW, NOW + 390 * MINUTE_NS)


def ticket(kind: str, side: Side = Side.SELL, limit: str | None = None, **terms: object) -> Ticket:
    return Ticket(
        1, 1, 1, "AAPL", side, 100, kind, Decimal(limit) if limit else None, "DAY", "", "DUP1", since=NOW,
        terms=Terms(**terms),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20260113 09:31:00", 60),
        ("20260113 09:31:00 US/Eastern", 60),
        ("20260113 14:31:00 UTC", 60),
        ("20260113-14:31:00", 60),
        ("20260113 15:31:00 MET", 60),
        ("09:31:00", 60),
        ("06:31:00 US/Pacific", 60),
        ("20260113", 14 * 3_600 + 29 * 60 + 59),
        ("20260113 UTC", 9 * 3_600 + 29 * 60 + 59),
        ("20260713 09:31:00", 181 * 86_400 - 3_600 + 60),  # summer time
    ],
)
def test_a_time_means_what_its_zone_says(text: str, seconds: int) -> None:
    assert moment(text, NOW) == NOW + seconds * SECOND_NS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20260113-",
        "2026011309:31:00",
        "2026-01-13",
        "20260113 25:00:00",
        "20261313 10:00:00",
        "10:00:00 ../etc",
        "20260113 10:00",
    ],
)
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text, NOW)


# --------------------------------------------------------------------------------------------------- triggers


def beat(
    prints: list[float] | None = None, quotes: list[tuple[float, float]] | None = None
) -> SimpleNamespace:
    """Return an exchange whose last beat held these trades and quotes."""
    trades = [SimpleNamespace(price=price) for price in prints or []]
    told = [SimpleNamespace(bid=bid, ask=ask) for bid, ask in quotes or []]
    return SimpleNamespace(prints=lambda _symbol: trades, quotes=lambda _symbol: told)


@pytest.mark.parametrize(
    ("method", "side", "prints", "quotes", "triggers"),
    [
        (0, Side.SELL, [10.01], [(9.0, 9.1)], False),
        (0, Side.SELL, [10.00], [], True),
        (2, Side.BUY, [9.99, 10.00], [], True),
        (3, Side.SELL, [10.00, 10.01, 10.00], [], False),
        (3, Side.SELL, [10.01, 10.00, 9.99], [], True),
        (4, Side.SELL, [9.0], [(9.99, 10.01)], False),
        (4, Side.SELL, [], [(9.98, 10.00)], True),
        (4, Side.BUY, [], [(9.99, 10.50)], False),
        (4, Side.BUY, [], [(10.00, 10.50)], True),
        (1, Side.BUY, [], [(10.00, 10.50)], False),
        (1, Side.BUY, [], [(10.00, 10.50), (10.01, 10.50)], True),
        (7, Side.SELL, [], [(9.98, 10.00)], True),
        (8, Side.SELL, [], [(9.98, 10.00)], True),
        (8, Side.SELL, [], [(9.98, 10.04)], False),
        (4, Side.SELL, [], [(-1.0, -1.0)], False),
    ],
)
def test_each_trigger_method_looks_at_its_own_prices(
    method: int, side: Side, prints: list[float], quotes: list[tuple[float, float]], triggers: bool
) -> None:
    stop = msgspec.structs.replace(ticket("STP", side, trigger_method=method), stop=Decimal(10))
    assert watch(stop, Prices(beat(prints, quotes))(stop)).triggered == triggers


def test_two_prices_in_a_row_may_come_in_two_beats() -> None:
    stop = Ticket(
        1,
        1,
        1,
        "AAPL",
        Side.SELL,
        1,
        "STP",
        None,
        "DAY",
        "",
        "DUP1",
        stop=Decimal(10),
        terms=Terms(trigger_method=3),
    )
    high, middle, low = Decimal("10.1"), Decimal("9.9"), Decimal("9.8")
    once = watch(stop, [middle])
    assert (once.triggered, watch(once, [low]).triggered) == (False, True)
    assert watch(watch(once, [high]), [low]).triggered is False


@pytest.mark.parametrize(
    ("side", "terms", "stop"),
    [
        (Side.SELL, {"aux": Decimal("0.5")}, "9.5"),
        (Side.BUY, {"aux": Decimal("0.5")}, "10.5"),
        (Side.SELL, {"trailing_percent": Decimal("1.23")}, "9.87"),
        (Side.BUY, {"trailing_percent": Decimal("1.23")}, "10.13"),
        (Side.SELL, {"aux": Decimal(50)}, "0.01"),
        (Side.SELL, {"aux": Decimal(1), "trail_stop": Decimal(8)}, "8"),
    ],
)
def test_a_trailing_stop_begins_behind_the_last_price(
    side: Side, terms: dict[str, Decimal], stop: str
) -> None:
    assert first_stop(ticket("TRAIL", side, **terms), 10.0) == Decimal(stop)


# --------------------------------------------------------------------------------------------------- stances


def sight(seconds: int, bid: str = "10.00", ask: str = "10.04", traded: int = 10**6) -> Sight:
    return Sight(NOW + seconds * SECOND_NS, SESSION, Decimal(bid), Decimal(ask), traded)


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [
        (Side.BUY, None, "10.02"),
        (Side.SELL, None, "10.02"),
        (Side.BUY, "10.01", "10.01"),
        (Side.SELL, "10.03", "10.03"),
    ],
)
def test_a_midprice_order_stands_at_the_midpoint_but_never_beyond_its_cap(
    side: Side, limit: str | None, price: str
) -> None:
    assert stance(ticket("MIDPRICE", side, limit), sight(0)).rest == Decimal(price)


def test_adaptive_moves_from_the_midpoint_to_the_far_touch() -> None:
    order = ticket("LMT", Side.BUY, "10.10", algo="Adaptive", algo_params=(("adaptivePriority", "Urgent"),))
    assert [stance(order, sight(at)).limit for at in (0, 5, 10)] == [
        Decimal("10.02"),
        Decimal("10.03"),
        Decimal("10.10"),
    ]


def test_twap_is_due_by_time_and_over_at_its_end() -> None:
    order = ticket("MKT", algo="Twap", algo_params=(("endTime", "09:40:00"),))
    assert [stance(order, sight(at)).quantity for at in (0, 29, 30, 300)] == [5, 5, 10, 55]
    assert stance(order, sight(600)).over


def test_vwap_does_more_early_than_at_noon_and_stays_below_its_share_of_the_volume() -> None:
    order = ticket("MKT", algo="Vwap", algo_params=(("maxPctVol", "0.1"),))
    early, noon = (stance(order, sight(minutes * 60)).quantity for minutes in (60, 195))
    assert early > 100 * 60 / 390
    assert noon - early < 100 * 135 / 390
    assert stance(order, sight(3_600, traded=50)).quantity == 5
