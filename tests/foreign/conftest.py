"""Holds one conversation with each foreign client: a program of its own, against a gateway of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import tape, tape_file

__all__ = ["converse", "documents", "tape", "tape_file"]

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).parent / "clients"
# Read here because every test forgets such variables.
INSTALLED = ROOT / os.environ["ROBO_FOREIGN"] if "ROBO_FOREIGN" in os.environ else None
DEADLINE = 90.0  # wall seconds for a whole conversation
SPEED = 50.0

Document = dict[str, Any]
Converse = Callable[[str], Awaitable[Document]]


def command(client: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return how to start a client, and what its environment needs; skip the test where it is not installed."""
    if client == "async":
        return [sys.executable, str(CLIENTS / "async_client.py"), str(port)], {}
    if INSTALLED is None or not (INSTALLED / client / ".ready").exists():
        pytest.skip(f"the {client} client is not installed; `make foreign` does that")
    home = INSTALLED / client
    if client != "stoqey":
        return [sys.executable, str(CLIENTS / f"{client}_client.py"), str(port)], {"PYTHONPATH": str(home)}
    node = shutil.which("node")
    assert node is not None, "npm is here, node is not"
    return [node, str(CLIENTS / "stoqey_client.mjs"), str(port), str(home)], {}


async def hold(client: str, market: TapeMarket) -> Document:
    """Run a client to its end and return what it heard."""
    gateway = PracticeGateway(PracticeOptions(speed=SPEED), market)
    try:
        arguments, also = command(client, await gateway.start())
        process = await asyncio.create_subprocess_exec(
            *arguments, env=os.environ | also, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            said, complaints = await asyncio.wait_for(process.communicate(), DEADLINE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    finally:
        await gateway.stop()
    assert process.returncode == 0, complaints.decode()
    document: Document = json.loads(said)
    return document


@pytest.fixture(scope="session")
def documents() -> dict[str, Document]:
    return {}


@pytest.fixture
def converse(documents: dict[str, Document], tape: TapeMarket) -> Converse:
    """Hold a client's conversation the first time it is asked for, and remember it."""

    async def once(client: str) -> Document:
        if client not in documents:
            documents[client] = await hold(client, tape)
        return documents[client]

    return once
