"""What an engine is built from, and the building of it: the same for a new session and for a replay."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np

from robo_trader.bootstrap.places import kind_of
from robo_trader.config import Settings
from robo_trader.core.engine import Engine
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.core.instrument import Instrument
from robo_trader.core.parts import Parts
from robo_trader.core.protocols import Sizer, Strategy, Successor, Vector, Watch
from robo_trader.data.nights import DAY, Nights
from robo_trader.data.sessions import XnysCalendar
from robo_trader.execution.algorithms import Algorithm, MarketAlgorithm, TwapAlgorithm, TwapOptions
from robo_trader.execution.smart_executor import ExecutorOptions, SmartExecutor
from robo_trader.features.base import Floats, Ints
from robo_trader.features.feature_engine import FeatureEngine, schema_version
from robo_trader.ml import registry
from robo_trader.ml.drift import Columns
from robo_trader.ml.drift_watch import DriftOptions, DriftWatch, SuccessiveWatch
from robo_trader.ml.model import Ensemble
from robo_trader.risk.gates import GateOptions, all_gates
from robo_trader.risk.kelly import KellyOptions, KellySizer
from robo_trader.risk.sizing import AtrSizer, FixedSizer, SizingOptions
from robo_trader.risk.stops import AtrStop, StopOptions
from robo_trader.strategies.cadence import Cadence
from robo_trader.strategies.ml_strategy import MLStrategy, MLStrategyOptions
from robo_trader.strategies.moving_average import CrossoverOptions, MovingAverageCrossover
from robo_trader.strategies.regime_detector import RegimeDetector
from robo_trader.strategies.succession import Succession

_ZLIB = b"\x78"  # no map of msgpack begins with it
_QUICK = 1  # a start waits for it


class Recent(msgspec.Struct, frozen=True):
    """The vectors that drift is first judged by: when their bars closed (ns UTC, int64) and the model's columns (float32).

    That is how they are compared with the training window, which is float32 too.
    """

    ts: bytes
    rows: bytes

    @staticmethod
    def of(ts: Ints, vectors: Floats, columns: Columns) -> Recent:
        """Keep of vectors (n, any), closed at `ts`, what a model sees."""
        return Recent(ts.tobytes(), vectors[:, columns].astype(np.float32).tobytes())

    def read(self, columns: Columns, width: int) -> tuple[Ints, Floats]:
        """Return the closes (n,) and the vectors (n, width), NaN where the model does not look."""
        ts = np.frombuffer(self.ts, dtype=np.int64)
        if len(self.rows) == 8 * width * len(ts):  # of when vectors were kept whole
            return ts, np.frombuffer(self.rows).reshape(len(ts), width)
        vectors = np.full((len(ts), width), np.nan)
        vectors[:, columns] = np.frombuffer(self.rows, dtype=np.float32).reshape(len(ts), -1)
        return ts, vectors


class Warmth(msgspec.Struct, frozen=True):
    """What the features knew as a session began, kept with it so that `replay` begins with the same.

    `features` is `FeatureEngine.saved()`, `vectors` the bytes of each symbol's last vector, `since` and `until` the first
    and the last bar (ns UTC) that each symbol was warmed with. `recent` is of each traded symbol, and empty without a
    model. `days` are the past sessions of each symbol, by which its next night is judged. `regimes` is
    `RegimeDetector.saved()`, empty in sessions of before there was one.
    """

    features: bytes
    vectors: dict[str, bytes]
    since: dict[str, int]
    until: dict[str, int]
    recent: dict[str, Recent] = {}
    days: dict[str, bytes] = {}
    regimes: bytes = b""

    def read_days(self) -> dict[str, Floats]:
        """Return what `Nights.told` returned."""
        return {symbol: np.frombuffer(rows).reshape(-1, DAY) for symbol, rows in self.days.items()}

    def read_vectors(self) -> dict[str, Vector]:
        """Return each symbol's last vector."""
        return {symbol: np.frombuffer(values) for symbol, values in self.vectors.items()}


