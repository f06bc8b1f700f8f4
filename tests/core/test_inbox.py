"""The inbox: by time, ties by arrival, timers before what passes them, full is loud."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import InboxFull
from robo_trader.core.events import Depth, Halt, OrderStatus, OrderUpdate, Quote, SetTimer, Timer, Trade
from robo_trader.core.inbox import Inbox


def halt(ts: int, name: str = "") -> Halt:
    return Halt(ts, name, "test")


async def drained(inbox: Inbox) -> list:
    inbox.close()
    return [event async for event in inbox]


async def test_a_timer_comes_before_the_first_event_that_passes_it():
    inbox = Inbox()
    inbox.set_timer(SetTimer(10, "ten"))
    inbox.set_timer(SetTimer(30, "never"))
    inbox.put(halt(5))
    inbox.put(halt(20))
    assert await drained(inbox) == [halt(5), Timer(10, "ten"), halt(20)]


async def test_a_timer_set_for_the_past_is_due_at_once():
    inbox = Inbox()
    inbox.put(halt(50))
    assert await anext(inbox) == halt(50)
    inbox.set_timer(SetTimer(10, "late"))
    assert await anext(inbox) == Timer(50, "late")


def test_the_clock_may_be_started_before_the_first_event_and_never_goes_back():
    inbox = Inbox()
    inbox.start(5)
    inbox.start(3)
    assert inbox.now == 5


async def test_an_event_wakes_a_waiting_reader():
    inbox = Inbox()
    reader = asyncio.ensure_future(anext(inbox))
    await asyncio.sleep(0)
    inbox.put(halt(1))
    assert await reader == halt(1)


async def test_quotes_thin_when_half_full_and_all_else_is_loud_when_full():
    inbox = Inbox(capacity=4)
    for ts in range(2):
        inbox.put(halt(ts))
    inbox.put(Quote("NVDA", 9, 1.0, 1.1, 1, 1))
    inbox.put(Depth("NVDA", 9, ((1.0, 1.0),), ((1.1, 1.0),)))
    assert (len(inbox), inbox.thinned) == (2, 2)
    inbox.put(halt(2))
    inbox.put(halt(3))
    with pytest.raises(InboxFull):
        inbox.put(halt(4))
    assert inbox.most == 4


@given(st.lists(st.integers(0, 9), max_size=30))
def test_events_come_by_time_and_ties_by_arrival(times):
    inbox = Inbox()
    for n, ts in enumerate(times):
        inbox.put(halt(ts, str(n)))
    got = asyncio.run(drained(inbox))
    assert got == sorted((halt(ts, str(n)) for n, ts in enumerate(times)), key=lambda h: h.ts)


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=40))
def test_reading_in_between_changes_nothing_of_the_order(actions):
    async def played() -> None:
        inbox, waiting = Inbox(), []
        for n, ts in enumerate(actions):
            if ts is not None:
                inbox.put(halt(ts, str(n)))
                waiting.append(halt(ts, str(n)))
            elif waiting:
                first = min(waiting, key=lambda h: h.ts)  # of equals the one that came first
                waiting.remove(first)
                assert await anext(inbox) == first
            assert len(inbox) == len(waiting)

    asyncio.run(played())


async def test_of_this_moment_gives_what_is_no_later_than_the_last_event_timers_too():
    inbox = Inbox()
    seen: list = []
    inbox.tap = seen.append
    for event in (halt(10), halt(10, "same"), halt(11)):
        inbox.put(event)
    assert inbox.of_this_moment() is None  # nothing has happened yet
    assert await anext(inbox) == halt(10)
    inbox.put(halt(5, "late"))
    inbox.set_timer(SetTimer(10, "due"))
    found = [inbox.of_this_moment() for _ in range(4)]
    assert found == [Timer(10, "due"), halt(5, "late"), halt(10, "same"), None]
    assert seen == [halt(10), *found[:3]]
    assert await anext(inbox) == halt(11)


async def test_at_the_end_the_market_is_forgotten_and_what_became_of_orders_is_not():
    inbox = Inbox()
    update = OrderUpdate(3, "s-1.1", OrderStatus.CANCELLED)
    late = OrderUpdate(2, "s-2.1", OrderStatus.CANCELLED)
    for event in (
        Trade("NVDA", 4, 1.0, 1.0),
        Depth("NVDA", 5, (), ()),
        update,
        late,
        Quote("NVDA", 1, 1.0, 1.1, 1, 1),
    ):
        inbox.put(event)
    inbox.forget_market()
    assert inbox.load > 0
    inbox.close()
    assert [event async for event in inbox] == [late, update]
