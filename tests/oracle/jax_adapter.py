"""What the scorer of 50-digit references calls, answered by isoparam.jax: `score.py jax_adapter.py FILE.json...`.

Kinds that isoparam does not have raise NotImplementedError. Arrays are 1-D numpy, `dtype` is "float32" or "float64".
Every call is jitted; the compiled function is kept per (quantity, spec), and by JAX per shape and dtype.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import isoparam as iso
from isoparam import jax as backend
from jax_impl.kernels.projections import project_simplex
from jax_impl.kernels.spectra import project_semidefinite

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
    return _call("forward", _spec(KINDS, kind, params), _shaped(x, kind, params))


def inverse(kind, params, y, dtype):
    # Under jit nothing is checked: a border gives an infinity, an outside value nan.
    return _call("inverse", _spec(KINDS, kind, params), _value(KINDS, y, kind, params))


def log_abs_det(kind, params, x, dtype):
    return _call("log_abs_det", _spec(KINDS, kind, params), _shaped(x, kind, params))


def vjp(kind, params, x, w, dtype):
    return _call("vjp", _spec(KINDS, kind, params), _shaped(x, kind, params), w)


def grad_log_abs_det(kind, params, x, dtype):
    return _call("grad_log_abs_det", _spec(KINDS, kind, params), _shaped(x, kind, params))


def inverse_vjp(kind, params, y, w, dtype):
    return _call("inverse_vjp", _spec(KINDS, kind, params), _value(KINDS, y, kind, params), w)


def project(kind, params, x, dtype):
    spec, point = _spec(SETS, kind, params), _value(SETS, x, kind, params)
    if kind == "l2_sphere":
        return point.dtype.type(params["p"][0]) * _call("project", spec, point)
    if kind == "simplex":
        with jax.enable_x64(True):
            return np.asarray(_on_simplex(point, params["p"][0]))
    if kind == "spd":
        with jax.enable_x64(True):
            floor = params["p"][0] * np.eye(point.shape[-1])
            return (np.asarray(_semidefinite(point.astype(np.float64) - floor)) + floor).astype(point.dtype)
    return _call("project", spec, point)


def _forward(spec, raw):
    return backend.forward(spec, raw)


def _inverse(spec, value):
    return backend.inverse(spec, value)


def _log_abs_det(spec, raw):
    return backend.log_abs_det(spec, raw)


def _project(spec, point):
    return backend.project(spec, point)


def _vjp(spec, raw, cotangent):
    value, pull = jax.vjp(lambda raw: backend.forward(spec, raw), raw)
    return pull(cotangent.reshape(value.shape))[0]


def _grad_log_abs_det(spec, raw):
    return jax.grad(lambda raw: jnp.sum(backend.log_abs_det(spec, raw)))(raw)


def _inverse_vjp(spec, value, cotangent):
    raw, pull = jax.vjp(lambda value: backend.inverse(spec, value), value)
    return pull(cotangent.reshape(raw.shape))[0]


QUANTITIES = {
    "forward": _forward,
    "inverse": _inverse,
    "log_abs_det": _log_abs_det,
    "project": _project,
    "vjp": _vjp,
    "grad_log_abs_det": _grad_log_abs_det,
    "inverse_vjp": _inverse_vjp,
}


def _call(quantity, spec, *arrays):
    with jax.enable_x64(True):
        return np.asarray(_jitted(quantity, spec)(*arrays))


@cache
def _jitted(quantity, spec):
    return jax.jit(lambda *arrays: QUANTITIES[quantity](spec, *arrays))


_semidefinite = jax.jit(project_semidefinite)
_on_simplex = jax.jit(project_simplex, static_argnums=1)


def _spec(table, kind, params):
    if kind not in table:
        raise NotImplementedError(kind)
    return _made(table[kind], params["p"])


@cache
def _made(make, numbers):
    return make(*numbers)


def _shaped(array, kind, params):
    return array.reshape(SHAPES[kind](*map(int, params["p"]))) if kind in SHAPES else array


def _value(table, array, kind, params):
    """A value or a point: a matrix where the spec has them."""
    array = _shaped(array, kind, params)
    matrix = kind not in SHAPES and _spec(table, kind, params).kind == "matrix"
    return array.reshape(params["shape"]) if matrix else array
