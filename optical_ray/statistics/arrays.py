"""Array types and helpers that the statistics share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def nan_mean(values: FloatArray, axis: int) -> FloatArray:
    """Return the mean over the values that are not NaN, and NaN (without a warning) if all of them are."""
    present = ~np.isnan(values)
    count = present.sum(axis=axis)
    total = np.where(present, values, 0.0).sum(axis=axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
