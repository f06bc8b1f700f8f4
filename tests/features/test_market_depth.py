"""Five levels of the book between bars: published numbers of one level, numpy for five, and what stops or is split."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Depth
from robo_trader.features.base import Depths
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.market_depth import FEATURES, LEVELS, ladder
from robo_trader.features.technical_indicators import NAMES
from tests import desks
from tests.features.conftest import DAY_NS, OPEN_NS, EveryDay, messages, part, random_bars
from tests.features.test_microstructure import FLOWS, PRINTED, WEIGHTED_MIDS, events_of, quotes_of, trades_of

COLUMNS = [NAMES.index(f.name) for f in FEATURES]
IMBALANCE, MICRO, PRESSURE, COST, FLOW = range(5)
GOOD = [(10.00, 100.0), (9.99, 200.0)], [(10.02, 100.0), (10.03, 50.0)]


def at(minute):
    """Return the time `minute` minutes after the first open."""
    return OPEN_NS + round(minute * MINUTE_NS)


def depths_of(*rows):
    """Return books of (minute, bids, asks)."""
    return Depths(np.array([at(m) for m, _, _ in rows]), np.array([ladder(b, a) for _, b, a in rows]))


def tell(bars, depths, engine=None):
    """Return the room's columns, (n, 5)."""
    engine = engine or FeatureEngine(EveryDay())
    return engine.matrices({"NVDA": bars}, depths={"NVDA": depths})["NVDA"][:, COLUMNS]


def one_a_bar(rows):
    """Return the columns of bars with one book of one level each."""
    books = [
        (k + 0.5, [(bid, bid_size)], [(ask, ask_size)])
        for k, (bid, bid_size, ask, ask_size) in enumerate(rows[:, :4])
    ]
    return tell(random_bars(len(rows)), depths_of(*books))


def sides(row):
    """Return the levels that a row has, as (bids, asks)."""
    bids, bid_sizes, asks, ask_sizes = row.reshape(4, LEVELS).tolist()
    return tuple(
        tuple((price, size) for price, size in zip(*side, strict=True) if size)
        for side in ((bids, bid_sizes), (asks, ask_sizes))
    )


def events(depths):
    """Return books as the desk receives them."""
    rows = zip(depths.ts.tolist(), depths.levels, strict=True)
    return [Depth("NVDA", ts, *sides(row)) for ts, row in rows]


def live(engine, bars, books, delay_ns=0, hear=lambda engine, i: engine):
    """Return the columns of an engine that hears each bar `delay_ns` after its close."""
    told = [(book.ts, 0, book) for book in books] + [(bar.ts + delay_ns, 1, bar) for bar in messages(bars)]
    rows = []
    for i, (_, _, event) in enumerate(sorted(told, key=lambda x: x[:2])):
        engine = hear(engine, i)
        if isinstance(event, Depth):
            engine.on_depth(event)
        else:
            rows.append(engine.update(event)[COLUMNS])
    return np.array(rows)


def random_books(ts, seed):
    """Return books around a wandering mid, of three to five levels a side, with holes between them."""
    rng = np.random.default_rng(seed)
    mid = np.round(100 + np.cumsum(rng.normal(0, 0.01, len(ts))), 2)
    rows = []
    for m in mid:
        side = []
        for sign in (-1, 1):
            n = rng.integers(3, LEVELS + 1)
            prices = np.round(m + sign * np.cumsum(rng.integers(1, 4, n)) / 100, 2)
            side.append(list(zip(prices.tolist(), (100.0 * rng.integers(1, 9, n)).tolist(), strict=True)))
        rows.append(ladder(*side))
    return Depths(ts, np.array(rows))


@pytest.fixture(scope="module")
def bars():
    return random_bars(2 * 390)


@pytest.fixture(scope="module")
def books():
    """Books of two sessions, before and after hours too, with minutes and a quarter of an hour of silence."""
    rng = np.random.default_rng(4)
    ts = np.sort(np.concatenate([rng.integers(at(-30), at(450), 3000) + day * DAY_NS for day in (0, 1)]))
    minute = (ts - OPEN_NS) // MINUTE_NS
    return random_books(ts[(minute % 7 != 3) & ((minute < 100) | (minute >= 115))], seed=5)


# ------------------------------------------------------------------------------------------------- what it says


