"""The loss as a traced function of the leaves, and what it says of them."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend import core, source_info_util

from jax_impl.doctor.callers import is_users
from jax_impl.doctor.leaves import Leaves
from jax_impl.doctor.reach import FLAT, bodies, reach

NOT_FOR_TRACING = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    TypeError,
)


@dataclass(frozen=True)
class Trace:
    """A traced loss.

    Attributes:
        closed: the jaxpr; its first inputs are the leaves.
        wanted: one bool per output: whether it is (part of) the loss.
        count: how many inputs are leaves.
    """

    closed: Any
    wanted: tuple[bool, ...]
    count: int

    @cached_property
    def used(self) -> tuple[bool, ...]:
        """Leaves on which the loss depends in any way."""
        return reach(self.closed, self.wanted, "value").inputs[: self.count]

    @cached_property
    def moved(self) -> tuple[bool, ...]:
        """Leaves to which a derivative comes back; where derivatives are written by hand, theirs is asked."""
        structure = reach(self.closed, self.wanted, "gradient").inputs[: self.count]
        if not has_own_derivatives(self.closed):
            return structure
        asked = pulled_back(self.closed, self.wanted, self.count)
        return structure if asked is None else tuple(a and b for a, b in zip(structure, asked, strict=True))

    def cut(self, place: int) -> tuple[str, str]:
        """(operation, "file:line") where the way from one leaf to the loss is cut; ("", "") if nothing is."""
        for eqn in tainted(self.closed.jaxpr, {self.closed.jaxpr.invars[place]}):
            floats = any(jnp.issubdtype(getattr(out.aval, "dtype", jnp.int32), jnp.inexact) for out in eqn.outvars)
            if eqn.primitive.name in FLAT or not floats:
                return eqn.primitive.name, where(eqn)
        for eqn in tainted(self.closed.jaxpr, {self.closed.jaxpr.invars[place]}):
            if eqn.primitive.name.startswith(("custom_jvp", "custom_vjp")):
                return "a derivative written by hand", where(eqn)
        return "", ""

    def path(self, found: Callable[[Any], bool], most: int = 8) -> tuple[str, ...]:
        """Operations from the loss back to the first variable or literal that is looked for, the loss first."""
        jaxpr = self.closed.jaxpr
        made = {out: eqn for eqn in jaxpr.eqns for out in eqn.outvars}
        outs = [out for out, want in zip(jaxpr.outvars, self.wanted, strict=True) if want]
        queue: list[tuple[Any, tuple[str, ...]]] = [(out, ("loss",)) for out in outs]
        seen = set()
        while queue:
            var, names = queue.pop(0)
            if found(var.val if isinstance(var, core.Literal) else var):
                return names if len(names) <= most else (*names[: most // 2], "...", *names[-most // 2 :])
            if isinstance(var, core.Literal) or var in seen or var not in made:
                continue
            seen.add(var)
            eqn = made[var]
            label = eqn.params["name"] if "name" in eqn.params and isinstance(eqn.params["name"], str) else eqn.primitive.name
            if any(found(value) for body in bodies(eqn) for value in getattr(body, "consts", ())):
                return (*names, label)
            queue.extend((each, (*names, label)) for each in eqn.invars)
        return ()


def has_own_derivatives(jaxpr: Any) -> bool:
    """Whether an operation in it, at any depth, has a derivative written by hand."""
    inner = jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr
    return any(
        eqn.primitive.name.startswith(("custom_jvp", "custom_vjp")) or any(map(has_own_derivatives, bodies(eqn)))
        for eqn in inner.eqns
    )


def pulled_back(closed: Any, wanted: Sequence[bool], count: int) -> tuple[bool, ...] | None:
    """Which of the first inputs get a gradient that depends on that of the outputs; None where there is no reverse mode.

    Args:
        closed: the traced loss.
        wanted: one bool per output.
        count: how many inputs are leaves.
    """
    function = core.jaxpr_as_fun(closed)
    avals = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in closed.jaxpr.invars]
    outs = [var.aval for var, want in zip(closed.jaxpr.outvars, wanted, strict=True) if want]
    floats = [jnp.issubdtype(aval.dtype, jnp.inexact) for aval in outs]
    weights = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval, is_float in zip(outs, floats, strict=True) if is_float]

    def pull(weights: Any, leaves: Any, rest: Any) -> Any:
        def loss(*leaves: Any) -> Any:
            made = [value for value, want in zip(function(*leaves, *rest), wanted, strict=True) if want]
            return [value for value, is_float in zip(made, floats, strict=True) if is_float]

        return jax.vjp(loss, *leaves)[1](weights)

    try:
        back = jax.make_jaxpr(pull)(weights, avals[:count], avals[count:])
    except Exception:  # a while loop, an operation without a transpose
        return None
    places = range(len(back.jaxpr.outvars))
    return tuple(any(reach(back, [each == place for each in places], "value").inputs[: len(weights)]) for place in places)


@dataclass(frozen=True)
class RunTrace:
    """What a run with numbers says, where a loss cannot be traced without them; it has no jaxpr to look into.

    Attributes:
        moved: leaves to which a derivative came back.
        wanted: as for a trace.
    """

    moved: tuple[bool, ...]
    wanted: tuple[bool, ...] = (True,)

    @property
    def used(self) -> tuple[bool, ...]:
        """Whatever moves is used; of the rest it is not known."""
        return self.moved

    @property
    def closed(self) -> Any:
        """A function of nothing."""
        return jax.make_jaxpr(lambda: 0.0)()

    def cut(self, place: int) -> tuple[str, str]:
        """Not known."""
        return "", ""

    def path(self, found: Callable[[Any], bool], most: int = 8) -> tuple[str, ...]:
        """Not known."""
        return ()


def tainted(jaxpr: Any, marked: set[Any]) -> Iterator[Any]:
    """The operations that depend on the marked variables, those inside of called functions included."""
    marked = set(marked)
    for eqn in jaxpr.eqns:
        hit = [not isinstance(var, core.Literal) and var in marked for var in eqn.invars]
        if not any(hit):
            continue
        yield eqn
        inner = [body.jaxpr if isinstance(body, core.ClosedJaxpr) else body for body in bodies(eqn)]
        if len(inner) == 1 and len(inner[0].invars) == len(eqn.invars):
            yield from tainted(inner[0], {var for var, come in zip(inner[0].invars, hit, strict=True) if come})
        marked.update(eqn.outvars)


def where(eqn: Any) -> str:
    """The user's "file:line" behind one operation; that of a package where there is no other, "" if nothing is known."""
    lines = source_info_util.summarize(eqn.source_info, num_frames=24).splitlines()[::-1]
    places = [found.group(1) for line in lines if (found := re.match(r"(.+:\d+):\d+(?: |$)", line)) is not None]
    return next((place for place in places if is_users(place)), places[0] if places else "")


