"""What features remember, as bytes and back, and what a split does to it."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.features import cross_section, kernels
from robo_trader.features.base import Floats, Unit
from robo_trader.features.technical_indicators import CATALOGUE

Arrays = dict[str, NDArray[Any]]
HEADER = "header"


def packed(header: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a header (JSON) and arrays as an .npz archive, the same bytes for the same numbers."""
    archive = io.BytesIO()
    words = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    np.savez_compressed(archive, allow_pickle=False, **{HEADER: words}, **arrays)
    return archive.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Return what `packed` took. Raises DataError where the bytes are damaged or of something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header: dict[str, Any] = json.loads(arrays.pop(HEADER).tobytes())
    except (ValueError, LookupError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(
            f"this is no saved state of features, or it is damaged ({e}); start from history"
        ) from e
    return header, arrays


def units() -> list[Unit]:
    """Return what each number in the state of one symbol is counted in."""
    each = [Unit.PURE] * kernels.OWN
    for first, (many, unit) in kernels.UNITS.items():
        each[first : first + many] = [unit] * many
    return each + [unit for feature in CATALOGUE for unit in feature.own_units]


def split(state: Floats, ratio: float) -> None:
    """Restate in place what is remembered of one symbol as if it had always been split.

    `ratio` is new shares for an old one: 4.0 for four for one, 0.05 for one for twenty.
    """
    counted = np.array([unit.value for unit in units()])
    state[counted == Unit.PRICE.value] /= ratio
    state[counted == Unit.PRICE_SQUARED.value] /= ratio * ratio
    state[counted == Unit.LOG_PRICE.value] -= math.log(ratio)
    state[counted == Unit.SHARES.value] *= ratio
    state[counted == Unit.PER_USD.value] *= ratio


def split_panel(facts: Floats, ratio: float, new: int = 0) -> None:
    """Restate in place what others see of a symbol, its row of the panel; its `new` newest bars came at the new price."""
    count = int(facts[cross_section.COUNT])
    logs = facts[cross_section.LOGS : cross_section.PANEL].reshape(2, -1)  # a ring, kept twice over
    size = logs.shape[1]
    fresh = np.arange(count - min(new, size), count) + 1
    old = np.ones(size, dtype=np.bool_)
    old[fresh % size] = False
    logs[:, old] -= math.log(ratio)
    if not new:
        facts[cross_section.SHARES] *= ratio
    for facts_of, n in ((cross_section.NEW, count), (cross_section.OLD, count - 1)):
        for fact, back in ((cross_section.RETURN, 1), (cross_section.MOVED, cross_section.PERIOD)):
            if n > back:
                facts[facts_of + fact] = logs[0, n % size] - logs[0, (n - back) % size]
