"""Entries of a parameter that lie where a clamp of the parameter itself is flat: their gradient is 0 and stays 0.

What depends on data is left alone: a unit that is dead for this batch, a row of a table that the batch does not name. So
only the operations that take each entry by itself are followed, from the parameter to the first that does not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer, eval_jaxpr
from jax.extend import core

from jax_impl.doctor.reach import bodies, reach
from jax_impl.doctor.tracing import Trace, where

MOST = 1_000_000  # entries; a larger leaf is left alone
_ALONE = core.DebugInfo("doctor", "one operation", None, None)
CLAMPS = frozenset({"max", "min", "clamp", "select_n"})
_ENTRYWISE = frozenset(
    """
    add sub mul div max min clamp select_n exp exp2 log log1p expm1 tanh logistic sin cos tan asin acos atan sinh
    cosh asinh acosh atanh atan2 erf erf_inv erfc sqrt rsqrt cbrt pow integer_pow square abs neg sign floor ceil
    round stop_gradient convert_element_type copy is_finite eq ne lt le gt ge and or not xor rem lgamma digamma real
    imag broadcast_in_dim reshape transpose squeeze expand_dims slice rev concatenate pad optimization_barrier iota
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Dead:
    """Entries of one leaf that cannot move.

    Attributes:
        flat: one bool per entry.
        place: "file:line" of the clamp; "" if it is not known.
        operation: its name.
    """

    flat: np.ndarray
    place: str
    operation: str


@dataclass
class _Walk:
    """What is seen on the way from the leaf to the first operations that mix entries."""

    frontier: list[Any] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    clamp: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class _Known:
    """A value that is known from the leaf alone; `own`: whether it depends on it; `data`: an array from outside of the loss."""

    value: Any
    own: bool
    data: bool = False


def dead_entries(traced: Trace, place: int, value: Any) -> Dead | None:
    """The dead entries of one leaf, or None where there are none.

    Args:
        traced: the loss.
        place: which leaf.
        value: its numbers.
    """
    start = jnp.asarray(value)
    if start.size == 0 or start.size > MOST or not jnp.issubdtype(start.dtype, jnp.floating):
        return None
    first = _Walk()
    slope = _slope(traced, place, start, first)
    if not first.frontier or not first.clamp[0]:
        return None
    here = np.asarray(slope(start)) == 0
    if not here.any():
        return None
    # An isolated zero (w ** 2 at 0) is no clamp: it goes as soon as the entry is moved.
    step = (1e-3 * (1 + jnp.abs(start))).astype(start.dtype)
    here &= (np.asarray(slope(start + step)) == 0) | (np.asarray(slope(start - step)) == 0)
    if not here.any():
        return None
    # Nor is what is 0 wherever the entry goes: a mask, an entry that is never read.
    awake = np.zeros(start.shape, bool)
    for number in _elsewhere(first.bounds):
        awake |= np.asarray(slope(jnp.full_like(start, number))) != 0
    here &= awake
    return Dead(here, first.clamp[1], first.clamp[0]) if here.any() else None


def _elsewhere(bounds: Sequence[float]) -> list[float]:
    """Numbers of which some lie where the clamps of this parameter are not flat."""
    finite = sorted({bound for bound in bounds if np.isfinite(bound) and abs(bound) < 1e30})[:12]
    between = [(low + high) / 2 for low, high in pairwise(finite)]
    outside = [bound + sign * size for bound in finite for sign in (-1, 1) for size in (0.01, 1)]
    return [*between, *outside, 0.1, -0.1, 0.5, -0.5, 1.5, -1.5, 4.0, -4.0]


def _slope(traced: Trace, place: int, start: jax.Array, first: _Walk) -> Callable[[jax.Array], jax.Array]:
    """The derivative of everything that is computed entry by entry, weighed by numbers that do not cancel."""
    weights: list[np.ndarray] = []

    def seen(leaf: jax.Array) -> list[Any]:
        walk = _Walk()
        ends = _follow(traced.closed, _inputs(traced, place, leaf), list(traced.wanted), walk)
        walk.frontier.extend(_leaving([end for end, want in zip(ends, traced.wanted, strict=True) if want]))
        if not first.frontier:
            first.frontier, first.bounds, first.clamp = [object() for _ in walk.frontier], walk.bounds, walk.clamp
        return walk.frontier

    def slope(leaf: jax.Array) -> jax.Array:
        values, back = jax.vjp(seen, leaf)
        if not weights:
            draw = np.random.default_rng(0)
            weights.extend(draw.uniform(0.5, 1.5, np.shape(value)) for value in values)
        if not values:
            return jnp.ones_like(leaf)
        return back([jnp.asarray(weight, value.dtype) for weight, value in zip(weights, values, strict=True)])[0]

    slope(start)
    return slope


