"""The comparison with real bars: its statistics are right, its page is the one it writes, and its command runs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import practice_market
from benchmarks.realism import statistics
from benchmarks.realism.document import REAL, WHY


def test_a_normal_sample_has_kurtosis_3_and_no_memory() -> None:
    sample = np.random.default_rng(1).standard_normal((2, 200, 390))
    assert statistics.kurtosis(sample.reshape(2, -1)) == pytest.approx(3, abs=0.1)
    assert statistics.autocorrelation(sample, 1) == pytest.approx(0, abs=0.02)
    assert statistics.autocorrelation_of_days(sample[:, :, 0], (1, 2)) == pytest.approx(0, abs=0.15)


def test_autocorrelation_never_pairs_one_session_with_the_next() -> None:
    sessions = np.array([[[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]]])
    assert statistics.autocorrelation(sessions, 1) == pytest.approx(-1)


def test_a_symbol_correlates_with_the_others_and_not_with_itself() -> None:
    rise = np.arange(10.0)
    assert statistics.correlation_with_others(np.array([rise, rise, -rise])) == pytest.approx([0, 0, -1])


def test_five_one_minute_bars_make_one_of_five_minutes() -> None:
    minutes = np.arange(1.0, 391.0)[None, None, :]
    panel = statistics.Panel(1, np.ones((1, 1)), minutes, minutes, minutes)
    fives = panel.coarser(5)
    assert (fives.step, fives.close.shape) == (5, (1, 1, 78))
    assert fives.close[0, 0, :2].tolist() == [5, 10]
    assert fives.volume[0, 0, :2].tolist() == [15, 40]
    assert fives.returns().sum() == pytest.approx(panel.returns().sum()) == pytest.approx(np.log(390))


def test_windows_cover_every_session_once() -> None:
    days = np.arange(58.0)[None, :]
    bars = np.repeat(days[:, :, None], 390, axis=2)
    parts = list(statistics.Panel(1, days, bars, bars, bars).windows(20))
    assert [part.open.shape[1] for part in parts] == [20, 19, 19]
    assert np.concatenate([part.open[0] for part in parts]).tolist() == days[0].tolist()


def test_a_verdict_says_within_or_where_outside_and_why() -> None:
    inside, outside = (0.0, -0.1, 0.1), (0.5, 0.4, 0.6)
    known = "autocorrelation of r, 5 min"
    pair = ((0.0, -0.2, 0.2), None)
    assert practice_market.verdict((known, (inside, inside), pair)) == "within"
    assert practice_market.verdict(("tails", (outside, outside), pair)) == "outside"
    assert practice_market.verdict((known, (inside, outside), pair)) == f"outside at edge 1, {WHY[known]}"


def test_the_page_quotes_the_figures_that_are_kept() -> None:
    page = practice_market.DOCUMENT.read_text()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    assert [row[0].removeprefix("| ") for row in rows] == list(REAL)
    for row, (early, late) in zip(rows, REAL.values(), strict=True):
        assert row[3:5] == [practice_market.shown(early), practice_market.shown(late)]


def test_the_command_ends_with_json_and_writes_nothing_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    before = practice_market.DOCUMENT.read_bytes()
    assert practice_market.main(["--seeds", "1", "--symbols", "3"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["figures"] == len(REAL)
    assert result["within"] >= len(REAL) // 2
    assert result["real_figures_changed"] == 0
    assert practice_market.DOCUMENT.read_bytes() == before


def test_a_page_of_fewer_markets_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        practice_market.main(["--write", "--seeds", "1"])
    assert "--write needs all seeds" in capsys.readouterr().err
