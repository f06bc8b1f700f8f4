"""One daemon per account, whatever way the last one ended."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from robo_trader.core.errors import ConfigurationError, InstanceLocked
from robo_trader.storage.lock import Holder, InstanceLock, holder

HOLD = """
import sys
from pathlib import Path
from robo_trader.storage.lock import InstanceLock
InstanceLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "DU1234567.lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_and_since_when(
    path: Path, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(
        InstanceLocked, match=rf"process {other.pid} .*since 20\d\d-.*DU1234567\.lock"
    ) as refused:
        InstanceLock(path).acquire()
    assert refused.value.exit_code == 6
    found = holder(path)
    assert found is not None
    assert found.pid == other.pid


def test_a_killed_holder_leaves_the_way_free(path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert str(other.pid) in path.read_text()
    assert holder(path) is None
    with InstanceLock(path):
        found = holder(path)
        assert found is not None
        assert found.pid == os.getpid()


def test_a_released_lock_can_be_taken_again(path: Path) -> None:
    for _ in range(2):
        with InstanceLock(path):
            assert isinstance(holder(path), Holder)
            with pytest.raises(InstanceLocked):
                InstanceLock(path).acquire()
        assert holder(path) is None


def test_a_child_of_the_holder_does_not_hold_on(path: Path) -> None:
    with InstanceLock(path):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
    with InstanceLock(path):
        assert child.poll() is None
    child.communicate()


def test_a_file_with_rubbish_in_it_is_no_holder_and_no_obstacle(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("rubbish from long ago")
    assert holder(path) is None
    with InstanceLock(path):
        assert isinstance(holder(path), Holder)


def test_somebody_only_looking_does_not_stop_a_start(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    with path.open("wb") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        monkeypatch.setattr("robo_trader.storage.lock.time.sleep", lambda _: fcntl.flock(look, fcntl.LOCK_UN))
        with InstanceLock(path):
            assert isinstance(holder(path), Holder)


def test_no_lock_file_means_nobody(path: Path) -> None:
    assert holder(path) is None


def test_a_place_where_no_file_can_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot make the lock file"):
        InstanceLock(tmp_path / "file" / "x.lock").acquire()
