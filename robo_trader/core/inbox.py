"""Where events wait for the desk: by time, ties by arrival, with timers due before the events that pass them."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Callable

from robo_trader.core.errors import InboxFull
from robo_trader.core.events import Bar, Depth, Event, Quote, SetTimer, Timer, Trade

_BETWEEN_BARS = Quote | Depth | Trade


class Inbox:
    """A bounded queue whose clock is the latest event. When it fills quotes, depth and trades thin, and no more."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()  # those that came in order of time
        self._late: list[tuple[int, int, Event]] = []  # a heap of those that came after a later one
        self._timers: list[tuple[int, int, str]] = []
        self._arrivals = 0
        self._arrived = asyncio.Event()
        self._closed = False
        self.now = 0
        self.thinned = 0
        self.most = 0  # that ever waited
        # Sees each event just before the desk does: how a simulated broker lives in the same time as the desk.
        self.tap: Callable[[Event], None] | None = None

    def start(self, ts: int) -> None:
        """Let the clock show `ts` (UTC ns) though no event has come yet: what is said at the start is dated by it."""
        self.now = max(self.now, ts)

    def put(self, event: Event) -> None:
        """Add an event. Raises InboxFull when it is full of what must not be dropped."""
        waiting = len(self._events) + len(self._late)
        if waiting >= self._capacity // 2 and isinstance(event, _BETWEEN_BARS):
            self.thinned += 1
            return
        if waiting >= self._capacity:
            raise InboxFull(
                f"{waiting} events wait and the desk does not keep up; stopping rather than losing one"
            )
        if not self._events or event.ts >= self._events[-1].ts:
            self._events.append(event)
        else:
            self._arrivals += 1
            heapq.heappush(self._late, (event.ts, self._arrivals, event))
        self.most = max(self.most, waiting + 1)
        self._arrived.set()

    def set_timer(self, timer: SetTimer) -> None:
        """Deliver Timer(key) once the clock of events reaches its time."""
        self._arrivals += 1
        heapq.heappush(self._timers, (timer.ts, self._arrivals, timer.key))
        self._arrived.set()

    def forget_market(self) -> None:
        """Drop what waits of the market: at the end nobody acts on it, and all else is heard sooner."""
        market = Bar | _BETWEEN_BARS
        self._events = deque(event for event in self._events if not isinstance(event, market))
        self._late = [entry for entry in self._late if not isinstance(entry[2], market)]
        heapq.heapify(self._late)

    def close(self) -> None:
        """End the iteration once what waits has been delivered."""
        self._closed = True
        self._arrived.set()

    @property
    def load(self) -> float:
        """How full it is, from 0 to 1; from half on quotes, depth and trades are thinned."""
        return len(self) / self._capacity

    def __len__(self) -> int:
        return len(self._events) + len(self._late)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            event = self._next()
            if event is not None:
                if self.tap is not None:
                    self.tap(event)
                return event
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    def of_this_moment(self) -> Event | None:
        """Return the next event if its time has come with the last one, None where none waits or it is later."""
        waiting = [*self._timers[:1], *self._late[:1]]
        due = min(
            [first[0] for first in waiting] + ([self._events[0].ts] if self._events else []), default=None
        )
        if due is None or due > self.now:
            return None
        event = self._next()
        if event is not None and self.tap is not None:
            self.tap(event)
        return event

    def _next(self) -> Event | None:
        # At equal times what came in order came first: a late one was late because something later waited already.
        late = bool(self._late) and (not self._events or self._late[0][0] < self._events[0].ts)
        event = self._late[0][2] if late else self._events[0] if self._events else None
        reached = self.now if event is None or event.ts < self.now else event.ts
        if self._timers and self._timers[0][0] <= reached:
            ts, _, key = heapq.heappop(self._timers)
            return Timer(max(ts, self.now), key)
        if late:
            heapq.heappop(self._late)
        elif event is not None:
            self._events.popleft()
        self.now = reached
        return event