def test_of_one_level_the_flow_is_that_of_the_published_formula():
    flow = one_a_bar(FLOWS)[:, FLOW] * (FLOWS[:, 1] + FLOWS[:, 3]) / 2
    np.testing.assert_allclose(flow, FLOWS[:, 4], atol=1e-9)


@pytest.mark.parametrize(("rows", "weighted"), [(FLOWS, WEIGHTED_MIDS), (PRINTED, PRINTED[:, 4])])
def test_of_one_level_the_micro_price_is_the_published_one(rows, weighted):
    mid = (rows[:, 0] + rows[:, 2]) / 2
    np.testing.assert_allclose(mid * (1 + one_a_bar(rows)[:, MICRO] / 1e4), weighted, atol=1e-6)


def test_a_round_trip_walks_the_book():
    # At a mid of 10.00 it is 2,500 shares: 1,000 at 10.01, 1,500 at 10.03; all of them at 9.98.
    book = [(9.99, 0.5), (9.98, 9_000.0)], [(10.01, 1_000.0), (10.03, 2_000.0)]
    paid, got = 1_000 * 10.01 + 1_500 * 10.03, 0.5 * 9.99 + 2_499.5 * 9.98
    (row,) = tell(random_bars(1), depths_of((0.5, *book)))
    assert np.exp(row[COST]) == pytest.approx(1e4 * (paid - got) / 25_000, rel=1e-12)


def test_what_a_book_does_not_hold_has_no_cost_and_all_else_it_says():
    deep = [(9.99, 9_000.0)], [(10.01, 9_000.0)]
    thin, mixed = tell(random_bars(2), depths_of((0.5, *GOOD), (1.2, *GOOD), (1.4, *deep)))
    assert np.flatnonzero(np.isnan(thin)).tolist() == [COST]
    assert np.exp(mixed[COST]) == pytest.approx(20.0)


def test_a_side_that_is_nearer_and_larger_presses():
    (row,) = tell(random_bars(1), depths_of((0.5, *GOOD)))
    # Distances of 1 and 2 cents from the mid of 10.01.
    assert row[PRESSURE] == pytest.approx(np.log((100 / 1 + 200 / 2) / (100 / 1 + 50 / 2)))
    assert row[IMBALANCE] == pytest.approx(150 / 450)
    bid, ask = (100 * 10.00 + 200 * 9.99) / 300, (100 * 10.02 + 50 * 10.03) / 150
    assert row[MICRO] == pytest.approx(1e4 * ((bid * 150 + ask * 300) / 450 / 10.01 - 1))


def cost_of(prices, sizes, shares):
    """Return what `shares` cost, NaN where there are fewer."""
    before = np.cumsum(sizes) - sizes
    taken = np.clip(shares - before, 0, sizes)
    return (taken * prices).sum() if sizes.sum() >= shares else np.nan


def expected(levels):
    """Return what numpy makes of each book: imbalance, deviation, pressure, cost, and its half depth."""
    out = []
    for row in levels:
        bid, bid_size, ask, ask_size = row.reshape(4, LEVELS)
        mid, b, a = (bid[0] + ask[0]) / 2, bid_size.sum(), ask_size.sum()
        there, beyond = bid_size > 0, ask_size > 0
        bid, bid_size, ask, ask_size = bid[there], bid_size[there], ask[beyond], ask_size[beyond]
        p = (np.average(bid, weights=bid_size) * a + np.average(ask, weights=ask_size) * b) / (a + b)
        slopes = (
            (size / (1e4 * abs(price / mid - 1))).sum() for price, size in ((bid, bid_size), (ask, ask_size))
        )
        shares = 25_000 / mid
        cost = cost_of(ask, ask_size, shares) - cost_of(bid, bid_size, shares)
        out.append(
            [
                (b - a) / (b + a),
                1e4 * (p / mid - 1),
                np.log(next(slopes) / next(slopes)),
                cost / 2.5,
                (a + b) / 2,
            ]
        )
    return np.array(out)


def flows_of(levels):
    """Return the flow of each book over all levels, 0 of the first."""
    b, q, a, r = (levels.reshape(-1, 4, LEVELS)[:, i] for i in range(4))
    up, down = b[1:] >= b[:-1], b[1:] <= b[:-1]
    low, high = a[1:] <= a[:-1], a[1:] >= a[:-1]
    flow = q[1:] * up - q[:-1] * down - r[1:] * low + r[:-1] * high
    return np.append(0, flow.sum(axis=1))


