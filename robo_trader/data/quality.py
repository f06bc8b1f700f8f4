"""How good the data of a symbol are, as a percentage and as counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Quality(msgspec.Struct, frozen=True):
    """Bars of one symbol that were due: `whole` needed nothing, `filled` came late from history, `lost` never came.

    `refused` counts by reason the raw bars, quotes and prints that were not believed.
    """

    symbol: str
    whole: int = 0
    filled: int = 0
    lost: int = 0
    refused: Mapping[str, int] = {}

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


def lowest(qualities: Iterable[Quality]) -> float | None:
    """Return the lowest percentage there is, None where no bar was due."""
    return min((found.percent for found in qualities if found.percent is not None), default=None)
