"""Specs of weights with a norm: of length 1, of length at most a bound."""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from isoparam.errors import SpecError
from isoparam.specs.balls import RADIAL_LINKS, L2Ball
from isoparam.specs.base import Border, Facts, Kind, Spec, check_link
from isoparam.specs.bounds import FrozenArray, Shape, as_bound


@dataclass(frozen=True)
class NormedSpec(Spec):
    """What has a Euclidean norm is a slice along one axis or several: the other axes are batch axes."""

    kind: ClassVar[Kind] = "vector"
    raw_rank: ClassVar[int] = 1
    value_rank: ClassVar[int] = 1
    axis: int | tuple[int, ...] = field(default=-1, kw_only=True)

    def __post_init__(self) -> None:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        whole = isinstance(axes, list | tuple) and all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes)
        if not whole or isinstance(self.axis, bool) or len(set(axes)) < max(len(axes), 1):
            raise SpecError(
                f"{type(self).__name__}: axis={self.axis!r} must be an int, or a tuple of different ones: "
                "axis=-1, or axis=(0, 1, 2) for the filters of a convolution of Flax or Keras"
            )
        if not isinstance(self.axis, int):
            object.__setattr__(self, "axis", tuple(axes))
            # Slices along several axes are tried as matrices are.
            for name, known in {"kind": "matrix", "raw_rank": len(axes), "value_rank": len(axes)}.items():
                object.__setattr__(self, name, known)

    @property
    def value_axes(self) -> tuple[int, ...]:
        """The axes that the norm sums over."""
        return (self.axis,) if isinstance(self.axis, int) else self.axis

    @property
    def raw_axes(self) -> tuple[int, ...]:
        """The axes that the norm sums over."""
        return self.value_axes

    def _check_shape(self, shape: Shape, name: str) -> None:
        for axis in self.value_axes:
            if not -len(shape) <= axis < len(shape):
                raise SpecError(f"{self}: a {name} of shape {tuple(shape)} has no axis {axis}")
        if len({axis % len(shape) for axis in self.value_axes}) < len(self.value_axes):
            raise SpecError(f"{self}: in a {name} of shape {tuple(shape)} two of the axes are one; name each axis once")
        if not all(shape[axis] for axis in self.value_axes):
            raise SpecError(f"{self}: a {name} of shape {tuple(shape)} is empty along axis {self.axis}; it needs entries there")

    def _slices(self, value: np.ndarray) -> np.ndarray:
        """The slices as rows along the last axis."""
        axes = self.value_axes
        moved = np.moveaxis(value, axes, range(-len(axes), 0))
        return moved.reshape(*moved.shape[: moved.ndim - len(axes)], -1)

    @abstractmethod
    def _cure(self, wrong: np.ndarray) -> str:
        """What to do about a slice of a wrong norm."""


