"""What the tests of these rooms share: New York times, bars by the minute, and an ear instead of an inbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar, Event, FeedStatus, SetTimer

NEW_YORK = ZoneInfo("America/New_York")
SLICE_NS = 5 * SECOND_NS
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def new_york(text: str) -> int:
    """Return the UTC ns of a New York wall time such as "2026-01-05 09:30"."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * SECOND_NS


def flat(ts: int, price: float = 100.0, volume: float = 10.0, interval_ns: int = MINUTE_NS) -> Bar:
    """Return a bar of one price that closes at `ts`."""
    return Bar("AAPL", ts, price, price, price, price, volume, interval_ns)


def slices(start: int, minutes: int, price: float = 100.0) -> list[Bar]:
    """Return the 5-second bars of so many minutes from `start`, drifting by a cent each, so none repeats."""
    return [
        flat(start + n * SLICE_NS, round(price + n / 100, 2), 1.0 + n, SLICE_NS)
        for n in range(1, 12 * minutes + 1)
    ]


def from_parquet(name: str, symbol: str, rows: int | None = None) -> list[Bar]:
    """Return real minute bars in file order; skips the test where the file is not at hand."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    import pyarrow.parquet as pq

    table = pq.read_table(path).to_pandas()
    table = table[table["symbol"] == symbol].iloc[:rows]
    volumes = table["volume"].fillna(0) if "volume" in table else [1.0] * len(table)
    columns = (table["ts"], table["open"], table["high"], table["low"], table["close"], volumes)
    return [
        # The files stamp a bar by its start.
        Bar(symbol, stamp.value + MINUTE_NS, o, h, low, c, float(v))
        for stamp, o, h, low, c, v in zip(*columns, strict=True)
    ]


class Ear:
    """An inbox that only remembers."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def put(self, event: Event) -> None:
        self.heard.append(event)

    def set_timer(self, timer: SetTimer) -> None:
        raise AssertionError("the pipeline sets no timers")

    def __aiter__(self) -> AsyncIterator[Event]:
        raise AssertionError("the pipeline does not listen")

    @property
    def bars(self) -> list[Bar]:
        return [event for event in self.heard if isinstance(event, Bar)]

    @property
    def statuses(self) -> list[FeedStatus]:
        return [event for event in self.heard if isinstance(event, FeedStatus)]
