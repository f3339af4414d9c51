"""as_loss: an unmodified nnx or linen module as a loss of named parameters, with everything else that it holds as variables."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax import Array

from isoparam.errors import SpecError
from isoparam.names import hint
from isoparam.objective import ModuleLoss, check_loss_fn


def as_loss(
    module: Any, loss_fn: Callable[[Any, dict[str, Any]], Any], variables: Any = None
) -> tuple[dict[str, Array], ModuleLoss]:
    """The parameters of a module by name, and its loss as a function of them, for `isoparam.Problem`.

    The module is taken apart; the one that was given is not touched, neither now nor while training.

    Args:
        module: any nnx.Module, in the mode (`train()` or `eval()`) in which its loss is meant; or a linen module, which
            may be bound.
        loss_fn: `loss_fn(model, batch)`, which calls the model on arrays of the batch and returns a scalar. The linen
            model is bound, with streams of random numbers for "dropout" and every other name.
        variables: for a linen module that is not bound, what `module.init(...)` returned.

    Returns:
        values: {dotted name: array} of every nnx.Param, or of the collection "params"; one entry for a shared one. Those
            of `Constrained` and of `attach` are their raw leaves, `kernel_raw`, which need no constraint any more.
        loss: a `ModuleLoss`. All other state (batch statistics, streams of random numbers) is its `variables`, plain
            arrays which `train` carries from step to step; keys are there as their data. Random numbers (dropout) depend
            on the seed of the run, the step and what is carried only. `loss.module(run.values, run.variables)` is the
            trained module.

    Raises:
        SpecError: for another kind of module, no trainable parameter, `variables` for a module that holds its own, and
            for names that are not unique once they are joined by dots. When called: for a module that writes to a
            parameter, or changes the shape of a variable.

    Limits: variables that the module makes while it is called, such as those of `sow`, are dropped.

    Example:
        >>> import isoparam as iso, jax.numpy as jnp, numpy as np
        >>> from flax import nnx
        >>> from isoparam.jax import as_loss
        >>> layer = nnx.Linear(2, 1, use_bias=False, rngs=nnx.Rngs(0))
        >>> values, loss = as_loss(layer, lambda model, batch: jnp.square(model(batch["x"]) - 1.0).mean())
        >>> constraints = {"kernel": iso.Positive()}
        >>> problem = iso.Problem(
        ...     name="line", constraints=constraints, init={"kernel": abs(values["kernel"]) + 0.1}, loss=loss,
        ...     data={"x": np.eye(2)})
        >>> run = iso.train(problem, backend="jax", optimizer=iso.Adam(lr=0.1), steps=300)
        >>> loss.module(run.values).kernel[...].round(3).tolist()
        [[1.0], [1.0]]
    """
    check_loss_fn(loss_fn, module if isinstance(module, nnx.Module) else None)  # a linen module holds no parameters
    if isinstance(module, nnx.Module):
        if variables is not None:
            raise SpecError("as_loss: variables= is for linen modules; an nnx.Module holds its own, so leave it out")
        loss: _Loss = _NnxLoss(module, loss_fn)
    elif isinstance(module, linen.Module):
        loss = _LinenLoss(module, loss_fn, variables)
    else:
        raise SpecError(f"as_loss: expected an nnx.Module or a linen Module, got {type(module).__name__}")
    if not loss.start:
        raise SpecError(f"as_loss: {type(module).__name__} has no parameter, so that nothing is trained")
    return dict(loss.start), loss


class _Loss(ModuleLoss):
    """The loss of a module that was taken apart into a tree of parameters and a tree of the rest."""

    backend = "jax"

    def __init__(self, params: Any, rest: Any, loss_fn: Callable[[Any, dict[str, Any]], Any]) -> None:
        self._params, self._rest = params, rest
        self._loss_fn = loss_fn
        self.start = _named(params)
        self._leaves = _named(rest)
        self.variables = {name: jax.random.key_data(leaf) if _is_key(leaf) else leaf for name, leaf in self._leaves.items()}

    def advance(
        self, values: Mapping[str, Any], variables: Mapping[str, Any], batch: Mapping[str, Any], seed: int, step: Any
    ) -> tuple[Any, dict[str, Any]]:
        _check_names("values", values, self.start)
        _check_names("variables", variables, self.variables)
        dtype = next(iter(values.values())).dtype
        key = jax.random.fold_in(jax.random.key(seed), step)
        leaves = [self._entered(name, array, dtype, key) for name, array in variables.items()]
        rest = _filled(self._rest, dict(zip(variables, leaves, strict=True)))
        loss, after = self._called(_filled(self._params, dict(values)), rest, dict(batch), key)
        return loss, {name: _left(name, array, after[name]) for name, array in variables.items()}

    @abstractmethod
    def _called(self, params: Any, rest: Any, batch: dict[str, Any], key: Array) -> tuple[Any, dict[str, Any]]:
        """The loss, and the rest after the call by name."""

    def _entered(self, name: str, array: Any, dtype: Any, key: Array) -> Any:
        """A variable as the module has it for one call: streams of random numbers start from this seed and step."""
        before = self._leaves[name]
        if _is_key(before):
            stream = jax.random.wrap_key_data(array, impl=jax.random.key_impl(before))
            number = jax.random.bits(key, dtype=jnp.uint32)
            fold = partial(jax.random.fold_in, data=number)
            for _ in range(before.ndim):
                fold = jax.vmap(fold)
            return fold(stream)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    def _rebuilt(self, values: Mapping[str, Any], variables: Mapping[str, Any] | None) -> tuple[Any, Any]:
        """The two trees with other numbers, in the module's own dtypes."""
        _check_names("values", values, self.start)
        unknown = sorted(set(variables or {}) - set(self.variables))
        if unknown:
            raise SpecError(f"variables has {unknown[0]!r}, which the module has not; {hint(unknown[0], list(self.variables))}")
        params = {name: _restored(name, values[name], leaf) for name, leaf in self.start.items()}
        rest = {name: _restored(name, (variables or {}).get(name, leaf), leaf) for name, leaf in self._leaves.items()}
        return _filled(self._params, params), _filled(self._rest, rest)


