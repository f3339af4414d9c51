"""Constrained attributes of an nn.Module: the leaf `x_raw` is trained, `x` is computed from it at every read."""

import sys
from collections.abc import Iterator
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor as Array
from torch import nn

from isoparam.errors import DomainError, SpecError, UnassignedError
from isoparam.specs import Fixed, Spec, Tied
from isoparam.starts import as_start
from torch_impl.assigned import _array, _copy, _first_raw
from torch_impl.tied import refuse_tied, tied_value
from torch_impl.verbs import forward, inverse

_REGISTERS = ("register_parameter", "register_buffer", "register_module", "add_module")


class Constrained:
    """A class attribute of an nn.Module whose value always obeys a spec.

        self.x = 0.3    goes through the inverse: the first time it makes the parameter `x_raw`, later it copies in place
        self.x          is `forward(spec, self.x_raw)`, computed at every read: never stale, always differentiable
        self.x_raw      is the nn.Parameter that the optimizer trains, the state_dict holds and `functional_call` takes

    Args:
        spec: what the value obeys. `Tied("x")` reads another attribute, or with dots one of a submodule: no leaf is made.
        start: what the first assignment means; every later one is a strict value.
            "value": the numbers are the value, inside the set.
            "raw": the numbers are raw.
            "project": the numbers may lie outside: such an entry or vector moves to its nearest point, then one
            hundredth (`isoparam.starts.MARGIN`) of the way to the value at raw = 0; those inside stay as they are.
            A numpy Generator: raw is drawn standard normal, for a value of the assigned shape and dtype.
            A float or an array: the starting value, broadcast to the assigned shape, in the assigned dtype.

    Assigned may be Python floats, numpy arrays and tensors. A tensor keeps its dtype and device, the others take torch's
    default dtype; from the second assignment on, dtype, device and shape are those of `x_raw`.

    Raises:
        SpecError: for integers, an nn.Parameter, a tensor that requires grad, no entries, another shape, `del`; for an
            assignment by `functional_call`, which takes `x_raw`, or under torch.compile; and (`UnassignedError`,
            an AttributeError) for a read before any assignment, until which `hasattr` is False.
        DomainError: for a value outside the set or on its border, and for nan.

    Limits: in-place functions such as `nn.init.uniform_(self.x)` change a temporary value only; assign instead.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import Constrained
        >>> class Model(torch.nn.Module):
        ...     x = Constrained(iso.Interval(0, 2))
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.x = 1.0
        >>> model = Model()
        >>> model.x.item(), [name for name, _ in model.named_parameters()]
        (1.0, ['x_raw'])
    """

    def __init__(self, spec: Spec, start: Any = "value") -> None:
        if not isinstance(spec, Spec):
            raise SpecError(f"Constrained: expected a spec such as isoparam.Interval(0, 1), got {spec!r}")
        if isinstance(start, Array):
            start = start.detach().double().cpu().numpy() if start.is_floating_point() else start.cpu().numpy()
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
            # An AttributeError, of which nn.Module would say "no attribute 'x'" but for the `__getattr__` of `_guard`.
            example = self.spec.value if isinstance(self.spec, Fixed) else 0.3
            raise UnassignedError(
                f"{type(instance).__name__} has no {self.raw_name}, from which {self.name} is computed; "
                f"assign plain numbers first: self.{self.name} = {example}, not an nn.Parameter"
            )
        return forward(self.spec, raw)

    def __set__(self, instance: object, value: Any) -> None:
        place = f"{type(instance).__name__}.{self.name}"
        if isinstance(self.spec, Tied):
            refuse_tied(place, self.spec)
        _refuse_caller(place, self.name, self.raw_name)
        leaf = _leaf(instance, self.raw_name)
        try:
            if leaf is None:
                setattr(instance, self.raw_name, nn.Parameter(_first_raw(self.spec, _array(value, None), self.start)))
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
        module: any nn.Module.
        include: "constrained" for the `Constrained` attributes; "all" for every parameter, the constrained ones by
            their own name and value in place of the raw leaf.

    Returns:
        {dotted name: copy}, modules in the order of definition; a module or parameter that is shared appears once,
        under its first name.

    Raises:
        SpecError: for an unknown `include`, or a constrained attribute that has no raw yet.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import Constrained, values
        >>> class Scale(torch.nn.Module):
        ...     x = Constrained(iso.Positive())
        ...
        ...     def __init__(self, x):
        ...         super().__init__()
        ...         self.x = x
        >>> net = torch.nn.ModuleList([Scale(1.0), Scale(2.0)])
        >>> {name: round(value.item(), 6) for name, value in values(net).items()}
        {'0.x': 1.0, '1.x': 2.0}
    """
    if include not in ("constrained", "all"):
        raise SpecError(f"include={include!r} must be 'constrained' or 'all'")
    found: dict[str, Array] = {}
    seen: set[int] = set()
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        declared = _declared(type(part))
        found |= {prefix + name: getattr(part, name).detach().clone() for name in declared}
        if include == "all":
            raw_names = {constrained.raw_name for constrained in declared.values()}
            for name, leaf in _parameters(part):
                if name not in raw_names and id(leaf) not in seen:
                    seen.add(id(leaf))
                    found[prefix + name] = leaf.detach().clone()
    return found


def _declared(owner: type) -> dict[str, Constrained]:
    """The Constrained attributes of a class by name, those of base classes first."""
    names = dict.fromkeys(name for base in reversed(owner.__mro__) for name in vars(base))
    declared = {name: getattr(owner, name, None) for name in names}
    return {name: entry for name, entry in declared.items() if isinstance(entry, Constrained)}


def _parameters(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The module's own parameters."""
    return module.named_parameters(recurse=False)


