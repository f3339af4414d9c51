"""isoparam.jax on numpy arrays, jitted, one function per question of `oracle.judge`.

What is asked of raw is answered by one program, as in a fit: compiled one by one, the answers would take twice the time.
"""

from functools import cache, partial

import jax
import numpy as np

from isoparam.jax import forward, inverse, log_abs_det, project


def pullback(spec, raw, cotangent):
    return jax.vjp(partial(forward, spec), raw)[1](cotangent)[0]


def log_abs_det_gradient(spec, raw):
    return jax.grad(lambda raw: log_abs_det(spec, raw).sum())(raw)


QUESTIONS = {
    "forward": forward,
    "inverse": inverse,
    "log_abs_det": log_abs_det,
    "pullback": pullback,
    "log_abs_det_gradient": log_abs_det_gradient,
    "project": project,
}


@cache
def _fit(spec):
    """Value, pullback, log-determinant and its gradient of raw, where the spec has them."""
    asked = [forward] if "log_abs_det" in spec.absent else [forward, log_abs_det, log_abs_det_gradient]

    def answers(raw, cotangent):
        return {each.__name__: each(spec, raw) for each in asked} | {"pullback": pullback(spec, raw, cotangent)}

    return jax.jit(answers)


def _of_raw(verb):
    def call(spec, raw, cotangent=None):
        cotangent = np.ones(spec.value_shape(raw.shape), raw.dtype) if cotangent is None else cotangent
        with jax.enable_x64(True):
            return np.asarray(_fit(spec)(raw, cotangent)[verb])

    return call


@cache
def _jitted(verb, spec):
    return jax.jit(partial(QUESTIONS[verb], spec))


def _of_value(verb):
    def call(spec, value):
        with jax.enable_x64(True):
            return np.asarray(_jitted(verb, spec)(value))

    return call


CALLS = {verb: (_of_value if verb in ("inverse", "project") else _of_raw)(verb) for verb in QUESTIONS}
