"""The crossover: told once per cross, quiet while warming and cooling down."""

from decimal import Decimal

from robo_trader.core.desk import Desk
from robo_trader.core.events import Lot
from robo_trader.core.portfolio import Position
from robo_trader.strategies.moving_average import CrossoverOptions, MovingAverageCrossover
from tests.desks import OneSession, PlainFeatures, bar


def run(pairs, **options) -> list[tuple[int, int]]:
    strategy = MovingAverageCrossover(CrossoverOptions(**options))
    desk = Desk("s", {}, OneSession(), PlainFeatures.names)
    said = []
    for minute, (fast, slow) in enumerate(pairs):
        row = PlainFeatures(sma_10=fast, sma_20=slow).update(None)
        if row is not None:
            desk.vectors["NVDA"] = row
        said += [(minute, signal.direction) for signal in strategy.on_bar(bar(minute), desk)]
    return said


def test_a_golden_cross_is_long_and_a_dead_cross_is_flat_each_told_once():
    assert run([(1, 2), (1, 2), (3, 2), (3, 2), (3, 2), (3, 2), (1, 2)]) == [(2, 1), (6, 0)]


def test_the_side_it_starts_on_is_no_cross_and_shorts_are_only_taken_where_allowed():
    assert run([(3, 2), (3, 2)]) == []
    assert run([(3, 2), (1, 2)], allow_short=True) == [(1, -1)]


def test_a_whipsaw_waits_for_the_cool_down():
    assert run([(1, 2), (3, 2), (1, 2), (1, 2), (1, 2), (1, 2)]) == [(1, 1), (5, 0)]


def test_it_says_nothing_while_the_averages_warm():
    assert run([(float("nan"), 2), (float("nan"), 2)]) == []


def test_a_position_on_the_wrong_side_is_asked_to_go_again_after_each_cool_down():
    strategy = MovingAverageCrossover(CrossoverOptions())
    desk = Desk("s", {}, OneSession(), PlainFeatures.names)
    desk.portfolio.positions["NVDA"] = Position((Lot(10, Decimal(100)),))
    desk.vectors["NVDA"] = PlainFeatures(sma_10=1, sma_20=2).update(None)
    said = [(n, s.direction, s.reason) for n in range(9) for s in strategy.on_bar(bar(n), desk)]
    assert [(minute, direction) for minute, direction, _ in said] == [(1, 0), (5, 0)]
    assert "is below" in said[0][2]
