"""`robo-trader models` lists what there is, and gives the champion's role only to what may be traded on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from robo_trader.bootstrap import versions
from robo_trader.config import Settings, load
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import DAY_NS
from robo_trader.ml import registry, roles
from robo_trader.storage.database import Database
from tests.bootstrap.models import NAME, keep, trained


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(ml_models_dir=tmp_path / "models", robo_data_dir=tmp_path / "data", ml_max_age_days=30)


def command(settings: Settings, *words: str, reason: str = "", as_json: bool = False) -> None:
    action, version = (*words, "", "")[:2]
    assert versions.command(settings, action, version, "", reason, as_json) == 0


async def market_at(settings: Settings, ts: int) -> None:
    """Write down, as a daemon does, that the market's clock showed that."""
    async with await Database.open(settings.robo_data_dir / "practice-DUP1.db") as database:
        await database.start_session("s", 1, "paper", "DUP1", ["AAPL"], "{}")
    with closing(sqlite3.connect(database.path)) as connection, connection:
        connection.execute(
            "INSERT INTO equity (session_id, ts, cash, value, start, realised, unrealised) "
            "VALUES ('s', ?, '0', '0', '0', '0', '0')",
            (ts,),
        )


def test_each_version_is_listed_with_its_window_verdict_role_and_reason(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [keep(settings.ml_models_dir, 5), keep(settings.ml_models_dir, 6, skill=0.0)]
    command(settings, "promote", made[0], reason="it is the one that works")
    capsys.readouterr()
    command(settings)
    told = capsys.readouterr().out
    assert f"{made[0]}  champion    PROVEN" in told
    assert f"{made[1]}  predecessor UNPROVEN" in told
    assert "by operator: it is the one that works" in told
    assert trained().report.auc.__str__() in told
    command(settings, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [one["version"] for one in listed] == made[::-1]
    assert listed[0]["role"] == "predecessor"


def test_promote_and_rollback_change_what_is_traded_on_and_need_a_reason(settings: Settings) -> None:
    root = settings.ml_models_dir
    made = [keep(root, day) for day in (5, 6, 7)]
    with pytest.raises(ConfigurationError, match="reason"):
        command(settings, "promote", made[0])
    assert roles.champion(root, NAME) == root / NAME / made[2]
    with pytest.raises(DataError, match="nothing to go back to"):
        command(settings, "rollback", reason="why not")
    command(settings, "promote", made[0], reason="older and wiser")
    assert roles.champion(root, NAME) == root / NAME / made[0]
    command(settings, "rollback", reason="not so wise")
    assert roles.champion(root, NAME) == root / NAME / made[2]
    with pytest.raises(DataError, match="nothing to go back to"):
        command(settings, "rollback", reason="further")


def test_what_is_damaged_of_other_features_or_not_there_gets_no_role(settings: Settings) -> None:
    root = settings.ml_models_dir
    made = [keep(root, day) for day in (5, 6)]
    (root / NAME / made[0] / registry.ARRAYS).write_bytes(b"something else")
    with pytest.raises(DataError, match="altered or damaged"):
        command(settings, "promote", made[0], reason="why not")
    other = settings.model_copy(update={"features_market": "QQQ"})
    with pytest.raises(DataError, match="its inputs would mean something else"):
        command(other, "promote", made[1], reason="why not")
    with pytest.raises(DataError, match="no version 2026"):
        command(settings, "promote", "2026", reason="why not")
    assert roles.read(root / NAME) is None


async def test_what_has_expired_on_its_market_gets_no_role_and_is_listed_so(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    version = keep(settings.ml_models_dir, 5)
    last = registry.read_manifest(settings.ml_models_dir / NAME / version).split["test"].last
    await market_at(settings, last + 31 * DAY_NS)
    with pytest.raises(DataError, match=r"expired.*31 days ago, ML_MAX_AGE_DAYS=30"):
        command(settings, "promote", version, reason="why not")
    command(settings)
    assert "PROVEN EXPIRED" in capsys.readouterr().out
    forever = settings.model_copy(update={"ml_max_age_days": 0})
    command(forever, "promote", version, reason="I know what I do")


def test_an_unproven_model_may_be_chosen_and_it_is_said_that_it_abstains(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    version = keep(settings.ml_models_dir, 5, skill=0.0)
    command(settings, "promote", version, reason="for the show")
    assert "UNPROVEN, it will abstain" in capsys.readouterr().out


def test_nonsense_is_refused_with_what_there_is(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="--name"):
        command(settings)
    keep(settings.ml_models_dir, 5)
    for words in (("promote",), ("rollback", "v1"), ("delete", "v1")):
        with pytest.raises(ConfigurationError, match="promote VERSION"):
            command(settings, *words, reason="why not")
