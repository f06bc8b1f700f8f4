"""From the start of the daemon's process to the line `ready`, with a trained model: `python -m benchmarks.start`.

A practice gateway runs beside it; the model is trained once, before anything is timed, and every measured start finds
its caches warm: compiled kernels, bytecode, the history in the database. Memory is resident memory of the daemon after
its first live bar, when features and model have been used. What the imports cost, and who loads a library that belongs
to training or to the page, is printed above. The last line is one JSON object, for two symbols and for fifty.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.live.children import DAEMON_ENDS, GATEWAY_ENDS, child

PATIENCE_S = 120.0
SPEED = 300  # market seconds a second, so that a bar need not be waited for
TWO = ["AAPL", "NVDA"]
FIFTY = TWO + [f"{a}{b}Y" for a in "ABCDEF" for b in "KLMNPQRS"]
# Training and the page load these, each in a process of its own.
FOREIGN = (
    "pandas",
    "sklearn",
    "xgboost",
    "lightgbm",
    "exchange_calendars",
    "pyarrow",
    "fastapi",
    "scipy",
    "optuna",
    "distributed",
)
SHOWN = 12
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)$", re.MULTILINE)


def start(home: Path, port: int, symbols: Sequence[str], days: int, *before: str) -> tuple[float, float, str]:
    """Start the daemon once; return seconds to `ready`, MiB after its first bar, and what it said.

    `before` are options of the interpreter, `days` the sessions to train on where there is no model.
    """
    run = ["-m", "robo_trader", "run", "--use-ml", "--no-dashboard", *DAEMON_ENDS]
    words = [*before, *run, "--symbols", ",".join(symbols)]
    with child(words, home, ibkr_port=port, ml_history_days=days) as daemon:
        ready_s = daemon.until(" ready ", PATIENCE_S)
        daemon.until(" bar ", PATIENCE_S)
        rss_mb = daemon.rss_mb()
        daemon.stop()
        return ready_s, rss_mb, daemon.text


def starts(home: Path, port: int, symbols: Sequence[str], asked: argparse.Namespace) -> tuple[float, float]:
    """Return the median seconds to ready and the median MiB of all rounds, after one that trains and warms caches."""
    start(home, port, symbols, asked.days)
    taken = [start(home, port, symbols, asked.days)[:2] for _ in range(asked.rounds)]
    ready_s, rss_mb = zip(*taken, strict=True)
    return round(statistics.median(ready_s), 3), round(statistics.median(rss_mb), 1)


def imports(said: str) -> tuple[dict[str, float], list[str]]:
    """Read the interpreter's import times; return milliseconds by package, and the way to each foreign library.

    >>> imports("import time:       500 |       1000 |   pandas\\nimport time:      1500 |     2500 | mine")
    ({'mine': 1.5, 'pandas': 0.5}, ['mine > pandas'])
    """
    spent: dict[str, float] = {}
    way: list[str] = []
    found: list[str] = []
    # A module is told after those it imports, one level less indented: backwards, importers come first.
    for own_us, _, indent, name in reversed(_IMPORT.findall(said)):
        package = name.partition(".")[0]
        spent[package] = spent.get(package, 0.0) + int(own_us) / 1000
        way = [*way[: (len(indent) - 1) // 2], name]
        if name in FOREIGN:
            found.append(" > ".join(way))
    return spent, found


def tell(spent: dict[str, float], found: Iterable[str]) -> None:
    """Print where the imports' time goes."""
    print(f"imports of one start: {sum(spent.values()):.0f} ms, each timed with the cost of timing it")
    for package, cost in sorted(spent.items(), key=lambda one: -one[1])[:SHOWN]:
        print(f"  {cost:7.1f} ms  {package}")
    for way in found:
        print(f"  not for the daemon: {way}")


def measure(home: Path, asked: argparse.Namespace) -> dict[str, object]:
    """Measure starts with two symbols, and with many where asked for, against one practice gateway."""
    words = ["-m", "robo_trader.practice", "--port", "0", "--speed", str(SPEED), *GATEWAY_ENDS]
    with child(words, home / "gateway") as gateway:
        gateway.until("listening on", PATIENCE_S)
        found = re.search(r"listening on [^ ]+:(\d+) ", gateway.text)
        assert found is not None, gateway.text
        port, desk = int(found[1]), home / "desk"
        ready_s, rss_mb = starts(desk, port, TWO, asked)
        spent, foreign = imports(start(desk, port, TWO, asked.days, "-X", "importtime")[2])
        tell(spent, foreign)
        result: dict[str, object] = {
            "ready_s": ready_s,
            "rss_mb": rss_mb,
            "imports_ms": round(sum(spent.values())),
            "not_for_the_daemon": sorted({way.rpartition(" > ")[2] for way in foreign}),
        }
        if asked.symbols:
            ready_s, rss_mb = starts(desk, port, FIFTY[: asked.symbols], asked)
            result |= {f"ready_s_{asked.symbols}_symbols": ready_s, f"rss_mb_{asked.symbols}_symbols": rss_mb}
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="measured starts; the median is told")
    parser.add_argument(
        "--symbols", type=int, default=50, help=f"of the large desk, at most {len(FIFTY)}; 0: none"
    )
    parser.add_argument("--days", type=int, default=60, help="sessions to train on")
    asked = parser.parse_args(arguments)
    if asked.rounds < 1 or not 0 <= asked.symbols <= len(FIFTY):
        parser.error("too few rounds or too many symbols")
    with tempfile.TemporaryDirectory(prefix="robo-trader-start-") as home:
        print(json.dumps(measure(Path(home), asked)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
