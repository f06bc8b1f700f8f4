"""Quotes and trades between bars: published numbers, numpy, and what arrives in another order than it happened."""

import heapq
import pickle
from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Quote, Trade
from robo_trader.features.base import Bars, Quotes, Trades
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.microstructure import FEATURES
from robo_trader.features.technical_indicators import NAMES
from tests import desks
from tests.features.conftest import DAY_NS, OPEN_NS, EveryDay, messages, part, random_bars

COLUMNS = [NAMES.index(f.name) for f in FEATURES]
SPREAD, QUEUE, FLOW, MICRO, SIGN, REALISED = range(6)
NO_TRADES = Trades(np.empty(0, np.int64), np.empty(0), np.empty(0))

# Cont, Kukanov and Stoikov's formula over eight quotes: bid, its size, ask, its size, and what the flow is.
FLOWS = np.array([
    (10.00, 5, 10.02, 6, 0), (10.00, 7, 10.02, 6, 2), (10.01, 3, 10.03, 4, 9), (10.01, 6, 10.02, 5, -2),
    (10.00, 9, 10.02, 2, -3), (10.00, 4, 10.01, 7, -12), (9.99, 8, 10.01, 3, 0), (9.99, 8, 10.00, 3, -3),
])  # fmt: skip
WEIGHTED_MIDS = [
    10.009090909, 10.010769231, 10.018571429, 10.015454545, 10.016363636, 10.003636364, 10.004545455, 9.997272727,
]  # fmt: skip
# Printed by the author of the micro-price: bid, its size, ask, its size, the weighted mid.
PRINTED = np.array([
    (14.33, 20, 14.34, 471, 14.330407), (14.33, 25, 14.34, 148, 14.331445), (14.33, 31, 14.34, 95, 14.332460),
])  # fmt: skip


def at(minute):
    """Return the time `minute` minutes after the first open."""
    return OPEN_NS + round(minute * MINUTE_NS)


def quotes_of(*rows):
    """Return quotes of (minute, bid, ask, bid size, ask size)."""
    minute, *columns = np.array(rows, dtype=float).T
    return Quotes(np.array([at(m) for m in minute]), *columns)


def trades_of(*rows):
    """Return trades of (minute, price, size)."""
    minute, *columns = np.array(rows, dtype=float).T
    return Trades(np.array([at(m) for m in minute]), *columns)


def tell(bars, quotes, trades=NO_TRADES, engine=None):
    """Return the room's columns, (n, 6)."""
    engine = engine or FeatureEngine(EveryDay())
    return engine.matrices({"NVDA": bars}, {"NVDA": quotes}, {"NVDA": trades})["NVDA"][:, COLUMNS]


def one_a_bar(rows):
    """Return the columns of bars with one quote each."""
    bid, bid_size, ask, ask_size = rows[:, :4].T
    quotes = Quotes(
        np.array([at(k + 0.5) for k in range(len(rows))]), bid, ask, bid_size.copy(), ask_size.copy()
    )
    return tell(random_bars(len(rows)), quotes)


def rows_of(told):
    return zip(*(getattr(told, name).tolist() for name in told.__slots__), strict=True)


def events_of(quotes, trades):
    """Return quotes and trades as the desk receives them, in order of time."""
    told = [Quote("NVDA", *row) for row in rows_of(quotes)]
    prints = [Trade("NVDA", *row) for row in rows_of(trades)]
    return list(heapq.merge(told, prints, key=lambda event: event.ts))


def hear(engine, event):
    """Give the engine an event; return the room's columns if it is a bar."""
    match event:
        case Quote():
            return engine.on_quote(event)
        case Trade():
            return engine.on_trade(event)
    return engine.update(event)[COLUMNS]


def live(engine, bars, events, delay_ns=0):
    """Return the columns of an engine that hears each bar `delay_ns` after its close."""
    told = [(event.ts, event) for event in events]
    closed = [(bar.ts + (delay_ns(bar) if callable(delay_ns) else delay_ns), bar) for bar in messages(bars)]
    said = [hear(engine, event) for _, event in heapq.merge(told, closed, key=lambda x: x[0])]
    return np.array([row for row in said if row is not None])


@pytest.fixture(scope="module")
def bars():
    return random_bars(2 * 390)


@pytest.fixture(scope="module")
def market(bars):
    """Quotes and trades of two sessions, before and after hours too, with minutes and a quarter of an hour of silence."""
    rng = np.random.default_rng(21)
    times = np.sort(np.concatenate([rng.integers(at(-30), at(450), 6000) + day * DAY_NS for day in (0, 1)]))
    minute = (times - OPEN_NS) // MINUTE_NS
    times = times[(minute % 7 != 3) & ((minute < 100) | (minute >= 115))]
    mid = np.round(100 + np.cumsum(rng.normal(0, 0.01, len(times))), 2)
    is_quote = rng.random(len(times)) < 0.7
    half = rng.integers(1, 4, len(times)) / 100
    size = rng.integers(0, 20, (2, len(times))) * 100.0
    q, t = np.flatnonzero(is_quote), np.flatnonzero(~is_quote)
    quotes = Quotes(times[q], (mid - half)[q], (mid + half)[q], size[0, q], size[1, q])
    prices = np.round(mid[t] + rng.integers(-2, 3, len(t)) / 100, 2)
    return quotes, Trades(times[t], prices, 1.0 + size[0, t])


