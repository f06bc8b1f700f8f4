"""The way to TWS: patient, bounded, and sparing with logins."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from robo_trader.bootstrap.link_state import Phase
from robo_trader.bootstrap.reach import Approach, reach
from robo_trader.config import load
from robo_trader.core.errors import BrokerUnreachable, ConfigurationError
from robo_trader.ibkr.connection import Connection, ConnectionOptions
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.processes import Child
from robo_trader.simulation.market import SyntheticMarket


class Time:
    """A monotonic clock that only waiting moves; what is to happen meanwhile happens then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.states: list[tuple[Phase, str]] = []
        self.approach: Approach | None = None
        self.then: dict[int, object] = {}

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert self.approach is not None
        self.states.append((self.approach.state.phase, self.approach.state.why))
        self.waits.append(seconds)
        self.now += seconds
        act = self.then.get(len(self.waits))
        if callable(act):
            await act()
        await asyncio.sleep(0)


def way(port: int, logins: int = 12, **options: object) -> tuple[Approach, Time]:
    connection = Connection(ConnectionOptions(port=port, connect_timeout_s=5.0, **options))  # type: ignore[arg-type]
    time = Time()
    time.approach = Approach(connection, Child("robo_trader.practice", []), logins, time, time.sleep)
    return time.approach, time


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[PracticeGateway, int]]:
    practice = PracticeGateway(PracticeOptions(speed=0), SyntheticMarket(7))
    port = await practice.start()
    yield practice, port
    await practice.stop()


@contextlib.asynccontextmanager
async def closing(approach: Approach) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await approach.connection.close()
        assert approach.connection.opened == approach.connection.closed


async def test_a_port_that_is_closed_for_ten_minutes_costs_no_login_and_ends_in_a_session(gateway):
    practice, port = gateway
    practice.plant("refuse-connections")

    async def back() -> None:
        practice.lift("refuse-connections")

    approach, time = way(port)
    time.then[24] = back
    async with closing(approach):
        await approach.connect()
        assert approach.connection.logins == 1
    assert len(time.waits) == 24
    assert sum(time.waits) > 500
    assert all(0.8 <= a <= 36 for a in time.waits)
    assert time.waits[0] < time.waits[2] < time.waits[4]
    assert {phase for phase, _ in time.states} == {Phase.WAITING}
    assert "nothing listens" in time.states[0][1]


async def test_a_client_id_in_use_waits_with_the_same_id_until_it_is_free(gateway):
    _, port = gateway
    other = Connection(ConnectionOptions(port=port))
    await other.connect()
    approach, time = way(port)
    time.then[9] = other.close
    async with closing(approach):
        await approach.connect()
        assert approach.connection.options.client_id == other.options.client_id
    assert "client id 1 is already in use" in time.states[3][1]
    assert max(time.waits) <= 360  # in the long run no oftener than the login budget allows
    assert sum(time.waits[4:8]) > 150


async def test_the_logins_of_any_hour_are_no_more_than_was_allowed(gateway):
    practice, port = gateway
    practice.plant("client-id-in-use")

    async def free() -> None:
        practice.lift("client-id-in-use")

    approach, time = way(port, logins=3)
    logins: list[float] = []
    refuse = approach.connection.on_error

    def counted(request: int, code: int, text: str) -> None:
        if code == 326:
            logins.append(time.now)
        refuse(request, code, text)

    approach.connection.on_error = counted  # type: ignore[method-assign]
    time.then[12] = free
    async with closing(approach):
        await approach.connect()
    assert len(logins) > 5
    assert all(later - earlier >= 3600 for earlier, later in zip(logins, logins[3:], strict=False))
    spent = [why for _, why in time.states if "IBKR_LOGINS_PER_HOUR" in why]
    assert spent
    assert spent[0].startswith("3 logins within an hour")


async def test_a_session_that_lasted_is_replaced_at_once_and_one_that_did_not_after_a_pause(gateway):
    _, port = gateway
    approach, time = way(port)
    async with closing(approach):
        await approach.connect()
        time.now += 61
        await approach.connect()
        assert time.waits == []
        for _ in range(6):
            await approach.connect()
    assert len(time.waits) == 6
    assert time.waits[0] < 1.3
    assert time.waits[5] > 20


async def test_giving_up_says_why_and_after_how_long(gateway):
    practice, port = gateway
    practice.plant("refuse-connections")
    approach, _ = way(port)
    with pytest.raises(BrokerUnreachable, match=r"nothing listens .* \(gave up after 60 s\)"):
        await approach.connect(60)


async def test_giving_up_does_not_wait_for_a_login_that_may_come_too_late(gateway):
    practice, port = gateway
    practice.plant("client-id-in-use")
    approach, time = way(port, logins=1)
    with pytest.raises(BrokerUnreachable, match=r"client id|IBKR_LOGINS_PER_HOUR"):
        await approach.connect(600)
    assert time.now <= 600
    assert approach.connection.logins == 1


@pytest.mark.parametrize("fault", ["mute-handshake", "no-accounts", "withhold-end", "client-id-in-use"])
async def test_after_fifty_failed_handshakes_every_socket_is_closed(gateway, fault: str):
    practice, port = gateway
    practice.plant(fault)
    connection = Connection(ConnectionOptions(port=port, connect_timeout_s=0.02))
    files = []
    for _ in range(50):
        with pytest.raises(BrokerUnreachable):
            await connection.connect()
        assert connection.opened == connection.closed
        files.append(len(os.listdir("/dev/fd")))
    assert connection.opened == 50
    practice.lift(fault)
    connection.options = ConnectionOptions(port=port)
    await connection.connect()
    assert connection.opened == connection.closed + 1 == 51
    await connection.close()
    assert connection.opened == connection.closed
    assert max(files[10:]) - min(files[10:]) <= 3  # the gateway's own end closes a moment later


async def test_the_settings_say_how_many_logins_and_which_client(gateway):
    _, port = gateway
    settings = load(ibkr_port=port, ibkr_client_id=5, ibkr_logins_per_hour=1, ibkr_give_up_s=0.0)
    approach = await reach(settings, Child("robo_trader.practice", []))
    async with closing(approach):
        assert approach.state.phase is Phase.SYNCHRONISING
        approach._since = None
        with pytest.raises(BrokerUnreachable, match="1 logins within an hour"):
            await approach.connect(0)


def test_a_restart_window_that_is_none_is_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"IBKR_RESTART_WINDOW.*write it as 23:45-00:45"):
        load(ibkr_restart_window="at night")
    assert load(ibkr_restart_window="").ibkr_restart_window == ""
