"""Commissions, against IBKR's published examples."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.simulation.costs import CommissionMeter, ibkr_fixed

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "22_fees_ibkr.json").read_text())["data"]["fixed"]
FILLS = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(1, 90_000).map(lambda cents: Decimal(cents) / 100)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("case", GOLDEN["examples"], ids=lambda case: f"{case['q']}@{case['px']}")
def test_the_published_examples_come_out_to_the_cent(case):
    notional = case["q"] * Decimal(str(case["px"]))
    assert ibkr_fixed(case["q"], notional) == Decimal(str(case["fee"]))


@pytest.mark.parametrize(("quantity", "price", "fee"), GOLDEN["official_examples"])
def test_the_official_examples_come_out_to_the_cent(quantity, price, fee):
    assert ibkr_fixed(quantity, quantity * Decimal(str(price))) == Decimal(str(fee))


def test_nothing_filled_costs_nothing():
    assert ibkr_fixed(0, Decimal(0)) == 0
    assert CommissionMeter().charged == 0


@given(FILLS)
def test_however_an_order_is_filled_it_costs_the_fee_of_the_whole(fills):
    meter = CommissionMeter()
    charges = [meter.charge(quantity, price) for quantity, price in fills]
    notional = sum(quantity * price for quantity, price in fills)
    assert all(charge >= 0 for charge in charges)
    assert sum(charges) == meter.charged == ibkr_fixed(sum(q for q, _ in fills), notional)


def test_the_minimum_is_charged_once_an_order():
    meter = CommissionMeter()
    assert meter.charge(60, Decimal(100)) == 1
    assert meter.charge(100, Decimal(100)) == 0
    assert meter.charge(140, Decimal(100)) == Decimal("0.5")


def test_a_meter_resumes_where_another_stopped():
    whole = CommissionMeter()
    whole.charge(300, Decimal(50))
    rest = whole.charge(7, Decimal("50.01"))
    assert CommissionMeter(300, Decimal(15_000)).charge(7, Decimal("50.01")) == rest
