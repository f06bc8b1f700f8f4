"""A day from which the synthetic market is another one, planted to see who notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from robo_trader.core.errors import ConfigurationError


@dataclass(frozen=True)
class Turn:
    """From the session `since` (YYYY-MM-DD) on, a minute moves `loudness` times as far; nights stay as they are."""

    since: str
    loudness: float

    def __post_init__(self) -> None:
        """Raise ConfigurationError where it is no day or no factor that a price survives."""
        try:
            date.fromisoformat(self.since)
        except ValueError as error:
            raise ConfigurationError(f"the market cannot turn on {self.since!r}: write YYYY-MM-DD") from error
        if not 0.1 <= self.loudness <= 10:
            raise ConfigurationError(
                f"the market can turn 0.1 to 10 times as loud, not {self.loudness:g} times"
            )

    def __str__(self) -> str:
        return f"{self.since}:{self.loudness:g}"

    @classmethod
    def read(cls, text: str) -> Turn:
        """Read `YYYY-MM-DD:FACTOR`. Raises ConfigurationError saying what is wrong with it.

        >>> Turn.read("2026-01-05:3")
        Turn(since='2026-01-05', loudness=3.0)
        """
        since, _, factor = text.partition(":")
        try:
            return cls(since, float(factor))
        except ValueError as error:
            raise ConfigurationError(f"{text!r} is no turn of the market: write YYYY-MM-DD:FACTOR") from error
