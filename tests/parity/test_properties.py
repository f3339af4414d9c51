"""What holds for every spec at any raw and any point: properties over specs, dtypes and shapes, on both backends.

A value lies in its set, comes back from its raw, and its log-determinant is that of its Jacobian; a projection is
idempotent and no member of the set lies nearer. Points are drawn by hypothesis, the same in every run.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import jax
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import isoparam as iso
from isoparam import jax as jax_side
from isoparam import torch as torch_side
from isoparam.borders import border_of
from samples import DTYPES, SAMPLES, SCALARS, SHAPED, Sample, volume_of

BATCH = 4
Verbs = dict[str, Callable[[Any], np.ndarray]]
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def shapes_of(sample: Sample) -> list[tuple[int, ...]]:
    """Raw shapes of one value: those of the sample; entries in a row for a scalar spec."""
    if sample in SCALARS:
        return [sample.core or (3,)]
    return [shape for shape in sample.raws if 0 < prod(shape) <= 20]


@st.composite
def raws(draw: Any, sample: Sample, dtype: str, reach: float, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """A batch of raw numbers up to `reach`: ordinary ones, zeros, ties, tiny ones."""
    shape = (BATCH, *draw(st.sampled_from(shapes)))
    entry = st.one_of(st.floats(-reach, reach), st.sampled_from([0.0, 1.0, -1.0, 1e-8, 0.5]))
    numbers = draw(st.lists(entry, min_size=prod(shape), max_size=prod(shape)))
    return np.array(numbers).reshape(shape).astype(dtype)


def on_torch(sample: Sample) -> Verbs:
    """The verbs of torch on numpy arrays, and the Jacobian of each row."""

    def jacobian(raw: np.ndarray) -> np.ndarray:
        flat = torch.tensor(raw.reshape(len(raw), -1))
        value = _flat(sample, torch_side.forward, raw.shape[1:])
        return torch.stack([torch.func.jacrev(value)(row) for row in flat]).numpy()

    verbs = {name: _torch_verb(sample, name) for name in ("forward", "log_abs_det", "project", "contains")}
    return {**verbs, "inverse": lambda v: torch_side.inverse(sample.spec, torch.tensor(v), False).numpy(), "jacobian": jacobian}


def _torch_verb(sample: Sample, name: str) -> Callable[[Any], np.ndarray]:
    return lambda array: getattr(torch_side, name)(sample.spec, torch.tensor(array)).numpy()


@cache
def on_jax(sample: Sample) -> Verbs:
    """The verbs of JAX, jitted, on numpy arrays, and the Jacobian of each row."""

    def jacobian(raw: Any) -> Any:
        return jax.vmap(jax.jacrev(_flat(sample, jax_side.forward, raw.shape[1:])))(raw.reshape(len(raw), -1))

    def jitted(function: Callable[[Any], Any]) -> Callable[[Any], np.ndarray]:
        compiled = jax.jit(function)

        def call(array: Any) -> np.ndarray:
            with jax.enable_x64(True):
                return np.asarray(compiled(array))

        return call

    names = [name for name in ("forward", "inverse", "log_abs_det", "project", "contains") if sample.has(name)]
    verbs = {name: jitted(lambda array, name=name: getattr(jax_side, name)(sample.spec, array)) for name in names}
    return {**verbs, "jacobian": jitted(jacobian)}


def _flat(sample: Sample, forward: Callable[..., Any], shape: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda row: forward(sample.spec, row.reshape(shape)).reshape(-1)


BACKENDS = {"torch": on_torch, "jax": on_jax}
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def drawn_shapes(sample: Sample, backend: str) -> list[tuple[int, ...]]:
    """Every shape in torch; the usual one in JAX, which compiles for each."""
    shapes = shapes_of(sample)
    return shapes if backend == "torch" else [sample.core] if sample.core in shapes else shapes[:1]


def sizes(sample: Sample, value: np.ndarray) -> np.ndarray:
    """The unit in which the entries of a value are rounded: its own size for scalars, else that of its largest entry."""
    if sample in SCALARS:
        return np.maximum(np.abs(value), sample.added_bounds)
    axes = tuple(range(1, value.ndim))
    return np.maximum(np.max(np.abs(value), axis=axes, keepdims=True, initial=0.0), 1e-30) + np.zeros_like(value)


def at_an_end(sample: Sample, value: np.ndarray) -> Any:
    """Where a number, or a vector or matrix, has rounded to the border of its set or as good as there."""
    if sample in SCALARS:
        return np.isin(value, np.array(sample.ends, value.dtype))
    room = 4 * value[0].size * np.finfo(value.dtype).eps
    return np.array([np.min(border_of(sample.spec, row).distances, initial=np.inf) <= room for row in value])


@each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@each_sample
def test_a_value_is_in_its_set_and_comes_back(sample: Sample, dtype: str, backend: str) -> None:
    verbs = BACKENDS[backend](sample)
    eps = np.finfo(dtype).eps

    @few
    @given(raws(sample, dtype, 3.0, drawn_shapes(sample, backend)))
    def holds(raw: np.ndarray) -> None:
        value = verbs["forward"](raw)
        rounded = at_an_end(sample, value)
        assert (verbs["contains"](value) | rounded).all()
        again = verbs["forward"](verbs["inverse"](value))
        close = np.abs(again - value) <= 64 * eps * sizes(sample, value)
        assert (close | np.reshape(rounded, rounded.shape + (1,) * (close.ndim - rounded.ndim))).all()

    holds()


# A circle has its nearest points on both sides of the seam, where the line of numbers has them on one.
ON_THE_LINE = [s for s in SAMPLES if s.has("project") and not isinstance(s.spec, iso.Circular)]


@each_backend
@pytest.mark.parametrize("sample", ON_THE_LINE, ids=lambda sample: sample.name)
def test_a_projection_is_idempotent_and_nearest(sample: Sample, backend: str) -> None:
    verbs = BACKENDS[backend](sample)
    room = 32 * np.finfo(np.float64).eps

    @few
    @given(st.data())
    def holds(data: Any) -> None:
        raw = data.draw(raws(sample, "float64", 3.0, drawn_shapes(sample, backend)))
        member = verbs["forward"](raw)
        noise = np.random.Generator(np.random.Philox(data.draw(st.integers(0, 2**32)))).normal(0, 1, member.shape)
        point = member + data.draw(st.sampled_from([0.0, 0.1, 3.0])) * noise
        near = verbs["project"](point)
        unit = np.maximum(sizes(sample, point), sizes(sample, near))
        assert (np.abs(verbs["project"](near) - near) <= room * unit).all()
        for others in (member, member[::-1]):
            distances = [_distance(sample, point, each) for each in (near, others)]
            assert (distances[0] <= distances[1] + room * _distance(sample, unit, 0 * unit)).all()

    holds()


def _distance(sample: Sample, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    if sample in SCALARS:
        return np.abs(left - right)
    return np.linalg.norm((left - right).reshape(len(left), -1), axis=1)


@each_backend
@pytest.mark.parametrize("sample", [s for s in SHAPED if s.has("log_abs_det")], ids=lambda sample: sample.name)
def test_a_log_determinant_is_that_of_the_jacobian(sample: Sample, backend: str) -> None:
    verbs = BACKENDS[backend](sample)

    @few
    @given(raws(sample, "float64", 2.0, [sample.core]))
    def holds(raw: np.ndarray) -> None:
        stated = verbs["log_abs_det"](raw)
        for row, jacobian, start in zip(stated, verbs["jacobian"](raw), raw, strict=True):
            if not start.any() and not np.isfinite(row):  # a direction has no volume at raw = 0
                continue
            np.testing.assert_allclose(row, volume_of(sample, jacobian), rtol=1e-10, atol=1e-10)

    if prod(sample.core):
        holds()
