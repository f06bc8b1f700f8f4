"""The database's tables as numbered SQL migrations; a file's number is its PRAGMA user_version."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from robo_trader.core.errors import DataError
from robo_trader.storage.schema_of_learning import LEARNING

# Marks a file as ours ("Robo" in ASCII), so that another program's database is never migrated.
APPLICATION_ID = 0x526F626F

# Money is TEXT holding a decimal, times are INTEGER nanoseconds UTC, feature values little-endian float64.
_ROOMS = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    started INTEGER NOT NULL,
    opened INTEGER,
    ended INTEGER,
    mode TEXT NOT NULL,
    account TEXT NOT NULL,
    symbols TEXT NOT NULL,
    config TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    outcome TEXT
) STRICT;

CREATE TABLE journal (
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    event TEXT NOT NULL,
    step TEXT NOT NULL,
    PRIMARY KEY (session_id, seq)
) STRICT;

CREATE TABLE bars (
    symbol TEXT NOT NULL,
    interval_ns INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,
    history INTEGER NOT NULL,
    PRIMARY KEY (symbol, interval_ns, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticks (
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    bid REAL,
    ask REAL,
    bid_size REAL,
    ask_size REAL,
    price REAL,
    size REAL,
    CHECK ((bid IS NOT NULL AND ask IS NOT NULL) OR (price IS NOT NULL AND size IS NOT NULL))
) STRICT;

CREATE TABLE features (
    symbol TEXT NOT NULL,
    version TEXT NOT NULL,
    ts INTEGER NOT NULL,
    "values" BLOB NOT NULL,
    PRIMARY KEY (symbol, version, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE signals (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('signal', 'abstained')),
    direction INTEGER,
    strength REAL,
    probability REAL,
    model TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    strategy TEXT NOT NULL,
    order_id TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    reason TEXT NOT NULL,
    steps TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
    id TEXT NOT NULL UNIQUE,
    parent_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    type TEXT NOT NULL,
    limit_price TEXT,
    algorithm TEXT NOT NULL,
    reason TEXT NOT NULL,
    status TEXT NOT NULL,
    filled INTEGER NOT NULL,
    broker_id INTEGER NOT NULL,
    message TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_status ON orders (status);

CREATE TABLE fills (
    exec_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    price TEXT NOT NULL,
    commission TEXT
) STRICT;
CREATE TRIGGER fills_are_kept BEFORE DELETE ON fills
BEGIN SELECT RAISE(ABORT, 'fills are never deleted'); END;

CREATE TABLE positions (
    symbol TEXT PRIMARY KEY,
    quantity INTEGER NOT NULL,
    lots TEXT NOT NULL,
    realised TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    updated INTEGER NOT NULL
) STRICT;

CREATE TABLE equity (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    cash TEXT NOT NULL,
    value TEXT NOT NULL,
    start TEXT NOT NULL,
    realised TEXT NOT NULL,
    unrealised TEXT NOT NULL
) STRICT;
CREATE INDEX equity_by_time ON equity (ts);

CREATE TABLE violations (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    gate TEXT NOT NULL,
    reason TEXT NOT NULL,
    value REAL,
    "limit" REAL
) STRICT;

CREATE TABLE halts (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    halted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL
) STRICT;

CREATE TABLE models (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL,
    verdict TEXT NOT NULL,
    loaded INTEGER NOT NULL,
    PRIMARY KEY (name, version, sha256)
) STRICT;

CREATE TABLE jobs (
    name TEXT PRIMARY KEY,
    last_run INTEGER,
    next_run INTEGER,
    state TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"""

# Stops at the broker, executions that are corrected, more than one reason to stand still, and what differs from the
# broker: `flat` is when a position was last none, `lifted` (a JSON list) whose halts a resumption took back.
_PROTECTION = """
ALTER TABLE orders ADD COLUMN stop_price TEXT;
ALTER TABLE orders ADD COLUMN tif TEXT NOT NULL DEFAULT 'DAY';
ALTER TABLE orders ADD COLUMN attached_to TEXT NOT NULL DEFAULT '';
CREATE INDEX stops_by_symbol ON orders (symbol) WHERE type = 'STP';

ALTER TABLE fills ADD COLUMN superseded_by TEXT NOT NULL DEFAULT '';
CREATE TRIGGER fills_are_not_rewritten
BEFORE UPDATE OF exec_id, order_id, session_id, ts, symbol, side, quantity, price ON fills
BEGIN SELECT RAISE(ABORT, 'of a fill only its commission and what supersedes it may change'); END;

ALTER TABLE positions ADD COLUMN flat INTEGER;
ALTER TABLE equity ADD COLUMN day_start TEXT;

ALTER TABLE halts ADD COLUMN state TEXT NOT NULL DEFAULT 'halted';
ALTER TABLE halts ADD COLUMN lifted TEXT NOT NULL DEFAULT '[]';
UPDATE halts SET state = 'active' WHERE NOT halted;

CREATE INDEX signals_by_session ON signals (session_id);
CREATE INDEX decisions_by_session ON decisions (session_id);
CREATE INDEX violations_by_session ON violations (session_id);
CREATE INDEX orders_by_session ON orders (session_id);
CREATE INDEX fills_by_session ON fills (session_id);

CREATE TABLE quarantines (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    symbol TEXT NOT NULL,
    since INTEGER NOT NULL,
    ours INTEGER NOT NULL,
    broker INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    ended INTEGER,
    how TEXT NOT NULL DEFAULT '',
    ignored INTEGER,
    ignored_until INTEGER
) STRICT;
CREATE UNIQUE INDEX quarantines_open ON quarantines (symbol) WHERE ended IS NULL;

CREATE TABLE cash_moves (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    amount TEXT NOT NULL,
    cash TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;

CREATE TABLE unprotected (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    shares INTEGER NOT NULL,
    why TEXT NOT NULL
) STRICT;
"""

