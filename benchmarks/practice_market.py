"""How far the synthetic market looks like a real one: the same statistics of both, side by side.

    python -m benchmarks.practice_market [--data DIRECTORY] [--write]

With `--data`, a directory that holds the files named in FILES, the real columns are computed; without, they are the
figures kept in benchmarks/realism/document.py. `--write` writes docs/practice-market.md. The last line is one JSON
object. Of the real bars only statistics are kept, no prices.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.realism.document import REAL, TEXT, WHY, Pair, Spread
from benchmarks.realism.statistics import (
    MONTH,
    Figures,
    Floats,
    Panel,
    day_figures_by_quarter,
    five_minute_figures,
    pooled,
    short_figures,
)
from robo_trader.core.events import MINUTE_NS
from robo_trader.data.sessions import XnysCalendar
from robo_trader.simulation.market import SyntheticMarket

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "practice-market.md"
# Columns ts (start of the bar, UTC), symbol, open, high, low, close, volume; of the quotes ts, symbol, bid, ask.
FILES = {
    "minutes of 2018": "bars_1min_av_2018q1.parquet",
    "minutes of 2026": "bars_1min_ibkr_2026q1.parquet",
    "five minutes": "bars_5min_ibkr_2025_2026.parquet",
    "quotes": "bars_1min_lean_quotes.parquet",
}
# fmt: off
SYMBOLS = (
    "AVGO", "COIN", "GS", "META", "MRNA", "NFLX", "NKE", "NVDA", "ORCL", "PANW",
    "QQQ", "RTX", "SLB", "SMH", "SNOW", "SOXL", "SPY", "XLF", "XLK", "XLV",
)
# fmt: on
SEEDS = 5
LIVE = "2026-01-05"  # the synthetic sessions end before this one
SESSIONS = 60
WHOLE = 390  # minutes of a whole session; half days are left out

Row = tuple[str, tuple[Spread, Spread], Pair]


def synthetic(seed: int, edge: float, symbols: Sequence[str]) -> Figures:
    """Compute all figures of one synthetic market."""
    market, calendar = SyntheticMarket(seed, edge), XnysCalendar()
    sessions = [s for s in calendar.before(LIVE, SESSIONS) if s.close - s.open == WHOLE * MINUTE_NS]
    days = [[market.minutes(symbol, session) for session in sessions] for symbol in symbols]
    panel = Panel(
        step=1,
        open=np.array([[day.open[0] for day in row] for row in days]),
        close=np.array([[day.close for day in row] for row in days]),
        reach=np.array([[np.log(day.high / day.low) for day in row] for row in days]),
        volume=np.array([[day.volume for day in row] for row in days]),
    )
    prices = panel.close[:, -1, -1]
    spreads = [market.spread(symbol, price) / price for symbol, price in zip(symbols, prices, strict=True)]
    figures = short_figures(panel) | day_figures_by_quarter(panel.coarser(5))
    return figures | {"spread, basis points": np.array(spreads) * 1e4}


def regular_hours(frame: Any, step: int) -> Any:
    """Return the rows of regular trading hours with their New York day and the number of their bar in it."""
    new_york = frame["ts"].dt.tz_convert("America/New_York")
    bar = (new_york.dt.hour * 60 + new_york.dt.minute - 570) // step
    frame = frame.assign(day=new_york.dt.strftime("%Y-%m-%d"), bar=bar)
    return frame[(bar >= 0) & (bar < WHOLE // step)]


def read_panel(file: Path, step: int) -> Panel:
    """Read the whole sessions that every symbol of a file of bars has; a missing bar repeats the price before it."""
    import pandas as pd

    frame = regular_hours(pd.read_parquet(file), step)
    frame = frame.assign(reach=np.log(frame["high"] / frame["low"]))
    present = frame.groupby(["day", "symbol"]).size().unstack().fillna(0)
    days = present.index[(present >= 0.9 * WHOLE // step).all(axis=1)]
    table = frame[frame["day"].isin(days)].pivot_table(
        index=["symbol", "day"], columns="bar", values=["open", "close", "reach", "volume"]
    )
    shape = (present.shape[1], len(days), WHOLE // step)
    return Panel(
        step=step,
        open=table["open"].bfill(axis=1)[0].to_numpy(np.float64).reshape(shape[:2]),
        close=table["close"].ffill(axis=1).bfill(axis=1).to_numpy(np.float64).reshape(shape),
        reach=table["reach"].fillna(0).to_numpy(np.float64).reshape(shape),
        volume=table["volume"].fillna(0).to_numpy(np.float64).reshape(shape),
    )


def read_spreads(file: Path) -> Floats:
    """Return each symbol's median quoted spread in regular hours, in basis points of the price."""
    import pandas as pd

    quotes = regular_hours(pd.read_parquet(file), 1)
    quotes = quotes[(quotes["bid"] > 0) & (quotes["ask"] > quotes["bid"])]
    bp = (quotes["ask"] - quotes["bid"]) / (quotes["ask"] + quotes["bid"]) * 2e4
    return np.asarray(bp.groupby(quotes["symbol"]).median(), dtype=np.float64)


