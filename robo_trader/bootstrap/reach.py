"""Finds a TWS to trade with and gets a session there: the one that answers, or the practice gateway where none does."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import os
import random
import time
from collections.abc import Awaitable, Callable

from robo_trader.bootstrap.link_state import LinkState
from robo_trader.config import Settings
from robo_trader.core.errors import BrokerUnreachable, ConfigurationError, ConnectionLost, RoboTraderError
from robo_trader.core.events import SECOND_NS
from robo_trader.ibkr.connection import Connection, ConnectionOptions
from robo_trader.ibkr.pacing import Window
from robo_trader.ibkr.refusals import NothingListening
from robo_trader.processes import Child

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
HOUR_S = 3600.0


class Approach:
    """The way to TWS, for the first session and for each one after a loss.

    Pauses between attempts grow, and grow on where sessions do not last. What TWS counts as a login, finished or
    refused, comes no oftener than `logins_per_hour` in any hour; that nobody listens, or that TWS is mute, costs none.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Child,
        logins_per_hour: int = 12,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`gateway` is our practice child where there is one: should it have died, an attempt starts it anew."""
        self.connection = connection
        self.gateway = gateway
        self.state = LinkState()
        self._clock = clock
        self._sleep = sleep
        self._logins = Window(logins_per_hour, HOUR_S)
        self._limit = logins_per_hour
        # Evenly spread, logins last the hour: a session that never lasts must not use them up and leave us blind.
        self._spread_s = HOUR_S / logins_per_hour
        self._pause = FIRST_PAUSE_S
        self._logged_in = False  # whether the last attempt cost a login
        self._since: float | None = None  # when the last session began

    async def connect(self, give_up_s: float = math.inf) -> None:
        """Try until there is a session. Raises the last BrokerUnreachable once `give_up_s` has passed."""
        deadline = self._clock() + give_up_s
        await self._rest()
        while True:
            await self._afford(deadline)
            why = await self.attempt()
            if why is None:
                return
            left = deadline - self._clock()
            if left <= 0:
                raise BrokerUnreachable(f"{why} (gave up after {give_up_s:g} s)") from why
            await self._wait(str(why), min(self._next_pause(), left))

    async def attempt(self) -> BrokerUnreachable | ConnectionLost | None:
        """Try once; return why there is no session, None where there is one."""
        logins = self.connection.logins
        try:
            if self.gateway.started and not self.gateway.running:
                await start(self.gateway, self.connection)
            at = self.connection.options
            self.state.connecting(f"{at.host}:{at.port} as client {at.client_id}")
            await self.connection.connect()
        except (BrokerUnreachable, ConnectionLost) as error:
            return error
        finally:
            self._logged_in = self.connection.logins > logins
            if self._logged_in:
                self._logins.take(self._clock())
        self._since = self._clock()
        self.state.synchronising("the account and its orders")
        return None

    async def _rest(self) -> None:
        """Begin at once where the last session lasted, else where the pauses had come to."""
        if self._since is not None and self._clock() - self._since < min(self._spread_s, 60.0):
            await self._wait("the last session did not last", self._next_pause())
        else:
            self._pause = FIRST_PAUSE_S
        self._since = None

    async def _afford(self, deadline: float) -> None:
        """Wait until one more login may be made. Raises BrokerUnreachable where that is after the deadline."""
        while (wait := self._logins.wait(self._clock())) > 0:
            why = f"{self._limit} logins within an hour are all that IBKR_LOGINS_PER_HOUR allows"
            if self._clock() + wait > deadline:
                raise BrokerUnreachable(f"{why}; the next may be made in {wait:.0f} s")
            await self._wait(why, wait)

    async def _wait(self, why: str, seconds: float) -> None:
        self.state.waiting(why, time.time_ns() + int(seconds * SECOND_NS))
        await self._sleep(seconds)

    def _next_pause(self) -> float:
        """Return the next pause, jittered, and double the one after it."""
        longest = self._spread_s if self._logged_in else LONGEST_PAUSE_S
        pause = min(self._pause, longest)
        self._pause = min(self._pause * 2, max(self._spread_s, LONGEST_PAUSE_S))
        return pause * random.uniform(0.8, 1.2)  # not security: only spreads the attempts


async def reach(settings: Settings, gateway: Child) -> Approach:
    """Connect to TWS, or start `gateway` (a child not started yet) where that is what the user wants.

    Raises BrokerUnreachable once `ibkr_give_up_s` has passed without a session.
    """
    connection = Connection(connection_options(settings, settings.ibkr_port))
    approach = Approach(connection, gateway, settings.ibkr_logins_per_hour)
    if settings.practice_mode == "always":
        await start(gateway, connection)
    elif settings.practice_mode == "auto" and not settings.names_a_broker:
        why = await approach.attempt()
        if why is None:
            return approach
        if not isinstance(why, NothingListening):
            raise why
        await start(gateway, connection)
    await approach.connect(settings.ibkr_give_up_s)
    return approach


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
    if settings.practice_turn:
        arguments["--turn"] = settings.practice_turn
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


async def start(gateway: Child, connection: Connection) -> None:
    """Start the practice gateway and point the connection at its port; port 0 is another one each time."""
    try:
        ready = await gateway.start("listening on ")
    except RoboTraderError as error:
        raise ConfigurationError(f"the practice gateway did not start: {error}") from error
    port = int(ready.partition("listening on ")[2].split()[0].rpartition(":")[2])
    connection.options = dataclasses.replace(connection.options, port=port)
