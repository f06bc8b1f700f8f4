"""The bar by itself."""

from __future__ import annotations

from robo_trader.features.base import Feature, Group
from robo_trader.features.kernels import Now, kernel, ratio


class Price(Feature):
    """A feature of this room."""

    group = Group.PRICE


class CloseLocation(Price):
    """((close - low) - (high - close)) / (high - low); 0 where nothing moved.

    Source: Chaikin, in StockCharts ChartSchool.
    """

    def __init__(self) -> None:
        super().__init__("close_location", 1, 1)

    @staticmethod
    @kernel
    def step(now: Now) -> float:
        return ratio((now.close - now.low) - (now.high - now.close), now.high - now.low, 0.0)


FEATURES: tuple[Feature, ...] = (CloseLocation(),)
