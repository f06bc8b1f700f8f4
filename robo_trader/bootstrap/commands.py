"""The commands that look at what a daemon did: status, replay, backup."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from robo_trader.bootstrap import places
from robo_trader.bootstrap.plan import build_engine, other_features, read_plan, read_warmth
from robo_trader.bootstrap.wishes import split_command
from robo_trader.config import Settings
from robo_trader.core.engine import Engine
from robo_trader.core.errors import DataError, GateFailed
from robo_trader.core.events import SECOND_NS, OrderType, TradingState
from robo_trader.core.steps import FeatureRow, Step
from robo_trader.data.quality import Quality, lowest
from robo_trader.features.feature_engine import schema_version
from robo_trader.storage import feature_rows, lock, queries
from robo_trader.storage.database import backup as copy_database
from robo_trader.storage.replay import replay
from robo_trader.storage.rows import iso

ALIVE_WITHIN_S = 10
_NAMED = 6  # readings of drift, the worst


def database_of(settings: Settings, db: Path | None) -> Path:
    """Return the database the user means: the one named, else the one last written. Raises DataError for none."""
    return database_in(settings.robo_data_dir) if db is None else db


def database_in(home: Path) -> Path:
    """Return the database last written in a data directory. Raises DataError where there is none."""
    found = sorted(home.glob("*.db"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise DataError(f"no database in {home}: run the daemon first, or name one with --db")
    return found[-1]


def status(settings: Settings, db: Path | None, as_json: bool) -> int:
    """Print the last session's state; return 0 while its daemon is alive, 1 where it is not."""
    path = database_of(settings, db)
    with closing(queries.connect_readonly(path)) as connection:
        state = queries.status(connection)
        beat = next((job for job in queries.jobs(connection) if job["name"] == "desk"), None)
    age_s = (time.time_ns() - beat["last_run_ns"]) / SECOND_NS if beat else None
    account = state["session"]["account"] if state["session"] else ""
    holder = lock.holder(places.address_of(settings.robo_data_dir, account).lock) if account else None
    alive = holder is not None and age_s is not None and age_s < ALIVE_WITHIN_S
    state |= {
        "database": str(path),
        "pid": holder.pid if holder else None,
        "beat_age_s": age_s,
        "alive": alive,
    }
    _print(json.dumps(state, default=str) if as_json else _in_words(state))
    return 0 if alive else 1


def replay_session(settings: Settings, db: Path | None, session_id: str | None) -> int:
    """Run a recorded session through a fresh engine. Raises GateFailed naming the first step that differs."""
    path = database_of(settings, db)
    with closing(queries.connect_readonly(path)) as connection:
        row = queries.session_row(connection, session_id)
        if row is None:
            raise DataError(f"{path} has no session {session_id or ''}")
        engine = recorded_engine(connection, row)
        events = connection.execute(
            "SELECT count(*) FROM journal WHERE session_id = ?", (row["id"],)
        ).fetchone()[0]
        difference = replay(engine, queries.journal_rows(connection, row["id"]))
        unlike = [] if difference is None else _unlike(connection, difference.step)
    if difference is not None:
        told = "\n".join(
            [
                f"FAIL: session {row['id']} differs first at event {difference.seq}",
                f"  event    {difference.event}",
                f"  recorded {difference.expected}",
                f"  replayed {difference.got}",
                *unlike,
            ]
        )
        raise GateFailed(told)
    _print(f"PASS: session {row['id']}, {events} events, every step the same byte for byte")
    return 0


def _unlike(connection: sqlite3.Connection, step: Step) -> list[str]:
    """Say in which columns the vectors of a replayed step are unlike those that were stored."""
    said = []
    for row in step.facts:
        if not isinstance(row, FeatureRow):
            continue
        kept = feature_rows.last_vector(connection, row.symbol, row.ts)
        if kept is not None and (kept.ts, kept.version) == (row.ts, row.version):
            pairs = zip(kept.columns, kept.values.tolist(), np.frombuffer(row.values).tolist(), strict=False)
            said += [
                f"  {name} of {row.symbol}: stored {a}, replayed {b}"
                for name, a, b in pairs
                if str(a) != str(b)
            ]
    return said


