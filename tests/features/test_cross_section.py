"""A symbol beside the others, against numpy; and nothing of others is seen before its time."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE, NAMES
from tests.features.conftest import (
    SECTORS,
    SHARED_GOLDEN,
    EveryDay,
    Weekdays,
    closes_of_minutes,
    in_order_of_time,
    live,
    part,
    random_bars,
    times,
    universe,
    walk,
    watching,
)

DAYS = Weekdays(60)  # many opens and closes in few bars
PAIRS = 60


@pytest.fixture(scope="module")
def five():
    return universe(DAYS, 12)


@pytest.fixture(scope="module")
def known(five):
    """Every feature of every symbol by name."""
    return {s: dict(zip(NAMES, one.T, strict=True)) for s, one in watching(DAYS).matrices(five).items()}


def returns(bars):
    """Return of each bar its log return, NaN for the first."""
    return np.concatenate(([np.nan], np.diff(np.log(bars.close))))


def pairs(mine, theirs):
    """Return time and both returns of the bars that closed at one time and whose bars before did too."""
    both, i, j = np.intersect1d(mine.ts, theirs.ts, return_indices=True)
    good = (i > 0) & (j > 0) & (mine.ts[i - 1] == theirs.ts[j - 1])
    return both[good], returns(mine)[i[good]], returns(theirs)[j[good]]


def window(mine, theirs, k):
    """Return the last 60 pairs complete before bar k, of those that the symbol's next bar still found the newest."""
    at, x, y = pairs(mine, theirs)
    following = mine.ts[np.minimum(np.searchsorted(mine.ts, at, side="right"), len(mine.ts) - 1)]
    newest = theirs.ts[np.searchsorted(theirs.ts, following, side="left") - 1]
    told = (at < mine.ts[k]) & (newest == at)
    return x[told][-PAIRS:], y[told][-PAIRS:]


def heard(mine, k, theirs):
    """Return where the newest bar of another from before bar k stands, -1 if it has been silent since the bar before."""
    last = int(np.searchsorted(theirs.ts, mine.ts[k], side="left")) - 1
    return last if last >= 0 and (k == 0 or theirs.ts[last] >= mine.ts[k - 1]) else -1


OTHERS = [("market", "SPY", s) for s in ("XLK", "NVDA", "AAPL", "KO")] + [
    ("sector", "XLK", s) for s in SECTORS
]


@pytest.mark.parametrize(("other", "theirs", "symbol"), OTHERS)
def test_beta_correlation_and_residuals_are_those_of_the_last_sixty_pairs(other, theirs, symbol, five, known):
    columns, checked = known[symbol], 0
    for k in range(150, len(five[symbol].ts), 37):
        x, y = window(five[symbol], five[theirs], k)
        if len(x) < PAIRS or heard(five[symbol], k, five[theirs]) < 0:
            assert np.isnan(columns[f"{other}_beta_60"][k])
            continue
        beta = np.polyfit(y, x, 1)[0]
        assert columns[f"{other}_beta_60"][k] == pytest.approx(beta, abs=1e-9)
        if other == "market":
            assert columns["market_correlation_60"][k] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
        for period in (5, 20):
            if f"{other}_residual_{period}" in NAMES:
                left = (x - beta * y)[-period:].sum() / (columns["sigma_20"][k] * np.sqrt(period))
                assert columns[f"{other}_residual_{period}"][k] == pytest.approx(
                    np.clip(left, -8, 8), abs=1e-9
                )
        checked += 1
    assert checked > 5


def test_the_market_beside_itself_is_itself(known):
    assert known["SPY"]["market_beta_60"][-1] == pytest.approx(1)
    assert known["SPY"]["market_correlation_60"][-1] == pytest.approx(1)
    assert known["SPY"]["market_residual_20"][-1] == pytest.approx(0, abs=1e-9)


