"""The SQL that writes what the desk heard, did and said."""

from __future__ import annotations

from robo_trader.core.events import Bar

EVENT = "INSERT INTO journal (session_id, seq, ts, event, step) VALUES (?, ?, ?, ?, ?)"
# A bar that is already known stays as it was first told: that is what was traded on.
INSERT_BAR = (
    "INSERT INTO bars (symbol, interval_ns, ts, open, high, low, close, volume, history, told) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (symbol, interval_ns, ts) DO NOTHING"
)
QUOTE = "INSERT INTO ticks (ts, symbol, bid, ask, bid_size, ask_size) VALUES (?, ?, ?, ?, ?, ?)"
TRADE = "INSERT INTO ticks (ts, symbol, price, size) VALUES (?, ?, ?, ?)"
# The first vector told of a bar is the one that was decided on; a later warm-up does not rewrite it.
FEATURES = (
    'INSERT INTO features (symbol, version, ts, "values", crc) VALUES (?, ?, ?, ?, ?) '
    "ON CONFLICT (ts, symbol, version) DO NOTHING"
)
FEATURES_OLD = (
    "DELETE FROM features WHERE rowid IN (SELECT rowid FROM features WHERE ts < ? ORDER BY ts LIMIT ?)"
)
# Of a session whose events are all of before a time the state goes, never of the last one; its row says that it went.
FEATURE_STATES_OLD = (
    "UPDATE feature_states SET state = x'' WHERE session_id IN ("
    "SELECT session_id FROM feature_states JOIN sessions ON id = session_id "
    "WHERE length(state) > 0 AND sessions.rowid < (SELECT max(rowid) FROM sessions) "
    "AND coalesce((SELECT ts FROM journal WHERE journal.session_id = id ORDER BY seq DESC LIMIT 1), 0) < ? LIMIT ?)"
)
FEATURE_STATE = "INSERT INTO feature_states (session_id, version, state) VALUES (?, ?, ?)"
FEATURE_COLUMNS = (
    "INSERT INTO feature_columns (version, columns) VALUES (?, ?) ON CONFLICT (version) DO NOTHING"
)
HISTORY_ASKED = (
    "INSERT INTO histories (symbol, interval_ns, session) VALUES (?, ?, ?) "
    "ON CONFLICT (symbol, interval_ns, session) DO NOTHING"
)
SIGNAL = (
    "INSERT INTO signals (session_id, seq, ts, symbol, strategy, kind, direction, strength, probability, "
    "model, reason, regime) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
DECISION = (
    "INSERT INTO decisions (session_id, seq, ts, symbol, strategy, order_id, side, quantity, algorithm, "
    "reason, steps, regime) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
VIOLATION = (
    'INSERT INTO violations (session_id, seq, ts, order_id, symbol, gate, reason, value, "limit") '
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
EQUITY = (
    "INSERT INTO equity (session_id, ts, cash, value, start, realised, unrealised, day_start) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
REGIME = "INSERT INTO regimes (session_id, ts, symbol, regime, was, why, known) VALUES (?, ?, ?, ?, ?, ?, ?)"
DRIFTED = 'INSERT INTO drifted (session_id, ts, feature, test, value, "limit") VALUES (?, ?, ?, ?, ?, ?)'
DRIFT_SUMMARY = (
    'INSERT INTO drift_summaries (session_id, ts, day, "rows", columns, drifting, alarm, worst) '
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

SHADOW = (
    "INSERT INTO shadows (session_id, ts, symbol, champion, challenger, said, shadow) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)

# Rows that only ever come anew: those of one statement are written together, and first.
STREAMS = (
    EVENT, INSERT_BAR, QUOTE, TRADE, FEATURES, SIGNAL, DECISION, VIOLATION, EQUITY, REGIME, DRIFTED,
    DRIFT_SUMMARY, SHADOW,
)  # fmt: skip

# The books: each of these finds what the one before it left, so they are written in the order they were told.
ORDER = (
    "INSERT INTO orders (id, parent_id, session_id, symbol, side, quantity, type, limit_price, stop_price, tif, "
    "attached_to, algorithm, reason, status, filled, broker_id, created, updated) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
ORDER_ADOPTED = ORDER + (
    " ON CONFLICT (id) DO UPDATE SET status = excluded.status, filled = excluded.filled, "
    "quantity = excluded.quantity, stop_price = coalesce(excluded.stop_price, stop_price), "
    "broker_id = coalesce(nullif(excluded.broker_id, 0), broker_id), updated = excluded.updated"
)
ORDER_NUMBERED = "UPDATE orders SET broker_id = ? WHERE id = ?"
ORDER_MODIFIED = "UPDATE orders SET quantity = ?, limit_price = ?, stop_price = ?, updated = ? WHERE id = ?"
# What the broker works is what it says, not what it was asked for.
ORDER_RESIZED = "UPDATE orders SET quantity = ?1, updated = ?2 WHERE id = ?3 AND quantity != ?1"
ORDER_CHANGED = (
    "UPDATE orders SET status = ?, filled = ?, broker_id = coalesce(nullif(?, 0), broker_id), "
    "message = CASE WHEN ?4 = '' THEN message ELSE ?4 END, updated = ? WHERE id = ?"
)
# Told again it changes its commission, as in the ledger, and nothing else.
FILL = (
    "INSERT INTO fills (exec_id, order_id, session_id, ts, symbol, side, quantity, price, commission) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (exec_id) DO UPDATE SET commission = excluded.commission WHERE excluded.commission IS NOT NULL"
)
# '/' is the character after '.': ids that begin with what the versions of an execution share, and those that only look so.
FILL_VERSIONS = (
    "SELECT exec_id FROM fills WHERE exec_id = ?1 OR (exec_id > ?1 || '.' AND exec_id < ?1 || '/')"
)
FILL_SUPERSEDED = "UPDATE fills SET superseded_by = ? WHERE exec_id = ?"
SESSION_OPENED = "UPDATE sessions SET opened = ? WHERE id = ?"
# ?3 names, as a JSON list, what the books open with: the rest went flat while we were away.
POSITIONS_OPENED = (
    "UPDATE positions SET realised = '0', session_id = ?1, updated = ?2, "
    "flat = CASE WHEN quantity = 0 THEN flat ELSE ?2 END, quantity = 0, lots = '[]' "
    "WHERE symbol NOT IN (SELECT value FROM json_each(?3))"
)
POSITION = (
    "INSERT INTO positions (symbol, quantity, lots, realised, session_id, updated, flat) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?2 = 0 THEN ?6 END) "
    "ON CONFLICT (symbol) DO UPDATE SET quantity = excluded.quantity, lots = excluded.lots, "
    "realised = excluded.realised, session_id = excluded.session_id, updated = excluded.updated, "
    "flat = coalesce(excluded.flat, flat)"
)
HALT = "INSERT INTO halts (session_id, ts, halted, reason, by, state, lifted) VALUES (?, ?, ?, ?, ?, ?, ?)"
QUARANTINED = (
    "INSERT INTO quarantines (session_id, symbol, since, ours, broker, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?3) "
    "ON CONFLICT (symbol) WHERE ended IS NULL DO UPDATE SET ours = excluded.ours, broker = excluded.broker, "
    "updated = excluded.updated"
)
# ?2 names, as a JSON list, what differs still.
QUARANTINES_OPENED = (
    "UPDATE quarantines SET ended = ?1, updated = ?1, how = 'both sides agreed at a start' "
    "WHERE ended IS NULL AND symbol NOT IN (SELECT value FROM json_each(?2))"
)
QUARANTINE_IGNORED = (
    "UPDATE quarantines SET ignored = ?, ignored_until = ?, updated = ? "
    "WHERE id = (SELECT max(id) FROM quarantines WHERE symbol = ?)"
)
QUARANTINE_ENDED = (
    "UPDATE quarantines SET ended = ?1, updated = ?1, how = ?2 WHERE symbol = ?3 AND ended IS NULL"
)
CASH_MOVED = "INSERT INTO cash_moves (session_id, ts, amount, cash, why) VALUES (?, ?, ?, ?, ?)"
SPLIT = "INSERT INTO splits (session_id, ts, symbol, new, old, since, stop_price, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
UNPROTECTED = "INSERT INTO unprotected (session_id, ts, symbol, shares, why) VALUES (?, ?, ?, ?, ?)"


def bar_row(bar: Bar, now: int) -> tuple[object, ...]:
    """Return the parameters of INSERT_BAR for a bar that is told at the market's time `now` (UTC ns)."""
    told = max(bar.ts, now) if bar.history else None  # a live bar is told as it closes
    return (
        bar.symbol, bar.interval_ns, bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.history, told
    )  # fmt: skip
