"""What is said to have drifted has: published numbers, independent arithmetic, and days that are like all others."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, MINUTE_NS
from robo_trader.ml import drift, kernels
from robo_trader.ml.drift import ALONE, TESTS, TOGETHER, Drift, Reference, ReferenceOptions

NAMES = ("quick", "slow", "counts", "constant")
SYMBOLS = ("A", "B")
SESSIONS, MINUTES = 40, 60
WINDOW = MINUTES


def days(seed: int, sessions: int = SESSIONS, scale: float = 1.0, start: int = 0):
    """Rows of two symbols in order of time: noise, a slow average, small counts and a constant."""
    rng = np.random.default_rng(seed)
    n = sessions * MINUTES
    rows = np.empty((n, 2, 4))
    rows[..., 0] = scale * rng.normal(size=(n, 2))
    shocks = rng.normal(size=(n, 2))
    slow = np.zeros((n, 2))
    for i in range(1, n):
        slow[i] = 0.9 * slow[i - 1] + shocks[i]
    rows[..., 1] = scale * slow
    rows[..., 2] = rng.integers(0, 5, size=(n, 2)) / 10
    rows[..., 3] = 7.0
    day, minute = np.divmod(np.arange(n), MINUTES)
    ts = (start + day) * DAY_NS + (15 * 60 + minute) * MINUTE_NS
    return rows.reshape(-1, 4).astype(np.float32), np.tile([0, 1], n), np.repeat(ts, 2)


@pytest.fixture(scope="module")
def window():
    return days(1)


@pytest.fixture(scope="module")
def reference(window) -> Reference:
    return drift.remember(*window, NAMES, SYMBOLS)


def watching(reference: Reference, symbols: tuple[str, ...] = SYMBOLS) -> Drift:
    return Drift(reference, np.arange(len(NAMES)), symbols)


def test_psi_has_the_published_values():
    tenths = np.full(10, 0.1)
    actual = np.array([0.08, 0.09, 0.1, 0.1, 0.1, 0.1, 0.1, 0.11, 0.11, 0.11])
    assert drift.psi(tenths, actual) == pytest.approx(0.008375781576992205, abs=1e-9)
    quarters = np.array([0.4, 0.3, 0.2, 0.1])
    assert drift.psi(np.full(4, 0.25), quarters) == pytest.approx(0.22821740957339182, abs=1e-9)


def test_psi_of_the_same_is_nothing_and_of_an_empty_bin_is_finite():
    shares = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    assert drift.psi(shares, shares).tolist() == [0.0, 0.0]
    assert 1 < drift.psi(np.array([0.5, 0.5]), np.array([1.0, 0.0])) < 10


def test_the_critical_distances_are_smirnovs():
    found = [drift.ks_critical(level, 2, 2) for level in (0.10, 0.05, 0.025, 0.01)]
    assert found == pytest.approx([1.22, 1.36, 1.48, 1.63], abs=0.006)
    assert drift.ks_critical(0.05, 100, 400) == pytest.approx(1.358 / np.sqrt(80), abs=1e-4)


def test_ks_is_the_distance_of_the_distribution_functions_to_within_a_bin():
    scipy = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=5000), rng.normal(0.3, 1.2, size=400)
    edges = np.quantile(one, np.arange(1, 20) / 20)
    shares = [np.bincount(np.searchsorted(edges, x), minlength=20) / len(x) for x in (one, other)]
    exact = scipy.ks_2samp(one, other).statistic
    assert exact - 0.05 <= drift.ks(*shares) <= exact + 1e-12


def test_page_hinkley_finds_the_change_where_river_publishes_it():
    """https://riverml.xyz/latest/api/drift/PageHinkley: "Change detected at index 1006, input value: 5"."""
    rng = random.Random(12345)
    stream = rng.choices([0, 1], k=1000) + rng.choices(range(4, 8), k=1000)
    means = np.cumsum(stream) / np.arange(1, 2001)
    state = one_column(window=1)
    for i, (value, mean) in enumerate(zip(stream, means, strict=True)):
        observe(state, value - mean, allowance=0.005)
        if i >= 29 and state["sums"].max() > 50:
            break
    assert (i, value) == (1006, 5)


