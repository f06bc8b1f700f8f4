"""History is taken at once, and the desk goes on from there as if it had come bar by bar."""

import dataclasses

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import CATALOGUE, NAMES, WARM_SESSIONS
from tests.features.conftest import EveryDay, messages, part, random_bars, with_gaps

SYMBOLS = ("NVDA", "AAPL", "SPY", "XLK")
BARS = 700


def engine():
    return FeatureEngine(EveryDay(), sectors={"NVDA": "XLK"})


def some_of(bars, seed):
    """Leave out one bar in thirty."""
    keep = np.random.default_rng(seed).random(len(bars.ts)) > 1 / 30
    return Bars(*(x[keep] for x in (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume)))


def merged(universe):
    return sorted(
        (bar for symbol, bars in universe.items() for bar in messages(bars, symbol)), key=lambda bar: bar.ts
    )


@pytest.fixture(scope="module")
def universe():
    return {symbol: some_of(random_bars(BARS, seed=i), i) for i, symbol in enumerate(SYMBOLS)}


@pytest.fixture(scope="module")
def live(universe):
    """The vector of every bar as the desk got it."""
    one = engine()
    return {(bar.symbol, bar.ts): one.update(bar) for bar in merged(universe)}


@pytest.mark.parametrize("cut", [1, 300, 450])
def test_an_engine_warmed_at_once_goes_on_bit_for_bit_as_one_that_heard_every_bar(universe, live, cut):
    until = int(universe["SPY"].ts[cut])
    warmed = engine()
    vectors = warmed.warm(
        {symbol: part(bars, 0, int((bars.ts <= until).sum())) for symbol, bars in universe.items()}
    )
    for symbol, vector in vectors.items():
        ts = int(universe[symbol].ts[universe[symbol].ts <= until][-1])
        assert vector.tobytes() == live[symbol, ts].tobytes()
    later = [bar for bar in merged(universe) if bar.ts > until]
    assert len(later) > 600
    for bar in later:
        assert warmed.update(bar).tobytes() == live[bar.symbol, bar.ts].tobytes(), (bar.symbol, bar.ts)


def test_a_second_part_of_the_past_goes_on_from_the_first(universe, live):
    warmed = engine()
    until = int(universe["SPY"].ts[200])
    early = {symbol: part(bars, 0, int((bars.ts <= until).sum())) for symbol, bars in universe.items()}
    warmed.warm(early)
    vectors = warmed.warm(universe)  # with the first part once more: what is known already is passed over
    for symbol, bars in universe.items():
        assert vectors[symbol].tobytes() == live[symbol, int(bars.ts[-1])].tobytes()


def test_a_last_bar_that_does_not_count_gives_no_vector(universe):
    night, broken = (dataclasses.asdict(part(universe[symbol], 0, 50)) for symbol in ("NVDA", "AAPL"))
    night["ts"][-1] += 600 * MINUTE_NS
    broken["high"][-1] = np.nan
    assert (
        engine().warm({"NVDA": Bars(**night), "AAPL": Bars(**broken), "SPY": part(universe["SPY"], 0, 0)})
        == {}
    )


def test_a_scan_in_blocks_gives_the_rows_of_the_whole(universe):
    whole = engine().matrices(universe)
    for symbol, scan in engine().scans(universe).items():
        rows = [block.copy() for _, block in scan.blocks(rows=64)]
        assert np.concatenate(rows).tobytes() == whole[symbol].tobytes()


def test_a_bar_of_before_the_warm_up_is_passed_over_live(universe):
    warmed = engine()
    warmed.warm(universe)
    old = Bar("NVDA", int(universe["NVDA"].ts[-1]), 1.0, 1.0, 1.0, 1.0, 1.0)
    assert warmed.update(old) is None


def test_the_market_is_compared_with_only_where_it_is_there(universe):
    shares = {symbol: universe[symbol] for symbol in ("NVDA", "AAPL")}
    column = NAMES.index("market_return_1")
    assert np.isnan(engine().matrices(shares)["NVDA"][:, column]).all()
    assert np.isfinite(engine().matrices(universe)["NVDA"][-1, column])


def test_columns_of_days_are_the_same_however_much_history_was_read():
    """The desk reads few sessions and training reads many: what either shows of a day must be one number."""
    few = 390 * (WARM_SESSIONS + 2)
    bars = with_gaps(random_bars(3 * few))
    many = engine().matrix(bars)
    late = engine().matrix(part(bars, 2 * few + 200, 3 * few))[-390:]  # joined in the middle of a session
    of_days = [i for i, feature in enumerate(CATALOGUE) if feature.sessions]
    spread = np.nanstd(many[:, of_days], axis=0)
    apart = np.abs(late - many[-390:])[:, of_days].max(axis=0) / spread
    assert len(of_days) >= 20
    assert {NAMES[i]: x for i, x in zip(of_days, apart, strict=True) if not x <= 1e-6} == {}
