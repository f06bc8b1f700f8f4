"""A second desk is refused, and on the practice market told how to have one."""

from __future__ import annotations

from pathlib import Path

import pytest

from robo_trader.bootstrap.daemon import sole
from robo_trader.config import load
from robo_trader.core.errors import InstanceLocked
from robo_trader.storage.lock import InstanceLock


def test_a_second_desk_is_refused_and_told_what_one_on_the_practice_market_needs(tmp_path: Path):
    path, settings = tmp_path / "DUP1.lock", load(practice_seed=4, ibkr_port=0)
    with sole(path, settings, practises=True):
        with pytest.raises(InstanceLocked) as raised, sole(path, settings, practises=True):
            pass
        assert "stop it first, or give this desk a practice market and ports of its own" in str(raised.value)
        wanted = "PRACTICE_MODE=always PRACTICE_SEED=5 IBKR_PORT=7498 DASHBOARD_PORT=5556 HUB_PORT=8766"
        assert str(raised.value).endswith(wanted)
        with pytest.raises(InstanceLocked) as raised, sole(path, settings, practises=False):
            pass
        assert str(raised.value).endswith("stop it first")
    InstanceLock(path).acquire()
