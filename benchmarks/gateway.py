"""What the practice gateway can serve: `python -m benchmarks.gateway`.

* **Feeding one client**: 100 market data lines, the market stepped on as fast as the client reads. First a client that
  only counts bytes, so that the gateway is the slow side; then ib_async, the peer. Both are told as messages in a second
  of their own processor time, because two busy processes share the machine: `times_peer` says how much faster the
  gateway writes than ib_async reads. Both in turn, the medians of three rounds.
* **Many clients**: 20 clients with 100 lines each and a running clock; messages a second that arrive, and the round
  trip of a question put among them.
* **Memory**: the gateway's resident memory after the first million messages and after the last.

The last line is one JSON object. `placeOrder` to `filledEvent` is measured by `python -m benchmarks.wire`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.live.children import GATEWAY_ENDS, Child, child, percentile
from benchmarks.live.raw import RawClient

NAMES = [f"{a}{b}{c}" for a in "ABCDEFGHJK" for b in "KLMNP" for c in "QR"]  # a hundred
SEED = 7
_BUSY = re.compile(r"cpu ([\d.]+)")


@contextmanager
def feeder(home: Path, clients: int) -> Iterator[tuple[Child, int]]:
    """Run a gateway that moves as fast as so many clients read; give it and its port."""
    with child(["-m", "benchmarks.live.feeder", str(clients)], home) as running:
        running.until("listening on", 30)
        yield running, int(re.findall(r"listening on (\d+)", running.text)[0])


def feed_raw(home: Path, seconds: float, millions: float) -> dict[str, float]:
    """Read as fast as possible for so long, then on to so many million messages, watching the memory."""
    with feeder(home, 1) as (running, port):
        client = RawClient(port, 1)
        client.subscribe(NAMES)
        running.until("feeding", 30)
        mean = client.mean_message()
        client.swallow(1.5)
        busy, began = _busy(running), time.perf_counter()
        read = client.swallow(seconds) / mean
        wall, spent = time.perf_counter() - began, _busy(running) - busy
        early, total = running.rss_mb(), read
        while total < millions * 1e6:
            total += client.swallow(1) / mean
        late = running.rss_mb()
        client.close()
    return {
        "fed_per_s": round(read / wall),
        "fed_per_cpu_s": round(read / spent),
        "messages_m": round(total / 1e6, 1),
        "rss_mb_early": round(early, 1),
        "rss_mb_late": round(late, 1),
    }


def _busy(running: Child) -> float:
    """Return the processor seconds of the gateway, as it said last."""
    return float(_BUSY.findall(running.text)[-1])


def feed_peer(home: Path, seconds: float) -> dict[str, float]:
    """Let ib_async read the same lines."""
    with feeder(home, 1) as (_, port):
        words = ["-m", "benchmarks.live.listener", str(port), ",".join(NAMES), str(seconds)]
        with child(words, home / "peer") as listener:
            listener.wait(seconds + 60)
            count, _, busy = (float(word) for word in listener.text.split()[-3:])
    return {"peer_per_cpu_s": round(count / busy)}


def feed(home: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Feed the counting client and the peer in turn; return the medians, and the memory of the last round."""
    rounds: list[dict[str, float]] = []
    for n in range(1, asked.rounds + 1):
        millions = asked.millions if n == asked.rounds else 0.0
        ours = feed_raw(home / f"raw{n}", asked.seconds, millions)
        rounds.append(ours | feed_peer(home / f"fed{n}", asked.seconds))
    told = {name: median(one[name] for one in rounds) for name in rounds[0]}
    told |= {name: rounds[-1][name] for name in ("messages_m", "rss_mb_early", "rss_mb_late")}
    told["times_peer"] = round(told["fed_per_cpu_s"] / told["peer_per_cpu_s"], 2)
    return told


def crowd(home: Path, clients: int, speed: float, seconds: float) -> dict[str, float]:
    """Serve many clients by the clock; return what arrives and how soon a question is answered among it."""
    words = [
        "-m",
        "robo_trader.practice",
        "--port",
        "0",
        "--speed",
        str(speed),
        "--seed",
        str(SEED),
        *GATEWAY_ENDS,
    ]
    with child(words, home) as gateway, ExitStack() as ends:
        gateway.until("listening on", 30)
        port = int(re.findall(r"listening on [^ ]+:(\d+) ", gateway.text)[0])
        listeners = []
        for number in range(1, clients + 1):
            listeners.append(RawClient(port, number))
            ends.callback(listeners[-1].close)
            listeners[-1].subscribe(NAMES)
        asking, readers = listeners[0], listeners[1:]
        asking.until(b"1\0")
        counts = [0] * len(readers)

        def read(at: int) -> None:
            mean = readers[at].mean_message()
            counts[at] = round(readers[at].swallow(seconds) / mean)

        threads = [threading.Thread(target=read, args=(at,)) for at in range(len(readers))]
        for thread in threads:
            thread.start()
        trips, until = [], time.perf_counter() + seconds
        while time.perf_counter() < until:
            trips.append(asking.round_trip() * 1e3)
            time.sleep(0.02)
        for thread in threads:
            thread.join()
        rss = gateway.rss_mb()
    return {
        "crowd_clients": clients,
        "crowd_per_s": round(sum(counts) / seconds * clients / len(readers)),
        "crowd_trip_ms_p50": round(percentile(trips, 0.5), 2),
        "crowd_trip_ms_p99": round(percentile(trips, 0.99), 2),
        "crowd_rss_mb": round(rss, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of feeding, ours and the peer's in turn")
    parser.add_argument("--millions", type=float, default=10.0, help="messages over which memory is watched")
    parser.add_argument("--clients", type=int, default=20, help="of the crowd, 2 or more")
    parser.add_argument("--speed", type=float, default=10.0, help="of the crowd's clock")
    asked = parser.parse_args(arguments)
    if asked.clients < 2:
        parser.error("a crowd is of 2 or more: one asks, the others read")
    with tempfile.TemporaryDirectory(prefix="robo-trader-gateway-") as scratch:
        home = Path(scratch)
        result = feed_raw(home / "raw", asked.seconds, asked.millions) | feed_peer(
            home / "fed", asked.seconds
        )
        result["times_peer"] = round(result["fed_per_cpu_s"] / result["peer_per_cpu_s"], 2)
        result |= crowd(home / "crowd", asked.clients, asked.speed, asked.seconds)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