def recorded_engine(connection: sqlite3.Connection, session: Mapping[str, Any]) -> Engine:
    """Build the desk of a recorded session (a row of `queries.session_row`), as warm as it was when it began.

    Raises DataError where this program cannot: another version recorded it, or its features were others.
    """
    session_id = session["id"]
    plan = read_plan(session_id, session["config"])
    if not plan.features:  # of before it was noted: its vectors say it
        theirs = feature_rows.version_told(connection, session_id)
        ours = schema_version(plan.bar_s * SECOND_NS, plan.market, plan.sectors)
        if theirs not in (None, ours):
            raise other_features(session_id, theirs, ours)
    return build_engine(plan, read_warmth(session_id, feature_rows.state(connection, session_id)))


def backup(settings: Settings, db: Path | None, target: Path) -> int:
    """Copy the database to a new file while its daemon writes."""
    path = database_of(settings, db)
    copy_database(path, target)
    _print(f"copied {path} to {target}")
    return 0


def _in_words(state: dict[str, Any]) -> str:
    session, equity = state["session"], state["equity"]
    if session is None:
        return f"{state['database']}: no session yet"
    lines = [
        f"alive  pid {state['pid']}  last sign of life {_age(state['beat_age_s'])}"
        if state["alive"]
        else f"NOT RUNNING  last sign of life {_age(state['beat_age_s'])}",
        f"account {session['account']}  mode {session['mode']}  session {session['id']}"
        f"{'  ended: ' + session['outcome'] if session['outcome'] else ''}",
        f"symbols {_symbols(session)}  database {state['database']}",
    ]
    lines += _trading(state)
    if equity:
        lines.append(
            f"equity {float(equity['cash']) + float(equity['value']):,.2f}  realised {float(equity['realised']):,.2f}"
            f" this session  unrealised {float(equity['unrealised']):,.2f}  at {equity['ts']} market time"
        )
    lines += _quality(state["quality"])
    lines += [_position(held, state) for held in state["positions"] if held["quantity"]]
    lines += [
        f"works {o['side']} {o['quantity']} {o['symbol']} ({o['status']})"
        for o in state["open_orders"]
        if o["type"] != OrderType.STOP
    ]
    lines += [_quarantine(row) for row in state["quarantines"]]
    if any(not row["ignored"] for row in state["quarantines"]):
        lines.append("  `robo-trader reconcile` shows both sides and how to resolve it")
    lines += [
        f"{row['symbol']} looks like a {row['new']}:{row['old']} split: "
        f"`{split_command(row['symbol'], row['new'], row['old'])} --reason …` if it was one ({row['why']})"
        for row in state["splits"]
    ]
    lines += [_regime(row) for row in state["regimes"]]
    lines += _drift(state["drift"])
    lines += _models(state)
    lines.append("this session: " + "  ".join(f"{name} {count}" for name, count in state["counts"].items()))
    return "\n".join(lines)


def _symbols(session: dict[str, Any]) -> str:
    """Name what is traded, and apart from it what is only watched: the market, sectors, what is held besides."""
    traded = session["config"].get("traded", session["symbols"])
    watched = [symbol for symbol in session["symbols"] if symbol not in traded]
    return ", ".join(traded) + (f"  only watched {', '.join(watched)}" if watched else "")


def _trading(state: dict[str, Any]) -> list[str]:
    """Say what the desk may do and who stops it, and how the link to the broker is."""
    halt, link = state["halt"], state["link"]
    lines = [f"trading {halt['state'] if halt else TradingState.ACTIVE}"]
    lines += [
        f"  {hold['state'].upper()} since {hold['since']} market time by {hold['by']}: {hold['reason']}"
        for hold in (halt["standing"] if halt else ())
    ]
    if halt and halt["state"] == TradingState.HALTED:
        lines.append(f"  {how_to_resume(state['alive'])} lifts it")
        if not state["alive"] and any(hold["by"] == "KILL file" for hold in halt["standing"]):
            lines.append("  but first remove the KILL file: `robo-trader resume --reason …`")
    if link:
        until = f" until {_wall(link['next_run_ns'])}" if link["next_run_ns"] else ""
        why = f": {link['detail']}" if link["detail"] else ""
        is_past = "" if state["alive"] else "was "
        lines.append(f"link {is_past}{link['state']} since {_wall(link['last_run_ns'])}{until}{why}")
    return lines


