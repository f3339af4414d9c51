"""softmax along the last axis: over-parametrised, and with a last logit of 0."""

import jax.numpy as jnp
from jax import Array, enable_x64

from jax_impl.kernels.derivatives import with_rule
from jax_impl.kernels.elementary import exp, expm1, log, two_sum
from jax_impl.kernels.links import log_ratio
from jax_impl.kernels.sums import sum_once


@with_rule(
    push=lambda x, y, tangent: softmax_derivative(y, tangent),
    pull=lambda x, y, cotangent: softmax_derivative(y, cotangent),
)
def softmax(x: Array) -> Array:
    """exp(x)/sum exp(x): n numbers to n positive ones that sum to 1."""
    if x.dtype == jnp.float32:
        with enable_x64(True):
            wide = x.astype(jnp.float64)
            weights = jnp.exp(wide - jnp.max(wide, axis=-1, keepdims=True))
            return (weights / jnp.sum(weights, axis=-1, keepdims=True)).astype(x.dtype)
    exponent, rest = _exponents(x)
    weights = exp(exponent) * (1 + rest)
    return weights / sum_once(weights)


@with_rule(
    push=lambda x, y, tangent: softmax_derivative(softmax(x), tangent),
    pull=lambda x, y, cotangent: softmax_derivative(softmax(x), cotangent),
)
def softmax_centred(x: Array) -> Array:
    """softmax(x) - 1/n, without cancellation where the weights are nearly equal."""
    exponent, rest = _exponents(x)
    excess = expm1(exponent)
    excess = excess + (excess + 1) * rest
    n = excess.shape[-1]
    total = sum_once(excess)
    return (excess - total / n) / (n + total)


@with_rule(
    push=lambda x, y, tangent: -x.shape[-1] * jnp.sum(softmax_centred(x) * tangent, axis=-1),
    pull=lambda x, y, cotangent: -x.shape[-1] * softmax_centred(x) * cotangent[..., None],
)
def sum_log_softmax(x: Array) -> Array:
    """sum_k log softmax(x)_k: no term has the other sign, measured from the largest x."""
    exponent, rest = _exponents(x)
    weights = exp(exponent) * (1 + rest)
    return (sum_once(exponent + rest) - x.shape[-1] * log(sum_once(weights)))[..., 0]


def log_over_last(y: Array) -> Array:
    """log(y_k/y_n) for k < n: the inverse of softmax with a last logit of 0, free of the scale of y."""
    last = y[..., -1:]
    return log_ratio(y[..., :-1], last, y[..., :-1] - last, y[..., :-1] + last)


def softmax_derivative(y: Array, tangent: Array) -> Array:
    """(diag y - y y^T) tangent, measured from the largest weight so that nothing cancels at a vertex. Symmetric."""
    largest = jnp.arange(y.shape[-1]) == jnp.argmax(y, axis=-1, keepdims=True)
    others = jnp.where(largest, 0.0, y)
    offset = tangent - jnp.sum(jnp.where(largest, tangent, 0.0), axis=-1, keepdims=True)
    change = others * (offset - jnp.sum(others * offset, axis=-1, keepdims=True))
    return jnp.where(largest, -jnp.sum(change, axis=-1, keepdims=True), change)


def _exponents(x: Array) -> tuple[Array, Array]:
    """x - max x and its rounding error."""
    exponent, rest = two_sum(x, -jnp.max(x, axis=-1, keepdims=True))
    return exponent, jnp.where(jnp.isfinite(exponent), rest, 0.0)
