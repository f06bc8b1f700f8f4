"""How a run ends when even the reason cannot be written down."""

from __future__ import annotations

from pathlib import Path

from robo_trader.config import Settings
from robo_trader.core.errors import DataError
from robo_trader.runner_async import start


async def fails() -> None:
    raise DataError("the disk is full")


def test_a_reason_that_cannot_be_left_does_not_hide_why_the_run_ended(tmp_path: Path) -> None:
    (tmp_path / "last_exit.txt").mkdir()
    assert start(Settings(robo_data_dir=tmp_path), fails()) == DataError.exit_code
