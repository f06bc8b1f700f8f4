"""The command line as somebody meets it who has read nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def command(home: Path, *words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "NUMBA_CACHE_DIR")
    }
    environment |= {"XDG_RUNTIME_DIR": str(home)} | {
        name.upper(): str(value) for name, value in settings.items()
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "robo_trader", *words],
        cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_names_the_programs_beside_it(tmp_path: Path):
    said = command(tmp_path, "--help")
    assert said.returncode == 0
    for module in ("robo_trader.train_models", "robo_trader.practice"):
        assert module in said.stdout


@pytest.mark.parametrize(
    ("words", "settings", "hint"),
    [
        ((), {}, "7496"),
        (("--practice", "always"), {"ibkr_port": 7496}, "cannot be practised"),
    ],
)
def test_live_trading_starts_nothing_where_only_a_practice_market_can_answer(
    tmp_path: Path, words: tuple[str, ...], settings: dict[str, object], hint: str
):
    said = command(tmp_path, "run", "--symbols", "AAPL", "--mode", "live", *words, **settings)
    assert said.returncode == 2
    assert hint in said.stderr
    assert not (tmp_path / "data" / "practice").exists()


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in taken]
    for server in taken:
        server.close()
    return ports


def test_doctor_finds_nothing_wrong_on_a_fresh_machine(tmp_path: Path):
    tws, page, hub = free_ports(3)
    said = command(
        tmp_path, "doctor", practice_mode="always", ibkr_port=tws, dashboard_port=page, hub_port=hub
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "FAIL" not in said.stdout
    assert "the daemon will start its practice gateway" in said.stdout
    assert said.stderr == ""


def test_doctor_names_the_setting_where_a_port_is_taken(tmp_path: Path):
    tws, hub = free_ports(2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = taken.getsockname()[1]
        said = command(
            tmp_path, "doctor", practice_mode="always", ibkr_port=tws, dashboard_port=page, hub_port=hub
        )
    assert said.returncode == 1
    (failed,) = [line for line in said.stdout.splitlines() if line.startswith("FAIL")]
    assert "DASHBOARD_PORT" in failed


def test_status_before_the_first_run_says_what_to_do(tmp_path: Path):
    said = command(tmp_path, "status")
    assert said.returncode == 5
    assert "run the daemon first" in said.stderr


def test_a_kill_works_where_settings_and_database_are_broken(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "practice-DUP1.db").write_text("these are my notes, not a database")
    said = command(tmp_path, "kill", "--reason", "enough", risk_per_trade="much")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "enough" in (tmp_path / "data" / "KILL").read_text()


def test_to_resume_needs_a_reason_and_to_halt_a_daemon(tmp_path: Path):
    said = command(tmp_path, "resume")
    assert said.returncode == 2
    assert "--reason" in said.stderr
    said = command(tmp_path, "halt", "--account", "DU1")
    assert (said.returncode, "no daemon of DU1 runs" in said.stderr) == (1, True)
    assert "Traceback" not in said.stderr
