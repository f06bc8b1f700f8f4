"""What a feature is, and the arrays that bars and rows travel in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import ClassVar

from robo_trader.data.bars import Bars as Bars
from robo_trader.data.bars import Floats as Floats
from robo_trader.data.bars import Ints as Ints


class Group(StrEnum):
    """What a feature measures."""

    PRICE = "price"
    TREND = "trend"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    VOLUME = "volume"
    SESSION = "session"
    TIMEFRAMES = "timeframes"
    CROSS_SECTION = "cross_section"
    MICROSTRUCTURE = "microstructure"


class Unit(Enum):
    """What a number in a state is counted in: it says what a split does to it."""

    PURE = "1"
    PRICE = "USD"
    LOG_PRICE = "ln USD"
    SHARES = "shares"
    PRICE_SQUARED = "USD^2"
    PER_USD = "1/USD"


class Feature:
    """One column of the vector: a subclass is a formula, an object of it the formula with its periods.

    The class docstring states the formula, with `{period}` and other attributes of the object in braces, and the last
    paragraph is `Source: …`. `step` is compiled; it returns the value of the newest bar and takes, by name:

    * `s`, the state of one symbol, `own`, where this feature's own numbers begin in it, `now`, the bar (`kernels.Now`);
    * `day`, what is known of the session (`session.DAY`), `context`, what is known of other symbols and of the book;
    * any attribute of the object, as a constant;
    * any other feature of the same bar, by its name or by the name that `needs` gives it.

    `lookback` is the longest period in bars (0: the session so far, or all bars), `warmup` the bars and `sessions` the
    whole sessions before it until the first value, `own_units` one unit for each number it keeps. `stationary`: its
    distribution keeps its place while prices wander. `model`: the models see it. `optional`: it needs more than the
    symbol's own bars, and stays NaN without it.
    """

    group: ClassVar[Group]
    stationary: ClassVar[bool] = True
    model: ClassVar[bool] = True
    optional: ClassVar[bool] = False
    step: ClassVar[Callable[..., float]]

    def __init__(
        self,
        name: str,
        lookback: int,
        warmup: int,
        *,
        sessions: int = 0,
        own_units: Sequence[Unit] = (),
        needs: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.lookback = lookback
        self.warmup = warmup
        self.sessions = sessions
        self.own_units = tuple(own_units)
        self.needs = dict(needs or {})

    @property
    def formula(self) -> str:
        """The formula in words, with this object's periods."""
        said = " ".join((inspect.getdoc(type(self)) or "").rpartition("\n\nSource: ")[0].split())
        return said.format(**vars(self))

    @property
    def source(self) -> str:
        """Where the formula is from."""
        return " ".join((inspect.getdoc(type(self)) or "").rpartition("\n\nSource: ")[2].split())


@dataclass(frozen=True, slots=True)
class Quotes:
    """Best bids and asks of one symbol as (n,) arrays: `ts` in UTC ns, never falling; prices in USD, sizes in shares."""

    ts: Ints
    bid: Floats
    ask: Floats
    bid_size: Floats
    ask_size: Floats


@dataclass(frozen=True, slots=True)
class Trades:
    """Prints of one symbol as (n,) arrays: `ts` in UTC ns, never falling; prices in USD, sizes in shares."""

    ts: Ints
    price: Floats
    size: Floats


@dataclass(frozen=True, slots=True)
class Depths:
    """Books of one symbol: `ts` (n,) in UTC ns, never falling, and as many rows of levels, see `market_depth.ladder`."""

    ts: Ints
    levels: Floats


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
