"""Compares the vectors that a session told with the matrix of its bars."""

from __future__ import annotations

import sqlite3

import numpy as np

from robo_trader.bootstrap.plan import Plan, Warmth, new_features, read_plan, read_warmth
from robo_trader.core.events import MINUTE_NS
from robo_trader.features.base import Bars, Group
from robo_trader.features.technical_indicators import CATALOGUE
from robo_trader.storage import feature_rows, queries
from robo_trader.storage.feature_rows import Asked

# What quotes tell is not in bars.
FROM_BARS = [i for i, feature in enumerate(CATALOGUE) if feature.group is not Group.MICROSTRUCTURE]
OWN = [i for i in FROM_BARS if CATALOGUE[i].group is not Group.CROSS_SECTION]
COLUMNS = ("ts", "open", "high", "low", "close", "volume")


def plan_and_warmth(connection: sqlite3.Connection, session: str) -> tuple[Plan, Warmth]:
    row = queries.session_row(connection, session)
    assert row is not None
    warmth = read_warmth(session, feature_rows.state(connection, session))
    assert warmth is not None
    return read_plan(session, row["config"]), warmth


def late(connection: sqlite3.Connection, session: str) -> list[int]:
    """Return the closes of bars that the desk heard after a later one of another symbol: some gap was filled late."""
    rows = connection.execute(
        "SELECT ts FROM journal WHERE session_id = ? AND json_extract(event, '$.kind') = 'Bar' ORDER BY seq",
        (session,),
    )
    newest, found = 0, []
    for (ts,) in rows:
        if ts < newest:
            found.append(ts)
        newest = max(newest, ts)
    return found


def vectors_equal_the_matrix(connection: sqlite3.Connection, session: str) -> dict[str, int]:
    """Compare what a session told with the scan of the bars it began with and heard; count whole vectors by symbol.

    Nobody can know of another symbol what comes late, so for an hour after that only a symbol's own columns are equal.
    """
    plan, warmth = plan_and_warmth(connection, session)
    began = max(warmth.until.values())
    (until,) = connection.execute("SELECT max(ts) FROM journal WHERE session_id = ?", (session,)).fetchone()
    bars = {}
    for symbol in plan.ticks:
        stored = queries.bars(connection, symbol, plan.bar_s * 10**9, warmth.since[symbol])
        keep = stored.ts <= until
        bars[symbol] = Bars(*(getattr(stored, name)[keep] for name in COLUMNS))
    matrices = new_features(plan).matrices(bars)
    told = feature_rows.matrix(connection, Asked(plan.features, tuple(bars), began + 1, until + 1))
    lates = [ts for ts in late(connection, session) if ts > began]
    compared = dict.fromkeys(bars, 0)
    for ts, number, x in zip(told.ts.tolist(), told.symbol.tolist(), told.x, strict=True):
        symbol = told.symbols[number]
        whole = not any(one <= ts < one + 70 * MINUTE_NS for one in lates)
        columns = FROM_BARS if whole else OWN
        (row,) = np.flatnonzero(bars[symbol].ts == ts)
        assert x[columns].tobytes() == matrices[symbol][row, columns].tobytes(), (symbol, ts)
        compared[symbol] += whole
    return compared
