"""Where floats become Decimals: to the tick, ties to even, and never more shares than wanted."""

import math
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import LedgerError
from robo_trader.core.instrument import CENT, Instrument

NVDA = Instrument("NVDA")
half_cents = st.integers(1, 10**9).map(lambda n: n / 200)


def beside(price: float, towards: float) -> float:
    return math.nextafter(price, towards)


@given(
    st.one_of(
        st.floats(1e-4, 1e14),
        half_cents,
        st.builds(beside, half_cents, st.sampled_from([0.0, math.inf])),
    )
)
def test_a_price_is_the_floats_exact_value_rounded_to_the_cent(observed):
    price = NVDA.price(observed)
    assert price == Decimal(observed).quantize(CENT, ROUND_HALF_EVEN)
    assert price.as_tuple().exponent == -2


def test_other_ticks_round_to_their_own_step():
    assert Instrument("X", Decimal("0.05")).price(10.02) == Decimal("10.00")
    assert Instrument("X", Decimal("0.0001")).price(0.12344) == Decimal("0.1234")


@pytest.mark.parametrize("observed", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_what_is_not_a_price_is_refused(observed):
    with pytest.raises(LedgerError):
        NVDA.price(observed)


def test_shares_are_cut_toward_zero_and_unknown_is_none_at_all():
    assert [NVDA.quantity(x) for x in (3.9, -3.9, math.nan, math.inf)] == [3, -3, 0, 0]
    assert Instrument("X", lot=100).quantity(250.0) == 200