def _inputs(traced: Trace, place: int, leaf: jax.Array) -> list[_Known | None]:
    count = len(traced.closed.jaxpr.invars)
    return [_Known(leaf, own=True) if each == place else None for each in range(count)]


def _follow(closed: Any, inputs: Sequence[_Known | None], wanted: list[bool], walk: _Walk) -> list[_Known | None]:
    """Compute what is known entry by entry; what goes into anything else is the frontier."""
    jaxpr, consts = (closed.jaxpr, closed.consts) if isinstance(closed, core.ClosedJaxpr) else (closed, [])
    needed = reach(closed, wanted, "value").needed
    known: dict[Any, _Known | None] = dict(zip(jaxpr.invars, inputs, strict=True))
    if len(consts) == len(jaxpr.constvars):
        known.update((var, _constant(value)) for var, value in zip(jaxpr.constvars, consts, strict=True))

    def read(var: Any) -> _Known | None:
        return _constant(var.val) if isinstance(var, core.Literal) else known.get(var)

    for eqn in jaxpr.eqns:
        outs = [var in needed for var in eqn.outvars]
        if not any(outs):
            continue
        values = [read(var) for var in eqn.invars]
        if not any(value is not None and value.own for value in values) and any(value is None for value in values):
            continue
        body = _called(eqn)
        if body is not None:
            results = _follow(body, values, outs, walk)
        elif _is_entrywise(eqn) and all(value is not None for value in values) and not _meets_data(eqn, values):
            results = _compute(eqn, [value for value in values if value is not None], walk)
        else:
            walk.frontier.extend(_leaving(values))
            continue
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _meets_data(eqn: Any, values: Sequence[_Known | None]) -> bool:
    """Sums and products with an array of constants: a margin of this batch, not a map of the parameter."""
    known = [value for value in values if value is not None]
    arrays = any(value.data and not value.own for value in known)
    return eqn.primitive.name in ("add", "sub", "mul", "div") and any(value.own for value in known) and arrays


def _leaving(values: Sequence[_Known | None]) -> list[Any]:
    """What depends on the leaf and can carry a derivative."""
    own = [value.value for value in values if value is not None and value.own]
    return [value for value in own if jnp.issubdtype(jnp.result_type(value), jnp.inexact)]


def _constant(value: Any) -> _Known | None:
    return None if isinstance(value, Tracer) else _Known(value, own=False, data=np.size(value) > 1)


def _called(eqn: Any) -> Any:
    """The body of a plain call (jit, remat), whose operations are followed like those around it."""
    if eqn.primitive.name.startswith("custom_"):
        return None
    inner = list(bodies(eqn))
    if len(inner) != 1 or eqn.primitive.name in ("scan", "while", "cond"):
        return None
    body = inner[0].jaxpr if isinstance(inner[0], core.ClosedJaxpr) else inner[0]
    return inner[0] if len(body.invars) == len(eqn.invars) and len(body.outvars) == len(eqn.outvars) else None


def _is_entrywise(eqn: Any) -> bool:
    name = eqn.primitive.name
    if name in _ENTRYWISE:
        return True
    inner = [body.jaxpr if isinstance(body, core.ClosedJaxpr) else body for body in bodies(eqn)]
    plain = name.startswith("custom_") or name in ("jit", "pjit", "closed_call", "remat2", "checkpoint", "remat")
    return plain and bool(inner) and all(_is_entrywise(each) for body in inner for each in body.eqns)


def _compute(eqn: Any, values: Sequence[_Known], walk: _Walk) -> list[_Known | None]:
    """One operation on what is known."""
    own = any(value.own for value in values)
    if own:
        if eqn.primitive.name in CLAMPS or eqn.primitive.name.startswith("custom_"):
            walk.clamp = walk.clamp if walk.clamp[0] else (eqn.primitive.name, where(eqn))
        for value in values:
            if not value.own and np.size(value.value) <= 16 and np.issubdtype(np.asarray(value.value).dtype, np.number):
                walk.bounds.extend(np.ravel(np.asarray(value.value, dtype=np.float64)).tolist())
    variables = {var: value.value for var, value in zip(eqn.invars, values, strict=True) if not isinstance(var, core.Literal)}
    alone = core.Jaxpr([], list(variables), eqn.outvars, [eqn], eqn.effects, _ALONE)
    data = any(value.data for value in values)
    return [_Known(each, own, data) for each in eval_jaxpr(alone, [], *variables.values())]