def test_a_symbol_that_moves_twice_as_the_market_has_beta_two():
    market, own = random_bars(200, seed=1), random_bars(200, seed=2)
    double = np.exp(2 * np.log(market.close))
    twice = Bars(own.ts, double, double, double, double, own.volume)
    engine = FeatureEngine(EveryDay())
    told = dict(zip(NAMES, engine.matrices({"SPY": market, "TWICE": twice})["TWICE"][-1], strict=True))
    assert told["market_beta_60"] == pytest.approx(2)
    assert told["market_correlation_60"] == pytest.approx(1)
    assert told["market_residual_5"] == pytest.approx(0, abs=1e-6)


def test_bars_that_one_of_two_missed_do_not_blur_their_beta():
    # Every third bar is missing: its next return is over two minutes, the market's over one.
    market = random_bars(600, seed=1)
    kept = np.arange(600) % 6 != 5
    thin = Bars(*(getattr(market, name)[kept] for name in ("ts", "open", "high", "low", "close", "volume")))
    told = FeatureEngine(EveryDay()).matrices({"SPY": market, "THIN": thin})["THIN"][-1]
    assert told[NAMES.index("market_beta_60")] == pytest.approx(1)
    assert told[NAMES.index("market_correlation_60")] == pytest.approx(1)


@pytest.mark.parametrize(("name", "theirs"), [("market_return_1", "SPY"), ("sector_return_1", "XLK")])
def test_the_return_of_another_is_of_its_last_bar_before(name, theirs, five, known):
    ts, other = five["NVDA"].ts, five[theirs]
    last = np.array([heard(five["NVDA"], k, other) for k in range(len(ts))])
    moved = np.where(last > 0, returns(other)[last], np.nan)
    expected = np.clip(moved / known["NVDA"]["sigma_20"], -8, 8)
    np.testing.assert_allclose(known["NVDA"][name][20:], expected[20:], atol=1e-9)


def vwap_side(bars):
    """Tell of each bar whether it closed above (1) or below (-1) the VWAP of its session."""
    labels = session_labels(bars)
    typical = (bars.high + bars.low + bars.close) / 3
    side = np.zeros(len(bars.ts))
    for label in set(labels):
        i = np.flatnonzero(labels == label)
        shares, value = np.cumsum(bars.volume[i]), np.cumsum((typical * bars.volume)[i])
        vwap = np.where(shares > 0, value / np.maximum(shares, 1), typical[i])
        away = bars.close[i] - vwap
        side[i] = np.where(np.abs(away) > 1e-9, np.sign(away), 0)
    return side


def session_labels(bars):
    return np.array([DAYS.session(int(ts)).label for ts in bars.ts])


def test_breadth_is_the_share_above_less_the_share_below_of_all_in_this_session(five, known):
    sides, labels = ({s: f(bars) for s, bars in five.items()} for f in (vwap_side, session_labels))
    for k in range(1, len(five["NVDA"].ts), 11):
        told = []
        for symbol, bars in five.items():
            last = heard(five["NVDA"], k, bars)
            if last >= 0 and labels[symbol][last] == labels["NVDA"][k]:
                told.append(sides[symbol][last])
        assert known["NVDA"]["breadth"][k] == pytest.approx(np.mean(told) if told else 0.0)


def test_the_rank_counts_those_who_moved_less_and_those_who_moved_more(five, known):
    for k in range(22, len(five["AAPL"].ts), 11):
        moved = {}
        for symbol, bars in five.items():
            last = heard(five["AAPL"], k, bars)
            if last >= 20:
                moved[symbol] = np.log(bars.close[last] / bars.close[last - 20])
        own = moved.pop("AAPL")
        expected = np.mean(np.sign([round(own - other, 12) for other in moved.values()]))
        assert known["AAPL"]["relative_strength_20"][k] == pytest.approx(expected)


