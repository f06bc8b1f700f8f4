"""The synthetic market: always the same, like a market, and predictable only where it says so."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.market import ANCHOR, SyntheticMarket, walk

CALENDAR = XnysCalendar()
SESSIONS = CALENDAR.sessions(date.fromisoformat(ANCHOR), date(2026, 1, 30))
SYMBOLS = ("AAPL", "AMD", "MSFT", "NVDA", "SPY", "TSLA")
COLUMNS = ("start", "open", "high", "low", "close", "volume")
HORIZON = 30


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


@pytest.fixture(scope="module")
def martingale():
    return SyntheticMarket(11, edge=0.0)


@pytest.fixture(scope="module")
def planted():
    return SyntheticMarket(11, edge=1.0)


def stretch_and_return(market, step=HORIZON):
    """Return z and the return of the next 30 minutes within the day, every `step` minutes of all symbols."""
    z, ahead = [], []
    for symbol in SYMBOLS:
        for session in SESSIONS[20:160]:
            close = market.minutes(symbol, session).close
            window = np.lib.stride_tricks.sliding_window_view(close, 20)[:-HORIZON:step]
            now = window[:, -1]
            z.append((now - window.mean(axis=1)) / window.std(axis=1))
            ahead.append(close[19 + HORIZON :: step] / now - 1)
    return np.concatenate(z), np.concatenate(ahead)


def auc(score, label):
    rank = np.empty(len(score))
    rank[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    ups = label.sum()
    return (rank[label].sum() - ups * (ups + 1) / 2) / (ups * (len(label) - ups))


def test_the_same_question_has_the_same_answer_in_whatever_order_it_is_asked():
    forwards, backwards = SyntheticMarket(3), SyntheticMarket(3)
    asked = [(symbol, session) for symbol in ("AAPL", "NVDA") for session in SESSIONS[:12]]
    first = {(symbol, s.label): forwards.minutes(symbol, s) for symbol, s in asked}
    for symbol, session in reversed(asked):
        assert same(backwards.minutes(symbol, session), first[symbol, session.label])


def test_a_day_is_drawn_the_same_again_after_many_others():
    market = SyntheticMarket(3)
    first = market.minutes("AAPL", SESSIONS[0])
    for symbol in SYMBOLS:
        for session in SESSIONS[:50]:
            market.minutes(symbol, session)
    assert same(market.minutes("AAPL", SESSIONS[0]), first)


@pytest.mark.parametrize("other", [SyntheticMarket(4), SyntheticMarket(3, edge=0.5)])
def test_another_seed_or_edge_is_another_market(other):
    market = SyntheticMarket(3)
    assert market.identity != other.identity
    assert not same(market.minutes("AAPL", SESSIONS[2]), other.minutes("AAPL", SESSIONS[2]))


def test_every_bar_is_sound_on_the_cent_and_opens_where_the_last_one_closed(planted):
    for session in SESSIONS[100:140]:
        bars = planted.minutes("NVDA", session)
        assert np.array_equal(bars.start, np.arange(session.open, session.close, MINUTE_NS))
        assert np.array_equal(bars.open[1:], bars.close[:-1])
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.low > 0).all()
        assert (bars.volume >= 0).all()
        for name in ("open", "high", "low", "close"):
            cents = getattr(bars, name)
            assert np.array_equal(np.rint(cents * 100) / 100, cents)


def test_a_half_day_has_210_minutes(planted):
    friday = next(session for session in SESSIONS if session.label == "2025-11-28")
    assert len(planted.minutes("AAPL", friday)) == 210


def test_before_the_anchor_there_is_nothing(planted):
    before = CALENDAR.before(ANCHOR, 1)[0]
    assert len(planted.minutes("AAPL", before)) == 0
    assert len(planted.minutes("AAPL", SESSIONS[0])) == 390


def test_nights_leave_gaps_but_prices_run_on(planted):
    days = [planted.minutes("AAPL", session) for session in SESSIONS]
    gaps = np.array([after.open[0] / before.close[-1] - 1 for before, after in pairwise(days)])
    assert 0.002 < gaps.std() < 0.02
    assert np.abs(gaps).max() < 0.25


@pytest.mark.parametrize("symbol", ["AAPL", "A", "BRK B", "BRK.B", "GOOGL"])
def test_anything_spelled_like_a_share_is_known(planted, symbol):
    assert planted.knows(symbol)


@pytest.mark.parametrize("symbol", ["", "aapl", "NOSUCH", "A1", "EUR.USD", "AAPL\n"])
def test_anything_else_is_not(planted, symbol):
    assert not planted.knows(symbol)


@pytest.fixture(scope="module")
def days(martingale):
    return [[martingale.minutes(symbol, session) for session in SESSIONS] for symbol in SYMBOLS]


@pytest.fixture(scope="module")
def whole(days):
    """Absolute returns and volumes of whole sessions: (symbols, sessions, minutes)."""
    kept = [[day for day in one if len(day) == 390] for one in days]
    return [
        np.array([[np.abs(np.log(day.close / day.open)) for day in one] for one in kept]),
        np.array([[day.volume for day in one] for one in kept]),
    ]


def test_returns_are_fat_tailed_clustered_and_correlated(days):
    returns = np.array([np.concatenate([np.diff(np.log(day.close)) for day in one]) for one in days])
    sigma = returns.std(axis=1) * 1e4
    assert ((sigma > 5) & (sigma < 11)).all(), "basis points a minute"
    scaled = returns / returns.std(axis=1, keepdims=True)
    assert 6 < (scaled**4).mean() < 30, "fat tails"
    assert 0.25 < np.corrcoef(returns)[np.triu_indices(len(SYMBOLS), 1)].mean() < 0.5, "one market"
    weeks = [
        np.concatenate([np.diff(np.log(d.close)) for d in days[0][i : i + 5]]).std() for i in range(0, 160, 5)
    ]
    assert max(weeks) > 1.8 * min(weeks), "calm and wild weeks"


def test_a_loud_minute_is_followed_by_loud_minutes_hours_and_days(whole):
    loud, _ = whole
    for lag, least in ((1, 0.12), (20, 0.06), (60, 0.03)):
        for one in loud - loud.mean(axis=(1, 2), keepdims=True):
            assert (one[:, lag:] * one[:, :-lag]).mean() > least * (one**2).mean()
    for of_day in np.log(loud.mean(axis=2)):
        assert np.corrcoef(of_day[1:], of_day[:-1])[0, 1] > 0.25


def test_a_day_starts_loud_and_neither_calms_down_nor_ends_like_its_volume(whole):
    loud, volume = (one.mean(axis=(0, 1)) / one.mean() for one in whole)
    assert 1.6 < loud[:30].mean() < 2.5
    assert 0.75 < loud[150:240].mean() < 0.88
    assert 0.75 < loud[-30:].mean() < 1.1
    halves = volume.reshape(13, 30).mean(axis=1) / 13
    assert 0.12 < halves[0] < 0.18
    assert (halves[5:9] < 0.058).all(), "lunch"
    assert 0.15 < halves[-1] < 0.20
    assert volume[[0, -1]].min() > 6 > volume[1:-1].max(), "the auctions"


def test_volume_lasts_and_comes_with_moves(whole):
    loud, volume = (one / one.mean(axis=1, keepdims=True) for one in whole)
    for moves, shares in zip(loud, volume, strict=True):
        assert 0.25 < np.corrcoef(moves.ravel(), shares.ravel())[0, 1] < 0.5
        assert np.corrcoef(shares[:, 1:].ravel(), shares[:, :-1].ravel())[0, 1] > 0.3


def test_a_share_has_a_night_of_its_own_news_each_quarter():
    market = SyntheticMarket(11, edge=0.0)
    names = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "KLMNO"]
    gaps = []
    for name in names:
        day = [market.minutes(name, session) for session in SESSIONS[:63]]
        gaps.append([abs(np.log(b.open[0] / a.close[-1])) for a, b in pairwise(day)])
    loudest = np.max(gaps, axis=1) / np.median(gaps, axis=1)
    assert np.median(loudest) > 5
    assert len(set(np.argmax(gaps, axis=1))) > 20, "not all in the same night"


def test_spreads_are_one_or_two_basis_points_and_whole_cents(planted):
    for symbol in SYMBOLS:
        price = planted.minutes(symbol, SESSIONS[150]).close[0]
        spread = planted.spread(symbol, price)
        assert spread == max(0.01, round(spread, 2))
        assert 0.3e-4 < spread / price < 2.5e-4


def test_without_an_edge_nothing_predicts_a_return(martingale):
    z, ahead = stretch_and_return(martingale)
    moved = ahead != 0
    assert abs(auc(-z[moved], ahead[moved] > 0) - 0.5) < 0.012  # 9,000 samples: 2 standard errors
    far = np.abs(z) > 1.8
    assert abs((-np.sign(z[far]) * ahead[far]).mean()) * 1e4 < 2.5
    for lag in (1, 2, 5):
        returns = [
            np.diff(np.log(martingale.minutes(symbol, s).close)) for symbol in SYMBOLS for s in SESSIONS
        ]
        both = np.concatenate([np.stack([one[lag:], one[:-lag]]) for one in returns], axis=1)
        assert abs(np.corrcoef(both)[0, 1]) < 0.01


def test_with_the_edge_stretched_prices_come_back_and_pay_for_the_trade(planted):
    z, ahead = stretch_and_return(planted, step=5)
    moved = ahead != 0
    assert 0.61 < auc(-z[moved], ahead[moved] > 0) < 0.68
    back = -np.sign(z) * ahead * 1e4
    far = np.abs(z) > 1.8
    assert 0.10 < far.mean() < 0.22
    assert 10 < back[far].mean() < 18, "basis points in half an hour"
    assert 0.65 < (back[far & moved] > 0).mean() < 0.74
    near = np.abs(z) < 0.5
    assert (back[near & moved] > 0).mean() < 0.55


def test_half_the_edge_is_half_as_strong(planted):
    half, full = SyntheticMarket(11, edge=0.5), planted
    back = [
        (-np.sign(z) * ahead)[np.abs(z) > 1.8].mean() for z, ahead in map(stretch_and_return, (half, full))
    ]
    assert 0.35 < back[0] / back[1] < 0.8


@pytest.mark.parametrize("edge", [-0.1, float("nan"), float("inf")])
def test_an_edge_that_is_none_is_refused(edge):
    with pytest.raises(ConfigurationError):
        SyntheticMarket(1, edge)


def test_the_walk_knows_only_its_past():
    noise, luck = np.linspace(-1e-3, 1e-3, 60), np.full(60, 0.5)
    pull = np.full(60, 3e-4)
    whole = walk((10_000,) * 20, 10_010, noise, pull, luck)
    assert walk((10_000,) * 20, 10_010, noise[:25], pull[:25], luck[:25]) == whole[:25]
    assert walk((10_000,) * 20, 10_010, noise, pull * 0, luck) != whole


def test_a_worthless_share_stays_at_a_dollar():
    closes = walk((100,) * 20, 100, np.full(30, -0.2), np.zeros(30), np.zeros(30))
    assert closes == [100] * 30
