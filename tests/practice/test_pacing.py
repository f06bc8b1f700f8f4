"""TWS's limits on requests, kept to the letter by a clock the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from ib_async import IB, Contract

from robo_trader.core.errors import ConfigurationError
from robo_trader.practice.data.history_answers import MOST_GROWING
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.protocol.pacing import BARS, BURST, HISTORY, MESSAGES, STRIKES
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.test_faults_connection import codes_of, gone


class Wall:
    """A wall clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def desk(tape: TapeMarket, wall: Wall) -> AsyncIterator[Desk]:
    gateway = PracticeGateway(PracticeOptions(speed=0, pacing="strict"), tape, wall)
    desk = Desk(gateway, await gateway.start())
    assert gateway.pacing is not None
    gateway.pacing.arrivals.end()  # how busy it is, this wall clock does not show
    yield desk
    desk.close()
    await gateway.stop()


async def ask(ib: IB, stock: Contract, duration: str = "1 D", what: str = "TRADES", **also: object) -> int:
    """Ask for bars; return how many there were."""
    return len(await ib.reqHistoricalDataAsync(stock, "", duration, "1 hour", what, True, **also))


async def until(codes: list[int], count: int) -> None:
    async with asyncio.timeout(5):
        while len(codes) < count:
            await asyncio.sleep(0)


async def test_fifty_messages_a_second_pass_and_more_are_refused_with_100(desk: Desk, wall: Wall) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    for _ in range(2):
        wall.seconds += 1
        for _ in range(MESSAGES - 1):
            ib.client.send(14, 1, 1)
        assert await ib.reqCurrentTimeAsync()
    assert codes == []
    ib.client.send(14, 1, 1)
    await until(codes, 1)
    wall.seconds += 1
    assert await ib.reqCurrentTimeAsync()
    assert codes == [100]


async def test_who_goes_on_too_fast_is_hung_up_on(desk: Desk, wall: Wall) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    for second in range(1, STRIKES + 1):
        wall.seconds += 1
        for _ in range(MESSAGES + 1):
            ib.client.send(14, 1, 1)
        await until(codes, second)
    await gone(ib)
    assert codes == [100] * STRIKES


async def test_the_same_question_within_fifteen_seconds_is_a_violation(
    desk: Desk, stock: Contract, wall: Wall
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    assert await ask(ib, stock)
    wall.seconds += 14.9
    assert not await ask(ib, stock)
    wall.seconds += 0.2
    assert await ask(ib, stock)
    assert codes == [162]


async def test_six_questions_about_one_share_in_two_seconds_are_too_many(
    desk: Desk, stock: Contract, thin: Contract, wall: Wall
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    for days in range(1, BURST + 1):
        assert await ask(ib, stock, f"{days} D")
    assert not await ask(ib, stock, "9 D")
    assert await ask(ib, thin)
    assert await ask(ib, stock, what="MIDPOINT")
    wall.seconds += 2
    assert await ask(ib, stock, "9 D")
    assert codes == [162]


@pytest.mark.parametrize(("what", "cost"), [("TRADES", 1), ("BID_ASK", 2)])
async def test_sixty_questions_in_ten_minutes_are_all_and_bid_ask_counts_twice(
    desk: Desk, stock: Contract, wall: Wall, what: str, cost: int
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    for number in range(HISTORY // cost):
        wall.seconds += 5
        await ask(ib, stock, f"{60 + number} S", what)
    assert codes == []
    assert not await ask(ib, stock, "2 D", what)
    assert codes == [162]
    wall.seconds += 600
    assert await ask(ib, stock, "2 D")
    assert codes == [162]


async def test_fifty_questions_may_be_kept_up_to_date_at_a_time(
    desk: Desk, stock: Contract, wall: Wall
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    assert not await ask(ib, stock, "4 W", "HISTORICAL_VOLATILITY", keepUpToDate=True)
    assert codes == [162]
    codes.clear()  # what was refused holds no place
    growing = []
    for _ in range(MOST_GROWING):
        wall.seconds += 16
        growing.append(
            await ib.reqHistoricalDataAsync(stock, "", "1 D", "1 hour", "TRADES", True, keepUpToDate=True)
        )
    wall.seconds += 16
    assert not await ask(ib, stock, keepUpToDate=True)
    ib.cancelHistoricalData(growing[0])
    wall.seconds += 16
    assert await ask(ib, stock, keepUpToDate=True)
    assert codes == [162, 162]  # the second one says that the query was cancelled


async def test_sixty_new_streams_of_bars_in_ten_minutes_are_all(
    desk: Desk, stock: Contract, wall: Wall
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    for _ in range(BARS + 1):
        wall.seconds += 1
        ib.cancelRealTimeBars(ib.reqRealTimeBars(stock, 5, "TRADES", True))
        await ib.reqCurrentTimeAsync()
    assert codes.count(420) == 1


async def test_each_client_is_counted_for_itself(desk: Desk, stock: Contract) -> None:
    first, second = await desk.connect(1), await desk.connect(2)
    assert await ask(first, stock)
    assert await ask(second, stock)
    assert not await ask(first, stock)


async def test_unreadable_questions_are_counted_and_harm_nothing(desk: Desk, wall: Wall) -> None:
    ib = await desk.connect()
    wall.seconds += 1
    for words in ((20,), (50,), (96, "x"), (25,), (20, "9" * 50), (50, 3, "²")):
        ib.client.send(*words)
    assert await ib.reqCurrentTimeAsync()


async def test_without_strict_pacing_everything_is_answered(tape: TapeMarket, stock: Contract) -> None:
    async with desk_of(PracticeOptions(speed=0), tape) as desk:
        ib = await desk.connect()
        for _ in range(100):
            assert await ask(ib, stock)


def test_pacing_is_off_or_strict() -> None:
    with pytest.raises(ConfigurationError, match="strict"):
        PracticeOptions(pacing="sometimes")


async def test_a_client_that_keeps_the_limit_is_not_punished_for_what_a_busy_gateway_reads_late(
    desk: Desk, wall: Wall
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    pacing = desk.gateway.pacing
    assert pacing is not None
    pacing.arrivals.begin()
    for busy in (2.0, 0.3, 2.0, 0.1):  # what was sent at the start is read at the end
        wall.seconds += busy
        for _ in range(MESSAGES * 4 // 5):
            ib.client.send(14, 1, 1)
        await desk.settle()
        pacing.arrivals.end()
        pacing.arrivals.begin()
    assert codes == []


async def test_a_client_within_the_limits_is_served_by_the_clock_on_the_wall(tape: TapeMarket) -> None:
    async with desk_of(PracticeOptions(speed=0, pacing="strict"), tape) as desk:
        codes = codes_of(ib := await desk.connect())
        for _ in range(MESSAGES // 2):
            ib.client.send(14, 1, 1)
        await desk.settle()
        assert codes == []
