"""`robo-trader drill faults --night`: one whole session with an outage, a freeze and the daily restart of TWS in it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import time as clock_time
from pathlib import Path

from robo_trader.core.events import MINUTE_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.drills.days import Day, Days, open_files
from robo_trader.drills.ledger import NOT_READY, Finding
from robo_trader.drills.report import note, say
from robo_trader.drills.round import ENDS_S, replays
from robo_trader.drills.stage import SYMBOLS, Stage, StageOptions
from robo_trader.drills.verdict import ALL, DIED, NOT_RESUMED
from robo_trader.practice.market.exchange import Exchange
from robo_trader.storage import queries

SPEED = 60.0  # a session in six and a half minutes: at this pace ten minutes without a link are ten seconds
OPEN = clock_time(9, 30)
BARS_WRONG, LOGINS_MANY, FILES_LEFT = "bars_wrong", "logins_many", "files_left"
COUNTS = (*ALL, BARS_WRONG, LOGINS_MANY, FILES_LEFT)
MOST_LOGINS = (
    8  # of which one at the start, one after each disturbance that ends the session, and some refused
)
MOST_FILES = 30  # half of them are open from the start
# The practice market has no nights, so its TWS restarts in the afternoon.
SETTINGS = {"ibkr_restart_window": "15:00-15:15 America/New_York"}


@dataclass(frozen=True)
class Trouble:
    """A fault at a time of the day (New York), for so many market seconds."""

    fault: str
    at: clock_time
    lasts_s: int

    @property
    def ends_s(self) -> int:
        """Market seconds from the open to its end."""
        minutes = (self.at.hour - OPEN.hour) * 60 + self.at.minute - OPEN.minute
        return minutes * 60 + self.lasts_s


TROUBLES = (
    Trouble("outage-lost", clock_time(10, 30), 600),
    Trouble("freeze", clock_time(12, 30), 1_500),
    Trouble("restart-keep", clock_time(15, 0), 600),
)


class Night(Days):
    """A day whose faults come at their time."""

    after: list[int]  # executions when each trouble was over, and at the close

    async def disturb(self, began: list[str]) -> None:
        """Plant every trouble of the day, and count what was executed until each was over."""
        market = self.stage.market
        self.after = []
        for trouble in TROUBLES:
            began.append(f"{trouble.fault} {trouble.at:%H:%M}")
            market.gateway.plant(trouble.fault, at=f"{trouble.at:%H:%M}", **{"for": trouble.lasts_s})
        opened = market.gateway.exchange.session.open
        for trouble in TROUBLES:
            while market.now < opened + trouble.ends_s * SECOND_NS:  # noqa: ASYNC110 a clock knows no waiters
                await asyncio.sleep(0.02)
            self.after.append(market.gateway.witness.executions)


def run(seed: int, speed: float, as_json: bool, directory: Path) -> bool:
    """Live through the session in a directory and print what was wrong; return whether nothing was."""
    day, findings = asyncio.run(_live(seed, speed, directory))
    counted = Counter(finding.counter for finding in findings)
    if as_json:
        counts = {name: counted[name] for name in COUNTS}
        found = [finding._asdict() for finding in findings]
        say(json.dumps({"drill": "night", "seed": seed, "rounds": 1, **counts, "findings": found}, indent=2))
    else:
        say("\n".join(_lines(day, findings)))
    return not findings


async def _live(seed: int, speed: float, directory: Path) -> tuple[Day | None, list[Finding]]:
    options = StageOptions(seed=seed, speed=speed, settings=SETTINGS)
    async with Stage(directory, options) as stage:
        night = Night(stage, random.Random(seed), True, lambda day: note(f"{day.label} is over"))
        session = stage.market.gateway.exchange.session
        whole = await night.run(1)
        if stage.daemon is None or not night.lived:
            return None, [Finding(NOT_READY, "start", "the daemon did not get ready")]
        findings = [] if whole else [Finding(DIED, "night", stage.daemon.last_words())]
        findings += [*night.lived[0].findings, *_back(night), *_files(stage)]
        assert stage.home.database is not None, "a daemon that traded has made it"
        findings += bars_wrong(stage.home.database, stage.market.gateway.exchange, session)
        stage.daemon.signal(signal.SIGTERM)
        code = await stage.daemon.ended(ENDS_S)
        findings += [] if code == 0 else [Finding(DIED, "end", f"asked to end it ended with {code}")]
        findings += [*_logins(stage), *replays(stage.home)]
        return night.lived[0], findings


def _back(night: Night) -> list[Finding]:
    """Return the troubles after which nothing was executed any more until the next, or the close."""
    counted = [*night.after, night.lived[0].executions]
    return [
        Finding(NOT_RESUMED, trouble.fault, f"no execution after {trouble.fault} at {trouble.at:%H:%M}")
        for trouble, before, after in zip(TROUBLES, counted, counted[1:], strict=False)
        if after <= before
    ]


def bars_wrong(
    database: Path, exchange: Exchange, session: Session, symbols: Sequence[str] = SYMBOLS
) -> list[Finding]:
    """Compare the stored minute bars of a session with the market's own: each once, each as it was."""
    found = []
    with closing(queries.connect_readonly(database)) as connection:
        for symbol in symbols:
            rows = connection.execute(
                "SELECT ts, close, volume FROM bars WHERE symbol = ? AND interval_ns = ? AND ts > ? AND ts <= ?",
                (symbol, MINUTE_NS, session.open, session.close),
            ).fetchall()
            minutes = exchange.minutes(symbol, session)
            columns = (minutes.start.tolist(), minutes.close.tolist(), minutes.volume.tolist())
            market = {
                start + MINUTE_NS: (close, volume) for start, close, volume in zip(*columns, strict=True)
            }
            found += [_bar(symbol, ts, session, None, was) for ts, was in _missing(rows, market)]
            found += [
                _bar(symbol, ts, session, (close, volume), market.get(ts))
                for ts, close, volume in rows
                if volume and market.get(ts) != (close, volume)
            ]
    return found


