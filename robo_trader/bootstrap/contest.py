"""Decides between champion and challenger by what both said of the past and of the bars since, as the database has it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.features.base import Bars
from robo_trader.ml import labels, registry, rivals
from robo_trader.ml.registry import Manifest
from robo_trader.ml.rivals import Paired
from robo_trader.storage import queries, trainings
from robo_trader.storage.trainings import Ended, Shadows

PAST_NS = (
    7 * DAY_NS
)  # of bars before the first that was spoken of: how far they swing says where its barriers are


class Result(StrEnum):
    """What a night comes to."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    WAITS = "waits"
    CHALLENGER = "challenger"
    FAILED = "failed"


class Verdict(NamedTuple):
    """What becomes of a challenger, and why."""

    result: Result
    why: str


def judge(
    database: Path, home: Path, champion: str, challenger: str, least_bars: int, idle: str = ""
) -> Verdict:
    """Say what becomes of a challenger: promoted only where it is proven and won on the past and on live bars.

    `least_bars` is on how many bars both must have spoken, outcome known; `idle` says why the champion enters nothing, empty
    where it does: then to be better by less than a standard error is enough, for nobody is given up.
    """
    try:
        mine = registry.read_manifest(home / challenger)
        theirs = registry.read_manifest(home / champion)
    except DataError as error:
        return Verdict(Result.REFUSED, str(error))
    with closing(queries.connect_readonly(database)) as connection:
        trained = trainings.ended(connection, challenger)
        if lost := _lost_on_the_past(mine, theirs, trained):
            return Verdict(Result.REFUSED, lost)
        bars, found = _live(connection, mine, trainings.shadows(connection, champion, challenger))
    if bars < least_bars:
        return Verdict(Result.WAITS, f"{bars} bars of both are known by now, ML_SHADOW_BARS={least_bars}")
    assert trained is not None, "it was compared with the champion"
    live = f"{found.gain:+.5f} nats a bar against the champion on {bars} live bars, standard error {found.error:.5f}"
    past = f"{trained.loss:.5f} nats lost to its {trained.champion_loss:.5f} on {trained.compared} bars of the past"
    if not (found.gain > 0 and (idle or found.gain >= found.error)):
        asked = "" if idle else " by one standard error"
        return Verdict(Result.REFUSED, f"not better than the champion{asked}: {live}; {past}")
    return Verdict(Result.PROMOTED, f"{live}; {past}{f'; {idle}' if idle else ''}")


def _lost_on_the_past(mine: Manifest, theirs: Manifest, trained: Ended | None) -> str:
    """Say why a challenger needs no look at live bars, empty where it does."""
    if not mine.proven:
        return f"it has proven nothing: {mine.reason}"
    if other := rivals.other_question(mine, theirs):
        return f"{other}; `robo-trader models promote` changes over to it"
    if trained is None or trained.loss is None or trained.champion_loss is None:
        return "it was not compared with the champion on the past: train it on the database of this desk"
    if trained.champion != theirs.version:
        return f"it was compared with {trained.champion}, which is the champion no more"
    if trained.loss > trained.champion_loss:
        return (
            f"on {trained.compared} bars of the past that neither has learnt from it lost {trained.loss:.5f} nats a bar, "
            f"the champion {trained.champion_loss:.5f}"
        )
    return ""


def _live(connection: sqlite3.Connection, manifest: Manifest, said: Shadows) -> tuple[int, Paired]:
    """Compare what both said with what became of it: of how many bars that is known, all symbols of one counted once."""
    label = np.full(len(said.ts), -1)
    for symbol in np.unique(said.symbol):
        mine = np.flatnonzero(said.symbol == symbol)
        at, outcome = _outcomes(connection, manifest, str(symbol), int(said.ts[mine[0]]))
        place = np.searchsorted(at, said.ts[mine])
        place[place == len(at)] = 0
        known = at[place] == said.ts[mine] if len(at) else np.zeros(len(mine), dtype=np.bool_)
        label[mine[known]] = outcome[place[known]]
    known = label >= 0
    ts = said.ts[known]
    if not len(ts):
        return 0, Paired(0, 0.0, 0.0)
    block_ns = manifest.horizon * manifest.interval_ns
    found = rivals.paired(label[known], said.champion[known], said.challenger[known], ts, block_ns)
    return len(np.unique(ts)), found


def _outcomes(
    connection: sqlite3.Connection, manifest: Manifest, symbol: str, since: int
) -> tuple[rivals.Ints, rivals.Ints]:
    """Return of which bars of a symbol the label is known, by their closes, and the labels."""
    b = queries.bars(connection, symbol, manifest.interval_ns, since - PAST_NS)
    bars = Bars(b.ts, b.open, b.high, b.low, b.close, b.volume)
    found = labels.triple_barrier(bars, labels.session_numbers(bars.ts, XnysCalendar()), manifest.label)
    return bars.ts[found.row], found.label.astype(np.int64)
