"""The catalogue: every feature by name, in the order of the vector, room by room.

Conventions are StockCharts' and Wilder's: an exponential average starts as the mean of its first n values, Wilder's
averages weigh 1/n, Bollinger bands use the population deviation, VWAP starts anew each session.

>>> next((f.formula, f.warmup) for f in CATALOGUE if f.name == "adx_14")
("Wilder's mean over 14 bars of 100 |+DI - -DI| / (+DI + -DI).", 28)
"""

from __future__ import annotations

from robo_trader.features import (
    bands,
    cross_section,
    distribution,
    market_depth,
    microstructure,
    momentum,
    price,
    seasonal_volume,
    session,
    timeframes,
    trend,
    volatility,
    volume,
)
from robo_trader.features.base import Feature

ROOMS = (
    price, trend, momentum, volatility, bands, distribution, volume, seasonal_volume, session, timeframes, cross_section,
    microstructure, market_depth,
)  # fmt: skip
CATALOGUE: tuple[Feature, ...] = tuple(feature for room in ROOMS for feature in room.FEATURES)

NAMES = tuple(feature.name for feature in CATALOGUE)
MODEL_NAMES = tuple(feature.name for feature in CATALOGUE if feature.model)
REQUIRED = tuple(feature for feature in CATALOGUE if not feature.optional)
WARMUP = max(feature.warmup for feature in REQUIRED)
WARM_SESSIONS = max(feature.sessions for feature in REQUIRED)
