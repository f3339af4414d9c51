"""What the scorer of 50-digit references calls, answered by isoparam.torch: `score.py torch_adapter.py FILE.json...`.

Kinds that isoparam does not have raise NotImplementedError. Arrays are 1-D numpy, `dtype` is "float32" or "float64".
"""

from functools import cache

import numpy as np
import torch

import isoparam as iso
from isoparam import torch as backend
from torch_impl.kernels.projections import project_simplex
from torch_impl.kernels.spectra import project_semidefinite

KINDS = {
    "unit_interval": lambda: iso.UnitInterval(),
    "interval_ab": lambda a, b: iso.Interval(a, b),
    "interval_narrow": lambda a, b: iso.Interval(a, b),
    "interval_wide": lambda a, b: iso.Interval(a, b),
    "positive_exp": lambda *zero: iso.Positive(link="exp"),
    "positive_softplus": lambda *zero: iso.Positive(),
    "lower_exp": lambda a: iso.GreaterThan(a, link="exp"),
    "lower_softplus": lambda a: iso.GreaterThan(a),
    "upper_exp": lambda b: iso.LessThan(b, link="exp"),
    "upper_softplus": lambda b: iso.LessThan(b),
    "tanh": lambda: iso.Interval(-1, 1, link="tanh"),
    "simplex_ilr": lambda: iso.Simplex(),
    "simplex_stick": lambda: iso.StickBreakingSimplex(),
    "simplex_softmax0": lambda: iso.SoftmaxSimplex(),
    "row_stochastic_ilr": lambda rows, columns: iso.RowStochastic(),
    "column_stochastic_ilr": lambda rows, columns: iso.ColumnStochastic(),
    "ordered": lambda: iso.Ordered(link="exp"),
    "ordered_sp": lambda: iso.Ordered(),
    "positive_ordered": lambda: iso.PositiveOrdered(link="exp"),
    "positive_ordered_sp": lambda: iso.PositiveOrdered(),
    "sum_to_zero": lambda: iso.SumToZero(),
    "unit_vector": lambda: iso.UnitVector(),
    "ball_l2_tanh": lambda radius: iso.L2Ball(radius, link="tanh"),
    "ball_l2_alg": lambda radius: iso.L2Ball(radius),
    "ball_l1_tanh": lambda radius: iso.L1Ball(radius, link="tanh"),
    "ball_l1_alg": lambda radius: iso.L1Ball(radius),
    "ball_l1_stick": lambda radius: iso.L1Ball(radius, link="stick"),
    "ar_stationary": lambda: iso.StationaryAR(),
    "corr_chol_row": lambda: iso.CholeskyCorrelation(),
    "corr_chol": lambda: iso.CholeskyCorrelation(link="tanh"),
    "corr_row": lambda: iso.Correlation(),
    "orth_cayley": lambda: iso.Orthogonal(),
    "orth_exp": lambda: iso.Orthogonal(map="exp"),
    "stiefel_cayley": lambda rows, columns: iso.Stiefel(columns=int(columns)),
    "stiefel_cayley_full": lambda rows, columns: iso.Stiefel(columns=int(columns), free="full"),
    "tril": lambda: iso.LowerTriangular(),
    "symmetric": lambda: iso.Symmetric(),
    "skew": lambda: iso.SkewSymmetric(),
    "cov_chol": lambda: iso.CholeskyCovariance(link="exp"),
    "cov_chol_sp": lambda: iso.CholeskyCovariance(),
    "psd": lambda: iso.Covariance(link="exp"),
    "spd_sp": lambda: iso.Covariance(),
    "psd_lowrank": lambda rows, rank: iso.LowRankCovariance(int(rank)),
}
SETS = {
    "box": lambda low, high: iso.Box(low, high),
    "non_negative": lambda: iso.Positive(),
    "simplex": lambda total: iso.Simplex(),
    "row_stochastic": lambda rows, columns: iso.RowStochastic(),
    "ordered": lambda: iso.Ordered(),
    "positive_ordered": lambda: iso.PositiveOrdered(),
    "sum_to_zero": lambda: iso.SumToZero(),
    "l2_sphere": lambda radius: iso.UnitVector(),
    "l2_ball": lambda radius: iso.L2Ball(radius),
    "l1_ball": lambda radius: iso.L1Ball(radius),
    "hyperplane": lambda offset, *normal: iso.Hyperplane(normal, offset),
    "halfspace": lambda offset, *normal: iso.HalfSpace(normal, offset),
    "linf_ball": lambda radius: iso.LInfBall(radius),
    "corr": lambda: iso.Correlation(),
    "stiefel": lambda rows, columns: iso.Stiefel(columns=int(columns)),
    "so": lambda *size: iso.SpecialOrthogonal(),
    "tril": lambda: iso.LowerTriangular(),
    "symmetric": lambda: iso.Symmetric(),
    "skew": lambda: iso.SkewSymmetric(),
    "spd": lambda floor: iso.Covariance(),
}

