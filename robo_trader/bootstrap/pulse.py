"""Takes the daemon's pulse: whether its loop was blocked, and what it holds of memory and open files."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

TICK_S = 0.02
BLOCKED_S = 0.1
_STATM = Path("/proc/self/statm")
_DESCRIPTORS = Path("/dev/fd")


class Pulse:
    """Counts how often the event loop turned too late: nothing else runs, no order leaves, while it is blocked."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.thread_time,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Measure with `clock` and, to tell our own work from a machine that was busy elsewhere, CPU time."""
        self.blocks = 0
        self.starved = 0  # of these, the ones in which this thread had hardly any of the time
        self.worst_s = 0.0
        self.worst_at = 0
        self.last_s = 0.0  # the worst since it was last asked for
        self._clock = clock
        self._busy = busy
        self._wall_ns = wall_ns

    async def run(self) -> None:
        """Feel it until cancelled."""
        while True:
            began, worked = self._clock(), self._busy()
            await asyncio.sleep(TICK_S)
            self.note(self._clock() - began - TICK_S, self._busy() - worked)

    def note(self, late_s: float, busy_s: float) -> None:
        """Take one turn of the loop: how late it came, and how much of that this thread was at work."""
        self.last_s = max(self.last_s, late_s)
        if late_s < BLOCKED_S:
            return
        self.blocks += 1
        self.starved += busy_s < late_s / 2
        if late_s > self.worst_s:
            self.worst_s, self.worst_at = late_s, self._wall_ns()

    def worst_since(self) -> float:
        """Return the worst delay in seconds since the last call."""
        worst, self.last_s = self.last_s, 0.0
        return worst

    def as_json(self, **more: object) -> str:
        """Write the pulse, memory (MB) and open files as the detail of a job's row."""
        return json.dumps(
            {
                "blocks": self.blocks,
                "starved": self.starved,
                "max_ms": round(self.worst_s * 1000, 1),
                "max_at_ns": self.worst_at or None,
                "rss_mb": resident_mb(),
                "open_files": open_files(),
                **more,
            }
        )


def settle() -> None:
    """Leave what the start has loaded out of every later search for garbage: one search took half a second with it."""
    gc.collect()
    gc.freeze()


def resident_mb() -> float | None:
    """Return the memory this process holds, None where the system does not say."""
    if not _STATM.exists():
        return None
    pages = int(_STATM.read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def open_files() -> int | None:
    """Return how many files and sockets this process has open, None where the system does not say."""
    if sys.platform == "win32" or not _DESCRIPTORS.exists():
        return None
    return len(os.listdir(_DESCRIPTORS)) - 1  # less the one that lists them
