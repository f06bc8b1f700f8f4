"""Keeps trained models on disk: native files, flattened arrays and a manifest that vouches for each by hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from robo_trader.core.errors import DataError
from robo_trader.ml.drift import Reference
from robo_trader.ml.labels import LabelOptions
from robo_trader.ml.members import MEMBERS
from robo_trader.ml.model import Card, Ensemble
from robo_trader.ml.parts import Nets, Parts, Space, Tables, Trees
from robo_trader.ml.report import Report, payoff
from robo_trader.ml.search import Searched
from robo_trader.ml.trainer import Trained, TrainingOptions

SCHEMA = 4
MANIFEST = "manifest.json"
ARRAYS = "ensemble.npz"
REFERENCE = "reference.npz"
LIBRARIES = ("scikit-learn", "xgboost", "xgboost-cpu", "lightgbm", "optuna", "skops", "numpy", "numba")
PROBES = 8
AGAIN = "train again with `python -m robo_trader.train_models`"


class Window(msgspec.Struct, frozen=True):
    """The rows of one block or of all: how many, and when the first was known and the last (UTC ns)."""

    rows: int
    first: int
    last: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known of a model but its numbers. `version` ends in the hash of everything else here."""

    schema: int
    version: str
    created: str
    proven: bool
    reason: str
    feature_version: str
    feature_names: tuple[str, ...]
    symbols: tuple[str, ...]
    market: str  # what they were compared with, empty for nothing
    sectors: dict[str, str]
    interval_ns: int
    horizon: int
    label: LabelOptions
    bars: int
    sessions: int
    bars_sha256: str
    split: dict[str, Window]
    options: TrainingOptions
    searched: Searched | None
    report: Report
    calibration: dict[str, str]
    weights: dict[str, float]
    libraries: dict[str, str]
    files: dict[str, str]


def save(trained: Trained, root: Path, name: str, created: datetime) -> Path:
    """Write the model to `root/name/<version>/` as a whole or not at all; return that directory.

    The version is the UTC time `created` and 12 hex digits of the manifest's hash. Raises DataError where the disk
    will not take it.
    """
    home = root / name
    try:
        return _save_in(home, trained, created)
    except OSError as error:
        raise DataError(f"the model cannot be saved in {home}: {error.strerror}") from error


