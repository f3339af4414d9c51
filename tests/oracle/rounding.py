"""From 50-digit numbers to the numbers of a dtype, and the distance to them. numpy and mpmath only."""

from typing import Any

import mpmath as mp
import numpy as np

PRECISION = {"float32": 24, "float64": 53}


def as_exact(array: Any) -> list[mp.mpf]:
    """The numbers of an array, exactly."""
    return [mp.mpf(float(entry)) for entry in np.asarray(array).ravel()]


def rounded(numbers: list[mp.mpf], dtype: str) -> np.ndarray:
    """The nearest number of the dtype; what lies above the largest is inf."""
    with mp.workprec(PRECISION[dtype]), np.errstate(over="ignore"):
        return np.array([float(+number) for number in numbers], np.float64).astype(dtype)


def ulps(got: np.ndarray, want: np.ndarray, scale: Any = 0.0) -> np.ndarray:
    """|got - want| in units in the last place of max(|want|, |scale|); inf where only one of the two is finite.

    Subnormal results are left out (0): XLA on the CPU flushes them to 0, torch keeps them.
    """
    assert got.dtype == want.dtype, f"{got.dtype} came back for {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape} came back for {want.shape}"
    tiny = np.finfo(want.dtype).tiny
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(np.maximum(np.abs(want), np.abs(scale).astype(want.dtype)), tiny)).astype(np.float64)
        distance = np.abs(got.astype(np.float64) / 2 - want.astype(np.float64) / 2) / unit * 2
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    distance = np.where(same, 0.0, np.where(np.isfinite(got) & np.isfinite(want), distance, np.inf))
    return np.where((np.abs(want) < tiny) & (np.abs(got) <= tiny), 0.0, distance)


def falsely_zero(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Where the result is 0 though the true one is a normal number."""
    return (got == 0) & (np.abs(want) >= np.finfo(want.dtype).tiny)


def normwise(got: np.ndarray, want: np.ndarray, least: float = 0.0) -> float:
    """||got - want|| / ||want|| in units of the machine epsilon, one vector each; `least` in place of a smaller ||want||."""
    assert got.dtype == want.dtype, f"{got.dtype} came back for {want.dtype}"
    assert got.shape == want.shape, f"shape {got.shape} came back for {want.shape}"
    if not (np.isfinite(got) | ~np.isfinite(want)).all():
        return np.inf
    scale = float(np.max(np.abs(want), initial=least))
    if scale < np.finfo(want.dtype).tiny:
        return 0.0 if float(np.max(np.abs(got), initial=0.0)) <= np.finfo(want.dtype).tiny else np.inf
    difference = np.linalg.norm((got.astype(np.float64) - want.astype(np.float64)) / scale)
    size = max(np.linalg.norm(want.astype(np.float64) / scale), least / scale)
    return float(difference / size / np.finfo(want.dtype).eps)
