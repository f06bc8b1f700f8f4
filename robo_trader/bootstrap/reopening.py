"""Stops new exposure while the market cannot be seen, and lets it begin again only once everything is known."""

from __future__ import annotations

from dataclasses import dataclass

from robo_trader.core.events import SECOND_NS, Halt, Resume, TradingState
from robo_trader.ibkr.restart_window import RestartWindow

SESSION, RESTART = "session", "restart window"  # who asks


@dataclass(frozen=True)
class Sight:
    """What is known of the link at one look. `now` is the market's time, UTC ns; each reason is empty where all is well.

    `lost` says why there is no session that agrees with our books, `dark` why no stream is fresh, and `wanted` what is
    still to come before trading may begin again: prices newer than the session, bars that were missed.
    """

    now: int
    lost: str = ""
    dark: str = ""
    wanted: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether new exposure may begin again."""
        return not (self.lost or self.dark or self.wanted)


class Reopening:
    """One gate for every lost session and for TWS's restart. A stream that dies closes it only where none is left."""

    def __init__(self, window: RestartWindow | None = None, lead_s: float = 300.0) -> None:
        self._window = window
        self._lead_ns = int(lead_s * SECOND_NS)
        # What an earlier process stopped and could not lift any more stands in the books: it is lifted as well.
        self._closed = {SESSION, RESTART}
        self._told: set[str] = set()

    @property
    def is_shut(self) -> bool:
        """Whether a session that was lost, or the first, has yet to be clear."""
        return SESSION in self._closed

    def look(self, sight: Sight, ts: int) -> list[Halt | Resume]:
        """Return what the desk must be told now, dated `ts`."""
        stops = self._stops(sight)
        halts = [
            Halt(ts, why, by, TradingState.REDUCING) for by, why in stops.items() if by not in self._told
        ]
        self._closed |= stops.keys()
        self._told |= stops.keys()
        if not sight.is_clear:
            return [*halts]
        lifted = sorted(self._closed - stops.keys())
        self._closed -= set(lifted)
        self._told -= set(lifted)
        why = "the books agree with the broker, prices are fresh and no bar is missing"
        return [*halts, *(Resume(ts, why, by) for by in lifted)]

    def restart(self, now: int) -> tuple[str, int] | None:
        """Return what silence at `now` is due to and until when (market time, UTC ns), None where it is a failure."""
        if self._window is None:
            return None
        begins, ends = self._window.next(now)
        return (f"TWS restarts, {self._window}", ends) if begins <= now else None

    def _stops(self, sight: Sight) -> dict[str, str]:
        """Say who wants no new exposure, and why."""
        stops = {}
        # In the window silence is what was expected, and nothing may be opened anyhow.
        if (sight.lost or sight.dark) and self.restart(sight.now) is None:
            stops[SESSION] = sight.lost or sight.dark
        if self._window is not None and sight.now >= self._window.next(sight.now)[0] - self._lead_ns:
            stops[RESTART] = f"TWS restarts, {self._window}: what is held is kept, nothing is opened"
        return stops