class Plan(msgspec.Struct, frozen=True):
    """Everything an engine is built from, kept with its session so that `replay` can build the same one again."""

    session_id: str
    account: str
    kind: str  # practice, paper or live: whose money
    mode: str  # paper, dry-run or live: where orders go
    traded: tuple[str, ...]  # of the symbols in ticks; the others are held and watched
    ticks: dict[str, Decimal]  # symbol -> smallest price step, USD
    bar_s: int
    interval_s: int
    use_ml: bool
    model: str  # directory of the model, empty without one
    sizing: str
    sizing_options: SizingOptions
    gate_options: GateOptions
    stop_options: StopOptions
    executor_options: ExecutorOptions
    twap_options: TwapOptions
    crossover_options: CrossoverOptions
    ml_options: MLStrategyOptions
    settings: str  # fingerprint of the effective configuration
    market: str = "SPY"  # what shares are compared with, empty for nothing
    sectors: dict[str, str] = {}
    features: str = ""  # version of the features; sessions of before it was noted have none
    drift_options: DriftOptions = DriftOptions()
    split: dict[str, int] = {}  # by symbol, since when the last split that the books knew of
    challenger: str = ""  # directory of the model that votes in shadow, empty without one
    kelly_options: KellyOptions = KellyOptions()


def build_plan(
    settings: Settings,
    *,
    session_id: str,
    account: str,
    traded: tuple[str, ...],
    ticks: dict[str, Decimal],
    bar_s: int,
    interval_s: int,
    use_ml: bool,
    model: Path | None,
    split: dict[str, int] | None = None,
    challenger: Path | None = None,
) -> Plan:
    """Freeze the settings into the plan of one session. Raises ConfigurationError where they contradict each other."""
    if settings.risk_position_sizing == "kelly" and not use_ml:
        raise ConfigurationError(
            "RISK_POSITION_SIZING=kelly sizes by a model's probabilities: trade with --use-ml, or size by atr or fixed"
        )
    s = settings
    return Plan(
        session_id=session_id,
        account=account,
        kind=kind_of(account),
        mode=s.execution_mode,
        traded=traded,
        ticks=ticks,
        bar_s=bar_s,
        interval_s=interval_s,
        use_ml=use_ml,
        model=str(model.resolve()) if model else "",
        sizing=s.risk_position_sizing,
        sizing_options=SizingOptions(
            s.risk_per_trade, s.risk_atr_multiple, s.risk_target_fraction, s.risk_min_notional_usd
        ),
        gate_options=GateOptions(
            s.risk_max_order_notional_usd,
            s.risk_max_position_fraction,
            s.risk_max_daily_loss_fraction,
            s.risk_max_heat_fraction,
            s.risk_atr_multiple,
            s.risk_max_price_age_s,
        ),
        stop_options=StopOptions(s.risk_atr_multiple, s.risk_stop_fallback),
        executor_options=ExecutorOptions(s.execution_algorithm, s.execution_twap_above),
        twap_options=TwapOptions(s.execution_twap_slices, s.execution_twap_duration_s),
        crossover_options=CrossoverOptions(
            s.strategy_fast, s.strategy_slow, allow_short=s.strategy_allow_short
        ),
        ml_options=MLStrategyOptions(
            threshold=s.ml_threshold,
            allow_short=s.strategy_allow_short,
            allow_unproven=s.ml_allow_unproven,
            max_age_days=s.ml_max_age_days,
        ),
        settings=s.fingerprint(),
        market=s.features_market,
        sectors=s.sectors(),
        features=schema_version(bar_s * SECOND_NS, s.features_market, s.sectors()),
        drift_options=DriftOptions(s.ml_drift_share),
        split=split or {},
        challenger=str(challenger.resolve()) if challenger else "",
        kelly_options=KellyOptions(s.risk_kelly_fraction, s.regime_multipliers(), s.risk_max_heat_fraction),
    )


