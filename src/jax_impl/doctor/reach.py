"""Which inputs of a traced function reach its outputs, read backwards from the outputs: structure, never numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
from jax.extend import core

Way = Literal["value", "gradient"]
# Their derivative is 0 wherever there is one, so that no gradient comes through; outputs that are no floats are told by dtype.
FLAT = frozenset({"stop_gradient", "round", "floor", "ceil", "sign", "nextafter"})


@dataclass(frozen=True)
class Reached:
    """What reaches the wanted outputs.

    Attributes:
        inputs: one bool per input of the jaxpr.
        constants: one bool per constant variable.
        needed: the variables that do.
    """

    inputs: tuple[bool, ...]
    constants: tuple[bool, ...]
    needed: frozenset[Any]


def reach(jaxpr: Any, wanted: Sequence[bool], way: Way) -> Reached:
    """Go from the wanted outputs back to the inputs.

    Args:
        jaxpr: as `jax.make_jaxpr` gives it.
        wanted: one bool per output.
        way: "value": what the outputs depend on in any way; "gradient": along which a derivative can come back.

    Returns:
        What reaches them; where an operation cannot be looked into, all of its inputs do.
    """
    inner = _open(jaxpr)
    needed = {var for var, want in zip(inner.outvars, wanted, strict=True) if want and _is_variable(var)}
    for eqn in reversed(inner.eqns):
        outs = [_is_variable(var) and var in needed for var in eqn.outvars]
        if any(outs):
            arrives = _through(eqn, outs, way)
            needed.update(var for var, come in zip(eqn.invars, arrives, strict=True) if come and _is_variable(var))
    inputs = tuple(var in needed for var in inner.invars)
    return Reached(inputs, tuple(var in needed for var in inner.constvars), frozenset(needed))


def _through(eqn: Any, outs: list[bool], way: Way) -> list[bool]:
    """Which inputs of one operation reach those of its outputs that are wanted."""
    name = eqn.primitive.name
    if way == "gradient":
        outs = [out and _carries(var) for var, out in zip(eqn.outvars, outs, strict=True)]
        if name in FLAT or not any(outs):
            return [False] * len(eqn.invars)
    if name == "scan":
        arrives = _through_scan(eqn, outs, way)
    elif name == "while":
        arrives = _through_while(eqn, outs, way)
    elif name == "cond":
        branches = [reach(branch, outs, way).inputs for branch in eqn.params["branches"]]
        arrives = [way == "value", *(any(column) for column in zip(*branches, strict=True))]
    elif name.startswith(("custom_jvp", "custom_vjp", "custom_lin")):
        # Its derivative is written by hand: what its body cuts may well carry one.
        arrives = _of_call(eqn, outs, "value")
    else:
        arrives = _of_call(eqn, outs, way)
    if way == "gradient":
        arrives = [come and _carries(var) for var, come in zip(eqn.invars, arrives, strict=True)]
    return arrives


def _of_call(eqn: Any, outs: list[bool], way: Way) -> list[bool]:
    """A function that is called (jit, remat, custom derivatives) is looked into if its inputs are those of the operation."""
    inner = list(bodies(eqn))
    if len(inner) == 1:
        body = _open(inner[0])
        if len(body.invars) == len(eqn.invars) and len(body.outvars) == len(eqn.outvars):
            return list(reach(body, outs, way).inputs)
    return [True] * len(eqn.invars)


def _through_scan(eqn: Any, outs: list[bool], way: Way) -> list[bool]:
    """What is carried reaches the outputs of any later turn."""
    constants, carried = eqn.params["num_consts"], eqn.params["num_carry"]
    outs = list(outs)
    while True:
        arrives = list(reach(eqn.params["jaxpr"], outs, way).inputs)
        back = arrives[constants : constants + carried]
        grown = [out or come for out, come in zip(outs[:carried], back, strict=True)]
        if grown == outs[:carried]:
            break
        outs = grown + outs[carried:]
    for place in range(carried):  # with no turn at all the outputs are what was carried in
        arrives[constants + place] = arrives[constants + place] or outs[place]
    return arrives


def _through_while(eqn: Any, outs: list[bool], way: Way) -> list[bool]:
    """As a scan; how often it turns depends on the condition as well."""
    asked, constants = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    carry = list(outs)
    condition = [way == "value"] * len(_open(eqn.params["cond_jaxpr"]).invars)
    if way == "value":
        condition = list(reach(eqn.params["cond_jaxpr"], [True], way).inputs)
        carry = [out or come for out, come in zip(carry, condition[asked:], strict=True)]
    while True:
        arrives = list(reach(eqn.params["body_jaxpr"], carry, way).inputs)
        grown = [out or come for out, come in zip(carry, arrives[constants:], strict=True)]
        if grown == carry:
            return condition[:asked] + arrives[:constants] + grown
        carry = grown


def bodies(eqn: Any) -> Iterator[Any]:
    """The functions inside one operation."""
    for value in eqn.params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.Jaxpr | core.ClosedJaxpr):
                yield each


def constants(closed: Any) -> Iterator[tuple[Any, Any]]:
    """(array, operation that reads it, or None) for each constant of a traced function and of those inside it.

    Constants are listed beside the function, or stand as literals in it with `jax_use_simplified_jaxpr_constants`.
    """
    inner = _open(closed)
    if isinstance(closed, core.ClosedJaxpr):
        for var, value in zip(inner.constvars, closed.consts, strict=True):
            yield value, next((eqn for eqn in inner.eqns if any(var is used for used in eqn.invars)), None)
    for eqn in inner.eqns:
        for used in eqn.invars:
            if isinstance(used, core.Literal):
                yield used.val, eqn
        for body in bodies(eqn):
            yield from constants(body)


def _open(jaxpr: Any) -> Any:
    return jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr


def _is_variable(var: Any) -> bool:
    return not isinstance(var, core.Literal)


def _carries(var: Any) -> bool:
    """Whether a derivative can come along this variable: floats and complex numbers."""
    return jnp.issubdtype(getattr(var.aval, "dtype", jnp.int32), jnp.inexact)
