"""What the engine does with sessions, with bars it cannot use and with its own compiler."""

import doctest
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.features import feature_engine, step, technical_indicators
from robo_trader.features.base import Group
from robo_trader.features.compiled import compile_kernels, kernels_cached
from robo_trader.features.feature_engine import FeatureEngine, schema_version
from robo_trader.features.technical_indicators import CATALOGUE, MODEL_NAMES, NAMES
from tests.features.conftest import EveryDay, flat_bars, messages, part, random_bars

GOLDEN = Path(__file__).parents[1] / "golden" / "features_row.json"


# What needs no other symbol.
OWN = [i for i, feature in enumerate(CATALOGUE) if not feature.optional]


class Counting(EveryDay):
    """A calendar that counts what it is asked."""

    asked = 0

    def session(self, ts):
        Counting.asked += 1
        return super().session(ts)


def last(engine, told):
    return [engine.update(bar) for bar in told][-1]


def test_every_bar_gives_a_vector_and_what_is_warm_in_it(engine, bars):
    rows = [engine.update(bar) for bar in messages(part(bars, 0, 60))]
    known = np.array([np.isfinite(row) for row in rows])
    assert known[:, NAMES.index("close_location")].all()
    assert known[:, NAMES.index("sma_20")].tolist() == [False] * 19 + [True] * 41
    assert known[:, NAMES.index("sma_50")].tolist() == [False] * 49 + [True] * 11


def test_a_vector_once_given_never_changes(engine, bars):
    told = messages(bars)
    row = last(engine, told[:60])
    kept = row.copy()
    engine.update(told[60])
    assert row.tobytes() == kept.tobytes()


def test_symbols_do_not_touch_each_other(bars, engine):
    one, other = messages(part(bars, 0, 80), "AAPL"), messages(random_bars(80, seed=9), "NVDA")
    alone = [FeatureEngine(EveryDay()), FeatureEngine(EveryDay())]
    for pair in zip(one, other, strict=True):
        for bar, apart in zip(pair, alone, strict=True):
            together, separate = engine.update(bar)[OWN], apart.update(bar)[OWN]
            assert together.tobytes() == separate.tobytes()


def test_vwap_starts_anew_each_session_and_the_means_do_not(bars, matrix):
    typical = (bars.high + bars.low + bars.close) / 3
    assert matrix["vwap"][390] == pytest.approx(typical[390], abs=1e-12)
    assert matrix["sma_50"][390] == pytest.approx(bars.close[341:391].mean())


def test_vwap_is_the_typical_price_until_the_first_share_trades(engine):
    quiet = replace(flat_bars(60), high=np.full(60, 10.4))
    assert engine.matrix(quiet)[:, NAMES.index("vwap")] == pytest.approx(10.2)


def test_a_half_day_is_a_whole_session_to_the_clock(bars):
    short = FeatureEngine(EveryDay(minutes=210)).matrix(part(bars, 0, 210))
    assert short[209, NAMES.index("session_cos")] == pytest.approx(-1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"close": float("nan")},
        {"high": float("inf")},
        {"low": 0.0},
        {"low": -1.0},
        {"high": 1.0},
        {"open": 1e6},
        {"volume": -1.0},
        {"volume": float("nan")},
    ],
    ids=str,
)
def test_an_impossible_bar_is_passed_over_and_leaves_no_trace(wrong, bars, engine):
    told = messages(part(bars, 0, 62))
    clean = FeatureEngine(EveryDay())
    last(engine, told[:60])
    last(clean, told[:60])
    assert engine.update(msgspec.structs.replace(told[60], **wrong)) is None
    assert engine.update(told[61]).tobytes() == clean.update(told[61]).tobytes()


def test_a_stale_bar_and_the_same_bar_twice_are_passed_over(bars, engine):
    told = messages(part(bars, 0, 62))
    clean = FeatureEngine(EveryDay())
    last(engine, told[:61])
    last(clean, told[:61])
    assert engine.update(told[60]) is None
    assert engine.update(told[3]) is None
    assert engine.update(told[61]).tobytes() == clean.update(told[61]).tobytes()


def test_bars_outside_the_session_are_passed_over(bars, engine):
    told = messages(part(bars, 0, 391))
    clean = FeatureEngine(EveryDay())
    last(engine, told[:390])
    last(clean, told[:390])
    assert engine.update(msgspec.structs.replace(told[389], ts=told[389].ts + MINUTE_NS)) is None
    assert engine.update(told[390]).tobytes() == clean.update(told[390]).tobytes()


