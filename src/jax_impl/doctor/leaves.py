"""The parameters as named leaves, whatever holds them: a pytree, an nnx module or state, a registered dataclass."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from isoparam.errors import SpecError

# A leaf under one of these names says itself that it is not to be trained.
KEPT = frozenset(
    """
    frozen freeze fixed target targets teacher ema polyak slow momentum batch_stats batchstats stats running
    running_mean running_var buffer buffers const consts constant constants non_trainable nontrainable untrained
    untrainable not_trained reference ref anchor old mask masks rng rngs step opt_state optimizer_state
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Leaves:
    """The leaves that could be trained.

    Attributes:
        names: one dotted name per leaf.
        values: the arrays, the very objects.
        trained: whether the leaf is meant to move.
        rebuild: the parameters again, from as many values.
        nodes: the objects that hold them: (dotted name, object).
    """

    names: tuple[str, ...]
    values: tuple[Any, ...]
    trained: tuple[bool, ...]
    rebuild: Callable[[Sequence[Any]], Any]
    nodes: tuple[tuple[str, Any], ...]


def leaves_of(params: Any, trainable: Any = None, wrt: Any = None, label: str = "params") -> Leaves:
    """The floating leaves of the parameters.

    Args:
        params: a pytree, nnx.Module or nnx.State.
        trainable: what is meant to move: a pytree of bools (or a prefix of one), names with * for anything, a function of
            (name, value), or the optax transformation or nnx.Optimizer that moves it.
        wrt: the nnx filter of what is differentiated; nnx.Param by default.
        label: the name of a leaf that is the whole of `params`.

    Returns:
        The leaves, and how to put the parameters together again.
    """
    graph = None
    tree = params
    if isinstance(params, nnx.Module):
        graph, tree = nnx.split(params)
    found, structure = jax.tree_util.tree_flatten_with_path(tree)
    variables = _variables(tree)
    places = [place for place, (_, value) in enumerate(found) if is_number(value)]
    names = tuple(_name(found[place][0]) or label for place in places)
    values = tuple(found[place][1] for place in places)

    def rebuild(new: Sequence[Any]) -> Any:
        filled = [value for _, value in found]
        for place, value in zip(places, new, strict=True):
            filled[place] = value
        made = jax.tree.unflatten(structure, filled)
        return made if graph is None else nnx.merge(graph, made)

    trained = _trained(names, values, trainable, params, rebuild, [found[place][0] for place in places])
    if variables:
        chosen = nnx.filterlib.to_predicate(nnx.Param if wrt is None else wrt)
        wanted = [chosen(path, variable) for path, variable in (variables.get(name, ((), None)) for name in names)]
        trained = tuple(old and want for old, want in zip(trained, wanted, strict=True))
    return Leaves(names, values, trained, rebuild, tuple(_nodes(params)))


def is_number(value: Any) -> bool:
    """Whether a leaf can be trained: a floating or complex array, or a Python float."""
    if isinstance(value, float | complex):
        return True
    return isinstance(value, jax.Array | np.ndarray | np.generic) and jnp.issubdtype(value.dtype, jnp.inexact)


def is_traced(value: Any) -> bool:
    """Whether it stands for numbers that are not known yet."""
    return isinstance(value, Tracer)


def is_kept(name: str) -> bool:
    """Whether the name says that the leaf stays as it is: "target.w", "frozen", ..."""
    words = [word for word in re.split(r"[^0-9A-Za-z_]+", name.lower()) if word]
    pieces = {piece for word in words for piece in word.split("_")} | set(words)
    return bool(pieces & KEPT)


def _name(path: Any) -> str:
    """The path with dots; ".value" of an nnx variable says nothing, and goes."""
    return re.sub(r"\.value$", "", jax.tree_util.keystr(path, simple=True, separator="."))


def _variables(tree: Any) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """{name: (path, variable)} of the nnx variables."""
    if not isinstance(tree, nnx.State):
        pairs = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, nnx.Variable))[0]
        held = [(path, value) for path, value in pairs if isinstance(value, nnx.Variable)]
        return {_name(path): (tuple(path), value) for path, value in held}
    return {".".join(map(str, path)): (path, value) for path, value in nnx.to_flat_state(tree)}


