"""Sizes by hand, floored, and none where a number is missing."""

from decimal import Decimal as D

import pytest

from robo_trader.core.steps import Signal
from robo_trader.risk.sizing import AtrSizer, FixedSizer, SizingOptions
from tests.risk.test_gates import Seen


def wants(direction: int) -> Signal:
    return Signal(0, "NVDA", "test", direction, 1.0, "why")


def test_atr_sizing_risks_the_same_dollars_and_floors():
    sizing = AtrSizer(SizingOptions(0.002, 3.0, 1.0, 0)).size(wants(1), Seen(atr=0.5))
    # 100,000 x 0.2 % = 200 USD over 1.50 USD a share
    assert sizing.shares == 133
    assert sizing.steps["risk_usd"] == 200
    assert AtrSizer(SizingOptions(0.002, 3.0, 1.0, 0)).size(wants(-1), Seen(atr=0.5)).shares == -133


def test_a_quiet_symbol_is_capped_at_its_share_of_equity():
    assert AtrSizer(SizingOptions(target_fraction=0.1)).size(wants(1), Seen(atr=0.01)).shares == 100


@pytest.mark.parametrize(
    "view", [Seen(atr=None), Seen(atr=float("nan")), Seen(atr=0.0), Seen(last=None), Seen(worth=None)]
)
def test_no_size_without_every_number(view):
    sizing = AtrSizer(SizingOptions()).size(wants(1), view)
    assert sizing.shares == 0
    assert "no size without" in sizing.reason


def test_a_position_too_small_for_its_commission_is_not_taken():
    sizing = AtrSizer(SizingOptions(min_notional_usd=1000)).size(wants(1), Seen(worth=D(5_000)))
    assert sizing.shares == 0
    assert "minimum" in sizing.reason


def test_fixed_sizing_is_a_fraction_of_equity_and_flat_is_flat():
    sizer = FixedSizer(SizingOptions(target_fraction=0.25))
    assert sizer.size(wants(-1), Seen()).shares == -250
    assert sizer.size(wants(0), Seen(worth=None)).shares == 0
    assert sizer.size(wants(1), Seen(worth=None)).shares == 0
