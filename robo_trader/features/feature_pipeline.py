"""From bars of many symbols to the one matrix that models train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Calendar
from robo_trader.features.base import Bars, Floats, Rows
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE

ENOUGH = 0.9  # of the rows; a column that is known less often is left out, and not the rows with it


def build_matrix(bars: Mapping[str, Bars], calendar: Calendar, interval_ns: int = MINUTE_NS) -> Rows:
    """Build the model inputs of all symbols in order of time; bars still warming or passed over give no row.

    Of the optional columns those are taken that are there: a market that was not watched has none to tell.
    """
    engine = FeatureEngine(calendar, interval_ns)
    full = engine.matrices(bars)
    wanted = _known(list(full.values()))
    parts, kept = [np.empty((0, len(wanted)))], [np.empty(0, np.int64)]
    for one in full.values():
        inputs = one[:, wanted]
        complete = np.flatnonzero(~np.isnan(inputs).any(axis=1))
        parts.append(inputs[complete])
        kept.append(complete)
    x, bar = np.concatenate(parts), np.concatenate(kept)
    symbol = np.repeat(np.arange(len(bars)), [len(rows) for rows in kept[1:]])
    ts = np.concatenate(
        [np.empty(0, np.int64), *(one.ts[rows] for one, rows in zip(bars.values(), kept[1:], strict=True))]
    )
    order = np.lexsort((symbol, ts))
    return Rows(
        x=x[order],
        names=tuple(engine.names[column] for column in wanted),
        ts=ts[order],
        symbol=symbol[order],
        bar=bar[order],
        symbols=tuple(bars),
        version=engine.version,
    )


def _known(matrices: Sequence[Floats]) -> list[int]:
    """Return the model's columns, without those optional ones that hardly any complete row knows."""
    required = [i for i, feature in enumerate(CATALOGUE) if feature.model and not feature.optional]
    complete = [one[~np.isnan(one[:, required]).any(axis=1)] for one in matrices]
    rows = np.concatenate(complete) if complete else np.empty((0, len(CATALOGUE)))
    share = (~np.isnan(rows)).mean(axis=0) if len(rows) else np.zeros(len(CATALOGUE))
    return [i for i, f in enumerate(CATALOGUE) if f.model and (not f.optional or share[i] >= ENOUGH)]
