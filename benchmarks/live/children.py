"""Programs of ours as child processes of a benchmark: each in a directory of its own, gone when the benchmark ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_KEPT = ("PATH", "HOME", "NUMBA_CACHE_DIR")
_POLL_S = 0.002
# Flags that end a program even where the benchmark was killed and could not.
DAEMON_ENDS = ("--run-for", "15m")
GATEWAY_ENDS = ("--parent-pid", str(os.getpid()))


class Silent(RuntimeError):
    """A child ended, or did not say in time what was waited for; ends the benchmark with what it said instead."""


class Child:
    """One running program. What it says goes to a file, so that reading it costs nobody the time that is measured."""

    def __init__(self, words: Sequence[str], home: Path, settings: dict[str, object]) -> None:
        """Start `python words…` in `home` with these settings in its environment and no others."""
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(home), "OMP_NUM_THREADS": "1"}
        environment |= {name.upper(): str(value) for name, value in settings.items()}
        self._said = home / f"said-{time.monotonic_ns()}.log"
        with self._said.open("wb") as out:
            self.began = time.perf_counter()
            self._process = subprocess.Popen(
                [sys.executable, *words], cwd=home, env=environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has said so far."""
        return self._said.read_text(errors="replace")

    def until(self, words: str, patience_s: float) -> float:
        """Wait for a line with these words; return the seconds since the start. Raises Silent."""
        deadline = self.began + patience_s
        while words not in self.text:
            ended = not self.running
            if (ended and words not in self.text) or time.perf_counter() > deadline:
                raise Silent(f"no {words!r} {'before the end' if ended else 'in time'}:\n{self.text[-3000:]}")
            time.sleep(_POLL_S)
        return time.perf_counter() - self.began

    def rss_mb(self) -> float:
        """Return the resident memory in MiB."""
        (kib,) = [
            line.split()[1]
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        ]
        return int(kib) / 1024

    def wait(self, budget_s: float) -> None:
        """Wait for its own end; then end it for certain."""
        try:
            self._process.wait(budget_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self, budget_s: float = 6.0) -> None:
        """End it politely, then for certain."""
        if self.running:
            self._process.terminate()
        self.wait(budget_s)


@contextmanager
def child(words: Sequence[str], home: Path, **settings: object) -> Iterator[Child]:
    """Run `python words…` in `home`, which is made where it is missing, while the context lasts."""
    home.mkdir(parents=True, exist_ok=True)
    running = Child(words, home, settings)
    try:
        yield running
    finally:
        running.stop()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]
