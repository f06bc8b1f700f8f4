"""A challenger is promoted only where it is proven, no worse on the past and better on live bars; else it is said why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robo_trader.bootstrap import contest
from robo_trader.bootstrap.contest import Result
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.steps import Shadow, Step
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.ml import labels
from robo_trader.ml.labels import LabelOptions
from robo_trader.storage import trainings
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.storage.trainings import Began, Ended
from tests.bootstrap.models import NAME, keep

SESSIONS = XnysCalendar().before("2026-01-08", 2)
SYMBOLS = ("AAPL", "NVDA")


def day_of(symbol: str) -> list[Bar]:
    rng = np.random.default_rng(len(symbol) + ord(symbol[0]))
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 5e-4, 2 * 390)))
    ts = [s.open + n * MINUTE_NS for s in SESSIONS for n in range(1, 391)]
    return [
        Bar(symbol, at, c, c * 1.0003, c * 0.9997, c, 100.0)
        for at, c in zip(ts, closes.tolist(), strict=True)
    ]


def outcomes(symbol: str) -> dict[int, int]:
    """Label the bars as the trainer would."""
    bars = day_of(symbol)
    columns = np.array([(b.open, b.high, b.low, b.close, b.volume) for b in bars]).T.copy()
    ts = np.array([b.ts for b in bars])
    found = labels.triple_barrier(
        Bars(ts, *columns), labels.session_numbers(ts, XnysCalendar()), LabelOptions(30)
    )
    return dict(zip(ts[found.row].tolist(), found.label.tolist(), strict=True))


class Rivals:
    """A database in which both have spoken of one session, the challenger better by so much."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.champion, self.challenger = keep(home, 5), keep(home, 6)

    async def write(self, better: float, past: Ended | None = None, luck: float = 0.0) -> None:
        rng = np.random.default_rng(4)
        async with await Database.open(self.home / "desk.db") as database:
            await database.store_bars([one for symbol in SYMBOLS for one in day_of(symbol)])
            await database.start_session("s", 1, "paper", "DU1", SYMBOLS, "{}")
            journal = SqliteJournal(database, "s")
            for symbol in SYMBOLS:
                known = outcomes(symbol)
                for one in [bar for bar in day_of(symbol) if bar.ts > SESSIONS[1].open]:
                    says = 0.5 + (better if known.get(one.ts, 0) else -better) + luck * rng.normal()
                    fact = Shadow(
                        one.ts, symbol, self.champion, self.challenger, 0.5, float(np.clip(says, 0.02, 0.98))
                    )
                    await journal.record(one, Step((), (fact,)))
            await journal.flush()
            number, _ = await trainings.begin(database, Began(NAME, "test", 1, 7))
            ended = past or Ended(2, "trained", "", self.challenger, 1, 2, self.champion, 900, 0.65, 0.66)
            await trainings.end(database, number, ended)

    def judge(self, least_bars: int = 300, idle: str = "") -> contest.Verdict:
        return contest.judge(
            self.home / "desk.db", self.home / NAME, self.champion, self.challenger, least_bars, idle
        )


@pytest.fixture
def rivals(tmp_path: Path) -> Rivals:
    return Rivals(tmp_path)


async def test_who_wins_on_the_past_and_on_live_bars_is_promoted(rivals: Rivals) -> None:
    await rivals.write(better=0.1)
    verdict = rivals.judge()
    assert verdict.result is Result.PROMOTED
    # Of each symbol's 390 bars the last 30 have no outcome within the session.
    assert "+0.18232 nats a bar against the champion on 360 live bars, standard error 0.00000" in verdict.why
    assert "0.65000 nats lost to its 0.66000 on 900 bars of the past" in verdict.why


@pytest.mark.parametrize("better", [0.0, -0.05])
async def test_who_is_not_better_by_a_standard_error_on_live_bars_is_refused(
    rivals: Rivals, better: float
) -> None:
    await rivals.write(better=better, luck=0.1)
    verdict = rivals.judge()
    assert verdict.result is Result.REFUSED
    assert "not better than the champion by one standard error" in verdict.why


async def test_a_champion_that_enters_nothing_gives_way_to_whoever_is_better_at_all(rivals: Rivals) -> None:
    await rivals.write(better=0.006, luck=0.08)
    alone, idle = rivals.judge(), rivals.judge(idle="it has expired")
    gain, error = map(
        float, re.findall(r"([+-][\d.]+) nats a bar against.*standard error ([\d.]+)", alone.why)[0]
    )
    assert 0 < gain < error
    assert (alone.result, idle.result) == (Result.REFUSED, Result.PROMOTED)
    assert idle.why.endswith("it has expired")


async def test_too_few_live_bars_decide_nothing_yet(rivals: Rivals) -> None:
    await rivals.write(better=0.1)
    assert rivals.judge(361) == (Result.WAITS, "360 bars of both are known by now, ML_SHADOW_BARS=361")


async def test_who_was_worse_on_the_past_is_refused_however_well_it_does_now(rivals: Rivals) -> None:
    ended = Ended(2, "trained", "", rivals.challenger, 1, 2, rivals.champion, 900, 0.67, 0.66)
    await rivals.write(0.2, ended)
    verdict = rivals.judge()
    assert verdict.result is Result.REFUSED
    assert "lost 0.67000 nats a bar, the champion 0.66000" in verdict.why


async def test_who_was_compared_with_nobody_or_another_is_refused(rivals: Rivals) -> None:
    alone = Ended(2, "trained", "", rivals.challenger, 1, 2)
    await rivals.write(0.2, alone)
    assert "not compared with the champion" in rivals.judge().why
    async with await Database.open(rivals.home / "desk.db") as database:
        await trainings.end(
            database, 1, replace(alone, champion="another", compared=900, loss=0.6, champion_loss=0.7)
        )
    assert "compared with another, which is the champion no more" in rivals.judge().why


async def test_an_unproven_challenger_or_one_that_is_gone_is_refused(rivals: Rivals) -> None:
    await rivals.write(0.2)
    rivals.challenger = keep(rivals.home, 7, skill=0.0)
    assert rivals.judge().why.startswith("it has proven nothing: ")
    rivals.challenger = "20260109T000000Z-aa"
    assert rivals.judge().result is Result.REFUSED
