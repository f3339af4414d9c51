"""A backend against the 50-digit formulas: the same questions and the same units of error for both backends.

`calls` is a dict of functions on numpy arrays, one per verb: `forward(spec, raw)`, `inverse(spec, value)`,
`log_abs_det(spec, raw)`, `pullback(spec, raw, cotangent)`, `log_abs_det_gradient(spec, raw)`.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import mpmath as mp
import numpy as np

from oracle.formulas import FORMULAS, exact
from oracle.rounding import as_exact, falsely_zero, normwise, rounded, ulps
from samples import Sample, batches, points

VERBS = ("forward", "inverse", "log_abs_det", "pullback", "log_abs_det_gradient")
Calls = dict[str, Callable[..., np.ndarray]]


def truth(sample: Sample, verb: str, dtype: str, *arrays: Any) -> np.ndarray:
    """What a verb gives for an array of entries (scalar specs) or a batch of vectors or matrices, rounded once."""
    formula = getattr(FORMULAS[type(sample.spec)], verb)
    if sample.is_scalar:
        shape = np.shape(arrays[0])
        entries = zip(*map(as_exact, (*arrays, *sample.bounds(dtype, shape))), strict=True)
        return rounded([exact(formula, sample.spec, *([e] for e in entry))[0] for entry in entries], dtype).reshape(shape)
    rows = [rounded(exact(formula, sample.spec, *map(nested, row)), dtype) for row in zip(*arrays, strict=True)]
    if verb == "log_abs_det":
        return np.stack([row[0] for row in rows])
    event = {"forward": sample.spec.value_shape, "inverse": sample.spec.raw_shape}.get(verb, tuple)(arrays[0].shape[1:])
    return np.stack(rows).reshape(-1, *event)


def nested(array: np.ndarray) -> list[Any]:
    """One vector as a list of exact numbers, or one matrix as a list of its rows."""
    return as_exact(array) if array.ndim == 1 else [as_exact(row) for row in array]


@cache
def questions(sample: Sample, verb: str, dtype: str) -> list[tuple[tuple[np.ndarray, ...], np.ndarray]]:
    """Arguments of the verb, and the right answers."""
    raws = [sample.spread(points(dtype))] if sample.is_scalar else batches(sample, dtype)
    rng = np.random.Generator(np.random.Philox(22))
    asked = []
    for raw in raws:
        if verb == "inverse":
            arguments = (_inside(sample, truth(sample, "forward", dtype, raw)),)
        elif verb == "pullback":
            shape = sample.spec.value_shape(raw.shape)
            weights = np.ones(shape) if sample.is_scalar else rng.normal(0, 1, shape)
            arguments = (raw, weights.astype(dtype))
        else:
            arguments = (raw,)
        if not arguments[0].size:
            continue
        asked.append((arguments, truth(sample, verb, dtype, *arguments)))
    return asked


def _inside(sample: Sample, value: np.ndarray) -> np.ndarray:
    """The entries, or the vectors and matrices, that did not round to a border."""
    if sample.is_scalar:
        low, high = np.sort(np.array(sample.ends, value.dtype), axis=0)
        inside = (value > low) & (value < high) & (value != 0)
        return np.unique(value[inside]) if sample.core == () else value[inside.all(-1)]
    return value if sample.usable is None else value[sample.usable(value)]


def error(sample: Sample, verb: str, dtype: str, calls: Calls) -> tuple[float, str]:
    """The largest error of a verb, in the unit of `unit_of`, and where it is; a false zero is an infinite error."""
    worst = (0.0, "nowhere")
    for arguments, want in questions(sample, verb, dtype):
        got = calls[verb](sample.spec, *arguments)
        distance = distance_between(sample, verb, dtype, got, want)
        if not distance.size:
            continue
        here = np.unravel_index(np.argmax(distance), distance.shape)
        if distance[here] > worst[0]:
            row = here if sample.is_scalar else here[:1]
            worst = (float(distance[here]), f"{arguments[0][row]}: got {got[here]!r}, right is {want[here]!r}")
    return worst


def distance_between(sample: Sample, verb: str, dtype: str, got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """How far apart two results are, for each entry or each vector, in the unit of `unit_of`; `want` sets the unit."""
    if sample.is_scalar:
        scale = _scale(sample, verb, dtype)
        return np.where(falsely_zero(got, want) & (scale == 0), np.inf, ulps(got, want, scale))
    if verb == "log_abs_det" or (verb == "forward" and sample.forward_unit == "entry"):
        return ulps(got, want)
    if verb == "forward" and sample.forward_unit == "running":
        return ulps(got, want, np.maximum.accumulate(np.abs(want), axis=-1))
    assert got.shape == want.shape, f"shape {got.shape} came back for {want.shape}"
    return np.array([normwise(*rows) for rows in zip(got, want, strict=True)])


def unit_of(sample: Sample, verb: str) -> str:
    """What `error` counts in."""
    if sample.is_scalar:
        return {"forward": "ULP of max(|value|, |bound|)", "log_abs_det": "ULP of max(|result|, |result at 0|)"}.get(
            verb, "ULP"
        )
    if verb == "forward":
        return {"entry": "ULP", "running": "ULP of the largest entry so far", "norm": "eps, normwise"}[sample.forward_unit]
    return "ULP" if verb == "log_abs_det" else "eps, normwise"


def _scale(sample: Sample, verb: str, dtype: str) -> Any:
    """The number that the map adds to another one: a result near 0 keeps the rounding of that number."""
    if verb == "forward" and sample.is_scalar:
        return sample.added_bounds
    if verb == "log_abs_det" and sample.name.startswith(("interval", "box")):
        return np.abs(truth(sample, verb, dtype, sample.spread(np.zeros(1, dtype)))[0])
    return 0.0


def true_jacobian(sample: Sample, raw: np.ndarray) -> np.ndarray:
    """d value_i / d raw_j at one flat row of raw numbers: diagonal for a row of scalars."""
    if sample.is_scalar:
        return np.diag(truth(sample, "pullback", raw.dtype.name, raw, np.ones_like(raw)))
    event = sample.spec.value_shape(sample.core)
    units = np.eye(prod(event), dtype=raw.dtype).reshape(-1, *event)
    rows = np.broadcast_to(raw.reshape(sample.core), (len(units), *sample.core))
    return truth(sample, "pullback", raw.dtype.name, rows, units).reshape(len(units), -1)


def true_hessian(sample: Sample, raw: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
    """Second derivatives of sum(cotangent * value) at one flat row, by differences of exact first ones, good to 30 digits."""
    formula = FORMULAS[type(sample.spec)]
    bounds = [as_exact(bound) for bound in sample.bounds(raw.dtype.name, raw.shape)] if sample.is_scalar else []
    core, event = (raw.shape, raw.shape) if sample.is_scalar else (sample.core, sample.spec.value_shape(sample.core))
    weights = _in_rows(as_exact(cotangent), event)
    columns = []
    with mp.workdps(600):
        step, tiny = mp.mpf(10) ** -160, mp.mpf(10) ** -309  # differences of 600 digits are noise below that, as of step^2
        for j in range(raw.size):
            up, down = as_exact(raw), as_exact(raw)
            up[j], down[j] = up[j] + step, down[j] - step
            pair = (formula.pullback(sample.spec, _in_rows(side, core), weights, *bounds) for side in (up, down))
            slopes = ((a - b) / (2 * step) for a, b in zip(*pair, strict=True))
            columns.append([slope if abs(slope) > tiny else mp.mpf(0) for slope in slopes])
    return np.stack([rounded(column, raw.dtype.name) for column in columns])


def hessian_unit(sample: Sample, raw: np.ndarray) -> float:
    """The norm in which errors of second derivatives are counted where their own is smaller."""
    return float(np.linalg.norm(true_jacobian(sample, raw))) if sample.even_at_ties else 0.0


def _in_rows(numbers: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """A flat list as the rows of a matrix, where the shape is one."""
    return numbers if len(shape) == 1 else [numbers[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]