class _NnxLoss(_Loss):
    """Of an nnx.Module, which is merged anew for each call."""

    def __init__(self, module: nnx.Module, loss_fn: Callable[[Any, dict[str, Any]], Any]) -> None:
        self._graph, params, rest = nnx.split(module, nnx.Param, ...)
        super().__init__(_arrays(params), _arrays(rest), loss_fn)

    def _called(self, params: Any, rest: Any, batch: dict[str, Any], key: Array) -> tuple[Any, dict[str, Any]]:
        del key  # its streams are among the variables
        before = _named(params)
        model = nnx.merge(self._graph, params, rest)
        loss = self._loss_fn(model, batch)
        _, params_after, rest_after = nnx.split(model, nnx.Param, ...)
        after = _named(params_after)
        written = [name for name, leaf in before.items() if after.get(name) is not leaf]
        if written:
            raise SpecError(
                f"the module writes to its nnx.Param {written[0]!r} while it is called, and train sets parameters itself; "
                f"make it another nnx.Variable"
            )
        return loss, {name: after for name, after in _named(rest_after).items() if name in self._leaves}

    def module(self, values: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Any:
        return nnx.merge(self._graph, *self._rebuilt(values, variables))


class _LinenLoss(_Loss):
    """Of a linen module, which is bound anew for each call."""

    def __init__(self, module: linen.Module, loss_fn: Callable[[Any, dict[str, Any]], Any], variables: Any) -> None:
        if module.scope is not None:
            if variables is not None:
                raise SpecError("as_loss: a bound linen module holds its variables, so leave variables= out")
            module, variables = module.unbind()
        if not isinstance(variables, Mapping) or "params" not in variables:
            raise SpecError("as_loss: a linen module needs variables=module.init(key, x), which hold its 'params'")
        self._linen = module
        rest = {name: collection for name, collection in variables.items() if name != "params"}
        super().__init__(_arrays(variables["params"]), _arrays(rest), loss_fn)

    def _called(self, params: Any, rest: Any, batch: dict[str, Any], key: Array) -> tuple[Any, dict[str, Any]]:
        program = linen.apply(self._loss_fn, self._linen, mutable=list(rest))
        streams = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))  # "params" serves all other names
        loss, after = program({"params": params, **rest}, batch, rngs=streams)
        return loss, _named({name: after.get(name, collection) for name, collection in rest.items()})

    def module(self, values: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Any:
        params, rest = self._rebuilt(values, variables)
        return self._linen.bind({"params": params, **rest})


def _named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by dotted name."""
    pairs = [(_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1)
        raise SpecError(f"two leaves are both called {twice!r}; rename one, whose name may contain a dot")
    return named


def _name(path: Any) -> str:
    """The dotted name of a leaf; the `.value` that a Variable or a box adds at the end is left out."""
    steps = [str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step)))) for step in path]
    return ".".join(steps[:-1] if isinstance(path[-1], jax.tree_util.GetAttrKey) and steps[-1] == "value" else steps)


def _filled(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """The tree with other leaves."""
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[_name(path)], tree)


def _arrays(tree: Any) -> Any:
    """A tree with JAX arrays as leaves, each a copy: training may give away the memory of what it starts from."""
    return jax.tree.map(_array, tree)


def _array(leaf: Any) -> Array:
    if _is_key(leaf):
        return leaf
    with jax.enable_x64(True) if isinstance(leaf, Array) else nullcontext():  # float64 stays float64
        return jnp.array(leaf)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _left(name: str, before: Any, after: Any) -> Any:
    """A variable after a call, of the dtype that it had; keys stay, for the step alone makes them new."""
    if _is_key(after):
        return before
    after = jnp.asarray(after)
    if after.shape != before.shape:
        raise SpecError(
            f"variables[{name!r}] was of shape {before.shape} and came back as {after.shape}; it must keep its shape"
        )
    return after.astype(before.dtype)


def _restored(name: str, array: Any, leaf: Array) -> Array:
    """Numbers of a run as a leaf of the module."""
    if _is_key(leaf):
        return array if _is_key(array) else jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if jnp.shape(array) != leaf.shape:
        raise SpecError(f"{name!r} has shape {jnp.shape(array)}, and the module needs {leaf.shape}")
    with jax.enable_x64(leaf.dtype.itemsize == 8):
        return jnp.array(array, leaf.dtype)


def _check_names(what: str, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise SpecError unless exactly these names are given."""
    if not isinstance(given, Mapping):
        raise SpecError(
            f"{what} must be a dict by name, got {type(given).__name__}; write loss.module(run.values, run.variables)"
        )
    if given.keys() != wanted.keys():
        wrong = sorted(set(given) ^ set(wanted))[0]
        verb = "lacks" if wrong in wanted else "has"
        raise SpecError(f"{what} {verb} {wrong!r}; the module's are: {', '.join(map(repr, wanted)) or 'none'}")