def test_order_flow_is_that_of_the_published_formula():
    flow = one_a_bar(FLOWS)[:, FLOW] * (FLOWS[:, 1] + FLOWS[:, 3]) / 2
    np.testing.assert_allclose(flow, FLOWS[:, 4], atol=1e-9)


@pytest.mark.parametrize(
    ("rows", "weighted"), [(FLOWS, WEIGHTED_MIDS), (PRINTED, PRINTED[:, 4])], ids=["computed", "printed"]
)
def test_the_micro_price_is_the_published_one(rows, weighted):
    bid, _, ask, _, _ = rows.T
    micro = (bid + ask) / 2 + one_a_bar(rows)[:, MICRO] * (ask - bid)
    np.testing.assert_allclose(micro, weighted, atol=1e-6)


@pytest.mark.parametrize(
    ("trades", "sign"),
    [
        ([(0.5, 10.01, 1)], 1),  # above the mid
        ([(0.5, 9.99, 1)], -1),  # below it
        ([(0.5, 10.00, 1)], 0),  # at the mid, and no price before
        ([(0.4, 9.99, 2), (0.5, 10.00, 1)], -1 / 3),  # at the mid after a rise
        ([(0.4, 10.01, 2), (0.5, 10.00, 1)], 1 / 3),  # at the mid after a fall
        ([(0.4, 9.99, 2), (0.5, 10.00, 1), (0.6, 10.00, 1)], 0),  # at the mid twice: the last change counts
        ([(0.1, 9.99, 1), (0.15, 10.0, 2)], 2 / 3),  # no quote yet: by the change alone
        ([], 0),
    ],
)
def test_a_trade_is_signed_by_the_mid_and_at_the_mid_by_the_last_change(trades, sign):
    told = trades_of(*trades) if trades else NO_TRADES
    columns = tell(random_bars(1), quotes_of((0.2, 9.98, 10.02, 5, 5)), told)
    assert columns[0, SIGN] == pytest.approx(sign)


def test_the_realised_spread_is_known_five_minutes_later():
    quotes = quotes_of(*((k + 0.01, 9.98 + k / 100, 10.02 + k / 100, 5, 5) for k in range(9)))
    bought = trades_of((0.5, 10.02, 300), (1.5, 9.99, 100))  # and, a minute later, sold
    realised = tell(random_bars(9), quotes, bought)[:, REALISED]
    assert np.flatnonzero(~np.isnan(realised)).tolist() == [5, 6]
    assert realised[5] == pytest.approx(2e4 * (10.02 - 10.05) / 10.05)
    assert realised[6] == pytest.approx(-2e4 * (9.99 - 10.06) / 10.06)


def sides_of(quotes, trades):
    """Return Lee and Ready's sign of each trade."""
    mids = np.append(np.nan, (quotes.bid + quotes.ask) / 2)
    standing = mids[np.searchsorted(quotes.ts, trades.ts, side="right")]
    sides, tick = [], 0
    for change, from_mid in zip(np.diff(trades.price, prepend=np.nan), trades.price - standing, strict=True):
        tick = np.sign(np.round(np.nan_to_num(change), 6)) or tick
        sides.append(np.sign(np.round(np.nan_to_num(from_mid), 6)) or tick)
    return np.array(sides)


