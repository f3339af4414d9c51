"""isoparam.jax on numpy arrays, jitted, one function per question of `oracle.judge`."""

from functools import cache

import jax
import numpy as np

from isoparam.jax import forward, inverse, log_abs_det, project


def pullback(spec, raw, cotangent):
    return jax.vjp(lambda raw: forward(spec, raw), raw)[1](cotangent)[0]


def log_abs_det_gradient(spec, raw):
    return jax.grad(lambda raw: log_abs_det(spec, raw).sum())(raw)


@cache
def _jitted(function, spec):
    return jax.jit(lambda *arrays: function(spec, *arrays))


def _call(function):
    def call(spec, *arrays):
        with jax.enable_x64(True):
            return np.asarray(_jitted(function, spec)(*arrays))

    return call


QUESTIONS = {
    "forward": forward,
    "inverse": inverse,
    "log_abs_det": log_abs_det,
    "pullback": pullback,
    "log_abs_det_gradient": log_abs_det_gradient,
    "project": project,
}
CALLS = {verb: _call(function) for verb, function in QUESTIONS.items()}
