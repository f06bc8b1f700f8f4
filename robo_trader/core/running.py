"""The loop of the desk: decide, write down, send, tell; the same in every mode."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import assert_never

from robo_trader.core.engine import Engine
from robo_trader.core.events import Cancel, Event, Modify, SetTimer, Submit
from robo_trader.core.protocols import Broker, Inbox, Journal, Listener
from robo_trader.core.steps import Step

MOMENT = 64  # events decided before a commit, at most
BREATH = 8  # events decided before others get their turn


async def run(
    engine: Engine, inbox: Inbox, broker: Broker, journal: Journal, listeners: Sequence[Listener] = ()
) -> None:
    """Work the inbox until it closes: decide, write down, send, and only then tell. The same loop in every mode.

    Events of one moment are decided together and share one commit, so that fifty bars of a minute wait for one.
    """
    async for event in inbox:
        moment: list[tuple[Event, Step]] = []
        is_urgent = False
        more: Event | None = event
        while more is not None:
            step = engine.on_event(more)
            is_urgent |= journal.add(more, step)
            moment.append((more, step))
            for command in step.commands:
                if isinstance(command, SetTimer):
                    inbox.set_timer(command)
            if len(moment) % BREATH == 0:
                await asyncio.sleep(0)  # the session's heartbeat and the feed live in the same loop
            more = inbox.of_this_moment() if len(moment) < MOMENT else None
        if is_urgent:
            await journal.commit()
        for _, step in moment:
            await _carry_out(step, broker)
        for listener in listeners:
            for told, step in moment:
                await listener.record(told, step)


async def _carry_out(step: Step, broker: Broker) -> None:
    for command in step.commands:
        match command:
            case Submit():
                await broker.submit(command.order, command.stop)
            case Modify():
                await broker.modify(command.order)
            case Cancel():
                await broker.cancel(command.order_id)
            case SetTimer():
                pass  # set when it was decided
            case _:
                assert_never(command)
