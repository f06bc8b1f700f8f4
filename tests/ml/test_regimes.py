"""Seven regimes by rules that look back only, held against tables and models of others."""

from __future__ import annotations

import csv
import json
from itertools import groupby, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_trader.core.events import DAY_NS
from robo_trader.core.steps import Regime
from robo_trader.ml import regimes
from robo_trader.ml.regimes import SPY, Day, RegimeOptions, Track

GOLDEN = Path(__file__).parents[1] / "golden"
SHARED_GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
START = int(np.datetime64("2019-01-02T21:00", "ns").astype(np.int64))
DAYS_A_YEAR = 252


def shared(name: str) -> Path:
    path = SHARED_GOLDEN / name
    if not path.exists():
        pytest.skip(f"the published table {name} is not beside this checkout (../shared/golden)")
    return path


def told(days: list[Day]) -> list[Track]:
    """Return what is known after each day, each of its own run over all days up to it."""
    return [after(days[: i + 1]) for i in range(len(days))]


def after(days: list[Day]) -> Track:
    track = Track(RegimeOptions())
    for day in days:
        track.add(day)
    return track


def readings(days: list[Day]) -> list[str]:
    track, said = Track(RegimeOptions()), []
    for day in days:
        track.add(day)
        said.append(str(track.reading(track, "SPY").regime))
    return said


def days_of(closes: np.ndarray, width: float = 0.005, start: int = START) -> list[Day]:
    return [
        Day(start + i * DAY_NS, close * (1 + width), close * (1 - width), close)
        for i, close in enumerate(closes.tolist())
    ]


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return closes and the state (0 bull, 1 bear) of each day, drawn from the published model of SPY."""
    rng = np.random.default_rng(seed)
    state = np.zeros(n, dtype=int)
    for i in range(1, n):
        state[i] = rng.random() < (0.0130, 1 - 0.0227)[state[i - 1]]
    percent = np.array([0.0845, -0.0582])[state] + np.array([0.678, 1.750])[state] * rng.normal(size=n)
    return 100 * np.exp(np.cumsum(percent) / 100), state


# ------------------------------------------------------------------------------------- the filter for bull and bear


def test_hamiltons_recessions_come_out_as_he_published_them():
    """His model has four lags, so each state here is five quarters' states: the filter is the same."""
    table = json.loads((GOLDEN / "08_hamilton_1989.json").read_text())["data"]
    growth, fitted = np.array(table["rgnp_growth_1951Q2_1984Q4"]), table["statsmodels"]
    mean = np.array([fitted["const[0]"], fitted["const[1]"]])
    lags = np.array([fitted[f"ar.L{lag}"] for lag in range(1, 5)])
    deviation = np.sqrt(fitted["sigma2"])
    leave = 1 - fitted["p[0->0]"], fitted["p[1->0]"]
    step = np.array([[1 - leave[0], leave[0]], [leave[1], 1 - leave[1]]])
    paths = list(product((0, 1), repeat=5))  # today's state first
    transition = np.array([[step[old[0], new[0]] * (new[1:] == old[:-1]) for new in paths] for old in paths])
    shifted = np.array([mean[path[0]] - lags @ mean[list(path[1:])] for path in paths])
    error = (
        growth[4:, None] - np.column_stack([growth[4 - lag : -lag] for lag in range(1, 5)]) @ lags[:, None]
    )
    density = np.exp(-0.5 * ((error - shifted) / deviation) ** 2) / deviation / np.sqrt(2 * np.pi)
    said, likelihood = regimes.filtered(density, transition)
    recession = said[:, [path[0] == 0 for path in paths]].sum(axis=1)
    assert likelihood == pytest.approx(table["llf"], abs=1e-3)
    assert recession == pytest.approx(np.array(table["filtered_recession_prob"]), abs=2e-3)
    assert np.array_equal(
        said[:100], regimes.filtered(density[:100], transition)[0]
    )  # nothing later changes it


@pytest.mark.parametrize("seed", range(3))
def test_bull_and_bear_are_told_from_returns_whose_state_is_known_and_seldom_change(seed: int):
    closes, state = drawn(seed, 12 * DAYS_A_YEAR)
    track, said = Track(RegimeOptions()), []
    for day in days_of(closes):
        track.add(day)
        said.append(track.trend)
    found, true = np.array(said)[regimes.SETTLED :], state[regimes.SETTLED :]
    balanced = ((found[true == 0] == Regime.BULL).mean() + (found[true == 1] == Regime.BEAR).mean()) / 2
    runs = [len(list(run)) for _, run in groupby(said)]
    assert balanced >= 0.80
    assert len(runs) / 12 <= 6
    assert np.mean(runs) >= 10


