"""What an engine is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from robo_trader.core.instrument import Instrument
from robo_trader.core.protocols import (
    Calendar,
    Executor,
    FeatureEngine,
    Nights,
    Regimes,
    RiskGate,
    Sizer,
    StopRule,
    Strategy,
    Successor,
    Vector,
    Watch,
)


class Parts(msgspec.Struct, frozen=True):
    """What an engine is made of; put together in one place, `bootstrap`."""

    session_id: str
    traded: frozenset[str]  # strategies speak on these; other instruments are watched because they are held
    instruments: Mapping[str, Instrument]
    calendar: Calendar
    features: FeatureEngine
    strategy: Strategy
    sizer: Sizer
    gates: Sequence[RiskGate]
    executor: Executor
    stop_rule: StopRule | None = None  # None: positions have no stop at the broker
    warmed: Mapping[str, Vector] = {}  # by symbol, of the last bar that its features were warmed with
    watch: Watch | None = None
    successors: Sequence[Successor] = ()
    nights: Nights | None = None
    regimes: Regimes | None = None
    split: Mapping[str, int] = {}  # by symbol, since when the last split that the books know of
