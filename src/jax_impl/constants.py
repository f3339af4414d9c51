"""Numbers that follow from a spec, in the dtype of an array: floats, or arrays for array bounds.

They are computed in numpy, outside of what jax.jit traces, and stay numpy arrays: one that jnp.asarray makes inside jit
belongs to that trace, and a derivative taken of the compiled map would find it gone.
"""

from typing import Any

import numpy as np
from jax import Array

from isoparam.specs import Affine, Box, Fixed, GreaterThan, Interval, LessThan, Masked, OrderedInterval
from isoparam.specs.balls import Ball, BallNumbers
from isoparam.specs.base import ScalarSpec
from isoparam.specs.bounds import bound_in, plain
from isoparam.specs.circular import Turn, turn
from isoparam.specs.logarithms import LogTable, log_table
from isoparam.specs.masked import MaskPlaces
from isoparam.specs.numbers import AffineNumbers, Helmert, IntervalNumbers, RoomNumbers, helmert, helmert_matrix
from isoparam.specs.planes import Plane, PlaneNumbers
from isoparam.specs.rotations import Rotation


def bound_like(spec: GreaterThan | LessThan, array: Array) -> Any:
    """The bound of a half line in the dtype of an array: a float, or a numpy array."""
    return plain(bound_in(spec.bound, _numpy(array)))


def numbers_like(spec: Interval, array: Array) -> IntervalNumbers:
    """The numbers of an interval in the dtype of an array: floats, or numpy arrays."""
    return spec.numbers(_numpy(array))


def affine_like(spec: Affine, array: Array) -> AffineNumbers:
    """The numbers of an affine map in the dtype of an array: floats, or numpy arrays."""
    return spec.numbers(_numpy(array))


def parts_like(spec: Box, array: Array) -> list[tuple[ScalarSpec, Any, float]]:
    """The kinds of entries of a box: the spec, where its entries are (None: all) as a numpy array, a value inside."""
    del array
    return [(part.spec, None if part.here is None else part.here.data > 0, part.inside) for part in spec.parts]


def helmert_like(array: Array) -> Helmert:
    """The Helmert matrix with a row for each entry of the last axis of an array."""
    return helmert(array.shape[-1], _numpy(array))


def helmert_matrix_like(array: Array) -> Any:
    """That matrix written out, in the dtype of an array, as a numpy array."""
    return helmert_matrix(array.shape[-1], _numpy(array))


def turn_like(array: Array) -> Turn:
    """The numbers of a full turn in the dtype of an array."""
    return turn(_numpy(array))


def log_table_like(array: Array) -> LogTable:
    """Logarithms of numbers near 1 in the dtype of an array, as numpy arrays."""
    return log_table(_numpy(array))


def room_like(spec: OrderedInterval, array: Array) -> RoomNumbers:
    """The numbers of an ordered interval in the dtype of an array, for the entries of its last axis."""
    return spec.numbers(array.shape[-1], _numpy(array))


def fixed_like(spec: Fixed, array: Array) -> Any:
    """The constant in the dtype of an array, as a numpy array."""
    return bound_in(spec.value, _numpy(array))


def places_like(spec: Masked, array: Array) -> MaskPlaces:
    """Where the entries of a masked array come from, with the fill in the dtype of an array."""
    return spec.places(_numpy(array))


def base_like(spec: Rotation, rows: int, array: Array) -> Any:
    """The orthogonal matrix that a spec of rotations starts from, in the dtype and on the device of an array; None for I."""
    base = spec.whole_base(rows)
    return None if base is None else base.astype(_numpy(array))


def triangle_like(side: int, array: Array) -> Any:
    """Rows and columns of the entries below the diagonal, row by row, on the device of an array."""
    del array
    return np.tril_indices(side, -1)


def ball_like(spec: Ball, array: Array) -> BallNumbers:
    """The numbers of a ball in the dtype of an array."""
    return spec.numbers(_numpy(array))


def plane_like(spec: Plane, array: Array) -> PlaneNumbers:
    """The numbers of a plane in the dtype of an array, as numpy arrays."""
    return spec.numbers(_numpy(array))


def _numpy(array: Array) -> Any:
    return np.dtype(array.dtype).type
