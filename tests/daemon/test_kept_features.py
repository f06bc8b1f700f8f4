"""Market days go by, old vectors go and nothing else; a damaged one is named, and hinders neither a start nor a replay."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing

import pytest

from robo_trader.core.events import DAY_NS
from tests.daemon.conftest import Desk

pytestmark = pytest.mark.daemon


async def test_days_go_by_and_what_is_too_old_goes_and_each_session_is_replayed_until_then(desk: Desk):
    gateway, port = await desk.gateway(speed=23_400.0)
    first, last = [], []
    for _ in range(4):
        run = await desk.daemon(port, "--once", symbols="AAPL", features_sessions=1, features_keep_days=1)
        assert await run.end() == 0, run.text
        ((oldest, newest),) = desk.rows("SELECT min(ts), max(ts) FROM features")
        first.append(oldest)
        last.append(newest)
        replayed = await desk.command("replay")
        assert await replayed.end() == 0, replayed.text
        await gateway.advance_to(gateway.now() + 2 * DAY_NS)
    assert last[-1] > last[0] + 4 * DAY_NS
    assert all(newest - oldest < DAY_NS for oldest, newest in zip(first, last, strict=True))
    kept = desk.rows(
        "SELECT id, length(state) > 0 FROM sessions JOIN feature_states ON id = session_id ORDER BY sessions.rowid"
    )
    assert [is_kept for _, is_kept in kept] == [0, 0, 0, 1]
    forgotten = await desk.command("replay", "--session", kept[0][0])
    assert await forgotten.end() == 5
    assert f"session {kept[0][0]} knew as it began was kept for FEATURES_KEEP_DAYS" in forgotten.text


async def test_damaged_vectors_and_states_are_named_and_a_start_needs_neither(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, "--once", features_sessions=2)
    assert await run.end() == 0, run.text
    ((session,),) = desk.rows("SELECT id FROM sessions")
    ((ts,),) = desk.rows("SELECT max(ts) FROM features WHERE symbol = 'NVDA'")
    with closing(sqlite3.connect(desk.database())) as connection, connection:
        for sql in (
            f'UPDATE features SET "values" = substr("values", 1, 40) WHERE symbol = \'NVDA\' AND ts = {ts}',
            "UPDATE feature_states SET state = substr(state, 1, length(state) / 2)",
        ):
            assert connection.execute(sql).rowcount == 1
    shown = await desk.command("features", "--symbol", "NVDA")
    assert await shown.end() == 5
    assert "features of NVDA at" in shown.text
    assert "are not what was written" in shown.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 5
    assert f"session {session} knew as it began cannot be read" in replayed.text
    again = await desk.daemon(port, features_sessions=2)
    await again.until("state=live")
    again.signal(signal.SIGTERM)
    assert await again.end() == 0, again.text
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text
