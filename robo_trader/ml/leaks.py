"""Refuses columns that know what no column can know."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robo_trader.core.errors import DataError
from robo_trader.ml import validation
from robo_trader.ml.dataset import Dataset

Rows = NDArray[np.intp]

# Of one column over one bar or one label. The best that is published, the imbalance of a book before its next change
# (Gould & Bonart 2016), stays below.
TELLING = 0.85


def refuse(dataset: Dataset, rows: Rows, limit: float = TELLING) -> None:
    """Raise DataError where a column alone, on `rows`, tells the sign of the next bar or the label nearly always.

    Nobody trades on such a column: it was made of bars that had not come yet.
    """
    outcomes = {
        "the next bar": dataset.nearest[rows] > 0,
        f"the next {dataset.horizon} bars": dataset.label[rows] == 1,
    }
    for i, name in enumerate(dataset.feature_names):
        column = dataset.rows[rows, i].astype(np.float64)
        for what, rose in outcomes.items():
            area = validation.auc(rose.astype(np.int8), column) if 0 < rose.sum() < len(rose) else 0.5
            if max(area, 1 - area) > limit:
                raise DataError(
                    f"feature {name} tells the direction of {what} with an AUC of {max(area, 1 - area):.3f}: no column made "
                    "of the past can, so it has seen the future. Nothing was trained; mend or leave out that feature"
                )
