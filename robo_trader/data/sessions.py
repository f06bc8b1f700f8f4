"""When the New York Stock Exchange trades, from a table shipped with the package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from robo_trader.core.errors import DataError
from robo_trader.core.events import DAY_NS, SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data import xnys

NEW_YORK = ZoneInfo("America/New_York")
OPEN = time(9, 30)
CLOSE = time(16, 0)
EARLY_CLOSE = time(13, 0)

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
_FRIDAY = 4


class XnysCalendar:
    """Answers for XNYS regular trading hours, 2000 to 2030, without loading exchange_calendars (1.1 s).

    Full holidays and 13:00 closes come from `xnys.py`; every other weekday trades 09:30 to 16:00 New York.
    Regular hours never cross midnight UTC, so a UTC day has at most one session.
    """

    def __init__(self) -> None:
        self._holidays = frozenset(_dates(xnys.HOLIDAYS))
        self._early = frozenset(_dates(xnys.EARLY_CLOSES))
        self._by_day: dict[int, Session | None] = {}

    def session(self, ts: int) -> Session | None:
        """Return the session with open < ts <= close (`ts` in UTC ns, a bar's close), else None.

        A bar that closes at the open belongs to no session; one that closes at 16:00 belongs to it.
        Years outside the table have no sessions.
        """
        found = self._on(ts // DAY_NS)
        return found if found is not None and found.open < ts <= found.close else None

    def sessions(self, first: date, last: date) -> list[Session]:
        """Return the sessions from `first` to `last`, both included. Raises DataError off the table."""
        _require_covered(first)
        _require_covered(last)
        days = range((first - _EPOCH).days, (last - _EPOCH).days + 1)
        return [found for day in days if (found := self._on(day)) is not None]

    def after(self, label: str) -> Session:
        """Return the first session after the New York date `label`. Raises DataError past the table's end."""
        return next(self._walk(date.fromisoformat(label), _DAY))

    def before(self, label: str, n: int) -> list[Session]:
        """Return the `n` sessions before the date `label`, oldest first. Raises DataError off the table."""
        walk = self._walk(date.fromisoformat(label), -_DAY)
        return [next(walk) for _ in range(n)][::-1]

    def label_of(self, ts: int) -> str:
        """Return the New York date of `ts` as YYYY-MM-DD, trading day or not: at 20:30 it is still today."""
        return datetime.fromtimestamp(ts // SECOND_NS, NEW_YORK).date().isoformat()

    def _walk(self, start: date, step: timedelta) -> Iterator[Session]:
        day = start
        while True:
            day += step
            _require_covered(day)
            found = self._on((day - _EPOCH).days)
            if found is not None:
                yield found

    def _on(self, day: int) -> Session | None:
        try:
            return self._by_day[day]
        except KeyError:
            return self._by_day.setdefault(day, self._make(day))

    def _make(self, day: int) -> Session | None:
        if not _FIRST_DAY <= day <= _LAST_DAY:
            return None
        on = _EPOCH + timedelta(days=day)
        if on.weekday() > _FRIDAY or on in self._holidays:
            return None
        close = EARLY_CLOSE if on in self._early else CLOSE
        return Session(on.isoformat(), _utc_ns(on, OPEN), _utc_ns(on, close))


_FIRST_DAY = (date(xnys.FIRST_YEAR, 1, 1) - _EPOCH).days
_LAST_DAY = (date(xnys.LAST_YEAR, 12, 31) - _EPOCH).days


def _require_covered(day: date) -> None:
    if not xnys.FIRST_YEAR <= day.year <= xnys.LAST_YEAR:
        raise DataError(
            f"{day.isoformat()}: the table of trading sessions covers {xnys.FIRST_YEAR} to {xnys.LAST_YEAR};"
            f" `python -m robo_trader.data.sessions {xnys.FIRST_YEAR} {xnys.LAST_YEAR + 10}` renews it"
        )


def _utc_ns(day: date, at: time) -> int:
    return int(datetime.combine(day, at, NEW_YORK).astimezone(UTC).timestamp()) * SECOND_NS


def _dates(table: str) -> Iterator[date]:
    for line in table.split("\n"):
        year, _, days = line.partition(":")
        for day in days.split():
            yield date(int(year), int(day[:2]), int(day[2:]))


def render_table(first_year: int, last_year: int) -> str:
    """Return the source text of `xnys.py` for these years, asked of exchange_calendars (a slow import)."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=f"{first_year}-01-01", end=f"{last_year}-12-31")
    traded = {stamp.date() for stamp in calendar.sessions}
    closes = calendar.schedule["close"].dt.tz_convert(NEW_YORK)
    early = {stamp.date() for stamp, close in closes.items() if close.time() != CLOSE}
    first, last = date(first_year, 1, 1), date(last_year, 12, 31)
    weekdays = (d for n in range((last - first).days + 1) if (d := first + n * _DAY).weekday() <= _FRIDAY)
    return (
        '"""Full holidays and 13:00 closes of XNYS, MMDD by year; made by'
        ' `python -m robo_trader.data.sessions`."""\n\n'
        f"FIRST_YEAR = {first_year}\nLAST_YEAR = {last_year}\n\n"
        f'HOLIDAYS = """\\\n{_render({d for d in weekdays if d not in traded})}"""\n\n'
        f'EARLY_CLOSES = """\\\n{_render(early)}"""\n'
    )


def _render(days: set[date]) -> str:
    years = sorted({day.year for day in days})
    rows = (f"{year}: {' '.join(f'{d:%m%d}' for d in sorted(days) if d.year == year)}" for year in years)
    return "\n".join(rows)


if __name__ == "__main__":
    years = [int(year) for year in sys.argv[1:3]] or [xnys.FIRST_YEAR, xnys.LAST_YEAR]
    Path(xnys.__file__).write_text(render_table(*years))