def _quality(state: dict[str, Any]) -> list[str]:
    """Say how good the data of each symbol were on the last day, the worst first, and the worst of the days before."""
    lines = []
    if today := msgspec.convert(state["today"], list[Quality]):
        least = lowest(today)
        share = "no bar due yet" if least is None else f"{least:.2f}%"
        lines.append(f"data {share} on {state['day']}: {'  '.join(one.in_words() for one in today)}")
    if state["worst_before"]:
        worst = msgspec.convert(state["worst_before"], Quality)
        lines.append(f"  worst before: {worst.in_words()} on {worst.day}")
    return lines


def how_to_resume(alive: bool) -> str:
    """Name the command that lifts a halt, with a daemon or without one."""
    return "`robo-trader resume --reason …`" if alive else "`robo-trader run … --resume REASON`"


def _wall(ts: int) -> str:
    return iso(ts // SECOND_NS * SECOND_NS)


def _position(held: dict[str, Any], state: dict[str, Any]) -> str:
    """Say what is held, and what of it the stops at the broker cover at which price."""
    symbol = held["symbol"]
    stops = [
        f"{stop['shares']} at {stop['stop_price']}" for stop in state["stops"] if stop["symbol"] == symbol
    ]
    bare = [
        f"UNPROTECTED {row['shares']}: {row['why']}"
        for row in state["unprotected"]
        if row["symbol"] == symbol
    ]
    words = "  ".join([f"stop {', '.join(stops)}" if stops else "no stop", *bare])
    return f"holds {held['quantity']:>6} {symbol:<6} {words}"


def _quarantine(row: dict[str, Any]) -> str:
    left = f"; {row['ignored']} left alone until {row['ignored_until']}" if row["ignored"] else ""
    return f"QUARANTINED {row['symbol']} since {row['since']} market time: ours {row['ours']}, broker {row['broker']}{left}"


def _regime(row: dict[str, Any]) -> str:
    return f"regime {row['symbol']:<6} {row['regime']:<8} since {row['ts']} market time: {row['why']}"


def _drift(drift: dict[str, Any]) -> list[str]:
    """Say how many features no longer look as in training, and which tests say so; nothing while none was compared."""
    standing, summary = drift["standing"], drift["summary"]
    lines = []
    if summary is not None:
        state = "ALARM" if summary["alarm"] else "calm"
        counts = f"{summary['drifting']} of {summary['columns']} features no longer look as in training"
        times = f"since {summary['since']}, last told {summary['ts']} market time"
        lines.append(f"drift  {state}, {counts}, {times}")
    return lines + [
        f"  {row['feature']} {row['test']} {row['value']:.3g}, limit {row['limit']:.3g}, since {row['ts']}"
        for row in standing[:_NAMED]
    ]


def _models(state: dict[str, Any]) -> list[str]:
    """Say which model is traded on, which challenges it, and how the nights go; nothing without models."""
    jobs = {row["name"]: row for row in state["jobs"]}
    lines = [f"model  {job['state']}, {job['detail']}" for job in [jobs.get("model")] if job]
    return lines + [_nights(job) for job in [jobs.get("retraining")] if job]


def _nights(job: dict[str, Any]) -> str:
    """Say when the next challenger is trained, or how far the present one is.

    >>> _nights({"state": "off", "detail": "", "next_run_ns": None})
    'retraining off'
    >>> _nights({"state": "running", "detail": "training: folds", "next_run_ns": 0})
    'retraining running  training: folds'
    """
    due = job["next_run_ns"] if job["state"] != "running" else None
    when = f", next at {iso(due)} market time" if due else ""
    return f"retraining {job['state']}{when}  {job['detail']}".rstrip()


def _age(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s ago"


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
