"""Watches the desk's features against the model's training window and says which of them have drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robo_trader.core.events import Bar
from robo_trader.core.protocols import Calendar, Session, Vector
from robo_trader.core.steps import Drifted, DriftSummary, Fact
from robo_trader.ml.drift import TESTS, Columns, Drift, Floats, Ints, Reference

WORST = 8  # columns that a summary names
# Those of TESTS that must agree before a column counts as drifted. Page-Hinkley is told and no more: a mean that moves
# for a day is as much of a calm market as of one that turns.
AGREEING = slice(TESTS.index("page_hinkley"))


@dataclass(frozen=True)
class DriftOptions:
    """When to speak: of a test beyond its limit until it is below `calm` of it; an alarm above a `share` of columns.

    An alarm ends when for a session's worth of bars no more than half that share has drifted.
    """

    share: float = 0.05
    calm: float = 0.8


class DriftWatch:
    """Implements `core.protocols.Watch` for the symbols a model trades on.

    It looks at bars as the model saw them: complete, in a session, and not so near its close that the horizon reaches
    beyond. The past, recalled at the start or told as history, fills the window and calls for nothing. What it says
    follows from the bars alone, so that a replay says the same.
    """

    def __init__(
        self, reference: Reference, columns: Columns, symbols: Sequence[str], calendar: Calendar, horizon: int,
        options: DriftOptions | None = None,
    ) -> None:  # fmt: skip
        """`columns` say where the reference's features stand in a vector, `horizon` how many bars a forecast reaches."""
        self._drift = Drift(reference, columns, sorted(symbols))
        self._symbols = frozenset(symbols)
        self._names = reference.names
        self.columns = columns
        self._window = reference.window
        self._every = reference.check_bars * len(symbols)
        self._calendar = calendar
        self._horizon = horizon
        self._options = options or DriftOptions()
        self._session: Session | None = None
        self._summed_up = ""  # the session told of last
        self._unread = 0  # rows since the last reading
        self._quiet = 0  # rows since more than half of what alarms had drifted
        self._has_spoken = False
        self._standing = np.zeros(reference.limits.shape[1:], dtype=np.bool_)
        self._alarmed = False

    @property
    def reach(self) -> int:
        """How many of a symbol's last bars are surely enough to fill its window."""
        return 3 * (self._window + self._horizon)  # closes are left out, and some days are short

    def newest(self, ts: Ints, rows: Floats, interval_ns: int) -> Ints:
        """Return which rows (n, any) of a symbol's bars, closed at `ts` (ns UTC, rising), are its window at their end."""
        complete = np.isfinite(rows[:, self.columns]).all(axis=1)
        found: list[int] = []
        for i in np.flatnonzero(complete)[::-1].tolist():
            session = self._session_of(int(ts[i]))
            if session is not None and self._is_looked_at(session, int(ts[i]), interval_ns):
                found.append(i)
            if len(found) == self._window:
                break
        return np.array(found[::-1], dtype=np.int64)

    def recall(self, past: Mapping[str, tuple[Ints, Floats]]) -> None:
        """Fill the window with the `newest` of each symbol: when they closed (ns UTC) and their rows."""
        told = [
            (at, symbol, row)
            for symbol, (ts, rows) in past.items()
            for at, row in zip(ts.tolist(), rows, strict=True)
        ]
        for _, symbol, row in sorted(told, key=lambda one: one[:2]):  # symbols share sums: as they came live
            self._drift.add(symbol, row)
        self._unread += len(told)

    def on_bar(self, bar: Bar, vector: Vector) -> Sequence[Fact]:
        """Take a bar's features; return what has drifted since the last reading, at first and at the close how all stand."""
        session = self._session_of(bar.ts)
        if session is None or bar.symbol not in self._symbols:
            return ()
        if self._is_looked_at(session, bar.ts, bar.interval_ns):
            self._drift.add(bar.symbol, vector)
            self._unread += 1
        is_last = bar.ts == session.close and session.label != self._summed_up
        if bar.history or not (is_last or self._unread >= self._every) or not self._drift.is_full:
            return ()
        return tuple(self._read(bar.ts, session.label, is_last))

    def correct(self, symbol: str, vectors: Vector) -> None:
        """Replace a symbol's newest vectors, (n, n_features) of this session: they were told at a price of other shares."""
        if symbol in self._symbols and len(vectors):
            self._drift.correct(symbol, vectors)

    def _is_looked_at(self, session: Session, ts: int, interval_ns: int) -> bool:
        return (session.close - ts) // interval_ns >= self._horizon

    def _session_of(self, ts: int) -> Session | None:
        known = self._session
        if known is None or not known.open < ts <= known.close:
            known = self._session = self._calendar.session(ts)
        return known

    def _read(self, ts: int, label: str, is_last: bool) -> Iterator[Fact]:
        readings, limits = self._drift.readings(), self._drift.limits
        begun = ~self._standing & (readings > limits)
        over = self._standing & (readings < self._options.calm * limits)
        self._standing ^= begun | over
        for test, column in np.argwhere(begun | over).tolist():
            yield self._reading(ts, readings, test, column)
        drifting = int(self._standing[AGREEING].all(axis=0).sum())
        was_alarmed, self._alarmed = self._alarmed, self._is_alarm(drifting)
        self._unread = 0
        self._summed_up = label if is_last else self._summed_up
        if is_last or self._alarmed != was_alarmed or not self._has_spoken:
            self._has_spoken = True
            worst = self._worst(ts, readings)
            yield DriftSummary(ts, label, self._drift.rows, len(self._names), drifting, self._alarmed, worst)

    def _is_alarm(self, drifting: int) -> bool:
        bound = self._options.share * len(self._names)
        self._quiet = self._quiet + self._unread if drifting <= bound / 2 else 0
        return drifting > bound or (self._alarmed and self._quiet < self._drift.rows)

    def _worst(self, ts: int, readings: Floats) -> tuple[Drifted, ...]:
        """Return the reading that is furthest beyond its limit, or nearest to it, of each of the worst columns."""
        reached = readings / self._drift.limits
        columns = np.argsort(-reached.max(axis=0), kind="stable")[:WORST].tolist()
        return tuple(self._reading(ts, readings, int(reached[:, c].argmax()), c) for c in columns)

    def _reading(self, ts: int, readings: Floats, test: int, column: int) -> Drifted:
        value, limit = readings.item(test, column), self._drift.limits.item(test, column)
        return Drifted(ts, self._names[column], TESTS[test], value, limit)
