"""Nights on the real daemon: one promotion, one refusal, one training killed, one rollback, and every session replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from robo_trader.drills import nights

pytestmark = pytest.mark.daemon


def test_a_daemon_retrains_for_three_nights_is_killed_and_rolled_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Twice as fast as by default; what is promoted and what is refused follows from the seed.
    assert nights.run(nights.Wish(speed=1_200.0), tmp_path), capsys.readouterr().out
    told = capsys.readouterr().out
    for words in (
        "night: promoted",
        "night: refused",
        "champion",
        "by operator: to show that it can be done",
    ):
        assert words in told