_Bar = tuple[float, float]


def _missing(rows: Sequence[tuple[int, float, float]], market: dict[int, _Bar]) -> list[tuple[int, _Bar]]:
    stored = {ts for ts, _, _ in rows}
    return [(ts, bar) for ts, bar in market.items() if ts not in stored]


def _bar(symbol: str, ts: int, session: Session, ours: _Bar | None, market: _Bar | None) -> Finding:
    minute = (ts - session.open) // MINUTE_NS
    return Finding(
        BARS_WRONG, f"{symbol} {ts}", f"{symbol} minute {minute}: stored {ours}, the market had {market}"
    )


def _files(stage: Stage) -> list[Finding]:
    """Return what a daemon has open that it should have let go: one session is one socket here and one there."""
    clients = len(stage.market.gateway.clients())
    files = open_files(stage.daemon.pid) if stage.daemon is not None else 0
    found = (
        [] if clients == 1 else [Finding(FILES_LEFT, "clients", f"{clients} sessions are open at the broker")]
    )
    return found if files <= MOST_FILES else [*found, Finding(FILES_LEFT, "files", f"{files} files are open")]


def _logins(stage: Stage) -> list[Finding]:
    """Return a finding where it logged in more often than the troubles of the day ask for."""
    logins = stage.home.log.read_text(errors="replace").count('"event": "connected"')
    return (
        [] if logins <= MOST_LOGINS else [Finding(LOGINS_MANY, "logins", f"{logins} logins in one session")]
    )


def _lines(day: Day | None, findings: Sequence[Finding]) -> list[str]:
    if day is None:
        return ["the daemon did not get ready"]
    head = f"{day.label}: {', '.join(day.faults)}; {day.executions} executions, {day.open_files} files open"
    return [head, *(f"* {f.counter}: {f.what}" for f in findings), "" if findings else "nothing was wrong"]