def test_a_return_beyond_all_bounds_leaves_the_filter_where_the_chain_would_have_gone():
    track = after(days_of(np.array([100.0, 100.5, 1e-30, 1e-30])))
    assert 0 <= track.bear <= 1


# ------------------------------------------------------------------------------------------- what was on real days


def spy() -> tuple[list[str], list[Day]]:
    with shared("09_spy_daily_2018_2020.csv").open() as file:
        rows = list(csv.DictReader(file))
    ns = [int(np.datetime64(row["date"], "ns").astype(np.int64)) for row in rows]
    return [row["date"] for row in rows], [
        Day(ts, float(row["h"]), float(row["l"]), float(row["c"])) for ts, row in zip(ns, rows, strict=True)
    ]


def test_the_spring_of_2020_is_told_on_the_days_others_found():
    dates, days = spy()
    flags = json.loads(shared("09_spy_regime_events.json").read_text())["data"]["first_flags"]
    track, loud, deep, said = Track(RegimeOptions()), [], [], []
    for day in days:
        track.add(day)
        loud.append(track.loud)
        deep.append(track.deep)
        said.append(track.reading(track, "SPY").regime)
    peak = dates.index("2020-02-19")

    def first(told: list[bool]) -> str:
        return next(date for date, one in zip(dates[peak:], told[peak:], strict=True) if one)

    assert first(loud) == flags["rv20 percentile252>=0.90"]["date"] == "2020-02-24"
    assert first(deep) == flags["20d drawdown<=-10%"]["date"] == "2020-02-27"
    named = dict(zip(dates, said, strict=True))
    assert named["2020-02-21"] is Regime.BULL
    assert named["2020-02-24"] is Regime.VOLATILE
    assert {named[date] for date in dates if "2020-02-27" <= date <= "2020-03-31"} == {Regime.CRASH}


def test_a_range_nine_times_the_usual_is_a_crash_before_the_day_is_over():
    """The flash crash of 2010-05-06: its range was 8.95 times the median of 20 days."""
    table = json.loads(shared("09_spy_regime_events.json").read_text())["data"]["flash_crash_2010_05_06"]
    usual = table["range_pct"] / table["range_over_median20"]
    before = table["prev_close"]
    days = [Day(START + i * DAY_NS, before * (1 + usual), before, before) for i in range(25)]
    day = Day(START + 25 * DAY_NS, table["high"], table["low"], table["close"])
    assert after(days).crash(day) == "a range 8.9 times that of other days"
    leap = Day(day.ts, before * 1.1, before, before * 1.09)
    assert after(days).crash(leap) == ""  # as wide, but no fall


def test_every_squeeze_of_spy_from_1998_to_2001_is_found_and_no_other():
    with shared("10_squeeze_spy_1998_2001.csv").open() as file:
        rows = list(csv.DictReader(file))
    track, compared = Track(RegimeOptions()), 0
    for row in rows:
        text = row["date"][:8]
        ts = int(np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}", "ns").astype(np.int64))
        track.add(Day(ts, float(row["high"]), float(row["low"]), float(row["close"])))
        if row["mid_bb"]:
            compared += 1
            assert track.squeezed == (float(row["squeeze on"]) > 0), text
    assert compared > 950


# ------------------------------------------------------------------------------------------------- the rules


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), wild=st.floats(0.2, 4), cut=st.integers(150, 199))
def test_what_was_said_of_a_day_is_not_changed_by_the_days_that_follow(seed: int, wild: float, cut: int):
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, wild / 100, 200)))
    days = days_of(closes)
    other = days[:cut] + days_of(closes[cut:] * rng.uniform(0.3, 3), start=days[cut].ts)
    assert readings(days)[:cut] == readings(days[:cut]) == readings(other)[:cut]


def quiet(n: int, seed: int = 1, size: float = 0.004) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0005, size, n)))


