"""Work is done in order by whoever is asked, failures come back, and nobody waits for an owner that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.ml.crew import Crew, cluster, processes, threads

OWNER = """
import os, time
from robo_trader.ml.crew import processes
from tests.ml.test_crew import pid

if __name__ == "__main__":
    with processes(1)(None) as ask:
        print(ask(pid, [0])[0], flush=True)
        time.sleep(600)
"""


def added(about: int, job: int) -> int:
    return about + job


def refused(about: int, job: int) -> int:
    raise DataError(f"job {job}")


def pid(about: None, job: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("crew", [threads(), threads(1), processes(2)], ids=["threads", "one", "processes"])
def test_jobs_are_done_in_their_order_and_what_goes_wrong_comes_back(crew: Crew) -> None:
    with crew(100) as ask:
        assert ask(added, range(20)) == list(range(100, 120))
        assert ask(added, []) == []
        with pytest.raises(DataError, match="job 1"):
            ask(refused, [1])


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        owner.kill()
        try:
            owner.communicate(
                timeout=30
            )  # ends when nobody is left who could write there, the worker included
        except subprocess.TimeoutExpired:
            os.kill(worker, signal.SIGKILL)
            raise


def test_a_cluster_where_nobody_answers_is_refused_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("robo_trader.ml.crew.PATIENCE_S", 0.5)
    with (
        pytest.raises(ConfigurationError, match=r"tcp://127\.0\.0\.1:1"),
        cluster("tcp://127.0.0.1:1")(None),
    ):
        pass
