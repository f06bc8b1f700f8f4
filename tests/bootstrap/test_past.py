"""History for a start: what is stored counts, what lacks is asked for once, and the features begin with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from robo_trader.bootstrap import past, plan
from robo_trader.bootstrap.past import HistoryReader, sessions_to_warm, take, warm_desk
from robo_trader.config import load
from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.inbox import Inbox
from robo_trader.data import bars as data_bars
from robo_trader.data.pipeline import Pipeline
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.refusals import RequestRefused, Unanswered
from robo_trader.storage import feature_rows, queries
from robo_trader.storage.database import Database

CALENDAR = XnysCalendar()
DAYS = CALENDAR.before("2026-01-08", 3)  # 5, 6, 7 January
NOW = CALENDAR.after("2026-01-07").open + 5 * MINUTE_NS


class Tws:
    """Answers with all it has after the time it is asked from."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = list(bars)
        self.asked: list[tuple[str, int]] = []
        self.refuses: Exception | None = None

    async def history(self, symbol: str, since_ns: int) -> list[Bar]:
        self.asked.append((symbol, since_ns))
        if self.refuses is not None:
            raise self.refuses
        return [bar for bar in self.bars if bar.symbol == symbol and bar.ts > since_ns]


def walk(symbol: str, seed: int) -> list[Bar]:
    """Return the minutes of three days and of five minutes today, as a walk in cents."""
    closes = [ts for day in DAYS for ts in range(day.open + MINUTE_NS, day.close + 1, MINUTE_NS)]
    closes += [DAYS[-1].open + (24 * 60 + n) * MINUTE_NS for n in range(1, 6)]
    rng = np.random.default_rng(seed)
    prices = np.round(100 * np.exp(np.cumsum(rng.normal(0, 4e-4, len(closes)))), 2).tolist()
    return [
        Bar(symbol, ts, price, price + 0.02, price - 0.02, price, 100.0, history=True)
        for ts, price in zip(closes, prices, strict=True)
    ]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(tmp_path / "desk.db") as opened:
        yield opened


async def read(
    tws: Any, database: Database, symbols: Sequence[str] = ("NVDA",), spare: Sequence[str] = ()
) -> Any:
    history = await HistoryReader(tws, CALENDAR, MINUTE_NS).read(database, symbols, NOW, 3, spare)
    return history, await take(history, Pipeline(Inbox(), CALENDAR), database)


def a_plan(**settings: Any) -> plan.Plan:
    return plan.build_plan(
        load(**settings), session_id="s", account="DU1", traded=("NVDA",), ticks={}, bar_s=60, interval_s=60,
        use_ml=False, model=None,
    )  # fmt: skip


async def test_what_was_fetched_is_stored_and_the_next_start_asks_only_for_what_came_since(
    database: Database,
):
    tws = Tws(walk("NVDA", 1))
    _, first = await read(tws, database)
    assert [bar.ts for bar in first["NVDA"]] == [bar.ts for bar in tws.bars]
    history, again = await read(tws, database)
    assert again == first
    assert history.unstored() == []
    assert len(tws.asked) == 1
    with closing(queries.connect_readonly(database.path)) as connection:
        assert queries.bars(connection, "NVDA").ts.tolist() == [bar.ts for bar in tws.bars]


async def test_minutes_in_which_nothing_traded_are_asked_for_once(database: Database):
    bars = walk("NVDA", 1)
    tws = Tws([bar for i, bar in enumerate(bars) if i % 50 != 7])
    await read(tws, database)
    await read(tws, database)
    assert len(tws.asked) == 1
    with closing(queries.connect_readonly(database.path)) as connection:
        labels = feature_rows.histories(connection, "NVDA", MINUTE_NS)
    assert labels == {day.label for day in DAYS}


async def test_a_day_of_which_nothing_came_is_asked_for_again(database: Database):
    bars = walk("NVDA", 1)
    tws = Tws([bar for bar in bars if CALENDAR.session(bar.ts) != DAYS[1]])
    await read(tws, database)
    await read(tws, database)
    assert tws.asked == [("NVDA", DAYS[0].open), ("NVDA", DAYS[1].open)]


