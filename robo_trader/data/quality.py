"""How good the data of a symbol are, as a percentage and as counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class Quality(msgspec.Struct, frozen=True):
    """Bars of one symbol that were due: `whole` needed nothing, `filled` came late from history, `lost` never came.

    `refused` counts by reason the raw bars, quotes and prints that were not believed; `day` is the session's date in New
    York, empty for those of a file.
    """

    symbol: str
    whole: int = 0
    filled: int = 0
    lost: int = 0
    refused: Mapping[str, int] = {}
    day: str = ""

    @property
    def percent(self) -> float | None:
        """The share of the bars due that needed nothing, 0 to 100; None where none was due yet.

        >>> Quality("NVDA", whole=389, filled=1).percent
        99.74358974358974
        """
        due = self.whole + self.filled + self.lost
        return 100.0 * self.whole / due if due else None

    def as_row(self) -> dict[str, Any]:
        """Return it as a row for JSON, with the percentage."""
        return {**msgspec.to_builtins(self), "percent": self.percent}

    def in_words(self) -> str:
        """Say it in a few words.

        >>> Quality("NVDA", 389, 1, 0, {"spike": 2}).in_words()
        'NVDA 99.74% (1 filled in, refused: 2 spike)'
        """
        share = "no bar due yet" if self.percent is None else f"{self.percent:.2f}%"
        counts = [f"{n} {what}" for n, what in ((self.filled, "filled in"), (self.lost, "lost")) if n]
        if self.refused:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(self.refused.items()))
            counts.append(f"refused: {reasons}")
        return f"{self.symbol} {share}" + (f" ({', '.join(counts)})" if counts else "")


@dataclass
class Tally:
    """What becomes a day's `Quality` of one symbol, while it is counted."""

    whole: int = 0
    filled: int = 0
    lost: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def of(self, symbol: str, day: str) -> Quality:
        """Return it as it is now."""
        return Quality(symbol, self.whole, self.filled, self.lost, dict(self.refused), day)


def worst_first(qualities: Iterable[Quality]) -> list[Quality]:
    """Return them by percentage, those of which no bar was due at the end."""
    return sorted(qualities, key=lambda one: 101.0 if one.percent is None else one.percent)


def summed(qualities: Iterable[Quality]) -> list[Quality]:
    """Return one for each symbol and day, of the parts of a day that several daemons saw.

    >>> summed([Quality("NVDA", 9, 1, day="2026-01-05"), Quality("NVDA", 10, day="2026-01-05")])[0].percent
    95.0
    """
    tallies: dict[tuple[str, str], Tally] = {}
    for part in qualities:
        tally = tallies.setdefault((part.symbol, part.day), Tally())
        tally.whole += part.whole
        tally.filled += part.filled
        tally.lost += part.lost
        tally.refused.update(part.refused)
    return [tally.of(*key) for key, tally in tallies.items()]


def lowest(qualities: Iterable[Quality]) -> float | None:
    """Return the lowest percentage there is, None where no bar was due."""
    return min((found.percent for found in qualities if found.percent is not None), default=None)
