"""Monitor: what a loop of your own trains, read afresh at every row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor as Array
from torch import nn

from isoparam.errors import SpecError, StaleGraphError
from isoparam.monitoring import Log, Reading, check_grads, check_names, total
from isoparam.specs import Spec, Tied
from torch_impl.flat import to_numpy
from torch_impl.module import _declared, _leaf
from torch_impl.tree import _is_floating, _named_leaves, _specs
from torch_impl.verbs import forward, is_concrete


class Monitor:
    """Watches constrained parameters in a loop of your own: values, distance to the border, saturation, gradients.

    A row holds, besides `step`, `loss` and `grad_norm` (2-norm of all gradients together), for each constrained name:

        x               the value; of more than 64 entries `x.min`, `x.mean` and `x.max`
        x.distance      how far its nearest entry is from the border (`isoparam.borders.distance`)
        x.saturation    the share of it that is stuck at the border (`isoparam.borders.saturation`)
        x.grad_norm     2-norm of the gradient of its raw; nan without one

    The usual fault of monitoring is to look at something that training no longer moves: a value computed before the loop,
    or a copy of the parameters. Here every row reads the raw parameters and computes the values from them anew, without a
    graph and without writing anywhere. What cannot follow the training is refused: see Raises.

    Args:
        source: what is trained. A module: its constrained attributes by the names of `values(module)`, and with
            `constraints` further parameters by their own names. Or a tree of raw parameters, as `constrain` takes it.
        constraints: {dotted name or glob: spec}; of a module only those parameters that no attribute constrains already.
        sinks: where rows go, such as `isoparam.sinks.CSV("run.csv")`; any function of a row will do.
        every: keep the steps that this divides. The others cost nothing: no number is computed or awaited.

    Raises:
        SpecError: where nothing is constrained, a key matches nothing, or two columns would have one name.
        StaleGraphError: for a tree with a tensor that was computed from another one, which no optimizer moves.

    Limits: constrained values are copied to the host whole, which waits for the device; use `every` where that counts.

    Example:
        >>> import isoparam as iso, torch
        >>> from isoparam.torch import Constrained, Monitor
        >>> class Model(torch.nn.Module):
        ...     x = Constrained(iso.Interval(0, 2))
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.x = 1.0
        >>> model, memory = Model(), iso.sinks.Memory()
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        >>> monitor = Monitor(model, sinks=(memory,))
        >>> for step in range(3):
        ...     optimizer.zero_grad()
        ...     loss = (model.x - 1.5) ** 2
        ...     loss.backward()
        ...     row = monitor.record(loss=loss)
        ...     optimizer.step()
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
        leaves = _watched(source, constraints)
        check_names(leaf.name for leaf in leaves)
        _check_movable(source, leaves)

    def record(
        self, params: Any = None, grads: Any = None, loss: Any = None, step: int | None = None
    ) -> dict[str, np.ndarray] | None:
        """Read everything as it is now and hand the row to the sinks.

        Call it between `loss.backward()` and `optimizer.step()`: then value, loss and gradient belong to one point, as in
        the history of `train`.

        Args:
            params: what to read in place of the source: raw parameters or a module of the same names. Needed where a loop
                makes new parameters at each step, as with `torch.func`.
            grads: a tree of gradients named as the parameters, `x_raw` for an attribute `x`; None reads `.grad`.
            loss: one number, to stand in the row; nan without it.
            step: its number; None counts the calls.

        Returns:
            {column: numpy array}, or None for a step that `every` leaves out.

        Raises:
            SpecError: inside torch.compile or a transform of torch.func, where there are no numbers yet; for a loss of
                several numbers, and for grads without any of the watched names.
            StaleGraphError: without `params`, for a tree whose tensors do not require grad, so that training moves others.
        """
        taken = self._log.due(step)
        if taken is None:
            return None
        leaves = _watched(self._source if params is None else params, self._constraints)
        if params is None:
            _check_trained(self._source, leaves)
        _check_concrete([leaf.raw for leaf in leaves], loss)
        with torch.no_grad():
            norms = _norms(_present(self._source if params is None else params) if grads is None else grads)
            if grads is not None:
                check_grads(norms, [leaf.raw_name for leaf in leaves])
            readings = [
                Reading(leaf.name, leaf.spec, to_numpy(forward(leaf.spec, leaf.raw)), norms.get(leaf.raw_name, float("nan")))
                for leaf in leaves
            ]
            number = to_numpy(loss) if isinstance(loss, Array) else None if loss is None else np.asarray(loss)
        return self._log.keep(taken, number, total(norms.values()), readings)


