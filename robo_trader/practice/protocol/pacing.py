"""The limits TWS has on how often a client may ask, kept strictly."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from robo_trader.practice.protocol.clients import Client

MESSAGES = 50  # a second
STRIKES = 3  # seconds in which that was exceeded, until the socket is closed
HISTORY, HISTORY_S = 60, 600.0  # questions for the past in ten minutes
SAME_S = 15.0  # between two identical questions
BURST, BURST_S = 5, 2.0  # questions about one share, exchange and kind of bar: the sixth is too many
BARS, BARS_S = 60, 600.0  # new streams of real-time bars in ten minutes
_HISTORY, _TICKS, _REAL_TIME_BARS = 20, 96, 50
_CALM_S = 0.02
_VIOLATION = "Historical data request pacing violation"
_SERVICE = "Historical Market Data Service error message:"


@dataclass
class _Record:
    """What one client has asked lately, by the wall clock, seconds."""

    messages: deque[float] = field(default_factory=lambda: deque(maxlen=MESSAGES))
    strikes: int = 0
    struck: float = float("-inf")
    history: deque[float] = field(default_factory=deque)
    asked: dict[tuple[str, ...], float] = field(default_factory=dict)
    bursts: dict[tuple[str, ...], deque[float]] = field(default_factory=dict)
    bars: deque[float] = field(default_factory=deque)


class Arrivals:
    """Knows since when what is read may have been here: it queues up while the gateway is busy."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calm = math.inf  # all that came until then has been read
        self._next: asyncio.Handle | None = None

    def earliest(self, now: float) -> float:
        """Return when at the earliest what is read `now` came."""
        return min(now, self._calm)

    def begin(self) -> None:
        """Watch from now on, in the running event loop, how busy the gateway is."""
        self._note(self._clock())

    def end(self) -> None:
        """Watch no longer: what is read came just now."""
        self._calm = math.inf
        if self._next is not None:
            self._next.cancel()

    def _note(self, calm: float) -> None:
        self._calm = calm
        self._next = asyncio.get_running_loop().call_later(_CALM_S, self._look)

    def _look(self) -> None:
        # Two turns of the loop: the first looks for what has come by now, and by the second that is read.
        self._next = asyncio.get_running_loop().call_soon(self._looked, self._clock())

    def _looked(self, since: float) -> None:
        self._next = asyncio.get_running_loop().call_soon(self._note, since)


class Pacing:
    """Refuses what comes too often: 100 for messages, 162 for history, 420 for real-time bars.

    Limits as IB documents them. They hold by the wall clock, however fast the market runs.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells the time in seconds and never goes back."""
        self._clock = clock
        self.arrivals = Arrivals(clock)
        self._records: dict[Client, _Record] = {}

    def allows(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        """Return whether a message may be answered. Where it may not, say so, or hang up."""
        record = self._records.setdefault(client, _Record())
        now = self._clock()
        if not self._slow_enough(client, record, now):
            return False
        if kind in (_HISTORY, _TICKS) and not self._may_look_back(record, kind, fields, now):
            client.error(_number(fields, 1), 162, f"{_SERVICE}{_VIOLATION}")
            return False
        if kind == _REAL_TIME_BARS and not _room(record.bars, BARS, BARS_S, now):
            client.error(_number(fields, 2), 420, f"Invalid Real-time Query:{_VIOLATION}")
            return False
        return True

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        self._records.pop(client, None)

    def _slow_enough(self, client: Client, record: _Record, now: float) -> bool:
        # What a busy gateway reads late came at any time since it was last free: it keeps the limit if it may have.
        times = record.messages
        came = max(self.arrivals.earliest(now), times[0] + 1.0 if len(times) == MESSAGES else -math.inf)
        if came <= now:
            times.append(max(came, times[-1] if times else came))
            return True
        if now - record.struck >= 1.0:
            record.strikes, record.struck = record.strikes + 1, now
        text = "Max rate of messages per second has been exceeded:max=50 rec=51"
        client.error(-1, 100, f"{text} ({record.strikes})")
        if record.strikes >= STRIKES:
            client.hang_up()
        return False

    def _may_look_back(self, record: _Record, kind: int, fields: Sequence[str], now: float) -> bool:
        """Count a question for the past; return whether it keeps all limits."""
        question = (str(kind), *fields[2:])
        if now - record.asked.get(question, float("-inf")) < SAME_S:
            return False
        what = _at(fields, _WHAT[kind])
        about = (_at(fields, 2), _at(fields, 3), _at(fields, 9), what)
        burst = record.bursts.setdefault(about, deque())
        if not _room(burst, BURST, BURST_S, now) or not _room(record.history, HISTORY, HISTORY_S, now):
            return False
        if what == "BID_ASK" and not _room(record.history, HISTORY, HISTORY_S, now):
            return False
        self._remember(record, question, now)
        return True

    def _remember(self, record: _Record, question: tuple[str, ...], now: float) -> None:
        record.asked[question] = now
        record.asked = {asked: at for asked, at in record.asked.items() if now - at < SAME_S}
        record.bursts = {about: at for about, at in record.bursts.items() if at and now - at[-1] < BURST_S}


_WHAT = {_HISTORY: 19, _TICKS: 18}


def _room(times: deque[float], most: int, seconds: float, now: float) -> bool:
    """Count one more time where there is room among the last `seconds`; return whether there was."""
    while times and now - times[0] >= seconds:
        times.popleft()
    if len(times) >= most:
        return False
    times.append(now)
    return True


def _at(fields: Sequence[str], place: int) -> str:
    return fields[place] if place < len(fields) else ""


def _number(fields: Sequence[str], place: int) -> int:
    text = _at(fields, place)
    return int(text) if text.isdecimal() and len(text) < 11 else -1
