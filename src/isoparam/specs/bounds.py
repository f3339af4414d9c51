"""Bounds and other numbers of a spec: a float or a frozen array, whatever they were given as."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from isoparam.errors import SpecError

Shape = tuple[int, ...]


class FrozenArray:
    """A read-only float64 array that hashes and compares by content, so that specs stay static under jit and compile."""

    __slots__ = ("_hash", "data", "shape")

    def __init__(self, data: Any) -> None:
        array = np.array(data, dtype=np.float64)
        array.setflags(write=False)
        self.data = array
        self.shape: Shape = array.shape  # a tuple of its own: torch.compile makes a tensor of an array that it sees read
        self._hash = hash((array.shape, (array + 0.0).tobytes()))  # + 0.0: equal arrays may hold 0.0 and -0.0

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, FrozenArray) and self._hash == other._hash and np.array_equal(self.data, other.data)

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenArray, (np.array(self.data),)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype=dtype) if copy or dtype not in (None, np.float64) else self.data

    def __repr__(self) -> str:
        return np.array2string(self.data, separator=", ", threshold=8)


Bound = float | FrozenArray

if TYPE_CHECKING:
    # What type checkers read of a field: its constructor takes anything that numpy does, the attribute is what is kept.
    class Numbers:
        """A number or an array of them, given as anything that numpy takes."""

        def __get__(self, instance: object, owner: Any = None) -> Bound: ...
        def __set__(self, instance: object, value: ArrayLike | FrozenArray) -> None: ...

    class Entries:
        """An array, given as anything that numpy takes."""

        def __get__(self, instance: object, owner: Any = None) -> FrozenArray: ...
        def __set__(self, instance: object, value: ArrayLike | FrozenArray) -> None: ...

else:
    Numbers, Entries = Bound, FrozenArray


def as_numpy(value: Any) -> np.ndarray:
    """A number, or an array of numpy or of a backend; what is none of these becomes an array of objects."""
    try:
        array = np.asarray(value)
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    except (TypeError, ValueError, RuntimeError):
        pass
    try:
        return np.asarray(value.double().cpu())  # a tensor of torch that numpy cannot share: bfloat16, or on a GPU
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return np.asarray(None)


def as_bound(owner: str, name: str, bound: Any, *, infinite: bool = False) -> Bound:
    """A bound as a float or a FrozenArray, finite unless `infinite`; SpecError names the owner, the argument and the value."""
    array = as_numpy(bound)
    if array.dtype.kind not in "iuf":
        more = "; it requires grad: write .detach()" if getattr(bound, "requires_grad", False) else ""
        raise SpecError(f"{owner}: {name}={bound!r} must be a real number or an array of them{more}")
    array = array.astype(np.float64)
    if array.size == 0:
        raise SpecError(f"{owner}: {name} is an empty array; leave the bound a number, or give one per entry")
    if infinite and np.isnan(array).any():
        raise SpecError(f"{owner}: {name}={bound!r} must not be nan; for a side without a bound write -inf or inf")
    if not infinite and not np.isfinite(array).all():
        raise SpecError(f"{owner}: {name}={bound!r} must be finite; for a side without a bound use GreaterThan or LessThan")
    return float(array) if array.ndim == 0 else FrozenArray(array)


def check_shapes(owner: str, **bounds: Bound) -> None:
    """Raise SpecError unless the bounds broadcast together."""
    try:
        np.broadcast_shapes(*(np.shape(bound) for bound in bounds.values()))
    except ValueError:
        raise SpecError(f"{owner}: the shapes of {' and '.join(bounds)} do not broadcast together") from None


def bound_in(bound: Bound, dtype: type[np.floating]) -> np.ndarray:
    """The bound rounded once to `dtype`, the dtype of the parameter; SpecError where it overflows there."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(bound, dtype=np.float64).astype(dtype)
    if not np.isfinite(rounded).all():
        raise SpecError(f"bound {bound!r} overflows in {np.dtype(dtype).name} (largest: {np.finfo(dtype).max:.4g})")
    return rounded


def above(value: np.ndarray, bound: Bound) -> np.ndarray:
    """value - bound in float64, with the bound in the dtype of the value: 0 for a value that was rounded to it."""
    with np.errstate(over="ignore"):
        return value.astype(np.float64) - bound_in(bound, value.dtype.type)


def plain(array: np.ndarray) -> Any:
    """A 0-d array as a Python float (which takes any tensor's dtype), other arrays as they are."""
    return float(array) if array.ndim == 0 else array
