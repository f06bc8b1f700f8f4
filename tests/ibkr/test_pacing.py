"""TWS's limits are kept on a clock that the tests own."""

import asyncio

from structlog.testing import capture_logs

from robo_trader.ibkr.pacing import Pacer, PacingOptions


class Clock:
    """Time that moves only when everybody who runs has come to sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, wake))
        await wake

    async def run(self, until: float) -> None:
        """Move to `until`, waking sleepers in order."""
        await settle()
        while due := [s for s in self._sleepers if s[0] <= until]:
            first = min(due, key=lambda s: s[0])
            self._sleepers.remove(first)
            self.now = max(self.now, first[0])
            if not first[1].done():
                first[1].set_result(None)
            await settle()
        self.now = until


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def paced(clock: Clock, **options: int) -> Pacer:
    return Pacer(PacingOptions(**options), clock, clock.sleep)


async def test_an_order_behind_a_hundred_look_ups_passes_at_once() -> None:
    clock = Clock()
    pacer = paced(clock)
    passed: list[tuple[str, float]] = []

    async def note(kind: str) -> None:
        await (pacer.order() if kind == "order" else pacer.lookup())
        passed.append((kind, clock.now))

    tasks = [asyncio.create_task(note("lookup")) for _ in range(100)]
    await settle()
    tasks.append(asyncio.create_task(note("order")))
    await settle()
    assert ("order", 1000.0) in passed
    assert sum(kind == "lookup" for kind, _ in passed) == 30
    await clock.run(1010.0)
    assert len(passed) == 101
    await asyncio.gather(*tasks)


async def test_no_second_sees_more_messages_than_the_limit() -> None:
    clock = Clock()
    pacer = paced(clock)
    times: list[float] = []

    async def note(order: bool) -> None:
        await (pacer.order() if order else pacer.lookup())
        times.append(clock.now)

    tasks = [asyncio.create_task(note(i % 2 == 0)) for i in range(200)]
    await clock.run(1030.0)
    await asyncio.gather(*tasks)
    assert len(times) == 200
    assert all(sum(start <= t < start + 1 for t in times) <= 45 for start in times)


async def test_orders_keep_their_order() -> None:
    clock = Clock()
    pacer = paced(clock)
    seen: list[int] = []

    async def note(number: int) -> None:
        await pacer.order()
        seen.append(number)

    tasks = [asyncio.create_task(note(i)) for i in range(120)]
    await clock.run(1010.0)
    await asyncio.gather(*tasks)
    assert seen == list(range(120))


async def test_the_same_history_is_not_asked_twice_within_fifteen_seconds() -> None:
    clock = Clock()
    pacer = paced(clock)
    await pacer.history("AAPL", "AAPL 5 D")
    again = asyncio.create_task(pacer.history("AAPL", "AAPL 5 D"))
    await clock.run(1014.9)
    assert not again.done()
    await clock.run(1015.0)
    assert again.done()


async def test_one_contract_gets_five_histories_in_two_seconds() -> None:
    clock = Clock()
    pacer = paced(clock)
    tasks = [asyncio.create_task(pacer.history("AAPL", str(i))) for i in range(6)]
    await clock.run(1001.9)
    assert sum(task.done() for task in tasks) == 5
    await clock.run(1002.0)
    assert all(task.done() for task in tasks)


async def test_sixty_histories_in_ten_minutes() -> None:
    clock = Clock()
    pacer = paced(clock)
    tasks = [asyncio.create_task(pacer.history(f"S{i}", str(i))) for i in range(61)]
    await clock.run(1599.0)
    assert sum(task.done() for task in tasks) == 60
    await clock.run(1601.0)
    assert all(task.done() for task in tasks)


async def test_a_cancelled_wait_takes_no_place() -> None:
    clock = Clock()
    pacer = paced(clock, messages_per_s=1, kept_for_orders=0)
    await pacer.order()
    waiting = asyncio.create_task(pacer.order())
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    later = asyncio.create_task(pacer.order())
    await clock.run(1001.0)
    assert later.done()


async def test_a_long_wait_for_history_is_told_and_a_short_one_is_not() -> None:
    clock = Clock()
    pacer = paced(clock, history_per_10_min=6)
    with capture_logs() as logs:
        asks = [asyncio.create_task(pacer.history(f"S{i}", f"request {i}")) for i in range(6)]
        asks.append(asyncio.create_task(pacer.history("S0", "request 6")))
        await clock.run(1000.0)
        assert [entry["what"] for entry in logs] == ["TWS limits requests for history: the next in 600 s"]
        await clock.run(1700.0)
        await asyncio.gather(*asks)
    assert len(logs) == 1
