"""A bad night in one run of the daemon: what it stored, what it stopped, and that it trades again by itself."""

from __future__ import annotations

import asyncio
import itertools
import signal

import pytest

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from tests.daemon.conftest import Desk

pytestmark = pytest.mark.daemon
CALENDAR = XnysCalendar()


def assert_whole(stamps: list[int]) -> None:
    """Every minute once, the nights aside."""
    for before, ts in itertools.pairwise(stamps):
        session = CALENDAR.session(ts)
        assert session is not None
        assert before == ts - MINUTE_NS or before <= session.open == ts - MINUTE_NS


async def later(gateway, minutes: int) -> None:
    until = gateway.now() + minutes * MINUTE_NS
    async with asyncio.timeout(30):
        while gateway.now() < until:
            await asyncio.sleep(0.01)


async def test_an_outage_a_restart_and_a_freeze_leave_no_hole_in_the_bars_and_trading_goes_on(desk: Desk):
    gateway, port = await desk.gateway(speed=600.0)
    run = await desk.daemon(
        port,
        ibkr_logins_per_hour=3600,
        ibkr_heartbeat_s=0.5,
        ibkr_connect_timeout_s=1,
        ibkr_restart_window="13:00-13:20 America/New_York",
    )
    await run.until("state=ready")
    await run.until(" bar ", times=4)
    gateway.plant("restart-keep", **{"for": 600})  # ten minutes
    await run.until("state=lost")
    await run.until("state=ready", times=2)
    await later(gateway, 3)
    gateway.plant("freeze", **{"for": 1800})  # three seconds here: several beats that nobody answers
    await run.until("state=ready", times=3)
    gateway.plant("restart-keep", at="13:01", **{"for": 600})
    await run.until("TWS restarts, 13:00-13:20 America/New_York;")
    await run.until("state=ready", times=4)
    await later(gateway, 15)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    for symbol in ("AAPL", "NVDA"):
        stamps = [ts for (ts,) in desk.rows(f"SELECT ts FROM bars WHERE symbol = '{symbol}' ORDER BY ts")]
        assert len(stamps) > 100
        assert_whole(stamps)
    assert desk.rows("SELECT count(*) FROM jobs WHERE name = 'link'") == [(1,)]
    text = run.text
    assert text.count("by=session") >= 4, text  # stopped and allowed again, twice
    assert text.count("restart window") >= 2, text
