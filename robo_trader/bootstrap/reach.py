"""Finds a TWS to trade with: the one that answers, the practice gateway where none does, or a clear error."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import time

import structlog

from robo_trader.config import Settings
from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, RoboTraderError
from robo_trader.ibkr.connection import Connection, ConnectionOptions, NothingListening
from robo_trader.processes import Child

log = structlog.get_logger()
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0


async def reach(settings: Settings, gateway: Child) -> Connection:
    """Connect to TWS, or start `gateway` (a child not started yet) where that is what the user wants.

    Raises BrokerUnreachable once `ibkr_give_up_s` has passed without a session.
    """
    if settings.practice_mode == "always":
        return await _to_practice(settings, gateway)
    connection = Connection(connection_options(settings, settings.ibkr_port))
    if settings.practice_mode == "auto" and not settings.names_a_broker:
        try:
            await connection.connect()
        except NothingListening:
            return await _to_practice(settings, gateway)
        else:
            return connection
    await connect_patiently(connection, gateway, settings.ibkr_give_up_s)
    return connection


async def connect_patiently(connection: Connection, gateway: Child, give_up_s: float) -> None:
    """Try again and again with growing, jittered pauses. Raises the last error once `give_up_s` has passed.

    A practice gateway of ours that has died meanwhile is started anew, on whatever port it then gets.
    """
    deadline = time.monotonic() + give_up_s
    pause = FIRST_PAUSE_S
    while True:
        try:
            if gateway.started and not gateway.running:
                await _start(gateway, connection)
            await connection.connect()
        except BrokerUnreachable as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerUnreachable(f"{error} (gave up after {give_up_s:g} s)") from error
            wait = min(pause * random.uniform(0.8, 1.2), left)  # not security: only spreads the attempts
            log.warning("no_session_yet", why=str(error), next_try_in_s=round(wait, 1))
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        else:
            return


def practice_gateway(settings: Settings) -> Child:
    """Describe the practice gateway of these settings; it is started only where it is needed."""
    arguments = {
        "--port": settings.ibkr_port,
        "--speed": settings.practice_speed,
        "--seed": settings.practice_seed,
        "--edge": settings.practice_edge,
        "--state": settings.robo_data_dir / "practice",
        "--parent-pid": os.getpid(),
    }
    return Child("robo_trader.practice", [str(word) for pair in arguments.items() for word in pair])


def connection_options(settings: Settings, port: int) -> ConnectionOptions:
    """Say where TWS is and how patient we are."""
    return ConnectionOptions(
        host=settings.ibkr_host,
        port=port,
        client_id=settings.ibkr_client_id,
        account=settings.ibkr_account,
        connect_timeout_s=settings.ibkr_connect_timeout_s,
        heartbeat_s=settings.ibkr_heartbeat_s,
        heartbeat_timeout_s=settings.ibkr_heartbeat_s,
    )


async def _to_practice(settings: Settings, gateway: Child) -> Connection:
    connection = Connection(connection_options(settings, settings.ibkr_port))
    await _start(gateway, connection)
    await connection.connect()
    return connection


async def _start(gateway: Child, connection: Connection) -> None:
    """Start the practice gateway and point the connection at its port; port 0 is another one each time."""
    try:
        ready = await gateway.start("listening on ")
    except RoboTraderError as error:
        raise ConfigurationError(f"the practice gateway did not start: {error}") from error
    port = int(ready.partition("listening on ")[2].split()[0].rpartition(":")[2])
    connection.options = dataclasses.replace(connection.options, port=port)
