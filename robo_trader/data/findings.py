"""What was found wrong with data, where, what was done about it and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from robo_trader.core.events import SECOND_NS

_FEW = 5  # places named; the count says how many there are


class Defect(StrEnum):
    """Every defect that is looked for."""

    UNREADABLE = "unreadable"  # a row without a time or a price
    OUT_OF_ORDER = "out of order"
    DUPLICATE = "duplicate"
    WRONG_ZONE = "wrong zone"
    END_STAMPED = "end-stamped"  # times are those of a bar's end and not of its start
    AUCTION_ROW = "auction row"  # the opening or closing auction as a row of its own
    OUTSIDE_HOURS = "outside hours"
    REFUSED = "refused"  # by the rules that live bars pass: spikes, stuck feeds, impossible prices
    PARTIAL = "partial"  # the last row was fetched before its time was over
    GAP = "gap"
    FEED_SWITCH = "feed switch"
    SPLIT = "split"
    UNKNOWN_TIMES = "unknown times"  # neither zone nor stamping fits the exchange's hours


class Done(StrEnum):
    """What was done about a defect."""

    REPAIRED = "repaired"
    DROPPED = "dropped"
    TOLD = "told"  # nothing: there is nothing to repair, or it is not ours to decide
    REFUSED = "refused"  # the whole file


class Finding(msgspec.Struct, frozen=True):
    """One kind of defect: how often, the first places (`at`, UTC ns), what was done, and why."""

    what: Defect
    done: Done
    count: int
    at: tuple[int, ...]
    why: str

    def in_words(self) -> str:
        """Say it in one line."""
        places = ", ".join(f"{datetime.fromtimestamp(ts // SECOND_NS, UTC):%Y-%m-%d %H:%M}" for ts in self.at)
        more = ", …" if self.count > len(self.at) else ""
        where = f" at {places}{more} UTC" if places else ""
        return f"{self.what}: {self.count}, {self.done}: {self.why}{where}"

    def as_row(self) -> dict[str, Any]:
        """Return it as a row for JSON."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        return row


def finding(
    what: Defect, done: Done, at: NDArray[np.int64] | Iterable[int], why: str, count: int = 0
) -> Finding:
    """Return what was found at the times `at` (UTC ns), `count` times where that is more than there are times."""
    times = [int(ts) for ts in at]
    return Finding(what, done, count or len(times), tuple(times[:_FEW]), why)