def one_column(window: int, ceiling: float = np.inf) -> dict[str, np.ndarray]:
    return {
        "edges": np.zeros((1, 1), np.float32),
        "scale": np.array([[0.0], [1.0]]),
        "rings": np.zeros((1, window, 1), np.uint8),
        "seen": np.zeros(1, np.int64),
        "counts": np.zeros((1, 2), np.int64),
        "sums": np.zeros((2, 1)),
        "ceiling": np.array([ceiling]),
    }


def observe(state: dict[str, np.ndarray], value: float, allowance: float = 0.25) -> int:
    row, column, symbol = np.array([[value]]), np.zeros(1, np.intp), np.zeros(1, np.int64)
    return kernels.observe(row, column, symbol, *state.values(), allowance)


def test_page_hinkley_looks_both_ways_and_finds_back():
    state = one_column(window=1, ceiling=10.0)
    for _ in range(200):
        observe(state, -1.0)
    assert state["sums"][:, 0].tolist() == [0.0, 10.0]
    for _ in range(40):
        observe(state, 0.0)
    assert state["sums"].max() == 0


def test_the_reference_is_quantiles_and_shares_of_the_window(reference: Reference, window):
    rows = window[0]
    assert reference.window == WINDOW
    for column in (0, 1, 2):
        edges = np.quantile(rows[:, column], np.arange(1, 10) / 10).astype(np.float32)
        assert np.array_equal(reference.edges[column], edges)
        above = (rows[:, [column]] > edges).sum(axis=1)
        assert np.array_equal(reference.shares[column], np.bincount(above, minlength=10) / len(rows))
    assert reference.shares.sum(axis=1) == pytest.approx(1)
    assert reference.scale[0] == pytest.approx(rows.mean(axis=0, dtype=float))
    assert reference.scale[1, :3] == pytest.approx(1 / rows[:, :3].std(axis=0, dtype=float))
    assert reference.scale[1, 3] == 0


def test_readings_are_those_of_the_last_session_of_each_symbol_counted_anew(reference: Reference):
    rows, symbol, _ = days(5, sessions=3)
    watch = watching(reference)
    up = down = np.zeros(4)
    for i, row in enumerate(rows):
        watch.add(SYMBOLS[symbol[i]], row.astype(float))
        z = (row.astype(float) - reference.scale[0]) * reference.scale[1]
        ceiling = 2 * reference.limits[TOGETHER, 2]
        up = np.clip(up + (z - 0.25) / 2, 0, ceiling)
        down = np.clip(down - (z + 0.25) / 2, 0, ceiling)
    assert watch.is_full
    assert watch.rows == 2 * WINDOW
    last = rows[-2 * WINDOW :]
    for column in range(4):
        places = (last[:, [column]] > reference.edges[column]).sum(axis=1)
        shares = np.bincount(places, minlength=10) / len(last)
        psi, ks, _ = watch.readings()[:, column]
        assert psi == pytest.approx(drift.psi(reference.shares[column], shares), abs=1e-12)
        assert ks == pytest.approx(np.abs(np.cumsum(shares - reference.shares[column])).max(), abs=1e-12)
    assert watch.readings()[2] == pytest.approx(np.maximum(up, down), abs=1e-9)


def test_many_rows_at_once_are_the_same_as_one_by_one(reference: Reference):
    rows, symbol, _ = days(6, sessions=2)
    one, many = watching(reference), watching(reference)
    for i, row in enumerate(rows):
        one.add(SYMBOLS[symbol[i]], row.astype(float))
    many.add_many(rows.astype(float), symbol)
    assert np.array_equal(one.readings(), many.readings())


def test_a_row_that_is_not_complete_is_left_out(reference: Reference):
    watch = watching(reference)
    for incomplete in (np.nan, np.inf, 0.0):
        watch.add("A", np.array([0.0, incomplete, 0.0, 7.0]))
    assert watch.rows == 1


def test_a_value_on_an_edge_falls_where_it_fell_in_training(reference: Reference):
    """0.1, 0.2 and 0.3 are edges, and as float64 they lie above or below what they are as float32."""
    watch = watching(reference)
    rng = np.random.default_rng(8)
    for number in rng.integers(0, 5, 2 * WINDOW):
        watch.add("A", np.array([0.0, 0.0, number / 10, 7.0]))
    assert watch.readings()[0, 2] < 0.25
    assert watch.readings()[0, 3] == 0


