"""What `robo-trader data check` says of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robo_trader.__main__ import app

DAY = [f"2026-01-05 {9 + (30 + n) // 60:02d}:{(30 + n) % 60:02d}" for n in range(390)]


def written(path: Path, times: list[str], symbol: str = "XYZ") -> Path:
    """Write sound minutes at these times."""
    rows = [
        f"{at},{symbol},{100 + n % 7 / 100:.2f},{100.1 + n % 7 / 100:.2f},"
        f"{99.9 + n % 7 / 100:.2f},{100 + n % 5 / 100:.2f},{500 + n}"
        for n, at in enumerate(times)
    ]
    path.write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows]) + "\n")
    return path


def told(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["data", "check", *words])
    return done.exit_code, done.stdout, done.stderr


def test_it_says_how_many_bars_are_good_and_what_was_done_about_the_rest(tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", [*DAY[:100], *DAY[99:]])
    code, said, _ = told(str(file))
    assert code == 0
    assert said.splitlines() == [
        "XYZ 100.00%: 390 bars of 60 s, 2026-01-05 14:31 to 2026-01-05 21:00 UTC, from 391 rows",
        "  duplicate: 1, dropped: of the rows of one time the one with most volume was kept at 2026-01-05 11:09 UTC",
        "  wrong zone: 390, repaired: read as America/New_York, 100% in trading hours, by UTC 28%"
        " at 2026-01-05 09:30, … UTC",
    ]


def test_it_says_the_same_to_programs(tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", DAY)
    code, said, _ = told(str(file), "--json", "--zone", "America/New_York", "--stamped", "start")
    [row] = json.loads(said)
    assert code == 0
    assert (row["symbol"], row["bars"], row["usable"], row["findings"]) == ("XYZ", 390, True, [])
    assert row["percent"] == 100.0


def test_a_file_whose_times_fit_nowhere_ends_with_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    night = [at.replace(" 09:", " 00:").replace(" 1", " 0") for at in DAY[:300]]
    code, said, error = told(str(written(tmp_path / "bars.csv", night)))
    assert code == 5
    assert "unknown times" in said
    assert "say --zone or --stamped" in error


def test_one_bad_symbol_of_several_is_a_check_that_said_no_and_the_others_are_told(tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", DAY)
    night = [at.replace(" 09:", " 00:").replace(" 1", " 0") for at in DAY[:300]]
    file.write_text(
        file.read_text() + written(tmp_path / "o.csv", night, "BAD").read_text().partition("\n")[2]
    )
    code, said, error = told(str(file), "--json")
    assert code == 7
    assert {row["symbol"]: row["usable"] for row in json.loads(said)} == {"BAD": False, "XYZ": True}
    assert "no bar of BAD can be used" in error


def test_dates_that_can_be_read_in_two_ways_are_said_by_a_flag(tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", [at.replace("2026-01-05", "05/01/2026") for at in DAY])
    code, _, error = told(str(file))
    assert code == 5
    assert "--date-order" in error
    code, said, _ = told(str(file), "--date-order", "day-first")
    assert code == 0
    assert "2026-01-05 14:31 to 2026-01-05 21:00 UTC" in said


def test_a_directory_is_told_from_a_file(tmp_path: Path) -> None:
    code, _, error = told(str(tmp_path))
    assert code == 5
    assert "a directory; name one file" in error


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--date-order", "year"], "say day-first or month-first"),
        (["--zone", "Mars/Base"], "no such zone"),
        (["--stamped", "middle"], "say start or end"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(tmp_path: Path, words: list[str], why: str) -> None:
    code, _, error = told(str(written(tmp_path / "bars.csv", DAY)), *words)
    assert code == 2
    assert why in error


def test_one_symbol_of_several_can_be_asked_for(tmp_path: Path) -> None:
    file = written(tmp_path / "bars.csv", DAY)
    other = written(tmp_path / "other.csv", DAY, "ABC").read_text().partition("\n")[2]
    file.write_text(file.read_text() + other)
    assert [line[:3] for line in told(str(file))[1].splitlines() if line[0] != " "] == ["ABC", "XYZ"]
    assert told(str(file), "--symbol", "abc")[1].startswith("ABC")
    code, _, error = told(str(file), "--symbol", "QQQ")
    assert code == 5
    assert "there is no QQQ; there are ABC, XYZ" in error
