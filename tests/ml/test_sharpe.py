"""What a Sharpe ratio proves agrees with what its authors printed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robo_trader.ml import sharpe
from robo_trader.ml.sharpe import Returns

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())["data"]


def test_the_probabilistic_sharpe_ratio_is_the_published_one() -> None:
    for row in golden("03_sharpe_inference")["psr"]:
        found = sharpe.probabilistic(Returns(row["sr"], row["T"], row["skew"], row["kurt"]), row["bench"])
        assert found == pytest.approx(row["published"], abs=5e-4 + 5e-4)
        assert found == pytest.approx(row["value"], abs=1e-9)


def test_the_deflated_sharpe_ratio_is_the_published_one() -> None:
    for row in golden("03_sharpe_inference")["dsr"]:
        year = row["periods_per_year"]
        seen = Returns(row["sr_annual"] / math.sqrt(year), row["T"], row["skew"], row["kurt"])
        found = sharpe.deflated(seen, row["N"], row["var_trials_annual"] / year)
        assert found == pytest.approx(row["published"], abs=5e-4)
        assert found == pytest.approx(row["value"], abs=1e-9)


def test_more_trials_prove_less_and_one_is_the_probabilistic_ratio() -> None:
    seen = Returns(0.3, 60)
    found = [sharpe.deflated(seen, trials) for trials in (1, 2, 10, 100, 1_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == sharpe.probabilistic(seen)


def test_the_least_track_record_is_the_published_one() -> None:
    expected = golden("03_sharpe_inference")["min_trl_years_sr2_vs_1_95"]
    for name, printed, year in (
        ("daily252", "daily", 252),
        ("weekly", "weekly", 52),
        ("monthly", "monthly", 12),
    ):
        found = sharpe.least_record(Returns(2 / math.sqrt(year), 0), 1 / math.sqrt(year)) / year
        assert found == pytest.approx(expected[name], abs=1e-9)
        assert found == pytest.approx(expected["published"][printed], abs=5e-3)
    assert sharpe.least_record(Returns(0.0, 60)) == math.inf


def test_the_best_of_many_and_the_least_backtest_are_the_published_ones() -> None:
    data = golden("03_sharpe_inference")
    for row in data["emax"]:
        assert sharpe.expected_best(row["N"]) == pytest.approx(row["value"], abs=1e-9)
    assert sharpe.least_backtest(45) == pytest.approx(data["min_btl"]["value45"], abs=1e-9)
    assert sharpe.least_backtest(46) == pytest.approx(data["min_btl"]["value46"], abs=1e-9)


@pytest.mark.parametrize("kind", ["noise", "edge"])
def test_the_probability_of_overfitting_is_that_of_the_published_procedure(kind: str) -> None:
    earned = np.loadtxt(GOLDEN / f"04_pbo_matrix_{kind}.csv", delimiter=",", skiprows=1)
    expected = golden("04_pbo_cscv")[f"{kind}_pbo"]
    assert sharpe.overfitting(earned) == pytest.approx(expected, abs=1e-9)


def test_beside_its_reverse_nothing_overfits_half_the_time_and_what_earns_never() -> None:
    rng = np.random.default_rng(5)
    luck = []
    for _ in range(40):
        shared = rng.normal(size=(60, 1)) + 0.1 * rng.normal(size=(60, 3))  # members that say the same
        luck.append(sharpe.overfitting(np.hstack([shared, -shared])))
        good = shared + 0.8
        assert sharpe.overfitting(np.hstack([good, -good])) == 0
    assert np.mean(luck) == pytest.approx(0.5, abs=0.1)


def test_what_an_honest_forecaster_reaches_is_the_closed_form() -> None:
    for row in golden("07_selective_prediction")["table"]:
        coverage, precision = sharpe.selective(row["base_acc"], row["threshold"])
        assert coverage == pytest.approx(row["coverage"], rel=1e-6)
        if row["acc_when_selected"] is not None:
            assert precision == pytest.approx(row["acc_when_selected"], abs=1e-6)


def test_the_precision_a_strategy_needs_is_that_of_the_book() -> None:
    data = golden("06_afml_sampling")
    needed = sharpe.precision_for(0.01, 0.02, 260, 2.0)
    assert needed == pytest.approx(data["implied_precision_sl_m002_pt_001_n260_SR2"], abs=1e-9)
    assert sharpe.precision_for(1, 1, data["bets_per_year_for_SR2_p055_symmetric"], 2.0) == pytest.approx(
        0.55
    )
    assert sharpe.precision_for(20.0 - 4, 20.0 + 4) == pytest.approx(0.6)  # (L + cost) / (W + L)


def test_returns_are_described_as_scipy_describes_them() -> None:
    from scipy import stats

    earned = np.random.default_rng(6).gamma(2.0, size=400) - 1.9
    seen = sharpe.returns(earned)
    assert seen.sharpe == pytest.approx(earned.mean() / earned.std(ddof=1))
    assert seen.skew == pytest.approx(stats.skew(earned))
    assert seen.kurtosis == pytest.approx(stats.kurtosis(earned, fisher=False))
    assert sharpe.returns(np.zeros(30)) == Returns(0.0, 30)
    assert sharpe.probabilistic(sharpe.returns(np.zeros(30))) == 0.5
