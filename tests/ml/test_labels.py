"""A label says which barrier comes first inside its own session, when that was known, and what it weighs."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.ml.labels import (
    OUTSIDE,
    LabelOptions,
    average_uniqueness,
    concurrency,
    session_numbers,
    triple_barrier,
    uniqueness,
    volatility,
    weights,
)

CALENDAR = XnysCalendar()
GOLDEN = Path(__file__).parents[1] / "golden"
FEW = LabelOptions(horizon=4, sigma_bars=2, cost_bps=50.0)  # barriers 1 % away, at least


def closes(*labels: str) -> np.ndarray:
    """Minute closes of these sessions."""
    sessions = [CALENDAR.after(label) for label in labels]
    return np.concatenate([np.arange(s.open + MINUTE_NS, s.close + 1, MINUTE_NS) for s in sessions])


def walk(ts: np.ndarray, seed: int = 1) -> Bars:
    """Bars of a price that walks at random."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(ts))))
    opened = np.concatenate([[100.0], close[:-1]])
    reach = 1 + np.abs(rng.normal(0, 5e-4, (2, len(ts))))
    high, low = np.maximum(opened, close) * reach[0], np.minimum(opened, close) / reach[1]
    return Bars(ts, opened, high, low, close, np.ones(len(ts)))


def bars(*rows: tuple[float, float, float, float]) -> Bars:
    """Quiet bars at 100, and behind them these: open, high, low, close."""
    quiet = [(100.0, 100.0, 100.0, 100.0)] * 3
    prices = np.array([*quiet, *rows]).T
    return Bars(np.arange(len(prices[0]), dtype=np.int64), *prices, np.ones(len(prices[0])))


def of_the_last_quiet_bar(*rows: tuple[float, float, float, float]) -> tuple[int, int, float]:
    """Return label, the bar that decided it (1 is the next), and the return in per cent."""
    found = triple_barrier(bars(*rows), np.zeros(3 + len(rows), dtype=np.int64), FEW)
    at = int(np.flatnonzero(found.row == 2)[0])
    return int(found.label[at]), int(found.known_at[at]) - 2, round(float(found.forward[at]) * 100, 4)


STILL = (100.0, 100.2, 99.8, 100.0)


def test_sessions_are_numbered_and_bars_outside_hours_are_not() -> None:
    ts = closes("2025-11-26", "2025-12-01")  # a half day, then a whole one
    outside = [ts[0] - MINUTE_NS, ts[210] - 10 * MINUTE_NS, ts[-1] + MINUTE_NS]
    numbers = session_numbers(np.sort(np.append(ts, outside)), CALENDAR)
    assert (numbers == OUTSIDE).nonzero()[0].tolist() == [0, 211, 602]
    assert np.bincount(numbers[numbers != OUTSIDE]).tolist() == [210, 390]


def test_the_barrier_that_is_touched_first_decides_and_when_it_was_is_known() -> None:
    assert of_the_last_quiet_bar(STILL, (100.0, 101.5, 99.9, 101.0), STILL, STILL) == (1, 2, 1.0)
    assert of_the_last_quiet_bar(STILL, STILL, (100.0, 100.5, 98.5, 99.0), (99.0, 102.0, 99.0, 102.0)) == (
        0,
        3,
        -1.0,
    )


def test_where_neither_is_touched_the_return_at_the_end_decides() -> None:
    assert of_the_last_quiet_bar(STILL, STILL, STILL, (100.0, 100.5, 99.8, 100.5)) == (1, 4, 0.4988)
    assert of_the_last_quiet_bar(STILL, STILL, STILL, (100.0, 100.2, 99.5, 99.5)) == (0, 4, -0.5013)
    assert of_the_last_quiet_bar(STILL, STILL, STILL, STILL) == (0, 4, 0.0)  # unchanged is no rise


def test_a_bar_that_touches_both_counts_as_a_loss_unless_it_opened_beyond_the_gain() -> None:
    assert of_the_last_quiet_bar((100.0, 102.0, 98.0, 101.0), STILL, STILL, STILL) == (0, 1, -1.0)
    assert of_the_last_quiet_bar((102.0, 102.0, 98.0, 98.0), STILL, STILL, STILL) == (1, 1, 1.9803)


def test_a_bar_that_opens_beyond_a_barrier_is_closed_at_its_open() -> None:
    assert of_the_last_quiet_bar((97.0, 97.5, 96.0, 96.0), STILL, STILL, STILL) == (0, 1, -3.0459)
    assert of_the_last_quiet_bar((103.0, 103.5, 102.0, 102.0), STILL, STILL, STILL) == (1, 1, 2.9559)


