"""Problem: everything that is trained, as data, and the one loss per backend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np

from isoparam.arguments import check_dtype, check_tolerance, whole
from isoparam.backends import BACKENDS, load
from isoparam.errors import BackendError, SpecError
from isoparam.names import assign, check_constraints
from isoparam.objective import ModuleLoss
from isoparam.optimizers import Optimizer, as_optimizer
from isoparam.plain import plain
from isoparam.plan import FIXED
from isoparam.schedules import Schedule, as_schedule
from isoparam.specs import Spec, Tied
from isoparam.specs.bounds import Shape, as_numpy
from isoparam.ties import resolved, tied_shape

SHOWN = 200  # characters of parameters in a repr

Loss = Callable[[dict[str, Any], dict[str, Any]], Any]


@dataclass(frozen=True)
class BuiltInLoss:
    """The loss of a built-in problem: the function of this name in `torch_impl.problems` and in `jax_impl.problems`."""

    name: str

    def load(self, backend: str) -> Loss:
        """The function of a backend."""
        return load(backend).problems.LOSSES[self.name]


@dataclass(frozen=True)
class Recipe:
    """How a problem is trained when `train` is told nothing.

    Args:
        optimizer: such as `isoparam.Adam(lr=0.01)`.
        steps: updates at most, at least 1.
        tol_grad: stop at the first step whose gradient norm is at most this; None never stops early.
        schedule: how the step size changes; None for a constant one.
        dtype: "float64", "float32" or "bfloat16".

    Raises:
        SpecError: for an argument outside its range.
    """

    optimizer: Optimizer
    steps: int
    tol_grad: float | None = None
    schedule: Schedule | None = None
    dtype: str = "float64"

    def __post_init__(self) -> None:
        as_optimizer(self.optimizer)
        if self.schedule is not None:
            as_schedule(self.schedule)
        check_dtype(self.dtype)
        object.__setattr__(self, "steps", whole("steps", self.steps))
        object.__setattr__(self, "tol_grad", check_tolerance(self.tol_grad))
        object.__setattr__(self, "dtype", plain(self.dtype))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Problem:
    """Parameters with their constraints and start, data, and a loss to make small.

    Args:
        name: what the problem is called in reports.
        constraints: {dotted name or glob: spec}; a parameter that none matches is any real number.
        init: {name: constrained value} with floats or float arrays. None as a value, or a constrained name that is
            left out, starts at raw = 0: shape () or that of the bounds, for specs that have a shape by themselves. A
            parameter that is `Tied` needs no start; one that is given must equal that of the other.
        loss: {"torch": f, "jax": g}, or one callable for every backend that it can run on; each is called as
            `loss(values, batch)` with dicts of arrays of that backend and returns a scalar.
        data: {name: array} with a common first axis; None for a loss without data, whose batch is `{}`.
        batch_size: rows per step; None for all of them.
        recipe: what `train` uses when told nothing.
        source: where the problem and its published values come from.
        published: {name: published or exact value}, to compare a result with.

    Raises:
        SpecError: for an integer, nan, infinite or empty start, a shape that does not fit its spec, a constraint that
            matches no parameter, nan in the data, data of different lengths, or a batch larger than the data. Whether a
            start lies inside its set is looked at by `train`, in the dtype of the run.

    Example:
        >>> import isoparam as iso
        >>> problem = iso.Problem(
        ...     name="scale", constraints={"s": iso.Positive()}, init={"s": 1.0},
        ...     loss=lambda values, batch: (values["s"] - 2.0) ** 2)
        >>> problem.shapes
        {'s': ()}
    """

    name: str
    constraints: Mapping[str, Spec]
    init: Mapping[str, Any] | None = None
    loss: Mapping[str, Loss] | Loss | BuiltInLoss
    data: Mapping[str, Any] | None = None
    batch_size: int | None = None
    recipe: Recipe | None = None
    source: str = ""
    published: Mapping[str, Any] = field(default_factory=dict)
    specs: dict[str, Spec] = field(init=False, repr=False)
    shapes: dict[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise SpecError(f"Problem: name={self.name!r} must be a text such as 'scalar'")
        check_constraints(self.constraints)
        for key, example in (("init", "'x': 0.5"), ("data", "'y': array")):
            given = getattr(self, key)
            if given is not None and not isinstance(given, Mapping):
                raise SpecError(
                    f"Problem {self.name!r}: {key} must be a dict such as {{{example}}}, got {type(given).__name__}"
                )
        init = {name: _value(name, value) for name, value in dict(self.init or {}).items()}
        init |= dict.fromkeys(_left_out(self.constraints, init))
        if not init:
            raise SpecError(f"Problem {self.name!r} has no parameters; give init={{'x': 0.5}}")
        clash = sorted(set(init) & set(FIXED))
        if clash:
            raise SpecError(f"Problem {self.name!r}: no parameter may be called {clash[0]!r}, which is a column of the history")
        specs = resolved(tuple(init), assign(init, self.constraints))
        shapes = _shapes(init, specs)
        init |= dict.fromkeys(
            name for name, spec in specs.items() if isinstance(spec, Tied)
        )  # looked at, and no start of its own
        data = _data(self.data)
        batch_size = _batch_size(self.batch_size, data)
        _check_loss(self.loss)
        if not (self.recipe is None or isinstance(self.recipe, Recipe)):
            raise SpecError(f"recipe={self.recipe!r} must be an isoparam.Recipe(optimizer, steps)")
        frozen = {"constraints": MappingProxyType(dict(self.constraints)), "init": MappingProxyType(init), "data": data}
        frozen |= {"name": plain(self.name), "batch_size": batch_size}
        frozen |= {"published": MappingProxyType(dict(self.published)), "specs": specs, "shapes": shapes}
        for key, value in frozen.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        specs = ", ".join(f"{name}{list(shape) or ''}: {self.specs.get(name, 'Real()')}" for name, shape in self.shapes.items())
        if len(specs) > SHOWN:
            specs = f"{specs[: SHOWN - 4].rpartition(', ')[0]}, ... {len(self.shapes)} in all"
        rows = "" if self.rows is None else f", rows={self.rows}"
        return f"Problem({self.name!r}, {{{specs}}}{rows}, backends={self.backends})"

    def __reduce__(self) -> tuple[Any, ...]:
        given = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}
        return _rebuilt, ({name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()},)

    @property
    def rows(self) -> int | None:
        """Rows of the data; None without data."""
        return None if self.data is None else len(next(iter(self.data.values())))

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that have a loss."""
        if isinstance(self.loss, ModuleLoss):
            return (self.loss.backend,)
        return tuple(b for b in BACKENDS if b in self.loss) if isinstance(self.loss, Mapping) else tuple(BACKENDS)

    def loss_for(self, backend: str) -> Loss:
        """The loss of a backend.

        Raises:
            BackendError: where the problem has none.
        """
        if isinstance(self.loss, BuiltInLoss):
            return self.loss.load(backend)
        if isinstance(self.loss, ModuleLoss) and backend != self.loss.backend:
            raise BackendError(
                f"problem {self.name!r}: the loss was made by isoparam.{self.loss.backend}.as_loss and runs on "
                f"{self.loss.backend!r} only; train(..., backend={self.loss.backend!r})"
            )
        if not isinstance(self.loss, Mapping):
            return self.loss
        if backend not in self.loss:
            raise BackendError(
                f"problem {self.name!r} has no loss for {backend!r}, only for {', '.join(map(repr, self.loss)) or 'none'}; "
                f"add one: loss={{..., {backend!r}: f}}"
            )
        return self.loss[backend]


