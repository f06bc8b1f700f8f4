"""The kill switch when things are broken: every way is tried, and what it achieved is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from robo_trader.bootstrap.kill_switch import Address, KillFile, kill, tell
from robo_trader.core.errors import NobodyAnswers, RoboTraderError

# Holds the lock as a daemon does that is too busy to take commands, and says when it was signalled.
HOLDER = """
import signal, sys, time
from pathlib import Path
from robo_trader.storage.lock import InstanceLock
signal.signal(signal.SIGUSR1, lambda *_: (print("halted", flush=True), sys.exit(0)))
InstanceLock(Path(sys.argv[1])).acquire()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def address(tmp_path: Path) -> Address:
    place = tmp_path / "run"
    return Address("DU1", place / "DU1.sock", place / "DU1.lock", tmp_path / "data" / "KILL")


def test_a_file_halts_while_it_is_there_and_says_why(tmp_path: Path) -> None:
    file = KillFile(tmp_path / "data" / "KILL")
    assert file.text() is None
    file.write("looked odd")
    assert "looked odd" in (file.text() or "")
    assert (file.remove(), file.remove(), file.text()) == (True, False, None)


def test_an_empty_file_and_one_that_cannot_be_read_halt_as_well(tmp_path: Path) -> None:
    (tmp_path / "KILL").touch()
    assert KillFile(tmp_path / "KILL").text() == "no reason given (file KILL)"
    (tmp_path / "dir" / "KILL").mkdir(parents=True)
    broken = KillFile(tmp_path / "dir" / "KILL")
    assert "cannot be read" in (broken.text() or "")
    with pytest.raises(RoboTraderError, match="remove it by hand"):
        broken.remove()
    (tmp_path / "KILL").write_bytes(b"\xff\xfe" + b"x\n" * 100_000)
    assert len(KillFile(tmp_path / "KILL").text() or "") < 2000


def test_a_pipe_in_its_place_halts_and_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "KILL")
    assert KillFile(tmp_path / "KILL").text() == "no reason given (file KILL)"


def test_where_nobody_runs_the_file_is_left_for_the_next_daemon(address: Address) -> None:
    killed = kill(address, "enough", "kill")
    assert killed.sure
    assert "no daemon runs" in killed.said
    assert "enough (kill)" in (KillFile(address.kill_file).text() or "")


def test_a_daemon_that_does_not_answer_is_signalled(address: Address) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(address.lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(NobodyAnswers, match="does not take commands"):
            tell(address, {"do": "status"})
        killed = kill(address, "enough", "kill")
        assert holder.stdout.readline() == "halted\n"
    assert killed.sure
    assert f"signalled process {holder.pid} (SIGUSR1)" in killed.said


def test_where_the_file_cannot_be_written_it_says_so_and_goes_on(address: Address) -> None:
    address.kill_file.parent.parent.joinpath("data").write_text("a file stands in the way")
    killed = kill(address, "enough", "kill")
    assert not killed.sure
    assert any("could not write" in line for line in killed.said)


def test_without_a_daemon_a_command_says_that_none_runs(address: Address) -> None:
    with pytest.raises(NobodyAnswers, match="no daemon of DU1 runs"):
        tell(address, {"do": "status"})
    assert not os.path.exists(address.socket)
