"""Tables of sound bars to be spoilt, and what reading them says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from robo_trader.core.events import MINUTE_NS
from robo_trader.data.cleaning import Reading, ReadOptions
from robo_trader.data.files import open_file
from tests.data.streams import NEW_YORK

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08")


def minutes(days: tuple[str, ...] = DAYS, seed: int = 3) -> pd.DataFrame:
    """Return sound minute bars of trading hours by their starts, busy at the open and in the last minute."""
    rng = np.random.default_rng(seed)
    stamps = [pd.date_range(f"{day} 09:30", periods=390, freq="min", tz=NEW_YORK) for day in days]
    count = 390 * len(days)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 3e-4, count))), 2)
    opened = np.concatenate(([100.0], close[:-1]))
    volume = np.round(rng.lognormal(6, 0.3, count))
    volume[::390] *= 6
    volume[389::390] *= 8
    high, low = np.maximum(opened, close) + 0.01, np.minimum(opened, close) - 0.01
    ts = pd.DatetimeIndex(np.concatenate([stamp.tz_convert("UTC") for stamp in stamps]), tz="UTC")
    return pd.DataFrame(
        {
            "ts": ts,
            "symbol": "XYZ",
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
        }
    )


def daily(days: int = 40, symbols: tuple[str, ...] = ("XYZ",)) -> pd.DataFrame:
    """Return sound daily bars, of shares that move alike."""
    rng = np.random.default_rng(1)
    dates = pd.bdate_range("2026-02-17", periods=days)  # no holiday until Good Friday, 2026-04-03
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, days)))
    opened = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) / 1.002
    one = pd.DataFrame(
        {"date": dates, "open": opened, "high": high, "low": low, "close": close, "volume": 1e6}
    )
    return pd.concat([one.assign(symbol=symbol) for symbol in symbols], ignore_index=True)


def read(table: pd.DataFrame, path: Path, symbol: str = "", options: ReadOptions | None = None) -> Reading:
    file = path / "bars.parquet"
    table.to_parquet(file)
    return open_file(file).read(symbol, options)


def found(reading: Reading) -> dict[str, tuple[str, int]]:
    return {one.what: (one.done, one.count) for one in reading.findings}


def same(reading: Reading, table: pd.DataFrame) -> bool:
    """Whether the bars are those of the sound table, by close."""
    starts = table["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return (
        np.array_equal(reading.bars.ts, starts + MINUTE_NS)
        and np.array_equal(reading.bars.close, table["close"])
        and np.array_equal(reading.bars.volume, table["volume"])
    )
