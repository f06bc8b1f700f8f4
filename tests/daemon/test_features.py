"""The vectors of a running session are the rows of the matrix built from its bars, bit for bit, from warm-up to restart."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS, Bar, Depth, decode_event
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features import market_depth
from robo_trader.features.base import Bars, Depths
from robo_trader.features.feature_engine import FeatureEngine
from robo_trader.features.technical_indicators import NAMES
from robo_trader.practice.gateway import PracticeGateway
from robo_trader.storage import queries
from tests.daemon.conftest import PATIENCE_S, Desk, Run
from tests.daemon.vectors import vectors_equal_the_matrix

pytestmark = pytest.mark.daemon

MINUTES = 8


def last_vector(desk: Desk, symbol: str) -> dict[str, float]:
    ((values,),) = desk.rows(
        f"SELECT \"values\" FROM features WHERE symbol = '{symbol}' ORDER BY ts DESC LIMIT 1"
    )
    return dict(zip(NAMES, np.frombuffer(values), strict=True))


def depth_columns_of_what_was_heard(desk: Desk, symbol: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of depth of a symbol's stored vectors, and those of the matrix of the books in the journal."""
    told, last = [], 0
    for (text,) in desk.rows("SELECT event FROM journal ORDER BY seq"):
        event = decode_event(text.encode())
        if isinstance(event, Bar) and event.symbol == symbol:
            last = event.ts
        elif isinstance(event, Depth) and event.symbol == symbol:
            # What comes after its bar was told counts for the next one.
            told.append((max(event.ts, last + 1000), market_depth.ladder(event.bids, event.asks)))
    times, levels = zip(*told, strict=True)
    stored = desk.rows(f"SELECT ts, \"values\" FROM features WHERE symbol = '{symbol}' ORDER BY ts")
    columns = [NAMES.index(feature.name) for feature in market_depth.FEATURES]
    price = np.full(len(stored), 100.0)
    bars = Bars(np.array([ts for ts, _ in stored]), price, price, price, price, price)
    books = {symbol: Depths(np.array(times), np.array(levels))}
    matrix = FeatureEngine(XnysCalendar()).matrices({symbol: bars}, depths=books)[symbol]
    return np.array([np.frombuffer(values)[columns] for _, values in stored]), matrix[:, columns]


async def minutes(gateway: PracticeGateway, desk: Desk, run: Run) -> None:
    """Let the market move on minute by minute, each when the bars of the one before are on disk."""
    await run.until("state=live")
    for _ in range(MINUTES):
        due = await gateway.advance(60) // MINUTE_NS * MINUTE_NS
        async with asyncio.timeout(PATIENCE_S):
            while desk.rows(
                "SELECT min(newest) FROM (SELECT max(ts) AS newest FROM bars GROUP BY symbol)"
            ) < [(due,)]:
                await asyncio.sleep(0.02)