def _left_out(constraints: Mapping[str, Spec], init: dict[str, Any]) -> list[str]:
    """Constrained names without a start. A name that resembles an unconstrained one is a misspelling, not a parameter."""
    literal = [key for key in constraints if not any(sign in key for sign in "*?[") and key not in init]
    free = [name for name in init if name not in constraints]
    for key in literal:
        close = get_close_matches(key, free, n=1)
        if close:
            raise SpecError(f"constraints[{key!r}] matches no name in init; did you mean {close[0]!r}? Else add init[{key!r}]")
    return literal


def _value(name: str, value: Any) -> np.ndarray | None:
    """A start as a read-only float64 array; None stays None."""
    if not isinstance(name, str):
        raise SpecError(f"init: the key {name!r} must be a text")
    if value is None:
        return None
    array = as_numpy(value)
    if array.dtype.kind in "biu":
        hint = f"write {float(array)}" if array.ndim == 0 else "write it with .astype(float)"
        raise SpecError(f"init[{name!r}]={value!r} is of dtype {array.dtype}, and parameters are floating; {hint}")
    if array.dtype.kind != "f":
        more = "; it requires grad: write .detach()" if getattr(value, "requires_grad", False) else ""
        raise SpecError(f"init[{name!r}]={value!r} must be a float or an array of floats{more}")
    if array.size == 0:
        raise SpecError(f"init[{name!r}] is an empty array of shape {array.shape}; leave the parameter out")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise SpecError(f"init[{name!r}] is {array[where]} at {where}; give a finite start")
    array = np.array(array, dtype=np.float64)
    array.setflags(write=False)
    return array


