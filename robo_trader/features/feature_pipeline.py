"""From bars of many symbols to the one matrix that models train on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Calendar
from robo_trader.features.base import Bars, Rows
from robo_trader.features.feature_engine import FeatureEngine


def build_matrix(bars: Mapping[str, Bars], calendar: Calendar, interval_ns: int = MINUTE_NS) -> Rows:
    """Build the model inputs of all symbols in order of time; bars still warming or passed over give no row."""
    engine = FeatureEngine(calendar, interval_ns)
    wanted = [engine.names.index(name) for name in engine.model_names]
    parts, kept = [np.empty((0, len(wanted)))], [np.empty(0, np.int64)]
    for one in bars.values():
        full = engine.matrix(one)
        complete = np.flatnonzero(~np.isnan(full).any(axis=1))
        parts.append(full[complete][:, wanted])
        kept.append(complete)
    x, bar = np.concatenate(parts), np.concatenate(kept)
    symbol = np.repeat(np.arange(len(bars)), [len(rows) for rows in kept[1:]])
    ts = np.concatenate(
        [np.empty(0, np.int64), *(one.ts[rows] for one, rows in zip(bars.values(), kept[1:], strict=True))]
    )
    order = np.lexsort((symbol, ts))
    return Rows(
        x=x[order],
        names=engine.model_names,
        ts=ts[order],
        symbol=symbol[order],
        bar=bar[order],
        symbols=tuple(bars),
        version=engine.version,
    )
