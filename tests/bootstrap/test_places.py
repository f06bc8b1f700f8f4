"""Whose money it is: every mixture of mode, account, port and confirmation, and files that are never shared."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from robo_trader.bootstrap import places
from robo_trader.bootstrap.places import (
    database_path,
    kind_of,
    lock_path,
    model_name,
    parse_duration,
    parse_symbols,
    require_permitted,
)
from robo_trader.config import load
from robo_trader.core.errors import ConfigurationError

LIVE, PAPER, PRACTICE = "U1234567", "DU1234567", "DUP123456"


@pytest.mark.parametrize(
    ("mode", "account", "port", "confirmed", "refused"),
    [
        ("paper", PRACTICE, 7497, "", None),
        ("paper", PAPER, 7497, "", None),
        ("paper", LIVE, 7496, "", "live account"),
        ("paper", LIVE, 7496, LIVE, "live account"),
        ("dry-run", LIVE, 7496, "", None),
        ("dry-run", PAPER, 7497, "", None),
        ("live", PRACTICE, 7496, PRACTICE, "practice account"),
        ("live", PAPER, 7496, PAPER, "paper account"),
        ("live", LIVE, 7497, LIVE, "on port 7497"),
        ("live", LIVE, 7496, "", f"--confirm-live {LIVE}"),
        ("live", LIVE, 7496, "yes", f"--confirm-live {LIVE}"),
        ("live", LIVE, 7496, "U7654321", f"--confirm-live {LIVE}"),
        ("live", LIVE, 7496, LIVE, None),
        ("live", LIVE, 4001, LIVE, None),
    ],
)
def test_paper_and_live_mix_only_where_all_four_agree(mode, account, port, confirmed, refused):
    settings = load(execution_mode=mode, ibkr_port=port)
    if refused is None:
        require_permitted(settings, account, confirmed)
        return
    with pytest.raises(ConfigurationError, match=refused):
        require_permitted(settings, account, confirmed)


def test_no_two_kinds_of_money_share_a_database_or_a_model():
    paper, dry = load(), load(execution_mode="dry-run")
    paths = {database_path(s, account) for s in (paper, dry) for account in (LIVE, PAPER, PRACTICE)}
    assert len(paths) == 6
    assert database_path(paper, PRACTICE) == Path("data/practice-DUP123456.db")
    assert model_name(PRACTICE) != model_name(PAPER) == model_name(LIVE)
    assert [kind_of(account) for account in (PRACTICE, PAPER, LIVE)] == ["practice", "paper", "live"]


def test_a_daemon_started_from_a_login_and_one_from_cron_meet_at_one_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(places, "RUNTIME", tmp_path)
    of_login = tmp_path / str(os.getuid())
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert lock_path(PAPER).parent.parent == Path(tempfile.gettempdir())
    of_login.mkdir()
    by_cron = lock_path(PAPER)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(of_login))
    assert by_cron == lock_path(PAPER)
    assert by_cron.is_relative_to(of_login)


@pytest.mark.parametrize("text", ["", " , ", "AAPL;NVDA", "A APL", "-"])
def test_what_is_no_list_of_symbols_is_refused(text: str):
    with pytest.raises(ConfigurationError, match="ticker symbols"):
        parse_symbols(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_durations_are_seconds(text: str, seconds: float):
    assert parse_duration(text) == seconds
