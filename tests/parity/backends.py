"""Both backends on the same numpy arrays, one function per question, eager and compiled."""

from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch

from isoparam import torch as torch_side
from oracle.judge import distance_between
from samples import BY_INDUCTOR, Sample, batches, points

TESTS = Path(__file__).parent.parent


def _loaded(folder: str) -> Any:
    found = util.spec_from_file_location(f"{folder}_calls", TESTS / folder / "calls.py")
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


TORCH, JAX = _loaded("torch_only"), _loaded("jax_only")


@cache
def raws(sample: Sample, dtype: str) -> list[np.ndarray]:
    """The dense grid of a scalar spec, or batches of vectors."""
    return [sample.spread(points(dtype, count=4000))] if sample.is_scalar else batches(sample, dtype)


@cache
def arguments(sample: Sample, verb: str, dtype: str) -> list[tuple[np.ndarray, ...]]:
    """What a verb is asked on both sides; `inverse` is asked for the values that torch gave, where they lie inside."""
    if verb == "pullback":
        return [(raw, _cotangent(sample, raw)) for raw in raws(sample, dtype)]
    if verb != "inverse":
        return [(raw,) for raw in raws(sample, dtype)]
    values = [torch_side.forward(sample.spec, torch.tensor(raw)) for raw in raws(sample, dtype)]
    return [(value[_asked(sample, value)].numpy(),) for value in values]


def _asked(sample: Sample, value: torch.Tensor) -> torch.Tensor:
    """Which entries or rows lie inside and are normal: XLA on the CPU flushes subnormals, so such values are not asked."""
    inside, normal = torch_side.contains(sample.spec, value), value.abs() >= torch.finfo(value.dtype).tiny
    if sample.is_scalar:
        return (inside & normal).all(-1) if sample.core else inside & normal
    usable = torch.ones_like(inside) if sample.usable is None else torch.tensor(sample.usable(value.numpy()))
    return inside & usable & (normal | (value == 0)).reshape(*inside.shape, -1).all(-1)


def _cotangent(sample: Sample, raw: np.ndarray) -> np.ndarray:
    shape = sample.spec.value_shape(raw.shape)
    weights = np.ones(shape) if sample.is_scalar else np.random.Generator(np.random.Philox(24)).normal(0, 1, shape)
    return weights.astype(raw.dtype)


def measured(sample: Sample, verb: str, dtype: str, form: str) -> float:
    """The largest distance between the two backends, in the unit of `unit_of`."""
    pairs = zip(jax_results(sample, verb, dtype, form), torch_results(sample, verb, dtype, form), strict=True)
    return max(float(np.max(distance_between(sample, verb, dtype, *pair), initial=0.0)) for pair in pairs)


def torch_results(sample: Sample, verb: str, dtype: str, form: str) -> list[np.ndarray]:
    if form == "compiled":
        return _compiled_by_torch(BY_INDUCTOR if sample in BY_INDUCTOR else (sample,), dtype)[sample.name, verb]
    return [TORCH.CALLS[verb](sample.spec, *asked) for asked in arguments(sample, verb, dtype)]


def jax_results(sample: Sample, verb: str, dtype: str, form: str) -> list[np.ndarray]:
    if form == "compiled":
        return [JAX.CALLS[verb](sample.spec, *asked) for asked in _compiled_arguments(sample, verb, dtype)]
    if not sample.is_scalar:  # hundreds of operations one by one would take minutes in JAX
        return [JAX.CALLS[verb](sample.spec, *asked) for asked in arguments(sample, verb, dtype)]
    with jax.enable_x64(True):
        return [np.asarray(JAX.QUESTIONS[verb](sample.spec, *asked)) for asked in arguments(sample, verb, dtype)]


def _compiled_arguments(sample: Sample, verb: str, dtype: str) -> list[tuple[np.ndarray, ...]]:
    """All of a map in the common graph; the usual size of one that has a graph of its own, where each size costs seconds."""
    asked = arguments(sample, verb, dtype)
    return asked if sample in BY_INDUCTOR else asked[1:2]


@cache
def _compiled_by_torch(samples: tuple[Sample, ...], dtype: str) -> dict[tuple[str, str], list[np.ndarray]]:
    """Values and gradients of some samples, from one inductor graph: each further graph costs seconds."""
    asked = {sample: _compiled_arguments(sample, "pullback", dtype) for sample in samples}
    leaves = {sample.name: [torch.tensor(raw, requires_grad=True) for raw, _ in asked[sample]] for sample in samples}

    def values(leaves: dict[str, list[torch.Tensor]]) -> dict[str, list[torch.Tensor]]:
        return {sample.name: [torch_side.forward(sample.spec, raw) for raw in leaves[sample.name]] for sample in samples}

    torch._dynamo.reset()
    results = torch.compile(values, fullgraph=True, backend="inductor")(leaves)
    outputs = [value for sample in samples for value in results[sample.name]]
    inputs = [raw for sample in samples for raw in leaves[sample.name]]
    weights = [torch.tensor(weight) for sample in samples for _, weight in asked[sample]]
    gradients = iter(torch.autograd.grad(outputs, inputs, weights))
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for sample in samples:
        found[sample.name, "forward"] = [value.detach().numpy() for value in results[sample.name]]
        found[sample.name, "pullback"] = [next(gradients).numpy() for _ in leaves[sample.name]]
    return found
