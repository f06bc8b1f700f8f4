"""The loop: what belongs to one moment is decided together, on disk once, and only then sent."""

from __future__ import annotations

from robo_trader.core.events import AccountSnapshot, Event, Order
from robo_trader.core.inbox import Inbox
from robo_trader.core.running import run
from robo_trader.core.steps import Step
from tests.desks import Scripted, bar, desk, opening


class Diary:
    """A journal, a broker and a listener that write down what they are asked, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def add(self, event: Event, step: Step) -> bool:
        self.said.append(f"add {type(event).__name__}")
        return bool(step.commands)

    async def commit(self) -> None:
        self.said.append("commit")

    async def record(self, event: Event, step: Step) -> None:
        self.said.append(f"tell {type(event).__name__}")

    async def submit(self, order: Order, stop: Order | None = None) -> None:
        self.said.append(f"submit {order.symbol}")

    async def modify(self, order: Order) -> None:
        raise AssertionError("nothing is modified here")

    async def cancel(self, order_id: str) -> None:
        self.said.append(f"cancel {order_id}")

    async def snapshot(self) -> AccountSnapshot:
        raise AssertionError("nobody asks here")


async def story(*events: Event, algorithm: str = "market") -> list[str]:
    inbox, diary = Inbox(), Diary()
    for event in events:
        inbox.put(event)
    inbox.close()
    await run(desk(Scripted(wants=[("NVDA", 1)]), algorithm=algorithm), inbox, diary, diary, [diary])
    return diary.said


async def test_bars_of_one_moment_share_a_commit_that_comes_before_anything_is_sent():
    said = await story(opening(), bar(1, symbol="AAPL"), bar(1), bar(1, symbol="MSFT"), bar(2))
    assert said == [
        *("add AccountSnapshot", "tell AccountSnapshot"),
        *("add Bar", "add Bar", "add Bar", "commit", "submit NVDA", "tell Bar", "tell Bar", "tell Bar"),
        *("add Bar", "tell Bar"),
    ]


async def test_a_timer_set_within_a_moment_is_heard_in_its_turn():
    last = [bar(minute, symbol="AAPL") for minute in range(1, 9)]
    said = await story(opening(), bar(1), *last, algorithm="twap")
    assert said.count("submit NVDA") == 5
    assert said.count("add Timer") == 4