def test_the_matrix_passes_over_the_same_bars_as_the_desk(bars):
    low, ts = bars.low.copy(), bars.ts.copy()
    low[100], low[390] = np.nan, -1.0  # the second would have opened a session
    ts[200], ts[389] = ts[150], ts[389] + MINUTE_NS  # stale; after the close
    spoiled = replace(bars, low=low, ts=ts)
    engine = FeatureEngine(EveryDay())
    rows = np.array(
        [np.full(len(NAMES), np.nan) if r is None else r for r in map(engine.update, messages(spoiled))]
    )
    scanned = FeatureEngine(EveryDay()).matrix(spoiled)
    assert rows.tobytes() == scanned.tobytes()
    assert np.flatnonzero(np.isnan(scanned).all(axis=1)).tolist() == [100, 200, 389, 390]


def test_a_bar_of_another_size_is_refused(bars, engine):
    with pytest.raises(ValueError, match="NVDA: a bar of 5000000000 ns"):
        engine.update(msgspec.structs.replace(messages(part(bars, 0, 1))[0], interval_ns=5_000_000_000))


def test_the_calendar_is_asked_as_a_session_begins_and_not_again(bars):
    Counting.asked, engine = 0, FeatureEngine(Counting())
    last(engine, messages(part(bars, 0, 1)))
    at_first = Counting.asked
    last(engine, messages(part(bars, 1, 390)))
    assert Counting.asked == at_first
    last(engine, messages(part(bars, 390, len(bars.ts))))
    assert Counting.asked <= 4 * 20


def test_whole_numbers_give_the_same_bits_and_compile_nothing(engine):
    whole = [
        msgspec.structs.replace(bar, open=10, high=12, low=9, close=11, volume=5)
        for bar in messages(flat_bars(55))
    ]
    as_floats = [
        msgspec.structs.replace(bar, open=10.0, high=12.0, low=9.0, close=11.0, volume=5.0) for bar in whole
    ]
    assert last(engine, whole).tobytes() == last(FeatureEngine(EveryDay()), as_floats).tobytes()
    assert len(step.run.signatures) == 1


def test_columns_that_cannot_be_written_or_have_gaps_are_taken(bars, engine):
    frozen = np.frombuffer(bars.close.tobytes())
    gapped = np.repeat(bars.volume, 2)[::2]
    assert (
        engine.matrix(replace(bars, close=frozen, volume=gapped)).tobytes() == engine.matrix(bars).tobytes()
    )


def test_no_symbols_give_no_matrices(engine):
    assert engine.matrices({}) == {}


def test_a_symbol_without_a_sector_has_none_whatever_its_name(bars, engine):
    for name in ("", "SPY", "XLK"):
        sector = engine.matrices({name: bars})[name][:, NAMES.index("sector_beta_60")]
        assert np.isnan(sector).all()


def test_no_bars_give_an_empty_matrix(bars, engine):
    assert engine.matrix(part(bars, 0, 0)).shape == (0, len(NAMES))


def test_the_catalogue_has_every_group_and_no_name_twice():
    for group in (Group.PRICE, Group.TREND, Group.MOMENTUM, Group.VOLATILITY, Group.VOLUME, Group.SESSION):
        assert any(f.group is group and f.model for f in CATALOGUE), group
    assert len(set(NAMES)) == len(NAMES)
    assert set(MODEL_NAMES) < {f.name for f in CATALOGUE if f.stationary}


def test_memory_per_symbol_is_small_and_constant(bars, engine):
    size = engine.bytes_per_symbol()
    last(engine, messages(bars))
    assert size == engine.bytes_per_symbol() <= 65_536


def test_the_version_names_the_schema_and_the_bar_size(engine):
    assert engine.version == schema_version(MINUTE_NS)
    assert len(engine.version) == 12
    assert schema_version(5 * MINUTE_NS) != engine.version


RELEASED = json.loads(GOLDEN.read_text())["row"]


@pytest.mark.parametrize("name", RELEASED)
def test_a_number_once_released_changes_only_by_intent(name, matrix):
    assert matrix[name][-1] == pytest.approx(RELEASED[name], rel=1e-9, abs=1e-9)


def test_compiling_again_in_one_process_costs_nothing():
    compile_kernels()
    began = time.perf_counter()
    compile_kernels()
    assert time.perf_counter() - began < 0.05
    assert [len(kernel.signatures) for kernel, _ in step.COMPILED] == [1] * len(step.COMPILED)


def test_a_first_start_compiles_and_says_so_and_a_second_loads(tmp_path):
    program = (
        "from robo_trader.features import step;"
        "from robo_trader.features.compiled import compile_kernels, kernels_cached;"
        "before = kernels_cached(); compile_kernels();"
        "print(before, any(step.run.stats.cache_misses.values()), kernels_cached())"
    )
    starts = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    ]
    assert starts == [["False", "True", "True"], ["True", "False", "True"]]
    assert kernels_cached()


@pytest.mark.parametrize("module", [feature_engine, technical_indicators], ids=lambda m: m.__name__)
def test_the_examples_in_the_documentation_are_true(module):
    assert doctest.testmod(module).failed == 0