def new_features(plan: Plan) -> FeatureEngine:
    """Return the features of a plan, which have seen nothing yet."""
    return FeatureEngine(XnysCalendar(), plan.bar_s * SECOND_NS, plan.market, plan.sectors)


def new_watch(plan: Plan, features: FeatureEngine) -> DriftWatch | None:
    """Return the watch over the drift of a plan's features, None without a model.

    Raises DataError where what is kept of the model's training window is missing or altered.
    """
    if not (plan.use_ml and plan.model):
        return None
    return _watch_of(Path(plan.model), plan, features)


def _watch_of(directory: Path, plan: Plan, features: FeatureEngine) -> DriftWatch:
    manifest = registry.read_manifest(directory)
    reference = registry.load_reference(directory)
    columns = np.array([features.names.index(name) for name in reference.names], dtype=np.intp)
    return DriftWatch(reference, columns, plan.traded, XnysCalendar(), manifest.horizon, plan.drift_options)


def new_regimes(plan: Plan) -> RegimeDetector:
    """Return the regimes of a plan's symbols, of which no day is known yet."""
    return RegimeDetector(plan.market, XnysCalendar())


class Shelf:
    """Gets the versions of a plan's model, which never change: one that the journal names is the same in a replay."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._features = new_features(plan)
        self._models: dict[str, Ensemble] = {}
        self.home = Path(plan.model).parent

    def fetch(self, version: str) -> str:
        """Load a version, so that it is at hand when the desk goes over to it; return the sha256 that vouches for it.

        Raises DataError where it must not be used.
        """
        before = list(self._models.items())[-1:]  # both roles may change at once
        self._models = dict(before) | {version: registry.load(self.home / version, self._features.version)}
        _watch_of(self.home / version, self._plan, self._features)
        return registry.manifest_sha256(self.home / version)

    def model(self, version: str, sha256: str) -> Ensemble:
        """Return the version that `sha256` vouches for. Raises DataError where it is gone or altered."""
        self._require(version, sha256)
        return self._models.get(version) or registry.load(self.home / version, self._features.version)

    def watch(self, version: str, sha256: str) -> DriftWatch:
        """Return the watch over what that version was trained on. Raises DataError where it is gone or altered."""
        self._require(version, sha256)
        return _watch_of(self.home / version, self._plan, self._features)

    def _require(self, version: str, sha256: str) -> None:
        directory = self.home / version
        if not directory.is_dir():
            raise DataError(
                f"the session went over to model {version}, which is not in {self.home} any more: put it back to replay it"
            )
        if registry.manifest_sha256(directory) != sha256:
            raise DataError(
                f"the session went over to model {version} with a manifest of sha256 {sha256[:12]}…, the one in "
                f"{directory} is another one: put the right one back"
            )


def build_engine(plan: Plan, warmth: Warmth | None = None, shelf: Shelf | None = None) -> Engine:
    """Build the desk of a plan, its features as warm as they were when its session began.

    Models that it goes over to come from the `shelf`, where the caller may have put them ready.

    Raises DataError where its model is missing, altered or of other features, or where it was recorded with other ones.
    """
    calendar = XnysCalendar()
    features = new_features(plan)
    if plan.features and plan.features != features.version:
        raise other_features(plan.session_id, plan.features, features.version)
    if warmth is not None:
        features.restore(warmth.features)
    algorithms: dict[str, Algorithm] = {"market": MarketAlgorithm(), "twap": TwapAlgorithm(plan.twap_options)}
    strategy, watch, successors = _voices(plan, features, warmth, shelf)
    regimes = new_regimes(plan) if warmth is None or warmth.regimes else None
    if regimes is not None and warmth is not None:
        regimes.restore(warmth.regimes)
    return Engine(
        Parts(
            session_id=plan.session_id,
            traded=frozenset(plan.traded),
            instruments={symbol: Instrument(symbol, tick) for symbol, tick in plan.ticks.items()},
            calendar=calendar,
            features=features,
            strategy=Cadence(strategy, plan.interval_s * SECOND_NS)
            if plan.interval_s > plan.bar_s
            else strategy,
            sizer=_sizer(plan),
            gates=all_gates(plan.gate_options),
            executor=SmartExecutor(algorithms, plan.executor_options),
            stop_rule=AtrStop(plan.stop_options),
            warmed=warmth.read_vectors() if warmth else {},
            watch=watch,
            successors=successors,
            nights=Nights(calendar, plan.market, warmth.read_days() if warmth else None),
            split=plan.split,
            regimes=regimes,
        )
    )


def to_json(plan: Plan) -> str:
    """Write a plan as it is kept with its session."""
    return msgspec.json.encode(plan).decode()


def read_plan(session_id: str, config: object) -> Plan:
    """Read the plan a session was recorded with. Raises DataError where it is of another version."""
    try:
        return msgspec.convert(config, Plan, strict=False)
    except msgspec.ValidationError as error:
        raise DataError(
            f"session {session_id} was recorded by another version of RoboTrader: {error}"
        ) from error


def write_warmth(warmth: Warmth) -> bytes:
    """Write what the features knew as it is kept with their session."""
    return zlib.compress(msgspec.msgpack.encode(warmth), _QUICK)


def read_warmth(session_id: str, kept: bytes | None) -> Warmth | None:
    """Read what the features of a session knew as it began, None where nothing was kept. Raises DataError."""
    if kept is None:
        return None
    try:
        told = zlib.decompress(kept) if kept.startswith(_ZLIB) else kept  # of before it was compressed
        return msgspec.msgpack.decode(told, type=Warmth)
    except (zlib.error, msgspec.DecodeError) as error:
        raise DataError(
            f"what the features of session {session_id} knew as it began cannot be read ({error}): the file is damaged. "
            "Its events are there, but they cannot be replayed; restore a backup to do that"
        ) from error


def other_features(session_id: str, theirs: str, ours: str) -> DataError:
    """Say that a session cannot be replayed by this program."""
    return DataError(
        f"session {session_id} was recorded with features of version {theirs}, this RoboTrader computes {ours}: "
        "replay it with the RoboTrader that recorded it"
    )


def _voices(
    plan: Plan, features: FeatureEngine, warmth: Warmth | None, shelf: Shelf | None
) -> tuple[Strategy, Watch | None, Sequence[Successor]]:
    """Return who speaks on the features of a plan, who watches them, and which of these go over to other models."""
    if not plan.use_ml:
        return MovingAverageCrossover(plan.crossover_options), None, ()
    if not plan.model:
        return MLStrategy(None, features.names, plan.ml_options), None, ()
    shelf = shelf or Shelf(plan)
    model = registry.load(Path(plan.model), features.version)
    challenger = registry.load(Path(plan.challenger), features.version) if plan.challenger else None
    trading = MLStrategy(model, features.names, plan.ml_options)
    strategy = Succession(trading, model, features.names, shelf.model, challenger)
    used = [Path(path) for path in (plan.model, plan.challenger) if path]
    watches = [_watch_of(directory, plan, features) for directory in used]
    for one in watches:
        if warmth is not None and np.array_equal(one.columns, watches[0].columns):
            width = len(features.names)
            one.recall({symbol: kept.read(one.columns, width) for symbol, kept in warmth.recent.items()})
    watch = SuccessiveWatch(watches[0], shelf.watch, Path(plan.challenger).name, *watches[1:])
    return strategy, watch, (strategy, watch)


def _sizer(plan: Plan) -> Sizer:
    if plan.sizing == "kelly":
        return KellySizer(plan.sizing_options, plan.kelly_options)
    return FixedSizer(plan.sizing_options) if plan.sizing == "fixed" else AtrSizer(plan.sizing_options)
