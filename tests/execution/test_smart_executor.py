"""Parents and children in balance, whatever fills, fails or is given up in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.desk import Desk
from robo_trader.core.events import (
    MINUTE_NS,
    SECOND_NS,
    Cancel,
    Fill,
    Order,
    OrderStatus,
    OrderUpdate,
    SetTimer,
    Side,
    Submit,
    Timer,
)
from robo_trader.execution.algorithms import MarketAlgorithm, TwapAlgorithm, TwapOptions, equal_pieces
from robo_trader.execution.smart_executor import ExecutorOptions, SmartExecutor
from tests.desks import CLOSE, OPEN, OneSession, PlainFeatures


def view_at(now: int) -> Desk:
    desk = Desk("s", {}, OneSession(), PlainFeatures.names)
    desk.now = now
    return desk


def executor(algorithm: str = "twap", slices: int = 5) -> SmartExecutor:
    algorithms = {"market": MarketAlgorithm(), "twap": TwapAlgorithm(TwapOptions(slices, 300, 60))}
    return SmartExecutor(algorithms, ExecutorOptions(algorithm))


def parent(quantity: int, side: Side = Side.BUY) -> Order:
    return Order("s-1", "s-1", "NVDA", side, quantity, algorithm="twap")


def test_twap_sends_the_first_slice_now_and_the_rest_at_equal_times():
    commands = executor().start(parent(103), view_at(OPEN + MINUTE_NS))
    assert [c.order.quantity for c in commands if isinstance(c, Submit)] == [21]
    times = [c.ts - OPEN - MINUTE_NS for c in commands if isinstance(c, SetTimer)]
    assert times == [60 * SECOND_NS * i for i in range(1, 5)]


def test_twap_ends_before_the_close_and_at_the_close_goes_out_at_once():
    late = executor().start(parent(100), view_at(CLOSE - 2 * MINUTE_NS))
    assert max(c.ts for c in late if isinstance(c, SetTimer)) <= CLOSE - MINUTE_NS
    last = executor().start(parent(100), view_at(CLOSE - SECOND_NS))
    assert [c.order.quantity for c in last] == [20] * 5


def test_a_parent_given_up_cancels_what_is_out_and_its_timers_do_nothing():
    works = executor()
    works.start(parent(100), view_at(OPEN))
    assert works.working("NVDA") == [(parent(100), 100)]
    assert works.stop("s-1") == [Cancel("s-1.1")]
    assert works.on_timer(Timer(OPEN + MINUTE_NS, "s-1"), view_at(OPEN + MINUTE_NS)) == ()
    assert works.working("NVDA") == []


def test_auto_is_market_for_the_small_and_for_exits_and_twap_for_the_large_or_unknown():
    works, view = executor("auto"), view_at(OPEN)
    assert works.choose(parent(10), view) == "twap"
    view.vectors["NVDA"] = PlainFeatures().update(None)
    assert works.choose(parent(100), view) == "market"
    assert works.choose(parent(101), view) == "twap"
    assert executor("market").choose(parent(10**6), view) == "market"


@pytest.mark.parametrize(
    ("quantity", "pieces", "parts"), [(3, 5, [1, 1, 1]), (10, 5, [2] * 5), (7, 3, [3, 2, 2])]
)
def test_equal_pieces_sum_and_differ_by_at_most_one(quantity, pieces, parts):
    assert equal_pieces(quantity, pieces) == parts


happenings = st.lists(st.sampled_from(["timer", "fill", "part", "cancel", "reject"]), max_size=30)


@given(st.integers(1, 500), happenings)
def test_children_never_sum_above_their_parent_and_nothing_follows_the_end(quantity, story):
    works, view = executor(), view_at(OPEN)
    sent: dict[str, int] = {}
    traded = lost = 0

    def note(commands):
        for command in commands:
            if isinstance(command, Submit):
                sent[command.order.id] = command.order.quantity

    out: dict[str, int] = sent
    left: dict[str, int] = {}
    note(works.start(parent(quantity), view))
    left.update(out)
    for happening in story:
        if happening == "timer":
            before = set(sent)
            note(works.on_timer(Timer(OPEN, "s-1"), view))
            left.update({child: sent[child] for child in set(sent) - before})
        elif live := [child for child, rest in left.items() if rest]:
            child = live[0]
            if happening in ("fill", "part"):
                shares = left[child] if happening == "fill" else 1
                works.on_fill(Fill(OPEN, child, "e", "NVDA", Side.BUY, shares, 1))
                left[child] -= shares
                traded += shares
            else:
                status = OrderStatus.CANCELLED if happening == "cancel" else OrderStatus.REJECTED
                works.on_update(OrderUpdate(OPEN, child, status))
                lost += left.pop(child)
    coming = sum(shares for _, shares in works.working("NVDA"))
    assert sum(sent.values()) <= quantity
    assert coming + traded + lost <= quantity
    if coming == 0:
        assert works.on_timer(Timer(OPEN, "s-1"), view) == ()