def test_the_training_window_itself_crosses_no_limit_and_limits_are_never_below_the_rules(
    reference: Reference, window
):
    rows, symbol, _ = window
    watch = watching(reference)
    for start in range(0, len(rows), 30):
        watch.add_many(rows[start : start + 30].astype(float), symbol[start : start + 30])
        if watch.is_full:
            assert (watch.readings() <= reference.limits[TOGETHER]).all()
    least = [0.25, drift.ks_critical(0.01, 2 * WINDOW, len(rows)), 50.0]
    assert (reference.limits[TOGETHER] >= np.array(least)[:, None]).all()
    assert reference.limits[TOGETHER, 0, 0] == 0.25  # noise keeps to the rule
    assert reference.limits[TOGETHER, 0, 1] > 0.25  # what changes slowly cannot


def test_one_symbol_of_several_is_held_to_the_limits_of_one(reference: Reference):
    assert np.array_equal(watching(reference).limits, reference.limits[TOGETHER])
    assert np.array_equal(watching(reference, ("A",)).limits, reference.limits[ALONE])
    assert (reference.limits[ALONE, :2, :2] >= reference.limits[TOGETHER, :2, :2]).all()


def test_days_like_those_of_training_stay_within_and_wilder_ones_do_not(reference: Reference):
    calm, wild = watching(reference), watching(reference)
    calm.add_many(*(x if i else x.astype(float) for i, x in enumerate(days(20, sessions=2)[:2])))
    wild.add_many(*(x if i else x.astype(float) for i, x in enumerate(days(20, sessions=2, scale=4)[:2])))
    assert not (calm.readings() > calm.limits).any()
    beyond = wild.readings() > wild.limits
    assert beyond[:2, 0].all(), dict(zip(TESTS, wild.readings()[:, 0], strict=True))
    assert not beyond[:, 2:].any()


def test_margin_and_bins_are_what_the_options_say(window):
    just = drift.remember(*window, NAMES, SYMBOLS, ReferenceOptions(bins=20, margin=1.0))
    wide = drift.remember(*window, NAMES, SYMBOLS, ReferenceOptions(bins=20, margin=1.2))
    assert wide.shares.shape == (4, 20)
    far, limit = (found.limits[TOGETHER, 1, 1] for found in (just, wide))
    assert limit / (1 - limit) == pytest.approx(1.2 * far / (1 - far))


def test_no_limit_lies_beyond_where_a_statistic_can_go(window):
    generous = drift.remember(*window, NAMES, SYMBOLS, ReferenceOptions(margin=50))
    assert (generous.limits[:, 1] < 1).all()
    assert (generous.limits[:, 0, :2] < drift.psi(np.full(10, 0.1), np.eye(10)[0])).all()


def test_a_reference_is_of_fixed_size_and_a_file_that_is_none_is_refused(
    reference: Reference, tmp_path: Path
):
    reference.save(tmp_path / "reference.npz")
    assert (tmp_path / "reference.npz").stat().st_size < 12_000
    assert vars(Reference.load(tmp_path / "reference.npz")).keys() == vars(reference).keys()
    np.savez(tmp_path / "other.npz", names=np.array(["x"]))
    (tmp_path / "none.npz").write_bytes(b"no archive")
    for name in ("other.npz", "none.npz", "missing.npz"):
        with pytest.raises(DataError, match="train again"):
            Reference.load(tmp_path / name)


def test_corrected_rows_are_read_as_if_they_had_come_so(reference: Reference):
    rows, symbol, _ = days(6, sessions=3)
    wrong, right = watching(reference), watching(reference)
    spoilt = rows.copy()
    late = np.flatnonzero(symbol == 0)[-17:]
    spoilt[late] *= 9.0
    spoilt[late, 2] = -3.0
    for watch, told in ((wrong, spoilt), (right, rows)):
        watch.add_many(told.astype(float), symbol)
    assert wrong.readings()[:2] != pytest.approx(right.readings()[:2])
    wrong.correct(SYMBOLS[0], np.vstack([rows[late].astype(float), np.full((1, 4), np.nan)]))
    assert wrong.readings()[:2] == pytest.approx(right.readings()[:2])
    assert (wrong.readings()[2] == 0).all()
    new, of, _ = days(7, sessions=2)
    for watch in (wrong, right):
        watch.add_many(new.astype(float), of)
    assert wrong.readings()[:2] == pytest.approx(right.readings()[:2])