def _save_in(home: Path, trained: Trained, created: datetime) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    try:
        _write_models(trained, writing)
        manifest = _describe(trained, created, _hashes(writing))
        (writing / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        _sync(writing)
        writing.chmod(0o755)
        writing.rename(home / manifest.version)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    return home / manifest.version


def latest(root: Path, name: str) -> Path | None:
    """Return the directory of the newest version of `name`, None where there is none."""
    found = sorted(path.parent for path in (root / name).glob(f"[!.]*/{MANIFEST}"))
    return found[-1] if found else None


def load(directory: Path, expected_feature_version: str) -> Ensemble:
    """Load a model after checking its manifest, every file's sha256, its feature schema and its answers.

    Raises DataError saying what is wrong, why that matters and how to mend it.
    """
    manifest = read_manifest(directory)
    if manifest.feature_version != expected_feature_version:
        raise DataError(
            f"model {directory} was trained on features of version {manifest.feature_version} with {compared(manifest)}, "
            f"these are of version {expected_feature_version}: its inputs would mean something else; {AGAIN}, or set what "
            "it was trained with"
        )
    for file, expected in manifest.files.items():
        _require_hash(directory / file, expected)
    with np.load(directory / ARRAYS, allow_pickle=False) as arrays:
        ensemble = _assemble(manifest, dict(arrays))
        _require_same_answers(ensemble, arrays["probe_rows"], arrays["probe_answers"], directory)
    return ensemble


def load_reference(directory: Path) -> Reference:
    """Load what the model's training window looked like, checked by its hash. Raises DataError like `load`."""
    path = directory / REFERENCE
    _require_hash(path, read_manifest(directory).files.get(REFERENCE, "nothing"))
    return Reference.load(path)


def read_manifest(directory: Path) -> Manifest:
    """Read and verify a model's manifest alone. Raises DataError where it is missing, foreign or altered."""
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{path} is no manifest this program can read ({error}); {AGAIN}") from error
    if manifest.schema != SCHEMA:
        raise DataError(f"{path} has schema {manifest.schema}, this program reads {SCHEMA}; {AGAIN}")
    if not manifest.version == directory.name == _version(manifest):
        raise DataError(
            f"{path} was altered or moved after training: its contents belong to version {_version(manifest)}, "
            f"not {directory.name}; {AGAIN}"
        )
    return manifest


def compared(manifest: Manifest) -> str:
    """Say in words what the symbols of a model were compared with."""
    pairs = ", ".join(f"{share}={sector}" for share, sector in manifest.sectors.items())
    return f"market {manifest.market or 'none'}, sectors {pairs or 'none'}"


def manifest_sha256(directory: Path) -> str:
    """Return the sha256 of a model's manifest, and so of all that it vouches for."""
    return _sha256(directory / MANIFEST)


def _write_models(trained: Trained, directory: Path) -> None:
    for name, member in MEMBERS.items():
        member.keep(trained.native[name], directory / f"{name}{member.suffix}")
    trained.reference.save(directory / REFERENCE)
    ensemble = trained.ensemble
    probes = trained.dataset.rows[trained.blocks.test][:PROBES]
    np.savez(
        directory / ARRAYS,
        names=np.array(ensemble.names),
        probe_rows=probes,
        probe_answers=ensemble.answers(probes),
        **{name: array for part in ensemble.parts for name, array in part._asdict().items()},
    )


def _describe(trained: Trained, created: datetime, files: dict[str, str]) -> Manifest:
    dataset, ensemble, blocks = trained.dataset, trained.ensemble, trained.blocks
    manifest = Manifest(
        schema=SCHEMA,
        version="",
        created=created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        proven=ensemble.card.proven,
        reason=ensemble.card.reason,
        feature_version=dataset.feature_version,
        feature_names=dataset.feature_names,
        symbols=dataset.symbols,
        market=dataset.market,
        sectors=dict(dataset.sectors),
        interval_ns=dataset.interval_ns,
        horizon=dataset.horizon,
        label=dataset.asked,
        bars=dataset.bars,
        sessions=dataset.sessions,
        bars_sha256=dataset.bars_sha256,
        split={name: _window(dataset.ts[getattr(blocks, name)]) for name in ("train", "calibration", "test")},
        options=trained.options,
        searched=trained.searched,
        report=trained.report,
        calibration=dict(zip(ensemble.names, trained.methods, strict=True)),
        weights=dict(zip(ensemble.names, ensemble.weight.tolist(), strict=True)),
        libraries=_libraries(),
        files=files,
    )
    return msgspec.structs.replace(manifest, version=_version(manifest))


def _version(manifest: Manifest) -> str:
    """Compose the version from the creation time and a hash over all of the manifest but the version itself."""
    stamp = manifest.created.replace("-", "").replace(":", "")
    said = msgspec.json.encode(msgspec.structs.replace(manifest, version=""), order="deterministic")
    return f"{stamp}-{hashlib.sha256(said).hexdigest()[:12]}"


def _window(ts: np.ndarray[Any, np.dtype[np.int64]]) -> Window:
    return Window(rows=len(ts), first=int(ts.min()), last=int(ts.max()))


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):  # xgboost comes under one of two names
            found[name] = installed_version(name)
    return found


def _hashes(directory: Path) -> dict[str, str]:
    return {path.name: _sha256(path) for path in sorted(directory.iterdir())}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sync(directory: Path) -> None:
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _require_hash(path: Path, expected: str) -> None:
    try:
        found = _sha256(path)
    except OSError as error:
        raise DataError(f"model file {path} cannot be read ({error.strerror}); {AGAIN}") from error
    if found != expected:
        raise DataError(
            f"model file {path} has sha256 {found[:12]}…, its manifest says {expected[:12]}…: it was altered or damaged "
            f"and is not used; {AGAIN}"
        )


def _assemble(manifest: Manifest, arrays: dict[str, Any]) -> Ensemble:
    card = Card(
        version=manifest.version,
        feature_version=manifest.feature_version,
        horizon=manifest.horizon,
        interval_ns=manifest.interval_ns,
        proven=manifest.proven,
        reason=manifest.reason,
        threshold=manifest.report.threshold,
        asked=manifest.report.asked,
        last=manifest.split["test"].last,
        payoff=payoff(manifest.report),
    )
    parts = Parts(
        Trees(**_named(arrays, Trees._fields)),
        Nets(**_named(arrays, Nets._fields)),
        Space(**_named(arrays, Space._fields)),
        Tables(**_named(arrays, Tables._fields)),
    )
    return Ensemble(arrays["names"].tolist(), manifest.feature_names, parts, card)


def _named(arrays: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: arrays[name] for name in names}


def _require_same_answers(ensemble: Ensemble, rows: Any, answers: Any, directory: Path) -> None:
    worst = float(np.abs(ensemble.answers(rows) - answers).max())
    if not worst <= 1e-9:
        raise DataError(
            f"model {directory} answers its own test rows differently here than where it was trained (by {worst:.1e}); "
            f"{AGAIN}"
        )
