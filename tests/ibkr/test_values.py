"""TWS's unset values never get past the border."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from robo_trader.ibkr.values import (
    observed_price,
    observed_size,
    owned_amount,
    owned_price,
    utc_ns,
    whole_shares,
)

UNSET = [1.7976931348623157e308, math.nan, math.inf, 2147483647.0]


@pytest.mark.parametrize("value", [*UNSET, -1.0, 0.0])
def test_an_unset_price_is_none(value):
    assert observed_price(value) is None
    assert owned_price(value) is None


@pytest.mark.parametrize("value", [*UNSET, -1.0])
def test_an_unset_size_is_none(value):
    assert observed_size(value) is None


@pytest.mark.parametrize("value", UNSET)
def test_an_unset_number_of_shares_is_none(value):
    assert whole_shares(value) is None


@pytest.mark.parametrize("value", [1.7976931348623157e308, "1.7976931348623157E308", math.nan, "", "n/a"])
def test_an_unset_amount_is_none(value):
    assert owned_amount(value) is None


@pytest.mark.parametrize("text", ["180.12", "0.1", "179.9999", "1.000035", "-25.5"])
def test_an_amount_is_exactly_what_was_written(text):
    assert owned_amount(float(text)) == owned_amount(text) == Decimal(text)


def test_sizes_and_shares_pass():
    assert (observed_size(0.0), whole_shares(-100.0), whole_shares(0.0)) == (0.0, -100, 0)


def test_a_time_becomes_utc_nanoseconds():
    assert utc_ns(datetime(2026, 1, 5, 14, 30, 1, tzinfo=UTC)) == 1767623401 * 10**9
