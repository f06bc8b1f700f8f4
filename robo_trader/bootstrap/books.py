"""Reads from an account's database what its books are opened with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.core.events import AccountSnapshot
from robo_trader.core.recovery import Stored
from robo_trader.data.sessions import XnysCalendar
from robo_trader.storage import queries, recall


def require_own(path: Path, account: str) -> None:
    """Raise DataError where the database holds the books of another account."""
    with closing(queries.connect_readonly(path)) as connection:
        last = queries.session_row(connection)
    if last is not None and last["account"] != account:
        raise DataError(f"{path} holds the books of {last['account']}, not of {account}: name another --db")


def stored_books(path: Path, account: AccountSnapshot) -> Stored:
    """Read what the database remembers of this account.

    A simulated account (SIM-…) lives for one session only, so nothing of it is taken over.
    """
    if account.account.startswith("SIM-"):
        return Stored()
    calendar = XnysCalendar()
    with closing(queries.connect_readonly(path)) as connection:
        stored = recall.stored(connection)
        today = calendar.session(account.ts)
        if today is None:
            return stored
        # What the session has lost so far stays counted over a restart.
        return msgspec.structs.replace(
            stored, day=today.label, day_start=recall.day_start(connection, today.open)
        )


def splits_of(path: Path) -> dict[str, int]:
    """Return by symbol since when (UTC ns) the last split holds that the books know of."""
    with closing(queries.connect_readonly(path)) as connection:
        return queries.last_splits(connection)
