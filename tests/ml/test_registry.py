"""What was saved comes back the same; what was altered, moved or meant for other features is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.ml import registry
from robo_trader.ml.calibration import METHODS
from robo_trader.ml.members import MEMBERS, native_probabilities
from robo_trader.ml.trainer import Trained

FILES = ("ensemble.npz", "reference.npz", "rf.ubj", "xgb.ubj", "lgb.txt", "mlp.skops", "logit.skops")
TRUSTED = ["numpy.clip", "sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]
CREATED = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def saved(proven: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return registry.save(proven, tmp_path_factory.mktemp("models"), "practice-DUP123456", CREATED)


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / saved.name))


def test_a_loaded_model_answers_like_the_one_that_was_saved(saved: Path, proven: Trained) -> None:
    loaded = registry.load(saved, "features-1")
    rows = proven.dataset.rows
    assert np.array_equal(loaded.answers(rows), proven.ensemble.answers(rows))
    assert loaded.feature_names == proven.dataset.feature_names
    assert loaded.card.version == saved.name
    assert (loaded.card.proven, loaded.card.reason) == (True, proven.ensemble.card.reason)
    assert loaded.card.payoff == proven.ensemble.card.payoff
    assert loaded.card.payoff is not None


def test_the_reference_of_the_training_window_comes_back_the_same_and_unaltered_only(
    copy: Path, proven: Trained
) -> None:
    loaded = vars(registry.load_reference(copy))
    for name, value in vars(proven.reference).items():
        assert np.array_equal(loaded[name], value), name
    (copy / "reference.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match="altered or damaged"):
        registry.load_reference(copy)


def test_a_disk_that_will_not_take_the_model_is_said_in_words(proven: Trained, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where a directory should be")
    with pytest.raises(DataError, match="cannot be saved"):
        registry.save(proven, tmp_path / "models", "practice-DUP123456", CREATED)


def test_the_native_files_answer_like_the_flattened_ones(saved: Path, proven: Trained) -> None:
    import lightgbm
    import skops.io
    import xgboost

    native = {
        "rf": xgboost.Booster(model_file=saved / "rf.ubj"),
        "xgb": xgboost.Booster(model_file=saved / "xgb.ubj"),
        "lgb": lightgbm.Booster(model_file=saved / "lgb.txt"),
        "mlp": skops.io.load(saved / "mlp.skops", trusted=TRUSTED),
        "logit": skops.io.load(saved / "logit.skops", trusted=TRUSTED),
    }
    rows = proven.dataset.rows[:200]
    odds = registry.load(saved, "features-1").log_odds(rows)
    assert np.abs(1 / (1 + np.exp(-odds)) - native_probabilities(native, rows)).max() < 1e-6


def test_the_manifest_tells_what_was_learned_from_what(saved: Path, proven: Trained) -> None:
    manifest = registry.read_manifest(saved)
    assert manifest.created == "2026-01-05T14:30:00Z"
    assert manifest.report == proven.report
    assert manifest.split["train"].last < manifest.split["calibration"].first
    assert manifest.split["calibration"].last < manifest.split["test"].first
    assert set(manifest.files) == set(FILES)
    assert set(manifest.calibration.values()) <= set(METHODS)
    assert manifest.weights.keys() == manifest.calibration.keys() == MEMBERS.keys()
    assert sum(manifest.weights.values()) == pytest.approx(1)
    assert {"scikit-learn", "lightgbm", "numpy"} < set(manifest.libraries)
    assert manifest.options.members.seed == 7


@pytest.mark.parametrize("file", FILES)
def test_one_altered_byte_in_any_file_is_refused(copy: Path, file: str) -> None:
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / file).write_bytes(data)
    with pytest.raises(DataError, match="altered or damaged"):
        registry.load(copy, "features-1")


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "lgb.txt").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        registry.load(copy, "features-1")


def test_a_verdict_changed_by_hand_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"reason": "trust me"}))
    with pytest.raises(DataError, match="altered or moved"):
        registry.load(copy, "features-1")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": "x"}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="no manifest"):
        registry.load(copy, "features-1")


def test_another_manifest_schema_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))
    with pytest.raises(DataError, match="schema 99"):
        registry.load(copy, "features-1")


def test_other_features_are_refused_with_a_remedy(saved: Path) -> None:
    with pytest.raises(DataError, match="train again"):
        registry.load(saved, "features-2")


def test_the_latest_model_is_the_one_created_last(proven: Trained, tmp_path: Path) -> None:
    assert registry.latest(tmp_path, "ibkr") is None
    later = registry.save(proven, tmp_path, "ibkr", CREATED + timedelta(seconds=1))
    earlier = registry.save(proven, tmp_path, "ibkr", CREATED)
    (tmp_path / "ibkr" / "9-unfinished").mkdir()
    assert earlier != later
    assert registry.latest(tmp_path, "ibkr") == later
    assert registry.latest(tmp_path, "other") is None


def test_a_save_that_fails_leaves_nothing_behind(proven: Trained, tmp_path: Path) -> None:
    kept = registry.save(proven, tmp_path, "ibkr", CREATED)
    half = replace(proven, native=proven.native | {"lgb": None})
    with pytest.raises(AttributeError):
        registry.save(half, tmp_path, "ibkr", CREATED + timedelta(seconds=1))
    assert list((tmp_path / "ibkr").iterdir()) == [kept]


def test_loading_needs_none_of_the_libraries_that_trained(saved: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from robo_trader.ml import registry; "
        f"registry.load(Path({str(saved)!r}), 'features-1'); "
        "print([name for name in ('sklearn', 'xgboost', 'lightgbm', 'skops', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