async def test_vectors_of_a_session_equal_the_matrix_of_its_bars_also_after_a_restart(desk: Desk):
    gateway, port = await desk.gateway(speed=0)
    for _ in range(2):
        await gateway.advance_to((gateway.now() // MINUTE_NS + 1) * MINUTE_NS)
        run = await desk.daemon(port, features_sectors="NVDA=XLK", features_sessions=3)
        await minutes(gateway, desk, run)
        run.signal(signal.SIGTERM)
        assert await run.end() == 0, run.text
        ((session,),) = desk.rows("SELECT id FROM sessions ORDER BY rowid DESC LIMIT 1")
        with closing(queries.connect_readonly(desk.database())) as connection:
            compared = vectors_equal_the_matrix(connection, session)
        assert set(compared) == {"AAPL", "NVDA", "SPY", "XLK"}
        assert min(compared.values()) >= MINUTES - 1, compared
        replayed = await desk.command("replay")
        assert await replayed.end() == 0, replayed.text
    x = last_vector(desk, "NVDA")
    assert np.isfinite([x["sma_200"], x["market_beta_60"], x["sector_beta_60"], x["breadth"]]).all()


async def test_the_depth_of_the_symbols_named_is_journaled_told_the_features_and_replayed(desk: Desk):
    gateway, port = await desk.gateway(speed=0)
    await gateway.advance_to((gateway.now() // MINUTE_NS + 1) * MINUTE_NS)
    run = await desk.daemon(port, market_data_depth="AAPL,MSFT")
    await minutes(gateway, desk, run)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert run.text.count("no depth") == 1  # of MSFT, which nobody watches
    books = desk.rows("SELECT json_extract(event, '$.symbol'), count(*), max(json_array_length(event, '$.bids')) "
                      "FROM journal WHERE json_extract(event, '$.kind') = 'Depth' GROUP BY 1")  # fmt: skip
    assert [(symbol, levels) for symbol, _, levels in books] == [("AAPL", 5)]
    assert MINUTES <= books[0][1] <= 60 * MINUTES
    depth = [feature.name for feature in market_depth.FEATURES]
    told, silent = (last_vector(desk, symbol) for symbol in ("AAPL", "NVDA"))
    assert np.isfinite([told[name] for name in depth if name != "round_trip_log"]).all()
    assert np.isnan([silent[name] for name in depth]).all()
    stored, matrix = depth_columns_of_what_was_heard(desk, "AAPL")
    assert stored.tobytes() == matrix.tobytes()
    assert len(stored) >= MINUTES
    shown = await desk.command("features", "--symbol", "AAPL")
    assert await shown.end() == 0, shown.text
    assert f"{told['depth_imbalance']:.6g}" in shown.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_more_books_than_tws_shows_are_refused_at_the_start(desk: Desk):
    run = await desk.daemon(1, market_data_depth="AAPL,NVDA,MSFT,SPY")
    assert await run.end() == 2, run.text
    assert "MARKET_DATA_DEPTH" in run.text
    assert "TWS shows the depth of 3 at a time" in run.text


async def test_a_start_puts_no_more_of_the_past_in_the_journal_than_each_symbols_last_bar(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, "--once")
    assert await run.end() == 0, run.text
    history = desk.rows("SELECT json_extract(event, '$.symbol') FROM journal "
                        "WHERE json_extract(event, '$.kind') = 'Bar' AND json_extract(event, '$.history')")  # fmt: skip
    assert {symbol for (symbol,) in history} == {"AAPL", "NVDA", "SPY"}
    assert len(history) <= 6  # what was missed between the history and the stream comes as history too
    assert desk.rows("SELECT count(*) >= 3 * 390 FROM bars") == [(1,)]
    assert desk.rows("SELECT count(DISTINCT session) FROM histories WHERE symbol = 'SPY'")[0][0] >= 2


async def test_a_market_symbol_that_is_not_there_costs_its_columns_and_is_said_once(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, features_market="NOSUCH")
    await run.until("fill ")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert run.text.count("not compared") == 1
    assert "unknown symbol NOSUCH" in run.text
    x = dict(zip(NAMES, np.frombuffer(desk.rows('SELECT "values" FROM features ORDER BY ts DESC LIMIT 1')[0][0]),
                 strict=True))  # fmt: skip
    assert np.isnan(x["market_return_1"])
    assert np.isfinite(x["breadth"])
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_vectors_older_than_the_setting_says_are_deleted_by_a_running_daemon(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, "--once")
    assert await run.end() == 0, run.text
    with sqlite3.connect(desk.database()) as connection:
        for days in (20, 40):
            connection.execute(
                'INSERT INTO features SELECT ts - ? * 86400000000000, symbol, version, "values", crc FROM features '
                "WHERE ts = (SELECT max(ts) FROM features) LIMIT 1",
                (days,),
            )
    connection.close()
    (before,) = desk.rows("SELECT min(ts) FROM features")[0]
    again = await desk.daemon(port, "--once", features_keep_days=30)
    assert await again.end() == 0, again.text
    assert desk.rows(f"SELECT min(ts) > {before} + 19 * 86400000000000 FROM features") == [(1,)]
    assert desk.rows("SELECT max(ts) - min(ts) > 19 * 86400000000000 FROM features") == [(1,)]
