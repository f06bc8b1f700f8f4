"""What is trained on is what is served, and the synthetic market's edge is found only where it was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.feature_pipeline import MatrixOptions
from robo_trader.ml import trainer
from robo_trader.ml.dataset import build_dataset, fingerprint
from robo_trader.ml.labels import LabelOptions
from robo_trader.simulation.market import SyntheticMarket
from tests.ml.conftest import QUICK

CALENDAR = XnysCalendar()
SYMBOLS = ("AAPL", "NVDA")


def market_bars(edge: float, sessions: int, seed: int = 7) -> dict[str, Bars]:
    market = SyntheticMarket(seed, edge)
    found = {}
    for symbol in SYMBOLS:
        days = [market.minutes(symbol, session) for session in CALENDAR.before("2026-01-05", sessions)]
        columns = [
            np.concatenate([getattr(day, name) for day in days])
            for name in ("open", "high", "low", "close", "volume")
        ]
        found[symbol] = Bars(np.concatenate([day.start for day in days]) + MINUTE_NS, *columns)
    return found


@pytest.fixture(scope="module")
def bars() -> dict[str, Bars]:
    return market_bars(edge=1.0, sessions=3)


def test_a_row_of_the_dataset_is_the_row_that_is_served_live(bars: dict[str, Bars]) -> None:
    alone = build_dataset({"NVDA": bars["NVDA"]}, CALENDAR)
    engine = FeatureEngine(CALENDAR)
    columns = [engine.names.index(name) for name in alone.feature_names]
    served = {}
    one = bars["NVDA"]
    for i, ts in enumerate(one.ts.tolist()):
        prices = (float(column[i]) for column in (one.open, one.high, one.low, one.close, one.volume))
        vector = engine.update(Bar("NVDA", ts, *prices))
        if vector is not None:
            served[ts] = vector[columns].astype(np.float32)
    assert len(alone.ts) > 600
    assert all(np.array_equal(served[ts], row) for ts, row in zip(alone.ts.tolist(), alone.rows, strict=True))
    both = build_dataset(bars, CALENDAR)
    assert (
        len(alone.ts) < len(both.ts) <= 2 * len(alone.ts)
    )  # the first minutes of a pair have nothing to be ranked by


def test_labels_stand_beside_the_bar_they_judge(bars: dict[str, Bars]) -> None:
    dataset = build_dataset({"AAPL": bars["AAPL"]}, CALENDAR, LabelOptions(horizon=10))
    one = bars["AAPL"]
    place = {ts: i for i, ts in enumerate(one.ts.tolist())}
    for i in range(0, len(dataset.ts), 7):
        at, end = place[int(dataset.ts[i])], place[int(dataset.known_at[i])]
        assert at < end <= at + 10
        assert dataset.nearest[i] == pytest.approx(np.log(one.close[at + 1] / one.close[at]))
        if end < at + 10:  # decided by a barrier: nothing went as far before
            reach = abs(dataset.forward[i])
            before = slice(at + 1, end)
            assert (np.abs(np.log(one.high[before] / one.close[at])) < reach + 1e-12).all()
            assert (np.abs(np.log(one.low[before] / one.close[at])) < reach + 1e-12).all()
        assert dataset.label[i] == (dataset.forward[i] > 0)


def test_the_fingerprint_knows_every_price_and_no_order_of_symbols(bars: dict[str, Bars]) -> None:
    before = fingerprint(bars)
    assert fingerprint(dict(reversed(bars.items()))) == before
    changed = bars["NVDA"].close.copy()
    changed[5] += 0.01
    assert fingerprint(bars | {"NVDA": replace(bars["NVDA"], close=changed)}) != before


def test_bars_too_few_for_a_label_are_refused(bars: dict[str, Bars]) -> None:
    short = {name: Bars(*(getattr(one, field)[:40] for field in one.__slots__)) for name, one in bars.items()}
    with pytest.raises(DataError, match="fetch more history"):
        build_dataset(short, CALENDAR)


def test_bars_larger_than_any_label_are_refused_with_a_remedy() -> None:
    closes = np.array([session.close for session in CALENDAR.before("2026-01-05", 60)])
    days = Bars(closes, *(100 + 0.1 * np.arange(60.0) for _ in range(4)), np.full(60, 1e6))
    with pytest.raises(DataError, match=r"no session has more than 1 of these bars.*take smaller bars"):
        build_dataset({"AAPL": days}, CALENDAR, LabelOptions(horizon=5), 1440 * MINUTE_NS)


def test_a_planted_edge_is_proven_and_a_martingale_is_not() -> None:
    there = trainer.train(build_dataset(market_bars(edge=1.0, sessions=90), CALENDAR), QUICK)
    assert there.ensemble.card.proven, there.ensemble.card.reason
    assert there.report.record.trades > 300
    absent = trainer.train(build_dataset(market_bars(edge=0.0, sessions=90), CALENDAR), QUICK)
    assert not absent.ensemble.card.proven
    assert absent.report.auc.low <= 0.5


def test_what_is_only_compared_with_is_no_symbol_that_was_learnt_from(bars: dict[str, Bars]) -> None:
    options = MatrixOptions("AAPL", {"NVDA": "AAPL"}, of=("NVDA",))
    compared = build_dataset(bars, CALENDAR, matrix_options=options)
    assert (compared.market, compared.sectors) == ("AAPL", {"NVDA": "AAPL"})
    assert compared.symbols == ("NVDA",)
    assert set(compared.symbol) == {0}
    assert compared.sessions == 2  # the first one warms what compares
