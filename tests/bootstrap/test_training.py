"""What `--use-ml` learns from where there is no model yet."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from robo_trader.bootstrap import training
from robo_trader.bootstrap.past import History
from robo_trader.config import load
from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.inbox import Inbox
from robo_trader.data.pipeline import Pipeline
from robo_trader.data.sessions import XnysCalendar
from robo_trader.storage import queries
from robo_trader.storage.database import Database

OPEN = XnysCalendar().after("2026-01-07").open


async def test_a_bar_that_is_not_believed_is_not_learnt_from(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    bars = [
        Bar("NVDA", OPEN + n * MINUTE_NS, 100.0, 100.1, 99.9, 100.0 + n % 5 / 100, 100.0 + n, history=True)
        for n in range(1, 61)
    ]
    wrong = bars[30]
    bars[30] = Bar("NVDA", wrong.ts, 100.0, 300.0, 99.9, 100.0, 100.0, history=True)

    async def history(database: Database, sessions: int) -> History:
        return History({"NVDA": bars}, {"NVDA": frozenset(bar.ts for bar in bars)}, [])

    link = SimpleNamespace(history=history, pipeline=Pipeline(Inbox(), XnysCalendar()), beside=frozenset())
    async with await Database.open(tmp_path / "desk.db") as database:
        with pytest.raises(
            DataError, match="training ended with code"
        ):  # an hour is too little to learn from
            await training._train(
                load(ml_models_dir=tmp_path, features_market="QQQ"), link, database, "m", 60
            )
        with closing(queries.connect_readonly(database.path)) as connection:
            stored = queries.bars(connection, "NVDA").ts.tolist()
    assert stored == [bar.ts for bar in bars if bar.ts != wrong.ts]
    assert "not compared with QQQ" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("names", "bar_s", "sessions"),
    [(("rsi_14",), 60, 1), (("rsi_14", "gap"), 60, 1), (("gap_atr", "gap"), 60, 15), (("sma_200",), 300, 3)],
)
def test_a_model_needs_the_past_of_the_slowest_of_its_features(
    names: tuple[str, ...], bar_s: int, sessions: int
):
    assert training.sessions_of(names, bar_s) == sessions


@pytest.mark.parametrize(("wished", "told"), [(0, False), (14, True), (15, False)])
def test_a_past_too_short_for_the_model_is_warned_of_with_what_it_needs(wished: int, told: bool):
    with structlog.testing.capture_logs() as said:
        training._warn_of_a_short_past(wished, ("gap_atr", "rsi_14"), 60)
    assert [line["log_level"] for line in said] == ["warning"] * told
    if told:
        assert said[0]["what"] == "FEATURES_SESSIONS=14, this model needs 15"
