"""Rules of the orthogonal matrices, the rotations, and the matrices with orthonormal columns or rows."""

import torch
from torch import Tensor as Array

from isoparam.rules import Rule, absent
from isoparam.specs import Orthogonal, SpecialOrthogonal, Stiefel
from isoparam.specs.rotations import Rotation
from torch_impl.constants import base_like
from torch_impl.kernels.cayley import cayley, cayley_columns, log_volume, uncayley
from torch_impl.kernels.householder import (
    column_triangle,
    log_reflected_volume,
    reflected,
    unreflected,
)
from torch_impl.kernels.matrix_exp import matrix_exp, matrix_log
from torch_impl.kernels.polar import orthonormality, polar, polar_rotation
from torch_impl.kernels.triangles import take_strict
from torch_impl.registry import RULES


@RULES.implements(Orthogonal)
class OrthogonalRule(Rule[Array]):
    @staticmethod
    def forward(spec: Orthogonal, raw: Array) -> Array:
        return turned(spec, raw)

    @staticmethod
    def inverse(spec: Orthogonal, value: Array) -> Array:
        return turned_back(spec, value)

    @staticmethod
    def log_abs_det(spec: Orthogonal, raw: Array) -> Array:
        return log_volume_of(spec, raw)

    @staticmethod
    def project(spec: Orthogonal, point: Array) -> Array:
        return polar(point)

    @staticmethod
    def contains(spec: Orthogonal, value: Array, eps: float) -> Array:
        return is_orthonormal(value, eps)


@RULES.implements(SpecialOrthogonal)
class SpecialOrthogonalRule(Rule[Array]):
    @staticmethod
    def forward(spec: SpecialOrthogonal, raw: Array) -> Array:
        return turned(spec, raw)

    @staticmethod
    def inverse(spec: SpecialOrthogonal, value: Array) -> Array:
        return turned_back(spec, value)

    @staticmethod
    def log_abs_det(spec: SpecialOrthogonal, raw: Array) -> Array:
        return log_volume_of(spec, raw)

    @staticmethod
    def project(spec: SpecialOrthogonal, point: Array) -> Array:
        return polar_rotation(point)

    @staticmethod
    def contains(spec: SpecialOrthogonal, value: Array, eps: float) -> Array:
        return is_orthonormal(value, eps) & (torch.linalg.det(value) > 0)


@RULES.implements(Stiefel)
class StiefelRule(Rule[Array]):
    @staticmethod
    def forward(spec: Stiefel, raw: Array) -> Array:
        value = turned(spec, raw)
        return torch.transpose(value, -1, -2) if spec.wide else value

    @staticmethod
    def inverse(spec: Stiefel, value: Array) -> Array:
        return turned_back(spec, torch.transpose(value, -1, -2) if spec.wide else value)

    log_abs_det = staticmethod(absent)

    @staticmethod
    def project(spec: Stiefel, point: Array) -> Array:
        return torch.transpose(polar(torch.transpose(point, -1, -2)), -1, -2) if spec.wide else polar(point)

    @staticmethod
    def contains(spec: Stiefel, value: Array, eps: float) -> Array:
        return is_orthonormal(torch.transpose(value, -1, -2) if spec.wide else value, eps)


def turned(spec: Rotation, raw: Array) -> Array:
    """The base times the first columns of the orthogonal matrix that raw makes."""
    n, k = spec.sizes(spec.value_shape(raw.shape))
    whole = spec.padded or k == n
    if spec.map == "householder":
        value = reflected(raw, n, k)
    elif spec.map == "exp":
        value = matrix_exp(raw)[..., :k]
    else:
        value = cayley(raw)[..., :k] if whole else cayley_columns(raw, n, k)
    base = base_like(spec, n, raw)
    return value if base is None else base @ value


def turned_back(spec: Rotation, value: Array) -> Array:
    """The raw of a value, which is nan where no finite raw leads."""
    n, k = value.shape[-2:]
    base = base_like(spec, n, value)
    moved = value if base is None else torch.transpose(base, -1, -2) @ value
    if spec.map == "householder":
        raw = unreflected(moved)
    elif spec.map == "exp" and n == k:
        raw = matrix_log(moved)
    elif spec.map == "exp":
        raw = matrix_log(cayley(_whole(uncayley(moved, k), n, k)))
    else:
        raw = uncayley(moved, k)
    if n == k:
        return torch.where(torch.linalg.det(moved)[..., None] < 0, torch.nan, raw)
    return _whole(raw, n, k) if spec.padded and spec.map == "cayley" else raw


def log_volume_of(spec: Rotation, raw: Array) -> Array:
    """log of the volume of the image, relative to that at raw = 0."""
    n, _ = spec.sizes(spec.value_shape(raw.shape))
    return log_reflected_volume(raw, n) if spec.map == "householder" else (1 - n) * log_volume(raw)


def is_orthonormal(value: Array, eps: float) -> Array:
    """Whether |Q^T Q - I| is at most what rounding to the dtype makes of it."""
    tolerance = 8 * value.shape[-2] * max(eps, torch.finfo(value.dtype).eps)
    return orthonormality(value) <= tolerance


def _whole(raw: Array, n: int, k: int) -> Array:
    """Raw of a whole lower triangle, with zeros behind the columns that there are."""
    columns = column_triangle(raw, n, k)
    rest = torch.zeros((*columns.shape[:-1], n - k), dtype=raw.dtype, device=raw.device)
    return take_strict(torch.cat([columns, rest], dim=-1))