def test_barriers_are_as_far_as_the_price_swings_and_never_nearer_than_twice_the_cost() -> None:
    ts = closes("2026-01-02")
    one, session = walk(ts), np.zeros(390, dtype=np.int64)
    options = LabelOptions(width=0.5)
    found = triple_barrier(one, session, options)
    early = found.known_at - ts[found.row] < 30 * MINUTE_NS
    expected = 0.5 * volatility(one.close, session, 60)[found.row] * np.sqrt(30)
    assert early.mean() > 0.5
    assert np.abs(found.forward[early]) == pytest.approx(expected[early])
    dear = triple_barrier(one, session, LabelOptions(width=0.5, cost_bps=20.0))
    touched = dear.known_at - ts[dear.row] < 30 * MINUTE_NS
    assert np.abs(dear.forward[touched]).min() == pytest.approx(0.004)


def test_no_label_spans_a_night_and_none_is_known_before_its_bar_or_after_its_horizon() -> None:
    ts = closes("2026-01-02", "2026-01-05")
    session = session_numbers(ts, CALENDAR)
    found = triple_barrier(walk(ts), session, LabelOptions())
    assert len(found.row) == 2 * (390 - 30) - 60  # of the first session, those before the swing is known
    assert (session[found.row] == session[np.searchsorted(ts, found.known_at)]).all()
    assert (found.known_at > ts[found.row]).all()
    assert (found.known_at <= ts[found.row + 30]).all()


def test_fewer_bars_than_the_horizon_give_no_label() -> None:
    assert len(triple_barrier(walk(closes("2026-01-02")[:7]), np.zeros(7, dtype=np.int64), FEW).row) == 1
    assert len(triple_barrier(walk(closes("2026-01-02")[:3]), np.zeros(3, dtype=np.int64), FEW).row) == 0


def test_changing_the_future_changes_no_label_that_is_known_and_no_swing() -> None:
    ts = closes("2026-01-02")
    one, session = walk(ts), np.zeros(390, dtype=np.int64)
    later = Bars(
        ts,
        *(np.where(np.arange(390) < 200, x, 7 * x) for x in (one.open, one.high, one.low, one.close)),
        one.volume,
    )
    before, after = (triple_barrier(x, session, LabelOptions()) for x in (one, later))
    known = before.known_at < ts[200]
    assert known.sum() > 100
    for name in ("label", "forward", "known_at"):
        assert np.array_equal(getattr(before, name)[known], getattr(after, name)[known])


def test_the_cost_is_the_median_of_the_round_trips_that_were_measured() -> None:
    with (GOLDEN / "23_cost_hurdle_lean_minute.csv").open() as file:
        costs = {row["sym"]: float(row["roundtrip_cost_bp_10k"]) for row in csv.DictReader(file)}
    assert LabelOptions().cost_bps == pytest.approx(statistics.median(costs.values()), abs=0.05)


def test_uniqueness_and_the_sequential_bootstrap_are_those_of_the_book() -> None:
    golden = json.loads((GOLDEN / "06_afml_sampling.json").read_text())["data"]
    first, last = (np.array([int(x) for x in side]) for side in (golden["t1"], golden["t1"].values()))
    shared = concurrency(first, last, golden["n_bars"])
    assert np.array_equal(shared, np.sum(golden["indicator_matrix"], axis=1))
    assert uniqueness(first, last, shared) == pytest.approx(golden["avg_uniqueness"], abs=1e-9)
    drawn = concurrency(first[1:2], last[1:2], golden["n_bars"])
    odds = uniqueness(first, last, 1 + drawn)
    assert odds / odds.sum() == pytest.approx(golden["seq_bootstrap_after_drawing_2nd"], abs=1e-9)


def test_a_row_weighs_by_what_is_its_own_and_by_its_age() -> None:
    minute = np.arange(1_000, dtype=np.int64)
    alone = average_uniqueness(minute * 10, minute * 10 + 10, np.zeros(1_000))
    assert alone == pytest.approx(np.ones(1_000))
    crowded = average_uniqueness(minute, minute + 10, np.zeros(1_000))
    assert crowded[500] == pytest.approx(0.1)
    two = average_uniqueness(np.repeat(minute, 2), np.repeat(minute, 2) + 10, np.tile([0, 1], 1_000))
    assert two[1_000] == pytest.approx(0.1)  # another symbol's bars are its own
    found = weights(minute * 10, minute * 10 + 10, np.zeros(1_000), oldest=0.25)
    assert found.mean() == pytest.approx(1)
    assert found[0] / found[-1] == pytest.approx(0.25, abs=1e-3)
