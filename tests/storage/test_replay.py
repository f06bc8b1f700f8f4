"""A session replayed through an equal engine is equal; a planted difference is found where it was planted."""

from contextlib import closing

import pytest

from robo_trader.core.errors import DataError
from robo_trader.core.events import Event, encode
from robo_trader.core.steps import FeatureRow, Halted, Step
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.queries import connect_readonly, journal_rows
from robo_trader.storage.replay import replay

Day = list[tuple[Event, Step]]


class Parrot:
    """Answers each event with the step it was given for it."""

    def __init__(self, day: Day) -> None:
        self._day = iter(day)

    def on_event(self, event: Event) -> Step:
        told, step = next(self._day)
        assert event == told
        return step


def rows(day: Day) -> list[tuple[int, bytes, bytes]]:
    return [(seq, encode(event), encode(step)) for seq, (event, step) in enumerate(day, start=1)]


async def test_a_recorded_session_passes(database: Database, day: Day) -> None:
    journal = SqliteJournal(database, "20260105-1")
    for event, step in day:
        await journal.record(event, step)
    await journal.flush()
    with closing(connect_readonly(database.path)) as connection:
        assert replay(Parrot(day), journal_rows(connection, "20260105-1")) is None


def test_a_planted_difference_is_named_with_both_sides(day: Day) -> None:
    planted = [*day]
    planted[6] = (day[6][0], Step((), (Halted(1, "planted", "test"),)))
    found = replay(Parrot(planted), rows(day))
    assert found is not None
    assert found.seq == 7
    assert found.event == encode(day[6][0]).decode()
    assert found.expected == encode(day[6][1]).decode()
    assert "planted" in found.got


def with_vector(day: Day, vector: bytes) -> Day:
    event, step = day[2]
    row = FeatureRow(event.ts, "AAPL", "v1", vector)
    return [*day[:2], (event, Step(step.commands, (*step.facts, row))), *day[3:]]


async def test_one_bit_of_a_vector_makes_a_difference_though_the_journal_keeps_no_vectors(
    database: Database, day: Day
) -> None:
    recorded = with_vector(day, bytes(800))
    journal = SqliteJournal(database, "20260105-1")
    for event, step in recorded:
        await journal.record(event, step)
    await journal.flush()
    with closing(connect_readonly(database.path)) as connection:
        kept = list(journal_rows(connection, "20260105-1"))
    assert len(kept[2][2]) < 800
    assert replay(Parrot(recorded), kept) is None
    altered = with_vector(day, bytes(799) + b"\x01")
    found = replay(Parrot(altered), kept)
    assert found is not None
    assert (found.seq, found.step) == (3, altered[2][1])


def test_a_journal_of_before_that_kept_vectors_whole_is_replayed_as_strictly(day: Day) -> None:
    recorded = rows(with_vector(day, bytes(800)))
    assert b'"values":"' in recorded[2][2]
    assert replay(Parrot(with_vector(day, bytes(800))), recorded) is None
    found = replay(Parrot(with_vector(day, bytes(799) + b"\x01")), recorded)
    assert found is not None
    assert found.seq == 3
    assert '"values":"' in found.got


def test_nothing_recorded_is_not_a_pass(day: Day) -> None:
    with pytest.raises(DataError, match="nothing to replay"):
        replay(Parrot(day), [])


def test_a_missing_event_is_not_a_pass(day: Day) -> None:
    recorded = rows(day)
    del recorded[3]
    with pytest.raises(DataError, match="lacks event 4"):
        replay(Parrot(day), recorded)


def test_an_event_that_cannot_be_read_says_which(day: Day) -> None:
    with pytest.raises(DataError, match="event 1 of the journal"):
        replay(Parrot(day), [(1, b'{"kind":"Comet"}', b"{}")])
