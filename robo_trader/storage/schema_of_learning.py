"""The tables of what was learnt: a migration of `storage/schema.py`."""

from __future__ import annotations

# Every training that was ever begun, for each counts as a trial, and what champion and challenger said of the same bars.
LEARNING = """
CREATE TABLE trainings (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    by TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    since INTEGER,
    until INTEGER,
    seed INTEGER NOT NULL,
    trials INTEGER NOT NULL,
    declared INTEGER NOT NULL,
    version TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT 'begun',
    reason TEXT NOT NULL DEFAULT '',
    champion TEXT NOT NULL DEFAULT '',
    compared INTEGER,
    loss REAL,
    champion_loss REAL
) STRICT;
CREATE INDEX trainings_by_name ON trainings (name);

CREATE TABLE shadows (
    session_id TEXT NOT NULL REFERENCES sessions (id),
    ts INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    champion TEXT NOT NULL,
    challenger TEXT NOT NULL,
    said REAL NOT NULL,
    shadow REAL NOT NULL
) STRICT;
CREATE INDEX shadows_by_models ON shadows (challenger, champion, ts);
"""