def met_by(quotes, trades):
    """Return when each trade's five minutes are over, counted from the end of its five seconds, and the mid then."""
    due = (trades.ts // (5 * SECOND_NS) + 1) * 5 * SECOND_NS + 300 * SECOND_NS
    return due, ((quotes.bid + quotes.ask) / 2)[np.searchsorted(quotes.ts, due) - 1]


def of_session(told, day):
    """Return what was told within the session of a day."""
    inside = (told.ts > at(0) + day * DAY_NS) & (told.ts <= at(390) + day * DAY_NS)
    return type(told)(*(getattr(told, name)[inside] for name in told.__slots__))


def flows_of(quotes):
    """Return Cont, Kukanov and Stoikov's flow of each quote, 0 of the first."""
    b, a, p, q = quotes.bid_size, quotes.ask_size, np.diff(quotes.bid), np.diff(quotes.ask)
    flow = b[1:] * (p >= 0) - b[:-1] * (p <= 0) - a[1:] * (q <= 0) + a[:-1] * (q >= 0)
    return np.append(0, flow)


def expected(end, quotes, trades, flow, sides, due, mids):
    """Return the columns of the bar that closes at `end`, the queue's imbalance before it is smoothed."""
    here, now, ripe = ((x > end - MINUTE_NS) & (x <= end) for x in (quotes.ts, trades.ts, due))
    if not here.any():
        return np.full(6, np.nan)
    total = quotes.bid_size + quotes.ask_size
    imbalance = ((quotes.bid_size - quotes.ask_size) / np.maximum(total, 1))[here]
    spread = (2e4 * (quotes.ask - quotes.bid) / (quotes.ask + quotes.bid))[here].mean()
    size, met = trades.size[ripe] * abs(sides[ripe]), mids[ripe]
    earned = (2e4 * sides[ripe] * size * (trades.price[ripe] / met - 1)).sum()
    return [
        np.log(spread),
        imbalance.mean(),
        flow[here].sum() / (total[here].mean() / 2) if total[here].any() else 0,
        imbalance[-1] / 2,
        (sides * trades.size)[now].sum() / trades.size[now].sum() if now.any() else 0,
        earned / size.sum() if size.any() else np.nan,
    ]


def smoothed(values, period=20):
    """Return the exponential mean from the mean of the first values on, over those that are known."""
    out, known = np.full(len(values), np.nan), np.flatnonzero(~np.isnan(values))
    mean = values[known[:period]].mean()
    out[known[period - 1]] = mean
    for i in known[period:]:
        out[i] = mean = mean + 2 / (period + 1) * (values[i] - mean)
    return out


def test_every_column_is_what_numpy_makes_of_the_events(bars, market):
    theirs = []
    for day in (0, 1):
        quotes, trades = (of_session(x, day) for x in market)
        facts = quotes, trades, flows_of(quotes), sides_of(quotes, trades), *met_by(quotes, trades)
        theirs += [expected(end, *facts) for end in bars.ts[390 * day : 390 * (day + 1)]]
    theirs = np.array(theirs)
    silent = np.isnan(theirs[:, QUEUE])
    theirs[:, QUEUE] = smoothed(theirs[:, QUEUE])
    ours = tell(bars, *market)
    np.testing.assert_allclose(ours, theirs, atol=1e-8, rtol=1e-9)
    assert 100 < silent.sum() < 200
    assert np.isnan(ours[silent]).all()
    assert (~np.isnan(ours[:, REALISED])).sum() > 300


@pytest.mark.parametrize("delay_ns", [0, 1, 2 * SECOND_NS, 59 * SECOND_NS])
def test_a_bar_that_comes_late_is_told_what_happened_in_its_own_time(delay_ns, bars, market):
    ours = live(FeatureEngine(EveryDay()), bars, events_of(*market), delay_ns)
    assert ours.tobytes() == tell(bars, *market).tobytes()


def test_bars_that_come_late_by_chance_are_told_the_same(bars, market):
    delays = dict(
        zip(bars.ts.tolist(), np.random.default_rng(2).integers(0, MINUTE_NS, len(bars.ts)), strict=True)
    )
    ours = live(FeatureEngine(EveryDay()), bars, events_of(*market), lambda bar: int(delays[bar.ts]))
    assert ours.tobytes() == tell(bars, *market).tobytes()


def test_missing_and_impossible_bars_leave_the_others_what_they_are(bars, market):
    keep = np.random.default_rng(8).random(len(bars.ts)) > 0.2
    low = np.where(np.arange(len(bars.ts)) % 11 == 5, -1.0, bars.low)
    some = Bars(*(x[keep] for x in (bars.ts, bars.open, bars.high, low, bars.close, bars.volume)))
    whole, thin = tell(bars, *market)[keep], tell(some, *market)
    is_bar = some.low > 0
    window = [SPREAD, FLOW, MICRO, SIGN, REALISED]
    assert thin[is_bar][:, window].tobytes() == whole[is_bar][:, window].tobytes()
    assert np.isnan(thin[~is_bar]).all()


def test_a_pickled_engine_goes_on_bit_for_bit(bars, market):
    engine, events = FeatureEngine(EveryDay()), events_of(*market)
    told = heapq.merge(events, messages(bars), key=lambda event: event.ts)
    rows = []
    for i, event in enumerate(told):
        if i == 1234:
            engine = pickle.loads(pickle.dumps(engine))
        rows.append(hear(engine, event))
    assert np.array([row for row in rows if row is not None]).tobytes() == tell(bars, *market).tobytes()


def test_a_quote_after_the_close_belongs_to_the_next_bar_though_it_came_before_this_one(bars):
    engine = FeatureEngine(EveryDay())
    first, second, *_ = messages(bars)
    hear(engine, Quote("NVDA", at(0.5), 10.0, 10.02, 5, 5))
    hear(engine, Quote("NVDA", at(1.001), 10.0, 10.02, 9, 1))
    assert hear(engine, first)[MICRO] == 0
    assert hear(engine, second)[MICRO] == pytest.approx(0.4)


def test_a_quote_that_comes_after_its_bar_was_told_counts_for_the_next(bars):
    engine = FeatureEngine(EveryDay())
    first, second, *_ = messages(bars)
    assert np.isnan(hear(engine, first)[MICRO])
    hear(engine, Quote("NVDA", at(0.4), 10.0, 10.02, 5, 5))  # the book is opened by it
    hear(engine, Quote("NVDA", at(1.1), 10.0, 10.02, 5, 5))
    hear(engine, Quote("NVDA", at(0.9), 10.0, 10.02, 9, 1))
    assert hear(engine, second)[MICRO] == pytest.approx(0.4)


def test_a_quote_of_the_bars_last_moment_counts_for_it(bars):
    columns = tell(part(bars, 0, 2), quotes_of((1, 10.0, 10.02, 9, 1)))
    assert columns[0, MICRO] == pytest.approx(0.4)
    assert np.isnan(columns[1]).all()


def test_a_symbol_without_quotes_knows_nothing_of_its_book(bars, market):
    _, trades = market
    assert np.isnan(FeatureEngine(EveryDay()).matrix(bars)[:, COLUMNS]).all()
    none = Quotes(np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
    assert np.isnan(tell(bars, none, trades)).all()


def test_a_session_starts_with_an_empty_book(bars, market):
    second = [of_session(x, 1) for x in market]
    alone, after = tell(bars, *second)[390:], tell(bars, *market)[390:]
    window = [SPREAD, FLOW, MICRO, SIGN, REALISED]
    assert after[:, window].tobytes() == alone[:, window].tobytes()
    assert np.isnan(after[:5, REALISED]).all()


def test_bars_of_half_an_hour_have_books_of_half_an_hour(market):
    long = random_bars(26)
    day, k = np.divmod(np.arange(26), 13)
    long = replace(long, ts=OPEN_NS + day * DAY_NS + (k + 1) * 30 * MINUTE_NS)
    engine = FeatureEngine(EveryDay(), 30 * MINUTE_NS)
    ours = tell(long, *market, engine)
    quotes = market[0]
    for row, ts in zip(ours, long.ts, strict=True):
        here = (quotes.ts > ts - 30 * MINUTE_NS) & (quotes.ts <= ts)
        relative = 2e4 * (quotes.ask - quotes.bid) / (quotes.ask + quotes.bid)
        assert row[SPREAD] == pytest.approx(np.log(relative[here].mean()))


@pytest.mark.parametrize(
    "wrong",
    [(10.02, 10.0, 5, 5), (0, 10.0, 5, 5), (np.nan, 10.0, 5, 5), (10.0, np.inf, 5, 5), (10.0, 10.02, -1, 5)],
)
def test_an_impossible_quote_is_passed_over(wrong, bars):
    good = (0.2, 10.0, 10.02, 9, 1)
    clean, spoiled = (tell(part(bars, 0, 1), quotes_of(*rows)) for rows in ([good], [good, (0.5, *wrong)]))
    assert clean.tobytes() == spoiled.tobytes()


@pytest.mark.parametrize("wrong", [(0.0, 5), (np.nan, 5), (10.0, -5), (10.0, np.nan)])
def test_an_impossible_trade_is_passed_over(wrong, bars):
    quotes, good = quotes_of((0.2, 10.0, 10.02, 9, 1)), (0.3, 10.02, 5)
    clean, spoiled = (
        tell(part(bars, 0, 1), quotes, trades_of(*rows)) for rows in ([good], [good, (0.5, *wrong)])
    )
    assert clean.tobytes() == spoiled.tobytes()


def test_a_locked_market_has_the_narrowest_spread_there_is(bars):
    columns = tell(part(bars, 0, 1), quotes_of((0.2, 10.0, 10.0, 9, 1)))
    assert columns[0, SPREAD] == np.log(0.01)
    assert columns[0, MICRO] == pytest.approx(0.4)


def test_quotes_out_of_order_are_refused(bars):
    with pytest.raises(ValueError, match="sort them by `ts`"):
        tell(bars, quotes_of((2, 10.0, 10.02, 5, 5), (1, 10.0, 10.02, 5, 5)))


def test_the_desk_passes_on_what_it_hears():
    class Hearing(desks.PlainFeatures):
        heard = ()

        def on_quote(self, quote):
            self.heard += (quote,)

        on_trade = on_quote

    features = Hearing()
    told = desks.quote(1), Trade("NVDA", desks.OPEN + 2, 100.0, 5.0)
    desks.play(desks.desk(desks.Scripted(), features=features), desks.opening(), *told)
    assert features.heard == told
