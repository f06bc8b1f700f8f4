"""Each benchmark runs, small, and its last line is JSON with the keys it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.live.children import Silent, child, percentile
from benchmarks.start import imports

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "engine": "3000",
    "features": "--bars 1000",
    "inference": "--rows 3000 --rounds 60 --alone",
    "training": "--rows 400 --folds 2",
    "wire": "--symbols 8 --minutes 12 --fills 3 --ticks 500 --slice-s 0.002 --settle-s 0.03 --alone 0",
    "drift": "--runs 1 --sessions 12 --calm 6 --turns 1",
    "gateway": "--seconds 0.5 --rounds 1 --millions 0 --clients 3",
    "start": "--rounds 1 --symbols 0 --days 12",
    "feature_store": "--sessions 1 --symbols 2",
    "gate": "--seeds 1 --edges 1 --symbols 1 --sessions 12 --trees 10",
    "storage": "--seconds 1.5 --readers 5 --symbols 10",
}
PROMISED = {
    "engine": {"bars_per_s", "orders"},
    "features": {"n_features", "batch_ns_per_bar", "live_us_p50", "live_us_p99", "bytes_per_symbol"},
    "inference": {"one_row_us_p50", "one_row_us_p99", "fifty_rows_us_p50", "shipped_one_row_us_p50"},
    "training": {"small_s", "small_stock_s", "small_loss", "folds_s", "folds_stock_s", "folds_same"},
    "wire": {
        "bar_to_wire_ms_p50", "bar_to_wire_ms_p99", "orders", "ticks_per_s", "bare_ms_p50", "times_bare",
        "commit_ms_p50", "commit_ms_p99", "decide_us_p50", "place_to_filled_ms_p50", "place_to_filled_ms_p99",
    },
    "drift": {"calm_sessions", "false_alarms", "noticed", "tried"},
    "gateway": {"fed_per_cpu_s", "peer_per_cpu_s", "times_peer", "rss_mb_late", "crowd_per_s", "crowd_trip_ms_p99"},
    "feature_store": {"matrix", "parquet", "csv", "pandas_parquet", "pandas_sql", "file_mb", "journal_mb_a_day"},
    "start": {"ready_s", "rss_mb", "imports_ms", "not_for_the_daemon"},
    "gate": {"edge_1"},
    "storage": {
        "order_ms_alone_p50", "order_ms_beside_readers_p99", "lock_errors", "lost_writes", "torn_reads",
        "moment_group_ms", "moment_single_ms", "moment_naive_ms", "fsync_ms_p50",
    },
}  # fmt: skip


@pytest.mark.daemon
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_ends_with_one_line_of_json_that_holds_what_it_promises(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name].split()],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert PROMISED[name] <= result.keys()
    assert all(value > 0 for value in result.values() if isinstance(value, float))


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.01, 0.5, 0.99, 1.0)] == [1.0, 2.0, 3.0, 3.0]


def test_the_way_to_a_foreign_library_names_who_imports_it() -> None:
    said = (
        "import time:      1000 |       1000 |     numpy\n"
        "import time:       500 |        500 |       pandas.core\n"
        "import time:       500 |       1000 |     pandas\n"
        "import time:      2000 |       4000 |   robo_trader.x\n"
        "some line of the log\n"
        "import time:       100 |       4100 | robo_trader\n"
    )
    spent, found = imports(said)
    assert spent == {"robo_trader": 2.1, "numpy": 1.0, "pandas": 1.0}
    assert found == ["robo_trader > robo_trader.x > pandas"]


def test_a_child_that_ends_early_is_told_with_its_words(tmp_path: Path) -> None:
    with (
        child(["-c", "print('nothing to do')"], tmp_path) as running,
        pytest.raises(Silent, match="nothing to do"),
    ):
        running.until("ready", 10.0)


def test_a_child_that_stays_silent_is_ended(tmp_path: Path) -> None:
    with (
        child(["-c", "import time; time.sleep(60)"], tmp_path) as running,
        pytest.raises(Silent, match="in time"),
    ):
        running.until("ready", 0.2)
    assert not running.running