def _leaf(instance: object, raw_name: str) -> Any:
    """The raw leaf of a module; None before the first assignment."""
    if not raw_name:
        raise SpecError("a Constrained set on a finished class has no name; write x = Constrained(...) inside the class body")
    return getattr(instance, raw_name, None)


def _guard(owner: type) -> None:
    """Give a class the `__setattr__`, `__getattr__` and registrations that keep its constrained names safe, once.

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

    def __getattr__(self: Any, name: str) -> Any:
        try:
            return super(owner, self).__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            getter = getattr(type(self), name, None)
            if isinstance(getter, property) and getter.fget is not None:
                read = getter.fget
            elif isinstance(getter, Constrained):
                read = getter.__get__
            else:
                raise
        return read(self)  # once more, so that its error names the attribute that is really missing

    def refusing(register: str) -> Any:
        def refused(self: Any, name: str, *arguments: Any, **options: Any) -> Any:
            if isinstance(getattr(type(self), str(name), None), Constrained):
                raise SpecError(
                    f"{type(self).__name__}.{name} is computed from {name}_raw and cannot be given to {register}; "
                    f"assign plain numbers: self.{name} = 0.3"
                )
            return getattr(super(owner, self), register)(name, *arguments, **options)

        return refused

    type.__setattr__(owner, "__setattr__", __setattr__)
    for register in _REGISTERS:
        if issubclass(owner, nn.Module) and register not in vars(owner):
            type.__setattr__(owner, register, refusing(register))
    if issubclass(owner, nn.Module) and "__getattr__" not in vars(owner):
        type.__setattr__(owner, "__getattr__", __getattr__)


def _refuse_caller(place: str, name: str, raw_name: str) -> None:
    """`functional_call` reads and then assigns what it is given: with the constrained name it would write to the leaf."""
    if torch.compiler.is_compiling():
        raise SpecError(f"{place} cannot be assigned inside torch.compile; assign it outside")
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_name == "__setattr__":
        frame = frame.f_back
    if frame is not None and str(frame.f_globals.get("__name__")).startswith("torch."):
        raise SpecError(
            f"{place} is computed from {raw_name}, which is what functional_call takes: "
            f"pass {{{raw_name!r}: raw}}, with raw = inverse(spec, value), in place of {name!r}"
        )
