"""A whole session of real minute bars through the wire, the daemon and the books. Needs ../shared/data."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.core.steps import Equity, decode_step
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.tape import TapeMarket
from robo_trader.storage import queries
from tests.daemon.conftest import Desk, account_at
from tests.daemon.vectors import vectors_equal_the_matrix

TAPE = Path(__file__).parents[3] / "shared" / "data" / "bars_1min_ibkr_2026q1.parquet"
SYMBOLS = ("NVDA", "META")
SPEED = 1800.0

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.skipif(not TAPE.exists(), reason=f"{TAPE.name} is not there: no real bars to replay"),
]


async def test_a_session_of_real_bars_arrives_whole_and_books_features_and_replay_agree(desk: Desk):
    tape = TapeMarket(TAPE, SYMBOLS)
    gateway, port = await desk.gateway(tape, SPEED)
    session = XnysCalendar().session(gateway.now() + 10 * MINUTE_NS)
    assert session is not None
    run = await desk.daemon(
        port, symbols="NVDA,META", execution_algorithm="auto", execution_twap_above=0.0005
    )
    async with asyncio.timeout(120):
        while gateway.now() <= session.close:
            await asyncio.sleep(0.05)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text[-3000:]

    with closing(queries.connect_readonly(desk.database())) as connection:
        for symbol in SYMBOLS:
            _whole_and_equal_to_the_tape(connection, symbol, tape, session)
        assert min(vectors_equal_the_matrix(connection, _session_of(connection)).values()) >= 300
        _identity_at_every_step(connection)
    theirs = await account_at(port)
    assert desk.rows("SELECT count(*) > 20 FROM fills") == [(1,)]
    assert dict(desk.rows("SELECT symbol, quantity FROM positions WHERE quantity != 0")) == theirs.positions
    assert Decimal(desk.rows("SELECT cash FROM equity ORDER BY id DESC LIMIT 1")[0][0]) == theirs.cash
    assert {a for (a,) in desk.rows("SELECT DISTINCT algorithm FROM orders")} == {"market", "stop", "twap"}
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


def _whole_and_equal_to_the_tape(connection, symbol, tape, session):
    ours = queries.bars(connection, symbol, since=session.open + 1)
    real = tape.minutes(symbol, session)
    inside = ours.ts <= session.close
    assert ours.ts[inside].tolist() == (real.start + MINUTE_NS).tolist()
    assert len(real) == 390
    for name in ("open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(ours, name)[inside], getattr(real, name)), name


def _session_of(connection: sqlite3.Connection) -> str:
    (found,) = connection.execute("SELECT id FROM sessions").fetchone()
    return str(found)


def _identity_at_every_step(connection: sqlite3.Connection):
    seen = 0
    for (step,) in connection.execute("SELECT step FROM journal WHERE step LIKE '%Equity%'"):
        for fact in decode_step(step.encode()).facts:
            if isinstance(fact, Equity):
                seen += 1
                assert fact.cash + fact.value == fact.start + fact.realised + fact.unrealised
    assert seen > 390
