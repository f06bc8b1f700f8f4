"""What the engine remembers goes on where it was cut: pickled, saved as bytes, and restated for a split."""

import pickle

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS
from robo_trader.features import kernels, state, step
from robo_trader.features.base import Unit
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE, NAMES, WARM_SESSIONS, WARMUP
from tests.features.conftest import (
    SECTORS,
    WATCHED,
    Weekdays,
    adjusted,
    in_order_of_time,
    joined,
    live,
    part,
    universe,
    watching,
)

DAYS, EVERY = Weekdays(), 5
ENOUGH = max(WARM_SESSIONS, WARMUP // 70) + 5  # sessions, until every feature is warm


@pytest.fixture(scope="module")
def five():
    return universe(DAYS, ENOUGH, EVERY)


@pytest.fixture(scope="module")
def told(five):
    return in_order_of_time(five, every=EVERY)


def again(engine):
    """Return a fresh engine that was restored from what this one saved."""
    fresh = watching(DAYS, EVERY)
    fresh.restore(engine.saved())
    return fresh


WAYS = {"pickled": lambda engine: pickle.loads(pickle.dumps(engine)), "saved": again}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@every_way
@pytest.mark.parametrize("cut", [0, 1, 3, 13, 64, 130, 256, 391, 1000, 0.5, 0.9])
def test_it_continues_bit_for_bit(way, cut, told):
    cut = cut if isinstance(cut, int) else int(cut * len(told))
    engine = watching(DAYS, EVERY)
    live(engine, told[:cut])
    other = way(engine)
    following = told[cut : cut + 600]
    one, two = live(engine, following), live(other, following)
    assert all(one[symbol].tobytes() == two[symbol].tobytes() for symbol in one)


def test_what_is_saved_is_no_longer_touched_by_what_follows(told):
    engine = watching(DAYS, EVERY)
    live(engine, told[:700])
    data = engine.saved()
    fresh = watching(DAYS, EVERY)
    fresh.restore(data)
    live(fresh, told[700:900])
    assert engine.saved() == data
    assert fresh.saved() != data


def test_an_engine_forgets_what_it_knew_when_it_is_restored(told):
    engine, busy = watching(DAYS, EVERY), watching(DAYS, EVERY)
    live(engine, told[:700])
    live(busy, told[300:1500])
    busy.restore(engine.saved())
    assert busy.saved() == engine.saved()


def test_the_saved_bytes_are_small_and_hold_no_pickle(told):
    engine = watching(DAYS, EVERY)
    live(engine, told)
    data = engine.saved()
    assert len(data) < len(WATCHED) * engine.bytes_per_symbol()
    assert state.unpacked(data)[0]["symbols"] == list(dict.fromkeys(bar.symbol for bar in told))


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        (lambda: FeatureEngine(DAYS, MINUTE_NS, "SPY", SECTORS), "version"),
        (
            lambda: FeatureEngine(DAYS, EVERY * MINUTE_NS, "QQQ", SECTORS),
            "market 'SPY', this engine has 'QQQ'",
        ),
        (lambda: FeatureEngine(DAYS, EVERY * MINUTE_NS), "sectors"),
    ],
)
def test_what_another_schema_saved_is_refused(theirs, why, told):
    engine, other = watching(DAYS, EVERY), theirs()
    live(engine, told[:10])
    before = other.saved()
    with pytest.raises(DataError, match=why):
        other.restore(engine.saved())
    assert other.saved() == before


@pytest.mark.parametrize(
    "spoil", [lambda x: b"", lambda x: b"no archive", lambda x: x[:-200], lambda x: flip(x)]
)
def test_damaged_bytes_are_refused(spoil, told):
    engine = watching(DAYS, EVERY)
    live(engine, told[:10])
    with pytest.raises(DataError, match="start from history"):
        watching(DAYS, EVERY).restore(spoil(engine.saved()))


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize("ratio", [4.0, 1.5, 0.05])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_split_midway_equals_the_history_restated(ratio, share, five, told):
    # After the split the bars come at new prices; before it they were traded at old ones.
    at = told[int(share * len(told))].ts
    cut = int(np.searchsorted(five["NVDA"].ts, at, side="right"))
    restated = {**five, "NVDA": adjusted(five["NVDA"], ratio)}
    traded = {
        **five,
        "NVDA": joined(part(five["NVDA"], 0, cut), part(restated["NVDA"], cut, len(five["NVDA"].ts))),
    }
    engine = watching(DAYS, EVERY)
    live(engine, [bar for bar in in_order_of_time(traded, every=EVERY) if bar.ts <= at])
    engine.rescale("NVDA", ratio)
    after = live(engine, [bar for bar in in_order_of_time(traded, every=EVERY) if bar.ts > at])
    expected = watching(DAYS, EVERY).matrices(restated)
    for symbol in five:
        ours, theirs = after[symbol], expected[symbol][-len(after[symbol]) :]
        same = np.isclose(ours, theirs, rtol=1e-9, atol=1e-7, equal_nan=True).all(axis=0)
        assert [NAMES[i] for i in np.flatnonzero(~same)] == [], symbol