class _Leaf(NamedTuple):
    """A raw parameter: the name of its value, its own, and what the value obeys."""

    name: str
    raw_name: str
    spec: Spec
    raw: Array


def _watched(source: Any, constraints: Mapping[str, Spec] | None) -> list[_Leaf]:
    """The constrained parameters as they are now."""
    declared = list(_attributes(source)) if isinstance(source, nn.Module) else []
    if constraints is None:
        return declared
    taken = {leaf.raw_name for leaf in declared}
    named = source.named_parameters() if isinstance(source, nn.Module) else _named_leaves(source)
    rest = [(name, raw) for name, raw in named if name not in taken]
    leaves = [
        _Leaf(name, name, spec, raw)
        for (name, raw), spec in zip(rest, _specs(rest, constraints), strict=True)
        if spec is not None and not isinstance(spec, Tied)  # which is watched under the name that it is tied to
    ]
    wrong = next((leaf for leaf in leaves if not _is_floating(leaf.raw)), None)
    if wrong is not None:
        raise SpecError(f"{wrong.name}: {wrong.spec} needs a floating tensor, got {type(wrong.raw).__name__}")
    return declared + leaves


def _attributes(module: nn.Module) -> Iterator[_Leaf]:
    """The constrained attributes of a module, a shared raw once."""
    raw_names = {id(raw): name for name, raw in module.named_parameters()}
    seen: set[int] = set()
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        for name, constrained in _declared(type(part)).items():
            raw = _leaf(part, constrained.raw_name)
            if raw is not None and id(raw) not in seen:
                seen.add(id(raw))
                raw_name = raw_names.get(id(raw), prefix + constrained.raw_name)
                yield _Leaf(prefix + name, raw_name, constrained.spec, raw)


def _present(source: Any) -> dict[str, Any]:
    """The gradients that `backward` has left, by the names of the parameters."""
    named = source.named_parameters() if isinstance(source, nn.Module) else _named_leaves(source)
    return {name: raw.grad for name, raw in named if _is_floating(raw) and raw.is_leaf}


def _norms(grads: Any) -> dict[str, float]:
    """The 2-norm of each gradient that is there, in one transfer."""
    found = [(name, grad.detach()) for name, grad in _named_leaves(grads) if _is_floating(grad)]
    if not found:
        return {}
    widest = torch.float64 if any(grad.dtype == torch.float64 for _, grad in found) else torch.float32
    dense = (grad.coalesce().values() if grad.is_sparse else grad for _, grad in found)
    norms = torch.stack([torch.linalg.vector_norm(grad, dtype=widest).to(found[0][1].device) for grad in dense])
    return dict(zip((name for name, _ in found), norms.tolist(), strict=True))


def _check_concrete(arrays: list[Array], loss: Any) -> None:
    """Raise SpecError where the numbers cannot be looked at."""
    given = [*arrays, loss] if isinstance(loss, Array) else arrays
    if not all(is_concrete(array) for array in given):
        raise SpecError(
            "Monitor.record needs numbers, and inside torch.compile or torch.func there are none yet; "
            "return the parameters from the compiled function and call record outside"
        )


# twin: a torch parameter is moved in place, so a tree of leaves may be kept; JAX arrays never change and are passed each time.


def _check_movable(source: Any, leaves: list[_Leaf]) -> None:
    """Raise StaleGraphError for a tensor that was computed from another one."""
    computed = next((leaf.name for leaf in leaves if not leaf.raw.is_leaf), None)
    if computed is not None and not isinstance(source, nn.Module):
        raise StaleGraphError(
            f"{computed} was computed from another tensor and would not follow the training; "
            f"give Monitor the raw leaf that the optimizer holds, and the constraint for it"
        )


def _check_trained(source: Any, leaves: list[_Leaf]) -> None:
    """Raise StaleGraphError for a tree that no optimizer can move in place."""
    if not isinstance(source, nn.Module) and not any(leaf.raw.requires_grad for leaf in leaves):
        raise StaleGraphError(
            f"the {leaves[0].name} given to Monitor does not require grad, so training makes new tensors and this one stays "
            f"as it was; pass those of now: monitor.record(params=raw, grads=grads)"
        )
