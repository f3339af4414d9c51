"""Numbers that follow from a spec, in the dtype and on the device of a tensor: floats, or tensors for array bounds.

They are computed in numpy, outside of what torch.compile traces, which takes each result as a constant.
"""

from operator import index
from typing import Any

import numpy as np
import torch
from torch import Tensor as Array

from isoparam.specs import Affine, Box, Fixed, GreaterThan, Interval, LessThan, Masked, OrderedInterval
from isoparam.specs.balls import Ball, BallNumbers
from isoparam.specs.base import ScalarSpec
from isoparam.specs.bounds import FrozenArray, bound_in, plain
from isoparam.specs.circular import Turn, turn
from isoparam.specs.logarithms import LogTable, log_table
from isoparam.specs.masked import MaskPlaces
from isoparam.specs.numbers import AffineNumbers, Helmert, IntervalNumbers, RoomNumbers, helmert, helmert_matrix
from isoparam.specs.planes import Plane, PlaneNumbers
from isoparam.specs.rotations import Rotation

NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def bound_like(spec: GreaterThan | LessThan, array: Array) -> Any:
    """The bound of a half line in the dtype of an array: a float, or an array on its device."""
    (bound,) = _bound(spec, array.dtype, array.device)
    return bound


def numbers_like(spec: Interval, array: Array) -> IntervalNumbers:
    """The numbers of an interval in the dtype of an array: floats, or arrays on its device."""
    return IntervalNumbers(*_numbers(spec, array.dtype, array.device))


def affine_like(spec: Affine, array: Array) -> AffineNumbers:
    """The numbers of an affine map in the dtype of an array: floats, or arrays on its device."""
    return AffineNumbers(*_numbers(spec, array.dtype, array.device))


def parts_like(spec: Box, array: Array) -> list[tuple[ScalarSpec, Any, float]]:
    """The kinds of entries of a box: the spec, where its entries are (None: all) on the device of an array, a value inside."""
    masks = [(None,) if part.here is None else _mask(part.here, array.device) for part in spec.parts]
    return [(part.spec, here, part.inside) for part, (here,) in zip(spec.parts, masks, strict=True)]


def helmert_like(array: Array) -> Helmert:
    """The Helmert matrix with a row for each entry of the last axis of an array."""
    return Helmert(*_helmert(index(array.shape[-1]), array.dtype, array.device))


def helmert_matrix_like(array: Array) -> Any:
    """That matrix written out, in the dtype of the array and on its device."""
    (matrix,) = _helmert_matrix(index(array.shape[-1]), array.dtype, array.device)
    return matrix


def turn_like(array: Array) -> Turn:
    """The numbers of a full turn in the dtype of an array."""
    return Turn(*_turn(array.dtype))


def log_table_like(array: Array) -> LogTable:
    """Logarithms of numbers near 1 in the dtype of an array, on its device."""
    return LogTable(*_log_table(array.dtype, array.device))


def room_like(spec: OrderedInterval, array: Array) -> RoomNumbers:
    """The numbers of an ordered interval in the dtype of an array, for the entries of its last axis."""
    return RoomNumbers(*_room(spec, index(array.shape[-1]), array.dtype, array.device))


def fixed_like(spec: Fixed, array: Array) -> Any:
    """The constant in the dtype of an array, on its device."""
    (constant,) = _fixed(spec, array.dtype, array.device)
    return constant


def places_like(spec: Masked, array: Array) -> MaskPlaces:
    """Where the entries of a masked array come from, with the fill in the dtype of an array, on its device."""
    return MaskPlaces(*_places(spec, array.dtype, array.device))


def base_like(spec: Rotation, rows: int, array: Array) -> Any:
    """The orthogonal matrix that a spec of rotations starts from, in the dtype and on the device of an array; None for I."""
    (base,) = _base(spec, index(rows), array.dtype, array.device)
    return base


def triangle_like(side: int, array: Array) -> Any:
    """Rows and columns of the entries below the diagonal, row by row, on the device of an array."""
    return _triangle(index(side), array.device)


def ball_like(spec: Ball, array: Array) -> BallNumbers:
    """The numbers of a ball in the dtype of an array."""
    return BallNumbers(*_ball(spec, array.dtype))


def plane_like(spec: Plane, array: Array) -> PlaneNumbers:
    """The numbers of a plane in the dtype of an array, on its device."""
    return PlaneNumbers(*_plane(spec, array.dtype, array.device))


@torch.compiler.assume_constant_result
def _bound(spec: GreaterThan | LessThan, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    # A tuple: torch.compile gives two bare tensors of one function one name, and inductor refuses the second.
    # The spec and not its bound, which is a float: of the second float that it meets, torch.compile makes a variable.
    return (_placed(plain(bound_in(spec.bound, NUMPY[dtype])), device),)


@torch.compiler.assume_constant_result
def _numbers(spec: Interval | Affine, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    numbers = spec.numbers(NUMPY[dtype])
    return tuple(_placed(part, device) for part in numbers) if spec._bound_shape else numbers


@torch.compiler.assume_constant_result
def _mask(here: FrozenArray, device: torch.device) -> tuple[Any, ...]:
    return (_placed(here.data > 0, device),)


@torch.compiler.assume_constant_result
def _helmert(rows: int, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in helmert(rows, NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _helmert_matrix(rows: int, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return (_placed(helmert_matrix(rows, NUMPY[dtype]), device),)


@torch.compiler.assume_constant_result
def _log_table(dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in log_table(NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _room(spec: OrderedInterval, count: int, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in spec.numbers(count, NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _fixed(spec: Fixed, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return (_placed(bound_in(spec.value, NUMPY[dtype]), device),)


@torch.compiler.assume_constant_result
def _places(spec: Masked, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in spec.places(NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _base(spec: Rotation, rows: int, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    base = spec.whole_base(rows)
    return (None,) if base is None else (_placed(base.astype(NUMPY[dtype]), device),)


@torch.compiler.assume_constant_result
def _triangle(side: int, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in np.tril_indices(side, -1))


@torch.compiler.assume_constant_result
def _turn(dtype: torch.dtype) -> tuple[Any, ...]:
    return tuple(turn(NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _ball(spec: Ball, dtype: torch.dtype) -> tuple[Any, ...]:
    return tuple(spec.numbers(NUMPY[dtype]))


@torch.compiler.assume_constant_result
def _plane(spec: Plane, dtype: torch.dtype, device: torch.device) -> tuple[Any, ...]:
    return tuple(_placed(part, device) for part in spec.numbers(NUMPY[dtype]))


def _placed(part: Any, device: torch.device) -> Any:
    return torch.as_tensor(part, device=device) if isinstance(part, np.ndarray) else part