@dataclass(frozen=True)
class UnitNorm(NormedSpec):
    """Weights whose slices along an axis, or along several, have Euclidean norm 1.

        value = raw / |raw|, slice by slice

    It is `UnitVector` for slices along several axes: of a Flax or Keras convolution of shape (height, width, in, out) with
    axis=(0, 1, 2) every output filter has norm 1; of a torch one of shape (out, in, height, width), with axis=(1, 2, 3).

    Args:
        axis: the axis, or a tuple of the axes, that the norm sums over; by default the last.

    Shapes: raw and value are equal; at least one entry in a slice. All other axes are batch axes.

    Raises:
        SpecError: for empty slices, or axes that are not there or stand twice.

    Limits: those of `UnitVector`: any finite raw but 0. A slice of zeros has no direction: its value is 1 in its first
        entry, with derivative 0 and log_abs_det = inf.

    Source: keras.constraints.UnitNorm, which divides after each step (method="projected" of `train` does that); here
        the value has norm 1 by construction.

    Example:
        >>> import isoparam as iso
        >>> iso.UnitNorm(axis=(0, 1, 2)).raw_shape((3, 3, 8, 16))
        (3, 3, 8, 16)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{w : |w| = 1 for every slice w}",
        raw_size="as the value (one more per slice than the sphere has dimensions)",
        formula="raw / |raw|, slice by slice; 1 in the first entry of a slice of zeros",
        log_abs_det="(1 - N) log |raw| for a slice of N entries",
        volume="surface of the sphere, from the N - 1 directions across a slice of raw; its length is left without a density",
        projection="point / |point|; 1 in the first entry of a slice of zeros",
        limits="any finite raw but 0; the derivative overflows below |raw| = 3e-39 / 6e-309",
        source="keras.constraints.UnitNorm; Stan Reference Manual, Unit vector",
    )

    @property
    def unique(self) -> bool:
        """Not: a slice of raw has a length, which that of the value has not."""
        return False

    def start(self, value_shape: Shape) -> np.ndarray:
        """1 in the first entry of every slice."""
        raw = np.zeros(self.raw_shape(value_shape))
        axes = self.value_axes
        np.moveaxis(raw, axes, range(len(axes)))[(0,) * len(axes)] = 1.0
        return raw

    def border(self, value: np.ndarray) -> Border:
        """None: the sphere has no border."""
        return Border(np.empty(0))

    def _cure(self, wrong: np.ndarray) -> str:
        length = np.linalg.norm(wrong)
        if length == 0:
            return "it has no direction: give any other slice"
        return f"its norm is {length:.17g}: divide by it, or train float32 numbers with dtype='float32'"


@dataclass(frozen=True)
class MaxNorm(NormedSpec):
    """Weights whose slices along an axis, or along several, have a Euclidean norm below a bound.

        link="alg"    value = bound * raw / sqrt(1 + |raw|^2)
        link="tanh"   value = bound * tanh(|raw|) * raw / |raw|      slice by slice

    It is `L2Ball` for slices along several axes; see there for the two links. `project` is what Keras does after each step,
    and what method="projected" of `train` does with the value as the leaf.

    Args:
        bound: above 0; not reached by a finite raw.
        link: "alg" (default) or "tanh".
        axis: the axis, or a tuple of the axes, that the norm sums over; by default the last.

    Shapes: raw and value are equal; at least one entry in a slice. All other axes are batch axes.

    Raises:
        SpecError: unless bound is one finite number above 0; for an unknown link, empty slices, or axes that are not there or
            stand twice.

    Limits: those of `L2Ball`: any finite raw; the value rounds to the border from about |raw| = 3e3 (float32) or 7e7
        (float64) with "alg", and 9 or 19 with "tanh", where `inverse` refuses it.

    Source: keras.constraints.MaxNorm; Srebro, Rennie and Jaakkola (2005), "Maximum-Margin Matrix Factorization".

    Example:
        >>> import isoparam as iso
        >>> iso.MaxNorm(3.0, axis=0).raw_shape((784, 10))
        (784, 10)
    """

    facts: ClassVar[Facts] = Facts(
        domain="{w : |w| < bound for every slice w}, Euclidean length",
        raw_size="as the value",
        formula="bound raw / sqrt(1 + |raw|^2), or bound tanh(|raw|) raw / |raw| with link='tanh', slice by slice",
        log_abs_det="that of `L2Ball`, for every slice",
        volume="Lebesgue on all entries of a slice",
        projection="bound point / |point| where |point| > bound, slice by slice",
        limits="at the border from |raw| = 3e3 / 7e7 (alg), 9 / 19 (tanh)",
        source="keras.constraints.MaxNorm; Srebro, Rennie and Jaakkola (2005)",
    )

    bound: float = 2.0
    link: str = "alg"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bound", as_radius("MaxNorm", self.bound))
        check_link("MaxNorm", self.link, RADIAL_LINKS)
        _ = self._ball  # kept from here on: torch.compile cannot enter the lock of a cached_property

    @property
    def ball(self) -> L2Ball:
        """The set of one slice."""
        return self._ball

    @cached_property
    def _ball(self) -> L2Ball:
        return L2Ball(self.bound, link=self.link)

    def border(self, value: np.ndarray) -> Border:
        return self.ball.border(self._slices(value))

    def _cure(self, wrong: np.ndarray) -> str:
        return f"its norm is {np.linalg.norm(wrong):.17g}: shrink it below bound={self.bound:g}"


def as_radius(owner: str, bound: float) -> float:
    """A bound of a norm: one finite number above 0; SpecError for anything else."""
    checked = as_bound(owner, "bound", bound)
    if isinstance(checked, FrozenArray) or not checked > 0:
        raise SpecError(f"{owner}: bound={bound!r} must be one number above 0, the same for all")
    return checked
