"""`robo-trader drill faults`: every fault of the practice gateway alone, then random pairs, each on a trading daemon."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from robo_trader import logger
from robo_trader.drills.expectations import EXPECTATIONS, Expectation
from robo_trader.drills.ledger import Finding
from robo_trader.drills.report import note, say
from robo_trader.drills.round import Round
from robo_trader.drills.stage import StageOptions
from robo_trader.drills.verdict import ALL, BY_NAME, Planned, Seen, wrongs
from robo_trader.practice.faults.catalogue import known

PAIRS = "two at once"


@dataclass(frozen=True)
class Wish:
    """What a user asked of the drill: how often each fault alone, how many pairs, which faults, how many at a time."""

    rounds: int = 1
    pairs: int = 200
    seed: int = 1
    only: str = ""
    workers: int = 1
    speed: float = 600.0
    as_json: bool = False


def plan(wish: Wish) -> list[Planned]:
    """Return the rounds to play: the same for the same wish. Raises ConfigurationError for an unknown fault."""
    chosen = _chosen(wish.only)
    dice = random.Random(wish.seed)
    rounds: list[tuple[str, ...]] = [(e.name,) for _ in range(wish.rounds) for e in chosen]
    if not wish.only:
        rounds += [_pair(dice) for _ in range(wish.pairs)]
    return [Planned(number, names, dice.randrange(1 << 30)) for number, names in enumerate(rounds, 1)]


def _chosen(only: str) -> Sequence[Expectation]:
    """Return the expectations of a fault, or the one of that very name; all of them where none is named."""
    if not only:
        return EXPECTATIONS
    found = [e for e in EXPECTATIONS if only in (e.name, e.fault)]
    if not found:
        known(only, [e.fault for e in EXPECTATIONS], "fault")
    return found


def _pair(dice: random.Random) -> tuple[str, ...]:
    first = dice.choice(EXPECTATIONS)
    second = dice.choice([e for e in EXPECTATIONS if e.fault != first.fault])
    return first.name, second.name


def run(wish: Wish, directory: Path) -> bool:
    """Play all rounds below a directory and print what came of them; return whether nothing was wrong."""
    planned = plan(wish)
    seen = []
    for one in _played(planned, directory, wish):
        seen.append(one)
        wrong = wrongs(one, expected(one))
        result = "; ".join(f"{f.counter}: {f.what}" for f in wrong) or "well"
        note(f"{len(seen)}/{len(planned)} {one.planned.name} (seed {one.planned.seed}): {result}")
    seen.sort(key=lambda one: one.planned.number)
    say(as_json(seen, wish) if wish.as_json else table(seen))
    return not any(wrongs(one, expected(one)) for one in seen)


def _played(planned: Sequence[Planned], directory: Path, wish: Wish) -> Iterator[Seen]:
    """Yield what each round showed, as they end; each worker is a process, for a market takes a processor."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(wish.workers, mp_context=context) as pool:
        rounds = [pool.submit(play, one, directory, wish.speed) for one in planned]
        try:
            for done in as_completed(rounds):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def play(planned: Planned, directory: Path, speed: float) -> Seen:
    """Play one round below a directory, in a process of its own: of the gateway in it only errors are told."""
    logger.configure("console", "ERROR")
    return asyncio.run(Round(planned, directory, StageOptions(speed=speed)).play())


def expected(seen: Seen) -> list[Expectation]:
    """Return the expectations of a round's faults."""
    return [BY_NAME[name] for name in seen.planned.faults]


# ------------------------------------------------------------------------------------------------- what is printed


def table(seen: Sequence[Seen]) -> str:
    """Write what came of each fault, and of the pairs, as a table in Markdown."""
    hit = [counter for counter in ALL if any(counts(one)[counter] for one in seen)]
    lines = [
        _line(["fault", "rounds", "struck", "told s", "back s", "wrong", *hit]),
        _line(["---", *["---:"] * (5 + len(hit))]),
    ]
    names = dict.fromkeys(_row_of(one) for one in seen)
    for name in names:
        rows = [one for one in seen if _row_of(one) == name]
        total = sum((counts(one) for one in rows), Counter[str]())
        cells: list[object] = [
            name,
            len(rows),
            sum(one.struck for one in rows),
            _worst(one.told_s for one in rows),
        ]
        cells += [_worst(one.resumed_s for one in rows), sum(total.values()), *(total[c] for c in hit)]
        lines.append(_line(cells))
    clean = [counter for counter in ALL if counter not in hit]
    return "\n".join([*lines, "", f"0 in every row: {', '.join(clean)}"])


def as_json(seen: Sequence[Seen], wish: Wish) -> str:
    """Write all of it as JSON: the counts, each round, and each finding in words."""
    total = sum((counts(one) for one in seen), Counter[str]())
    told = {"drill": "faults", "seed": wish.seed, "rounds": len(seen), **{name: total[name] for name in ALL}}
    return json.dumps(told | {"seen": [_as_dict(one) for one in seen]}, indent=2)


def counts(seen: Seen) -> Counter[str]:
    """Count what was wrong in a round."""
    return Counter(finding.counter for finding in wrongs(seen, expected(seen)))


def _as_dict(one: Seen) -> dict[str, object]:
    found: list[Finding] = wrongs(one, expected(one))
    return {
        "round": one.planned.number,
        "faults": one.planned.faults,
        "seed": one.planned.seed,
        "told_s": one.told_s,
        "told": one.told,
        "back_s": one.resumed_s,
        "struck": one.struck,
        "took_s": round(one.took_s, 1),
        "kept": one.kept,
        "findings": [finding._asdict() for finding in found],
    }


def _row_of(one: Seen) -> str:
    return one.planned.name if len(one.planned.faults) == 1 else PAIRS


def _worst(times: Iterator[float | None]) -> str:
    """Return the median and the longest of some times."""
    known_times = [time for time in times if time is not None]
    if not known_times:
        return ""
    middle, longest = statistics.median(known_times), max(known_times)
    return f"{middle:.1f}" if len(known_times) == 1 else f"{middle:.1f} / {longest:.1f}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
