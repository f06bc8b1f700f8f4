"""Faults of bars, past and growing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from robo_trader.practice.faults.kinds import Fault, Message, message, option
from robo_trader.practice.protocol.clients import Client

_PAST, _BAR, _UPDATE = 17, 50, 90
_HEAD, _ROW = 5, 8  # fields before the first bar of an answer, fields of a bar
_PRICES = {_BAR: (4, 5, 6, 7), _UPDATE: (4, 5, 6, 7)}


def rows_of(told: Message) -> list[tuple[str, ...]]:
    """Return the bars of historicalData (17), each as its fields."""
    fields = told.fields
    return [fields[at : at + _ROW] for at in range(_HEAD, len(fields), _ROW)]


def with_rows(told: Message, rows: Sequence[Sequence[str]]) -> Message:
    """Return historicalData (17) with other bars."""
    return message(*told.fields[: _HEAD - 1], len(rows), *(text for row in rows for text in row))


@dataclass(eq=False)
class Gap(Fault):
    """Leave bars out: some in the middle of an answer, and live ones as they come.

    Nothing says that they are missing; averages over n bars reach further back than they should.
    """

    bars: int = option(3, "left out of the middle of an answer", 1)
    tells = frozenset({_PAST, _BAR, _UPDATE})

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind != _PAST:
            return []
        rows = rows_of(told)
        middle = (len(rows) - self.bars) // 2
        return [with_rows(told, rows[: max(0, middle)] + rows[max(0, middle) + self.bars :])]


@dataclass(eq=False)
class DuplicateBars(Fault):
    """Send each bar twice.

    Volume is counted twice, and a bar that comes again is taken for a new one.
    """

    tells = frozenset({_PAST, _BAR, _UPDATE})

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind != _PAST:
            return [told, told]
        return [with_rows(told, [row for row in rows_of(told) for _ in (1, 2)])]


@dataclass(eq=False)
class LateBars(Fault):
    """Send bars out of order: each second one after its successor.

    ib_async drops an update that is older than its last bar; real-time bars simply arrive in the wrong order.
    """

    kept: dict[tuple[Client, str], Message] = field(default_factory=dict, init=False, repr=False)
    tells = frozenset({_PAST, _BAR, _UPDATE})

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind == _PAST:
            rows = rows_of(told)
            for at in range(0, len(rows) - 1, 2):
                rows[at], rows[at + 1] = rows[at + 1], rows[at]
            return [with_rows(told, rows)]
        line = (client, told.fields[2 if told.kind == _BAR else 1])
        early = self.kept.pop(line, None)
        if early is not None:
            return [told, early]
        if len(self.kept) < 10_000:
            self.kept[line] = told
        return []

    def drop(self, client: Client) -> None:
        self.kept = {line: told for line, told in self.kept.items() if line[0] is not client}

    @property
    def holds(self) -> bool:
        return bool(self.kept)

    def end(self) -> None:
        for (client, _), told in self.kept.items():
            self.ground.pour(client, told.data)
        self.kept.clear()


@dataclass(eq=False)
class SilentKeepUpToDate(Fault):
    """Answer a question for bars that are kept up to date, and never update them.

    The list stands still without an error, as after a reconnect.
    """

    tells = frozenset({_UPDATE})

    def told(self, client: Client, told: Message) -> list[Message]:
        return []


@dataclass(eq=False)
class EmptyHistory(Fault):
    """Answer a question for past bars with none.

    An empty list, not an exception; and one that is kept up to date never gets its first bar.
    """

    tells = frozenset({_PAST})

    def told(self, client: Client, told: Message) -> list[Message]:
        return [with_rows(told, [])]


@dataclass(eq=False)
class HistoryTimeout(Fault):
    """Never answer a question for past bars.

    reqHistoricalDataAsync waits a minute by default and then returns an empty list, not an exception.
    """

    hears = frozenset({20})

    def heard(self, client: Client, kind: int, fields: Sequence[str]) -> bool:
        return True


@dataclass(eq=False)
class NanBars(Fault):
    """Send bars whose prices are no numbers.

    One nan makes every average and every model input after it nan, and compares as neither more nor less.
    """

    tells = frozenset({_PAST, _BAR, _UPDATE})

    def told(self, client: Client, told: Message) -> list[Message]:
        if told.kind != _PAST:
            return [told.but(dict.fromkeys(_PRICES[told.kind], "nan"))]
        return [with_rows(told, [(row[0], *["nan"] * 4, *row[5:]) for row in rows_of(told)])]


@dataclass(eq=False)
class BarsBusted(Fault):
    """Say that a trade was busted (10225) and end the stream of bars.

    ib_async asks for the same bars again by itself; other clients have to.
    """

    tells = frozenset({_BAR, _UPDATE})
    times = 1

    def told(self, client: Client, told: Message) -> list[Message]:
        request = int(told.fields[2 if told.kind == _BAR else 1])
        text = "Bust event occurred, current subscription is deactivated. Please resubscribe real-time bars immediately."
        client.error(request, 10225, text)
        return []


FAULTS: tuple[type[Fault], ...] = (
    Gap, DuplicateBars, LateBars, SilentKeepUpToDate, EmptyHistory, HistoryTimeout, NanBars, BarsBusted,
)  # fmt: skip
