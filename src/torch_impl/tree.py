"""Whole trees of parameters: a dict of tensors, nested or not, against {dotted name or glob: spec}."""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import reduce
from typing import Any

import torch
from torch import Tensor as Array

from isoparam.errors import DomainError, SpecError
from isoparam.names import check_constraints, matched
from isoparam.specs import Spec, Tied
from isoparam.ties import check_empty, check_tied, links, roots, unequal
from torch_impl.verbs import forward, inverse, is_concrete, log_abs_det


def constrain(raw: Any, constraints: Mapping[str, Spec]) -> Any:
    """The values of a tree of raw parameters, in a tree of the same structure.

    Args:
        raw: a dict of tensors, nested in dicts, lists and tuples as you like; a state_dict is one. Tensors that no
            key names, and leaves that are not floating tensors, come back as they are.
        constraints: {dotted name or glob: spec}. The name of a leaf is its keys and indices, joined by dots:
            `layers.0.scale`. `*` matches any characters, dots included.

    Returns:
        A new tree with the same keys in the same order; a constrained leaf has shape `spec.value_shape(raw.shape)`.
        Works under grad, vmap, `torch.func` and `torch.compile(fullgraph=True)`.

    Raises:
        SpecError: for a key that matches nothing, a leaf matched twice, or one that is no floating tensor of a shape
            that fits its spec.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import constrain
        >>> raw = {"mix": torch.zeros(3), "mean": torch.tensor([-1.0, 1.0]), "step": torch.tensor(7)}
        >>> values = constrain(raw, {"mix": iso.Simplex()})
        >>> {name: value.tolist() for name, value in values.items()}
        {'mix': [0.25, 0.25, 0.25, 0.25], 'mean': [-1.0, 1.0], 'step': 7}
    """
    return _mapped(forward, raw, constraints)


def unconstrain(values: Any, constraints: Mapping[str, Spec]) -> Any:
    """The raw parameters of a tree of values, in a tree of the same structure: the inverse of `constrain`.

    Args:
        values: a tree as `constrain` returns it.
        constraints: {dotted name or glob: spec}.

    Raises:
        SpecError: as `constrain`.
        DomainError: for a value outside its set or on its border, with the dotted name of the leaf; under compile,
            vmap and grad such a value gives nan or an infinity.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import unconstrain
        >>> unconstrain({"net": {"scale": torch.tensor(-2.0)}}, {"net.scale": iso.Positive()})
        Traceback (most recent call last):
        ...
        isoparam.errors.DomainError: net.scale: value -2. is not inside (0, inf) of Positive(link='softplus'); \
move it inside, or start from project(spec, value) moved off the border
    """
    return _mapped(inverse, values, constraints)


def log_jacobian(raw: Any, constraints: Mapping[str, Spec]) -> Array:
    """log |det d values / d raw| of the whole tree: the sum of `log_abs_det` over every constrained leaf.

    Add it to a log density of the values to get the log density of raw.

    Args:
        raw: a tree as `constrain` takes it.
        constraints: {dotted name or glob: spec}.

    Returns:
        One scalar in the widest dtype of the floating leaves; 0 without a constraint.

    Raises:
        SpecError: as `constrain`.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import log_jacobian
        >>> raw = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(5.0)}
        >>> log_jacobian(raw, {"a": iso.Positive(link="exp")}).item()
        3.0
    """
    leaves = _named_leaves(raw)
    specs = _specs(leaves, constraints)
    floating = [leaf for _, leaf in leaves if _is_floating(leaf)]
    dtype = reduce(torch.promote_types, [leaf.dtype for leaf in floating]) if floating else None
    total = torch.zeros((), dtype=dtype, device=floating[0].device if floating else None)
    for (name, leaf), spec in zip(leaves, specs, strict=True):
        if spec is not None and not isinstance(spec, Tied):
            total = total + torch.sum(_applied(log_abs_det, spec, leaf, name), dtype=dtype)
    return total


