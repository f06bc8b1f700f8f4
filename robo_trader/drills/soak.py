"""`robo-trader drill soak`: many market days at speed with faults at random moments; nothing may grow, nothing differ."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from robo_trader.drills.days import Day, Days
from robo_trader.drills.ledger import NOT_READY, Finding
from robo_trader.drills.report import note, say
from robo_trader.drills.round import ENDS_S, replays
from robo_trader.drills.stage import Stage, StageOptions
from robo_trader.drills.verdict import ALL, DIED

# Growth that is flat: caches fill in the first days, a database page cache and the journal of ids go on a little.
WARM_DAYS = 3
MOST_GROWTH, MOST_FILES_MORE = 0.15, 5
# A month passes in minutes, and with it the logins of a month.
SETTINGS = {"ibkr_logins_per_hour": 3600}
GROWN, BLOCKED = "grown", "blocked"
COUNTS = (*ALL, GROWN, BLOCKED)


@dataclass(frozen=True)
class Wish:
    """What a user asked of the soak."""

    days: int = 30
    speed: float = 600.0
    seed: int = 1
    disturbed: bool = True
    as_json: bool = False


def run(wish: Wish, directory: Path) -> bool:
    """Soak in a directory and print a line for each day; return whether nothing grew, differed or blocked."""
    days, findings = asyncio.run(_soak(wish, directory))
    say(as_json(days, findings, wish) if wish.as_json else table(days, findings))
    return not findings


async def _soak(wish: Wish, directory: Path) -> tuple[list[Day], list[Finding]]:
    options = StageOptions(seed=wish.seed, speed=wish.speed, settings=SETTINGS)
    async with Stage(directory, options) as stage:
        days = Days(stage, random.Random(wish.seed), wish.disturbed, told=_tell)
        whole = await days.run(wish.days)
        findings = [] if whole else [Finding(DIED, "soak", f"it ended on day {len(days.lived)}")]
        if stage.daemon is not None and stage.daemon.running:
            stage.daemon.signal(signal.SIGTERM)
            code = await stage.daemon.ended(ENDS_S)
            findings += [] if code == 0 else [Finding(DIED, "end", f"asked to end it ended with {code}")]
        elif not days.lived:
            findings.append(Finding(NOT_READY, "start", "the daemon did not get ready"))
        findings += [finding for day in days.lived for finding in day.findings]
        return days.lived, findings + flat(days.lived) + blocked(days.lived) + replays(stage.home)


def _tell(day: Day) -> None:
    what = ", ".join(f"{f.counter}: {f.what}" for f in day.findings) or "books equal"
    note(f"{day.label}: {day.executions} executions, {day.rss_mb:.0f} MB, {day.open_files} files, {what}")


def flat(days: Sequence[Day]) -> list[Finding]:
    """Return what grew from the end of the first days, when all is warm, to the last days."""
    if len(days) < 2 * WARM_DAYS:
        return []
    early, late = days[WARM_DAYS - 1 : 2 * WARM_DAYS - 1], days[-WARM_DAYS:]
    found = []
    before, after = _mean([d.rss_mb for d in early]), _mean([d.rss_mb for d in late])
    if after > before * (1 + MOST_GROWTH):
        found.append(Finding(GROWN, "memory", f"memory grew from {before:.0f} to {after:.0f} MB"))
    files = min(d.open_files for d in early), min(d.open_files for d in late)
    if files[1] > files[0] + MOST_FILES_MORE:
        found.append(Finding(GROWN, "files", f"open files grew from {files[0]} to {files[1]}"))
    return found


def blocked(days: Sequence[Day]) -> list[Finding]:
    """Return a finding where the daemon's own work held its loop for more than 100 ms."""
    if not days:
        return []
    pulse = days[-1].pulse
    own = pulse.blocks - pulse.starved
    text = f"{own} times over 100 ms, at worst {pulse.max_ms:g} ms"
    return [Finding(BLOCKED, "loop", text)] if own else []


def table(days: Sequence[Day], findings: Sequence[Finding]) -> str:
    """Write a line for each day in Markdown, and the counts."""
    lines = [
        "| day | faults | executions | equal after s | MB | open files | blocks > 100 ms | wrong |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for day in days:
        own = day.pulse.blocks - day.pulse.starved
        cells = [day.label, len(day.faults), day.executions, f"{day.settled_s:.1f}", f"{day.rss_mb:.0f}"]
        cells += [day.open_files, own, len(day.findings)]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    counted = Counter(finding.counter for finding in findings)
    told = ", ".join(f"{name} {counted[name]}" for name in COUNTS if counted[name]) or "nothing wrong"
    return "\n".join([*lines, "", told, *(f"* {f.counter}: {f.what}" for f in findings)])


def as_json(days: Sequence[Day], findings: Sequence[Finding], wish: Wish) -> str:
    """Write all of it as JSON."""
    counted = Counter(finding.counter for finding in findings)
    told = {
        "drill": "soak",
        "seed": wish.seed,
        "rounds": len(days),
        **{name: counted[name] for name in COUNTS},
    }
    lived = msgspec.to_builtins([msgspec.to_builtins(day) for day in days])
    return json.dumps(told | {"days": lived, "findings": [f._asdict() for f in findings]}, indent=2)


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)
