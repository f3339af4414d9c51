"""Where training starts: raw, or the values themselves, checked and computed from the `init` of a problem."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from isoparam.errors import DomainError
from isoparam.layout import layout
from isoparam.problem import Problem
from isoparam.specs import Real, Spec, Tied
from isoparam.starts import check_closed, check_range
from jax_impl.flat import setting, to_numpy
from jax_impl.verbs import contains, forward, initial, inverse, project


def start(
    problem: Problem, seed: int = 0, dtype: str = "float64", device: str = "cpu", method: str = "transform"
) -> dict[str, np.ndarray]:
    """The trained numbers at the start, computed in float64 or float32: raw, or in projected training the values themselves.

    Raises:
        DomainError: for a value outside its set, one that no finite raw has, or one that overflows in this dtype; in
            projected training the border belongs to the set.
    """
    del seed  # every start is given so far; drawn ones will come from it
    wide = jnp.float64 if dtype == "float64" else jnp.float32  # weights rounded to bfloat16 would not sum to 1
    init = problem.init or {}
    check_range(init, dtype)
    if method == "projected":
        with setting(dtype, device):
            return _closed(problem, wide)
    result: dict[str, np.ndarray] = {}
    with setting(dtype, device):
        together, groups = [], []
        for group in layout(problem.shapes, problem.specs).groups:
            for entry in group.entries:
                if init[entry.name] is None:
                    result[entry.name] = to_numpy(initial(group.spec, entry.value_shape, dtype=wide))
            given = [init[entry.name] for entry in group.entries if init[entry.name] is not None]
            if given:
                flat = np.concatenate([value.reshape(-1) for value in given])
                together.append(jnp.asarray(given[0] if len(group.entries) == 1 else flat, wide))
                groups.append(group)
        # One program, one map per group: op by op, or entry by entry, it would take many compilations.
        inside, raw = jax.jit(partial(_inverted, [group.spec for group in groups]))(together)
        if not all(inside):
            _refuse(problem, dtype, wide)
        for group, flat in zip(groups, raw, strict=True):
            entries = [entry for entry in group.entries if init[entry.name] is not None]
            ends = np.cumsum([entry.stop - entry.start for entry in entries])
            for entry, part in zip(entries, np.split(to_numpy(flat).reshape(-1), ends[:-1]), strict=True):
                result[entry.name] = part.reshape(entry.raw_shape)
    return {name: result[name] for name in problem.shapes}


def _inverted(specs: list[Spec], values: list[Array]) -> tuple[list[Array], list[Array]]:
    """Whether each value lies inside its set and has a finite raw, and that raw."""
    inside = [jnp.all(contains(spec, value)) for spec, value in zip(specs, values, strict=True)]
    raws = [inverse(spec, value, check=False) for spec, value in zip(specs, values, strict=True)]
    return [within & jnp.all(jnp.isfinite(raw)) for within, raw in zip(inside, raws, strict=True)], raws


def _refuse(problem: Problem, dtype: str, wide: Any) -> None:
    """Raise DomainError for the first start that lies outside its set, or has no finite raw."""
    for name, value in (problem.init or {}).items():
        if value is not None:
            try:
                inverse(problem.specs.get(name, Real()), jnp.asarray(value, wide))
            except DomainError as error:
                raise DomainError(f"init[{name!r}] in {dtype}: {error}") from None


def _closed(problem: Problem, wide: Any) -> dict[str, np.ndarray]:
    """The values of the start, each of them in its closed set."""
    specs = {name: problem.specs.get(name, Real()) for name in problem.shapes}
    init = {name: value for name, value in (problem.init or {}).items() if value is not None}
    raws = {name: initial(specs[name], shape, dtype=wide) for name, shape in problem.shapes.items() if name not in init}

    def program(points: dict[str, Array], raws: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        near = {name: project(specs[name], point) for name, point in points.items()}
        return near, {name: raw if isinstance(specs[name], Tied) else forward(specs[name], raw) for name, raw in raws.items()}

    points = {name: jnp.asarray(value, wide) for name, value in init.items()}
    near, middle = jax.jit(program)(points, raws)
    result = {name: to_numpy((points | middle)[name]) for name in problem.shapes}
    for name in points:
        check_closed(name, specs[name], result[name], to_numpy(near[name]))
    return result
