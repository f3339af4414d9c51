"""Monitor: what a loop of your own trains, read afresh at every row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from isoparam.errors import SpecError, StaleGraphError
from isoparam.monitoring import Log, Reading, check_grads, check_names, total
from isoparam.specs import Spec, Tied
from jax_impl.flat import to_numpy
from jax_impl.kernels.derivatives import settings_for
from jax_impl.module import _declared, _leaf, _named_modules
from jax_impl.tree import _array, _is_floating, _named_leaves, _specs
from jax_impl.verbs import forward, is_concrete


class Monitor:
    """Watches constrained parameters in a loop of your own: values, distance to the border, saturation, gradients.

    A row holds, besides `step`, `loss` and `grad_norm` (2-norm of all gradients together), for each constrained name:

        x               the value; of more than 64 entries `x.min`, `x.mean` and `x.max`
        x.distance      how far its nearest entry is from the border (`isoparam.borders.distance`)
        x.saturation    the share of it that is stuck at the border (`isoparam.borders.saturation`)
        x.grad_norm     2-norm of the gradient of its raw; nan without one

    The usual fault of monitoring is to look at something that training no longer moves: a value computed before the loop,
    or a copy of the parameters. Here every row reads the raw parameters and computes the values from them anew, without a
    derivative and without writing anywhere. What cannot follow the training is refused: see Raises.

    Args:
        source: what is trained. An nnx.Module: its constrained attributes by the names of `values(module)`, in alphabetical
            order, and with `constraints` further parameters by their own names. Or a tree of raw parameters, as `constrain`
            takes it: linen params, an `nnx.State`, any pytree; it gives the names here, and `record` takes the one of now.
        constraints: {dotted name or glob: spec}; of a module only those parameters that no attribute constrains already.
        sinks: where rows go, such as `isoparam.sinks.CSV("run.csv")`; any function of a row will do.
        every: keep the steps that this divides. The others cost nothing: no number is computed or awaited.

    Raises:
        SpecError: where nothing is constrained, a key matches nothing, or two columns would have one name.

    Limits: constrained values are copied to the host whole, which waits for the device; use `every` where that counts.

    Example:
        >>> import isoparam as iso, jax, jax.numpy as jnp
        >>> from isoparam.jax import Monitor, constrain
        >>> constraints = {"x": iso.Interval(0, 2)}
        >>> memory, raw = iso.sinks.Memory(), {"x": jnp.asarray(0.0)}
        >>> step = jax.jit(jax.value_and_grad(lambda raw: (constrain(raw, constraints)["x"] - 1.5) ** 2))
        >>> monitor = Monitor(raw, constraints, sinks=(memory,))
        >>> for _ in range(3):
        ...     loss, grads = step(raw)
        ...     row = monitor.record(raw, grads, loss)
        ...     raw = jax.tree.map(lambda raw, grad: raw - 1.0 * grad, raw, grads)
        >>> [f"{x:.3f}" for x in memory.history["x"]], f"{memory.history['x.distance'][-1]:.3f}"
        (['1.000', '1.245', '1.354'], '0.646')
    """

    def __init__(
        self,
        source: Any,
        constraints: Mapping[str, Spec] | None = None,
        sinks: Sequence[Callable[[dict[str, np.ndarray]], Any]] = (),
        every: int = 1,
    ) -> None:
        self._log = Log(sinks, every)
        self._source = source
        self._constraints = constraints
        check_names(leaf.name for leaf in _watched(source, constraints))

    def record(
        self, params: Any = None, grads: Any = None, loss: Any = None, step: int | None = None
    ) -> dict[str, np.ndarray] | None:
        """Read everything as it is now and hand the row to the sinks.

        Call it before the update, with the loss and gradients of the same point, as in the history of `train`.

        Args:
            params: what to read: the raw parameters of now, or a module of the same names. Only a source that is an
                nnx.Module may be left to be read again, since its arrays are replaced within it.
            grads: a tree of gradients named as the parameters, `x_raw` for an attribute `x`, such as `nnx.grad` returns;
                nan without it.
            loss: one number, to stand in the row; nan without it.
            step: its number; None counts the calls.

        Returns:
            {column: numpy array}, or None for a step that `every` leaves out.

        Raises:
            SpecError: under jit, grad or vmap, where there are no numbers yet; for a loss of several numbers, and for grads
                without any of the watched names.
            StaleGraphError: without `params`, for a source that is no module: its arrays are those of the start for ever.
        """
        taken = self._log.due(step)
        if taken is None:
            return None
        if params is None and not isinstance(self._source, nnx.Module):
            raise StaleGraphError(
                "JAX arrays never change, so those given to Monitor are still the ones of the start; "
                "pass those of now: monitor.record(params, grads, loss)"
            )
        leaves = _watched(self._source if params is None else params, self._constraints)
        _check_concrete([leaf.raw for leaf in leaves], loss)
        norms = _norms(grads)
        if grads is not None:
            check_grads(norms, [leaf.raw_name for leaf in leaves])
        readings = [Reading(leaf.name, leaf.spec, _value(leaf), norms.get(leaf.raw_name, float("nan"))) for leaf in leaves]
        number = None if loss is None else to_numpy(loss) if isinstance(loss, Array) else np.asarray(loss)
        return self._log.keep(taken, number, total(norms.values()), readings)


class _Leaf(NamedTuple):
    """A raw parameter: the name of its value, its own, and what the value obeys."""

    name: str
    raw_name: str
    spec: Spec
    raw: Array


def _watched(source: Any, constraints: Mapping[str, Spec] | None) -> list[_Leaf]:
    """The constrained parameters as they are now."""
    declared = list(_attributes(source)) if isinstance(source, nnx.Module) else []
    if constraints is None:
        return declared
    taken = {leaf.raw_name for leaf in declared}
    named = _own_parameters(source) if isinstance(source, nnx.Module) else _named_leaves(source)[0]
    rest = [(name, raw) for name, raw in named if name not in taken]
    pairs = zip(rest, _specs(rest, constraints), strict=True)  # a tied leaf is watched under the name that it is tied to
    leaves = [(name, spec, raw) for (name, raw), spec in pairs if spec is not None and not isinstance(spec, Tied)]
    wrong = next((leaf for leaf in leaves if not _is_floating(leaf[2])), None)
    if wrong is not None:
        raise SpecError(f"{wrong[0]}: {wrong[1]} needs a floating array, got {type(wrong[2]).__name__}")
    return declared + [_Leaf(name, name, spec, _array(raw)) for name, spec, raw in leaves]


def _own_parameters(module: nnx.Module) -> Iterator[tuple[str, nnx.Param]]:
    """Every nnx.Param of a module once, by the name that its gradient has."""
    seen: set[int] = set()
    for name, leaf in _named_leaves(module)[0]:
        if isinstance(leaf, nnx.Param) and id(leaf) not in seen:
            seen.add(id(leaf))
            yield name, leaf


def _attributes(module: nnx.Module) -> Iterator[_Leaf]:
    """The constrained attributes of a module, a shared raw once.

    In the order of the pytree, since that of the attributes changes when a transform of nnx has passed over the module.
    """
    specs: dict[int, Spec] = {}
    for _, part in _named_modules(module, "", set()):
        specs |= {id(_leaf(part, entry.raw_name)): entry.spec for entry in _declared(type(part)).values()}
    for raw_name, raw in _own_parameters(module):
        if id(raw) in specs:
            yield _Leaf(raw_name.removesuffix("_raw"), raw_name, specs[id(raw)], _array(raw))


def _value(leaf: _Leaf) -> np.ndarray:
    """The value of now, by a program per spec and shape: op by op the first row would compile each operation."""
    with settings_for(leaf.raw):
        return to_numpy(_forward(leaf.spec, leaf.raw))


_forward = jax.jit(forward, static_argnums=0)


def _norms(grads: Any) -> dict[str, float]:
    """The 2-norm of each gradient that is there, in one transfer."""
    found = [(name, _array(grad)) for name, grad in _named_leaves(grads)[0] if _is_floating(grad)]
    if not found:
        return {}
    _check_concrete([grad for _, grad in found], None)
    with jax.enable_x64(True) if any(grad.dtype == np.float64 for _, grad in found) else nullcontext():
        norms = _all_norms([grad for _, grad in found])
    return {name: float(norm) for (name, _), norm in zip(found, jax.device_get(norms), strict=True)}


@jax.jit
def _all_norms(grads: list[Array]) -> list[Array]:
    """One program for all of them."""
    wide = (grad if grad.dtype == np.float64 else grad.astype(jnp.float32) for grad in grads)
    return [jnp.sqrt(jnp.sum(jnp.square(grad))) for grad in wide]


def _check_concrete(arrays: list[Array], loss: Any) -> None:
    """Raise SpecError where the numbers cannot be looked at."""
    if not all(is_concrete(array) for array in (*arrays, loss)):
        raise SpecError(
            "Monitor.record needs numbers, and under jit, grad or vmap there are none yet; return what it should see from "
            "the compiled function and call record outside, or call it through jax.debug.callback"
        )


# twin: a torch parameter is moved in place, so a tree of leaves may be kept; JAX arrays never change and are passed each time.
