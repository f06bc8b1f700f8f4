"""A label looks forward inside its own session only, and says when it became known."""

from __future__ import annotations

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ml.labels import OUTSIDE, forward_sign, session_numbers

CALENDAR = XnysCalendar()


def closes(*labels: str) -> np.ndarray:
    """Minute closes of these sessions."""
    sessions = [CALENDAR.after(label) for label in labels]
    return np.concatenate([np.arange(s.open + MINUTE_NS, s.close + 1, MINUTE_NS) for s in sessions])


def test_sessions_are_numbered_and_bars_outside_hours_are_not() -> None:
    ts = closes("2025-11-26", "2025-12-01")  # a half day, then a whole one
    outside = [ts[0] - MINUTE_NS, ts[210] - 10 * MINUTE_NS, ts[-1] + MINUTE_NS]
    numbers = session_numbers(np.sort(np.append(ts, outside)), CALENDAR)
    assert (numbers == OUTSIDE).nonzero()[0].tolist() == [0, 211, 602]
    assert np.bincount(numbers[numbers != OUTSIDE]).tolist() == [210, 390]


def test_no_label_spans_a_night_and_each_is_known_at_its_horizon() -> None:
    ts = closes("2026-01-02", "2026-01-05")
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, len(ts))))
    session = session_numbers(ts, CALENDAR)
    found = forward_sign(close, ts, session, horizon=30)
    assert len(found.row) == 2 * (390 - 30)
    assert (session[found.row] == session[found.row + 30]).all()
    assert (found.known_at - ts[found.row] == 30 * MINUTE_NS).all()
    assert np.array_equal(found.label == 1, close[found.row + 30] > close[found.row])


def test_an_unchanged_price_is_no_rise() -> None:
    found = forward_sign(np.full(5, 10.0), np.arange(5), np.zeros(5, dtype=np.int64), horizon=2)
    assert found.label.tolist() == [0, 0, 0]


def test_fewer_bars_than_the_horizon_give_no_label() -> None:
    assert len(forward_sign(np.ones(7), np.arange(7), np.zeros(7, dtype=np.int64), horizon=30).row) == 0


def test_changing_the_future_beyond_the_horizon_changes_no_label() -> None:
    ts = closes("2026-01-02")
    close = 100 + np.random.default_rng(2).normal(size=len(ts))
    changed = close.copy()
    changed[200:] *= 7
    session = np.zeros(len(ts), dtype=np.int64)
    before, after = forward_sign(close, ts, session, 30), forward_sign(changed, ts, session, 30)
    assert np.array_equal(before.label[:170], after.label[:170])
