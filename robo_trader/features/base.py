"""What a feature is, and the arrays that bars and rows travel in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Group(StrEnum):
    """What a feature measures; `MODEL` are those made for the models alone."""

    TREND = "trend"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    VOLUME = "volume"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the vector.

    `lookback` is the longest period of the formula in bars (0: the session so far, or all bars), `warmup` the bars until
    the first value, `stationary` whether its distribution keeps its place while prices wander, `model` whether the
    models see it: they see every stationary column that is not a linear copy of another.
    """

    name: str
    group: Group
    lookback: int
    warmup: int
    stationary: bool
    model: bool
    formula: str
    source: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one symbol as (n,) arrays: `ts` closes in UTC ns, prices in USD, volume in shares."""

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True, slots=True)
class Rows:
    """Model inputs of several symbols, in order of time, ties in order of `symbols`.

    `x` is (n, len(names)) without NaN; row i belongs to `symbols[symbol[i]]`, was known at `ts[i]` (UTC ns) and came from
    bar `bar[i]` of that symbol, where its label is found.
    """

    x: Floats
    names: tuple[str, ...]
    ts: Ints
    symbol: Ints
    bar: Ints
    symbols: tuple[str, ...]
    version: str