@given(st.integers(0, 10**6), st.sampled_from(["SPY", "XLK", "NVDA", "AAPL", "KO"]))
@settings(max_examples=25, deadline=None)
def test_bars_of_the_same_minute_of_all_others_say_nothing(five, seed, symbol):
    k = np.random.default_rng(seed).integers(1, len(five[symbol].ts))
    ts = five[symbol].ts[k]
    others = {}
    for name, bars in five.items():
        other = walk(bars.ts, seed=seed % 1000)
        at = int(np.searchsorted(bars.ts, ts, side="left"))
        cut = np.arange(len(bars.ts)) >= at
        prices = {x: np.where(cut, getattr(other, x), getattr(bars, x)) for x in COLUMNS}
        others[name] = bars if name == symbol else replace(bars, **prices)
    first, second = (watching(DAYS).matrices(bars)[symbol][: k + 1] for bars in (five, others))
    assert first.tobytes() == second.tobytes()


COLUMNS = ("open", "high", "low", "close", "volume")


def test_the_desk_tells_one_symbol_nothing_of_the_others_same_minute(five):
    forth, back = in_order_of_time(five), in_order_of_time(dict(reversed(five.items())))
    one, other = live(watching(DAYS), forth), live(watching(DAYS), back)
    assert all(one[symbol].tobytes() == other[symbol].tobytes() for symbol in five)


def test_of_a_symbol_that_went_silent_nothing_is_told_and_then_it_is_again(five, known):
    spy, nvda = five["SPY"], five["NVDA"]
    gone = (spy.ts > nvda.ts[400]) & (spy.ts <= nvda.ts[450])
    silent = watching(DAYS).matrices(five | {"SPY": spy.take(~gone)})["NVDA"]
    for name in ("market_return_1", "market_beta_60", "market_correlation_60", "market_residual_5"):
        column = silent[:, NAMES.index(name)]
        assert np.isnan(column[402:451]).all(), name
        assert np.isfinite(column[453:460]).all(), name


def test_without_a_market_and_sectors_only_what_needs_them_is_missing(five, known):
    alone = FeatureEngine(DAYS, market="QQQ").matrices({"NVDA": five["NVDA"]})["NVDA"][-1]
    missing = {NAMES[i] for i in np.flatnonzero(np.isnan(alone)) if np.isfinite(known["NVDA"][NAMES[i]][-1])}
    assert {"market_beta_60", "sector_beta_60", "relative_strength_20"} <= missing
    assert missing <= {feature.name for feature in CATALOGUE if feature.optional}


def test_what_is_ranked_does_not_depend_on_prices(five, known):
    dear = {symbol: times(bars, 7.3) if symbol == "AAPL" else bars for symbol, bars in five.items()}
    told = watching(DAYS).matrices(dear)["NVDA"]
    for name in ("breadth", "relative_strength_20"):
        np.testing.assert_array_equal(told[:, NAMES.index(name)], known["NVDA"][name])


def test_correlation_of_european_indices_equals_the_published_one():
    path = SHARED_GOLDEN / "30_eustockmarkets.csv"
    if not path.exists():
        pytest.skip(
            "the published table 30_eustockmarkets.csv is not beside this checkout (../shared/golden)"
        )
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    close = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    published = json.loads((SHARED_GOLDEN / "30_correlation_enb.json").read_text())["data"]["sample_corr"]
    logs = {name: np.diff(np.log(x)) for name, x in close.items()}
    assert np.corrcoef(list(logs.values())) == pytest.approx(np.array(published), abs=1e-9)
    ts = closes_of_minutes(len(rows))
    bars = {name: Bars(ts, x, x, x, x, np.ones(len(ts))) for name, x in close.items()}
    engine = FeatureEngine(EveryDay(), market="DAX")
    column = NAMES.index("market_correlation_60")
    for name, one in engine.matrices(bars).items():
        for k in range(100, len(ts), 199):
            expected = np.corrcoef(logs[name][k - 61 : k - 1], logs["DAX"][k - 61 : k - 1])[0, 1]
            assert one[k, column] == pytest.approx(expected, abs=1e-9)


def test_a_symbol_that_starts_later_is_compared_from_its_own_first_bar(five):
    later = {**five, "NVDA": part(five["NVDA"], 200, len(five["NVDA"].ts))}
    beta = watching(DAYS).matrices(later)["NVDA"][:, NAMES.index("market_beta_60")]
    assert np.isnan(beta[:61]).all()
    assert np.isfinite(beta[130:]).all()