def test_before_there_is_a_year_to_rank_by_nothing_is_guessed():
    days = days_of(quiet(160))
    said = [track.reading(track, "SPY") for track in told(days)]
    assert [reading.known for reading in said] == [i >= 145 for i in range(160)]
    assert said[100].regime is Regime.NEUTRAL
    assert said[100].why == "not known: volatility is ranked from 146 days on, 101 are known"


def test_bull_and_bear_are_those_of_the_market_and_unknown_without_one():
    share = after(days_of(quiet(200, seed=8)))
    assert share.reading(None, "a market").why.startswith(
        "not known: bull and bear take 60 days of a market, 0"
    )
    market = after(
        days_of(drawn(0, 200)[0] * np.where(np.arange(200) > 180, 0.97 ** (np.arange(200) - 180), 1))
    )
    assert market.deep
    assert share.reading(market, "SPY").regime is Regime.CRASH
    assert share.reading(market, "SPY").why.startswith("SPY: ")


def test_a_crash_by_drawdown_is_over_only_where_the_price_has_come_back_some_way():
    path = np.concatenate([np.full(30, 100.0), [89.0, 92.0, 93.5, 92.0, 91.0]])
    deep = [track.deep for track in told(days_of(path, 0.03))]
    assert deep[30:] == [True, True, False, False, False]


def test_a_fall_within_half_an_hour_holds_for_three_days():
    days = days_of(np.full(40, 100.0))
    days[30] = Day(days[30].ts, 100.5, 99.5, 100.0, fall=0.051)
    crash = [track.is_crash for track in told(days)]
    assert [i for i, one in enumerate(crash) if one] == [30, 31, 32]
    assert after(days[:31]).alarm == "fell 5.1% within 30 minutes"


def test_volatility_ends_below_the_lower_rank_and_not_at_the_upper_one():
    sizes = np.concatenate([np.full(200, 0.004), np.full(25, 0.012), np.full(60, 0.004)])
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(2).normal(size=len(sizes)) * sizes))
    tracks = told(days_of(closes))
    for before, now in pairwise(tracks[150:]):
        expected = now.rank >= 0.90 or (before.loud and now.rank >= 0.75)
        assert now.loud == expected
    assert {track.loud for track in tracks[200:]} == {True, False}
    assert any(track.loud and track.rank < 0.90 for track in tracks)


def test_the_rank_of_volatility_is_the_share_of_the_last_year_that_was_no_louder():
    closes = drawn(5, 400)[0]
    returns = np.diff(np.log(closes))
    spread = np.array([returns[i - 20 : i].std(ddof=1) for i in range(20, len(returns) + 1)])
    assert after(days_of(closes)).rank == pytest.approx((spread[-252:] <= spread[-1]).mean())


def test_a_close_above_the_highs_counts_for_some_days_after_a_squeeze_and_expires():
    rng = np.random.default_rng(4)
    calm = 100 + rng.normal(0, 0.15, 170)
    path = np.concatenate([calm, [102.0, 103.0, 104.0, 104.2, 104.1, 104.2, 104.1, 104.2, 104.1]])
    tracks = told(days_of(path, 0.006))
    assert tracks[169].squeezed
    left = [track.breakout for track in tracks[170:]]
    assert max(left) == 5
    assert left[-1] == 0
    unsqueezed = told(days_of(np.concatenate([drawn(1, 170)[0], [400.0, 420.0]]), 0.001))
    assert unsqueezed[-1].breakout == 0


def test_doubt_that_lasts_ends_bull_and_bear():
    track = after(days_of(np.full(3, 100.0)))
    track.trend, track.bear = Regime.BULL, 0.5
    for i in range(40):
        track.bear = 0.5  # whatever the day says, the filter stays in doubt
        track.add(
            Day(track.days[-1].ts + DAY_NS, 101.0, 99.0, track.days[-1].close * (1.012 if i % 2 else 0.989))
        )
        if track.trend is Regime.NEUTRAL:
            break
    assert track.trend is Regime.NEUTRAL
    assert track.doubt == 11


def test_after_a_long_gap_all_begins_anew():
    days = days_of(quiet(200))
    late = Day(days[-1].ts + 11 * DAY_NS, 100.0, 99.0, 99.5)
    assert after([*days, late]) == after([late])


def test_the_published_chain_is_bear_a_third_of_the_time():
    assert regimes.stationary(SPY.transition) == pytest.approx([0.0227 / 0.0357, 0.0130 / 0.0357])
