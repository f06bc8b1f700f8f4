"""The page and the hub of a running daemon show its numbers, on loopback only, and go when it goes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import closing
from decimal import Decimal

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.daemon.conftest import PATIENCE_S, Desk

pytestmark = pytest.mark.daemon


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


async def answered(client: httpx.AsyncClient, path: str) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await client.get(path)
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def test_page_and_hub_tell_the_daemons_numbers_and_end_with_it(desk: Desk):
    _, port = await desk.gateway(speed=600)
    page, hub = free_port(), free_port()
    run = await desk.command(
        "run", "--symbols", "AAPL,NVDA", ibkr_port=port, dashboard_port=page, hub_port=hub
    )  # fmt: skip
    await run.until("fill ")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page}") as client:
        assert (await answered(client, "/api/v1/healthz")).status_code == 200
        state = (await client.get("/api/v1/state")).json()
        fills = (await client.get("/api/v1/fills")).json()
        html = (await client.get("/")).text
    assert "DUP224010" in json.dumps(state)
    known = {exec_id for (exec_id,) in desk.rows("SELECT exec_id FROM fills")}
    assert {fill["exec_id"] for fill in fills} <= known
    assert fills
    assert "RoboTrader" in html
    told = await first_snapshot(hub, page, "account")
    assert Decimal(told["cash"]) in {Decimal(cash) for (cash,) in desk.rows("SELECT cash FROM equity")}
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    for gone in (page, hub):
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", gone)


async def first_snapshot(hub: int, page: int, channel: str) -> dict:
    """Subscribe as the page does; return the first row with money in it."""
    async with (
        asyncio.timeout(PATIENCE_S),
        connect(
            f"ws://127.0.0.1:{hub}", subprotocols=["robotrader.v1"], origin=f"http://127.0.0.1:{page}"
        ) as viewer,
    ):
        await viewer.send(json.dumps({"t": "sub", "id": 1, "ch": [channel]}))
        async for text in viewer:
            frame = json.loads(text)
            rows = frame.get("data") or []
            for row in rows if isinstance(rows, list) else [rows]:
                if frame.get("ch") == channel and "cash" in row:
                    return row
    raise AssertionError("the hub closed without a snapshot")