def split_place(text: str) -> tuple[str, int]:
    """("file", line) from "file:line"."""
    file, _, line = text.rpartition(":")
    return (file, int(line)) if file and line.isdigit() else ("", 0)


def takes_params(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether the parameters are an argument of the function; otherwise it holds them itself."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError:
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            return True
        return False
    return True


def trace(loss: Callable[..., Any], leaves: Leaves, args: Sequence[Any], kwargs: dict[str, Any], given: bool = True) -> Trace:
    """Trace the loss as a function of the leaves and of the arrays among its arguments; no number is computed.

    Args:
        loss: the function.
        leaves: the parameters.
        args: its further arguments.
        kwargs: those by name.
        given: whether the parameters are its first argument.
    """
    flat, structure = jax.tree.flatten((_parted(tuple(args)), _parted(kwargs)))
    arrays = [place for place, value in enumerate(flat) if isinstance(value, jax.Array | np.ndarray)]

    def call(values: Sequence[Any], given_arrays: Sequence[Any]) -> Any:
        filled = list(flat)
        for place, value in zip(arrays, given_arrays, strict=True):
            filled[place] = value
        more, named = jax.tree.unflatten(structure, filled)
        first = (leaves.rebuild(values),) if given else ()
        return _arrays_of(loss(*first, *_joined(more), **_joined(named)))

    inputs = [flat[place] for place in arrays]
    try:
        closed, shape = jax.make_jaxpr(call, return_shape=True)(list(leaves.values), inputs)
    except NOT_FOR_TRACING:
        if not arrays:
            raise
        closed, shape = jax.make_jaxpr(lambda values: call(values, inputs), return_shape=True)(list(leaves.values))
    return Trace(closed, _wanted(shape), len(leaves.values))


def _wanted(shape: Any) -> tuple[bool, ...]:
    """The first output if it is a number (what follows is aux); otherwise all that are floats."""
    outputs = jax.tree.leaves(shape)
    if outputs and outputs[0].shape == () and jnp.issubdtype(outputs[0].dtype, jnp.inexact):
        return (True, *(False for _ in outputs[1:]))
    return tuple(True for _ in outputs)


def _arrays_of(output: Any) -> Any:
    """The output without what is no array: modules that come back, strings, ..."""
    if isinstance(output, nnx.Module):
        output = nnx.state(output)
    return [value for value in jax.tree.leaves(output) if isinstance(value, jax.Array | np.ndarray | float | int | complex)]


@dataclass(frozen=True)
class _Parted:
    """An nnx object as its two halves, so that the loss works on a copy made while tracing."""

    graph: Any
    state: Any


jax.tree_util.register_dataclass(_Parted, data_fields=["state"], meta_fields=["graph"])


def _parted(tree: Any) -> Any:
    def part(value: Any) -> Any:
        return _Parted(*nnx.split(value)) if isinstance(value, nnx.Pytree) else value

    return jax.tree.map(part, tree, is_leaf=lambda value: isinstance(value, nnx.Pytree))


def _joined(tree: Any) -> Any:
    def join(value: Any) -> Any:
        return nnx.merge(value.graph, value.state) if isinstance(value, _Parted) else value

    return jax.tree.map(join, tree, is_leaf=lambda value: isinstance(value, _Parted))