async def test_a_bar_that_is_stored_counts_before_the_same_one_fetched_for_it_was_traded_on(
    database: Database,
):
    bars = walk("NVDA", 1)
    ours = Bar("NVDA", bars[5].ts, 100.0, 100.5, 99.5, 100.25, 77.0)
    await database.store_bars([ours])
    _, known = await read(Tws(bars), database)
    assert known["NVDA"][5].volume == 77.0
    assert known["NVDA"][5].history


async def test_a_bar_that_is_not_believed_is_neither_stored_nor_warmed_with(database: Database):
    bars = walk("NVDA", 1)
    wrong = bars[300]
    bars[300] = Bar("NVDA", wrong.ts, wrong.open, wrong.high * 3, wrong.low, wrong.close, 100.0, history=True)
    _, known = await read(Tws(bars), database)
    assert wrong.ts not in {bar.ts for bar in known["NVDA"]}
    with closing(queries.connect_readonly(database.path)) as connection:
        assert wrong.ts not in queries.bars(connection, "NVDA").ts


@pytest.mark.parametrize("error", [RequestRefused(162, "no permissions"), Unanswered("no answer")])
async def test_a_refused_history_ends_the_start_but_not_that_of_a_symbol_only_compared_with(
    database: Database, error: Exception
):
    tws = Tws([])
    tws.refuses = error
    _, known = await read(tws, database, ["SPY"], spare=["SPY"])
    assert known == {"SPY": []}
    with pytest.raises(type(error)):
        await read(tws, database, ["NVDA"], spare=["SPY"])


async def test_features_begin_with_what_the_matrix_of_the_same_bars_ends_with(database: Database):
    tws = Tws([*walk("NVDA", 1), *walk("SPY", 2), *walk("XLK", 3)])
    _, known = await read(tws, database, ["NVDA", "SPY", "XLK"])
    the_plan = a_plan(features_sectors="NVDA=XLK")
    warmth = warm_desk(the_plan, known)
    kept = plan.read_warmth("s", plan.write_warmth(warmth))
    assert kept == warmth
    columns = {symbol: data_bars.columns(bars) for symbol, bars in known.items()}
    matrices = plan.new_features(the_plan).matrices(columns)
    for symbol, vector in warmth.read_vectors().items():
        assert vector.tobytes() == matrices[symbol][-1].tobytes()
    assert warmth.since["SPY"] == DAYS[0].open + MINUTE_NS
    assert warmth.until["SPY"] == NOW
    engine = plan.build_engine(the_plan, warmth)
    assert (
        engine.desk.feature("NVDA", "sma_200")
        == matrices["NVDA"][-1, engine.desk.feature_names.index("sma_200")]
    )


def test_a_session_of_other_features_is_not_replayed_and_the_versions_are_named():
    the_plan = a_plan()
    other = plan.read_plan("s", plan.msgspec.to_builtins(the_plan) | {"features": "0123456789ab"})
    with pytest.raises(
        DataError, match=f"version 0123456789ab, this RoboTrader computes {the_plan.features}"
    ):
        plan.build_engine(other)


def test_a_state_that_is_damaged_is_refused():
    kept = plan.write_warmth(plan.Warmth(bytes(range(256)), {"NVDA": bytes(80)}, {"NVDA": 1}, {"NVDA": 2}))
    flipped = bytearray(kept)
    flipped[len(kept) // 2] ^= 1
    for damaged in (b"\x00", kept[:-5], kept[:1], bytes(flipped)):
        with pytest.raises(DataError, match="session s knew as it began cannot be read"):
            plan.read_warmth("s", damaged)
    assert plan.read_warmth("s", None) is None


def test_a_state_of_before_states_were_compressed_is_read():
    warmth = plan.Warmth(bytes(range(256)), {"NVDA": bytes(80)}, {"NVDA": 1}, {"NVDA": 2})
    assert plan.read_warmth("s", msgspec.msgpack.encode(warmth)) == warmth


def test_as_many_sessions_are_read_as_the_longest_feature_needs_or_the_setting_says():
    needed = sessions_to_warm(MINUTE_NS)
    assert 2 <= needed <= past.MOST_SESSIONS
    assert sessions_to_warm(30 * MINUTE_NS) >= needed
    assert sessions_to_warm(MINUTE_NS, load(features_sessions=7).features_sessions) == 7
