"""How the link to the market is: one state at a time, since when, why, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import structlog

from robo_trader.core.events import SECOND_NS

log = structlog.get_logger()
_NAMED = 5  # streams, and troubles, named in a state's words; the rest is counted


class Phase(StrEnum):
    """Where the link is in its life."""

    CONNECTING = "connecting"
    SYNCHRONISING = "synchronising"  # there is a session: orders, account and prices are being caught up with
    READY = "ready"
    DEGRADED = "degraded"  # the session is well and a stream is not
    LOST = "lost"
    WAITING = "waiting"  # for the next attempt, or for the end of TWS's restart


_QUIET = frozenset({Phase.CONNECTING, Phase.SYNCHRONISING, Phase.READY})


class Trouble(NamedTuple):
    """What is wrong with a stream, and since when (wall, UTC ns)."""

    why: str
    since: int


class JobRow(NamedTuple):
    """The state as the database keeps it: since, until (wall, UTC ns), the phase's name, why."""

    last_run: int
    next_run: int | None
    state: str
    detail: str


class _Said(NamedTuple):
    phase: Phase
    why: str
    until: int | None = None


class LinkState:
    """The connection's state machine. It is told what happens; whoever listens hears of each change. Times of the wall."""

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._base = self._shown = _Said(Phase.CONNECTING, "starting")
        self._since = self._dark = wall_ns()
        self._is_dark = True
        self._expected: tuple[str, int] | None = None
        self._watched: frozenset[str] = frozenset()
        self._listeners: list[Callable[[], None]] = []
        self.streams: dict[str, Trouble] = {}

    # ------------------------------------------------------------------------------------------ what is known

    @property
    def phase(self) -> Phase:
        """Where the link is."""
        return self._shown.phase

    @property
    def why(self) -> str:
        """Why it is there; names the streams that are in trouble, and since when."""
        return self._shown.why

    @property
    def since(self) -> int:
        """Since when it is in this phase."""
        return self._since

    @property
    def until(self) -> int | None:
        """Until when it waits, None where it does not or nobody knows."""
        return self._shown.until

    @property
    def dark(self) -> str:
        """Why no stream that is traded on is fresh, empty while one is."""
        if not self._watched or not self._watched <= self.streams.keys():
            return ""
        return f"no stream is fresh: {self._troubles()}"

    @property
    def blind_since(self) -> int | None:
        """Since when the market cannot be seen, None while it can; a restart of TWS that is expected is no blindness."""
        return self._dark if self._is_dark and self._expected is None else None

    def as_row(self) -> JobRow:
        """Return it as the database keeps it."""
        return JobRow(self._since, self._shown.until, str(self._shown.phase), self._shown.why)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    # --------------------------------------------------------------------------------------------- what happens

    def connecting(self, where: str) -> None:
        """An attempt begins."""
        self._enter(_Said(Phase.CONNECTING, where))

    def waiting(self, why: str, until: int) -> None:
        """There is no session, and nothing is tried before `until`."""
        self.darken()
        self._enter(_Said(Phase.WAITING, why, until))

    def synchronising(self, what: str) -> None:
        """There is a session, and `what` is still to come."""
        self._enter(_Said(Phase.SYNCHRONISING, what))

    def ready(self) -> None:
        """All is known that trading needs."""
        self._is_dark = False
        self._enter(_Said(Phase.READY, "streaming"))

    def lost(self, why: str) -> None:
        """The session is gone, and with it what was known of its streams."""
        self.streams.clear()
        self.darken()
        self._enter(_Said(Phase.LOST, why))

    def watch(self, symbols: Collection[str]) -> None:
        """These are to be streamed in a new session: without one of them fresh the market cannot be seen."""
        self._watched = frozenset(symbols)
        self.streams.clear()

    def stream(self, symbol: str, why: str) -> None:
        """A stream got into trouble, or, where `why` is empty, out of it."""
        known = self.streams.pop(symbol, None)
        if why:
            self.streams[symbol] = Trouble(why, known.since if known else self._wall_ns())
        self._show()

    def expect(self, restart: tuple[str, int] | None) -> None:
        """For this reason there may be no session until then, and that is no failure; None: there should be one."""
        if self._expected is None or restart is None:  # when it is over was told when it began
            self._expected = restart
            self._show()

    def darken(self) -> None:
        """The market cannot be seen from now on."""
        if not self._is_dark:
            self._is_dark, self._dark = True, self._wall_ns()

    # ------------------------------------------------------------------------------------------------- the rest

    def _enter(self, said: _Said) -> None:
        self._base = said
        self._show()

    def _show(self) -> None:
        shown = self._seen()
        if shown == self._shown:
            return
        is_new = shown.phase is not self._shown.phase
        if is_new:
            self._since = self._wall_ns()
        self._shown = shown
        until = {} if shown.until is None else {"until": _clock(shown.until)}
        tell = log.info if shown.phase in _QUIET else log.warning
        if shown.phase is Phase.DEGRADED and not is_new:
            tell = log.debug  # each stream speaks for itself
        tell("link", state=str(shown.phase), why=shown.why, **until)
        for listener in self._listeners:
            listener()

    def _seen(self) -> _Said:
        """Return the state as others should see it: expected silence is waiting, a stream in trouble is degraded."""
        base = self._base
        if base.phase in (Phase.READY, Phase.SYNCHRONISING):
            return _Said(Phase.DEGRADED, self._troubles()) if self.streams else base
        if self._expected is None:
            return base
        why, until = self._expected
        return _Said(Phase.WAITING, f"{why}; {base.why}", until)

    def _troubles(self) -> str:
        alike: dict[tuple[str, str], list[str]] = {}
        for symbol, trouble in sorted(self.streams.items()):
            alike.setdefault((_clock(trouble.since), trouble.why), []).append(symbol)
        told = [f"{_names(symbols)} since {since}: {why}" for (since, why), symbols in alike.items()]
        more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
        return "; ".join(told[:_NAMED]) + more


def _names(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _NAMED} more" if len(symbols) > _NAMED else ""
    return ", ".join(symbols[:_NAMED]) + more


def _clock(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // SECOND_NS, UTC):%H:%M:%S} UTC"