# What the features knew when a session began, what the columns of each of their versions are called, and which past
# sessions were asked of the broker: what they lack was not traded. Vectors are read and deleted by time, all symbols
# together, and stand on the disk in that order; a hundred numbers are too many for a row of an index.
_FEATURES = """
ALTER TABLE features RENAME TO features_by_symbol;
CREATE TABLE features (
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    version TEXT NOT NULL,
    "values" BLOB NOT NULL,
    PRIMARY KEY (ts, symbol, version)
) STRICT;
INSERT INTO features SELECT ts, symbol, version, "values" FROM features_by_symbol ORDER BY ts, symbol;
DROP TABLE features_by_symbol;

CREATE TABLE feature_states (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id),
    version TEXT NOT NULL,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE feature_columns (
    version TEXT PRIMARY KEY,
    columns TEXT NOT NULL
) STRICT;

CREATE TABLE histories (
    symbol TEXT NOT NULL,
    interval_ns INTEGER NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (symbol, interval_ns, session)
) STRICT, WITHOUT ROWID;
"""

# Features against the training window; `worst` is a JSON list of readings.
_DRIFT = """
CREATE TABLE drifted (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    feature TEXT NOT NULL,
    test TEXT NOT NULL,
    value REAL NOT NULL,
    "limit" REAL NOT NULL
) STRICT;
CREATE INDEX drifted_by_session ON drifted (session_id, feature, test);

CREATE TABLE drift_summaries (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    day TEXT NOT NULL,
    "rows" INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    drifting INTEGER NOT NULL,
    alarm INTEGER NOT NULL,
    worst TEXT NOT NULL
) STRICT;
"""

_QUALITY = """
CREATE TABLE qualities (
    day TEXT NOT NULL,
    symbol TEXT NOT NULL,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    whole INTEGER NOT NULL,
    filled INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    refused TEXT NOT NULL,
    PRIMARY KEY (day, symbol, session_id)
) STRICT, WITHOUT ROWID;
"""

# Splits that a person said, and nights that looked so (`since` NULL). Prices that were told by `since` are in old shares,
# those told later in new ones: `told` is the market's time at which a bar was. Of what was fetched before it was noted it is
# known only that it was told by the newest bar.
_SPLITS = """
CREATE TABLE splits (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    new INTEGER NOT NULL,
    old INTEGER NOT NULL,
    since INTEGER,
    stop_price TEXT,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX splits_by_symbol ON splits (symbol);

ALTER TABLE bars ADD COLUMN told INTEGER;
UPDATE bars SET told = (SELECT max(ts) FROM bars) WHERE history;
"""

# By which a vector that the disk altered is known; rows of before have none.
_SUMS = """
ALTER TABLE features ADD COLUMN crc INTEGER;
"""

# What kind of market each symbol was in; `was` is empty where it is told for the first time in a session.
_REGIMES = """
CREATE TABLE regimes (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL, symbol TEXT NOT NULL,
    regime TEXT NOT NULL, was TEXT NOT NULL, why TEXT NOT NULL, known INTEGER NOT NULL
) STRICT;

ALTER TABLE signals ADD COLUMN regime TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN regime TEXT NOT NULL DEFAULT '';
"""

MIGRATIONS = (_ROOMS, _PROTECTION, _DRIFT, _FEATURES, _QUALITY, _SPLITS, _SUMS, LEARNING, _REGIMES)


def version(connection: sqlite3.Connection) -> int:
    """Return how many migrations the file has seen. Raises DataError where the file is not ours."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    owner: int = connection.execute("PRAGMA application_id").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and (owner != APPLICATION_ID or not found):
        raise DataError("it is a database of another program; name another file with --db")
    return found


def check_known(found: int, known: int) -> None:
    """Raise DataError where a file is of a newer schema than this program knows."""
    if found > known:
        raise DataError(
            f"it has schema version {found}, this program knows up to {known}; "
            "use the newer RoboTrader that wrote it, or name another file with --db"
        )


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply the migrations the file has not seen, each whole or not at all. Raises DataError, sqlite3.Error."""
    found = version(connection)
    check_known(found, len(migrations))
    for number, script in enumerate(migrations[found:], start=found + 1):
        stamp = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        # A script that fails leaves its transaction open: the caller closes the file, which undoes it.
        connection.executescript(f"BEGIN IMMEDIATE; {script} {stamp} COMMIT;")