def _mapped(verb: Callable[[Spec, Array], Array], tree: Any, constraints: Mapping[str, Spec]) -> Any:
    leaves = _named_leaves(tree)
    specs = _specs(leaves, constraints)
    results = [
        leaf if spec is None or isinstance(spec, Tied) else _applied(verb, spec, leaf, name)
        for (name, leaf), spec in zip(leaves, specs, strict=True)
    ]
    for place, root in enumerate(_roots(tuple(name for name, _ in leaves), links(specs))):
        if root is not None:
            of = leaves if verb is inverse else [(name, result) for (name, _), result in zip(leaves, results, strict=True)]
            results[place] = _tied(verb, leaves[place], of[root[0]], root[1])
    return _rebuilt(tree, iter(results))


def _specs(leaves: list[tuple[str, Any]], constraints: Mapping[str, Spec]) -> list[Spec | None]:
    """The spec of each leaf, None for an unconstrained one."""
    check_constraints(constraints)
    patterns = _patterns(tuple(name for name, _ in leaves), tuple(constraints))
    specs = [None if pattern is None else constraints[pattern] for pattern in patterns]
    _roots(tuple(name for name, _ in leaves), links(specs))
    return specs


@torch.compiler.assume_constant_result
def _patterns(names: tuple[str, ...], patterns: tuple[str, ...]) -> tuple[str | None, ...]:
    """Names are matched outside of what torch.compile traces, which takes the result as a constant."""
    return matched(names, patterns)


@torch.compiler.assume_constant_result
def _roots(names: tuple[str, ...], links: tuple[tuple[str, bool] | None, ...]) -> tuple[tuple[int, bool] | None, ...]:
    """Ties are followed outside of what torch.compile traces too."""
    return roots(names, links)


def _tied(verb: Callable[[Spec, Array], Array], leaf: tuple[str, Any], other: tuple[str, Any], transpose: bool) -> Array:
    """The value of a tied leaf, which is that of the other one; or its raw, which has no entries."""
    (name, given), (to, value) = leaf, other
    spec = Tied(to, transpose)
    if not _is_floating(given) or not _is_floating(value):
        wrong = name if not _is_floating(given) else to
        raise SpecError(f"{name}: {spec} needs two floating tensors, and {wrong} is none")
    if verb is inverse:
        check_tied(name, spec, tuple(given.shape), tuple(value.shape))
        value = value.mT if transpose else value
        if is_concrete(given) and is_concrete(value) and not torch.equal(given.detach(), value.detach().to(given)):
            raise DomainError(unequal(name, spec))
        return given.new_zeros((0,))
    check_empty(name, spec, tuple(given.shape))
    spec.linked(tuple(value.shape))
    return value.mT if transpose else value


def _applied(verb: Callable[[Spec, Array], Array], spec: Spec, leaf: Any, name: str) -> Array:
    """The verb on one leaf; an error says which leaf."""
    if not _is_floating(leaf):
        kind = leaf.dtype if isinstance(leaf, Array) else type(leaf).__name__
        raise SpecError(f"{name}: {spec} needs a floating tensor, got {kind}; narrow the key, or write torch.tensor(1.0)")
    try:
        return verb(spec, leaf)
    except (SpecError, DomainError) as error:
        raise type(error)(f"{name}: {error}") from None


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, Array) and leaf.is_floating_point()


# twin: torch has no public pytree functions, so dicts, lists and tuples are walked here; JAX flattens any pytree.


def _named_leaves(tree: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every leaf with its dotted name, in order."""
    if isinstance(tree, dict):
        members = list(tree.items())
    elif isinstance(tree, list | tuple):
        members = list(enumerate(tree))
    else:
        return [(path, tree)]
    return [pair for key, member in members for pair in _named_leaves(member, f"{path}.{key}" if path else str(key))]


def _rebuilt(tree: Any, leaves: Iterator[Any]) -> Any:
    """A tree of the same structure and container types with other leaves."""
    if isinstance(tree, dict):
        members = {key: _rebuilt(member, leaves) for key, member in tree.items()}
        if type(tree) is dict:
            return members
        same = copy(tree)
        same.update(members)
        return same
    if isinstance(tree, list | tuple):
        entries = [_rebuilt(member, leaves) for member in tree]
        if isinstance(tree, list):
            return entries
        return tuple(entries) if type(tree) is tuple else type(tree)(*entries)  # a named tuple
    return next(leaves)
