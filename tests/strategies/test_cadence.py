"""A strategy is asked on the bars of its own interval only."""

from robo_trader.core.desk import Desk
from robo_trader.core.events import MINUTE_NS
from robo_trader.strategies.cadence import Cadence
from tests.desks import OneSession, Scripted, bar


def test_only_bars_on_the_interval_are_passed_on():
    asked = []

    class Listening(Scripted):
        def on_bar(self, bar, view):
            asked.append(bar.ts)
            return ()

    cadence = Cadence(Listening(), 5 * MINUTE_NS)
    for minute in range(1, 11):
        cadence.on_bar(bar(minute), Desk("s", {}, OneSession(), ()))
    assert [ts % (5 * MINUTE_NS) for ts in asked] == [0, 0]
    assert cadence.name == "scripted"