def _shapes(init: Mapping[str, np.ndarray | None], specs: Mapping[str, Spec]) -> dict[str, Shape]:
    """Shape of each parameter's value, in the order of the user; a tied one has that of the other."""
    tied = {name: spec for name, spec in specs.items() if isinstance(spec, Tied)}
    shapes = {name: _shape(name, value, specs.get(name)) for name, value in init.items() if name not in tied}
    shapes |= {name: tied_shape(name, spec, init, shapes) for name, spec in tied.items()}
    return {name: shapes[name] for name in init}


def _shape(name: str, value: np.ndarray | None, spec: Spec | None) -> Shape:
    """Shape of a parameter's value, which its spec accepts."""
    if value is None:
        if spec is None or spec.own_shape is None:
            raise SpecError(f"init[{name!r}] is missing, and {spec or 'an unconstrained parameter'} has no shape by itself; "
                            f"give an array: init={{{name!r}: np.array(...)}}")  # fmt: skip
        return spec.own_shape
    try:
        if spec is not None:
            spec.raw_shape(value.shape)
    except SpecError as error:
        raise SpecError(f"init[{name!r}]: {error}") from None
    return value.shape


def _rebuilt(given: dict[str, Any]) -> Problem:
    """A problem from its arguments: what pickle and copy.deepcopy call."""
    return Problem(**given)


def _data(data: Mapping[str, Any] | None) -> Mapping[str, np.ndarray] | None:
    """The data as read-only views, checked."""
    if data is None:
        return None
    arrays = {name: np.asarray(array).view() for name, array in data.items()}
    if not arrays:
        raise SpecError("data={} holds no array; leave data None for a loss without data")
    lengths = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise SpecError(f"data[{name!r}] has dtype {array.dtype}; it must be a numpy array of numbers")
        if array.ndim == 0 or array.size == 0:
            raise SpecError(f"data[{name!r}] of shape {array.shape} is empty or has no first axis to count rows along")
        if array.dtype.kind == "f" and np.isnan(array).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(array))[0])
            raise SpecError(f"data[{name!r}] is nan at {where}; drop or fill such rows before training")
        array.setflags(write=False)
        lengths[name] = len(array)
    if len(set(lengths.values())) > 1:
        raise SpecError(f"the arrays of data have different lengths along their first axis: {lengths}")
    return MappingProxyType(arrays)


def _batch_size(given: Any, data: Mapping[str, np.ndarray] | None) -> int | None:
    if given is None:
        return None
    batch_size = whole("batch_size", given)
    if data is None:
        raise SpecError(f"batch_size={batch_size} without data; give data, or leave batch_size None")
    rows = len(next(iter(data.values())))
    if batch_size > rows:
        raise SpecError(f"batch_size={batch_size} is larger than the data, which has {rows} rows; None takes all of them")
    return batch_size


def _check_loss(loss: Any) -> None:
    if isinstance(loss, Mapping):
        unknown = [key for key in loss if key not in BACKENDS]
        if unknown:
            raise BackendError(f"loss: unknown backend {unknown[0]!r}; choose from {', '.join(map(repr, BACKENDS))}")
        if not loss or not all(callable(function) for function in loss.values()):
            raise SpecError(f"loss={dict(loss)!r} must hold a callable for each backend, such as {{'torch': f, 'jax': g}}")
        for backend, function in loss.items():
            if isinstance(function, ModuleLoss) and function.backend != backend:
                made = function.backend
                raise BackendError(f"loss[{backend!r}] was made by isoparam.{made}.as_loss; write loss={{{made!r}: ...}}")
    elif not (callable(loss) or isinstance(loss, BuiltInLoss)):
        raise SpecError(f"loss={loss!r} must be a callable loss(values, batch), or {{'torch': f, 'jax': g}}")
