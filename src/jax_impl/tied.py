"""Tied attributes of a module: where the value of one comes from."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from isoparam.errors import DomainError, SpecError
from isoparam.specs import Spec, Tied
from isoparam.ties import check_tied, obeyed, unequal


def tied_value(instance: object, name: str, spec: Tied) -> Any:
    """The value that an attribute called `name` is tied to: of the instance, or by a dotted name of a submodule of it.

    Raises:
        SpecError: for a name that is not there, holds no array, or leads back to itself.
    """
    owner, key, link, transposed = instance, name, spec, False
    way: list[tuple[object, str]] = [(owner, key)]
    while isinstance(link, Tied):
        path, _, key = link.to.rpartition(".")
        transposed ^= link.transpose
        for step in path.split(".") if path else ():
            owner = _member(owner, step, instance, name, spec)
        if any(owner is other and key == passed for other, passed in way):
            raise SpecError(f"{type(instance).__name__}.{name} is {spec}, which leads back to itself; let one of them be free")
        way.append((owner, key))
        link = getattr(getattr(type(owner), key, None), "spec", None)
    value = _member(owner, key, instance, name, spec)
    value = value[...] if isinstance(value, nnx.Variable) else value
    if not isinstance(value, Array):
        raise SpecError(f"{type(instance).__name__}.{name} is {spec}, which is no array but a {type(value).__name__}")
    spec.linked(tuple(value.shape))
    return jnp.swapaxes(value, -1, -2) if transposed else value


def refuse_tied(place: str, spec: Tied) -> None:
    """Raise SpecError for an assignment to a tied attribute."""
    raise SpecError(f"{place} is {spec} and has no numbers of its own; assign to what it is tied to: self.{spec.to} = ...")


def tied_leaf(owner: Any, key: str, old: Any, name: str, spec: Tied, start: Any) -> tuple[Any, Spec | None]:
    """The leaf that an attached parameter shares from now on, and what its value obeys; None for a plain parameter.

    Args:
        owner: the module that holds the other parameter.
        key: its own name there.
        old: the parameter that is attached.
        name: its dotted name.
        spec: the tie.
        start: "value" where the present numbers are equal, "project" to take those of the other.

    Raises:
        SpecError: for another shape, another start, or an `owner` without such a parameter.
        DomainError: for numbers that are not equal.
    """
    if not isinstance(start, str) or start not in ("value", "project"):
        raise SpecError(f"attach {name!r}: {spec} starts as {spec.to!r}; leave start out, or write start='project'")
    obeys = getattr(getattr(type(owner), key, None), "spec", None)
    leaf = getattr(owner, key if obeys is None else f"{key}_raw", None)
    if not isinstance(leaf, nnx.Param) or leaf is old:
        raise SpecError(f"attach {name!r}: {spec.to!r} is no other parameter of {type(owner).__name__} that it can share")
    value = getattr(owner, key)[...]
    check_tied(f"attach {name!r}", spec, tuple(old.shape), tuple(value.shape))
    if start == "value" and not bool(((jnp.swapaxes(value, -1, -2) if spec.transpose else value) == old[...]).all()):
        raise DomainError(f"{unequal(f'attach {name!r}', spec)}; start='project' takes those of {spec.to!r}")
    return leaf, obeyed(obeys, spec.transpose)


def _member(owner: object, step: str, instance: object, name: str, spec: Tied) -> Any:
    try:
        return getattr(owner, step)
    except AttributeError:
        raise SpecError(f"{type(instance).__name__}.{name} is {spec}, and {type(owner).__name__} has no {step!r}") from None
