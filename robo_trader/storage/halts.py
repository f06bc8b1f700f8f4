"""Who stops new exposure, how far and since when, read from what was halted and resumed."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from robo_trader.core.events import OPERATOR, TradingState
from robo_trader.storage.rows import dicts, first


def standing(connection: sqlite3.Connection, over_restart: bool = False) -> list[dict[str, Any]]:
    """Return the halts not lifted yet, the furthest-reaching and oldest first, each with `since`.

    What a part of the daemon asked for ends with its session: over a restart only what was halted stands, and what an
    operator asked for.
    """
    last = connection.execute("SELECT id FROM sessions ORDER BY rowid DESC LIMIT 1").fetchone()
    rows = dicts(
        connection,
        "SELECT session_id, ts AS since, halted, reason, by, state, lifted FROM halts "
        "WHERE id > coalesce((SELECT max(id) FROM halts WHERE state = 'active'), 0) ORDER BY id",
    )
    stands: dict[str, dict[str, Any]] = {}
    for row in rows:
        lifted = msgspec.json.decode(row.pop("lifted"), type=list[str])
        if not row.pop("halted"):
            for by in lifted:
                stands.pop(by, None)
        elif not _same(stands.get(row["by"]), row):
            stands[row["by"]] = row
    session = None if over_restart or last is None else last[0]
    found = [
        row
        for row in stands.values()
        if (row.pop("session_id") == session or row["state"] == TradingState.HALTED or row["by"] == OPERATOR)
    ]
    return sorted(found, key=lambda row: (row["state"] != TradingState.HALTED, row["since_ns"]))


def _same(known: dict[str, Any] | None, row: dict[str, Any]) -> bool:
    """Whether a halt was only told again, as each restart does: it stands since it was told first."""
    return known is not None and all(known[name] == row[name] for name in ("state", "reason"))


def halt_state(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """Return what the desk may do now, None where that never changed.

    `state` with the reason, who (`by`) and since when (`ts`), of the furthest-reaching halt where several stand (all of
    them in `standing`), of the last resumption where none does; `halted` says whether a person has to lift it.
    """
    last = first(dicts(connection, "SELECT ts, reason, by, state FROM halts ORDER BY id DESC LIMIT 1"))
    if last is None:
        return None
    stands = standing(connection)
    if stands:
        worst = stands[0]
        last |= {"ts": worst["since"], "ts_ns": worst["since_ns"]}
        last |= {name: worst[name] for name in ("reason", "by", "state")}
    else:
        last["state"] = TradingState.ACTIVE
    return last | {"halted": last["state"] == TradingState.HALTED, "standing": stands}