def miscounted(five, told):
    """Return whose numbers, in which units, a split does not turn into those of the restated history."""
    traded, split = watching(DAYS, EVERY), watching(DAYS, EVERY)
    live(traded, told)
    live(split, in_order_of_time({**five, "NVDA": adjusted(five["NVDA"], 3.0)}, every=EVERY))
    traded.rescale("NVDA", 3.0)
    ours, theirs = (state.unpacked(engine.saved())[1] for engine in (traded, split))
    np.testing.assert_allclose(ours["panel"], theirs["panel"], rtol=1e-9, atol=1e-9)
    row = list(dict.fromkeys(bar.symbol for bar in told)).index("NVDA")
    one, other = ours["track_state"][row], theirs["track_state"][row]
    same = np.isclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    # What is missing is marked by a number below zero, whatever it is counted in.
    same |= (one == -3.0) & (other == -1.0)
    owners = ["the kernel"] * kernels.OWN + [f.name for f in CATALOGUE for _ in f.own_units]
    units = state.units()
    return {(owners[i], units[i]) for i in np.flatnonzero(~same)}


def test_every_number_in_a_state_is_counted_in_the_unit_it_says(five, told):
    assert miscounted(five, told) == set()


@pytest.mark.parametrize("unit", [Unit.PURE, Unit.SHARES, Unit.LOG_PRICE, Unit.PRICE_SQUARED, Unit.PER_USD])
def test_a_number_that_says_a_wrong_unit_would_be_seen(unit, five, told, monkeypatch):
    ema = CATALOGUE[NAMES.index("ema_20")]
    monkeypatch.setattr(ema, "own_units", (unit,))
    assert miscounted(five, told) == {("ema_20", unit)}


def test_each_number_in_a_state_has_a_unit():
    units = state.units()
    assert len(units) == step.SIZE
    assert units[kernels.CLOSES] is Unit.PRICE
    assert units[kernels.COUNT] is Unit.PURE
    assert units[kernels.RANGES + 2 * kernels.SHORT - 1] is Unit.PRICE
    assert units[kernels.FLOWS] is Unit.PURE  # dollars do not split


@pytest.mark.parametrize("ratio", [0.0, -2.0, float("nan"), float("inf")])
def test_a_ratio_that_no_split_has_is_refused(ratio, told):
    engine = watching(DAYS, EVERY)
    live(engine, told[:10])
    with pytest.raises(DataError, match="new shares for an old one"):
        engine.rescale(told[0].symbol, ratio)


def test_a_split_of_a_symbol_that_was_never_seen_is_refused():
    with pytest.raises(DataError, match="TSLA: no bar of it was seen"):
        watching(DAYS, EVERY).rescale("TSLA", 3.0)


def split_overnight(five, ratio, day):
    """Return the bars as traded with a split before a session, as restated, and when that session opened."""
    ts = five["NVDA"].ts
    opens = DAYS.session(int(ts[day * 78])).open
    cut = int(np.searchsorted(ts, opens, side="right"))
    restated = {**five, "NVDA": adjusted(five["NVDA"], ratio)}
    traded = joined(part(five["NVDA"], 0, cut), part(restated["NVDA"], cut, len(ts)))
    return {**five, "NVDA": traded}, restated, opens


@pytest.mark.parametrize("ratio", [4.0, 1.5, 0.05])
@pytest.mark.parametrize("bars", [0, 1, 30, 70])
@pytest.mark.parametrize("start", ["live", "saved", "warmed"])
def test_a_split_told_within_its_session_equals_the_history_restated(ratio, bars, start, five):
    traded, restated, opens = split_overnight(five, ratio, ENOUGH - 3)
    at = opens + bars * EVERY * MINUTE_NS
    engine = watching(DAYS, EVERY)
    if start == "warmed":
        engine.warm(
            {s: part(one, 0, int(np.searchsorted(one.ts, at, side="right"))) for s, one in traded.items()}
        )
    else:
        live(engine, [bar for bar in in_order_of_time(traded, every=EVERY) if bar.ts <= at])
    engine = again(engine) if start == "saved" else engine
    again_stepped = engine.rescale("NVDA", ratio, since=opens)
    after = live(engine, [bar for bar in in_order_of_time(traded, every=EVERY) if bar.ts > at])["NVDA"]
    expected = watching(DAYS, EVERY).matrices(restated)["NVDA"]
    assert len(again_stepped) == len(five["NVDA"].ts[(five["NVDA"].ts > opens) & (five["NVDA"].ts <= at)])
    same = np.isclose(after, expected[-len(after) :], rtol=1e-9, atol=1e-7, equal_nan=True).all(axis=0)
    assert [NAMES[i] for i in np.flatnonzero(~same)] == []
    told = expected[len(expected) - len(after) - len(again_stepped) : len(expected) - len(after)]
    same = np.isclose(again_stepped, told, rtol=1e-9, atol=1e-7, equal_nan=True).all(axis=0)
    # Its rank among the others was looked up as it seemed to stand then.
    assert {NAMES[i] for i in np.flatnonzero(~same)} <= {"relative_strength_20"}


def test_a_past_that_was_adjusted_already_is_not_restated_again(five):
    _, restated, opens = split_overnight(five, 4.0, ENOUGH - 3)
    engine = watching(DAYS, EVERY)
    live(engine, [bar for bar in in_order_of_time(restated, every=EVERY) if bar.ts <= opens + 30 * MINUTE_NS])
    before = engine.saved()
    assert len(engine.rescale("NVDA", 4.0, since=opens)) == 0
    assert engine.saved() == before


def test_a_split_told_a_day_late_is_refused_and_changes_nothing(five):
    traded, _, opens = split_overnight(five, 4.0, 5)
    engine = watching(DAYS, EVERY)
    live(
        engine,
        [bar for bar in in_order_of_time(traded, every=EVERY) if bar.ts <= opens + 6 * 1440 * MINUTE_NS],
    )
    before = engine.saved()
    with pytest.raises(DataError, match="a restart warms"):
        engine.rescale("NVDA", 4.0, since=opens)
    assert engine.saved() == before
