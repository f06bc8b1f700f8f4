"""Volume against numpy, half days, bars of other sizes and markets in which nothing is traded."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.protocols import Session
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE
from tests.features.conftest import DAY_NS, OPEN_NS, EveryDay, closes_of_minutes, flat_bars, part, random_bars

WARMUP = {f.name: f.warmup for f in CATALOGUE}
DAYS = 24


@dataclass(frozen=True)
class HalfDays(EveryDay):
    """A calendar in which some days, counted from the first, end after 210 minutes."""

    half: tuple[int, ...] = ()

    def session(self, ts):
        found = super().session(ts)
        if found is None or (found.open - OPEN_NS) // DAY_NS not in self.half:
            return found
        close = found.open + 210 * MINUTE_NS
        return Session(found.label, found.open, close) if ts <= close else None


def features_of(bars, calendar=None, interval_ns=MINUTE_NS):
    engine = FeatureEngine(calendar or EveryDay(), interval_ns)
    return dict(zip(engine.names, engine.matrix(bars).T, strict=True))


def rolling(function, n, period, first):
    """Apply a function of a slice of the last `period` bars; NaN before the bar `first`."""
    return np.array([function(slice(i + 1 - period, i + 1)) if i >= first else np.nan for i in range(n)])


def moves_per_million(bars):
    """Return |log return| per million USD of each bar, NaN where it has no return or no volume."""
    size = np.abs(np.diff(np.log(bars.close), prepend=np.nan))
    million = (bars.high + bars.low + bars.close) / 3 * bars.volume / 1e6
    return np.divide(size, million, out=np.full(len(size), np.nan), where=million > 0)


def obv_slope(bars):
    signed = np.sign(np.diff(bars.close, prepend=bars.close[0])) * bars.volume
    obv = np.cumsum(signed)
    return rolling(
        lambda w: np.polyfit(np.arange(20), obv[w], 1)[0] / bars.volume[w].mean(), len(obv), 20, 19
    )


def chaikin(bars):
    width = bars.high - bars.low
    place = np.divide(2 * bars.close - bars.low - bars.high, width, out=np.zeros(len(width)), where=width > 0)
    flow = place * bars.volume
    return rolling(lambda w: flow[w].sum() / bars.volume[w].sum(), len(flow), 20, 19)


def amihud(bars):
    moves = moves_per_million(bars)
    return rolling(lambda w: np.log(np.nanmean(moves[w])), len(moves), 20, 20)


def amihud_ratio(bars):
    moves = moves_per_million(bars)
    long = rolling(lambda w: np.log(np.nanmean(moves[w])), len(moves), 120, 120)
    return np.clip(amihud(bars) - long, -5, 5)


REFERENCES = {
    "obv_slope_20": obv_slope,
    "cmf_20": chaikin,
    "amihud_20": amihud,
    "amihud_ratio_20_120": amihud_ratio,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_it_equals_its_formula_in_numpy_at_every_bar(name, bars, matrix):
    expected = REFERENCES[name](bars)
    assert np.flatnonzero(np.isfinite(expected))[0] == WARMUP[name] - 1
    np.testing.assert_allclose(matrix[name], expected, atol=1e-9, rtol=1e-9)


def test_chaikin_money_flow_equals_ta(bars, matrix):
    import pandas as pd
    from ta.volume import chaikin_money_flow

    columns = (pd.Series(x) for x in (bars.high, bars.low, bars.close, bars.volume))
    theirs = chaikin_money_flow(*columns, window=20).to_numpy()
    np.testing.assert_allclose(matrix["cmf_20"][19:], theirs[19:], atol=1e-9)


@pytest.mark.parametrize("volume", [0.0, 500.0])
@pytest.mark.parametrize("name", ["obv_slope_20", "cmf_20", "amihud_ratio_20_120"])
def test_a_price_that_never_moves_gives_nothing(name, volume):
    assert set(features_of(flat_bars(200, volume=volume))[name][WARMUP[name] - 1 :]) == {0}


def test_a_stock_that_does_not_trade_is_very_thin_and_one_that_does_not_move_very_thick():
    assert set(features_of(flat_bars(50))["amihud_20"][20:]) == {0}
    still = features_of(flat_bars(50, volume=500.0))["amihud_20"][20:]
    np.testing.assert_allclose(still, np.log(1e-12))


def test_a_stock_that_stops_trading_is_unknown_and_one_that_stops_moving_is_thick():
    bars = part(random_bars(200), 0, 150)
    dead = replace(bars, volume=np.where(np.arange(150) < 129, 500.0, 0.0))
    assert features_of(dead)["amihud_ratio_20_120"][-1] == 0
    high, low, close = (
        np.where(np.arange(150) < 129, x, bars.close[128]) for x in (bars.high, bars.low, bars.close)
    )
    still = replace(bars, open=close, high=np.maximum(high, close), low=np.minimum(low, close), close=close)
    assert features_of(still)["amihud_ratio_20_120"][-1] == -5


def sessions_of(bars, half=(), step=1):
    """Return the bars of a calendar with half days: those after its closes are gone, and with them their number."""
    day, minute = (bars.ts - OPEN_NS - 1) // DAY_NS, (bars.ts - OPEN_NS) % DAY_NS // MINUTE_NS
    kept = ~(np.isin(day, half) & (minute > 210))
    chosen = [x[kept] for x in (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)]
    return type(bars)(*chosen), day[kept], minute[kept]


def volume_of_day(volume, day, minute):
    """Return the feature by dictionary: volumes by day and five minutes, and their medians over the 20 days before."""
    slots = {}
    for v, d, m in zip(volume, day, minute, strict=True):
        slots.setdefault((d, (m - 1) // 5), []).append(v)
    out = np.full(len(volume), np.nan)
    for i, (v, d, m) in enumerate(zip(volume, day, minute, strict=True)):
        before = [np.mean(slots[x, (m - 1) // 5]) for x in range(d - 20, d) if (x, (m - 1) // 5) in slots]
        if d >= 20:
            median = np.median(before) if before else v
            out[i] = (
                0
                if v == median
                else np.clip(np.log(v / median), -5, 5)
                if v and median
                else -5
                if median
                else 5
            )
    return out


def dollar_score(bars, day, half):
    """Return the feature from the totals of whole days."""
    dollars = (bars.high + bars.low + bars.close) / 3 * bars.volume
    totals = [np.log(dollars[day == d].sum() / (210 if d in half else 390)) for d in range(day[-1])]
    out = np.full(len(day), np.nan)
    for d in range(20, day[-1] + 1):
        last = np.array(totals[d - 20 : d])
        out[day == d] = (last[-1] - last.mean()) / last.std()
    return out


@pytest.fixture(scope="module")
def month():
    """Bars of 24 sessions that trade most at their ends, with busy days among them."""
    bars = random_bars(DAYS * 390, seed=21)
    minute, day = np.tile(np.arange(390), DAYS), np.repeat(np.arange(DAYS), 390)
    busy = np.random.default_rng(4).lognormal(0, 0.3, DAYS)[day]
    return replace(bars, volume=np.round(bars.volume * (0.5 + ((minute - 195) / 195) ** 2) * busy))


@pytest.fixture(
    scope="module", params=[(), (5, 20), (19, 23)], ids=["whole days", "half days", "a half day last"]
)
def traded(request, month):
    bars, day, minute = sessions_of(month, request.param)
    return bars, day, minute, request.param, features_of(bars, HalfDays(half=request.param))


def test_volume_is_compared_with_the_median_of_the_same_five_minutes(traded):
    bars, day, minute, _, ours = traded
    expected = volume_of_day(bars.volume, day, minute)
    assert np.isfinite(ours["volume_of_day_20"]).tolist() == (day >= 20).tolist()
    np.testing.assert_allclose(ours["volume_of_day_20"], expected, atol=1e-9, rtol=1e-9)


def test_dollar_volume_of_the_last_session_is_compared_with_twenty(traded):
    bars, day, _, half, ours = traded
    np.testing.assert_allclose(ours["dollar_volume_z_20"], dollar_score(bars, day, half), atol=1e-8)


def test_minutes_that_are_missing_are_missing_from_the_median_too(month):
    bars, day, minute = sessions_of(month)
    gone = (day % 3 == 1) & (minute > 100) & (minute <= 132) | (day < 20) & (minute > 200) & (minute <= 215)
    columns = (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)
    left = type(bars)(*(x[~gone] for x in columns))
    expected = volume_of_day(left.volume, day[~gone], minute[~gone])
    np.testing.assert_allclose(features_of(left)["volume_of_day_20"], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("size", [5, 30])
def test_longer_bars_are_compared_with_those_that_ended_at_the_same_time(size, month):
    day, bar = np.divmod(np.arange(DAYS * 390 // size), 390 // size)
    ts = OPEN_NS + day * DAY_NS + (bar + 1) * size * MINUTE_NS
    long = replace(part(month, 0, len(ts)), ts=ts)
    ours = features_of(long, interval_ns=size * MINUTE_NS)
    expected = volume_of_day(long.volume, day, (bar + 1) * size)
    np.testing.assert_allclose(ours["volume_of_day_20"], expected, atol=1e-9, rtol=1e-9)
    np.testing.assert_allclose(ours["dollar_volume_z_20"], dollar_score(long, day, ()), atol=1e-8)


def test_longer_sessions_than_a_day_of_the_exchange_end_in_its_last_slot():
    bars = replace(random_bars(22 * 500), ts=closes_of_minutes(22 * 500, 500))
    assert np.isfinite(features_of(bars, EveryDay(minutes=500))["volume_of_day_20"][20 * 500 :]).all()


def test_nothing_traded_for_a_month_is_nothing_unusual():
    still = flat_bars(22 * 390)
    ours = features_of(still)
    assert set(ours["volume_of_day_20"][20 * 390 :]) == set(ours["dollar_volume_z_20"][20 * 390 :]) == {0}
    first = features_of(replace(still, volume=np.where(np.arange(22 * 390) == 8000, 100.0, 0.0)))
    assert first["volume_of_day_20"][8000] == 5
    assert set(first["volume_of_day_20"][8001:]) == {0}