def test_every_column_is_what_numpy_makes_of_the_books(bars, books):
    theirs = np.full((len(bars.ts), 5), np.nan)
    for day in (0, 1):
        inside = (books.ts > at(0) + day * DAY_NS) & (books.ts <= at(390) + day * DAY_NS)
        ts, levels = books.ts[inside], books.levels[inside]
        facts, flow = expected(levels), flows_of(levels)
        for i in range(390 * day, 390 * (day + 1)):
            here = (ts > bars.ts[i] - MINUTE_NS) & (ts <= bars.ts[i])
            if here.any():
                of = facts[here]
                cost = of[~np.isnan(of[:, 3]), 3]
                mean = cost.mean() if len(cost) else np.nan
                total = flow[here].sum() / of[:, 4].mean()
                theirs[i] = of[:, 0].mean(), of[-1, 1], of[:, 2].mean(), np.log(max(mean, 0.01)), total
    ours = tell(bars, books)
    np.testing.assert_allclose(ours, theirs, atol=1e-8, rtol=1e-8)
    assert np.isfinite(theirs[:, COST]).sum() > 500
    assert 100 < np.isnan(theirs[:, IMBALANCE]).sum() < 200


# -------------------------------------------------------------------------------------------- when it is told


def test_a_bar_without_a_book_knows_nothing_though_one_stood_before():
    columns = tell(random_bars(3), depths_of((0.5, *GOOD), (2.5, *GOOD)))
    assert np.isnan(columns[1]).all()
    assert columns[2, FLOW] == 0


def test_a_book_of_no_levels_says_that_the_last_one_is_gone():
    more = [(10.00, 900.0)], GOOD[1]
    told = tell(random_bars(2), depths_of((0.5, *GOOD), (1.5, *more)))
    gone = tell(random_bars(2), depths_of((0.5, *GOOD), (1.2, [], []), (1.5, *more)))
    assert told[1, FLOW] > 0 == gone[1, FLOW]
    assert gone[1, IMBALANCE] == told[1, IMBALANCE]
    (only,) = tell(random_bars(1), depths_of((0.5, [], [])))
    assert np.isnan(only).all()


@pytest.mark.parametrize(
    "wrong",
    [
        ([(10.03, 1.0)], [(10.02, 1.0)]),
        ([(10.00, 1.0)], []),
        ([(10.00, 1.0), (10.01, 1.0)], [(10.02, 1.0)]),
        ([(10.00, 1.0)], [(10.02, 1.0), (10.01, 1.0)]),
        ([(np.nan, 1.0)], [(10.02, 1.0)]),
        ([(10.00, -1.0)], [(10.02, 1.0)]),
        ([(10.00, 1.0)], [(10.02, np.inf)]),
        ([(10.00, 1.0), (np.nan, 1.0)], [(10.02, 1.0)]),
    ],
)
def test_an_impossible_book_is_passed_over(wrong):
    clean, spoiled = (
        tell(random_bars(1), depths_of(*rows)) for rows in ([(0.2, *GOOD)], [(0.2, *GOOD), (0.5, *wrong)])
    )
    assert clean.tobytes() == spoiled.tobytes()


def test_a_locked_book_is_finite():
    (row,) = tell(random_bars(1), depths_of((0.5, [(10.0, 9_000.0)], [(10.0, 9_000.0)])))
    assert row.tolist() == [0, 0, 0, np.log(0.01), 0]


def test_more_than_five_levels_are_left_out():
    levels = [(10.0 - i / 100, 100.0) for i in range(8)]
    book = levels, [(20.02 - price, size) for price, size in levels]
    assert ladder(*book).tobytes() == ladder(*(side[:LEVELS] for side in book)).tobytes()


@pytest.mark.parametrize("delay_ns", [0, 2 * SECOND_NS, 59 * SECOND_NS])
def test_a_bar_that_comes_late_is_told_the_books_of_its_own_time(delay_ns, bars, books):
    ours = live(FeatureEngine(EveryDay()), bars, events(books), delay_ns)
    assert ours.tobytes() == tell(bars, books).tobytes()


