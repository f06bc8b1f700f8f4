"""Small trained models, made once for all tests of this room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.ml import dense, forest, guard, kernels, model, trainer
from robo_trader.ml.dataset import Dataset
from robo_trader.ml.labels import LabelOptions
from robo_trader.ml.members import MemberOptions
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.trainer import Trained, TrainingOptions

FEATURES = ("pull", "noise_a", "noise_b", "noise_c", "noise_d")
QUICK = TrainingOptions(members=MemberOptions(forest_trees=20, boosted_trees=40, net_rounds=12))
CARD = Card("test", "features-1", 30, 60_000_000_000, True, "it was planted")


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(1500, len(FEATURES))).astype(np.float32)


@pytest.fixture(scope="session")
def native(rows: np.ndarray) -> dict[str, Any]:
    import lightgbm
    import xgboost
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    draw = np.random.default_rng(4).random(len(rows))
    label = (draw < 1 / (1 + np.exp(-rows[:, 0].astype(np.float64)))).astype(int)
    return {
        "rf": xgboost.XGBRFRegressor(
            n_estimators=25, max_depth=7, reg_lambda=0, base_score=0, n_jobs=1, random_state=7
        ).fit(rows, label),
        "xgb": xgboost.XGBClassifier(n_estimators=30, max_depth=5, n_jobs=1, random_state=7).fit(rows, label),
        "lgb": lightgbm.LGBMClassifier(
            n_estimators=30, num_leaves=31, n_jobs=1, verbose=-1, deterministic=True, force_row_wise=True
        )
        .fit(rows, label)
        .booster_,
        "mlp": dense.pipeline(MLPClassifier((16, 8), max_iter=300, early_stopping=True, random_state=7)).fit(
            rows.astype(np.float64), label
        ),
        "logit": dense.pipeline(LogisticRegression(C=0.1)).fit(rows.astype(np.float64), label),
    }


@pytest.fixture(scope="session")
def ensemble(native: dict[str, Any], rows: np.ndarray) -> Ensemble:
    members = [
        forest.from_forest(native["rf"].get_booster()),
        forest.from_xgboost(native["xgb"].get_booster()),
        forest.from_lightgbm(native["lgb"]),
        dense.from_mlp(native["mlp"]),
        dense.from_logistic(native["logit"]),
    ]
    return model.raw(members, FEATURES, CARD, guard.learn(rows, *dense.standard(native["logit"])))


def clipped(probability: np.ndarray) -> np.ndarray:
    return np.clip(probability, kernels.CLIP, 1 - kernels.CLIP)


def planted(skill: float, seed: int = 1, sessions: int = 30) -> Dataset:
    """Labels overlap as real ones do: the sign of a walk's next 30 steps, pulled by the first feature."""
    rng = np.random.default_rng(seed)
    minute = np.arange(360)
    rows, label, ts, forward, nearest = [], [], [], [], []
    for day in range(sessions):
        pull = np.cumsum(rng.normal(size=420)) * 0.2
        pull -= np.convolve(pull, np.full(30, 1 / 30))[:420]
        path = np.cumsum(rng.normal(size=420) + skill * np.concatenate([[0], pull[:-1]]))
        features = rng.normal(size=(360, len(FEATURES)))
        features[:, 0] = pull[:360]
        rows.append(features)
        forward.append((path[30:390] - path[:360]) * 1e-3)
        nearest.append((path[1:361] - path[:360]) * 1e-3)
        label.append(forward[-1] > 0)
        ts.append(day * 1440 * MINUTE_NS + minute * MINUTE_NS)
    stamps = np.concatenate(ts)
    return Dataset(
        rows=np.concatenate(rows).astype(np.float32),
        label=np.concatenate(label).astype(np.int8),
        ts=stamps,
        known_at=stamps + 30 * MINUTE_NS,
        forward=np.concatenate(forward),
        nearest=np.concatenate(nearest),
        feature_names=FEATURES,
        feature_version="features-1",
        symbols=("A",),
        symbol=np.zeros(len(stamps), dtype=np.int64),
        asked=LabelOptions(horizon=30),
        interval_ns=MINUTE_NS,
        sessions=sessions,
        bars=len(stamps),
        bars_sha256="0" * 64,
    )


@pytest.fixture(scope="session")
def proven() -> Trained:
    return trainer.train(planted(skill=0.6), QUICK)
