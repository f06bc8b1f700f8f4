"""Finds out how a file writes numbers and dates, where the same digits mean different things in different countries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from robo_trader.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_POINT, _COMMA = ".", ","
_NUMBER = re.compile(r"[+-]?[\d.,]+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")  # 1,234: over a thousand, or one and a quarter
_DATE = r"^(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}\b"
_MONTHS = 12
_FIRST_DATE, _LAST_DATE = 19_000_101, 21_001_231  # as numbers
# The largest time in seconds, milliseconds and microseconds that is a date before the year 5000.
_UNITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000))


class DateOrder(StrEnum):
    """Which of the two comes first in 05/01/2026."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


def numbers(columns: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """Return the columns as float64; what is no number is NaN.

    Texts may have a decimal comma and thousands apart, in the way that fits all columns. Raises DataError where none does,
    or two do and mean different numbers.
    """
    import pandas as pd

    texts = {name: _plain(column) for name, column in columns.items() if _is_text(column)}
    broken = (column[column % 1 > 0].head(1) for name, column in columns.items() if name not in texts)
    written = [f"{value:f}" for column in broken for value in column]
    written += [text for column in texts.values() for text in column.unique() if _NUMBER.fullmatch(text)]
    decimal = _decimal_mark(written) if texts else _POINT
    thousands = _COMMA if decimal == _POINT else _POINT
    for name, column in texts.items():
        texts[name] = column.str.replace(thousands, "", regex=False).str.replace(decimal, _POINT, regex=False)
    found = {**columns, **texts}
    return {name: pd.to_numeric(column, errors="coerce").astype("float64") for name, column in found.items()}


def _is_text(column: pd.Series) -> bool:
    import pandas as pd

    return not pd.api.types.is_numeric_dtype(column)


def _plain(column: pd.Series) -> pd.Series:
    """Return the texts without blanks, that some write between thousands as well."""
    return column.astype(str).str.replace(r"\s", "", regex=True)


def _decimal_mark(written: Iterable[str]) -> str:
    possible, sample = {_POINT, _COMMA}, {_POINT: "", _COMMA: ""}
    has_comma = ""
    for text in written:
        marks = _marks(text)
        has_comma = text if _COMMA in text else has_comma
        possible &= marks
        for mark in marks if len(marks) == 1 else ():
            sample[mark] = text
        if not possible:
            raise DataError(
                f"its numbers are written in two ways, {sample[_POINT]} and {sample[_COMMA]}; write all with a point"
            )
    if len(possible) == 2 and has_comma:
        raise DataError(
            f"is {has_comma} over a thousand, or a comma before decimals? Nothing in the file tells; "
            "write it without thousands apart and with a decimal point"
        )
    return _POINT if _POINT in possible else _COMMA


def _marks(text: str) -> set[str]:
    """Return which decimal marks a number may have been written with.

    >>> _marks("1.234,5"), _marks("184,5"), _marks("1,234,567"), sorted(_marks("1,234"))
    ({','}, {','}, {'.'}, [',', '.'])
    """
    points, commas = text.count(_POINT), text.count(_COMMA)
    if points and commas:
        return {_POINT if text.rindex(_POINT) > text.rindex(_COMMA) else _COMMA}
    if (not points and not commas) or _THOUSANDS.fullmatch(text):
        return {_POINT, _COMMA}
    is_apart = points + commas > 1
    return {_COMMA if bool(points) == is_apart else _POINT}


def times(column: pd.Series, order: str = "") -> pd.Series:
    """Return UTC times where the file says a zone, else naive wall times; what is no time is NaT.

    Numbers count from 1970 in UTC, in seconds or parts of them, or are dates as 20260105. `order` says what comes first in
    05/01/2026. Raises DataError where neither that nor a day above 12 does.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return column if column.dt.tz is None else column.dt.tz_convert("UTC")
    text = column.astype(str).str.strip()
    count = pd.to_numeric(column, errors="coerce")
    if not count.notna().any() or (count.isna() & (text != "")).mean() > 0.5:
        return _written(text, order)
    if count.min() >= _FIRST_DATE and count.max() <= _LAST_DATE:
        dates = count.astype("Int64").astype(str)
        return pd.to_datetime(dates, format="%Y%m%d", errors="coerce")
    unit = next((ns for most, ns in _UNITS if count.abs().max() < most), 1)
    whole = unit == 1 and not count.isna().any()
    return pd.to_datetime((count if whole else count.astype("float64")) * unit, utc=True)


def _written(text: pd.Series, order: str) -> pd.Series:
    import pandas as pd

    is_day_first = _order_of(text, order) == DateOrder.DAY_FIRST
    is_zoned = text.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).mean() > 0.5
    return pd.to_datetime(text, errors="coerce", utc=is_zoned, format="mixed", dayfirst=is_day_first)


def _order_of(text: pd.Series, said: str) -> str:
    """Return what comes first in dates with the year at the end; empty where there are none, or it makes no difference."""
    parts = text.str.extract(_DATE).dropna().astype(int)
    first, second = parts[0], parts[1]
    day, month = text[parts.index[first > _MONTHS]], text[parts.index[second > _MONTHS]]
    if len(day) and len(month):
        raise DataError(
            f"some of its dates have the day first and some the month, {day.iloc[0]} and {month.iloc[0]}; "
            "write them as 2025-12-31"
        )
    seen = DateOrder.DAY_FIRST if len(day) else DateOrder.MONTH_FIRST if len(month) else ""
    if seen and said and seen != said:
        raise DataError(
            f"{(day if len(day) else month).iloc[0]} is no date with the {said.replace('-', ' ')}"
        )
    if not seen and not said and (first != second).any():
        raise DataError(
            f"is {text[parts.index[first != second][0]]} with the day first, or the month? No day above 12 tells; "
            "write dates as 2025-12-31 (for `data check`, --date-order says it)"
        )
    return seen or said
