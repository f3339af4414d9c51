"""Constrained attributes of an nnx.Module: the leaf `x_raw` is trained, `x` is computed from it at every read."""

from collections.abc import Iterator
from typing import Any, Literal, Self, overload

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from isoparam.errors import DomainError, SpecError, UnassignedError
from isoparam.specs import Fixed, Spec, Tied
from isoparam.starts import as_start
from jax_impl.assigned import _array, _copy, _first_raw
from jax_impl.tied import refuse_tied, tied_value
from jax_impl.verbs import forward, inverse


class Constrained:
    """A class attribute of an nnx.Module whose value always obeys a spec.

        self.x = 0.3    goes through the inverse: the first time it makes the parameter `x_raw`, later it copies in place
        self.x          is `forward(spec, self.x_raw)`, computed at every read: never stale, always differentiable
        self.x_raw      is the plain nnx.Param that the optimizer trains and `nnx.state` holds

    Args:
        spec: what the value obeys. `Tied("x")` reads another attribute, or with dots one of a submodule: no leaf is made.
        start: what the first assignment means; every later one is a strict value.
            "value": the numbers are the value, inside the set.
            "raw": the numbers are raw.
            "project": the numbers may lie outside: such an entry or vector moves to its nearest point, then one
            hundredth (`isoparam.starts.MARGIN`) of the way to the value at raw = 0; those inside stay as they are.
            A numpy Generator: raw is drawn standard normal, for a value of the assigned shape and dtype; under jit and
            vmap once, while tracing.
            A float or an array: the starting value, broadcast to the assigned shape, in the assigned dtype.

    Assigned may be Python floats, numpy arrays and JAX arrays. A JAX array keeps its dtype, the others take JAX's
    default dtype; from the second assignment on, dtype and shape are those of `x_raw`.

    Raises:
        SpecError: for integers, an nnx.Variable, no entries, another shape, `del`; and (`UnassignedError`, an
            AttributeError) for a read before any assignment, until which `hasattr` is False.
        DomainError: for a value outside the set or on its border, and for nan; under jit and vmap, where no number can
            be looked at, raw becomes nan or an infinity instead.

    Limits: for modules of flax.nnx; in linen keep raw in `self.param` and use `constrain` or `forward`.

    Example:
        >>> import isoparam as iso
        >>> from flax import nnx
        >>> from isoparam.jax import Constrained
        >>> class Model(nnx.Module):
        ...     x = Constrained(iso.Interval(0, 2))
        ...
        ...     def __init__(self):
        ...         self.x = 1.0
        >>> model = Model()
        >>> model.x.item(), list(nnx.state(model, nnx.Param))
        (1.0, ['x_raw'])
    """

    def __init__(self, spec: Spec, start: Any = "value") -> None:
        if not isinstance(spec, Spec):
            raise SpecError(f"Constrained: expected a spec such as isoparam.Interval(0, 1), got {spec!r}")
        if isinstance(start, Array):
            floating = jnp.issubdtype(start.dtype, jnp.floating)
            start = np.asarray(start, dtype=np.float64) if floating else np.asarray(start)
        self.spec = spec
        self.start = as_start(start)
        if isinstance(spec, Tied) and not (isinstance(start, str) and start == "value"):
            raise SpecError(
                f"Constrained({spec}, start={start!r}): a tied attribute starts as what it is tied to; leave start out"
            )
        self.name = ""
        self.raw_name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name not in ("", name):
            raise SpecError(f"one Constrained is both {self.name!r} and {name!r}; write Constrained(...) once for each name")
        self.name = name
        self.raw_name = f"{name}_raw"
        _guard(owner)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any = None) -> Array: ...
    def __get__(self, instance: object | None, owner: Any = None) -> Any:
        if instance is None:
            return self
        if isinstance(self.spec, Tied):
            return tied_value(instance, self.name, self.spec)
        raw = _leaf(instance, self.raw_name)
        if raw is None:
            example = self.spec.value if isinstance(self.spec, Fixed) else 0.3
            raise UnassignedError(
                f"{type(instance).__name__} has no {self.raw_name}, from which {self.name} is computed; "
                f"assign plain numbers first: self.{self.name} = {example}, not an nnx.Param"
            )
        return forward(self.spec, raw[...])

    def __set__(self, instance: object, value: Any) -> None:
        place = f"{type(instance).__name__}.{self.name}"
        if isinstance(self.spec, Tied):
            refuse_tied(place, self.spec)
        leaf = _leaf(instance, self.raw_name)
        try:
            if leaf is None:
                setattr(instance, self.raw_name, nnx.Param(_first_raw(self.spec, _array(value, None), self.start)))
            else:
                _copy(inverse(self.spec, _array(value, leaf)), leaf)
        except (SpecError, DomainError) as error:
            raise type(error)(f"{place}: {error}") from None

    def __delete__(self, instance: object) -> None:
        raise SpecError(
            f"{type(instance).__name__}.{self.name} is computed and cannot be deleted; "
            f"the parameter behind it can: del module.{self.raw_name}"
        )

    def __repr__(self) -> str:
        start = "" if isinstance(self.start, str) and self.start == "value" else f", start={self.start!r}"
        return f"Constrained({self.spec!r}{start})"


