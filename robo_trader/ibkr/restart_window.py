"""Knows when TWS restarts itself, day by day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import SECOND_NS

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d) +(\S+)")


@dataclass(frozen=True)
class RestartWindow:
    """The time of day in which a restart is expected; it may reach over midnight."""

    begins: time
    ends: time
    zone: ZoneInfo

    def next(self, now: int) -> tuple[int, int]:
        """Return begin and end of the window that holds `now`, or else of the next one, in UTC ns."""
        today = datetime.fromtimestamp(now // SECOND_NS, self.zone).date()
        spans = (self._on(today + timedelta(days=day)) for day in (-1, 0, 1, 2))
        return next(span for span in spans if now < span[1])

    def _on(self, day: date) -> tuple[int, int]:
        over_midnight = self.ends <= self.begins
        return self._ns(day, self.begins), self._ns(day + timedelta(days=over_midnight), self.ends)

    def _ns(self, day: date, at: time) -> int:
        return int(datetime.combine(day, at, self.zone).astimezone(UTC).timestamp()) * SECOND_NS

    def __str__(self) -> str:
        """Return it as it is written in the settings."""
        return f"{self.begins:%H:%M}-{self.ends:%H:%M} {self.zone.key}"


def parse_window(text: str) -> RestartWindow | None:
    """Read a window as `23:45-00:45 America/New_York`; empty is none. Raises ConfigurationError.

    >>> str(parse_window("23:45-00:45 America/New_York"))
    '23:45-00:45 America/New_York'
    """
    if not text.strip():
        return None
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"{text!r} is no restart window: write it as 23:45-00:45 America/New_York, or leave it empty for none"
        )
    begins, ends = (time(int(found[i]), int(found[i + 1])) for i in (1, 3))
    if begins == ends:
        raise ConfigurationError(f"{text!r} begins and ends at the same time: leave it empty for no window")
    try:
        return RestartWindow(begins, ends, ZoneInfo(found[5]))
    except (KeyError, ValueError, OSError) as error:  # what ZoneInfo raises
        raise ConfigurationError(
            f"{text!r}: there is no time zone {found[5]!r}; write one such as America/New_York"
        ) from error