def test_depth_changes_nothing_of_what_quotes_and_trades_say(bars, books):
    quotes, trades = quotes_of((0.5, 10.0, 10.02, 5, 9), (7, 10.0, 10.02, 9, 5)), trades_of((0.6, 10.02, 100))
    engine, told = FeatureEngine(EveryDay()), ({"NVDA": quotes}, {"NVDA": trades})
    without = engine.matrices({"NVDA": bars}, *told)["NVDA"]
    beside = engine.matrices({"NVDA": bars}, *told, {"NVDA": books})["NVDA"]
    others = [i for i in range(len(NAMES)) if i not in COLUMNS]
    assert beside[:, others].tobytes() == without[:, others].tobytes()
    assert beside[:, COLUMNS].tobytes() == tell(bars, books).tobytes()
    assert events_of(quotes, trades)


@pytest.mark.parametrize("how", ["pickled", "saved"])
def test_what_is_kept_of_a_book_goes_on_bit_for_bit(how, bars, books):
    def change(engine, i):
        if i != 1234:
            return engine
        if how == "pickled":
            return pickle.loads(pickle.dumps(engine))
        other = FeatureEngine(EveryDay())
        other.restore(engine.saved())
        return other

    assert (
        live(FeatureEngine(EveryDay()), bars, events(books), hear=change).tobytes()
        == tell(bars, books).tobytes()
    )


def test_later_books_change_no_bar_before_them(bars, books):
    whole = tell(bars, books)
    for cut in (37, 390, 555):
        later = books.ts > bars.ts[cut - 1]
        other = replace(
            books, levels=np.where(later[:, None], random_books(books.ts, 9).levels, books.levels)
        )
        told = tell(bars, other)
        assert told[:cut].tobytes() == whole[:cut].tobytes()
        assert told[cut:].tobytes() != whole[cut:].tobytes()


def test_a_session_starts_with_an_empty_book(bars, books):
    second = books.ts > at(0) + DAY_NS
    alone = tell(bars, Depths(books.ts[second], books.levels[second]))
    assert alone[390:].tobytes() == tell(bars, books)[390:].tobytes()


# --------------------------------------------------------------------------------------------------- splits


def test_a_split_changes_nothing_of_what_depth_says(bars, books):
    restated = books.levels.reshape(-1, 4, LEVELS) * np.array([0.25, 4, 0.25, 4])[:, None]
    ours = tell(bars, replace(books, levels=restated.reshape(-1, 4 * LEVELS)))
    np.testing.assert_allclose(ours, tell(bars, books), atol=1e-9, rtol=1e-9)


def test_a_split_between_two_bars_forgets_the_book_of_before(bars):
    engine = FeatureEngine(EveryDay())
    first, second, third, *_ = messages(bars)
    engine.on_depth(Depth("NVDA", at(0.5), *(tuple(side) for side in GOOD)))
    assert np.isfinite(engine.update(first)[COLUMNS[IMBALANCE]])
    engine.rescale("NVDA", 4.0)
    assert np.isnan(engine.update(second)[COLUMNS]).all()
    engine.on_depth(Depth("NVDA", at(2.5), ((2.50, 400.0),), ((2.51, 400.0),)))
    after = engine.update(third)[COLUMNS]
    assert after[FLOW] == 0
    assert after[IMBALANCE] == 0


# -------------------------------------------------------------------------------------------------- plumbing


def test_books_out_of_order_are_refused(bars):
    with pytest.raises(ValueError, match="sort them by `ts`"):
        tell(bars, depths_of((2, *GOOD), (1, *GOOD)))


def test_a_symbol_without_depth_knows_nothing_of_it(bars):
    assert np.isnan(FeatureEngine(EveryDay()).matrix(bars)[:, COLUMNS]).all()
    assert np.isnan(tell(part(bars, 0, 3), Depths(np.empty(0, np.int64), np.empty((0, 4 * LEVELS))))).all()


def test_the_desk_passes_on_the_books_it_hears():
    class Hearing(desks.PlainFeatures):
        heard = ()

        def on_depth(self, depth):
            self.heard += (depth,)

    features = Hearing()
    book = Depth("NVDA", desks.OPEN + 2, ((99.99, 100.0),), ((100.01, 100.0),))
    desks.play(desks.desk(desks.Scripted(), features=features), desks.opening(), book)
    assert features.heard == (book,)