def _trained(
    names: Sequence[str], values: Sequence[Any], trainable: Any, params: Any, rebuild: Any, paths: Sequence[Any]
) -> tuple[bool, ...]:
    """What is meant to move, by what the caller says; without a word, everything whose name does not say otherwise."""
    if trainable is None:
        return tuple(not is_kept(name) for name in names)
    if isinstance(trainable, nnx.Optimizer) or is_transformation(trainable):
        moved = moved_by(trainable, rebuild, values)
        return moved if moved is not None else tuple(True for _ in names)
    if isinstance(trainable, str):
        trainable = [trainable]
    if isinstance(trainable, list | tuple | set | frozenset) and all(isinstance(each, str) for each in trainable):
        return tuple(any(fnmatchcase(name, each) or fnmatchcase(name, f"{each}.*") for each in trainable) for name in names)
    if callable(trainable):
        return tuple(bool(trainable(name, value)) for name, value in zip(names, values, strict=True))
    try:
        whole = jax.tree_util.tree_flatten_with_path(jax.tree.broadcast(trainable, params))[0]
    except ValueError as error:
        raise SpecError(f"trainable={trainable!r} is no pytree of bools for these parameters: {error}") from error
    said = {_name(path): bool(value) for path, value in whole}
    return tuple(said.get(_name(path), True) for path in paths)


def is_transformation(value: Any) -> bool:
    """Whether it is an optax.GradientTransformation, told by its two fields: optax need not be installed."""
    return isinstance(value, tuple) and {"init", "update"} <= set(getattr(value, "_fields", ()))


def moved_by(optimizer: Any, rebuild: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> tuple[bool, ...] | None:
    """Which leaves an optimizer moves: it is asked for its update by a gradient of ones; None if it cannot say.

    Args:
        optimizer: an optax transformation or an nnx.Optimizer.
        rebuild: the parameters from their leaves.
        values: the leaves.
    """
    transform = optimizer.tx if isinstance(optimizer, nnx.Optimizer) else optimizer
    try:
        with jax.ensure_compile_time_eval():
            params = rebuild([jnp.full(np.shape(value), 0.5, jnp.result_type(value)) for value in values])
            if isinstance(params, nnx.Module):
                params = nnx.state(params, nnx.Param if not isinstance(optimizer, nnx.Optimizer) else optimizer.wrt)
            state = transform.init(params)
            gradient = jax.tree.map(lambda value: jnp.full_like(value, 0.5), params)
            updates, _ = transform.update(gradient, state, params)
            moves = [bool(np.any(np.asarray(update) != 0)) for update in jax.tree.leaves(updates)]
    except Exception:
        return None
    return tuple(moves) if len(moves) == len(values) else None


def _nodes(params: Any, name: str = "", depth: int = 6) -> Iterator[tuple[str, Any]]:
    """The objects with attributes among the parameters, the outermost first."""
    if depth == 0 or isinstance(params, jax.Array | np.ndarray | nnx.Variable):
        return
    if isinstance(params, dict):
        children: list[tuple[str, Any]] = [(str(key), value) for key, value in params.items()]
    elif isinstance(params, list | tuple) and not _is_record(params):
        children = [(str(place), value) for place, value in enumerate(params)]
    elif isinstance(params, type) or (callable(params) and not is_dataclass(params) and not isinstance(params, nnx.Module)):
        return
    else:
        children = list(attributes(params))
        if children:
            yield name, params
    for key, value in children:
        yield from _nodes(value, f"{name}.{key}" if name else key, depth - 1)


def _is_record(value: Any) -> bool:
    """Whether it is a named tuple."""
    return isinstance(value, tuple) and bool(getattr(value, "_fields", ()))


def attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of what an object holds, fields of a dataclass or a named tuple included."""
    if isinstance(value, type):
        return
    seen = dict(getattr(value, "__dict__", {}))
    if is_dataclass(value):
        for field in fields(value):
            if field.name not in seen:
                seen[field.name] = getattr(value, field.name, None)
    for name in getattr(value, "_fields", ()):
        if isinstance(value, tuple):
            seen[name] = getattr(value, name)
    yield from ((name, held) for name, held in seen.items() if not name.startswith("_pytree__"))
