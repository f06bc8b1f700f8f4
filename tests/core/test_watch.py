"""Who looks at the features hears of every bar, and is heard of those that are new."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from robo_trader.core.engine import Engine
from robo_trader.core.events import Bar
from robo_trader.core.protocols import Vector
from robo_trader.core.steps import Drifted, Fact, FeatureRow
from tests import desks
from tests.desks import Scripted, bar, opening, play


class Looker:
    """Remembers what it saw and says something of every bar."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def on_bar(self, bar: Bar, vector: Vector) -> Sequence[Fact]:
        self.seen.append((bar.ts, bar.history))
        return (Drifted(bar.ts, "atr_14", "psi", vector.item(0), 0.25),)


def test_a_watch_sees_the_past_and_speaks_of_the_present_beside_the_features() -> None:
    looker = Looker()
    plain = desks.desk(Scripted())
    engine = Engine(msgspec.structs.replace(plain._parts, watch=looker))
    past = play(engine, opening(), bar(1, history=True))
    assert past.facts == ()
    new = bar(2)
    row, drifted, *_ = play(engine, new).facts
    assert isinstance(row, FeatureRow)
    assert drifted == Drifted(new.ts, "atr_14", "psi", 0.5, 0.25)
    assert looker.seen == [(bar(1).ts, True), (new.ts, False)]


def test_a_watch_is_not_asked_of_a_bar_without_features() -> None:
    looker = Looker()
    features = desks.PlainFeatures(atr_14=float("nan"))
    plain = desks.desk(Scripted(), features=features)
    play(Engine(msgspec.structs.replace(plain._parts, watch=looker)), opening(), bar(1))
    assert looker.seen == []
