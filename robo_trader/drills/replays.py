"""Replays every session that a drill recorded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from robo_trader.bootstrap.commands import recorded_engine
from robo_trader.core.errors import DataError
from robo_trader.drills.ledger import ANOMALIES, REPLAYS_FAILED, Finding
from robo_trader.drills.stored import anomalies, sessions
from robo_trader.storage import queries
from robo_trader.storage.replay import replay

_SHOWN = 2_000  # characters of a step that differs


def replay_all(databases: Sequence[Path], processes: int = 0) -> tuple[int, list[Finding]]:
    """Replay all sessions of these databases, on all processors by default; return how many, and those that differ."""
    work = [(path, session) for path in databases for session in sessions(path)]
    if not work:
        return 0, []
    with ProcessPoolExecutor(processes or os.cpu_count(), get_context("spawn")) as pool:
        told = list(pool.map(difference, *zip(*work, strict=True), chunksize=4))
    failed = [
        Finding(REPLAYS_FAILED, session, text) for (_, session), text in zip(work, told, strict=True) if text
    ]
    return len(work), failed


def all_anomalies(databases: Sequence[Path]) -> list[Finding]:
    """Return what the desk called impossible in any session."""
    return [
        Finding(ANOMALIES, f"{session} {what}", f"session {session}: {what}")
        for path in databases
        for session in sessions(path)
        for what in anomalies(path, session)
    ]


def difference(path: Path, session: str) -> str:
    """Return how a session replays differently, empty where it does not."""
    with closing(queries.connect_readonly(path)) as connection:
        row = queries.session_row(connection, session)
        assert row is not None, "its id was just read"
        try:
            engine = recorded_engine(connection, row)
            found = replay(engine, queries.journal_rows(connection, session))
        except DataError as error:
            return f"{path} session {session}: {error}"
    if found is None:
        return ""
    return (
        f"{path} session {session} differs first at event {found.seq}: {found.event[:_SHOWN]}"
        f" recorded {found.expected[:_SHOWN]} replayed {found.got[:_SHOWN]}"
    )
