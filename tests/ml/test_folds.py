"""No fold learns from a label that reaches into what it is tested on, or from rows that still breathe it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.ml.folds import FoldOptions, split

GOLDEN = Path(__file__).parents[1] / "golden"


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Moments of one or several symbols, nights between, each label known some time later."""
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    moments = np.cumsum(rng.choice([1, 1, 1, 50], draw(st.integers(60, 200))))
    ts = np.sort(np.repeat(moments, draw(st.integers(1, 3))))
    return ts, ts + rng.integers(1, draw(st.integers(2, 25)), len(ts))


@given(
    labelled(),
    st.integers(2, 6),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 8),
)
def test_no_training_label_meets_a_test_label_and_the_embargo_holds(
    rows: tuple[np.ndarray, np.ndarray], groups: int, tested: int, forward: bool, embargo: int
) -> None:
    ts, known_at = rows
    moments = np.unique(ts)
    for fold in split(ts, known_at, FoldOptions(groups, min(tested, groups - 1), forward, embargo)):
        begins, ends = ts[fold.test][:, None], known_at[fold.test][:, None]
        meets = (ts[fold.train] <= ends) & (known_at[fold.train] >= begins)
        assert not meets.any()
        # Runs of tested moments, and the moments that follow the last label of each.
        apart = np.flatnonzero(np.diff(np.searchsorted(moments, ts[fold.test])) > 1)
        for last in [*apart, len(fold.test) - 1]:
            end = known_at[fold.test[: last + 1]].max()
            soon = moments[moments > end][:embargo]
            assert not np.isin(ts[fold.train], soon).any()
        if forward and len(fold.train):
            assert known_at[fold.train].max() < ts[fold.test].min()


def test_counts_of_splits_and_paths_are_those_of_the_book() -> None:
    for row in json.loads((GOLDEN / "05_cpcv_counts.json").read_text())["data"]["table"]:
        ts = np.arange(10 * row["N"])
        cut = split(ts, ts, FoldOptions(row["N"], row["k"], embargo_bars=0))
        assert len(cut) == row["splits"]
        seen = np.bincount(np.concatenate([fold.test for fold in cut]))
        assert set(seen.tolist()) == {row["paths"]}  # each moment on every path once


def test_walking_forward_learns_from_the_past_alone_and_ever_more_of_it() -> None:
    ts = np.arange(100)
    cut = split(ts, ts + 3, FoldOptions(groups=5, forward=True, embargo_bars=2))
    assert [len(fold.test) for fold in cut] == [20] * 4
    assert [len(fold.train) for fold in cut] == [17, 37, 57, 77]
    assert all(fold.train[0] == 0 and fold.train[-1] + 3 < fold.test[0] for fold in cut)


def test_all_symbols_are_cut_at_the_same_moments() -> None:
    ts = np.repeat(np.arange(50), 3)
    for fold in split(ts, ts + 4, FoldOptions(groups=4, embargo_bars=5)):
        assert set(np.unique(ts[fold.test], return_counts=True)[1]) == {3}
        assert set(np.unique(ts[fold.train], return_counts=True)[1]) == {3}


def test_almost_all_is_learnt_from() -> None:
    ts = np.arange(1_000)
    cut = split(ts, ts + 9, FoldOptions(groups=4, embargo_bars=60))
    assert [len(fold.train) for fold in cut] == pytest.approx([680, 672, 672, 740], abs=3)
