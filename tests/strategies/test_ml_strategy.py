"""The strategy enters on a vote, holds for its horizon, follows what is really held, and abstains aloud."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.protocols import Reading, Session, Vector
from robo_trader.core.steps import Abstained, Fact, Payoff, Signal
from robo_trader.ml import forest, model
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.parts import Space
from robo_trader.strategies.ml_strategy import EXIT_RETRY_BARS, MLStrategy, MLStrategyOptions, bet_size

OPEN = 1_767_623_400_000_000_000
SESSION = Session("2026-01-05", OPEN, OPEN + 390 * MINUTE_NS)
NEXT = Session("2026-01-06", OPEN + 1440 * MINUTE_NS, OPEN + 1830 * MINUTE_NS)
CARD = Card("v1", "f1", 30, MINUTE_NS, True, "planted")
NAMES = ("other", "pull")
UP, NONE, DOWN = 2.0, 0.0, -2.0


class Desk:
    """The part of a desk that a strategy sees; fills every order at once unless it refuses."""

    def __init__(self) -> None:
        self.shares = 0
        self.coming = 0
        self.pull: float | None = NONE
        self.day: Session | None = SESSION
        self.refuses = False
        self.now = 0
        self.halted = ""

    def position(self, symbol: str) -> int:
        return self.shares

    def working(self, symbol: str) -> int:
        return self.coming

    def vector(self, symbol: str) -> Vector | None:
        return None if self.pull is None else np.array([7.0, self.pull])

    def session(self) -> Session | None:
        return self.day

    def price(self, symbol: str) -> float | None:
        return None

    def price_age_ns(self, symbol: str) -> int | None:
        return None

    def feature(self, symbol: str, name: str) -> float | None:
        return None

    def held(self) -> Sequence[str]:
        return ["AAPL"] if self.shares else []

    def equity(self) -> Decimal | None:
        return None

    def day_start_equity(self) -> Decimal | None:
        return None

    def quarantined(self, symbol: str) -> bool:
        return False

    def regime(self, symbol: str) -> Reading | None:
        return None


def ensemble(card: Card = CARD, high: float = 1.0) -> Ensemble:
    """Three members that say P(`high`) above a pull of 1, P(-1) below -1 and one half between."""
    tree = forest.Tree(
        feature=[0, 0, 0, 0, 0],
        threshold=np.array([-1, 0, 1, 0, 0], dtype=np.float32),
        left=[1, -1, 3, -1, -1],
        right=[2, -1, 4, -1, -1],
        value=[0.0, -1.0, 0.0, 0.0, high],
    )
    return model.raw([forest.Member(name, [tree]) for name in ("rf", "xgb", "lgb")], ("pull",), card)


class Run:
    """Plays minute bars to the strategy and keeps what it said, each with the minute it said it."""

    def __init__(self, options: MLStrategyOptions | None = None, model: Ensemble | None = None) -> None:
        self.desk = Desk()
        self.strategy = MLStrategy(model or ensemble(), NAMES, options)
        self.said: list[tuple[int, Signal | Fact]] = []

    def play(self, first: int, last: int, pull: float | None = NONE) -> Run:
        self.desk.pull = pull
        for minute in range(first, last + 1):
            for fact in self.strategy.on_bar(bar(minute), self.desk):
                self.said.append((minute, fact))
                if isinstance(fact, Signal) and not self.desk.refuses:
                    self.desk.shares = 100 * fact.direction
        return self

    @property
    def directions(self) -> list[tuple[int, int]]:
        return [(minute, fact.direction) for minute, fact in self.said if isinstance(fact, Signal)]

    @property
    def abstained(self) -> list[tuple[int, str]]:
        return [(minute, fact.reason) for minute, fact in self.said if isinstance(fact, Abstained)]


def bar(minute: int, **changes: object) -> Bar:
    made = Bar("AAPL", OPEN + minute * MINUTE_NS, 10.0, 10.0, 10.0, 10.0, 100.0)
    return (
        made
        if not changes
        else Bar(**{name: getattr(made, name) for name in made.__struct_fields__} | changes)
    )


def test_a_vote_is_told_once_with_its_reasons() -> None:
    run = Run().play(1, 5).play(6, 20, UP)
    ((minute, signal),) = [(m, s) for m, s in run.said if isinstance(s, Signal)]
    assert (minute, signal.direction, signal.model, signal.strategy) == (6, 1, "v1", "ml")
    assert signal.probability == pytest.approx(0.7311, abs=1e-4)
    assert signal.strength == pytest.approx(bet_size(0.7311), abs=1e-3)
    assert signal.reason == "P(up 30m)=0.73 rf 0.73 xgb 0.73 lgb 0.73, threshold 0.65"


def test_a_vote_says_what_such_votes_came_to() -> None:
    payoff = Payoff(32.0, 31.0, 593)
    run = Run(model=ensemble(replace(CARD, payoff=payoff))).play(1, 5).play(6, 20, UP)
    ((_, signal),) = [(m, s) for m, s in run.said if isinstance(s, Signal)]
    assert signal.payoff == payoff


def test_it_holds_for_the_horizon_and_leaves() -> None:
    run = Run().play(1, 1, UP).play(2, 60)
    assert run.directions == [(1, 1), (31, 0)]
    (exit_,) = [fact for minute, fact in run.said if isinstance(fact, Signal) and minute == 31]
    assert exit_.reason.startswith("held 30 min")
    assert exit_.strength == 0


def test_a_vote_that_still_stands_at_the_horizon_holds_for_another() -> None:
    run = Run().play(1, 31, UP).play(32, 100)
    assert run.directions == [(1, 1), (61, 0)]


def test_the_opposite_vote_ends_a_hold_and_reverses_it_only_where_shorts_are_allowed() -> None:
    assert Run().play(1, 5, UP).play(6, 8, DOWN).directions == [(1, 1), (6, 0)]
    short = Run(MLStrategyOptions(allow_short=True)).play(1, 5, UP).play(6, 8, DOWN)
    assert short.directions == [(1, 1), (6, -1)]
    assert isinstance(short.said[-1][1], Signal)
    assert short.said[-1][1].reason.endswith("threshold 0.35")


def test_no_short_is_entered_where_none_is_allowed() -> None:
    assert Run().play(1, 40, DOWN).directions == []


def test_a_refused_entry_is_asked_for_again_only_after_a_pause() -> None:
    run = Run(MLStrategyOptions(retry_bars=10))
    run.desk.refuses = True
    run.play(1, 30, UP)
    assert [minute for minute, _ in run.directions] == [1, 12, 23]


def test_an_order_still_working_counts_as_held() -> None:
    run = Run()
    run.desk.refuses = True
    run.play(1, 1, UP)
    run.desk.coming = 100
    assert run.play(2, 20, UP).directions == [(1, 1)]


def test_a_position_closed_by_somebody_else_is_not_believed_to_be_held() -> None:
    run = Run().play(1, 5, UP)
    run.desk.shares = 0
    run.play(6, 40)
    assert run.directions == [(1, 1)]


def test_a_position_found_at_the_start_is_kept_for_one_horizon() -> None:
    run = Run()
    run.desk.shares = 50
    assert run.play(10, 60).directions == [(40, 0)]


def test_an_exit_that_came_to_nothing_is_asked_for_again() -> None:
    run = Run().play(1, 1, UP)
    run.play(2, 30)
    run.desk.refuses = True
    run.play(31, 36)
    assert run.directions == [(1, 1), (31, 0), (31 + EXIT_RETRY_BARS, 0), (31 + 2 * EXIT_RETRY_BARS, 0)]


def test_nothing_is_entered_that_could_not_live_its_horizon_and_all_is_left_before_the_close() -> None:
    late = Run().play(356, 390, UP)
    assert late.directions == []
    assert late.abstained == [(356, "too near the close for a forecast of 30 bars")]
    last = Run().play(355, 390, UP)
    assert last.directions == [(355, 1), (385, 0)]


def test_an_unproven_model_never_trades_and_says_why_once_a_session() -> None:
    card = replace(CARD, proven=False, reason="AUC 0.503 (0.47..0.53) may be chance")
    run = Run(model=ensemble(card))
    run.desk.shares = 10
    run.play(1, 300, UP)
    assert run.said[0][1] == Abstained(
        OPEN + MINUTE_NS, "AAPL", "ml", "model v1 is unproven: AUC 0.503 (0.47..0.53) may be chance"
    )
    assert len(run.said) == 1
    run.desk.day = NEXT
    run.play(1441, 1500, UP)
    assert [minute for minute, _ in run.abstained] == [1, 1441]


def test_without_a_model_it_says_how_to_get_one() -> None:
    desk, strategy = Desk(), MLStrategy(None, NAMES)
    said: list[Signal | Fact] = [
        fact for minute in range(1, 5) for fact in strategy.on_bar(bar(minute), desk)
    ]
    assert len(said) == 1
    assert isinstance(said[0], Abstained)
    assert "train_models" in said[0].reason


def test_bars_of_another_size_are_not_judged() -> None:
    strategy = MLStrategy(ensemble(), NAMES)
    (said,) = strategy.on_bar(bar(5, interval_ns=5 * MINUTE_NS), Desk())
    assert isinstance(said, Abstained)
    assert said.reason == "model v1 was trained on bars of 60 s, these are of 300 s"


def test_features_that_are_not_known_are_named_once() -> None:
    assert Run().play(1, 50, None).abstained == [(1, "no features of this bar")]
    [(minute, reason)] = Run().play(1, 50, float("nan")).abstained
    assert minute == 1
    assert reason == "not known yet, or not any more: pull"


def test_a_hold_ends_on_time_even_if_features_are_lost() -> None:
    assert Run().play(1, 1, UP).play(2, 60, None).directions == [(1, 1), (31, 0)]


def test_silence_is_summed_up_with_the_highest_probability() -> None:
    run = Run(model=ensemble(high=0.3)).play(1, 10).play(11, 11, UP).play(12, 90)
    assert run.abstained == [
        (30, "no vote of 0.65 in 30 bars, highest 0.574"),
        (60, "no vote of 0.65 in 30 bars, highest 0.500"),
        (90, "no vote of 0.65 in 30 bars, highest 0.500"),
    ]
    short = Run(MLStrategyOptions(allow_short=True, summary_bars=5)).play(1, 5)
    assert short.abstained == [(5, "no vote of 0.65 in 5 bars, highest 0.500, lowest 0.500")]


def test_history_and_bars_outside_a_session_call_for_nothing() -> None:
    desk, strategy = Desk(), MLStrategy(ensemble(), NAMES)
    desk.pull = UP
    assert not strategy.on_bar(bar(5, history=True), desk)
    desk.day = None
    assert not strategy.on_bar(bar(400), desk)


def test_symbols_do_not_touch_each_other() -> None:
    desk, strategy = Desk(), MLStrategy(ensemble(), NAMES)
    desk.pull = UP
    first: Sequence[Signal | Fact] = strategy.on_bar(bar(1), desk)
    second = strategy.on_bar(bar(1, symbol="NVDA"), desk)
    assert [fact.symbol for fact in (*first, *second) if isinstance(fact, Signal)] == ["AAPL", "NVDA"]


def test_the_same_bars_say_the_same() -> None:
    pulls = np.random.default_rng(4).choice([UP, NONE, DOWN], 380)

    def say() -> list[tuple[int, Signal | Fact]]:
        run = Run(MLStrategyOptions(allow_short=True))
        for minute, pull in enumerate(pulls, start=1):
            run.play(minute, minute, float(pull))
        return run.said

    assert say() == say()


def test_a_feature_that_is_not_computed_is_refused() -> None:
    with pytest.raises(DataError, match="pull"):
        MLStrategy(ensemble(), ("other",))


def guarded() -> Ensemble:
    """The same members, taught that a pull stays between -3 and 3."""
    made = ensemble()
    standard = np.array([[0.0], [1.0], [-3.0], [3.0]])
    space = Space(standard, np.zeros((0, 1)), np.array([0.5, 1.0]))
    return Ensemble(made.names, made.feature_names, made.parts._replace(space=space), CARD)


def test_a_bar_unlike_all_of_training_is_not_voted_on_and_the_column_is_named() -> None:
    run = Run(model=guarded()).play(1, 5, 50.0)
    assert run.directions == []
    assert run.abstained == [(1, "unlike all it was trained on, most of all pull")]
    assert run.play(6, 6, UP).directions == [(6, 1)]


def test_what_is_held_when_the_market_turns_strange_is_given_up_when_the_forecast_ends() -> None:
    run = Run(model=guarded()).play(1, 1, UP).play(2, 40, 50.0)
    assert run.directions == [(1, 1), (31, 0)]


def test_an_expired_model_enters_nothing_and_says_so_once() -> None:
    old = replace(CARD, last=OPEN - 40 * 1440 * MINUTE_NS)
    run = Run(MLStrategyOptions(max_age_days=30), ensemble(old)).play(1, 60, UP)
    assert run.directions == []
    ((minute, reason),) = run.abstained
    assert minute == 1
    assert "expired" in reason
    assert "40 days" in reason
    assert Run(MLStrategyOptions(max_age_days=0), ensemble(old)).play(1, 5, UP).directions == [(1, 1)]


def test_what_is_held_when_a_model_expires_lives_out_its_horizon_and_is_given_up() -> None:
    last = OPEN + 10 * MINUTE_NS - 30 * 1440 * MINUTE_NS
    run = Run(MLStrategyOptions(max_age_days=30), ensemble(replace(CARD, last=last))).play(1, 60, UP)
    assert run.directions == [(1, 1), (31, 0)]
    assert run.desk.shares == 0


def test_a_model_adopted_in_the_session_is_asked_from_then_on() -> None:
    run = Run(model=ensemble(replace(CARD, version="v0"), high=0.0)).play(1, 5, UP)
    assert run.directions == []
    run.strategy.adopt(ensemble(replace(CARD, version="v2")), NAMES)
    run.play(6, 10, UP)
    ((minute, signal),) = [(m, s) for m, s in run.said if isinstance(s, Signal)]
    assert (minute, signal.direction, signal.model) == (6, 1, "v2")


def test_what_was_entered_lives_out_its_horizon_when_an_unproven_model_is_adopted() -> None:
    run = Run().play(1, 5, UP)
    assert run.directions == [(1, 1)]
    run.strategy.adopt(ensemble(replace(CARD, version="v2", proven=False)), NAMES)
    run.play(6, 60, UP)
    assert run.directions == [(1, 1), (31, 0)]
    assert ["unproven" in reason for _, reason in run.abstained] == [True]


def test_an_unproven_model_is_traded_only_where_that_was_asked_for_and_says_so_in_every_signal() -> None:
    unproven = replace(CARD, proven=False, reason="it is a coin")
    assert not Run(model=ensemble(unproven)).play(1, 5, UP).directions
    run = Run(MLStrategyOptions(allow_unproven=True), ensemble(unproven)).play(1, 5, UP).play(6, 50, NONE)
    signals = [fact for _, fact in run.said if isinstance(fact, Signal)]
    assert [signal.direction for signal in signals] == [1, 0]
    assert all(signal.reason.startswith("UNPROVEN; ") for signal in signals)
    proven = Run(MLStrategyOptions(allow_unproven=True)).play(1, 5, UP)
    assert "UNPROVEN" not in str(proven.said)


def test_it_acts_at_the_vote_its_model_was_judged_at_or_a_stricter_one() -> None:
    lowered = ensemble(replace(CARD, threshold=0.55, asked=0.65), high=0.4)  # P = 0.60
    assert Run(MLStrategyOptions(threshold=0.65), lowered).play(1, 3, UP).directions == [(1, 1)]
    assert not Run(MLStrategyOptions(threshold=0.70), lowered).play(1, 3, UP).directions
    as_asked = ensemble(replace(CARD, threshold=0.65, asked=0.65), high=0.4)
    assert not Run(MLStrategyOptions(threshold=0.55), as_asked).play(1, 3, UP).directions


def test_bets_are_as_large_as_the_book_has_them() -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden" / "06_afml_sampling.json").read_text())["data"]
    for row in golden["bet_size"]:
        assert bet_size(row["p"]) == pytest.approx(row["m"], abs=1e-9)
