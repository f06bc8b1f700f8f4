"""The inbox: by time, ties by arrival, timers before what passes them, full is loud."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.core.errors import InboxFull
from robo_trader.core.events import Halt, Quote, SetTimer, Timer
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
    assert (len(inbox), inbox.thinned) == (2, 1)
    inbox.put(halt(2))
    inbox.put(halt(3))
    with pytest.raises(InboxFull):
        inbox.put(halt(4))


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
