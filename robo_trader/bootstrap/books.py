"""Reads from an account's database what its books are opened with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from robo_trader.core.errors import DataError
from robo_trader.core.events import AccountSnapshot
from robo_trader.core.recovery import Stored
from robo_trader.data.sessions import XnysCalendar
from robo_trader.storage import queries


def stored_books(path: Path, account: AccountSnapshot) -> Stored:
    """Read what the database remembers of this account. Raises DataError where it is another account's.

    A simulated account (SIM-…) lives for one session only, so nothing of it is taken over.
    """
    calendar = XnysCalendar()
    with closing(queries.connect_readonly(path)) as connection:
        last = queries.session_row(connection)
        if last is not None and last["account"] != account.account:
            raise DataError(
                f"{path} holds the books of {last['account']}, not of {account.account}: name another --db"
            )
        if account.account.startswith("SIM-"):
            return Stored()
        stored = queries.stored(connection)
        today = calendar.session(account.ts)
        if today is None:
            return stored
        # What the session has lost so far stays counted over a restart.
        return msgspec.structs.replace(
            stored, day=today.label, day_start=queries.day_start(connection, today.open)
        )
