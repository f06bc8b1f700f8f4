"""Kelly's sizes: as published, monotone in what they rest on, none without odds, and never above what else is allowed."""

import json
import math
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.protocols import Reading
from robo_trader.core.steps import Payoff, Regime, Signal
from robo_trader.risk.kelly import KellyOptions, KellySizer, evidence, kelly
from robo_trader.risk.sizing import AtrSizer, SizingOptions
from tests.risk.test_gates import Seen

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "11_kelly.json").read_text())["data"]
CALM = Reading(Regime.BULL, "P(bear) 0.02 by SPY")
FREE = SizingOptions(risk_per_trade=0.05, target_fraction=1.0, min_notional_usd=0)
EVEN = Payoff(40.0, 40.0, 400)


def wants(p: float | None = 0.65, payoff: Payoff | None = EVEN, direction: int = 1) -> Signal:
    return Signal(0, "NVDA", "ml", direction, 1.0, "why", p, payoff=payoff)


def sized(signal: Signal, view: Seen | None = None, options: SizingOptions = FREE, **kelly_options):
    return KellySizer(options, KellyOptions(**kelly_options)).size(signal, view or Seen(weather=CALM))


@pytest.mark.parametrize("row", GOLDEN["discrete"])
def test_the_fraction_is_kellys(row):
    assert kelly(row["p"], row["b"]) == pytest.approx(row["f"], abs=1e-6)


@pytest.mark.parametrize("row", GOLDEN["baker_mchale_shrink"])
def test_thin_evidence_shrinks_it_as_published(row):
    assert evidence(row["p"], row["b"], row["sd"]) == pytest.approx(row["k"], abs=1e-6)


def test_no_other_fraction_grows_wealth_faster():
    f = kelly(0.6, 1.0)

    def growth(stake):
        return 0.6 * math.log(1 + stake) + 0.4 * math.log(1 - stake)

    assert growth(f) == pytest.approx(GOLDEN["growth_p06"]["full"], abs=1e-6)
    assert growth(f / 2) == pytest.approx(GOLDEN["growth_p06"]["half"], abs=1e-6)
    assert growth(2 * f) == pytest.approx(GOLDEN["growth_p06"]["double"], abs=1e-6)
    assert max(growth(f - 0.01), growth(f + 0.01)) < growth(f)


def test_a_size_by_hand():
    """P .55 at even odds is .10 by Kelly; 100 trades leave .503 of it, a quarter is .0126: 1,256 USD over 3 USD a share."""
    sizing = sized(wants(0.55, Payoff(40.0, 40.0, 100)))
    assert sizing.steps["kelly_fraction"] == pytest.approx(0.10)
    assert sizing.steps["evidence"] == pytest.approx(0.01 / (0.01 + 4 * 0.55 * 0.45 / 100))
    assert sizing.steps["risked_fraction"] == pytest.approx(0.25 * 0.10 * sizing.steps["evidence"])
    assert sizing.shares == math.floor(100_000 * sizing.steps["risked_fraction"] / 3.0) == 418
    short = sized(wants(0.45, Payoff(40.0, 40.0, 100), direction=-1))
    assert short.shares == -418


@pytest.mark.parametrize(
    ("p", "payoff"),
    [(0.65, Payoff(20.0, 40.0, 400)), (0.5, EVEN), (0.4, EVEN), (0.65, Payoff(-1.0, 40.0, 400))],
)
def test_odds_that_lose_are_no_bet_and_the_reason_says_which(p, payoff):
    sizing = sized(wants(p, payoff))
    assert sizing.shares == 0
    assert sizing.reason.startswith(f"no bet by Kelly: at P {p:.2f} votes won {payoff.win_bps:.1f} bp")


@pytest.mark.parametrize(
    ("signal", "view"),
    [
        (wants(p=None), Seen(weather=CALM)),
        (wants(payoff=None), Seen(weather=CALM)),
        (wants(), Seen(weather=CALM, worth=None)),
        (wants(), Seen(weather=CALM, last=None)),
        (wants(), Seen(weather=CALM, atr=None)),
        (wants(), Seen(weather=CALM, atr=float("nan"))),
    ],
)
def test_no_size_without_every_number(signal, view):
    sizing = sized(signal, view)
    assert sizing.shares == 0
    assert sizing.reason.startswith("no ")


def test_what_is_held_leaves_less_heat_and_none_at_the_limit():
    """1,000 shares 3 USD from their stop are 3 % of 100,000: of a limit of 4 % one per cent is left."""
    view = Seen(weather=CALM, positions={"AAPL": 1000})
    assert sized(wants(), view, max_heat_fraction=0.04).shares == math.floor(100_000 * 0.01 / 3)
    assert sized(wants(), view, max_heat_fraction=0.03).shares == 0
    # what the share itself holds is replaced, not added to
    assert sized(wants(), Seen(weather=CALM, positions={"NVDA": 1000}), max_heat_fraction=0.01).shares == 333


@pytest.mark.parametrize(
    ("weather", "left"),
    [
        (CALM, 1.0),
        (Reading(Regime.VOLATILE, ""), 0.5),
        (Reading(Regime.CRASH, ""), 0.25),
        (Reading(Regime.NEUTRAL, "too few days", known=False), 0.25),
        (None, 0.25),
    ],
)
def test_bad_weather_leaves_part_of_a_size_and_what_is_not_known_the_least(weather, left):
    sizing = sized(wants(), Seen(weather=weather), SizingOptions(target_fraction=0.8, min_notional_usd=0))
    assert sizing.shares == math.floor(left * 66)  # 0.2 % of 100,000 over 3 USD
    assert sizing.steps["regime_multiplier"] == left


chance = st.floats(0.01, 0.99)
bps = st.floats(0.5, 500)


@given(chance, chance, bps, bps, bps, st.integers(1, 5000), st.sampled_from([None, CALM]))
def test_better_odds_never_size_less_and_nothing_sizes_above_the_caps(p, q, win, more, loss, trades, weather):
    options, view = SizingOptions(min_notional_usd=0), Seen(weather=weather)
    low, high = sorted((p, q))
    least, most = sorted((win, more))

    def shares(chance, gain):
        return sized(wants(chance, Payoff(gain, loss, trades)), view, options).shares

    assert 0 <= shares(low, least) <= shares(high, least)
    assert shares(low, least) <= shares(low, most)
    assert shares(high, most) <= AtrSizer(options).size(wants(), view).shares
    if kelly(low, least / loss) <= 0:
        assert shares(low, least) == 0


def test_a_position_too_small_for_its_commission_is_not_taken():
    sizing = sized(wants(), Seen(weather=CALM, worth=D(5_000)), SizingOptions(min_notional_usd=1000))
    assert sizing.shares == 0
    assert "minimum" in sizing.reason