def real(directory: Path) -> dict[str, Pair]:
    """Compute the real columns."""
    minutes = read_panel(directory / FILES["minutes of 2018"], 1)
    early = short_figures(minutes) | day_figures_by_quarter(minutes.coarser(5))
    early["spread, basis points"] = read_spreads(directory / FILES["quotes"])
    fives = read_panel(directory / FILES["five minutes"], 5)
    late = short_figures(read_panel(directory / FILES["minutes of 2026"], 1))
    late |= pooled([five_minute_figures(part) for part in fives.windows(MONTH)]) | day_figures_by_quarter(
        fives
    )
    return {
        name: (spread_of(values), spread_of(late[name]) if name in late else None)
        for name, values in early.items()
    }


def spread_of(values: Floats) -> Spread:
    """Return median, 10th and 90th percentile, to three decimals."""
    middle, low, high = np.percentile(values, (50, 10, 90)).round(3).tolist()
    return middle, low, high


def shown(spread: Spread | None) -> str:
    """Write a median and its range.

    >>> shown((2.345, 1.0, 12.04)), shown(None)
    ('2.35 (1.00 .. 12.04)', '')
    """
    return "" if spread is None else "{:.2f} ({:.2f} .. {:.2f})".format(*spread)


def within(ours: Spread, real: Pair) -> bool:
    """Say whether our median lies between the lowest and the highest of the real ranges."""
    known = [one for one in real if one is not None]
    return min(one[1] for one in known) <= ours[0] <= max(one[2] for one in known)


def verdict(row: Row) -> str:
    """Say within, or outside and why."""
    name, ours, real = row
    inside = [within(one, real) for one in ours]
    if all(inside):
        return "within"
    where = "outside" if not any(inside) else f"outside at edge {inside.index(False)}"
    return f"{where}, {WHY[name]}" if name in WHY else where


def document(rows: Sequence[Row]) -> str:
    """Write the whole of docs/practice-market.md."""
    lines = [f"| {' | '.join([row[0], *map(shown, (*row[1], *row[2])), verdict(row)])} |" for row in rows]
    return TEXT.format(table="\n".join(lines), symbols=len(SYMBOLS), sessions=SESSIONS, seeds=SEEDS)


def compare(seeds: int, symbols: Sequence[str], theirs: dict[str, Pair]) -> list[Row]:
    """Compute both synthetic columns beside the real ones."""
    calm, edge = (
        pooled([synthetic(seed, edge, symbols) for seed in range(1, seeds + 1)]) for edge in (0.0, 1.0)
    )
    return [(name, (spread_of(calm[name]), spread_of(edge[name])), theirs[name]) for name in calm]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the document, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="directory of real bars (default: the figures kept here)")
    parser.add_argument("--write", action="store_true", help=f"write docs/{DOCUMENT.name}")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many markets (default: %(default)s)")
    parser.add_argument("--symbols", type=int, default=len(SYMBOLS), help="of each (default: %(default)s)")
    asked = parser.parse_args(arguments)
    if asked.write and (asked.seeds, asked.symbols) != (SEEDS, len(SYMBOLS)):
        parser.error("--write needs all seeds and symbols")
    theirs = real(asked.data) if asked.data else REAL
    began = time.process_time()
    rows = compare(asked.seeds, SYMBOLS[: asked.symbols], theirs)
    seconds = round(time.process_time() - began, 2)
    text = document(rows)
    print(text)
    if asked.write:
        DOCUMENT.write_text(text)
    changed = [name for name, pair in theirs.items() if pair != REAL.get(name)]
    for name in changed:  # as REAL would have it
        print(f"    {json.dumps(name)}: {theirs[name]},", file=sys.stderr)
    outside = [row[0] for row in rows if verdict(row) != "within"]
    counted = {"figures": len(rows), "within": len(rows) - len(outside), "cpu_s": seconds}
    print(json.dumps(counted | {"outside": outside, "real_figures_changed": len(changed)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