# Of raw, value and point alike: what is left over is the other axis.
SHAPES = {
    "row_stochastic_ilr": lambda rows, columns: (rows, -1),
    "row_stochastic": lambda rows, columns: (rows, -1),
    "column_stochastic_ilr": lambda rows, columns: (-1, columns),
    "psd_lowrank": lambda rows, rank: (rows, rank),
}


def forward(kind, params, x, dtype):
    return backend.forward(_spec(KINDS, kind, params), _tensor(x, kind, params)).numpy()


def inverse(kind, params, y, dtype):
    # Unchecked, as under compile: a border gives an infinity, an outside value nan.
    return backend.inverse(_spec(KINDS, kind, params), _value(KINDS, y, kind, params), check=False).numpy()


def log_abs_det(kind, params, x, dtype):
    return backend.log_abs_det(_spec(KINDS, kind, params), _tensor(x, kind, params)).numpy()


def vjp(kind, params, x, w, dtype):
    raw = _tensor(x, kind, params).requires_grad_()
    value = backend.forward(_spec(KINDS, kind, params), raw)
    return _gradient(value, raw, torch.from_numpy(np.array(w)).reshape(value.shape))


def grad_log_abs_det(kind, params, x, dtype):
    raw = _tensor(x, kind, params).requires_grad_()
    total = backend.log_abs_det(_spec(KINDS, kind, params), raw)
    return _gradient(total, raw, torch.ones_like(total))


def inverse_vjp(kind, params, y, w, dtype):
    value = _value(KINDS, y, kind, params).requires_grad_()
    raw = backend.inverse(_spec(KINDS, kind, params), value, check=False)
    return _gradient(raw, value, torch.from_numpy(np.array(w)).reshape(raw.shape))


def project(kind, params, x, dtype):
    spec, point = _spec(SETS, kind, params), _value(SETS, x, kind, params)
    if kind == "l2_sphere":
        return (params["p"][0] * backend.project(spec, point)).numpy()
    if kind == "simplex":
        return project_simplex(point, params["p"][0]).numpy()
    if kind == "spd":
        floor = params["p"][0] * torch.eye(point.shape[-1], dtype=torch.float64)
        return (project_semidefinite(point.double() - floor) + floor).to(point.dtype).numpy()
    return backend.project(spec, point).numpy()


def _spec(table, kind, params):
    if kind not in table:
        raise NotImplementedError(kind)
    return _made(table[kind], params["p"])


@cache
def _made(make, numbers):
    return make(*numbers)


def _tensor(array, kind, params):
    tensor = torch.from_numpy(np.array(array))
    return tensor.reshape(SHAPES[kind](*map(int, params["p"]))) if kind in SHAPES else tensor


def _value(table, array, kind, params):
    """A value or a point: a matrix where the spec has them."""
    tensor = _tensor(array, kind, params)
    matrix = kind not in SHAPES and _spec(table, kind, params).kind == "matrix"
    return tensor.reshape(params["shape"]) if matrix else tensor


def _gradient(result, leaf, cotangent):
    if not result.requires_grad:
        return np.zeros(leaf.shape, leaf.detach().numpy().dtype)
    return torch.autograd.grad(result, leaf, cotangent)[0].numpy()
