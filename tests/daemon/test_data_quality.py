"""Bad data on the wire: each kind is in the journal, none is refused in silence, and a restart is no fault of the feed."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections import Counter

import pytest

from robo_trader.core.events import MINUTE_NS
from tests.daemon.conftest import Desk

pytestmark = pytest.mark.daemon
FAULTS = {
    "crossed": "crossed",
    "duplicate-bars": "duplicate",
    "late-bars": "out of order",
    "nan-bars": "a bar without prices",
}
MORE = re.compile(r"(\d+) more refused since, the last: (.*)")


async def later(gateway, minutes: int) -> None:
    until = gateway.now() + minutes * MINUTE_NS
    async with asyncio.timeout(30):
        while gateway.now() < until:
            await asyncio.sleep(0.01)


def told(desk: Desk, state: str) -> list[tuple[str, str]]:
    rows = desk.rows("SELECT event FROM journal WHERE event LIKE '%\"FeedStatus\"%' ORDER BY rowid")
    events = [json.loads(event) for (event,) in rows]
    return [(one["symbol"], one["detail"]) for one in events if one["state"] == state]


def reason(detail: str) -> str:
    known = (*FAULTS.values(), "outside hours", "outside quote")
    return next((one for one in known if detail.startswith(one)), detail.split()[0])


async def test_each_defect_of_the_feed_is_in_the_journal_with_how_often_it_came(desk: Desk):
    gateway, port = await desk.gateway(speed=600.0)
    run = await desk.daemon(port)
    await run.until(" bar ", times=4)
    for name in FAULTS:
        gateway.plant(name)
        await later(gateway, 4)
        gateway.lift(name)
        await later(gateway, 2)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text[-3000:]

    counted: Counter[tuple[str, str]] = Counter()
    for symbol, detail in told(desk, "rejected"):
        more = MORE.fullmatch(detail)
        counted[symbol, reason(more[2] if more else detail)] += int(more[1]) if more else 1
    kept: Counter[tuple[str, str]] = Counter()
    for symbol, refused in desk.rows("SELECT symbol, refused FROM qualities"):
        kept.update({(symbol, why): count for why, count in json.loads(refused).items()})
    assert counted == kept
    assert {why for symbol, why in kept if symbol == "AAPL"} >= set(FAULTS.values())
    assert told(desk, "gap")  # the minutes it cost came back from history, and that is told too

    again = await desk.daemon(port)
    await again.until(" bar ", times=4)
    again.signal(signal.SIGTERM)
    assert await again.end() == 0, again.text[-3000:]
    (last,) = desk.rows("SELECT id FROM sessions ORDER BY rowid DESC LIMIT 1")
    rows = desk.rows(f"SELECT whole, filled, lost, refused FROM qualities WHERE session_id = '{last[0]}'")
    assert rows
    assert all(
        whole >= 2 and (filled, lost, refused) == (0, 0, "{}") for whole, filled, lost, refused in rows
    )
