"""Re-runs a recorded session through a fresh engine and finds the first step that differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.core.events import Event, decode_event, encode
from robo_trader.core.steps import Step, journaled

_VECTORS_WHOLE = b'"values":"'  # in the steps of earlier versions, which kept no digests


class EventDriven(Protocol):
    """What is replayed: anything that answers an event with a step."""

    def on_event(self, event: Event) -> Step: ...


@dataclass(frozen=True)
class Difference:
    """The first event whose step came out otherwise; event, expected and got are the journal's JSON."""

    seq: int
    event: str
    expected: str
    got: str
    step: Step


def replay(engine: EventDriven, rows: Iterable[tuple[int, bytes, bytes]]) -> Difference | None:
    """Feed each journaled (seq, event, step) to a fresh engine; return the first difference, None for none.

    Raises DataError where nothing was recorded, an event is missing or cannot be read.
    """
    expected_seq = 1
    for seq, event, step in rows:
        if seq != expected_seq:
            raise DataError(f"the journal lacks event {expected_seq}; it goes on with {seq}")
        expected_seq += 1
        answer = engine.on_event(_decoded(seq, event))
        got = encode(answer) if _VECTORS_WHOLE in step else journaled(answer)
        if got != step:
            return Difference(seq, event.decode(), step.decode(), got.decode(), answer)
    if expected_seq == 1:
        raise DataError("the session recorded no events: there is nothing to replay")
    return None


def _decoded(seq: int, event: bytes) -> Event:
    try:
        return decode_event(event)
    except msgspec.DecodeError as error:
        raise DataError(f"event {seq} of the journal cannot be read: {error}") from error