def values(module: Any, include: Literal["constrained", "all"] = "constrained") -> dict[str, Array]:
    """The present values of a module and its submodules, by dotted name, detached: for monitoring and saving.

    Args:
        module: any nnx.Module.
        include: "constrained" for the `Constrained` attributes; "all" for every nnx.Param, the constrained ones by
            their own name and value in place of the raw leaf.

    Returns:
        {dotted name: array}, by name as in `nnx.state`; a module or parameter that is shared appears once,
        under its first name.

    Raises:
        SpecError: for an unknown `include`, or a constrained attribute that has no raw yet.

    Example:
        >>> import isoparam as iso
        >>> from flax import nnx
        >>> from isoparam.jax import Constrained, values
        >>> class Scale(nnx.Module):
        ...     x = Constrained(iso.Positive())
        ...
        ...     def __init__(self, x):
        ...         self.x = x
        >>> net = nnx.List([Scale(1.0), Scale(2.0)])
        >>> {name: round(value.item(), 6) for name, value in values(net).items()}
        {'0.x': 1.0, '1.x': 2.0}
    """
    if include not in ("constrained", "all"):
        raise SpecError(f"include={include!r} must be 'constrained' or 'all'")
    found: dict[str, Array] = {}
    seen: set[int] = set()
    for path, part in _named_modules(module, "", set()):
        prefix = f"{path}." if path else ""
        declared = _declared(type(part))
        found |= {prefix + name: jax.lax.stop_gradient(getattr(part, name)) for name in declared}
        if include == "all":
            raw_names = {constrained.raw_name for constrained in declared.values()}
            for name, leaf in _parameters(part):
                if name not in raw_names and id(leaf) not in seen:
                    seen.add(id(leaf))
                    found[prefix + name] = jax.lax.stop_gradient(leaf[...])
    return found


def _declared(owner: type) -> dict[str, Constrained]:
    """The Constrained attributes of a class by name, those of base classes first."""
    names = dict.fromkeys(name for base in reversed(owner.__mro__) for name in vars(base))
    declared = {name: getattr(owner, name, None) for name in names}
    return {name: entry for name, entry in declared.items() if isinstance(entry, Constrained)}


def _named_modules(node: Any, path: str, seen: set[int]) -> Iterator[tuple[str, nnx.Module]]:
    """Every module once, by its first dotted name, as torch's `named_modules` does; containers count as steps of the path."""
    if isinstance(node, nnx.Module):
        if id(node) in seen:
            return
        seen.add(id(node))
        yield path, node
    for name, member in _members(node):
        yield from _named_modules(member, f"{path}.{name}" if path else name, seen)


def _parameters(module: nnx.Module) -> Iterator[tuple[str, nnx.Param]]:
    """The module's own parameters, also those in its lists, tuples and dicts."""
    for name, member in _members(module):
        yield from _held(name, member)


def _held(name: str, member: Any) -> Iterator[tuple[str, nnx.Param]]:
    if isinstance(member, nnx.Param):
        yield name, member
    elif not isinstance(member, nnx.Module):
        for key, entry in _members(member):
            yield from _held(f"{name}.{key}", entry)


def _members(node: Any) -> list[tuple[str, Any]]:
    """What a module or a plain container holds, by name."""
    if isinstance(node, nnx.Module):
        # Sorted, as every nnx transform leaves them: the first name of a shared module stays the same.
        own = [name for name in vars(node) if not name.startswith("_pytree__")]
        return [(name, vars(node)[name]) for name in sorted(own, key=lambda name: (int(name) if name.isdigit() else -1, name))]
    if isinstance(node, dict):
        return [(str(key), member) for key, member in node.items()]
    return [(str(index), member) for index, member in enumerate(node)] if isinstance(node, list | tuple) else []


def _leaf(instance: object, raw_name: str) -> Any:
    """The raw leaf of a module; None before the first assignment."""
    if not raw_name:
        raise SpecError("a Constrained set on a finished class has no name; write x = Constrained(...) inside the class body")
    return getattr(instance, raw_name, None)


def _guard(owner: type) -> None:
    """Give a class the `__setattr__` that keeps its constrained names safe, once.

    # twin: both frameworks register a value before a descriptor sees it; torch also hides an AttributeError of a property.
    """
    if getattr(owner.__setattr__, "__module__", "") == __name__:
        return
    own = vars(owner).get("__setattr__")

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), Constrained):
            object.__setattr__(self, name, value)
        elif own is None:
            super(owner, self).__setattr__(name, value)  # type: ignore[misc]
        else:
            own(self, name, value)

    type.__setattr__(owner, "__setattr__", __setattr__)
