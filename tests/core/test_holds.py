"""Those who only hear of halts know what stands."""

from robo_trader.core.events import TradingState
from robo_trader.core.holds import Holds
from robo_trader.core.steps import Halted, Resumed

ACTIVE, REDUCING, HALTED = TradingState


def test_what_was_lifted_stands_no_more_and_the_furthest_of_the_rest_counts():
    holds = Holds()
    assert holds.state is ACTIVE
    for by, state in (("session", REDUCING), ("operator", HALTED), ("restart window", REDUCING)):
        holds.hear(Halted(1, "why", by, state))
    assert holds.state is HALTED
    holds.hear(Resumed(2, "seen", "operator", ("operator",), REDUCING))
    assert (list(holds.by), holds.state) == (["session", "restart window"], REDUCING)


def test_where_the_desk_is_active_again_nothing_stands_whoever_was_missed():
    holds = Holds()
    holds.hear(Halted(1, "why", "a gate"))
    holds.hear(Resumed(2, "seen", "operator", (), ACTIVE))
    assert (holds.by, holds.state) == ({}, ACTIVE)
