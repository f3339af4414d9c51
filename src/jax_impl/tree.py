"""Whole trees of parameters: any pytree, against {dotted name or glob: spec}."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from isoparam.errors import DomainError, SpecError
from isoparam.names import check_constraints, matched
from isoparam.specs import Spec, Tied
from isoparam.ties import check_empty, check_tied, links, roots, unequal
from jax_impl.verbs import forward, inverse, is_concrete, log_abs_det


def constrain(raw: Any, constraints: Mapping[str, Spec]) -> Any:
    """The values of a tree of raw parameters, in a tree of the same structure.

    Args:
        raw: any pytree of arrays: dicts, linen params, an `nnx.State` or `nnx.Module`, an Equinox module. Arrays that
            no key names, and leaves that are not floating arrays, come back as they are. An `nnx.Variable` is one
            leaf: its array is transformed, its type and metadata stay.
        constraints: {dotted name or glob: spec}. The name of a leaf is its keys, attributes and indices, joined by
            dots: `layers.0.scale`. `*` matches any characters, dots included.

    Returns:
        A new tree with the same keys (JAX sorts those of a dict); a constrained leaf has shape
        `spec.value_shape(raw.shape)`. Works under jit, grad and vmap.

    Raises:
        SpecError: for a key that matches nothing, a leaf matched twice, or one that is no floating array of a shape
            that fits its spec.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import constrain
        >>> raw = {"mix": jnp.zeros(3), "mean": jnp.asarray([-1.0, 1.0]), "step": jnp.asarray(7)}
        >>> values = constrain(raw, {"mix": iso.Simplex()})
        >>> {name: value.tolist() for name, value in values.items()}
        {'mean': [-1.0, 1.0], 'mix': [0.25, 0.25, 0.25, 0.25], 'step': 7}
    """
    return _mapped(forward, raw, constraints)


def unconstrain(values: Any, constraints: Mapping[str, Spec]) -> Any:
    """The raw parameters of a tree of values, in a tree of the same structure: the inverse of `constrain`.

    Args:
        values: a tree as `constrain` returns it.
        constraints: {dotted name or glob: spec}.

    Raises:
        SpecError: as `constrain`.
        DomainError: for a value outside its set or on its border, with the dotted name of the leaf; under jit,
            vmap and grad such a value gives nan or an infinity.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import unconstrain
        >>> unconstrain({"net": {"scale": jnp.asarray(-2.0)}}, {"net.scale": iso.Positive()})
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
        >>> import isoparam as iso, jax.numpy as jnp
        >>> from isoparam.jax import log_jacobian
        >>> raw = {"a": jnp.asarray([1.0, 2.0]), "b": jnp.asarray(5.0)}
        >>> log_jacobian(raw, {"a": iso.Positive(link="exp")}).item()
        3.0
    """
    leaves, _ = _named_leaves(raw)
    specs = _specs(leaves, constraints)
    floating = [_array(leaf) for _, leaf in leaves if _is_floating(leaf)]
    with jax.numpy_dtype_promotion("standard"):
        dtype = reduce(jnp.promote_types, [leaf.dtype for leaf in floating]) if floating else float
    with jax.enable_x64(True) if dtype == np.float64 and floating else nullcontext():
        total = jnp.zeros((), dtype=dtype)
        for (name, leaf), spec in zip(leaves, specs, strict=True):
            if spec is not None and not isinstance(spec, Tied):
                total = total + jnp.sum(_applied(log_abs_det, spec, leaf, name), dtype=dtype)
    return total


def _mapped(verb: Callable[[Spec, Array], Array], tree: Any, constraints: Mapping[str, Spec]) -> Any:
    leaves, treedef = _named_leaves(tree)
    specs = _specs(leaves, constraints)
    results = [
        _array(leaf) if spec is None or isinstance(spec, Tied) else _applied(verb, spec, leaf, name)
        for (name, leaf), spec in zip(leaves, specs, strict=True)
    ]
    for place, root in enumerate(roots(tuple(name for name, _ in leaves), links(specs))):
        if root is not None:
            of = leaves if verb is inverse else [(name, result) for (name, _), result in zip(leaves, results, strict=True)]
            results[place] = _tied(verb, leaves[place], of[root[0]], root[1])
    return jax.tree.unflatten(treedef, [_boxed(leaf, result) for (_, leaf), result in zip(leaves, results, strict=True)])


def _specs(leaves: list[tuple[str, Any]], constraints: Mapping[str, Spec]) -> list[Spec | None]:
    """The spec of each leaf, None for an unconstrained one."""
    check_constraints(constraints)
    patterns = matched(tuple(name for name, _ in leaves), tuple(constraints))
    specs = [None if pattern is None else constraints[pattern] for pattern in patterns]
    roots(tuple(name for name, _ in leaves), links(specs))
    return specs


def _tied(verb: Callable[[Spec, Array], Array], leaf: tuple[str, Any], other: tuple[str, Any], transpose: bool) -> Array:
    """The value of a tied leaf, which is that of the other one; or its raw, which has no entries."""
    (name, given), (to, value) = leaf, other
    spec = Tied(to, transpose)
    if not _is_floating(given) or not _is_floating(value):
        wrong = name if not _is_floating(given) else to
        raise SpecError(f"{name}: {spec} needs two floating arrays, and {wrong} is none")
    given, value = _array(given), _array(value)
    if verb is inverse:
        check_tied(name, spec, given.shape, value.shape)
        if is_concrete(given) and is_concrete(value):
            wanted = np.asarray(value).astype(given.dtype)
            if not np.array_equal(np.asarray(given), np.swapaxes(wanted, -1, -2) if transpose else wanted):
                raise DomainError(unequal(name, spec))
        return jnp.zeros((0,), given.dtype)
    check_empty(name, spec, given.shape)
    spec.linked(value.shape)
    return jnp.swapaxes(value, -1, -2) if transpose else value


def _applied(verb: Callable[[Spec, Array], Array], spec: Spec, leaf: Any, name: str) -> Array:
    """The verb on one leaf; an error says which leaf."""
    array = _array(leaf)
    if not _is_floating(leaf):
        kind = array.dtype if isinstance(array, Array | np.ndarray | np.generic) else type(array).__name__
        raise SpecError(f"{name}: {spec} needs a floating array, got {kind}; narrow the key, or write jnp.asarray(1.0)")
    try:
        return verb(spec, array)
    except (SpecError, DomainError) as error:
        raise type(error)(f"{name}: {error}") from None


def _is_floating(leaf: Any) -> bool:
    array = _array(leaf)
    return isinstance(array, Array | np.ndarray | np.generic) and jnp.issubdtype(array.dtype, jnp.floating)


# twin: torch has no public pytree functions, so dicts, lists and tuples are walked here; JAX flattens any pytree.


def _named_leaves(tree: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Every leaf with its dotted name, in order, and the structure around them."""
    leaves, treedef = jax.tree.flatten_with_path(tree, is_leaf=lambda node: isinstance(node, nnx.Variable))
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves], treedef


def _array(leaf: Any) -> Any:
    """The array of a Variable, as it is stored; other leaves are their own."""
    return leaf.get_raw_value() if isinstance(leaf, nnx.Variable) else leaf


def _boxed(leaf: Any, array: Any) -> Any:
    """The array in a new Variable like the old one, so that the two trees share no mutable part."""
    return leaf.replace(array) if isinstance(leaf, nnx.Variable) else array
